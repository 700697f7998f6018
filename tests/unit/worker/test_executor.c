/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker over a fake bus and store: what it does for a task, and in what order. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "fake_io.h"
#include "worker/worker.h"

struct bench {
    struct loop *loop;
    struct fake *fake;
    struct worker *worker;
    bool drained;
};

static struct bench open_worker_leasing(uint32_t lease_ms)
{
    struct bench b = { 0 };
    struct err e;
    b.loop = loop_new(&e);
    b.fake = fake_new(b.loop);
    struct log log = log_new("test", LOG_ERROR, 2);
    const char *queues[] = { "default" };
    b.worker = worker_open(b.loop, fake_bus(b.fake), fake_store(b.fake), fake_pool(b.fake),
                           &(struct worker_options){ .prefix = "tutti",
                                                     .name = "w1",
                                                     .queues = queues,
                                                     .queue_count = 1,
                                                     .lease_ms = lease_ms,
                                                     .commit_ms = 30,
                                                     .log = &log },
                           &e);
    cr_assert(b.worker != NULL);
    fake_assign(b.fake, "tutti.tasks.default", 0);
    return b;
}

static struct bench open_worker(void)
{
    return open_worker_leasing(600);
}

static void close_worker(struct bench *b)
{
    worker_stop(b->worker);
    fake_free(b->fake);
    worker_free(b->worker);
    loop_free(b->loop);
}

static size_t at(const struct bench *b, const char *line)
{
    const char *j = fake_journal(b->fake), *found = strstr(j, line);
    cr_assert(found != NULL, "no '%s' in:\n%s", line, j);
    return (size_t)(found - j);
}

Test(executor, result_is_acknowledged_before_the_done_key_and_the_done_key_before_the_commit)
{
    struct bench b = open_worker();
    fake_hold_acks(b.fake, true);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 7 });
    cr_assert(fake_until(b.fake, "send task.completed a", 2000));
    cr_assert_not(fake_until(b.fake, "done a", 100), "no done key without an acknowledgement");
    cr_assert_eq(fake_count(b.fake, "commit 8"), 0);
    fake_hold_acks(b.fake, false);
    cr_assert(fake_until(b.fake, "commit 8", 2000));
    cr_assert(at(&b, "ask a") < at(&b, "send task.completed a"));
    cr_assert(at(&b, "ack a") < at(&b, "done a"));
    cr_assert(at(&b, "done a") < at(&b, "commit 8"));
    cr_assert_str_eq(fake_value(b.fake, 'a'), "{\"x\":1}");
    cr_assert_str_eq(fake_header(b.fake, 'a', HEADER_GEN), FAKE_GENERATION);
    cr_assert_str_eq(fake_header(b.fake, 'a', HEADER_ATTEMPT), "1");
    close_worker(&b);
}

Test(executor, tasks_that_end_out_of_order_commit_the_lowest_contiguous_offset)
{
    struct bench b = open_worker();
    fake_lease_verdict(b.fake, 'a', "H400");
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1 });
    fake_deliver(b.fake, &(struct fake_task){ .task = 'b', .offset = 2 });
    fake_deliver(b.fake, &(struct fake_task){ .task = 'c', .offset = 3 });
    cr_assert(fake_until(b.fake, "done c", 2000));
    cr_assert(fake_until(b.fake, "commit 1", 2000), "the first is still open");
    cr_assert_eq(fake_count(b.fake, "commit 4"), 0);
    fake_lease_verdict(b.fake, 'a', "D");
    cr_assert(fake_until(b.fake, "commit 4", 2000));
    cr_assert_eq(fake_count(b.fake, "send task.completed a"), 0, "another worker did it");
    close_worker(&b);
}

Test(executor, a_lease_that_ran_out_publishes_lost_and_calls_nobody)
{
    struct bench b = open_worker();
    fake_lease_verdict(b.fake, 'a', "E");
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1 });
    cr_assert(fake_until(b.fake, "commit 2", 2000));
    cr_assert_eq(fake_count(b.fake, "send task.lost a"), 1);
    cr_assert_eq(fake_count(b.fake, "send task.completed a"), 0);
    cr_assert_eq(fake_count(b.fake, "done a"), 1);
    close_worker(&b);
}

Test(executor, a_lease_whose_answer_took_long_is_asked_for_again_before_the_call)
{
    struct bench b = open_worker_leasing(30000);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'x', .offset = 1 });
    cr_assert(fake_until(b.fake, "commit 2", 2000), "the generation is known");
    fake_hold_replies(b.fake, true);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 2 });
    cr_assert_not(fake_until(b.fake, "send task.completed a", 700));
    fake_hold_replies(b.fake, false);
    cr_assert(fake_until(b.fake, "commit 3", 2000));
    cr_assert_eq(fake_count(b.fake, "ask a"), 2, "Redis may have been wiped since the first");
    cr_assert_eq(fake_count(b.fake, "send task.completed a"), 1);
    close_worker(&b);
}

