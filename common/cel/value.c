/* SPDX-License-Identifier: Apache-2.0
 *
 * Values: their types, views of JSON, maps, and order across types as langdef.md has it.
 */
#include "common/cel/value.h"

#include <assert.h>
#include <math.h>

#include "common/base/hash.h"

enum { MAP_SCAN_MAX = 8 }; /* a map of up to so many entries is searched from its beginning */

static const char *const type_names[] = {
#define X(name, text) [VAL_##name] = text,
    VAL_TYPES(X)
#undef X
};
static_assert(ARRAY_LEN(type_names) == VAL_TYPE_COUNT, "every type has a name");

const char *val_type_name(enum val_type type)
{
    ASSERT(type < VAL_TYPE_COUNT);
    return type_names[type];
}

bool val_type_find(const char *name, enum val_type *ret)
{
    for (size_t i = 0; i < VAL_TYPE_COUNT; i++) {
        if (strcmp(name, type_names[i]) != 0) continue;
        *ret = (enum val_type)i;
        return true;
    }
    return false;
}

/* --- views of JSON --- */

struct val val_of_json(const json_t *j)
{
    struct val v = { .json = (json_t *)j };
    switch (json_typeof(j)) {
    case JSON_NULL: return (struct val){ .type = VAL_NULL };
    case JSON_TRUE: return val_bool(true);
    case JSON_FALSE: return val_bool(false);
    case JSON_INTEGER: return val_int(json_integer_value(j));
    case JSON_REAL: return val_double(json_real_value(j));
    case JSON_STRING:
        v.type = VAL_STRING;
        v.text = (struct bytes){ json_string_value(j), json_string_length(j) };
        return v;
    case JSON_ARRAY: v.type = VAL_LIST; return v;
    case JSON_OBJECT: break;
    }
    v.type = VAL_MAP;
    return v;
}

struct val val_optional(struct scope *a, const struct val *inner)
{
    struct val v = { .type = VAL_OPTIONAL };
    if (!inner) return v;
    struct val *copy = scope_alloc(a, sizeof *copy);
    *copy = *inner;
    v.inner = copy;
    return v;
}

/* --- lists --- */

struct val val_list_of(struct scope *a, const struct val *items, size_t count)
{
    struct val_list *list = scope_alloc(a, sizeof *list);
    *list = (struct val_list){ .count = count, .items = items };
    return val_list(list);
}

size_t val_list_size(const struct val *list)
{
    return list->json ? json_array_size(list->json) : list->list->count;
}

struct val val_list_at(const struct val *list, size_t index)
{
    return list->json ? val_of_json(json_array_get(list->json, index)) : list->list->items[index];
}

/* --- maps --- */

size_t val_map_size(const struct val *map)
{
    return map->json ? json_object_size(map->json) : map->map->count;
}

bool val_walk_next(struct val_walk *w, struct val *ret_key, struct val *ret_value)
{
    if (!w->map->json) {
        const struct val_map *map = w->map->map;
        if (w->index == map->count) return false;
        *ret_key = map->entries[w->index].key;
        *ret_value = map->entries[w->index++].value;
        return true;
    }
    json_t *object = w->map->json;
    w->iter = w->iter ? json_object_iter_next(object, w->iter) : json_object_iter(object);
    if (!w->iter) return false;
    const char *key = json_object_iter_key(w->iter);
    *ret_key = val_string(bytes_of(key));
    *ret_value = val_of_json(json_object_iter_value(w->iter));
    return true;
}

/* Numbers that are equal have the same hash, whatever their type: 1, 1u and 1.0. */
static uint64_t key_hash(const struct val *key)
{
    if (key->type == VAL_STRING) return hash_bytes(key->text);
    uint64_t number = key->type == VAL_BOOL ? key->b : key->u;
    number = (number + 1) * 0x9E3779B97F4A7C15ULL; /* Fibonacci hashing, Knuth 6.4 */
    return number ^ number >> 32;                  /* the upper bits are the good ones */
}

static bool key_equal(const struct val *a, const struct val *b)
{
    int order;
    if (a->type == VAL_STRING && b->type == VAL_STRING) return bytes_equal(a->text, b->text);
    return val_order(a, b, &order) && order == 0;
}

/* A key as the map has it: a double that is whole becomes an integer. False if no key equals it. */
static bool key_normal(const struct val *key, struct val *ret)
{
    *ret = *key;
    if (key->type == VAL_BOOL || key->type == VAL_STRING) return true;
    if (key->type == VAL_INT || key->type == VAL_UINT) return true;
    if (key->type != VAL_DOUBLE || key->d != floor(key->d)) return false;
    if (key->d >= -0x1p63 && key->d < 0x1p63)
        *ret = val_int((int64_t)key->d);
    else if (key->d >= 0 && key->d < 0x1p64)
        *ret = val_uint((uint64_t)key->d);
    else
        return false;
    return true;
}

