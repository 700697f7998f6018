/* SPDX-License-Identifier: Apache-2.0
 *
 * Other programs of ours, and redis-server: found, started, watched, ended. A child never outlives
 * its parent (PR_SET_PDEATHSIG), not even one that is killed.
 */
#ifndef TUTTI_CLI_CHILD_H
#define TUTTI_CLI_CHILD_H

#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/err.h"

/* The program's path: beside this one first, then in PATH. ERR_NOT_FOUND says where it was looked
 * for. *ret_path is to free(). */
MUST_CHECK bool child_find(const char *program, char **ret_path, struct err *e);
/* Runs a program to its end and appends what it wrote to stdout. Fails unless it ends with 0. */
MUST_CHECK bool child_output(const char *path, char *const *argv, struct buf *ret, struct err *e);

struct child {
    const char *name; /* for people; static */
    pid_t pid;        /* 0: not started */
    bool ended;
    int status;     /* of waitpid, once it has ended */
    char *log_path; /* owned; NULL: it writes to our stderr */
    int stdout_fd;  /* read end of its stdout if that was asked for, else -1 */
};
struct child_options {
    const char *name, *path;
    char *const *argv;           /* NULL-ended, with argv[0] */
    const char *const (*env)[2]; /* variables to set on top of ours, ended by { NULL, NULL } */
    const char *log_path;        /* its stderr (and stdout) go there; NULL: to our stderr */
    bool pipe_stdout;            /* we read its stdout */
};
MUST_CHECK bool child_start(struct child *c, const struct child_options *options, struct err *e);
/* Asks the kernel whether it has ended, without waiting; returns c->ended (true also for a child
 * that was never started). */
bool child_ended(struct child *c);
void child_signal(struct child *c, int signal);
/* "exit code 1", "signal 9 (Killed)". */
void child_describe(const struct child *c, struct buf *ret);
/* Appends the last lines of its log, each behind "  NAME| ". */
void child_log_tail(const struct child *c, size_t lines, struct buf *ret);
/* Frees what the struct owns. The process must have ended. */
void child_done(struct child *c);

#endif
