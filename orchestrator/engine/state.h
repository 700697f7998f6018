/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's inside: the state of a run as it lies in memory, and the fold, that is one
 * application of an event to it. A run holds bytes only; JSON is parsed when an expression asks for
 * it and forgotten at the end of the application, so that a waiting run costs little more than its
 * payloads.
 *
 * Where an event comes in: path_find finds the step and moves the fold to its instance; what it
 * does goes through step_move, step_complete, step_fail; then scope_mark, so that the pass
 * (run_advance) looks there. A step that waits is WAITING; if time is to move it, at_ms says when
 * (set behind step_move, then timed_update), and the pass after a timer event sees it (step_time).
 * Whatever is kept of a step beyond its results is a number of its entry (fields.c), or its
 * payload; load.c says which entries are possible. */
#ifndef TUTTI_ENGINE_STATE_H
#define TUTTI_ENGINE_STATE_H

#include "common/base/limits.h"
#include "orchestrator/engine/arena.h"
#include "orchestrator/engine/engine.h"

#define CALL_TIMEOUT_MS \
    (600 * 1000) /* of a step without a timeout: what the backstop reckons with */
/* Steps, items and iterations that one event begins, about. What is left of a map or a loop then
 * waits for the next event, which time brings at once: so a body that waits for nobody neither
 * holds up other runs nor fills a commit. */
#define FOLD_WORK_MAX   500
#define SPARE_BYTES_MAX (16 * KIB) /* of a buffer that is kept for the next application */
#define PAGE_ITEMS      256        /* of a map that are stored in one field */
#define SEEDED          "seeded"   /* why a step of a fork has completed */
#define STEP_NUMBERS    11         /* in a step's entry of the skeleton; see fields.c */

/* Bits of step.flags. */
#define STEP_ASKING          1 /* WAITING for people; its payload says what they were asked */
#define STEP_RESULT_CHANGED  2 /* o:<path> is to be written (or deleted) */
#define STEP_PAYLOAD_CHANGED 4 /* q:<path> likewise */
#define STEP_RESULT_STORED   8 /* o:<path> is in the store */
#define STEP_PAYLOAD_STORED  16
#define STEP_ESCALATED       32  /* ASKING, or answered, because it had failed (on_error) */
#define STEP_HELD            64  /* map, loop: it has ended, and keeps its body (step_holds) */
#define STEP_DECIDED         128 /* SKIPPED by its `if` or by people, not because all else ended */

/* A step that left PENDING. Everything behind result_len means something only until it is terminal.
 */
struct step {
    uint8_t state;    /* enum step_state; assigned in step_move and when loaded, nowhere else */
    uint8_t attempt;  /* the current one, from 1; 0: never issued */
    uint8_t definite; /* failures so far that were a definite answer (idempotency key); kept where
                         it has FAILED or was CANCELLED, for it may be begun again */
    uint8_t flags;
    uint32_t result_len;
    char *result;    /* COMPLETED: the output (NULL: null), else the last error or NULL */
    int64_t counted; /* bit n - 1: the usage of attempt n is in the run's sum (in what repeats: it
                        was answered, maybe without any); of a map that has ended: items that
                        failed */
    char *payload;   /* of the task, where it cannot be made again; see steps.c. Of a map: its list,
                        likewise; of a loop: the output of the iteration before (repeat.c); while it
                        is ASKING: see people.c */
    uint32_t payload_len;
    uint32_t choice; /* conditional, router: 1 + the case that holds or was chosen; 0: none. map: 1:
                        it reduces */
    int64_t issued_off; /* ISSUED: the offset that caused it; WAITING for a slot: its ticket, from
                           1; map: items; loop: iterations that were begun */
    int64_t at_ms; /* ISSUED: since when; BACKOFF: until when; map that has ended: items completed.
                      WAITING: when time moves it, 0: it does not */
    union {
        struct body *body;     /* map, loop: what it repeats, while it is WAITING for that, and
                                  where it is HELD */
        struct queued *queued; /* task kinds: while it waits for a slot */
    };
    uint32_t timed;  /* 1 + its place in run.timed; 0: time does not move it */
    uint8_t handler; /* it has failed, and this runs: 1 + place in catches, behind them on_error's
                        fallback; 0: none */
    uint8_t base;    /* attempts before people had it tried or begun again */
};

