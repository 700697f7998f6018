/* SPDX-License-Identifier: Apache-2.0
 *
 * The parser: recursive descent over the grammar of cel-spec's langdef.md. What the grammar repeats
 * is a loop here, so that only brackets recurse, and their depth is counted. Macros become nodes of
 * their own; functions are bound while parsing, so that an unknown one is an error of the source.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "common/cel/internal.h"

struct parser {
    struct lexer lex;
    struct cel *cel;
    int depth;
    struct part *stack; /* parts of the nodes that are being read */
    size_t stack_len, stack_cap;
    struct bytes vars[CEL_DEPTH_MAX]; /* the variables in scope, innermost last */
    uint32_t var_count;
};

static_assert(CEL_SOURCE_MAX < UINT32_MAX, "an offset fits its field");

static struct node *parse_expr(struct parser *p);

/* --- small helpers --- */

#define fail(p, offset, ...) lex_fail(&(p)->lex, (offset), ERR_INVALID, __VA_ARGS__)

static bool is_char(const struct parser *p, char c)
{
    return p->lex.token.kind == TOKEN_CHAR && p->lex.token.c == c;
}

static bool fail_token(struct parser *p, const char *wanted)
{
    const struct token *t = &p->lex.token;
    if (t->kind == TOKEN_END)
        return fail(p, t->offset, "the expression ends where %s should be", wanted);
    size_t len = MIN(p->lex.pos - t->offset, 24u);
    /* Cut at a character: what is quoted stays UTF-8. */
    while (len > 0 && !utf8_check(p->lex.source.data + t->offset, len)) len--;
    return fail(p, t->offset, "expected %s, found '%.*s'", wanted, (int)len,
                p->lex.source.data + t->offset);
}

static bool take_char(struct parser *p, char c)
{
    char wanted[] = { '\'', c, '\'', '\0' };
    if (!is_char(p, c)) return fail_token(p, wanted);
    return lex_next(&p->lex);
}

static struct node *new_node(struct parser *p, enum node_kind kind, uint32_t offset)
{
    struct node *n = xcalloc(1, sizeof *n);
    n->kind = kind;
    n->offset = offset;
    n->next = p->cel->nodes;
    p->cel->nodes = n;
    return n;
}

static void push(struct parser *p, struct part part)
{
    if (p->stack_len == p->stack_cap) {
        p->stack_cap = p->stack_cap ? p->stack_cap * 2 : 16;
        p->stack = xrealloc(p->stack, p->stack_cap * sizeof *p->stack);
    }
    p->stack[p->stack_len++] = part;
}

/* Moves the parts above `base` from the stack into the node. */
static struct node *gather(struct parser *p, struct node *n, size_t base)
{
    ASSERT(base <= p->stack_len && !n->parts);
    n->count = (uint32_t)(p->stack_len - base);
    if (n->count) {
        n->parts = xmalloc(n->count * sizeof *n->parts);
        memcpy(n->parts, p->stack + base, n->count * sizeof *n->parts);
    }
    p->stack_len = base;
    return n;
}

/* --- names --- */

static void add_name(struct node *path, struct bytes name)
{
    path->names = xrealloc(path->names, (path->count + 1) * sizeof *path->names);
    path->names[path->count++] = xstrndup(name.data, name.len);
}

static void add_path(struct parser *p, struct node *path)
{
    struct cel *c = p->cel;
    if ((c->path_count & (c->path_count - 1)) == 0) /* full at every power of two */
        c->paths = xrealloc(c->paths, MAX(c->path_count * 2, 1u) * sizeof *c->paths);
    c->paths[c->path_count++] = path;
}

static bool check_ident(struct parser *p, const struct token *t)
{
    if (!lex_is_reserved(t->text)) return true;
    return fail(p, t->offset, "'%.*s' is a reserved word", (int)t->text.len, t->text.data);
}

static struct node *parse_name(struct parser *p, const struct token *t, bool is_root)
{
    if (!check_ident(p, t)) return NULL;
    for (uint32_t slot = p->var_count; !is_root && slot-- > 0;) {
        if (!bytes_equal(p->vars[slot], t->text)) continue;
        struct node *var = new_node(p, NODE_VAR, t->offset);
        var->slot = slot;
        return var;
    }
    struct node *path = new_node(p, NODE_PATH, t->offset);
    add_name(path, t->text);
    add_path(p, path);
    return path;
}

/* --- calls --- */

