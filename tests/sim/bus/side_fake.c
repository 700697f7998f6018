/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake bus in a world of its own: each client is a process without code, nothing breaks. Its
 * delays and its order of turns come from the seed, as they do in the simulator. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/cluster.h"
#include "sim/fakes.h"
#include "sim/oracle.h"
#include "tests/sim/bus/side.h"

#define IDLE_US (50 * MS) /* what a turn takes in which nothing happens */

const size_t side_sequences = 1;
const bool side_commits_kept = true;

struct side {
    struct world world;
    struct log log;
};

static void start(struct proc *p, struct side *s, int index)
{
    struct err e;
    const struct options *o = &s->world.options;
    /* Of the kind that the oracles say nothing about. */
    *p = (struct proc){ .world = &s->world, .index = index, .kind = PROC_WORKER, .state = PROC_UP };
    snprintf(p->name, sizeof p->name, "client%u", (unsigned)index % SIDE_BUSES);
    proc_enter(p);
    p->loop = loop_new(&e);
    p->bus = bus_open(p->loop,
                      &(struct bus_options){ .brokers = "kafka:9092",
                                             .message_timeout_ms = o->message_timeout_ms,
                                             .session_timeout_ms = o->session_timeout_ms,
                                             .log = &s->log },
                      &e);
    proc_enter(NULL);
}

struct side *side_open(uint64_t seed)
{
    struct side *s = xcalloc(1, sizeof *s);
    struct world *w = &s->world;
    s->log = log_new("contract", LOG_ERROR, 2);
    *w = (struct world){ .seed = seed,
                         .options = options_draw(seed, FAULTS_NONE),
                         .now_us = SECOND,
                         .phase = PHASE_HEALED,
                         .net = prng_new(seed, 1),
                         .faults = prng_new(seed, 2),
                         .proc_count = SIDE_BUSES };
    w->options.trace = getenv("BUS_CONTRACT_TRACE") != NULL;
    w->cluster = cluster_new(w);
    w->oracle = oracle_new(w);
    for (int i = 0; i < SIDE_BUSES; i++) start(&w->procs[i], s, i);
    return s;
}

struct side *side_close(struct side *s)
{
    for (size_t i = 0; i < SIDE_BUSES; i++) {
        struct proc *p = &s->world.procs[i];
        bus_close(p->bus);
        p->loop = loop_free(p->loop);
        p->state = PROC_DOWN;
    }
    world_done(&s->world);
    free(s);
    return NULL;
}

struct bus *side_bus(const struct side *s, size_t i)
{
    return s->world.procs[i].bus;
}

void side_topic(struct side *s, const char *name, int32_t partitions)
{
    cluster_topic_make(s->world.cluster,
                       &(struct bus_topic_spec){ .name = name, .partitions = partitions });
}

void side_turn(struct side *s)
{
    if (!world_step(&s->world)) s->world.now_us += IDLE_US;
}

uint64_t side_now_ms(const struct side *s)
{
    return s->world.now_us / MS;
}
