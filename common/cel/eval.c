/* SPDX-License-Identifier: Apache-2.0
 *
 * The evaluator: a walk over the tree. Every node costs 1, work that grows with a value costs by
 * its size, and the sum is bounded, so that an evaluation ends soon whatever it is given. An error
 * keeps its offset and is turned into "line:column: text" at the very end, because && and || throw
 * most of them away.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/nearest.h"
#include "common/cel/internal.h"

enum {
    SCOPE_BYTES = 2048,  /* on the stack: most evaluations need no more */
    KEYS_COMPARED = 100, /* for a hint */
};

bool eval_fail(struct eval *ev, uint32_t offset, const char *fmt, ...)
{
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ev->fail.offset = offset;
    ev->fail.missing = NULL;
    return err_fail(&ev->fail.err, ERR_INVALID, "%s", text);
}

bool eval_spent(struct eval *ev, uint32_t offset)
{
    ev->fail.offset = offset;
    ev->fail.missing = NULL;
    return err_fail(&ev->fail.err, ERR_LIMIT, "the expression costs more than %llu steps",
                    (unsigned long long)ev->cost_max);
}

bool eval_may_absorb(const struct eval *ev)
{
    return ev->fail.err.kind == ERR_INVALID || ev->fail.err.kind == ERR_NOT_FOUND;
}

/* --- members --- */

/* The name must live as long as the evaluation. */
static bool no_such_key(struct eval *ev, uint32_t offset, const struct val *map, const char *key)
{
    (void)eval_fail(ev, offset, "no such key: %.*s", SHOWN(key));
    ev->fail.missing = key;
    ev->fail.map = *map;
    return false;
}

static void add_hint(struct failure *f)
{
    struct nearest near = { .wanted = f->missing };
    struct val_walk w = { .map = &f->map };
    struct val key, value;
    char hint[NEAREST_TEXT_MAX];
    for (int i = 0; i < KEYS_COMPARED && val_walk_next(&w, &key, &value); i++)
        if (key.type == VAL_STRING) nearest_offer(&near, key.text.data);
    nearest_text(&near, hint);
    size_t len = strlen(f->err.text);
    snprintf(f->err.text + len, sizeof f->err.text - len, "%s", hint);
    text_one_line(f->err.text);
}

bool eval_select(struct eval *ev, uint32_t offset, const struct val *from, const char *name,
                 struct val *ret, bool *ret_there)
{
    uint64_t probes = 0;
    if (from->type != VAL_MAP)
        return eval_fail(ev, offset, "no such overload: cannot select '%.*s' of %s", SHOWN(name),
                         val_type_name(from->type));
    *ret_there = val_map_member(from, name, ret, &probes);
    if (!*ret_there) (void)no_such_key(ev, offset, from, name);
    return eval_charge(ev, offset, probes);
}

/* The value of a whole number. */
static bool whole(const struct val *v, int64_t *ret)
{
    if (v->type == VAL_DOUBLE && !(v->d == floor(v->d) && fabs(v->d) < 0x1p63)) return false;
    if (v->type == VAL_UINT)
        *ret = v->u > INT64_MAX ? INT64_MAX : (int64_t)v->u;
    else
        *ret = v->type == VAL_DOUBLE ? (int64_t)v->d : v->i;
    return true;
}

static bool index_list(struct eval *ev, uint32_t offset, const struct val *from,
                       const struct val *index, struct val *ret, bool *ret_there)
{
    int64_t i;
    size_t count = val_list_size(from);
    if (!val_is_number(index) || !whole(index, &i))
        return eval_fail(ev, offset, "no such overload: list[%s]", val_type_name(index->type));
    *ret_there = i >= 0 && (uint64_t)i < count;
    if (*ret_there)
        *ret = val_list_at(from, (size_t)i);
    else
        (void)eval_fail(ev, offset, "index out of range: %lld of a list of %zu", (long long)i,
                        count);
    return true;
}

bool eval_index(struct eval *ev, uint32_t offset, const struct val *from, const struct val *index,
                struct val *ret, bool *ret_there)
{
    uint64_t probes = 0;
    if (from->type == VAL_LIST) return index_list(ev, offset, from, index, ret, ret_there);
    if (from->type != VAL_MAP || index->type == VAL_NULL || index->type > VAL_STRING)
        return eval_fail(ev, offset, "no such overload: %s[%s]", val_type_name(from->type),
                         val_type_name(index->type));
    if (index->type == VAL_STRING && !eval_charge_scan(ev, offset, index->text.len)) return false;
    *ret_there = val_map_find(from, index, ret, &probes);
    if (!*ret_there && index->type == VAL_STRING)
        (void)no_such_key(ev, offset, from, scope_copy(ev->scope, index->text));
    else if (!*ret_there)
        (void)eval_fail(ev, offset, "no such key: a map has no such %s",
                        val_type_name(index->type));
    return eval_charge(ev, offset, probes);
}

