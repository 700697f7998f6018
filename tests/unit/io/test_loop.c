/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop's contract (docs/loop.md), one claim a test. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/io/loop.h"

struct trace {
    struct loop *loop;
    char text[64];
    size_t len;
    int count;
    bool done;
};

static void note(struct trace *t, char c)
{
    cr_assert_lt(t->len, sizeof t->text - 1);
    t->text[t->len++] = c;
}

static struct loop *new_loop(void)
{
    struct err e;
    struct loop *loop = loop_new(&e);
    cr_assert(loop);
    return loop;
}

static bool is_done(void *user)
{
    return ((struct trace *)user)->done;
}

struct named_timer {
    struct loop_timer timer;
    struct trace *trace;
    char name;
};

static void on_named(struct loop_timer *t)
{
    struct named_timer *n = CONTAINER_OF(t, struct named_timer, timer);
    note(n->trace, n->name);
    if (n->name == 'z') n->trace->done = true;
}

Test(loop, timers_run_in_order_of_due_time_and_then_of_arming)
{
    CLEANUP(loop_free_p) struct loop *loop = new_loop();
    struct trace trace = { .loop = loop };
    static const struct {
        char name;
        uint64_t delay;
    } plan[] = { { 'c', 5 }, { 'a', 1 }, { 'z', 12 }, { 'd', 5 }, { 'b', 1 }, { 'e', 9 } };
    struct named_timer timers[ARRAY_LEN(plan)] = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(plan); i++) {
        timers[i] =
            (struct named_timer){ .timer.on_due = on_named, .trace = &trace, .name = plan[i].name };
        loop_arm(loop, &timers[i].timer, plan[i].delay);
    }
    cr_assert(loop_run_until(loop, is_done, &trace, 2000));
    cr_assert_str_eq(trace.text, "abcdez");
}

Test(loop, a_disarmed_timer_does_not_run_and_a_rearmed_one_runs_once)
{
    CLEANUP(loop_free_p) struct loop *loop = new_loop();
    struct trace trace = { .loop = loop };
    struct named_timer timers[4];
    for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
        timers[i] = (struct named_timer){ .timer.on_due = on_named,
                                          .trace = &trace,
                                          .name = (char)('a' + i) };
        loop_arm(loop, &timers[i].timer, 2 + i);
    }
    timers[3].name = 'z';
    loop_arm(loop, &timers[0].timer, 8);
    loop_arm(loop, &timers[3].timer, 15);
    loop_disarm(loop, &timers[1].timer);
    loop_disarm(loop, &timers[1].timer);
    cr_assert_not(loop_armed(&timers[1].timer));
    cr_assert(loop_run_until(loop, is_done, &trace, 2000));
    cr_assert_str_eq(trace.text, "caz");
}

static uint64_t last_due;
static int ran;

static void on_sorted(struct loop_timer *t)
{
    cr_assert_geq(t->due_ms, last_due);
    last_due = t->due_ms;
    ran++;
}

Test(loop, thousands_of_timers_in_random_order_come_out_sorted)
{
    CLEANUP(loop_free_p) struct loop *loop = new_loop();
    enum { COUNT = 3000 };
    static struct loop_timer timers[COUNT];
    uint32_t state = 12345;
    for (int i = 0; i < COUNT; i++) {
        state = state * 1664525U + 1013904223U;
        timers[i].on_due = on_sorted;
        loop_arm(loop, &timers[i], (state >> 16) % 50);
        if (state % 7 == 0) loop_disarm(loop, &timers[(state >> 8) % (uint32_t)(i + 1)]);
    }
    int armed = 0;
    for (int i = 0; i < COUNT; i++) armed += loop_armed(&timers[i]);
    uint64_t end = clock_mono_ms() + 2000;
    while (ran < armed && clock_mono_ms() < end) loop_turn(loop, 10);
    cr_assert_eq(ran, armed);
}

static void on_rearm(struct loop_timer *t)
{
    struct trace *trace = t->user;
    trace->count++;
    loop_arm(trace->loop, t, 0);
}

static void on_pipe(struct loop_watch *w, unsigned events)
{
    struct trace *trace = w->user;
    char c;
    cr_assert(events & LOOP_READ);
    cr_assert_eq(read(w->fd, &c, 1), 1);
    note(trace, c);
    trace->done = c == '!';
}

