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

#include "common/base/limits.h"
#include "common/cel/internal.h"

enum { COST_OF_ABSORBING = 10 }; /* an error that is thrown away was formatted first */

static bool eval(struct eval *ev, const struct node *n, struct val *ret);

bool eval_fail(struct eval *ev, uint32_t offset, const char *fmt, ...)
{
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ev->err_offset = offset;
    return err_fail(&ev->err, ERR_INVALID, "%s", text);
}

bool eval_spent(struct eval *ev, uint32_t offset)
{
    ev->err_offset = offset;
    return err_fail(&ev->err, ERR_LIMIT, "the expression costs more than %llu steps",
                    (unsigned long long)ev->cost_max);
}

/* Limits and failures of the world are not part of the logic of an expression. */
static bool may_absorb(const struct eval *ev)
{
    return ev->err.kind == ERR_INVALID || ev->err.kind == ERR_NOT_FOUND;
}

/* --- names and members --- */

static bool no_such_key(struct eval *ev, uint32_t offset, const char *key)
{
    return eval_fail(ev, offset, "no such key: %.*s", SHOWN(key));
}

/* Follows names through maps: *ret is borrowed from j. *ret is NULL if the last one is missing. */
static bool walk(struct eval *ev, uint32_t offset, json_t *j, char *const *names, size_t count,
                 json_t **ret)
{
    for (size_t i = 0; i < count; i++) {
        if (!json_is_object(j)) {
            AUTO_VAL v = val_of_json(j);
            return eval_fail(ev, offset, "no such overload: cannot select '%.*s' of %s",
                             SHOWN(names[i]), val_type_name(v.type));
        }
        json_t *next = json_object_get(j, names[i]);
        if (!next && i + 1 < count) return no_such_key(ev, offset, names[i]);
        j = next;
    }
    *ret = j;
    return true;
}

/* Asks the environment for a path. *ret_left: how many names it has not consumed. */
static bool resolve(struct eval *ev, const struct node *n, size_t count, json_t **ret,
                    size_t *ret_left)
{
    struct cel_env *env = ev->env;
    ev->err_offset = n->offset;
    if (!env->resolve)
        return err_fail(&ev->err, ERR_NOT_FOUND, "unknown name '%.*s'", SHOWN(n->names[0]));
    size_t used = 0;
    json_t *found = NULL;
    if (!env->resolve(env->user, (const char *const *)n->names, count, &used, &found, &ev->err)) {
        ev->err_offset = n->offset;
        return false;
    }
    ASSERT(found && used >= 1 && used <= count);
    *ret = found;
    *ret_left = count - used;
    return true;
}

static bool eval_path(struct eval *ev, const struct node *n, struct val *ret)
{
    AUTO_JSON *j = NULL;
    json_t *leaf = NULL;
    size_t left = 0;
    if (!resolve(ev, n, n->count, &j, &left)) {
        /* `type(x) == int`: the names of types are the last to be thought of. */
        if (n->count > 1 || !may_absorb(ev)) return false;
        enum val_type named;
        if (!val_type_find(n->names[0], &named)) return false;
        *ret = (struct val){ .type = VAL_TYPE, .named = named };
        return true;
    }
    if (!walk(ev, n->offset, j, n->names + n->count - left, left, &leaf)) return false;
    if (!leaf) return no_such_key(ev, n->offset, n->names[n->count - 1]);
    *ret = val_of_json(leaf);
    return true;
}

static bool has_path(struct eval *ev, const struct node *n, bool *ret)
{
    struct cel_env *env = ev->env;
    if (env->exists) {
        ev->err_offset = n->offset;
        bool ok = env->exists(env->user, (const char *const *)n->names, n->count, ret, &ev->err);
        ev->err_offset = n->offset;
        return ok;
    }
    AUTO_JSON *j = NULL;
    json_t *leaf = NULL;
    size_t left = 0;
    if (!resolve(ev, n, n->count, &j, &left)) {
        /* The resolver knows no such path; then what it is selected of must be there. */
        if (!may_absorb(ev) || !resolve(ev, n, n->count - 1, &j, &left)) return false;
        *ret = false;
        return walk(ev, n->offset, j, n->names + n->count - 1 - left, left, &leaf) &&
               (leaf || no_such_key(ev, n->offset, n->names[n->count - 2]));
    }
    if (!walk(ev, n->offset, j, n->names + n->count - left, left, &leaf)) return false;
    *ret = leaf != NULL;
    return true;
}

