/* SPDX-License-Identifier: Apache-2.0
 *
 * The values of CEL (langdef.md, "Values"). JSON has fewer: lists, maps and strings that come from
 * JSON are views of it, and nothing is converted that is not looked at. A value never changes; what
 * it points to belongs to a scope, or to JSON that somebody holds. */
#ifndef TUTTI_CEL_VALUE_H
#define TUTTI_CEL_VALUE_H

#include "common/cel/scope.h"

/* X(enumerator, name as type() shows it). */
#define VAL_TYPES(X)                          \
    X(NULL, "null_type")                      \
    X(BOOL, "bool")                           \
    X(INT, "int")                             \
    X(UINT, "uint")                           \
    X(DOUBLE, "double")                       \
    X(STRING, "string")                       \
    X(BYTES, "bytes")                         \
    X(LIST, "list")                           \
    X(MAP, "map")                             \
    X(TIMESTAMP, "google.protobuf.Timestamp") \
    X(DURATION, "google.protobuf.Duration")   \
    X(TYPE, "type")                           \
    X(OPTIONAL, "optional_type")

enum val_type {
#define X(name, text) VAL_##name,
    VAL_TYPES(X)
#undef X
        VAL_TYPE_COUNT,
    VAL_FAILED = VAL_TYPE_COUNT /* no value: a variable whose expression failed */
};

/* Seconds since 1970 (UTC), of the years 1 to 9999, and nanoseconds, 0 to 999,999,999. */
struct instant {
    int64_t s;
    int32_t ns;
};

struct val {
    enum val_type type;
    json_t *json; /* STRING, LIST, MAP: the JSON that it is a view of, or NULL */
    union {
        bool b;
        int64_t i; /* INT; DURATION: nanoseconds */
        uint64_t u;
        double d;
        struct bytes text; /* STRING (UTF-8), BYTES */
        const struct val_list *list;
        const struct val_map *map;
        struct instant time;
        enum val_type named;     /* TYPE */
        const struct val *inner; /* OPTIONAL: NULL if it has no value */
        const struct failure *failure;
    };
};

struct val_list {
    size_t count;
    const struct val *items;
};

struct val_entry {
    struct val key, value; /* a key is a BOOL, INT, UINT or STRING */
};

/* In the order of insertion. */
struct val_map {
    size_t count, cap;
    struct val_entry *entries;
    uint32_t
        *slots; /* open addressing: the number of an entry and 1, or 0; NULL while it is small */
    size_t slot_count;
};

static inline struct val val_bool(bool b)
{
    return (struct val){ .type = VAL_BOOL, .b = b };
}
static inline struct val val_int(int64_t i)
{
    return (struct val){ .type = VAL_INT, .i = i };
}
static inline struct val val_uint(uint64_t u)
{
    return (struct val){ .type = VAL_UINT, .u = u };
}
static inline struct val val_double(double d)
{
    return (struct val){ .type = VAL_DOUBLE, .d = d };
}
static inline struct val val_string(struct bytes text)
{
    return (struct val){ .type = VAL_STRING, .text = text };
}
static inline struct val val_list(const struct val_list *list)
{
    return (struct val){ .type = VAL_LIST, .list = list };
}
static inline struct val val_map(const struct val_map *map)
{
    return (struct val){ .type = VAL_MAP, .map = map };
}
static inline struct val val_duration(int64_t ns)
{
    return (struct val){ .type = VAL_DURATION, .i = ns };
}
static inline bool val_is_number(const struct val *v)
{
    return v->type >= VAL_INT && v->type <= VAL_DOUBLE;
}

/* A view of a JSON value, which must live as long. */
struct val val_of_json(const json_t *j);
/* An optional with a copy of the value, or with none (NULL). */
struct val val_optional(struct scope *a, const struct val *inner);
/* A list of items that lie in a scope. */
struct val val_list_of(struct scope *a, const struct val *items, size_t count);

size_t val_list_size(const struct val *list);
struct val val_list_at(const struct val *list, size_t index);

/* Reads the entries of a map in their order; begin with { .map = ... }. Returns false at the end.
 */
struct val_walk {
    const struct val *map;
    size_t index;
    void *iter;
};
bool val_walk_next(struct val_walk *w, struct val *ret_key, struct val *ret_value);
size_t val_map_size(const struct val *map);
/* The value at the key, numbers by their value whatever their type; false if there is none. *ret
 * may be NULL. *ret_probes is added to: how many keys were compared. */
bool val_map_find(const struct val *map, const struct val *key, struct val *ret,
                  uint64_t *ret_probes);
/* The same of a name, which is NUL-terminated. */
bool val_map_member(const struct val *map, const char *name, struct val *ret, uint64_t *ret_probes);
/* Adds an entry whose key is none of the map's; the map is one that is being made. */
void val_map_add(struct scope *a, struct val_map *map, const struct val *key,
                 const struct val *value);

const char *val_type_name(enum val_type type);
/* The type that a name names ("int", "list", "google.protobuf.Duration"); false if none. */
bool val_type_find(const char *name, enum val_type *ret);

/* *ret: <0, 0, >0, or ORDER_NONE beside a NaN. Returns false if the two types have no order. */
#define ORDER_NONE 2
bool val_order(const struct val *a, const struct val *b, int *ret);

/* --- times (time.c) --- */

#define TIME_VALUE_TEXT_MAX 48 /* of a timestamp or a duration as text, with its NUL */

/* RFC 3339. False if the text is none, or beyond the years 1 to 9999. */
MUST_CHECK bool instant_parse(struct bytes text, struct instant *ret);
void instant_format(struct instant t, char ret[TIME_VALUE_TEXT_MAX]);
/* As in "1h45m", "-1.5s", "10ms"; units h m s ms us ns. False if the text is none, or longer than
 * 292 years. */
MUST_CHECK bool span_parse(struct bytes text, int64_t *ret_ns);
/* Seconds: "3.5s". */
void span_format(int64_t ns, char ret[TIME_VALUE_TEXT_MAX]);
bool instant_in_range(struct instant t);

#endif
