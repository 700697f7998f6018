/* SPDX-License-Identifier: Apache-2.0
 *
 * The contract of common/io/bus.h as a program that users of it could be: random sequences of
 * sends, reads, commits, joins and leaves. Each checks what it sees (lines with "!" in its trace),
 * and tells what came out once everything is at rest, which no timing changes: both sides must tell
 * the same. */
#ifndef TUTTI_SIM_BUS_CONTRACT_H
#define TUTTI_SIM_BUS_CONTRACT_H

#include "sim/prng.h"
#include "tests/sim/bus/side.h"

/* Deliberate distortions between the bus and what looks at it, to show that they are noticed.
 * X(enumerator) */
#define PLANTS(X)    \
    X(NONE)          \
    X(SWAP)          \
    X(RECORD_TWICE)  \
    X(RECORD_LOST)   \
    X(CONTENT)       \
    X(REPORT_TWICE)  \
    X(REPORT_LOST)   \
    X(REPORT_FAILED) \
    X(REPORT_EARLY)  \
    X(CREDIT)        \
    X(OLD_POSITION)  \
    X(RANGE)         \
    X(END)           \
    X(NOTE)          \
    X(OWNERS)        \
    X(UNOWNED)       \
    X(LOST)          \
    X(COMMIT_DROPPED)
enum plant {
#define X(name) PLANT_##name,
    PLANTS(X)
#undef X
        PLANT_COUNT
};

/* One random sequence; the first member of what it is of. */
struct sequence {
    struct contract *contract;
    uint64_t seed;
    struct prng prng;
    char topic[40];
    struct buf trace;
    bool done;
    uint64_t deadline_ms; /* of what it waits for */
    /* Goes on as far as it can without another turn. */
    void (*step)(struct sequence *s);
    /* What it waits for, when that does not come. */
    void (*stuck)(struct sequence *s);
    /* Everything is closed: its last word. */
    void (*end)(struct sequence *s);
};

struct contract {
    struct side *side;
    enum plant plant;
    uint64_t first_seed;
    struct sequence **sequences;
    size_t count;
    struct bus_group *group; /* which reads the topics of all data sequences */
    bool left;
};

/* Something is not as the contract says. */
void sequence_wrong(struct sequence *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Begins to wait. */
void sequence_wait(struct sequence *s);
static inline uint64_t draw(struct sequence *s, uint64_t n)
{
    return prng_below(&s->prng, n);
}

/* --- data.c: records of one topic, read by the contract's group and by readers --- */
struct sequence *data_new(struct contract *c, uint64_t seed);
/* The callbacks of the contract's group. */
struct bus_group_options data_group(struct contract *c);

/* --- members.c: groups whose members come and go --- */
struct sequence *members_new(struct contract *c, uint64_t seed);

#endif
