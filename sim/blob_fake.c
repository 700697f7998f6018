/* SPDX-License-Identifier: Apache-2.0
 *
 * One process's end of the payload store, behind common/io/blob.h. The objects are the world's:
 * they outlive every process, and nothing but a removal takes them away. A put may be done and its
 * answer lost, may fail, and may take long; a put of a process that has crashed is not done. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/fakes.h"

#define LOST_REPLY_PPM 20000
#define FAIL_PPM       20000
#define SLOW_PPM       20000

struct object {
    struct object *next;
    char run_id[RUN_ID_MAX];
    struct blob_ref ref;
    struct buf content;
    int64_t written_ms;
};

/* In order of run ids. */
struct blobs_world {
    struct world *world;
    struct prng random;
    struct object *objects;
};

enum verb { PUT, GET, REMOVE_RUN, LIST_RUNS, AGE };

struct op {
    struct op *next;
    enum verb verb;
    char run_id[RUN_ID_MAX];
    struct blob_ref ref;
    struct buf content;
    blob_fn done;
    void *user;
    uint64_t end_us;
    bool fails, lost;
};

struct blob_store {
    struct proc *proc;
    struct world *world;
    struct op *ops; /* in order of their giving */
    size_t pending;
    bool closing;
};

struct blobs_world *blobs_world_new(struct world *w)
{
    struct blobs_world *b = xcalloc(1, sizeof *b);
    b->world = w;
    b->random = prng_new(w->seed, 9);
    return b;
}

static void object_free(struct object *o)
{
    buf_done(&o->content);
    free(o);
}

struct blobs_world *blobs_world_free(struct blobs_world *b)
{
    while (b && b->objects) {
        struct object *o = b->objects;
        b->objects = o->next;
        object_free(o);
    }
    free(b);
    return NULL;
}

/* --- what the store does --- */

static void do_put(struct blobs_world *b, const struct op *q)
{
    struct object **link = &b->objects;
    while (*link && strcmp((*link)->run_id, q->run_id) < 0) link = &(*link)->next;
    for (struct object *o = *link; o && strcmp(o->run_id, q->run_id) == 0; o = o->next)
        if (strcmp(o->ref.sha256, q->ref.sha256) == 0) {
            o->written_ms = world_wall_ms(b->world);
            return;
        }
    struct object *o = xcalloc(1, sizeof *o);
    o->ref = q->ref;
    memcpy(o->run_id, q->run_id, sizeof o->run_id);
    buf_add(&o->content, q->content.data, q->content.len);
    o->written_ms = world_wall_ms(b->world);
    o->next = *link;
    *link = o;
}

static void do_get(const struct blobs_world *b, const struct op *q, struct blob_result *r)
{
    for (const struct object *o = b->objects; o; o = o->next)
        if (strcmp(o->run_id, q->run_id) == 0 && strcmp(o->ref.sha256, q->ref.sha256) == 0) {
            r->data = buf_bytes(&o->content);
            return;
        }
    r->status = BLOB_LOST;
    r->text = "simulated: there is none";
}

static void do_remove(struct blobs_world *b, const struct op *q)
{
    for (struct object **link = &b->objects; *link;) {
        struct object *o = *link;
        if (strcmp(o->run_id, q->run_id) != 0) {
            link = &o->next;
            continue;
        }
        *link = o->next;
        object_free(o);
    }
}

static void do_list(const struct blobs_world *b, const struct op *q, struct blob_result *r)
{
    r->runs = xcalloc(BLOB_PAGE_MAX, sizeof *r->runs);
    const char *last = q->run_id;
    for (const struct object *o = b->objects; o; o = o->next) {
        if (strcmp(o->run_id, last) <= 0) continue;
        r->more = r->run_count == BLOB_PAGE_MAX;
        if (r->more) return;
        memcpy(r->runs[r->run_count++], o->run_id, RUN_ID_MAX);
        last = o->run_id;
    }
}

static void do_age(const struct blobs_world *b, const struct op *q, struct blob_result *r)
{
    for (const struct object *o = b->objects; o; o = o->next)
        if (strcmp(o->run_id, q->run_id) == 0) r->newest_ms = MAX(r->newest_ms, o->written_ms);
}

static void perform(struct blobs_world *b, const struct op *q, struct blob_result *r)
{
    switch (q->verb) {
    case PUT: do_put(b, q); break;
    case GET: do_get(b, q, r); break;
    case REMOVE_RUN: do_remove(b, q); break;
    case LIST_RUNS: do_list(b, q, r); break;
    case AGE: do_age(b, q, r); break;
    }
}

/* --- common/io/blob.h --- */

const char *blob_status_name(enum blob_status status)
{
    static const char *const names[] = {
#define X(name, text, retriable) [BLOB_##name] = text,
        BLOB_STATUSES(X)
#undef X
    };
    return names[status];
}

