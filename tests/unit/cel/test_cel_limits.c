/* SPDX-License-Identifier: Apache-2.0
 *
 * What bounds an expression, and what its host may ask of it: cost, depth, size, paths, resolvers.
 */
#include <time.h>

#include "tests/unit/cel/world.h"

/* A source made of `count` times `part` between `head` and `tail`. */
static char *repeated(const char *head, const char *part, size_t count, const char *tail)
{
    struct buf text = { 0 };
    buf_add_text(&text, head);
    for (size_t i = 0; i < count; i++) buf_add_text(&text, part);
    buf_add_text(&text, tail);
    return buf_take(&text, NULL);
}

static void check_repeated(const char *head, const char *part, size_t count, const char *tail,
                           const char *want)
{
    AUTO_FREE char *source = repeated(head, part, count, tail);
    const struct cel_case c = { source, want };
    world_check(&c, 1);
}

Test(cel_limits, an_expression_that_costs_too_much_is_stopped)
{
    struct err e;
    CLEANUP(cel_free_p)
    struct cel *c =
        cel_compile(bytes_of("[1, 2, 3, 4].all(a, [1, 2, 3, 4].all(b, a + b > 0))"), NULL, &e);
    cr_assert(c, "%s", e.text);
    AUTO_JSON *value = NULL;
    struct cel_env generous = { 0 };
    cr_assert(cel_eval(c, &generous, &value, &e), "%s", e.text);
    cr_expect(generous.cost > 50 && generous.cost < 300, "it costs %lu",
              (unsigned long)generous.cost);
    struct cel_env mean = { .cost_max = 20 };
    json_t *none = NULL;
    cr_expect_not(cel_eval(c, &mean, &none, &e));
    cr_expect_eq(e.kind, ERR_LIMIT);
    cr_expect(strstr(e.text, "costs more than 20 steps"), "%s", e.text);
}

Test(cel_limits, the_cost_of_several_evaluations_adds_up)
{
    struct err e;
    CLEANUP(cel_free_p) struct cel *c = cel_compile(bytes_of("1 + 1 + 1 + 1"), NULL, &e);
    struct cel_env env = { .cost_max = 50 };
    int count = 0;
    for (;; count++) {
        AUTO_JSON *value = NULL;
        if (!cel_eval(c, &env, &value, &e)) break;
        cr_assert_lt(count, 50);
    }
    cr_expect_gt(count, 1);
    cr_expect_eq(e.kind, ERR_LIMIT);
}

Test(cel_limits, nothing_absorbs_the_cost_limit)
{
    static const char *const sources[] = {
        "[1, 2, 3, 4, 5, 6, 7, 8].all(x, x > 0) || true",
        "false && [1, 2, 3, 4, 5, 6, 7, 8].all(x, x > 0) || [1, 2, 3, 4].all(x, x > 0) || true",
        "[1, 2, 3, 4, 5, 6, 7, 8].exists(x, x / 0 == 1)",
    };
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct err e;
        CLEANUP(cel_free_p) struct cel *c = cel_compile(bytes_of(sources[i]), NULL, &e);
        cr_assert(c, "%s", e.text);
        struct cel_env env = { .cost_max = 12 };
        json_t *value = NULL;
        cr_expect_not(cel_eval(c, &env, &value, &e), "%s", sources[i]);
        cr_expect_eq(e.kind, ERR_LIMIT, "%s", sources[i]);
    }
}

Test(cel_limits, values_cannot_be_blown_up)
{
    /* Each doubles what it has; unbounded, that would be 2^40 bytes. */
    AUTO_FREE char *text = repeated("['x']", ".map(s, s + s)", 40, "");
    /* A list that holds one long string many times is small until somebody writes it out. */
    AUTO_FREE char *row = repeated("[", "1,", 3000, "1]");
    AUTO_FREE char *word = repeated("'", "0123456789", 1000, "'");
    AUTO_FREE char *shared = xasprintf("%s.map(i, %s)", row, word);
    AUTO_FREE char *nested = repeated("[[1,1]]", ".map(l, [l, l, l, l, l, l, l, l])", 30, "");
    AUTO_FREE char *grown = repeated("'a'", ".replace('', 'aaaaaaaa')", 30, "");
    AUTO_FREE char *compared = xasprintf("%s == %s", nested, nested);
    const char *const sources[] = { text, shared, nested, grown, compared };
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        AUTO_FREE char *got = world_eval(sources[i], strlen(sources[i]));
        cr_expect(strstr(got, "costs more than") || strstr(got, "nests deeper"), "%zu: %.200s", i,
                  got);
    }
}

