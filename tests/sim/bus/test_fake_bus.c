/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulator's bus: equal to the real client over random sequences; a wrong one is noticed. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/sim/bus/compare.h"

#define SEQUENCES         256
#define SEQUENCES_ALONE   10000
#define SEQUENCES_PLANTED 200

static struct bus_compare_result run(struct bus_compare_options o)
{
    struct bus_compare_result r;
    cr_assert(bus_compare(&o, &r));
    return r;
}

Test(fake_bus, tells_what_the_real_client_does_over_random_sequences)
{
    struct bus_compare_result r = run((struct bus_compare_options){
        .programs = { BUS_CONTRACT_REAL, BUS_CONTRACT_FAKE }, .sequences = SEQUENCES, .seed = 1 });
    printf("sequences %zu differences %zu\n", r.sequences, r.differences);
    cr_assert_eq(r.differences, 0u);
    cr_assert_eq(r.sequences, (size_t)SEQUENCES);
}

Test(fake_bus, keeps_the_contract_and_does_the_same_again)
{
    struct bus_compare_result r =
        run((struct bus_compare_options){ .programs = { BUS_CONTRACT_FAKE, BUS_CONTRACT_FAKE },
                                          .sequences = SEQUENCES_ALONE,
                                          .seed = 1 });
    cr_assert_eq(r.differences, 0u);
}

Test(fake_bus, a_wrong_one_is_noticed)
{
    static const char *const plants[] = { "SWAP",          "RECORD_TWICE",  "RECORD_LOST",
                                          "CONTENT",       "REPORT_TWICE",  "REPORT_LOST",
                                          "REPORT_FAILED", "REPORT_EARLY",  "CREDIT",
                                          "OLD_POSITION",  "RANGE",         "END",
                                          "NOTE",          "OWNERS",        "UNOWNED",
                                          "LOST",          "COMMIT_DROPPED" };
    for (size_t i = 0; i < ARRAY_LEN(plants); i++) {
        struct bus_compare_result r =
            run((struct bus_compare_options){ .programs = { BUS_CONTRACT_FAKE, BUS_CONTRACT_FAKE },
                                              .plants = { NULL, plants[i] },
                                              .sequences = SEQUENCES_PLANTED,
                                              .seed = 1,
                                              .quiet = true });
        cr_expect(r.differences > 0, "%s was not noticed", plants[i]);
    }
}