/* Reads "expr, expr)" up to and with the closing character; a trailing comma where allowed. */
static bool parse_list(struct parser *p, char close, bool trailing_comma)
{
    while (!is_char(p, close)) {
        struct node *n = parse_expr(p);
        if (!n) return false;
        push(p, (struct part){ .node = n, .offset = n->offset });
        if (!is_char(p, ',')) break;
        if (!lex_next(&p->lex)) return false;
        if (!trailing_comma && is_char(p, close)) return fail_token(p, "an argument");
    }
    return take_char(p, close);
}

/* The pattern of matches() is compiled now if it is a literal. */
static bool compile_pattern(struct parser *p, struct node *call)
{
    const struct node *pattern = call->parts[call->count - 1].node;
    if (pattern->kind != NODE_CONST || pattern->value.type != VAL_STRING) return true;
    struct err e;
    call->regex = regex_compile(val_text(&pattern->value), &e);
    return call->regex ? true : fail(p, pattern->offset, "%s", e.text);
}

/* After the opening bracket of a call: its arguments, without the target of a method. */
static struct node *parse_call(struct parser *p, const struct token *name, struct bytes full_name,
                               int how)
{
    const struct function *f = function_find(full_name, how);
    if (!f) {
        const char *hint = function_find(full_name, CALL_GLOBAL | CALL_METHOD)
                               ? how == CALL_METHOD ? ": it is not called on a value"
                                                    : ": it is called on a value, as in x.f()"
                               : "";
        fail(p, name->offset, "unknown function '%.*s'%s", (int)MIN(full_name.len, 80u),
             full_name.data, hint);
        return NULL;
    }
    if (!f->run) {
        lex_fail(&p->lex, name->offset, ERR_UNSUPPORTED, "%s", f->why);
        return NULL;
    }
    struct node *call = new_node(p, NODE_CALL, name->offset);
    call->function = f;
    size_t base = p->stack_len;
    if (!parse_list(p, ')', false)) return NULL;
    gather(p, call, base);
    size_t count = call->count + (how == CALL_METHOD);
    if (count < f->args_min || count > f->args_max) {
        fail(p, name->offset, "no such overload: %s() does not take %u argument%s", f->name,
             call->count, call->count == 1 ? "" : "s");
        return NULL;
    }
    if (function_is_matches(f) && !compile_pattern(p, call)) return NULL;
    return call;
}

/* has(a.b): after the opening bracket. */
static struct node *parse_has(struct parser *p, const struct token *name)
{
    struct node *base = parse_expr(p);
    if (!base) return NULL;
    bool is_selection =
        (base->kind == NODE_PATH && base->count >= 2) ||
        (base->kind == NODE_POSTFIX && base->parts[base->count - 1].op == OP_SELECT);
    if (!is_selection) {
        fail(p, base->offset, "has() takes a selection, as in has(a.b)");
        return NULL;
    }
    if (!take_char(p, ')')) return NULL;
    struct node *has = new_node(p, NODE_HAS, name->offset);
    has->base = base;
    return has;
}

/* --- macros over lists and maps --- */

static enum op macro_find(struct bytes name)
{
    static const struct {
        const char *name;
        enum op op;
    } macros[] = {
        { "all", OP_ALL },       { "exists", OP_EXISTS }, { "exists_one", OP_EXISTS_ONE },
        { "filter", OP_FILTER }, { "map", OP_MAP },       { "existsOne", OP_EXISTS_ONE },
    };
    for (size_t i = 0; i < ARRAY_LEN(macros); i++)
        if (bytes_is(name, macros[i].name)) return macros[i].op;
    return OP_NONE;
}

/* e.all(x, p) and its kin: after the opening bracket. */
static struct node *parse_fold(struct parser *p, const struct token *name, enum op op)
{
    struct token var = p->lex.token;
    if (var.kind != TOKEN_IDENT || lex_is_reserved(var.text)) {
        fail_token(p, "the name of a variable");
        return NULL;
    }
    if (!lex_next(&p->lex)) return NULL;
    if (!is_char(p, ',')) {
        fail(p, var.offset,
             "%.*s() takes the name of a variable and an expression, as in "
             "%.*s(x, ...)",
             (int)name->text.len, name->text.data, (int)name->text.len, name->text.data);
        return NULL;
    }
    if (!lex_next(&p->lex)) return NULL;
    if (p->var_count == CEL_DEPTH_MAX) {
        lex_fail(&p->lex, name->offset, ERR_LIMIT, "more than %d variables", CEL_DEPTH_MAX);
        return NULL;
    }
    struct node *fold = new_node(p, NODE_FOLD, name->offset);
    fold->op = op;
    fold->slot = p->var_count;
    p->vars[p->var_count++] = var.text;
    size_t base = p->stack_len;
    bool ok = parse_list(p, ')', false);
    p->var_count--;
    if (!ok) return NULL;
    gather(p, fold, base);
    if (fold->count != 1 && !(op == OP_MAP && fold->count == 2)) {
        fail(p, name->offset, "%.*s() takes %s", (int)name->text.len, name->text.data,
             op == OP_MAP ? "2 or 3 arguments" : "2 arguments");
        return NULL;
    }
    return fold;
}

