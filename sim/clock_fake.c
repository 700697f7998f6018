/* SPDX-License-Identifier: Apache-2.0
 *
 * Time and randomness of the process whose code runs. These functions have no argument that could
 * carry the process, hence the one variable of this directory that is not reached from a world. */
#include "common/base/clock.h"

#include "sim/fakes.h"

static _Thread_local struct proc *current;

struct proc *proc_current(void)
{
    return current;
}

struct proc *proc_enter(struct proc *p)
{
    struct proc *before = current;
    current = p;
    return before;
}

uint64_t clock_mono_us(void)
{
    return current ? current->world->now_us : 0;
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_wall_ms(void)
{
    return current ? world_wall_ms(current->world) + current->skew_ms : EPOCH_MS;
}

void random_bytes(void *ret, size_t len)
{
    unsigned char *bytes = ret;
    for (size_t i = 0; i < len; i++)
        bytes[i] = current ? (unsigned char)(prng_next(&current->random) >> 56) : 0;
}
