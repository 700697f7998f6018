/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/term.h"
#include "common/base/limits.h"

#define OUTPUT_BYTES_MAX (4 * MIB)
#define TAIL_BYTES       (16 * KIB)

extern char **environ;

/* --- finding --- */

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

static char *beside_us(const char *program)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len <= 0) return NULL;
    self[len] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash) return NULL;
    return xasprintf("%.*s/%s", (int)(slash - self), self, program);
}

bool child_find(const char *program, char **ret_path, struct err *e)
{
    AUTO_FREE char *path = beside_us(program);
    if (path && is_program(path)) {
        *ret_path = TAKE(path);
        return true;
    }
    const char *list = getenv("PATH");
    while (list && *list) {
        size_t len = strcspn(list, ":");
        AUTO_FREE char *candidate = xasprintf("%.*s/%s", (int)len, list, program);
        if (len > 0 && is_program(candidate)) {
            *ret_path = TAKE(candidate);
            return true;
        }
        list += len + (list[len] == ':');
    }
    return err_fail(e, ERR_NOT_FOUND,
                    "%s: there is no such program beside tutti or in PATH; "
                    "install it",
                    program);
}

/* --- starting --- */

/* Our environment with variables set or replaced; the strings that are ours lie in *ret_texts. */
static char **merged_environment(const char *const (*env)[2], char ***ret_texts)
{
    size_t ours = 0, added = 0, count = 0;
    while (environ[ours]) ours++;
    while (env && env[added][0]) added++;
    char **merged = xcalloc(ours + added + 1, sizeof(*merged));
    *ret_texts = xcalloc(added + 1, sizeof(**ret_texts));
    for (size_t i = 0; i < ours; i++) {
        bool replaced = false;
        for (size_t j = 0; j < added && !replaced; j++) {
            size_t len = strlen(env[j][0]);
            replaced = strncmp(environ[i], env[j][0], len) == 0 && environ[i][len] == '=';
        }
        if (!replaced) merged[count++] = environ[i];
    }
    for (size_t j = 0; j < added; j++)
        merged[count++] = (*ret_texts)[j] = xasprintf("%s=%s", env[j][0], env[j][1]);
    return merged;
}

/* In the child, between fork and exec: only what is safe after a fork of a threaded process. */
static void become(const char *path, char *const *argv, char *const *env, int in, int out, int err,
                   pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    /* Signals that the loop reads from its signalfd are blocked, and would stay so behind exec. */
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* The parent may have died before prctl. A group of its own keeps the terminal's Ctrl-C away:
     * the parent ends its children in order. */
    if (getppid() != parent || setpgid(0, 0) != 0) _exit(127);
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
        _exit(127);
    execve(path, argv, env);
    _exit(127);
}

static pid_t spawn(const char *path, char *const *argv, const char *const (*env)[2], int out,
                   int err, struct err *e)
{
    char **texts;
    AUTO_FREE char **merged = merged_environment(env, &texts);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t parent = getpid();
    pid_t pid = in < 0 ? -1 : fork();
    if (pid == 0) become(path, argv, merged, in, out, err, parent);
    if (pid < 0) err_fail(e, ERR_IO, "%s: %s", path, strerror(errno));
    if (in >= 0) close(in);
    for (size_t i = 0; texts[i]; i++) free(texts[i]);
    free(texts);
    return pid;
}

bool child_start(struct child *c, const struct child_options *o, struct err *e)
{
    *c = (struct child){ .name = o->name, .stdout_fd = -1 };
    int log = STDERR_FILENO, pipe_fds[2] = { -1, -1 };
    if (o->log_path) log = open(o->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) return err_fail(e, ERR_IO, "%s: %s", o->log_path, strerror(errno));
    bool ok = !o->pipe_stdout || pipe2(pipe_fds, O_CLOEXEC) == 0;
    if (!ok) err_fail(e, ERR_IO, "pipe: %s", strerror(errno));
    pid_t pid =
        ok ? spawn(o->path, o->argv, o->env, o->pipe_stdout ? pipe_fds[1] : log, log, e) : -1;
    if (o->log_path) close(log);
    if (pipe_fds[1] >= 0) close(pipe_fds[1]);
    if (pid < 0) {
        if (pipe_fds[0] >= 0) close(pipe_fds[0]);
        return false;
    }
    c->pid = pid;
    c->stdout_fd = pipe_fds[0];
    if (o->log_path) c->log_path = xstrdup(o->log_path);
    return true;
}

bool child_output(const char *path, char *const *argv, struct buf *ret, struct err *e)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return err_fail(e, ERR_IO, "pipe: %s", strerror(errno));
    struct child c = { .name = path, .stdout_fd = -1 };
    c.pid = spawn(path, argv, NULL, fds[1], STDERR_FILENO, e);
    close(fds[1]);
    size_t before = ret->len;
    while (c.pid > 0 && ret->len - before < OUTPUT_BYTES_MAX) {
        buf_reserve(ret, 16 * KIB);
        ssize_t n = read(fds[0], ret->data + ret->len, 16 * KIB);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        ret->len += (size_t)n;
        ret->data[ret->len] = '\0';
    }
    close(fds[0]);
    if (c.pid < 0) return false;
    while (waitpid(c.pid, &c.status, 0) < 0 && errno == EINTR) {}
    if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0) return true;
    AUTO_BUF struct buf how = { 0 };
    child_describe(&c, &how);
    return err_fail(e, ERR_INTERNAL, "ended with %s", how.data);
}

/* --- watching and ending --- */

bool child_ended(struct child *c)
{
    if (c->pid == 0 || c->ended) return true;
    if (waitpid(c->pid, &c->status, WNOHANG) == c->pid) c->ended = true;
    return c->ended;
}

void child_signal(struct child *c, int signal)
{
    if (!child_ended(c)) (void)kill(c->pid, signal);
}

void child_describe(const struct child *c, struct buf *ret)
{
    if (WIFSIGNALED(c->status))
        buf_addf(ret, "signal %d (%s)", WTERMSIG(c->status), strsignal(WTERMSIG(c->status)));
    else
        buf_addf(ret, "exit code %d", WEXITSTATUS(c->status));
}

void child_log_tail(const struct child *c, size_t lines, struct buf *ret)
{
    if (!c->log_path) return;
    int fd = open(c->log_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
    AUTO_FREE char *text = xmalloc(TAIL_BYTES + 1);
    ssize_t len = pread(fd, text, TAIL_BYTES, from);
    close(fd);
    if (len <= 0) return;
    text[len] = '\0';
    if (text[len - 1] == '\n') text[len - 1] = '\0';
    const char *start = text + strlen(text);
    for (size_t seen = 0; start > text; start--)
        if (start[-1] == '\n' && ++seen == lines) break;
    while (*start) {
        size_t line = strcspn(start, "\n");
        buf_addf(ret, "  %s| ", c->name);
        term_text(ret, (struct bytes){ .data = start, .len = line }, false);
        buf_add_char(ret, '\n');
        start += line + (start[line] == '\n');
    }
}

void child_done(struct child *c)
{
    ASSERT(c->pid == 0 || c->ended);
    if (c->stdout_fd >= 0 && c->pid != 0) close(c->stdout_fd);
    free(c->log_path);
    *c = (struct child){ .stdout_fd = -1 };
}