/* --- member chains --- */

/* What parse_member has so far: a base, and parts of it on the stack. */
struct member {
    struct node *base;
    size_t stack_base;
};

/* math.f(...): a function whose name has a dot. *ret: NULL if it is none. */
static bool parse_qualified(struct parser *p, struct member *m, const struct token *name,
                            struct node **ret)
{
    *ret = NULL;
    struct cel *c = p->cel;
    if (m->base->kind != NODE_PATH || m->base->count != 1 || p->stack_len != m->stack_base)
        return true;
    AUTO_FREE char *full =
        xasprintf("%s.%.*s", m->base->names[0], (int)name->text.len, name->text.data);
    if (!function_find(bytes_of(full), CALL_GLOBAL)) return true;
    ASSERT(c->path_count > 0 && c->paths[c->path_count - 1] == m->base);
    c->path_count--; /* it is no variable, and has space for one more path */
    if (!lex_next(&p->lex)) return false;
    *ret = parse_call(p, name, bytes_of(full), CALL_GLOBAL);
    return *ret != NULL;
}

/* After ".name": when "(" follows. */
static bool parse_method(struct parser *p, struct member *m, const struct token *name)
{
    struct node *n;
    if (!parse_qualified(p, m, name, &n)) return false;
    if (n) {
        m->base = n;
        return true;
    }
    if (!lex_next(&p->lex)) return false;
    enum op macro = macro_find(name->text);
    n = macro ? parse_fold(p, name, macro) : parse_call(p, name, name->text, CALL_METHOD);
    if (!n) return false;
    push(p, (struct part){ .op = macro ? OP_FOLD : OP_CALL, .offset = name->offset, .node = n });
    return true;
}

/* After a dot. */
static bool parse_select(struct parser *p, struct member *m)
{
    struct token name = p->lex.token;
    if (name.kind != TOKEN_IDENT && name.kind != TOKEN_QUOTED)
        return fail_token(p, "a name after the dot");
    if (!lex_next(&p->lex)) return false;
    if (name.kind == TOKEN_IDENT && is_char(p, '(')) return parse_method(p, m, &name);
    if (m->base->kind == NODE_PATH && p->stack_len == m->stack_base) {
        add_name(m->base, name.text);
        return true;
    }
    push(p, (struct part){ .op = OP_SELECT,
                           .offset = name.offset,
                           .name = xstrndup(name.text.data, name.text.len) });
    return true;
}

static bool parse_index(struct parser *p)
{
    uint32_t offset = p->lex.token.offset;
    if (!lex_next(&p->lex)) return false;
    struct node *index = parse_expr(p);
    if (!index) return false;
    push(p, (struct part){ .op = OP_INDEX, .offset = offset, .node = index });
    return take_char(p, ']');
}

static struct node *parse_primary(struct parser *p, bool negative);

static struct node *parse_member(struct parser *p, bool negative)
{
    struct member m = { .stack_base = p->stack_len };
    m.base = parse_primary(p, negative);
    if (!m.base) return NULL;
    for (;;) {
        if (is_char(p, '.')) {
            if (!lex_next(&p->lex) || !parse_select(p, &m)) return NULL;
        } else if (is_char(p, '[')) {
            if (!parse_index(p)) return NULL;
        } else {
            break;
        }
    }
    if (is_char(p, '{') && m.base->kind == NODE_PATH && p->stack_len == m.stack_base) {
        lex_fail(&p->lex, m.base->offset, ERR_UNSUPPORTED,
                 "message literals are not supported: JSON has maps only, as in {\"a\": 1}");
        return NULL;
    }
    if (p->stack_len == m.stack_base) return m.base;
    struct node *n = new_node(p, NODE_POSTFIX, m.base->offset);
    n->base = m.base;
    return gather(p, n, m.stack_base);
}