/* --- names --- */

/* Follows names through JSON: *ret is NULL if the last one is missing; one before it must be
 * there. Most of what expressions read is found here, so that it makes no values on its way. */
static bool walk_json(struct eval *ev, uint32_t offset, json_t *j, const char *const *names,
                      size_t count, json_t **ret)
{
    for (size_t i = 0; i < count; i++) {
        struct val v;
        if (!json_is_object(j)) {
            v = val_of_json(j);
            return eval_fail(ev, offset, "no such overload: cannot select '%.*s' of %s",
                             SHOWN(names[i]), val_type_name(v.type));
        }
        json_t *next = json_object_get(j, names[i]);
        if (!next) {
            v = val_of_json(j);
            *ret = NULL;
            (void)no_such_key(ev, offset, &v, names[i]);
            return i + 1 == count;
        }
        j = next;
    }
    *ret = j;
    return true;
}

/* Follows names through maps. *ret_there: whether the last one is there; one before it must be. */
static bool walk(struct eval *ev, uint32_t offset, struct val *v, const char *const *names,
                 size_t count, bool *ret_there)
{
    *ret_there = true;
    for (size_t i = 0; i < count; i++) {
        struct val next;
        if (!eval_select(ev, offset, v, names[i], &next, ret_there)) return false;
        if (!*ret_there) return i + 1 == count;
        *v = next;
    }
    return true;
}

static bool fail_resolve(struct eval *ev, const struct node *n)
{
    ev->fail.offset = n->offset;
    ev->fail.missing = NULL;
    return false;
}

/* The first `count` names of a path, as JSON; *ret_there as of resolve. */
static bool resolve_json(struct eval *ev, const struct node *n, size_t count, struct val *ret,
                         bool *ret_there)
{
    struct cel_env *env = ev->env;
    size_t used = 0;
    json_t *root = NULL, *leaf;
    if (!env->resolve) {
        err_fail(&ev->fail.err, ERR_NOT_FOUND, "unknown name '%.*s'", SHOWN(n->names[0]));
        return fail_resolve(ev, n);
    }
    if (!env->resolve(env->user, n->names, count, &used, &root, &ev->fail.err))
        return fail_resolve(ev, n);
    ASSERT(root && used >= 1 && used <= count);
    bool ok = walk_json(ev, n->offset, root, n->names + used, count - used, &leaf);
    *ret_there = ok && leaf;
    if (*ret_there) *ret = val_of_json(leaf);
    if (*ret_there && !ret->json)
        json_decref(root); /* a scalar is no view */
    else
        scope_hold(ev->scope, root);
    return ok;
}

/* The first `count` names of a path. *ret_there: whether the last one is there. */
static bool resolve(struct eval *ev, const struct node *n, size_t count, struct val *ret,
                    bool *ret_there)
{
    struct cel_env *env = ev->env;
    size_t used = 0;
    if (!env->resolve_value) return resolve_json(ev, n, count, ret, ret_there);
    if (!env->resolve_value(env->user, n->names, count, &used, ret, &ev->fail.err))
        return fail_resolve(ev, n);
    ASSERT(used >= 1 && used <= count);
    return walk(ev, n->offset, ret, n->names + used, count - used, ret_there);
}

static bool eval_path(struct eval *ev, const struct node *n, struct val *ret)
{
    bool there = false;
    enum val_type named;
    if (resolve(ev, n, n->count, ret, &there)) return there;
    /* `type(x) == int`: the names of types are the last to be thought of. */
    if (!eval_may_absorb(ev) || !path_is_type(n, &named)) return false;
    *ret = (struct val){ .type = VAL_TYPE, .named = named };
    return true;
}

static bool has_path(struct eval *ev, const struct node *n, bool *ret)
{
    struct cel_env *env = ev->env;
    struct val v;
    bool there = false;
    if (env->exists)
        return env->exists(env->user, n->names, n->count, ret, &ev->fail.err) ||
               fail_resolve(ev, n);
    if (resolve(ev, n, n->count, &v, ret)) return true;
    if (!eval_may_absorb(ev)) return false;
    /* The resolver knows no such path; then what it is selected of must be there. */
    *ret = false;
    struct failure first = ev->fail;
    if (resolve(ev, n, n->count - 1, &v, &there)) {
        if (!there || v.type == VAL_MAP) return there;
        ev->fail = first;
    }
    return false;
}

