/* SPDX-License-Identifier: Apache-2.0
 *
 * format() and strings.quote(), after cel-go's ext/strings.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/cel/internal.h"

enum { PRECISION_MAX = 100, PRECISION_DEFAULT = 6 };

/* --- quote --- */

bool string_quote(const struct call *c, struct val *ret)
{
    static const char from[] = "\a\b\f\n\r\t\v\\\"", to[] = "abfnrtv\\\"";
    struct bytes text = c->args[0].text;
    AUTO_BUF struct buf b = { 0 };
    if (!call_charge_copy(c, text.len * 2)) return false;
    buf_add_char(&b, '"');
    for (size_t i = 0; i < text.len; i++) {
        const char *special = text.data[i] ? strchr(from, text.data[i]) : NULL;
        if (special) buf_add_char(&b, '\\');
        buf_add_char(&b, special ? to[special - from] : text.data[i]);
    }
    buf_add_char(&b, '"');
    *ret = call_text(c, VAL_STRING, &b);
    return true;
}

/* --- %s --- */

static bool add_value(const struct call *c, struct buf *b, const struct val *v, int depth);

static bool add_list(const struct call *c, struct buf *b, const struct val *list, int depth)
{
    buf_add_char(b, '[');
    for (size_t i = 0; i < val_list_size(list); i++) {
        struct val element = val_list_at(list, i);
        if (i) buf_add_text(b, ", ");
        if (!add_value(c, b, &element, depth + 1)) return false;
    }
    buf_add_char(b, ']');
    return true;
}

struct line {
    struct bytes key, value;
};

static int compare_lines(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    struct val k = val_string(x->key), l = val_string(y->key);
    int order = 0;
    (void)val_order(&k, &l, &order);
    return order;
}

