/* SPDX-License-Identifier: Apache-2.0
 *
 * Many seeds on all cores: each process takes the next one from shared memory. A seed that ends its
 * process (an assertion, a sanitizer) or does not come to an end is a violation like any other. */
#ifndef TUTTI_SIM_RUNNER_H
#define TUTTI_SIM_RUNNER_H

#include "common/base/mutant.h"
#include "sim/endings.h"
#include "sim/options.h"
#include "sim/world.h"

struct campaign {
    uint64_t first, count;
    uint32_t seconds;   /* 0: no limit of time */
    uint32_t processes; /* at least 1 */
    enum fault_level level;
    enum mutant mutant; /* MUTANT_NONE: the product as it is */
    bool stop_at_violation;
    void (*adjust)(struct options *o, const void *user); /* may be NULL */
    const void *user;
};

struct found {
    uint64_t seed;
    char oracle[40], text[400];
};

#define FOUND_MAX 50
struct verdict {
    uint64_t seeds, violations;
    struct counters sum;
    double seconds;     /* of wall time */
    double cpu_seconds; /* over all processes */
    struct found found[FOUND_MAX];
    size_t found_count;
    struct endings endings; /* of a user's runs */
};
void campaign_run(const struct campaign *c, struct verdict *ret);
/* One seed in this process; true: no violation. redis as for world_run. */
bool seed_run(const struct campaign *c, struct redis *redis, uint64_t seed, bool tracing,
              struct counters *sum, struct endings *endings, struct found *ret);

#endif
