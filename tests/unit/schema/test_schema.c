/* SPDX-License-Identifier: Apache-2.0
 *
 * The enforced part of JSON Schema: what each keyword accepts and refuses, how a failure reads, and
 * that nothing is enforced in name only.
 */
#include <criterion/criterion.h>

#include "common/schema/schema.h"

static struct schema *compile(const char *text)
{
    struct err e;
    AUTO_JSON *value = json_parse(bytes_of(text), &e);
    cr_assert_not_null(value, "%s: %s", text, e.text);
    struct schema *s = schema_compile(value, NULL, &e);
    cr_assert_not_null(s, "%s: %s", text, e.text);
    return s;
}

/* fault: what the error must hold; NULL: the value is valid. */
static void check(const char *schema, const char *value, const char *fault)
{
    struct err e = { 0 };
    CLEANUP(schema_free_p) struct schema *s = compile(schema);
    AUTO_JSON *v = json_parse(bytes_of(value), &e);
    cr_assert_not_null(v, "%s: %s", value, e.text);
    bool ok = schema_check(s, v, &e);
    cr_expect_eq(ok, fault == NULL, "%s against %s: %s", value, schema, ok ? "valid" : e.text);
    if (fault && !ok) {
        cr_expect_not_null(strstr(e.text, fault), "'%s' has no '%s'", e.text, fault);
        cr_expect_eq(e.kind, ERR_INVALID);
    }
}

static void refuse(const char *schema, enum err_kind kind, const char *pointer, const char *fault)
{
    struct err e = { 0 };
    AUTO_FREE char *at = NULL;
    AUTO_JSON *value = json_parse(bytes_of(schema), &e);
    cr_assert_not_null(value, "%s: %s", schema, e.text);
    cr_expect_null(schema_compile(value, &at, &e), "%s compiles", schema);
    cr_expect_eq(e.kind, kind, "%s: %s", schema, e.text);
    cr_expect_str_eq(at, pointer, "%s", schema);
    cr_expect_not_null(strstr(e.text, fault), "'%s' has no '%s'", e.text, fault);
}

Test(schema, a_failure_names_the_pointer_what_is_wanted_and_what_is_there)
{
    const char *schema = "{\"type\":\"object\",\"required\":[\"topic\"],\"properties\":{"
                         "\"statistics\":{\"type\":\"array\",\"minItems\":3,"
                         "\"items\":{\"type\":\"object\",\"properties\":{\"a/b~\":{\"type\":"
                         "\"string\"}}}}}}";
    check(schema, "{\"topic\":1,\"statistics\":[{},{}]}",
          "/statistics: expected an array of at least 3 items, found 2");
    check(schema, "{\"topic\":1,\"statistics\":[{},{},{\"a/b~\":7}]}",
          "/statistics/2/a~1b~0: expected a string, found an integer");
    check(schema, "{}", "/topic: this property is required, and missing");
    check(schema, "[]", "the value: expected an object, found an array");
    check(schema, "{\"topic\":1,\"statistics\":[{},{},{}],\"more\":null}", NULL);
}

Test(schema, type_takes_one_type_or_a_list_of_them)
{
    check("{\"type\":\"null\"}", "null", NULL);
    check("{\"type\":\"boolean\"}", "false", NULL);
    check("{\"type\":\"boolean\"}", "0", "expected a boolean, found an integer");
    check("{\"type\":[\"string\",\"null\"]}", "null", NULL);
    check("{\"type\":[\"string\",\"null\"]}", "{}", "expected null or a string, found an object");
}

Test(schema, a_number_without_fraction_is_an_integer_however_it_is_written)
{
    check("{\"type\":\"integer\"}", "1.0", NULL);
    check("{\"type\":\"integer\"}", "1.5", "expected an integer, found a number");
    check("{\"type\":\"number\"}", "1", NULL);
    check("{\"const\":1}", "1.0", NULL);
    check("{\"enum\":[2.0]}", "2", NULL);
}

