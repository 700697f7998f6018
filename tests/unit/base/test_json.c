/* SPDX-License-Identifier: Apache-2.0
 *
 * json_check lets payloads through unparsed, so it must say what jansson would say later, to the
 * byte: held against it on a table and on mutations of it. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/base/json.h"
#include "common/base/limits.h"
#include "tests/unit/base/prng.h"

static const char *const texts[] = {
    "0",
    "-0",
    "1",
    "-1",
    "01",
    "-",
    "+1",
    "1.",
    ".5",
    "1.5",
    "1e5",
    "1E+5",
    "1e-5",
    "1e",
    "1e+",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999999",
    "1e308",
    "1e309",
    "-1e309",
    "1e-400",
    "0.1e400",
    "123456789.25e-10",
    "true",
    "false",
    "null",
    "True",
    "nul",
    "nulll",
    "NaN",
    "Infinity",
    "",
    " ",
    "\t\n\r 1 \n",
    "\"\"",
    "\"a\"",
    "\"",
    "\"\\\"",
    "\"\\\\\"",
    "\"\\n\\t\\b\\f\\r\\/\"",
    "\"\\x\"",
    "\"\\u0041\"",
    "\"\\u004\"",
    "\"\\u00G1\"",
    "\"\\u0000\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\ude00\"",
    "\"\\ud83d\\u0041\"",
    "\"\\ud83dx\"",
    "\"\\uD834\\uDD1E\"",
    "\"\x01\"",
    "\"\x1f\"",
    "\"\x7f\"",
    "\"é€😀\"",
    "\"\xff\"",
    "\"\xc3\"",
    "\"\xc0\xaf\"",
    "\"\xed\xa0\x80\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xe2\x82\"",
    "[]",
    "[ ]",
    "[1]",
    "[1,2]",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[",
    "]",
    "[[[]]]",
    "[1]x",
    "{}",
    "{ }",
    "{\"a\":1}",
    "{\"a\" : 1 , \"b\":[]}",
    "{\"a\":1,}",
    "{a:1}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1 \"b\":2}",
    "{1:2}",
    "{\"\":0}",
    "{\"\\u0000\":1}",
    "{\"a\\u0000b\":1}",
    "{",
    "}",
    "[\"a\",{\"b\":[1,2.5,-3e2,true,null]},\"\\u20ac\"]",
    "\xef\xbb\xbf[]",
    "[1]\n\n",
    "// x\n1",
    "{\"type\":\"overloaded\",\"message\":\"try again\",\"retryable\":true,\"retry_after_ms\":250}",
};

/* What json_parse says, duplicate keys apart. */
static bool jansson_accepts(struct bytes text)
{
    json_error_t e;
    AUTO_JSON *value = json_loadb(text.data ? text.data : "", text.len, JSON_DECODE_ANY, &e);
    return value != NULL;
}

Test(json, the_check_says_what_the_parser_says)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct bytes text = bytes_of(texts[i]);
        cr_expect_eq(json_check(text), jansson_accepts(text), "%s", texts[i]);
    }
    struct bytes nul = { "[1]\0", 4 };
    cr_expect_eq(json_check(nul), jansson_accepts(nul), "a NUL behind the value");
    cr_expect_not(json_check((struct bytes){ 0 }));
}

/* The scanner goes over a string in words of eight bytes. */
Test(json_check, sees_every_byte_of_a_string_wherever_it_stands)
{
    static const unsigned char odd[] = { 0, 0x1f, 0x20, '"', '\\', 0x7f, 0x80, 0xa0, 0xc3, 0xff };
    for (size_t len = 0; len < 20; len++)
        for (size_t at = 0; at < len; at++)
            for (size_t i = 0; i < sizeof odd; i++) {
                char text[24];
                memset(text, 'x', len + 2);
                text[0] = text[len + 1] = '"';
                text[1 + at] = (char)odd[i];
                struct bytes value = { .data = text, .len = len + 2 };
                cr_expect_eq(json_check(value), jansson_accepts(value), "byte 0x%02x at %zu of %zu",
                             odd[i], at, len);
            }
}

