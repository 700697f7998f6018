/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's inside: the state of a run as it lies in memory, and the fold, that is one
 * application of an event to it. A run holds bytes only; JSON is parsed when an expression asks for
 * it and forgotten at the end of the application, so that a waiting run costs little more than its
 * payloads. */
#ifndef TUTTI_ENGINE_STATE_H
#define TUTTI_ENGINE_STATE_H

#include "orchestrator/engine/arena.h"
#include "orchestrator/engine/engine.h"

#define CALL_TIMEOUT_MS \
    (600 * 1000) /* of a step without a timeout: what the backstop reckons with */

/* Bits of step.flags. */
#define STEP_FALLBACK        1 /* it has failed, and its fallback block runs */
#define STEP_RESULT_CHANGED  2 /* o:<path> is to be written (or deleted) */
#define STEP_PAYLOAD_CHANGED 4 /* q:<path> likewise */

/* A step that left PENDING. Everything behind result_len means something only until it is terminal.
 */
struct step {
    uint8_t state;    /* enum step_state; assigned in step_move and when loaded, nowhere else */
    uint8_t attempt;  /* the current one, from 1; 0: never issued */
    uint8_t definite; /* failures so far that were a definite answer (idempotency key) */
    uint8_t flags;
    uint32_t result_len;
    char *result;    /* COMPLETED: the output (NULL: null), else the last error or NULL */
    int64_t counted; /* bit n - 1: the usage of attempt n is in the run's sum */
    char *payload;   /* of the task, where it cannot be made again; see steps.c */
    uint32_t payload_len;
    uint32_t choice;    /* conditional: 1 + the case that holds; 0: none chosen */
    int64_t issued_off; /* ISSUED: the offset that caused it */
    int64_t at_ms;      /* ISSUED: since when; BACKOFF: until when */
};

/* Texts of the head that come from outside and are handed on. */
enum run_text { TEXT_KEY, TEXT_NAMESPACE, TEXT_ACTOR, TEXT_TRACEPARENT, TEXT_COUNT };
#define TEXT_BYTES_MAX 1024 /* the four fit the headers of a task */
#define TEXT_ABSENT    UINT16_MAX

/* Bits of run.changed. */
#define RUN_NEW            1 /* head and input */
#define RUN_SKELETON       2
#define RUN_VARS           4
#define RUN_RESULT_CHANGED 8

struct transition {
    struct transition *next;
    uint32_t number, len;
    char text[]; /* record ms,offset,[moves] */
};

struct run {
    const struct definition *def;
    char id[RUN_ID_MAX];
    uint8_t state;   /* enum run_state; assigned in run_move and when loaded, nowhere else */
    uint8_t changed; /* bits above */
    bool fallback;   /* the run has failed, and its fallback block runs */
    bool sets_vars;  /* the definition has a set step: vars may change */
    uint16_t text_len[TEXT_COUNT];
    uint32_t logic;
    uint32_t issued;      /* steps that are ISSUED */
    uint32_t transitions; /* the number of the next one */
    uint32_t input_len, vars_len, result_len;
    char *texts; /* TEXT_COUNT texts one after the other */
    char *input, *vars;
    char *result; /* the output of a completed run, else its error or NULL */
    int64_t now_ms, started_ms, finished_ms, finished_off;
    int64_t due_ms;
    struct usage usage;
    struct step **steps;                       /* by index; NULL: PENDING */
    struct transition *unsaved, **unsaved_end; /* since the last run_changes */
};

struct parsed; /* JSON by step, for the time of a fold */

/* One application. */
struct fold {
    struct run *run;
    const struct definition *def;
    const struct fold_context *cx;
    struct effects *fx;
    int64_t now_ms;
    bool timer;          /* the event is a timer: time may move steps */
    bool touched;        /* the state changed */
    bool freed, starved; /* in this pass a slot became free; a step found none */
    uint32_t failed;     /* the step at which block_run ended with FLOW_FAILED */
    struct buf moves;
    /* Evaluation. */
    uint32_t at;         /* the step that evaluates; NO_INDEX: the run */
    struct bytes output; /* what `output` stands for; data NULL: the name is not there */
    bool read_mutable;   /* something was read that may change while the task is out */
    json_t *input_json, *vars_json, *run_error_json, **result_json;
    /* The task that is being made. */
    struct buf payload, secrets, idempotency;
};

