/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions that ask for a size or a type, or turn a value of one type into another, and those of
 * optionals.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "common/cel/internal.h"

static bool range_error(const struct call *c)
{
    return eval_fail(c->ev, c->node->offset, "%s(): the value is out of range", c->function->name);
}

static bool text_error(const struct call *c)
{
    return eval_fail(c->ev, c->node->offset, "%s(): cannot convert '%.*s'", c->function->name,
                     SHOWN_BYTES(c->args[0].text));
}

bool convert_size(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    size_t size;
    switch (v->type) {
    case VAL_STRING:
        size = utf8_count(v->text.data, v->text.len);
        if (!call_charge_scan(c, v->text.len)) return false;
        break;
    case VAL_BYTES: size = v->text.len; break;
    case VAL_LIST: size = val_list_size(v); break;
    default: size = val_map_size(v); break;
    }
    *ret = val_int((int64_t)size);
    return true;
}

bool convert_dyn(const struct call *c, struct val *ret)
{
    *ret = c->args[0];
    return true;
}

bool convert_type(const struct call *c, struct val *ret)
{
    *ret = (struct val){ .type = VAL_TYPE, .named = c->args[0].type };
    return true;
}

/* --- numbers --- */

/* Digits within 64 bits. */
static bool magnitude_of(struct bytes text, size_t from, uint64_t *ret)
{
    if (from == text.len) return false;
    *ret = 0;
    for (size_t i = from; i < text.len; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(*ret, 10u, ret) ||
            __builtin_add_overflow(*ret, digit, ret))
            return false;
    }
    return true;
}

/* [+-]digits within 64 bits. */
static bool int_of_text(struct bytes text, int64_t *ret)
{
    size_t sign = text.len > 0 && (text.data[0] == '-' || text.data[0] == '+');
    bool negative = sign && text.data[0] == '-';
    uint64_t magnitude;
    if (!magnitude_of(text, sign, &magnitude)) return false;
    *ret = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return magnitude <= (uint64_t)INT64_MAX + negative;
}

bool convert_int(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    int64_t i;
    switch (v->type) {
    case VAL_INT: i = v->i; break;
    case VAL_UINT:
        if (v->u > INT64_MAX) return range_error(c);
        i = (int64_t)v->u;
        break;
    case VAL_DOUBLE:
        /* The specification excludes both ends, which no double can tell from their neighbours. */
        if (!(v->d > -0x1p63 && v->d < 0x1p63)) return range_error(c);
        i = (int64_t)v->d;
        break;
    case VAL_TIMESTAMP: i = v->time.s; break;
    default:
        if (!call_charge_scan(c, v->text.len)) return false;
        if (!int_of_text(v->text, &i)) return text_error(c);
        break;
    }
    *ret = val_int(i);
    return true;
}

bool convert_uint(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    uint64_t u;
    switch (v->type) {
    case VAL_UINT: u = v->u; break;
    case VAL_INT:
        if (v->i < 0) return range_error(c);
        u = (uint64_t)v->i;
        break;
    case VAL_DOUBLE:
        if (!(v->d >= 0 && v->d < 0x1p64)) return range_error(c);
        u = (uint64_t)v->d;
        break;
    default:
        if (!call_charge_scan(c, v->text.len)) return false;
        if (!magnitude_of(v->text, v->text.len > 0 && v->text.data[0] == '+', &u))
            return text_error(c);
        break;
    }
    *ret = val_uint(u);
    return true;
}

/* Whether strtod means what we mean: no space, no hexadecimal, no "nan(...)". */
static bool is_double_text(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    if (strcasecmp(p, "inf") == 0 || strcasecmp(p, "infinity") == 0 || strcasecmp(p, "nan") == 0)
        return true;
    return *p != '\0' && strspn(p, "0123456789.eE+-") == strlen(p);
}

bool convert_double(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    switch (v->type) {
    case VAL_INT: *ret = val_double((double)v->i); return true;
    case VAL_UINT: *ret = val_double((double)v->u); return true;
    case VAL_DOUBLE: *ret = *v; return true;
    default: break;
    }
    if (!call_charge_copy(c, v->text.len)) return false;
    char *text = scope_copy(c->ev->scope, v->text); /* a part of a string ends without a NUL */
    if (strlen(text) != v->text.len || !is_double_text(text)) return text_error(c);
    char *end;
    errno = 0;
    double d = strtod(text, &end);
    if (*end) return text_error(c);
    if (errno == ERANGE && isinf(d)) return range_error(c);
    *ret = val_double(d);
    return true;
}

/* --- other types --- */

static bool text_of_bytes(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text;
    if (!call_charge_scan(c, text.len)) return false;
    if (text.len && !utf8_check(text.data, text.len))
        return eval_fail(c->ev, c->node->offset, "string(): the bytes are not valid UTF-8");
    *ret = val_string(text);
    return true;
}

