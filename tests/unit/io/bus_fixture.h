/* SPDX-License-Identifier: Apache-2.0
 *
 * A mock cluster, a loop and a bus for the tests of the bus. */
#ifndef TUTTI_TEST_BUS_FIXTURE_H
#define TUTTI_TEST_BUS_FIXTURE_H

#include <criterion/criterion.h>

#include "common/base/clock.h"
#include "common/io/bus.h"

#define TOPIC   "t.events"
#define SOON_MS 20000

struct fixture {
    struct loop *loop;
    struct bus_mock *mock;
    struct bus *bus;
    struct log log;
};

static inline struct bus *open_bus(struct fixture *f, uint32_t message_timeout_ms)
{
    struct err e;
    struct bus *bus =
        bus_open(f->loop,
                 &(struct bus_options){
                     .brokers = bus_mock_brokers(f->mock),
                     .client_id = "test",
                     .fetch_wait_ms = 2,
                     .message_timeout_ms = message_timeout_ms,
                     .session_timeout_ms =
                         4000, /* the mock drops a member that is silent during its first 3 s */
                     .log = &f->log },
                 &e);
    cr_assert(bus, "%s", e.text);
    return bus;
}

static inline struct fixture fixture_open(int32_t partitions)
{
    struct err e;
    struct fixture f = { .log = log_new("test", LOG_ERROR, 2) };
    f.loop = loop_new(&e);
    f.mock = bus_mock_start(1, &e);
    cr_assert(f.loop && f.mock);
    cr_assert(bus_mock_topic(f.mock, TOPIC, partitions, &e), "%s", e.text);
    f.bus = open_bus(&f, 5000);
    return f;
}

static inline void fixture_close(struct fixture *f)
{
    f->bus = bus_close(f->bus);
    f->mock = bus_mock_stop(f->mock);
    f->loop = loop_free(f->loop);
}

/* Turns the loop until the expression holds, and fails the test if it does not within SOON_MS. */
#define AWAIT_WITHIN(f, wait_ms, expr)                                      \
    do {                                                                    \
        uint64_t end_ = clock_mono_ms() + (wait_ms);                        \
        while (!(expr) && clock_mono_ms() < end_) loop_turn((f)->loop, 20); \
        cr_assert(expr, "within %d ms: %s", (int)(wait_ms), #expr);         \
    } while (0)
#define AWAIT(f, expr) AWAIT_WITHIN(f, SOON_MS, expr)

/* Lets the loop turn for a while: to see that something does not happen. */
static inline void idle(struct fixture *f, uint32_t ms)
{
    for (uint64_t end = clock_mono_ms() + ms; clock_mono_ms() < end;) loop_turn(f->loop, 10);
}

/* A waiter that counts. */
struct counter {
    struct bus_waiter waiter;
    int done, failed;
    int64_t last; /* offset; each must be higher than the one before */
    bool sending; /* inside bus_send */
};

static inline void count_done(struct bus_waiter *w, const struct bus_delivery *d)
{
    struct counter *c = CONTAINER_OF(w, struct counter, waiter);
    cr_assert_not(c->sending, "done must not come inside bus_send");
    c->done++;
    if (d->error)
        c->failed++;
    else
        c->last = d->offset;
}

static inline struct counter new_counter(void)
{
    return (struct counter){ .waiter.done = count_done, .last = -1 };
}

static inline bool try_send(struct fixture *f, struct counter *c, int32_t partition,
                            struct bytes value, struct err *e)
{
    c->sending = true;
    bool sent = bus_send(
        f->bus, &(struct bus_message){ .topic = TOPIC, .partition = partition, .value = value },
        &c->waiter, e);
    c->sending = false;
    return sent;
}

/* Sends the numbers first..first+count-1 as text. */
static inline void send_numbers(struct fixture *f, struct counter *c, int32_t partition, int first,
                                int count)
{
    for (int i = first; i < first + count; i++) {
        struct err e;
        char text[16];
        int len = snprintf(text, sizeof text, "%d", i);
        struct bytes value = { .data = text, .len = (size_t)len };
        cr_assert(try_send(f, c, partition, value, &e), "%s", e.text);
    }
}

static inline int number_of(const struct bus_record *r)
{
    char text[16] = { 0 };
    cr_assert_lt(r->message.value.len, sizeof text);
    memcpy(text, r->message.value.data, r->message.value.len);
    return (int)strtol(text, NULL, 10);
}

#endif
