/* SPDX-License-Identifier: Apache-2.0
 *
 * One run under test, with its log and its stored fields. Every event is applied twice: to the run
 * in memory and to one that was just loaded from the stored fields; both must do the same, byte for
 * byte. After every event everything pending is issued again, which must repeat the first bytes. */
#ifndef TUTTI_TEST_WORLD_H
#define TUTTI_TEST_WORLD_H

#include "common/base/map.h"
#include "orchestrator/engine/engine.h"

#define START_MS 1700000000000
#define RUN_ID   "0123456789abcdef-0123456789abcdef01234567"

/* A task as it was first emitted. */
struct emission {
    char task_id[TASK_ID_MAX];
    char path[128];
    uint32_t attempt;
    char *text; /* its bytes, without the generation */
    char *value;
    bool cancelled;
    bool answered; /* for the property test */
    bool counted;  /* it was answered with its usage while the run went on */
};

struct world {
    const struct definition *def;
    struct run *run;
    struct effects fx;    /* of the last event */
    struct fields fields; /* of the last event */
    struct buf trace;     /* of the last event: "task a/1, cancel b/2, result completed" */
    struct field *store;  /* all stored fields, owned */
    size_t stored;
    struct emission *emissions;
    size_t emitted;
    char **told; /* events for other runs, as text */
    size_t told_count;
    struct logged {
        struct event ev;
        struct fold_context cx;
        char *value, *path, *gen;
    } * log;
    size_t logged;
    int64_t now_ms, offset;
    char gen[16];                /* what the fold knows */
    char result_gen[16];         /* what results carry; "": the same */
    enum engine_verdict verdict; /* of the last event */
    bool lifecycle;              /* changes of the run's state are told */
    bool hasty;                  /* leaves out the checks that take long */
    json_t *before;              /* states after the last event, by path */
    enum run_state run_before;
};

/* Fails the test if the definition has faults. */
struct definition *parse_definition(const char *text);
/* def must outlive the world. */
struct world world_new(const struct definition *def);
void world_done(struct world *w);
/* Appends the event to the log and applies it. Value "" stands for an absent one. */
void world_apply(struct world *w, struct event ev, const char *value);
void world_start(struct world *w, const char *input);
/* As a child run; bond: "attached 1" or "detached 1", which must outlive the world. */
void world_start_child(struct world *w, const char *bond, const char *input);
void world_result(struct world *w, enum event_type type, const char *path, uint32_t attempt,
                  const char *value, struct usage usage);
/* Everything pending is emitted again, under the generation the world has now. */
void world_check_reissue(struct world *w);
/* Folds the log once more from its beginning: the same stored fields. */
void world_check_replay(struct world *w);
struct bytes world_field(const struct world *w, const char *name);
/* As run_describe has it. A new reference. */
json_t *world_describe(const struct world *w);
enum step_state world_state(const struct world *w, const char *path);

#endif
