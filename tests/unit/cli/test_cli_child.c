/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs that `tutti dev` finds, starts, watches and ends.
 */
#include <criterion/criterion.h>
#include <poll.h>

#include "cli/child.h"
#include "tests/unit/cli/program.h"

/* Looks until the child has ended, for 10 s at the most. */
static bool wait_for_end(struct child *c)
{
    uint64_t end = clock_mono_ms() + 10000;
    while (!child_ended(c) && clock_mono_ms() < end) poll(NULL, 0, 2);
    return child_ended(c);
}

static struct child start(const char *script, const char *log, const char *const (*env)[2])
{
    struct child c;
    struct err e;
    const char *argv[] = { "/bin/sh", "-c", script, NULL };
    struct child_options options = { .name = "script",
                                     .path = "/bin/sh",
                                     .argv = (char *const *)argv,
                                     .env = env,
                                     .log_path = log };
    cr_assert(child_start(&c, &options, &e), "%s", e.text);
    return c;
}

Test(child, programs_are_found_beside_this_one_and_in_the_path)
{
    AUTO_FREE char *beside = NULL, *path = NULL, *none = NULL;
    struct err e;
    cr_assert(child_find("tutti", &beside, &e), "%s", e.text);
    cr_assert_str_eq(beside, TUTTI_BINARY_DIR "/bin/tutti");
    cr_assert(child_find("sh", &path, &e), "%s", e.text);
    cr_assert_eq(access(path, X_OK), 0);
    cr_assert_not(child_find("no-such-program-of-ours", &none, &e));
    cr_assert_eq(e.kind, ERR_NOT_FOUND);
    cr_assert(strstr(e.text, "no-such-program-of-ours"), "%s", e.text);
}

Test(child, output_is_collected_and_a_failure_is_one)
{
    AUTO_BUF struct buf out = { 0 };
    struct err e;
    char *good[] = { (char *)"sh", (char *)"-c", (char *)"echo hello", NULL };
    cr_assert(child_output("/bin/sh", good, &out, &e), "%s", e.text);
    cr_assert_str_eq(out.data, "hello\n");
    char *bad[] = { (char *)"sh", (char *)"-c", (char *)"exit 7", NULL };
    cr_assert_not(child_output("/bin/sh", bad, &out, &e));
    cr_assert(strstr(e.text, "exit code 7"), "%s", e.text);
}

Test(child, the_last_lines_of_a_log_are_shown_without_its_escapes)
{
    AUTO_TEMPORARY log = temporary("child.log", "");
    struct child c = start("echo one; echo two >&2; printf 'th\\033ree'", log, NULL);
    cr_assert(wait_for_end(&c));
    AUTO_BUF struct buf tail = { 0 }, all = { 0 };
    child_log_tail(&c, 2, &tail);
    cr_assert_str_eq(tail.data, "  script| two\n  script| th\\x1bree\n");
    child_log_tail(&c, 20, &all);
    cr_assert_str_eq(all.data, "  script| one\n  script| two\n  script| th\\x1bree\n");
    child_done(&c);
}

Test(child, variables_are_set_or_replaced)
{
    AUTO_TEMPORARY log = temporary("child.log", "");
    setenv("TUTTI_TEST_OLD", "old", 1);
    const char *const env[][2] = { { "TUTTI_TEST_OLD", "new" }, { "TUTTI_TEST_X", "x" }, { NULL } };
    struct child c = start("echo $TUTTI_TEST_OLD $TUTTI_TEST_X $HOME", log, env);
    cr_assert(wait_for_end(&c));
    AUTO_BUF struct buf all = { 0 };
    child_log_tail(&c, 1, &all);
    AUTO_FREE char *wanted = xasprintf("  script| new x%s%s\n", getenv("HOME") ? " " : "",
                                       getenv("HOME") ? getenv("HOME") : "");
    cr_assert_str_eq(all.data, wanted);
    child_done(&c);
}

Test(child, signals_that_are_blocked_here_are_not_blocked_there)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct child c = start("exec tail -f /dev/null", NULL, NULL);
    cr_assert_not(child_ended(&c));
    child_signal(&c, SIGTERM);
    cr_assert(wait_for_end(&c));
    AUTO_BUF struct buf how = { 0 };
    child_describe(&c, &how);
    cr_assert_str_eq(how.data, "signal 15 (Terminated)");
    child_done(&c);
}
