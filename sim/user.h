/* SPDX-License-Identifier: Apache-2.0
 *
 * A user's own workflow in the simulated installation (`tutti simulate`): the definition, the input
 * of its runs, and what its steps answer. Everything else is as with our own shapes. */
#ifndef TUTTI_SIM_USER_H
#define TUTTI_SIM_USER_H

#include "common/definition/definition.h"
#include "common/mocks/mocks.h"
#include "sim/answers.h"
#include "sim/endings.h"
#include "sim/options.h"

struct world;

struct sim_user {
    struct definition *def; /* without its triggers: starts come from the simulated client */
    struct buf input;
    uint32_t runs; /* that each seed starts */
    bool triggers; /* the file has some */
    struct mocks mocks;
    struct answers answers; /* of people, by step */
    bool approve;           /* people without one approve, and send any signal */
    json_t **defaults;      /* by step: what it answers without a mock */
    const char **queues;    /* that its steps name, each once, and "default"; views of def */
    size_t queue_count;
};

#define USER_RUNS_MAX 1000
struct user_files {
    const char *workflow, *mocks, *input; /* paths; mocks and input may be NULL */
    uint32_t runs;
    bool approve;
};
/* Reads and checks all files; e names the file and the place. Release with user_done, also after a
 * failure. */
MUST_CHECK bool user_open(struct sim_user *u, const struct user_files *files, struct err *e);
void user_done(struct sim_user *u);

/* What the seed drew is bent to the user's work; user is a struct sim_user. */
void user_adjust(struct options *o, const void *user);

#endif
