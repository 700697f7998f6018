/* SPDX-License-Identifier: Apache-2.0
 *
 * xorshift64* (Vigna, 2016): the same run of a test every time. */
#ifndef TUTTI_TESTS_PRNG_H
#define TUTTI_TESTS_PRNG_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t prng_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1DULL;
}

static inline size_t prng_below(uint64_t *state, size_t n)
{
    return (size_t)(prng_next(state) % n);
}

#endif
