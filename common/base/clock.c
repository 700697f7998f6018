/* SPDX-License-Identifier: Apache-2.0
 *
 * What the operating system knows and nobody else: time and randomness. These four functions are
 * the only ones here, so that the simulator can link others in their place. */
#include "common/base/clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static struct timespec read_clock(clockid_t id)
{
    struct timespec t;
    int r = clock_gettime(id, &t);
    ASSERT(r == 0);
    return t;
}

uint64_t clock_mono_us(void)
{
    struct timespec t = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_wall_ms(void)
{
    struct timespec t = read_clock(CLOCK_REALTIME);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void random_bytes(void *ret, size_t len)
{
    char *p = ret;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR) continue;
        ASSERT(n > 0);
        p += n;
        len -= (size_t)n;
    }
}