static const struct val_entry *find_entry(const struct val_map *map, const struct val *key,
                                          uint64_t *probes)
{
    if (!map->slots) {
        for (size_t i = 0; i < map->count; i++, ++*probes)
            if (key_equal(&map->entries[i].key, key)) return &map->entries[i];
        return NULL;
    }
    for (size_t at = key_hash(key) & (map->slot_count - 1);;
         at = (at + 1) & (map->slot_count - 1)) {
        ++*probes;
        if (map->slots[at] == 0) return NULL;
        const struct val_entry *entry = &map->entries[map->slots[at] - 1];
        if (key_equal(&entry->key, key)) return entry;
    }
}

bool val_map_member(const struct val *map, const char *name, struct val *ret, uint64_t *ret_probes)
{
    if (map->json) {
        const json_t *member = json_object_get(map->json, name);
        if (member && ret) *ret = val_of_json(member);
        return member != NULL;
    }
    struct val key = val_string(bytes_of(name));
    return val_map_find(map, &key, ret, ret_probes);
}

bool val_map_find(const struct val *map, const struct val *key, struct val *ret,
                  uint64_t *ret_probes)
{
    struct val normal;
    if (map->json) {
        /* Its keys are strings without a NUL. */
        if (key->type != VAL_STRING) return false;
        const json_t *member = json_object_getn(map->json, key->text.data, key->text.len);
        if (member && ret) *ret = val_of_json(member);
        return member != NULL;
    }
    if (!key_normal(key, &normal)) return false;
    const struct val_entry *entry = find_entry(map->map, &normal, ret_probes);
    if (entry && ret) *ret = entry->value;
    return entry != NULL;
}

static void slot_in(struct val_map *map, size_t index)
{
    size_t at = key_hash(&map->entries[index].key) & (map->slot_count - 1);
    while (map->slots[at]) at = (at + 1) & (map->slot_count - 1);
    map->slots[at] = (uint32_t)index + 1;
}

void val_map_add(struct scope *a, struct val_map *map, const struct val *key,
                 const struct val *value)
{
    map->entries = scope_grow(a, map->entries, map->count, &map->cap, sizeof *map->entries);
    map->entries[map->count++] = (struct val_entry){ *key, *value };
    if (map->count <= MAP_SCAN_MAX) return;
    if (map->count * 2 <= map->slot_count) {
        slot_in(map, map->count - 1);
        return;
    }
    map->slot_count = map->slot_count ? map->slot_count * 2 : 4 * (size_t)MAP_SCAN_MAX;
    map->slots = scope_alloc(a, map->slot_count * sizeof *map->slots);
    memset(map->slots, 0, map->slot_count * sizeof *map->slots);
    for (size_t i = 0; i < map->count; i++) slot_in(map, i);
}

/* --- order --- */

static int sign_of(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int order_int_uint(int64_t i, uint64_t u)
{
    if (i < 0) return -1;
    return ((uint64_t)i > u) - ((uint64_t)i < u);
}

/* As doubles, so that an integer beyond 2^53 equals the double that is nearest to it: the
 * specification's tests want 2^63 - 1 and 2^63 to be equal. */
static int order_doubles(double a, double b)
{
    if (isnan(a) || isnan(b)) return ORDER_NONE;
    return (a > b) - (a < b);
}

/* a is the type that stands first in enum val_type, or the same. */
static int order_numbers(const struct val *a, const struct val *b)
{
    double d = a->type == VAL_INT ? (double)a->i : a->type == VAL_UINT ? (double)a->u : a->d;
    if (b->type == VAL_DOUBLE) return order_doubles(d, b->d);
    if (a->type == VAL_UINT) return (a->u > b->u) - (a->u < b->u);
    return b->type == VAL_UINT ? order_int_uint(a->i, b->u) : sign_of(a->i, b->i);
}

/* Of UTF-8 too: the order of its bytes is that of the code points. */
static int order_text(struct bytes x, struct bytes y)
{
    size_t len = MIN(x.len, y.len);
    int order = len ? memcmp(x.data, y.data, len) : 0;
    return order < 0 ? -1 : order > 0 ? 1 : (x.len > y.len) - (x.len < y.len);
}

bool val_order(const struct val *a, const struct val *b, int *ret)
{
    if (val_is_number(a) && val_is_number(b)) {
        *ret = a->type <= b->type ? order_numbers(a, b) : order_numbers(b, a);
        if (a->type > b->type && *ret != ORDER_NONE) *ret = -*ret;
        return true;
    }
    if (a->type != b->type) return false;
    switch (a->type) {
    case VAL_BOOL: *ret = (int)a->b - (int)b->b; return true;
    case VAL_STRING:
    case VAL_BYTES: *ret = order_text(a->text, b->text); return true;
    case VAL_DURATION: *ret = sign_of(a->i, b->i); return true;
    case VAL_TIMESTAMP:
        *ret = sign_of(a->time.s, b->time.s);
        if (*ret == 0) *ret = sign_of(a->time.ns, b->time.ns);
        return true;
    default: return false;
    }
}
