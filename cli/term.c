/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/term.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct term term_of(int fd)
{
    const char *kind = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    bool smart = !kind || strcmp(kind, "dumb") != 0;
    struct term t = { .tty = isatty(fd) == 1 && smart, .width = 80, .height = 24 };
    t.color = t.tty && !(no_color && *no_color);
    struct winsize size;
    if (t.tty && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        t.width = size.ws_col;
        t.height = size.ws_row;
    }
    return t;
}

/* --- neutralising --- */

/* Length of the valid UTF-8 sequence at p, or 0; *ret is its code point. */
static size_t decode(const unsigned char *p, size_t left, uint32_t *ret)
{
    size_t len = *p < 0x80 ? 1 : *p >= 0xF0 ? 4 : *p >= 0xE0 ? 3 : 2;
    if (len > left || !utf8_check((const char *)p, len)) return 0;
    uint32_t c = len == 1 ? *p : *p & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) c = c << 6 | (p[i] & 0x3Fu);
    *ret = c;
    return len;
}

/* Characters that act on the terminal or on the reader's eye instead of being seen. Joiners (200C,
 * 200D) stay, for Indic scripts and emoji are written with them. */
static bool dangerous(uint32_t c, bool lines)
{
    if (c == '\n' || c == '\t') return !lines;
    if (c < 0x20 || (c >= 0x7F && c <= 0x9F)) return true;
    if (c == 0x061C || c == 0x200E || c == 0x200F || c == 0xFEFF) return true;
    if (c >= 0x2028 && c <= 0x202E) return true;
    if (c >= 0x2060 && c <= 0x206F) return true;
    return c >= 0xE0000 && c <= 0xE007F;
}

void term_text(struct buf *ret, struct bytes text, bool lines)
{
    const unsigned char *p = (const unsigned char *)text.data;
    if (text.len > 0) buf_reserve(ret, text.len);
    for (size_t i = 0; i < text.len;) {
        uint32_t c = 0;
        size_t len = decode(p + i, text.len - i, &c);
        if (len == 0)
            buf_addf(ret, "\\x%02x", p[i]);
        else if (!dangerous(c, lines))
            buf_add(ret, p + i, len);
        else if (c == '\n' || c == '\t' || c == '\r')
            buf_add_text(ret, c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r");
        else
            buf_addf(ret, c < 0x80 ? "\\x%02x" : "\\u{%04x}", c);
        i += len ? len : 1;
    }
}

/* --- a place in a source --- */

/* The bytes of so many code points, or of all there are. */
static size_t code_points(struct bytes text, size_t count)
{
    size_t i = 0;
    for (; i < text.len && count > 0; count--)
        for (i++; i < text.len && ((unsigned char)text.data[i] & 0xC0) == 0x80;) i++;
    return i;
}

void term_caret(struct buf *ret, struct bytes text, uint32_t line, uint32_t column)
{
    enum { BEFORE_MAX = 60, SHOWN_MAX = 100 };
    for (; line > 1; line--) {
        const char *end = text.len ? memchr(text.data, '\n', text.len) : NULL;
        if (!end) return;
        size_t skipped = (size_t)(end - text.data) + 1;
        text = (struct bytes){ text.data + skipped, text.len - skipped };
    }
    if (line == 0 || column == 0 || !text.data) return;
    const char *end = text.len ? memchr(text.data, '\n', text.len) : NULL;
    if (end) text.len = (size_t)(end - text.data);
    if (text.len && text.data[text.len - 1] == '\r') text.len--;
    size_t hidden = column > BEFORE_MAX ? code_points(text, column - BEFORE_MAX) : 0;
    text = (struct bytes){ text.data + hidden, text.len - hidden };
    size_t before = code_points(text, MIN(column, (uint32_t)BEFORE_MAX) - 1);
    text.len = code_points(text, SHOWN_MAX);
    buf_add_text(ret, hidden ? "    …" : "    ");
    size_t begin = ret->len;
    term_text(ret, (struct bytes){ text.data, MIN(before, text.len) }, false);
    struct bytes shown = { ret->data + begin, ret->len - begin };
    size_t pad = term_columns(shown) + (hidden ? 5 : 4);
    if (before < text.len)
        term_text(ret, (struct bytes){ text.data + before, text.len - before }, false);
    buf_add_char(ret, '\n');
    for (; pad > 0; pad--) buf_add_char(ret, ' ');
    buf_add_text(ret, "^\n");
}

/* --- looks --- */

void term_styled(struct buf *ret, const struct term *t, enum term_style style, const char *text)
{
    static const char *const codes[] = {
        [TERM_PLAIN] = "",         [TERM_BOLD] = "\x1b[1m", [TERM_DIM] = "\x1b[2m",
        [TERM_GREEN] = "\x1b[32m", [TERM_RED] = "\x1b[31m", [TERM_YELLOW] = "\x1b[33m",
        [TERM_CYAN] = "\x1b[36m"
    };
    bool on = t->color && style != TERM_PLAIN;
    if (on) buf_add_text(ret, codes[style]);
    buf_add_text(ret, text);
    if (on) buf_add_text(ret, "\x1b[0m");
}

size_t term_columns(struct bytes text)
{
    size_t columns = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\x1b') {
            while (i < text.len && text.data[i] != 'm') i++;
            continue;
        }
        columns += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    }
    return columns;
}

