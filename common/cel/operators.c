/* SPDX-License-Identifier: Apache-2.0
 *
 * The operators between two values. Arithmetic never mixes int and double (langdef.md, "Numeric
 * Values"); comparison does. Integer overflow is an error; a double may become infinite on its way
 * and is refused where it would have to be JSON.
 */
#include <math.h>

#include "common/cel/internal.h"

static const char *const signs[] = {
    [OP_LT] = "<",  [OP_LE] = "<=", [OP_GT] = ">",  [OP_GE] = ">=", [OP_EQ] = "==", [OP_NE] = "!=",
    [OP_IN] = "in", [OP_ADD] = "+", [OP_SUB] = "-", [OP_MUL] = "*", [OP_DIV] = "/", [OP_MOD] = "%",
};

static bool mismatch(struct eval *ev, enum op op, uint32_t offset, const struct val *a,
                     const struct val *b)
{
    return eval_fail(ev, offset, "no such overload: %s %s %s", val_type_name(a->type), signs[op],
                     val_type_name(b->type));
}

static bool overflow(struct eval *ev, uint32_t offset)
{
    return eval_fail(ev, offset, "integer overflow");
}

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

static bool divide(struct eval *ev, enum op op, uint32_t offset, int64_t a, int64_t b, int64_t *ret)
{
    if (b == 0) return eval_fail(ev, offset, op == OP_DIV ? "division by zero" : "modulo by zero");
    if (a == INT64_MIN && b == -1) return overflow(ev, offset);
    *ret = op == OP_DIV ? a / b : a % b;
    return true;
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
    default: return divide(ev, op, offset, a, b, &ret->i);
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

static bool concat_strings(struct eval *ev, uint32_t offset, const struct val *a,
                           const struct val *b, struct val *ret)
{
    struct bytes x = val_text(a), y = val_text(b);
    if (!eval_charge_copy(ev, offset, x.len + y.len)) return false;
    AUTO_BUF struct buf joined = { 0 };
    buf_reserve(&joined, x.len + y.len);
    buf_add(&joined, x.data, x.len);
    buf_add(&joined, y.data, y.len);
    *ret = val_string(joined.data, joined.len);
    return true;
}

static bool concat_lists(struct eval *ev, uint32_t offset, const struct val *a, const struct val *b,
                         struct val *ret)
{
    if (!eval_charge(ev, offset, json_array_size(a->j) + json_array_size(b->j))) return false;
    json_t *joined = json_array();
    json_array_extend(joined, a->j);
    json_array_extend(joined, b->j);
    ev->built = true;
    *ret = (struct val){ .type = VAL_LIST, .j = joined };
    return true;
}

static bool arithmetic(struct eval *ev, enum op op, uint32_t offset, const struct val *a,
                       const struct val *b, struct val *ret)
{
    if (a->type == VAL_INT && b->type == VAL_INT)
        return int_arithmetic(ev, op, offset, a->i, b->i, ret);
    if (a->type == VAL_DOUBLE && b->type == VAL_DOUBLE && op != OP_MOD) {
        *ret = val_double(double_arithmetic(op, a->d, b->d));
        return true;
    }
    if (op == OP_ADD && a->type == VAL_STRING && b->type == VAL_STRING)
        return concat_strings(ev, offset, a, b, ret);
    if (op == OP_ADD && a->type == VAL_LIST && b->type == VAL_LIST)
        return concat_lists(ev, offset, a, b, ret);
    bool mixed = (a->type == VAL_INT && b->type == VAL_DOUBLE) ||
                 (a->type == VAL_DOUBLE && b->type == VAL_INT);
    if (mixed && op != OP_MOD)
        return eval_fail(ev, offset, "no such overload: %s %s %s; convert with int() or double()",
                         val_type_name(a->type), signs[op], val_type_name(b->type));
    return mismatch(ev, op, offset, a, b);
}

static bool is_in(struct eval *ev, uint32_t offset, const struct val *a, const struct val *b,
                  struct val *ret)
{
    bool found = false;
    if (b->type == VAL_MAP) {
        if (a->type > VAL_STRING) return mismatch(ev, OP_IN, offset, a, b);
        if (a->type == VAL_STRING && !eval_charge_scan(ev, offset, json_string_length(a->j)))
            return false;
        /* Keys are strings: no other value is one. */
        found = a->type == VAL_STRING && json_object_get(b->j, json_string_value(a->j)) != NULL;
    } else if (b->type == VAL_LIST) {
        for (size_t i = 0; !found && i < json_array_size(b->j); i++) {
            AUTO_VAL element = val_of_json(json_array_get(b->j, i));
            if (!eval_charge(ev, offset, 1) || !eval_equal(ev, offset, a, &element, &found))
                return false;
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
    if (a->type == VAL_STRING &&
        !eval_charge_scan(ev, offset, MIN(json_string_length(a->j), json_string_length(b->j))))
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