/* An instance of a scope: the run itself, an item of a map, an iteration of a loop. */
struct scope {
    uint16_t id;         /* in definition.scopes */
    bool dirty;          /* the next pass must look at it; then all around it are dirty as well */
    uint32_t item;       /* its number */
    uint32_t changed_at; /* 1 + its place in aside.changed_scopes */
    struct body *body;   /* that it is an instance of; NULL: the run's */
    struct scope *previous, *next; /* live ones of the body, in order of their numbers */
    struct names *names;           /* what this fold has parsed of it */
    struct step *steps[];          /* by slot; NULL: PENDING. Behind them the path: "docs[17]/" */
};

enum item_state { ITEM_PENDING, ITEM_LIVE, ITEM_COMPLETED, ITEM_FAILED };
/* An item of a map. */
struct map_item {
    union {
        struct scope *live;
        char *output; /* COMPLETED (NULL: null); FAILED: its error */
    };
    uint32_t output_len;
    uint8_t state; /* enum item_state */
    bool changed;  /* o:<path>[i] is to be written */
    bool stored;   /* o:<path>[i] is in the store */
};

/* What a map or a loop that is WAITING repeats. */
struct body {
    struct scope *scope; /* that the map or loop stands in */
    uint32_t owner;      /* the step */
    uint32_t count;      /* items of a map */
    uint32_t begun, active, completed, failed;
    uint32_t changed_at;        /* 1 + its place in run.changed_bodies */
    struct scope *first, *last; /* live instances, in order */
    struct scope **dirty;       /* of them, in the order in which they became dirty */
    size_t dirty_count, dirty_cap;
    /* of a map */
    struct map_item *items;
    uint8_t *pages;    /* bits by page */
    char *list;        /* JSON; NULL once no item needs it */
    uint32_t *offsets; /* where each value of the list begins; and its end */
    uint32_t list_count;
    size_t output_bytes; /* of all items that have ended */
    uint32_t *changed;   /* items that are `changed` */
    size_t changed_count, changed_cap;
    struct body *next_ended; /* of run.ended */
};
#define PAGE_CHANGED 1 /* bits of body.pages */
#define PAGE_STORED  2

/* A step that waits for a slot, in the order of tickets. */
struct queued {
    struct queued *previous, *next;
    struct scope *scope;
    uint32_t step;
    int64_t ticket;
};