Test(executor, a_task_of_another_generation_is_dropped_without_a_word)
{
    struct bench b = open_worker();
    fake_deliver(b.fake, &(struct fake_task){
                             .task = 'a', .offset = 1, .gen = "0123456789ab-bbbbbbbbbbbb" });
    fake_deliver(b.fake, &(struct fake_task){ .task = 'b', .offset = 2 });
    cr_assert(fake_until(b.fake, "commit 3", 2000));
    cr_assert_eq(fake_count(b.fake, "ask a"), 0);
    cr_assert_eq(fake_count(b.fake, "send task.completed a"), 0);
    cr_assert_eq(fake_count(b.fake, "send task.completed b"), 1);
    close_worker(&b);
}

Test(executor, a_new_generation_is_noticed_when_its_tasks_come)
{
    struct bench b = open_worker();
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1 });
    cr_assert(fake_until(b.fake, "done a", 2000));
    fake_gen(b.fake, "bbbbbbbbbbbb");
    fake_deliver(b.fake, &(struct fake_task){
                             .task = 'b', .offset = 2, .gen = "0123456789ab-bbbbbbbbbbbb" });
    fake_deliver(b.fake, &(struct fake_task){ .task = 'c', .offset = 3 });
    cr_assert(fake_until(b.fake, "commit 4", 2000));
    cr_assert_eq(fake_count(b.fake, "send task.completed b"), 1);
    cr_assert_eq(fake_count(b.fake, "send task.completed c"), 0, "c is of the old one");
    close_worker(&b);
}

Test(executor, a_failure_of_a_generation_that_is_over_settles_no_task_of_the_new_one)
{
    struct bench b = open_worker();
    fake_hold_acks(b.fake, true);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1, .uses = "nobody" });
    cr_assert(fake_until(b.fake, "send task.failed a", 2000));
    fake_gen(b.fake, "bbbbbbbbbbbb");
    fake_hold_acks(b.fake, false);
    cr_assert(fake_until(b.fake, "commit 2", 2000));
    cr_assert_eq(fake_count(b.fake, "done a"), 0);
    cr_assert_eq(fake_count(b.fake, "release a"), 1, "who has the new task may begin");
    close_worker(&b);
}

Test(executor, a_failure_is_told_again_to_the_generation_that_has_asked_again)
{
    struct bench b = open_worker();
    fake_hold_acks(b.fake, true);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1, .uses = "nobody" });
    cr_assert(fake_until(b.fake, "send task.failed a", 2000));
    fake_gen(b.fake, "bbbbbbbbbbbb");
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a',
                                              .offset = 2,
                                              .uses = "nobody",
                                              .gen = "0123456789ab-bbbbbbbbbbbb" });
    fake_turn(b.fake);
    fake_hold_acks(b.fake, false);
    cr_assert(fake_until(b.fake, "commit 3", 2000));
    cr_assert_eq(fake_count(b.fake, "send task.failed a"), 2);
    cr_assert_str_eq(fake_header(b.fake, 'a', HEADER_GEN), "0123456789ab-bbbbbbbbbbbb");
    cr_assert_eq(fake_count(b.fake, "done a"), 1);
    cr_assert_str_eq(fake_mark(b.fake, 'a'), "tutti:tk:{3} F|2",
                     "the second stands for the new generation");
    close_worker(&b);
}

Test(executor, the_mark_of_a_failure_says_where_it_stands_in_the_log)
{
    struct bench b = open_worker();
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1 });
    cr_assert(fake_until(b.fake, "done a", 2000));
    fake_deliver(b.fake, &(struct fake_task){ .task = 'b', .offset = 2, .uses = "nobody" });
    cr_assert(fake_until(b.fake, "done b", 2000));
    cr_assert_str_eq(fake_mark(b.fake, 'a'), "tutti:tk:{3} D");
    cr_assert_str_eq(fake_mark(b.fake, 'b'), "tutti:tk:{3} F|2");
    close_worker(&b);
}

Test(executor, a_failure_whose_generation_nobody_tells_asks_again)
{
    struct bench b = open_worker();
    fake_hold_acks(b.fake, true);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1, .uses = "nobody" });
    cr_assert(fake_until(b.fake, "send task.failed a", 2000));
    fake_lose_replies(b.fake, 1);
    fake_hold_acks(b.fake, false);
    cr_assert(fake_until(b.fake, "commit 2", 2000));
    cr_assert_eq(fake_count(b.fake, "done a"), 1);
    close_worker(&b);
}