static bool select_member(struct eval *ev, const struct part *part, const struct val *from,
                          struct val *ret)
{
    if (from->type != VAL_MAP)
        return eval_fail(ev, part->offset, "no such overload: cannot select '%.*s' of %s",
                         SHOWN(part->name), val_type_name(from->type));
    json_t *member = json_object_get(from->j, part->name);
    if (!member) return no_such_key(ev, part->offset, part->name);
    *ret = val_of_json(member);
    return true;
}

bool eval_index(struct eval *ev, uint32_t offset, const struct val *from, const struct val *index,
                struct val *ret)
{
    if (from->type == VAL_MAP && index->type == VAL_STRING) {
        if (!eval_charge_scan(ev, offset, json_string_length(index->j))) return false;
        json_t *member = json_object_get(from->j, json_string_value(index->j));
        if (!member) return no_such_key(ev, offset, json_string_value(index->j));
        *ret = val_of_json(member);
        return true;
    }
    bool whole =
        index->type == VAL_DOUBLE && index->d == floor(index->d) && fabs(index->d) < 0x1p53;
    if (from->type != VAL_LIST || (index->type != VAL_INT && !whole))
        return eval_fail(ev, offset, "no such overload: %s[%s]", val_type_name(from->type),
                         val_type_name(index->type));
    int64_t i = whole ? (int64_t)index->d : index->i;
    size_t count = json_array_size(from->j);
    if (i < 0 || (uint64_t)i >= count)
        return eval_fail(ev, offset, "index out of range: %lld of a list of %zu", (long long)i,
                         count);
    *ret = val_of_json(json_array_get(from->j, (size_t)i));
    return true;
}

/* --- calls --- */

static bool eval_call(struct eval *ev, const struct node *n, const struct val *target,
                      struct val *ret)
{
    struct val args[FUNCTION_ARGS_MAX];
    size_t count = 0;
    bool ok = true;
    if (target) args[count++] = *target; /* borrowed */
    for (uint32_t i = 0; ok && i < n->count; i++) {
        ASSERT(count < FUNCTION_ARGS_MAX);
        ok = eval(ev, n->parts[i].node, &args[count]);
        count += ok;
    }
    const struct call call = { .ev = ev,
                               .node = n,
                               .function = n->function,
                               .args = args,
                               .count = count,
                               .is_method = target != NULL };
    ok = ok && n->function->run(&call, ret);
    while (count > (target != NULL)) val_done(&args[--count]);
    return ok;
}

/* --- macros --- */

/* What a macro has found out so far. */
struct fold {
    json_t *list; /* FILTER, MAP: owned */
    size_t hits;
    bool decided;      /* ALL, EXISTS: no further element matters */
    bool failed;       /* ALL, EXISTS: `first` is kept */
    uint32_t offset;   /* of first */
    struct err *first; /* owned, because it is large and rare */
};

static void fold_done(struct fold *f)
{
    json_decref(f->list);
    free_p(&f->first);
}

/* Evaluates a predicate; a value that is no bool is an error. */
static bool eval_bool(struct eval *ev, const struct node *n, bool *ret)
{
    AUTO_VAL v = { 0 };
    if (!eval(ev, n, &v)) return false;
    if (v.type != VAL_BOOL)
        return eval_fail(ev, n->offset, "no such overload: expected a bool, found %s",
                         val_type_name(v.type));
    *ret = v.b;
    return true;
}

