/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread, one epoll. A turn has five phases, in this order (docs/loop.md):
 *   1. flush      on_flush callbacks: what the last turn collected leaves as one batch
 *   2. wait       epoll_wait until an fd is ready, the next timer is due, or another turn was asked
 * for
 *   3. fds        callbacks of ready fds
 *   4. timers     those due now, in order of due time; one that re-arms itself waits for the next
 * turn
 *   5. bury       deferred frees: nothing dies while an event may still name it
 * Time is read once a turn. No function here is thread-safe except loop_wake. */
#ifndef TUTTI_LOOP_H
#define TUTTI_LOOP_H

#include "common/base/base.h"
#include "common/base/err.h"

struct loop;

MUST_CHECK struct loop *loop_new(struct err *e);
struct loop *loop_free(struct loop *loop); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(struct loop *, loop_free)

/* Runs turns until loop_stop. */
void loop_run(struct loop *loop);
/* One turn that waits wait_ms at the most (0: only what is ready). Never from within a callback. */
void loop_turn(struct loop *loop, uint32_t wait_ms);
/* Ends the loop_run or loop_run_until that runs, or the next one, after the present turn. */
void loop_stop(struct loop *loop);
/* From any thread or signal handler: makes the loop turn. */
void loop_wake(struct loop *loop);
/* Turns until cond(user) holds, wait_ms are over or loop_stop was called; returns whether cond
 * holds. For CLIs and tests. */
bool loop_run_until(struct loop *loop, bool (*cond)(void *user), void *user, uint32_t wait_ms);

uint64_t loop_now_ms(const struct loop *loop); /* monotonic, of this turn */
int64_t loop_wall_ms(const struct loop *loop); /* wall clock, of this turn */

/* File descriptors: level-triggered, LOOP_READ and LOOP_WRITE; an error or hang-up arrives as
 * whatever is watched. The watch is the caller's memory, zeroed at first, and may be reused or
 * freed after loop_unwatch: what was still to be delivered to it in this turn is dropped. Unwatch
 * before closing the fd. */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct loop_watch {
    void (*on_ready)(struct loop_watch *w,
                     unsigned events); /* set by the caller, as are user and fd */
    void *user;
    int fd;
    unsigned events; /* what is watched now; 0 while not watched */
};
void loop_watch(struct loop *loop, struct loop_watch *w,
                unsigned events); /* also changes the set */
void loop_unwatch(struct loop *loop, struct loop_watch *w);

/* Timers, a binary heap; the timer is the caller's memory, disarmed on zeroing. One shot. */
struct loop_timer {
    void (*on_due)(struct loop_timer *t); /* set by the caller, as is user */
    void *user;
    uint64_t due_ms;
    uint64_t order; /* of arming: equal due times run in this order */
    size_t slot;    /* heap position + 1; 0: not armed */
};
void loop_arm(struct loop *loop, struct loop_timer *t,
              uint64_t delay_ms); /* re-arms if it is armed */
void loop_disarm(struct loop *loop, struct loop_timer *t);
static inline bool loop_armed(const struct loop_timer *t)
{
    return t->slot != 0;
}

/* Phase 1 callbacks, called every turn in order of registration. */
void loop_on_flush(struct loop *loop, void (*flush)(void *user), void *user);
/* As loop_on_flush, called after all of those: for what they themselves collect. */
void loop_after_flush(struct loop *loop, void (*flush)(void *user), void *user);
/* Removes it, also from within a callback; none that was registered so is fine. */
void loop_off_flush(struct loop *loop, void (*flush)(void *user), void *user);
/* Asks that the next wait returns at once (work is left that no fd will announce). */
void loop_again(struct loop *loop);
/* free_fn(ptr) in phase 5. */
void loop_defer_free(struct loop *loop, void (*free_fn)(void *), void *ptr);

/* Pace: a turn that served many items (loop_work) is followed by the next no sooner than pace_us
 * after it began. Under load that makes batches, of which Kafka and Redis cost per batch and not
 * per item; a quiet loop answers at once. 0: no pace (the default). At most 100,000. */
void loop_pace(struct loop *loop, uint32_t pace_us);
/* The io layers count what they hand to callbacks. */
void loop_work(struct loop *loop, uint32_t items);

/* Signals by signalfd: blocks them in the calling thread; call before starting threads. on_signal
 * runs in phase 3. */
MUST_CHECK bool loop_on_signals(struct loop *loop, const int *signals, size_t count,
                                void (*on_signal)(int signal, void *user), void *user,
                                struct err *e);

#endif
