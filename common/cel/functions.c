/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of functions, and the conversions between types. String functions follow cel-go's
 * ext/strings, math functions its ext/math.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/cel/internal.h"

bool call_mismatch(const struct call *c)
{
    char text[200];
    size_t len = 0;
    size_t first = c->is_method;
    for (size_t i = first; i < c->count && len < sizeof text - 16; i++) {
        const char *name = val_type_name(c->args[i].type);
        if (i > first) {
            text[len++] = ',';
            text[len++] = ' ';
        }
        size_t n = strlen(name);
        memcpy(text + len, name, n);
        len += n;
    }
    text[len] = '\0';
    return eval_fail(c->ev, c->node->offset, "no such overload: %s%s%s(%s)",
                     c->is_method ? val_type_name(c->args[0].type) : "", c->is_method ? "." : "",
                     c->function->name, text);
}

bool call_takes(const struct call *c, const char *types)
{
    for (size_t i = 0; i < c->count; i++) {
        enum val_type type = c->args[i].type;
        bool ok = false;
        ASSERT(types[i]);
        switch (types[i]) {
        case 's': ok = type == VAL_STRING; break;
        case 'i': ok = type == VAL_INT; break;
        case 'l': ok = type == VAL_LIST; break;
        default: ok = true;
        }
        if (!ok) return call_mismatch(c);
    }
    return true;
}

static bool range_error(const struct call *c)
{
    return eval_fail(c->ev, c->node->offset, "%s(): the value is out of range", c->function->name);
}

static bool text_error(const struct call *c)
{
    return eval_fail(c->ev, c->node->offset, "%s(): cannot convert '%.*s'", c->function->name,
                     SHOWN(json_string_value(c->args[0].j)));
}

/* --- conversions --- */

static bool run_size(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    size_t size;
    switch (v->type) {
    case VAL_STRING:
        size = utf8_count(json_string_value(v->j), json_string_length(v->j));
        if (!eval_charge_scan(c->ev, c->node->offset, json_string_length(v->j))) return false;
        break;
    case VAL_LIST: size = json_array_size(v->j); break;
    case VAL_MAP: size = json_object_size(v->j); break;
    default: return call_mismatch(c);
    }
    *ret = val_int((int64_t)size);
    return true;
}

/* [+-]digits within 64 bits. */
static bool int_of_text(struct bytes text, int64_t *ret)
{
    size_t i = text.len > 0 && (text.data[0] == '-' || text.data[0] == '+');
    bool negative = i && text.data[0] == '-';
    if (i == text.len) return false;
    int64_t v = 0;
    for (; i < text.len; i++) {
        int digit = text.data[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, digit, &v))
            return false;
    }
    /* Counted downwards, because there is one more negative int than positive ones. */
    if (!negative && v == INT64_MIN) return false;
    *ret = negative ? v : -v;
    return true;
}

static bool run_int(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    int64_t i;
    switch (v->type) {
    case VAL_INT: i = v->i; break;
    case VAL_DOUBLE:
        /* The specification excludes both ends, which no double can tell from their neighbours. */
        if (!(v->d > -0x1p63 && v->d < 0x1p63)) return range_error(c);
        i = (int64_t)v->d;
        break;
    case VAL_STRING:
        if (!eval_charge_scan(c->ev, c->node->offset, json_string_length(v->j))) return false;
        if (!int_of_text(val_text(v), &i)) return text_error(c);
        break;
    default: return call_mismatch(c);
    }
    *ret = val_int(i);
    return true;
}

static bool run_uint(const struct call *c, struct val *ret)
{
    if (!run_int(c, ret)) return false;
    return ret->i >= 0 || range_error(c);
}

/* Whether strtod means what we mean: no space, no hexadecimal, no "nan(...)". */
static bool is_double_text(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    if (strcasecmp(p, "inf") == 0 || strcasecmp(p, "infinity") == 0 || strcasecmp(p, "nan") == 0)
        return true;
    return *p != '\0' && strspn(p, "0123456789.eE+-") == strlen(p);
}

static bool run_double(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    switch (v->type) {
    case VAL_INT: *ret = val_double((double)v->i); return true;
    case VAL_DOUBLE: *ret = *v; return true;
    case VAL_STRING: break;
    default: return call_mismatch(c);
    }
    const char *text = json_string_value(v->j);
    if (!eval_charge_scan(c->ev, c->node->offset, json_string_length(v->j))) return false;
    if (!is_double_text(text)) return text_error(c);
    char *end;
    errno = 0;
    double d = strtod(text, &end);
    if (*end) return text_error(c);
    if (errno == ERANGE && isinf(d)) return range_error(c);
    *ret = val_double(d);
    return true;
}

