/* SPDX-License-Identifier: Apache-2.0
 *
 * The checker: the types of expressions, and what it refuses before anything is evaluated.
 */
#include "common/cel/check.h"
#include "common/cel/types.h"
#include "tests/unit/cel/world.h"

/* The type as text, or "!" and the error. */
static void expect_type(const char *source, const char *want)
{
    struct err e;
    size_t offset = 0;
    CLEANUP(scope_done) struct scope scope = { 0 };
    CLEANUP(cel_free_p) struct cel *c = cel_compile(bytes_of(source), NULL, &e);
    cr_assert(c, "%s: %s", source, e.text);
    AUTO_BUF struct buf text = { 0 };
    const struct type *type = NULL;
    struct typing typing = { .scope = &scope };
    if (cel_check(c, NULL, &scope, &type, &offset, &e))
        type_write(&typing, type, &text);
    else
        buf_addf(&text, "!%s", e.text);
    if (want[0] == '!')
        cr_expect(text.data[0] == '!' && strstr(text.data, want + 1), "%s: wanted %s, got %s",
                  source, want, text.data);
    else
        cr_expect_str_eq(text.data, want, "%s: wanted %s, got %s", source, want, text.data);
}

Test(cel_check, every_node_has_a_type)
{
    static const char *const cases[][2] = {
        { "1", "int" },
        { "1u + 2u", "uint" },
        { "x", "dyn" },
        { "x + 1", "int" },
        { "x + y", "dyn" },
        { "x.y[0].z == 1 && true", "bool" },
        { "[1, 2]", "list(int)" },
        { "[1, 'a']", "list(dyn)" },
        { "[[], [1]]", "list(list(int))" },
        { "{'a': 1.5}", "map(string, double)" },
        { "{'a': 1, 2: 'b'}", "map(dyn, dyn)" },
        { "{'a': [1]}.a[0]", "int" },
        { "true ? 1 : 2", "int" },
        { "true ? 1 : 'a'", "dyn" },
        { "-x", "dyn" },
        { "!x", "bool" },
        { "size(x)", "int" },
        { "'a,b'.split(',')", "list(string)" },
        { "[1].map(v, string(v))", "list(string)" },
        { "[1].filter(v, v > 0)", "list(int)" },
        { "[1].all(v, v > 0)", "bool" },
        { "['a'].transformMap(i, v, v)", "map(int, string)" },
        { "timestamp(0) - timestamp(1)", "google.protobuf.Duration" },
        { "{'a': 1}.?a", "optional_type(int)" },
        { "{'a': 1}.?a.orValue(2)", "int" },
        { "[1][?0].optMap(v, 'a')", "optional_type(string)" },
        { "cel.bind(v, [1], v[0] + 1)", "int" },
        { "type(1)", "type" },
        { "has(x.y)", "bool" },
        { "1 == 'a'", "bool" },
        { "1 < 1.5", "bool" },
        { "[].map(v, v)[0]", "dyn" },
        { "([1] + x)[0]", "dyn" },
        { "(x + [1])[0] + 'a'", "string" },
        { "optional.of(1).or(x).value()", "dyn" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) expect_type(cases[i][0], cases[i][1]);
}

Test(cel_check, what_must_fail_is_refused_with_its_place)
{
    static const char *const cases[][2] = {
        { "1 + 'a'", "!1:3: no such overload: +(int, string)" },
        { "x || 1 + true == 2", "!1:8: no such overload: +(int, bool)" },
        { "x ? 1 : -'a'", "!1:9: no such overload: -(string)" },
        { "'a' && x", "!1:1: no such overload: a condition(string)" },
        { "size(1)", "!1:1: no such overload: size(int)" },
        { "'a'.contains(1)", "!1:5: no such overload: contains(string, int)" },
        { "(1).x", "!no such overload: a selection(int)" },
        { "'a' in 'abc'", "!no such overload: in(string, string)" },
        { "[1].map(v, v + 'a')", "!1:14: no such overload: +(int, string)" },
        { "(1).map(v, v)", "!no such overload: a macro(int)" },
        { "{[1]: 2}", "!1:2: no such overload: a key(list(int))" },
        { "[1]['a']", "!no such overload: an index(list(int), string)" },
        { "1 + 1u", "!no such overload: +(int, uint)" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) expect_type(cases[i][0], cases[i][1]);
}

/* What an expression may do when it is evaluated, the checker lets through. */
Test(cel_check, it_takes_time_that_is_linear_in_the_source)
{
    AUTO_BUF struct buf source = { 0 };
    buf_add_text(&source, "[[]]");
    for (int i = 0; i < 3000; i++) buf_add_text(&source, ".map(v, [v, v])");
    struct err e;
    CLEANUP(scope_done) struct scope scope = { 0 };
    CLEANUP(cel_free_p) struct cel *c = cel_compile(buf_bytes(&source), NULL, &e);
    const struct type *type = NULL;
    cr_assert(cel_check(c, NULL, &scope, &type, NULL, &e), "%s", e.text);
    cr_expect_leq(type->depth, 101);
}
