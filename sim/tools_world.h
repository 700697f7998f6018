/* SPDX-License-Identifier: Apache-2.0
 *
 * The world outside: tools that are called over HTTP, and the ledger of all calls, which no fault
 * can touch. */
#ifndef TUTTI_SIM_TOOLS_WORLD_H
#define TUTTI_SIM_TOOLS_WORLD_H

#include "common/base/id.h"
#include "common/base/limits.h"
#include "sim/world.h"

/* One call of a tool. */
struct ledger_entry {
    char run_id[RUN_ID_MAX];
    char path[NAME_BYTES_MAX + 1];
    uint32_t attempt;
    uint64_t begin_us, end_us; /* end 0: not over */
    const struct proc *worker;
    bool succeeded;
};

/* What becomes of a call: when it ends, and whether badly. */
struct tool_fate {
    uint64_t end_us;
    bool fails, hangs;
};

struct tools_world;
struct tools_world *tools_world_new(struct world *w);
struct tools_world *tools_world_free(struct tools_world *t);
size_t tools_calls(const struct tools_world *t);
const struct ledger_entry *tools_call(const struct tools_world *t, size_t i);
struct prng *tools_random(struct tools_world *t);
struct tool_fate tool_fate_draw(struct world *w, uint64_t timeout_ms);
/* A call leaves p and stands in the ledger, oracles are told. SIZE_MAX: p was dead already, it
 * never left. */
size_t tools_begin(struct proc *p, struct bytes run_id, struct bytes path, uint32_t attempt);
/* The call of that entry (SIZE_MAX: of none) is over. */
void tools_end(struct tools_world *t, size_t entry, bool succeeded);

#endif
