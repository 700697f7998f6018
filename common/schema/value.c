/* SPDX-License-Identifier: Apache-2.0 */
#include "common/schema/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/hash.h"

enum schema_type value_type(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL: return TYPE_NULL;
    case JSON_TRUE:
    case JSON_FALSE: return TYPE_BOOLEAN;
    case JSON_INTEGER: return TYPE_INTEGER;
    case JSON_REAL: {
        /* A number with a zero fractional part is an integer (Validation, section 6.1.1). */
        double r = json_real_value(value);
        return trunc(r) == r ? TYPE_INTEGER : TYPE_NUMBER;
    }
    case JSON_STRING: return TYPE_STRING;
    case JSON_ARRAY: return TYPE_ARRAY;
    case JSON_OBJECT: break;
    }
    return TYPE_OBJECT;
}

/* --- numbers --- */

/* An integer and a double; no conversion of either loses anything. */
static int order_mixed(json_int_t i, double d)
{
    if (d >= 0x1p63) return -1;
    if (d < -0x1p63) return 1;
    double whole = floor(d);
    json_int_t w = (json_int_t)whole;
    if (i != w) return i < w ? -1 : 1;
    return d > whole ? -1 : 0;
}

int number_order(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return x < y ? -1 : x > y;
    }
    if (json_is_integer(a)) return order_mixed(json_integer_value(a), json_real_value(b));
    if (json_is_integer(b)) return -order_mixed(json_integer_value(b), json_real_value(a));
    double x = json_real_value(a), y = json_real_value(b);
    return x < y ? -1 : x > y;
}

/* How many digits name this double and no other: 17 always do. */
static int digits_of(double real)
{
    char text[40];
    for (int digits = 15; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, real);
        if (strtod(text, NULL) == real) return digits;
    }
    return 17;
}

struct decimal decimal_of(const json_t *number)
{
    struct decimal d = { 0 };
    if (json_is_integer(number)) {
        json_int_t i = json_integer_value(number);
        d.digits = i < 0 ? -(uint64_t)i : (uint64_t)i;
        return d;
    }
    double real = fabs(json_real_value(number));
    if (real < 0x1p53 && real == floor(real)) {
        d.digits = (uint64_t)real;
        return d;
    }
    char text[40]; /* "D.DDDe+XX" */
    snprintf(text, sizeof text, "%.*e", digits_of(real) - 1, real);
    const char *p = text;
    for (; *p && *p != 'e'; p++) {
        if (*p < '0' || *p > '9') continue;
        d.digits = d.digits * 10 + (uint64_t)(*p - '0');
        d.exponent--;
    }
    d.exponent += 1 + (*p ? (int)strtol(p + 1, NULL, 10) : 0);
    while (d.digits && d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    return d;
}

static uint64_t multiply_mod(uint64_t a, uint64_t b, uint64_t m)
{
    return (uint64_t)((unsigned __int128)a * b % m);
}

bool decimal_multiple(struct decimal a, struct decimal b)
{
    if (a.digits == 0) return true;
    int shift = a.exponent - b.exponent;
    if (shift >= 0) {
        /* a.digits * 10^shift mod b.digits, by squaring. */
        uint64_t rest = a.digits % b.digits, power = 10 % b.digits;
        for (; shift && rest; shift >>= 1) {
            if (shift & 1) rest = multiply_mod(rest, power, b.digits);
            power = multiply_mod(power, power, b.digits);
        }
        return rest == 0;
    }
    /* a.digits mod b.digits * 10^-shift; once that is above a, a is no multiple. */
    unsigned __int128 divisor = b.digits;
    for (; shift < 0; shift++) {
        divisor *= 10;
        if (divisor > a.digits) return false;
    }
    return a.digits % (uint64_t)divisor == 0;
}

/* --- hashes --- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    /* The finalizer of splitmix64 (Steele, Lea, Flood 2014). */
    h += 0x9E3779B97F4A7C15u + v;
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9u;
    h = (h ^ h >> 27) * 0x94D049BB133111EBu;
    return h ^ h >> 31;
}

/* Numbers go by their double, members in any order. */
uint64_t value_hash(const json_t *value, uint64_t *size)
{
    ++*size;
    uint64_t h = mix(0, (uint64_t)json_typeof(value));
    if (json_is_number(value)) {
        double d = json_number_value(value) + 0.0; /* -0.0 becomes 0.0 */
        uint64_t bits;
        memcpy(&bits, &d, sizeof bits);
        return mix(1, bits);
    }
    if (json_is_string(value)) {
        struct bytes text = { json_string_value(value), json_string_length(value) };
        *size += text.len / 64;
        return mix(h, hash_bytes(text));
    }
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++)
            h = mix(h, value_hash(json_array_get(value, i), size));
    } else if (json_is_object(value)) {
        const char *key;
        json_t *inner;
        uint64_t sum = 0;
        json_object_foreach((json_t *)value, key, inner)
            sum += mix(hash_bytes(bytes_of(key)), value_hash(inner, size));
        h = mix(h, sum);
    }
    return h;
}

size_t value_size(const json_t *value)
{
    uint64_t size = 0;
    (void)value_hash(value, &size);
    return size;
}

static int by_hash(const void *a_, const void *b_)
{
    const struct hashed *a = a_, *b = b_;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

struct hashed *values_by_hash(const json_t *array, uint64_t *size)
{
    size_t count = json_array_size(array);
    struct hashed *list = xcalloc(count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        list[i] = (struct hashed){ .hash = value_hash(item, size), .value = item, .index = i };
    }
    qsort(list, count, sizeof *list, by_hash);
    return list;
}

/* --- text --- */

/* Ends the dump: there is text enough. */
static int sample_chunk(const char *data, size_t len, void *user)
{
    struct buf *b = user;
    buf_add(b, data, MIN(len, (size_t)1024));
    return b->len > 1024 ? -1 : 0;
}

void value_sample(const json_t *value, char *ret, size_t room)
{
    AUTO_BUF struct buf b = { 0 };
    if (json_is_real(value)) {
        double real = json_real_value(value);
        snprintf(ret, room, "%.*g", digits_of(real), real);
        return;
    }
    (void)json_dump_callback(value, sample_chunk, &b, JSON_COMPACT | JSON_ENCODE_ANY);
    if (b.len < room) {
        memcpy(ret, b.data, b.len + 1);
        return;
    }
    size_t len = room - 4;
    while (len > 0 && ((unsigned char)b.data[len] & 0xC0) == 0x80) len--;
    memcpy(ret, b.data, len);
    memcpy(ret + len, "...", 4);
}
