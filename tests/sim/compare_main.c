/* SPDX-License-Identifier: Apache-2.0
 *
 * compare-redis [SEQUENCES [SEED]]: the fake Redis against a real one. A seed from a difference,
 * alone: compare-redis 1 SEED. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "tests/sim/compare.h"

int main(int argc, char **argv)
{
    struct compare_options o = { .sequences = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000,
                                 .differences_most = argc > 3 ? 1000 : 0,
                                 .seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 0,
                                 .clock_module = REDIS_CLOCK_MODULE };
    struct compare_result r;
    uint64_t start = clock_mono_ms();
    if (!compare_run(&o, &r)) return 2;
    printf("sequences %zu, calls %zu, differences %zu, errors %zu, seconds %.1f\n", r.sequences,
           r.calls, r.differences, r.failed, (double)(clock_mono_ms() - start) / 1000);
    return r.differences ? 1 : 0;
}
