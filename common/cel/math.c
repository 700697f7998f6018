/* SPDX-License-Identifier: Apache-2.0
 *
 * math.greatest and its kin, after cel-go's ext/math. Their result keeps the type of the argument
 * that it is.
 */
#include <math.h>

#include "common/cel/internal.h"

static bool is_number(const struct val *v)
{
    return v->type == VAL_INT || v->type == VAL_DOUBLE;
}

/* The largest (sign 1) or smallest (sign -1) of the arguments, or of one list. */
static bool extreme(const struct call *c, int sign, struct val *ret)
{
    const struct val *list = c->count == 1 && c->args[0].type == VAL_LIST ? &c->args[0] : NULL;
    size_t count = list ? json_array_size(list->j) : c->count;
    if (count == 0)
        return eval_fail(c->ev, c->node->offset, "%s() of an empty list", c->function->name);
    struct val best = { 0 };
    for (size_t i = 0; i < count; i++) {
        struct val v = list ? val_of_json(json_array_get(list->j, i)) : val_copy(&c->args[i]);
        int order;
        if (!is_number(&v)) {
            val_done(&v);
            return call_mismatch(c);
        }
        if (!eval_charge(c->ev, c->node->offset, 1)) return false;
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
    const struct val *v = &c->args[0];
    if (!is_number(v)) return call_mismatch(c);
    *ret = *v;
    if (v->type == VAL_DOUBLE)
        ret->d = fabs(v->d);
    else if (v->i < 0)
        return eval_negate(c->ev, c->node->offset, ret);
    return true;
}

bool math_sign(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    if (!is_number(v)) return call_mismatch(c);
    if (v->type == VAL_INT)
        *ret = val_int((v->i > 0) - (v->i < 0));
    else
        *ret = val_double(isnan(v->d) ? v->d : (double)((v->d > 0) - (v->d < 0)));
    return true;
}

static bool rounded(const struct call *c, double (*how)(double), struct val *ret)
{
    if (c->args[0].type != VAL_DOUBLE) return call_mismatch(c);
    *ret = val_double(how(c->args[0].d));
    return true;
}

bool math_ceil(const struct call *c, struct val *ret)
{
    return rounded(c, ceil, ret);
}
bool math_floor(const struct call *c, struct val *ret)
{
    return rounded(c, floor, ret);
}
bool math_round(const struct call *c, struct val *ret)
{
    return rounded(c, round, ret);
}
bool math_trunc(const struct call *c, struct val *ret)
{
    return rounded(c, trunc, ret);
}
