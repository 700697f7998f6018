/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's scripts against a Redis of the test's own, on a unix socket: what lease, renewal,
 * done and breaker answer, from two workers. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "tests/redis/ask.h"

extern const char worker_script_lease[], worker_script_renew[], worker_script_done[],
    worker_script_release[], worker_script_breaker[];

#define LEASE(r, worker, ms, task) \
    ask(r, worker_script_lease, "p:{3} tk / g1 %s %d %s 60000", worker, ms, task)

static void until_ended(struct redis *r)
{
    uint64_t end = clock_mono_ms() + 5000;
    while (strcmp(LEASE(r, "w3", 1000, "a"), "g1 E") != 0)
        cr_assert(clock_mono_ms() < end, "%s", r->answer);
}

Test(lease, the_first_taker_wins_and_others_hear_how_long)
{
    struct redis r = redis_start();
    COMMAND(&r, "HSET p:{3} gen g1");
    cr_assert_str_eq(LEASE(&r, "w1", 30000, "a"), "g1 T");
    cr_assert_str_eq(LEASE(&r, "w1", 30000, "a"), "g1 T", "its own write, asked again");
    LEASE(&r, "w2", 30000, "a");
    int ms = 0;
    cr_assert_eq(sscanf(r.answer, "g1 H%d", &ms), 1, "%s", r.answer);
    cr_assert(ms > 20000 && ms <= 30000);
    redis_stop(&r);
}

Test(lease, one_that_ran_out_is_ended_for_everybody_and_stays_so)
{
    struct redis r = redis_start();
    COMMAND(&r, "HSET p:{3} gen g1");
    cr_assert_str_eq(LEASE(&r, "w1", 1, "a"), "g1 T");
    until_ended(&r);
    cr_assert_str_eq(LEASE(&r, "w1", 30000, "a"), "g1 E",
                     "even for its holder: another may have said so");
    redis_stop(&r);
}

Test(lease, done_and_cancelled_tasks_are_not_taken)
{
    struct redis r = redis_start();
    COMMAND(&r, "HSET p:{3} gen g1");
    LEASE(&r, "w1", 30000, "a");
    ask(&r, worker_script_done, "tk / a 60000");
    cr_assert_str_eq(LEASE(&r, "w2", 30000, "a"), "g1 D");
    COMMAND(&r, "HSET tk b C");
    cr_assert_str_eq(LEASE(&r, "w2", 30000, "b"), "g1 C");
    LEASE(&r, "w1", 30000, "c");
    ask(&r, worker_script_done, "tk tk2 / c d 60000 60000 F|41 D");
    cr_assert_str_eq(COMMAND(&r, "HGET tk c"), "F|41");
    cr_assert_str_eq(COMMAND(&r, "HGETALL tk2"), "d D");
    cr_assert_str_eq(LEASE(&r, "w2", 30000, "c"), "g1 F", "wherever it has failed");
    cr_assert_str_eq(ask(&r, worker_script_renew, "tk / w1 30000 c 60000"), "F");
    redis_stop(&r);
}

static void check_kept(struct redis *r, const char *key, long least)
{
    long ms = strtol(COMMAND(r, "PTTL %s", key), NULL, 10);
    cr_assert(ms > least && ms <= least + 60000, "%s lives %ld ms", key, ms);
}

Test(lease, marks_of_a_run_live_as_long_as_the_longest_of_its_tasks_needs)
{
    struct redis r = redis_start();
    COMMAND(&r, "HSET p:{3} gen g1");
    LEASE(&r, "w1", 30000, "a");
    check_kept(&r, "tk", 60000);
    ask(&r, worker_script_lease, "p:{3} tk tk / g1 w1 30000 b c 300000 20000");
    check_kept(&r, "tk", 300000);
    ask(&r, worker_script_done, "tk new / a d 500000 60000");
    check_kept(&r, "tk", 300000); /* the lease has asked for what it needs */
    check_kept(&r, "new", 60000);
    ask(&r, worker_script_renew, "tk made / w1 30000 b e 400000 60000");
    check_kept(&r, "tk", 400000);
    check_kept(&r, "made", 60000);
    redis_stop(&r);
}

Test(lease, another_generation_or_none_leases_nothing)
{
    struct redis r = redis_start();
    cr_assert_str_eq(LEASE(&r, "w1", 30000, "a"), "-");
    COMMAND(&r, "HSET p:{3} gen g2");
    cr_assert_str_eq(LEASE(&r, "w1", 30000, "a"), "g2");
    cr_assert_str_eq(COMMAND(&r, "EXISTS tk"), "0");
    cr_assert_str_eq(ask(&r, worker_script_lease, "p:{3} / - w1 1000"), "g2",
                     "asked for the generation alone");
    redis_stop(&r);
}

Test(lease, renewal_extends_makes_again_and_hears_of_cancellation)
{
    struct redis r = redis_start();
    COMMAND(&r, "HSET p:{3} gen g1");
    LEASE(&r, "w1", 1000, "a");
    LEASE(&r, "w2", 30000, "b");
    COMMAND(&r, "HSET tk c C d D");
    cr_assert_str_eq(ask(&r, worker_script_renew,
                         "tk tk tk tk tk / w1 30000 a b c d new 60000 60000 60000 60000 60000"),
                     "R O C D R");
    LEASE(&r, "w2", 1000, "a");
    int ms = 0;
    cr_assert(sscanf(r.answer, "g1 H%d", &ms) == 1 && ms > 20000, "%s", r.answer);
    LEASE(&r, "w2", 1000, "new");
    cr_assert(strncmp(r.answer, "g1 H", 4) == 0, "a wiped Redis has the lease again: %s", r.answer);
    redis_stop(&r);
}

