/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop: epoll for file descriptors, a binary heap for timers (Williams' heap, CLRS
 * chapter 6), an eventfd for wake-ups from other threads and a signalfd for signals. The numbers in
 * comments are those of the contract in docs/loop.md. */
#include "common/io/loop.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/base/clock.h"

#define PACE_ITEM_US 50 /* below 20,000 items a second a loop answers at once */
#define FIRED_MAX    64 /* fds served in one turn; the kernel rotates the rest to the front */

struct flush {
    void (*fn)(void *user); /* NULL: removed during this turn */
    void *user;
    bool after;
};

struct grave {
    void (*free_fn)(void *);
    void *ptr;
};

struct signals {
    struct signals *next;
    struct loop_watch watch;
    void (*on_signal)(int signal, void *user);
    void *user;
    sigset_t before; /* the thread's mask before these were blocked */
};

struct loop {
    int epoll_fd;
    struct loop_watch wake; /* its fd is an eventfd */
    uint64_t now_ms;
    int64_t wall_ms;
    bool turning, again, stopped;
    uint32_t work;                       /* items served in this turn */
    uint32_t pace_us;                    /* a busy turn takes at least so long; 0: no pace */
    uint64_t turn_us;                    /* when this turn's service began */
    struct epoll_event fired[FIRED_MAX]; /* of this turn; data.ptr NULL once it is void */
    int fired_count;
    struct loop_timer **heap;
    size_t timer_count, timer_cap;
    uint64_t arm_count;
    struct flush *flushes;
    size_t flush_count, flush_cap;
    struct grave *graves;
    size_t grave_count, grave_cap;
    struct signals *signals;
};

/* Room for one more element of an array. */
#define GROW(array, count, cap)                                   \
    do {                                                          \
        if ((count) == (cap)) {                                   \
            (cap) = (cap) ? 2 * (cap) : 16;                       \
            (array) = xrealloc((array), (cap) * sizeof *(array)); \
        }                                                         \
    } while (0)

/* --- life --- */

static void read_clock(struct loop *loop)
{
    loop->now_ms = clock_mono_ms();
    loop->wall_ms = clock_wall_ms();
}

static void on_wake(struct loop_watch *w, unsigned events)
{
    (void)events;
    uint64_t ignored;
    (void)!read(w->fd, &ignored, sizeof ignored);
}

struct loop *loop_new(struct err *e)
{
    struct loop *loop = xcalloc(1, sizeof *loop);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = (struct loop_watch){ .on_ready = on_wake, .user = loop, .fd = -1 };
    if (loop->epoll_fd >= 0) loop->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->epoll_fd < 0 || loop->wake.fd < 0) {
        (void)err_fail(e, ERR_IO, "event loop: %s", strerror(errno));
        return loop_free(loop);
    }
    loop_watch(loop, &loop->wake, LOOP_READ);
    read_clock(loop);
    return loop;
}

static void bury(struct loop *loop)
{
    while (loop->grave_count > 0) { /* a free_fn may defer another */
        struct grave g = loop->graves[--loop->grave_count];
        g.free_fn(g.ptr);
    }
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop) return NULL;
    ASSERT(!loop->turning);
    bury(loop);
    while (loop->signals) {
        struct signals *s = loop->signals;
        loop->signals = s->next;
        (void)close(s->watch.fd);
        (void)pthread_sigmask(SIG_SETMASK, &s->before, NULL);
        free(s);
    }
    if (loop->wake.fd >= 0) (void)close(loop->wake.fd);
    if (loop->epoll_fd >= 0) (void)close(loop->epoll_fd);
    free(loop->heap);
    free(loop->flushes);
    free(loop->graves);
    free(loop);
    return NULL;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

int64_t loop_wall_ms(const struct loop *loop)
{
    return loop->wall_ms;
}

/* --- file descriptors --- */

static uint32_t epoll_bits(unsigned events)
{
    return (events & LOOP_READ ? (uint32_t)EPOLLIN : 0U) |
           (events & LOOP_WRITE ? (uint32_t)EPOLLOUT : 0U);
}

void loop_watch(struct loop *loop, struct loop_watch *w, unsigned events)
{
    ASSERT(w->on_ready && w->fd >= 0);
    if (events == 0) {
        loop_unwatch(loop, w);
        return;
    }
    if (w->events == events) return;
    struct epoll_event ev = { .events = epoll_bits(events), .data.ptr = w };
    int done = epoll_ctl(loop->epoll_fd, w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, w->fd, &ev);
    /* A library may have closed the fd and opened another of the same number meanwhile. */
    if (done < 0 && errno == ENOENT) done = epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev);
    if (done < 0 && errno == EEXIST) done = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev);
    ASSERT(done == 0);
    w->events = events;
}

