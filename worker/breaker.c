/* SPDX-License-Identifier: Apache-2.0
 *
 * The circuit breaker's arithmetic. Source of the rules: resilience4j's CircuitBreakerStateMachine
 * and its count-based sliding window. */
#include "worker/breaker.h"

#include <string.h>

static const char *const state_names[] = {
#define X(name, text) [BREAKER_##name] = text,
    BREAKER_STATES(X)
#undef X
};

const char *breaker_state_name(enum breaker_state state)
{
    return state_names[state];
}

struct breaker_options breaker_defaults(struct breaker_options o)
{
    if (!o.window) o.window = 100;
    if (!o.calls_min) o.calls_min = 10;
    if (!o.failure_percent) o.failure_percent = 50;
    if (!o.open_ms) o.open_ms = 30000;
    if (!o.permits) o.permits = 3;
    o.window = MIN(o.window, (uint32_t)BREAKER_WINDOW_MAX);
    o.calls_min = MIN(o.calls_min, o.window);
    return o;
}

void breaker_init(struct breaker *b, struct breaker_options options)
{
    *b = (struct breaker){ .options = breaker_defaults(options) };
}

static void enter(struct breaker *b, enum breaker_state state, uint64_t until_ms)
{
    b->state = state;
    b->epoch++;
    b->open_until_ms = until_ms;
    b->taken = b->calls = b->failures = b->next = 0;
}

bool breaker_acquire(struct breaker *b, uint64_t now_ms, uint64_t *ret_epoch, uint64_t *ret_wait_ms)
{
    if (b->state == BREAKER_OPEN) {
        if (now_ms < b->open_until_ms) {
            *ret_wait_ms = b->open_until_ms - now_ms;
            return false;
        }
        enter(b, BREAKER_HALF, 0); /* lazily: by the first call after the wait */
    }
    if (b->state == BREAKER_HALF) {
        if (b->taken >= b->options.permits) {
            *ret_wait_ms = 1000; /* the probes decide; when is not known */
            return false;
        }
        b->taken++;
    }
    *ret_epoch = b->epoch;
    return true;
}

/* The last `window` outcomes; the oldest goes when a new one comes. */
static void remember(struct breaker *b, bool failed)
{
    if (b->calls == b->options.window)
        b->failures -= b->ring[b->next];
    else
        b->calls++;
    b->ring[b->next] = failed;
    b->failures += failed;
    b->next = (b->next + 1) % b->options.window;
}

static bool too_many(const struct breaker *b)
{
    return (uint64_t)b->failures * 100 >= (uint64_t)b->options.failure_percent * b->calls;
}

void breaker_record(struct breaker *b, uint64_t now_ms, uint64_t epoch, enum breaker_effect effect)
{
    if (epoch != b->epoch) return; /* late: it says nothing about the present state */
    if (effect == BREAKER_IGNORE) {
        if (b->state == BREAKER_HALF) b->taken--;
        return;
    }
    if (b->state == BREAKER_OPEN) return;
    remember(b, effect == BREAKER_FAILURE);
    if (b->state == BREAKER_CLOSED) {
        if (b->calls >= b->options.calls_min && too_many(b))
            enter(b, BREAKER_OPEN, now_ms + b->options.open_ms);
    } else if (b->calls >= MIN(b->options.permits, b->options.window)) {
        if (too_many(b))
            enter(b, BREAKER_OPEN, now_ms + b->options.open_ms);
        else
            enter(b, BREAKER_CLOSED, 0);
    }
}

void breaker_force(struct breaker *b, uint64_t now_ms, enum breaker_state state, uint64_t wait_ms)
{
    if (b->state == state) return;
    enter(b, state, state == BREAKER_OPEN ? now_ms + wait_ms : 0);
}
