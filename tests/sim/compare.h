/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake Redis held against a real redis-server: random sequences of the product's scripts, of
 * snippets of Lua and of commands, given to both; every reply and all that is left must be equal.
 * Both live in the same time, which the sequences advance. */
#ifndef TUTTI_SIM_COMPARE_H
#define TUTTI_SIM_COMPARE_H

#include "tests/redis/server.h"
#include "tests/sim/redis.h"

#define COMPARE_CALLS_MIN 4 /* of a sequence */
#define COMPARE_CALLS_MAX 10

/* --- one call --- */

struct compared {
    struct bytes *argv; /* the whole command */
    size_t argc;
    const char *source; /* of an EVALSHA that goes through redis_script; NULL: redis_call */
    bool unordered;     /* its reply is a set */
};

/* The next call of a sequence, into *ret: what it is depends on the prng and on what the fake
 * holds. Keys begin with prefix. Memory is the arena's. (compare_calls.c) */
void compare_make(struct compared *ret, uint64_t *prng, const struct redis *fake,
                  const char *prefix, void **arena);
/* Every script that a sequence may call; NULL at the end. */
const char *compare_script(size_t i);

/* --- many --- */

struct compare_options {
    uint64_t seed; /* of the first sequence; the next has seed + 1 */
    size_t sequences;
    enum redis_bug bug;
    /* From the middle of each sequence on both refuse. LOADING: not here. */
    enum redis_refusal refusing;
    const char *clock_module;
    bool quiet;              /* says nothing of a difference */
    size_t differences_most; /* stops after so many; 0: after the first */
};

struct compare_result {
    size_t sequences, calls, differences;
    size_t refused, failed; /* replies that were refusals, other errors: of the fake */
};

/* Starts a server, compares, ends it. A difference is said on stderr with its seed and calls.
 * false: no server, or it went away; said too. */
MUST_CHECK bool compare_run(const struct compare_options *o, struct compare_result *ret);

/* A real server's side for tests of their own. (compare.c) */
struct redisContext *compare_connect(struct redis_server *server);
/* As store_reply, on the arena. NULL: the server is gone. */
const struct store_reply *compare_ask(struct redisContext *real, const struct bytes *argv,
                                      size_t argc, void **arena);
bool compare_equal(const struct store_reply *a, const struct store_reply *b, bool unordered);
/* As one line. */
void compare_print(struct buf *out, const struct store_reply *r);

#endif
