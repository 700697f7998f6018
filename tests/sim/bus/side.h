/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands behind common/io/bus.h while its contract is tried: the real client on librdkafka's
 * mock cluster (side_real.c), or the simulator's fake in a world without faults (side_fake.c).
 * A program is linked with one of the two. */
#ifndef TUTTI_SIM_BUS_SIDE_H
#define TUTTI_SIM_BUS_SIDE_H

#include "common/io/bus.h"

#define SIDE_BUSES 4

struct side;

/* Sequences that share a side: a cluster of the real client takes seconds to assign partitions, a
 * world costs nothing. */
extern const size_t side_sequences;
/* Whether every commit that was made before a partition is given away is found by its next owner.
 * The mock refuses one now and then, when its member joins once more in that moment. */
extern const bool side_commits_kept;

/* An empty cluster and SIDE_BUSES clients of it. The seed decides what the world of a fake is like.
 * Ends the program if it cannot be. */
struct side *side_open(uint64_t seed);
struct side *side_close(struct side *s);
struct bus *side_bus(const struct side *s, size_t i);
void side_topic(struct side *s, const char *name, int32_t partitions);
/* Lets something happen, if only time. */
void side_turn(struct side *s);
uint64_t side_now_ms(const struct side *s);

#endif
