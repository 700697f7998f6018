/* SPDX-License-Identifier: Apache-2.0
 *
 * The lexer: tokens as in the section "Syntax" of cel-spec's langdef.md. It looks no further than
 * one token ahead and copies nothing; strings are decoded when the parser wants them.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cel/internal.h"

bool source_fail(struct bytes source, size_t offset, struct err *e)
{
    size_t line = 1, start = 0;
    for (size_t i = 0; i < offset && i < source.len; i++) {
        if (source.data[i] != '\n') continue;
        line++;
        start = i + 1;
    }
    size_t end = MIN(offset, source.len);
    size_t column = end > start ? utf8_count(source.data + start, end - start) : 0;
    return err_prefix(e, "%zu:%zu", line, column + 1);
}

int shown_len(struct bytes text)
{
    enum { SHOWN_MAX = 80 };
    size_t len = text.len;
    if (len <= SHOWN_MAX) return (int)len;
    for (len = SHOWN_MAX; len > 0 && ((unsigned char)text.data[len] & 0xC0) == 0x80;) len--;
    return (int)len;
}

bool lex_fail(struct lexer *l, size_t offset, enum err_kind kind, const char *fmt, ...)
{
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    l->fault = offset;
    err_fail(l->e, kind, "%s", text);
    return source_fail(l->source, offset, l->e);
}

static int at(const struct lexer *l, size_t ahead)
{
    return l->pos + ahead < l->source.len ? (unsigned char)l->source.data[l->pos + ahead] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}
static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static int hex_value(int c)
{
    if (is_digit(c)) return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool lex_is_reserved(struct bytes name)
{
    static const char *const reserved[] = {
        "as",  "break", "const",   "continue",  "else",   "for", "function", "if",    "import",
        "let", "loop",  "package", "namespace", "return", "var", "void",     "while",
    };
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        if (bytes_is(name, reserved[i])) return true;
    return false;
}

static void skip_space(struct lexer *l)
{
    for (;;) {
        int c = at(l, 0);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f')
            l->pos++;
        else if (c == '/' && at(l, 1) == '/')
            while (at(l, 0) >= 0 && at(l, 0) != '\n') l->pos++;
        else
            return;
    }
}

/* --- numbers --- */

static bool lex_hex(struct lexer *l)
{
    struct token *t = &l->token;
    size_t digits = l->pos += 2;
    for (int v; (v = hex_value(at(l, 0))) >= 0; l->pos++) {
        if (t->magnitude > UINT64_MAX >> 4)
            return lex_fail(l, t->offset, ERR_INVALID, "the integer does not fit 64 bits");
        t->magnitude = t->magnitude << 4 | (uint64_t)v;
    }
    if (l->pos == digits) return lex_fail(l, t->offset, ERR_INVALID, "digits must follow 0x");
    return true;
}

static bool lex_decimal(struct lexer *l)
{
    struct token *t = &l->token;
    for (; is_digit(at(l, 0)); l->pos++) {
        uint64_t digit = (uint64_t)(at(l, 0) - '0');
        if (__builtin_mul_overflow(t->magnitude, 10u, &t->magnitude) ||
            __builtin_add_overflow(t->magnitude, digit, &t->magnitude))
            return lex_fail(l, t->offset, ERR_INVALID, "the integer does not fit 64 bits");
    }
    return true;
}

static bool lex_double(struct lexer *l, size_t from)
{
    struct token *t = &l->token;
    char text[400];
    size_t len = l->pos - from;
    if (len >= sizeof text) return lex_fail(l, t->offset, ERR_INVALID, "the number is too long");
    memcpy(text, l->source.data + from, len);
    text[len] = '\0';
    t->kind = TOKEN_DOUBLE;
    t->number = strtod(text, NULL);
    if (!isfinite(t->number))
        return lex_fail(l, t->offset, ERR_INVALID, "the number is beyond the range of a double");
    return true;
}

/* Whether an exponent begins `ahead` bytes from here; *ret_len: of the e and the sign. */
static bool sees_exponent(const struct lexer *l, size_t *ret_len)
{
    if (at(l, 0) != 'e' && at(l, 0) != 'E') return false;
    *ret_len = at(l, 1) == '+' || at(l, 1) == '-' ? 2 : 1;
    return is_digit(at(l, *ret_len));
}

