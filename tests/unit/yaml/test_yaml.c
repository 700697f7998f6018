/* SPDX-License-Identifier: Apache-2.0
 *
 * YAML 1.2 core as our users write it: values, positions, and complaints that help. */
#include <criterion/criterion.h>

#include <stdlib.h>

#include "common/base/limits.h"
#include "common/yaml/yaml.h"

/* Asserts that text means the JSON value. */
static void means(const char *text, const char *json)
{
    struct err e = { 0 };
    uint32_t line = 0, column = 0;
    AUTO_JSON *value = yaml_parse(bytes_of(text), NULL, &line, &column, &e);
    cr_assert_not_null(value, "%s\n%u:%u: %s", text, line, column, e.text);
    AUTO_BUF struct buf written = { 0 };
    json_write(&written, value);
    cr_assert_str_eq(written.data, json, "%s\ngave %s", text, written.data);
}

/* Asserts that bytes are refused at line:column with words in the message. */
static void refuses_bytes(struct bytes text, uint32_t line, uint32_t column, const char *words)
{
    struct err e = { 0 };
    uint32_t at_line = 0, at_column = 0;
    AUTO_JSON *value = yaml_parse(text, NULL, &at_line, &at_column, &e);
    cr_assert_null(value, "accepted: %s", text.data);
    cr_assert(strstr(e.text, words), "'%s' does not say '%s'", e.text, words);
    cr_assert(at_line == line && at_column == column, "%s: at %u:%u, not %u:%u", e.text, at_line,
              at_column, line, column);
}

static void refuses(const char *text, uint32_t line, uint32_t column, const char *words)
{
    refuses_bytes(bytes_of(text), line, column, words);
}

Test(yaml, nulls_and_bools_are_those_of_yaml_1_2)
{
    means("[~, null, Null, NULL]", "[null,null,null,null]");
    means("a:\nb: x", "{\"a\":null,\"b\":\"x\"}");
    means("[true, True, TRUE, false, False, FALSE]", "[true,true,true,false,false,false]");
    means("[yes, no, on, off, y, N, tRUE, nULL]",
          "[\"yes\",\"no\",\"on\",\"off\",\"y\",\"N\",\"tRUE\",\"nULL\"]");
}

Test(yaml, numbers_are_those_of_yaml_1_2)
{
    means("[0, -7, +7, 012, 0o17, 0x1F]", "[0,-7,7,12,15,31]");
    means("[1.5, .5, 1., 1e3, -2.5E-1]", "[1.5,0.5,1.0,1000.0,-0.25]");
    means("[9223372036854775807, -9223372036854775808]",
          "[9223372036854775807,-9223372036854775808]");
    means("[1.0.0, 2024-01-01, 1_000, 0b1, 0x, 0o8, 1:30, ., '-', +, e3, 12:30:45]",
          "[\"1.0.0\",\"2024-01-01\",\"1_000\",\"0b1\",\"0x\",\"0o8\",\"1:30\",\".\",\"-\",\"+\","
          "\"e3\",\"12:30:45\"]");
    means("['12', \"true\", '']", "[\"12\",\"true\",\"\"]");
}

Test(yaml, numbers_that_json_has_not_are_refused_with_their_place)
{
    refuses("a: 1\nb: 9223372036854775808", 2, 4, "does not fit 64 bits");
    refuses("a: 0xFFFFFFFFFFFFFFFF", 1, 4, "does not fit 64 bits");
    refuses("a: .inf", 1, 4, "JSON does not have");
    refuses("a: -.INF", 1, 4, "JSON does not have");
    refuses("a: .NaN", 1, 4, "JSON does not have");
    refuses("a: 1e999", 1, 4, "too large");
}

Test(yaml, core_tags_are_obeyed_and_others_refused)
{
    means("[!!str 12, !!int \"12\", !!float 3, !!null '', !!bool true, ! 12]",
          "[\"12\",12,3.0,null,true,\"12\"]");
    means("!!map {a: !!seq [1]}", "{\"a\":[1]}");
    refuses("a: !!int x", 1, 4, "does not fit");
    refuses("a: !!binary aGk=", 1, 4, "not supported");
    refuses("a:\n  - !mine 3", 2, 5, "not supported");
    refuses("a: !!set {x, y}", 1, 4, "not supported");
}

Test(yaml, block_texts_keep_their_lines)
{
    means("a: |\n  one\n  two\nb: >-\n  one\n  two\n",
          "{\"a\":\"one\\ntwo\\n\",\"b\":\"one two\"}");
    means("a: \"x\\u20b9\\t\\/\"", "{\"a\":\"x\xE2\x82\xB9\\t/\"}");
}

