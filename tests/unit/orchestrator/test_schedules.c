/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fold makes of a schedule's starts, and of a pause. */
#include <criterion/criterion.h>

#include "common/proto/ledger.h"
#include "orchestrator/internal.h"

static bool fired(struct ledger *l, const char *id, int64_t due_ms)
{
    struct event ev = { .type = EVENT_RUN_START, .schedule = bytes_of(id), .due_ms = due_ms };
    return schedules_start(l, &ev);
}

static void control(struct ledger *l, enum event_type type, int64_t record_ms)
{
    struct event ev = { .type = type, .schedule = BYTES_LIT("w/1") };
    schedules_control(l, &ev, record_ms);
}

static void expect_state(struct ledger *l, const char *wanted)
{
    const struct ledger_item *e = ledger_find(l, BYTES_LIT("s:w/1"));
    cr_assert_not_null(e);
    cr_assert(bytes_is(buf_bytes(&e->value), wanted), "%.*s", (int)e->value.len, e->value.data);
}

Test(schedules, a_time_that_comes_twice_or_late_starts_nothing)
{
    struct ledger l = { 0 };
    cr_assert(fired(&l, "w/1", 1000));
    cr_assert_not(fired(&l, "w/1", 1000));
    cr_assert(fired(&l, "w/1", 3000));
    cr_assert_not(fired(&l, "w/1", 2000));
    cr_assert(fired(&l, "w/2", 2000), "another schedule");
    expect_state(&l, "3000 -");
    ledger_done(&l);
}

Test(schedules, a_start_by_hand_does_not_count)
{
    struct ledger l = { 0 };
    struct event ev = { .type = EVENT_RUN_START };
    cr_assert(schedules_start(&l, &ev));
    cr_assert_eq(l.entries.count, 0);
}

Test(schedules, while_one_is_paused_its_times_pass_without_a_run)
{
    struct ledger l = { 0 };
    cr_assert(fired(&l, "w/1", 1000));
    control(&l, EVENT_SCHEDULE_PAUSED, 1500);
    expect_state(&l, "1000 p");
    cr_assert_not(fired(&l, "w/1", 2000), "it was on its way");
    expect_state(&l, "2000 p");
    control(&l, EVENT_SCHEDULE_RESUMED, 5500);
    expect_state(&l, "5500 r");
    cr_assert_not(fired(&l, "w/1", 5000), "what was paused was not missed");
    cr_assert(fired(&l, "w/1", 6000));
    ledger_done(&l);
}

Test(schedules, the_clock_of_a_record_never_takes_a_time_back)
{
    struct ledger l = { 0 };
    cr_assert(fired(&l, "w/1", 9000));
    control(&l, EVENT_SCHEDULE_RESUMED, 100);
    expect_state(&l, "9000 r");
    ledger_done(&l);
}

Test(schedules, a_stored_state_that_is_damaged_counts_as_none)
{
    const char *const bad[] = { "", "x", "12", "12 ", "12 p ", "-5 p", "1234567890123456789 p" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct schedule_state s = schedule_decode(bytes_of(bad[i]));
        cr_expect(s.last_ms == 0 && s.paused == SCHEDULE_BY_DEFINITION, "'%s'", bad[i]);
    }
}
