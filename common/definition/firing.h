/* SPDX-License-Identifier: Apache-2.0
 *
 * What a schedule means, as pure functions: when it fires, and the start of a run that a firing is.
 * Who fires it when is orchestrator/schedules.c's; by hand, the command line's. */
#ifndef TUTTI_FIRING_H
#define TUTTI_FIRING_H

#include "common/base/id.h"
#include "common/definition/definition.h"
#include "common/schedule/cron.h"

/* "<workflow>/<name>" */
#define SCHEDULE_ID_MAX (2 * NAME_BYTES_MAX + 2)
void schedule_id(const struct definition *def, const struct trigger_def *trigger,
                 char ret[SCHEDULE_ID_MAX]);
/* The id of the run of a planned time: all runs of a schedule, and its own state, have the same
 * route. */
void schedule_run_id(const struct definition *def, const struct trigger_def *trigger,
                     int64_t planned_ms, char ret[RUN_ID_MAX]);

/* Which planned time is to be fired now, of those behind base_ms (the one fired last, or the moment
 * from which on the schedule counts), by its catch_up: the oldest of what is made up for. A time
 * that is late by less than SCHEDULE_LATE_MS was not missed. -1: none; then *ret_next is when the
 * next one comes (INT64_MAX: never). */
#define SCHEDULE_LATE_MS (60 * 1000)
int64_t schedule_due(const struct schedule_def *schedule, const struct cron *cron,
                     const struct zone *zone, int64_t base_ms, int64_t now_ms, int64_t *ret_next);

/* The start of a run. */
struct firing {
    char run_id[RUN_ID_MAX];
    char key[NAME_BYTES_MAX + 16]; /* start key */
    struct buf input;              /* JSON */
};
void firing_done(struct firing *f);
/* ret must be zero and is released whatever comes back. An error is of the input: an expression
 * that fails, a limit; run_id and key are set all the same. */
MUST_CHECK bool firing_make(const struct definition *def, const struct trigger_def *trigger,
                            int64_t planned_ms, struct firing *ret, struct err *e);
/* The headers of its run.start: views of def and f. */
void firing_headers(const struct definition *def, enum start_policy policy, const struct firing *f,
                    struct bytes ret[HEADER_COUNT]);

#endif