Test(yaml, an_empty_document_is_null)
{
    means("", "null");
    means("# only a comment\n", "null");
    means("---\n...\n", "null");
    means("\xEF\xBB\xBF"
          "a: 1",
          "{\"a\":1}");
}

Test(yaml, keys_keep_their_text)
{
    means("1: a\ntrue: b\n~: c\n1.10: d",
          "{\"1\":\"a\",\"true\":\"b\",\"~\":\"c\",\"1.10\":\"d\"}");
    refuses("? [a, b]\n: c", 1, 3, "a key must be plain text");
    refuses("\"a\\0b\": 1", 1, 1, "NUL");
}

Test(yaml, a_key_given_twice_is_refused_naming_both_lines)
{
    refuses("a: 1\nb: 2\n\na: 3", 4, 1, "'a' stands here again; it is in line 1");
    refuses("{\"a\": 1,\n \"a\": 2}", 2, 2, "it is in line 1");
}

Test(yaml, aliases_copy_what_their_anchor_holds)
{
    means("a: &x {n: 1}\nb: *x\nc: [*x]", "{\"a\":{\"n\":1},\"b\":{\"n\":1},\"c\":[{\"n\":1}]}");
    means("- &x 1\n- &x 2\n- *x", "[1,2,2]");
    refuses("a: *nothing", 1, 4, "not defined");
    refuses("a: &x [1, *x]", 1, 11, "inside the value");
    refuses("a: &x 1\nb: {<<: *x}", 2, 5, "merge key");
    refuses("&x a: 1\n*x : 2", 1, 1, "a key must be plain text");
}

