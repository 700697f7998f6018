/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes wrong, and when. Each kind that the seed has comes again and again until the world is
 * healed. */
#include <stdlib.h>

#include "sim/cluster.h"
#include "sim/fakes.h"
#include "sim/oracle.h"
#include "tests/sim/redis.h"

struct again {
    struct world *world;
    enum fault_kind kind;
};

static struct proc *any_proc(struct world *w)
{
    return &w->procs[prng_below(&w->faults, w->proc_count)];
}

/* --- processes --- */

static void start_again(void *user)
{
    struct proc *p = user;
    if (!p->world->closing && p->state == PROC_DOWN) proc_start(p);
}

static void kill_for_a_while(struct world *w, struct proc *p)
{
    world_fault(w, "%s is killed", p->name);
    oracle_killed(w, p);
    proc_crash(p);
    world_in(w, prng_range(&w->faults, 10 * MS, 3 * SECOND), start_again, p);
}

static void crash(struct world *w)
{
    struct proc *p = any_proc(w);
    if (p->state != PROC_DOWN) kill_for_a_while(w, p);
}

static void go_on(void *user)
{
    struct proc *p = user;
    if (!p->world->closing && p->state == PROC_STOPPED && p->resume_us <= p->world->now_us)
        proc_continue(p);
}

/* As machines that are paused together: the clock on the wall is up to an hour on when they go on,
 * and workers do not. */
static void standstill(struct world *w)
{
    int64_t ms = (int64_t)prng_range(&w->faults, 1, 60) * 60 * 1000;
    w->slept_ms += ms;
    world_fault(w, "everything stands still for %lld minutes, and the workers die",
                (long long)(ms / 60000));
    for (size_t i = 0; i < w->proc_count; i++) {
        struct proc *p = &w->procs[i];
        if (p->kind == PROC_WORKER && p->state != PROC_DOWN) kill_for_a_while(w, p);
    }
}

static void find_silent(void *user)
{
    struct proc *p = user;
    const struct world *w = p->world;
    if (w->closing || p->state == PROC_DOWN) return;
    uint64_t since = p->state == PROC_STOPPED ? p->stopped_us : w->now_us;
    if (p->bus_cut_us > w->now_us) since = MIN(since, p->cut_since_us);
    if (w->now_us - since >= w->options.session_timeout_ms * MS) groups_silent(w->cluster, p);
}

static void stop_for(struct world *w, struct proc *p, uint64_t for_us)
{
    world_fault(w, "%s is stopped for %llu ms", p->name, (unsigned long long)(for_us / MS));
    proc_stop(p, for_us);
    world_in(w, for_us, go_on, p);
    world_in(w, w->options.session_timeout_ms * MS, find_silent, p);
}

static void stop(struct world *w)
{
    struct proc *p = any_proc(w);
    if (p->state != PROC_UP) return;
    stop_for(w, p,
             prng_below(&w->faults, 2) ? prng_range(&w->faults, 10 * MS, 800 * MS)
                                       : prng_range(&w->faults, 800 * MS, 8 * SECOND));
}

void fault_freeze(struct world *w)
{
    struct proc *p = &w->procs[prng_below(&w->faults, w->options.orchestrators)];
    uint64_t before = w->counters.faults;
    if (p->state != PROC_UP) return;
    stop_for(w, p,
             w->options.session_timeout_ms * MS + prng_range(&w->faults, 500 * MS, 4 * SECOND));
    w->counters.kinds[FAULT_STOP] += w->counters.faults - before;
}

static void bus_cut(struct world *w)
{
    struct proc *p = any_proc(w);
    if (p->state != PROC_UP || p->bus_cut_us > w->now_us) return;
    uint64_t for_us = prng_range(&w->faults, 50 * MS, 8 * SECOND);
    world_fault(w, "%s does not reach Kafka for %llu ms", p->name,
                (unsigned long long)(for_us / MS));
    p->cut_since_us = w->now_us;
    p->bus_cut_us = w->now_us + for_us;
    world_in(w, w->options.session_timeout_ms * MS, find_silent, p);
}

static void store_cut(struct world *w)
{
    struct proc *p = any_proc(w);
    if (p->state != PROC_UP) return;
    uint64_t for_us = prng_range(&w->faults, 50 * MS, 5 * SECOND);
    world_fault(w, "%s does not reach Redis for %llu ms", p->name,
                (unsigned long long)(for_us / MS));
    p->store_cut_us = w->now_us + for_us;
    proc_wake(p, p->store_cut_us);
}

