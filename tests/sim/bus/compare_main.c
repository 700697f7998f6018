/* SPDX-License-Identifier: Apache-2.0
 *
 * compare-bus [SEQUENCES [SEED]]: the fake bus against the real client. A seed from a difference,
 * alone: compare-bus 1 SEED. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "tests/sim/bus/compare.h"

int main(int argc, char **argv)
{
    struct bus_compare_options o = { .programs = { BUS_CONTRACT_REAL, BUS_CONTRACT_FAKE },
                                     .sequences = argc > 1 ? strtoul(argv[1], NULL, 10) : 2048,
                                     .seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1 };
    struct bus_compare_result r;
    uint64_t start = clock_mono_ms();
    if (!bus_compare(&o, &r)) return 2;
    printf("sequences %zu, differences %zu, seconds %.1f\n", r.sequences, r.differences,
           (double)(clock_mono_ms() - start) / 1000);
    return r.differences ? 1 : 0;
}
