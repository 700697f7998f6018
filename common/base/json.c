/* SPDX-License-Identifier: Apache-2.0
 *
 * The scanner is a recursive-descent walk over RFC 8259's grammar with jansson's two restrictions:
 * an integer must fit 64 bits, and no string holds \u0000.
 */
#include "common/base/json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/base/limits.h"

static_assert(JSON_DEPTH_MAX <= JSON_PARSER_MAX_DEPTH, "what we accept, jansson can parse");

/* jansson (2.14) overlooks a NUL behind a number: to it [1\0,2] is [1,2]. */
static bool refuse_nul(struct bytes text, struct err *e)
{
    const char *nul = memchr(text.data, '\0', text.len), *line = text.data;
    if (!nul) return true;
    int lines = 1;
    for (const char *p = text.data; p < nul; p++) {
        if (*p != '\n') continue;
        lines++;
        line = p + 1;
    }
    size_t column = utf8_count(line, (size_t)(nul - line)) + 1;
    return err_fail(e, ERR_INVALID, "line %d, column %zu: a NUL character", lines, column);
}

json_t *json_parse(struct bytes text, struct err *e)
{
    json_error_t je;
    if (text.len && !refuse_nul(text, e)) return NULL;
    json_t *value = json_loadb(text.data ? text.data : "", text.len,
                               JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &je);
    if (!value) err_fail(e, ERR_INVALID, "line %d, column %d: %s", je.line, je.column, je.text);
    return value;
}

static int write_chunk(const char *data, size_t len, void *buf)
{
    buf_add(buf, data, len);
    return 0;
}

void json_write(struct buf *b, const json_t *value)
{
    int r = json_dump_callback(value, write_chunk, b, JSON_COMPACT | JSON_ENCODE_ANY);
    ASSERT(r == 0);
}

