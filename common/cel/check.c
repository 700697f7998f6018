/* SPDX-License-Identifier: Apache-2.0
 *
 * The checker: a walk over the tree that finds the type of every node. It refuses less than other
 * checkers do: parts of a list, of a map and of a choice may have types that do not fit, and are
 * dyn then; what is compared need not have one type. So what it refuses fails wherever it is
 * evaluated.
 */
#include "common/cel/check.h"

#include "common/cel/internal.h"
#include "common/cel/types.h"

struct check {
    const struct cel *cel;
    const struct check_env *env;
    struct typing typing;
    const struct type *vars[CEL_VARS_MAX];
    size_t *ret_offset;
    struct err *e;
};

static const struct type *check(struct check *c, const struct node *n);

static const struct type *simple(enum type_kind kind)
{
    return type_simple(kind);
}

/* --- overloads --- */

/* One type of an overload in text form (struct function); *text moves behind it. */
static const struct type *read_type(struct check *c, const char **text,
                                    const struct type *params[3])
{
    static const char letters[] = "NBIUDSYTRK?";
    static const enum type_kind kinds[] = {
        TYPE_NULL,  TYPE_BOOL,      TYPE_INT,      TYPE_UINT, TYPE_DOUBLE, TYPE_STRING,
        TYPE_BYTES, TYPE_TIMESTAMP, TYPE_DURATION, TYPE_TYPE, TYPE_DYN,
    };
    char letter = *(*text)++;
    if (letter == 'L' || letter == 'O')
        return type_of_one(&c->typing, letter == 'L' ? TYPE_LIST : TYPE_OPTIONAL,
                           read_type(c, text, params));
    if (letter == 'M') {
        const struct type *key = read_type(c, text, params);
        return type_of_two(&c->typing, TYPE_MAP, key, read_type(c, text, params));
    }
    if (letter >= 'a') {
        const struct type **param = &params[letter - 'a'];
        if (!*param) *param = type_param(&c->typing);
        return *param;
    }
    return simple(kinds[strchr(letters, letter) - letters]);
}

/* Tries one overload; its result, or NULL if it does not fit. *text moves to the next. */
static const struct type *try_text(struct check *c, const char **text,
                                   const struct type *const *args, size_t count)
{
    const struct type *params[3] = { NULL };
    size_t i = 0, mark = type_mark(&c->typing);
    bool ok = true;
    while (**text != ':') {
        const char *begin = *text;
        const struct type *wanted = read_type(c, text, params);
        bool many = **text == '+';
        do {
            ok = ok && i < count && type_fits(&c->typing, wanted, args[i]);
            i++;
        } while (many && i < count);
        *text = overload_skip(begin) + many;
    }
    ++*text;
    const struct type *result = read_type(c, text, params);
    if (**text == ' ') ++*text;
    if (ok && i == count) return result;
    type_undo(&c->typing, mark);
    return NULL;
}

/* Several overloads that fit with different results make dyn. */
static const struct type *merge(struct check *c, const struct type *a, const struct type *b)
{
    if (!a || !b) return a ? a : b;
    return type_same(&c->typing, a, b) ? a : simple(TYPE_DYN);
}

static const struct type *overload_of(struct check *c, const char *text,
                                      const struct type *const *args, size_t count)
{
    const struct type *result = NULL;
    while (*text) result = merge(c, result, try_text(c, &text, args, count));
    return result;
}

static const struct type *overload_of_host(struct check *c, const char *name,
                                           const struct type *const *args, size_t count)
{
    const struct overload *list;
    const struct type *result = NULL;
    size_t n = c->env->overloads ? c->env->overloads(c->env->user, name, &list) : 0;
    for (size_t i = 0; i < n; i++) {
        const struct type *fresh[10] = { NULL };
        size_t mark = type_mark(&c->typing);
        bool ok = list[i].count == count;
        for (size_t k = 0; ok && k < count; k++)
            ok = type_fits(&c->typing, type_fresh(&c->typing, list[i].args[k], fresh), args[k]);
        if (ok)
            result = merge(c, result, type_fresh(&c->typing, list[i].result, fresh));
        else
            type_undo(&c->typing, mark);
    }
    return result;
}

