/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine: a pure function from (definition, state of a run, event, time) to (new state,
 * effects). It calls nothing outside: no clock, no I/O, no randomness, no log, no global. The same
 * log always gives the same state and the same effects, byte for byte; recovery and the simulator
 * lean on that. */
#ifndef TUTTI_ENGINE_H
#define TUTTI_ENGINE_H

#include "common/base/buf.h"
#include "common/base/id.h"
#include "common/definition/definition.h"
#include "common/proto/message.h"

/* X(enumerator, wire text, terminal) */
#define RUN_STATES(X)                          \
    X(INITIALIZING, "initializing", 0)         \
    X(RUNNING, "running", 0)                   \
    X(PAUSED, "paused", 0)                     \
    X(WAITING_APPROVAL, "waiting_approval", 0) \
    X(COMPLETED, "completed", 1)               \
    X(FAILED, "failed", 1)                     \
    X(CANCELLED, "cancelled", 1)               \
    X(ROLLING_BACK, "rolling_back", 0)         \
    X(ROLLED_BACK, "rolled_back", 1)
#define STEP_STATES(X)           \
    X(PENDING, "pending", 0)     \
    X(ISSUED, "issued", 0)       \
    X(WAITING, "waiting", 0)     \
    X(BACKOFF, "backoff", 0)     \
    X(COMPLETED, "completed", 1) \
    X(FAILED, "failed", 1)       \
    X(SKIPPED, "skipped", 1)     \
    X(CANCELLED, "cancelled", 1)
#define X(name, text, terminal) RUN_##name,
enum run_state { RUN_STATES(X) RUN_STATE_COUNT };
#undef X
#define X(name, text, terminal) STEP_STATE_##name,
enum step_state { STEP_STATES(X) STEP_STATE_COUNT };
#undef X
const char *run_state_name(enum run_state s);
const char *step_state_name(enum step_state s);
bool run_state_terminal(enum run_state s);
bool step_state_terminal(enum step_state s);

struct run; /* the state of a run */

/* Where and when the fold stands. */
struct fold_context {
    int64_t record_ms; /* the record's timestamp; the run's now = max(its last now, this) */
    int64_t offset;    /* of the event in its partition: the issued_off of what it causes */
    const char *topic; /* `events` topic and partition: the reply-to of tasks */
    int32_t partition;
    const char *gen;    /* generation known to the fold (of the owner claim): goes into tasks */
    size_t payload_max; /* likewise: the largest payload; 0: what fits a message */
    bool lifecycle;     /* every change of the run's state is to be told. It changes nothing else */
};

enum effect_kind {
    EFFECT_TASK,      /* a task to produce: header, value, queue */
    EFFECT_RESULT,    /* the run's CloudEvent for `results` */
    EFFECT_LIFECYCLE, /* a CloudEvent for `lifecycle`: the run is in another state now */
    EFFECT_START,     /* the start of a child run: header, value. The shell resolves the workflow
                         (header  version: absent for the latest) and fills in its definition; if there
                         is none,  it tells the parent so with child.finished */
    EFFECT_EVENT,     /* an event for another run: header, value */
    EFFECT_CANCEL, /* mark task_id as cancelled in tk (settled otherwise, timed out, run ended) in
                      the commit */
    EFFECT_SETTLE, /* mark task_id as done in tk in the commit: only where the worker's own mark may
                      be missing (a result of another generation or of an attempt that is not
                      current) */
};
struct effect {
    enum effect_kind kind;
    char task_id[TASK_ID_MAX];         /* TASK, START, CANCEL, SETTLE */
    const char *queue;                 /* TASK: of the definition */
    enum priority priority;            /* TASK */
    struct bytes header[HEADER_COUNT]; /* TASK, START, EVENT: our headers; CANCEL, SETTLE: "marks"
                                          alone */
    const struct ce_header {
        const char *name;
        struct bytes value;
    } * ce; /* RESULT, LIFECYCLE: CloudEvents headers in binary mode */
    size_t ce_count;
    struct bytes key, value;
    struct bytes payload; /* RESULT: the run's output or error, within value */
    int64_t until_ms;     /* CANCEL, SETTLE: wall time after which the mark is useless (the task's
                             deadline + lease) */
};
/* Effects of one or more applications; memory of all bytes within is the list's own, until
 * effects_reset. */