/* ALL and EXISTS: an error counts only if no element decides. */
static bool fold_quantifier(struct eval *ev, const struct node *n, struct fold *f)
{
    bool holds = false;
    if (eval_bool(ev, n->parts[0].node, &holds)) {
        f->decided = holds == (n->op == OP_EXISTS);
        return true;
    }
    if (!may_absorb(ev)) return false;
    if (!f->failed) {
        f->failed = true;
        f->first = xmalloc(sizeof *f->first);
        *f->first = ev->err;
        f->offset = ev->err_offset;
    }
    return eval_charge(ev, n->offset, COST_OF_ABSORBING);
}

/* One element, which lies in ev->vars[n->slot]. */
static bool fold_step(struct eval *ev, const struct node *n, struct fold *f)
{
    bool holds = true;
    json_t *boxed;
    switch (n->op) {
    case OP_ALL:
    case OP_EXISTS: return fold_quantifier(ev, n, f);
    case OP_EXISTS_ONE:
        if (!eval_bool(ev, n->parts[0].node, &holds)) return false;
        f->hits += holds;
        return true;
    case OP_FILTER:
        if (!eval_bool(ev, n->parts[0].node, &holds)) return false;
        if (!holds) return true;
        if (!eval_box(ev, n->offset, &ev->vars[n->slot], &boxed)) return false;
        json_array_append_new(f->list, boxed);
        return true;
    default: break;
    }
    ASSERT(n->op == OP_MAP);
    if (n->count == 2 && !eval_bool(ev, n->parts[0].node, &holds)) return false;
    if (!holds) return true;
    AUTO_VAL v = { 0 };
    const struct node *transform = n->parts[n->count - 1].node;
    if (!eval(ev, transform, &v) || !eval_box(ev, transform->offset, &v, &boxed)) return false;
    json_array_append_new(f->list, boxed);
    return true;
}

static bool fold_over(struct eval *ev, const struct node *n, const struct val *range,
                      struct fold *f)
{
    struct val *var = &ev->vars[n->slot];
    bool is_list = range->type == VAL_LIST;
    void *iter = is_list ? NULL : json_object_iter(range->j);
    for (size_t i = 0; is_list ? i < json_array_size(range->j) : iter != NULL; i++) {
        if (is_list) {
            *var = val_of_json(json_array_get(range->j, i));
        } else {
            const char *key = json_object_iter_key(iter);
            size_t len = strlen(key);
            if (!eval_charge_copy(ev, n->offset, len)) return false;
            *var = val_string(key, len);
            iter = json_object_iter_next(range->j, iter);
        }
        bool ok = eval_charge(ev, n->offset, 1) && fold_step(ev, n, f);
        val_done(var);
        if (!ok) return false;
        if (f->decided) return true;
    }
    return true;
}

static bool eval_fold(struct eval *ev, const struct node *n, const struct val *range,
                      struct val *ret)
{
    if (range->type != VAL_LIST && range->type != VAL_MAP)
        return eval_fail(ev, n->offset, "no such overload: expected a list or a map, found %s",
                         val_type_name(range->type));
    CLEANUP(fold_done) struct fold f = { 0 };
    if (n->op == OP_FILTER || n->op == OP_MAP) f.list = json_array();
    if (!fold_over(ev, n, range, &f)) return false;
    if (f.list) {
        ev->built = true;
        *ret = (struct val){ .type = VAL_LIST, .j = TAKE(f.list) };
        return true;
    }
    if (f.failed && !f.decided) {
        ev->err = *f.first;
        ev->err_offset = f.offset;
        return false;
    }
    *ret = val_bool(n->op == OP_EXISTS_ONE ? f.hits == 1 : f.decided == (n->op == OP_EXISTS));
    return true;
}

/* --- nodes with parts --- */

