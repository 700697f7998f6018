/* SPDX-License-Identifier: Apache-2.0
 *
 * The multis: their sockets on the loop, their deadlines, and which call is in which. Calls are
 * put into a multi and taken out of it in the timer phase or after curl has returned, never from
 * within one of curl's callbacks; what a caller asks for in such a moment waits for the call's own
 * timer, which is then due at once. */
#include "common/io/http_pool.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/io/http_call.h"
#include "common/io/sigpipe.h"

/* The cost of a request grows with the connections of its multi: measured, 90 us at 500 transfers
 * and four to eight times that at 8,000. */
#define SHARD_TRANSFERS_MAX 1000

struct http_shard;

/* A socket of curl's; freed in phase 5, because events may still name its watch. */
struct pool_socket {
    struct loop_watch watch;
    struct http_shard *shard;
    struct pool_socket *next, *previous;
};

struct http_shard {
    struct http_pool *pool;
    CURLM *multi;
    struct loop_timer timer; /* curl's deadline */
    struct pool_socket *sockets;
    size_t transfers;
};

struct pool_slot {
    struct http_call *call; /* NULL: free */
    uint32_t generation, next_free;
};

struct http_pool {
    struct loop *loop;
    struct pool_slot *slots;
    uint32_t calls_max, first_free; /* calls_max: none is free */
    size_t open;
    struct http_shard **shards; /* grown on demand */
    size_t shard_count;
    bool calling;
};

const char *http_outcome_name(enum http_outcome outcome)
{
    static const char *const names[] = {
        [HTTP_DONE] = "done",
        [HTTP_REFUSED_ADDRESS] = "refused_address",
        [HTTP_CONNECT] = "connect",
        [HTTP_CONNECT_TIMEOUT] = "connect_timeout",
        [HTTP_FIRST_BYTE_TIMEOUT] = "first_byte_timeout",
        [HTTP_IDLE_TIMEOUT] = "idle_timeout",
        [HTTP_TOTAL_TIMEOUT] = "total_timeout",
        [HTTP_BROKEN] = "broken",
        [HTTP_TOO_LARGE] = "too_large",
        [HTTP_BAD_REDIRECT] = "bad_redirect",
        [HTTP_ABORTED] = "aborted",
    };
    ASSERT((size_t)outcome < ARRAY_LEN(names));
    return names[outcome];
}

const char *http_response_header(const struct http_response *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (strcmp(r->headers[i].name, name) == 0) return r->headers[i].value;
    return NULL;
}

/* --- calls in and out of multis --- */

static void leave(struct http_call *call)
{
    if (!call->shard) return;
    CURLMcode code = curl_multi_remove_handle(call->shard->multi, call->easy);
    ASSERT(code == CURLM_OK);
    call->shard->transfers--;
    call->shard = NULL;
}

/* The last of a call: its id is dead before on_done runs, which may start the next. */
static void end(struct http_call *call, enum http_outcome outcome, const char *text)
{
    struct http_pool *pool = call->pool;
    struct pool_slot *slot = &pool->slots[call->slot];
    ASSERT(slot->call == call && !pool->calling);
    leave(call);
    loop_disarm(pool->loop, &call->timer);
    slot->call = NULL;
    slot->next_free = pool->first_free;
    pool->first_free = call->slot;
    pool->open--;
    pool->calling = true;
    http_call_report(call, outcome, text);
    pool->calling = false;
    http_call_free(call);
}

static struct http_shard *shard_with_room(struct http_pool *pool);

static void begin_hop(struct http_call *call)
{
    struct http_shard *shard = shard_with_room(call->pool);
    http_call_begin_hop(call);
    CURLMcode code = curl_multi_add_handle(shard->multi, call->easy);
    ASSERT(code == CURLM_OK);
    call->shard = shard;
    shard->transfers++;
}

