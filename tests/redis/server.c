/* SPDX-License-Identifier: Apache-2.0
 *
 * Starts and ends a redis-server for a test. */
#include "tests/redis/server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0) dup2(null, STDOUT_FILENO);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

bool redis_server_start(struct redis_server *s, const char *const *more)
{
    if (!s->dir[0]) {
        snprintf(s->dir, sizeof s->dir, "/tmp/tutti-redis-XXXXXX");
        if (!mkdtemp(s->dir)) return false;
        snprintf(s->socket, sizeof s->socket, "%s/s", s->dir);
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
    if (s->dir[0]) rmdir(s->dir);
}
