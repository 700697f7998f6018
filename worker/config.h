/* SPDX-License-Identifier: Apache-2.0
 *
 * The options of tutti-worker. */
#ifndef TUTTI_WORKER_CONFIG_H
#define TUTTI_WORKER_CONFIG_H

#include "common/io/options.h"
#include "worker/worker.h"

struct worker_config {
    struct common_config common;
    struct payloads_config payloads;
    char *queues, *group, *name;
    uint32_t inflight_max, lease_ms, commit_ms, call_timeout_ms, drain_ms, partitions, pace_us;
    json_t *handlers, *commands, *models, *hosts_private, *emit_topics;
    bool private_allowed;
    uint64_t http_body_bytes_max;
    uint32_t http_connect_ms;
    char *secrets_dir;
    uint32_t breaker_window, breaker_calls_min, breaker_failure_percent, breaker_open_ms,
        breaker_permits;
};

extern const struct option_table worker_option_table;

/* Fills the worker's options from the configuration, which must outlive them, as must log.
 * *ret_lists: the arrays they point to; release with worker_lists_done. Errors: ERR_INVALID for an
 * empty list of queues or entries of the wrong type. */
struct worker_lists {
    char *name, *queue_text;
    const char **queues;
    const char **hosts;
    struct payloads_place place;
};
MUST_CHECK bool worker_options_make(const struct worker_config *c, const struct log *log,
                                    struct worker_options *ret, struct worker_lists *ret_lists,
                                    struct err *e);
void worker_lists_done(struct worker_lists *l);

#endif
