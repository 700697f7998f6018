/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){ 0 };
}

void buf_reserve(struct buf *b, size_t more)
{
    size_t need = b->len + more + 1;
    if (need <= b->cap) return;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need) cap *= 2;
    b->data = xrealloc(b->data, cap);
    b->cap = cap;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    if (b->len + len + 1 > b->cap) buf_reserve(b, len);
    if (len) memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_add_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    ASSERT(n >= 0);
    buf_reserve(b, (size_t)n);
    va_start(args, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
}

void buf_add_int(struct buf *b, int64_t value)
{
    if (value >= 0 && value <= 9) {
        buf_add_char(b, (char)('0' + value));
        return;
    }
    char digits[24];
    char *p = digits + sizeof digits;
    uint64_t u = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do *--p = (char)('0' + u % 10);
    while (u /= 10);
    if (value < 0) *--p = '-';
    buf_add(b, p, (size_t)(digits + sizeof digits - p));
}

void buf_add_json_string(struct buf *b, const char *text, size_t len)
{
    buf_reserve(b, len + 2);
    buf_add_char(b, '"');
    size_t plain = 0; /* start of the run that needs no escape */
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        buf_add(b, text + plain, i - plain);
        plain = i + 1;
        switch (c) {
        case '"': buf_add_text(b, "\\\""); break;
        case '\\': buf_add_text(b, "\\\\"); break;
        case '\n': buf_add_text(b, "\\n"); break;
        case '\r': buf_add_text(b, "\\r"); break;
        case '\t': buf_add_text(b, "\\t"); break;
        default: buf_addf(b, "\\u%04x", c);
        }
    }
    buf_add(b, text + plain, len - plain);
    buf_add_char(b, '"');
}

char *buf_take(struct buf *b, size_t *ret_len)
{
    buf_reserve(b, 0);
    b->data[b->len] = '\0';
    if (ret_len) *ret_len = b->len;
    char *data = b->data;
    *b = (struct buf){ 0 };
    return data;
}
