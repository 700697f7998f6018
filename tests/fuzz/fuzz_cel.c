/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions. Parts: the source, then the world: a JSON object whose members are the names. */
#include <time.h>

#include "common/cel/cel.h"
#include "common/cel/check.h"
#include "tests/fuzz/fuzz.h"

#define COST_MAX   20000
#define CPU_MS_MAX 2000 /* with sanitizers, for a cost that takes 2 ms without them */

static bool resolve(void *user, const char *const *names, size_t count, size_t *ret_used,
                    json_t **ret, struct err *e)
{
    FUZZ_CHECK(count >= 1, "a path without names");
    json_t *found = json_object_get(user, names[0]);
    if (!found) return err_fail(e, ERR_NOT_FOUND, "unknown name '%.60s'", names[0]);
    *ret_used = 1;
    *ret = json_incref(found);
    return true;
}

static void check_place(struct bytes source, const struct err *e)
{
    unsigned line = 0, column = 0;
    fuzz_check_error(e);
    FUZZ_CHECK(sscanf(e->text, "%u:%u: ", &line, &column) == 2, "no position: %s", e->text);
    fuzz_check_place(source, line, column, e->text);
}

static int64_t cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* "!" and the error, or the JSON of the value. */
static void evaluate(const struct cel *c, struct bytes source, json_t *world, struct buf *ret)
{
    struct err e = { 0 };
    json_t *value = NULL;
    struct cel_env env = { .resolve = resolve, .user = world, .cost_max = COST_MAX };
    int64_t begun = cpu_ms();
    bool ok = cel_eval(c, &env, &value, &e);
    FUZZ_CHECK(cpu_ms() - begun < CPU_MS_MAX, "%lld ms of CPU for a cost of %llu",
               (long long)(cpu_ms() - begun), (unsigned long long)env.cost);
    FUZZ_CHECK(env.cost <= COST_MAX || (!ok && e.kind == ERR_LIMIT), "a cost of %llu",
               (unsigned long long)env.cost);
    if (ok) {
        json_write(ret, value);
        FUZZ_CHECK(json_check(buf_bytes(ret)), "the value is no JSON of ours: %s", ret->data);
        json_decref(value);
        return;
    }
    FUZZ_CHECK(!value, "a value beside an error");
    check_place(source, &e);
    buf_addf(ret, "!%s", e.text);
}

/* The checker ends, and its errors have a place. */
static void check_types(const struct cel *c, struct bytes source)
{
    struct err e = { 0 };
    CLEANUP(scope_done) struct scope scope = { 0 };
    const struct type *type = NULL;
    size_t offset = 0;
    int64_t begun = cpu_ms();
    if (!cel_check(c, NULL, &scope, &type, &offset, &e)) {
        check_place(source, &e);
        FUZZ_CHECK(offset <= source.len, "a fault at %zu of %zu", offset, source.len);
    }
    FUZZ_CHECK(cpu_ms() - begun < CPU_MS_MAX, "%lld ms of CPU to check types",
               (long long)(cpu_ms() - begun));
}

struct paths {
    struct bytes source;
    size_t count, longest;
};

static void on_path(void *user, const char *const *names, size_t count, size_t offset)
{
    struct paths *p = user;
    FUZZ_CHECK(count >= 1 && offset < p->source.len, "a path at %zu", offset);
    for (size_t i = 0; i < count; i++) FUZZ_CHECK(names[i], "a path without a name");
    p->count++;
    p->longest = MAX(p->longest, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_INPUT in = fuzz_split(data, size);
    struct bytes source = in.part[0];
    struct err e = { 0 };
    size_t offset = 0, count = 0;
    AUTO_JSON *world = json_parse(in.part[1], NULL);
    if (!json_check(in.part[1]) || !json_is_object(world)) { /* deeper data never gets in */
        json_decref(world);
        world = json_parse(BYTES_LIT("{\"a\":{\"b\":{\"c\":[1,2.5,\"x\"]}},\"n\":3,\"s\":\"t\"}"),
                           NULL);
    }
    CLEANUP(cel_free_p) struct cel *c = cel_compile(source, &offset, &e);
    if (!c) {
        FUZZ_CHECK(offset <= source.len, "a fault at %zu of %zu", offset, source.len);
        check_place(source, &e);
        return 0;
    }
    check_types(c, source);
    struct paths paths = { .source = source };
    cel_paths(c, on_path, &paths);
    const char *const *path = cel_as_path(c, &count);
    FUZZ_CHECK(!path || paths.count <= 1, "a path that reads %zu paths", paths.count);
    AUTO_BUF struct buf before = { 0 }, a = { 0 }, b = { 0 }, after = { 0 };
    json_write(&before, world);
    evaluate(c, source, world, &a);
    evaluate(c, source, world, &b);
    json_write(&after, world);
    fuzz_check_same("two evaluations", buf_bytes(&a), buf_bytes(&b));
    fuzz_check_same("the world before and after", buf_bytes(&before), buf_bytes(&after));
    return 0;
}
