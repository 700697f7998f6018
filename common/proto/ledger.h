/* SPDX-License-Identifier: Apache-2.0
 *
 * The texts of a partition's ledger (keys.h), as its owner writes and others read them.
 *
 *   k:<route>   the unfinished runs that were started with a key and a policy, in the order of
 *               their starts: for each a place of 25 characters, its state (enum place_state) and
 *               the unique part of its run id
 *   s:<id>      a schedule: "<planned time that was fired last, ms> <-|p|r>": as its definition
 *               says, paused or resumed by hand */
#ifndef TUTTI_LEDGER_TEXT_H
#define TUTTI_LEDGER_TEXT_H

#include <assert.h>

#include "common/base/id.h"

enum place_state {
    PLACE_RUNS = 'r',
    PLACE_WAITS = 'w',
    PLACE_BEGINS = 'b', /* it was told to, by run.begin */
    PLACE_ENDS = 'e',   /* it was told to, by run.cancel: another run takes its place */
    PLACE_ASKED = 'a',  /* of a start without a policy: whether it is over (key.asked) */
};
struct place {
    char state;
    char unique[UNIQUE_HEX];
};
static_assert(sizeof(struct place) == 1 + UNIQUE_HEX, "a line is an array of places");

#define LINE_NAME_LEN (2 + ROUTE_HEX)
/* The name of the line that runs of this route stand in: a view of ret. */
struct bytes line_name(struct bytes route, char ret[LINE_NAME_LEN]);
/* How many places a line has, and one of them: a view. */
size_t line_count(struct bytes line);
const struct place *line_place(struct bytes line, size_t i);
/* The id of the run at a place. */
void place_run_id(struct bytes route, const struct place *place, char ret[RUN_ID_MAX]);

/* "<workflow>/<name>" as a name; appended. */
void schedule_name(struct buf *ret, struct bytes id);
enum schedule_paused {
    SCHEDULE_BY_DEFINITION = '-',
    SCHEDULE_PAUSED = 'p',
    SCHEDULE_RESUMED = 'r',
};
struct schedule_state {
    int64_t last_ms; /* 0: none yet */
    enum schedule_paused paused;
};
void schedule_encode(struct buf *ret, const struct schedule_state *state);
/* Of an empty text, or none of ours: nothing has happened yet. */
struct schedule_state schedule_decode(struct bytes text);

#endif
