/* SPDX-License-Identifier: Apache-2.0
 *
 * exec steps, and task steps whose handler is a program. No shell; only what is configured; JSON in
 * on stdin, JSON out on stdout. A program runs in a process group of its own, with a clean
 * environment, and the whole group is killed at its end, whichever that is: its own, a limit, or a
 * cancellation. The end of the leader is told by a pidfd. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "worker/tools_internal.h"

#define STDERR_BYTES_MAX (4 * KIB)
#define READ_BYTES       (16 * KIB)
#define ARGS_MAX         256

enum exec_end { EXEC_RUNS, EXEC_TIMEOUT, EXEC_FLOOD };

struct exec_job {
    struct tool_job job; /* first */
    const struct command *command;
    pid_t pid;
    enum exec_end end; /* why it was killed */
    struct loop_watch exit, in, out, err;
    struct loop_timer limit;
    struct buf input, output, errors;
    size_t written;
    int64_t limit_ms;
};

/* --- the end --- */

static void watch_close(struct tools *t, struct loop_watch *w)
{
    if (w->fd < 0) return;
    if (w->events) loop_unwatch(t->loop, w);
    close(w->fd);
    w->fd = -1;
}

static void kill_group(const struct exec_job *j)
{
    if (j->pid > 0) (void)kill(-j->pid, SIGKILL);
}

/* The watches may be named by an event of this very turn, so the memory goes at its end. */
static void job_free(struct tool_job *job)
{
    struct exec_job *j = (struct exec_job *)job;
    struct tools *t = job->t;
    loop_disarm(t->loop, &j->limit);
    if (j->pid > 0) { /* stopped from outside: nobody waits for it any more */
        kill_group(j);
        (void)waitpid(j->pid, NULL, 0);
    }
    struct loop_watch *watches[] = { &j->exit, &j->in, &j->out, &j->err };
    for (size_t i = 0; i < ARRAY_LEN(watches); i++) watch_close(t, watches[i]);
    buf_done(&j->input);
    buf_done(&j->output);
    buf_done(&j->errors);
    loop_defer_free(t->loop, free, j);
}

static void on_abort(struct tool_call *call)
{
    tool_job_end((struct tool_job *)call);
}

/* The last of stderr as text: what is no UTF-8 becomes a question mark. */
static char *stderr_text(const struct exec_job *j)
{
    char *text = xstrndup(j->errors.data ? j->errors.data : "", j->errors.len);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') *p = ' ';
    if (!utf8_check(text, strlen(text)))
        for (char *p = text; *p; p++)
            if ((unsigned char)*p >= 0x80) *p = '?';
    size_t len = strlen(text);
    while (len && text[len - 1] == '\n') text[--len] = '\0';
    return text;
}

static void outcome_of_output(const struct exec_job *j, struct outcome *o)
{
    struct err e;
    struct bytes out = buf_bytes(&j->output);
    const char *name = j->command->name;
    if (!utf8_check(out.data ? out.data : "", out.len)) {
        outcome_fail(o, ERROR_INVALID_OUTPUT, "%s: its output is not UTF-8", name);
        return;
    }
    AUTO_JSON *value = out.len ? json_parse(out, &e) : json_null();
    if (!value) {
        outcome_fail(o, ERROR_INVALID_OUTPUT, "%s: its output is not JSON: %s", name, e.text);
        return;
    }
    json_write(&o->text, value);
    o->ok = true;
}

static void outcome_of(const struct exec_job *j, int status, struct outcome *o)
{
    const char *name = j->command->name;
    AUTO_FREE char *errors = stderr_text(j);
    if (j->end == EXEC_TIMEOUT) {
        outcome_fail(o, ERROR_TIMEOUT, "%s was killed after %lld ms", name, (long long)j->limit_ms);
    } else if (j->end == EXEC_FLOOD) {
        outcome_fail(o, ERROR_INVALID_OUTPUT, "%s was killed: more than %zu bytes of output", name,
                     j->job.t->exec_output_bytes_max);
        o->retryable = false;
    } else if (WIFSIGNALED(status)) {
        outcome_fail(o, ERROR_TOOL_ERROR, "%s was killed by signal %d%s%.1000s", name,
                     WTERMSIG(status), *errors ? ": " : "", errors);
    } else if (WEXITSTATUS(status) != 0) {
        outcome_fail(o, ERROR_TOOL_ERROR, "%s ended with code %d%s%.1000s", name,
                     WEXITSTATUS(status), *errors ? ": " : "", errors);
    } else {
        outcome_of_output(j, o);
    }
    if (o->ok) return;
    o->details = json_object();
    if (WIFEXITED(status) && j->end == EXEC_RUNS)
        json_object_set_new(o->details, "exit_code", json_integer(WEXITSTATUS(status)));
    json_object_set_new(o->details, "stderr", json_string(errors));
}

