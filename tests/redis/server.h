/* SPDX-License-Identifier: Apache-2.0
 *
 * A redis-server of a test's own: on a unix socket in a temporary directory, without persistence,
 * killed by its pid. It dies with the test, even if that crashes. */
#ifndef TUTTI_TESTS_REDIS_SERVER_H
#define TUTTI_TESTS_REDIS_SERVER_H

#include <stdint.h>
#include <sys/types.h>

#include "common/base/base.h"

struct redis_server {
    pid_t pid;                /* 0: does not run */
    char dir[48], socket[64]; /* empty before the first start */
    /* The path of the built tests/redis/clock.c, for a server that lives in the test's time; NULL:
     * in ours. */
    const char *clock_module;
    char clock[64];    /* a file in dir */
    int64_t *clock_ms; /* its wall clock, to be set at any time; NULL without a clock_module */
};

/* Starts it, the second time in the same place. more: further arguments up to a NULL; may be NULL.
 * It answers a little later, so connect until it does. false: no directory or no process. */
MUST_CHECK bool redis_server_start(struct redis_server *s, const char *const *more);
void redis_server_kill(struct redis_server *s);
/* Kills it and removes what it left. */
void redis_server_done(struct redis_server *s);

#endif