static const struct type *no_overload(struct check *c, uint32_t offset, const char *name,
                                      const struct type *const *args, size_t count)
{
    AUTO_BUF struct buf text = { 0 };
    for (size_t i = 0; i < count; i++) {
        if (i) buf_add_text(&text, ", ");
        type_write(&c->typing, args[i], &text);
    }
    struct bytes types = buf_bytes(&text);
    err_fail(c->e, ERR_INVALID, "no such overload: %s(%.*s)", name, SHOWN_BYTES(types));
    source_fail(c->cel->source, offset, c->e);
    *c->ret_offset = offset;
    return NULL;
}

static const struct type *apply(struct check *c, uint32_t offset, const char *name,
                                const char *overloads, const struct type *const *args, size_t count)
{
    const struct type *result = overload_of(c, overloads, args, count);
    return result ? result : no_overload(c, offset, name, args, count);
}

/* --- names, constants, literals --- */

static const struct type *type_of_value(struct check *c, const struct val *v)
{
    if (v->type != VAL_LIST) return simple((enum type_kind)v->type);
    const struct type *part = NULL;
    for (size_t i = 0; i < val_list_size(v); i++) {
        struct val element = val_list_at(v, i);
        part = type_join(&c->typing, part, type_of_value(c, &element));
    }
    return type_of_one(&c->typing, TYPE_LIST, part ? part : type_param(&c->typing));
}

/* A member of something. What is selected of an optional is optional too. */
static const struct type *select_type(struct check *c, uint32_t offset, const struct type *from)
{
    from = type_found(&c->typing, from);
    if (from->kind == TYPE_MAP) return from->params[1];
    if (from->kind == TYPE_OPTIONAL) {
        const struct type *inner = select_type(c, offset, from->params[0]);
        return inner ? type_of_one(&c->typing, TYPE_OPTIONAL, inner) : NULL;
    }
    if (from->kind == TYPE_PARAM) type_bind(&c->typing, from, simple(TYPE_DYN));
    if (from->kind == TYPE_DYN || from->kind == TYPE_PARAM || from->kind == TYPE_ABSTRACT)
        return simple(TYPE_DYN);
    return no_overload(c, offset, "a selection", &from, 1);
}

static const struct type *check_path(struct check *c, const struct node *n)
{
    const struct type *type = simple(TYPE_DYN);
    size_t used = n->count;
    enum val_type named;
    if (!c->env->variable || !c->env->variable(c->env->user, n->names, n->count, &used, &type))
        return path_is_type(n, &named) && n->count == 1 ? simple(TYPE_TYPE) : simple(TYPE_DYN);
    for (; type && used < n->count; used++) type = select_type(c, n->offset, type);
    return type;
}

/* An element, or what a '?' in front of it takes out of an optional. */
static const struct type *check_element(struct check *c, enum op op, const struct node *n)
{
    const struct type *type = check(c, n);
    if (!type || op != OP_OPTIONAL) return type;
    return apply(c, n->offset, "?", "Oa:a", &type, 1);
}

static const struct type *check_list(struct check *c, const struct node *n)
{
    const struct type *part = NULL;
    for (uint32_t i = 0; i < n->count; i++) {
        const struct type *type = check_element(c, n->parts[i].op, n->parts[i].node);
        if (!type) return NULL;
        part = type_join(&c->typing, part, type);
    }
    return type_of_one(&c->typing, TYPE_LIST, part ? part : type_param(&c->typing));
}

static const struct type *check_map(struct check *c, const struct node *n)
{
    const struct type *key = NULL, *value = NULL;
    for (uint32_t i = 0; i < n->count; i += 2) {
        const struct type *k = check(c, n->parts[i].node);
        if (k) k = apply(c, n->parts[i].offset, "a key", "S:S I:I U:U B:B", &k, 1);
        const struct type *v = k ? check_element(c, n->parts[i].op, n->parts[i + 1].node) : NULL;
        if (!v) return NULL;
        key = type_join(&c->typing, key, k);
        value = type_join(&c->typing, value, v);
    }
    return type_of_two(&c->typing, TYPE_MAP, key ? key : type_param(&c->typing),
                       value ? value : type_param(&c->typing));
}

/* --- calls and members --- */

