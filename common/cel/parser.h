/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parser (parse.c) and its macros (macros.c) share. */
#ifndef TUTTI_CEL_PARSER_H
#define TUTTI_CEL_PARSER_H

#include "common/cel/internal.h"

/* A variable of a macro: a name, or one of those that an optimiser writes, cel.iterVar(a, b) and
 * cel.index(a). */
struct variable {
    enum { VARIABLE_NAME, VARIABLE_ITER, VARIABLE_INDEX } kind;
    struct bytes name;
    uint64_t a, b;
};

struct parser {
    struct lexer lex;
    struct cel *cel;
    bool unchecked; /* unknown functions are left to the evaluation */
    int depth;
    struct part *stack; /* parts of the nodes that are being read */
    size_t stack_len, stack_cap;
    struct variable vars[CEL_VARS_MAX]; /* in scope, innermost last */
    uint32_t var_count;
};

#define parse_fail(p, offset, ...) lex_fail(&(p)->lex, (offset), ERR_INVALID, __VA_ARGS__)

static inline bool parse_is_char(const struct parser *p, char c)
{
    return p->lex.token.kind == TOKEN_CHAR && p->lex.token.c == c;
}
/* "expected ..., found ..."; returns false. */
bool parse_fail_token(struct parser *p, const char *wanted);
/* Steps over the character, or fails. */
MUST_CHECK bool parse_take_char(struct parser *p, char c);
struct node *parse_node(struct parser *p, enum node_kind kind, uint32_t offset);
void parse_push(struct parser *p, struct part part);
/* Moves the parts above `base` from the stack into the node. */
struct node *parse_gather(struct parser *p, struct node *n, size_t base);
struct node *parse_expr(struct parser *p);
/* Reads "expr, expr)" up to and with the closing character; a trailing comma where allowed. */
MUST_CHECK bool parse_list(struct parser *p, char close, bool trailing_comma);

/* --- macros.c --- */

/* The macro that is called on a value, or OP_NONE. */
enum op macro_find(struct bytes name);
/* e.all(x, p) and its kin: after the opening bracket. */
struct node *macro_fold(struct parser *p, const struct token *name, enum op op);
/* has(a.b): after the opening bracket. */
struct node *macro_has(struct parser *p, const struct token *name);
/* cel.NAME(...): whether it is a macro. After the opening bracket. */
bool macro_is_cel(struct bytes name);
struct node *macro_cel(struct parser *p, const struct token *name);
/* The variable of that name, or NULL. */
struct node *macro_variable(struct parser *p, const struct token *name);

#endif
