/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs as tools, run for real on the loop: what they get, what their ends mean, and that none
 * of them outlives its call. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "fake_io.h"
#include "worker/tools.h"

struct bench {
    struct loop *loop;
    struct fake *fake;
    struct tools *tools;
    struct outcome outcome;
    bool done;
};

static void on_done(void *user, struct outcome *o)
{
    struct bench *b = user;
    outcome_move(&b->outcome, o);
    b->done = true;
}

static bool is_done(void *user)
{
    return ((struct bench *)user)->done;
}

static struct bench begin(const char *commands, const char *handlers)
{
    static struct log log;
    log = log_new("test", LOG_ERROR, 2);
    struct bench b = { 0 };
    struct err e;
    b.loop = loop_new(&e);
    b.fake = fake_new(b.loop);
    AUTO_JSON *c = json_parse(bytes_of(commands), &e);
    AUTO_JSON *h = json_parse(bytes_of(handlers), &e);
    cr_assert(c && h);
    struct worker_options o = {
        .prefix = "tutti", .name = "w", .log = &log, .commands = c, .handlers = h
    };
    b.tools = tools_open(&(struct tools_options){ .loop = b.loop,
                                                  .pool = fake_pool(b.fake),
                                                  .store = NULL,
                                                  .worker_name = "w",
                                                  .log = &log,
                                                  .worker = &o },
                         &e);
    cr_assert(b.tools != NULL, "%s", e.text);
    return b;
}

static void end(struct bench *b)
{
    outcome_done(&b->outcome);
    tools_stop(b->tools);
    tools_free(b->tools);
    loop_turn(b->loop, 0);
    fake_free(b->fake);
    loop_free(b->loop);
}

static struct task task(const char *kind, const char *uses, const char *value)
{
    return (struct task){ .kind = bytes_of(kind),
                          .uses = bytes_of(uses),
                          .value = bytes_of(value),
                          .run_id = BYTES_LIT("run"),
                          .path = BYTES_LIT("step"),
                          .attempt = 1 };
}

static struct tool_call *start(struct bench *b, const struct task *t, int64_t timeout_ms)
{
    struct outcome now = { 0 };
    struct tool_call *call = tools_start(
        b->tools,
        &(struct tool_input){ .task = t, .timeout_ms = timeout_ms, .done = on_done, .user = b },
        &now);
    if (!call) on_done(b, &now);
    outcome_done(&now);
    return call;
}

static void run_for(struct bench *b, const struct task *t, int64_t timeout_ms)
{
    (void)start(b, t, timeout_ms);
    cr_assert(loop_run_until(b->loop, is_done, b, 20000));
}

#define SH(name, script) \
    "\"" name "\": {\"command\": \"/bin/sh\", \"args\": [\"-c\", \"" script "\"]}"

Test(exec, json_in_json_out)
{
    struct bench b = begin("{\"cat\": {\"command\": \"/bin/cat\"}}", "{}");
    struct task t =
        task("exec", "", "{\"command\": \"cat\", \"stdin\": {\"a\": [1, \"\\u00fc\"]}}");
    run_for(&b, &t, 10000);
    cr_assert(b.outcome.ok, "%s", b.outcome.text.data);
    cr_assert_str_eq(b.outcome.text.data, "{\"a\":[1,\"\xC3\xBC\"]}");
    end(&b);
}

Test(exec, a_handler_gets_the_task_and_a_clean_environment)
{
    setenv("LEAKED", "yes", 1);
    struct bench b =
        begin("{}", "{\"env\": {\"exec\": {\"command\": \"/bin/sh\", \"env\": {\"COLOUR\": "
                    "\"red\"}, \"cwd\": \"/usr\","
                    " \"args\": [\"-c\", \"read x; printf '[%s,\\\"%s %s %s %s\\\"]' \\\"$x\\\" "
                    "\\\"$HOME\\\" \\\"$COLOUR\\\" \\\"$PWD\\\" \\\"$LEAKED\\\"\"]}}}");
    struct task t = task("task", "env", "{\"n\":1}");
    run_for(&b, &t, 10000);
    cr_assert(b.outcome.ok, "%s", b.outcome.text.data);
    cr_assert_str_eq(b.outcome.text.data, "[{\"n\":1},\"/ red /usr \"]");
    end(&b);
}

