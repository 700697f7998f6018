/* SPDX-License-Identifier: Apache-2.0
 *
 * The parser: recursive descent over the grammar of cel-spec's langdef.md. What the grammar repeats
 * is a loop here, so that only brackets recurse, and their depth is counted. Macros become nodes of
 * their own; functions are bound while parsing, so that an unknown one is an error of the source.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/nearest.h"
#include "common/cel/parser.h"
#include "common/cel/regex.h"

static_assert(CEL_SOURCE_MAX < UINT32_MAX, "an offset fits its field");

/* --- small helpers --- */

bool parse_fail_token(struct parser *p, const char *wanted)
{
    const struct token *t = &p->lex.token;
    if (t->kind == TOKEN_END)
        return parse_fail(p, t->offset, "the expression ends where %s should be", wanted);
    size_t len = MIN(p->lex.pos - t->offset, 24u);
    /* Cut at a character: what is quoted stays UTF-8. */
    while (len > 0 && !utf8_check(p->lex.source.data + t->offset, len)) len--;
    return parse_fail(p, t->offset, "expected %s, found '%.*s'", wanted, (int)len,
                      p->lex.source.data + t->offset);
}

bool parse_take_char(struct parser *p, char c)
{
    char wanted[] = { '\'', c, '\'', '\0' };
    if (!parse_is_char(p, c)) return parse_fail_token(p, wanted);
    return lex_next(&p->lex);
}

struct node *parse_node(struct parser *p, enum node_kind kind, uint32_t offset)
{
    struct node *n = scope_alloc(&p->cel->scope, sizeof *n);
    *n = (struct node){ .kind = kind, .offset = offset };
    return n;
}

void parse_push(struct parser *p, struct part part)
{
    if (p->stack_len == p->stack_cap) {
        p->stack_cap = p->stack_cap ? p->stack_cap * 2 : 16;
        p->stack = xrealloc(p->stack, p->stack_cap * sizeof *p->stack);
    }
    p->stack[p->stack_len++] = part;
}

struct node *parse_gather(struct parser *p, struct node *n, size_t base)
{
    ASSERT(base <= p->stack_len && !n->parts);
    n->count = (uint32_t)(p->stack_len - base);
    if (n->count) {
        n->parts = scope_alloc(&p->cel->scope, n->count * sizeof *n->parts);
        memcpy(n->parts, p->stack + base, n->count * sizeof *n->parts);
    }
    p->stack_len = base;
    return n;
}

/* --- names --- */

static void add_name(struct parser *p, struct node *path, struct bytes name)
{
    struct scope *a = &p->cel->scope;
    size_t cap = path->slot; /* the room for names is counted there while it grows */
    path->names = scope_grow(a, path->names, path->count, &cap, sizeof *path->names);
    path->slot = (uint32_t)cap;
    path->names[path->count++] = scope_copy(a, name);
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
    return parse_fail(p, t->offset, "'%.*s' is a reserved word", (int)t->text.len, t->text.data);
}

static struct node *parse_name(struct parser *p, const struct token *t, bool is_root)
{
    if (!check_ident(p, t)) return NULL;
    struct node *var = is_root ? NULL : macro_variable(p, t);
    if (var) return var;
    struct node *path = parse_node(p, NODE_PATH, t->offset);
    add_name(p, path, t->text);
    add_path(p, path);
    return path;
}

/* --- calls --- */

bool parse_list(struct parser *p, char close, bool trailing_comma)
{
    while (!parse_is_char(p, close)) {
        struct node *n = parse_expr(p);
        if (!n) return false;
        parse_push(p, (struct part){ .node = n, .offset = n->offset });
        if (!parse_is_char(p, ',')) break;
        if (!lex_next(&p->lex)) return false;
        if (!trailing_comma && parse_is_char(p, close)) return parse_fail_token(p, "an argument");
    }
    return parse_take_char(p, close);
}

static void release_regex(void *regex)
{
    regex_free(regex);
}