static void on_call_due(struct loop_timer *t)
{
    struct http_call *call = t->user;
    enum http_outcome outcome;
    char text[100];
    if (call->abort) {
        end(call, HTTP_ABORTED, "aborted by the caller");
    } else if (call->phase == CALL_STARTING) {
        begin_hop(call);
    } else if (http_call_overdue(call, &outcome)) {
        snprintf(text, sizeof text, "%s after %llu ms", http_outcome_name(outcome),
                 (unsigned long long)(loop_now_ms(call->loop) - call->start_ms));
        end(call, outcome, text);
    }
}

/* What curl has finished. A message dies with the removal of its handle, so it is read before. */
static void collect(struct http_shard *shard)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(shard->multi, &left));) {
        if (m->msg != CURLMSG_DONE) continue;
        CURLcode code = m->data.result;
        char *private = NULL;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
        struct http_call *call = (struct http_call *)(void *)private;
        enum http_outcome outcome;
        char text[200];
        if (http_call_ended(call, code, &outcome, text, sizeof text)) {
            leave(call);
            begin_hop(call);
        } else {
            end(call, outcome, text);
        }
    }
}

/* --- a multi on the loop --- */

static void act(struct http_shard *shard, curl_socket_t fd, int what)
{
    int running;
    CURLMcode code = curl_multi_socket_action(shard->multi, fd, what, &running);
    ASSERT(code == CURLM_OK);
    collect(shard);
}

static void on_socket_ready(struct loop_watch *w, unsigned events)
{
    struct pool_socket *s = w->user;
    int what = 0;
    if (events & LOOP_READ) what |= CURL_CSELECT_IN;
    if (events & LOOP_WRITE) what |= CURL_CSELECT_OUT;
    act(s->shard, w->fd, what);
}

static void on_shard_due(struct loop_timer *t)
{
    struct http_shard *shard = t->user;
    act(shard, CURL_SOCKET_TIMEOUT, 0);
    /* If our clock was a little ahead of curl's, curl did nothing and will not tell us the same
     * deadline again. */
    long wait_ms = -1;
    (void)curl_multi_timeout(shard->multi, &wait_ms);
    if (wait_ms >= 0 && !loop_armed(t))
        loop_arm(shard->pool->loop, t, wait_ms > 0 ? (uint64_t)wait_ms + 1 : 0);
}

/* curl's; only takes note. */
static int on_timer(CURLM *multi, long wait_ms, void *shard_)
{
    struct http_shard *shard = shard_;
    (void)multi;
    if (wait_ms < 0)
        loop_disarm(shard->pool->loop, &shard->timer);
    else
        loop_arm(shard->pool->loop, &shard->timer, (uint64_t)wait_ms);
    return 0;
}

static void socket_forget(struct pool_socket *s)
{
    struct http_shard *shard = s->shard;
    if (s->previous)
        s->previous->next = s->next;
    else
        shard->sockets = s->next;
    if (s->next) s->next->previous = s->previous;
    loop_unwatch(shard->pool->loop, &s->watch);
    loop_defer_free(shard->pool->loop, free, s);
}

static struct pool_socket *socket_meet(struct http_shard *shard, curl_socket_t fd)
{
    struct pool_socket *s = xcalloc(1, sizeof *s);
    s->watch = (struct loop_watch){ .on_ready = on_socket_ready, .user = s, .fd = fd };
    s->shard = shard;
    s->next = shard->sockets;
    if (s->next) s->next->previous = s;
    shard->sockets = s;
    (void)curl_multi_assign(shard->multi, fd, s);
    return s;
}

