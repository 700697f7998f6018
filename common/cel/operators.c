/* SPDX-License-Identifier: Apache-2.0
 *
 * The operators between two values. Arithmetic never mixes int, uint and double (langdef.md,
 * "Numeric Values"); comparison does. Integer overflow is an error; a double may become infinite on
 * its way and is refused where it would have to be JSON.
 */
#include <math.h>

#include "common/base/limits.h"
#include "common/cel/internal.h"

static const char *const signs[] = {
    [OP_LT] = "<",  [OP_LE] = "<=", [OP_GT] = ">",  [OP_GE] = ">=", [OP_EQ] = "==", [OP_NE] = "!=",
    [OP_IN] = "in", [OP_ADD] = "+", [OP_SUB] = "-", [OP_MUL] = "*", [OP_DIV] = "/", [OP_MOD] = "%",
};

static bool mismatch(struct eval *ev, enum op op, uint32_t offset, const struct val *a,
                     const struct val *b)
{
    bool mixed = val_is_number(a) && val_is_number(b) && a->type != b->type && op != OP_MOD;
    return eval_fail(ev, offset, "no such overload: %s %s %s%s", val_type_name(a->type), signs[op],
                     val_type_name(b->type),
                     mixed ? "; convert with int(), uint() or double()" : "");
}

static bool overflow(struct eval *ev, uint32_t offset)
{
    return eval_fail(ev, offset, "integer overflow");
}

/* --- arithmetic --- */

bool eval_negate(struct eval *ev, uint32_t offset, struct val *v)
{
    switch (v->type) {
    case VAL_INT:
        if (v->i == INT64_MIN) return overflow(ev, offset);
        v->i = -v->i;
        return true;
    case VAL_DOUBLE: v->d = -v->d; return true;
    default: return eval_fail(ev, offset, "no such overload: -%s", val_type_name(v->type));
    }
}

static bool by_zero(struct eval *ev, enum op op, uint32_t offset)
{
    return eval_fail(ev, offset, op == OP_DIV ? "division by zero" : "modulo by zero");
}

static bool int_arithmetic(struct eval *ev, enum op op, uint32_t offset, int64_t a, int64_t b,
                           struct val *ret)
{
    *ret = val_int(0);
    bool over = false;
    switch (op) {
    case OP_ADD: over = __builtin_add_overflow(a, b, &ret->i); break;
    case OP_SUB: over = __builtin_sub_overflow(a, b, &ret->i); break;
    case OP_MUL: over = __builtin_mul_overflow(a, b, &ret->i); break;
    default:
        if (b == 0) return by_zero(ev, op, offset);
        over = a == INT64_MIN && b == -1;
        if (!over) ret->i = op == OP_DIV ? a / b : a % b;
        break;
    }
    return !over || overflow(ev, offset);
}

static bool uint_arithmetic(struct eval *ev, enum op op, uint32_t offset, uint64_t a, uint64_t b,
                            struct val *ret)
{
    *ret = val_uint(0);
    bool over = false;
    switch (op) {
    case OP_ADD: over = __builtin_add_overflow(a, b, &ret->u); break;
    case OP_SUB: over = __builtin_sub_overflow(a, b, &ret->u); break;
    case OP_MUL: over = __builtin_mul_overflow(a, b, &ret->u); break;
    default:
        if (b == 0) return by_zero(ev, op, offset);
        ret->u = op == OP_DIV ? a / b : a % b;
        break;
    }
    return !over || overflow(ev, offset);
}

static double double_arithmetic(enum op op, double a, double b)
{
    switch (op) {
    case OP_ADD: return a + b;
    case OP_SUB: return a - b;
    case OP_MUL: return a * b;
    default: break;
    }
    if (b != 0) return a / b;
    /* IEEE 754's answer, which C leaves undefined. */
    if (a == 0 || isnan(a) || isnan(b)) return NAN;
    return signbit(a) == signbit(b) ? INFINITY : -INFINITY;
}

static bool concat_text(struct eval *ev, uint32_t offset, const struct val *a, const struct val *b,
                        struct val *ret)
{
    struct bytes x = a->text, y = b->text;
    if (!eval_charge_copy(ev, offset, x.len + y.len)) return false;
    char *joined = scope_alloc(ev->scope, x.len + y.len + 1);
    memcpy(joined, x.data, x.len);
    memcpy(joined + x.len, y.data, y.len);
    *ret = (struct val){ .type = a->type, .text = { joined, x.len + y.len } };
    return true;
}

static bool concat_lists(struct eval *ev, uint32_t offset, const struct val *a, const struct val *b,
                         struct val *ret)
{
    size_t x = val_list_size(a), y = val_list_size(b);
    if (!eval_charge(ev, offset, x + y)) return false;
    struct val *items = scope_alloc(ev->scope, (x + y) * sizeof *items);
    for (size_t i = 0; i < x; i++) items[i] = val_list_at(a, i);
    for (size_t i = 0; i < y; i++) items[x + i] = val_list_at(b, i);
    *ret = val_list_of(ev->scope, items, x + y);
    return true;
}

static bool arithmetic(struct eval *ev, enum op op, uint32_t offset, const struct val *a,
                       const struct val *b, struct val *ret)
{
    bool known = false;
    if (a->type == VAL_DURATION || a->type == VAL_TIMESTAMP) {
        if (!time_arithmetic(ev, op, offset, a, b, ret, &known)) return false;
        return known || mismatch(ev, op, offset, a, b);
    }
    if (a->type != b->type) return mismatch(ev, op, offset, a, b);
    switch (a->type) {
    case VAL_INT: return int_arithmetic(ev, op, offset, a->i, b->i, ret);
    case VAL_UINT: return uint_arithmetic(ev, op, offset, a->u, b->u, ret);
    case VAL_DOUBLE:
        if (op == OP_MOD) break;
        *ret = val_double(double_arithmetic(op, a->d, b->d));
        return true;
    case VAL_STRING:
    case VAL_BYTES:
        if (op == OP_ADD) return concat_text(ev, offset, a, b, ret);
        break;
    case VAL_LIST:
        if (op == OP_ADD) return concat_lists(ev, offset, a, b, ret);
        break;
    default: break;
    }
    return mismatch(ev, op, offset, a, b);
}

