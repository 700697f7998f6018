/* SPDX-License-Identifier: Apache-2.0
 *
 * What people tell runs: one event in the log, to one run or to all that a filter finds. */
#ifndef TUTTI_CLI_CONTROL_H
#define TUTTI_CLI_CONTROL_H

#include "cli/runs.h"

struct told {
    enum event_type type;
    struct bytes path, signal;
    const json_t *value; /* NULL: null */
};
/* Appends the event, in the name of --as or of the user. ERR_INVALID: the name; errors of Kafka. */
MUST_CHECK bool control_tell(struct client *c, const char *run_id, const struct told *t,
                             struct err *e);
/* {"reason": --reason, ...}, or NULL where it was not given. ERR_INVALID. A new reference. */
MUST_CHECK bool control_reason(const struct cli *cli, json_t **ret, struct err *e);
/* NAME=JSON arguments from `first` on, as an object. ERR_INVALID names the argument. */
MUST_CHECK bool control_vars(const struct cli *cli, size_t first, json_t **ret, struct err *e);
/* Waits until the run has taken what it was told: until taken(view) holds, 10 s at most. */
MUST_CHECK bool control_wait(struct client *c, struct view *v,
                             bool (*taken)(const struct view *v, const void *user),
                             const void *user, struct err *e);
/* Says what came of it; the exit code. */
int control_report(struct cli *cli, const struct view *v, const char *what);

/* A command for all runs that --where finds. */
struct bulk {
    struct told told;
    /* In which states (enum run_state, bits 1 << n) a run takes it; others are skipped. */
    uint32_t states;
    bool spares_undone; /* skips runs whose work was undone, too */
    /* Instead of `told`: does it to one run; entry is the run's in the report, and may be added to.
     */
    bool (*each)(struct client *c, const char *run_id, json_t *entry, struct err *e);
};
#define BULK_GOING \
    (1u << RUN_RUNNING | 1u << RUN_PAUSED | 1u << RUN_WAITING_APPROVAL | 1u << RUN_ROLLING_BACK)
/* Finds the runs, asks, and sends; the exit code. */
int bulk_run(struct cli *cli, const struct bulk *bulk);

#endif
