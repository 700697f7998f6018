/* SPDX-License-Identifier: Apache-2.0
 *
 * What steps answer where no worker does their work: in the tests of a workflow and in the
 * simulator. docs/testing-workflows.md describes the form. */
#ifndef TUTTI_MOCKS_H
#define TUTTI_MOCKS_H

#include "common/definition/definition.h"
#include "common/yaml/yaml.h"

/* One attempt's answer. Its texts are templates over the call: input, attempt, call, path, index.
 */
struct mock_reply {
    struct template *output;  /* NULL: an error */
    struct template *message; /* of the error */
    enum error_type type;
    bool retryable;
    int64_t retry_after_ms;
    json_t *details;    /* owned; NULL: none */
    int64_t after_ms;   /* time that the call takes */
    struct usage usage; /* that it reports */
    bool usage_given;
};

/* A mock: its replies, one for each attempt, of which the last stands for all further ones. */
struct mock {
    char *name; /* of the step, or its whole path (docs[3]/extract); owned */
    const struct step_def *step;
    struct mock_reply *replies;
    size_t count;
};
struct mocks {
    struct mock *list;
    size_t count;
};

/* Where faults are reported: the file, and the places of its values. */
struct mocks_place {
    const char *path;
    const struct positions *positions;
};

/* Steps that are mocked beside those that need a worker. */
#define MOCK_NOOP  1 /* tasks that use `noop` */
#define MOCK_CHILD 2 /* child workflows */

/* Reads the mapping from names (or paths) of steps to replies that stands at `pointer` of a file;
 * null is an empty one. e says FILE:LINE:COLUMN. def must outlive the mocks. Release with
 * mocks_done, also after a failure. */
MUST_CHECK bool mocks_read(struct mocks *ret, const struct definition *def, const json_t *value,
                           const char *pointer, unsigned also, const struct mocks_place *at,
                           struct err *e);
void mocks_done(struct mocks *m);
/* The mock of a step in one instance: by its whole path, else by its name. NULL: none. */
const struct mock *mocks_find(const struct mocks *m, struct bytes path);

/* The step that a path ends in (docs[3]/extract: extract), or NULL. */
const struct step_def *mock_step(const struct definition *def, struct bytes path);

/* A call, as the expressions of a mock see it. */
struct mock_call {
    struct bytes path;  /* the step's whole path */
    struct bytes input; /* JSON: the task's value */
    uint32_t attempt;   /* from 1 */
    uint32_t call;      /* of all calls of the step's name so far, this one included */
};
const struct mock_reply *mock_reply_of(const struct mock *mock, uint32_t attempt);
/* Appends the output's JSON (checked against the step's output_schema), or the value of the
 * task.failed event. e says which mock is at fault. */
MUST_CHECK bool mock_answer(const struct mock *mock, const struct mock_call *call, struct buf *ret,
                            struct err *e);

/* Some value that a schema describes, as well as it can. A new reference. */
json_t *mock_sample(const json_t *schema);
/* What a step answers without a mock, if anything must do: a value that fits its output_schema,
 * else what is usual for its kind. text: the definition as JSON (def->canonical). A new reference.
 */
json_t *mock_default(const struct step_def *step, const json_t *text);
/* The step's own text within the definition's JSON. Borrowed; NULL: there is no such step. */
const json_t *mock_step_text(const json_t *text, const char *name);

#endif
