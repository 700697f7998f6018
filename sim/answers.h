/* SPDX-License-Identifier: Apache-2.0
 *
 * What people say to a user's workflow: by the name of a step that asks them, or waits for a
 * signal. They stand among the mocks. */
#ifndef TUTTI_SIM_ANSWERS_H
#define TUTTI_SIM_ANSWERS_H

#include "common/definition/definition.h"
#include "common/mocks/mocks.h"

enum answer_kind { ANSWER_APPROVE, ANSWER_REJECT, ANSWER_SIGNAL };
struct answer {
    const struct step_def *step;
    enum answer_kind kind;
    json_t *value;    /* owned: of a signal its payload; else {"by", "comment", "values"} */
    int64_t after_ms; /* since it was asked */
};
struct answers {
    struct answer *list;
    size_t count;
};

/* Takes the entries of such steps out of the mapping `mocks`. e says FILE:LINE:COLUMN. def must
 * outlive the answers. Release with answers_done, also after a failure. */
MUST_CHECK bool answers_take(struct answers *ret, const struct definition *def, json_t *mocks,
                             const struct mocks_place *at, struct err *e);
void answers_done(struct answers *a);
const struct answer *answers_find(const struct answers *a, const struct step_def *step);

#endif
