/* SPDX-License-Identifier: Apache-2.0
 *
 * How runs failed or were rolled back, counted by what their users would fix: the type of the error
 * and the step. Lies in memory that processes share, so it has no pointers. */
#ifndef TUTTI_SIM_ENDINGS_H
#define TUTTI_SIM_ENDINGS_H

#include "common/base/base.h"
#include "common/base/limits.h"

#define ENDINGS_MAX 200

struct ending {
    uint64_t count;
    uint64_t seed;    /* the lowest; text is of its first such run */
    bool rolled_back; /* else it has failed */
    char type[24], step[NAME_BYTES_MAX + 1], text[200];
};
struct endings {
    struct ending list[ENDINGS_MAX];
    size_t count;
    uint64_t others; /* that found no room */
};

void endings_add(struct endings *to, const struct ending *ending);
void endings_merge(struct endings *to, const struct endings *from);
/* The most frequent first. */
void endings_sort(struct endings *e);

struct world;
/* What became of the runs and calls of a user's seed: counted in w's counters, and in ret. */
void endings_of_world(struct world *w, struct endings *ret);

#endif