static bool lex_number(struct lexer *l)
{
    struct token *t = &l->token;
    size_t from = l->pos, mark;
    t->kind = TOKEN_INT;
    if (at(l, 0) == '0' && (at(l, 1) == 'x' || at(l, 1) == 'X')) {
        if (!lex_hex(l)) return false;
    } else {
        bool real = false;
        while (is_digit(at(l, 0))) l->pos++;
        if (at(l, 0) == '.' && is_digit(at(l, 1))) {
            real = true;
            for (l->pos++; is_digit(at(l, 0));) l->pos++;
        }
        if (sees_exponent(l, &mark)) {
            real = true;
            for (l->pos += mark; is_digit(at(l, 0));) l->pos++;
        }
        if (real) {
            if (!lex_double(l, from)) return false;
        } else {
            l->pos = from;
            if (!lex_decimal(l)) return false;
        }
    }
    if (t->kind == TOKEN_INT && (at(l, 0) == 'u' || at(l, 0) == 'U')) {
        l->pos++;
        t->kind = TOKEN_UINT;
    }
    if (t->kind == TOKEN_INT && t->magnitude > (uint64_t)INT64_MAX + 1)
        return lex_fail(l, t->offset, ERR_INVALID, "the integer does not fit 64 bits");
    if (is_letter(at(l, 0)) || is_digit(at(l, 0)))
        return lex_fail(l, l->pos, ERR_INVALID, "a number ends here, but a letter follows");
    return true;
}

/* --- strings --- */

static bool lex_quotes(struct lexer *l, bool raw, bool bytes)
{
    struct token *t = &l->token;
    int quote = at(l, 0);
    size_t width = at(l, 1) == quote && at(l, 2) == quote ? 3 : 1;
    t->kind = TOKEN_STRING;
    t->raw = raw;
    t->bytes = bytes;
    size_t from = l->pos += width;
    for (;; l->pos++) {
        int c = at(l, 0);
        if (c < 0 || (width == 1 && (c == '\n' || c == '\r')))
            return lex_fail(l, t->offset, ERR_INVALID, "the string is not closed");
        if (c == '\\' && !raw) {
            l->pos++;
            if (at(l, 0) < 0)
                return lex_fail(l, t->offset, ERR_INVALID, "the string is not closed");
        } else if (c == quote && (width == 1 || (at(l, 1) == quote && at(l, 2) == quote))) {
            break;
        }
    }
    t->text = (struct bytes){ l->source.data + from, l->pos - from };
    l->pos += width;
    return true;
}