/* The pattern of matches() is compiled now if it is a literal. */
static bool compile_pattern(struct parser *p, struct node *call)
{
    const struct node *pattern = call->parts[call->count - 1].node;
    if (pattern->kind != NODE_CONST || pattern->value.type != VAL_STRING) return true;
    char error[160];
    struct bytes text = pattern->value.text;
    call->regex = regex_compile(text.data, text.len, error, sizeof error);
    if (!call->regex) return parse_fail(p, pattern->offset, "matches(): in the pattern: %s", error);
    scope_own(&p->cel->scope, call->regex, release_regex);
    return true;
}

static bool fail_function(struct parser *p, const struct token *name, struct bytes full, int how)
{
    char hint[NEAREST_TEXT_MAX] = "";
    AUTO_FREE char *wanted = xstrndup(full.data, full.len);
    struct nearest near = { .wanted = wanted };
    function_nearest(&near, how);
    nearest_text(&near, hint);
    if (function_find(full, CALL_GLOBAL | CALL_METHOD))
        snprintf(hint, sizeof hint, "%s",
                 how == CALL_METHOD ? ": it is not called on a value"
                                    : ": it is called on a value, as in x.f()");
    return parse_fail(p, name->offset, "unknown function '%.*s'%s", SHOWN_BYTES(full), hint);
}

/* After the opening bracket of a call: its arguments, without the target of a method. */
static struct node *parse_call(struct parser *p, const struct token *name, struct bytes full_name,
                               int how)
{
    const struct function *f = function_find(full_name, how);
    if (!f && !p->unchecked) {
        fail_function(p, name, full_name, how);
        return NULL;
    }
    struct node *call = parse_node(p, NODE_CALL, name->offset);
    call->function = f;
    call->name = scope_copy(&p->cel->scope, full_name);
    size_t base = p->stack_len;
    if (!parse_list(p, ')', false)) return NULL;
    parse_gather(p, call, base);
    size_t count = call->count + (how == CALL_METHOD);
    if (f && (count > FUNCTION_ARGS_MAX || !function_takes_count(f, count))) {
        parse_fail(p, name->offset, "no such overload: %s() does not take %u argument%s", f->name,
                   call->count, call->count == 1 ? "" : "s");
        return NULL;
    }
    if (f && function_is_matches(f) && !compile_pattern(p, call)) return NULL;
    return call;
}

/* --- member chains --- */

/* What parse_member has so far: a base, and parts of it on the stack. */
struct member {
    struct node *base;
    size_t stack_base;
};

/* math.f(...) or cel.bind(...): a function or macro whose name has a dot. *ret: NULL if it is none.
 */
static bool parse_qualified(struct parser *p, struct member *m, const struct token *name,
                            struct node **ret)
{
    *ret = NULL;
    struct cel *c = p->cel;
    if (m->base->kind != NODE_PATH || m->base->count != 1 || p->stack_len != m->stack_base)
        return true;
    AUTO_FREE char *full =
        xasprintf("%s.%.*s", m->base->names[0], (int)name->text.len, name->text.data);
    bool is_macro = strcmp(m->base->names[0], "cel") == 0 && macro_is_cel(name->text);
    if (!is_macro && !function_find(bytes_of(full), CALL_GLOBAL)) return true;
    ASSERT(c->path_count > 0 && c->paths[c->path_count - 1] == m->base);
    c->path_count--; /* it is no variable, and has space for one more path */
    if (!lex_next(&p->lex)) return false;
    *ret = is_macro ? macro_cel(p, name) : parse_call(p, name, bytes_of(full), CALL_GLOBAL);
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
    n = macro ? macro_fold(p, name, macro) : parse_call(p, name, name->text, CALL_METHOD);
    if (!n) return false;
    parse_push(p,
               (struct part){ .op = macro ? OP_FOLD : OP_CALL, .offset = name->offset, .node = n });
    return true;
}

