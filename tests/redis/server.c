/* SPDX-License-Identifier: Apache-2.0
 *
 * Starts and ends a redis-server for a test. */
#include "tests/redis/server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 32

_Noreturn static void run(const struct redis_server *s, const char *const *more)
{
    const char *argv[WORDS_MAX + 1] = { "redis-server", "--port",  "0",
                                        "--unixsocket", s->socket, "--dir",
                                        s->dir,         "--save",  "" };
    for (size_t i = 9; more && *more && i < WORDS_MAX; i++) argv[i] = *more++;
    if (s->clock_module && (setenv("LD_PRELOAD", s->clock_module, 1) != 0 ||
                            setenv("TUTTI_REDIS_CLOCK", s->clock, 1) != 0))
        _exit(127);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0) dup2(null, STDOUT_FILENO);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* The first moment of the test's time is 1000 days after 1970. */
static bool clock_make(struct redis_server *s)
{
    snprintf(s->clock, sizeof s->clock, "%s/clock", s->dir);
    int fd = open(s->clock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *s->clock_ms) != 0) return false;
    void *at = mmap(NULL, sizeof *s->clock_ms, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) return false;
    s->clock_ms = at;
    *s->clock_ms = 1000 * 86400000LL;
    return true;
}

bool redis_server_start(struct redis_server *s, const char *const *more)
{
    if (!s->dir[0]) {
        snprintf(s->dir, sizeof s->dir, "/tmp/tutti-redis-XXXXXX");
        if (!mkdtemp(s->dir)) return false;
        snprintf(s->socket, sizeof s->socket, "%s/s", s->dir);
        if (s->clock_module && !clock_make(s)) return false;
    }
    s->pid = fork();
    if (s->pid == 0) run(s, more);
    return s->pid > 0;
}

void redis_server_kill(struct redis_server *s)
{
    if (s->pid <= 0) return;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

void redis_server_done(struct redis_server *s)
{
    redis_server_kill(s);
    if (s->socket[0]) unlink(s->socket);
    if (s->clock[0]) unlink(s->clock);
    if (s->clock_ms) munmap(s->clock_ms, sizeof *s->clock_ms);
    if (s->dir[0]) rmdir(s->dir);
}
