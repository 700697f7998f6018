/* SPDX-License-Identifier: Apache-2.0
 *
 * Inputs in parts, and the checks that every target makes. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define DIVIDER "\n%%\n"

static struct bytes copy_of(const char *data, size_t len)
{
    char *copy = xmalloc(len); /* of exactly this size: see fuzz.h */
    if (len) memcpy(copy, data, len);
    return (struct bytes){ .data = copy, .len = len };
}

struct fuzz_input fuzz_split(const uint8_t *data, size_t size)
{
    struct fuzz_input in = { 0 };
    const char *at = (const char *)data;
    while (in.count < FUZZ_PARTS_MAX - 1) {
        const char *divider = size ? memmem(at, size, DIVIDER, strlen(DIVIDER)) : NULL;
        if (!divider) break;
        in.part[in.count++] = copy_of(at, (size_t)(divider - at));
        size -= (size_t)(divider - at) + strlen(DIVIDER);
        at = divider + strlen(DIVIDER);
    }
    in.part[in.count++] = copy_of(at, size);
    return in;
}

void fuzz_input_done(struct fuzz_input *in)
{
    for (size_t i = 0; i < in->count; i++) free((char *)(uintptr_t)in->part[i].data);
}

bool fuzz_line(struct bytes *rest, struct bytes *ret)
{
    if (rest->len == 0) return false;
    const char *end = memchr(rest->data, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    *ret = (struct bytes){ .data = rest->data, .len = len };
    rest->data += len + (end != NULL);
    rest->len -= len + (end != NULL);
    return true;
}

char *fuzz_text(struct bytes b)
{
    return b.len ? xstrndup(b.data, b.len) : xstrdup("");
}

uint32_t fuzz_number(struct bytes b)
{
    uint32_t n = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < b.len; i++) n = (n ^ (unsigned char)b.data[i]) * 16777619U;
    return n;
}

void fuzz_check_error(const struct err *e)
{
    size_t len = strnlen(e->text, sizeof e->text);
    FUZZ_CHECK(e->kind != ERR_NONE, "an error without a kind");
    FUZZ_CHECK(len < sizeof e->text, "an error's text does not end");
    FUZZ_CHECK(len > 0, "an error without a text");
    FUZZ_CHECK(utf8_check(e->text, len), "an error's text is no UTF-8: %s", e->text);
    for (size_t i = 0; i < len; i++)
        FUZZ_CHECK((unsigned char)e->text[i] >= 0x20, "an error of several lines: %s", e->text);
}

void fuzz_check_same(const char *what, struct bytes a, struct bytes b)
{
    FUZZ_CHECK(bytes_equal(a, b), "%s differ:\n%.*s\n--- and\n%.*s", what, (int)a.len,
               a.data ? a.data : "", (int)b.len, b.data ? b.data : "");
}

/* Length of a line break at p, as YAML counts them: LF, CR, CRLF, NEL, LS, PS; 0 for none. */
static size_t break_at(const char *p, size_t left)
{
    if (left >= 2 && memcmp(p, "\r\n", 2) == 0) return 2;
    if (left >= 1 && (*p == '\n' || *p == '\r')) return 1;
    if (left >= 2 && memcmp(p, "\xC2\x85", 2) == 0) return 2;
    if (left >= 3 && memcmp(p, "\xE2\x80", 2) == 0 && ((unsigned char)p[2] | 1) == 0xA9) return 3;
    return 0;
}

void fuzz_check_place(struct bytes source, uint32_t line, uint32_t column, const char *text)
{
    uint32_t lines = 1;
    size_t longest = 0, length = 0;
    for (size_t i = 0; i < source.len;) {
        size_t n = break_at(source.data + i, source.len - i);
        lines += n > 0;
        length = source.data[i] == '\n' ? 0 : length + 1; /* all that counts lines agrees on LF */
        longest = MAX(longest, length);
        i += n ? n : 1;
    }
    FUZZ_CHECK(line >= 1 && line <= lines + 1, "line %u of %u: %s", line, lines, text);
    FUZZ_CHECK(column >= 1 && column <= longest + 2, "column %u, the longest line has %zu: %s",
               column, longest, text);
}
