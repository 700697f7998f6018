/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into a redis-server: its wall clock is a number in a file that the test writes, so that
 * leases and expiries of hours are compared to the millisecond. The monotonic clock stays real. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int gettimeofday(struct timeval *restrict tv, void *restrict zone);
int clock_gettime(clockid_t clock, struct timespec *ts);
time_t time(time_t *ret);

static int64_t wall_ms(void)
{
    static volatile const int64_t *shared; /* there is no handle to keep it in */
    if (!shared) {
        const char *path = getenv("TUTTI_REDIS_CLOCK");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *shared, PROT_READ, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED) _exit(126);
        close(fd);
        shared = at;
    }
    return *shared;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    (void)zone;
    int64_t ms = wall_ms();
    tv->tv_sec = ms / 1000;
    tv->tv_usec = ms % 1000 * 1000;
    return 0;
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    if (clock != CLOCK_REALTIME) return (int)syscall(SYS_clock_gettime, clock, ts);
    int64_t ms = wall_ms();
    ts->tv_sec = ms / 1000;
    ts->tv_nsec = ms % 1000 * 1000000;
    return 0;
}

time_t time(time_t *ret)
{
    time_t now = wall_ms() / 1000;
    if (ret) *ret = now;
    return now;
}
