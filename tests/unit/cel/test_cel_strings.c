/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of strings: the standard ones, those of cel-go's ext/strings, and matches().
 */
#include "tests/unit/cel/world.h"

Test(cel_strings, questions_about_a_string)
{
    static const struct cel_case cases[] = {
        { "size('')", "0" },
        { "size('Zoë')", "3" },
        { "'日本😀'.size()", "3" },
        { "size(input.name)", "3" },
        { "'abc'.contains('b')", "true" },
        { "'abc'.contains('')", "true" },
        { "''.contains('a')", "false" },
        { "input.name.contains('ë')", "true" },
        { "'abc'.startsWith('ab')", "true" },
        { "'abc'.startsWith('abcd')", "false" },
        { "'abc'.endsWith('bc')", "true" },
        { "'abc'.endsWith('')", "true" },
        { "'c'.endsWith('abc')", "false" },
        { "'abc'.contains(1)", "!no such overload: string.contains(int)" },
        { "x.contains('a')", "!no such overload: int.contains(string)" },
        { "[1].contains(1)", "!no such overload: list.contains(int)" },
        { "'a'.contains()", "!contains() does not take 0 arguments" },
        { "type.contains('cris')", "true" },
    };
    CHECK(cases);
}

Test(cel_strings, matches_searches_with_re2_syntax)
{
    static const struct cel_case cases[] = {
        { "'hello'.matches('ell')", "true" },
        { "'hello'.matches('^ell')", "false" },
        { "'hello'.matches('^h.*o$')", "true" },
        { "'hello\\n'.matches('o$')", "false" },
        { "matches('abc123', '[a-z]+[0-9]{3}')", "true" },
        { "'Zoë'.matches('^...$')", "true" },
        { "'ABC'.matches('(?i)abc')", "true" },
        { "'ab'.matches('(?:a)(?P<n>b)')", "true" },
        { "'a+b'.matches(r'a\\+b')", "true" },
        { "'x]'.matches('[]x]+')", "true" },
        { "'k7'.matches('^[[:alpha:]][[:digit:]]$')", "true" },
        { "'a' .matches('a' + '|b')", "true" },
        { "''.matches('')", "true" },
        { "'aa'.matches(r'(a)\\1')", "!1:14: matches(): in the pattern: invalid escape sequence" },
        { "'aa'.matches('a(?=a)')", "!in the pattern: invalid perl operator: (?=" },
        { "'aa'.matches('(?<!a)a')", "!in the pattern: invalid perl operator" },
        { "'aa'.matches('a++')", "!in the pattern: bad repetition operator: ++" },
        { "'aa'.matches('(*UCP)a')", "!in the pattern: no argument for repetition operator: *" },
        { "'a'.matches('(')", "!1:13: matches(): in the pattern: missing ): (" },
        { "'aéb'.matches(r'^a\\p{L}b$')", "true" },
        { "'a\\nb'.matches('^a.b$')", "false" },
        { "'a'.matches('(a{1000}){1000}')", "!in the pattern: " },
        { "'a'.matches('(' + '')", "!matches(): in the pattern" },
        { "'a'.matches(1)", "!no such overload: string.matches(int)" },
    };
    CHECK(cases);
}

/* Each takes a backtracking matcher longer than anybody waits. */
Test(cel_strings, a_search_is_linear_in_the_text)
{
    static const struct cel_case cases[] = {
        { "('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' + '!').matches('^(a+)+$')",
          "false" },
        { "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.matches('^(a|aa)+$')", "false" },
    };
    CHECK(cases);
    AUTO_BUF struct buf source = { 0 };
    buf_add_char(&source, '\'');
    for (int i = 0; i < 60000; i++) buf_add_char(&source, 'a');
    buf_add_text(&source, "'.matches('[a-z]*[0-9]')");
    const struct cel_case c = { source.data, "false" };
    world_check(&c, 1);
}

Test(cel_strings, a_large_pattern_on_a_long_text_costs_what_it_takes)
{
    AUTO_BUF struct buf source = { 0 };
    buf_add_char(&source, '\'');
    for (int i = 0; i < 60000; i++) buf_add_char(&source, 'a');
    buf_add_text(&source, "'.matches('(a|b|ab){900}(b|a|ba){900}c')");
    /* It is a limit, so that nothing absorbs it. */
    buf_add_text(&source, " || true");
    const struct cel_case c = { source.data, "!costs more than" };
    world_check(&c, 1);
}