static const struct type *check_call(struct check *c, const struct node *n,
                                     const struct type *target)
{
    const struct type *args[FUNCTION_ARGS_MAX + 1];
    size_t count = 0;
    if (n->count > FUNCTION_ARGS_MAX) return simple(TYPE_DYN); /* of a function that is unknown */
    if (target) args[count++] = target;
    for (uint32_t i = 0; i < n->count; i++)
        if (!(args[count++] = check(c, n->parts[i].node))) return NULL;
    if (n->function)
        return apply(c, n->offset, n->function->name, n->function->overloads, args, count);
    const struct type *result = overload_of_host(c, n->name, args, count);
    return result ? result : no_overload(c, n->offset, n->name, args, count);
}

static const struct type *as_optional(struct check *c, const struct type *type)
{
    if (!type || type_found(&c->typing, type)->kind == TYPE_OPTIONAL) return type;
    return type_of_one(&c->typing, TYPE_OPTIONAL, type);
}

/* The types of the variables of a macro over the range. */
static void bind_vars(struct check *c, const struct node *n, const struct type *range)
{
    const struct type *first = simple(TYPE_DYN), *second = simple(TYPE_DYN);
    if (range->kind == TYPE_LIST) {
        first = n->vars == 2 ? simple(TYPE_INT) : range->params[0];
        second = range->params[0];
    } else if (range->kind == TYPE_MAP) {
        first = range->params[0];
        second = range->params[1];
    } else if (range->kind == TYPE_OPTIONAL) {
        first = range->params[0];
    }
    c->vars[n->slot] = first;
    if (n->vars == 2) c->vars[n->slot + 1] = second;
}

static const struct type *fold_type(struct check *c, const struct node *n, const struct type *body)
{
    switch (n->op) {
    case OP_FILTER: return type_of_one(&c->typing, TYPE_LIST, c->vars[n->slot]);
    case OP_MAP:
    case OP_TRANSFORM_LIST: return type_of_one(&c->typing, TYPE_LIST, body);
    case OP_TRANSFORM_MAP: return type_of_two(&c->typing, TYPE_MAP, c->vars[n->slot], body);
    case OP_OPT_MAP: return type_of_one(&c->typing, TYPE_OPTIONAL, body);
    case OP_OPT_FLAT_MAP: return apply(c, n->offset, "optFlatMap", "Oa:Oa", &body, 1);
    default: return simple(TYPE_BOOL);
    }
}

static const struct type *check_fold(struct check *c, const struct node *n,
                                     const struct type *range)
{
    bool optional = n->op == OP_OPT_MAP || n->op == OP_OPT_FLAT_MAP;
    bool predicate = n->op != OP_MAP && n->op != OP_TRANSFORM_LIST && n->op != OP_TRANSFORM_MAP;
    if (!apply(c, n->offset, "a macro", optional ? "Oa:B" : "La:B Mab:B", &range, 1)) return NULL;
    bind_vars(c, n, type_found(&c->typing, range));
    const struct type *body = NULL;
    for (uint32_t i = 0; i < n->count; i++) {
        body = check(c, n->parts[i].node);
        if (!body) return NULL;
        bool condition = i + 1 < n->count || (predicate && !optional);
        if (condition && !apply(c, n->parts[i].offset, "a condition", "B:B", &body, 1)) return NULL;
    }
    return fold_type(c, n, body);
}

static const struct type *check_part(struct check *c, const struct part *part,
                                     const struct type *from)
{
    const struct type *args[2] = { from, NULL };
    switch (part->op) {
    case OP_SELECT: return select_type(c, part->offset, from);
    case OP_OPT_SELECT: return as_optional(c, select_type(c, part->offset, from));
    case OP_CALL: return check_call(c, part->node, from);
    case OP_FOLD: return check_fold(c, part->node, from);
    default: break;
    }
    if (!(args[1] = check(c, part->node))) return NULL;
    const struct type *type =
        apply(c, part->offset, "an index",
              "LaI:a LaU:a LaD:a Mab?:b OLaI:Oa OLaU:Oa OLaD:Oa OMab?:Ob", args, 2);
    return part->op == OP_OPT_INDEX ? as_optional(c, type) : type;
}

static const struct type *check_postfix(struct check *c, const struct node *n)
{
    const struct type *type = check(c, n->base);
    for (uint32_t i = 0; type && i < n->count; i++) type = check_part(c, &n->parts[i], type);
    return type;
}

/* --- operators --- */

