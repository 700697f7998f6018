/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a value is what a compiled schema says. The path to the place at hand is a list on the
 * stack; it becomes a JSON pointer only where a check fails. The first fault ends the check.
 */
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/hash.h"
#include "common/schema/node.h"

struct place {
    const struct place *up;
    const char *key; /* NULL: index */
    size_t index;
};

static const struct {
    const char *text, *noun;
} types[] = {
#define X(name, text_, noun_) [TYPE_##name] = { .text = text_, .noun = noun_ },
    SCHEMA_TYPES(X)
#undef X
};
static_assert(ARRAY_LEN(types) == TYPE_COUNT, "every type needs a name");

static void pointer_add(struct buf *b, const struct place *place)
{
    if (!place) return;
    pointer_add(b, place->up);
    buf_add_char(b, '/');
    if (!place->key) {
        buf_add_int(b, (int64_t)place->index);
        return;
    }
    for (const char *p = place->key; *p; p++) {
        if (*p == '~')
            buf_add_text(b, "~0");
        else if (*p == '/')
            buf_add_text(b, "~1");
        else
            buf_add_char(b, *p);
    }
}

static bool fail(const struct place *place, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);
static bool fail(const struct place *place, struct err *e, const char *fmt, ...)
{
    CLEANUP(buf_done) struct buf pointer = { 0 };
    pointer_add(&pointer, place);
    char text[sizeof e->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_fail(e, ERR_INVALID, "%s: %s", pointer.len ? pointer.data : "the value", text);
}

/* A value as text for people, cut where it gets long (never inside a character). */
static void sample(const json_t *value, char *ret, size_t room)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    json_write(&b, value);
    if (b.len < room) {
        memcpy(ret, b.data, b.len + 1);
        return;
    }
    size_t len = room - 4;
    while (len > 0 && ((unsigned char)b.data[len] & 0xC0) == 0x80) len--;
    memcpy(ret, b.data, len);
    memcpy(ret + len, "...", 4);
}

static enum schema_type type_of(const json_t *value)
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

static bool check_type(const struct schema *s, const json_t *value, const struct place *place,
                       struct err *e)
{
    enum schema_type type = type_of(value);
    unsigned is = 1u << type;
    if (type == TYPE_INTEGER) is |= 1u << TYPE_NUMBER;
    if (!s->types || (s->types & is)) return true;
    CLEANUP(buf_done) struct buf want = { 0 };
    for (unsigned i = 0; i < TYPE_COUNT; i++) {
        if (!(s->types & 1u << i)) continue;
        if (want.len) buf_add_text(&want, " or ");
        buf_add_text(&want, types[i].noun);
    }
    return fail(place, e, "expected %s, found %s", want.data, types[type].noun);
}

static bool check_values(const struct schema *s, const json_t *value, const struct place *place,
                         struct err *e)
{
    char found[80], want[160];
    if (s->constant && !json_same(s->constant, value)) {
        sample(value, found, sizeof found);
        sample(s->constant, want, sizeof want);
        return fail(place, e, "expected %s, found %s", want, found);
    }
    if (!s->enums) return true;
    for (size_t i = 0; i < json_array_size(s->enums); i++)
        if (json_same(json_array_get(s->enums, i), value)) return true;
    sample(value, found, sizeof found);
    sample(s->enums, want, sizeof want);
    return fail(place, e, "expected one of %s, found %s", want, found);
}

/* The order of two numbers. long double holds every int64 and every double exactly where it has a
 * 64-bit mantissa; two integers are compared as such everywhere. */
static int number_order(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return x < y ? -1 : x > y;
    }
    long double x =
        json_is_integer(a) ? (long double)json_integer_value(a) : (long double)json_real_value(a);
    long double y =
        json_is_integer(b) ? (long double)json_integer_value(b) : (long double)json_real_value(b);
    return x < y ? -1 : x > y;
}

