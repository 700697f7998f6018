/* SPDX-License-Identifier: Apache-2.0
 *
 * The circuit breakers of all dependencies of a worker, and what the fleet knows about them. A call
 * is decided here and now; every BREAKER_FLUSH_MS the counts of each dependency go to Redis by one
 * script, and the fleet's state comes back. While the fleet's breaker is open or half-open only
 * calls with a permit pass; permits are leases in Redis, so that a worker that dies takes none with
 * it. Without Redis the local breaker decides alone: nothing fails because Redis is away. */
#ifndef TUTTI_BREAKER_SHARE_H
#define TUTTI_BREAKER_SHARE_H

#include "common/base/log.h"
#include "common/io/loop.h"
#include "common/io/store.h"
#include "worker/breaker.h"

#define BREAKER_FLUSH_MS         200
#define BREAKER_FLEET_WINDOW_MS  60000
#define BREAKER_DEPENDENCIES_MAX 1000 /* further ones have no breaker */

struct breaker_share;
struct breaker_share_options {
    struct loop *loop;
    struct store *store;         /* NULL: local only */
    const struct script *script; /* scripts/breaker.lua */
    const char *prefix, *worker; /* worker: unique; both copied */
    const struct log *log;       /* state changes */
    struct breaker_options breaker;
};
struct breaker_share *breaker_share_open(const struct breaker_share_options *o);
void breaker_share_stop(struct breaker_share *s); /* no timer any more; late replies are ignored */
struct breaker_share *breaker_share_free(struct breaker_share *s); /* NULL is fine */

/* A call that was let through. */
struct breaker_pass {
    struct dependency *dependency; /* NULL: none to report to */
    uint64_t epoch;
    bool probe; /* with a permit of the fleet */
};
/* Whether a call to the dependency (any text) may be made now; false: wait *ret_wait_ms. */
MUST_CHECK bool breaker_share_acquire(struct breaker_share *s, const char *dependency,
                                      struct breaker_pass *ret, uint64_t *ret_wait_ms);
/* Exactly once per pass. */
void breaker_share_record(struct breaker_share *s, struct breaker_pass *pass,
                          enum breaker_effect effect);

#endif
