/* SPDX-License-Identifier: Apache-2.0
 *
 * The way from a command line to a command, and how errors get out. An error of config_load is one
 * of usage; everything else is told apart by its kind.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOG_NOTHING ((enum log_level)(LOG_ERROR + 1))

const char *exit_codes_help(void)
{
    return "Exit codes:\n"
           "  0  done\n"
           "  1  the run failed, or the operation was refused\n"
           "  2  bad usage, or an invalid file, expression or input\n"
           "  3  not found: no such run, workflow, version or file\n"
           "  4  Kafka or Redis cannot be reached or refuses the credentials\n"
           "  5  timeout\n";
}

int exit_code_of(const struct err *e)
{
    switch (e->kind) {
    case ERR_NONE: return EXIT_OK;
    case ERR_INVALID:
    case ERR_LIMIT:
    case ERR_UNSUPPORTED: return EXIT_USAGE;
    case ERR_NOT_FOUND: return EXIT_NOT_FOUND;
    case ERR_UNAVAILABLE:
    case ERR_AUTH: return EXIT_UNREACHABLE;
    case ERR_TIMEOUT: return EXIT_TIMEOUT;
    case ERR_CONFLICT:
    case ERR_IO:
    case ERR_INTERNAL: return EXIT_FAILED;
    }
    return EXIT_FAILED;
}

/* --- output --- */

static bool write_all(int fd, const char *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, data + done, len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        done += (size_t)n;
    }
    return true;
}

bool cli_print(const struct buf *text)
{
    if (text->len == 0 || write_all(STDOUT_FILENO, text->data, text->len)) return true;
    /* A reader that had enough (head) is no news; a full disk is. */
    if (errno != EPIPE) dprintf(STDERR_FILENO, "tutti: standard output: %s\n", strerror(errno));
    return false;
}

bool cli_print_json(const struct cli *cli, const json_t *value)
{
    AUTO_BUF struct buf text = { 0 };
    if (cli->out.tty) {
        AUTO_FREE char *pretty = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
        ASSERT(pretty);
        term_text(&text, bytes_of(pretty), true);
    } else {
        json_write(&text, value);
    }
    buf_add_char(&text, '\n');
    return cli_print(&text);
}

int cli_fail_early(bool json, const char *what, const struct err *e)
{
    AUTO_BUF struct buf line = { 0 };
    int code = exit_code_of(e);
    if (json) {
        AUTO_JSON *error = json_pack(
            "{s:{s:s, s:s, s:s, s:i}}", "error", "kind", err_kind_name(e->kind), "command", what,
            "message", utf8_check(e->text, strlen(e->text)) ? e->text : "?", "exit_code", code);
        ASSERT(error);
        json_write(&line, error);
    } else {
        buf_add_text(&line, "tutti: ");
        if (*what) buf_addf(&line, "%s: ", what);
        term_text(&line, bytes_of(e->text), false);
    }
    buf_add_char(&line, '\n');
    (void)write_all(STDERR_FILENO, line.data, line.len);
    return code;
}

int cli_fail(const struct cli *cli, const char *what, const struct err *e)
{
    return cli_fail_early(cli->config->json, what, e);
}

void cli_note(const struct cli *cli, const char *fmt, ...)
{
    if (cli->config->json) return;
    va_list ap;
    va_start(ap, fmt);
    AUTO_FREE char *text = xvasprintf(fmt, ap);
    va_end(ap);
    AUTO_BUF struct buf line = { 0 };
    term_text(&line, bytes_of(text), true);
    buf_add_char(&line, '\n');
    (void)write_all(STDERR_FILENO, line.data, line.len);
}

/* --- input --- */

bool cli_read(const char *path, size_t bytes_max, struct buf *ret, struct err *e)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_fail(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_INVALID, "%s: %s", name,
                        strerror(errno));
    bool ok = true;
    for (;;) {
        buf_reserve(ret, 64 * KIB);
        ssize_t n = read(fd, ret->data + ret->len, 64 * KIB);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) ok = err_fail(e, ERR_INVALID, "%s: %s", name, strerror(errno));
        if (n <= 0) break;
        ret->len += (size_t)n;
        ret->data[ret->len] = '\0';
        if (ret->len > bytes_max) {
            ok = err_fail(e, ERR_LIMIT, "%s: is larger than the limit of %zu bytes", name,
                          bytes_max);
            break;
        }
    }
    if (ret->data) ret->data[ret->len] = '\0';
    if (!standard) close(fd);
    return ok;
}

