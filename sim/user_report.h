/* SPDX-License-Identifier: Apache-2.0
 *
 * The campaign on a user's workflow, and what it tells. */
#ifndef TUTTI_SIM_USER_REPORT_H
#define TUTTI_SIM_USER_REPORT_H

#include "sim/runner.h"
#include "sim/user.h"

struct user_request {
    struct campaign campaign;
    struct user_files files;
    const char *replay; /* the command line, without seeds, for people; NULL: made from the files */
    bool one, trace, json;
};
/* The exit code: 0, 1 where an oracle complains, 2 where the files are wrong, 3 where one is
 * missing. */
int user_simulate(const struct user_request *q);

#endif
