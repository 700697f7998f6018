/* SPDX-License-Identifier: Apache-2.0
 *
 * The circuit breaker over time. A script is a line of letters: s and f are calls that succeed and
 * fail, i one that is ignored, x one that must be refused, + ten seconds that pass. */
#include <criterion/criterion.h>

#include "worker/breaker.h"

static const struct {
    const char *title, *script;
    enum breaker_state end;
} rows[] = {
    { "below the minimum nothing trips", "fff", BREAKER_CLOSED },
    { "half of the calls trip it", "sfsf", BREAKER_OPEN },
    { "less than half do not", "ssfsf", BREAKER_CLOSED },
    { "only the last window counts", "ssssssssssssffff", BREAKER_OPEN },
    { "open refuses", "ffffxxx", BREAKER_OPEN },
    { "open refuses until the wait is over", "ffff++x", BREAKER_OPEN },
    { "after the wait probes pass, and close it", "ffff+++ss", BREAKER_CLOSED },
    { "a failing probe opens it again", "ffff+++sf", BREAKER_OPEN },
    { "and the wait begins anew", "ffff+++ff+xx", BREAKER_OPEN },
    { "one probe does not decide", "ffff+++s", BREAKER_HALF },
    { "an ignored probe gives its permit back", "ffff+++iiiss", BREAKER_CLOSED },
    { "ignored calls count for nothing", "iiiiiiiifff", BREAKER_CLOSED },
    { "closed again it starts with empty counts", "ffff+++ssfff", BREAKER_CLOSED },
};

static const struct breaker_options options = {
    .window = 8, .calls_min = 4, .failure_percent = 50, .open_ms = 30000, .permits = 2
};

Test(breaker, follows_the_rules_over_time)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct breaker b;
        uint64_t now = 1000, epoch = 0, wait = 0;
        breaker_init(&b, options);
        for (const char *p = rows[i].script; *p; p++) {
            if (*p == '+') {
                now += 10000;
                continue;
            }
            bool pass = breaker_acquire(&b, now, &epoch, &wait);
            cr_assert(pass == (*p != 'x'), "%s: at '%s'", rows[i].title, p);
            if (!pass) {
                cr_assert(wait > 0 && wait <= 30000);
                continue;
            }
            breaker_record(&b, now, epoch,
                           *p == 's'   ? BREAKER_SUCCESS
                           : *p == 'f' ? BREAKER_FAILURE
                                       : BREAKER_IGNORE);
        }
        cr_expect_eq(b.state, rows[i].end, "%s: %s", rows[i].title, breaker_state_name(b.state));
    }
}

Test(breaker, half_open_lets_no_more_calls_through_than_it_has_permits)
{
    struct breaker b;
    uint64_t epoch, wait;
    breaker_init(&b, options);
    breaker_force(&b, 0, BREAKER_OPEN, 100);
    cr_assert_not(breaker_acquire(&b, 99, &epoch, &wait));
    cr_assert_eq(wait, 1);
    cr_assert(breaker_acquire(&b, 100, &epoch, &wait));
    cr_assert(breaker_acquire(&b, 100, &epoch, &wait));
    cr_assert_not(breaker_acquire(&b, 100, &epoch, &wait));
}

Test(breaker, late_result_of_an_earlier_state_changes_nothing)
{
    struct breaker b;
    uint64_t early, epoch, wait;
    breaker_init(&b, options);
    cr_assert(breaker_acquire(&b, 0, &early, &wait));
    breaker_force(&b, 0, BREAKER_OPEN, 10);
    cr_assert(breaker_acquire(&b, 10, &epoch, &wait));
    breaker_record(&b, 10, early, BREAKER_FAILURE);
    breaker_record(&b, 10, early, BREAKER_FAILURE);
    cr_assert_eq(b.state, BREAKER_HALF);
}