Test(cel_limits, brackets_nest_to_a_stated_depth)
{
    AUTO_FREE char *open = repeated("", "(", CEL_DEPTH_MAX, "1");
    AUTO_FREE char *fits = repeated(open, ")", CEL_DEPTH_MAX, "");
    AUTO_FREE char *value = world_eval(fits, strlen(fits));
    cr_expect_str_eq(value, "1");
    check_repeated("", "(", CEL_DEPTH_MAX + 1, "1", "!brackets nest deeper than 64");
    check_repeated("", "[", 60000, "", "!brackets nest deeper than 64");
    check_repeated("", "{'a':", 10000, "", "!brackets nest deeper");
    check_repeated("x", "[x", 20000, "", "!brackets nest deeper");
    check_repeated("", "size(", 10000, "", "!brackets nest deeper");
    check_repeated("", "[1].map(v,", 5000, "", "!brackets nest deeper");
}

Test(cel_limits, long_chains_need_no_stack)
{
    check_repeated("1", "+1", 30000, "", "30001");
    check_repeated("true", "&&true", 10000, "", "true");
    check_repeated("false", "||false", 9000, "", "false");
    check_repeated("1", "*1", 30000, "", "1");
    check_repeated("", "-", 60000, "x", "10");
    check_repeated("", "!", 60001, "true", "false");
    check_repeated("", "false?1:", 8000, "2", "2");
    check_repeated("x", ".a", 30000, "", "!cannot select 'a' of int");
    check_repeated("[[0]]", "[0]", 2, "", "0");
    check_repeated("input.list", ".map(x,x)", 7000, "[0]", "3");
    check_repeated("1 == 1", " == true", 7000, "", "true");
}

Test(cel_limits, a_source_has_a_size)
{
    check_repeated("1", " ", CEL_SOURCE_MAX, "", "!the expression is longer than");
    check_repeated("1", " ", CEL_SOURCE_MAX - 1, "", "1");
}

Test(cel_limits, a_long_name_is_cut_between_characters)
{
    AUTO_FREE char *source = repeated("input['", "é", 500, "x']");
    AUTO_FREE char *got = world_eval(source, strlen(source));
    cr_expect(strstr(got, "no such key: éé"));
    cr_expect(utf8_check(got, strlen(got)));
    cr_expect_lt(strlen(got), 200);
}

/* --- paths --- */

static void note_path(void *user, const char *const *names, size_t count, size_t offset)
{
    struct buf *text = user;
    for (size_t i = 0; i < count; i++) buf_addf(text, "%s%s", i ? "." : "", names[i]);
    buf_addf(text, "@%zu ", offset);
}

static void expect_paths(const char *source, const char *want)
{
    struct err e;
    CLEANUP(cel_free_p) struct cel *c = cel_compile(bytes_of(source), NULL, &e);
    cr_assert(c, "%s: %s", source, e.text);
    AUTO_BUF struct buf text = { 0 };
    buf_add_text(&text, "");
    cel_paths(c, note_path, &text);
    cr_expect_str_eq(text.data, want, "%s: %s", source, text.data);
}

Test(cel_limits, paths_are_the_free_names)
{
    expect_paths("steps.a.output.topic", "steps.a.output.topic@0 ");
    expect_paths("a.b + a.b", "a.b@0 a.b@6 ");
    expect_paths("a.b[c.d].e.f", "a.b@0 c.d@4 ");
    expect_paths("a.b.contains(c) ? d : .e", "a.b@0 c@13 d@18 e@23 ");
    expect_paths("l.map(x, x.y + z)", "l@0 z@15 ");
    expect_paths("l.map(x, .x)", "l@0 x@10 ");
    expect_paths("has(a.b.c)", "a.b.c@4 ");
    expect_paths("math.greatest(a, 1) + math.x", "a@14 math.x@22 ");
    expect_paths("type(a) == int", "a@5 ");
    expect_paths("{'k': a}[b]", "a@6 b@9 ");
    expect_paths("1 + 2", "");
}