static void read_some(struct exec_job *j, struct loop_watch *w);

static void on_exit_ready(struct loop_watch *w, unsigned events)
{
    (void)events;
    struct exec_job *j = w->user;
    /* Killed before it is waited for: until then the group's number cannot be another's. */
    kill_group(j);
    int status = 0;
    pid_t got = waitpid(j->pid, &status, WNOHANG);
    if (got == 0) return;
    j->pid = 0;
    /* What was written is in the pipes; whoever left the group does not hold up the end. */
    read_some(j, &j->out);
    read_some(j, &j->err);
    struct outcome o = { 0 };
    outcome_of(j, got < 0 ? 0x7f00 : status, &o);
    tool_job_done(&j->job, &o);
}

/* --- pipes --- */

static void flood(struct exec_job *j)
{
    j->end = EXEC_FLOOD;
    kill_group(j);
    watch_close(j->job.t, &j->out);
}

static void take(struct exec_job *j, const struct loop_watch *w, const char *data, size_t len)
{
    if (w == &j->out) {
        buf_add(&j->output, data, len);
        return;
    }
    buf_add(&j->errors, data, len);
    if (j->errors.len <= 2 * STDERR_BYTES_MAX) return;
    struct buf last = { 0 };
    buf_add(&last, j->errors.data + j->errors.len - STDERR_BYTES_MAX, STDERR_BYTES_MAX);
    buf_done(&j->errors);
    j->errors = last;
}

static void read_some(struct exec_job *j, struct loop_watch *w)
{
    char data[READ_BYTES];
    while (w->fd >= 0) {
        ssize_t n = read(w->fd, data, sizeof data);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            watch_close(j->job.t, w);
            return;
        }
        take(j, w, data, (size_t)n);
        if (j->output.len > j->job.t->exec_output_bytes_max && j->end == EXEC_RUNS) flood(j);
    }
}

static void on_readable(struct loop_watch *w, unsigned events)
{
    (void)events;
    if (w->fd >= 0) read_some(w->user, w);
}

static void sigpipe_ignored(int signal)
{
    (void)signal;
}

void tool_exec_prepare(void)
{
    struct sigaction now, empty = { .sa_handler = sigpipe_ignored, .sa_flags = SA_RESTART };
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        (void)sigaction(SIGPIPE, &empty, NULL);
}

static void on_writable(struct loop_watch *w, unsigned events)
{
    (void)events;
    struct exec_job *j = w->user;
    while (w->fd >= 0 && j->written < j->input.len) {
        ssize_t n = write(w->fd, j->input.data + j->written, j->input.len - j->written);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) break; /* it does not read its input, which is its right */
        j->written += (size_t)n;
    }
    watch_close(j->job.t, w);
}

static void on_limit(struct loop_timer *timer)
{
    struct exec_job *j = timer->user;
    j->end = EXEC_TIMEOUT;
    kill_group(j);
}

/* --- the start --- */

struct start {
    char *argv[ARGS_MAX + 2];
    size_t argc;
    char **env;
    size_t env_count;
    int in[2], out[2], err[2];
};

static void start_done(struct start *s)
{
    for (size_t i = 0; i < s->argc; i++) free(s->argv[i]);
    for (size_t i = 0; i < s->env_count; i++) free(s->env[i]);
    free(s->env);
    int *pipes[] = { s->in, s->out, s->err };
    for (size_t i = 0; i < ARRAY_LEN(pipes); i++)
        for (size_t k = 0; k < 2; k++)
            if (pipes[i][k] >= 0) close(pipes[i][k]);
}

