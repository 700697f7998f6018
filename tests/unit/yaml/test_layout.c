/* SPDX-License-Identifier: Apache-2.0
 *
 * The canonical layout: what it looks like, that it is reached at once, and that it loses nothing.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/yaml/yaml.h"
#include "tests/unit/base/prng.h"

static void formats(const char *text, const char *wanted)
{
    struct err e = { 0 };
    AUTO_BUF struct buf once = { 0 }, twice = { 0 };
    cr_assert(yaml_format(bytes_of(text), &once, &e), "%s\n%s", text, e.text);
    cr_assert_str_eq(once.data, wanted, "%s\nbecame\n%s", text, once.data);
    cr_assert(yaml_format(buf_bytes(&once), &twice, &e), "%s", e.text);
    cr_assert_str_eq(twice.data, once.data, "the second time it became\n%s", twice.data);
}

Test(layout, indentation_is_two_and_lists_are_indented_below_their_key)
{
    formats("a:\n    b:\n    - 1\n    -   c: 2\n        d: 3\n",
            "a:\n  b:\n    - 1\n    - c: 2\n      d: 3\n");
    formats("- - 1\n  - 2\n-\n  x: 1\n  y: 2\n", "- - 1\n  - 2\n- x: 1\n  y: 2\n");
}

Test(layout, a_comment_within_empty_brackets_goes_behind_them_for_good)
{
    formats("t: {\n#\n}", "t: {}\n#\n");
    formats("t: {\n  # why\n}\nu: []\n", "t: {}\n# why\nu: []\n");
}

Test(layout, spacing_and_quotes_are_uniform)
{
    formats("a:   {b: 1,c: [1,2 , 3]}\n'k':   'it''s'\n",
            "a: { b: 1, c: [1, 2, 3] }\n\"k\": \"it's\"\n");
    formats("a: 'say \"x\"'\nb: 'back\\slash'\nc: {}\nd: [ ]\n",
            "a: 'say \"x\"'\nb: 'back\\slash'\nc: {}\nd: []\n");
    formats("a: 1   \n\n\n\nb: 2\n\n", "a: 1\n\nb: 2\n");
    formats("\xEF\xBB\xBF"
            "a: 1\r\nb:\r\n    - 2\r\n",
            "a: 1\nb:\n  - 2\n");
}

Test(layout, numbers_and_texts_stay_as_they_were_written)
{
    formats("version:  1.10\nhex:  0x1F\nempty:\nyes:  on\n",
            "version: 1.10\nhex: 0x1F\nempty:\nyes: on\n");
}

Test(layout, brackets_over_several_lines_become_blocks)
{
    formats("a: {b: 1,\n  c: {d: 2}}\n", "a:\n  b: 1\n  c: { d: 2 }\n");
    formats("- [1,\n   2]\n", "- - 1\n  - 2\n");
    formats(
        "a: { long: \"0123456789012345678901234567890123456789012345678901234567890123456789\", "
        "more: "
        "\"0123456789012345678901234567890\" }\n",
        "a:\n  long: \"0123456789012345678901234567890123456789012345678901234567890123456789\"\n"
        "  more: \"0123456789012345678901234567890\"\n");
}

Test(layout, comments_stay_where_they_were)
{
    formats("# head\n\na:  1 # behind\n# above b\nb:\n    # above c\n    c: 2\n    # closing b\n# "
            "end\n",
            "# head\n\na: 1 # behind\n# above b\nb:\n  # above c\n  c: 2\n  # closing b\n# end\n");
    formats("steps: # all of them\n- x # one\n# two follows\n- y\n",
            "steps: # all of them\n  - x  # one\n  # two follows\n  - y\n");
    formats("a: { b: 1, # one\n     c: 2 } # two\n", "a:\n  b: 1 # one\n  c: 2 # two\n");
    formats("a: \"# none\" # one\nb: x#y\n", "a: \"# none\" # one\nb: x#y\n");
    formats("a: 1  # they\nlong: 2     # line up\n\nb: 1     # but not with this one\n",
            "a: 1    # they\nlong: 2 # line up\n\nb: 1 # but not with this one\n");
    formats("a: |  # header\n    text # no comment\n# one\nb: 1\n",
            "a: | # header\n  text # no comment\n# one\nb: 1\n");
    formats("# only a comment", "# only a comment\n");
    AUTO_BUF struct buf nothing = { 0 };
    cr_assert(yaml_format((struct bytes){ 0 }, &nothing, NULL) && nothing.len == 0);
    cr_assert(yaml_format(BYTES_LIT("\n \n"), &nothing, NULL) && nothing.len == 0);
}

Test(layout, block_texts_keep_every_character)
{
    formats("a: |\n      one\n        two   \n\n      three\n\n\nb: >-\n   x\n   y\n",
            "a: |\n  one\n    two   \n\n  three\n\nb: >-\n  x\n  y\n");
    formats("a: |+\n  one\n\n\nb: 1\n", "a: |+\n  one\n\n\nb: 1\n");
    formats("a:\n    - |2\n        two more\n      text\n",
            "a:\n  - |2\n      two more\n    text\n");
    formats("a: |\n   \n", "a: |-\n");
    formats("a: |\n  no newline at the end", "a: |-\n  no newline at the end\n");
}

Test(layout, texts_over_several_lines_are_indented)
{
    formats("a: one\n   two\n\n   three\nb: \"x\n       y \\\n   z\"\n",
            "a: one\n  two\n\n  three\nb: \"x\n  y \\\n  z\"\n");
}

Test(layout, anchors_and_tags_stay)
{
    formats("a:   &x {b: 1}\nc:  *x\nd: !!str   5\ne: &y\n    f: 1\n",
            "a: &x { b: 1 }\nc: *x\nd: !!str 5\ne: &y\n  f: 1\n");
}

Test(layout, steps_are_set_apart)
{
    formats("steps:\n- name: a\n  type: set\n# of b\n- name: b\n  type: set\n",
            "steps:\n  - name: a\n    type: set\n\n  # of b\n  - name: b\n    type: set\n");
    formats("steps:\n- {name: a}\n- {name: b}\n", "steps:\n  - { name: a }\n  - { name: b }\n");
}

Test(layout, json_stays_json)
{
    formats(
        "{\"a\":[1,{\"b\":\"x,\\\"y\"}],\n\"v\":1.10,\"e\":{},\"l\":[ ]}",
        "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x,\\\"y\"\n    }\n  ],\n  \"v\": 1.10,\n  "
        "\"e\": {},\n  \"l\": []\n}\n");
}

Test(layout, what_is_no_yaml_is_refused_with_its_place)
{
    struct err e = { 0 };
    AUTO_BUF struct buf out = { 0 };
    cr_assert_not(yaml_format(bytes_of("a: 1\nb: [1"), &out, &e));
    cr_assert(strncmp(e.text, "3:", 2) == 0 || strncmp(e.text, "2:", 2) == 0, "%s", e.text);
}

Test(layout, a_line_of_many_items_takes_time_in_proportion, .timeout = 60)
{
    AUTO_BUF struct buf text = { 0 }, once = { 0 };
    struct err e = { 0 };
    buf_add_text(&text, "a: [1");
    for (int i = 0; i < 100000; i++) buf_add_text(&text, ",1");
    buf_add_text(&text, "]\n");
    cr_assert(yaml_format(buf_bytes(&text), &once, &e), "%s", e.text);
    cr_assert(strncmp(once.data, "a:\n  - 1\n  - 1\n", 15) == 0);
}

/* --- properties --- */