Test(executor, a_partition_without_an_owner_makes_its_tasks_wait)
{
    struct bench b = open_worker();
    fake_gen(b.fake, "");
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1 });
    cr_assert_not(fake_until(b.fake, "send task.completed a", 300));
    fake_gen(b.fake, FAKE_GEN);
    cr_assert(fake_until(b.fake, "commit 2", 2000));
    close_worker(&b);
}

Test(executor, a_redelivery_of_a_running_task_rides_with_it)
{
    struct bench b = open_worker();
    fake_hold_acks(b.fake, true);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1 });
    cr_assert(fake_until(b.fake, "send task.completed a", 2000));
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 2 });
    fake_turn(b.fake);
    cr_assert_eq(fake_count(b.fake, "ask a"), 1);
    fake_hold_acks(b.fake, false);
    cr_assert(fake_until(b.fake, "commit 3", 2000), "both deliveries are done");
    cr_assert_eq(fake_count(b.fake, "send task.completed a"), 1);
    close_worker(&b);
}

Test(executor, a_result_that_was_not_acknowledged_is_sent_again)
{
    struct bench b = open_worker();
    fake_fail_acks(b.fake, 2);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1 });
    cr_assert(fake_until(b.fake, "commit 2", 3000));
    cr_assert_eq(fake_count(b.fake, "send task.completed a"), 3);
    cr_assert_eq(fake_count(b.fake, "done a"), 1);
    close_worker(&b);
}

Test(executor, without_redis_nothing_is_called_and_the_deadline_still_ends_the_task)
{
    struct bench b = open_worker();
    fake_store_up(b.fake, false);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1 });
    fake_deliver(b.fake, &(struct fake_task){
                             .task = 'b', .offset = 2, .deadline_ms = clock_wall_ms() + 200 });
    cr_assert(fake_until(b.fake, "send task.failed b", 3000));
    cr_assert_eq(fake_count(b.fake, "send task.completed a"), 0);
    cr_assert_not_null(strstr(fake_value(b.fake, 'b'), "\"timeout\""));
    fake_store_up(b.fake, true);
    cr_assert(fake_until(b.fake, "commit 3", 3000));
    cr_assert_eq(fake_count(b.fake, "send task.completed a"), 1);
    close_worker(&b);
}

Test(executor, done_keys_that_were_lost_are_set_when_redis_is_back)
{
    struct bench b = open_worker();
    fake_hold_acks(b.fake, true);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1 });
    cr_assert(fake_until(b.fake, "send task.completed a", 2000));
    fake_store_up(b.fake, false);
    fake_hold_acks(b.fake, false);
    cr_assert(fake_until(b.fake, "ack a", 1000), "results need no Redis");
    cr_assert_not(fake_until(b.fake, "commit 2", 200));
    fake_store_up(b.fake, true);
    cr_assert(fake_until(b.fake, "commit 2", 2000));
    cr_assert(at(&b, "done a") < at(&b, "commit 2"));
    close_worker(&b);
}

/* One command of three, whichever: the lot is given again, and nothing is committed before. */
Test(executor, a_done_key_whose_reply_is_lost_in_part_is_set_again_before_the_commit)
{
    for (int lost = 1; lost <= 3; lost++) {
        struct bench b = open_worker();
        fake_hold_acks(b.fake, true);
        fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1 });
        cr_assert(fake_until(b.fake, "send task.completed a", 2000));
        fake_lose_replies(b.fake, lost);
        fake_hold_acks(b.fake, false);
        cr_assert(fake_until(b.fake, "commit 2", 2000));
        cr_assert_eq(fake_count(b.fake, "done a"), 2);
        cr_assert_eq(fake_count(b.fake, "keep NX"), 2);
        cr_assert_eq(fake_count(b.fake, "keep GT"), 2);
        const char *again = strstr(strstr(fake_journal(b.fake), "keep GT"), "done a");
        cr_assert(again && strstr(again, "commit 2"), "%s", fake_journal(b.fake));
        cr_assert_eq(fake_count(b.fake, "send task.completed a"), 1);
        close_worker(&b);
    }
}

/* Their marks lie in two hashes by turns; Redis is asked hash by hash, the verdicts are the tasks',
 * and what begins does so in the order in which it came. */
