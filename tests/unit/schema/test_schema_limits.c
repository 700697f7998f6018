/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile schemas and values: a clear error, in a bounded time.
 */
#include "tests/unit/schema/support.h"

#include "common/base/clock.h"

/* The time that a test may take: far above what it takes under sanitizers on a busy machine, far
 * below what the failure would take. */
enum { LONG_MS = 20000 };

static void expect_limit(const struct schema *s, const json_t *value, const char *text)
{
    struct err e = { 0 };
    uint64_t start = clock_mono_ms();
    cr_expect_not(schema_check(s, value, &e));
    cr_expect_eq(e.kind, ERR_LIMIT, "%s", e.text);
    cr_expect_not_null(strstr(e.text, text), "'%s' has no '%s'", e.text, text);
    cr_expect_lt(clock_mono_ms() - start, LONG_MS);
}

static json_t *text_of(char c, size_t count, const char *end)
{
    AUTO_FREE char *text = xmalloc(count + strlen(end) + 1);
    memset(text, c, count);
    memcpy(text + count, end, strlen(end) + 1);
    return json_string(text);
}

Test(schema_limits, a_schema_that_is_nested_too_deep_is_refused)
{
    AUTO_BUF struct buf b = { 0 };
    for (int i = 0; i < 200; i++) buf_add_text(&b, "{\"items\":");
    buf_add_text(&b, "true");
    for (int i = 0; i < 200; i++) buf_add_char(&b, '}');
    refuse(b.data, ERR_LIMIT, "", "nested deeper than 128");
}

Test(schema_limits, large_arrays_of_different_items_are_checked_in_reasonable_time)
{
    CLEANUP(schema_free_p) struct schema *s = compile("{\"uniqueItems\":true}");
    AUTO_JSON *array = json_array();
    for (int i = 0; i < 200000; i++) json_array_append_new(array, json_integer(i));
    struct err e;
    cr_expect(schema_check(s, array, &e));
}

/* Numbers whose doubles are the same have one hash. */
Test(schema_limits, items_that_only_seem_to_be_equal_end_by_the_limit)
{
    CLEANUP(schema_free_p) struct schema *s = compile("{\"uniqueItems\":true}");
    AUTO_JSON *array = json_array();
    for (int i = 0; i < 100; i++) {
        json_t *pair = json_array();
        for (int j = 0; j < 500; j++) json_array_append_new(pair, json_integer(j));
        json_array_append_new(pair, json_integer(INT64_MAX - i));
        json_array_append_new(array, pair);
    }
    struct err e = { 0 };
    cr_expect(schema_check(s, array, &e), "%s", e.text);
    for (int i = 100; i < 512; i++) {
        json_t *same = json_deep_copy(json_array_get(array, 0));
        json_array_set_new(same, 500, json_integer(INT64_MAX - i));
        json_array_append_new(array, same);
    }
    expect_limit(s, array, "more work than one check may do");
}

Test(schema_limits, a_long_enum_is_not_compared_one_by_one)
{
    AUTO_JSON *list = json_array(), *value = json_array();
    for (int i = 0; i < 20000; i++) {
        json_array_append_new(list, json_integer(i));
        json_array_append_new(value, json_integer(19999 - i));
    }
    AUTO_JSON *schema = json_pack("{s:{s:O}}", "items", "enum", list);
    struct err e = { 0 };
    CLEANUP(schema_free_p) struct schema *s = schema_compile(schema, NULL, &e);
    uint64_t start = clock_mono_ms();
    cr_expect(schema_check(s, value, &e), "%s", e.text);
    cr_expect_lt(clock_mono_ms() - start, 5000);
}

