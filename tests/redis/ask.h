/* SPDX-License-Identifier: Apache-2.0
 *
 * Scripts and commands as one line of words to a Redis of the test's own, and their replies as one
 * line: for Criterion tests, which fail where something is wrong with the test itself. */
#ifndef TUTTI_TESTS_REDIS_ASK_H
#define TUTTI_TESTS_REDIS_ASK_H

#include "common/io/store.h"
#include "tests/redis/server.h"

struct redis {
    struct redis_server server;
    struct loop *loop;
    struct store *store;
    char answer[600]; /* the last reply; elements joined by spaces, an empty string is -, an inner
                         array is in brackets */
    bool answered;
};

struct redis redis_start(void);
void redis_stop(struct redis *r);

/* source NULL: a command. Returns r->answer. */
const char *redis_send(struct redis *r, const char *source, size_t keys, const struct bytes *argv,
                       size_t argc);
/* Words of a line; those of a script are its keys up to a slash. A dash is an empty word. source
 * NULL: a command. */
const char *ask(struct redis *r, const char *source, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define COMMAND(r, ...) ask(r, NULL, __VA_ARGS__)

#endif
