/* SPDX-License-Identifier: Apache-2.0
 *
 * math.greatest and its kin, after cel-go's ext/math. Their result keeps the type of the argument
 * that it is.
 */
#include <math.h>

#include "common/cel/internal.h"

/* The largest (sign 1) or smallest (sign -1) of the arguments, or of one list. */
static bool extreme(const struct call *c, int sign, struct val *ret)
{
    const struct val *list = c->count == 1 && c->args[0].type == VAL_LIST ? &c->args[0] : NULL;
    size_t count = list ? val_list_size(list) : c->count;
    if (count == 0)
        return eval_fail(c->ev, c->node->offset, "%s() of an empty list", c->function->name);
    struct val best = { 0 };
    for (size_t i = 0; i < count; i++) {
        struct val v = list ? val_list_at(list, i) : c->args[i];
        int order;
        if (!val_is_number(&v)) return call_mismatch(c);
        if (!call_charge(c, 1)) return false;
        if (i == 0 || (val_order(&v, &best, &order) && order != ORDER_NONE && order * sign > 0))
            best = v;
    }
    *ret = best;
    return true;
}

bool math_greatest(const struct call *c, struct val *ret)
{
    return extreme(c, 1, ret);
}
bool math_least(const struct call *c, struct val *ret)
{
    return extreme(c, -1, ret);
}

bool math_abs(const struct call *c, struct val *ret)
{
    *ret = c->args[0];
    if (ret->type == VAL_DOUBLE)
        ret->d = fabs(ret->d);
    else if (ret->type == VAL_INT && ret->i < 0)
        return eval_negate(c->ev, c->node->offset, ret);
    return true;
}

bool math_sign(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    if (v->type == VAL_INT)
        *ret = val_int((v->i > 0) - (v->i < 0));
    else if (v->type == VAL_UINT)
        *ret = val_uint(v->u > 0);
    else
        *ret = val_double(isnan(v->d) ? v->d : (double)((v->d > 0) - (v->d < 0)));
    return true;
}

bool math_ceil(const struct call *c, struct val *ret)
{
    *ret = val_double(ceil(c->args[0].d));
    return true;
}
bool math_floor(const struct call *c, struct val *ret)
{
    *ret = val_double(floor(c->args[0].d));
    return true;
}
bool math_round(const struct call *c, struct val *ret)
{
    *ret = val_double(round(c->args[0].d));
    return true;
}
bool math_trunc(const struct call *c, struct val *ret)
{
    *ret = val_double(trunc(c->args[0].d));
    return true;
}
bool math_is_nan(const struct call *c, struct val *ret)
{
    *ret = val_bool(isnan(c->args[0].d));
    return true;
}
bool math_is_inf(const struct call *c, struct val *ret)
{
    *ret = val_bool(isinf(c->args[0].d));
    return true;
}
bool math_is_finite(const struct call *c, struct val *ret)
{
    *ret = val_bool(isfinite(c->args[0].d));
    return true;
}

/* --- bits: of an int those of two's complement --- */

bool math_bit_and(const struct call *c, struct val *ret)
{
    *ret = c->args[0];
    ret->u &= c->args[1].u;
    return true;
}
bool math_bit_or(const struct call *c, struct val *ret)
{
    *ret = c->args[0];
    ret->u |= c->args[1].u;
    return true;
}
bool math_bit_xor(const struct call *c, struct val *ret)
{
    *ret = c->args[0];
    ret->u ^= c->args[1].u;
    return true;
}
bool math_bit_not(const struct call *c, struct val *ret)
{
    *ret = c->args[0];
    ret->u = ~ret->u;
    return true;
}

/* No sign comes in from the left, and 64 places and more leave nothing. */
static bool shift(const struct call *c, bool left, struct val *ret)
{
    int64_t by = c->args[1].i;
    *ret = c->args[0];
    if (by < 0)
        return eval_fail(c->ev, c->node->offset, "%s(): a negative shift", c->function->name);
    if (by > 63)
        ret->u = 0;
    else
        ret->u = left ? ret->u << by : ret->u >> by;
    return true;
}

bool math_bit_shift_left(const struct call *c, struct val *ret)
{
    return shift(c, true, ret);
}
bool math_bit_shift_right(const struct call *c, struct val *ret)
{
    return shift(c, false, ret);
}
