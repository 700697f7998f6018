/* SPDX-License-Identifier: Apache-2.0
 *
 * The orchestrator's option table. */
#ifndef TUTTI_ORCHESTRATOR_OPTIONS_H
#define TUTTI_ORCHESTRATOR_OPTIONS_H

#include "common/io/options.h"

struct orchestrator_config {
    struct common_config common;
    struct payloads_config payloads;
    char *name;      /* NULL: made of host and pid */
    char *lifecycle; /* off runs */
    uint32_t threads, partitions, tasks_partitions, pipeline, pace_us, commit_ms, snapshot_ms,
        sweep_ms, garbage_after_ms;
    uint64_t cache_bytes, retention_bytes;
};

const struct option_table *orchestrator_options(void);

#endif