void utf8_add(struct buf *b, uint32_t c)
{
    if (c < 0x80) {
        buf_add_char(b, (char)c);
    } else if (c < 0x800) {
        buf_add_char(b, (char)(0xC0 | c >> 6));
        buf_add_char(b, (char)(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
        buf_add_char(b, (char)(0xE0 | c >> 12));
        buf_add_char(b, (char)(0x80 | (c >> 6 & 0x3F)));
        buf_add_char(b, (char)(0x80 | (c & 0x3F)));
    } else {
        buf_add_char(b, (char)(0xF0 | c >> 18));
        buf_add_char(b, (char)(0x80 | (c >> 12 & 0x3F)));
        buf_add_char(b, (char)(0x80 | (c >> 6 & 0x3F)));
        buf_add_char(b, (char)(0x80 | (c & 0x3F)));
    }
}

/* The code point of a numeric escape: `digits` digits of the base at text[i]. */
static bool escape_number(struct bytes text, size_t i, size_t digits, uint32_t base, uint32_t *ret)
{
    if (text.len - i < digits) return false;
    uint32_t v = 0;
    for (size_t k = 0; k < digits; k++) {
        int d = hex_value((unsigned char)text.data[i + k]);
        if (d < 0 || (uint32_t)d >= base) return false;
        v = v * base + (uint32_t)d;
    }
    *ret = v;
    return true;
}

/* Decodes the escape after the backslash at text[i - 1]; *ret_used: how many bytes it has. Of bytes
 * \x and octal escapes are bytes, and \u is none. */
static bool lex_escape(struct lexer *l, const struct token *t, size_t i, size_t *ret_used,
                       struct buf *ret)
{
    static const char from[] = "abfnrtv\\?\"'`", to[] = "\a\b\f\n\r\t\v\\?\"'`";
    struct bytes text = t->text;
    size_t fault = (size_t)(text.data - l->source.data) + i - 1;
    char c = text.data[i];
    const char *simple = c ? strchr(from, c) : NULL;
    if (simple) {
        buf_add_char(ret, to[simple - from]);
        *ret_used = 1;
        return true;
    }
    uint32_t code;
    bool ok;
    switch (c) {
    case 'x':
    case 'X': ok = escape_number(text, i + 1, *ret_used = 2, 16, &code); break;
    case 'u':
    case 'U':
        if (t->bytes) return lex_fail(l, fault, ERR_INVALID, "bytes have no \\u escapes");
        ok = escape_number(text, i + 1, *ret_used = c == 'u' ? 4 : 8, 16, &code);
        break;
    case '0':
    case '1':
    case '2':
    case '3':
        ok = escape_number(text, i, 3, 8, &code);
        *ret_used = 2; /* and the first digit, below */
        break;
    default: return lex_fail(l, fault, ERR_INVALID, "unknown escape in a string");
    }
    if (!ok) return lex_fail(l, fault, ERR_INVALID, "the escape has too few digits");
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return lex_fail(l, fault, ERR_INVALID, "the escape is no Unicode character");
    ++*ret_used;
    if (t->bytes)
        buf_add_char(ret, (char)code);
    else
        utf8_add(ret, code);
    return true;
}

bool lex_string(struct lexer *l, const struct token *t, struct buf *ret)
{
    for (size_t i = 0; i < t->text.len; i++) {
        char c = t->text.data[i];
        if (c == '\r' && !t->raw) { /* a line break of a triple-quoted string is \n */
            if (i + 1 == t->text.len || t->text.data[i + 1] != '\n') buf_add_char(ret, '\n');
        } else if (c != '\\' || t->raw) {
            buf_add_char(ret, c);
        } else {
            size_t used = 0;
            if (!lex_escape(l, t, i + 1, &used, ret)) return false;
            i += used;
        }
    }
    return true;
}

/* --- words and signs --- */

/* Names are looked up again and again, so that their length is part of what a look-up costs. */
static bool check_name(struct lexer *l)
{
    enum { NAME_MAX_BYTES = 256 };
    if (l->token.text.len <= NAME_MAX_BYTES) return true;
    return lex_fail(l, l->token.offset, ERR_LIMIT, "a name is longer than %d bytes",
                    NAME_MAX_BYTES);
}

static bool lex_word(struct lexer *l)
{
    struct token *t = &l->token;
    size_t from = l->pos;
    while (is_letter(at(l, 0)) || is_digit(at(l, 0))) l->pos++;
    t->text = (struct bytes){ l->source.data + from, l->pos - from };
    t->kind = TOKEN_IDENT;
    if ((at(l, 0) == '"' || at(l, 0) == '\'') && t->text.len <= 2) {
        bool raw = memchr(t->text.data, 'r', t->text.len) || memchr(t->text.data, 'R', t->text.len);
        bool bytes =
            memchr(t->text.data, 'b', t->text.len) || memchr(t->text.data, 'B', t->text.len);
        if ((size_t)raw + bytes == t->text.len) return lex_quotes(l, raw, bytes);
    }
    static const struct {
        const char *text;
        enum token_kind kind;
    } keywords[] = {
        { "true", TOKEN_TRUE }, { "false", TOKEN_FALSE }, { "null", TOKEN_NULL }, { "in", TOKEN_IN }
    };
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (bytes_is(t->text, keywords[i].text)) t->kind = keywords[i].kind;
    return check_name(l);
}

/* `name`: letters, digits and _ - . / and space, as the specification lists them. */
static bool lex_quoted_name(struct lexer *l)
{
    struct token *t = &l->token;
    size_t from = ++l->pos;
    while (is_letter(at(l, 0)) || is_digit(at(l, 0)) || (at(l, 0) > 0 && strchr("-./ ", at(l, 0))))
        l->pos++;
    if (at(l, 0) != '`' || l->pos == from)
        return lex_fail(l, t->offset, ERR_INVALID,
                        "a name in backquotes has letters, digits, space and _ - . / only");
    t->kind = TOKEN_QUOTED;
    t->text = (struct bytes){ l->source.data + from, l->pos - from };
    l->pos++;
    return check_name(l);
}

bool lex_next(struct lexer *l)
{
    static const struct {
        char text[3];
        enum token_kind kind;
    } pairs[] = {
        { "&&", TOKEN_AND }, { "||", TOKEN_OR }, { "==", TOKEN_EQ },
        { "!=", TOKEN_NE },  { "<=", TOKEN_LE }, { ">=", TOKEN_GE },
    };
    skip_space(l);
    struct token *t = &l->token;
    *t = (struct token){ .kind = TOKEN_END, .offset = (uint32_t)l->pos };
    int c = at(l, 0);
    if (c < 0) return true;
    if (is_digit(c) || (c == '.' && is_digit(at(l, 1)))) return lex_number(l);
    if (is_letter(c)) return lex_word(l);
    if (c == '"' || c == '\'') return lex_quotes(l, false, false);
    if (c == '`') return lex_quoted_name(l);
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        if (c != pairs[i].text[0] || at(l, 1) != pairs[i].text[1]) continue;
        t->kind = pairs[i].kind;
        l->pos += 2;
        return true;
    }
    if (c == 0 || !strchr("()[]{}.,?:+-*/%!<>", c))
        return lex_fail(l, l->pos, ERR_INVALID, "unexpected character");
    t->kind = TOKEN_CHAR;
    t->c = (char)c;
    l->pos++;
    return true;
}
