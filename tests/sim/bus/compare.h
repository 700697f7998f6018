/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake bus held against the real client: both programs of the contract tell the same traces,
 * and complain of nothing. */
#ifndef TUTTI_SIM_BUS_COMPARE_H
#define TUTTI_SIM_BUS_COMPARE_H

#include "common/base/base.h"

struct bus_compare_options {
    const char *programs[2];
    const char *plants[2]; /* names of contract.h; NULL: none */
    uint64_t seed;         /* of the first sequence; the next has seed + 1 */
    size_t sequences;
    bool quiet; /* says nothing of a difference */
};
struct bus_compare_result {
    size_t sequences, differences;
};

/* Runs both programs side by side. A difference is said on stderr with its seed and both traces.
 * false: a program did not end well; said too. */
MUST_CHECK bool bus_compare(const struct bus_compare_options *o, struct bus_compare_result *ret);

#endif