void loop_unwatch(struct loop *loop, struct loop_watch *w)
{
    if (w->events == 0) return;
    w->events = 0;
    /* Fails if the fd is closed already, and then there is nothing to remove. */
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    for (int i = 0; i < loop->fired_count; i++)
        if (loop->fired[i].data.ptr == w) loop->fired[i].data.ptr = NULL;
}

static void fire(const struct epoll_event *ev)
{
    struct loop_watch *w = ev->data.ptr;
    if (!w) return; /* unwatched by an earlier callback of this turn */
    unsigned events = 0;
    if (ev->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) events |= LOOP_READ;
    if (ev->events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) events |= LOOP_WRITE;
    events &= w->events; /* the set may have shrunk since */
    if (events) w->on_ready(w, events);
}

/* --- timers --- */

static bool before(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void place(struct loop *loop, size_t i, struct loop_timer *t)
{
    loop->heap[i] = t;
    t->slot = i + 1;
}

/* Moves t, which may stand anywhere, from position i to where it belongs. */
static void sift(struct loop *loop, size_t i, struct loop_timer *t)
{
    while (i > 0 && before(t, loop->heap[(i - 1) / 2])) {
        place(loop, i, loop->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= loop->timer_count) break;
        if (child + 1 < loop->timer_count && before(loop->heap[child + 1], loop->heap[child]))
            child++;
        if (!before(loop->heap[child], t)) break;
        place(loop, i, loop->heap[child]);
        i = child;
    }
    place(loop, i, t);
}

void loop_arm(struct loop *loop, struct loop_timer *t, uint64_t delay_ms)
{
    ASSERT(t->on_due);
    if (!loop->turning) read_clock(loop); /* between turns "now" is as old as the last turn */
    t->due_ms = delay_ms < UINT64_MAX - loop->now_ms ? loop->now_ms + delay_ms : UINT64_MAX;
    t->order = loop->arm_count++;
    if (t->slot == 0) {
        GROW(loop->heap, loop->timer_count, loop->timer_cap);
        t->slot = ++loop->timer_count;
    }
    sift(loop, t->slot - 1, t);
}

void loop_disarm(struct loop *loop, struct loop_timer *t)
{
    if (t->slot == 0) return;
    size_t i = t->slot - 1;
    ASSERT(i < loop->timer_count && loop->heap[i] == t);
    t->slot = 0;
    struct loop_timer *last = loop->heap[--loop->timer_count];
    if (last != t) sift(loop, i, last);
}

/* 4. Whatever is armed from here on is due now at the earliest and has a higher order than all that
 * was there, so the first such timer at the top ends the phase: it waits for the next turn. */
static void run_timers(struct loop *loop)
{
    uint64_t armed_before = loop->arm_count;
    while (loop->timer_count > 0) {
        struct loop_timer *t = loop->heap[0];
        if (t->due_ms > loop->now_ms || t->order >= armed_before) break;
        loop_disarm(loop, t);
        t->on_due(t);
    }
}

/* --- turns --- */

void loop_on_flush(struct loop *loop, void (*flush)(void *user), void *user)
{
    GROW(loop->flushes, loop->flush_count, loop->flush_cap);
    loop->flushes[loop->flush_count++] = (struct flush){ .fn = flush, .user = user };
}

void loop_after_flush(struct loop *loop, void (*flush)(void *user), void *user)
{
    loop_on_flush(loop, flush, user);
    loop->flushes[loop->flush_count - 1].after = true;
}

static void forget_flushes(void *loop_)
{
    struct loop *loop = loop_;
    size_t kept = 0;
    for (size_t i = 0; i < loop->flush_count; i++)
        if (loop->flushes[i].fn) loop->flushes[kept++] = loop->flushes[i];
    loop->flush_count = kept;
}

void loop_off_flush(struct loop *loop, void (*flush)(void *user), void *user)
{
    for (size_t i = 0; i < loop->flush_count; i++)
        if (loop->flushes[i].fn == flush && loop->flushes[i].user == user)
            loop->flushes[i].fn = NULL;
    loop_defer_free(loop, forget_flushes, loop); /* phase 1 may be walking over them now */
}

void loop_again(struct loop *loop)
{
    loop->again = true;
}

void loop_defer_free(struct loop *loop, void (*free_fn)(void *), void *ptr)
{
    GROW(loop->graves, loop->grave_count, loop->grave_cap);
    loop->graves[loop->grave_count++] = (struct grave){ .free_fn = free_fn, .ptr = ptr };
}

void loop_wake(struct loop *loop)
{
    static const uint64_t one = 1;
    int kept = errno; /* this may run in a signal handler */
    (void)!write(loop->wake.fd, &one, sizeof one);
    errno = kept;
}

/* How long epoll may sleep, by the clock and not by this turn's "now": the callbacks took time. */
static int sleep_ms(struct loop *loop, uint32_t wait_ms)
{
    uint64_t ms = wait_ms;
    if (loop->again) ms = 0;
    if (ms > 0 && loop->timer_count > 0) {
        uint64_t now = clock_mono_ms(), due = loop->heap[0]->due_ms;
        ms = MIN(ms, due > now ? due - now : 0);
    }
    loop->again = false;
    return (int)MIN(ms, (uint64_t)INT_MAX);
}

void loop_pace(struct loop *loop, uint32_t pace_us)
{
    loop->pace_us = pace_us;
}

void loop_work(struct loop *loop, uint32_t items)
{
    loop->work += items;
}

/* After a busy turn the next one waits for its time: what arrives meanwhile is served, and
 * answered, as one batch. */
static void keep_pace(struct loop *loop)
{
    uint64_t pace_us = MIN((uint64_t)loop->pace_us, (uint64_t)loop->work * PACE_ITEM_US);
    loop->work = 0;
    if (pace_us == 0) return;
    uint64_t spent_us = clock_mono_us() - loop->turn_us;
    if (spent_us >= pace_us) return;
    struct timespec rest = { .tv_nsec = (long)(pace_us - spent_us) * 1000 };
    (void)ppoll(NULL, 0, &rest, NULL);
}

static void run_flushes(struct loop *loop, bool after)
{
    for (size_t i = 0; i < loop->flush_count; i++)
        if (loop->flushes[i].fn && loop->flushes[i].after == after)
            loop->flushes[i].fn(loop->flushes[i].user);
}

void loop_turn(struct loop *loop, uint32_t wait_ms)
{
    ASSERT(!loop->turning); /* a turn within a callback would serve half-done objects */
    loop->turning = true;
    run_flushes(loop, false); /* 1. flush */
    run_flushes(loop, true);
    keep_pace(loop); /* 2. */
    int n = epoll_wait(loop->epoll_fd, loop->fired, FIRED_MAX, sleep_ms(loop, wait_ms));
    if (loop->pace_us > 0) loop->turn_us = clock_mono_us();
    ASSERT(n >= 0 || errno == EINTR);
    loop->fired_count = n > 0 ? n : 0;
    read_clock(loop);                           /* one "now" for the rest of the turn */
    for (int i = 0; i < loop->fired_count; i++) /* 3. fds */
        fire(&loop->fired[i]);
    loop->fired_count = 0;
    run_timers(loop); /* 4. after the fds, so that a reply beats its own timeout */
    bury(loop);       /* 5. nothing is freed while an event may still name it */
    loop->turning = false;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

void loop_run(struct loop *loop)
{
    while (!loop->stopped) loop_turn(loop, INT_MAX);
    loop->stopped = false;
}

bool loop_run_until(struct loop *loop, bool (*cond)(void *user), void *user, uint32_t wait_ms)
{
    uint64_t now = clock_mono_ms(), end = now + wait_ms;
    bool held = cond(user);
    while (!held && !loop->stopped && now < end) {
        loop_turn(loop, (uint32_t)(end - now));
        held = cond(user);
        now = clock_mono_ms();
    }
    loop->stopped = false;
    return held;
}

/* --- signals --- */

static void on_signal_fd(struct loop_watch *w, unsigned events)
{
    (void)events;
    struct signals *s = w->user;
    struct signalfd_siginfo info;
    while (read(w->fd, &info, sizeof info) == (ssize_t)sizeof info)
        s->on_signal((int)info.ssi_signo, s->user);
}

bool loop_on_signals(struct loop *loop, const int *signals, size_t count,
                     void (*on_signal)(int signal, void *user), void *user, struct err *e)
{
    sigset_t set, kept;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++) sigaddset(&set, signals[i]);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) return err_fail(e, ERR_IO, "signals: %s", strerror(errno));
    int failed = pthread_sigmask(SIG_BLOCK, &set, &kept);
    if (failed) {
        (void)close(fd);
        return err_fail(e, ERR_IO, "signals: %s", strerror(failed));
    }
    struct signals *s = xcalloc(1, sizeof *s);
    s->watch = (struct loop_watch){ .on_ready = on_signal_fd, .user = s, .fd = fd };
    s->on_signal = on_signal;
    s->user = user;
    s->before = kept;
    s->next = loop->signals;
    loop->signals = s;
    loop_watch(loop, &s->watch, LOOP_READ);
    return true;
}