Test(lease, only_ones_own_lease_is_given_back)
{
    struct redis r = redis_start();
    COMMAND(&r, "HSET p:{3} gen g1");
    LEASE(&r, "w1", 30000, "a");
    cr_assert_str_eq(ask(&r, worker_script_release, "tk / w2 a"), "0");
    cr_assert_str_eq(ask(&r, worker_script_release, "tk / w1 a"), "1");
    cr_assert_str_eq(LEASE(&r, "w2", 30000, "a"), "g1 T");
    redis_stop(&r);
}

/* ok, failed, probes ok, probes failed, permits wanted */
#define BREAKER(r, worker, open_ms, ...) breaker(r, worker, open_ms, (int[]){ __VA_ARGS__ })
static const char *breaker(struct redis *r, const char *worker, int open_ms, const int n[6])
{
    return ask(r, worker_script_breaker,
               "cb {cb}:probes / %s 60000 4 50 %d 2 60000 %d %d %d %d %d %d", worker, open_ms, n[0],
               n[1], n[2], n[3], n[4], n[5]);
}

/* Half-open, with both permits in the hands of w1. */
static void half_open(struct redis *r)
{
    BREAKER(r, "w1", 20, 0, 4, 0, 0, 0, 0);
    uint64_t end = clock_mono_ms() + 5000;
    do BREAKER(r, "w1", 20, 0, 0, 0, 0, 2, 0);
    while (strncmp(r->answer, "open", 4) == 0 && clock_mono_ms() < end);
    cr_assert_str_eq(r->answer, "half 2 0 2");
}

Test(lease, the_fleets_breaker_opens_when_two_workers_see_failures_and_probes_close_it)
{
    struct redis r = redis_start();
    cr_assert_str_eq(BREAKER(&r, "w2", 50, 1, 0, 0, 0, 0, 0), "closed 0 0 0");
    cr_assert_str_eq(BREAKER(&r, "w1", 50, 0, 9, 0, 0, 0, 0), "closed 0 0 0",
                     "one worker alone may be the sick one");
    BREAKER(&r, "w2", 50, 0, 1, 0, 0, 0, 0);
    cr_assert(strncmp(r.answer, "open 1 ", 7) == 0, "%s", r.answer);
    uint64_t end = clock_mono_ms() + 5000;
    do BREAKER(&r, "w1", 50, 0, 0, 0, 0, 1, 0);
    while (strncmp(r.answer, "open", 4) == 0 && clock_mono_ms() < end);
    cr_assert_str_eq(r.answer, "half 2 0 1", "one permit was wanted");
    cr_assert_str_eq(BREAKER(&r, "w2", 50, 0, 0, 0, 0, 5, 0), "half 2 0 1", "there are two");
    cr_assert_str_eq(BREAKER(&r, "w2", 50, 0, 0, 0, 0, 5, 1), "half 2 0 0");
    cr_assert_str_eq(BREAKER(&r, "w2", 50, 0, 0, 1, 0, 0, 0), "half 2 0 0");
    cr_assert_str_eq(BREAKER(&r, "w1", 50, 0, 0, 1, 0, 0, 0), "closed 3 0 0");
    cr_assert_str_eq(BREAKER(&r, "w1", 50, 0, 1, 0, 0, 0, 0), "closed 3 0 0", "with empty counts");
    redis_stop(&r);
}

Test(lease, a_fleet_of_one_opens_by_itself_and_failing_probes_open_again)
{
    struct redis r = redis_start();
    half_open(&r);
    BREAKER(&r, "w1", 20, 0, 0, 1, 1, 0, 0);
    cr_assert(strncmp(r.answer, "open 3 ", 7) == 0, "%s", r.answer);
    redis_stop(&r);
}

Test(lease, permits_last_as_long_as_their_worker_renews_them)
{
    struct redis r = redis_start();
    half_open(&r);
    double soon = (double)clock_wall_ms() + 30000;
    (void)COMMAND(&r, "ZADD {cb}:probes XX %.0f w1|1 %.0f w1|2", soon, soon);
    BREAKER(&r, "w1", 20, 0, 0, 0, 0, 0, 2);
    cr_assert_gt(strtod(COMMAND(&r, "ZSCORE {cb}:probes w1|1"), NULL), soon);
    cr_assert_str_eq(BREAKER(&r, "w2", 20, 0, 0, 0, 0, 2, 0), "half 2 0 0");
    (void)COMMAND(&r, "ZADD {cb}:probes XX 1 w1|1 1 w1|2"); /* w1 has died, long ago */
    cr_assert_str_eq(BREAKER(&r, "w2", 20, 0, 0, 0, 0, 2, 0), "half 2 0 2");
    redis_stop(&r);
}

Test(lease, permits_that_a_worker_no_longer_holds_are_free_at_once)
{
    struct redis r = redis_start();
    half_open(&r);
    cr_assert_str_eq(BREAKER(&r, "w1", 20, 0, 0, 0, 0, 0, 1), "half 2 0 0", "one was not used");
    cr_assert_str_eq(BREAKER(&r, "w2", 20, 0, 0, 0, 0, 2, 0), "half 2 0 1");
    redis_stop(&r);
}
