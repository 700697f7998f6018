/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/options.h"

#include "common/base/limits.h"

/* clang-format off */
static const struct option options[] = {
    COMMON_OPTIONS(struct orchestrator_config, common),
    PAYLOADS_OPTIONS(struct orchestrator_config, payloads),
    { .name = "payloads.sweep", .type = OPTION_DURATION, .offset = offsetof(struct orchestrator_config, sweep_ms), .min = SECOND_MS,
      .max = 7LL * 24 * 3600 * SECOND_MS, .fallback = "1h", .help = "How often the payload store is looked through for what no run needs any more." },
    { .name = "payloads.garbage_after", .type = OPTION_DURATION, .offset = offsetof(struct orchestrator_config, garbage_after_ms),
      .min = 3600LL * SECOND_MS, .max = 40LL * 24 * 3600 * SECOND_MS, .fallback = "7d", .help = "Payloads of a run that neither Redis nor a "
              "snapshot knows are removed so long after the last of them was written. Not shorter than the retention of events." },
    { .name = "name", .type = OPTION_TEXT, .offset = offsetof(struct orchestrator_config, name), .value_name = "NAME",
      .help = "Name of this process in owner claims and logs. Default: host name and process id." },
    { .name = "threads", .short_flag = 't', .type = OPTION_U32, .offset = offsetof(struct orchestrator_config, threads), .min = 1, .max = 64,
      .fallback = "1", .help = "Threads that share the partitions between them; each has its own connections. More than the cores given "
              "to the process, or than partitions, gain nothing." },
    { .name = "partitions", .type = OPTION_U32, .offset = offsetof(struct orchestrator_config, partitions), .min = 1, .max = PARTITIONS_MAX,
      .fallback = "16", .help = "Partitions of the events topic. Fixed for the life of an installation; checked at start." },
    { .name = "tasks.partitions", .type = OPTION_U32, .offset = offsetof(struct orchestrator_config, tasks_partitions), .min = 1,
      .max = PARTITIONS_MAX, .fallback = "16", .help = "Partitions of a task topic that is made: the most workers that share a queue." },
    { .name = "pipeline", .type = OPTION_U32, .offset = offsetof(struct orchestrator_config, pipeline), .min = 1, .max = 4, .fallback = "3",
      .help = "Waves (what is folded in one turn) whose outputs may be on their way to Kafka while the next is folded." },
    { .name = "pace", .type = OPTION_U32, .offset = offsetof(struct orchestrator_config, pace_us), .min = 0, .max = 100000,
      .fallback = "1000", .value_name = "MICROSECONDS", .help = "Shortest turn of the loop while it is busy, in microseconds: what arrives within "
              "it is handled as one batch. A quiet loop answers at once." },
    { .name = "gather", .type = OPTION_DURATION, .offset = offsetof(struct orchestrator_config, commit_ms), .min = 0,
      .max = 10 * SECOND_MS, .fallback = "200ms", .help = "How long a busy partition gathers changes for one commit to Redis; one that is quiet "
              "for a tenth of it commits at once. Tasks and results do not wait for it. So much is folded again after a crash, and so old may be "
              "what status shows. 0: every fold is committed by itself." },
    { .name = "lifecycle", .type = OPTION_ENUM, .offset = offsetof(struct orchestrator_config, lifecycle), .choices = "off|runs",
      .fallback = "off", .help = "runs: every change of a run's state (started, paused, waits for people, resumed, ended, ...) is a CloudEvent "
              "on the topic lifecycle. off: only its end is told, on results. All orchestrators of an installation should have the same." },
    { .name = "snapshot.interval", .type = OPTION_DURATION, .offset = offsetof(struct orchestrator_config, snapshot_ms), .min = SECOND_MS,
      .max = 24LL * 3600 * SECOND_MS, .fallback = "10m", .help = "How often the states of runs that changed are written to the topic snapshots. "
              "After a loss of Redis so much of the log is folded again; the retention of events must be much longer." },
    { .name = "cache.bytes", .type = OPTION_SIZE, .offset = offsetof(struct orchestrator_config, cache_bytes), .min = MIB,
      .max = 1LL << 40, .fallback = "24MiB", .help = "Run states kept in memory, all threads together; others are read from Redis "
              "when an event names them." },
    { .name = "retention.bytes", .type = OPTION_SIZE, .offset = offsetof(struct orchestrator_config, retention_bytes), .min = MIB,
      .max = 1LL << 50, .fallback = "1GiB", .help = "What finished runs may hold in Redis, all partitions together. Beyond it the oldest "
              "leave before their retention is over, when there is nothing else to do; beyond twice as much at once." },
};
/* clang-format on */

const struct option_table *orchestrator_options(void)
{
    static const struct option_table table = {
        .program = "tutti-orchestrator",
        .summary = "advances workflow runs: folds events, issues tasks, commits state",
        .description =
            "Owns partitions of the events topic. Every change of a run is an event there; the "
            "orchestrator folds them, publishes "
            "tasks and results, and commits the changed states with the offset to Redis. Any "
            "number of orchestrators may "
            "run; each may die at any moment.\n\n"
            "SIGTERM gives the partitions back and exits with 0; a second one exits at once.",
        .options = options,
        .count = ARRAY_LEN(options),
        .config_bytes = sizeof(struct orchestrator_config),
    };
    return &table;
}
