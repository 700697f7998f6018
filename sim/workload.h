/* SPDX-License-Identifier: Apache-2.0
 *
 * What the simulated installation has to do. */
#ifndef TUTTI_SIM_WORKLOAD_H
#define TUTTI_SIM_WORKLOAD_H

#include "common/definition/definition.h"
#include "sim/world.h"

/* The user's own definition, for `tutti simulate`. */
struct sim_user {
    const struct definition *def;
    struct bytes input;
};

/* The oracles need the definitions. */
void oracle_definition(struct world *w, const struct definition *def);

/* Compiled once for all seeds. */
void shapes_free(void);

#endif
