/* SPDX-License-Identifier: Apache-2.0
 *
 * The world outside: tools that are called over HTTP, and the ledger of all calls, which no fault
 * can touch. */
#ifndef TUTTI_SIM_TOOLS_WORLD_H
#define TUTTI_SIM_TOOLS_WORLD_H

#include "common/base/id.h"
#include "sim/world.h"

/* One call of a tool. */
struct ledger_entry {
    char run_id[RUN_ID_MAX];
    char path[64];
    uint32_t attempt;
    uint64_t begin_us, end_us; /* end 0: not over */
    const struct proc *worker;
    bool succeeded;
};

struct tools_world;
struct tools_world *tools_world_new(struct world *w);
struct tools_world *tools_world_free(struct tools_world *t);
size_t tools_calls(const struct tools_world *t);
const struct ledger_entry *tools_call(const struct tools_world *t, size_t i);

#endif