Test(cel_strings, case_space_and_order)
{
    static const struct cel_case cases[] = {
        { "'AbÇ'.lowerAscii()", "\"abÇ\"" },
        { "'abç'.upperAscii()", "\"ABç\"" },
        { "'  a b\\t\\n'.trim()", "\"a b\"" },
        { "'\\u00a0x\\u3000\\u2028'.trim()", "\"x\"" },
        { "' \\t '.trim()", "\"\"" },
        { "'Zoë'.reverse()", "\"ëoZ\"" },
        { "(1).trim()", "!no such overload: int.trim()" },
        { "x.lowerAscii()", "!no such overload: int.lowerAscii()" },
        { "''.trim()", "\"\"" },
        { "''.reverse()", "\"\"" },
    };
    CHECK(cases);
}

Test(cel_strings, split_join_and_replace)
{
    static const struct cel_case cases[] = {
        { "'a,b,c'.split(',')", "[\"a\",\"b\",\"c\"]" },
        { "'a,b,c'.split(',', 2)", "[\"a\",\"b,c\"]" },
        { "'a,b'.split(',', 0)", "[]" },
        { "'a,b'.split(',', 1)", "[\"a,b\"]" },
        { "'a,b'.split(',', -1)", "[\"a\",\"b\"]" },
        { "''.split(',')", "[\"\"]" },
        { "',a,'.split(',')", "[\"\",\"a\",\"\"]" },
        { "'Zoë'.split('')", "[\"Z\",\"o\",\"ë\"]" },
        { "'Zoë'.split('', 2)", "[\"Z\",\"oë\"]" },
        { "''.split('')", "[]" },
        { "['a', 'b'].join()", "\"ab\"" },
        { "['a', 'b'].join(', ')", "\"a, b\"" },
        { "[].join(',')", "\"\"" },
        { "input.tags.join('-')", "\"a-b\"" },
        { "[1].join(',')", "!join() of a list whose element 0 is no string" },
        { "'abab'.replace('b', 'xx')", "\"axxaxx\"" },
        { "'abab'.replace('b', 'x', 1)", "\"axab\"" },
        { "'abab'.replace('b', 'x', 0)", "\"abab\"" },
        { "'abab'.replace('b', '')", "\"aa\"" },
        { "'ab'.replace('', '_')", "\"_a_b_\"" },
        { "''.replace('', 'x')", "\"x\"" },
        { "''.replace('a', 'x')", "\"\"" },
        { "'a'.replace('a')", "!does not take 1 argument" },
        { "'a'.replace('a', 1)", "!no such overload: string.replace(string, int)" },
    };
    CHECK(cases);
}

Test(cel_strings, positions_count_characters)
{
    static const struct cel_case cases[] = {
        { "'Zoë!'.substring(2)", "\"ë!\"" },
        { "'Zoë!'.substring(1, 3)", "\"oë\"" },
        { "'abc'.substring(3)", "\"\"" },
        { "'abc'.substring(4)", "!substring(): index out of range: 4" },
        { "'abc'.substring(2, 1)", "!index out of range: 1" },
        { "'abc'.substring(-1)", "!index out of range" },
        { "'Zoë!'.indexOf('!')", "3" },
        { "'abcabc'.indexOf('b', 2)", "4" },
        { "'abc'.indexOf('x')", "-1" },
        { "'abc'.indexOf('')", "0" },
        { "'abc'.indexOf('a', 9)", "!index out of range: 9" },
        { "'ëbëb'.lastIndexOf('b')", "3" },
        { "'abcb'.lastIndexOf('b', 2)", "1" },
        { "'abc'.lastIndexOf('x')", "-1" },
        { "'abc'.lastIndexOf('')", "3" },
        { "'Zoë'.charAt(2)", "\"ë\"" },
        { "'Zoë'.charAt(3)", "\"\"" },
        { "'Zoë'.charAt(4)", "!charAt(): index out of range: 4" },
    };
    CHECK(cases);
}
