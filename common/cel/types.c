/* SPDX-License-Identifier: Apache-2.0
 *
 * Types with parameters, after the inference of cel-go's checker: a parameter is bound to the first
 * type that it meets, and to a more general one that it meets later; dyn fits everything, and what
 * was a part of it is dyn.
 */
#include "common/cel/types.h"

enum { DEPTH_MAX = 100 }; /* what nests deeper is dyn */

struct type_bound {
    uint32_t id;
    const struct type *before;
};

/* --- making types --- */

const struct type *type_simple(enum type_kind kind)
{
    static const struct type types[] = {
#define X(name, text) { .kind = TYPE_##name },
        VAL_TYPES(X)
#undef X
            { .kind = TYPE_DYN },
    };
    return &types[kind];
}

const struct type *type_param(struct typing *t)
{
    struct type *type = scope_alloc(t->scope, sizeof *type);
    t->found = scope_grow(t->scope, t->found, t->count, &t->cap, sizeof *t->found);
    *type = (struct type){ .kind = TYPE_PARAM, .id = (uint32_t)t->count };
    t->found[t->count++] = NULL;
    return type;
}

/* A type of the same kind with these parts. */
static const struct type *with_params(struct typing *t, const struct type *like,
                                      const struct type *const *params, uint32_t count)
{
    struct type *type = scope_alloc(t->scope, sizeof *type);
    *type = *like;
    type->params = params;
    type->count = count;
    type->depth = 1;
    for (uint32_t i = 0; i < count; i++)
        type->depth = MAX(type->depth, type_found(t, params[i])->depth + 1);
    return type->depth > DEPTH_MAX ? type_simple(TYPE_DYN) : type;
}

const struct type *type_of_one(struct typing *t, enum type_kind kind, const struct type *part)
{
    const struct type **params = scope_alloc(t->scope, sizeof *params);
    params[0] = part;
    return with_params(t, type_simple(kind), params, 1);
}

const struct type *type_of_two(struct typing *t, enum type_kind kind, const struct type *key,
                               const struct type *value)
{
    const struct type **params = scope_alloc(t->scope, 2 * sizeof *params);
    params[0] = key;
    params[1] = value;
    return with_params(t, type_simple(kind), params, 2);
}

const struct type *type_found(const struct typing *t, const struct type *type)
{
    while (type->kind == TYPE_PARAM && t->found[type->id]) type = t->found[type->id];
    return type;
}

const struct type *type_final(struct typing *t, const struct type *type)
{
    type = type_found(t, type);
    if (type->kind == TYPE_PARAM) return type_simple(TYPE_DYN);
    if (type->count == 0) return type;
    const struct type **params = scope_alloc(t->scope, type->count * sizeof *params);
    for (uint32_t i = 0; i < type->count; i++) params[i] = type_final(t, type->params[i]);
    return with_params(t, type, params, type->count);
}

const struct type *type_fresh(struct typing *t, const struct type *type,
                              const struct type *fresh[10])
{
    if (type->kind == TYPE_PARAM) {
        ASSERT(type->id < 10);
        if (!fresh[type->id]) fresh[type->id] = type_param(t);
        return fresh[type->id];
    }
    if (type->count == 0) return type;
    const struct type **params = scope_alloc(t->scope, type->count * sizeof *params);
    for (uint32_t i = 0; i < type->count; i++) params[i] = type_fresh(t, type->params[i], fresh);
    return with_params(t, type, params, type->count);
}

/* --- what parameters stand for --- */

size_t type_mark(const struct typing *t)
{
    return t->trail_len;
}

void type_undo(struct typing *t, size_t mark)
{
    while (t->trail_len > mark) {
        const struct type_bound *last = &t->trail[--t->trail_len];
        t->found[last->id] = last->before;
    }
}

void type_bind(struct typing *t, const struct type *param, const struct type *type)
{
    t->trail = scope_grow(t->scope, t->trail, t->trail_len, &t->trail_cap, sizeof *t->trail);
    t->trail[t->trail_len++] = (struct type_bound){ param->id, t->found[param->id] };
    t->found[param->id] = type;
}

/* Types that null is a value of, by the specification's tradition. */
static bool is_nullable(const struct type *type)
{
    return type->kind == TYPE_OPTIONAL || type->kind == TYPE_ABSTRACT ||
           type->kind == TYPE_TIMESTAMP || type->kind == TYPE_DURATION;
}

