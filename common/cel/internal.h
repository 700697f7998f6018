/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this layer share: the tree that cel_compile builds, the values that an
 * evaluation handles, and the doors between lexer, parser, evaluator and functions. Chains (a + b +
 * c, x.y[0].f(), c ? a : d ? b : e) are one node with many parts, so that only brackets nest, and
 * the depth of every recursion is that of the brackets in the source, at most CEL_DEPTH_MAX. */
#ifndef TUTTI_CEL_INTERNAL_H
#define TUTTI_CEL_INTERNAL_H

#include "common/cel/cel.h"

/* --- values --- */

/* X(enumerator, name as type() shows it). BYTES exists as the name of a type only. */
#define VAL_TYPES(X)     \
    X(NULL, "null_type") \
    X(BOOL, "bool")      \
    X(INT, "int")        \
    X(DOUBLE, "double")  \
    X(STRING, "string")  \
    X(LIST, "list")      \
    X(MAP, "map")        \
    X(TYPE, "type")      \
    X(BYTES, "bytes")

enum val_type {
#define X(name, text) VAL_##name,
    VAL_TYPES(X)
#undef X
        VAL_TYPE_COUNT
};

/* A value on its way through an evaluation: scalars need no allocation. */
struct val {
    enum val_type type;
    union {
        bool b;
        int64_t i;
        double d;
        json_t *j;           /* STRING, LIST, MAP: a reference that is owned, never changed */
        enum val_type named; /* TYPE */
    };
};

static inline void val_done(struct val *v)
{
    if (v->type >= VAL_STRING && v->type <= VAL_MAP) json_decref(v->j);
    v->type = VAL_NULL;
}
#define AUTO_VAL CLEANUP(val_done) struct val

/* The value of v, which becomes null, so that its AUTO_VAL leaves the reference alone. */
static inline struct val val_take(struct val *v)
{
    struct val taken = *v;
    v->type = VAL_NULL;
    return taken;
}

static inline struct val val_bool(bool b)
{
    return (struct val){ .type = VAL_BOOL, .b = b };
}
static inline struct val val_int(int64_t i)
{
    return (struct val){ .type = VAL_INT, .i = i };
}
static inline struct val val_double(double d)
{
    return (struct val){ .type = VAL_DOUBLE, .d = d };
}
static inline struct bytes val_text(const struct val *v)
{
    return (struct bytes){ json_string_value(v->j), json_string_length(v->j) };
}
/* A string of bytes that are UTF-8 because they were cut from UTF-8 at character boundaries. */
struct val val_string(const char *text, size_t len);
/* The value of a JSON value: takes a reference of its own where it needs one. */
struct val val_of_json(json_t *borrowed);
struct val val_copy(const struct val *v);
const char *val_type_name(enum val_type type);
/* The type that an identifier names ("int", "list"; "uint" is int); false if none. */
bool val_type_find(const char *name, enum val_type *ret);

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
    NODE_LIST,    /* parts */
    NODE_MAP,     /* parts: key, value, key, value ... */
    NODE_NEGATE,  /* base, `count` times */
    NODE_NOT,     /* base, `count` times */
    NODE_CHAIN,   /* parts; the op of a part joins it to what is left of it */
    NODE_LOGIC,   /* parts; op: OP_AND or OP_OR */
    NODE_CHOICE,  /* parts: condition, value, condition, value ..., value */
    NODE_CALL,    /* function, parts: the arguments after the target, regex */
    NODE_POSTFIX, /* base, parts: OP_SELECT, OP_INDEX, OP_CALL, OP_FOLD */
    NODE_HAS,     /* base: a NODE_PATH, or a NODE_POSTFIX that ends with OP_SELECT */
    NODE_FOLD,    /* op, slot, parts: predicate or transform; OP_MAP: [filter,] transform */
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
    OP_SELECT,
    OP_INDEX,
    OP_CALL,
    OP_FOLD,
    OP_ALL,
    OP_EXISTS,
    OP_EXISTS_ONE,
    OP_FILTER,
    OP_MAP,
};

struct part {
    enum op op;
    uint32_t offset;
    struct node *node; /* NULL for OP_SELECT; borrowed, the tree owns every node */
    char *name;        /* OP_SELECT; owned */
};

struct node {
    enum node_kind kind;
    enum op op;
    uint32_t offset; /* of the byte in the source that errors point at */
    uint32_t count;  /* of parts or names, or of how often a sign is applied */
    uint32_t slot;
    struct part *parts; /* owned */
    char **names;       /* owned */
    struct node *base;
    struct val value; /* owned */
    const struct function *function;
    struct regex *regex; /* owned: the compiled pattern of matches(), if it is a literal */
    struct node *next;   /* every node of the tree, for release without recursion */
};

struct cel {
    struct node *nodes, *root;
    struct node **paths; /* in the order of the source */
    size_t path_count;
    char *source; /* to turn offsets into lines and columns */
    size_t source_len;
};

/* Like cel_compile, of the text up to a `}` that closes nothing within: *ret_end is its offset. */
MUST_CHECK struct cel *cel_compile_braced(struct bytes source, size_t *ret_end, size_t *ret_offset,
                                          struct err *e);