static void store_break(struct world *w)
{
    struct proc *p = any_proc(w);
    if (p->state == PROC_DOWN || !p->store) return;
    world_fault(w, "the connection of %s to Redis breaks", p->name);
    store_fake_break(p->store);
}

static void clock_jump(struct world *w)
{
    struct proc *p = any_proc(w);
    p->skew_ms = (int64_t)prng_below(&w->faults, 8000) - 4000;
    if (prng_below(&w->faults, 3) == 0) p->skew_ms = 0;
    world_fault(w, "the clock of %s goes wrong by %lld ms", p->name, (long long)p->skew_ms);
}

/* --- Redis --- */

/* A server that starts again, or takes over: connections break, and nobody gets in for a while. */
static void redis_away(struct world *w)
{
    w->redis_epoch++;
    w->redis_down_us = w->now_us + prng_range(&w->faults, 10 * MS, 2 * SECOND);
    for (size_t i = 0; i < w->proc_count; i++)
        if (w->procs[i].store) store_fake_break(w->procs[i].store);
}

static void redis_lost_second(struct world *w)
{
    if (!w->redis_mark_count) return;
    uint64_t mark = w->redis_marks[prng_below(&w->faults, w->redis_mark_count)];
    world_fault(w, "Redis fails over and loses the last moments");
    redis_rewind(w->redis, mark, true);
    oracle_redis_lost(w);
    w->redis_mark_count = 0;
    redis_away(w);
}

static void redis_dumped(struct world *w)
{
    if (!w->dump) return;
    world_fault(w, "Redis is restored from an old dump");
    redis_load(w->redis, w->dump);
    oracle_redis_lost(w);
    redis_restart(w->redis);
    w->redis_mark_count = 0;
    redis_away(w);
}

static void willing(void *user)
{
    struct world *w = user;
    if (!w->closing) redis_set_refusing(w->redis, REDIS_WILLING);
}

static void redis_refuses(struct world *w)
{
    static const enum redis_refusal kinds[] = { REDIS_OOM, REDIS_READONLY, REDIS_MISCONF,
                                                REDIS_NO_REPLICAS, REDIS_LOADING };
    world_fault(w, "Redis refuses");
    redis_set_refusing(w->redis, kinds[prng_below(&w->faults, ARRAY_LEN(kinds))]);
    world_in(w, prng_range(&w->faults, 100 * MS, 3 * SECOND), willing, w);
}

static void take_mark(void *user)
{
    struct world *w = user;
    if (w->closing || w->phase != PHASE_FAULTS) return;
    if (w->redis_mark_count == ARRAY_LEN(w->redis_marks)) {
        memmove(w->redis_marks, w->redis_marks + 1,
                (ARRAY_LEN(w->redis_marks) - 1) * sizeof w->redis_marks[0]);
        w->redis_mark_count--;
        redis_forget(w->redis, w->redis_marks[0]);
    }
    w->redis_marks[w->redis_mark_count++] = redis_mark(w->redis);
    world_in(w, prng_range(&w->faults, 5 * MS, 400 * MS), take_mark, w);
}

static void take_dump(void *user)
{
    struct world *w = user;
    if (w->closing || w->phase != PHASE_FAULTS) return;
    if (!w->dump || prng_below(&w->faults, 2)) {
        redis_dump_free(w->dump);
        w->dump = redis_dump(w->redis);
    }
    world_in(w, prng_range(&w->faults, SECOND, 6 * SECOND), take_dump, w);
}

/* --- Kafka's retention --- */

/* The log is deleted up to a place below a floor: that is what the floor is for. What is above it
 * an operator has to keep. */
static void retention(struct world *w)
{
    for (uint32_t p = 0; p < w->options.partitions; p++) {
        struct log_part *events = cluster_part(w->cluster, PREFIX ".events", (int32_t)p);
        int64_t floor = oracle_floor(w, (int32_t)p);
        if (!events || floor <= events->start) continue;
        int64_t start = (int64_t)prng_range(&w->faults, (uint64_t)events->start, (uint64_t)floor);
        world_fault(w, "events/%u is deleted below %lld", p, (long long)start);
        log_truncate(events, start);
        struct log_part *snapshots = cluster_part(w->cluster, PREFIX ".snapshots", (int32_t)p);
        if (snapshots && prng_below(&w->faults, 2)) log_compact(snapshots);
    }
}