static bool eval_part(struct eval *ev, const struct part *part, const struct val *from,
                      struct val *ret)
{
    if (!eval_charge(ev, part->offset, 1)) return false;
    switch (part->op) {
    case OP_SELECT: return select_member(ev, part, from, ret);
    case OP_CALL: return eval_call(ev, part->node, from, ret);
    case OP_FOLD: return eval_fold(ev, part->node, from, ret);
    default: break;
    }
    ASSERT(part->op == OP_INDEX);
    AUTO_VAL index = { 0 };
    return eval(ev, part->node, &index) && eval_index(ev, part->offset, from, &index, ret);
}

/* The first `count` parts of a chain of members. */
static bool eval_postfix(struct eval *ev, const struct node *n, uint32_t count, struct val *ret)
{
    AUTO_VAL v = { 0 };
    if (!eval(ev, n->base, &v)) return false;
    for (uint32_t i = 0; i < count; i++) {
        struct val next = { 0 };
        if (!eval_part(ev, &n->parts[i], &v, &next)) return false;
        val_done(&v);
        v = next;
    }
    *ret = val_take(&v);
    return true;
}

static bool eval_has(struct eval *ev, const struct node *n, struct val *ret)
{
    bool has = false;
    if (n->base->kind == NODE_PATH) {
        if (!has_path(ev, n->base, &has)) return false;
    } else {
        AUTO_VAL from = { 0 };
        const struct part *last = &n->base->parts[n->base->count - 1];
        if (!eval_postfix(ev, n->base, n->base->count - 1, &from)) return false;
        if (from.type != VAL_MAP)
            return eval_fail(ev, last->offset, "no such overload: cannot select '%.*s' of %s",
                             SHOWN(last->name), val_type_name(from.type));
        has = json_object_get(from.j, last->name) != NULL;
    }
    *ret = val_bool(has);
    return true;
}

static bool eval_chain(struct eval *ev, const struct node *n, struct val *ret)
{
    AUTO_VAL left = { 0 };
    if (!eval(ev, n->parts[0].node, &left)) return false;
    for (uint32_t i = 1; i < n->count; i++) {
        const struct part *part = &n->parts[i];
        AUTO_VAL right = { 0 };
        struct val result = { 0 };
        if (!eval(ev, part->node, &right) ||
            !eval_operator(ev, part->op, part->offset, &left, &right, &result))
            return false;
        val_done(&left);
        left = result;
    }
    *ret = val_take(&left);
    return true;
}

/* The rest of && or || after part `from` has failed: only a part that decides helps. */
static bool eval_logic_failed(struct eval *ev, const struct node *n, uint32_t from, struct val *ret)
{
    const struct err first = ev->err;
    const uint32_t offset = ev->err_offset;
    bool decisive = n->op == OP_OR, b = false;
    for (uint32_t i = from + 1; i < n->count; i++) {
        if (!eval_charge(ev, n->offset, COST_OF_ABSORBING)) return false;
        if (eval_bool(ev, n->parts[i].node, &b)) {
            if (b != decisive) continue;
            *ret = val_bool(decisive);
            return true;
        }
        if (!may_absorb(ev)) return false;
    }
    ev->err = first;
    ev->err_offset = offset;
    return false;
}

static bool eval_logic(struct eval *ev, const struct node *n, struct val *ret)
{
    bool decisive = n->op == OP_OR, b = false;
    for (uint32_t i = 0; i < n->count; i++) {
        if (!eval_bool(ev, n->parts[i].node, &b))
            return may_absorb(ev) && eval_logic_failed(ev, n, i, ret);
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
        if (holds) return eval(ev, n->parts[i + 1].node, ret);
    }
    return eval(ev, n->parts[i].node, ret);
}

static bool eval_list(struct eval *ev, const struct node *n, struct val *ret)
{
    AUTO_JSON *list = json_array();
    for (uint32_t i = 0; i < n->count; i++) {
        AUTO_VAL v = { 0 };
        json_t *boxed;
        const struct node *part = n->parts[i].node;
        if (!eval(ev, part, &v) || !eval_box(ev, part->offset, &v, &boxed)) return false;
        json_array_append_new(list, boxed);
    }
    ev->built = true;
    *ret = (struct val){ .type = VAL_LIST, .j = TAKE(list) };
    return true;
}

