/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the definition compiler share. A compilation goes on after a fault, so that one
 * look at a file shows all of them; what it builds from faulty parts is only good enough to go on,
 * and is thrown away.
 *
 *   workflow.c  the fields of the workflow      kinds*.c    the fields that a kind of step has
 *   triggers.c  what starts it                  handlers.c  on_error, catch, compensate
 *   steps.c     lists of steps, common fields   graph.c     lists with `needs`
 *   fields.c    reading values                  refs.c      what expressions may refer to
 *   faults.c    faults and their positions      order.c     which step can have run before which
 *   warnings.c  what is allowed and not meant
 */
#ifndef TUTTI_DEFINITION_COMPILE_H
#define TUTTI_DEFINITION_COMPILE_H

#include "common/base/buf.h"
#include "common/base/map.h"
#include "common/definition/definition.h"
#include "common/yaml/yaml.h"

#define FAULTS_MAX 50

/* Things to release together, in reverse order. */
struct memory {
    struct owned {
        void *object;
        void (*release)(void *object);
    } * list;
    size_t count, cap;
};
/* Returns object, which from now on is released with m. */
void *memory_own(struct memory *m, void *object, void (*release)(void *object));
void memory_done(struct memory *m);

/* Names that only some expressions know, beside input, vars, steps and run. */
enum root {
    ROOT_OUTPUT = 1,  /* in the `output` mapping of a step */
    ROOT_SECRETS = 2, /* in what a worker fills in */
    ROOT_EVENT = 4,   /* in a trigger, which knows nothing else */
    ROOT_ITEM = 8,    /* in `while` and `until`: they stand inside their loop's scope */
    ROOT_SIGNAL = 16, /* in `match` */
    ROOT_START = 32,  /* in `attributes`: only the input and the run */
};

/* An expression or template that was read; its names are checked when all steps are known. */
struct use {
    const struct cel *cel;     /* of the definition, or NULL */
    struct template *template; /* of the scratch memory, or NULL */
    const json_t *value;       /* as written: a string for cel */
    const char *pointer;       /* of value */
    size_t offset;             /* where the expression begins in the string (cel) */
    uint32_t step;             /* NO_INDEX: of the workflow */
    unsigned roots;
};

struct compiler {
    struct definition *d;
    struct memory *memory; /* of the definition */
    struct memory scratch; /* of the compilation */
    const json_t *root;
    const struct positions *positions; /* NULL: of canonical JSON */
    struct bytes text;
    struct faults *faults;
    struct faults *warnings; /* NULL: nobody asks for them */
    /* what grows; moved into d at the end */
    struct step_def *steps;
    const char **step_pointers;
    uint32_t step_count, step_cap;
    struct block_def *blocks;
    uint32_t block_count, block_cap;
    struct scope_def *scopes;
    uint32_t scope_count, scope_cap;
    struct map names; /* step name -> its index + 1 */
    struct use *uses;
    size_t use_count, use_cap;
    bool *reads; /* [from * step_count + to]: step `from` reads step `to`; while checking uses */
    const char **vars; /* names that `set` steps set */
    size_t var_count, var_cap;
    bool signals;      /* a step waits for one */
    unsigned depth;    /* of step lists */
    uint32_t now_step; /* the step that is being compiled, NO_INDEX outside of steps */
    uint32_t now_scope;
    /* defaults of the workflow */
    const char *model, *queue;
    int64_t timeout_ms;
    struct retry_policy retry;
};

/* A value of the file with its place. value NULL: there is none. */
struct node {
    struct compiler *c;
    const json_t *value;
    const char *pointer;
};

/* Room for one more element of an array that grows by doubling. */
#define GROW(list, count, cap)                                 \
    do {                                                       \
        if ((count) == (cap)) {                                \
            (cap) = (cap) ? 2 * (cap) : 16;                    \
            (list) = xrealloc((list), (cap) * sizeof *(list)); \
        }                                                      \
    } while (0)

/* --- faults.c --- */

/* A fault at a value; fault_key: at the key under which it stands; fault_in: at a byte offset of
 * the string that the value is. */
void fault(struct node n, const char *fmt, ...) PRINTF_LIKE(2, 3);
void fault_key(struct node n, const char *fmt, ...) PRINTF_LIKE(2, 3);
void fault_in(struct node n, size_t offset, const char *fmt, ...) PRINTF_LIKE(3, 4);
void fault_add(struct faults *faults, uint32_t line, uint32_t column, const char *pointer,
               char *text);
void faults_sort(struct faults *faults);
/* "; did you mean 'x'?" for the nearest of names, or "" if none is near. */
const char *did_you_mean(struct compiler *c, const char *name, const char *const *names,
                         size_t count);
