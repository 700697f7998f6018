/* SPDX-License-Identifier: Apache-2.0
 *
 * Values: their types, their JSON form, equality and order across types as langdef.md has them.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/cel/internal.h"

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
    *ret = VAL_INT;
    return strcmp(name, "uint") == 0;
}

struct val val_string(const char *text, size_t len)
{
    json_t *j = json_stringn_nocheck(text, len);
    ASSERT(j);
    return (struct val){ .type = VAL_STRING, .j = j };
}

struct val val_of_json(json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_NULL: return (struct val){ .type = VAL_NULL };
    case JSON_TRUE: return val_bool(true);
    case JSON_FALSE: return val_bool(false);
    case JSON_INTEGER: return val_int(json_integer_value(j));
    case JSON_REAL: return val_double(json_real_value(j));
    case JSON_STRING: return (struct val){ .type = VAL_STRING, .j = json_incref(j) };
    case JSON_ARRAY: return (struct val){ .type = VAL_LIST, .j = json_incref(j) };
    case JSON_OBJECT: break;
    }
    return (struct val){ .type = VAL_MAP, .j = json_incref(j) };
}

struct val val_copy(const struct val *v)
{
    if (v->type >= VAL_STRING && v->type <= VAL_MAP) json_incref(v->j);
    return *v;
}

bool eval_box(struct eval *ev, uint32_t offset, const struct val *v, json_t **ret)
{
    switch (v->type) {
    case VAL_NULL: *ret = json_null(); break;
    case VAL_BOOL: *ret = json_boolean(v->b); break;
    case VAL_INT: *ret = json_integer(v->i); break;
    case VAL_DOUBLE:
        if (!isfinite(v->d))
            return eval_fail(ev, offset, "the number is %s, which JSON cannot hold",
                             isnan(v->d) ? "not a number (NaN)" : "infinite");
        *ret = json_real(v->d);
        break;
    case VAL_TYPE: *ret = json_string(val_type_name(v->named)); break;
    default: *ret = json_incref(v->j);
    }
    ASSERT(*ret);
    return true;
}

/* --- equality and order --- */

/* Exact, also where the int has no double: only the whole part of the double is converted. */
static int order_int_double(int64_t i, double d)
{
    if (isnan(d)) return ORDER_NONE;
    if (d >= 0x1p63) return -1;
    if (d < -0x1p63) return 1;
    int64_t whole = (int64_t)d;
    if (i != whole) return i < whole ? -1 : 1;
    double rest = d - (double)whole;
    return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

static int order_numbers(const struct val *a, const struct val *b)
{
    if (a->type == VAL_INT && b->type == VAL_INT) return (a->i > b->i) - (a->i < b->i);
    if (a->type == VAL_INT) return order_int_double(a->i, b->d);
    if (b->type == VAL_INT) {
        int order = order_int_double(b->i, a->d);
        return order == ORDER_NONE ? ORDER_NONE : -order;
    }
    if (isnan(a->d) || isnan(b->d)) return ORDER_NONE;
    return (a->d > b->d) - (a->d < b->d);
}

static bool is_number(const struct val *v)
{
    return v->type == VAL_INT || v->type == VAL_DOUBLE;
}

bool val_order(const struct val *a, const struct val *b, int *ret)
{
    if (is_number(a) && is_number(b)) {
        *ret = order_numbers(a, b);
        return true;
    }
    if (a->type != b->type) return false;
    if (a->type == VAL_BOOL) {
        *ret = (int)a->b - (int)b->b;
        return true;
    }
    if (a->type != VAL_STRING) return false;
    /* The order of UTF-8 bytes is that of code points. */
    struct bytes x = val_text(a), y = val_text(b);
    int order = memcmp(x.data, y.data, MIN(x.len, y.len));
    *ret = order < 0 ? -1 : order > 0 ? 1 : (x.len > y.len) - (x.len < y.len);
    return true;
}

/* Like json_same, but every element costs: values can share parts, so that a small one may stand
 * for a huge one. */
static bool same(struct eval *ev, uint32_t offset, const json_t *a, const json_t *b, bool *ret)
{
    if (!eval_charge(ev, offset, 1)) return false;
    *ret = false;
    if (json_is_array(a) && json_is_array(b)) {
        size_t count = json_array_size(a);
        if (count != json_array_size(b)) return true;
        for (size_t i = 0; i < count; i++) {
            if (!same(ev, offset, json_array_get(a, i), json_array_get(b, i), ret)) return false;
            if (!*ret) return true;
        }
    } else if (json_is_object(a) && json_is_object(b)) {
        if (json_object_size(a) != json_object_size(b)) return true;
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)a, key, value) {
            const json_t *other = json_object_get(b, key);
            if (!other) return true;
            if (!same(ev, offset, value, other, ret)) return false;
            if (!*ret) return true;
        }
    } else {
        *ret = json_same(a, b);
        return !json_is_string(a) || eval_charge_scan(ev, offset, json_string_length(a));
    }
    *ret = true;
    return true;
}

