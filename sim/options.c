/* SPDX-License-Identifier: Apache-2.0
 *
 * Drawing the options. Most kinds of faults are left out of a seed, so that each meets the code
 * alone and in every company. */
#include "sim/options.h"

#include "orchestrator/shard.h"
#include "sim/world.h"

static const char *const fault_names[] = {
#define X(name, text) [FAULT_##name] = text,
    FAULTS(X)
#undef X
};

const char *fault_name(enum fault_kind kind)
{
    return fault_names[kind];
}

/* A probability that is nothing in half of the seeds, and differs by magnitudes in the others. */
static uint32_t swarm(struct prng *p, uint32_t max_ppm)
{
    if (prng_below(p, 2)) return 0;
    uint32_t ppm = (uint32_t)prng_range(p, max_ppm / 10, max_ppm);
    return prng_below(p, 2) ? ppm : ppm / 10;
}

static void draw_faults(struct prng *p, struct options *o)
{
    /* Mean times between two of a kind, where it happens at all. */
    static const uint64_t mean_us[FAULT_COUNT] = {
        [FAULT_CRASH] = 6 * SECOND,          [FAULT_STOP] = 5 * SECOND,
        [FAULT_REBALANCE] = 6 * SECOND,      [FAULT_BUS_CUT] = 8 * SECOND,
        [FAULT_STORE_CUT] = 8 * SECOND,      [FAULT_STORE_BREAK] = 3 * SECOND,
        [FAULT_REDIS_RESTART] = 8 * SECOND,  [FAULT_REDIS_REWIND] = 8 * SECOND,
        [FAULT_REDIS_DUMP] = 10 * SECOND,    [FAULT_REDIS_WIPE] = 10 * SECOND,
        [FAULT_DEEP_RETENTION] = 3 * SECOND, [FAULT_REDIS_REFUSE] = 8 * SECOND,
        [FAULT_RETENTION] = 5 * SECOND,      [FAULT_CLOCK] = 10 * SECOND,
        [FAULT_EXTERNAL] = 5 * SECOND,       [FAULT_STANDSTILL] = 10 * SECOND,
    };
    bool many = o->level == FAULTS_MANY;
    for (int kind = 0; kind < FAULT_COUNT; kind++)
        if (prng_below(p, 100) < (many ? 70u : 40u))
            o->every_us[kind] = mean_us[kind] * prng_range(p, 5, 20) / (many ? 20 : 10);
    /* A log that was deleted beyond the floor is all right as long as Redis keeps what it has. */
    if (o->every_us[FAULT_REDIS_REWIND] || o->every_us[FAULT_REDIS_DUMP] ||
        o->every_us[FAULT_REDIS_WIPE])
        o->every_us[FAULT_DEEP_RETENTION] = 0;
    uint32_t times = many ? 3 : 1;
    o->slow_ppm = times * swarm(p, 20000);
    o->crash_output_ppm = times * swarm(p, 10000);
    o->send_lost_ppm = times * swarm(p, 10000);
    o->send_landed_ppm = times * swarm(p, 10000);
    o->send_late_ppm = times * swarm(p, 10000);
    o->takeover_copy_ppm = swarm(p, 200000);
    o->watch_lost_ppm = swarm(p, 50000);
    o->tool_fail_ppm = swarm(p, 300000);
    o->tool_slow_ppm = swarm(p, 300000);
    o->tool_hang_ppm = swarm(p, 50000);
}

/* As quick as a fold, or so slow that many end in the middle of one. */
static uint32_t draw_commit_ms(struct prng *p)
{
    if (prng_below(p, 3) == 0) return 0;
    return (uint32_t)(prng_below(p, 2) ? prng_range(p, 1, 300) : prng_range(p, 300, 3000));
}

struct options options_draw(uint64_t seed, enum fault_level level)
{
    struct prng random = prng_new(seed, 0), *p = &random;
    if (level == FAULTS_MIXED) level = seed % 2 ? FAULTS_MANY : FAULTS_SOME;
    struct options o = { .level = level };
    o.orchestrators = (uint32_t)prng_range(p, 1, 3);
    o.workers = (uint32_t)prng_range(p, 1, 3);
    o.partitions = (uint32_t)prng_range(p, 1, 3);
    o.tasks_partitions = (uint32_t)prng_range(p, 1, 3);
    o.pipeline = (uint32_t)prng_range(p, 1, 4);
    o.commit_ms = draw_commit_ms(p);
    o.snapshot_ms = (uint32_t)prng_range(p, 500, 10000);
    o.load_fields_max = seed % 4 < 2 ? 8 : LOAD_FIELDS_MAX;
    o.inflight_max = prng_below(p, 3) ? 1000 : (uint32_t)prng_range(p, 1, 8);
    o.cache_bytes_max = prng_below(p, 2) ? 64 << 20 : prng_range(p, 0, 20000);
    o.retention_bytes_max = RETENTION_BYTES_AMPLE;
    o.lease_ms = (uint32_t)prng_range(p, 1000, 5000);
    o.session_timeout_ms = (uint32_t)prng_range(p, 1000, 4000);
    o.message_timeout_ms = (uint32_t)prng_range(p, 1000, 5000);
    o.command_timeout_ms = (uint32_t)prng_range(p, 300, 2000);
    o.faults_us = prng_range(p, 5, 15) * SECOND;
    o.delay_us = prng_below(p, 3) ? prng_range(p, 100, 1000) : prng_range(p, 1000, 20000);
    o.lazy_us = prng_range(p, 0, 400) * MS;
    o.turn_us = prng_below(p, 2) ? 100 : prng_range(p, 100, 5000);
    o.runs = (uint32_t)prng_range(p, 4, 26);
    o.cancels_ppm = swarm(p, 200000);
    o.keyed_ppm = swarm(p, 500000);
    o.doubled_ppm = swarm(p, 300000);
    /* A run that left early could be started again by a doubled start: start idempotency ends then.
     */
    if (!o.doubled_ppm && prng_below(p, 2)) o.retention_bytes_max = prng_range(p, 1000, 100000);
    if (level != FAULTS_NONE) draw_faults(p, &o);
    /* A standstill outlasts the retention of most runs. */
    if (o.every_us[FAULT_STANDSTILL] && o.doubled_ppm) o.lasting = prng_below(p, 2);
    if (o.every_us[FAULT_STANDSTILL] && !o.lasting) o.doubled_ppm = 0;
    o.lifecycle = prng_below(p, 2);
    o.people_us = prng_range(p, 50, 800) * MS;
    o.operator_percent = (uint32_t)prng_below(p, 4) * 10;
    o.unruly_ppm = level == FAULTS_NONE ? 0 : swarm(p, 400000);
    return o;
}
