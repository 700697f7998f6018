/* SPDX-License-Identifier: Apache-2.0
 *
 * What the simulated installation has to do. */
#ifndef TUTTI_SIM_WORKLOAD_H
#define TUTTI_SIM_WORKLOAD_H

#include "common/base/id.h"
#include "common/definition/definition.h"
#include "sim/world.h"

/* The oracles need the definitions. */
void oracle_definition(struct world *w, const struct definition *def);

/* An event that a client sends. */
struct client_event {
    enum event_type type;
    char run_id[RUN_ID_MAX];
    const struct definition *def; /* of a start */
    enum start_policy policy;
    char key[16], actor[128], signal[NAME_BYTES_MAX + 1], path[PATH_BYTES_MAX + 1];
    char text[160];     /* its value, where it is short */
    struct bytes value; /* else; must live as long as the world */
};
/* The event will be in the log at that time. Clients are out of reach of all faults. */
void client_send(struct world *w, uint64_t at_us, const struct client_event *event);
/* How long an installation without faults is left alone before the work begins. */
uint64_t workload_rest_us(const struct world *w);

/* The queues that the steps name. */
const char *const *workload_queues(const struct world *w, size_t *ret_count);

#endif