void term_padded(struct buf *ret, const char *text, size_t columns)
{
    buf_add_text(ret, text);
    for (size_t n = term_columns(bytes_of(text)); n < columns; n++) buf_add_char(ret, ' ');
}

void term_clip(struct buf *b, size_t from, size_t columns)
{
    size_t seen = 0;
    bool escapes = false;
    for (size_t i = from; i < b->len; i++) {
        if (b->data[i] == '\x1b') {
            escapes = true;
            while (i < b->len && b->data[i] != 'm') i++;
            continue;
        }
        bool first = ((unsigned char)b->data[i] & 0xC0) != 0x80;
        if (!first || ++seen <= columns) continue;
        b->len = i;
        b->data[i] = '\0';
        if (escapes) buf_add_text(b, "\x1b[0m");
        return;
    }
}

void term_bar(struct buf *ret, size_t done, size_t total, size_t columns)
{
    size_t filled = total == 0 ? 0 : MIN(done, total) * columns / total;
    for (size_t i = 0; i < columns; i++) buf_add_text(ret, i < filled ? "━" : "─");
}

const char *term_spinner(uint64_t now_ms)
{
    static const char *const frames[] = { "⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏" };
    return frames[now_ms / 100 % ARRAY_LEN(frames)];
}

void term_duration(struct buf *ret, int64_t ms)
{
    if (ms < 0) ms = 0;
    int64_t s = ms / 1000;
    if (ms < 1000)
        buf_addf(ret, "%d ms", (int)ms);
    else if (s < 60)
        buf_addf(ret, "%d.%d s", (int)s, (int)(ms % 1000 / 100));
    else if (s < 3600)
        buf_addf(ret, "%d m %02d s", (int)(s / 60), (int)(s % 60));
    else
        buf_addf(ret, "%lld h %02d m", (long long)(s / 3600), (int)(s / 60 % 60));
}

/* --- values --- */

/* Appends text with every line moved right. Ends with a newline. */
static void indented(struct buf *ret, struct bytes text, size_t columns)
{
    while (text.len > 0 && text.data[text.len - 1] == '\n') text.len--;
    for (size_t i = 0; i <= text.len;) {
        const char *end = i < text.len ? memchr(text.data + i, '\n', text.len - i) : NULL;
        size_t len = end ? (size_t)(end - text.data) - i : text.len - i;
        for (size_t n = 0; len > 0 && n < columns; n++) buf_add_char(ret, ' ');
        buf_add(ret, text.data + i, len);
        buf_add_char(ret, '\n');
        i += len + 1;
    }
}

static void render(struct buf *ret, const json_t *value)
{
    if (json_is_string(value)) {
        struct bytes text = { .data = json_string_value(value), .len = json_string_length(value) };
        term_text(ret, text, true);
        return;
    }
    AUTO_FREE char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
    ASSERT(text);
    term_text(ret, bytes_of(text), true);
}

void term_value(struct buf *ret, const struct term *t, const json_t *value)
{
    if (!json_is_object(value) || json_object_size(value) == 0) {
        AUTO_BUF struct buf text = { 0 };
        render(&text, value);
        indented(ret, buf_bytes(&text), 0);
        return;
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member) {
        AUTO_BUF struct buf name = { 0 }, text = { 0 };
        term_text(&name, bytes_of(key), false);
        buf_add_char(&name, ':');
        render(&text, member);
        term_styled(ret, t, TERM_BOLD, name.data);
        bool one_line = !memchr(text.data ? text.data : "", '\n', text.len) &&
                        name.len + 1 + term_columns(buf_bytes(&text)) <= t->width;
        buf_add_char(ret, one_line ? ' ' : '\n');
        indented(ret, buf_bytes(&text), one_line ? 0 : 2);
    }
}
