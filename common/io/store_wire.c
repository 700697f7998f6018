/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands as bytes, replies as views, scripts as values: what of store.h needs no connection. */
#include "common/io/store_wire.h"

#include <hiredis.h>

#include "common/base/hash.h"

#define NUMBER_MAX 24 /* sigil, 20 digits, CR LF */

/* sigil, decimal digits, CR LF; returns the end. */
static char *put_number(char *to, char sigil, size_t value)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    *to++ = sigil;
    while (n > 0) *to++ = digits[--n];
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

void wire_head(struct buf *b, size_t count)
{
    buf_reserve(b, NUMBER_MAX);
    char *end = put_number(b->data + b->len, '*', count);
    *end = '\0';
    b->len = (size_t)(end - b->data);
}

void wire_words(struct buf *b, const struct bytes *words, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += words[i].len + NUMBER_MAX + 2;
    buf_reserve(b, bytes);
    char *to = b->data + b->len;
    for (size_t i = 0; i < count; i++) {
        to = put_number(to, '$', words[i].len);
        if (words[i].len) memcpy(to, words[i].data, words[i].len);
        to += words[i].len;
        *to++ = '\r';
        *to++ = '\n';
    }
    *to = '\0';
    b->len = (size_t)(to - b->data);
}

size_t wire_size(const struct store_commands *commands)
{
    size_t bytes = 64, word = 0;
    for (size_t i = 0; i < commands->count; i++) {
        bytes += NUMBER_MAX;
        for (size_t end = word + commands->lengths[i]; word < end; word++)
            bytes += commands->words[word].len + NUMBER_MAX + 2;
    }
    return bytes;
}

/* --- replies: struct store_reply is hiredis' redisReply under another name --- */

static const redisReply *raw(const struct store_reply *r)
{
    return (const redisReply *)(const void *)r;
}

enum store_type store_type(const struct store_reply *r)
{
    if (!r) return STORE_NIL;
    switch (raw(r)->type) {
    case REDIS_REPLY_INTEGER: return STORE_INTEGER;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS: return STORE_STRING;
    case REDIS_REPLY_ARRAY: return STORE_ARRAY;
    case REDIS_REPLY_ERROR: return STORE_ERROR_TEXT;
    default: return STORE_NIL;
    }
}

/* Decimal digits with an optional minus, within 64 bits; 0 for anything else. */
static int64_t integer_of(const char *text, size_t len)
{
    bool minus = len > 0 && text[0] == '-';
    int64_t value = 0;
    if (len == (minus ? 1 : 0)) return 0;
    for (size_t i = minus ? 1 : 0; i < len; i++) {
        int digit = text[i] - '0';
        if (digit < 0 || digit > 9) return 0;
        if (__builtin_mul_overflow(value, 10, &value)) return 0;
        /* Counted downwards for negative numbers, because INT64_MIN has no positive twin. */
        if (__builtin_add_overflow(value, minus ? -digit : digit, &value)) return 0;
    }
    return value;
}

int64_t store_integer(const struct store_reply *r)
{
    if (store_type(r) == STORE_INTEGER) return raw(r)->integer;
    if (store_type(r) == STORE_STRING) return integer_of(raw(r)->str, raw(r)->len);
    return 0;
}

struct bytes store_string(const struct store_reply *r)
{
    enum store_type type = store_type(r);
    if (type != STORE_STRING && type != STORE_ERROR_TEXT) return (struct bytes){ 0 };
    return (struct bytes){ .data = raw(r)->str, .len = raw(r)->len };
}

size_t store_count(const struct store_reply *r)
{
    return store_type(r) == STORE_ARRAY ? raw(r)->elements : 0;
}

const struct store_reply *store_at(const struct store_reply *r, size_t i)
{
    if (i >= store_count(r)) return NULL;
    return (const struct store_reply *)(const void *)raw(r)->element[i];
}

struct script script_make(const char *name, const char *source)
{
    struct script script = { .name = name, .source = source };
    sha1_hex(bytes_of(source), script.sha1);
    return script;
}
