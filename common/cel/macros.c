/* SPDX-License-Identifier: Apache-2.0
 *
 * Macros: what looks like a call but has variables of its own. They become nodes; the variables of
 * a place have slots by their depth, so that the evaluator needs no names.
 */
#include "common/cel/parser.h"

/* --- variables --- */

static bool same_variable(const struct variable *a, const struct variable *b)
{
    return a->kind == b->kind && a->a == b->a && a->b == b->b && bytes_equal(a->name, b->name);
}

static struct node *find_variable(struct parser *p, const struct variable *wanted, uint32_t offset)
{
    for (uint32_t slot = p->var_count; slot-- > 0;) {
        if (!same_variable(&p->vars[slot], wanted)) continue;
        struct node *n = parse_node(p, NODE_VAR, offset);
        n->slot = slot;
        return n;
    }
    return NULL;
}

struct node *macro_variable(struct parser *p, const struct token *name)
{
    return find_variable(p, &(struct variable){ .name = name->text }, name->offset);
}

static bool add_variable(struct parser *p, struct variable v, uint32_t offset)
{
    if (p->var_count == CEL_VARS_MAX)
        return lex_fail(&p->lex, offset, ERR_LIMIT, "more than %d variables", CEL_VARS_MAX);
    p->vars[p->var_count++] = v;
    return true;
}

static bool read_number(struct parser *p, uint64_t *ret)
{
    if (p->lex.token.kind != TOKEN_INT) return parse_fail_token(p, "a number");
    *ret = p->lex.token.magnitude;
    return lex_next(&p->lex);
}

/* iterVar(a, b) or index(a): after the opening bracket. */
static bool read_numbered(struct parser *p, const struct token *name, struct variable *ret)
{
    bool iter = bytes_is(name->text, "iterVar");
    *ret = (struct variable){ .kind = iter ? VARIABLE_ITER : VARIABLE_INDEX };
    if (!read_number(p, &ret->a)) return false;
    if (iter && (!parse_take_char(p, ',') || !read_number(p, &ret->b))) return false;
    return parse_take_char(p, ')');
}

/* The rest of cel.iterVar(a, b), after `cel`. */
static bool read_iter_variable(struct parser *p, struct variable *ret)
{
    if (!parse_take_char(p, '.')) return false;
    struct token name = p->lex.token;
    if (name.kind != TOKEN_IDENT || !bytes_is(name.text, "iterVar"))
        return parse_fail_token(p, "iterVar");
    return lex_next(&p->lex) && parse_take_char(p, '(') && read_numbered(p, &name, ret);
}

/* A variable and a comma. */
static bool read_variable(struct parser *p, const struct token *macro, struct variable *ret)
{
    struct token t = p->lex.token;
    if (t.kind != TOKEN_IDENT || lex_is_reserved(t.text))
        return parse_fail_token(p, "the name of a variable");
    *ret = (struct variable){ .name = t.text };
    if (!lex_next(&p->lex)) return false;
    if (bytes_is(t.text, "cel") && parse_is_char(p, '.') && !read_iter_variable(p, ret))
        return false;
    if (parse_is_char(p, ',')) return lex_next(&p->lex);
    return parse_fail(p, t.offset,
                      "%.*s() takes the name of a variable and an expression, as in "
                      "%.*s(x, ...)",
                      (int)macro->text.len, macro->text.data, (int)macro->text.len,
                      macro->text.data);
}

/* Whether a second variable follows; then it is read. Anything else is left for an expression. */
static bool try_variable(struct parser *p, const struct token *macro, struct variable *ret)
{
    if (p->lex.token.kind != TOKEN_IDENT || lex_is_reserved(p->lex.token.text)) return false;
    struct lexer before = p->lex;
    struct err ignored;
    p->lex.e = &ignored;
    bool ok = read_variable(p, macro, ret);
    p->lex.e = before.e;
    if (!ok) p->lex = before;
    return ok;
}

/* --- macros over lists, maps and optionals --- */

static const struct macro {
    const char *name;
    enum op op;
    uint32_t vars_min, vars_max;
    uint32_t parts_max; /* 2: a condition may come first */
    const char *takes;
} macros[] = {
    { "all", OP_ALL, 1, 2, 1, "2 arguments, or 3 of which 2 are variables" },
    { "exists", OP_EXISTS, 1, 2, 1, "2 arguments, or 3 of which 2 are variables" },
    { "exists_one", OP_EXISTS_ONE, 1, 2, 1, "2 arguments, or 3 of which 2 are variables" },
    { "existsOne", OP_EXISTS_ONE, 1, 2, 1, "2 arguments, or 3 of which 2 are variables" },
    { "filter", OP_FILTER, 1, 1, 1, "2 arguments" },
    { "map", OP_MAP, 1, 1, 2, "2 or 3 arguments" },
    { "transformList", OP_TRANSFORM_LIST, 2, 2, 2, "2 variables, and 1 or 2 arguments" },
    { "transformMap", OP_TRANSFORM_MAP, 2, 2, 2, "2 variables, and 1 or 2 arguments" },
    { "optMap", OP_OPT_MAP, 1, 1, 1, "2 arguments" },
    { "optFlatMap", OP_OPT_FLAT_MAP, 1, 1, 1, "2 arguments" },
};

