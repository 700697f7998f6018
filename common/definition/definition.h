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
#include "common/proto/keys.h"
#include "common/proto/message.h"
#include "common/schema/schema.h"

/* X(enumerator, canonical name). Kinds whose work is done by a worker come first. */
#define STEP_KINDS(X)             \
    X(TASK, "task")               \
    X(LLM, "llm")                 \
    X(HTTP, "http")               \
    X(EXEC, "exec")               \
    X(WEBHOOK, "webhook")         \
    X(EMIT, "emit")               \
    X(ROUTER, "router")           \
    X(SET, "set")                 \
    X(TRANSFORM, "transform")     \
    X(PARALLEL, "parallel")       \
    X(MAP, "map")                 \
    X(CONDITIONAL, "conditional") \
    X(LOOP, "loop")               \
    X(APPROVAL, "human_approval") \
    X(WAIT, "wait")               \
    X(WORKFLOW, "workflow")       \
    X(ROLLBACK, "rollback")       \
    X(RETURN, "return")           \
    X(FAIL, "fail")

enum step_kind {
#define X(name, text) STEP_##name,
    STEP_KINDS(X)
#undef X
        STEP_KIND_COUNT
};
const char *step_kind_name(enum step_kind kind);
/* Kinds whose work is done by a worker (a router's first half: the model's choice). */
static inline bool step_kind_is_task(enum step_kind kind)
{
    return kind <= STEP_ROUTER;
}

enum backoff { BACKOFF_EXPONENTIAL, BACKOFF_FIXED };
struct retry_policy {
    uint32_t max_attempts; /* all of them, the first included */
    enum backoff backoff;
    int64_t initial_ms, max_ms;
    uint64_t on; /* bit 1 << enum error_type; 0: every retryable error */
};

enum on_error {
    ON_ERROR_FAIL,
    ON_ERROR_CONTINUE,
    ON_ERROR_FALLBACK,
    ON_ERROR_ESCALATE, /* people decide: `escalation` */
    ON_ERROR_ROLLBACK,
};
enum join_kind { JOIN_ALL, JOIN_ANY, JOIN_AT_LEAST };

#define NO_INDEX UINT32_MAX

/* A list of steps that run one after the other, or as a graph: the top level, a branch, a case, an
 * else, a fallback, a body ... */
struct block_def {
    const char *name;      /* a branch's name; NULL for others */
    bool graph;            /* a step has `needs`: each starts when what it needs has ended, not in
                              the order of the list */
    uint32_t parent_step;  /* the step it belongs to; NO_INDEX for the top level (block 0) */
    const uint32_t *steps; /* indexes into definition.steps */
    uint32_t count;
};

struct case_def {
    struct cel *when; /* NULL: else */
    uint32_t block;
};

/* What repeats: the run itself (scope 0), and the body of each map and loop. An instance of a scope
 * holds the states of its steps, by slot; its path is "<owner's path>[<index>]". */
struct scope_def {
    uint32_t owner;        /* the map or loop step; NO_INDEX: the run */
    uint32_t parent;       /* the scope that the owner stands in; NO_INDEX: the run */
    const uint32_t *steps; /* indexes of its steps in the order of slots: all blocks within, but not
                              what belongs to a scope within */
    uint32_t count;
};

/* Steps that take over after an error of one of some types. */
struct catch_def {
    uint64_t on; /* bit 1 << enum error_type */
    uint32_t block;
};

enum on_timeout { ON_TIMEOUT_REJECT, ON_TIMEOUT_APPROVE, ON_TIMEOUT_ESCALATE };
/* People who are asked: a human_approval step, or `on_error: {escalate: ...}`. */
struct approval_def {
    struct template *approvers;  /* a list of texts (names, or "role:NAME"); NULL: anybody */
    uint32_t quorum;             /* different people who must approve, from 1 */
    struct template *show;       /* what they look at; NULL: the output of the step before */
    const char *const *editable; /* members of `show` that they may change */
    uint32_t editable_count;
    int64_t timeout_ms; /* 0: none of its own */
    enum on_timeout on_timeout;
    struct template *escalate_to; /* ESCALATE: who is asked next, for timeout_ms once more */
};

/* A choice of a router, in the order of their names. */
struct choice_def {
    const char *name;
    uint32_t block;
};