static void mutate(struct buf *text, uint64_t *prng)
{
    static const char alphabet[] =
        "[]{},:\"\\/ 0123456789eE+-.truefalsn\n\t\xc3\xa9\xed\xf0\x80u\1";
    size_t at = text->len ? prng_below(prng, text->len) : 0;
    size_t n = text->len ? 1 + prng_below(prng, MIN(text->len - at, (size_t)6)) : 0;
    const char *other = texts[prng_below(prng, ARRAY_LEN(texts))];
    AUTO_BUF struct buf next = { 0 };
    buf_add(&next, text->data, at);
    switch (prng_below(prng, 4)) {
    case 0: break; /* delete n bytes */
    case 1: buf_add_char(&next, alphabet[prng_below(prng, sizeof alphabet - 1)]); break;
    case 2:
        buf_add_char(&next, alphabet[prng_below(prng, sizeof alphabet - 1)]);
        n = 0;
        break;
    default: buf_add_text(&next, other); n = 0;
    }
    if (text->len > at + n) buf_add(&next, text->data + at + n, text->len - at - n);
    buf_reset(text);
    buf_add(text, next.data, next.len);
}

Test(json, the_check_says_what_the_parser_says_about_100000_mutations)
{
    uint64_t prng = 20261122;
    size_t accepted = 0;
    for (int i = 0; i < 100000; i++) {
        AUTO_BUF struct buf text = { 0 };
        buf_add_text(&text, texts[prng_below(&prng, ARRAY_LEN(texts))]);
        for (size_t n = 1 + prng_below(&prng, 3); n > 0; n--) mutate(&text, &prng);
        bool expected = jansson_accepts(buf_bytes(&text));
        accepted += expected;
        cr_assert_eq(json_check(buf_bytes(&text)), expected, "%.*s", (int)text.len, text.data);
    }
    cr_assert(accepted > 5000, "enough of them are well formed: %zu", accepted);
}

Test(json, depth_is_bounded_without_a_crash)
{
    AUTO_BUF struct buf text = { 0 };
    for (int i = 0; i < JSON_DEPTH_MAX; i++) buf_add_char(&text, '[');
    for (int i = 0; i < JSON_DEPTH_MAX; i++) buf_add_char(&text, ']');
    cr_expect(json_check(buf_bytes(&text)));
    buf_reset(&text);
    for (int i = 0; i < 1000000; i++) buf_add_char(&text, '[');
    cr_expect_not(json_check(buf_bytes(&text)));
    struct err e;
    AUTO_JSON *value = json_parse(buf_bytes(&text), &e);
    cr_expect_null(value);
}

Test(json, the_parser_refuses_a_key_that_stands_twice_and_says_where)
{
    struct err e;
    AUTO_JSON *twice = json_parse(BYTES_LIT("{\n \"a\": 1,\n \"a\": 2}"), &e);
    cr_assert_null(twice);
    cr_assert_eq(e.kind, ERR_INVALID);
    cr_assert(strstr(e.text, "line 3"), "%s", e.text);
}

Test(json, the_parser_refuses_a_nul_wherever_it_stands)
{
    static const struct bytes rows[] = {
        BYTES_LIT("5\0"), BYTES_LIT("[1\0,2]"), BYTES_LIT("{\n\"a\": 1.5\0}"),
        BYTES_LIT("\0"),  BYTES_LIT("\"a\0\""), BYTES_LIT("[1]\0")
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e;
        AUTO_JSON *value = json_parse(rows[i], &e);
        cr_expect_null(value, "row %zu", i);
        cr_expect(strstr(e.text, "a NUL character"), "%s", e.text);
        cr_expect_not(json_check(rows[i]));
    }
    struct err e;
    AUTO_JSON *value = json_parse(rows[2], &e);
    cr_expect_null(value);
    cr_expect_str_eq(e.text, "line 2, column 9: a NUL character");
}

