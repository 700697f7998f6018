/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of strings. Positions and sizes count code points. Results are cut from valid UTF-8 at
 * character boundaries, so they are valid too.
 */
#include <stdlib.h>

#include "common/cel/internal.h"
#include "common/cel/regex.h"

static bool is_tail(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* The byte offset of a code point; false beyond the end (the end itself is allowed). */
static bool byte_of(struct bytes text, int64_t index, size_t *ret)
{
    if (index < 0 || (uint64_t)index > text.len) return false;
    size_t at = 0;
    for (; index > 0 && at < text.len; index--) do
            at++;
        while (at < text.len && is_tail(text.data[at]));
    *ret = at;
    return index == 0;
}

static bool bad_index(const struct call *c, int64_t index)
{
    return eval_fail(c->ev, c->node->offset, "%s(): index out of range: %lld", c->function->name,
                     (long long)index);
}

/* --- questions --- */

bool string_contains(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text, part = c->args[1].text;
    *ret = val_bool(memmem(text.data, text.len, part.data, part.len) != NULL);
    return call_charge_scan(c, text.len);
}

bool string_starts_with(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text, part = c->args[1].text;
    *ret = val_bool(part.len <= text.len && memcmp(text.data, part.data, part.len) == 0);
    return call_charge_scan(c, part.len);
}

bool string_ends_with(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text, part = c->args[1].text;
    *ret = val_bool(part.len <= text.len &&
                    memcmp(text.data + text.len - part.len, part.data, part.len) == 0);
    return call_charge_scan(c, part.len);
}

/* A step of RE2's slower way takes some nanoseconds, and there are at most as many as bytes times
 * instructions; its quicker way needs one a byte. */
static bool search(const struct call *c, const struct regex *r, struct bytes text, struct val *ret)
{
    enum { STEPS_PER_COST = 64 };
    uint64_t steps;
    if (__builtin_mul_overflow((uint64_t)text.len, regex_size(r), &steps)) steps = UINT64_MAX / 2;
    if (!call_charge(c, 5 + steps / STEPS_PER_COST)) return false;
    *ret = val_bool(regex_search(r, text.data, text.len));
    return true;
}

static void release_regex(void *regex)
{
    regex_free(regex);
}

bool string_matches(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text, pattern = c->args[1].text;
    if (c->node->regex) return search(c, c->node->regex, text, ret);
    char error[160];
    /* To compile takes as long as some thousands of steps at least, and longer than it is long. */
    if (!call_charge(c, 1000 + pattern.len)) return false;
    struct regex *r = regex_compile(pattern.data, pattern.len, error, sizeof error);
    if (!r) return eval_fail(c->ev, c->node->offset, "matches(): in the pattern: %s", error);
    scope_own(c->ev->scope, r, release_regex);
    return call_charge(c, regex_size(r)) && search(c, r, text, ret);
}

/* --- case, space, order --- */

static bool map_ascii(const struct call *c, char from, char to, struct val *ret)
{
    struct bytes text = c->args[0].text;
    if (!call_charge_copy(c, text.len)) return false;
    char *copy = scope_copy(c->ev->scope, text);
    for (size_t i = 0; i < text.len; i++)
        if (copy[i] >= from && copy[i] <= from + 25) copy[i] = (char)(copy[i] - from + to);
    *ret = val_string((struct bytes){ copy, text.len });
    return true;
}

bool string_lower_ascii(const struct call *c, struct val *ret)
{
    return map_ascii(c, 'A', 'a', ret);
}
bool string_upper_ascii(const struct call *c, struct val *ret)
{
    return map_ascii(c, 'a', 'A', ret);
}

/* Length of the white space (Unicode's White_Space property) that begins at text[at], or 0. */
static size_t space_at(struct bytes text, size_t at)
{
    static const char *const wide[] = {
        "\xc2\x85", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
        "\u2004",   "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
        "\u2028",   "\u2029", "\u202f", "\u205f", "\u3000",
    };
    char ch = text.data[at];
    if (ch == ' ' || (ch >= '\t' && ch <= '\r')) return 1;
    if (!((unsigned char)ch & 0x80)) return 0;
    for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
        size_t len = strlen(wide[i]);
        if (text.len - at >= len && memcmp(text.data + at, wide[i], len) == 0) return len;
    }
    return 0;
}

bool string_trim(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text;
    if (!call_charge_copy(c, text.len)) return false;
    for (size_t n; text.len > 0 && (n = space_at(text, 0)) > 0;) {
        text.data += n;
        text.len -= n;
    }
    while (text.len > 0) {
        size_t at = text.len - 1;
        while (at > 0 && is_tail(text.data[at])) at--;
        if (space_at(text, at) == 0) break;
        text.len = at;
    }
    *ret = val_string(text);
    return true;
}

bool string_reverse(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text;
    if (!call_charge_copy(c, text.len)) return false;
    AUTO_BUF struct buf reversed = { 0 };
    buf_reserve(&reversed, text.len);
    for (size_t end = text.len; end > 0;) {
        size_t at = end - 1;
        while (at > 0 && is_tail(text.data[at])) at--;
        buf_add(&reversed, text.data + at, end - at);
        end = at;
    }
    *ret = call_text(c, VAL_STRING, &reversed);
    return true;
}

/* --- split, join, replace --- */

