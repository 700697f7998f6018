/* SPDX-License-Identifier: Apache-2.0
 *
 * What the oracles share: the log folded once more, by them alone (oracle_fold.c). */
#ifndef TUTTI_SIM_ORACLE_INTERNAL_H
#define TUTTI_SIM_ORACLE_INTERNAL_H

#include "orchestrator/internal.h"
#include "sim/oracle.h"

/* Something that the fold says must leave. X(enumerator, text) */
#define OUTPUT_KINDS(X)                     \
    X(TASK, "task")                         \
    X(RESULT, "the result of")              \
    X(LIFECYCLE, "the word of the life of") \
    X(CHILD_START, "the start of child")    \
    X(CHILD_CANCEL, "the end of child")     \
    X(CHILD_BEGUN, "the word of child")     \
    X(CHILD_ENDED, "the result of child")
enum output_kind {
#define X(name, text) OUTPUT_##name,
    OUTPUT_KINDS(X)
#undef X
};
#define OUTPUT_ID_MAX 128
struct output {
    char id[OUTPUT_ID_MAX]; /* of the task; of the run, or of the child with the kind behind it */
    enum output_kind kind;
    struct shadow_run *run; /* that issued it */
    int64_t issued_off;
    uint64_t hash;      /* of key, value and headers, without the generation */
    uint32_t appended;  /* times */
    uint64_t gen;       /* hash of the generation that it was appended under last */
    uint32_t under_way; /* sent, and neither appended nor lost */
    uint32_t attempt;
    char path[NAME_BYTES_MAX + 1];
    bool refused; /* a child that nobody knows */
    struct {
        int64_t epoch;  /* of the recovery in which this process looked for its mark last */
        bool unclaimed; /* nobody had it then */
    } asked[PROCS_MAX];
    const struct proc *leased_by; /* who was granted its lease last */
    struct {
        uint32_t life;
        uint64_t us; /* of the last grant or renewal */
    } lease[PROCS_MAX];
    uint32_t called_life[PROCS_MAX]; /* the life in which each process called for it last */
    struct output *next_open;        /* not in any log yet */
};

/* A step whose result has been applied. */
struct settled {
    struct settled *next;
    char path[NAME_BYTES_MAX + 1];
    int64_t offset;      /* of the result */
    uint64_t applied_us; /* of the first commit beyond it; 0: none yet */
};

struct moment { /* from this offset on the stored fields have this digest */
    int64_t off;
    uint64_t digest;
    bool exists;
};

struct field_sum {
    uint64_t name, value; /* hashes */
};

struct field_text {
    char *name, *value;
};

struct shadow_run {
    struct field_text *fields; /* in full, where the oracle keeps them (shadow_again) */
    size_t field_count;
    char id[RUN_ID_MAX];
    int32_t partition;
    struct run *run; /* NULL: expired */
    struct moment *moments;
    size_t moment_count, moment_cap;
    struct field_sum *sums;
    size_t sum_count, sum_cap;
    struct settled *settled;
    int64_t *resumes; /* offsets of what resumes it */
    size_t resume_count;
    struct told *told; /* what the language has to hold to (oracle_language.c) */
    bool ended;
    bool parent; /* it has started a child */
    int64_t ended_off;
};

/* What a process was told when it took a partition over. */
struct takeover {
    int64_t epoch, off, from;
    bool reissue_all;
    uint32_t life;
};

/* An event that an owner folds under caution. */
struct trial {
    int64_t offset;
    uint32_t life[PROCS_MAX]; /* in which each has marked it; 0: not, or it was unmarked */
    uint32_t deaths;          /* of owners while their mark stood */
};

struct change {
    int64_t off; /* next offset to apply after it */
    struct shadow_run *run;
};

struct shadow_part {
    int32_t id;
    struct map runs; /* by id */
    struct map keys; /* route -> struct key_of */
    struct ledger ledger;
    char fold_gen[40];
    int64_t floor; /* the highest in the snapshots */
    struct claim_at {
        int64_t offset;
        uint64_t gen; /* hash */
    } * claims;
    size_t claim_count, claim_cap;
    struct change *changes;
    size_t change_count, change_cap;
    struct output *open;
    struct trial *trials;
    size_t trial_count;
    int64_t *malformed; /* offsets of what is no event: to be dead-lettered, maybe again */
    size_t malformed_count;
    struct takeover takeover[PROCS_MAX];
    int64_t recovered_epoch;          /* whose recovery has ended; -1: none */
    int64_t before_epoch, before_off; /* of Redis, as a script began */
    bool before_there;
};