void json_write_sorted(struct buf *b, const json_t *value)
{
    int r =
        json_dump_callback(value, write_chunk, b, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    ASSERT(r == 0);
}

const char *json_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

int64_t json_int(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

/* --- UTF-8 --- */

/* Length of the sequence at p (end exclusive), or 0 if it is malformed. After RFC 3629, table in
 * section 4. */
static size_t utf8_sequence(const unsigned char *p, const unsigned char *end)
{
    size_t left = (size_t)(end - p);
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4) return 0;
    size_t n = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (left < n) return 0;
    unsigned char low = 0x80, high = 0xBF;
    switch (p[0]) {
    case 0xE0: low = 0xA0; break;
    case 0xED: high = 0x9F; break;
    case 0xF0: low = 0x90; break;
    case 0xF4: high = 0x8F; break;
    default: break;
    }
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    return n;
}

bool utf8_check(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + len;
    while (p < end) {
        size_t n = utf8_sequence(p, end);
        if (!n) return false;
        p += n;
    }
    return true;
}

size_t utf8_count(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

/* --- the scanner --- */

struct scan {
    const unsigned char *p, *end;
};

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static bool scan_hex4(struct scan *s, unsigned *ret)
{
    if (s->end - s->p < 4) return false;
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = *s->p++;
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            digit = (c | 32) - 'a' + 10u;
        else
            return false;
        v = v << 4 | digit;
    }
    *ret = v;
    return true;
}

static bool scan_escape(struct scan *s)
{
    if (s->p >= s->end) return false;
    unsigned char c = *s->p++;
    if (c != 'u') return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
    unsigned high, low;
    if (!scan_hex4(s, &high) || high == 0) return false;
    if (high >= 0xDC00 && high <= 0xDFFF) return false;
    if (high < 0xD800 || high > 0xDBFF) return true;
    if (s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u') return false;
    s->p += 2;
    return scan_hex4(s, &low) && low >= 0xDC00 && low <= 0xDFFF;
}

/* Past what a string may hold as it is, eight bytes at a time, up to the word with something else
 * in it. The test for a byte that is zero, or less than n, is that of S. E. Anderson's Bit
 * Twiddling Hacks ("Determine if a word has a byte less than n"). */
static void skip_plain(struct scan *s)
{
    const uint64_t ones = 0x0101010101010101, high = 0x80 * ones;
    for (uint64_t word; (size_t)(s->end - s->p) >= sizeof word; s->p += sizeof word) {
        memcpy(&word, s->p, sizeof word);
        uint64_t quote = word ^ '"' * ones, slash = word ^ '\\' * ones;
        if ((word | (word - 0x20 * ones) | (quote - ones) | (slash - ones)) & high) return;
    }
}

static bool scan_string(struct scan *s)
{
    s->p++; /* the quote */
    skip_plain(s);
    while (s->p < s->end) {
        unsigned char c = *s->p;
        if (c == '"') {
            s->p++;
            return true;
        }
        if (c < 0x20) return false;
        if (c == '\\') {
            s->p++;
            if (!scan_escape(s)) return false;
            skip_plain(s);
        } else if (c < 0x80) {
            s->p++;
        } else {
            size_t n = utf8_sequence(s->p, s->end);
            if (!n) return false;
            s->p += n;
            skip_plain(s);
        }
    }
    return false;
}

static bool scan_digits(struct scan *s)
{
    const unsigned char *from = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') s->p++;
    return s->p > from;
}

static bool scan_number(struct scan *s)
{
    const unsigned char *from = s->p;
    bool integer = true;
    if (*s->p == '-') s->p++;
    const unsigned char *digits = s->p;
    if (!scan_digits(s) || (*digits == '0' && s->p - digits > 1)) return false;
    if (s->p < s->end && *s->p == '.') {
        integer = false;
        s->p++;
        if (!scan_digits(s)) return false;
    }
    if (s->p < s->end && (*s->p | 32) == 'e') {
        integer = false;
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-')) s->p++;
        if (!scan_digits(s)) return false;
    }
    size_t len = (size_t)(s->p - from);
    if (integer && len < 19) return true;
    if (len > 400) return false;
    char text[404]; /* rare: let the C library judge the range */
    memcpy(text, from, len);
    text[len] = '\0';
    errno = 0;
    if (integer)
        strtoll(text, NULL, 10);
    else if (isinf(strtod(text, NULL)))
        return false;
    else
        errno = 0; /* underflow to zero is accepted, as by jansson */
    return errno != ERANGE;
}

static bool scan_word(struct scan *s, const char *word, size_t len)
{
    if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0) return false;
    s->p += len;
    return true;
}

static bool scan_value(struct scan *s, int depth);

static bool scan_members(struct scan *s, int depth, unsigned char close, bool keyed)
{
    s->p++;
    skip_space(s);
    if (s->p < s->end && *s->p == close) {
        s->p++;
        return true;
    }
    for (;;) {
        skip_space(s);
        if (keyed) {
            if (s->p >= s->end || *s->p != '"' || !scan_string(s)) return false;
            skip_space(s);
            if (s->p >= s->end || *s->p++ != ':') return false;
        }
        if (!scan_value(s, depth + 1)) return false;
        skip_space(s);
        if (s->p >= s->end) return false;
        unsigned char c = *s->p++;
        if (c == close) return true;
        if (c != ',') return false;
    }
}

static bool scan_value(struct scan *s, int depth)
{
    skip_space(s);
    if (s->p >= s->end || depth > JSON_DEPTH_MAX) return false;
    switch (*s->p) {
    case '{': return scan_members(s, depth, '}', true);
    case '[': return scan_members(s, depth, ']', false);
    case '"': return scan_string(s);
    case 't': return scan_word(s, "true", 4);
    case 'f': return scan_word(s, "false", 5);
    case 'n': return scan_word(s, "null", 4);
    default: return (*s->p == '-' || (*s->p >= '0' && *s->p <= '9')) && scan_number(s);
    }
}

bool json_check(struct bytes text)
{
    struct scan s = { .p = (const unsigned char *)text.data };
    if (text.len == 0) return false;
    s.end = s.p + text.len;
    if (!scan_value(&s, 1)) return false;
    skip_space(&s);
    return s.p == s.end;
}

/* --- equality --- */

static bool same_number(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b))
        return json_integer_value(a) == json_integer_value(b);
    const json_t *i = json_is_integer(a) ? a : json_is_integer(b) ? b : NULL;
    if (!i) return json_real_value(a) == json_real_value(b);
    double d = json_real_value(i == a ? b : a);
    /* 2^63 is the first double above every int64: below it the conversion back is exact. */
    return d >= -0x1p63 && d < 0x1p63 && d == floor(d) && (json_int_t)d == json_integer_value(i);
}

static bool same_object(const json_t *a, const json_t *b)
{
    if (json_object_size(a) != json_object_size(b)) return false;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)a, key, value) {
        const json_t *other = json_object_get(b, key);
        if (!other || !json_same(value, other)) return false;
    }
    return true;
}

bool json_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) return same_number(a, b);
    if (json_typeof(a) != json_typeof(b)) return false;
    switch (json_typeof(a)) {
    case JSON_OBJECT: return same_object(a, b);
    case JSON_ARRAY:
        if (json_array_size(a) != json_array_size(b)) return false;
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!json_same(json_array_get(a, i), json_array_get(b, i))) return false;
        return true;
    default: return json_equal(a, b) == 1;
    }
}

void json_pointer_add(struct buf *b, const char *key)
{
    buf_add_char(b, '/');
    for (; *key; key++) {
        if (*key == '~' || *key == '/')
            buf_add_text(b, *key == '~' ? "~0" : "~1");
        else
            buf_add_char(b, *key);
    }
}