static bool add_args(struct start *s, const json_t *args, struct err *e)
{
    for (size_t i = 0; i < json_array_size(args); i++) {
        const json_t *item = json_array_get(args, i);
        AUTO_BUF struct buf number = { 0 };
        const char *text = json_string_value(item);
        if (json_is_number(item)) {
            json_write(&number, item);
            text = number.data;
        }
        if (!text) return err_fail(e, ERR_INVALID, "args[%zu] is neither text nor a number", i);
        if (s->argc > ARGS_MAX) return err_fail(e, ERR_INVALID, "more than %d args", ARGS_MAX);
        s->argv[s->argc++] = xstrdup(text);
    }
    return true;
}

static void add_env(struct start *s, const char *name, const char *value, size_t len)
{
    s->env = xrealloc(s->env, (s->env_count + 2) * sizeof *s->env);
    s->env[s->env_count++] = xasprintf("%s=%.*s", name, (int)len, value);
    s->env[s->env_count] = NULL;
}

static void environment(struct start *s, const struct command *c, const struct task *task)
{
    static const char *const fixed[][2] = { { "PATH", "/usr/local/bin:/usr/bin:/bin" },
                                            { "HOME", "/" },
                                            { "LANG", "C.UTF-8" } };
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        if (!json_object_get(c->env, fixed[i][0]))
            add_env(s, fixed[i][0], fixed[i][1], strlen(fixed[i][1]));
    const char *name;
    json_t *item;
    json_object_foreach(c->env, name, item) {
        add_env(s, name, json_string_value(item), json_string_length(item));
    }
    add_env(s, "TUTTI_RUN_ID", task->run_id.data, task->run_id.len);
    add_env(s, "TUTTI_PATH", task->path.data, task->path.len);
    if (task->idempotency_key.len)
        add_env(s, "TUTTI_IDEMPOTENCY_KEY", task->idempotency_key.data, task->idempotency_key.len);
}

/* Every end is close-on-exec and ours are non-blocking; the child's are put to 0, 1 and 2. */
static bool pipes(struct start *s, struct err *e)
{
    if (pipe2(s->in, O_CLOEXEC) != 0 || pipe2(s->out, O_CLOEXEC) != 0 ||
        pipe2(s->err, O_CLOEXEC) != 0)
        return err_fail(e, ERR_IO, "pipe: %s", strerror(errno));
    int ours[] = { s->in[1], s->out[0], s->err[0] };
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) (void)fcntl(ours[i], F_SETFL, O_NONBLOCK);
    return true;
}

static int spawn(struct start *s, const struct command *c, pid_t *ret)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, usual;
    sigemptyset(&none);
    sigfillset(&usual);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, s->in[0], 0);
    posix_spawn_file_actions_adddup2(&files, s->out[1], 1);
    posix_spawn_file_actions_adddup2(&files, s->err[1], 2);
    if (c->cwd) posix_spawn_file_actions_addchdir_np(&files, c->cwd);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none); /* the loop blocks the signals it reads */
    posix_spawnattr_setsigdefault(&attributes, &usual);
    int r = posix_spawn(ret, c->path, &files, &attributes, s->argv, s->env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return r;
}

static void watch(struct exec_job *j, struct loop_watch *w, int *fd, unsigned events,
                  void (*on_ready)(struct loop_watch *, unsigned))
{
    *w = (struct loop_watch){ .fd = *fd, .user = j, .on_ready = on_ready };
    *fd = -1;
    loop_watch(j->job.t->loop, w, events);
}

/* The program runs: everything that can happen to it is watched from here on. */
static bool attend(struct exec_job *j, struct start *s, struct err *e)
{
    int fd = (int)syscall(SYS_pidfd_open, j->pid, 0); /* close-on-exec by itself */
    if (fd < 0) return err_fail(e, ERR_IO, "pidfd_open: %s", strerror(errno));
    watch(j, &j->exit, &fd, LOOP_READ, on_exit_ready);
    watch(j, &j->out, &s->out[0], LOOP_READ, on_readable);
    watch(j, &j->err, &s->err[0], LOOP_READ, on_readable);
    watch(j, &j->in, &s->in[1], LOOP_WRITE, on_writable);
    j->limit = (struct loop_timer){ .on_due = on_limit, .user = j };
    loop_arm(j->job.t->loop, &j->limit, (uint64_t)j->limit_ms);
    return true;
}