/* --- literals --- */

static struct node *const_node(struct parser *p, uint32_t offset, struct val value)
{
    struct node *n = new_node(p, NODE_CONST, offset);
    n->value = value;
    return n;
}

/* The current token is a literal: its node, and the next token. */
static struct node *parse_literal(struct parser *p, bool negative)
{
    struct token t = p->lex.token;
    struct val v = { .type = VAL_NULL };
    switch (t.kind) {
    case TOKEN_INT:
        if (!negative && t.magnitude > INT64_MAX) {
            fail(p, t.offset, "the integer does not fit 64 bits");
            return NULL;
        }
        v = val_int(negative ? (int64_t)(0 - t.magnitude) : (int64_t)t.magnitude);
        break;
    case TOKEN_DOUBLE: v = val_double(negative ? -t.number : t.number); break;
    case TOKEN_STRING: {
        AUTO_BUF struct buf text = { 0 };
        if (!lex_string(&p->lex, &t, &text)) return NULL;
        v = val_string(text.data ? text.data : "", text.len);
        break;
    }
    case TOKEN_TRUE: v = val_bool(true); break;
    case TOKEN_FALSE: v = val_bool(false); break;
    default: break;
    }
    struct node *n = const_node(p, t.offset, v);
    return lex_next(&p->lex) ? n : NULL;
}

static json_t *const_json(const struct val *v)
{
    switch (v->type) {
    case VAL_NULL: return json_null();
    case VAL_BOOL: return json_boolean(v->b);
    case VAL_INT: return json_integer(v->i);
    case VAL_DOUBLE: return json_real(v->d);
    default: return json_incref(v->j);
    }
}

static struct node *parse_list_literal(struct parser *p, uint32_t offset)
{
    size_t base = p->stack_len;
    if (!parse_list(p, ']', true)) return NULL;
    bool constant = true;
    for (size_t i = base; i < p->stack_len; i++)
        constant = constant && p->stack[i].node->kind == NODE_CONST;
    if (!constant) return gather(p, new_node(p, NODE_LIST, offset), base);
    /* `x in ["a", "b"]` is common: the list is made once. */
    json_t *list = json_array();
    for (size_t i = base; i < p->stack_len; i++)
        json_array_append_new(list, const_json(&p->stack[i].node->value));
    p->stack_len = base;
    return const_node(p, offset, (struct val){ .type = VAL_LIST, .j = list });
}

static struct node *parse_map_literal(struct parser *p, uint32_t offset)
{
    size_t base = p->stack_len;
    while (!is_char(p, '}')) {
        struct node *key = parse_expr(p);
        if (!key) return NULL;
        if (key->kind == NODE_CONST && key->value.type != VAL_STRING) {
            fail(p, key->offset, "a map key must be a string here: JSON has no others");
            return NULL;
        }
        push(p, (struct part){ .node = key, .offset = key->offset });
        if (!take_char(p, ':')) return NULL;
        struct node *value = parse_expr(p);
        if (!value) return NULL;
        push(p, (struct part){ .node = value, .offset = value->offset });
        if (!is_char(p, ',')) break;
        if (!lex_next(&p->lex)) return NULL;
    }
    if (!take_char(p, '}')) return NULL;
    return gather(p, new_node(p, NODE_MAP, offset), base);
}

static struct node *parse_ident(struct parser *p, bool is_root)
{
    struct token name = p->lex.token;
    if (name.kind != TOKEN_IDENT) {
        fail_token(p, "a name");
        return NULL;
    }
    if (!lex_next(&p->lex)) return NULL;
    if (!is_char(p, '(')) return parse_name(p, &name, is_root);
    if (!check_ident(p, &name) || !lex_next(&p->lex)) return NULL;
    if (bytes_is(name.text, "has")) return parse_has(p, &name);
    return parse_call(p, &name, name.text, CALL_GLOBAL);
}