Test(schema, enum_and_const_show_what_is_allowed)
{
    check("{\"enum\":[\"a\",null]}", "null", NULL);
    check("{\"enum\":[\"a\",null]}", "\"b\"", "expected one of [\"a\",null], found \"b\"");
    check("{\"const\":{\"a\":[1]}}", "{\"a\":[1]}", NULL);
    check("{\"const\":false}", "0", "expected false, found 0");
    check("{\"enum\":[]}", "1", "expected one of []");
}

Test(schema, bounds_of_numbers_are_exact_beyond_the_precision_of_a_double)
{
    check("{\"minimum\":9007199254740993}", "9007199254740992", "at least 9007199254740993");
    check("{\"maximum\":9007199254740992}", "9007199254740993", "at most 9007199254740992");
    check("{\"exclusiveMinimum\":0}", "0", "above 0");
    check("{\"exclusiveMaximum\":1}", "0.999", NULL);
    check("{\"exclusiveMaximum\":1}", "1", "below 1");
    check("{\"minimum\":5}", "\"no number\"", NULL);
}

Test(schema, lengths_of_strings_count_characters_and_not_bytes)
{
    check("{\"maxLength\":2}", "\"\u20b9\u20b9\"", NULL);
    check("{\"minLength\":3}", "\"\u20b9\u20b9\"", "at least 3 characters, found 2");
    check("{\"maxLength\":1}", "\"ab\"", "at most 1 character, found 2");
    check("{\"minLength\":2.0}", "\"a\"", "at least 2 characters");
}

Test(schema, arrays_are_checked_in_number_in_items_and_in_difference)
{
    check("{\"maxItems\":1}", "[1,2]", "at most 1 item, found 2");
    check("{\"items\":{\"type\":\"string\"}}", "[\"a\",2]", "/1: expected a string");
    check("{\"items\":false}", "[]", NULL);
    check("{\"items\":false}", "[1]", "/0: the schema allows no such property");
    check("{\"uniqueItems\":true}", "[1,true,\"1\",[1],{\"a\":1}]", NULL);
    check("{\"uniqueItems\":true}", "[{\"a\":1,\"b\":2},7,{\"b\":2.0,\"a\":1}]",
          "items that all differ, found 0 and 2 the same");
    check("{\"uniqueItems\":false}", "[1,1]", NULL);
}

Test(schema, additional_properties_are_forbidden_or_checked)
{
    check("{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"a\":1}", NULL);
    check("{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"b\":1}",
          "/b: the schema allows no such property");
    check("{\"additionalProperties\":{\"type\":\"integer\"}}", "{\"b\":\"x\"}",
          "/b: expected an integer");
    check("{\"properties\":{\"b\":{}},\"additionalProperties\":{\"type\":\"integer\"}}",
          "{\"b\":\"x\"}", NULL);
}

Test(schema, true_allows_everything_and_false_nothing)
{
    check("true", "{\"a\":1}", NULL);
    check("{}", "null", NULL);
    check("false", "null", "the value: the schema allows no value at all");
}

Test(schema, annotations_are_accepted_and_check_nothing)
{
    check("{\"title\":\"t\",\"description\":\"d\",\"default\":1,\"examples\":[2],\"$schema\":"
          "\"https://json-schema.org/draft/2020-12/schema\",\"$comment\":\"c\",\"deprecated\":true,"
          "\"readOnly\":true,\"writeOnly\":false,\"format\":\"email\"}",
          "\"no email\"", NULL);
}

