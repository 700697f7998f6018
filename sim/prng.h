/* SPDX-License-Identifier: Apache-2.0
 *
 * The only randomness of a simulation: xorshift64* (Vigna, 2016), one stream for each matter, so
 * that a change in one does not shift the others. */
#ifndef TUTTI_SIM_PRNG_H
#define TUTTI_SIM_PRNG_H

#include "common/base/base.h"

struct prng {
    uint64_t state;
};

/* Seeds of neighbouring numbers give unrelated streams (splitmix64). */
static inline struct prng prng_new(uint64_t seed, uint64_t stream)
{
    uint64_t z = seed * 0x9e3779b97f4a7c15 + stream * 0xd1b54a32d192ed03 + 0x2545f4914f6cdd1d;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    z ^= z >> 31;
    return (struct prng){ z ? z : 1 };
}

static inline uint64_t prng_next(struct prng *p)
{
    p->state ^= p->state >> 12;
    p->state ^= p->state << 25;
    p->state ^= p->state >> 27;
    return p->state * 0x2545F4914F6CDD1D;
}

/* 0 to n - 1; n above 0. */
static inline uint64_t prng_below(struct prng *p, uint64_t n)
{
    return (prng_next(p) >> 11) % n;
}

/* low to high, both included. */
static inline uint64_t prng_range(struct prng *p, uint64_t low, uint64_t high)
{
    return low + prng_below(p, high - low + 1);
}

/* True in so many of a million cases. */
static inline bool prng_chance(struct prng *p, uint32_t per_million)
{
    return per_million && prng_below(p, 1000000) < per_million;
}

#endif