/* Puts "line:column: " before e's text; columns count code points. Returns false. */
bool source_fail(struct bytes source, size_t offset, struct err *e);

/* "%.*s" arguments that show the beginning of a text in a message, cut between characters. */
int shown_len(const char *text);
#define SHOWN(text) shown_len(text), (text)

/* --- the lexer --- */

enum token_kind {
    TOKEN_END,
    TOKEN_IDENT,  /* reserved words too: they may follow a dot */
    TOKEN_QUOTED, /* `name`, after a dot only */
    TOKEN_INT,
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
    uint32_t offset;    /* of its first byte */
    struct bytes text;  /* IDENT, QUOTED: the name; STRING: what is between the quotes */
    uint64_t magnitude; /* INT: up to 2^63 */
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
/* The string that a TOKEN_STRING stands for. */
MUST_CHECK bool lex_string(struct lexer *l, const struct token *t, struct buf *ret);
bool lex_is_reserved(struct bytes name);

/* --- evaluation --- */

struct eval {
    const struct cel *cel;
    struct cel_env *env;
    uint64_t cost_max;
    bool built; /* a list or map was made: its parts may be shared many times over */
    struct err err;
    uint32_t err_offset;
    struct val vars[CEL_DEPTH_MAX]; /* of the comprehensions around, by slot */
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
/* As JSON: a new reference. Fails for doubles that are not finite. */
MUST_CHECK bool eval_box(struct eval *ev, uint32_t offset, const struct val *v, json_t **ret);
MUST_CHECK bool eval_equal(struct eval *ev, uint32_t offset, const struct val *a,
                           const struct val *b, bool *ret);
/* *ret: <0, 0, >0, or ORDER_NONE beside a NaN. Returns false without an error if the two types have
 * no order. */
#define ORDER_NONE 2
bool val_order(const struct val *a, const struct val *b, int *ret);
/* a op b for every operator of a chain. */
MUST_CHECK bool eval_operator(struct eval *ev, enum op op, uint32_t offset, const struct val *a,
                              const struct val *b, struct val *ret);
MUST_CHECK bool eval_index(struct eval *ev, uint32_t offset, const struct val *from,
                           const struct val *index, struct val *ret);
MUST_CHECK bool eval_negate(struct eval *ev, uint32_t offset, struct val *v);

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

enum { CALL_GLOBAL = 1, CALL_METHOD = 2 };

struct function {
    const char *name;
    int how; /* CALL_GLOBAL, CALL_METHOD or both */
    size_t args_min, args_max;
    bool (*run)(const struct call *c, struct val *ret); /* NULL: refused, `why` says why */
    const char *why;
};

/* The function of that name which may be called that way, or NULL. Static. */
const struct function *function_find(struct bytes name, int how);
bool function_is_matches(const struct function *f);
/* Fails with "no such overload: int.contains(string)". */
bool call_mismatch(const struct call *c);
/* Whether the arguments have these types, a letter each: s string, i int, l list; '*' anything. */
bool call_takes(const struct call *c, const char *types);

/* strings.c */
bool string_contains(const struct call *c, struct val *ret);
bool string_starts_with(const struct call *c, struct val *ret);
bool string_ends_with(const struct call *c, struct val *ret);
bool string_matches(const struct call *c, struct val *ret);
bool string_lower_ascii(const struct call *c, struct val *ret);
bool string_upper_ascii(const struct call *c, struct val *ret);
bool string_trim(const struct call *c, struct val *ret);
bool string_reverse(const struct call *c, struct val *ret);
bool string_split(const struct call *c, struct val *ret);
bool string_join(const struct call *c, struct val *ret);
bool string_replace(const struct call *c, struct val *ret);
bool string_substring(const struct call *c, struct val *ret);
bool string_index_of(const struct call *c, struct val *ret);
bool string_last_index_of(const struct call *c, struct val *ret);
bool string_char_at(const struct call *c, struct val *ret);

/* math.c */
bool math_greatest(const struct call *c, struct val *ret);
bool math_least(const struct call *c, struct val *ret);
bool math_abs(const struct call *c, struct val *ret);
bool math_ceil(const struct call *c, struct val *ret);
bool math_floor(const struct call *c, struct val *ret);
bool math_round(const struct call *c, struct val *ret);
bool math_trunc(const struct call *c, struct val *ret);
bool math_sign(const struct call *c, struct val *ret);

/* --- regular expressions --- */

struct regex;

enum regex_verdict { REGEX_NO, REGEX_YES, REGEX_TOO_COSTLY };

/* Compiles RE2 syntax as far as PCRE2 means the same by it; what RE2 lacks (back references, look
 * around, possessive quantifiers) is refused. NULL with e. */
MUST_CHECK struct regex *regex_compile(struct bytes pattern, struct err *e);
struct regex *regex_free(struct regex *r);
DEFINE_CLEANUP(struct regex *, regex_free)
/* Whether the text contains a match. Gives up after steps_max steps of the matcher; *ret_steps: how
 * many it took. */
enum regex_verdict regex_search(const struct regex *r, struct bytes text, uint64_t steps_max,
                                uint64_t *ret_steps);

#endif
