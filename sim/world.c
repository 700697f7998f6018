/* SPDX-License-Identifier: Apache-2.0
 *
 * The scheduler: what happens next is either the earliest happening of the world (a message
 * arrives, a fault strikes) or the turn of the process that wants one first. */
#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/cluster.h"
#include "sim/fakes.h"
#include "sim/oracle.h"
#include "sim/tools_world.h"
#include "sim/user.h"
#include "tests/sim/redis.h"

#define SETTLE_LIMIT_US (1200 * SECOND) /* after the healing everything must have ended by then */
#define STEPS_MAX       3000000 /* of one seed: more is a world that does not come to rest */

/* --- happenings --- */

static bool earlier(const struct happening *a, const struct happening *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void world_at(struct world *w, uint64_t at_us, void (*fn)(void *user), void *user)
{
    if (w->heap_count == w->heap_cap) {
        w->heap_cap = w->heap_cap ? 2 * w->heap_cap : 256;
        w->heap = xrealloc(w->heap, w->heap_cap * sizeof *w->heap);
    }
    struct happening h = { .at_us = MAX(at_us, w->now_us), .order = ++w->order, fn, user };
    size_t i = w->heap_count++;
    for (; i > 0 && earlier(&h, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = h;
}

static struct happening heap_pop(struct world *w)
{
    struct happening first = w->heap[0], last = w->heap[--w->heap_count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < w->heap_count; i = child) {
        if (child + 1 < w->heap_count && earlier(&w->heap[child + 1], &w->heap[child])) child++;
        if (!earlier(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
    }
    if (w->heap_count) w->heap[i] = last;
    return first;
}

uint64_t world_delay(struct world *w)
{
    uint64_t typical = w->options.delay_us;
    if (world_faulty(w) && prng_chance(&w->net, w->options.slow_ppm))
        return prng_range(&w->net, 10 * MS, 3 * SECOND);
    return prng_range(&w->net, typical / 4, typical * 2);
}

/* --- what is told --- */

void world_fault(struct world *w, const char *fmt, ...)
{
    w->counters.faults++;
    if (!w->options.trace) return;
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    trace(w, NULL, "fault: %s", text);
}

void world_violation(struct world *w, const char *oracle, const char *fmt, ...)
{
    if (w->violated) return;
    w->violated = true;
    snprintf(w->oracle_name, sizeof w->oracle_name, "%s", oracle);
    va_list args;
    va_start(args, fmt);
    vsnprintf(w->violation, sizeof w->violation, fmt, args);
    va_end(args);
    trace(w, NULL, "VIOLATION of %s: %s", oracle, w->violation);
}

/* --- turns --- */

static void proc_turn(struct proc *p)
{
    struct world *w = p->world;
    w->counters.turns++;
    p->wake_us = NEVER;
    p->free_us = w->now_us + (w->options.turn_us ? prng_below(&w->net, w->options.turn_us) : 0) + 1;
    proc_enter(p);
    loop_fake_turn(p->loop);
    proc_enter(NULL);
    if (p->dead || loop_fake_stopped(p->loop)) proc_crash(p);
}

static struct proc *next_proc(struct world *w, uint64_t *ret_us)
{
    struct proc *next = NULL;
    *ret_us = NEVER;
    for (size_t i = 0; i < w->proc_count; i++) {
        struct proc *p = &w->procs[i];
        if (p->state != PROC_UP || p->wake_us == NEVER) continue;
        uint64_t at = MAX(p->wake_us, p->free_us);
        at = MAX(at, w->now_us);
        if (at >= *ret_us) continue;
        *ret_us = at;
        next = p;
    }
    return next;
}

bool world_step(struct world *w)
{
    uint64_t at;
    struct proc *p = next_proc(w, &at);
    if (w->heap_count && w->heap[0].at_us <= at) {
        struct happening h = heap_pop(w);
        w->now_us = h.at_us;
        h.fn(h.user);
        return true;
    }
    if (!p) return false;
    w->now_us = at;
    proc_turn(p);
    return true;
}

/* --- a whole seed --- */

struct redis *world_redis(void)
{
    return redis_new(&(struct redis_options){ .journal = true });
}

static void world_open(struct world *w, struct redis *redis, uint64_t seed,
                       const struct options *options)
{
    *w = (struct world){ .seed = seed, .options = *options };
    w->now_us = SECOND;
    w->net = prng_new(seed, 1);
    w->faults = prng_new(seed, 2);
    w->script = prng_new(seed, 3);
    w->choice = prng_new(seed, 4);
    w->redis = redis;
    redis_reset(redis, seed);
    redis_set_time(w->redis, world_wall_ms(w));
    w->cluster = cluster_new(w);
    w->oracle = oracle_new(w);
    w->tools = tools_world_new(w);
    w->blobs = blobs_world_new(w);
    for (uint32_t i = 0; i < options->orchestrators + options->workers; i++) {
        struct proc *p = &w->procs[w->proc_count++];
        bool worker = i >= options->orchestrators;
        *p = (struct proc){ .world = w, .index = (int)i, .wake_us = NEVER };
        p->kind = worker ? PROC_WORKER : PROC_ORCHESTRATOR;
        snprintf(p->name, sizeof p->name, "%s%u", worker ? "worker" : "orch",
                 worker ? i - options->orchestrators : i);
    }
    w->heal_us = w->now_us + options->faults_us;
    w->limit_us = w->heal_us + SETTLE_LIMIT_US;
    if (options->user) w->limit_us += (uint64_t)options->user->def->timeout_ms * MS;
}

void world_run(struct world *w, struct redis *redis, uint64_t seed, const struct options *options)
{
    world_open(w, redis, seed, options);
    workload_begin(w);
    for (size_t i = 0; i < w->proc_count; i++) proc_start(&w->procs[i]);
    faults_begin(w);
    while (!w->violated && !w->quarantined && !w->cut && w->phase != PHASE_OVER) {
        if (w->phase == PHASE_FAULTS && w->now_us >= w->heal_us) {
            w->phase = PHASE_HEALED;
            faults_heal(w);
        }
        if (!world_step(w)) {
            if (w->phase == PHASE_FAULTS) /* all are killed, and nobody has anything under way */
                w->now_us = w->heal_us;
            else
                world_violation(w, "liveness", "nobody has anything to do any more");
        } else if (w->phase == PHASE_HEALED && workload_settled(w)) {
            w->phase = PHASE_OVER;
        } else if (w->now_us > w->limit_us) {
            oracle_stuck(w);
        } else if (w->counters.steps > STEPS_MAX && options->user &&
                   w->now_us > w->heal_us + SETTLE_LIMIT_US) {
            w->cut = true; /* its timeouts are long: it waits, and everybody's timers fire */
        } else if (w->counters.steps > STEPS_MAX) {
            world_violation(w, "liveness", "the world does not come to rest");
        }
    }
    if (!w->violated && !w->quarantined && !w->cut) oracle_end(w);
}

void world_done(struct world *w)
{
    w->closing = true;
    for (size_t i = 0; i < w->proc_count; i++)
        if (w->procs[i].state != PROC_DOWN) proc_crash(&w->procs[i]);
    while (w->heap_count) { /* what is under way still owns memory */
        struct happening h = heap_pop(w);
        h.fn(h.user);
    }
    workload_done(w);
    tools_world_free(w->tools);
    blobs_world_free(w->blobs);
    oracle_free(w->oracle);
    cluster_free(w->cluster);
    redis_dump_free(w->dump);
    free(w->heap);
}