struct effects {
    struct effect *list;
    size_t count, cap;
    void *arena;
    struct buf spare[3]; /* the engine's, for the next application */
};
void effects_reset(struct effects *fx); /* keeps memory for the next batch */
struct effect *effect_new(struct effects *fx, enum effect_kind kind);
void effects_done(struct effects *fx);

enum engine_verdict {
    ENGINE_APPLIED, /* the state changed */
    ENGINE_IGNORED, /* stale, doubled, or for a run that does not exist: nothing changed */
    ENGINE_DELETED, /* run.expired: the run is to be deleted (run_key says whether its start key
                       goes too) */
};

/* A run at its start event: EVENT_RUN_START on a run that does not exist. Applies the start (input
 * checked against the schema: a bad input makes a run that has failed with bad_request). Never
 * NULL. */
struct run *engine_start(const struct definition *def, const struct event *ev,
                         const struct fold_context *cx, struct effects *fx);
/* The same, but it only begins with its run.begin: until then it is INITIALIZING, can be cancelled,
 * and its timeout does not run. A bad input fails at once. */
struct run *engine_start_waiting(const struct definition *def, const struct event *ev,
                                 const struct fold_context *cx, struct effects *fx);
/* The same, but it has failed with bad_request and this text. */
struct run *engine_start_refused(const struct definition *def, const struct event *ev,
                                 const char *why, const struct fold_context *cx,
                                 struct effects *fx);
/* Any later event. A run that has ended takes a run.retry or run.rerun, if it can go on, and is
 * live once more; a run.expired deletes it only if it is of the end that the run has (due_ms). A
 * timer.fired before run_due_ms is ENGINE_IGNORED (to be armed again). Effects are to be done
 * whatever the verdict: a late result of a run that has ended changes nothing, but may have to be
 * marked as settled. */
enum engine_verdict engine_apply(struct run *run, const struct event *ev,
                                 const struct fold_context *cx, struct effects *fx);
/* An incident: the run is PAUSED until a run.resume, with why as its error meanwhile. What comes
 * for it is kept (a result settles its step), but nothing is begun; its timeout and a cancel still
 * end it. Tasks that are out are not emitted again until then, because what paused it may have been
 * their result. A run that has ended or is paused already stays as it is. */
void engine_pause(struct run *run, const char *why, const struct fold_context *cx,
                  struct effects *fx);
/* Emits again what is issued and without a result (and the CloudEvent of a finished run) where
 * issued_off >= doubt_off: same ids, attempts and payload bytes as the first time, with cx->gen as
 * generation. doubt_off 0: everything pending. */
void engine_reissue(const struct run *run, int64_t doubt_off, const struct fold_context *cx,
                    struct effects *fx);

/* Whether a run.retry (path empty), or a run.rerun from that step, would have the run go on; e says
 * to people why not. ERR_CONFLICT, ERR_NOT_FOUND, ERR_INVALID. */
MUST_CHECK bool engine_may_revive(const struct run *run, struct bytes path, struct err *e);
/* What a fork of the run begins with: {"input", "vars", "outputs": {path: value}}, where outputs
 * has all that has completed before the step `at` (empty: all that has completed). Of a loop that
 * has not nothing is taken over. A new reference. NULL: ERR_CONFLICT, ERR_NOT_FOUND. */
MUST_CHECK json_t *engine_fork(const struct run *run, struct bytes at, struct err *e);

struct run *run_free(struct run *run);
DEFINE_CLEANUP(struct run *, run_free)
const char *run_id(const struct run *run);
enum run_state run_state_of(const struct run *run);
const char *run_definition(const struct run *run); /* sha256 */
struct bytes run_key(const struct run *run);       /* start key, data NULL: none */
enum start_policy run_policy(const struct run *run);
/* Where its start stands in the log; 0: there, or not known, for only runs with a start key
 * remember it. */
int64_t run_start_off(const struct run *run);
/* The earliest moment at which time alone changes the run: backoff, backstops, run timeout; for a
 * finished run when it expires. */