static bool launch(struct exec_job *j, const json_t *args, enum error_type *ret_type, struct err *e)
{
    struct start s CLEANUP(start_done) = { .in = { -1, -1 }, .out = { -1, -1 }, .err = { -1, -1 } };
    *ret_type = ERROR_BAD_REQUEST;
    s.argv[s.argc++] = xstrdup(j->command->path);
    if (!add_args(&s, j->command->args, e) || !add_args(&s, args, e)) return false;
    environment(&s, j->command, j->job.in.task);
    *ret_type = ERROR_INTERNAL;
    if (!pipes(&s, e)) return false;
    int r = spawn(&s, j->command, &j->pid);
    if (r != 0) {
        j->pid = 0;
        if (r != EAGAIN && r != ENOMEM) *ret_type = ERROR_BAD_REQUEST;
        return err_fail(e, ERR_IO, "%s: cannot start %s: %s", j->command->name, j->command->path,
                        strerror(r));
    }
    return attend(j, &s, e);
}

static struct tool_call *start_command(struct tools *t, const struct command *c,
                                       const struct tool_input *in, const json_t *args,
                                       const json_t *input, struct used_secrets *used,
                                       struct outcome *ret_now)
{
    struct exec_job *j = xcalloc(1, sizeof *j);
    struct err e;
    enum error_type type;
    j->job.call.abort = on_abort;
    j->job.free = job_free;
    j->job.used = *used;
    *used = (struct used_secrets){ 0 };
    j->command = c;
    j->exit.fd = j->in.fd = j->out.fd = j->err.fd = -1;
    j->limit_ms = c->timeout_ms ? MIN(c->timeout_ms, in->timeout_ms) : in->timeout_ms;
    if (input) json_write(&j->input, input);
    tool_job_begin(t, &j->job, in);
    if (launch(j, args, &type, &e)) return &j->job.call;
    outcome_fail(ret_now, type, "%s", e.text);
    tool_redact(&j->job.used, ret_now);
    tool_job_end(&j->job);
    return NULL;
}

static const struct command *command_of(struct tools *t, const json_t *value,
                                        struct outcome *ret_now)
{
    const char *name = json_text(value, "command");
    for (size_t i = 0; name && i < t->command_count; i++)
        if (strcmp(t->commands[i].name, name) == 0) return &t->commands[i];
    AUTO_BUF struct buf names = { 0 };
    for (size_t i = 0; i < t->command_count; i++)
        buf_addf(&names, "%s%s", i ? ", " : "", t->commands[i].name);
    outcome_fail(ret_now, ERROR_BAD_REQUEST,
                 "this worker has no command '%.100s'; configured (option commands): %s",
                 name ? name : "", names.len ? names.data : "none");
    return NULL;
}

struct tool_call *tool_exec_start(struct tools *t, const struct tool_input *in,
                                  struct outcome *ret_now)
{
    struct used_secrets used CLEANUP(used_secrets_done) = { 0 };
    AUTO_JSON *value = tool_value(t, in->task, &used, ret_now);
    const struct command *c = value ? command_of(t, value, ret_now) : NULL;
    if (!c) return NULL;
    const json_t *input = json_object_get(value, "stdin");
    if (json_is_null(input)) input = NULL;
    return start_command(t, c, in, json_object_get(value, "args"), input, &used, ret_now);
}

struct tool_call *tool_exec_handler_start(struct tools *t, const struct command *c,
                                          const struct tool_input *in, struct outcome *ret_now)
{
    struct used_secrets used CLEANUP(used_secrets_done) = { 0 };
    AUTO_JSON *value = tool_value(t, in->task, &used, ret_now);
    if (!value) return NULL;
    return start_command(t, c, in, NULL, value, &used, ret_now);
}
