/* SPDX-License-Identifier: Apache-2.0
 *
 * `tutti schema check` as a user meets it.
 */
#include <criterion/criterion.h>

#include "cli/cli.h"
#include "tests/unit/cli/program.h"

#define SCHEMA                                \
    "type: object\n"                          \
    "required: [id]\n"                        \
    "properties:\n"                           \
    "  id: { type: integer, minimum: 1 }\n"   \
    "  day: { type: string, format: date }\n" \
    "  tags: { items: { type: string }, maxItems: 2 }\n"

#define HAS(text, part) cr_assert(strstr(text, part), "%s", text)

Test(schema, valid_data_is_answered_with_silence)
{
    AUTO_TEMPORARY schema = temporary("s.yaml", SCHEMA);
    AUTO_TEMPORARY data = temporary("d.json", "{\"id\": 3, \"tags\": [\"a\"]}\n");
    AUTO_OUTCOME o = TUTTI("schema", "check", schema, data);
    cr_assert_eq(o.code, EXIT_OK, "%s", o.err);
    cr_assert_str_eq(o.out, "");
    cr_assert_str_eq(o.err, "");
}

Test(schema, each_violation_is_a_line_with_its_place_in_both_files)
{
    AUTO_TEMPORARY schema = temporary("s.yaml", SCHEMA);
    AUTO_OUTCOME o = TUTTI_INPUT("id: 0\ntags:\n  - a\n  - 7\n", "schema", "check", schema, "-");
    cr_assert_eq(o.code, EXIT_USAGE);
    cr_assert_str_eq(
        o.err,
        "-:1:5: /id: expected a number at least 1, found 0 (#/properties/id/minimum)\n"
        "-:4:5: /tags/1: expected a string, found an integer (#/properties/tags/items/type)\n");
    cr_assert_str_eq(o.out, "");
}

Test(schema, programs_get_the_violations_as_json)
{
    AUTO_TEMPORARY schema = temporary("s.yaml", SCHEMA);
    AUTO_OUTCOME o = TUTTI_INPUT("{}", "schema", "check", schema, "-", "--json");
    cr_assert_eq(o.code, EXIT_USAGE);
    cr_assert_str_eq(o.out,
                     "{\"valid\":false,\"violations\":[{\"file\":\"-\",\"line\":1,\"column\":1,"
                     "\"pointer\":\"/id\",\"message\":\"this property is required, and "
                     "missing\",\"keyword\":\"#/required\"}],\"warnings\":[]}\n");
    cr_assert_str_eq(o.err, "");
    AUTO_OUTCOME good = TUTTI_INPUT("{id: 1}", "schema", "check", schema, "-", "--json");
    cr_assert_eq(good.code, EXIT_OK);
    cr_assert_str_eq(good.out, "{\"valid\":true,\"violations\":[],\"warnings\":[]}\n");
}

Test(schema, formats_are_checked_on_request)
{
    AUTO_TEMPORARY schema = temporary("s.yaml", SCHEMA);
    AUTO_TEMPORARY data = temporary("d.yaml", "{id: 1, day: today}");
    AUTO_OUTCOME annotation = TUTTI("schema", "check", schema, data);
    cr_assert_eq(annotation.code, EXIT_OK, "%s", annotation.err);
    AUTO_OUTCOME rule = TUTTI("schema", "check", schema, data, "--check-format");
    cr_assert_eq(rule.code, EXIT_USAGE);
    HAS(rule.err, ":1:14: /day: expected a date (RFC 3339), found \"today\"");
}

Test(schema, what_it_refers_to_is_given_and_never_fetched)
{
    AUTO_TEMPORARY other = temporary("o.yaml", "$id: https://example.com/o\ntype: string\n");
    AUTO_TEMPORARY schema =
        temporary("s.yaml", "properties:\n  a: { $ref: 'https://example.com/o' }\n");
    AUTO_OUTCOME without = TUTTI_INPUT("a: 1", "schema", "check", schema, "-");
    cr_assert_eq(without.code, EXIT_USAGE);
    HAS(without.err, "s.yaml:2:8: '$ref' leads to 'https://example.com/o', which is not here");
    AUTO_OUTCOME given = TUTTI_INPUT("a: 1", "schema", "check", schema, "-", "--ref", other);
    cr_assert_eq(given.code, EXIT_USAGE);
    HAS(given.err, "-:1:4: /a: expected a string, found an integer (https://example.com/o#/type)");
    AUTO_FREE char *by_name = xasprintf("{$ref: '%s'}", other);
    AUTO_TEMPORARY named = temporary("n.yaml", by_name);
    AUTO_OUTCOME o = TUTTI_INPUT("x", "schema", "check", named, "-", "--ref", other);
    cr_assert_eq(o.code, EXIT_OK, "%s", o.err);
}

Test(schema, a_misspelt_keyword_is_warned_about)
{
    AUTO_TEMPORARY schema = temporary("s.yaml", "properties:\n  a:\n    maxlength: 3\n");
    AUTO_OUTCOME o = TUTTI_INPUT("a: long", "schema", "check", schema, "-");
    cr_assert_eq(o.code, EXIT_OK);
    HAS(o.err, "s.yaml:3:5: warning: 'maxlength' is no keyword, and checks nothing; did you mean "
               "'maxLength'?\n");
}

Test(schema, a_schema_that_means_nothing_is_an_error_at_its_place)
{
    AUTO_TEMPORARY schema = temporary("s.yaml", "items:\n  minItems: -1\n");
    AUTO_TEMPORARY data = temporary("d.yaml", "[]");
    AUTO_OUTCOME o = TUTTI("schema", "check", schema, data);
    cr_assert_eq(o.code, EXIT_USAGE);
    HAS(o.err, "s.yaml:2:3: 'minItems' must be an integer from 0\n");
    AUTO_TEMPORARY broken = temporary("b.yaml", "a: [");
    AUTO_OUTCOME syntax = TUTTI("schema", "check", schema, broken);
    cr_assert_eq(syntax.code, EXIT_USAGE);
    AUTO_OUTCOME missing = TUTTI("schema", "check", "/nonexistent/s.yaml", data);
    cr_assert_eq(missing.code, EXIT_NOT_FOUND);
    AUTO_OUTCOME both = TUTTI_INPUT("{}", "schema", "check", "-", "-");
    cr_assert_eq(both.code, EXIT_USAGE);
    HAS(both.err, "cannot both be standard input");
}

Test(schema, a_check_without_end_is_an_error_and_no_hang)
{
    AUTO_TEMPORARY schema = temporary("s.yaml", "pattern: '^(a+)+$'");
    AUTO_OUTCOME o = TUTTI_INPUT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
                                 "schema", "check", schema, "-");
    cr_assert_eq(o.code, EXIT_USAGE);
    HAS(o.err, "the value cannot be checked: a pattern takes too long");
}