/* Entries are sorted by the text of their keys. */
static bool add_map(const struct call *c, struct buf *b, const struct val *map, int depth)
{
    struct val_walk w = { .map = map };
    struct val entry[2];
    size_t count = 0, size = val_map_size(map);
    if (!call_charge(c, size * 4)) return false; /* a comparison for each level of the sort */
    struct line *lines = scope_alloc(c->ev->scope, (size + 1) * sizeof *lines);
    while (val_walk_next(&w, &entry[0], &entry[1])) {
        struct bytes *at[] = { &lines[count].key, &lines[count].value };
        for (int i = 0; i < 2; i++) {
            AUTO_BUF struct buf part = { 0 };
            if (!add_value(c, &part, &entry[i], depth + 1)) return false;
            *at[i] = scope_adopt(c->ev->scope, &part);
        }
        count++;
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    buf_add_char(b, '{');
    for (size_t i = 0; i < count; i++) {
        if (i) buf_add_text(b, ", ");
        buf_add(b, lines[i].key.data, lines[i].key.len);
        buf_add_text(b, ": ");
        buf_add(b, lines[i].value.data, lines[i].value.len);
        if (!call_charge_copy(c, lines[i].key.len + lines[i].value.len)) return false;
    }
    buf_add_char(b, '}');
    return true;
}

static bool add_text(const struct call *c, struct buf *b, struct bytes text)
{
    if (!call_charge_copy(c, text.len)) return false;
    buf_add(b, text.data, text.len);
    return true;
}

/* What has no digits: "NaN", "Infinity", "-Infinity"; else NULL. */
static const char *no_number(double d)
{
    if (isnan(d)) return "NaN";
    return isinf(d) ? d > 0 ? "Infinity" : "-Infinity" : NULL;
}

static bool refuse(const struct call *c, const char *clause, const char *takes, const struct val *v)
{
    return eval_fail(c->ev, c->node->offset, "format(): %s takes %s only, this is %s", clause,
                     takes, val_type_name(v->type));
}

static bool add_value(const struct call *c, struct buf *b, const struct val *v, int depth)
{
    char text[MAX(DOUBLE_TEXT_MAX, TIME_VALUE_TEXT_MAX)];
    if (!call_charge(c, 1)) return false;
    if (depth >= JSON_DEPTH_MAX)
        return err_fail(&c->ev->fail.err, ERR_LIMIT, "format(): the value nests deeper than %d",
                        JSON_DEPTH_MAX);
    switch (v->type) {
    case VAL_NULL: buf_add_text(b, "null"); return true;
    case VAL_BOOL: buf_add_text(b, v->b ? "true" : "false"); return true;
    case VAL_INT: buf_add_int(b, v->i); return true;
    case VAL_UINT: buf_addf(b, "%llu", (unsigned long long)v->u); return true;
    case VAL_DOUBLE:
        double_format(v->d, text);
        buf_add_text(b, no_number(v->d) ? no_number(v->d) : text);
        return true;
    case VAL_BYTES:
        if (v->text.len && !utf8_check(v->text.data, v->text.len))
            return eval_fail(c->ev, c->node->offset, "format(): the bytes are not valid UTF-8");
        return add_text(c, b, v->text);
    case VAL_STRING: return add_text(c, b, v->text);
    case VAL_LIST: return add_list(c, b, v, depth);
    case VAL_MAP: return add_map(c, b, v, depth);
    case VAL_TIMESTAMP: instant_format(v->time, text); break;
    case VAL_DURATION: span_format(v->i, text); break;
    case VAL_TYPE: buf_add_text(b, val_type_name(v->named)); return true;
    default: return refuse(c, "%s", "what has a text", v);
    }
    buf_add_text(b, text);
    return true;
}

/* --- the other clauses --- */

static bool as_double(const struct val *v, double *ret)
{
    *ret = v->type == VAL_DOUBLE ? v->d : v->type == VAL_INT ? (double)v->i : (double)v->u;
    return val_is_number(v);
}

static bool add_real(const struct call *c, struct buf *b, char clause, int precision,
                     const struct val *v)
{
    double d;
    if (!as_double(v, &d)) return refuse(c, clause == 'f' ? "%f" : "%e", "numbers", v);
    if (no_number(d))
        buf_add_text(b, no_number(d));
    else if (clause == 'f')
        buf_addf(b, "%.*f", precision, d);
    else
        buf_addf(b, "%.*e", precision, d);
    return call_charge(c, 40); /* up to 400 digits */
}

static bool add_decimal(const struct call *c, struct buf *b, const struct val *v)
{
    bool number = v->type == VAL_DOUBLE && no_number(v->d);
    if (v->type != VAL_INT && v->type != VAL_UINT && !number)
        return refuse(c, "%d", "ints and uints", v);
    return add_value(c, b, v, 0);
}

/* A number to the base 2, 8 or 16, a negative one with its sign. */
static void add_based(struct buf *b, const struct val *v, unsigned shift, const char *digits)
{
    bool negative = v->type == VAL_INT && v->i < 0;
    uint64_t u = v->type == VAL_BOOL ? v->b : negative ? 0 - v->u : v->u;
    char text[65];
    size_t at = sizeof text;
    do text[--at] = digits[u & ((1u << shift) - 1)];
    while (u >>= shift);
    if (negative) buf_add_char(b, '-');
    buf_add(b, text + at, sizeof text - at);
}

static bool add_hex(const struct call *c, struct buf *b, char clause, const struct val *v)
{
    const char *digits = clause == 'x' ? "0123456789abcdef" : "0123456789ABCDEF";
    if (v->type == VAL_INT || v->type == VAL_UINT) {
        add_based(b, v, 4, digits);
        return true;
    }
    if (v->type != VAL_STRING && v->type != VAL_BYTES)
        return refuse(c, clause == 'x' ? "%x" : "%X", "ints, uints, strings and bytes", v);
    if (!call_charge_copy(c, v->text.len * 2)) return false;
    for (size_t i = 0; i < v->text.len; i++) {
        unsigned char byte = (unsigned char)v->text.data[i];
        buf_add_char(b, digits[byte >> 4]);
        buf_add_char(b, digits[byte & 15]);
    }
    return true;
}

static bool add_clause(const struct call *c, struct buf *b, char clause, int precision,
                       const struct val *v)
{
    bool integer = v->type == VAL_INT || v->type == VAL_UINT;
    switch (clause) {
    case 's': return add_value(c, b, v, 0);
    case 'd': return add_decimal(c, b, v);
    case 'f':
    case 'e': return add_real(c, b, clause, precision, v);
    case 'x':
    case 'X': return add_hex(c, b, clause, v);
    case 'o':
        if (!integer) return refuse(c, "%o", "ints and uints", v);
        add_based(b, v, 3, "01234567");
        return true;
    case 'b':
        if (!integer && v->type != VAL_BOOL) return refuse(c, "%b", "ints, uints and bools", v);
        add_based(b, v, 1, "01");
        return true;
    default: break;
    }
    return eval_fail(c->ev, c->node->offset,
                     "format(): unknown clause; there are "
                     "%%s %%d %%f %%e %%b %%o %%x %%X and %%%%");
}

/* ".3" at text[*at], which moves behind it. */
static bool read_precision(const struct call *c, struct bytes text, size_t *at, int *ret)
{
    *ret = PRECISION_DEFAULT;
    if (*at == text.len || text.data[*at] != '.') return true;
    *ret = 0;
    for (++*at; *at < text.len && text.data[*at] >= '0' && text.data[*at] <= '9'; ++*at) {
        *ret = *ret * 10 + (text.data[*at] - '0');
        if (*ret > PRECISION_MAX)
            return eval_fail(c->ev, c->node->offset, "format(): a precision is at most %d",
                             PRECISION_MAX);
    }
    return true;
}

bool string_format(const struct call *c, struct val *ret)
{
    struct bytes text = c->args[0].text;
    size_t used = 0, count = val_list_size(&c->args[1]);
    AUTO_BUF struct buf b = { 0 };
    if (!call_charge_copy(c, text.len)) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '%') {
            buf_add_char(&b, text.data[i]);
            continue;
        }
        int precision;
        i++;
        if (i < text.len && text.data[i] == '%') {
            buf_add_char(&b, '%');
            continue;
        }
        if (!read_precision(c, text, &i, &precision)) return false;
        if (used == count)
            return eval_fail(c->ev, c->node->offset, "format(): there is no argument %zu", used);
        struct val v = val_list_at(&c->args[1], used++);
        if (!call_charge(c, 1) ||
            !add_clause(c, &b, i < text.len ? text.data[i] : '\0', precision, &v))
            return false;
    }
    *ret = call_text(c, VAL_STRING, &b);
    return true;
}
