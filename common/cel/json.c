/* SPDX-License-Identifier: Apache-2.0
 *
 * From values to JSON and its text. What JSON does not have becomes text as cel.h says it, after
 * the JSON mapping of proto3, which langdef.md ("JSON Data Conversion") refers to.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/cel/internal.h"

/* --- values --- */

static bool too_deep(struct eval *ev)
{
    return err_fail(&ev->fail.err, ERR_LIMIT, "the result nests deeper than %d", JSON_DEPTH_MAX);
}

static bool from_text(struct eval *ev, struct bytes text, json_t **ret)
{
    if (text.len && memchr(text.data, 0, text.len))
        return eval_fail(ev, ev->cel->root->offset,
                         "the string has a NUL character, which JSON here does not");
    if (!eval_charge_copy(ev, 0, text.len)) return false;
    *ret = json_stringn_nocheck(text.data, text.len);
    ASSERT(*ret);
    return true;
}

static bool from_bytes(struct eval *ev, struct bytes data, json_t **ret)
{
    AUTO_BUF struct buf text = { 0 };
    if (!eval_charge_copy(ev, 0, data.len * 2)) return false;
    buf_add_text(&text, "");
    base64_add(&text, data);
    *ret = json_stringn_nocheck(text.data, text.len);
    return true;
}

static bool from_double(struct eval *ev, double d, json_t **ret)
{
    if (!isfinite(d))
        return eval_fail(ev, ev->cel->root->offset, "the number is %s, which JSON cannot hold",
                         isnan(d) ? "not a number (NaN)" : "infinite");
    *ret = json_real(d);
    return true;
}

static json_t *from_uint(uint64_t u)
{
    char text[24];
    if (u <= INT64_MAX) return json_integer((json_int_t)u);
    snprintf(text, sizeof text, "%llu", (unsigned long long)u);
    return json_string(text);
}

/* What it costs to write out JSON that a result shares: parts that stand in it many times count
 * each time. */
static bool charge_json(struct eval *ev, const json_t *j, int depth)
{
    if (!eval_charge(ev, 0, 1)) return false;
    if (depth >= JSON_DEPTH_MAX) return too_deep(ev);
    if (json_is_string(j)) return eval_charge_copy(ev, 0, json_string_length(j));
    for (size_t i = 0; json_is_array(j) && i < json_array_size(j); i++)
        if (!charge_json(ev, json_array_get(j, i), depth + 1)) return false;
    const char *key;
    json_t *value;
    if (json_is_object(j)) {
        json_object_foreach((json_t *)j, key, value) {
            if (!eval_charge_copy(ev, 0, strlen(key)) || !charge_json(ev, value, depth + 1))
                return false;
        }
    }
    return true;
}

static bool to_json(struct eval *ev, const struct val *v, int depth, json_t **ret);

static bool from_list(struct eval *ev, const struct val *v, int depth, json_t **ret)
{
    AUTO_JSON *list = json_array();
    for (size_t i = 0; i < val_list_size(v); i++) {
        struct val element = val_list_at(v, i);
        json_t *item;
        if (!to_json(ev, &element, depth + 1, &item)) return false;
        json_array_append_new(list, item);
    }
    *ret = TAKE(list);
    return true;
}

/* The text of a key that is no string: as JSON has its value. */
static struct bytes key_text(const struct val *key, char ret[24])
{
    if (key->type == VAL_STRING) return key->text;
    if (key->type == VAL_BOOL) return bytes_of(key->b ? "true" : "false");
    if (key->type == VAL_INT)
        snprintf(ret, 24, "%lld", (long long)key->i);
    else
        snprintf(ret, 24, "%llu", (unsigned long long)key->u);
    return bytes_of(ret);
}

static bool from_map(struct eval *ev, const struct val *v, int depth, json_t **ret)
{
    AUTO_JSON *object = json_object();
    struct val_walk w = { .map = v };
    struct val key, value;
    char digits[24];
    while (val_walk_next(&w, &key, &value)) {
        struct bytes text = key_text(&key, digits);
        json_t *item;
        if (!eval_charge_copy(ev, 0, text.len)) return false;
        if (text.len && memchr(text.data, 0, text.len))
            return eval_fail(ev, ev->cel->root->offset,
                             "a key has a NUL character, which JSON here does not");
        if (json_object_getn(object, text.data, text.len))
            return eval_fail(ev, ev->cel->root->offset, "two keys of the map are '%.*s' in JSON",
                             SHOWN_BYTES(text));
        if (!to_json(ev, &value, depth + 1, &item)) return false;
        json_object_setn_new_nocheck(object, text.data, text.len, item);
    }
    *ret = TAKE(object);
    return true;
}

static bool to_json(struct eval *ev, const struct val *v, int depth, json_t **ret)
{
    char text[TIME_VALUE_TEXT_MAX];
    *ret = NULL;
    if (depth >= JSON_DEPTH_MAX) return too_deep(ev);
    if (v->json) {
        if (depth > 0 && !charge_json(ev, v->json, depth)) return false;
        *ret = json_incref(v->json);
        return true;
    }
    if (!eval_charge(ev, 0, depth > 0)) return false;
    switch (v->type) {
    case VAL_NULL: *ret = json_null(); break;
    case VAL_BOOL: *ret = json_boolean(v->b); break;
    case VAL_INT: *ret = json_integer(v->i); break;
    case VAL_UINT: *ret = from_uint(v->u); break;
    case VAL_DOUBLE: return from_double(ev, v->d, ret);
    case VAL_STRING: return from_text(ev, v->text, ret);
    case VAL_BYTES: return from_bytes(ev, v->text, ret);
    case VAL_LIST: return from_list(ev, v, depth, ret);
    case VAL_MAP: return from_map(ev, v, depth, ret);
    case VAL_TIMESTAMP:
        instant_format(v->time, text);
        *ret = json_string(text);
        break;
    case VAL_DURATION:
        span_format(v->i, text);
        *ret = json_string(text);
        break;
    case VAL_TYPE: *ret = json_string(val_type_name(v->named)); break;
    case VAL_OPTIONAL:
        if (v->inner) return to_json(ev, v->inner, depth + 1, ret);
        *ret = json_null();
        break;
    case VAL_FAILED: break;
    }
    ASSERT(*ret);
    return true;
}

bool eval_json(struct eval *ev, const struct val *v, json_t **ret)
{
    return to_json(ev, v, 0, ret);
}

/* --- text --- */

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