static struct node *parse_primary(struct parser *p, bool negative)
{
    const struct token t = p->lex.token;
    switch (t.kind) {
    case TOKEN_INT:
    case TOKEN_DOUBLE:
    case TOKEN_STRING:
    case TOKEN_TRUE:
    case TOKEN_FALSE:
    case TOKEN_NULL: return parse_literal(p, negative);
    case TOKEN_IDENT: return parse_ident(p, false);
    case TOKEN_CHAR: break;
    default: fail_token(p, "a value"); return NULL;
    }
    if (!strchr("([{.", t.c)) {
        fail_token(p, "a value");
        return NULL;
    }
    if (!lex_next(&p->lex)) return NULL;
    if (t.c == '[') return parse_list_literal(p, t.offset);
    if (t.c == '{') return parse_map_literal(p, t.offset);
    if (t.c == '.') return parse_ident(p, true);
    struct node *inner = parse_expr(p);
    return inner && take_char(p, ')') ? inner : NULL;
}

/* --- operators --- */

static struct node *parse_unary(struct parser *p)
{
    char sign = is_char(p, '!') ? '!' : is_char(p, '-') ? '-' : '\0';
    if (!sign) return parse_member(p, false);
    uint32_t offset = p->lex.token.offset, count = 0;
    for (; is_char(p, sign); count++)
        if (!lex_next(&p->lex)) return NULL;
    bool number = p->lex.token.kind == TOKEN_INT || p->lex.token.kind == TOKEN_DOUBLE;
    bool negative = sign == '-' && number; /* the last minus belongs to the literal */
    struct node *base = parse_member(p, negative);
    if (!base) return NULL;
    if (negative) {
        count--;
        if (base->kind == NODE_CONST) base->offset--;
    }
    if (count == 0) return base;
    struct node *n = new_node(p, sign == '!' ? NODE_NOT : NODE_NEGATE, offset);
    n->count = count;
    n->base = base;
    return n;
}

enum { LEVEL_RELATION, LEVEL_SUM, LEVEL_PRODUCT, LEVEL_UNARY };

/* The operator that the current token is at that level of precedence, or OP_NONE. */
static enum op operator_at(const struct token *t, int level)
{
    if (level == LEVEL_RELATION) {
        switch (t->kind) {
        case TOKEN_EQ: return OP_EQ;
        case TOKEN_NE: return OP_NE;
        case TOKEN_LE: return OP_LE;
        case TOKEN_GE: return OP_GE;
        case TOKEN_IN: return OP_IN;
        case TOKEN_CHAR: return t->c == '<' ? OP_LT : t->c == '>' ? OP_GT : OP_NONE;
        default: return OP_NONE;
        }
    }
    if (t->kind != TOKEN_CHAR) return OP_NONE;
    if (level == LEVEL_SUM) return t->c == '+' ? OP_ADD : t->c == '-' ? OP_SUB : OP_NONE;
    return t->c == '*' ? OP_MUL : t->c == '/' ? OP_DIV : t->c == '%' ? OP_MOD : OP_NONE;
}

static struct node *parse_chain(struct parser *p, int level)
{
    if (level == LEVEL_UNARY) return parse_unary(p);
    size_t base = p->stack_len;
    struct part part = { .offset = p->lex.token.offset };
    for (;;) {
        part.node = parse_chain(p, level + 1);
        if (!part.node) return NULL;
        enum op op = operator_at(&p->lex.token, level);
        if (!op && p->stack_len == base) return part.node;
        push(p, part);
        if (!op) break;
        part = (struct part){ .op = op, .offset = p->lex.token.offset };
        if (!lex_next(&p->lex)) return NULL;
    }
    return gather(p, new_node(p, NODE_CHAIN, p->stack[base].offset), base);
}

static struct node *parse_logic(struct parser *p, enum op op)
{
    size_t base = p->stack_len;
    uint32_t offset = p->lex.token.offset;
    for (;;) {
        struct part part = { .offset = p->lex.token.offset };
        part.node = op == OP_OR ? parse_logic(p, OP_AND) : parse_chain(p, LEVEL_RELATION);
        if (!part.node) return NULL;
        bool more = p->lex.token.kind == (op == OP_OR ? TOKEN_OR : TOKEN_AND);
        if (!more && p->stack_len == base) return part.node;
        push(p, part);
        if (!more) break;
        if (!lex_next(&p->lex)) return NULL;
    }
    struct node *n = new_node(p, NODE_LOGIC, offset);
    n->op = op;
    return gather(p, n, base);
}