Test(executor, tasks_of_several_hashes_have_their_own_verdicts_and_begin_in_their_order)
{
    struct bench b = open_worker();
    static const char *const marks[] = { "90", "7", "90", "8", "7", "90" };
    fake_lease_verdict(b.fake, 'b', "D");
    fake_lease_verdict(b.fake, 'c', "E");
    for (int i = 0; i < (int)ARRAY_LEN(marks); i++)
        fake_deliver(b.fake, &(struct fake_task){
                                 .task = (char)('a' + i), .offset = 1 + i, .marks = marks[i] });
    cr_assert(fake_until(b.fake, "commit 7", 2000));
    cr_assert_not_null(strstr(fake_journal(b.fake), "ask b\nask e\nask d\nask a\nask c\nask f\n"),
                       "%s", fake_journal(b.fake));
    cr_assert_not_null(strstr(fake_journal(b.fake), "send task.completed a\nsend task.lost c\n"
                                                    "send task.completed d\nsend task.completed e\n"
                                                    "send task.completed f\n"),
                       "%s", fake_journal(b.fake));
    cr_assert_str_eq(fake_mark(b.fake, 'a'), "tutti:tk:{3}:90 D");
    cr_assert_str_eq(fake_mark(b.fake, 'b'), "", "it had one");
    cr_assert_str_eq(fake_mark(b.fake, 'd'), "tutti:tk:{3}:8 D");
    cr_assert_str_eq(fake_mark(b.fake, 'e'), "tutti:tk:{3}:7 D");
    close_worker(&b);
}

Test(executor, a_task_past_its_deadline_fails_with_timeout_and_is_not_started)
{
    struct bench b = open_worker();
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1, .deadline_ms = 1000 });
    cr_assert(fake_until(b.fake, "send task.failed a", 2000));
    cr_assert_not_null(strstr(fake_value(b.fake, 'a'), "\"timeout\""));
    close_worker(&b);
}

Test(executor, a_task_that_cannot_be_decoded_goes_to_the_dead_letters_and_fails)
{
    struct bench b = open_worker();
    fake_deliver(b.fake, &(struct fake_task){
                             .task = 'a', .offset = 1, .broken = true, .value = "\"poison\"" });
    cr_assert(fake_until(b.fake, "commit 2", 2000));
    cr_assert_eq(fake_count(b.fake, "dead \"poison\""), 1);
    cr_assert_eq(fake_count(b.fake, "send task.failed a"), 1);
    cr_assert(at(&b, "ack a") < at(&b, "commit 2"));
    close_worker(&b);
}

Test(executor, an_unknown_handler_fails_and_names_what_is_missing)
{
    struct bench b = open_worker();
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1, .uses = "resize" });
    cr_assert(fake_until(b.fake, "send task.failed a", 2000));
    cr_assert_not_null(strstr(fake_value(b.fake, 'a'), "resize"), "%s", fake_value(b.fake, 'a'));
    cr_assert_not_null(strstr(fake_value(b.fake, 'a'), "\"bad_request\""));
    close_worker(&b);
}

Test(executor, results_of_a_revoked_partition_are_still_published)
{
    struct bench b = open_worker();
    fake_hold_acks(b.fake, true);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1 });
    cr_assert(fake_until(b.fake, "send task.completed a", 2000));
    fake_revoke(b.fake, "tutti.tasks.default", 0);
    fake_hold_acks(b.fake, false);
    cr_assert(fake_until(b.fake, "done a", 2000));
    cr_assert_not(fake_until(b.fake, "commit 2", 200), "the offset is another's now");
    cr_assert_eq(worker_stats(b.worker).held, 0);
    close_worker(&b);
}

static void on_drained(void *user)
{
    ((struct bench *)user)->drained = true;
}

Test(executor, draining_finishes_what_runs_lets_go_of_the_rest_and_leaves)
{
    struct bench b = open_worker();
    fake_hold_acks(b.fake, true);
    fake_lease_verdict(b.fake, 'b', "H60000");
    fake_deliver(b.fake, &(struct fake_task){ .task = 'a', .offset = 1 });
    fake_deliver(b.fake, &(struct fake_task){ .task = 'b', .offset = 2 });
    cr_assert(fake_until(b.fake, "send task.completed a", 2000));
    worker_drain(b.worker, 5000, on_drained, &b);
    fake_deliver(b.fake, &(struct fake_task){ .task = 'c', .offset = 3 });
    fake_turn(b.fake);
    cr_assert_not(b.drained);
    fake_hold_acks(b.fake, false);
    cr_assert(fake_until(b.fake, "leave", 2000));
    cr_assert(b.drained);
    cr_assert(at(&b, "commit 2") < at(&b, "leave"));
    cr_assert_eq(fake_count(b.fake, "ask c"), 0);
    close_worker(&b);
}

Test(executor, what_gathers_in_a_busy_worker_is_done_without_anybody_asking)
{
    struct bench b = open_worker();
    int64_t offset = 0;
    for (char task = '!'; task < 'z'; task++) { /* most of them are held by another worker */
        if (task != 'a') fake_lease_verdict(b.fake, task, "H60000");
        fake_deliver(b.fake, &(struct fake_task){ .task = task, .offset = offset++ });
    }
    cr_assert(fake_until(b.fake, "done a", 2000));
    fake_deliver(b.fake, &(struct fake_task){ .task = 'z', .offset = offset });
    cr_assert(fake_until(b.fake, "done z", 2000));
    close_worker(&b);
}
