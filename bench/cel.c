/* SPDX-License-Identifier: Apache-2.0
 *
 * How many evaluations of one expression a core does: bench-cel SECONDS. Through cel_eval, with a
 * resolver that finds bare names in a parsed input as the engine's does, with the cost limit on;
 * the input is another one each time. Prints one line of JSON. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/cel/cel.h"

#define EXPRESSION "a.b > 3 && c in [\"x\",\"y\"]"

enum { INPUTS = 1024, BATCH = 4096 };

static bool resolve(void *user, const char *const *names, size_t count, size_t *ret_used,
                    json_t **ret, struct err *e)
{
    (void)count;
    json_t *value = json_object_get(*(json_t *const *)user, names[0]);
    if (!value) return err_fail(e, ERR_NOT_FOUND, "unknown name '%s'", names[0]);
    *ret_used = 1;
    *ret = json_incref(value);
    return true;
}

/* The inputs of bench/cel_go/main.go, which are the same: half of them are true. */
static json_t *input(int i)
{
    static const char *const words[] = { "x", "y", "z" };
    AUTO_FREE char *text = xasprintf("{\"id\":%d,\"a\":{\"name\":\"n%d\",\"b\":%d},\"c\":\"%s\"}",
                                     i, i, i % 16, words[i % 3]);
    json_t *value = json_parse(bytes_of(text), NULL);
    ASSERT(value);
    return value;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    json_t *inputs[INPUTS];
    struct err e;
    uint64_t evals = 0, holds = 0;
    CLEANUP(cel_free_p) struct cel *c = cel_compile(bytes_of(EXPRESSION), NULL, &e);
    ASSERT(c);
    for (int i = 0; i < INPUTS; i++) inputs[i] = input(i);
    uint64_t begun = clock_mono_us(), ended = begun;
    while ((double)(ended - begun) < seconds * 1e6) {
        for (int i = 0; i < BATCH; i++, evals++) {
            json_t *result = NULL;
            struct cel_env env = { .resolve = resolve, .user = &inputs[evals % INPUTS] };
            if (!cel_eval(c, &env, &result, &e)) {
                fprintf(stderr, "bench-cel: %s\n", e.text);
                return 1;
            }
            holds += json_is_true(result);
            json_decref(result);
        }
        ended = clock_mono_us();
    }
    for (int i = 0; i < INPUTS; i++) json_decref(inputs[i]);
    printf("{\"evals_per_s\": %.0f, \"true_share\": %.3f}\n",
           (double)evals * 1e6 / (double)(ended - begun), (double)holds / (double)evals);
    return 0;
}
