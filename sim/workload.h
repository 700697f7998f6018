/* SPDX-License-Identifier: Apache-2.0
 *
 * What the simulated installation has to do. */
#ifndef TUTTI_SIM_WORKLOAD_H
#define TUTTI_SIM_WORKLOAD_H

#include "common/definition/definition.h"
#include "sim/world.h"

/* The oracles need the definitions. */
void oracle_definition(struct world *w, const struct definition *def);

/* The queues that the steps name. */
const char *const *workload_queues(const struct world *w, size_t *ret_count);

/* Compiled once for all seeds. */
void shapes_free(void);

#endif