bool convert_string(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    char text[MAX(DOUBLE_TEXT_MAX, TIME_VALUE_TEXT_MAX)];
    AUTO_BUF struct buf b = { 0 };
    switch (v->type) {
    case VAL_BOOL: buf_add_text(&b, v->b ? "true" : "false"); break;
    case VAL_INT: buf_add_int(&b, v->i); break;
    case VAL_UINT: buf_addf(&b, "%llu", (unsigned long long)v->u); break;
    case VAL_DOUBLE:
        if (isnan(v->d))
            buf_add_text(&b, "NaN");
        else if (isinf(v->d))
            buf_add_text(&b, v->d > 0 ? "+Inf" : "-Inf");
        else {
            double_format(v->d, text);
            buf_add_text(&b, text);
        }
        break;
    case VAL_TIMESTAMP:
        instant_format(v->time, text);
        buf_add_text(&b, text);
        break;
    case VAL_DURATION:
        span_format(v->i, text);
        buf_add_text(&b, text);
        break;
    case VAL_BYTES: return text_of_bytes(c, ret);
    default: *ret = *v; return true;
    }
    *ret = call_text(c, VAL_STRING, &b);
    return true;
}

bool convert_bool(const struct call *c, struct val *ret)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {
        { "1", true },    { "t", true },      { "T", true },      { "true", true },
        { "TRUE", true }, { "True", true },   { "0", false },     { "f", false },
        { "F", false },   { "false", false }, { "FALSE", false }, { "False", false },
    };
    *ret = c->args[0];
    if (ret->type == VAL_BOOL) return true;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!bytes_is(c->args[0].text, words[i].text)) continue;
        *ret = val_bool(words[i].value);
        return true;
    }
    return text_error(c);
}

bool convert_bytes(const struct call *c, struct val *ret)
{
    *ret = (struct val){ .type = VAL_BYTES, .text = c->args[0].text };
    return true;
}

bool convert_timestamp(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    *ret = *v;
    if (v->type == VAL_TIMESTAMP) return true;
    *ret = (struct val){ .type = VAL_TIMESTAMP };
    if (v->type == VAL_INT) {
        ret->time.s = v->i;
        return instant_in_range(ret->time) || range_error(c);
    }
    return instant_parse(v->text, &ret->time) || text_error(c);
}

bool convert_duration(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    *ret = *v;
    if (v->type == VAL_DURATION) return true;
    *ret = (struct val){ .type = VAL_DURATION };
    if (!call_charge_scan(c, v->text.len)) return false;
    return span_parse(v->text, &ret->i) || text_error(c);
}

/* --- base64 (RFC 4648, section 4) --- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_add(struct buf *b, struct bytes data)
{
    buf_reserve(b, (data.len + 2) / 3 * 4);
    for (size_t i = 0; i < data.len; i += 3) {
        uint32_t group = 0;
        size_t have = MIN(data.len - i, 3u);
        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (k < have ? (unsigned char)data.data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            buf_add_char(b, k <= have ? alphabet[group >> (18 - 6 * k) & 63] : '=');
    }
}

bool convert_base64_encode(const struct call *c, struct val *ret)
{
    AUTO_BUF struct buf text = { 0 };
    if (!call_charge_copy(c, c->args[0].text.len * 2)) return false;
    base64_add(&text, c->args[0].text);
    *ret = call_text(c, VAL_STRING, &text);
    return true;
}

/* With or without its padding. */
bool convert_base64_decode(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text;
    AUTO_BUF struct buf data = { 0 };
    if (!call_charge_copy(c, text.len)) return false;
    if (text.len % 4 == 0)
        for (int k = 0; k < 2 && text.len && text.data[text.len - 1] == '='; k++) text.len--;
    if (text.len % 4 == 1) return text_error(c);
    uint32_t group = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.data[i] ? strchr(alphabet, text.data[i]) : NULL;
        if (!at) return text_error(c);
        group = group << 6 | (uint32_t)(at - alphabet);
        if (i % 4 > 0) buf_add_char(&data, (char)(group >> (6 - 2 * (i % 4))));
    }
    *ret = call_text(c, VAL_BYTES, &data);
    return true;
}

/* --- optionals --- */

bool optional_of(const struct call *c, struct val *ret)
{
    *ret = val_optional(c->ev->scope, &c->args[0]);
    return true;
}

bool optional_none(const struct call *c, struct val *ret)
{
    *ret = val_optional(c->ev->scope, NULL);
    return true;
}

static bool is_zero(const struct val *v)
{
    switch (v->type) {
    case VAL_NULL: return true;
    case VAL_BOOL: return !v->b;
    case VAL_INT:
    case VAL_UINT:
    case VAL_DURATION: return v->u == 0;
    case VAL_DOUBLE: return v->d == 0;
    case VAL_STRING:
    case VAL_BYTES: return v->text.len == 0;
    case VAL_LIST: return val_list_size(v) == 0;
    case VAL_MAP: return val_map_size(v) == 0;
    case VAL_TIMESTAMP: return v->time.s == 0 && v->time.ns == 0;
    case VAL_OPTIONAL: return v->inner == NULL;
    default: return false;
    }
}

bool optional_of_non_zero(const struct call *c, struct val *ret)
{
    *ret = val_optional(c->ev->scope, is_zero(&c->args[0]) ? NULL : &c->args[0]);
    return true;
}

bool optional_has_value(const struct call *c, struct val *ret)
{
    *ret = val_bool(c->args[0].inner != NULL);
    return true;
}

bool optional_value(const struct call *c, struct val *ret)
{
    if (!c->args[0].inner)
        return eval_fail(c->ev, c->node->offset, "value(): the optional has none");
    *ret = *c->args[0].inner;
    return true;
}

/* or() and orValue() of an optional without a value: the evaluator deals with the others. */
bool optional_or(const struct call *c, struct val *ret)
{
    *ret = c->args[1];
    return true;
}