Test(schema, a_keyword_that_is_not_enforced_is_refused_by_name_and_place)
{
    static const char *const keywords[] = { "pattern",     "anyOf",      "$ref",
                                            "$defs",       "multipleOf", "patternProperties",
                                            "prefixItems", "if",         "minProperties",
                                            "contains",    "maxitems" };
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
        AUTO_FREE char *schema =
            xasprintf("{\"properties\":{\"a/b\":{\"items\":{\"%s\":1}}}}", keywords[i]);
        AUTO_FREE char *pointer = xasprintf("/properties/a~1b/items/%s", keywords[i]);
        AUTO_FREE char *text = xasprintf("'%s' is not supported", keywords[i]);
        refuse(schema, ERR_UNSUPPORTED, pointer, text);
    }
}

Test(schema, keywords_with_values_that_mean_nothing_are_refused)
{
    refuse("[]", ERR_INVALID, "", "a schema is an object, true or false");
    refuse("{\"type\":\"text\"}", ERR_INVALID, "", "'type' must be null, boolean");
    refuse("{\"type\":[]}", ERR_INVALID, "", "'type' must not be empty");
    refuse("{\"items\":{\"minItems\":-1}}", ERR_INVALID, "/items", "'minItems'");
    refuse("{\"minLength\":1.5}", ERR_INVALID, "", "'minLength'");
    refuse("{\"maximum\":\"3\"}", ERR_INVALID, "", "'maximum' must be a number");
    refuse("{\"required\":\"a\"}", ERR_INVALID, "", "'required'");
    refuse("{\"required\":[\"a\",\"a\"]}", ERR_INVALID, "", "'required'");
    refuse("{\"enum\":1}", ERR_INVALID, "", "'enum' must be an array");
    refuse("{\"properties\":[]}", ERR_INVALID, "", "'properties'");
    refuse("{\"uniqueItems\":1}", ERR_INVALID, "", "'uniqueItems'");
    refuse("{\"items\":[{}]}", ERR_INVALID, "/items", "a schema is an object");
}

Test(schema, a_schema_that_is_nested_too_deep_is_refused)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    for (int i = 0; i < 200; i++) buf_add_text(&b, "{\"items\":");
    buf_add_text(&b, "true");
    for (int i = 0; i < 200; i++) buf_add_char(&b, '}');
    struct err e;
    AUTO_JSON *value = json_parse(buf_bytes(&b), &e);
    cr_assert_not_null(value);
    cr_expect_null(schema_compile(value, NULL, &e));
    cr_expect_eq(e.kind, ERR_LIMIT);
}

Test(schema, a_compiled_schema_does_not_depend_on_the_value_it_came_from)
{
    struct err e;
    json_t *value = json_parse(BYTES_LIT("{\"enum\":[\"a\"],\"required\":[]}"), &e);
    CLEANUP(schema_free_p) struct schema *s = schema_compile(value, NULL, &e);
    json_array_clear(json_object_get(value, "enum"));
    json_decref(value);
    AUTO_JSON *a = json_string("a");
    cr_expect(schema_check(s, a, &e));
}

Test(schema, a_long_value_is_cut_between_characters_in_a_message)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    for (int shift = 0; shift < 3; shift++) {
        buf_reset(&b);
        buf_add_char(&b, '"');
        for (int i = 0; i < shift; i++) buf_add_char(&b, 'x');
        for (int i = 0; i < 200; i++) buf_add_text(&b, "\u20b9");
        buf_add_char(&b, '"');
        struct err e;
        CLEANUP(schema_free_p) struct schema *s = compile("{\"const\":1}");
        AUTO_JSON *value = json_parse(buf_bytes(&b), &e);
        cr_expect_not(schema_check(s, value, &e));
        cr_expect(utf8_check(e.text, strlen(e.text)));
    }
}

Test(schema, large_arrays_of_different_items_are_checked_in_reasonable_time)
{
    CLEANUP(schema_free_p) struct schema *s = compile("{\"uniqueItems\":true}");
    AUTO_JSON *array = json_array();
    for (int i = 0; i < 200000; i++) json_array_append_new(array, json_integer(i));
    struct err e;
    cr_expect(schema_check(s, array, &e));
}
