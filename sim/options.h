/* SPDX-License-Identifier: Apache-2.0
 *
 * What is drawn from a seed before its world begins. */
#ifndef TUTTI_SIM_OPTIONS_H
#define TUTTI_SIM_OPTIONS_H

#include "common/base/base.h"

enum fault_level { FAULTS_NONE, FAULTS_SOME, FAULTS_MANY, FAULTS_MIXED /* some or many */ };

/* Kinds of faults; the mean time between two of a kind is drawn for each seed, and some kinds are
 * left out of it. X(enumerator, name) */
#define FAULTS(X)                       \
    X(CRASH, "crash")                   \
    X(STOP, "stop")                     \
    X(REBALANCE, "rebalance")           \
    X(BUS_CUT, "bus_cut")               \
    X(STORE_CUT, "store_cut")           \
    X(STORE_BREAK, "store_break")       \
    X(REDIS_RESTART, "redis_restart")   \
    X(REDIS_REWIND, "redis_rewind")     \
    X(REDIS_DUMP, "redis_dump")         \
    X(REDIS_WIPE, "redis_wipe")         \
    X(REDIS_REFUSE, "redis_refuse")     \
    X(RETENTION, "retention")           \
    X(DEEP_RETENTION, "deep_retention") \
    X(CLOCK, "clock")                   \
    X(EXTERNAL, "external")             \
    X(STANDSTILL, "standstill")
enum fault_kind {
#define X(name, text) FAULT_##name,
    FAULTS(X)
#undef X
        FAULT_COUNT
};
const char *fault_name(enum fault_kind kind);

#define RETENTION_BYTES_AMPLE (64ull << 20)            /* no run leaves because of it */
#define LASTING_MS            (7ll * 24 * 3600 * 1000) /* a retention that outlasts everything */

struct options {
    enum fault_level level;
    const struct sim_user *user; /* `tutti simulate`: the user's definition; NULL: our shapes */
    bool trace;
    /* the installation */
    uint32_t orchestrators, workers, partitions, tasks_partitions;
    uint32_t pipeline, inflight_max, commit_ms, snapshot_ms, load_fields_max;
    uint64_t cache_bytes_max, retention_bytes_max;
    uint32_t lease_ms, session_timeout_ms, message_timeout_ms, command_timeout_ms;
    /* the world */
    uint64_t faults_us;                      /* how long it is hostile */
    uint64_t delay_us;                       /* of a hop, typically */
    uint32_t slow_ppm;                       /* hops that take a thousand times as long */
    uint64_t lazy_us;                        /* how late a timer may be */
    uint64_t turn_us;                        /* what a turn costs */
    uint64_t every_us[FAULT_COUNT];          /* mean time between two of a kind; 0: none */
    uint32_t crash_output_ppm;               /* a crash right behind an output */
    uint32_t send_lost_ppm, send_landed_ppm; /* reported as failed: not in the log; in the log */
    uint32_t send_late_ppm;                  /* lands seconds later */
    uint32_t watch_lost_ppm;    /* EXEC does nothing, as if what was watched had been written to */
    uint32_t takeover_copy_ppm; /* a takeover that comes a second time, by a way of its own */
    uint32_t tool_fail_ppm, tool_slow_ppm, tool_hang_ppm;
    /* the work */
    uint32_t runs, cancels_ppm, keyed_ppm, doubled_ppm;
    bool lifecycle;            /* states of runs are told */
    bool lasting;              /* only workflows that are kept for longer than any standstill */
    uint64_t people_us;        /* mean time between two things that people do */
    uint32_t operator_percent; /* of them by those who run the installation */
    uint32_t unruly_ppm;       /* doubled, late, or about what is not there */
};

/* All of it from the seed. */
struct options options_draw(uint64_t seed, enum fault_level level);

#endif