static bool check_number(const struct schema *s, const json_t *value, const struct place *place,
                         struct err *e)
{
    const struct {
        const json_t *bound;
        const char *text;
        bool ok;
    } bounds[] = {
        { s->minimum, "at least", s->minimum && number_order(value, s->minimum) >= 0 },
        { s->maximum, "at most", s->maximum && number_order(value, s->maximum) <= 0 },
        { s->exclusive_minimum, "above",
          s->exclusive_minimum && number_order(value, s->exclusive_minimum) > 0 },
        { s->exclusive_maximum, "below",
          s->exclusive_maximum && number_order(value, s->exclusive_maximum) < 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        if (!bounds[i].bound || bounds[i].ok) continue;
        char found[40], want[40];
        sample(value, found, sizeof found);
        sample(bounds[i].bound, want, sizeof want);
        return fail(place, e, "expected a number %s %s, found %s", bounds[i].text, want, found);
    }
    return true;
}

static bool check_string(const struct schema *s, const json_t *value, const struct place *place,
                         struct err *e)
{
    if (s->min_length == 0 && s->max_length == SIZE_MAX) return true;
    size_t count = utf8_count(json_string_value(value), json_string_length(value));
    if (count < s->min_length)
        return fail(place, e, "expected a string of at least %zu character%s, found %zu",
                    s->min_length, s->min_length == 1 ? "" : "s", count);
    if (count > s->max_length)
        return fail(place, e, "expected a string of at most %zu character%s, found %zu",
                    s->max_length, s->max_length == 1 ? "" : "s", count);
    return true;
}

/* --- uniqueItems --- */

struct item {
    uint64_t hash;
    const json_t *value;
    size_t index;
};

static uint64_t mix(uint64_t h, uint64_t v)
{
    /* The finalizer of splitmix64 (Steele, Lea, Flood 2014). */
    h += 0x9E3779B97F4A7C15u + v;
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9u;
    h = (h ^ h >> 27) * 0x94D049BB133111EBu;
    return h ^ h >> 31;
}

/* Equal under json_same means equal here: numbers go by their double, members in any order. */
static uint64_t value_hash(const json_t *value)
{
    uint64_t h = mix(0, (uint64_t)json_typeof(value));
    if (json_is_number(value)) {
        double d = json_number_value(value) + 0.0; /* -0.0 becomes 0.0 */
        uint64_t bits;
        memcpy(&bits, &d, sizeof bits);
        return mix(1, bits);
    }
    if (json_is_string(value))
        return mix(
            h, hash_bytes((struct bytes){ json_string_value(value), json_string_length(value) }));
    if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++)
            h = mix(h, value_hash(json_array_get(value, i)));
    } else if (json_is_object(value)) {
        const char *key;
        json_t *inner;
        uint64_t sum = 0;
        json_object_foreach((json_t *)value, key, inner)
            sum += mix(hash_bytes(bytes_of(key)), value_hash(inner));
        h = mix(h, sum);
    }
    return h;
}

static int by_hash(const void *a_, const void *b_)
{
    const struct item *a = a_, *b = b_;
    if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* Sorted by hash, equal items are neighbours: large arrays cost n log n, not n squared. */
static bool check_unique(const json_t *value, const struct place *place, struct err *e)
{
    size_t count = json_array_size(value);
    AUTO_FREE struct item *list = xcalloc(count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(value, i);
        list[i] = (struct item){ .hash = value_hash(item), .value = item, .index = i };
    }
    qsort(list, count, sizeof *list, by_hash);
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count && list[j].hash == list[i].hash; j++)
            if (json_same(list[i].value, list[j].value))
                return fail(place, e, "expected items that all differ, found %zu and %zu the same",
                            list[i].index, list[j].index);
    return true;
}

/* --- containers --- */

static bool check(const struct schema *s, const json_t *value, const struct place *place,
                  struct err *e);

static bool check_array(const struct schema *s, const json_t *value, const struct place *place,
                        struct err *e)
{
    size_t count = json_array_size(value);
    if (count < s->min_items)
        return fail(place, e, "expected an array of at least %zu item%s, found %zu", s->min_items,
                    s->min_items == 1 ? "" : "s", count);
    if (count > s->max_items)
        return fail(place, e, "expected an array of at most %zu item%s, found %zu", s->max_items,
                    s->max_items == 1 ? "" : "s", count);
    if (s->unique_items && !check_unique(value, place, e)) return false;
    for (size_t i = 0; s->items && i < count; i++) {
        struct place inner = { .up = place, .index = i };
        if (!check(s->items, json_array_get(value, i), &inner, e)) return false;
    }
    return true;
}

static const struct schema *property_find(const struct schema *s, const char *name)
{
    size_t low = 0, high = s->property_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, s->properties[middle].name);
        if (order == 0) return s->properties[middle].schema;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static bool check_object(const struct schema *s, const json_t *value, const struct place *place,
                         struct err *e)
{
    for (size_t i = 0; i < s->required_count; i++) {
        struct place inner = { .up = place, .key = s->required[i] };
        if (!json_object_get(value, s->required[i]))
            return fail(&inner, e, "this property is required, and missing");
    }
    if (!s->property_count && !s->additional) return true;
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)value, key, member) {
        struct place inner = { .up = place, .key = key };
        const struct schema *schema = property_find(s, key);
        if (!schema) schema = s->additional;
        if (schema && !check(schema, member, &inner, e)) return false;
    }
    return true;
}

static bool check(const struct schema *s, const json_t *value, const struct place *place,
                  struct err *e)
{
    if (s->never)
        return fail(place, e,
                    place ? "the schema allows no such property"
                          : "the schema allows no value at all");
    if (!check_type(s, value, place, e) || !check_values(s, value, place, e)) return false;
    if (json_is_number(value)) return check_number(s, value, place, e);
    if (json_is_string(value)) return check_string(s, value, place, e);
    if (json_is_array(value)) return check_array(s, value, place, e);
    if (json_is_object(value)) return check_object(s, value, place, e);
    return true;
}

bool schema_check(const struct schema *s, const json_t *value, struct err *e)
{
    return check(s, value, NULL, e);
}
