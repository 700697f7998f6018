/* SPDX-License-Identifier: Apache-2.0
 *
 * Schedules: how they are read, which planned time is due at a moment, and the start that a firing
 * is. */
#include "common/definition/firing.h"

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "support.h"

#define HOUR_MS   (3600LL * SECOND_MS)
#define MINUTE_MS (60LL * SECOND_MS)

static int64_t ms_of(const char *text)
{
    int64_t ms = 0;
    cr_assert(time_parse(text, &ms), "%s", text);
    return ms;
}

static struct definition *scheduled(const char *trigger)
{
    AUTO_FREE char *text = xasprintf("workflow: w\nversion: '1'\ntriggers:\n- %s\n"
                                     "steps: [{name: a, type: task}]\n",
                                     trigger);
    return define(text);
}

/* --- when --- */

/* What fires of a schedule from base on, if somebody looks at `now` until nothing is due: the times
 * as "HH:MM HH:MM", then when to look again. */
static void expect_due(const char *cron, const char *zone, const char *catch_up, const char *base,
                       const char *now, const char *wanted, const char *next)
{
    AUTO_FREE char *trigger = xasprintf("{schedule: '%s', timezone: %s, %s}", cron, zone, catch_up);
    AUTO_DEFINITION *d = scheduled(trigger);
    const struct schedule_def *s = d->triggers[0].schedule;
    struct cron c;
    struct err e;
    cr_assert(cron_parse(s->cron, &c, NULL, &e));
    CLEANUP(zone_free_p) struct zone *z = zone_load(s->timezone, &e);
    cr_assert_not_null(z);
    AUTO_BUF struct buf text = { 0 };
    char time[TIME_TEXT_MAX];
    int64_t at = ms_of(base), look, planned;
    while ((planned = schedule_due(s, &c, z, at, ms_of(now), &look)) >= 0) {
        cr_assert(planned > at && planned <= ms_of(now), "%lld behind %lld", (long long)planned,
                  (long long)at);
        at = planned;
        time_format(planned, time);
        buf_addf(&text, "%s%.5s", text.len ? " " : "", time + 11);
    }
    buf_add_char(&text, '\0');
    cr_expect_str_eq(text.data, wanted, "%s, %s: %s, not %s", cron, catch_up, text.data, wanted);
    time_format(look, time);
    cr_expect_eq(look, ms_of(next), "%s, %s: looks again at %s, not %s", cron, catch_up, time,
                 next);
}
#define T(hour_minute) "2026-11-28T" hour_minute ":00Z"

Test(firing, a_time_that_has_come_fires_once_and_the_next_is_waited_for)
{
    const char *const all[] = { "catch_up: none", "catch_up: last", "catch_up: all" };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        expect_due("*/10 * * * *", "UTC", all[i], T("09:00"), "2026-11-28T09:10:00.100Z", "09:10",
                   T("09:20"));
        expect_due("*/10 * * * *", "UTC", all[i], T("09:00"), "2026-11-28T09:09:59.999Z", "",
                   T("09:10"));
        expect_due("*/10 * * * *", "UTC", all[i], T("09:10"), T("09:10"), "", T("09:20"));
    }
}

Test(firing, what_was_missed_is_made_up_for_as_the_schedule_says)
{
    expect_due("*/10 * * * *", "UTC", "catch_up: none", T("09:00"), T("09:38"), "", T("09:40"));
    expect_due("*/10 * * * *", "UTC", "catch_up: last", T("09:00"), T("09:38"), "09:30",
               T("09:40"));
    expect_due("*/10 * * * *", "UTC", "catch_up: all", T("09:00"), T("09:38"), "09:10 09:20 09:30",
               T("09:40"));
    expect_due("*/10 * * * *", "UTC", "catch_up: all, max_catch_up: 2", T("09:00"), T("09:38"),
               "09:20 09:30", T("09:40"));
}

Test(firing, a_time_that_is_late_by_less_than_a_minute_was_not_missed)
{
    expect_due("*/10 * * * *", "UTC", "catch_up: none", T("09:00"), "2026-11-28T09:10:59.999Z",
               "09:10", T("09:20"));
    expect_due("*/10 * * * *", "UTC", "catch_up: none", T("09:00"), T("09:11"), "", T("09:20"));
    expect_due("*/10 * * * *", "UTC", "catch_up: none", T("08:00"), "2026-11-28T09:10:30Z", "09:10",
               T("09:20"));
}

Test(firing, a_downtime_of_years_is_looked_through_at_once)
{
    expect_due("0 * * * *", "UTC", "catch_up: all, max_catch_up: 3", "2016-01-01T00:00:00Z",
               T("09:38"), "07:00 08:00 09:00", T("10:00"));
    expect_due("30 9 1 1 *", "UTC", "catch_up: last", "2016-01-01T10:00:00Z", T("09:38"), "09:30",
               "2027-01-01T09:30:00Z");
}

Test(firing, times_follow_the_zone_over_a_change_of_the_clocks)
{
    expect_due("30 2 * * *", "Europe/Oslo", "catch_up: all", "2026-03-27T12:00:00Z",
               "2026-03-30T12:00:00Z", "01:30 01:00 00:30", "2026-03-31T00:30:00Z");
}