Test(cel_limits, a_path_alone_is_known_as_one)
{
    struct err e;
    size_t count = 0;
    CLEANUP(cel_free_p) struct cel *path = cel_compile(bytes_of(" a.b.c "), NULL, &e);
    const char *const *names = cel_as_path(path, &count);
    cr_assert(names);
    cr_expect_eq(count, 3);
    cr_expect_str_eq(names[2], "c");
    CLEANUP(cel_free_p) struct cel *index = cel_compile(bytes_of("a.b[0]"), NULL, &e);
    cr_expect_null(cel_as_path(index, &count));
    CLEANUP(cel_free_p) struct cel *sum = cel_compile(bytes_of("a + b"), NULL, &e);
    cr_expect_null(cel_as_path(sum, &count));
}

Test(cel_limits, the_fault_of_a_source_has_an_offset)
{
    struct err e;
    size_t offset = 0;
    cr_expect_null(cel_compile(bytes_of("'é' +\n )"), &offset, &e));
    cr_expect_eq(offset, 8);
    cr_expect_str_eq(e.text, "2:2: expected a value, found ')'");
    cr_expect_eq(e.kind, ERR_INVALID);
    cr_expect_null(cel_compile((struct bytes){ 0 }, NULL, &e));
}

/* --- resolvers --- */

/* Knows steps.a.output, three names, and nothing else; "later.*" is not at hand. */
static bool steps_resolve(void *user, const char *const *names, size_t count, size_t *ret_used,
                          json_t **ret, struct err *e)
{
    if (strcmp(names[0], "later") == 0)
        return err_fail(e, ERR_UNAVAILABLE, "the output is not at hand");
    if (count < 3 || strcmp(names[0], "steps") != 0 || strcmp(names[1], "a") != 0 ||
        strcmp(names[2], "output") != 0)
        return err_fail(e, ERR_NOT_FOUND, "unknown name '%s'", names[0]);
    *ret_used = 3;
    *ret = json_incref(user);
    return true;
}

static bool steps_exists(void *user, const char *const *names, size_t count, bool *ret,
                         struct err *e)
{
    (void)user;
    (void)e;
    *ret = count > 1 && strcmp(names[1], "a") == 0;
    return true;
}

static void expect_steps(const char *source, bool with_exists, const char *want, enum err_kind kind)
{
    struct err e = { 0 };
    AUTO_JSON *output = json_pack("{s:s, s:{s:i}}", "topic", "rain", "day", "n", 5);
    CLEANUP(cel_free_p) struct cel *c = cel_compile(bytes_of(source), NULL, &e);
    cr_assert(c, "%s", e.text);
    struct cel_env env = { .resolve = steps_resolve, .user = output };
    if (with_exists) env.exists = steps_exists;
    AUTO_JSON *value = NULL;
    AUTO_BUF struct buf text = { 0 };
    if (cel_eval(c, &env, &value, &e))
        json_write(&text, value);
    else
        buf_add_text(&text, e.text);
    cr_expect(strstr(text.data, want), "%s: wanted %s, got %s", source, want, text.data);
    cr_expect_eq(e.kind, kind, "%s: kind %s", source, err_kind_name(e.kind));
}

Test(cel_limits, a_resolver_may_consume_any_prefix)
{
    expect_steps("steps.a.output", false, "{\"topic\":\"rain\",\"day\":{\"n\":5}}", ERR_NONE);
    expect_steps("steps.a.output.topic", false, "\"rain\"", ERR_NONE);
    expect_steps("steps.a.output.day.n + 1", false, "6", ERR_NONE);
    expect_steps("steps.a.output.x.y", false, "1:1: no such key: x", ERR_INVALID);
    expect_steps("steps.b.output", false, "1:1: unknown name 'steps'", ERR_NOT_FOUND);
    expect_steps("steps['a']", false, "unknown name", ERR_NOT_FOUND);
    expect_steps("steps.a.output.topic.contains('ai')", false, "true", ERR_NONE);
}

Test(cel_limits, has_works_with_and_without_exists)
{
    expect_steps("has(steps.a.output.topic)", false, "true", ERR_NONE);
    expect_steps("has(steps.a.output.other)", false, "false", ERR_NONE);
    expect_steps("has(steps.b.output)", false, "unknown name", ERR_NOT_FOUND);
    expect_steps("has(steps.a)", true, "true", ERR_NONE);
    expect_steps("has(steps.b)", true, "false", ERR_NONE);
}

Test(cel_limits, what_is_not_at_hand_is_never_absorbed)
{
    expect_steps("later.x == 1 || true", false, "not at hand", ERR_UNAVAILABLE);
    expect_steps("steps.b.output == 1 || true", false, "true", ERR_NONE);
    expect_steps("has(later.x)", false, "not at hand", ERR_UNAVAILABLE);
}

/* --- hostile expressions --- */

