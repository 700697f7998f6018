/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to the worker: the in-flight table and what stands around it. A call is one task in
 * memory; its state says which one list it is in and what it waits for.
 *
 *   FRESH -> ASKING -> RUNNING -> SENDING -> MARKING -> gone
 *              |-> PARKED -> FRESH           (held by another, no owner yet)
 *              |-> SENDING (lost) | gone     (done, cancelled, another generation)
 *   LETTER -> gone                           (cannot be decoded: dead letter, and a failed result)
 */
#ifndef TUTTI_CALL_H
#define TUTTI_CALL_H

#include "common/base/map.h"
#include "common/proto/keys.h"
#include "worker/contiguous.h"
#include "worker/tool.h"
#include "worker/worker.h"

struct letter; /* publish.c */
struct batch;  /* lease.c */

#define CALLS_PER_CHUNK 64
#define ASK_TASKS_MAX   256 /* of one script call or command: it holds Redis' only thread */
#define TICK_MS         100
#define RENEW_CHECK_MS  1000
#define SERVE_MS_MAX    10 /* a busy worker lets the work of a partition gather for so long */
#define SERVE_TASKS     64 /* a millisecond for each so many tasks in memory; enough for a batch */

enum call_state {
    CALL_FREE,
    CALL_FRESH,   /* in part->fresh: wants a lease */
    CALL_ASKING,  /* in a lease script */
    CALL_PARKED,  /* waits for timer */
    CALL_RUNNING, /* the tool has it */
    CALL_SENDING, /* in part->results, or on its way to the log */
    CALL_MARKING, /* in part->acked, or its done mark is on its way */
    CALL_LETTER,  /* in w->letters */
};

/* One assignment of one partition of a queue. It lives until it is revoked and nothing refers to
 * it; a later assignment of the same partition is another source. */
struct source {
    struct source *next;
    char *topic;
    int32_t partition;
    enum priority priority;
    bool gone;       /* revoked */
    uint32_t credit; /* records the bus may still deliver */
    uint32_t refs;   /* calls and riders */
    struct contiguous done;
    int64_t committed; /* -1: nothing */
};

/* A delivery whose offset is done when the call is. */
struct rider {
    struct rider *next;
    struct source *source;
    uint64_t ticket;
    char gen[GENERATION_MAX]; /* of a redelivery: the generation that it was issued under */
};

struct part;

struct call {
    struct call *next; /* in its list */
    struct worker *worker;
    enum call_state state;
    enum priority priority;
    bool mapped;     /* w->by_task names this call for its task id */
    bool started;    /* the call was made, or its result is decided */
    uint64_t serial; /* of this use of the memory: a late reply to an earlier one finds nobody */
    struct part *part;
    struct bus_held *held;
    struct task task; /* views into held, but for task_id, which is looked up more than once */
    char task_id[TASK_ID_MAX];
    struct bytes attempt; /* the header as it came */
    struct rider first;   /* its own delivery; .next: redeliveries */
    uint64_t leased_ms;   /* loop time at which the lease was asked for */
    struct loop_timer timer;
    struct tool_call *tool;
    /* the result */
    struct bus_waiter waiter;
    enum event_type type;
    struct bytes value; /* a view of the task's value, or of owned */
    struct buf owned, usage;
    struct payload_op *saving;      /* the output is on its way to the payload store */
    struct buf input;               /* what lay there, and task.value is a view of */
    struct bytes claim;             /* what task.value was before; data NULL: it is as it came */
    size_t payload_bytes;           /* its part of the worker's */
    bool cached;                    /* the value is another task's output, from the cache */
    struct letter *letter;          /* LETTER only */
    char again_gen[GENERATION_MAX]; /* "": the result went out under the task's own generation;
                                     * else it goes out once more, under this one */
    bool sure;                      /* it went out under the generation of today */
    int64_t result_off; /* where the result stands in the log, once it is acknowledged */
};

struct call_list {
    struct call *head, *tail;
    size_t count;
};

static inline void call_push(struct call_list *l, struct call *c)
{
    c->next = NULL;
    if (l->tail)
        l->tail->next = c;
    else
        l->head = c;
    l->tail = c;
    l->count++;
}

static inline void call_push_front(struct call_list *l, struct call *c)
{
    c->next = l->head;
    if (!l->tail) l->tail = c;
    l->head = c;
    l->count++;
}

static inline struct call *call_pop(struct call_list *l)
{
    struct call *c = l->head;
    if (!c) return NULL;
    l->head = c->next;
    if (!l->head) l->tail = NULL;
    l->count--;
    c->next = NULL;
    return c;
}

/* A partition of runs, where tasks come from and results go to. */
struct part {
    struct part *next;
    char *topic;
    int32_t partition;
    char gen[GENERATION_MAX]; /* `gen` of p:{p} as last seen; "" while unknown */
    uint64_t hold_ms;         /* loop time before which Redis is not asked again */
    uint64_t served_ms;       /* loop time at which its lists were last emptied */
    struct call_list fresh[PRIORITY_COUNT], results, acked;
    bool due;                /* its lists are emptied in this turn */
    struct batch *asking[2]; /* lease.c: while it gathers; [1]: for the generation alone */
    bool learning;           /* which generation is today's, for failures that are acknowledged */
    struct call_list again;  /* results whose delivery failed: sent again at the next tick */
};

