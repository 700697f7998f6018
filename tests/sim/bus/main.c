/* SPDX-License-Identifier: Apache-2.0
 *
 * bus-contract-real and bus-contract-fake SEQUENCES SEED [PLANT]: a line for each sequence, its
 * seed and its trace. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/bus/contract.h"

#define WAIT_MS       60000 /* a machine may be slow; a world's time is free */
#define LINGER_MS     100   /* what should not come has that long to come */
#define MEMBERS_EVERY 16

void sequence_wrong(struct sequence *s, const char *fmt, ...)
{
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_addf(&s->trace, " !%s!", text);
}

void sequence_wait(struct sequence *s)
{
    s->deadline_ms = side_now_ms(s->contract->side) + WAIT_MS;
}

static void join(struct contract *c)
{
    struct err e;
    const char **topics = xcalloc(c->count, sizeof *topics);
    struct bus_group_options o = data_group(c);
    o.topics = topics;
    for (size_t i = 0; i < c->count; i++)
        if (c->sequences[i]->topic[0] == 'd') topics[o.topic_count++] = c->sequences[i]->topic;
    if (o.topic_count) {
        c->group = bus_join(side_bus(c->side, 0), &o, &e);
        ASSERT(c->group);
    }
    free(topics);
}

static void on_left(void *user)
{
    ((struct contract *)user)->left = true;
}

static bool step_all(struct contract *c)
{
    bool done = true;
    for (size_t i = 0; i < c->count; i++) {
        struct sequence *s = c->sequences[i];
        if (!s->done) s->step(s);
        if (!s->done && side_now_ms(c->side) > s->deadline_ms) {
            s->stuck(s);
            s->done = true;
        }
        done &= s->done;
    }
    return done;
}

static void linger(struct contract *c)
{
    uint64_t end = side_now_ms(c->side) + LINGER_MS;
    while (side_now_ms(c->side) < end) side_turn(c->side);
}

static void leave(struct contract *c)
{
    if (!c->group) return;
    bus_leave(c->group, on_left, c);
    if (c->left) sequence_wrong(c->sequences[0], "left within the call");
    uint64_t end = side_now_ms(c->side) + WAIT_MS;
    while (!c->left && side_now_ms(c->side) < end) side_turn(c->side);
    if (!c->left) sequence_wrong(c->sequences[0], "does not leave");
}

static void run(uint64_t seed, size_t count, enum plant plant)
{
    struct contract c = { .side = side_open(seed),
                          .plant = plant,
                          .first_seed = seed,
                          .sequences = xcalloc(count, sizeof(struct sequence *)),
                          .count = count };
    for (size_t i = 0; i < count; i++)
        c.sequences[i] =
            (seed + i) % MEMBERS_EVERY == 0 ? members_new(&c, seed + i) : data_new(&c, seed + i);
    join(&c);
    while (!step_all(&c)) side_turn(c.side);
    linger(&c);
    leave(&c);
    side_close(c.side);
    for (size_t i = 0; i < count; i++) {
        struct sequence *s = c.sequences[i];
        s->end(s);
        printf("%" PRIu64 "%.*s\n", s->seed, (int)s->trace.len, s->trace.data);
        buf_done(&s->trace);
        free(s);
    }
    free(c.sequences);
}

static enum plant plant_of(const char *name)
{
    static const char *const names[] = {
#define X(name) #name,
        PLANTS(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0) return (enum plant)i;
    fprintf(stderr, "no such plant: %s\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s SEQUENCES SEED [PLANT]\n", argv[0]);
        return 2;
    }
    size_t count = strtoul(argv[1], NULL, 10);
    uint64_t seed = strtoull(argv[2], NULL, 10);
    enum plant plant = argc > 3 ? plant_of(argv[3]) : PLANT_NONE;
    for (size_t at = 0; at < count; at += side_sequences)
        run(seed + at, MIN(side_sequences, count - at), plant);
    return 0;
}
