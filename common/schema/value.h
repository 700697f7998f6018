/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as JSON Schema sees them: their types, the order of numbers, multiples, and hashes under
 * which equal values are equal.
 */
#ifndef TUTTI_SCHEMA_VALUE_H
#define TUTTI_SCHEMA_VALUE_H

#include "common/base/json.h"

/* X(enumerator, keyword text, with its article): the types of JSON Schema, in bit order. */
#define SCHEMA_TYPES(X)                 \
    X(NULL, "null", "null")             \
    X(BOOLEAN, "boolean", "a boolean")  \
    X(INTEGER, "integer", "an integer") \
    X(NUMBER, "number", "a number")     \
    X(STRING, "string", "a string")     \
    X(ARRAY, "array", "an array")       \
    X(OBJECT, "object", "an object")

enum schema_type {
#define X(name, text, noun) TYPE_##name,
    SCHEMA_TYPES(X)
#undef X
        TYPE_COUNT
};

/* The type; a number with a zero fraction is an integer however it is written. */
enum schema_type value_type(const json_t *value);

/* Below, equal or above zero: the order of two numbers, exact. */
int number_order(const json_t *a, const json_t *b);

/* digits * 10^exponent, the number that the shortest text of a double names: 0.0075 is what the
 * author wrote and not what the double holds. */
struct decimal {
    uint64_t digits; /* of the absolute value; below 2^63 + 1 */
    int exponent;
};
struct decimal decimal_of(const json_t *number);
/* Whether a is a whole multiple of b, which is not 0. Exact. */
bool decimal_multiple(struct decimal a, struct decimal b);

struct hashed {
    uint64_t hash;
    const json_t *value;
    size_t index;
};
/* Equal under json_same means equal here. Adds the number of values in it to *size. */
uint64_t value_hash(const json_t *value, uint64_t *size);
/* The number of values in it, itself included, and its strings' 64 bytes. */
size_t value_size(const json_t *value);
/* The items of an array, sorted by hash, then index; free(). */
struct hashed *values_by_hash(const json_t *array, uint64_t *size);

/* A value as text for people, cut where it gets long (never inside a character). */
void value_sample(const json_t *value, char *ret, size_t room);

#endif