/* A scratch string. */
const char *scratch_text(struct compiler *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Hands a reference over to the scratch memory, and returns it. */
const json_t *scratch_json(struct compiler *c, json_t *value);

/* --- fields.c --- */

struct node node_get(struct node object, const char *key);
struct node node_at(struct node array, size_t index);
/* By a JSON pointer relative to n. */
struct node node_descend(struct node n, const char *pointer);
/* A field that this version knows of and does not run, and what to do instead. */
struct refused_field {
    const char *name, *advice;
};
/* Faults for every member of the object that is not in names. refused may be NULL. */
void check_members(struct node object, const char *what, const char *const *names, size_t count,
                   const struct refused_field *refused, size_t refused_count);
/* Whether the value is an object (an array); a fault that says what was expected, if not. */
bool is_object(struct node n, const char *what);
bool is_array(struct node n, const char *what);
/* Each reads the member `key` of the object; without one, *ret stays. false: there was a fault. */
bool read_text(struct node object, const char *key, const char **ret);
bool read_u32(struct node object, const char *key, uint32_t min, uint32_t max, uint32_t *ret);
bool read_int64(struct node object, const char *key, int64_t min, int64_t max, int64_t *ret);
bool read_duration(struct node object, const char *key, int64_t *ret_ms);
/* Index of the text in words, or count with a fault. */
unsigned read_word(struct node n, const char *const *words, unsigned count);
bool read_queue(struct node object, const char **ret);
/* A name that a worker looks up, such as a handler; no template, since workers are chosen and
 * checked by what a definition says. */
void read_handler(struct node object, const char *key, const char **ret);
bool read_retry(struct node object, struct retry_policy *policy);
/* The name of an error type; a list of them as 1 << enum error_type. */
bool read_error_type(struct node n, enum error_type *ret);
void read_error_types(struct node n, uint64_t *ret);
/* Whether the text can name a Kafka topic. */
bool topic_name_good(struct node n);
/* A list, or a template of one; of the definition, or NULL where there was a fault. */
struct template *read_list(struct node n);
bool check_name(struct node n, const char *what);
/* A schema of the definition, or NULL. */
struct schema *read_schema(struct node n);
/* A CEL field, bare or as one ${...}; of the definition, or NULL where there was a fault. */
struct cel *read_cel(struct node n, unsigned roots);
/* The source of a CEL field without ${ and }, and the bytes before it; n's value becomes the text.
 */
size_t cel_source(struct node *n, struct bytes *ret);
/* An expression of the definition that was put together of checked parts; a fault at n (too long,
 * nested too deep) and NULL where that does not compile. */
struct cel *build_cel(struct node n, struct bytes source);
/* The text of an error of CEL without the line and column that it begins with. */
const char *without_position(const char *text);
/* Whether the value compiles as a template; its names are checked later. */
bool check_template(struct node n, unsigned roots);
/* check_template, and the template, of the definition; NULL where there was a fault. */
struct template *read_template(struct node n, unsigned roots);
/* A template of the definition from a value that was put together of checked parts. */
struct template *build_template(struct compiler *c, const json_t *value);

/* --- steps.c --- */

/* Compiles a list of steps to a block and returns its index. */
uint32_t compile_list(struct node list, const char *name, uint32_t parent, bool may_be_empty);
/* A scope that a step repeats; now_scope is to be set to it while its body is compiled. */
uint32_t scope_add(struct compiler *c, uint32_t owner);
/* Names of all steps, as scratch memory. */
const char *const *step_names(struct compiler *c);

/* --- handlers.c --- */

struct on_error_def {
    enum on_error kind;
    uint32_t block; /* FALLBACK; else NO_INDEX */
    const struct approval_def *escalation;
};
/* on_error, of a step or of the workflow (step NO_INDEX). */
struct on_error_def read_on_error(struct node object, uint32_t step);
/* on_error, catch and compensate of the step at n. */
void compile_handlers(struct node n, struct step_def *s);

/* --- graph.c --- */

/* Reads `needs` of the steps of a list that was compiled to the block. */
void compile_needs(struct node list, uint32_t block);
/* Whether a step of a graph needs the other one, by itself or through others. */
bool step_needs(const struct step_def *steps, uint32_t step, uint32_t other);

/* --- triggers.c --- */

void read_triggers(struct node root);

/* --- kinds_people.c --- */

/* `escalate`: approvers, or a mapping with them. */
const struct approval_def *read_escalation(struct node n);

/* --- kinds.c --- */

/* The fields that belong to s->kind. */
void compile_kind(struct node n, struct step_def *s);
/* Which kinds have the field as 1 << kind, 0 for an unknown one. */
unsigned field_kinds(const char *field);
const char *const *field_names(size_t *ret_count);

/* --- workflow.c --- */

void compile_workflow(struct node root);

/* --- order.c --- */

enum order {
    ORDER_BEFORE, /* x can have run when y starts */
    ORDER_SELF,
    ORDER_LATER,
    ORDER_INSIDE, /* x is inside y */
    ORDER_AROUND, /* y is inside x */
    ORDER_BESIDE, /* in another branch or case of the same step, or of a graph */
    ORDER_HIDDEN, /* in the body of a map or loop that y is outside of */
};
/* Where step x stands, seen from an expression of step y that is evaluated in y_scope (that of y,
 * or of its body). *ret_step: the step that holds both, for ORDER_BESIDE; the map or loop that
 * hides x, for ORDER_HIDDEN. */
enum order step_order(const struct definition *d, uint32_t y, uint32_t y_scope, uint32_t x,
                      uint32_t *ret_step);
/* Whether the step is in what follows an error: a fallback or catch, of a step or of the workflow.
 */
bool step_after_error(const struct definition *d, uint32_t step);
/* The map in whose `reduce` the step is, or NO_INDEX. */
uint32_t step_reduces(const struct definition *d, uint32_t step);

/* --- refs.c --- */

/* Checks what all expressions refer to; d's steps and blocks are in place. */
void check_uses(struct compiler *c);

/* --- warnings.c --- */

/* Of a definition without faults, before its inputs are finished. */
void check_warnings(struct compiler *c);

#endif
