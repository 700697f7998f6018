/* SPDX-License-Identifier: Apache-2.0
 *
 * Identities. A run id is "<r>-<u>": r, 16 hex digits, routes (all runs of one start key share it
 * and thus a partition); u makes it unique. A task id is a hash of (run id, path, attempt), so that
 * a replay names the same task again.
 */
#ifndef TUTTI_ID_H
#define TUTTI_ID_H

#include "common/base/buf.h"

#define ROUTE_HEX   16
#define UNIQUE_HEX  24
#define RUN_ID_MAX  (ROUTE_HEX + 1 + UNIQUE_HEX + 1) /* with the NUL */
#define TASK_ID_HEX 32
#define TASK_ID_MAX (TASK_ID_HEX + 1)

/* A run id for a start that nobody named: u = 12 hex digits of wall_ms and 12 of randomness. */
void run_id_random(char ret[RUN_ID_MAX], int64_t wall_ms, const unsigned char random[6]);
/* u = hash of an origin (such as "topic/partition/offset"), the same for the same origin. */
void run_id_from_origin(char ret[RUN_ID_MAX], struct bytes origin);
/* Puts the route of (workflow, start key) before the u that the id has. */
void run_id_route_by_key(char id[RUN_ID_MAX], struct bytes workflow, struct bytes key);
/* Whether the text has the form of a run id. */
bool run_id_check(struct bytes id);
/* The routing part of a run id: a view of its first 16 digits. The id must be well formed. */
static inline struct bytes run_id_route(struct bytes id)
{
    return (struct bytes){ .data = id.data, .len = ROUTE_HEX };
}

void task_id_make(char ret[TASK_ID_MAX], struct bytes run_id, struct bytes path, uint32_t attempt);

#endif