static const struct {
    const char *sign, *overloads;
} operators[] = {
#define ORDERED "BB:B SS:B YY:B TT:B RR:B II:B UU:B DD:B IU:B UI:B ID:B DI:B UD:B DU:B"
    [OP_LT] = { "<", ORDERED },
    [OP_LE] = { "<=", ORDERED },
    [OP_GT] = { ">", ORDERED },
    [OP_GE] = { ">=", ORDERED },
    [OP_EQ] = { "==", "??:B" },
    [OP_NE] = { "!=", "??:B" },
    [OP_IN] = { "in", "?L?:B ?M??:B" },
    [OP_ADD] = { "+", "II:I UU:U DD:D SS:S YY:Y LaLa:La RR:R TR:T RT:T" },
    [OP_SUB] = { "-", "II:I UU:U DD:D RR:R TT:R TR:T" },
    [OP_MUL] = { "*", "II:I UU:U DD:D" },
    [OP_DIV] = { "/", "II:I UU:U DD:D" },
    [OP_MOD] = { "%", "II:I UU:U" },
};

static const struct type *check_chain(struct check *c, const struct node *n)
{
    const struct type *left = check(c, n->parts[0].node);
    for (uint32_t i = 1; left && i < n->count; i++) {
        const struct part *part = &n->parts[i];
        const struct type *args[2] = { left, check(c, part->node) };
        if (!args[1]) return NULL;
        left = apply(c, part->offset, operators[part->op].sign, operators[part->op].overloads, args,
                     2);
    }
    return left;
}

static const struct type *check_logic(struct check *c, const struct node *n)
{
    for (uint32_t i = 0; i < n->count; i++) {
        const struct type *type = check(c, n->parts[i].node);
        if (!type || !apply(c, n->parts[i].offset, "a condition", "B:B", &type, 1)) return NULL;
    }
    return simple(TYPE_BOOL);
}

static const struct type *check_choice(struct check *c, const struct node *n)
{
    const struct type *result = NULL;
    for (uint32_t i = 0; i < n->count; i++) {
        const struct type *type = check(c, n->parts[i].node);
        if (!type) return NULL;
        if (i % 2 == 1 || i + 1 == n->count)
            result = type_join(&c->typing, result, type);
        else if (!apply(c, n->parts[i].offset, "a condition", "B:B", &type, 1))
            return NULL;
    }
    return result;
}

static const struct type *check_bind(struct check *c, const struct node *n)
{
    const struct type *type = NULL;
    for (uint32_t i = 0; i < n->count; i++) {
        type = check(c, n->parts[i].node);
        if (!type) return NULL;
        if (i + 1 < n->count) c->vars[n->slot + i] = type;
    }
    return type;
}

static const struct type *check(struct check *c, const struct node *n)
{
    const struct type *type;
    switch (n->kind) {
    case NODE_CONST: return type_of_value(c, &n->value);
    case NODE_PATH: return check_path(c, n);
    case NODE_VAR: return c->vars[n->slot];
    case NODE_LIST: return check_list(c, n);
    case NODE_MAP: return check_map(c, n);
    case NODE_NEGATE:
    case NODE_NOT:
        type = check(c, n->base);
        if (!type) return NULL;
        return n->kind == NODE_NOT ? apply(c, n->offset, "!", "B:B", &type, 1)
                                   : apply(c, n->offset, "-", "I:I D:D", &type, 1);
    case NODE_CHAIN: return check_chain(c, n);
    case NODE_LOGIC: return check_logic(c, n);
    case NODE_CHOICE: return check_choice(c, n);
    case NODE_CALL: return check_call(c, n, NULL);
    case NODE_POSTFIX: return check_postfix(c, n);
    case NODE_HAS: return check(c, n->base) ? simple(TYPE_BOOL) : NULL;
    case NODE_BIND: return check_bind(c, n);
    case NODE_FOLD: break;
    }
    ASSERT(n->kind != NODE_FOLD); /* which is only ever a part of a NODE_POSTFIX */
    return NULL;
}

bool cel_check(const struct cel *cel, const struct check_env *env, struct scope *a,
               const struct type **ret, size_t *ret_offset, struct err *e)
{
    static const struct check_env nothing = { 0 };
    struct err local;
    size_t offset;
    struct check c = { .cel = cel,
                       .env = env ? env : &nothing,
                       .typing = { .scope = a },
                       .ret_offset = ret_offset ? ret_offset : &offset,
                       .e = e ? e : &local };
    const struct type *type = check(&c, cel->root);
    if (!type) return false;
    *ret = type_final(&c.typing, type);
    return true;
}