static bool number_of(struct redis *r, uint32_t p, const char *field, int64_t *ret)
{
    AUTO_FREE char *key = xasprintf("%s:p:{%u}", PREFIX, p);
    struct bytes text;
    if (!redis_field(r, bytes_of(key), bytes_of(field), &text)) return false;
    *ret = strtoll(text.data, NULL, 10);
    return true;
}

/* All orchestrators die amid a recovery and are away for so long that the log is deleted up to
 * where the state stands: what was in doubt is named by no log any more. */
static void deep_retention(struct world *w)
{
    for (uint32_t p = 0; p < w->options.partitions; p++) {
        struct log_part *events = cluster_part(w->cluster, PREFIX ".events", (int32_t)p);
        int64_t from, off;
        if (!events || !number_of(w->redis, p, "replay_from", &from) ||
            number_of(w->redis, p, "rebuild", &off) || !number_of(w->redis, p, "off", &off) ||
            from >= off || off <= events->start)
            continue;
        for (size_t i = 0; i < w->proc_count; i++)
            if (w->procs[i].kind == PROC_ORCHESTRATOR && w->procs[i].state != PROC_DOWN)
                kill_for_a_while(w, &w->procs[i]);
        world_fault(w, "events/%u is deleted below %lld, the doubt begins at %lld", p,
                    (long long)off, (long long)from);
        log_truncate(events, off);
    }
}

/* --- all of them --- */

static void strike(struct world *w, enum fault_kind kind)
{
    uint64_t before = w->counters.faults;
    switch (kind) {
    case FAULT_CRASH: crash(w); break;
    case FAULT_STOP: stop(w); break;
    case FAULT_REBALANCE:
        world_fault(w, "partitions are shuffled");
        groups_shuffle(w->cluster);
        break;
    case FAULT_BUS_CUT: bus_cut(w); break;
    case FAULT_STORE_CUT: store_cut(w); break;
    case FAULT_STORE_BREAK: store_break(w); break;
    case FAULT_REDIS_RESTART:
        world_fault(w, "Redis is restarted");
        redis_restart(w->redis);
        redis_away(w);
        break;
    case FAULT_REDIS_REWIND: redis_lost_second(w); break;
    case FAULT_REDIS_DUMP: redis_dumped(w); break;
    case FAULT_REDIS_WIPE:
        world_fault(w, "Redis is wiped");
        redis_wipe(w->redis);
        oracle_redis_lost(w);
        break;
    case FAULT_REDIS_REFUSE: redis_refuses(w); break;
    case FAULT_CLOCK: clock_jump(w); break;
    case FAULT_RETENTION: retention(w); break;
    case FAULT_DEEP_RETENTION: deep_retention(w); break;
    case FAULT_STANDSTILL: standstill(w); break;
    case FAULT_EXTERNAL:
    case FAULT_COUNT: break;
    }
    w->counters.kinds[kind] += w->counters.faults - before;
}

static void come_again(struct world *w, enum fault_kind kind);

static void on_fault(void *user)
{
    struct again *again = user;
    struct world *w = again->world;
    if (!w->closing && w->phase == PHASE_FAULTS) {
        strike(w, again->kind);
        come_again(w, again->kind);
    }
    free(again);
}

static void come_again(struct world *w, enum fault_kind kind)
{
    uint64_t mean = w->options.every_us[kind];
    struct again *again = xmalloc(sizeof *again);
    *again = (struct again){ w, kind };
    world_in(w, prng_range(&w->faults, mean / 4, mean * 7 / 4), on_fault, again);
}

void faults_begin(struct world *w)
{
    if (w->options.level == FAULTS_NONE) return;
    for (int kind = 0; kind < FAULT_COUNT; kind++)
        if (w->options.every_us[kind]) come_again(w, (enum fault_kind)kind);
    if (w->options.every_us[FAULT_REDIS_REWIND]) take_mark(w);
    if (w->options.every_us[FAULT_REDIS_DUMP]) take_dump(w);
}

void faults_heal(struct world *w)
{
    trace(w, NULL, "the world is healed");
    redis_set_refusing(w->redis, REDIS_WILLING);
    w->redis_down_us = 0;
    for (size_t i = 0; i < w->proc_count; i++) {
        struct proc *p = &w->procs[i];
        p->bus_cut_us = p->store_cut_us = 0;
        p->skew_ms = 0;
        if (p->state == PROC_STOPPED) {
            p->resume_us = w->now_us;
            proc_continue(p);
        }
        if (p->state == PROC_DOWN) proc_start(p);
        proc_wake(p, w->now_us);
    }
}