static size_t comments_of(const struct buf *text)
{
    size_t count = 0;
    for (const char *p = text->data; (p = strstr(p, "# c")) != NULL; p++) count++;
    return count;
}

/* A file of random shape: mappings, lists, texts of all styles, comments and empty lines anywhere.
 */
struct maker {
    uint64_t *prng;
    struct buf *out;
    uint32_t number;
};

static uint64_t below(struct maker *m, uint64_t n)
{
    return prng_next(m->prng) % n;
}

static void indent(struct maker *m, uint32_t columns)
{
    buf_addf(m->out, "%*s", (int)columns, "");
}

static void noise(struct maker *m, uint32_t columns)
{
    while (below(m, 6) == 0) {
        if (below(m, 2)) {
            indent(m, columns);
            buf_addf(m->out, "# c%u", m->number++);
        }
        buf_add_char(m->out, '\n');
    }
}

static void end(struct maker *m)
{
    if (below(m, 8) == 0) buf_addf(m->out, "%*s# c%u", (int)(1 + below(m, 3)), "", m->number++);
    buf_add_char(m->out, '\n');
}

static void make_flow(struct maker *m, int depth)
{
    static const char *const scalars[] = { "1",        "-2.50",          "true",    "plain text",
                                           "'single'", "\"dou\\\"ble\"", "null",    "\"\"",
                                           "x#y",      "'it''s'",        "http://x" };
    uint64_t kind = depth > 3 ? 9 : below(m, 10), count = below(m, 4);
    if (kind > 2) {
        buf_add_text(m->out, scalars[below(m, ARRAY_LEN(scalars))]);
        return;
    }
    buf_add_char(m->out, kind ? '{' : '[');
    for (uint64_t i = 0; i < count; i++) {
        if (i) buf_add_text(m->out, below(m, 2) ? "," : " , ");
        if (i && below(m, 12) == 0)
            buf_addf(m->out, " # c%u\n                        ", m->number++);
        if (kind) buf_addf(m->out, " k%u: ", m->number++);
        make_flow(m, depth + 1);
    }
    buf_add_char(m->out, kind ? '}' : ']');
}