bool eval_equal(struct eval *ev, uint32_t offset, const struct val *a, const struct val *b,
                bool *ret)
{
    *ret = false;
    if (is_number(a) && is_number(b)) {
        *ret = order_numbers(a, b) == 0;
        return true;
    }
    if (a->type != b->type) return true;
    switch (a->type) {
    case VAL_NULL: *ret = true; return true;
    case VAL_BOOL: *ret = a->b == b->b; return true;
    case VAL_TYPE: *ret = a->named == b->named; return true;
    case VAL_STRING:
        *ret = bytes_equal(val_text(a), val_text(b));
        return eval_charge_scan(ev, offset, json_string_length(a->j));
    default: return same(ev, offset, a->j, b->j, ret);
    }
}

/* --- JSON text --- */

void double_format(double d, char ret[DOUBLE_TEXT_MAX])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(ret, DOUBLE_TEXT_MAX, "%.*g", digits, d);
        if (digits == 17 || strtod(ret, NULL) == d) return;
    }
}

static void encode_double(struct buf *ret, double d)
{
    char text[DOUBLE_TEXT_MAX];
    double_format(d, text);
    buf_add_text(ret, text);
    if (!strpbrk(text, ".e")) buf_add_text(ret, ".0"); /* it stays a double */
}

static bool encode_open(struct buf *ret, char open, size_t len_max, struct err *e)
{
    buf_add_char(ret, open);
    return ret->len <= len_max || err_fail(e, ERR_LIMIT, "the result is larger than the limit");
}

static bool encode_array(struct buf *ret, const json_t *list, size_t len_max, int depth,
                         struct err *e)
{
    if (!encode_open(ret, '[', len_max, e)) return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (i) buf_add_char(ret, ',');
        if (!json_encode(ret, json_array_get(list, i), len_max, depth + 1, e)) return false;
    }
    buf_add_char(ret, ']');
    return true;
}

static bool encode_object(struct buf *ret, const json_t *map, size_t len_max, int depth,
                          struct err *e)
{
    if (!encode_open(ret, '{', len_max, e)) return false;
    const char *key;
    json_t *value;
    bool first = true;
    json_object_foreach((json_t *)map, key, value) {
        if (!first) buf_add_char(ret, ',');
        first = false;
        buf_add_json_string(ret, key, strlen(key));
        buf_add_char(ret, ':');
        if (!json_encode(ret, value, len_max, depth + 1, e)) return false;
    }
    buf_add_char(ret, '}');
    return true;
}

bool json_encode(struct buf *ret, const json_t *value, size_t len_max, int depth, struct err *e)
{
    if (depth >= JSON_DEPTH_MAX)
        return err_fail(e, ERR_LIMIT, "the result nests deeper than %d", JSON_DEPTH_MAX);
    switch (json_typeof(value)) {
    case JSON_NULL: buf_add_text(ret, "null"); break;
    case JSON_TRUE: buf_add_text(ret, "true"); break;
    case JSON_FALSE: buf_add_text(ret, "false"); break;
    case JSON_INTEGER: buf_add_int(ret, json_integer_value(value)); break;
    case JSON_REAL: encode_double(ret, json_real_value(value)); break;
    case JSON_STRING:
        buf_add_json_string(ret, json_string_value(value), json_string_length(value));
        break;
    case JSON_ARRAY:
        if (!encode_array(ret, value, len_max, depth, e)) return false;
        break;
    case JSON_OBJECT:
        if (!encode_object(ret, value, len_max, depth, e)) return false;
        break;
    }
    /* One string may overshoot: no string is larger than what was parsed or paid for. */
    return ret->len <= len_max || err_fail(e, ERR_LIMIT, "the result is larger than the limit");
}