int64_t run_due_ms(const struct run *run);
size_t run_memory(const struct run *run); /* bytes it holds, for the cache's account */
/* Instances of scopes that the last application looked at: what an event costs. */
uint32_t run_visited(const struct run *run);

/* --- the stored form: a hash of fields ---
 *
 *   h         head: written once at start (definition, workflow, version, key, logic, actor, times)
 *
 *   i         the input
 *
 *   s         skeleton: statuses, attempts, offsets, due times, usage; rewritten by every change
 *             (fields.c has its form); it does not grow with the items of a map
 *
 *   v         vars
 *
 *   g         signals: see signals.c
 *
 *   u         what can be undone: see compensate.c
 *
 *   c         children that were told to end: see children.c
 *
 *   k         of a fork: outputs that it was given: see seeds.c
 *
 *   o:<path>  output of a step, or its error object; path "": of the run; "docs[17]": of an item
 *             of a map, there until the run goes
 *
 *   q:<path>  what an issued task is made of, where it could not be made again from the state (it
 *             read something mutable); the list of a map, likewise; what the iteration before gave;
 *             both also where the map or loop failed
 *
 *   l         attempts that were not answered when their item or iteration went (late.c)
 *
 *   m:<path>:<n>  page n of a map that goes on, or failed: 256 items each, which have ended, and
 *             the steps of those that are live, or were
 *
 *   b         the shell's: what a finished run counts, where its claim checks are not read to count
 *             it
 *
 *   t:<n>     transition n, from 0: [record ms,offset,[[path,"state",attempt,"error type"],...]];
 *             path "" is the run itself; the error type is there only where one was the reason, or
 *             "seeded" where a fork has taken the step's output over. Those that were written
 *             together are one field, named after the first: the three values of each, one after
 *             the other, and there is no t:<n + 1>
 */
struct field {
    struct bytes name, value; /* value.data NULL: delete the field */
};
struct fields {
    struct field *list;
    size_t count, cap;
    void *arena;
    struct buf spare; /* where values are encoded */
};
void fields_reset(struct fields *f);
void fields_done(struct fields *f);
/* Appends the fields that changed since the last call (all of a new run), and forgets the changes.
 * Views live until fields_reset. */
void run_changes(struct run *run, struct fields *ret);
/* Changes that run_changes would return at least: 0 means none. */
bool run_changed(const struct run *run);
/* How many fields run_changes would return at most. */
size_t run_pending_fields(const struct run *run);
/* A run from its stored fields (t: fields are not needed). def: of its head's definition
 * (fields_definition). NULL with ERR_INVALID if head or skeleton are damaged,
 * or a field belongs to no step; payloads are taken as they are. */
MUST_CHECK struct run *run_load(const struct definition *def, const char *id,
                                const struct field *fields, size_t count, struct err *e);
/* The same for a look at the run as a whole (its state, times, memory): payloads may be missing or
 * stand for something else, and no event can be applied but those that evaluate nothing
 * (run.terminate, run.expired, an operator's pause, a timer while it is paused). */
MUST_CHECK struct run *run_load_outline(const struct definition *def, const char *id,
                                        const struct field *fields, size_t count, struct err *e);
/* For a run that is too large to be read at once: the names (no values) of the fields that run_load
 * needs, as far as those that are given tell; these are named as well. Asked again with what was
 * read, until it names nothing new. */
void run_needs(const struct definition *def, const struct field *fields, size_t count,
               struct fields *ret);
/* Whether a stored skeleton (field s) is that of a run that has ended; false also for damage. */
bool skeleton_ended(struct bytes skeleton);
/* Whether the stored field of that name holds a payload: the input, vars, signals, seeds, outputs,
 * what tasks are made of. */
bool field_is_payload(struct bytes name);
/* The definition's sha256 in stored fields, copied. false: no head. */
MUST_CHECK bool fields_definition(const struct field *fields, size_t count, char ret[SHA256_HEX]);
/* What `tutti status --json` shows (schemas/run.schema.json), from stored fields; def may be NULL
 * (then steps go by path only). A new reference. */
json_t *run_describe(const struct definition *def, const char *id, const struct field *fields,
                     size_t count, struct err *e);

#endif