/* After a dot. */
static bool parse_select(struct parser *p, struct member *m)
{
    bool optional = parse_is_char(p, '?');
    if (optional && !lex_next(&p->lex)) return false;
    struct token name = p->lex.token;
    if (name.kind != TOKEN_IDENT && name.kind != TOKEN_QUOTED)
        return parse_fail_token(p, "a name after the dot");
    if (!lex_next(&p->lex)) return false;
    if (!optional && name.kind == TOKEN_IDENT && parse_is_char(p, '('))
        return parse_method(p, m, &name);
    if (!optional && m->base->kind == NODE_PATH && p->stack_len == m->stack_base) {
        add_name(p, m->base, name.text);
        return true;
    }
    parse_push(p, (struct part){ .op = optional ? OP_OPT_SELECT : OP_SELECT,
                                 .offset = name.offset,
                                 .name = scope_copy(&p->cel->scope, name.text) });
    return true;
}

static bool parse_index(struct parser *p)
{
    uint32_t offset = p->lex.token.offset;
    if (!lex_next(&p->lex)) return false;
    bool optional = parse_is_char(p, '?');
    if (optional && !lex_next(&p->lex)) return false;
    struct node *index = parse_expr(p);
    if (!index) return false;
    parse_push(p, (struct part){
                      .op = optional ? OP_OPT_INDEX : OP_INDEX, .offset = offset, .node = index });
    return parse_take_char(p, ']');
}

static struct node *parse_primary(struct parser *p, bool negative);

static struct node *parse_member(struct parser *p, bool negative)
{
    struct member m = { .stack_base = p->stack_len };
    m.base = parse_primary(p, negative);
    if (!m.base) return NULL;
    for (;;) {
        if (parse_is_char(p, '.')) {
            if (!lex_next(&p->lex) || !parse_select(p, &m)) return NULL;
        } else if (parse_is_char(p, '[')) {
            if (!parse_index(p)) return NULL;
        } else {
            break;
        }
    }
    if (parse_is_char(p, '{') && m.base->kind == NODE_PATH && p->stack_len == m.stack_base) {
        lex_fail(&p->lex, m.base->offset, ERR_UNSUPPORTED,
                 "message literals are not supported: JSON has maps only, as in {\"a\": 1}");
        return NULL;
    }
    if (p->stack_len == m.stack_base) return m.base;
    struct node *n = parse_node(p, NODE_POSTFIX, m.base->offset);
    n->base = m.base;
    return parse_gather(p, n, m.stack_base);
}

/* --- literals --- */

static struct node *const_node(struct parser *p, uint32_t offset, struct val value)
{
    struct node *n = parse_node(p, NODE_CONST, offset);
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
            parse_fail(p, t.offset, "the integer does not fit 64 bits");
            return NULL;
        }
        v = val_int(negative ? (int64_t)(0 - t.magnitude) : (int64_t)t.magnitude);
        break;
    case TOKEN_UINT: v = val_uint(t.magnitude); break;
    case TOKEN_DOUBLE: v = val_double(negative ? -t.number : t.number); break;
    case TOKEN_STRING: {
        AUTO_BUF struct buf text = { 0 };
        if (!lex_string(&p->lex, &t, &text)) return NULL;
        v.type = t.bytes ? VAL_BYTES : VAL_STRING;
        v.text = scope_adopt(&p->cel->scope, &text);
        break;
    }
    case TOKEN_TRUE: v = val_bool(true); break;
    case TOKEN_FALSE: v = val_bool(false); break;
    default: break;
    }
    struct node *n = const_node(p, t.offset, v);
    return lex_next(&p->lex) ? n : NULL;
}

/* A '?' in front of an element of a list or of a key. */
static bool take_optional(struct parser *p, enum op *ret)
{
    *ret = parse_is_char(p, '?') ? OP_OPTIONAL : OP_NONE;
    return *ret == OP_NONE || lex_next(&p->lex);
}