/* curl's; says which events of a socket it wants. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *shard_, void *socket_)
{
    struct http_shard *shard = shard_;
    struct pool_socket *s = socket_;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s) socket_forget(s);
        return 0;
    }
    if (!s) s = socket_meet(shard, fd);
    unsigned events = 0;
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= LOOP_READ;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) events |= LOOP_WRITE;
    loop_watch(shard->pool->loop, &s->watch, events);
    return 0;
}

static struct http_shard *shard_new(struct http_pool *pool)
{
    struct http_shard *shard = xcalloc(1, sizeof *shard);
    shard->pool = pool;
    shard->timer = (struct loop_timer){ .on_due = on_shard_due, .user = shard };
    shard->multi = curl_multi_init();
    ASSERT(shard->multi);
    (void)curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard);
    (void)curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard);
    (void)curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, (long)SHARD_TRANSFERS_MAX);
    return shard;
}

static void shard_free(struct http_shard *shard)
{
    (void)curl_multi_cleanup(shard->multi);
    while (shard->sockets) socket_forget(shard->sockets);
    loop_disarm(shard->pool->loop, &shard->timer);
    free(shard);
}

/* The first with room, so that few calls share few multis and find each other's connections. */
static struct http_shard *shard_with_room(struct http_pool *pool)
{
    for (size_t i = 0; i < pool->shard_count; i++)
        if (pool->shards[i]->transfers < SHARD_TRANSFERS_MAX) return pool->shards[i];
    pool->shards = xrealloc(pool->shards, (pool->shard_count + 1) * sizeof *pool->shards);
    pool->shards[pool->shard_count] = shard_new(pool);
    return pool->shards[pool->shard_count++];
}

/* --- the pool --- */

struct http_pool *http_pool_open(struct loop *loop, uint32_t calls_max, struct err *e)
{
    if (calls_max == 0) {
        (void)err_fail(e, ERR_INVALID, "HTTP pool: no calls allowed");
        return NULL;
    }
    CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT); /* counted by curl */
    if (code != CURLE_OK) {
        (void)err_fail(e, ERR_INTERNAL, "libcurl: %s", curl_easy_strerror(code));
        return NULL;
    }
    sigpipe_tame();
    struct http_pool *pool = xcalloc(1, sizeof *pool);
    pool->loop = loop;
    pool->calls_max = calls_max;
    pool->slots = xcalloc(calls_max, sizeof *pool->slots);
    for (uint32_t i = 0; i < calls_max; i++) pool->slots[i].next_free = i + 1;
    return pool;
}

struct http_pool *http_pool_close(struct http_pool *pool)
{
    if (!pool) return NULL;
    ASSERT(!pool->calling);
    for (uint32_t i = 0; i < pool->calls_max; i++) {
        struct http_call *call = pool->slots[i].call;
        if (!call) continue;
        leave(call);
        http_call_free(call);
    }
    for (size_t i = 0; i < pool->shard_count; i++) shard_free(pool->shards[i]);
    free(pool->shards);
    free(pool->slots);
    free(pool);
    curl_global_cleanup();
    return NULL;
}

bool http_start(struct http_pool *pool, const struct http_request *request, struct http_id *ret,
                struct err *e)
{
    if (pool->first_free == pool->calls_max)
        return err_fail(e, ERR_LIMIT, "%u HTTP calls are open already", pool->calls_max);
    struct http_call *call = http_call_new(pool->loop, request, on_call_due, e);
    if (!call) return false;
    struct pool_slot *slot = &pool->slots[pool->first_free];
    call->pool = pool;
    call->slot = pool->first_free;
    pool->first_free = slot->next_free;
    slot->call = call;
    if (++slot->generation == 0) slot->generation = 1; /* 0 names no call */
    pool->open++;
    *ret = (struct http_id){ .slot = call->slot, .generation = slot->generation };
    return true;
}

void http_abort(struct http_pool *pool, struct http_id id)
{
    if (id.slot >= pool->calls_max || id.generation == 0) return;
    struct pool_slot *slot = &pool->slots[id.slot];
    if (!slot->call || slot->generation != id.generation) return;
    slot->call->abort = true;
    loop_arm(pool->loop, &slot->call->timer, 0);
}

size_t http_open_calls(const struct http_pool *pool)
{
    return pool->open;
}
