/* SPDX-License-Identifier: Apache-2.0 */
#include "common/io/payload_store.h"

#include <stdlib.h>

#include "common/base/limits.h"

#define ACTIVE_MAX       16         /* operations under way */
#define ACTIVE_BYTES_MAX (64 * MIB) /* of objects; one may be larger */
#define PAUSE_MS_MIN     250
#define PAUSE_MS_MAX     15000
#define TICK_MS          500 /* how exactly the times of operations are kept */
#define SAY_MS           60000

enum op_state { OP_WAITING, OP_ACTIVE, OP_CANCELLED };

struct payload_op {
    struct payload_op *next, *previous;
    struct payload_store *store;
    enum op_state state; /* CANCELLED: the answer of the store is still to come */
    bool put;
    struct blob_ref ref;
    struct buf content; /* of a put */
    uint64_t until_ms;  /* of the loop; 0: any time */
    payload_fn done;
    void *user;
    char run_id[RUN_ID_MAX];
};

struct payload_store {
    struct loop *loop;
    struct blob_store *blobs; /* NULL: none */
    char *url;
    size_t inline_max, max;
    const struct log *log;
    struct payload_op *first, *last; /* all of them, in the order in which they are tried */
    size_t active, active_bytes;
    struct loop_timer tick; /* armed while there is an operation */
    uint64_t paused_ms;     /* until then */
    uint64_t pause_ms;      /* the last one; 0: no trouble */
    uint64_t said_ms;       /* last; one object that fails is not said each time either */
    bool said;
    bool closing;
};

/* --- the list --- */

static void op_link(struct payload_op *op)
{
    struct payload_store *s = op->store;
    op->previous = s->last;
    op->next = NULL;
    if (s->last)
        s->last->next = op;
    else
        s->first = op;
    s->last = op;
}

static void op_unlink(struct payload_op *op)
{
    struct payload_store *s = op->store;
    if (op->previous)
        op->previous->next = op->next;
    else
        s->first = op->next;
    if (op->next)
        op->next->previous = op->previous;
    else
        s->last = op->previous;
}

static void op_free(struct payload_op *op)
{
    op_unlink(op);
    buf_done(&op->content);
    loop_defer_free(op->store->loop, free, op);
}

static void op_end(struct payload_op *op, const struct payload_answer *a)
{
    payload_fn done = op->done;
    void *user = op->user;
    op_free(op);
    done(user, a);
}

static void op_close(struct payload_op *op)
{
    const struct payload_answer a = { .status = BLOB_UNAVAILABLE,
                                      .text = "the payload store is closed" };
    if (op->state == OP_CANCELLED)
        op_free(op);
    else
        op_end(op, &a);
}

/* --- turns --- */

static void start_some(struct payload_store *s);

static void say(struct payload_store *s, const char *text)
{
    uint64_t now = loop_now_ms(s->loop);
    if (s->said_ms && now - s->said_ms < SAY_MS) return;
    s->said_ms = now;
    s->said = true;
    log_error(s->log, "payloads.waits", "%s: what needs it waits, nothing is lost", text);
}

static void in_trouble(struct payload_store *s, const char *text)
{
    say(s, text);
    s->pause_ms = s->pause_ms ? MIN(2 * s->pause_ms, (uint64_t)PAUSE_MS_MAX) : PAUSE_MS_MIN;
    s->paused_ms = loop_now_ms(s->loop) + s->pause_ms;
}

static void out_of_trouble(struct payload_store *s)
{
    if (s->said) log_info(s->log, "payloads.back", "the payload store answers again");
    s->pause_ms = s->paused_ms = 0;
    s->said = false;
}

static bool over(const struct payload_op *op)
{
    return op->until_ms && loop_now_ms(op->store->loop) >= op->until_ms;
}

static void on_blob(void *user, const struct blob_result *r)
{
    struct payload_op *op = user;
    struct payload_store *s = op->store;
    s->active--;
    s->active_bytes -= (size_t)op->ref.size;
    if (s->closing) {
        op_close(op);
        return;
    }
    bool final = r->status == BLOB_OK || r->status == BLOB_LOST;
    if (final)
        out_of_trouble(s);
    else
        in_trouble(s, r->text);
    if (op->state == OP_CANCELLED) {
        op_free(op);
    } else if (final || over(op)) {
        struct payload_answer a = { .status = final ? r->status : BLOB_UNAVAILABLE,
                                    .text = r->text,
                                    .data = r->data };
        op_end(op, &a);
    } else { /* behind the others: it may be the only one that fails */
        op->state = OP_WAITING;
        op_unlink(op);
        op_link(op);
    }
    start_some(s);
}

static void op_start(struct payload_op *op)
{
    struct payload_store *s = op->store;
    op->state = OP_ACTIVE;
    s->active++;
    s->active_bytes += (size_t)op->ref.size;
    if (op->put)
        blob_put(s->blobs, bytes_of(op->run_id), &op->ref, buf_bytes(&op->content), on_blob, op);
    else
        blob_get(s->blobs, bytes_of(op->run_id), &op->ref, on_blob, op);
}