Test(exec, arguments_are_no_shell_words)
{
    struct bench b = begin("{\"echo\": {\"command\": \"/bin/echo\", \"args\": [\"-n\"]}}", "{}");
    struct task t =
        task("exec", "", "{\"command\": \"echo\", \"args\": [\"[\\\"$(id);\\\",\", 7, \"]\"]}");
    run_for(&b, &t, 10000);
    cr_assert(b.outcome.ok, "%s", b.outcome.text.data);
    cr_assert_str_eq(b.outcome.text.data, "[\"$(id);\",7]");
    end(&b);
}

Test(exec, an_exit_code_is_a_tool_error_with_stderr)
{
    struct bench b = begin("{" SH("bad", "echo what >&2; exit 3") "}", "{}");
    struct task t = task("exec", "", "{\"command\": \"bad\"}");
    run_for(&b, &t, 10000);
    cr_assert_not(b.outcome.ok);
    cr_assert_eq(b.outcome.error, ERROR_TOOL_ERROR);
    cr_assert_eq(json_int(b.outcome.details, "exit_code", -1), 3);
    cr_assert_str_eq(json_text(b.outcome.details, "stderr"), "what");
    end(&b);
}

/* Whether a process is gone, or is a zombie that somebody else has to wait for. */
static bool gone(pid_t pid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f) return true;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *state = strrchr(text, ')');
    return !state || state[2] == 'Z' || state[2] == 'X';
}

static pid_t read_pid(const char *path)
{
    FILE *f = fopen(path, "r");
    int pid = 0;
    if (f) {
        if (fscanf(f, "%d", &pid) != 1) pid = 0;
        fclose(f);
    }
    return pid;
}

static bool pid_written(void *path)
{
    return read_pid(path) > 0;
}
static bool pid_gone(void *pid)
{
    return gone(*(pid_t *)pid);
}

/* A program with a child that hangs; the child's pid goes to a file. */
static struct bench hanging(char *file)
{
    int fd = mkstemp(file);
    cr_assert(fd >= 0);
    close(fd);
    AUTO_FREE char *commands =
        xasprintf("{" SH("hang", "/bin/tail -f /dev/null & echo $! > %s; wait") "}", file);
    return begin(commands, "{}");
}

Test(exec, what_hangs_is_killed_with_its_children)
{
    char file[] = "/tmp/tutti-exec-XXXXXX";
    struct bench b = hanging(file);
    struct task t = task("exec", "", "{\"command\": \"hang\"}");
    (void)start(&b, &t, 1500);
    cr_assert(loop_run_until(b.loop, pid_written, file, 1400));
    pid_t child = read_pid(file);
    cr_assert(loop_run_until(b.loop, is_done, &b, 10000));
    cr_assert_eq(b.outcome.error, ERROR_TIMEOUT);
    cr_assert(loop_run_until(b.loop, pid_gone, &child, 5000));
    unlink(file);
    end(&b);
}

Test(exec, an_aborted_call_is_killed_with_its_children)
{
    char file[] = "/tmp/tutti-exec-XXXXXX";
    struct bench b = hanging(file);
    struct task t = task("exec", "", "{\"command\": \"hang\"}");
    struct tool_call *call = start(&b, &t, 60000);
    cr_assert(loop_run_until(b.loop, pid_written, file, 10000));
    pid_t child = read_pid(file);
    call->abort(call);
    cr_assert(loop_run_until(b.loop, pid_gone, &child, 5000));
    cr_assert_not(b.done);
    unlink(file);
    end(&b);
}

Test(exec, a_child_that_stays_behind_does_not_hold_up_the_end)
{
    struct bench b = begin("{" SH("leave", "/bin/tail -f /dev/null & echo 1") "}", "{}");
    struct task t = task("exec", "", "{\"command\": \"leave\"}");
    run_for(&b, &t, 15000);
    cr_assert(b.outcome.ok, "%s", b.outcome.text.data);
    end(&b);
}

