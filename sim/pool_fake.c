/* SPDX-License-Identifier: Apache-2.0
 *
 * Outbound HTTP of a simulated worker, behind common/io/http_pool.h: every call is written into the
 * world's ledger as it begins, and what comes of it is drawn. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/fakes.h"
#include "sim/oracle.h"
#include "sim/tools_world.h"

struct tools_world {
    struct world *world;
    struct prng random;
    struct ledger_entry *ledger;
    size_t count, cap;
};

struct tools_world *tools_world_new(struct world *w)
{
    struct tools_world *t = xcalloc(1, sizeof *t);
    t->world = w;
    t->random = prng_new(w->seed, 7);
    return t;
}

struct tools_world *tools_world_free(struct tools_world *t)
{
    if (!t) return NULL;
    free(t->ledger);
    free(t);
    return NULL;
}

size_t tools_calls(const struct tools_world *t)
{
    return t->count;
}

const struct ledger_entry *tools_call(const struct tools_world *t, size_t i)
{
    return &t->ledger[i];
}

struct prng *tools_random(struct tools_world *t)
{
    return &t->random;
}

struct tool_fate tool_fate_draw(struct world *w, uint64_t timeout_ms)
{
    struct prng *random = &w->tools->random;
    const struct options *o = &w->options;
    struct tool_fate fate = { .end_us = w->now_us + prng_range(random, MS, 40 * MS) };
    fate.fails = prng_chance(random, o->tool_fail_ppm);
    bool slow = prng_chance(random, o->tool_slow_ppm);
    if (slow) fate.end_us += prng_range(random, 100 * MS, 3ull * o->lease_ms * MS);
    fate.hangs = world_faulty(w) && prng_chance(random, o->tool_hang_ppm);
    if (fate.hangs) fate.end_us = w->now_us + timeout_ms * MS;
    w->counters.tools_failed += fate.fails && !fate.hangs;
    w->counters.tools_slow += slow && !fate.hangs;
    w->counters.tools_hung += fate.hangs;
    return fate;
}

size_t tools_begin(struct proc *p, struct bytes run_id, struct bytes path, uint32_t attempt)
{
    struct world *w = p->world;
    struct tools_world *t = w->tools;
    if (proc_silent(p)) return SIZE_MAX;
    if (t->count == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->ledger = xrealloc(t->ledger, t->cap * sizeof *t->ledger);
    }
    size_t at = t->count++;
    struct ledger_entry *entry = &t->ledger[at];
    *entry = (struct ledger_entry){ .begin_us = w->now_us, .worker = p, .attempt = attempt };
    snprintf(entry->run_id, sizeof entry->run_id, "%.*s", (int)run_id.len, run_id.data);
    snprintf(entry->path, sizeof entry->path, "%.*s", (int)path.len, path.data);
    w->counters.calls++;
    trace(w, p, "calls the tool for %s %s attempt %u", entry->run_id, entry->path, entry->attempt);
    oracle_called(w, p, entry);
    proc_output(p);
    return at;
}

void tools_end(struct tools_world *t, size_t entry, bool succeeded)
{
    if (entry == SIZE_MAX) return;
    t->ledger[entry].end_us = t->world->now_us;
    t->ledger[entry].succeeded = succeeded;
}

/* --- the pool --- */

struct call {
    struct call *next;
    uint32_t serial;
    uint64_t end_us;
    size_t entry; /* of the ledger; SIZE_MAX: the process was dead already */
    enum http_outcome outcome;
    uint32_t status;
    struct buf body;
    void (*on_done)(void *user, const struct http_response *r);
    bool (*on_data)(void *user, struct bytes data);
    void *user;
};

struct http_pool {
    struct proc *proc;
    struct world *world;
    struct call *calls;
    size_t count, calls_max;
    uint32_t serial;
};

struct http_pool *http_pool_open(struct loop *loop, uint32_t calls_max, struct err *e)
{
    (void)e;
    struct http_pool *p = xcalloc(1, sizeof *p);
    p->proc = loop_proc(loop);
    p->world = p->proc->world;
    p->calls_max = calls_max;
    p->proc->pool = p;
    return p;
}

struct http_pool *http_pool_close(struct http_pool *p)
{
    if (!p) return NULL;
    while (p->calls) {
        struct call *c = p->calls;
        p->calls = c->next;
        buf_done(&c->body);
        free(c);
    }
    p->proc->pool = NULL;
    free(p);
    return NULL;
}

const char *http_outcome_name(enum http_outcome outcome)
{
    return outcome == HTTP_DONE ? "done" : "simulated failure";
}