struct step_def {
    const char *name; /* unique in the definition */
    const char *path; /* its part of the step path: its name (the scope's path stands before it) */
    enum step_kind kind;
    uint32_t index, block, position; /* position within its block */
    uint32_t scope, slot;            /* the scope that it belongs to, and its place there */
    struct cel *condition;           /* `if`; NULL: always */
    const uint32_t *needs; /* steps of the same block that must have ended well before it starts */
    uint32_t need_count;
    int64_t timeout_ms;       /* of one call; 0: the worker's default */
    int64_t queue_timeout_ms; /* 0: what is left of the run */
    struct retry_policy retry;
    enum on_error on_error;
    uint32_t fallback_block;         /* NO_INDEX where there is none */
    const struct catch_def *catches; /* asked before on_error, in their order */
    uint32_t catch_count;
    const struct approval_def *escalation; /* ON_ERROR_ESCALATE */
    uint32_t compensate_block;             /* what undoes it; NO_INDEX: nothing to undo */
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
    enum priority priority;
    int64_t cache_ttl_ms;       /* 0: not cached */
    struct template *cache_key; /* a text; NULL: made of kind, uses and input */
    /* set: an object; transform: the output; return: the run's output (NULL: the output of the step
     * before); fail: {"type", "message", "details"} */
    struct template *value;
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
    /* router; max_concurrent and fail_fast (of items) also belong to map */
    const struct choice_def *choices;
    uint32_t choice_count;
    uint32_t default_block; /* NO_INDEX: none */
    /* map and loop */
    uint32_t body_block, body_scope;
    const char *as;        /* the name of the item; "item" where it was not given */
    struct template *over; /* map: a list */
    uint32_t batch;        /* map: items a sub-flow gets (as a list); 0: one, as it is */
    uint32_t reduce_block; /* map: steps behind all items, which see `results`; NO_INDEX: none */
    struct cel *while_, *until; /* loop: before, or after an iteration; one of the two */
    uint32_t max_iterations;
    /* human_approval */
    const struct approval_def *approval;
    /* wait: one of wait_for (a duration, also as text or seconds), wait_until (a time), signal */
    struct template *wait_for, *wait_until;
    const char *signal;
    struct cel *match;       /* sees `signal`; NULL: any */
    int64_t wait_timeout_ms; /* signal: 0: none of its own */
    /* workflow; its input is `input` */
    const char *child, *child_version; /* version NULL: the latest */
    bool child_detached;               /* the step does not wait for the child's end */
    bool child_abandoned;              /* the child goes on when this run ends */
    /* rollback */
    uint32_t rollback_to; /* undo what was completed behind this step; NO_INDEX: everything */
};

/* Which of the firings that were missed are made up for. */
enum catch_up { CATCH_UP_NONE, CATCH_UP_LAST, CATCH_UP_ALL };
#define SCHEDULE_CATCH_UP_MAX 1000
struct schedule_def {
    const char
        *name; /* unique in the workflow; its number among the schedules if it was not given */
    const char *cron, *timezone; /* well-formed; whether the zone exists is the system's to say */
    enum catch_up catch_up;
    uint32_t catch_up_max; /* ALL: so many, the newest */
    bool paused;           /* deployed, but fires only by hand */
};

/* A topic or a schedule. */
struct trigger_def {
    const char *topic;                   /* NULL: a schedule */
    const struct schedule_def *schedule; /* NULL: a topic */
    struct cel *filter;     /* sees `event` (CloudEvents attributes and `data`), NULL: all */
    struct template *input; /* sees `event` (of a schedule: {schedule, time}); NULL: event.data, of
                               a schedule {schedule, scheduled_at} */
    struct template *key;   /* a string; NULL: none */
    enum start_policy policy; /* of a schedule: its overlap */
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
    const struct scope_def *scopes; /* [0]: the run */
    uint32_t scope_count;
    struct schema *input_schema; /* NULL: any */
    struct template *output;     /* NULL: the last step's output */
    int64_t timeout_ms;
    uint32_t max_parallel;
    int64_t budget_tokens, budget_micro_usd; /* 0: none */
    int64_t retention_ms;
    enum on_error on_error; /* of the run: not CONTINUE */
    uint32_t fallback_block;
    const struct approval_def *escalation;
    uint32_t max_steps;          /* that a run may begin, repetitions included */
    struct template *attributes; /* an object of scalars, from the input; NULL: none */
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
/* The same, and what is allowed but surely not meant (up to 50); there is none beside a fault. */
MUST_CHECK struct definition *definition_lint(struct bytes text, struct faults *ret_faults,
                                              struct faults *ret_warnings);
/* From canonical JSON as it came from the `definitions` topic; checks its hash if sha256 is not
 * NULL. */
MUST_CHECK struct definition *definition_load(struct bytes canonical, const char *sha256,
                                              struct err *e);
struct definition *definition_free(struct definition *d);
DEFINE_CLEANUP(struct definition *, definition_free)
/* The step before a step in definition order, whose output bare names and a task without `input`
 * see: its neighbour in the list (in a graph: what it needs, if that is one step), else the one
 * before the step that holds the list (for what follows an error and for compensation: that step
 * itself). NULL: there is none, also for the first step of the body of a map or loop and of what
 * reduces. */
const struct step_def *definition_before(const struct definition *d, uint32_t step);
/* The step of that name, or NULL. */
const struct step_def *definition_step(const struct definition *d, struct bytes name);

#endif
