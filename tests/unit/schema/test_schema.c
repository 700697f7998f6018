/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON Schema on one value: what each keyword accepts and refuses, and how a failure reads. The
 * official suite (./run conformance) has many more cases of the former.
 */
#include "tests/unit/schema/support.h"

Test(schema, a_failure_names_the_pointer_what_is_wanted_and_what_is_there)
{
    const char *schema = "{\"type\":\"object\",\"required\":[\"topic\"],\"properties\":{"
                         "\"statistics\":{\"type\":\"array\",\"minItems\":3,"
                         "\"items\":{\"type\":\"object\",\"properties\":{\"a/b~\":{\"type\":"
                         "\"string\"}}}}}}";
    check(schema, "{\"topic\":1,\"statistics\":[{},{}]}",
          "/statistics: expected an array of at least 3 items, found 2 "
          "(#/properties/statistics/minItems)");
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
    check("{\"items\":false}", "[1]", "/0: the schema allows no such item");
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

Test(schema, an_unknown_keyword_is_an_annotation)
{
    check("{\"maxitems\":1,\"x-unit\":{\"type\":7}}", "[1,2]", NULL);
}

Test(schema, keywords_with_values_that_mean_nothing_are_refused_where_they_stand)
{
    refuse("[]", ERR_INVALID, "", "a schema is an object, true or false");
    refuse("{\"type\":\"text\"}", ERR_INVALID, "/type", "'type' must be null, boolean");
    refuse("{\"type\":[]}", ERR_INVALID, "/type", "'type' must not be empty");
    refuse("{\"items\":{\"minItems\":-1}}", ERR_INVALID, "/items/minItems", "'minItems'");
    refuse("{\"minLength\":1.5}", ERR_INVALID, "/minLength", "'minLength'");
    refuse("{\"maximum\":\"3\"}", ERR_INVALID, "/maximum", "'maximum' must be a number");
    refuse("{\"required\":\"a\"}", ERR_INVALID, "/required", "'required'");
    refuse("{\"required\":[\"a\",\"a\"]}", ERR_INVALID, "/required", "'required'");
    refuse("{\"enum\":1}", ERR_INVALID, "/enum", "'enum' must be an array");
    refuse("{\"properties\":[]}", ERR_INVALID, "/properties", "'properties'");
    refuse("{\"uniqueItems\":1}", ERR_INVALID, "/uniqueItems", "'uniqueItems'");
    refuse("{\"items\":[{}]}", ERR_INVALID, "/items", "a schema is an object");
    refuse("{\"anyOf\":[]}", ERR_INVALID, "/anyOf", "a list of schemas that is not empty");
    refuse("{\"oneOf\":[{},{\"not\":3}]}", ERR_INVALID, "/oneOf/1/not", "a schema is an object");
    refuse("{\"multipleOf\":0}", ERR_INVALID, "/multipleOf", "above 0");
    refuse("{\"properties\":{\"a/b\":{\"pattern\":\"(\"}}}", ERR_INVALID,
           "/properties/a~1b/pattern", "'(' cannot be used: missing closing parenthesis");
    refuse("{\"patternProperties\":{\"\\\\a\":true}}", ERR_INVALID, "/patternProperties",
           "ECMA-262 has no such escape");
    refuse("{\"$defs\":{\"unused\":{\"maxItems\":true}}}", ERR_INVALID, "/$defs/unused/maxItems",
           "'maxItems'");
}

Test(schema, without_a_pointer_the_text_says_where_it_is)
{
    struct err e = { 0 };
    AUTO_JSON *value = parse("{\"items\":{\"minItems\":-1}}");
    cr_expect_null(schema_compile(value, NULL, &e));
    cr_expect_eq(strncmp(e.text, "/items: 'minItems'", 18), 0, "%s", e.text);
}

Test(schema, a_schema_that_is_nested_too_deep_is_refused)
{
    AUTO_BUF struct buf b = { 0 };
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
    AUTO_BUF struct buf b = { 0 };
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

Test(schema, alternatives_say_why_the_nearest_one_does_not_fit)
{
    const char *schema =
        "{\"anyOf\":[{\"type\":\"string\"},{\"properties\":{\"a\":{\"properties\":{"
        "\"b\":{\"maximum\":3}}}}},{\"required\":[\"c\"]}]}";
    check(schema, "\"x\"", NULL);
    check(schema, "{\"a\":{\"b\":4}}",
          "the value: expected one of 3 alternatives, found none that fits; the nearest: /a/b: "
          "expected a number at most 3, found 4 (#/anyOf)");
    check("{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"},{\"minimum\":2}]}", "3",
          "expected what fits one of 3 alternatives only, found that 0 and 2 fit");
    check("{\"not\":{\"type\":\"integer\"}}", "3", "expected what does not fit 'not'");
}

Test(schema, conditions_choose_what_must_hold)
{
    const char *schema =
        "{\"if\":{\"properties\":{\"kind\":{\"const\":\"card\"}},\"required\":[\"kind\"]},"
        "\"then\":{\"required\":[\"number\"]},\"else\":{\"required\":[\"iban\"]}}";
    check(schema, "{\"kind\":\"card\",\"number\":1}", NULL);
    check(schema, "{\"kind\":\"card\",\"iban\":1}",
          "/number: this property is required, and missing (#/then/required)");
    check(schema, "{}", "/iban: this property is required, and missing (#/else/required)");
    check("{\"dependentRequired\":{\"card\":[\"address\"]}}", "{\"card\":1}",
          "/address: this property is required beside 'card', and missing");
    check("{\"dependentSchemas\":{\"a\":{\"minProperties\":2}}}", "{\"a\":1}",
          "expected an object of at least 2 properties, found 1 "
          "(#/dependentSchemas/a/minProperties)");
}

Test(schema, items_are_counted_by_what_they_contain)
{
    const char *schema = "{\"contains\":{\"type\":\"string\"},\"minContains\":2,\"maxContains\":3}";
    check(schema, "[1,\"a\",\"b\"]", NULL);
    check(schema, "[1,\"a\"]", "expected at least 2 items that fit 'contains', found 1");
    check(schema, "[\"a\",\"b\",\"c\",\"d\"]", "expected at most 3 items");
    check("{\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"type\":\"integer\"}}",
          "[\"a\",1,\"b\"]", "/2: expected an integer, found a string (#/items/type)");
}

Test(schema, properties_that_nothing_describes_are_found_through_all_alternatives)
{
    const char *schema = "{\"properties\":{\"a\":true},\"anyOf\":[{\"required\":[\"b\"],"
                         "\"properties\":{\"b\":true}},"
                         "{\"patternProperties\":{\"^c\":true}}],\"unevaluatedProperties\":false}";
    check(schema, "{\"a\":1,\"b\":2,\"cc\":3}", NULL);
    check(schema, "{\"a\":1,\"d\":2}",
          "/d: the schema allows no such property (#/unevaluatedProperties)");
    AUTO_BUF struct buf many = { 0 };
    buf_add_text(&many, "{\"x\":0");
    for (int i = 0; i < 300; i++) buf_addf(&many, ",\"c%d\":0", i);
    buf_add_char(&many, '}');
    check(schema, many.data, "/x: the schema allows no such property");
}

Test(schema, multiples_are_those_of_the_numbers_as_they_are_written)
{
    check("{\"multipleOf\":0.01}", "19.99", NULL);
    check("{\"multipleOf\":0.01}", "-0.07", NULL);
    check("{\"multipleOf\":0.01}", "0.075",
          "expected a number that is a multiple of 0.01, found 0.075");
    check("{\"multipleOf\":1e-300}", "1e300", NULL);
    check("{\"multipleOf\":3}", "9007199254740993", NULL);
    check("{\"multipleOf\":7}", "1e20", "a multiple of 7");
}

Test(schema, formats_are_annotations_unless_they_are_asked_for)
{
    CLEANUP(schema_free_p)
    struct schema *s =
        compile_with("{\"format\":\"date\"}", &(struct schema_options){ .assert_format = true });
    check("{\"format\":\"date\"}", "\"2023-02-30\"", NULL);
    check_by(s, "date", "\"2024-02-29\"", NULL);
    check_by(s, "date", "7", NULL);
    check_by(s, "date", "\"2023-02-30\"", "expected a date (RFC 3339), found \"2023-02-30\"");
}

Test(schema, patterns_are_those_of_ecma_262)
{
    check("{\"pattern\":\"^(?!x)[\\\\w.]+\\\\u{1F600}?$\"}", "\"a.b\"", NULL);
    check("{\"pattern\":\"^\\\\d+$\"}", "\"12\\n\"", "expected a string that matches ^\\d+$");
    check("{\"pattern\":\"^.$\"}", "\"\u2028\"", "expected a string that matches");
    check("{\"pattern\":\"[^]\"}", "\"\\n\"", NULL);
    check("{\"pattern\":\"[]\"}", "\"a\"", "expected a string that matches");
    check("{\"pattern\":\"^[[:alpha:]]$\"}", "\":]\"", NULL);
    check("{\"pattern\":\"\\\\p{Script=Greek}\\\\p{Lu}\"}", "\"\u03b1Z\"", NULL);
}

/* --- several violations --- */

static void expect_violation(const struct schema_report *r, size_t i, const char *pointer,
                             const char *keyword, const char *text)
{
    cr_assert_lt(i, r->count);
    cr_expect_str_eq(r->list[i].pointer, pointer);
    cr_expect_str_eq(r->list[i].keyword, keyword);
    cr_expect_not_null(strstr(r->list[i].text, text), "'%s' has no '%s'", r->list[i].text, text);
}

Test(schema, all_violations_are_collected_up_to_a_bound)
{
    struct err e = { 0 };
    CLEANUP(schema_free_p)
    struct schema *s =
        compile("{\"required\":[\"z\"],\"properties\":{\"a\":{\"type\":\"string\",\"minLength\":2},"
                "\"b\":{\"items\":{\"minimum\":5}}},\"anyOf\":[{\"required\":[\"y\"]}]}");
    AUTO_JSON *value = parse("{\"a\":\"x\",\"b\":[1,7,2]}");
    CLEANUP(schema_report_done) struct schema_report all = { .max = 100 }, two = { .max = 2 };
    cr_expect_not(schema_check_all(s, value, &all, &e));
    cr_expect_eq(all.count, 5);
    expect_violation(&all, 0, "/a", "#/properties/a/minLength", "at least 2 characters, found 1");
    expect_violation(&all, 1, "/b/0", "#/properties/b/items/minimum", "at least 5, found 1");
    expect_violation(&all, 2, "/b/2", "#/properties/b/items/minimum", "at least 5, found 2");
    expect_violation(&all, 3, "/z", "#/required", "required, and missing");
    expect_violation(&all, 4, "", "#/anyOf", "one of 1 alternatives");
    cr_expect_not_null(strstr(e.text, "/a: expected a string"), "%s", e.text);
    cr_expect_not(schema_check_all(s, value, &two, &e));
    cr_expect_eq(two.count, 2);
}