Test(loop, a_timer_that_rearms_itself_runs_once_a_turn_and_starves_nobody)
{
    CLEANUP(loop_free_p) struct loop *loop = new_loop();
    struct trace trace = { .loop = loop };
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    struct loop_watch watch = { .on_ready = on_pipe, .user = &trace, .fd = fds[0] };
    loop_watch(loop, &watch, LOOP_READ);
    struct loop_timer timer = { .on_due = on_rearm, .user = &trace };
    loop_arm(loop, &timer, 0);
    for (int i = 1; i <= 5; i++) {
        loop_turn(loop, 1000);
        cr_assert_eq(trace.count, i, "turn %d ran it %d times", i, trace.count);
    }
    cr_assert_eq(write(fds[1], "!", 1), 1);
    cr_assert(loop_run_until(loop, is_done, &trace, 1000));
}

struct pair {
    struct trace *trace;
    struct loop_watch a, b;
};

static void unwatch_other(struct loop_watch *w, unsigned events)
{
    (void)events;
    struct pair *pair = w->user;
    pair->trace->count++;
    struct loop_watch *other = w == &pair->a ? &pair->b : &pair->a;
    loop_unwatch(pair->trace->loop, other);
    memset(other, 0xab, sizeof *other); /* its memory is the caller's again */
}

Test(loop, a_watch_removed_by_another_callback_of_the_same_turn_is_not_called)
{
    CLEANUP(loop_free_p) struct loop *loop = new_loop();
    struct trace trace = { .loop = loop };
    int one[2], two[2];
    cr_assert_eq(pipe(one), 0);
    cr_assert_eq(pipe(two), 0);
    struct pair pair = { .trace = &trace };
    pair.a = (struct loop_watch){ .on_ready = unwatch_other, .user = &pair, .fd = one[0] };
    pair.b = (struct loop_watch){ .on_ready = unwatch_other, .user = &pair, .fd = two[0] };
    loop_watch(loop, &pair.a, LOOP_READ);
    loop_watch(loop, &pair.b, LOOP_READ);
    cr_assert_eq(write(one[1], "x", 1), 1);
    cr_assert_eq(write(two[1], "x", 1), 1);
    loop_turn(loop, 1000);
    cr_assert_eq(trace.count, 1);
}

static void on_events(struct loop_watch *w, unsigned events)
{
    struct trace *trace = w->user;
    trace->count |= (int)events;
}

Test(loop, a_watch_reports_what_it_watches_and_nothing_else)
{
    CLEANUP(loop_free_p) struct loop *loop = new_loop();
    struct trace trace = { .loop = loop };
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    struct loop_watch watch = { .on_ready = on_events, .user = &trace, .fd = fds[1] };
    loop_watch(loop, &watch, LOOP_READ);
    loop_turn(loop, 0);
    cr_assert_eq(trace.count, 0);
    loop_watch(loop, &watch, LOOP_READ | LOOP_WRITE);
    loop_turn(loop, 0);
    cr_assert_eq(trace.count, LOOP_WRITE);
    close(fds[0]); /* an error arrives as what is watched */
    trace.count = 0;
    loop_watch(loop, &watch, LOOP_READ);
    loop_turn(loop, 0);
    cr_assert_eq(trace.count, LOOP_READ);
    loop_watch(loop, &watch, 0);
    cr_assert_eq(watch.events, 0);
}

static void *wake_soon(void *loop)
{
    loop_wake(loop);
    return NULL;
}

Test(loop, a_wake_from_another_thread_ends_the_wait)
{
    CLEANUP(loop_free_p) struct loop *loop = new_loop();
    pthread_t thread;
    uint64_t start = clock_mono_ms();
    cr_assert_eq(pthread_create(&thread, NULL, wake_soon, loop), 0);
    loop_turn(loop, 10000);
    cr_assert_lt(clock_mono_ms() - start, 5000);
    pthread_join(thread, NULL);
    start = clock_mono_ms();
    loop_turn(loop, 20); /* and it ends one wait only */
    cr_assert_geq(clock_mono_ms() - start, 19);
}