const char *http_response_header(const struct http_response *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (strcmp(r->headers[i].name, name) == 0) return r->headers[i].value;
    return NULL;
}

size_t http_open_calls(const struct http_pool *p)
{
    return p->count;
}

static const char *header_of(const struct http_request *q, const char *name)
{
    for (size_t i = 0; i < q->header_count; i++)
        if (strcmp(q->headers[i].name, name) == 0) return q->headers[i].value;
    return "";
}

/* What becomes of the call. */
static void draw(struct world *w, struct call *c, const struct http_request *q)
{
    struct prng *random = &w->tools->random;
    struct tool_fate fate = tool_fate_draw(w, q->total_ms ? q->total_ms : 600000);
    c->outcome = HTTP_DONE;
    c->status = 200;
    c->end_us = fate.end_us;
    if (fate.hangs) {
        c->outcome = HTTP_TOTAL_TIMEOUT;
        c->status = 0;
    } else if (fate.fails) {
        static const uint32_t statuses[] = { 500, 503, 429, 400, 0 };
        c->status = statuses[prng_below(random, ARRAY_LEN(statuses))];
        if (!c->status) c->outcome = prng_below(random, 2) ? HTTP_BROKEN : HTTP_CONNECT;
    }
    if (c->status == 200)
        buf_addf(&c->body, "{\"answer\":%u,\"n\":%u}", (unsigned)prng_below(random, 1000),
                 (unsigned)prng_below(random, 3));
    else
        buf_add_text(&c->body, "{\"error\":\"simulated\"}");
}

bool http_start(struct http_pool *p, const struct http_request *q, struct http_id *ret,
                struct err *e)
{
    struct world *w = p->world;
    if (p->count >= p->calls_max) return err_fail(e, ERR_LIMIT, "too many calls");
    struct call *c = xcalloc(1, sizeof *c);
    *c = (struct call){ .next = p->calls,
                        .serial = ++p->serial,
                        .entry = SIZE_MAX,
                        .on_done = q->on_done,
                        .on_data = q->on_data,
                        .user = q->user };
    p->calls = c;
    p->count++;
    *ret = (struct http_id){ .slot = 1, .generation = c->serial };
    draw(w, c, q);
    proc_wake(p->proc, c->end_us);
    c->entry = tools_begin(p->proc, bytes_of(header_of(q, "tutti-run-id")),
                           bytes_of(header_of(q, "tutti-path")),
                           (uint32_t)strtoul(header_of(q, "tutti-attempt"), NULL, 10));
    return true;
}

static struct call *take(struct http_pool *p, uint32_t serial)
{
    for (struct call **link = &p->calls; *link; link = &(*link)->next) {
        if ((*link)->serial != serial) continue;
        struct call *c = *link;
        *link = c->next;
        p->count--;
        return c;
    }
    return NULL;
}

void http_abort(struct http_pool *p, struct http_id id)
{
    for (struct call *c = p->calls; c; c = c->next) {
        if (c->serial != id.generation) continue;
        c->outcome = HTTP_ABORTED;
        c->status = 0;
        c->end_us = p->world->now_us;
        proc_wake(p->proc, c->end_us);
    }
}

static void end(struct http_pool *p, struct call *c)
{
    struct world *w = p->world;
    tools_end(w->tools, c->entry, c->outcome == HTTP_DONE && c->status == 200);
    w->counters.steps++;
    static const struct http_header json[] = { { "content-type", "application/json" } };
    struct http_response r = { .outcome = c->outcome,
                               .headers = json,
                               .header_count = c->status ? ARRAY_LEN(json) : 0,
                               .status = c->status,
                               .body = c->status ? buf_bytes(&c->body) : (struct bytes){ 0 },
                               .sent = c->outcome != HTTP_CONNECT,
                               .elapsed_ms = 1 };
    if (c->outcome != HTTP_DONE) snprintf(r.text, sizeof r.text, "simulated failure");
    c->on_done(c->user, &r);
    buf_done(&c->body);
    free(c);
}

void pool_fake_deliver(struct http_pool *p)
{
    struct world *w = p->world;
    for (;;) {
        struct call *due = NULL;
        for (struct call *c = p->calls; c; c = c->next)
            if (c->end_us <= w->now_us && (!due || c->end_us < due->end_us)) due = c;
        if (!due) break;
        end(p, take(p, due->serial));
        if (!p->proc->pool) return;
    }
    pool_fake_wake(p);
}

void pool_fake_wake(struct http_pool *p)
{
    for (struct call *c = p->calls; c; c = c->next) proc_wake(p->proc, c->end_us);
}
