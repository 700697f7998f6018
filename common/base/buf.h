/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes with a length, and a buffer that grows. Payloads travel as `struct bytes` views: whoever
 * hands one out says how long it lives. A buffer's data is always NUL-terminated behind len.
 */
#ifndef TUTTI_BUF_H
#define TUTTI_BUF_H

#include <string.h>

#include "common/base/base.h"

struct bytes {
    const char *data; /* may be NULL when len is 0 */
    size_t len;
};

#define BYTES_LIT(literal) ((struct bytes){ .data = (literal), .len = sizeof(literal) - 1 })

static inline struct bytes bytes_of(const char *text)
{
    return (struct bytes){ .data = text, .len = text ? strlen(text) : 0 };
}
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
static inline bool bytes_is(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_of(text));
}

struct buf {
    char *data; /* owned; NULL while nothing was added */
    size_t len, cap;
};

/* Releases the memory and leaves an empty buffer. */
void buf_done(struct buf *b);
#define AUTO_BUF CLEANUP(buf_done)

/* Room for `more` further bytes (and the NUL). */
void buf_reserve(struct buf *b, size_t more);
static inline void buf_reset(struct buf *b)
{
    b->len = 0;
    if (b->data) b->data[0] = '\0';
}
void buf_add(struct buf *b, const void *data, size_t len);
void buf_add_text(struct buf *b, const char *text);
static inline void buf_add_char(struct buf *b, char c)
{
    if (b->len + 1 >= b->cap) buf_reserve(b, 1);
    b->data[b->len++] = c;
    b->data[b->len] = '\0';
}
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Decimal digits, faster than buf_addf. */
void buf_add_int(struct buf *b, int64_t value);
/* A JSON string with quotes, of text that must be valid UTF-8. */
void buf_add_json_string(struct buf *b, const char *text, size_t len);
/* Hands the bytes over to the caller (free()); the buffer is empty afterwards. ret_len may be NULL.
 */
char *buf_take(struct buf *b, size_t *ret_len);
/* The buffer; b is empty afterwards. */
static inline struct buf buf_move(struct buf *b)
{
    struct buf moved = *b;
    *b = (struct buf){ 0 };
    return moved;
}
static inline struct bytes buf_bytes(const struct buf *b)
{
    return (struct bytes){ .data = b->data, .len = b->len };
}

#endif