static void make_text(struct maker *m, uint32_t column)
{
    static const char *const heads[] = { "|", ">", "|-", ">-", "|+", ">+" };
    uint32_t inner = column + 1 + (uint32_t)below(m, 4);
    buf_addf(m->out, " %s", heads[below(m, ARRAY_LEN(heads))]);
    end(m);
    indent(m, inner);
    buf_add_text(m->out, "first # no comment\n");
    for (uint64_t i = below(m, 4); i > 0; i--) {
        if (below(m, 3) == 0) buf_add_char(m->out, '\n');
        indent(m, inner + (uint32_t)below(m, 3));
        buf_add_text(m->out, "text: '\"  \n");
    }
    if (below(m, 4) == 0) buf_add_char(m->out, '\n');
}

static void make_block(struct maker *m, uint32_t column, int depth);

/* Behind "key:" or "-" of a block at this column. */
static void make_value(struct maker *m, uint32_t column, int depth, bool below_key)
{
    uint64_t kind = below(m, depth > 4 ? 6 : 10);
    if (kind < 4) {
        buf_add_char(m->out, ' ');
        make_flow(m, 0);
        end(m);
    } else if (kind == 4) {
        make_text(m, column);
    } else if (kind == 5) {
        indent(m, 1);
        buf_addf(m->out, "several\n%*swords\n", (int)(column + 1 + below(m, 3)), "");
    } else {
        end(m);
        make_block(m, column + 1 + (uint32_t)below(m, 4), depth + 1);
    }
    (void)below_key;
}

static void make_block(struct maker *m, uint32_t column, int depth)
{
    bool map = below(m, 2);
    for (uint64_t i = 1 + below(m, 4); i > 0; i--) {
        noise(m, column);
        indent(m, column);
        if (map)
            buf_addf(m->out, below(m, 5) ? "k%u:" : "'k%u' :", m->number++);
        else
            buf_add_char(m->out, '-');
        make_value(m, column, depth, map);
    }
}

Test(layout, a_random_file_keeps_its_values_and_comments_and_does_not_change_again)
{
    for (uint64_t seed = 1; seed <= 800; seed++) {
        uint64_t prng = seed;
        AUTO_BUF struct buf text = { 0 }, once = { 0 }, twice = { 0 };
        struct maker m = { .prng = &prng, .out = &text };
        struct err e = { 0 };
        make_block(&m, 0, 0);
        AUTO_JSON *value = yaml_parse(buf_bytes(&text), NULL, NULL, NULL, &e);
        cr_assert(value, "seed %llu: the test's own text: %s\n%s", (unsigned long long)seed, e.text,
                  text.data);
        cr_assert(yaml_format(buf_bytes(&text), &once, &e), "seed %llu: %s\n%s",
                  (unsigned long long)seed, e.text, text.data);
        cr_assert(yaml_format(buf_bytes(&once), &twice, &e), "seed %llu: again: %s\n%s",
                  (unsigned long long)seed, e.text, once.data);
        cr_assert_str_eq(once.data, twice.data, "seed %llu\n%s\n--- became\n%s\n--- became\n%s",
                         (unsigned long long)seed, text.data, once.data, twice.data);
        AUTO_JSON *after = yaml_parse(buf_bytes(&once), NULL, NULL, NULL, &e);
        cr_assert(json_same(value, after));
        cr_assert_eq(comments_of(&text), comments_of(&once));
    }
}

Test(layout, damaged_files_are_refused_or_laid_out_for_good)
{
    static const char base[] =
        "workflow: x # c1\nsteps:\n- name: a # c2\n  args: [1, 'two', {b: 3}]\n  text: |\n    one\n"
        "     two\n  # c3\n- &n {name: b}\n- *n\n- \"x\n  y\"\n";
    static const char marks[] = " \n\t#:-[]{},&*!|>'\"a1\r\\?";
    uint64_t prng = 7;
    for (int i = 0; i < 4000; i++) {
        AUTO_FREE char *text = xstrdup(base);
        for (uint64_t k = 1 + prng_next(&prng) % 3; k > 0; k--)
            text[prng_next(&prng) % (sizeof base - 1)] =
                marks[prng_next(&prng) % (sizeof marks - 1)];
        AUTO_BUF struct buf once = { 0 }, twice = { 0 };
        struct err e = { 0 };
        if (!yaml_format(bytes_of(text), &once, &e)) continue;
        cr_assert(yaml_format(buf_bytes(&once), &twice, &e), "%s\n%s\n%s", e.text, text, once.data);
        cr_assert_str_eq(once.data, twice.data, "%s\n--- became\n%s\n--- became\n%s", text,
                         once.data, twice.data);
    }
}
