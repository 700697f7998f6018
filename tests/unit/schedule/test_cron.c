/* SPDX-License-Identifier: Apache-2.0 */
#include "common/schedule/cron.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"

static int64_t ms_of(const char *text)
{
    struct tm tm = { 0 };
    cr_assert(strptime(text, "%Y-%m-%dT%H:%MZ", &tm), "%s", text);
    return (int64_t)timegm(&tm) * 1000;
}

/* The firings behind a moment, in UTC, one after the other. */
static void expect_next(const char *cron, const char *zone, const char *after,
                        const char *const *wanted)
{
    struct cron c;
    struct err e;
    cr_assert(cron_parse(cron, &c, NULL, &e), "%s: %s", cron, e.text);
    CLEANUP(zone_free_p) struct zone *z = zone_load(zone, &e);
    cr_assert(z, "%s", e.text);
    int64_t at = ms_of(after);
    for (; *wanted; wanted++) {
        char text[TIME_TEXT_MAX];
        at = cron_next_ms(&c, z, at);
        time_format(at, text);
        cr_expect(at == ms_of(*wanted), "%s in %s: %s, not %s", cron, zone, text, *wanted);
        at = ms_of(*wanted);
    }
}
#define EXPECT_NEXT(cron, zone, after, ...) \
    expect_next(cron, zone, after, (const char *const[]){ __VA_ARGS__, NULL })

Test(cron, fires_at_the_minutes_that_it_names)
{
    EXPECT_NEXT("*/20 9-10 * * *", "UTC", "2026-11-28T09:50Z", "2026-11-28T10:00Z",
                "2026-11-28T10:20Z", "2026-11-28T10:40Z", "2026-11-29T09:00Z");
    EXPECT_NEXT("5,35 0 1 jan *", "", "2026-11-28T00:00Z", "2027-01-01T00:05Z", "2027-01-01T00:35Z",
                "2028-01-01T00:05Z");
    EXPECT_NEXT("0 12 * * mon-fri", "UTC", "2026-11-27T12:00Z", "2026-11-30T12:00Z",
                "2026-12-01T12:00Z");
    EXPECT_NEXT("0 0 * * 7", "UTC", "2026-11-28T00:00Z", "2026-11-29T00:00Z", "2026-12-06T00:00Z");
    EXPECT_NEXT("@hourly", "UTC", "2026-11-28T10:00Z", "2026-11-28T11:00Z");
    EXPECT_NEXT("0 0 29 2 *", "UTC", "2096-03-01T00:00Z", "2104-02-29T00:00Z");
}

Test(cron, either_of_two_restricted_days_fires)
{
    EXPECT_NEXT("0 0 13 * fri", "UTC", "2026-11-06T00:00Z", "2026-11-13T00:00Z",
                "2026-11-20T00:00Z");
    EXPECT_NEXT("0 0 13 * fri", "UTC", "2026-12-11T00:00Z", "2026-12-13T00:00Z",
                "2026-12-18T00:00Z");
    EXPECT_NEXT("0 0 13 * *", "UTC", "2026-11-14T00:00Z", "2026-12-13T00:00Z");
}

Test(cron, is_told_in_local_time)
{
    EXPECT_NEXT("0 9 * * *", "Europe/Oslo", "2026-06-01T00:00Z", "2026-06-01T07:00Z");
    EXPECT_NEXT("0 9 * * *", "Europe/Oslo", "2026-12-01T00:00Z", "2026-12-01T08:00Z");
    EXPECT_NEXT("0 0 1 * *", "Asia/Kolkata", "2026-11-02T00:00Z", "2026-11-30T18:30Z");
}

Test(cron, a_time_that_the_clocks_skip_fires_as_they_are_put_forward)
{
    /* 29 March 2026, 02:00 -> 03:00 in Oslo, at 01:00 UTC. */
    EXPECT_NEXT("30 2 * * *", "Europe/Oslo", "2026-03-28T02:00Z", "2026-03-29T01:00Z",
                "2026-03-30T00:30Z");
    EXPECT_NEXT("0 3 * * *", "Europe/Oslo", "2026-03-28T02:00Z", "2026-03-29T01:00Z",
                "2026-03-30T01:00Z");
    EXPECT_NEXT("30 * * * *", "Europe/Oslo", "2026-03-29T00:00Z", "2026-03-29T00:30Z",
                "2026-03-29T01:30Z");
}

Test(cron, what_has_a_star_follows_the_time_as_it_passes)
{
    EXPECT_NEXT("*/30 2 * * *", "Europe/Oslo", "2026-03-28T02:00Z", "2026-03-30T00:00Z");
    EXPECT_NEXT("*/30 2 * * *", "Europe/Oslo", "2026-10-25T00:00Z", "2026-10-25T00:30Z",
                "2026-10-25T01:00Z", "2026-10-25T01:30Z", "2026-10-26T01:00Z");
}

Test(cron, a_time_that_the_clocks_pass_twice_fires_once)
{
    /* 25 October 2026, 03:00 -> 02:00 in Oslo, at 01:00 UTC. */
    EXPECT_NEXT("30 2 * * *", "Europe/Oslo", "2026-10-24T12:00Z", "2026-10-25T00:30Z",
                "2026-10-26T01:30Z");
    EXPECT_NEXT("30 * * * *", "Europe/Oslo", "2026-10-25T00:00Z", "2026-10-25T00:30Z",
                "2026-10-25T01:30Z");
}

Test(cron, a_date_that_never_comes_never_fires)
{
    struct cron c;
    struct err e;
    CLEANUP(zone_free_p) struct zone *z = zone_load("UTC", &e);
    cr_assert(cron_parse("0 0 31 2 *", &c, NULL, &e));
    cr_expect_eq(cron_next_ms(&c, z, 0), INT64_MAX);
}

Test(cron, what_is_no_expression_is_refused_with_the_field_and_the_place)
{
    static const struct {
        const char *text, *says;
        size_t offset;
    } bad[] = { { "", "minute is missing", 0 },
                { "* * * *", "day of week is missing", 7 },
                { "60 * * * *", "minute: expected a value from 0 to 59", 2 },
                { "* 24 * * *", "hour", 4 },
                { "* * 0 * *", "day of month", 5 },
                { "* * * foo *", "month: expected", 6 },
                { "* * * * 8", "day of week", 9 },
                { "5-1 * * * *", "runs backwards", 3 },
                { "*/0 * * * *", "a step", 3 },
                { "1,, * * * *", "minute", 2 },
                { "1x * * * *", "not understood", 1 },
                { "* * * * * *", "more than five", 10 },
                { "@often", "@hourly", 0 },
                { "99999999999999999999 * * * *", "minute", 3 } };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct cron c;
        struct err e;
        size_t offset = 99;
        cr_expect_not(cron_parse(bad[i].text, &c, &offset, &e), "%s", bad[i].text);
        cr_expect(strstr(e.text, bad[i].says), "%s: %s", bad[i].text, e.text);
        cr_expect_eq(offset, bad[i].offset, "%s: %zu", bad[i].text, offset);
    }
}

Test(zone, only_names_of_the_database_are_zones)
{
    static const char *const bad[] = { "/etc/localtime", "../x",         "+02:00",
                                       "europe/oslo",    "Mars/Olympus", "CET-1CEST" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = { 0 };
        cr_expect_null(zone_load(bad[i], &e), "%s", bad[i]);
        cr_expect_neq(e.kind, ERR_NONE);
    }
}