enum worker_phase { WORKER_OPEN, WORKER_DRAINING, WORKER_LEAVING, WORKER_LEFT };

struct worker {
    struct loop *loop;
    struct bus *bus;
    struct store *store;
    struct payload_store *payloads;
    struct tools *tools;
    struct log log;
    char *prefix, *name, *lease_name, *dlq_topic, *group_name;
    uint32_t inflight_max, lease_ms, commit_ms, call_timeout_ms;
    struct script scripts[4]; /* enum worker_script */
    struct bus_group *group;
    struct source *sources;
    struct part *parts;
    struct map by_task; /* task id -> call */
    struct call **chunks;
    size_t chunk_count;
    struct call_list free;
    size_t held;                  /* tasks in memory */
    size_t parked, asking;        /* of these: waiting, in a lease script */
    size_t fresh[PRIORITY_COUNT]; /* of these: without a lease */
    uint32_t passed_over;         /* calls begun in a row while less urgent ones waited */
    bool low_turn;                /* whose turn it is of these */
    uint64_t serial;
    size_t payload_bytes; /* inputs and outputs of the payload store, in memory */
    struct call_list letters;
    struct loop_timer tick, commit, renew, grace, serve;
    enum worker_phase phase;
    void (*drained)(void *user);
    void *drained_user;
    int32_t dlq_partitions;
    struct worker_stats stats;
    uint64_t complained_ms; /* last time that a line said what is wrong with Redis */
};

enum worker_script { SCRIPT_LEASE, SCRIPT_RENEW, SCRIPT_RELEASE, SCRIPT_BREAKER };

/* table.c: the in-flight table */
struct call *call_new(struct worker *w, struct source *source, uint64_t ticket);
/* Its offsets are done; releases everything. */
void call_finish(struct call *c);
/* Releases everything, and leaves its offsets open: they are delivered again elsewhere. */
void call_forget(struct call *c);
/* The call that is started for this task, or will be; NULL if there is none. */
struct call *call_of_task(struct worker *w, struct bytes task_id);
void call_map(struct call *c);
/* to is done when c's delivery was: c is finished without further ado. */
void call_ride(struct call *c, struct call *to);
void call_each(struct worker *w, void (*fn)(struct call *c));
/* The call wants a lease: into its part's list. */
void call_wait(struct call *c);
/* The next of this list, which waits no more; NULL: none. */
struct call *call_unwait(struct part *p, enum priority priority);
size_t part_waiting(const struct part *p);
struct part *part_of(struct worker *w, struct bytes topic, int32_t partition);
void source_unref(struct worker *w, struct source *s);

/* intake.c */
MUST_CHECK bool intake_join(struct worker *w, const char *const *queues, size_t count,
                            struct err *e);
void intake_credit(struct worker *w);
void intake_commit(struct worker *w);

/* lease.c: scripts and done marks, one lot per partition and turn */
void lease_ask(struct worker *w); /* for the parts that are due */
void lease_mark_done(struct worker *w, struct part *p);
void lease_renew(struct worker *w); /* every call whose lease is a third gone */
void lease_release(struct call *c); /* a lease that is not used */

/* cache.c: outputs that tasks alike share */
/* Asks for the output of a task like this one; comes before the answer for its lease, or never. */
void cache_look(struct call *c);
/* Keeps the output of a call that went well. */
void cache_store(const struct call *c);

/* executor.c */
void executor_flush(void *worker);
void call_start(struct call *c);             /* its lease is taken, and fresh */
void call_park(struct call *c, uint64_t ms); /* asks again later */
void call_lost(struct call *c);              /* its lease ran out elsewhere */
void call_drop(struct call *c);              /* nothing is to be done or said */
void call_cancel(struct call *c);            /* the answer to a renewal */
void call_fail(struct call *c, enum error_type type, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same, not to be tried again. */
void call_fail_for_good(struct call *c, enum error_type type, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void call_run(struct call *c);                           /* its input is there */
void call_publish(struct call *c, enum event_type type); /* its value is what goes into the log */
bool call_past_deadline(const struct call *c);

/* payloads.c */
/* Whether the input lies in the payload store: then it is read, and call_run follows, or the call
 * fails. */
bool payloads_read_input(struct call *c);
/* Publishes the call's output, by way of the payload store where it is too large for a message. */
void payloads_publish(struct call *c);
/* Nothing more is begun that needs memory for payloads. */
bool payloads_full(const struct worker *w);
/* What the call holds of payloads goes. */
void payloads_release(struct call *c);

/* publish.c */
void publish_results(struct worker *w, struct part *p);
/* Dead-letters a record that cannot be decoded. */
void publish_letter(struct worker *w, struct source *source, uint64_t ticket,
                    const struct bus_record *r, const struct err *why);
void publish_letters(struct worker *w); /* sends those that wait, first or again */
void letter_free(struct letter *l);

#endif