Test(exec, a_flood_of_output_is_cut_and_the_program_killed)
{
    struct bench b = begin("{" SH("flood", "exec /usr/bin/yes") "}", "{}");
    struct task t = task("exec", "", "{\"command\": \"flood\"}");
    run_for(&b, &t, 15000);
    cr_assert_eq(b.outcome.error, ERROR_INVALID_OUTPUT);
    cr_assert_not(b.outcome.retryable);
    end(&b);
}

Test(exec, output_that_is_no_utf8_or_no_json_is_invalid)
{
    struct bench b =
        begin("{" SH("bytes", "printf '\\\\377'") "," SH("text", "echo hello") "}", "{}");
    struct task t = task("exec", "", "{\"command\": \"bytes\"}");
    run_for(&b, &t, 15000);
    cr_assert_eq(b.outcome.error, ERROR_INVALID_OUTPUT);
    cr_assert_not_null(strstr(b.outcome.text.data, "UTF-8"), "%s", b.outcome.text.data);
    b.done = false;
    t = task("exec", "", "{\"command\": \"text\"}");
    run_for(&b, &t, 15000);
    cr_assert_eq(b.outcome.error, ERROR_INVALID_OUTPUT);
    cr_assert_not_null(strstr(b.outcome.text.data, "JSON"), "%s", b.outcome.text.data);
    end(&b);
}

Test(exec, large_input_passes_and_is_not_read_by_a_program_that_does_not_want_it)
{
    struct bench b = begin("{\"cat\": {\"command\": \"/bin/cat\"}," SH("deaf", "echo 1") "}", "{}");
    AUTO_BUF struct buf value = { 0 };
    buf_add_text(&value, "{\"command\": \"cat\", \"stdin\": \"");
    for (int i = 0; i < 30000; i++) buf_add_text(&value, "0123456789");
    buf_add_text(&value, "\"}");
    struct task t = task("exec", "", value.data);
    run_for(&b, &t, 15000);
    cr_assert(b.outcome.ok, "%s", b.outcome.text.data);
    cr_assert_eq(b.outcome.text.len, 300002);
    b.done = false;
    AUTO_FREE char *deaf = xasprintf("{\"command\": \"deaf\"%s", strchr(value.data, ','));
    t = task("exec", "", deaf);
    run_for(&b, &t, 15000);
    cr_assert(b.outcome.ok, "%s", b.outcome.text.data);
    end(&b);
}

Test(exec, only_what_is_configured_runs)
{
    struct bench b = begin(
        "{\"cat\": {\"command\": \"/bin/cat\"}, \"gone\": {\"command\": \"/no/such\"}}", "{}");
    struct task t = task("exec", "", "{\"command\": \"/bin/ls\"}");
    run_for(&b, &t, 15000);
    cr_assert_eq(b.outcome.error, ERROR_BAD_REQUEST);
    cr_assert_not_null(strstr(b.outcome.text.data, "cat"), "names what there is");
    b.done = false;
    t = task("exec", "", "{\"command\": \"gone\"}");
    run_for(&b, &t, 15000);
    cr_assert_eq(b.outcome.error, ERROR_BAD_REQUEST);
    cr_assert_not_null(strstr(b.outcome.text.data, "/no/such"));
    end(&b);
}

Test(exec, secrets_go_in_and_do_not_come_out)
{
    setenv("TUTTI_SECRET_KEY", "hunter22", 1);
    struct bench b =
        begin("{\"cat\": {\"command\": \"/bin/cat\"}," SH("err", "cat >&2; exit 1") "}", "{}");
    struct task t =
        task("exec", "", "{\"command\": \"cat\", \"stdin\": [\"\", \"${secrets.KEY}\"]}");
    t.secrets = BYTES_LIT("[[\"/stdin/0\",0,\"KEY\"]]");
    run_for(&b, &t, 15000);
    cr_assert_str_eq(b.outcome.text.data, "[\"[redacted:KEY]\",\"${secrets.KEY}\"]");
    b.done = false;
    t = task("exec", "", "{\"command\": \"err\", \"stdin\": [\"\"]}");
    t.secrets = BYTES_LIT("[[\"/stdin/0\",0,\"KEY\"]]");
    run_for(&b, &t, 15000);
    cr_assert_null(strstr(b.outcome.text.data, "hunter22"));
    cr_assert_null(strstr(json_text(b.outcome.details, "stderr"), "hunter22"));
    end(&b);
}