Test(schema_limits, alternatives_within_alternatives_end_by_the_limit)
{
    CLEANUP(schema_free_p)
    struct schema *s =
        compile("{\"$defs\":{\"a\":{\"anyOf\":[{\"items\":{\"$ref\":\"#/$defs/"
                "a\"},\"minItems\":1},{\"items\":"
                "{\"$ref\":\"#/$defs/a\"},\"minItems\":1},{\"type\":\"string\"}]}},\"$ref\":\"#/"
                "$defs/a\"}");
    AUTO_JSON *value = json_integer(1);
    for (int i = 0; i < 60; i++) {
        json_t *outer = json_array();
        json_array_append(outer, value);
        json_decref(value);
        value = outer;
    }
    AUTO_JSON *inner = json_array();
    json_t *deepest = value;
    while (json_is_array(json_array_get(deepest, 0))) deepest = json_array_get(deepest, 0);
    json_array_set(deepest, 0, inner);
    expect_limit(s, value, "more work than one check may do");
}

Test(schema_limits, a_pattern_cannot_run_for_ever)
{
    CLEANUP(schema_free_p) struct schema *s = compile("{\"pattern\":\"^(a+)+$\"}");
    AUTO_JSON *evil = text_of('a', 5000, "!");
    expect_limit(s, evil, "a pattern takes too long");
    CLEANUP(schema_free_p) struct schema *lazy = compile("{\"pattern\":\"(.*)=(.*)=(.*)=[xy]\"}");
    AUTO_JSON *long_text = text_of('=', 100000, "");
    expect_limit(lazy, long_text, "a pattern takes too long");
}

Test(schema_limits, patterns_are_bounded_in_length_and_memory)
{
    AUTO_JSON *long_pattern = text_of('a', 5000, "");
    AUTO_JSON *schema = json_pack("{s:O}", "pattern", long_pattern);
    struct err e = { 0 };
    cr_expect_null(schema_compile(schema, NULL, &e));
    cr_expect_eq(e.kind, ERR_LIMIT);
    cr_expect_not_null(strstr(e.text, "longer than 4096 bytes"), "%s", e.text);
    AUTO_JSON *many = json_object(), *object = json_pack("{s:O}", "patternProperties", many);
    for (int i = 0; i < 3000; i++) {
        AUTO_FREE char *text = xasprintf("((ab){200}%d){5}", i);
        json_object_set_new(many, text, json_true());
    }
    cr_expect_null(schema_compile(object, NULL, &e));
    cr_expect_eq(e.kind, ERR_LIMIT);
    cr_expect_not_null(strstr(e.text, "too much memory together"), "%s", e.text);
}

Test(schema_limits, a_long_chain_of_references_is_no_recursion_when_it_is_compiled)
{
    AUTO_JSON *defs = json_object(),
              *schema = json_pack("{s:O, s:s}", "$defs", defs, "$ref", "#/$defs/0");
    for (int i = 0; i < 20000; i++) {
        AUTO_FREE char *name = xasprintf("%d", i), *next = xasprintf("#/$defs/%d", i + 1);
        json_object_set_new(defs, name, json_pack("{s:s}", "$ref", next));
    }
    json_object_set_new(defs, "20000", json_true());
    struct err e = { 0 };
    CLEANUP(schema_free_p) struct schema *s = schema_compile(schema, NULL, &e);
    cr_assert_not_null(s, "%s", e.text);
    AUTO_JSON *value = json_null();
    expect_limit(s, value, "nested too deep");
}

Test(schema_limits, a_deep_value_is_an_error_and_not_a_crash)
{
    CLEANUP(schema_free_p) struct schema *s = compile("{\"items\":{\"$ref\":\"#\"}}");
    json_t *value = json_array();
    for (int i = 0; i < 1900; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, value);
        value = outer;
    }
    AUTO_JSON *deep = value;
    expect_limit(s, deep, "nested too deep");
}

Test(schema_limits, a_uri_may_not_grow_without_end)
{
    AUTO_JSON *path = text_of('a', 4000, "/");
    AUTO_FREE char *id =
        xasprintf("https://example.com/%s%s", json_string_value(path), json_string_value(path));
    AUTO_JSON *schema = json_pack("{s:s}", "$id", id);
    struct err e = { 0 };
    cr_expect_null(schema_compile(schema, NULL, &e));
    cr_expect_eq(e.kind, ERR_LIMIT);
}