static bool run_string(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    char text[DOUBLE_TEXT_MAX];
    AUTO_BUF struct buf digits = { 0 };
    switch (v->type) {
    case VAL_STRING: *ret = val_copy(v); return true;
    case VAL_BOOL: *ret = v->b ? val_string("true", 4) : val_string("false", 5); return true;
    case VAL_INT:
        buf_add_int(&digits, v->i);
        *ret = val_string(digits.data, digits.len);
        return true;
    case VAL_DOUBLE:
        if (isnan(v->d))
            *ret = val_string("NaN", 3);
        else if (isinf(v->d))
            *ret = v->d > 0 ? val_string("+Inf", 4) : val_string("-Inf", 4);
        else {
            double_format(v->d, text);
            *ret = val_string(text, strlen(text));
        }
        return true;
    default: return call_mismatch(c);
    }
}

static bool run_bool(const struct call *c, struct val *ret)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {
        { "1", true },    { "t", true },      { "T", true },      { "true", true },
        { "TRUE", true }, { "True", true },   { "0", false },     { "f", false },
        { "F", false },   { "false", false }, { "FALSE", false }, { "False", false },
    };
    const struct val *v = &c->args[0];
    if (v->type == VAL_BOOL) {
        *ret = *v;
        return true;
    }
    if (v->type != VAL_STRING) return call_mismatch(c);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!bytes_is(val_text(v), words[i].text)) continue;
        *ret = val_bool(words[i].value);
        return true;
    }
    return text_error(c);
}

static bool run_dyn(const struct call *c, struct val *ret)
{
    *ret = val_copy(&c->args[0]);
    return true;
}

static bool run_type(const struct call *c, struct val *ret)
{
    *ret = (struct val){ .type = VAL_TYPE, .named = c->args[0].type };
    return true;
}

/* --- the table --- */

#define BOTH (CALL_GLOBAL | CALL_METHOD)

static const struct function functions[] = {
    { "size", BOTH, 1, 1, run_size, NULL },
    { "int", CALL_GLOBAL, 1, 1, run_int, NULL },
    { "uint", CALL_GLOBAL, 1, 1, run_uint, NULL },
    { "double", CALL_GLOBAL, 1, 1, run_double, NULL },
    { "string", CALL_GLOBAL, 1, 1, run_string, NULL },
    { "bool", CALL_GLOBAL, 1, 1, run_bool, NULL },
    { "dyn", CALL_GLOBAL, 1, 1, run_dyn, NULL },
    { "type", CALL_GLOBAL, 1, 1, run_type, NULL },
    { "contains", CALL_METHOD, 2, 2, string_contains, NULL },
    { "startsWith", CALL_METHOD, 2, 2, string_starts_with, NULL },
    { "endsWith", CALL_METHOD, 2, 2, string_ends_with, NULL },
    { "matches", BOTH, 2, 2, string_matches, NULL },
    { "lowerAscii", CALL_METHOD, 1, 1, string_lower_ascii, NULL },
    { "upperAscii", CALL_METHOD, 1, 1, string_upper_ascii, NULL },
    { "trim", CALL_METHOD, 1, 1, string_trim, NULL },
    { "reverse", CALL_METHOD, 1, 1, string_reverse, NULL },
    { "split", CALL_METHOD, 2, 3, string_split, NULL },
    { "join", CALL_METHOD, 1, 2, string_join, NULL },
    { "replace", CALL_METHOD, 3, 4, string_replace, NULL },
    { "substring", CALL_METHOD, 2, 3, string_substring, NULL },
    { "indexOf", CALL_METHOD, 2, 3, string_index_of, NULL },
    { "lastIndexOf", CALL_METHOD, 2, 3, string_last_index_of, NULL },
    { "charAt", CALL_METHOD, 2, 2, string_char_at, NULL },
    { "math.greatest", CALL_GLOBAL, 1, FUNCTION_ARGS_MAX, math_greatest, NULL },
    { "math.least", CALL_GLOBAL, 1, FUNCTION_ARGS_MAX, math_least, NULL },
    { "math.abs", CALL_GLOBAL, 1, 1, math_abs, NULL },
    { "math.ceil", CALL_GLOBAL, 1, 1, math_ceil, NULL },
    { "math.floor", CALL_GLOBAL, 1, 1, math_floor, NULL },
    { "math.round", CALL_GLOBAL, 1, 1, math_round, NULL },
    { "math.trunc", CALL_GLOBAL, 1, 1, math_trunc, NULL },
    { "math.sign", CALL_GLOBAL, 1, 1, math_sign, NULL },
    { "timestamp", CALL_GLOBAL, 1, 1, NULL,
      "timestamp() is not supported: a timestamp has no JSON form" },
    { "duration", CALL_GLOBAL, 1, 1, NULL,
      "duration() is not supported: a duration has no JSON form" },
    { "bytes", CALL_GLOBAL, 1, 1, NULL, "bytes() is not supported: bytes have no JSON form" },
};

const struct function *function_find(struct bytes name, int how)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        if ((functions[i].how & how) && bytes_is(name, functions[i].name)) return &functions[i];
    return NULL;
}

bool function_is_matches(const struct function *f)
{
    return f->run == string_matches;
}
