/* SPDX-License-Identifier: Apache-2.0
 *
 * The tests of a workflow (docs/testing-workflows.md): a file of cases, each played on the pure
 * engine under a virtual clock, its tasks answered by mocks, and held against what it expects. */
#ifndef TUTTI_TRIAL_H
#define TUTTI_TRIAL_H

#include "common/mocks/mocks.h"
#include "orchestrator/engine/engine.h"

/* What happens to a run from outside. X(enumerator, its key in the file) */
#define TRIAL_ACTS(X)     \
    X(SIGNAL, "signal")   \
    X(APPROVE, "approve") \
    X(REJECT, "reject")   \
    X(RETRY, "retry")     \
    X(CANCEL, "cancel")   \
    X(PAUSE, "pause")     \
    X(RESUME, "resume")
enum trial_act {
#define X(name, text) TRIAL_##name,
    TRIAL_ACTS(X)
#undef X
        TRIAL_ACT_COUNT
};
const char *trial_act_name(enum trial_act act);

struct trial_event {
    int64_t at_ms; /* from the start of the run */
    enum trial_act act;
    const char *what;     /* the signal or step; CANCEL, PAUSE: the reason or NULL; borrowed */
    const json_t *fields; /* the whole event; borrowed */
    uint32_t line;
};

struct trial_case {
    const char *name; /* borrowed */
    char *pointer;    /* within the file; owned */
    uint32_t line;
    json_t *input; /* owned */
    struct mocks mocks;
    struct trial_event *events; /* in order of time; owned */
    size_t event_count;
    const json_t *expect; /* borrowed; NULL: only that the run completes */
};

/* One file of cases with its workflow. */
struct trial_suite {
    char *path, *workflow_path;
    json_t *value;
    struct positions *positions;
    struct definition *def;
    struct mocks mocks; /* of all cases */
    struct trial_case *cases;
    size_t count;
};

/* Whether a file's name is that of a file of cases (x.test.yaml, .yml or .json). */
bool trial_path_is_suite(const char *path);
/* The file of cases beside a workflow (x.yaml: x.test.yaml). To free(). */
char *trial_path_of(const char *workflow);
/* Reads a file of cases and its workflow. false with e, or with *ret_faults where the workflow
 * itself has some (ret->workflow_path is set then). Release with trial_suite_done, also after a
 * failure. */
MUST_CHECK bool trial_suite_read(const char *path, struct trial_suite *ret,
                                 struct faults *ret_faults, struct err *e);
void trial_suite_done(struct trial_suite *s);

/* What is wrong with a case. */
struct trial_problem {
    uint32_t line; /* of the expectation in the file; 0: of the case */
    char *text;    /* owned */
};
struct trial_problems {
    struct trial_problem *list;
    size_t count;
};
void trial_problem_add(struct trial_problems *p, uint32_t line, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

struct trial_result {
    struct trial_problems problems; /* none: passed */
    int64_t duration_ms;            /* virtual */
};
/* Plays a case. covered: by step index, set to true where the step began; may be NULL. */
void trial_play(const struct trial_suite *s, const struct trial_case *c, struct trial_result *ret,
                bool *covered);
void trial_result_done(struct trial_result *r);

#endif
