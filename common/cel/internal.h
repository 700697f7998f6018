/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this layer share beside values: the tree that cel_compile builds, and the doors
 * between lexer, parser, evaluator and functions. Chains (a + b + c, x.y[0].f(), c ? a : d ? b : e)
 * are one node with many parts, so that only brackets nest, and the depth of every recursion is
 * that of the brackets in the source, at most CEL_DEPTH_MAX. */
#ifndef TUTTI_CEL_INTERNAL_H
#define TUTTI_CEL_INTERNAL_H

#include "common/cel/cel.h"
#include "common/cel/value.h"

#define CEL_VARS_MAX      64 /* variables of macros in scope at one place */
#define COST_OF_ABSORBING 10 /* an error that is thrown away was formatted first */

/* The shortest decimal text that reads back as the same double: "0.1", "1", "1e+21". */
#define DOUBLE_TEXT_MAX 32
void double_format(double d, char ret[DOUBLE_TEXT_MAX]);

/* Appends the compact JSON of value. ERR_LIMIT if ret grows beyond len_max bytes, or the value
 * nests deeper than JSON_DEPTH_MAX where `depth` containers are open already. */
MUST_CHECK bool json_encode(struct buf *ret, const json_t *value, size_t len_max, int depth,
                            struct err *e);

/* --- the tree --- */

enum node_kind {
    NODE_CONST,   /* value */
    NODE_PATH,    /* names[0..count) */
    NODE_VAR,     /* slot */
    NODE_LIST,    /* parts; op of a part: OP_OPTIONAL for [?x] */
    NODE_MAP,     /* parts: key, value, key, value ...; op of a key: OP_OPTIONAL for {?k: v} */
    NODE_NEGATE,  /* base, `count` times */
    NODE_NOT,     /* base, `count` times */
    NODE_CHAIN,   /* parts; the op of a part joins it to what is left of it */
    NODE_LOGIC,   /* parts; op: OP_AND or OP_OR */
    NODE_CHOICE,  /* parts: condition, value, condition, value ..., value */
    NODE_CALL,    /* function (NULL: unknown), name, parts: the arguments after the target, regex */
    NODE_POSTFIX, /* base, parts: OP_SELECT to OP_FOLD */
    NODE_HAS,     /* base: a NODE_PATH, or a NODE_POSTFIX that ends with a selection */
    NODE_FOLD,    /* op, slot, vars, parts: [condition,] predicate or transform */
    NODE_BIND,    /* slot of the first of count - 1 variables; parts: their values, the body */
};

enum op {
    OP_NONE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_EQ,
    OP_NE,
    OP_IN,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_AND,
    OP_OR,
    OP_OPTIONAL,
    OP_SELECT,
    OP_OPT_SELECT,
    OP_INDEX,
    OP_OPT_INDEX,
    OP_CALL,
    OP_FOLD,
    OP_ALL,
    OP_EXISTS,
    OP_EXISTS_ONE,
    OP_FILTER,
    OP_MAP,
    OP_TRANSFORM_LIST,
    OP_TRANSFORM_MAP,
    OP_OPT_MAP,
    OP_OPT_FLAT_MAP,
};

struct part {
    enum op op;
    uint32_t offset;
    struct node *node; /* NULL for a selection */
    const char *name;  /* of a selection */
};

/* Everything that a node points to lies in the scope of its expression. */
struct node {
    enum node_kind kind;
    enum op op;
    uint32_t offset; /* of the byte in the source that errors point at */
    uint32_t count;  /* of parts or names, or of how often a sign is applied */
    uint32_t slot;
    uint32_t vars; /* NODE_FOLD: 1 or 2 */
    struct part *parts;
    const char **names;
    const char *name;
    struct node *base;
    struct val value;
    const struct function *function;
    struct regex *regex; /* the compiled pattern of matches(), if it is a literal */
};

struct cel {
    struct scope scope;
    struct node *root;
    struct node **paths; /* in the order of the source */
    size_t path_count;
    struct bytes source; /* to turn offsets into lines and columns */
};

/* Like cel_compile, of the text up to a `}` that closes nothing within: *ret_end is its offset. */
MUST_CHECK struct cel *cel_compile_braced(struct bytes source, size_t *ret_end, size_t *ret_offset,
                                          struct err *e);

/* Whether the path is the name of a type, as in `google.protobuf.Duration`. */
bool path_is_type(const struct node *path, enum val_type *ret);

/* Puts "line:column: " before e's text; columns count code points. Returns false. */
bool source_fail(struct bytes source, size_t offset, struct err *e);

/* "%.*s" arguments that show the beginning of a text in a message, cut between characters. */
int shown_len(struct bytes text);
#define SHOWN(text)       shown_len(bytes_of(text)), (text)
#define SHOWN_BYTES(text) shown_len(text), (text).data

