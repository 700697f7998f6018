/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON as the product means it: jansson for values, and a scanner that checks opaque bytes without
 * building anything. Integers are 64-bit, larger ones and NUL characters are refused, depth and
 * size are bounded by limits.h.
 */
#ifndef TUTTI_JSON_H
#define TUTTI_JSON_H

#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/err.h"

DEFINE_CLEANUP(json_t *, json_decref)
#define AUTO_JSON CLEANUP(json_decref_p) json_t

/* Parses any JSON value (scalars too). Returns a new reference, or NULL with e saying line, column
 * and what is wrong. Duplicate keys, NUL characters and integers beyond 64 bits are errors
 * (ERR_INVALID). */
MUST_CHECK json_t *json_parse(struct bytes text, struct err *e);

/* Appends the compact encoding (keys in stored order). sorted: keys in byte order (the canonical
 * form). */
void json_write(struct buf *b, const json_t *value);
void json_write_sorted(struct buf *b, const json_t *value);

/* Whether the bytes are one well-formed JSON value that json_parse would accept (duplicate keys
 * apart), with valid UTF-8. Allocates nothing. */
bool json_check(struct bytes text);

/* The string at key, or NULL where it is absent or no string. Borrowed. */
const char *json_text(const json_t *object, const char *key);
/* The integer at key, or fallback where it is absent or no integer. */
int64_t json_int(const json_t *object, const char *key, int64_t fallback);

/* Equality as JSON Schema and CEL mean it: 1 equals 1.0, objects regardless of order. */
bool json_same(const json_t *a, const json_t *b);

/* Appends "/key" as a segment of a JSON pointer (RFC 6901: ~ is ~0, / is ~1). */
void json_pointer_add(struct buf *b, const char *key);

/* Whether the bytes are valid UTF-8 (no surrogates, no overlong forms). */
bool utf8_check(const char *text, size_t len);
/* Number of code points of valid UTF-8. */
size_t utf8_count(const char *text, size_t len);

#endif