/* --- how they are read --- */

Test(schedule, its_fields_and_their_defaults)
{
    AUTO_DEFINITION *d = scheduled("{schedule: '0 9 * * mon-fri'}");
    const struct trigger_def *t = &d->triggers[0];
    cr_expect_str_eq(t->schedule->name, "1");
    cr_expect_str_eq(t->schedule->timezone, "UTC");
    cr_expect_eq(t->policy, START_SKIP);
    cr_expect_eq(t->schedule->catch_up, CATCH_UP_NONE);
    cr_expect_eq(t->schedule->catch_up_max, 100);
    cr_expect_not(t->schedule->paused);
    AUTO_DEFINITION *m =
        scheduled("{schedule: '@daily', name: nightly, timezone: Europe/Oslo, overlap: replace, "
                  "catch_up: all, max_catch_up: 1000, paused: true}\n- {topic: t}\n- {schedule: "
                  "'@hourly', overlap: queue}");
    cr_expect_str_eq(m->triggers[0].schedule->name, "nightly");
    cr_expect_eq(m->triggers[0].policy, START_REPLACE);
    cr_expect_eq(m->triggers[0].schedule->catch_up_max, 1000);
    cr_expect(m->triggers[0].schedule->paused);
    cr_expect_str_eq(m->triggers[2].schedule->name, "2", "the second schedule");
    cr_expect_eq(m->triggers[2].policy, START_QUEUE);
}

/* --- a start --- */

Test(firing, the_same_time_is_the_same_run_and_all_runs_of_a_schedule_share_a_route)
{
    AUTO_DEFINITION *d = scheduled("{schedule: '@daily'}\n- {schedule: '@daily', name: b}");
    char a[RUN_ID_MAX], again[RUN_ID_MAX], later[RUN_ID_MAX], other[RUN_ID_MAX];
    schedule_run_id(d, &d->triggers[0], 1000, a);
    schedule_run_id(d, &d->triggers[0], 1000, again);
    schedule_run_id(d, &d->triggers[0], 2000, later);
    schedule_run_id(d, &d->triggers[1], 1000, other);
    cr_expect(run_id_check(bytes_of(a)));
    cr_expect_str_eq(a, again);
    cr_expect_str_neq(a, later);
    cr_expect_eq(memcmp(a, later, ROUTE_HEX), 0);
    cr_expect_neq(memcmp(a, other, ROUTE_HEX), 0);
}

static void expect_input(const char *trigger, const char *wanted)
{
    AUTO_DEFINITION *d = scheduled(trigger);
    CLEANUP(firing_done) struct firing f = { 0 };
    struct err e;
    cr_assert(firing_make(d, &d->triggers[0], ms_of(T("09:00")), &f, &e), "%s", e.text);
    cr_expect(bytes_is(buf_bytes(&f.input), wanted), "%.*s", (int)f.input.len, f.input.data);
}

Test(firing, the_input_names_the_planned_time)
{
    expect_input("{schedule: '@daily'}",
                 "{\"schedule\":\"w/1\",\"scheduled_at\":\"2026-11-28T09:00:00.000Z\"}");
    expect_input("{schedule: '@daily', input: {at: '${event.time}', by: '${event.schedule}'}}",
                 "{\"at\":\"2026-11-28T09:00:00.000Z\",\"by\":\"w/1\"}");
}

Test(firing, an_input_that_cannot_be_made_is_an_error_with_a_run_id)
{
    AUTO_DEFINITION *d = scheduled("{schedule: '@daily', input: '${int(event.schedule)}'}");
    CLEANUP(firing_done) struct firing f = { 0 };
    struct err e;
    cr_assert_not(firing_make(d, &d->triggers[0], 1000, &f, &e));
    cr_expect(strstr(e.text, "input of schedule w/1"), "%s", e.text);
    cr_expect(run_id_check(bytes_of(f.run_id)));
}

Test(firing, its_event_can_be_decoded)
{
    AUTO_DEFINITION *d = scheduled("{schedule: '@daily', overlap: queue}");
    CLEANUP(firing_done) struct firing f = { 0 };
    struct err e;
    struct message m = { 0 };
    struct event ev;
    cr_assert(firing_make(d, &d->triggers[0], 1000, &f, &e));
    firing_headers(d, d->triggers[0].policy, &f, m.header);
    m.value = buf_bytes(&f.input);
    cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK, "%s", e.text);
    cr_expect_eq(ev.policy, START_QUEUE);
    cr_expect_null(ev.schedule.data, "one by hand does not count as fired");
    m.header[HEADER_SCHEDULE] = BYTES_LIT("w/1");
    cr_expect_eq(event_decode(&m, &ev, &e), EVENT_MALFORMED, "its time is missing");
    m.header[HEADER_DUE_MS] = BYTES_LIT("1000");
    cr_assert_eq(event_decode(&m, &ev, &e), EVENT_OK, "%s", e.text);
    cr_expect_eq(ev.due_ms, 1000);
    m.header[HEADER_SCHEDULE] = BYTES_LIT("w 1");
    cr_expect_eq(event_decode(&m, &ev, &e), EVENT_MALFORMED);
}
