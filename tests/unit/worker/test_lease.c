/* SPDX-License-Identifier: Apache-2.0
 *
 * What the worker asks of Redis, against one of the test's own on a unix socket: what the scripts
 * of lease, renewal and breaker answer to two workers, and what done marks leave there. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "tests/redis/ask.h"
#include "worker/call.h"

extern const char worker_script_lease[], worker_script_renew[], worker_script_release[],
    worker_script_breaker[];

#define LEASE(r, worker, ms, task) \
    ask(r, worker_script_lease, "p:{3} tk / g1 %s %d 1 60000 %s", worker, ms, task)

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
    COMMAND(&r, "HSET tk a D b C c F|41");
    cr_assert_str_eq(LEASE(&r, "w2", 30000, "a"), "g1 D");
    cr_assert_str_eq(LEASE(&r, "w2", 30000, "b"), "g1 C");
    cr_assert_str_eq(LEASE(&r, "w2", 30000, "c"), "g1 F", "wherever it has failed");
    cr_assert_str_eq(ask(&r, worker_script_renew, "tk / w1 30000 1 60000 c"), "F");
    cr_assert_str_eq(COMMAND(&r, "HGETALL tk"), "a D b C c F|41");
    redis_stop(&r);
}

Test(lease, tasks_of_two_hashes_are_taken_by_one_call_each_in_its_own)
{
    struct redis r = redis_start();
    COMMAND(&r, "HSET p:{3} gen g1");
    COMMAND(&r, "HSET tk2 d D e L|w0|1");
    cr_assert_str_eq(
        ask(&r, worker_script_lease, "p:{3} tk tk2 / g1 w1 30000 2 60000 a b 4 90000 a d e f"),
        "g1 T T T D E T");
    cr_assert_str_eq(COMMAND(&r, "HKEYS tk"), "a b");
    cr_assert_str_eq(COMMAND(&r, "HKEYS tk2"), "d e a f");
    cr_assert_str_eq(ask(&r, worker_script_renew, "tk tk2 / w1 30000 1 60000 b 3 90000 d a g"),
                     "R D R R");
    cr_assert_str_eq(COMMAND(&r, "HKEYS tk2"), "d e a f g");
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
    ask(&r, worker_script_lease, "p:{3} tk / g1 w1 30000 2 300000 b c");
    check_kept(&r, "tk", 300000);
    LEASE(&r, "w1", 30000, "d");
    check_kept(&r, "tk", 300000);
    ask(&r, worker_script_renew, "tk made / w1 30000 1 400000 b 1 60000 e");
    check_kept(&r, "tk", 400000);
    check_kept(&r, "made", 60000);
    redis_stop(&r);
}

/* As much of a worker as its done marks need, over a real store. */
struct marking {
    struct redis r;
    struct log log;
    struct source source;
    struct part part;
    struct worker worker;
};

static void marking_start(struct marking *m)
{
    *m = (struct marking){ .r = redis_start(), .log = log_new("test", LOG_ERROR + 1, 2) };
    m->source.refs = 1;
    m->part.partition = 3;
    m->worker = (struct worker){
        .loop = m->r.loop, .store = m->r.store, .prefix = "t", .lease_ms = 30000, .log = m->log
    };
}

static void marking_stop(struct marking *m)
{
    for (size_t i = 0; i < m->worker.chunk_count; i++) free(m->worker.chunks[i]);
    free(m->worker.chunks);
    contiguous_free(&m->source.done);
    redis_stop(&m->r);
}

/* A call whose result is in the log; failed_at: where the failure stands, or 0. */
static void acknowledged(struct marking *m, const char *task, const char *marks, int64_t left_ms,
                         int64_t failed_at)
{
    uint64_t ticket;
    cr_assert(contiguous_start(&m->source.done, m->source.done.last + 1, &ticket));
    struct call *c = call_new(&m->worker, &m->source, ticket);
    c->state = CALL_MARKING;
    c->part = &m->part;
    c->task.task_id = bytes_of(task);
    c->task.marks = bytes_of(marks);
    c->task.deadline_ms = clock_wall_ms() + left_ms;
    c->type = failed_at ? EVENT_TASK_FAILED : EVENT_TASK_COMPLETED;
    c->result_off = failed_at;
    c->sure = true;
    call_push(&m->part.acked, c);
}