static struct node *parse_list_literal(struct parser *p, uint32_t offset)
{
    size_t base = p->stack_len;
    bool constant = true;
    while (!parse_is_char(p, ']')) {
        enum op op;
        if (!take_optional(p, &op)) return NULL;
        struct node *n = parse_expr(p);
        if (!n) return NULL;
        parse_push(p, (struct part){ .op = op, .node = n, .offset = n->offset });
        constant = constant && op == OP_NONE && n->kind == NODE_CONST;
        if (!parse_is_char(p, ',')) break;
        if (!lex_next(&p->lex)) return NULL;
    }
    if (!parse_take_char(p, ']')) return NULL;
    if (!constant) return parse_gather(p, parse_node(p, NODE_LIST, offset), base);
    /* `x in ["a", "b"]` is common: the list is made once. */
    size_t count = p->stack_len - base;
    struct val *items = scope_alloc(&p->cel->scope, count * sizeof *items);
    for (size_t i = 0; i < count; i++) items[i] = p->stack[base + i].node->value;
    p->stack_len = base;
    return const_node(p, offset, val_list_of(&p->cel->scope, items, count));
}

static struct node *parse_map_literal(struct parser *p, uint32_t offset)
{
    size_t base = p->stack_len;
    while (!parse_is_char(p, '}')) {
        enum op op;
        if (!take_optional(p, &op)) return NULL;
        struct node *key = parse_expr(p);
        if (!key) return NULL;
        parse_push(p, (struct part){ .op = op, .node = key, .offset = key->offset });
        if (!parse_take_char(p, ':')) return NULL;
        struct node *value = parse_expr(p);
        if (!value) return NULL;
        parse_push(p, (struct part){ .node = value, .offset = value->offset });
        if (!parse_is_char(p, ',')) break;
        if (!lex_next(&p->lex)) return NULL;
    }
    if (!parse_take_char(p, '}')) return NULL;
    return parse_gather(p, parse_node(p, NODE_MAP, offset), base);
}

static struct node *parse_ident(struct parser *p, bool is_root)
{
    struct token name = p->lex.token;
    if (name.kind != TOKEN_IDENT) {
        parse_fail_token(p, "a name");
        return NULL;
    }
    if (!lex_next(&p->lex)) return NULL;
    if (!parse_is_char(p, '(')) return parse_name(p, &name, is_root);
    if (!check_ident(p, &name) || !lex_next(&p->lex)) return NULL;
    if (bytes_is(name.text, "has")) return macro_has(p, &name);
    return parse_call(p, &name, name.text, CALL_GLOBAL);
}

static struct node *parse_primary(struct parser *p, bool negative)
{
    const struct token t = p->lex.token;
    switch (t.kind) {
    case TOKEN_INT:
    case TOKEN_UINT:
    case TOKEN_DOUBLE:
    case TOKEN_STRING:
    case TOKEN_TRUE:
    case TOKEN_FALSE:
    case TOKEN_NULL: return parse_literal(p, negative);
    case TOKEN_IDENT: return parse_ident(p, false);
    case TOKEN_CHAR: break;
    default: parse_fail_token(p, "a value"); return NULL;
    }
    if (!strchr("([{.", t.c)) {
        parse_fail_token(p, "a value");
        return NULL;
    }
    if (!lex_next(&p->lex)) return NULL;
    if (t.c == '[') return parse_list_literal(p, t.offset);
    if (t.c == '{') return parse_map_literal(p, t.offset);
    if (t.c == '.') return parse_ident(p, true);
    struct node *inner = parse_expr(p);
    return inner && parse_take_char(p, ')') ? inner : NULL;
}

/* --- operators --- */

static struct node *parse_unary(struct parser *p)
{
    char sign = parse_is_char(p, '!') ? '!' : parse_is_char(p, '-') ? '-' : '\0';
    if (!sign) return parse_member(p, false);
    uint32_t offset = p->lex.token.offset, count = 0;
    for (; parse_is_char(p, sign); count++)
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
    struct node *n = parse_node(p, sign == '!' ? NODE_NOT : NODE_NEGATE, offset);
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
        parse_push(p, part);
        if (!op) break;
        part = (struct part){ .op = op, .offset = p->lex.token.offset };
        if (!lex_next(&p->lex)) return NULL;
    }
    return parse_gather(p, parse_node(p, NODE_CHAIN, p->stack[base].offset), base);
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
        parse_push(p, part);
        if (!more) break;
        if (!lex_next(&p->lex)) return NULL;
    }
    struct node *n = parse_node(p, NODE_LOGIC, offset);
    n->op = op;
    return parse_gather(p, n, base);
}