/* --- dispatch --- */

static bool has_flag(int argc, char **argv, const char *flag)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], flag) == 0) return true;
    return false;
}

static int usage(bool json, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int usage(bool json, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTO_FREE char *text = xvasprintf(fmt, ap);
    va_end(ap);
    struct err e;
    err_fail(&e, ERR_INVALID, "%s", text);
    return cli_fail_early(json, "", &e);
}

/* Index of the command's name: the first argument, or the second after --json, the only flag that
 * may stand in front. */
static int find_name(int argc, char **argv)
{
    return argc > 2 && strcmp(argv[1], "--json") == 0 ? 2 : 1;
}

/* Whether the arguments are as many and as such as the command takes; else *ret is the exit code.
 */
static bool check_arguments(const struct cli *cli, int *ret)
{
    const struct command *c = cli->command;
    const char *positional = c->table.positional ? c->table.positional : "";
    bool json = cli->config->json, known = !c->words || cli->arg_count == 0;
    for (size_t i = 0; !known && c->words[i]; i++) known = strcmp(cli->args[0], c->words[i]) == 0;
    size_t run = c->many && cli->config->where ? 1 : 0;
    if (cli->arg_count < c->args_min - run)
        *ret = usage(json, "%s: an argument is missing; usage: tutti %s %s", c->name, c->name,
                     positional);
    else if (cli->arg_count > c->args_max - run)
        *ret = usage(json, "%s: %.100s is one argument too many; usage: tutti %s %s", c->name,
                     cli->args[c->args_max - run], c->name, positional);
    else if (!known)
        *ret = usage(json, "%s: %.100s is not known; usage: tutti %s %s", c->name, cli->args[0],
                     c->name, positional);
    else
        return true;
    return false;
}

static int run_command(const struct command *command, int argc, char **argv, bool json)
{
    const struct option_table *table = &command->table;
    struct err e;
    void *config = NULL;
    AUTO_FREE char **args = NULL;
    bool done = false;
    if (!config_load(table, argc, argv, &config, &args, &done, &e)) {
        /* Whatever config_load objects to is usage, a file that is missing included. */
        e.kind = ERR_INVALID;
        return cli_fail_early(json, command->name, &e);
    }
    if (done) {
        bool version = has_flag(argc, argv, "--version") || has_flag(argc, argv, "-V");
        if (!version) printf("\n%s", exit_codes_help());
        return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
    }
    struct cli cli = { .command = command,
                       .config = config,
                       .args = args,
                       .out = term_of(STDOUT_FILENO),
                       .err = term_of(STDERR_FILENO),
                       .log = log_new("tutti", LOG_NOTHING, STDERR_FILENO) };
    while (args && args[cli.arg_count]) cli.arg_count++;
    if (cli.config->log_level) (void)!log_level_parse(cli.config->log_level, &cli.log.level);
    cli.config->json = cli.config->json || json;
    int code;
    if (check_arguments(&cli, &code)) code = command->run(&cli);
    config_free(table, config);
    return code;
}

int cli_main(int argc, char **argv)
{
    /* A reader that goes away is an error of write(), not the end of the process. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write beyond the limit of file sizes is an error with a text */
    bool json = has_flag(argc, argv, "--json");
    int at = find_name(argc, argv);
    const char *name = at < argc ? argv[at] : NULL;
    if (!name) name = "help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) name = "version";
    const struct command *command = command_find(name);
    if (!command && name[0] == '-')
        return usage(json, "%s: flags stand behind the command, as in: tutti status %s", name,
                     name);
    if (!command) {
        const char *near = command_suggest(name);
        return usage(json, "%s: there is no such command%s%s%s; tutti help lists them", name,
                     near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
    }
    /* `tutti dev --help` and `tutti help dev` are the same; no command at all is a request for help
     * that failed. */
    int skip = MIN(at, argc - 1);
    int code = run_command(command, argc - skip, argv + skip, json);
    return argc < 2 && code == EXIT_OK ? EXIT_USAGE : code;
}