enum op macro_find(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(macros); i++)
        if (bytes_is(name, macros[i].name)) return macros[i].op;
    return OP_NONE;
}

static const struct macro *macro_of(enum op op)
{
    size_t i = 0;
    while (macros[i].op != op) i++;
    return &macros[i];
}

struct node *macro_fold(struct parser *p, const struct token *name, enum op op)
{
    const struct macro *m = macro_of(op);
    struct variable vars[2];
    if (!read_variable(p, name, &vars[0])) return NULL;
    struct node *fold = parse_node(p, NODE_FOLD, name->offset);
    fold->op = op;
    fold->slot = p->var_count;
    fold->vars = 1;
    if (m->vars_min == 2 && !read_variable(p, name, &vars[1])) return NULL;
    if (m->vars_min == 2 || (m->vars_max == 2 && try_variable(p, name, &vars[1]))) fold->vars = 2;
    bool ok = true;
    for (uint32_t i = 0; ok && i < fold->vars; i++) ok = add_variable(p, vars[i], name->offset);
    size_t base = p->stack_len;
    ok = ok && parse_list(p, ')', false);
    p->var_count = fold->slot;
    if (!ok) return NULL;
    parse_gather(p, fold, base);
    if (fold->count < 1 || fold->count > m->parts_max) {
        parse_fail(p, name->offset, "%.*s() takes %s", (int)name->text.len, name->text.data,
                   m->takes);
        return NULL;
    }
    return fold;
}

struct node *macro_has(struct parser *p, const struct token *name)
{
    struct node *base = parse_expr(p);
    if (!base) return NULL;
    enum op last = base->kind == NODE_POSTFIX ? base->parts[base->count - 1].op : OP_NONE;
    if (!(base->kind == NODE_PATH && base->count >= 2) && last != OP_SELECT &&
        last != OP_OPT_SELECT) {
        parse_fail(p, base->offset, "has() takes a selection, as in has(a.b)");
        return NULL;
    }
    if (!parse_take_char(p, ')')) return NULL;
    struct node *has = parse_node(p, NODE_HAS, name->offset);
    has->base = base;
    return has;
}

/* --- cel.bind and what an optimiser writes --- */

static const char *const cel_macros[] = { "bind", "block", "index", "iterVar" };

bool macro_is_cel(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(cel_macros); i++)
        if (bytes_is(name, cel_macros[i])) return true;
    return false;
}

/* One value and the variable that holds it from there on. */
static bool bind_one(struct parser *p, struct variable v, uint32_t offset)
{
    struct node *value = parse_expr(p);
    if (!value) return false;
    parse_push(p, (struct part){ .node = value, .offset = value->offset });
    return add_variable(p, v, offset);
}

/* The list of cel.block([...], body), with its comma. */
static bool bind_block(struct parser *p, uint32_t offset)
{
    uint32_t slot = p->var_count;
    if (!parse_take_char(p, '[')) return false;
    while (!parse_is_char(p, ']')) {
        struct variable v = { .kind = VARIABLE_INDEX, .a = p->var_count - slot };
        if (!bind_one(p, v, offset)) return false;
        if (!parse_is_char(p, ',')) break;
        if (!lex_next(&p->lex)) return false;
    }
    return parse_take_char(p, ']') && parse_take_char(p, ',');
}

/* cel.bind(x, value, body), cel.block([value ...], body) */
static struct node *bind(struct parser *p, const struct token *name)
{
    struct node *n = parse_node(p, NODE_BIND, name->offset);
    n->slot = p->var_count;
    size_t base = p->stack_len;
    bool ok;
    if (bytes_is(name->text, "block")) {
        ok = bind_block(p, name->offset);
    } else {
        struct variable v;
        ok = read_variable(p, name, &v) && bind_one(p, v, name->offset) && parse_take_char(p, ',');
    }
    struct node *body = ok ? parse_expr(p) : NULL;
    p->var_count = n->slot;
    if (!body || !parse_take_char(p, ')')) return NULL;
    parse_push(p, (struct part){ .node = body, .offset = body->offset });
    return parse_gather(p, n, base);
}

struct node *macro_cel(struct parser *p, const struct token *name)
{
    if (bytes_is(name->text, "bind") || bytes_is(name->text, "block")) return bind(p, name);
    struct variable v;
    if (!read_numbered(p, name, &v)) return NULL;
    struct node *n = find_variable(p, &v, name->offset);
    if (!n)
        parse_fail(p, name->offset, "no variable cel.%.*s is in scope here", (int)name->text.len,
                   name->text.data);
    return n;
}