static void on_free(void *trace)
{
    note(trace, 'f');
}

static void on_defer(struct loop_timer *t)
{
    struct trace *trace = t->user;
    loop_defer_free(trace->loop, on_free, trace);
    note(trace, 't');
}

static void on_flush(void *trace)
{
    note(trace, 'F');
}

static void on_read_defer(struct loop_watch *w, unsigned events)
{
    (void)events;
    struct trace *trace = w->user;
    note(trace, 'r');
    loop_defer_free(trace->loop, on_free, trace);
    loop_unwatch(trace->loop, w);
}

Test(loop, a_turn_flushes_then_serves_fds_then_timers_then_buries)
{
    CLEANUP(loop_free_p) struct loop *loop = new_loop();
    struct trace trace = { .loop = loop };
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(write(fds[1], "x", 1), 1);
    struct loop_watch watch = { .on_ready = on_read_defer, .user = &trace, .fd = fds[0] };
    struct loop_timer timer = { .on_due = on_defer, .user = &trace };
    loop_on_flush(loop, on_flush, &trace);
    loop_watch(loop, &watch, LOOP_READ);
    loop_arm(loop, &timer, 0);
    loop_turn(loop, 1000);
    cr_assert_str_eq(trace.text, "Frtff");
    loop_off_flush(loop, on_flush, &trace);
    loop_turn(loop, 0);
    cr_assert_str_eq(trace.text, "Frtff");
}

Test(loop, what_was_deferred_is_freed_with_the_loop)
{
    struct trace trace = { 0 };
    struct loop *loop = new_loop();
    loop_defer_free(loop, on_free, &trace);
    loop_free(loop);
    cr_assert_str_eq(trace.text, "f");
    cr_assert_null(loop_free(NULL));
}

Test(loop, asking_for_another_turn_skips_one_wait)
{
    CLEANUP(loop_free_p) struct loop *loop = new_loop();
    uint64_t start = clock_mono_ms();
    loop_again(loop);
    loop_turn(loop, 10000);
    cr_assert_lt(clock_mono_ms() - start, 5000);
    start = clock_mono_ms();
    loop_turn(loop, 20);
    cr_assert_geq(clock_mono_ms() - start, 19);
}

static void on_signal(int signal, void *user)
{
    struct trace *trace = user;
    note(trace, signal == SIGUSR1 ? '1' : '2');
    loop_stop(trace->loop);
}

Test(loop, signals_arrive_in_the_loop_and_the_mask_is_restored)
{
    struct err e;
    struct loop *loop = new_loop();
    struct trace trace = { .loop = loop };
    const int signals[] = { SIGUSR1, SIGUSR2 };
    cr_assert(loop_on_signals(loop, signals, 2, on_signal, &trace, &e));
    kill(getpid(), SIGUSR1);
    loop_run(loop); /* stopped by the callback */
    kill(getpid(), SIGUSR2);
    loop_run(loop);
    cr_assert_str_eq(trace.text, "12");
    loop_free(loop);
    sigset_t now;
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
    cr_assert_eq(sigismember(&now, SIGUSR1), 0);
}

static bool never(void *user)
{
    (void)user;
    return false;
}

Test(loop, waiting_for_a_condition_ends_in_time_and_when_stopped)
{
    CLEANUP(loop_free_p) struct loop *loop = new_loop();
    uint64_t start = clock_mono_ms();
    cr_assert_not(loop_run_until(loop, never, NULL, 30));
    uint64_t took = clock_mono_ms() - start;
    cr_assert(took >= 29 && took < 3000);
    loop_stop(loop);
    start = clock_mono_ms();
    cr_assert_not(loop_run_until(loop, never, NULL, 10000));
    cr_assert_lt(clock_mono_ms() - start, 5000);
}

Test(loop, time_stands_still_within_a_turn_and_moves_between_turns)
{
    CLEANUP(loop_free_p) struct loop *loop = new_loop();
    uint64_t before = loop_now_ms(loop);
    loop_turn(loop, 3);
    cr_assert_gt(loop_now_ms(loop), before);
    cr_assert_lt(llabs(loop_wall_ms(loop) - clock_wall_ms()), 1000);
}