/* The next place of `part` at or after `from`; an empty part is found between code points. */
static const char *find(struct bytes text, size_t from, struct bytes part)
{
    if (from > text.len) return NULL;
    return memmem(text.data + from, text.len - from, part.data, part.len);
}

static size_t char_len(struct bytes text, size_t at)
{
    size_t n = 1;
    while (at + n < text.len && is_tail(text.data[at + n])) n++;
    return n;
}

bool string_split(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text, by = c->args[1].text;
    int64_t limit = c->count == 3 ? c->args[2].i : -1;
    struct val *items = NULL;
    size_t count = 0, cap = 0, at = 0;
    if (!call_charge_copy(c, text.len)) return false;
    while (limit != 0) {
        bool last = limit > 0 && count + 1 == (size_t)limit;
        const char *hit = NULL;
        if (!last && by.len)
            hit = find(text, at, by);
        else if (!last && at < text.len && at + char_len(text, at) < text.len)
            hit = text.data + at + char_len(text, at);
        size_t end = hit ? (size_t)(hit - text.data) : text.len;
        /* Splitting nothing by nothing leaves nothing. */
        if (!hit && by.len == 0 && text.len == 0) break;
        if (!call_charge(c, 1)) return false;
        items = scope_grow(c->ev->scope, items, count, &cap, sizeof *items);
        items[count++] = val_string((struct bytes){ text.data + at, end - at });
        if (!hit) break;
        at = end + by.len;
    }
    *ret = val_list_of(c->ev->scope, items, count);
    return true;
}

bool string_join(const struct call *c, struct val *ret)
{
    struct bytes by = c->count == 2 ? c->args[1].text : BYTES_LIT("");
    AUTO_BUF struct buf joined = { 0 };
    for (size_t i = 0; i < val_list_size(&c->args[0]); i++) {
        struct val element = val_list_at(&c->args[0], i);
        if (element.type != VAL_STRING)
            return eval_fail(c->ev, c->node->offset,
                             "no such overload: join() of a list whose element %zu is no string",
                             i);
        if (!call_charge(c, 1) || !call_charge_copy(c, element.text.len + by.len)) return false;
        if (i) buf_add(&joined, by.data, by.len);
        buf_add(&joined, element.text.data, element.text.len);
    }
    *ret = call_text(c, VAL_STRING, &joined);
    return true;
}

bool string_replace(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text, from = c->args[1].text, to = c->args[2].text;
    int64_t limit = c->count == 4 ? c->args[3].i : -1;
    if (!call_charge_copy(c, text.len)) return false;
    AUTO_BUF struct buf out = { 0 };
    size_t at = 0;
    for (; limit != 0; limit -= limit > 0) {
        const char *hit = find(text, at, from);
        if (!hit) break;
        if (!call_charge(c, 1) || !call_charge_copy(c, to.len)) return false;
        buf_add(&out, text.data + at, (size_t)(hit - text.data) - at);
        buf_add(&out, to.data, to.len);
        at = (size_t)(hit - text.data) + from.len;
        if (from.len > 0) continue;
        if (at == text.len) break;
        size_t n = char_len(text, at); /* an empty part is found before every character */
        buf_add(&out, text.data + at, n);
        at += n;
    }
    buf_add(&out, text.data + at, text.len - at);
    *ret = call_text(c, VAL_STRING, &out);
    return true;
}

/* --- positions --- */

bool string_substring(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text;
    size_t from, to = text.len;
    if (!call_charge_copy(c, text.len)) return false;
    if (!byte_of(text, c->args[1].i, &from)) return bad_index(c, c->args[1].i);
    if (c->count == 3 && (!byte_of(text, c->args[2].i, &to) || to < from))
        return bad_index(c, c->args[2].i);
    *ret = val_string((struct bytes){ text.data + from, to - from });
    return true;
}

bool string_char_at(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text;
    size_t at;
    if (!call_charge_scan(c, text.len)) return false;
    if (!byte_of(text, c->args[1].i, &at)) return bad_index(c, c->args[1].i);
    *ret = val_string((struct bytes){ text.data + at, at < text.len ? char_len(text, at) : 0 });
    return true;
}

bool string_index_of(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text, part = c->args[1].text;
    size_t from = 0;
    if (!call_charge_scan(c, text.len)) return false;
    if (c->count == 3 && !byte_of(text, c->args[2].i, &from)) return bad_index(c, c->args[2].i);
    const char *hit = find(text, from, part);
    *ret = val_int(hit ? (int64_t)utf8_count(text.data, (size_t)(hit - text.data)) : -1);
    return true;
}

bool string_last_index_of(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text, part = c->args[1].text;
    size_t at = text.len;
    if (c->count == 3 && !byte_of(text, c->args[2].i, &at)) return bad_index(c, c->args[2].i);
    *ret = val_int(-1);
    if (part.len > text.len) return true;
    /* Every position may cost a comparison with the whole part. */
    if (!call_charge_scan(c, text.len)) return false;
    for (at = MIN(at, text.len - part.len) + 1; at-- > 0;) {
        if (part.len && text.data[at] != part.data[0]) continue;
        if (!call_charge_scan(c, part.len)) return false;
        if (memcmp(text.data + at, part.data, part.len) != 0) continue;
        if (part.len == 0 && at < text.len && is_tail(text.data[at])) continue;
        *ret = val_int((int64_t)utf8_count(text.data, at));
        return true;
    }
    return true;
}
