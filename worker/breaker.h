/* SPDX-License-Identifier: Apache-2.0
 *
 * A circuit breaker, as arithmetic: time is an argument, nothing is called. The semantics are
 * resilience4j's (count window): it trips when at least calls_min outcomes are known and the share
 * of failures reaches failure_percent; open, it refuses until open_ms are over; the first call
 * after that makes it half-open, where `permits` calls may pass and decide when all of them are in.
 */
#ifndef TUTTI_BREAKER_H
#define TUTTI_BREAKER_H

#include "common/base/base.h"

#define BREAKER_WINDOW_MAX 1000

/* X(enumerator, name) */
#define BREAKER_STATES(X) \
    X(CLOSED, "closed")   \
    X(OPEN, "open")       \
    X(HALF, "half")
enum breaker_state {
#define X(name, text) BREAKER_##name,
    BREAKER_STATES(X)
#undef X
        BREAKER_STATE_COUNT
};
const char *breaker_state_name(enum breaker_state state);

/* What a call tells the breaker. IGNORE gives a half-open permit back. */
enum breaker_effect { BREAKER_SUCCESS, BREAKER_FAILURE, BREAKER_IGNORE };

struct breaker_options {
    uint32_t window;          /* outcomes that are remembered; at most BREAKER_WINDOW_MAX */
    uint32_t calls_min;       /* outcomes before a rate means anything */
    uint32_t failure_percent; /* trips at this share or above */
    uint32_t open_ms;
    uint32_t permits; /* calls that may pass half-open */
};
/* window 100, calls_min 10, failure_percent 50, open_ms 30000, permits 3 where a field is 0. */
struct breaker_options breaker_defaults(struct breaker_options o);

struct breaker {
    struct breaker_options options;
    enum breaker_state state;
    uint64_t epoch;         /* rises with every transition; a permit belongs to one epoch */
    uint64_t open_until_ms; /* OPEN */
    uint32_t taken;         /* HALF: permits out or decided */
    uint32_t calls, failures;
    uint32_t next;                 /* where the next outcome goes in the ring */
    bool ring[BREAKER_WINDOW_MAX]; /* true: failed */
};

void breaker_init(struct breaker *b, struct breaker_options options);
/* Whether a call may be made now. On true *ret_epoch goes back with breaker_record; on false
 * *ret_wait_ms is how long to wait at least. */
MUST_CHECK bool breaker_acquire(struct breaker *b, uint64_t now_ms, uint64_t *ret_epoch,
                                uint64_t *ret_wait_ms);
/* The end of a call that was let through at epoch. A late one (of an earlier epoch) changes
 * nothing. */
void breaker_record(struct breaker *b, uint64_t now_ms, uint64_t epoch, enum breaker_effect effect);
/* Puts the breaker into a state that was decided elsewhere (the fleet's); wait_ms for OPEN. No
 * effect if it is in that state already. */
void breaker_force(struct breaker *b, uint64_t now_ms, enum breaker_state state, uint64_t wait_ms);

#endif
