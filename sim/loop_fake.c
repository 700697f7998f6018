/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop of a simulated process: the phases of docs/loop.md, except that waiting is the
 * scheduler's business. What is ready lies in the bus, the store and the pool of the process. */
#include <stdlib.h>

#include "sim/fakes.h"
#include "sim/world.h"

struct flush {
    void (*fn)(void *user);
    void *user;
};
struct deferred {
    void (*fn)(void *);
    void *ptr;
};

struct loop {
    struct proc *proc;
    uint64_t now_ms;
    int64_t wall_ms;
    struct loop_timer **heap;
    size_t count, cap;
    uint64_t order, due_us;
    struct flush *flushes;
    size_t flush_count, flush_cap;
    struct deferred *deferred;
    size_t deferred_count, deferred_cap;
    bool again, stopped;
};

static void read_time(struct loop *loop)
{
    loop->now_ms = loop->proc->world->now_us / 1000;
    loop->wall_ms = world_wall_ms(loop->proc->world) + loop->proc->skew_ms;
}

struct loop *loop_new(struct err *e)
{
    (void)e;
    struct loop *loop = xcalloc(1, sizeof *loop);
    loop->proc = proc_current();
    ASSERT(loop->proc);
    loop->due_us = NEVER;
    read_time(loop);
    return loop;
}

static void bury(struct loop *loop)
{
    for (size_t i = 0; i < loop->deferred_count; i++) loop->deferred[i].fn(loop->deferred[i].ptr);
    loop->deferred_count = 0;
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop) return NULL;
    bury(loop);
    free(loop->heap);
    free(loop->flushes);
    free(loop->deferred);
    free(loop);
    return NULL;
}

struct proc *loop_proc(const struct loop *loop)
{
    return loop->proc;
}

bool loop_fake_stopped(const struct loop *loop)
{
    return loop->stopped;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

int64_t loop_wall_ms(const struct loop *loop)
{
    return loop->wall_ms;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

void loop_again(struct loop *loop)
{
    loop->again = true;
    proc_wake(loop->proc, loop->proc->world->now_us);
}

void loop_pace(struct loop *loop, uint32_t pace_us)
{
    (void)loop, (void)pace_us;
}

void loop_work(struct loop *loop, uint32_t items)
{
    (void)loop, (void)items;
}

/* No file descriptor is ever ready here: programs (exec steps) are not run. */
void loop_watch(struct loop *loop, struct loop_watch *w, unsigned events)
{
    (void)loop;
    w->events = events;
}

void loop_unwatch(struct loop *loop, struct loop_watch *w)
{
    (void)loop;
    w->events = 0;
}

/* --- timers: a binary heap, as in the real one --- */

static bool before(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void place(struct loop *loop, size_t i, struct loop_timer *t)
{
    loop->heap[i] = t;
    t->slot = i + 1;
}

static void sift(struct loop *loop, size_t i)
{
    struct loop_timer *t = loop->heap[i];
    for (; i > 0 && before(t, loop->heap[(i - 1) / 2]); i = (i - 1) / 2)
        place(loop, i, loop->heap[(i - 1) / 2]);
    for (size_t child; (child = 2 * i + 1) < loop->count; i = child) {
        if (child + 1 < loop->count && before(loop->heap[child + 1], loop->heap[child])) child++;
        if (!before(loop->heap[child], t)) break;
        place(loop, i, loop->heap[child]);
    }
    place(loop, i, t);
}

void loop_disarm(struct loop *loop, struct loop_timer *t)
{
    if (!loop_armed(t)) return;
    size_t i = t->slot - 1;
    t->slot = 0;
    struct loop_timer *last = loop->heap[--loop->count];
    if (last == t) return;
    place(loop, i, last);
    sift(loop, i);
}

/* A timer of an idle process comes late by as much as the seed says: a busy machine does that, and
 * it saves most of the turns in which nothing happens. */
static void wake_for_timers(struct loop *loop)
{
    struct world *w = loop->proc->world;
    loop->due_us = NEVER;
    if (!loop->count) return;
    uint64_t due = loop->heap[0]->due_ms * MS;
    due = MAX(due, w->now_us);
    if (w->options.lazy_us) due += prng_below(&w->net, w->options.lazy_us);
    loop->due_us = due;
    proc_wake(loop->proc, due);
}

void loop_arm(struct loop *loop, struct loop_timer *t, uint64_t delay_ms)
{
    loop_disarm(loop, t);
    t->due_ms = loop->now_ms + delay_ms;
    t->order = ++loop->order;
    if (loop->count == loop->cap) {
        loop->cap = loop->cap ? 2 * loop->cap : 16;
        loop->heap = xrealloc(loop->heap, loop->cap * sizeof(struct loop_timer *));
    }
    place(loop, loop->count++, t);
    sift(loop, loop->count - 1);
    if (loop->heap[0] == t) wake_for_timers(loop);
}

static void run_timers(struct loop *loop)
{
    uint64_t newest = loop->order; /* what is armed now waits for the next turn */
    while (loop->count && loop->heap[0]->due_ms <= loop->now_ms && loop->heap[0]->order <= newest) {
        struct loop_timer *t = loop->heap[0];
        loop_disarm(loop, t);
        loop->proc->world->counters.steps++;
        t->on_due(t);
    }
}

/* --- the rest --- */

void loop_on_flush(struct loop *loop, void (*fn)(void *user), void *user)
{
    if (loop->flush_count == loop->flush_cap) {
        loop->flush_cap = loop->flush_cap ? 2 * loop->flush_cap : 4;
        loop->flushes = xrealloc(loop->flushes, loop->flush_cap * sizeof *loop->flushes);
    }
    loop->flushes[loop->flush_count++] = (struct flush){ fn, user };
}

void loop_off_flush(struct loop *loop, void (*fn)(void *user), void *user)
{
    for (size_t i = 0; i < loop->flush_count; i++) {
        if (loop->flushes[i].fn != fn || loop->flushes[i].user != user) continue;
        loop->flushes[i].fn = NULL;
        return;
    }
}

void loop_defer_free(struct loop *loop, void (*free_fn)(void *), void *ptr)
{
    if (loop->deferred_count == loop->deferred_cap) {
        loop->deferred_cap = loop->deferred_cap ? 2 * loop->deferred_cap : 8;
        loop->deferred = xrealloc(loop->deferred, loop->deferred_cap * sizeof *loop->deferred);
    }
    loop->deferred[loop->deferred_count++] = (struct deferred){ free_fn, ptr };
}

uint64_t loop_fake_due_us(const struct loop *loop)
{
    return loop->due_us;
}

void loop_fake_turn(struct loop *loop)
{
    struct proc *p = loop->proc;
    read_time(loop);
    loop->again = false;
    if (p->store) store_fake_deliver(p->store);
    if (p->bus) bus_fake_deliver(p->bus);
    if (p->pool) pool_fake_deliver(p->pool);
    if (p->blobs) blob_fake_deliver(p->blobs);
    run_timers(loop);
    bury(loop);
    for (size_t i = 0; i < loop->flush_count; i++)
        if (loop->flushes[i].fn) loop->flushes[i].fn(loop->flushes[i].user);
    if (loop->again) proc_wake(p, p->world->now_us);
    if (loop->due_us <= p->world->now_us)
        wake_for_timers(loop);
    else
        proc_wake(p, loop->due_us);
}
