/* SPDX-License-Identifier: Apache-2.0
 *
 * What both bench drivers need: a window of latencies and its percentiles, and the loop that keeps
 * n things in flight. */
#ifndef TUTTI_BENCH_MEASURE_H
#define TUTTI_BENCH_MEASURE_H

#include <stdlib.h>

#include "common/base/base.h"

/* Latencies of one phase, in microseconds. */
struct samples {
    uint32_t *us; /* owned */
    size_t count, cap;
};

static inline void samples_add(struct samples *s, uint64_t us)
{
    if (s->count == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 4096;
        s->us = xrealloc(s->us, s->cap * sizeof *s->us);
    }
    s->us[s->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static inline int samples_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The p-th percentile in milliseconds; 0 without samples. */
static inline double samples_ms(struct samples *s, double p)
{
    if (s->count == 0) return 0;
    qsort(s->us, s->count, sizeof *s->us, samples_order);
    return s->us[(size_t)((double)(s->count - 1) * p)] / 1000.0;
}

static inline void samples_done(struct samples *s)
{
    free(s->us);
    *s = (struct samples){ 0 };
}

#endif