/* --- calls --- */

static bool call_unknown(struct eval *ev, const struct node *n)
{
    return eval_fail(ev, n->offset, "unknown function '%.*s'", SHOWN(n->name));
}

/* target: of a method, else NULL. */
static bool eval_call(struct eval *ev, const struct node *n, const struct val *target,
                      struct val *ret)
{
    if (!n->function) return call_unknown(ev, n);
    if ((n->function->how & CALL_LAZY) && target && target->type == VAL_OPTIONAL && target->inner) {
        *ret = strcmp(n->function->name, "or") == 0 ? *target : *target->inner;
        return true;
    }
    struct val args[FUNCTION_ARGS_MAX];
    size_t count = 0;
    if (target) args[count++] = *target;
    for (uint32_t i = 0; i < n->count; i++)
        if (!eval_node(ev, n->parts[i].node, &args[count++])) return false;
    struct call c = { .ev = ev,
                      .node = n,
                      .function = n->function,
                      .args = args,
                      .count = count,
                      .is_method = target != NULL };
    return function_run(&c, ret);
}

bool eval_bool(struct eval *ev, const struct node *n, bool *ret)
{
    struct val v;
    if (!eval_node(ev, n, &v)) return false;
    if (v.type != VAL_BOOL)
        return eval_fail(ev, n->offset, "no such overload: expected a bool, found %s",
                         val_type_name(v.type));
    *ret = v.b;
    return true;
}

/* --- nodes with parts --- */

/* A member or an element. What is selected of an optional is optional too. */
static bool eval_member(struct eval *ev, const struct part *part, const struct val *from,
                        struct val *ret)
{
    bool optional = part->op == OP_OPT_SELECT || part->op == OP_OPT_INDEX, there = false;
    struct val index, found;
    if (part->node && !eval_node(ev, part->node, &index)) return false;
    if (from->type == VAL_OPTIONAL) {
        optional = true;
        from = from->inner;
    }
    if (!from)
        there = false;
    else if (!part->node && !eval_select(ev, part->offset, from, part->name, &found, &there))
        return false;
    else if (part->node && !eval_index(ev, part->offset, from, &index, &found, &there))
        return false;
    if (optional)
        *ret = val_optional(ev->scope, there ? &found : NULL);
    else if (there)
        *ret = found;
    return optional || there;
}

static bool eval_part(struct eval *ev, const struct part *part, const struct val *from,
                      struct val *ret)
{
    if (!eval_charge(ev, part->offset, 1)) return false;
    switch (part->op) {
    case OP_CALL: return eval_call(ev, part->node, from, ret);
    case OP_FOLD: return eval_fold(ev, part->node, from, ret);
    default: return eval_member(ev, part, from, ret);
    }
}

/* The first `count` parts of a chain of members. */
static bool eval_postfix(struct eval *ev, const struct node *n, uint32_t count, struct val *ret)
{
    struct val v;
    if (!eval_node(ev, n->base, &v)) return false;
    for (uint32_t i = 0; i < count; i++) {
        struct val next;
        if (!eval_part(ev, &n->parts[i], &v, &next)) return false;
        v = next;
    }
    *ret = v;
    return true;
}

static bool eval_has(struct eval *ev, const struct node *n, struct val *ret)
{
    bool has = false;
    if (n->base->kind == NODE_PATH) {
        if (!has_path(ev, n->base, &has)) return false;
    } else {
        struct val v, found;
        const struct val *from = &v;
        const struct part *last = &n->base->parts[n->base->count - 1];
        if (!eval_postfix(ev, n->base, n->base->count - 1, &v)) return false;
        if (v.type == VAL_OPTIONAL) from = v.inner;
        if (from && !eval_select(ev, last->offset, from, last->name, &found, &has)) return false;
    }
    *ret = val_bool(has);
    return true;
}

static bool eval_chain(struct eval *ev, const struct node *n, struct val *ret)
{
    struct val left;
    if (!eval_node(ev, n->parts[0].node, &left)) return false;
    for (uint32_t i = 1; i < n->count; i++) {
        const struct part *part = &n->parts[i];
        struct val right, result;
        if (!eval_node(ev, part->node, &right) ||
            !eval_operator(ev, part->op, part->offset, &left, &right, &result))
            return false;
        left = result;
    }
    *ret = left;
    return true;
}