static bool nothing_held(void *user)
{
    return ((struct worker *)user)->held == 0;
}

static bool any_again(void *user)
{
    return ((struct part *)user)->acked.count > 0;
}

static void mark_all(struct marking *m)
{
    lease_mark_done(&m->worker, &m->part);
    cr_assert_null(m->part.acked.head);
    cr_assert(loop_run_until(m->r.loop, nothing_held, &m->worker, 10000));
}

Test(done, marks_go_into_the_hashes_of_their_tasks)
{
    struct marking m;
    marking_start(&m);
    COMMAND(&m.r, "HSET t:tk:{3}:7 a L|w1|9999999999999 z C");
    acknowledged(&m, "a", "7", 0, 0);
    acknowledged(&m, "b", "12", 0, 0);
    acknowledged(&m, "c", "7", 0, 41);
    mark_all(&m);
    cr_assert_str_eq(COMMAND(&m.r, "HGETALL t:tk:{3}:7"), "a D z C c F|41");
    cr_assert_str_eq(COMMAND(&m.r, "HGETALL t:tk:{3}:12"), "b D");
    marking_stop(&m);
}

/* Redis has lost the hash, or it has run out: it must neither stay for ever nor end too soon. */
Test(done, a_hash_that_is_made_anew_lives_past_the_deadlines_of_its_tasks)
{
    struct marking m;
    marking_start(&m);
    acknowledged(&m, "a", "7", 2000000, 0);
    acknowledged(&m, "b", "7", 900000, 0);
    acknowledged(&m, "c", "12", -5000, 0);
    mark_all(&m);
    check_kept(&m.r, "t:tk:{3}:7", 2000000);
    check_kept(&m.r, "t:tk:{3}:12", 600000);
    marking_stop(&m);
}

/* Another task has made it anew, whose deadline is earlier. */
Test(done, a_hash_that_would_end_too_soon_lives_on_and_no_life_is_shortened)
{
    struct marking m;
    marking_start(&m);
    COMMAND(&m.r, "HSET t:tk:{3}:7 z D");
    COMMAND(&m.r, "PEXPIRE t:tk:{3}:7 700000");
    COMMAND(&m.r, "HSET t:tk:{3}:12 z D");
    COMMAND(&m.r, "PEXPIRE t:tk:{3}:12 3000000");
    acknowledged(&m, "a", "7", 2000000, 0);
    acknowledged(&m, "b", "12", 2000000, 0);
    mark_all(&m);
    check_kept(&m.r, "t:tk:{3}:7", 2000000);
    check_kept(&m.r, "t:tk:{3}:12", 2950000);
    marking_stop(&m);
}

Test(done, a_mark_that_redis_refuses_is_given_again)
{
    struct marking m;
    marking_start(&m);
    COMMAND(&m.r, "SET t:tk:{3}:7 text");
    acknowledged(&m, "a", "7", 0, 0);
    acknowledged(&m, "b", "12", 0, 0);
    lease_mark_done(&m.worker, &m.part);
    cr_assert_eq(m.part.acked.count, 0);
    cr_assert(loop_run_until(m.r.loop, any_again, &m.part, 10000));
    cr_assert_eq(m.part.acked.count, 2, "none of a lot is done unless all are");
    cr_assert_eq(m.worker.held, 2);
    COMMAND(&m.r, "DEL t:tk:{3}:7");
    m.part.hold_ms = 0;
    mark_all(&m);
    cr_assert_str_eq(COMMAND(&m.r, "HGET t:tk:{3}:7 a"), "D");
    marking_stop(&m);
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
    cr_assert_str_eq(ask(&r, worker_script_renew, "tk / w1 30000 5 60000 a b c d new"),
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
