/* SPDX-License-Identifier: Apache-2.0
 *
 * A workflow definition: YAML or JSON in, a compiled and immutable structure out. Everything that
 * can be known to be wrong before a run is found here, each fault with line and column. */
#ifndef TUTTI_DEFINITION_H
#define TUTTI_DEFINITION_H

#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/base/json.h"
#include "common/cel/cel.h"
#include "common/cel/template.h"
#include "common/proto/message.h"
#include "common/schema/schema.h"

/* X(enumerator, canonical name) */
#define STEP_KINDS(X)       \
    X(TASK, "task")         \
    X(LLM, "llm")           \
    X(HTTP, "http")         \
    X(EXEC, "exec")         \
    X(SET, "set")           \
    X(PARALLEL, "parallel") \
    X(CONDITIONAL, "conditional")

enum step_kind {
#define X(name, text) STEP_##name,
    STEP_KINDS(X)
#undef X
        STEP_KIND_COUNT
};
const char *step_kind_name(enum step_kind kind);
/* Kinds whose work is done by a worker. */
static inline bool step_kind_is_task(enum step_kind kind)
{
    return kind <= STEP_EXEC;
}

enum backoff { BACKOFF_EXPONENTIAL, BACKOFF_FIXED };
struct retry_policy {
    uint32_t max_attempts; /* all of them, the first included */
    enum backoff backoff;
    int64_t initial_ms, max_ms;
    uint64_t on; /* bit 1 << enum error_type; 0: every retryable error */
};

enum on_error { ON_ERROR_FAIL, ON_ERROR_CONTINUE, ON_ERROR_FALLBACK };
enum join_kind { JOIN_ALL, JOIN_ANY, JOIN_AT_LEAST };

#define NO_INDEX UINT32_MAX

/* A list of steps that run one after the other: the top level, a branch, a case, an else, a
 * fallback. */
struct block_def {
    const char *name;      /* a branch's name; NULL for others */
    uint32_t parent_step;  /* the step it belongs to; NO_INDEX for the top level (block 0) */
    const uint32_t *steps; /* indexes into definition.steps */
    uint32_t count;
};

struct case_def {
    struct cel *when; /* NULL: else */
    uint32_t block;
};

struct step_def {
    const char *name; /* unique in the definition */
    const char *path; /* static part of the step path: its name, as long as nothing repeats it */
    enum step_kind kind;
    uint32_t index, block, position; /* position within its block */
    struct cel *condition;           /* `if`; NULL: always */
    int64_t timeout_ms;              /* of one call; 0: the worker's default */
    int64_t queue_timeout_ms;        /* 0: what is left of the run */
    struct retry_policy retry;
    enum on_error on_error;
    uint32_t fallback_block; /* NO_INDEX where there is none */
    struct template *output; /* mapping of the result (sees `output`); NULL: as it is */
    /* task kinds */
    const char *queue;
    const char *uses; /* task: the handler; llm: the model; exec: the command; else "" */
    /* The task's value, an object except for task. llm: {"model", "messages": [{"role",
     * "content"}], "output_schema", "temperature", "max_tokens", "stream"}; http: {"method", "url",
     * "headers", "query", "body"}; exec: {"command", "args", "stdin"}. What is not given is absent.
     */
    struct template *input;
    struct template *idempotency_key; /* NULL: ours */
    struct schema *output_schema;     /* llm and task; NULL: none */
    /* set */
    struct template *vars; /* an object */
    /* parallel */
    const uint32_t *branches; /* blocks, in the order of their names */
    uint32_t branch_count;
    uint32_t max_concurrent; /* 0: no limit of its own */
    enum join_kind join;
    uint32_t join_count; /* branches that must succeed: all, 1 or n */
    bool fail_fast;
    /* conditional: the first that holds */
    const struct case_def *cases;
    uint32_t case_count;
};

struct trigger_def {
    const char *topic;
    struct cel *filter;     /* sees `event` (CloudEvents attributes and `data`), NULL: all */
    struct template *input; /* sees `event`; NULL: event.data */
    struct template *key;   /* a string; NULL: none */
};

struct definition {
    const char *name, *version;
    char sha256[SHA256_HEX]; /* of the canonical JSON */
    const char *canonical;   /* compact JSON with sorted keys */
    size_t canonical_len;
    const char *description;
    const struct step_def *steps;
    uint32_t step_count;
    const struct block_def *blocks; /* [0]: the top level */
    uint32_t block_count;
    struct schema *input_schema; /* NULL: any */
    struct template *output;     /* NULL: the last step's output */
    int64_t timeout_ms;
    uint32_t max_parallel;
    int64_t budget_tokens, budget_micro_usd; /* 0: none */
    int64_t retention_ms;
    enum on_error on_error; /* of the run: FAIL or FALLBACK */
    uint32_t fallback_block;
    const struct trigger_def *triggers;
    uint32_t trigger_count;
    void *memory; /* everything above lives here */
};

/* A compiled definition is immutable, but it belongs to one thread at a time: what evaluates its
 * expressions may count references to values within. Threads load a copy each. */

/* One fault of a file. */
struct fault {
    uint32_t line, column; /* from 1; 0: unknown */
    char *pointer;         /* JSON pointer of the value at fault, owned */
    char *text;            /* what is wrong, and what to do; owned */
};
struct faults {
    struct fault *list; /* owned; in order of line */
    size_t count;
};
void faults_done(struct faults *f);

/* Parses text (YAML 1.2 core, or JSON) and compiles it. NULL where there are faults (up to 50 are
 * collected). */
MUST_CHECK struct definition *definition_parse(struct bytes text, struct faults *ret_faults);
/* From canonical JSON as it came from the `definitions` topic; checks its hash if sha256 is not
 * NULL. */
MUST_CHECK struct definition *definition_load(struct bytes canonical, const char *sha256,
                                              struct err *e);
struct definition *definition_free(struct definition *d);
DEFINE_CLEANUP(struct definition *, definition_free)
/* The step before a step in definition order, whose output bare names and a task without `input`
 * see: its neighbour in the list, else the one before the step that holds the list (for a fallback:
 * that step itself). NULL: there is none. */
const struct step_def *definition_before(const struct definition *d, uint32_t step);
/* The step of that name, or NULL. */
const struct step_def *definition_step(const struct definition *d, struct bytes name);

#endif