/* The rest of && or || after part `from` has failed: only a part that decides helps. */
static bool eval_logic_failed(struct eval *ev, const struct node *n, uint32_t from, struct val *ret)
{
    const struct failure first = ev->fail;
    bool decisive = n->op == OP_OR, b = false;
    for (uint32_t i = from + 1; i < n->count; i++) {
        if (!eval_charge(ev, n->offset, COST_OF_ABSORBING)) return false;
        if (eval_bool(ev, n->parts[i].node, &b)) {
            if (b != decisive) continue;
            *ret = val_bool(decisive);
            return true;
        }
        if (!eval_may_absorb(ev)) return false;
    }
    ev->fail = first;
    return false;
}

static bool eval_logic(struct eval *ev, const struct node *n, struct val *ret)
{
    bool decisive = n->op == OP_OR, b = false;
    for (uint32_t i = 0; i < n->count; i++) {
        if (!eval_bool(ev, n->parts[i].node, &b))
            return eval_may_absorb(ev) && eval_logic_failed(ev, n, i, ret);
        if (b != decisive) continue;
        *ret = val_bool(decisive);
        return true;
    }
    *ret = val_bool(!decisive);
    return true;
}

static bool eval_choice(struct eval *ev, const struct node *n, struct val *ret)
{
    uint32_t i = 0;
    for (; i + 1 < n->count; i += 2) {
        bool holds = false;
        if (!eval_bool(ev, n->parts[i].node, &holds)) return false;
        if (holds) return eval_node(ev, n->parts[i + 1].node, ret);
    }
    return eval_node(ev, n->parts[i].node, ret);
}

/* An element, or what a '?' in front of it takes out of an optional: *ret_there says whether there
 * is one. */
static bool eval_element(struct eval *ev, enum op op, const struct node *n, struct val *ret,
                         bool *ret_there)
{
    *ret_there = true;
    if (!eval_node(ev, n, ret)) return false;
    if (op != OP_OPTIONAL) return true;
    if (ret->type != VAL_OPTIONAL)
        return eval_fail(ev, n->offset, "no such overload: '?' takes an optional, this is %s",
                         val_type_name(ret->type));
    *ret_there = ret->inner != NULL;
    if (*ret_there) *ret = *ret->inner;
    return true;
}

static bool eval_list(struct eval *ev, const struct node *n, struct val *ret)
{
    struct val *items = scope_alloc(ev->scope, n->count * sizeof *items);
    size_t count = 0;
    for (uint32_t i = 0; i < n->count; i++) {
        bool there;
        if (!eval_element(ev, n->parts[i].op, n->parts[i].node, &items[count], &there))
            return false;
        count += there;
    }
    *ret = val_list_of(ev->scope, items, count);
    return true;
}

bool eval_map_add(struct eval *ev, uint32_t offset, struct val_map *map, const struct val *key,
                  const struct val *value)
{
    uint64_t probes = 1;
    struct val whole_map = val_map(map);
    if (key->type != VAL_BOOL && key->type != VAL_INT && key->type != VAL_UINT &&
        key->type != VAL_STRING)
        return eval_fail(ev, offset,
                         "a map key must be a string, an int, a uint or a bool, this is %s",
                         val_type_name(key->type));
    bool repeated = val_map_find(&whole_map, key, NULL, &probes);
    size_t len = key->type == VAL_STRING ? key->text.len : 0;
    if (!eval_charge(ev, offset, probes) || !eval_charge_copy(ev, offset, len)) return false;
    if (repeated && key->type == VAL_STRING)
        return eval_fail(ev, offset, "repeated key: %.*s", SHOWN_BYTES(key->text));
    if (repeated) return eval_fail(ev, offset, "repeated key");
    val_map_add(ev->scope, map, key, value);
    return true;
}

static bool eval_map(struct eval *ev, const struct node *n, struct val *ret)
{
    struct val_map *map = scope_alloc(ev->scope, sizeof *map);
    *map = (struct val_map){ 0 };
    for (uint32_t i = 0; i < n->count; i += 2) {
        const struct part *part = &n->parts[i];
        struct val key, value;
        bool there;
        if (!eval_node(ev, part->node, &key) ||
            !eval_element(ev, part->op, n->parts[i + 1].node, &value, &there))
            return false;
        if (there && !eval_map_add(ev, part->offset, map, &key, &value)) return false;
    }
    *ret = val_map(map);
    return true;
}

