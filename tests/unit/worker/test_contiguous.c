/* SPDX-License-Identifier: Apache-2.0
 *
 * The contiguous tracker against the obvious model: a list of all offsets with a flag each. */
#include <criterion/criterion.h>

#include "worker/contiguous.h"

/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators"). */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

Test(contiguous, nothing_taken_is_nothing_to_commit)
{
    struct contiguous c = { 0 };
    cr_assert(contiguous_next(&c) == -1);
    contiguous_free(&c);
}

Test(contiguous, commit_stays_below_the_oldest_open_offset)
{
    struct contiguous c = { 0 };
    uint64_t t[3];
    for (int i = 0; i < 3; i++) cr_assert(contiguous_start(&c, 10 + i, &t[i]));
    contiguous_done(&c, t[2]);
    contiguous_done(&c, t[1]);
    cr_assert(contiguous_next(&c) == 10, "10 is open");
    contiguous_done(&c, t[0]);
    cr_assert(contiguous_next(&c) == 13);
    contiguous_free(&c);
}

Test(contiguous, an_offset_that_was_taken_is_not_taken_again)
{
    struct contiguous c = { 0 };
    uint64_t t;
    cr_assert(contiguous_start(&c, 5, &t));
    cr_assert_not(contiguous_start(&c, 5, &t));
    cr_assert_not(contiguous_start(&c, 4, &t));
    contiguous_free(&c);
}

/* Any order of ends, with gaps in the offsets: the answer is the model's after every step. */
Test(contiguous, agrees_with_the_model_for_any_order)
{
    enum { RECORDS = 700 };
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
        struct contiguous c = { 0 };
        static int64_t offset[RECORDS];
        static uint64_t ticket[RECORDS];
        static bool done[RECORDS];
        size_t taken = 0, low = 0;
        int64_t at = (int64_t)(next_random(&random) % 1000);
        while (low < RECORDS) {
            if (taken < RECORDS && next_random(&random) % 2) {
                offset[taken] = at;
                at += 1 + (int64_t)(next_random(&random) % 3);
                cr_assert(contiguous_start(&c, offset[taken], &ticket[taken]));
                done[taken++] = false;
            } else if (taken > low) {
                size_t i = low + next_random(&random) % (taken - low);
                if (done[i]) continue;
                contiguous_done(&c, ticket[i]);
                done[i] = true;
            }
            while (low < taken && done[low]) low++;
            int64_t want = !taken ? -1 : low < taken ? offset[low] : offset[taken - 1] + 1;
            cr_assert(contiguous_next(&c) == want, "seed %lu", (unsigned long)seed);
        }
        cr_assert(contiguous_open(&c) == 0);
        contiguous_free(&c);
    }
}
