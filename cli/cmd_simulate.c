/* SPDX-License-Identifier: Apache-2.0
 *
 * `simulate`: checks the workflow here, as validate does, and becomes tutti-simulator, which gets
 * what was read as files in memory (standard input can be read but once).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/child.h"
#include "cli/runs.h"

#define PROGRAM  "tutti-simulator"
#define ARGS_MAX 32

struct arguments {
    char *list[ARGS_MAX + 1]; /* owned, NULL-ended */
    size_t count;
};

static void arguments_done(struct arguments *a)
{
    for (size_t i = 0; i < a->count; i++) free(a->list[i]);
}

static void add(struct arguments *a, const char *text)
{
    ASSERT(a->count < ARGS_MAX);
    a->list[a->count++] = xstrdup(text);
}

static void add_option(struct arguments *a, const char *flag, const char *value)
{
    if (!value) return;
    add(a, flag);
    add(a, value);
}

static void add_number(struct arguments *a, const char *flag, uint32_t value)
{
    char text[16];
    snprintf(text, sizeof text, "%u", value);
    add_option(a, flag, text);
}

/* The file has no name; it is open still when the other program runs. */
static bool add_file(struct arguments *a, const char *flag, struct bytes content, struct err *e)
{
    int fd = memfd_create("tutti", 0);
    if (fd < 0) return err_fail(e, ERR_IO, "memfd_create: %s", strerror(errno));
    for (size_t done = 0; done < content.len;) {
        ssize_t n = write(fd, content.data + done, content.len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return err_fail(e, ERR_IO, "a file in memory: %s", strerror(errno));
        done += (size_t)n;
    }
    char path[32];
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    add_option(a, flag, path);
    return true;
}

/* --- the command that does it again --- */

static void add_word(struct buf *b, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_./@:=,+%";
    buf_add_char(b, ' ');
    if (*word && word[strspn(word, plain)] == '\0') {
        buf_add_text(b, word);
        return;
    }
    buf_add_char(b, '\'');
    for (const char *p = word; *p; p++)
        if (*p == '\'')
            buf_add_text(b, "'\\''");
        else
            buf_add_char(b, *p);
    buf_add_char(b, '\'');
}

static void add_words(struct buf *b, const char *flag, const char *value)
{
    if (!value) return;
    add_word(b, flag);
    add_word(b, value);
}

static void replay(const struct cli *cli, struct buf *ret)
{
    const struct cli_config *o = cli->config;
    char runs[16];
    snprintf(runs, sizeof runs, "%u", o->runs);
    buf_add_text(ret, "tutti simulate");
    add_word(ret, cli->args[0]);
    add_words(ret, "--input", o->input);
    add_words(ret, "--input-json", o->input_json);
    add_words(ret, "--input-text", o->input_text);
    add_words(ret, "--document", o->document);
    add_words(ret, "--mocks", o->mocks);
    if (o->approve) add_word(ret, "--approve");
    add_words(ret, "--runs", runs);
    add_words(ret, "--faults", o->faults);
}

/* --- */

static bool collect(const struct cli *cli, const struct definition *def, struct arguments *a,
                    struct err *e)
{
    const struct cli_config *o = cli->config;
    AUTO_BUF struct buf input = { 0 }, again = { 0 };
    add(a, PROGRAM);
    if (!runs_input(cli, &input, e) ||
        !add_file(a, "--workflow", (struct bytes){ def->canonical, def->canonical_len }, e) ||
        !add_file(a, "--input", buf_bytes(&input), e))
        return false;
    replay(cli, &again);
    add_option(a, "--replay", again.data);
    add_option(a, "--mocks", o->mocks);
    add_option(a, "--faults", o->faults);
    add_number(a, "--runs", o->runs);
    add_number(a, "--seeds", o->seeds);
    if (o->seed) add_number(a, "--seed", o->seed);
    if (o->approve) add(a, "--approve");
    if (o->trace) add(a, "--trace");
    if (o->json) add(a, "--json");
    return true;
}

int cmd_simulate(struct cli *cli)
{
    struct err e;
    int code = EXIT_OK;
    if (cli->config->trace && !cli->config->seed) {
        (void)err_fail(&e, ERR_INVALID, "--trace tells one seed: it wants --seed N");
        return cli_fail(cli, "simulate", &e);
    }
    CLEANUP(definition_free_p)
    struct definition *def = cli_definition(cli, cli->args[0], &code);
    if (!def) return code;
    AUTO_FREE char *path = NULL;
    CLEANUP(arguments_done) struct arguments a = { 0 };
    if (!child_find(PROGRAM, &path, &e)) {
        (void)err_fail(&e, ERR_NOT_FOUND,
                       "it needs the program " PROGRAM ", which is neither beside tutti nor in "
                       "PATH: ./run build makes it, and the image has it");
        return cli_fail(cli, "simulate", &e);
    }
    if (!collect(cli, def, &a, &e)) return cli_fail(cli, "simulate", &e);
    signal(SIGPIPE, SIG_DFL); /* what is ignored here would stay so there */
    signal(SIGXFSZ, SIG_DFL);
    execv(path, a.list);
    (void)err_fail(&e, ERR_IO, "%s: %s", path, strerror(errno));
    return cli_fail(cli, "simulate", &e);
}