/* A step that time will move: an element of a binary heap. */
struct timed {
    int64_t due_ms;
    struct scope *scope;
    struct step *step;
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
#define RUN_SIGNALS        16
#define RUN_LATE           32
#define RUN_UNDO           64
#define RUN_CLOSED         128

struct transition {
    struct transition *next;
    uint32_t number, len;
    char text[]; /* record ms,offset,[moves] */
};

struct run {
    const struct definition *def;
    char id[RUN_ID_MAX];
    uint8_t state;          /* enum run_state; assigned in run_move and when loaded, nowhere else */
    uint8_t changed;        /* bits above */
    bool fallback : 1;      /* the run has failed, and its fallback block runs */
    bool sets_vars : 1;     /* the definition has a set step: vars may change */
    bool waits_signals : 1; /* it has a step that waits for one */
    bool more : 1;          /* the last fold left something to begin (FOLD_WORK_MAX) */
    uint8_t top;            /* the highest attempt of a step in an instance that is gone */
    uint8_t floor;          /* attempts that steps of a new instance have behind them */
    uint16_t text_len[TEXT_COUNT];
    uint32_t timed_count, unsaved_bytes, pending_fields; /* see below */
    uint32_t logic;
    uint32_t issued;      /* steps that are ISSUED */
    uint32_t begun;       /* steps that were begun so far, or since it was revived */
    uint32_t transitions; /* the number of the next one */
    uint32_t input_len, vars_len, result_len;
    char *texts; /* TEXT_COUNT texts one after the other */
    char *input, *vars;
    char *result; /* the output of a completed run, else its error or NULL */
    int64_t now_ms, started_ms;
    int64_t finished_ms; /* of a run that goes on: when it began to roll back; 0: it does not */
    int64_t finished_off;
    int64_t due_ms;
    struct usage usage;
    struct scope *root;
    struct timed *timed;
    struct transition *unsaved, **unsaved_end; /* since the last run_changes */
    struct aside *aside;                       /* NULL while nothing needed it: run_aside */
};

/* Whether a run as a whole undoes what it has done, and what it is then. */
enum undo_level { UNDO_NONE, UNDO_ERROR, UNDO_CANCEL };

/* What most runs do not have: a start key, steps that wait for a slot, and what repeats. */
struct aside {
    struct queued *queue, *queue_end; /* first come, first served */
    size_t repeated_bytes;            /* of all bodies and what is in them */
    char *signals;                    /* see signals.c; NULL: none came */
    uint32_t signals_len;
    uint32_t asked;               /* steps that are ASKING */
    char *parent;                 /* of a child run: see children.c; NULL: it is none */
    char forked_from[RUN_ID_MAX]; /* of a fork; "": it is none */
    char *seeds;                  /* of a fork: see seeds.c; NULL: it is none */
    uint32_t seeds_len;
    bool detached;  /* its parent does not wait for it */
    uint32_t depth; /* generations above it */
    enum start_policy policy;
    int64_t start_off; /* of one with a start key: where its start stands; 0: not known, or there */
    struct closed {    /* children that were told to end */
        int64_t off;
        char id[RUN_ID_MAX];
    } * closed;
    uint32_t closed_count, closed_cap;
    int64_t since_ms; /* when it was revived last, from where its time counts */
    uint32_t lives;   /* how often it was (revive.c) */
    uint32_t undoing; /* steps of type rollback that are WAITING */
    uint32_t undo_count, undo_cap;
    uint32_t *undo; /* completed steps that can be undone, in the order of completion */
    enum undo_level undo_level;
    uint32_t visited; /* instances that the last fold looked at */
    /* Since the last run_changes: */
    struct scope **changed_scopes; /* not the root */
    size_t changed_scope_count, changed_scope_cap;
    struct body **changed_bodies;
    size_t changed_body_count, changed_body_cap;
    struct body *ended; /* maps that have ended, whose last outputs are to be written */
    char **erased;      /* names of stored fields that are to be deleted */
    size_t erased_count, erased_cap;
    struct late *late; /* oldest first */
    size_t late_count;
};

/* Attempts that were not answered when their instance went. */
struct late {
    char *path;
    int64_t attempts; /* bits as of step.counted */
};

/* Why a pass ends at once. */
enum stop {
    STOP_NOT,
    STOP_RETURN, /* a return step: the run is completed */
    STOP_STEPS,  /* the run may begin no more steps */
    STOP_UNDO,   /* a step has failed, and the run rolls back */
};

/* One application. Steps are named by their index in the definition; which instance of a scope is
 * meant follows from `scope`, where the fold stands: the nearest one around it. */
struct fold {
    struct run *run;
    const struct definition *def;
    const struct fold_context *cx;
    struct effects *fx;
    struct scope *scope;
    int64_t now_ms;
    bool timer;    /* time may move steps */
    bool expires;  /* and give up tasks that are out */
    bool touched;  /* the state changed */
    uint32_t told; /* moves of the run that lifecycle was told of */
    bool yielded;  /* something is left to begin */
    uint32_t work; /* what was begun */
    enum stop stop;
    uint32_t visited; /* instances that passes looked at */
    uint32_t failed;  /* the step at which block_run ended with FLOW_FAILED */
    struct buf moves, path;
    struct buf returned; /* STOP_RETURN: the run's output; STOP_UNDO: the error */
    /* Evaluation. */
    uint32_t at;         /* the step that evaluates; NO_INDEX: the run */
    struct bytes output; /* what `output` stands for; data NULL: the name is not there */
    bool read_mutable;   /* something was read that may change while the task is out */
    json_t *signal;      /* what `signal` stands for while one is matched; borrowed */
    json_t *input_json, *vars_json, *run_error_json, *signals_json, *seeds_json;
    struct names *names;
    /* The task that is being made. */
    struct buf payload, secrets, idempotency, cache_key;
    struct buf text; /* for whoever needs one for a moment */
};

/* The largest payload that this fold lets in or makes. */
static inline size_t fold_payload_max(const struct fold *f)
{
    return f->cx->payload_max ? f->cx->payload_max : PAYLOAD_BYTES_MAX;
}

/* --- state.c --- */
struct fold fold_begin(struct run *run, const struct fold_context *cx, struct effects *fx);
/* Writes the transition, the run's time and its due; releases the fold's memory. */
void fold_end(struct fold *f);
void fold_release(struct fold *f);
/* Whether a task waits for a slot. */
bool step_queued(const struct step_def *d, const struct step *s);
struct step *step_make(struct fold *f, uint32_t index);
/* What a step, or a payload of it, costs in memory. */
static inline size_t payload_bytes(const char *payload, size_t len)
{
    return payload ? len + 16 : 0;
}
static inline size_t step_bytes(const struct step *s)
{
    return sizeof *s + 16 + payload_bytes(s->result, s->result_len) +
           payload_bytes(s->payload, s->payload_len);
}
/* The one door for a step's state. why: an error type's name, or NULL. */
struct step *step_move(struct fold *f, uint32_t index, enum step_state to, const char *why);
/* Another door, for a step that has ended or that never began: it is PENDING, or a container
 * WAITING, once more (revive.c). Its attempts stay behind it. */
struct step *step_reopen(struct fold *f, uint32_t index, enum step_state to);
/* What is stored of a step has changed. */
void step_touch(struct fold *f, uint32_t index);
/* The same for a run's. With a why the run's result is the reason already: it is told with it. */
void run_move(struct fold *f, enum run_state to, const char *why);
/* A run that has ended is RUNNING once more. */
void run_reopen(struct fold *f);
/* Whether a map or loop that has ended keeps what it repeated, because it may be begun again where
 * it stood. */
static inline bool step_holds(const struct step_def *d, const struct step *s)
{
    bool failed = s->state == STEP_STATE_FAILED && d->on_error != ON_ERROR_CONTINUE;
    return d->body_scope != NO_INDEX && s->body && (failed || s->state == STEP_STATE_CANCELLED);
}
/* Copies value; data NULL clears. */
void step_set_result(struct fold *f, uint32_t index, struct bytes value);
void step_set_payload(struct fold *f, uint32_t index, struct bytes value);
void run_set_vars(struct fold *f, struct bytes value);
void run_set_result(struct fold *f, struct bytes value);
void run_set_signals(struct fold *f, struct bytes value);
/* Whether the run goes on by itself: neither over nor paused. */
static inline bool run_going(const struct run *run)
{
    return run->state == RUN_RUNNING || run->state == RUN_WAITING_APPROVAL ||
           run->state == RUN_ROLLING_BACK;
}
struct aside *run_aside(struct run *run);
/* How often the run was revived. */
static inline uint32_t run_lives(const struct run *run)
{
    return run->aside ? run->aside->lives : 0;
}
struct bytes run_text(const struct run *run, enum run_text which);
/* The output of a step as JSON: "null" where it has none. */
struct bytes step_output(const struct fold *f, uint32_t index);
/* Its error as JSON, or "null". */
struct bytes step_error(const struct fold *f, uint32_t index);
/* The output of a block: that of its last step. */
struct bytes block_output(const struct fold *f, uint32_t block);
int64_t run_deadline_ms(const struct run *run);
/* Of the task that is out: when a worker must have begun, and when it is given up. */
int64_t step_deadline_ms(const struct run *run, const struct step_def *d, const struct step *s);
int64_t step_backstop_ms(const struct run *run, const struct step_def *d, const struct step *s);
int64_t run_next_due_ms(const struct run *run);
/* Allocates an empty run of a definition; texts are views to copy. */
struct run *run_new(const struct definition *def, struct bytes id,
                    const struct bytes texts[TEXT_COUNT]);
char *bytes_dup(struct bytes value);

/* --- fields.c --- */
/* Both views live as long as f's arena, or longer. */
void fields_append(struct fields *f, struct bytes name, struct bytes value);

/* --- scope.c: instances of scopes --- */

/* The instance around; NULL: it is the run's. */
static inline struct scope *scope_parent(const struct scope *scope)
{
    return scope->body ? scope->body->scope : NULL;
}
/* What stands before the names of its steps; "" for the run's own. */
static inline const char *scope_path(const struct run *run, const struct scope *scope)
{
    return (const char *)&scope->steps[run->def->scopes[scope->id].count];
}
/* The instance that holds a step, seen from where the fold stands; NULL: it is in none around. */
static inline struct scope *step_scope(const struct fold *f, uint32_t index)
{
    struct scope *s = f->scope;
    while (s && s->id != f->def->steps[index].scope) s = scope_parent(s);
    return s;
}
static inline struct step *step_get(const struct fold *f, uint32_t index)
{
    const struct scope *s = step_scope(f, index);
    return s ? s->steps[f->def->steps[index].slot] : NULL;
}
static inline enum step_state step_at(const struct fold *f, uint32_t index)
{
    const struct step *s = step_get(f, index);
    return s ? (enum step_state)s->state : STEP_STATE_PENDING;
}
/* The step's path in the run; lives until the next call. */
struct bytes step_path_within(struct fold *f, uint32_t index);
static inline struct bytes step_path(struct fold *f, uint32_t index)
{
    return f->scope->body ? step_path_within(f, index) : bytes_of(f->def->steps[index].path);
}
/* The instance itself. body NULL: the root. Not in the run's lists. */
struct scope *scope_new(struct run *run, struct body *body, uint32_t item);
/* Releases an instance and what is in it, with no word to anybody. */
void scope_free(struct run *run, struct scope *scope);
/* The next pass looks at it. */
void scope_mark(struct scope *scope);
/* Something stored of it has changed: its steps' entries stand in a page or in the skeleton. */
void scope_changed(struct run *run, struct scope *scope);
/* Takes out of the store what it has there, and releases it. What was open in it was ended. */
void scope_erase(struct run *run, struct scope *scope);
/* Finds a step by its path, and moves the fold to its instance. NULL: there is none; *ret_gone is
 * then the step whose instance is gone, or NULL where the path never stood for one. */
const struct step_def *path_find(struct fold *f, struct bytes path,
                                 const struct step_def **ret_gone);
/* Calls fn for every live instance, the root first, in order; the fold stands there meanwhile. */
void scopes_each(struct fold *f, void (*fn)(struct fold *f, void *user), void *user);

struct body *body_new(struct run *run, struct scope *scope, uint32_t owner);
void body_free(struct run *run, struct body *body);
/* A new instance at the end of the live ones. */
struct scope *body_begin(struct run *run, struct body *body, uint32_t item);
void body_page_changed(struct run *run, struct body *body, uint32_t item);
/* Of a map: room for so many items. */
void body_set_items(struct run *run, struct body *body, uint32_t count);
/* Takes the list over: its JSON, and where each of its `count` values begins. */
void body_set_list(struct run *run, struct body *body, char *list, uint32_t *offsets,
                   uint32_t count);
void body_drop_list(struct run *run, struct body *body);
/* An item that has ended, out of the store; output data NULL: null. */
void item_load(struct run *run, struct body *body, uint32_t item, enum item_state state,
               struct bytes output);
/* The item has ended; its instance is released. output is copied. */
void item_end(struct run *run, struct body *body, uint32_t item, enum item_state state,
              struct bytes output);
/* A field's name: prefix, path of the instance, name. */
void field_name(struct buf *ret, const char *prefix, const struct run *run,
                const struct scope *scope, const char *name);
void item_field_name(struct buf *ret, const char *prefix, const struct run *run,
                     const struct body *body, uint32_t item);
void page_field_name(struct buf *ret, const struct run *run, const struct body *body,
                     uint32_t page);
void run_erase_field(struct run *run, const struct buf *name);

/* --- waits.c: what waits for a time, or for a slot --- */

/* Corrects the place of a step among those that time moves, after its state or time changed. */
void timed_update(struct run *run, struct scope *scope, uint32_t index, struct step *s);
void timed_remove(struct run *run, struct step *s);
/* Marks the instances of all that is due. */
void timed_mark_due(struct run *run, int64_t now_ms);
bool queue_full(const struct run *run); /* whether a step has to wait for a slot */
void queue_add(struct fold *f, uint32_t index);
/* At the end of the queue: s has its ticket. */
void queue_append(struct run *run, struct scope *scope, uint32_t index, struct step *s);
void queue_remove(struct run *run, struct step *s);
/* Issues what has waited longest while there are slots. */
void queue_serve(struct fold *f);

/* --- effects.c --- */
/* Which hash of marks the run's tasks are in. */
struct bytes marks_header(struct fold *f);
void effect_mark(struct fold *f, enum effect_kind kind, const char *task_id, int64_t until_ms);
void effect_result(struct fold *f);
/* The run has just moved from there; why: as of run_move. */
void effect_lifecycle(struct fold *f, enum run_state from, const char *why);

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
void failure_encode(struct fold *f, struct buf *ret, const struct failure *failure);
/* An error of the engine's own, from e's text. */
struct failure failure_of(enum error_type type, uint32_t step, const struct err *e);
/* The name of the type of an encoded error, copied. */
void failure_type(struct bytes error, char ret[32]);

/* --- late.c --- */

/* Bit of an attempt in step.counted; 0 for those whose usage is counted whenever it comes. */
static inline int64_t attempt_bit(uint32_t attempt)
{
    return attempt >= 1 && attempt <= 62 ? 1ll << (attempt - 1) : 0;
}
void late_add(struct run *run, const char *path, int64_t attempts);
/* Whether it is still to be answered; from now on it is not. */
bool late_take(struct run *run, struct bytes path, uint32_t attempt);
void late_encode(const struct run *run, struct buf *ret);
MUST_CHECK bool late_load(struct run *run, struct bytes text, struct err *e);
void late_free(struct run *run);

/* --- names.c --- */
struct template_env names_env(struct fold *f, uint32_t step);
void names_forget_result(struct scope *scope, uint32_t slot);
/* The instance goes. */
void names_forget_scope(struct scope *scope);
void names_done(struct fold *f);
/* Borrowed JSON of the fold's cache. */
MUST_CHECK bool names_vars(struct fold *f, json_t **ret, struct err *e);

/* --- steps.c --- */
/* Issues it, or lets it wait for a slot; served: it has waited and it is its turn. */
void step_issue(struct fold *f, uint32_t index, bool served);
/* Whether it has had all attempts that a path may have in a run: then it has failed. */
MUST_CHECK bool step_spent(struct fold *f, uint32_t index);
/* Fills the fold's payload, secrets and idempotency key: as stored, or made from the state. */
MUST_CHECK bool step_make_task(struct fold *f, uint32_t index, struct err *e);
/* Stores what step_make_task has filled, for it could not be made again. */
void step_save_task(struct fold *f, uint32_t index);
void run_add_usage(struct fold *f, const struct usage *u);
void step_complete(struct fold *f, uint32_t index, struct bytes output);
/* The step has failed for good: a handler of it begins, people are asked, or it is FAILED. error is
 * copied. */
void step_fail(struct fold *f, uint32_t index, struct bytes error);
/* The same where people have decided that it has failed. */
void step_give_up(struct fold *f, uint32_t index, struct bytes error);
/* The block of the handler that runs for a step; NO_INDEX: none does. */
uint32_t step_handler(const struct step_def *d, const struct step *s);
void step_fail_with(struct fold *f, uint32_t index, const struct failure *failure);
/* What was to be evaluated could not be, or is too large. */
void step_fail_evaluation(struct fold *f, uint32_t index, const struct err *e);
/* One attempt has failed: another one follows after a while, or step_fail. */
void step_attempt_failed(struct fold *f, uint32_t index, const struct failure *failure);
void step_timed_out(struct fold *f, uint32_t index);
/* Marks the task that is out as cancelled. */
void step_cancel_task(struct fold *f, uint32_t index);
void step_result(struct fold *f, const struct event *ev);
void step_reissue(struct fold *f, uint32_t index);

/* --- people.c: human_approval, and on_error: escalate --- */
void approval_start(struct fold *f, uint32_t index);
/* People are asked what to do about a step that has failed; its error is its result. */
void escalation_start(struct fold *f, uint32_t index);
/* Nobody has decided in time. */
void approval_timed_out(struct fold *f, uint32_t index);
void approval_apply(struct fold *f, const struct event *ev);

/* --- signals.c: wait, and the signals of a run --- */
void wait_start(struct fold *f, uint32_t index);
void wait_ended(struct fold *f, uint32_t index);
void signal_apply(struct fold *f, const struct event *ev);
/* What `signal` stands for: a new reference. false: the run waits for none. */
MUST_CHECK bool signal_value(struct fold *f, json_t **ret, struct err *e);

/* --- control.c: what people do to a run --- */
void run_cancel(struct fold *f, const struct event *ev);
void run_terminate(struct fold *f, const struct event *ev);
void run_pause(struct fold *f);
void step_skip(struct fold *f, const struct event *ev);
void run_change_vars(struct fold *f, const struct event *ev);

/* --- revive.c: a run that has ended goes on --- */
void run_retry(struct fold *f);
void run_rerun(struct fold *f, struct bytes path);

/* The steps around one, from the top level down to itself. */
struct chain {
    uint32_t steps[DEFINITION_DEPTH_MAX + 1];
    uint32_t count;
};
/* Of a step from which the run can be done again: the flow has come to it, and it stands in no
 * instance and no handler. ERR_NOT_FOUND, ERR_CONFLICT. */
MUST_CHECK bool chain_find(const struct fold *f, struct bytes path, struct chain *ret,
                           struct err *e);
/* Marks what comes after a step in its block: in a graph what needs it, through others too. */
void chain_mark_behind(const struct fold *f, const struct step_def *d, bool *behind);
/* Calls fn for the blocks that a step consists of, and for those that follow its errors. (The body
 * of a map or loop is none of them: it stands in instances.) */
void step_blocks_each(struct fold *f, const struct step_def *d, bool handlers,
                      void (*fn)(struct fold *f, uint32_t block));
/* Whether the run may begin at all, with its input. */
MUST_CHECK bool run_start_valid(const struct run *run, struct err *e);

/* --- seeds.c: what a fork takes over --- */
/* Splits the value of a fork's start event into the input, and variables and outputs, which the new
 * run takes. ERR_INVALID: it is damaged. */
MUST_CHECK bool seeds_start(struct run *run, struct bytes value, struct buf *ret_input,
                            struct err *e);
/* Whether the step has completed at once, with the output that its run was given for it. */
MUST_CHECK bool seed_step(struct fold *f, uint32_t index);
/* The same for an item of a map that is about to begin: its output is copied. */
MUST_CHECK bool seed_item(struct fold *f, const struct scope *scope, struct buf *ret_output);

/* --- children.c: workflow, and a run that is a child --- */
static inline uint32_t run_depth(const struct run *run)
{
    return run->aside ? run->aside->depth : 0;
}
void child_issue(struct fold *f, uint32_t index);
void child_reissue(struct fold *f, uint32_t index);
/* The step is given up while its child goes on: it is told to end. */
void child_close(struct fold *f, uint32_t index);
void child_timed_out(struct fold *f, uint32_t index);
void child_apply(struct fold *f, const struct event *ev);
/* Tells again whose offset is not below doubt_off. */
void closed_reissue(struct fold *f, int64_t doubt_off);
void closed_encode(const struct run *run, struct buf *ret);
MUST_CHECK bool closed_load(struct run *run, struct bytes text, struct err *e);
void run_set_parent(struct run *run, const struct event *ev);
MUST_CHECK bool parent_load(struct run *run, const json_t *head, struct err *e);
/* Nothing where the run is no child, or its parent does not wait for that. */
void parent_tell_start(struct fold *f);
void parent_tell_end(struct fold *f);

/* --- compensate.c --- */
/* The step has completed by its own work: a rollback undoes it. */
void undo_note(struct fold *f, uint32_t index);
/* It is to be done again: the completion before counts no more. */
void undo_forget(struct fold *f, uint32_t index);
bool undo_noted(const struct run *run, uint32_t index);
void undo_encode(const struct run *run, struct buf *ret);
MUST_CHECK bool undo_load(struct run *run, struct bytes text, struct err *e);
void rollback_start(struct fold *f, uint32_t index);
void rollback_continue(struct fold *f, uint32_t index);
/* Whether the run as a whole rolls back. */
static inline bool run_rolls(const struct run *run)
{
    return run->aside && run->aside->undo_level;
}
/* The run rolls back, and is over then; error: why. */
void run_roll_back(struct fold *f, enum undo_level level, struct bytes error);
void run_roll_on(struct fold *f);

/* --- router.c --- */
/* The model's answer: the steps of its choice begin. */
void router_chosen(struct fold *f, uint32_t index, struct bytes output);
/* The default is taken where the error is one of the answer; false: it is none, or there is none.
 */
MUST_CHECK bool router_default(struct fold *f, uint32_t index, struct bytes error);
void router_continue(struct fold *f, uint32_t index);

/* --- advance.c --- */

enum flow { FLOW_BUSY, FLOW_DONE, FLOW_FAILED };

/* Runs what can be run, until everything waits or the run has ended. */
void run_advance(struct fold *f);
/* Runs what can be run of a block. FLOW_BUSY also where the pass is to end (f->stop). */
enum flow block_run(struct fold *f, uint32_t block);
/* Runs the one block that a step consists of now, and ends the step with it. */
void block_follow(struct fold *f, uint32_t index, uint32_t block);
/* Ends what is not terminal in a block, and in what belongs to a step (its handlers only if
 * handlers_too). */
void block_sweep(struct fold *f, uint32_t block);
void step_sweep_children(struct fold *f, uint32_t index, bool handlers_too);
/* Who works on a step that is ISSUED is told to stop. */
void step_abandon(struct fold *f, uint32_t index);
/* Sets variables; ERR_LIMIT where they become too large. */
MUST_CHECK bool merge_vars(struct fold *f, json_t *more, struct err *e);
/* Ends a step that is not terminal, with what belongs to it. */
void step_sweep(struct fold *f, uint32_t index);
/* The step fails with what its expression says. */
void fail_expression(struct fold *f, uint32_t index, const struct err *e);
/* The time limit of what holds other steps begins. (Tasks and waits have theirs by other ways.) */
void limit_start(struct fold *f, uint32_t index);
bool condition_holds(struct fold *f, uint32_t index, const struct cel *condition, const char *what,
                     bool *ret, struct err *e);
/* Ends all that is open, but for compensations. */
void run_sweep(struct fold *f);
/* Ends the run. result is copied. */
void run_finish(struct fold *f, enum run_state state, struct bytes result);

/* --- repeat.c: map and loop --- */

void map_start(struct fold *f, uint32_t index);
void map_continue(struct fold *f, uint32_t index);
void loop_start(struct fold *f, uint32_t index);
void loop_continue(struct fold *f, uint32_t index);
/* Ends what a map or a loop repeats, and lets it go unless the step holds it. */
void repeat_drop(struct fold *f, uint32_t index);
/* Releases a body, with what of it is in the store. */
void body_drop(struct run *run, struct body *b);
/* Makes what a map or loop that holds its body needs to go on with it. false: its list cannot be
 * made again as it was. */
MUST_CHECK bool repeat_resume(struct fold *f, uint32_t index);
/* A map's list out of its stored form (data NULL: made again); it must be as long as it was. */
MUST_CHECK bool map_restore_list(struct fold *f, struct body *body, struct bytes stored,
                                 struct err *e);
/* The JSON of an item: a view of the list, or made in buf (of a batch). */
struct bytes item_bytes(const struct definition *def, const struct body *body, uint32_t item,
                        struct buf *buf);
/* The list of all items' outputs. */
void map_results(const struct body *body, struct buf *ret);

#endif