Test(json, the_sorted_form_does_not_depend_on_the_order_of_keys)
{
    AUTO_JSON *a = json_parse(BYTES_LIT("{\"b\":[1,{\"y\":0,\"x\":1}],\"a\":\"€\"}"), NULL);
    AUTO_JSON *b = json_parse(BYTES_LIT("{\"a\":\"\\u20ac\",\"b\":[1,{\"x\":1,\"y\":0}]}"), NULL);
    AUTO_BUF struct buf one = { 0 };
    AUTO_BUF struct buf two = { 0 };
    json_write_sorted(&one, a);
    json_write_sorted(&two, b);
    cr_assert_str_eq(one.data, "{\"a\":\"€\",\"b\":[1,{\"x\":1,\"y\":0}]}");
    cr_assert_str_eq(one.data, two.data);
    cr_assert(json_same(a, b));
}

Test(json, numbers_are_the_same_by_value)
{
    static const struct {
        const char *a, *b;
        bool same;
    } table[] = {
        { "1", "1.0", true },
        { "1", "1.5", false },
        { "0", "-0.0", true },
        { "9007199254740993", "9007199254740992.0", false },
        { "1", "true", false },
        { "\"1\"", "1", false },
        { "[1,2]", "[1.0,2]", true },
        { "[1,2]", "[2,1]", false },
        { "{\"a\":1}", "{\"a\":1.0}", true },
        { "{\"a\":1}", "{\"a\":1,\"b\":2}", false },
        { "null", "false", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        AUTO_JSON *a = json_parse(bytes_of(table[i].a), NULL);
        AUTO_JSON *b = json_parse(bytes_of(table[i].b), NULL);
        cr_expect_eq(json_same(a, b), table[i].same, "%s %s", table[i].a, table[i].b);
        cr_expect_eq(json_same(b, a), table[i].same, "%s %s", table[i].b, table[i].a);
    }
}

/* --- UTF-8 --- */

/* Straight from RFC 3629: decodes, and asks whether the shortest form was used. */
static bool is_utf8(const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = p[i] < 0x80       ? 1
                   : p[i] >> 5 == 6  ? 2
                   : p[i] >> 4 == 14 ? 3
                   : p[i] >> 3 == 30 ? 4
                                     : 0;
        if (n == 0 || i + n > len) return false;
        uint32_t c = n == 1 ? p[i] : p[i] & (0xFFu >> (n + 1));
        for (size_t k = 1; k < n; k++) {
            if (p[i + k] >> 6 != 2) return false;
            c = c << 6 | (p[i + k] & 0x3F);
        }
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return false;
        i += n;
    }
    return true;
}

Test(utf8, every_sequence_of_up_to_three_bytes_is_judged_as_the_rfc_does)
{
    for (uint32_t x = 0; x < 1u << 24; x += x < 1u << 16 ? 1 : 37) {
        unsigned char p[3] = { (unsigned char)x, (unsigned char)(x >> 8),
                               (unsigned char)(x >> 16) };
        size_t len = x < 1u << 8 ? 1 : x < 1u << 16 ? 2 : 3;
        if (utf8_check((const char *)p, len) != is_utf8(p, len))
            cr_assert_fail("%02x %02x %02x", p[0], p[1], p[2]);
    }
}

Test(utf8, sequences_of_four_bytes_are_judged_as_the_rfc_does)
{
    uint64_t prng = 5;
    for (int i = 0; i < 300000; i++) {
        uint64_t r = prng_next(&prng);
        unsigned char p[4] = { (unsigned char)(0xEE + r % 10), (unsigned char)(r >> 8),
                               (unsigned char)(0x80 | (r >> 16 & 0x7F)),
                               (unsigned char)(0x80 | (r >> 24 & 0x7F)) };
        if (utf8_check((const char *)p, 4) != is_utf8(p, 4))
            cr_assert_fail("%02x %02x %02x %02x", p[0], p[1], p[2], p[3]);
    }
    cr_assert_eq(utf8_count("a€😀", strlen("a€😀")), 3);
    cr_assert(utf8_check(NULL, 0));
}
