/* SPDX-License-Identifier: Apache-2.0
 *
 * Macros over lists, maps and optionals: their variables take one element after the other.
 */
#include "common/cel/internal.h"

struct fold {
    struct val *items; /* of the list that filter and its kin make */
    size_t count, cap;
    struct val_map *map; /* transformMap's */
    int64_t hits;
    bool decided;          /* all or exists has seen the element that decides */
    struct failure *first; /* what all or exists has absorbed so far, or NULL */
};

/* ALL and EXISTS: an error counts only if no element decides. */
static bool fold_quantifier(struct eval *ev, const struct node *n, struct fold *f)
{
    bool holds = false;
    if (eval_bool(ev, n->parts[0].node, &holds)) {
        f->decided = holds == (n->op == OP_EXISTS);
        return true;
    }
    if (!eval_may_absorb(ev)) return false;
    if (!f->first) {
        f->first = scope_alloc(ev->scope, sizeof *f->first);
        *f->first = ev->fail;
    }
    return eval_charge(ev, n->offset, COST_OF_ABSORBING);
}

static void add_item(struct eval *ev, struct fold *f, const struct val *v)
{
    f->items = scope_grow(ev->scope, f->items, f->count, &f->cap, sizeof *f->items);
    f->items[f->count++] = *v;
}

/* map and the transformations: the last part, where the condition before it holds. */
static bool fold_transform(struct eval *ev, const struct node *n, struct fold *f)
{
    bool holds = true;
    struct val v;
    const struct node *transform = n->parts[n->count - 1].node;
    if (n->count == 2 && !eval_bool(ev, n->parts[0].node, &holds)) return false;
    if (!holds) return true;
    if (!eval_node(ev, transform, &v)) return false;
    if (n->op == OP_TRANSFORM_MAP)
        return eval_map_add(ev, n->offset, f->map, &ev->vars[n->slot], &v);
    add_item(ev, f, &v);
    return true;
}

/* One element, which lies in ev->vars[n->slot] and, of two variables, the one behind it. */
static bool fold_step(struct eval *ev, const struct node *n, struct fold *f)
{
    bool holds = true;
    switch (n->op) {
    case OP_ALL:
    case OP_EXISTS: return fold_quantifier(ev, n, f);
    case OP_EXISTS_ONE:
        if (!eval_bool(ev, n->parts[0].node, &holds)) return false;
        f->hits += holds;
        return true;
    case OP_FILTER:
        if (!eval_bool(ev, n->parts[0].node, &holds)) return false;
        if (holds) add_item(ev, f, &ev->vars[n->slot]);
        return true;
    default: return fold_transform(ev, n, f);
    }
}

static bool fold_list(struct eval *ev, const struct node *n, const struct val *range,
                      struct fold *f)
{
    for (size_t i = 0; !f->decided && i < val_list_size(range); i++) {
        if (n->vars == 2) ev->vars[n->slot] = val_int((int64_t)i);
        ev->vars[n->slot + n->vars - 1] = val_list_at(range, i);
        if (!eval_charge(ev, n->offset, 1) || !fold_step(ev, n, f)) return false;
    }
    return true;
}

static bool fold_map(struct eval *ev, const struct node *n, const struct val *range, struct fold *f)
{
    struct val_walk w = { .map = range };
    struct val key, value;
    while (!f->decided && val_walk_next(&w, &key, &value)) {
        ev->vars[n->slot] = key;
        if (n->vars == 2) ev->vars[n->slot + 1] = value;
        if (!eval_charge(ev, n->offset, 1) || !fold_step(ev, n, f)) return false;
    }
    return true;
}

/* optMap, optFlatMap */
static bool fold_optional(struct eval *ev, const struct node *n, const struct val *range,
                          struct val *ret)
{
    struct val v;
    if (range->type != VAL_OPTIONAL)
        return eval_fail(ev, n->offset, "no such overload: expected an optional, found %s",
                         val_type_name(range->type));
    *ret = *range;
    if (!range->inner) return true;
    ev->vars[n->slot] = *range->inner;
    if (!eval_node(ev, n->parts[0].node, &v)) return false;
    if (n->op == OP_OPT_MAP)
        *ret = val_optional(ev->scope, &v);
    else if (v.type == VAL_OPTIONAL)
        *ret = v;
    else
        return eval_fail(ev, n->offset,
                         "no such overload: optFlatMap() to %s, which is no optional",
                         val_type_name(v.type));
    return true;
}

static bool fold_result(struct eval *ev, const struct node *n, const struct fold *f,
                        struct val *ret)
{
    switch (n->op) {
    case OP_ALL:
    case OP_EXISTS:
        if (f->first && !f->decided) {
            ev->fail = *f->first;
            return false;
        }
        *ret = val_bool(f->decided == (n->op == OP_EXISTS));
        return true;
    case OP_EXISTS_ONE: *ret = val_bool(f->hits == 1); return true;
    case OP_TRANSFORM_MAP: *ret = val_map(f->map); return true;
    default: *ret = val_list_of(ev->scope, f->items, f->count); return true;
    }
}

bool eval_fold(struct eval *ev, const struct node *n, const struct val *range, struct val *ret)
{
    if (n->op == OP_OPT_MAP || n->op == OP_OPT_FLAT_MAP) return fold_optional(ev, n, range, ret);
    if (range->type != VAL_LIST && range->type != VAL_MAP)
        return eval_fail(ev, n->offset, "no such overload: expected a list or a map, found %s",
                         val_type_name(range->type));
    struct fold f = { 0 };
    if (n->op == OP_TRANSFORM_MAP) {
        f.map = scope_alloc(ev->scope, sizeof *f.map);
        *f.map = (struct val_map){ 0 };
    }
    bool ok = range->type == VAL_LIST ? fold_list(ev, n, range, &f) : fold_map(ev, n, range, &f);
    return ok && fold_result(ev, n, &f, ret);
}
