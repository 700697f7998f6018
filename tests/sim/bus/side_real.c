/* SPDX-License-Identifier: Apache-2.0
 *
 * The real client, and the mock cluster that comes with it. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "tests/sim/bus/side.h"

const size_t side_sequences = 512;
const bool side_commits_kept = false;

struct side {
    struct loop *loop;
    struct bus_mock *mock;
    struct bus *buses[SIDE_BUSES];
    struct log log;
};

static void need(bool ok, const struct err *e)
{
    if (ok) return;
    fprintf(stderr, "bus-contract-real: %s\n", e->text);
    exit(2);
}

struct side *side_open(uint64_t seed)
{
    (void)seed;
    struct err e;
    struct side *s = xcalloc(1, sizeof *s);
    s->log = log_new("contract", LOG_ERROR, 2);
    need((s->loop = loop_new(&e)) != NULL, &e);
    need((s->mock = bus_mock_start(1, &e)) != NULL, &e);
    for (size_t i = 0; i < SIDE_BUSES; i++) {
        struct bus_options o = {
            .brokers = bus_mock_brokers(s->mock),
            .client_id = "contract",
            .fetch_wait_ms = 2,
            .session_timeout_ms =
                4000, /* the mock drops a member that is silent for its first 3 s */
            .log = &s->log,
        };
        need((s->buses[i] = bus_open(s->loop, &o, &e)) != NULL, &e);
    }
    return s;
}

struct side *side_close(struct side *s)
{
    for (size_t i = 0; i < SIDE_BUSES; i++) bus_close(s->buses[i]);
    bus_mock_stop(s->mock);
    loop_free(s->loop);
    free(s);
    return NULL;
}

struct bus *side_bus(const struct side *s, size_t i)
{
    return s->buses[i];
}

void side_topic(struct side *s, const char *name, int32_t partitions)
{
    struct err e;
    need(bus_mock_topic(s->mock, name, partitions, &e), &e);
}

void side_turn(struct side *s)
{
    loop_turn(s->loop, 20);
}

uint64_t side_now_ms(const struct side *s)
{
    (void)s;
    return clock_mono_ms();
}
