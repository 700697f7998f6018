/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of this layer share. */
#ifndef TUTTI_TRIAL_PARTS_H
#define TUTTI_TRIAL_PARTS_H

#include "cli/trial/trial.h"
#include "common/base/map.h"

/* --- reading (suite.c, suite_events.c, suite_expect.c) --- */

struct reader {
    struct trial_suite *suite;
    struct err *e;
};
#define fault(r, pointer, ...) \
    positions_fail((r)->suite->positions, (r)->suite->path, (pointer), (r)->e, __VA_ARGS__)
/* Whether an object has only these members. names: separated by spaces. */
MUST_CHECK bool suite_members(const struct reader *r, const json_t *object, const char *pointer,
                              const char *names);
MUST_CHECK bool suite_duration(const struct reader *r, const json_t *value, const char *pointer,
                               int64_t *ret_ms);
MUST_CHECK bool suite_events(const struct reader *r, struct trial_case *c, const json_t *list);
MUST_CHECK bool suite_expect(const struct reader *r, struct trial_case *c, const json_t *expect);
bool suite_duration_of(const json_t *value, int64_t *ret_ms);

/* --- playing (play.c, play_events.c) --- */

/* A step of one instance, from the moment when it left pending. */
struct played_step {
    const struct step_def *def; /* NULL: of a path that the definition has not */
    char *path;                 /* owned, as all below */
    enum step_state state;
    bool began; /* and was not only skipped or swept away */
    uint32_t attempts, calls;
    struct buf input;  /* of the last task */
    struct buf result; /* output, or error; empty: none */
};

struct pending {
    int64_t due_ms;
    uint64_t number; /* order of issue */
    char task_id[TASK_ID_MAX];
    char child[RUN_ID_MAX]; /* of a child run: its id; else "" */
    struct played_step *step;
    uint32_t attempt;
    enum event_type type;
    char *value; /* owned */
    struct usage usage;
};

struct play {
    const struct trial_suite *suite;
    const struct trial_case *tcase;
    struct trial_problems *problems;
    struct run *run;
    struct effects fx;
    struct fields fields;
    int64_t now_ms, offset;
    uint64_t tasks, applied;
    struct pending *pending; /* tasks that are out; as many as the run's max_parallel lets be */
    size_t pending_count, pending_cap;
    struct played_step **steps; /* in the order in which they began */
    size_t step_count, step_cap;
    struct map by_path;
    struct played_step **path; /* completed steps, in order */
    size_t path_count, path_cap;
    uint32_t *calls;  /* by step index */
    struct buf waits; /* who waited when the clock was moved last: for the message of a timeout */
    json_t *result;   /* of the run: the value of its CloudEvent */
    bool stuck;       /* a problem ended the play */
};
#define PLAY_START_MS 1767225600000 /* 2026-01-01T00:00:00Z */

void play_case(struct play *p);
void play_done(struct play *p);
/* Applies what happens from outside at p->now_ms. */
void play_event(struct play *p, const struct trial_event *ev);
enum engine_verdict play_apply(struct play *p, const struct event *ev);
/* Takes up the effects and changes of what was applied. */
void play_collect(struct play *p);
struct fold_context play_context(struct play *p);
/* Hands a task or the start of a child run to its mock. */
void play_call(struct play *p, const struct effect *effect);

/* --- judging (expect.c, diff.c) --- */

void expect_check(struct play *p);
/* Adds a problem for each place where actual is not as wanted. partial: objects may have more
 * members than wanted ones. where: what the value is, as in "output". */
void trial_diff(struct trial_problems *ret, uint32_t line, const char *where, const json_t *wanted,
                const json_t *actual, bool partial);

#endif
