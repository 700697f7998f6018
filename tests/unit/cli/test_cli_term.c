/* SPDX-License-Identifier: Apache-2.0
 *
 * What reaches the terminal: text of others cannot act on it, and stays readable.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

#include "cli/term.h"

static void check_text(const char *text, size_t len, bool lines, const char *wanted)
{
    AUTO_BUF struct buf b = { 0 };
    term_text(&b, (struct bytes){ .data = text, .len = len }, lines);
    cr_assert_str_eq(b.data ? b.data : "", wanted);
}
#define SHOWN(text, wanted)      check_text(text, sizeof(text) - 1, true, wanted)
#define SHOWN_LINE(text, wanted) check_text(text, sizeof(text) - 1, false, wanted)

Test(term, escape_sequences_are_shown_and_not_obeyed)
{
    SHOWN("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m");
    SHOWN("\x1b]0;title\a", "\\x1b]0;title\\x07");
    SHOWN("\xc2\x9b"
          "31m",
          "\\u{009b}31m"); /* CSI as one C1 character */
    SHOWN("a\rb\bc\x7f", "a\\rb\\x08c\\x7f");
    SHOWN("nul\0end", "nul\\x00end");
}

Test(term, text_cannot_turn_or_hide_itself)
{
    SHOWN("a\u202Eb", "a\\u{202e}b");
    SHOWN("a\u2066b\u2069", "a\\u{2066}b\\u{2069}");
    SHOWN("a\u200Fb", "a\\u{200f}b");
    SHOWN("\uFEFFx", "\\u{feff}x");
    SHOWN("x\U000E0041", "x\\u{e0041}");
    SHOWN("a\u2028b", "a\\u{2028}b");
}

Test(term, readable_text_of_any_script_stays_as_it_is)
{
    SHOWN("₹5,200 crore — up 22%", "₹5,200 crore — up 22%");
    SHOWN("क्‍ष 👩‍💻 שלום", "क्‍ष 👩‍💻 שלום");
    SHOWN("two\nlines\tand a tab", "two\nlines\tand a tab");
    SHOWN("", "");
}

Test(term, in_one_line_there_are_no_line_breaks)
{
    SHOWN_LINE("a\nb\tc", "a\\nb\\tc");
}

Test(term, bytes_that_are_no_text_are_shown_one_by_one)
{
    SHOWN("a\xff\xfe", "a\\xff\\xfe");
    SHOWN("\xe2\x82", "\\xe2\\x82");          /* cut off */
    SHOWN("\xc0\xaf", "\\xc0\\xaf");          /* overlong */
    SHOWN("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* surrogate */
    SHOWN("\x80z", "\\x80z");
}

Test(term, nothing_but_a_terminal_gets_colours)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct term t = term_of(fd);
    close(fd);
    cr_assert_not(t.color);
    cr_assert_not(t.tty);
    AUTO_BUF struct buf b = { 0 };
    term_styled(&b, &t, TERM_RED, "x");
    cr_assert_str_eq(b.data, "x");
    struct term colored = { .tty = true, .color = true };
    buf_reset(&b);
    term_styled(&b, &colored, TERM_RED, "x");
    cr_assert_str_eq(b.data, "\x1b[31mx\x1b[0m");
}

static void check_duration(int64_t ms, const char *wanted)
{
    AUTO_BUF struct buf b = { 0 };
    term_duration(&b, ms);
    cr_assert_str_eq(b.data, wanted);
}

Test(term, durations_read_well)
{
    check_duration(0, "0 ms");
    check_duration(850, "850 ms");
    check_duration(2440, "2.4 s");
    check_duration(185000, "3 m 05 s");
    check_duration(7800000, "2 h 10 m");
    check_duration(-5, "0 ms");
}

Test(term, a_bar_is_as_full_as_the_work_is_done)
{
    AUTO_BUF struct buf b = { 0 };
    term_bar(&b, 1, 2, 4);
    cr_assert_str_eq(b.data, "━━──");
    buf_reset(&b);
    term_bar(&b, 9, 2, 4);
    cr_assert_str_eq(b.data, "━━━━");
    buf_reset(&b);
    term_bar(&b, 0, 0, 4);
    cr_assert_str_eq(b.data, "────");
}

Test(term, a_line_is_cut_at_the_width_and_its_colour_ended)
{
    AUTO_BUF struct buf b = { 0 };
    buf_add_text(&b, "\x1b[31mäbcdef");
    term_clip(&b, 0, 3);
    cr_assert_str_eq(b.data, "\x1b[31mäbc\x1b[0m");
    term_clip(&b, 0, 3);
    cr_assert_str_eq(b.data, "\x1b[31mäbc\x1b[0m");
}

static void check_value(const char *json, const char *wanted)
{
    struct err e;
    AUTO_JSON *value = json_parse(bytes_of(json), &e);
    cr_assert(value, "%s", e.text);
    AUTO_BUF struct buf b = { 0 };
    term_value(&b, &(struct term){ .width = 80 }, value);
    cr_assert_str_eq(b.data, wanted);
}

Test(term, a_result_is_printed_as_text_where_it_is_text)
{
    check_value("\"one\\ntwo\\n\"", "one\ntwo\n");
    check_value("\"\\u001b[2J\"", "\\x1b[2J\n");
    check_value("{\"n\": 3, \"summary\": \"one\\ntwo\"}", "n: 3\nsummary:\n  one\n  two\n");
    check_value("[1]", "[\n  1\n]\n");
    check_value("{}", "{}\n");
    check_value("{\"a\\u001b\": {\"b\": null}}", "a\\x1b:\n  {\n    \"b\": null\n  }\n");
}

/* --- a place in a source --- */

static void expect_caret(const char *text, uint32_t line, uint32_t column, const char *want)
{
    AUTO_BUF struct buf b = { 0 };
    buf_add_text(&b, "");
    term_caret(&b, bytes_of(text), line, column);
    cr_expect_str_eq(b.data, want, "%s", b.data);
}

Test(caret, it_stands_below_the_column)
{
    expect_caret("a + b", 1, 3, "    a + b\n      ^\n");
    expect_caret("one\ntwo\r\nthree", 2, 1, "    two\n    ^\n");
    expect_caret("a", 1, 2, "    a\n     ^\n"); /* behind the end */
    expect_caret("'\u00e9' + x", 1, 7, "    '\u00e9' + x\n          ^\n");
    expect_caret("a\tb", 1, 3, "    a\\tb\n       ^\n"); /* below what is shown */
    expect_caret("\x1b[2J + x", 1, 8, "    \\x1b[2J + x\n              ^\n");
    expect_caret("a", 2, 1, "");
    expect_caret("", 1, 1, "    \n    ^\n");
}

Test(caret, of_a_long_line_is_shown_what_is_around_it)
{
    AUTO_BUF struct buf text = { 0 };
    for (int i = 0; i < 500; i++) buf_add_char(&text, 'x');
    text.data[299] = 'y';
    AUTO_BUF struct buf b = { 0 };
    term_caret(&b, buf_bytes(&text), 1, 300);
    const char *first = strchr(b.data, '\n');
    cr_assert(first);
    cr_expect_lt(first - b.data, 120);
    const char *y = strchr(b.data, 'y'), *caret = strchr(first, '^');
    cr_assert(y && caret);
    cr_expect_eq(utf8_count(b.data, (size_t)(y - b.data)), (size_t)(caret - first - 1));
}