Test(yaml, aliases_cannot_blow_a_document_up)
{
    AUTO_BUF struct buf text = { 0 };
    buf_add_text(&text, "l0: &l0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 9; i++)
        buf_addf(&text, "l%d: &l%d [*l%d,*l%d,*l%d,*l%d,*l%d,*l%d,*l%d,*l%d,*l%d,*l%d]\n", i, i,
                 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    refuses(text.data, 5, 38, "aliases expand");

    buf_reset(&text);
    buf_add_text(&text, "- &a ");
    for (int i = 0; i < 300000; i++) buf_add_char(&text, 'x');
    for (int i = 0; i < 20; i++) buf_add_text(&text, "\n- *a");
    refuses(text.data, 15, 3, "aliases expand");
}

Test(yaml, depth_is_bounded_also_through_aliases)
{
    AUTO_BUF struct buf text = { 0 };
    for (int i = 0; i < JSON_DEPTH_MAX; i++) buf_add_char(&text, '[');
    for (int i = 0; i < JSON_DEPTH_MAX; i++) buf_add_char(&text, ']');
    struct err e;
    AUTO_JSON *value = yaml_parse(buf_bytes(&text), NULL, NULL, NULL, &e);
    cr_assert_not_null(value);

    AUTO_BUF struct buf deeper = { 0 };
    buf_addf(&deeper, "[%s]", text.data);
    refuses(deeper.data, 1, JSON_DEPTH_MAX + 1, "levels of nesting");
    buf_reset(&deeper);
    buf_addf(&deeper, "- [a, %s]", text.data);
    refuses(deeper.data, 1, JSON_DEPTH_MAX + 5, "levels of nesting");
    buf_reset(&deeper);
    buf_addf(&deeper, "x: &a %.*s\ny: [[[*a]]]", 2 * JSON_DEPTH_MAX - 4, text.data + 2);
    refuses(deeper.data, 2, 7, "levels of nesting");
    buf_reset(&deeper);
    for (int i = 0; i < 100000; i++) buf_add_char(&deeper, '[');
    AUTO_JSON *none = yaml_parse(buf_bytes(&deeper), NULL, NULL, NULL, &e);
    cr_assert_null(none);
}

Test(yaml, complaints_name_place_and_remedy)
{
    refuses("steps:\n\t- name: x", 2, 1, "indents with spaces");
    refuses("a:\n  b: 1\n \tc: 2", 3, 2, "indents with spaces");
    refuses("a: b: c", 1, 5, "in quotes");
    refuses("a: 'open\nb: 1\n", 3, 1, "not closed");
    refuses("a: [1, 2\nb: 3", 2, 2, "");
    refuses("a: @x", 1, 4, "put quotes around");
    refuses("a: 1\n---\nb: 2", 2, 1, "second document");
    refuses("a: 1\n  b: 2", 2, 4, "indented");
}

Test(yaml, bytes_that_are_no_text_are_refused_with_their_place)
{
    refuses_bytes(BYTES_LIT("a: 1\nb: x\0y"), 2, 5, "NUL");
    refuses("a: 1\nb: \"x\\0y\"", 2, 4, "NUL");
    refuses("a: 1\nb: \xC3\xA9\xFF", 2, 5, "UTF-8");
    refuses("a: \xED\xA0\x80", 1, 4, "UTF-8");
    refuses("a: 1\n# \xE2\x82", 2, 3, "UTF-8");
    refuses("a: x\x07y", 1, 5, "control characters");
}

Test(yaml, json_is_read_as_json)
{
    means("{\"a\": \"\\ud83d\\ude00\\/\", \"b\":[1,2.5,null,true]}",
          "{\"a\":\"\xF0\x9F\x98\x80/\",\"b\":[1,2.5,null,true]}");
    means("\n\t{\n\t\"a\":\t1\n}\n", "{\"a\":1}");
    means("{a: b, c: [d]}", "{\"a\":\"b\",\"c\":[\"d\"]}");
    /* To YAML 1.1 this character ends a line. */
    means("{\"a\": \"x\xC2\x85y\"}", "{\"a\":\"x\xC2\x85y\"}");
    means("\"x\xC2\x85y\"", "\"x\xC2\x85y\"");
    means("\"a\": 1", "{\"a\":1}");
    AUTO_BUF struct buf text = { 0 };
    buf_add_text(&text, "{\"");
    for (int i = 0; i < 3000; i++) buf_add_char(&text, 'k');
    buf_add_text(&text, "\":1}");
    means(text.data, text.data);
    refuses("{\"a\": \"\\ud83d\\ude00\",\n\"b\": 1,,}", 2, 8, "");
}

static void stands(const struct positions *p, const char *pointer, uint32_t line, uint32_t column)
{
    uint32_t at_line, at_column;
    positions_find(p, pointer, &at_line, &at_column);
    cr_assert(at_line == line && at_column == column, "%s at %u:%u, not %u:%u", pointer, at_line,
              at_column, line, column);
}

static struct positions *positions_of(const char *text)
{
    struct positions *p = NULL;
    struct err e = { 0 };
    AUTO_JSON *value = yaml_parse(bytes_of(text), &p, NULL, NULL, &e);
    cr_assert_not_null(value, "%s", e.text);
    return p;
}

Test(yaml, every_value_has_its_place)
{
    CLEANUP(positions_free_p)
    struct positions *p =
        positions_of("version: 1.10\nsteps:\n  - name: a\n    x/y~z: { \xE2\x82\xB9: [1, 22] }\n");
    stands(p, "", 1, 1);
    stands(p, "/version", 1, 10);
    stands(p, "/steps", 3, 3);
    stands(p, "/steps/0/name", 3, 11);
    stands(p, "/steps/0/x~1y~0z/\xE2\x82\xB9/1", 4, 21);
    stands(p, "/steps/0/missing/deeper", 3, 5);
    stands(p, "/steps/7", 3, 3);
    stands(p, "/steps/x", 3, 3);
    uint32_t line, column;
    positions_find_key(p, "/steps", &line, &column);
    cr_assert(line == 2 && column == 1);
    positions_find_key(p, "/steps/0/x~1y~0z", &line, &column);
    cr_assert(line == 4 && column == 5);
    positions_find_key(p, "/steps/0", &line, &column);
    cr_assert(line == 3 && column == 5);
}

Test(yaml, json_values_have_their_places_too)
{
    CLEANUP(positions_free_p)
    struct positions *p = positions_of(
        "{\n  \"a\\\"b\": [ 10, {\"c\" : 1.50},\"\xE2\x82\xB9\\\\\", [], {} ],\n  \"d\":null }");
    stands(p, "", 1, 1);
    stands(p, "/a\"b", 2, 11);
    stands(p, "/a\"b/0", 2, 13);
    stands(p, "/a\"b/1/c", 2, 24);
    stands(p, "/a\"b/2", 2, 30);
    stands(p, "/a\"b/3", 2, 37);
    stands(p, "/a\"b/4", 2, 41);
    stands(p, "/d", 3, 7);
    cr_assert_str_eq(positions_text(p, "/a\"b/1/c"), "1.50");
    cr_assert_str_eq(positions_text(p, "/d"), "null");
}

Test(yaml, the_text_of_a_number_is_kept)
{
    CLEANUP(positions_free_p)
    struct positions *p = positions_of("version: 1.10\nother: 0x1F\nname: '1.10'\nlist: [007]");
    cr_assert_str_eq(positions_text(p, "/version"), "1.10");
    cr_assert_str_eq(positions_text(p, "/other"), "0x1F");
    cr_assert_str_eq(positions_text(p, "/list/0"), "007");
    cr_assert_null(positions_text(p, "/name"));
    cr_assert_null(positions_text(p, "/list"));
    cr_assert_null(positions_text(p, "/version/x"));
}