static bool same_head(const struct type *a, const struct type *b)
{
    return a->kind == b->kind && a->count == b->count &&
           (a->kind != TYPE_ABSTRACT || strcmp(a->name, b->name) == 0);
}

/* Whether a is equal to b or says less. */
static bool is_as_general(const struct type *a, const struct type *b)
{
    if (a->kind == TYPE_DYN || a->kind == TYPE_PARAM) return true;
    if (b->kind == TYPE_DYN || b->kind == TYPE_PARAM) return false;
    if (b->kind == TYPE_NULL && is_nullable(a)) return true;
    if (!same_head(a, b)) return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!is_as_general(a->params[i], b->params[i])) return false;
    return true;
}

static const struct type *more_general(const struct type *a, const struct type *b)
{
    return is_as_general(a, b) ? a : b;
}

/* Whether the parameter is a part of the type: then it cannot stand for it. */
static bool occurs(const struct typing *t, uint32_t id, const struct type *type)
{
    type = type_found(t, type);
    if (type->kind == TYPE_PARAM) return type->id == id;
    for (uint32_t i = 0; i < type->count; i++)
        if (occurs(t, id, type->params[i])) return true;
    return false;
}

static bool unify(struct typing *t, const struct type *a, const struct type *b, int depth);

static bool bind(struct typing *t, const struct type *param, const struct type *type, int depth)
{
    const struct type *before = t->found[param->id];
    if (type->kind == TYPE_PARAM && type->id == param->id) return true;
    if (before && before->kind == TYPE_PARAM) return bind(t, before, type, depth);
    if (before && !unify(t, type, before, depth + 1)) return false;
    const struct type *now = before ? more_general(type, before) : type;
    if (occurs(t, param->id, now)) return before != NULL;
    type_bind(t, param, now);
    return true;
}

/* Whatever the parameters in a type stand for may be anything. */
static void loosen(struct typing *t, const struct type *type)
{
    if (type->kind == TYPE_PARAM && type_found(t, type)->kind != TYPE_DYN)
        type_bind(t, type, type_simple(TYPE_DYN));
    for (uint32_t i = 0; i < type->count; i++) loosen(t, type->params[i]);
}

static bool unify(struct typing *t, const struct type *a, const struct type *b, int depth)
{
    if (depth > DEPTH_MAX) return false;
    if (b->kind == TYPE_PARAM) return bind(t, b, a, depth);
    if (a->kind == TYPE_PARAM) return bind(t, a, b, depth);
    if (a->kind == TYPE_DYN || b->kind == TYPE_DYN) {
        loosen(t, a);
        loosen(t, b);
        return true;
    }
    if (a->kind == TYPE_NULL && is_nullable(b)) return true;
    if (b->kind == TYPE_NULL && is_nullable(a)) return true;
    if (!same_head(a, b)) return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!unify(t, a->params[i], b->params[i], depth + 1)) return false;
    return true;
}

bool type_fits(struct typing *t, const struct type *to, const struct type *from)
{
    size_t mark = type_mark(t);
    if (unify(t, from, to, 0)) return true;
    type_undo(t, mark);
    return false;
}

const struct type *type_join(struct typing *t, const struct type *a, const struct type *b)
{
    if (!a) return b;
    return type_fits(t, a, b) ? more_general(a, b) : type_simple(TYPE_DYN);
}

bool type_same(const struct typing *t, const struct type *a, const struct type *b)
{
    a = type_found(t, a);
    b = type_found(t, b);
    if (!same_head(a, b) || (a->kind == TYPE_PARAM && a->id != b->id)) return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!type_same(t, a->params[i], b->params[i])) return false;
    return true;
}

void type_write(const struct typing *t, const struct type *type, struct buf *ret)
{
    type = type_found(t, type);
    if (type->kind == TYPE_DYN || type->kind == TYPE_PARAM)
        buf_add_text(ret, "dyn");
    else if (type->kind == TYPE_ABSTRACT)
        buf_add_text(ret, type->name);
    else
        buf_add_text(ret, val_type_name((enum val_type)type->kind));
    for (uint32_t i = 0; i < type->count; i++) {
        buf_add_text(ret, i ? ", " : "(");
        type_write(t, type->params[i], ret);
    }
    if (type->count) buf_add_char(ret, ')');
}