/* --- equality --- */

static bool same(struct eval *ev, uint32_t offset, const struct val *a, const struct val *b,
                 int depth, bool *ret);

static bool same_lists(struct eval *ev, uint32_t offset, const struct val *a, const struct val *b,
                       int depth, bool *ret)
{
    size_t count = val_list_size(a);
    *ret = count == val_list_size(b);
    for (size_t i = 0; *ret && i < count; i++) {
        struct val x = val_list_at(a, i), y = val_list_at(b, i);
        if (!same(ev, offset, &x, &y, depth + 1, ret)) return false;
    }
    return true;
}

static bool same_maps(struct eval *ev, uint32_t offset, const struct val *a, const struct val *b,
                      int depth, bool *ret)
{
    struct val_walk w = { .map = a };
    struct val key, x, y;
    *ret = val_map_size(a) == val_map_size(b);
    while (*ret && val_walk_next(&w, &key, &x)) {
        uint64_t probes = 1;
        *ret = val_map_find(b, &key, &y, &probes);
        if (!eval_charge(ev, offset, probes)) return false;
        if (*ret && !same(ev, offset, &x, &y, depth + 1, ret)) return false;
    }
    return true;
}

/* Every element costs: values can share parts, so that a small one may stand for a huge one. */
static bool same(struct eval *ev, uint32_t offset, const struct val *a, const struct val *b,
                 int depth, bool *ret)
{
    int order;
    *ret = false;
    if (!eval_charge(ev, offset, 1)) return false;
    if (a->type != b->type && !(val_is_number(a) && val_is_number(b))) return true;
    if (depth >= JSON_DEPTH_MAX) {
        ev->fail.offset = offset;
        return err_fail(&ev->fail.err, ERR_LIMIT, "a value nests deeper than %d", JSON_DEPTH_MAX);
    }
    switch (a->type) {
    case VAL_NULL: *ret = true; return true;
    case VAL_TYPE: *ret = a->named == b->named; return true;
    case VAL_STRING:
    case VAL_BYTES:
        *ret = bytes_equal(a->text, b->text);
        return eval_charge_scan(ev, offset, a->text.len);
    case VAL_LIST: return same_lists(ev, offset, a, b, depth, ret);
    case VAL_MAP: return same_maps(ev, offset, a, b, depth, ret);
    case VAL_OPTIONAL:
        *ret = !a->inner && !b->inner;
        if (!a->inner || !b->inner) return true;
        return same(ev, offset, a->inner, b->inner, depth + 1, ret);
    default: *ret = val_order(a, b, &order) && order == 0; return true;
    }
}

bool eval_equal(struct eval *ev, uint32_t offset, const struct val *a, const struct val *b,
                bool *ret)
{
    return same(ev, offset, a, b, 0, ret);
}

/* --- in, order --- */

static bool is_in(struct eval *ev, uint32_t offset, const struct val *a, const struct val *b,
                  struct val *ret)
{
    bool found = false;
    if (b->type == VAL_MAP) {
        uint64_t probes = 0;
        if (a->type > VAL_STRING) return mismatch(ev, OP_IN, offset, a, b);
        if (a->type == VAL_STRING && !eval_charge_scan(ev, offset, a->text.len)) return false;
        found = val_map_find(b, a, NULL, &probes);
        if (!eval_charge(ev, offset, probes)) return false;
    } else if (b->type == VAL_LIST) {
        size_t count = val_list_size(b);
        for (size_t i = 0; !found && i < count; i++) {
            struct val element = val_list_at(b, i);
            if (!eval_equal(ev, offset, a, &element, &found)) return false;
        }
    } else {
        return mismatch(ev, OP_IN, offset, a, b);
    }
    *ret = val_bool(found);
    return true;
}

static bool order(struct eval *ev, enum op op, uint32_t offset, const struct val *a,
                  const struct val *b, struct val *ret)
{
    int order;
    if (!val_order(a, b, &order)) return mismatch(ev, op, offset, a, b);
    if ((a->type == VAL_STRING || a->type == VAL_BYTES) &&
        !eval_charge_scan(ev, offset, MIN(a->text.len, b->text.len)))
        return false;
    bool holds = order != ORDER_NONE;
    switch (op) {
    case OP_LT: holds = holds && order < 0; break;
    case OP_LE: holds = holds && order <= 0; break;
    case OP_GT: holds = holds && order > 0; break;
    default: holds = holds && order >= 0; break;
    }
    *ret = val_bool(holds);
    return true;
}

bool eval_operator(struct eval *ev, enum op op, uint32_t offset, const struct val *a,
                   const struct val *b, struct val *ret)
{
    bool equal;
    if (!eval_charge(ev, offset, 1)) return false;
    switch (op) {
    case OP_EQ:
    case OP_NE:
        if (!eval_equal(ev, offset, a, b, &equal)) return false;
        *ret = val_bool(equal == (op == OP_EQ));
        return true;
    case OP_IN: return is_in(ev, offset, a, b, ret);
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE: return order(ev, op, offset, a, b, ret);
    default: return arithmetic(ev, op, offset, a, b, ret);
    }
}