static struct node *parse_choice(struct parser *p)
{
    size_t base = p->stack_len;
    uint32_t offset = p->lex.token.offset;
    for (;;) {
        struct node *n = parse_logic(p, OP_OR);
        if (!n) return NULL;
        bool more = is_char(p, '?');
        if (!more && p->stack_len == base) return n;
        push(p, (struct part){ .node = n, .offset = n->offset });
        if (!more) break;
        if (!lex_next(&p->lex)) return NULL;
        n = parse_logic(p, OP_OR);
        if (!n) return NULL;
        push(p, (struct part){ .node = n, .offset = n->offset });
        if (!take_char(p, ':')) return NULL;
    }
    return gather(p, new_node(p, NODE_CHOICE, offset), base);
}

static struct node *parse_expr(struct parser *p)
{
    if (p->depth > CEL_DEPTH_MAX) {
        lex_fail(&p->lex, p->lex.token.offset, ERR_LIMIT, "brackets nest deeper than %d",
                 CEL_DEPTH_MAX);
        return NULL;
    }
    p->depth++;
    struct node *n = parse_choice(p);
    p->depth--;
    return n;
}

/* --- the whole --- */

static void parser_done(struct parser *p)
{
    for (size_t i = 0; i < p->stack_len; i++) free(p->stack[i].name);
    free(p->stack);
}

static bool parse_whole(struct parser *p, bool braced)
{
    if (!lex_next(&p->lex)) return false;
    p->cel->root = parse_expr(p);
    if (!p->cel->root) return false;
    if (braced) return is_char(p, '}') ? true : fail_token(p, "'}' or an operator");
    return p->lex.token.kind == TOKEN_END ? true : fail_token(p, "the end or an operator");
}

static struct cel *compile(struct bytes source, bool braced, size_t *ret_end, size_t *ret_offset,
                           struct err *e)
{
    struct err local;
    if (!e) e = &local;
    if (ret_offset) *ret_offset = 0;
    if (!braced && source.len > CEL_SOURCE_MAX) {
        err_fail(e, ERR_LIMIT, "1:1: the expression is longer than %d bytes", CEL_SOURCE_MAX);
        return NULL;
    }
    /* A template's string is valid already, and must not be scanned for each of its expressions. */
    if (!braced && source.len > 0 && !utf8_check(source.data, source.len)) {
        err_fail(e, ERR_INVALID, "1:1: the expression is not valid UTF-8");
        return NULL;
    }
    CLEANUP(cel_free_p) struct cel *c = xcalloc(1, sizeof *c);
    CLEANUP(parser_done) struct parser p = { .lex = { .source = source, .e = e }, .cel = c };
    if (!parse_whole(&p, braced)) {
        if (ret_offset) *ret_offset = p.lex.fault;
        return NULL;
    }
    if (ret_end) *ret_end = p.lex.token.offset;
    c->source_len = braced ? p.lex.token.offset : source.len;
    c->source = xstrndup(source.data ? source.data : "", c->source_len);
    return TAKE(c);
}

struct cel *cel_compile(struct bytes source, size_t *ret_offset, struct err *e)
{
    return compile(source, false, NULL, ret_offset, e);
}

struct cel *cel_compile_braced(struct bytes source, size_t *ret_end, size_t *ret_offset,
                               struct err *e)
{
    struct bytes text = { source.data, MIN(source.len, (size_t)CEL_SOURCE_MAX) };
    return compile(text, true, ret_end, ret_offset, e);
}

struct cel *cel_free(struct cel *c)
{
    if (!c) return NULL;
    for (struct node *n = c->nodes, *next; n; n = next) {
        next = n->next;
        if (n->kind == NODE_CONST) val_done(&n->value);
        for (uint32_t i = 0; n->parts && i < n->count; i++) free(n->parts[i].name);
        for (uint32_t i = 0; n->names && i < n->count; i++) free(n->names[i]);
        free(n->parts);
        free(n->names);
        regex_free(n->regex);
        free(n);
    }
    free(c->paths);
    free(c->source);
    free(c);
    return NULL;
}

void cel_paths(const struct cel *c,
               void (*fn)(void *user, const char *const *names, size_t count, size_t offset),
               void *user)
{
    for (size_t i = 0; i < c->path_count; i++) {
        const struct node *n = c->paths[i];
        enum val_type ignored;
        if (n->count == 1 && val_type_find(n->names[0], &ignored)) continue;
        fn(user, (const char *const *)n->names, n->count, n->offset);
    }
}

const char *const *cel_as_path(const struct cel *c, size_t *ret_count)
{
    if (c->root->kind != NODE_PATH) return NULL;
    *ret_count = c->root->count;
    return (const char *const *)c->root->names;
}