bool blob_status_retriable(enum blob_status status)
{
    return status == BLOB_FULL || status == BLOB_UNAVAILABLE;
}

struct blob_store *blob_open(struct loop *loop, const struct blob_options *options, struct err *e)
{
    (void)options;
    (void)e;
    struct blob_store *s = xcalloc(1, sizeof *s);
    s->proc = loop_proc(loop);
    s->world = s->proc->world;
    s->proc->blobs = s;
    return s;
}

static void op_free(struct op *q)
{
    buf_done(&q->content);
    free(q);
}

static void end(struct blob_store *s, struct op *q, struct blob_result *r)
{
    s->pending--;
    q->done(q->user, r);
    free(r->runs);
    op_free(q);
}

struct blob_store *blob_close(struct blob_store *s)
{
    if (!s) return NULL;
    s->closing = true;
    s->proc->blobs = NULL;
    while (s->ops) {
        struct op *q = s->ops;
        s->ops = q->next;
        end(s, q, &(struct blob_result){ .status = BLOB_UNAVAILABLE, .text = "closed" });
    }
    free(s);
    return NULL;
}

size_t blob_pending(const struct blob_store *s)
{
    return s->pending;
}

static void draw(struct blob_store *s, struct op *q)
{
    struct world *w = s->world;
    struct prng *random = &w->blobs->random;
    q->end_us = w->now_us + prng_range(random, MS, 20 * MS);
    if (!world_faulty(w)) return;
    q->fails = prng_chance(random, FAIL_PPM);
    q->lost = prng_chance(random, LOST_REPLY_PPM);
    if (prng_chance(random, SLOW_PPM)) q->end_us += prng_range(random, 100 * MS, 20 * SECOND);
}

static void start(struct blob_store *s, enum verb verb, struct bytes run_id,
                  const struct blob_ref *ref, struct bytes content, blob_fn done, void *user)
{
    if (s->closing) return;
    struct op *q = xcalloc(1, sizeof *q);
    *q = (struct op){ .verb = verb, .done = done, .user = user };
    if (run_id.len) memcpy(q->run_id, run_id.data, MIN(run_id.len, (size_t)RUN_ID_MAX - 1));
    if (ref) q->ref = *ref;
    if (content.len) buf_add(&q->content, content.data, content.len);
    draw(s, q);
    struct op **link = &s->ops;
    while (*link) link = &(*link)->next;
    *link = q;
    s->pending++;
    proc_wake(s->proc, q->end_us);
}

void blob_put(struct blob_store *s, struct bytes run_id, const struct blob_ref *ref,
              struct bytes content, blob_fn done, void *user)
{
    start(s, PUT, run_id, ref, content, done, user);
}

void blob_get(struct blob_store *s, struct bytes run_id, const struct blob_ref *ref, blob_fn done,
              void *user)
{
    start(s, GET, run_id, ref, (struct bytes){ 0 }, done, user);
}

void blob_remove_run(struct blob_store *s, struct bytes run_id, blob_fn done, void *user)
{
    start(s, REMOVE_RUN, run_id, NULL, (struct bytes){ 0 }, done, user);
}

void blob_list_runs(struct blob_store *s, struct bytes after, blob_fn done, void *user)
{
    start(s, LIST_RUNS, after, NULL, (struct bytes){ 0 }, done, user);
}

void blob_age(struct blob_store *s, struct bytes run_id, blob_fn done, void *user)
{
    start(s, AGE, run_id, NULL, (struct bytes){ 0 }, done, user);
}

/* --- what the process hears, in its turn --- */

static void answer(struct blob_store *s, struct op *q)
{
    struct blob_result r = { .status = BLOB_OK, .text = "" };
    if (!q->fails && !proc_silent(s->proc)) {
        perform(s->world->blobs, q, &r);
        if (q->verb == PUT || q->verb == REMOVE_RUN) proc_output(s->proc);
    }
    if (q->fails || q->lost) {
        free(r.runs);
        r = (struct blob_result){ .status = BLOB_UNAVAILABLE, .text = "simulated failure" };
    }
    s->world->counters.steps++;
    end(s, q, &r);
}

void blob_fake_deliver(struct blob_store *s)
{
    const struct proc *p = s->proc;
    for (;;) {
        struct op **due = NULL;
        for (struct op **link = &s->ops; *link; link = &(*link)->next)
            if ((*link)->end_us <= s->world->now_us && (!due || (*link)->end_us < (*due)->end_us))
                due = link;
        if (!due) break;
        struct op *q = *due;
        *due = q->next;
        answer(s, q);
        if (p->blobs != s) return;
    }
    for (const struct op *q = s->ops; q; q = q->next) proc_wake(s->proc, q->end_us);
}