static struct node *parse_choice(struct parser *p)
{
    size_t base = p->stack_len;
    uint32_t offset = p->lex.token.offset;
    for (;;) {
        struct node *n = parse_logic(p, OP_OR);
        if (!n) return NULL;
        bool more = parse_is_char(p, '?');
        if (!more && p->stack_len == base) return n;
        parse_push(p, (struct part){ .node = n, .offset = n->offset });
        if (!more) break;
        if (!lex_next(&p->lex)) return NULL;
        n = parse_logic(p, OP_OR);
        if (!n) return NULL;
        parse_push(p, (struct part){ .node = n, .offset = n->offset });
        if (!parse_take_char(p, ':')) return NULL;
    }
    return parse_gather(p, parse_node(p, NODE_CHOICE, offset), base);
}

struct node *parse_expr(struct parser *p)
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
    free(p->stack);
}

static bool parse_whole(struct parser *p, bool braced)
{
    if (!lex_next(&p->lex)) return false;
    p->cel->root = parse_expr(p);
    if (!p->cel->root) return false;
    if (braced) return parse_is_char(p, '}') ? true : parse_fail_token(p, "'}' or an operator");
    return p->lex.token.kind == TOKEN_END ? true : parse_fail_token(p, "the end or an operator");
}

/* How a source is compiled. */
enum { BRACED = 1, UNCHECKED = 2 };

static struct cel *compile(struct bytes source, int how, size_t *ret_end, size_t *ret_offset,
                           struct err *e)
{
    bool braced = how & BRACED;
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
    CLEANUP(parser_done)
    struct parser p = { .lex = { .source = source, .e = e },
                        .cel = c,
                        .unchecked = how & UNCHECKED };
    if (!parse_whole(&p, braced)) {
        if (ret_offset) *ret_offset = p.lex.fault;
        return NULL;
    }
    if (ret_end) *ret_end = p.lex.token.offset;
    c->source.len = braced ? p.lex.token.offset : source.len;
    c->source.data = scope_copy(&c->scope, (struct bytes){ source.data, c->source.len });
    return TAKE(c);
}

struct cel *cel_compile(struct bytes source, size_t *ret_offset, struct err *e)
{
    return compile(source, 0, NULL, ret_offset, e);
}

struct cel *cel_compile_unchecked(struct bytes source, size_t *ret_offset, struct err *e)
{
    return compile(source, UNCHECKED, NULL, ret_offset, e);
}

struct cel *cel_compile_braced(struct bytes source, size_t *ret_end, size_t *ret_offset,
                               struct err *e)
{
    struct bytes text = { source.data, MIN(source.len, (size_t)CEL_SOURCE_MAX) };
    return compile(text, BRACED, ret_end, ret_offset, e);
}

struct cel *cel_free(struct cel *c)
{
    if (!c) return NULL;
    scope_done(&c->scope);
    free(c->paths);
    free(c);
    return NULL;
}

bool path_is_type(const struct node *path, enum val_type *ret)
{
    char name[32];
    size_t len = 0;
    for (uint32_t i = 0; i < path->count; i++) {
        int n = snprintf(name + len, sizeof name - len, "%s%s", i ? "." : "", path->names[i]);
        if (n < 0 || (size_t)n >= sizeof name - len) return false;
        len += (size_t)n;
    }
    return val_type_find(name, ret);
}

void cel_paths(const struct cel *c,
               void (*fn)(void *user, const char *const *names, size_t count, size_t offset),
               void *user)
{
    for (size_t i = 0; i < c->path_count; i++) {
        const struct node *n = c->paths[i];
        enum val_type ignored;
        if (path_is_type(n, &ignored)) continue;
        fn(user, (const char *const *)n->names, n->count, n->offset);
    }
}

const char *const *cel_as_path(const struct cel *c, size_t *ret_count)
{
    if (c->root->kind != NODE_PATH) return NULL;
    *ret_count = c->root->count;
    return (const char *const *)c->root->names;
}