static void start_some(struct payload_store *s)
{
    if (!s->blobs || loop_now_ms(s->loop) < s->paused_ms) return;
    size_t most = s->pause_ms ? 1 : ACTIVE_MAX; /* in trouble one asks for all */
    for (struct payload_op *op = s->first; op && s->active < most; op = op->next) {
        if (op->state != OP_WAITING) continue;
        if (s->active && s->active_bytes + op->ref.size > ACTIVE_BYTES_MAX) return;
        op_start(op);
    }
}

static struct payload_op *first_over(const struct payload_store *s)
{
    struct payload_op *op = s->first;
    while (op && (op->state != OP_WAITING || !over(op))) op = op->next;
    return op;
}

static void expire(struct payload_store *s)
{
    const struct payload_answer a = { .status = BLOB_UNAVAILABLE,
                                      .text = "the payload store did not answer in time" };
    for (struct payload_op *op; (op = first_over(s));) op_end(op, &a);
}

static void on_tick(struct loop_timer *t)
{
    struct payload_store *s = t->user;
    if (!s->blobs && s->first)
        say(s, "a payload lies in a payload store, and payloads.store is none here");
    expire(s);
    start_some(s);
    if (s->first) loop_arm(s->loop, &s->tick, TICK_MS);
}

/* --- for callers --- */

static struct payload_op *op_new(struct payload_store *s, struct bytes run_id,
                                 const struct blob_ref *ref, uint64_t wait_ms, payload_fn done,
                                 void *user)
{
    struct payload_op *op = xcalloc(1, sizeof *op);
    *op = (struct payload_op){ .store = s, .ref = *ref, .done = done, .user = user };
    if (wait_ms) op->until_ms = loop_now_ms(s->loop) + wait_ms;
    ASSERT(run_id_check(run_id));
    memcpy(op->run_id, run_id.data, run_id.len);
    op_link(op);
    ASSERT(!s->closing);
    /* From the loop, so that no callback comes inside the call. */
    loop_arm(s->loop, &s->tick, 0);
    return op;
}

struct payload_op *payload_store_put(struct payload_store *s, struct bytes run_id,
                                     const struct blob_ref *ref, struct bytes content,
                                     uint64_t wait_ms, payload_fn done, void *user)
{
    struct payload_op *op = op_new(s, run_id, ref, wait_ms, done, user);
    op->put = true;
    buf_add(&op->content, content.data, content.len);
    return op;
}

struct payload_op *payload_store_get(struct payload_store *s, struct bytes run_id,
                                     const struct blob_ref *ref, uint64_t wait_ms, payload_fn done,
                                     void *user)
{
    return op_new(s, run_id, ref, wait_ms, done, user);
}

struct payload_op *payload_op_cancel(struct payload_op *op)
{
    if (!op) return NULL;
    if (op->state == OP_ACTIVE)
        op->state = OP_CANCELLED;
    else
        op_free(op);
    return NULL;
}

bool payload_store_there(const struct payload_store *s)
{
    return s->blobs != NULL;
}

bool payload_store_takes(const struct payload_store *s, size_t len)
{
    return s->blobs && len > s->inline_max;
}

size_t payload_store_max(const struct payload_store *s)
{
    return s->blobs ? s->max : PAYLOAD_BYTES_MAX;
}

struct blob_store *payload_store_blobs(const struct payload_store *s)
{
    return s->blobs;
}

void payload_store_url(const struct payload_store *s, struct bytes run_id,
                       const struct blob_ref *ref, struct buf *ret)
{
    bool dir = strncmp(s->url, "dir:", 4) == 0;
    buf_addf(ret, "%s/run/", s->url);
    if (dir) buf_addf(ret, "%.2s/", run_id.data); /* blob_dir.c */
    buf_addf(ret, "%.*s/%s", (int)run_id.len, run_id.data, ref->sha256);
}

struct payload_store *payload_store_open(struct loop *loop,
                                         const struct payload_store_options *options, struct err *e)
{
    struct blob_store *blobs = NULL;
    if (options->place) {
        blobs = blob_open(loop, options->place, e);
        if (!blobs) return NULL;
    }
    struct payload_store *s = xcalloc(1, sizeof *s);
    *s = (struct payload_store){ .loop = loop,
                                 .blobs = blobs,
                                 .url = xstrdup(options->url ? options->url : ""),
                                 .inline_max = options->inline_max,
                                 .max = options->max,
                                 .log = options->log };
    for (size_t len = strlen(s->url); len && s->url[len - 1] == '/';) s->url[--len] = '\0';
    s->tick = (struct loop_timer){ .on_due = on_tick, .user = s };
    return s;
}

struct payload_store *payload_store_close(struct payload_store *s)
{
    if (!s) return NULL;
    loop_disarm(s->loop, &s->tick);
    s->closing = true;
    s->blobs = blob_close(s->blobs);
    while (s->first) op_close(s->first);
    free(s->url);
    free(s);
    return NULL;
}
