/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry: from a task's kind and `uses` to the tool that does it, and what the tools share.
 */
#ifndef TUTTI_TOOLS_H
#define TUTTI_TOOLS_H

#include "worker/tool.h"
#include "worker/worker.h"

struct tools_options {
    struct loop *loop;
    struct http_pool *pool;
    struct store *store;
    struct bus *bus;                     /* of emit steps; must outlive the tools */
    const struct script *breaker_script; /* must outlive the tools */
    const char *worker_name;             /* of leases: unique; copied */
    const struct log *log;
    const struct worker_options *worker; /* handlers, commands, models, secrets, limits */
};
/* Errors: ERR_INVALID names the entry that is wrong. */
MUST_CHECK struct tools *tools_open(const struct tools_options *o, struct err *e);
MUST_CHECK bool tools_reload(struct tools *t, const json_t *models, const char *secrets_dir,
                             struct err *e);
/* No timer fires any more; calls must have been aborted. */
void tools_stop(struct tools *t);
struct tools *tools_free(struct tools *t); /* NULL is fine; returns NULL */

#endif