static int64_t cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Each would take hours or gigabytes; each ends at the limit, in a tenth of a second without
 * sanitizers. `s` is a long text, `l` a long list. */
Test(cel_limits, hostile_expressions_end_soon)
{
    static const char *const bodies[] = {
        "l.all(a, l.all(b, l.all(c, true)))",
        "l.all(a, l.exists(b, nobody == 1))",
        "l.exists(a, l.exists(b, {'x': 1}.y == a))",
        "l.all(a, s.split('').size() > 0)",
        "l.all(a, s.replace('', 'aaaa').size() > 0)",
        "l.all(a, (s + s + s).reverse() != '')",
        "l.all(a, '%s'.format([l]) != '')",
        "l.all(a, '%x'.format([s]) != '')",
        "l.map(a, l.map(b, '%.100f'.format([1e308])))",
        "l.all(a, '%s'.format([{'a': l, 'b': {'c': l}}]) != '')",
        "l.exists(a, 'a'.matches('(a{1000}){1000}' + string(a)))",
        "l.exists(a, 'a'.matches('((a{30}){30}|b)' + string(a)))",
        "l.exists(a, s.matches('[a-q][^u-z]{13}x' + string(a)))",
        "l.all(a, s.lastIndexOf('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab') == -1)",
        "l.all(a, l == l.map(b, b))",
        "l.all(a, l.transformMap(i, v, v).size() > 0)",
        "l.all(a, base64.encode(bytes(s)).size() > 0)",
        "l.all(a, strings.quote(s) != '')",
        "l.all(a, double(s + '1') > 0.0 || s.trim() == s)",
        "cel.bind(f, 1 / 0, l.all(a, l.exists(b, f == 1)))",
        "l.map(a, [s, s, s, s])",
        "l.map(a, optional.of(l))",
    };
    AUTO_FREE char *text = repeated("'", "aaaaaaaaaa", 4000, "'");
    AUTO_FREE char *list = repeated("[", "1,", 3000, "1]");
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        AUTO_FREE char *source =
            xasprintf("cel.bind(s, %s, cel.bind(l, %s, %s))", text, list, bodies[i]);
        int64_t begun = cpu_ms();
        AUTO_FREE char *got = world_eval(source, strlen(source));
        cr_expect(strstr(got, "costs more than"), "%s: %.200s", bodies[i], got);
        cr_expect_lt(cpu_ms() - begun, 5000, "%s: %ld ms", bodies[i], (long)(cpu_ms() - begun));
    }
}

/* Keys that share a slot cost each other's probes: whoever chooses them pays. */
Test(cel_limits, keys_that_collide_are_paid_for)
{
    const uint64_t factor =
        0x9E3779B97F4A7C15ULL; /* of the hash, whose inverse makes keys for it */
    uint64_t inverse = factor;
    for (int i = 0; i < 5; i++)
        inverse *= 2 - factor * inverse; /* Newton's iteration modulo 2^64 */
    cr_assert_eq(factor * inverse, 1);
    AUTO_BUF struct buf hostile = { 0 }, harmless = { 0 };
    buf_add_text(&hostile, "size({");
    buf_add_text(&harmless, "size({");
    for (uint64_t i = 1; i < 2500; i++) {
        uint64_t key = (i << 32 | i) * inverse - 1;
        buf_addf(&hostile, "%s%lluu:1", i > 1 ? "," : "", (unsigned long long)key);
        buf_addf(&harmless, "%s%llu:1", i > 1 ? "," : "", (unsigned long long)i * 1024);
    }
    buf_add_text(&hostile, "})");
    buf_add_text(&harmless, "})");
    AUTO_FREE char *got = world_eval(hostile.data, hostile.len);
    cr_expect(strstr(got, "costs more than"), "%.200s", got);
    AUTO_FREE char *size = world_eval(harmless.data, harmless.len);
    cr_expect_str_eq(size, "2499");
}

/* The text of the result is bounded too, whatever it is made of. */
Test(cel_limits, a_list_of_lists_of_lists_is_written_out_once_for_each_time_it_stands_there)
{
    AUTO_FREE char *word = repeated("'", "0123456789", 100, "'");
    AUTO_FREE char *source = xasprintf(
        "cel.bind(a, %s, cel.bind(b, [a, a, a, a], cel.bind(c, [b, b, b, b], [c, c])))", word);
    AUTO_FREE char *got = world_eval(source, strlen(source));
    cr_expect_gt(strlen(got), 32 * 1000);
}