/* --- the lexer --- */

enum token_kind {
    TOKEN_END,
    TOKEN_IDENT,  /* reserved words too: they may follow a dot */
    TOKEN_QUOTED, /* `name`, after a dot only */
    TOKEN_INT,
    TOKEN_UINT,
    TOKEN_DOUBLE,
    TOKEN_STRING,
    TOKEN_TRUE,
    TOKEN_FALSE,
    TOKEN_NULL,
    TOKEN_IN,
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_EQ,
    TOKEN_NE,
    TOKEN_LE,
    TOKEN_GE,
    TOKEN_CHAR, /* any other: `c` */
};

struct token {
    enum token_kind kind;
    char c;
    bool raw;           /* STRING: no escapes */
    bool bytes;         /* STRING: bytes, b"..." */
    uint32_t offset;    /* of its first byte */
    struct bytes text;  /* IDENT, QUOTED: the name; STRING: what is between the quotes */
    uint64_t magnitude; /* INT: up to 2^63; UINT */
    double number;      /* DOUBLE */
};

struct lexer {
    struct bytes source; /* valid UTF-8 */
    size_t pos;
    struct token token; /* the current one */
    size_t fault;
    struct err *e;
};

/* Steps to the next token. On failure l->fault and l->e are set. */
MUST_CHECK bool lex_next(struct lexer *l);
/* Notes a fault; returns false. */
bool lex_fail(struct lexer *l, size_t offset, enum err_kind kind, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* The string or the bytes that a TOKEN_STRING stands for. */
MUST_CHECK bool lex_string(struct lexer *l, const struct token *t, struct buf *ret);
bool lex_is_reserved(struct bytes name);
void utf8_add(struct buf *b, uint32_t code);

/* --- evaluation --- */

/* Why an expression failed, where another may make up for it. */
struct failure {
    struct err err;
    uint32_t offset;
    const char *missing; /* the key that is not in the map below: names near it are looked for only
                          * when somebody gets to see the error; or NULL */
    struct val map;
};

struct eval {
    const struct cel *cel;
    struct cel_env *env;
    struct scope *scope;
    uint64_t cost_max;
    struct failure fail;
    struct val vars[CEL_VARS_MAX]; /* of the macros around, by slot */
};

/* Fails with ERR_INVALID at the offset; returns false. */
bool eval_fail(struct eval *ev, uint32_t offset, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool eval_spent(struct eval *ev, uint32_t offset);
MUST_CHECK static inline bool eval_charge(struct eval *ev, uint32_t offset, uint64_t cost)
{
    ev->env->cost += cost;
    return ev->env->cost <= ev->cost_max || eval_spent(ev, offset);
}
/* Text that is copied costs more than text that is looked at. */
MUST_CHECK static inline bool eval_charge_copy(struct eval *ev, uint32_t offset, size_t bytes)
{
    return eval_charge(ev, offset, bytes / 16);
}
MUST_CHECK static inline bool eval_charge_scan(struct eval *ev, uint32_t offset, size_t bytes)
{
    return eval_charge(ev, offset, bytes / 64);
}
/* Whether the error at hand may be absorbed: limits and failures of the world are not part of the
 * logic of an expression. */
bool eval_may_absorb(const struct eval *ev);
MUST_CHECK bool eval_node(struct eval *ev, const struct node *n, struct val *ret);
/* Evaluates a predicate; a value that is no bool is an error. */
MUST_CHECK bool eval_bool(struct eval *ev, const struct node *n, bool *ret);
/* A macro over a list, a map or an optional (fold.c). */
MUST_CHECK bool eval_fold(struct eval *ev, const struct node *n, const struct val *range,
                          struct val *ret);
/* As JSON: a new reference (json.c). */
MUST_CHECK bool eval_json(struct eval *ev, const struct val *v, json_t **ret);
MUST_CHECK bool eval_equal(struct eval *ev, uint32_t offset, const struct val *a,
                           const struct val *b, bool *ret);
/* a op b for every operator of a chain. */
MUST_CHECK bool eval_operator(struct eval *ev, enum op op, uint32_t offset, const struct val *a,
                              const struct val *b, struct val *ret);
MUST_CHECK bool eval_negate(struct eval *ev, uint32_t offset, struct val *v);
/* *ret_there: whether there is such a member or element; if not, the error says so. */
MUST_CHECK bool eval_select(struct eval *ev, uint32_t offset, const struct val *from,
                            const char *name, struct val *ret, bool *ret_there);
MUST_CHECK bool eval_index(struct eval *ev, uint32_t offset, const struct val *from,
                           const struct val *index, struct val *ret, bool *ret_there);
/* + and - of timestamps and durations; *ret_known: whether they have that operator (time.c). */
MUST_CHECK bool time_arithmetic(struct eval *ev, enum op op, uint32_t offset, const struct val *a,
                                const struct val *b, struct val *ret, bool *ret_known);

/* A map that is being made: an entry whose key must be new to it. */
MUST_CHECK bool eval_map_add(struct eval *ev, uint32_t offset, struct val_map *map,
                             const struct val *key, const struct val *value);

/* --- functions --- */

#define FUNCTION_ARGS_MAX 16

/* One call: the target of a method is args[0]. Arguments are borrowed. */
struct call {
    struct eval *ev;
    const struct node *node;
    const struct function *function;
    const struct val *args;
    size_t count;
    bool is_method;
};

enum { CALL_GLOBAL = 1, CALL_METHOD = 2, CALL_LAZY = 4 };

struct function {
    const char *name;
    int how; /* CALL_GLOBAL, CALL_METHOD or both; CALL_LAZY: with no arguments if the target, an
              * optional, has a value */
    /* Its overloads, separated by a space: the types of the arguments, ':', the type of the result.
     * A type is a letter: N null, B bool, I int, U uint, D double, S string, Y bytes, T timestamp,
     * R duration, K type, ? any, L list and O optional (then what of), M map (then key and value),
     * and a, b, c whatever it is the first time. '+': one or more of the type before it. */
    const char *overloads;
    bool (*run)(const struct call *c, struct val *ret);
};

/* The function of that name which may be called that way, or NULL. Static. */
const struct function *function_find(struct bytes name, int how);
struct nearest;
/* Offers it the names of the functions that may be called that way. */
void function_nearest(struct nearest *n, int how);
bool function_is_matches(const struct function *f);
/* Whether an overload takes so many arguments. */
bool function_takes_count(const struct function *f, size_t count);
/* Finds the overload and runs it. */
MUST_CHECK bool function_run(const struct call *c, struct val *ret);
/* Fails with "no such overload: int.contains(string)". */
bool call_mismatch(const struct call *c);
/* The rest of a type in an overload, behind the type at its beginning. */
const char *overload_skip(const char *type);

MUST_CHECK static inline bool call_charge(const struct call *c, uint64_t cost)
{
    return eval_charge(c->ev, c->node->offset, cost);
}
MUST_CHECK static inline bool call_charge_copy(const struct call *c, size_t bytes)
{
    return eval_charge_copy(c->ev, c->node->offset, bytes);
}
MUST_CHECK static inline bool call_charge_scan(const struct call *c, size_t bytes)
{
    return eval_charge_scan(c->ev, c->node->offset, bytes);
}
/* The buffer's text as a value. */
static inline struct val call_text(const struct call *c, enum val_type type, struct buf *text)
{
    return (struct val){ .type = type, .text = scope_adopt(c->ev->scope, text) };
}

/* clang-format off */
#define FUNCTIONS(X) \
    /* convert.c */ \
    X(convert_size) X(convert_int) X(convert_uint) X(convert_double) X(convert_string) \
    X(convert_bool) X(convert_bytes) X(convert_timestamp) X(convert_duration) X(convert_dyn) \
    X(convert_type) X(convert_base64_encode) X(convert_base64_decode) X(optional_of) X(optional_none) \
    X(optional_of_non_zero) X(optional_has_value) X(optional_value) X(optional_or) \
    /* strings.c, format.c */ \
    X(string_contains) X(string_starts_with) X(string_ends_with) X(string_matches) \
    X(string_lower_ascii) X(string_upper_ascii) X(string_trim) X(string_reverse) X(string_split) \
    X(string_join) X(string_replace) X(string_substring) X(string_index_of) \
    X(string_last_index_of) X(string_char_at) X(string_quote) X(string_format) \
    /* math.c */ \
    X(math_greatest) X(math_least) X(math_abs) X(math_ceil) X(math_floor) X(math_round) \
    X(math_trunc) X(math_sign) X(math_is_nan) X(math_is_inf) X(math_is_finite) X(math_bit_and) \
    X(math_bit_or) X(math_bit_xor) X(math_bit_not) X(math_bit_shift_left) \
    X(math_bit_shift_right) \
    /* time.c */ \
    X(time_full_year) X(time_month) X(time_day_of_month) X(time_date) X(time_day_of_week) \
    X(time_day_of_year) X(time_hours) X(time_minutes) X(time_seconds) X(time_milliseconds)
/* clang-format on */
#define X(name) bool name(const struct call *c, struct val *ret);
FUNCTIONS(X)
#undef X

void base64_add(struct buf *b, struct bytes data);

#endif