static bool eval_sign(struct eval *ev, const struct node *n, struct val *ret)
{
    if (n->kind == NODE_NOT) {
        bool b = false;
        if (!eval_bool(ev, n->base, &b)) return false;
        *ret = val_bool(b != (n->count % 2 == 1));
        return true;
    }
    if (!eval_node(ev, n->base, ret)) return false;
    /* Twice is nothing, but an overflow or a type that has no sign shows the first time. */
    if (!eval_negate(ev, n->offset, ret)) return false;
    return n->count % 2 == 1 || eval_negate(ev, n->offset, ret);
}

/* A variable's expression may fail: that matters only where the variable is read. */
static bool eval_bind(struct eval *ev, const struct node *n, struct val *ret)
{
    for (uint32_t i = 0; i + 1 < n->count; i++) {
        struct val *var = &ev->vars[n->slot + i];
        if (eval_node(ev, n->parts[i].node, var)) continue;
        if (!eval_may_absorb(ev) || !eval_charge(ev, n->offset, COST_OF_ABSORBING)) return false;
        struct failure *failure = scope_alloc(ev->scope, sizeof *failure);
        *failure = ev->fail;
        *var = (struct val){ .type = VAL_FAILED, .failure = failure };
    }
    return eval_node(ev, n->parts[n->count - 1].node, ret);
}

static bool eval_var(struct eval *ev, const struct node *n, struct val *ret)
{
    *ret = ev->vars[n->slot];
    if (ret->type != VAL_FAILED) return true;
    ev->fail = *ret->failure;
    return false;
}

bool eval_node(struct eval *ev, const struct node *n, struct val *ret)
{
    if (!eval_charge(ev, n->offset, 1)) return false;
    switch (n->kind) {
    case NODE_CONST: *ret = n->value; return true;
    case NODE_VAR: return eval_var(ev, n, ret);
    case NODE_PATH: return eval_path(ev, n, ret);
    case NODE_LIST: return eval_list(ev, n, ret);
    case NODE_MAP: return eval_map(ev, n, ret);
    case NODE_NEGATE:
    case NODE_NOT: return eval_sign(ev, n, ret);
    case NODE_CHAIN: return eval_chain(ev, n, ret);
    case NODE_LOGIC: return eval_logic(ev, n, ret);
    case NODE_CHOICE: return eval_choice(ev, n, ret);
    case NODE_CALL: return eval_call(ev, n, NULL, ret);
    case NODE_POSTFIX: return eval_postfix(ev, n, n->count, ret);
    case NODE_HAS: return eval_has(ev, n, ret);
    case NODE_BIND: return eval_bind(ev, n, ret);
    case NODE_FOLD: break;
    }
    ASSERT(n->kind != NODE_FOLD); /* which is only ever a part of a NODE_POSTFIX */
    return false;
}

/* --- the whole --- */

/* Members are written before they are read, and vars are too many to clear. */
static void begin(struct eval *ev, const struct cel *c, struct cel_env *env, struct scope *a)
{
    ev->cel = c;
    ev->env = env;
    ev->scope = a;
    ev->cost_max = env->cost_max ? env->cost_max : CEL_COST_MAX;
    ev->fail.err.kind = ERR_INVALID;
    ev->fail.err.text[0] = '\0';
    ev->fail.offset = 0;
    ev->fail.missing = NULL;
}

static bool tell(struct eval *ev, struct err *e)
{
    if (!e) return false;
    if (ev->fail.missing) add_hint(&ev->fail);
    *e = ev->fail.err;
    return source_fail(ev->cel->source, ev->fail.offset, e);
}

bool cel_eval_value(const struct cel *c, struct cel_env *env, struct scope *a, struct val *ret,
                    struct err *e)
{
    struct eval ev;
    begin(&ev, c, env, a);
    return eval_node(&ev, c->root, ret) || tell(&ev, e);
}

bool cel_eval(const struct cel *c, struct cel_env *env, json_t **ret, struct err *e)
{
    _Alignas(16) char memory[SCOPE_BYTES];
    CLEANUP(scope_done) struct scope a = scope_on(memory, sizeof memory);
    struct eval ev;
    struct val v;
    AUTO_JSON *result = NULL;
    begin(&ev, c, env, &a);
    if (!eval_node(&ev, c->root, &v) || !eval_json(&ev, &v, &result)) return tell(&ev, e);
    *ret = TAKE(result);
    return true;
}
