/* SPDX-License-Identifier: Apache-2.0
 *
 * A small world for expressions: names are the members of one JSON object. A table of cases is an
 * expression and what comes of it: JSON, or "!" and a part of the error. */
#ifndef TUTTI_TEST_CEL_WORLD_H
#define TUTTI_TEST_CEL_WORLD_H

#include <criterion/criterion.h>

#include "common/cel/cel.h"

struct cel_case {
    const char *source, *want;
};

#define WORLD                                                                                       \
    "{\"input\":{\"a\":1,\"name\":\"Zoë\",\"list\":[3,1,2],\"nil\":null,\"big\":9007199254740993," \
    "\"deep\":{\"er\":{\"x\":7}},\"pi\":3.14,\"zero\":0,\"tags\":[\"a\",\"b\"],\"flag\":true,"      \
    "\"odd-key\":5,\"users\":[{\"n\":\"ann\",\"age\":30},{\"n\":\"bob\",\"age\":20}]},"             \
    "\"x\":10,\"type\":\"crisis\",\"confidence\":0.75,\"empty\":{}}"

static inline bool world_resolve(void *user, const char *const *names, size_t count,
                                 size_t *ret_used, json_t **ret, struct err *e)
{
    (void)count;
    json_t *found = json_object_get(user, names[0]);
    if (!found) return err_fail(e, ERR_NOT_FOUND, "unknown name '%s'", names[0]);
    *ret_used = 1;
    *ret = json_incref(found);
    return true;
}

/* Compiles and evaluates in WORLD; the JSON, or "!" and the error. free() it. */
static inline char *world_eval(const char *source, size_t len)
{
    struct err e;
    AUTO_JSON *world = json_parse(BYTES_LIT(WORLD), &e);
    cr_assert(world, "%s", e.text);
    CLEANUP(cel_free_p) struct cel *c = cel_compile((struct bytes){ source, len }, NULL, &e);
    AUTO_JSON *value = NULL;
    struct cel_env env = { .resolve = world_resolve, .user = world };
    if (!c || !cel_eval(c, &env, &value, &e)) return xasprintf("!%s", e.text);
    struct buf text = { 0 };
    json_write(&text, value);
    return buf_take(&text, NULL);
}

static inline void world_check(const struct cel_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct cel_case *c = &cases[i];
        AUTO_FREE char *got = world_eval(c->source, strlen(c->source));
        bool ok;
        if (c->want[0] == '!') {
            ok = got[0] == '!' && strstr(got, c->want + 1);
        } else {
            AUTO_JSON *a = got[0] == '!' ? NULL : json_parse(bytes_of(got), NULL);
            AUTO_JSON *b = json_parse(bytes_of(c->want), NULL);
            cr_assert(b, "the case itself: %s", c->want);
            ok = a && json_equal(a, b); /* 1 is not 1.0 here */
        }
        cr_expect(ok, "%s\n  wanted %s\n  got    %s", c->source, c->want, got);
    }
}
#define CHECK(cases) world_check((cases), ARRAY_LEN(cases))

#endif