static bool eval_map(struct eval *ev, const struct node *n, struct val *ret)
{
    AUTO_JSON *map = json_object();
    for (uint32_t i = 0; i < n->count; i += 2) {
        AUTO_VAL key = { 0 };
        AUTO_VAL v = { 0 };
        json_t *boxed;
        const struct node *part = n->parts[i + 1].node;
        uint32_t offset = n->parts[i].offset;
        if (!eval(ev, n->parts[i].node, &key)) return false;
        if (key.type != VAL_STRING)
            return eval_fail(ev, offset, "a map key must be a string here, this is %s",
                             val_type_name(key.type));
        const char *name = json_string_value(key.j);
        if (!eval_charge_copy(ev, offset, json_string_length(key.j))) return false;
        if (json_object_get(map, name))
            return eval_fail(ev, offset, "repeated key: %.*s", SHOWN(name));
        if (!eval(ev, part, &v) || !eval_box(ev, part->offset, &v, &boxed)) return false;
        json_object_set_new_nocheck(map, name, boxed);
    }
    ev->built = true;
    *ret = (struct val){ .type = VAL_MAP, .j = TAKE(map) };
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
    AUTO_VAL v = { 0 };
    if (!eval(ev, n->base, &v)) return false;
    /* Twice is nothing, but an overflow or a type that has no sign shows the first time. */
    if (!eval_negate(ev, n->offset, &v)) return false;
    if (n->count % 2 == 0 && !eval_negate(ev, n->offset, &v)) return false;
    *ret = val_take(&v);
    return true;
}

static bool eval(struct eval *ev, const struct node *n, struct val *ret)
{
    if (!eval_charge(ev, n->offset, 1)) return false;
    switch (n->kind) {
    case NODE_CONST: *ret = val_copy(&n->value); return true;
    case NODE_VAR: *ret = val_copy(&ev->vars[n->slot]); return true;
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
    case NODE_FOLD: break;
    }
    ASSERT(n->kind != NODE_FOLD); /* which is only ever a part of a NODE_POSTFIX */
    return false;
}

/* What a result would be written out: parts that it shares many times over count each time. */
static bool charge_result(struct eval *ev, const json_t *j, int depth)
{
    if (!eval_charge(ev, 0, 1)) return false;
    if (depth >= JSON_DEPTH_MAX)
        return err_fail(&ev->err, ERR_LIMIT, "the result nests deeper than %d", JSON_DEPTH_MAX);
    if (json_is_string(j)) return eval_charge_copy(ev, 0, json_string_length(j));
    for (size_t i = 0; json_is_array(j) && i < json_array_size(j); i++)
        if (!charge_result(ev, json_array_get(j, i), depth + 1)) return false;
    const char *key;
    json_t *value;
    if (json_is_object(j)) {
        json_object_foreach((json_t *)j, key, value) {
            if (!eval_charge_copy(ev, 0, strlen(key)) || !charge_result(ev, value, depth + 1))
                return false;
        }
    }
    return true;
}

bool cel_eval(const struct cel *c, struct cel_env *env, json_t **ret, struct err *e)
{
    struct eval ev; /* vars are written before they are read, and are too many to clear */
    ev.cel = c;
    ev.env = env;
    ev.cost_max = env->cost_max ? env->cost_max : CEL_COST_MAX;
    ev.built = false;
    ev.err.kind = ERR_INVALID;
    ev.err.text[0] = '\0';
    ev.err_offset = 0;
    AUTO_VAL v = { 0 };
    AUTO_JSON *result = NULL;
    if (eval(&ev, c->root, &v) && eval_box(&ev, c->root->offset, &v, &result) &&
        (!ev.built || charge_result(&ev, result, 0))) {
        *ret = TAKE(result);
        return true;
    }
    if (!e) return false;
    *e = ev.err;
    return source_fail((struct bytes){ c->source, c->source_len }, ev.err_offset, e);
}