/* --- state.c --- */
struct fold fold_begin(struct run *run, const struct fold_context *cx, struct effects *fx);
/* Writes the transition, the run's time and its due; releases the fold's memory. */
void fold_end(struct fold *f);
enum step_state step_at(const struct run *run, uint32_t index);
static inline const struct step *step_get(const struct run *run, uint32_t index)
{
    return run->steps[index];
}
struct step *step_make(struct run *run, uint32_t index);
/* The one door for a step's state. why: an error type's name, or NULL. */
struct step *step_move(struct fold *f, uint32_t index, enum step_state to, const char *why);
void run_move(struct fold *f, enum run_state to, const char *why);
/* Copies value; data NULL clears. */
void step_set_result(struct fold *f, uint32_t index, struct bytes value);
void step_set_payload(struct fold *f, uint32_t index, struct bytes value);
void run_set_vars(struct fold *f, struct bytes value);
void run_set_result(struct fold *f, struct bytes value);
struct bytes run_text(const struct run *run, enum run_text which);
/* The output of a step as JSON: "null" where it has none. */
struct bytes step_output(const struct run *run, uint32_t index);
/* Its error as JSON, or "null". */
struct bytes step_error(const struct run *run, uint32_t index);
/* The output of a block: that of its last step. */
struct bytes block_output(const struct run *run, uint32_t block);
int64_t run_deadline_ms(const struct run *run);
/* Of the task that is out: when a worker must have begun, and when it is given up. */
int64_t step_deadline_ms(const struct run *run, uint32_t index);
int64_t step_backstop_ms(const struct run *run, uint32_t index);
int64_t run_next_due_ms(const struct run *run);
/* Allocates an empty run of a definition; texts are views to copy. */
struct run *run_new(const struct definition *def, struct bytes id,
                    const struct bytes texts[TEXT_COUNT]);
char *bytes_dup(struct bytes value);

/* --- effects.c --- */
struct effect *effect_new(struct effects *fx, enum effect_kind kind);
/* Which hash of marks the run's tasks are in. */
struct bytes marks_header(struct fold *f);
void effect_mark(struct fold *f, enum effect_kind kind, const char *task_id, int64_t until_ms);
void effect_result(struct fold *f);

/* --- failure.c: the error objects of runs and steps --- */
struct failure {
    enum error_type type;
    bool retryable;
    int64_t retry_after_ms;
    uint32_t step; /* NO_INDEX: of the run */
    uint32_t attempt;
    struct bytes message; /* any bytes: what is no UTF-8 is replaced */
    struct bytes details; /* JSON; empty: none */
};
void failure_encode(struct buf *ret, const struct definition *def, const struct failure *failure);
/* An error of the engine's own, from e's text. */
struct failure failure_of(enum error_type type, uint32_t step, const struct err *e);
/* The name of the type of an encoded error, copied. */
void failure_type(struct bytes error, char ret[32]);

/* --- names.c --- */
struct template_env names_env(struct fold *f, uint32_t step);
void names_forget_result(struct fold *f, uint32_t index);
void names_done(struct fold *f);
/* Borrowed JSON of the fold's cache. */
MUST_CHECK bool names_vars(struct fold *f, json_t **ret, struct err *e);

/* --- steps.c --- */
void step_issue(struct fold *f, uint32_t index);
void step_complete(struct fold *f, uint32_t index, struct bytes output);
/* The step has failed for good: its fallback begins, or it is FAILED. error is copied. */
void step_fail(struct fold *f, uint32_t index, struct bytes error);
void step_fail_with(struct fold *f, uint32_t index, const struct failure *failure);
/* One attempt has failed: another one follows after a while, or step_fail. */
void step_attempt_failed(struct fold *f, uint32_t index, const struct failure *failure);
void step_timed_out(struct fold *f, uint32_t index);
void step_result(struct fold *f, const struct event *ev);
void step_reissue(struct fold *f, uint32_t index);

/* --- advance.c --- */
/* Runs what can be run, until everything waits or the run has ended. */
void run_advance(struct fold *f);
/* Ends what is not terminal in a block, and in what belongs to a step (the fallback only if
 * fallback_too). */
void block_sweep(struct fold *f, uint32_t block);
void step_sweep_children(struct fold *f, uint32_t index, bool fallback_too);
/* Ends the run. result is copied. */
void run_finish(struct fold *f, enum run_state state, struct bytes result);

#endif