struct key_of {
    char route[ROUTE_HEX + 1];
    char run_id[RUN_ID_MAX];
};

struct oracle {
    struct world *world;
    struct shadow_part *parts;
    size_t part_count;
    struct map outputs; /* by id */
    struct map emitted; /* CloudEvents of emit steps, by id: hash of the value + 1 */
    char **emitted_ids; /* owned */
    size_t emitted_count;
    struct effects fx;
    struct fields fields;
    size_t live;            /* runs that have not ended */
    uint64_t lost_us;       /* when Redis went back last; 0: never */
    struct map definitions; /* by sha256: struct definition, of the workload */
    bool keeps_fields;      /* of a second fold, for explanations */
};

/* --- oracle_fold.c --- */
void shadow_fold(struct oracle *o, struct shadow_part *part, const struct record *r);
struct shadow_run *shadow_run_find(struct oracle *o, struct bytes id);
/* Of the run's fields once everything below off is applied. */
struct moment shadow_moment(const struct shadow_run *run, int64_t off);
void shadow_free(struct oracle *o);
/* The log of a partition below off folded anew, with all fields kept; NULL where its beginning is
 * deleted. Release with shadow_again_free. */
struct oracle *shadow_again(struct oracle *o, int32_t partition, int64_t off);
void shadow_again_free(struct oracle *again);

/* --- oracle_outputs.c: what leaves --- */
const char *output_kind_name(enum output_kind kind);
/* The topic's name behind our prefix; NULL: it is none of the installation's. */
const char *topic_own_name(const struct log_part *part);
/* What the fold has just issued (o->fx), because of the event at that offset. */
void outputs_take(struct oracle *o, struct shadow_run *run, enum event_type cause, int64_t offset);
/* What a record of an orchestrator is; NULL: no output, or none that was issued. */
struct output *output_of(struct oracle *o, const struct log_part *part, const struct record *r);
void output_sent(struct oracle *o, const struct proc *p, struct output *out);
void output_appended(struct oracle *o, const struct log_part *part, const struct record *r,
                     const struct proc *by);
/* Whether the fold, as far as the log goes, still waits for it. */
bool output_pending(const struct output *out);
/* The run has ended: children of steps that it gave up are told so. */
void judge_children(struct oracle *o, const struct shadow_run *run);
/* A CloudEvent that an emit step has sent. */
void emitted_judge(struct oracle *o, const struct record *r);
void outputs_end(struct oracle *o);
void outputs_free(struct oracle *o);

/* --- oracle_language.c: what the language promises, judged without the engine's help --- */
/* Around the application of an event to a run. after: o->fields holds what it changed. */
void language_before(struct oracle *o, struct shadow_run *run, const struct event *ev);
void language_after(struct oracle *o, struct shadow_run *run, const struct event *ev);
void language_end(struct oracle *o);
void language_free(struct shadow_run *run);

/* --- oracle_commit.c: what stands in Redis --- */
void commit_before(struct oracle *o, struct shadow_part *part);
/* argv: the words of all commands; place: those of the last one, which moves the place. */
void commit_judge(struct oracle *o, const struct proc *p, struct shadow_part *part,
                  const struct bytes *argv, const struct bytes *place);
void judge_outputs(struct oracle *o, const struct proc *p, struct shadow_part *part);
void place_compare(struct oracle *o, struct shadow_part *part);
struct bytes partition_key(struct buf *b, const struct shadow_part *part);
bool redis_place(struct world *w, const struct shadow_part *part, int64_t *ret_epoch,
                 int64_t *ret_off);

/* --- oracle_calls.c: leases and calls --- */
void lease_judge(struct oracle *o, const struct proc *p, const char *name, const struct bytes *argv,
                 size_t argc, size_t key_count, const struct store_reply *reply);

#endif
