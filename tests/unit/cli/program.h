/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the built `tutti` as a user would, and catches what it writes.
 */
#ifndef TUTTI_TESTS_PROGRAM_H
#define TUTTI_TESTS_PROGRAM_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"

struct outcome {
    int code;  /* exit code; 256 + signal where one ended it; -1 if it had to be killed */
    char *out; /* owned */
    char *err; /* owned */
    uint64_t ms;
};

static inline void outcome_done(struct outcome *o)
{
    free(o->out);
    free(o->err);
}

/* A file in a private directory with this content; the path is to free(). */
static inline char *temporary(const char *name, const char *content)
{
    char dir[] = "/tmp/tutti-test-XXXXXX";
    if (!mkdtemp(dir)) abort();
    char *path = xasprintf("%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    if (!f || fwrite(content, 1, strlen(content), f) != strlen(content) || fclose(f) != 0) abort();
    return path;
}

static inline void temporary_done(char **path)
{
    (void)unlink(*path);
    *strrchr(*path, '/') = '\0';
    (void)rmdir(*path);
    free(*path);
}
#define AUTO_TEMPORARY CLEANUP(temporary_done) char *

static inline char *slurp_fd(int fd)
{
    struct buf text = { 0 };
    char chunk[4096];
    ssize_t n;
    (void)lseek(fd, 0, SEEK_SET);
    while ((n = read(fd, chunk, sizeof chunk)) > 0) buf_add(&text, chunk, (size_t)n);
    close(fd);
    return text.data ? text.data : xstrdup("");
}

/* A file without a name. */
static inline int nameless(void)
{
    FILE *f = tmpfile();
    if (!f) abort();
    int fd = dup(fileno(f));
    fclose(f);
    return fd;
}

/* Runs argv[0] with a clean environment (no TUTTI_..., no terminal), stdin from input (NULL:
 * empty), for a minute at the most. */
static inline struct outcome run_program(const char *const *argv, const char *input)
{
    int in = nameless(), out = nameless(), err = nameless();
    if (input && write(in, input, strlen(input)) != (ssize_t)strlen(input)) abort();
    (void)lseek(in, 0, SEEK_SET);
    AUTO_FREE char *path = xasprintf("PATH=%s", getenv("PATH"));
    char *env[] = { path, (char *)"USER=tester", (char *)"LC_ALL=C.UTF-8", NULL };
    uint64_t start = clock_mono_ms();
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in, 0);
        dup2(out, 1);
        dup2(err, 2);
        execvpe(argv[0], (char *const *)argv, env);
        _exit(127);
    }
    struct outcome o = { .code = -1 };
    int status = 0;
    pid_t ended = 0;
    while (ended == 0 && clock_mono_ms() - start < 60000) {
        ended = waitpid(pid, &status, WNOHANG);
        if (ended == 0) poll(NULL, 0, 2);
    }
    if (ended == 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    } else {
        o.code = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
    }
    o.ms = clock_mono_ms() - start;
    close(in);
    o.out = slurp_fd(out);
    o.err = slurp_fd(err);
    return o;
}

#define TUTTI(...) \
    run_program((const char *const[]){ TUTTI_BINARY_DIR "/bin/tutti", __VA_ARGS__, NULL }, NULL)
#define TUTTI_INPUT(input, ...) \
    run_program((const char *const[]){ TUTTI_BINARY_DIR "/bin/tutti", __VA_ARGS__, NULL }, (input))
#define AUTO_OUTCOME CLEANUP(outcome_done) struct outcome

#endif
