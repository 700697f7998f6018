/* SPDX-License-Identifier: Apache-2.0
 *
 * The program as a user meets it: what it prints, where, and with which exit code. No server is
 * needed here; tests/e2e has the rest.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "cli/cli.h"
#include "tests/unit/cli/program.h"

#define WORKFLOW                                  \
    "workflow: hello\nversion: 1.0.0\n"           \
    "input: { type: object, required: [name] }\n" \
    "steps:\n  - { name: greet, type: task, uses: noop, input: { a: \"${input.name}\" } }\n"

#define HAS(text, part) cr_assert(strstr(text, part), "%s", text)

/* A port where nobody listens: taken and given back. */
static void free_port(char ret[32])
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof a;
    cr_assert(bind(fd, (struct sockaddr *)&a, len) == 0);
    cr_assert(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    close(fd);
    snprintf(ret, 32, "%u", ntohs(a.sin_port));
}

/* The member of {"error": {...}} on stderr. */
static json_t *error_of(const struct outcome *o)
{
    struct err e;
    json_t *value = json_parse(bytes_of(o->err), &e);
    cr_assert(value, "%s: %s", e.text, o->err);
    json_t *error = json_incref(json_object_get(value, "error"));
    json_decref(value);
    cr_assert(json_is_object(error));
    return error;
}

/* --- usage --- */

Test(program, without_a_command_it_says_what_there_is)
{
    AUTO_OUTCOME o =
        run_program((const char *const[]){ TUTTI_BINARY_DIR "/bin/tutti", NULL }, NULL);
    cr_assert_eq(o.code, EXIT_USAGE);
    size_t count;
    const struct command *list = commands(&count);
    for (size_t i = 0; i < count; i++) HAS(o.out, list[i].name);
    HAS(o.out, "Exit codes:");
}

Test(program, a_mistyped_command_or_flag_is_answered_with_the_nearest)
{
    AUTO_OUTCOME command = TUTTI("strat");
    cr_assert_eq(command.code, EXIT_USAGE);
    HAS(command.err, "did you mean start?");
    AUTO_OUTCOME flag = TUTTI("list", "--redis-prot", "1");
    cr_assert_eq(flag.code, EXIT_USAGE);
    HAS(flag.err, "--redis-port");
    AUTO_OUTCOME far = TUTTI("xyzzy");
    cr_assert_eq(far.code, EXIT_USAGE);
    cr_assert_not(strstr(far.err, "did you mean"));
}

Test(program, wrong_numbers_of_arguments_are_usage)
{
    AUTO_OUTCOME few = TUTTI("status");
    cr_assert_eq(few.code, EXIT_USAGE);
    HAS(few.err, "usage: tutti status RUN");
    AUTO_OUTCOME many = TUTTI("version", "now");
    cr_assert_eq(many.code, EXIT_USAGE);
    AUTO_OUTCOME shell = TUTTI("completion", "tcsh");
    cr_assert_eq(shell.code, EXIT_USAGE);
    HAS(shell.err, "bash|zsh|fish");
    AUTO_OUTCOME run = TUTTI("status", "no-run-id", "--redis-port", "1");
    cr_assert_eq(run.code, EXIT_USAGE);
}

Test(program, every_command_has_help_with_exit_codes)
{
    size_t count;
    const struct command *list = commands(&count);
    for (size_t i = 0; i < count; i++) {
        AUTO_OUTCOME flag = TUTTI(list[i].name, "--help");
        cr_assert_eq(flag.code, EXIT_OK);
        HAS(flag.out, list[i].table.summary);
        AUTO_OUTCOME command = TUTTI("help", list[i].name);
        cr_assert_eq(command.code, EXIT_OK);
        cr_assert_str_eq(command.out, flag.out);
        HAS(flag.out, "4  Kafka or Redis");
    }
}

Test(program, the_version_is_told_to_people_and_programs)
{
    AUTO_OUTCOME people = TUTTI("--version");
    cr_assert_str_eq(people.out, "tutti " TUTTI_VERSION "\n");
    AUTO_OUTCOME programs = TUTTI("--json", "version");
    cr_assert_str_eq(programs.out, "{\"version\":\"" TUTTI_VERSION "\"}\n");
}

Test(program, errors_are_objects_with_json)
{
    AUTO_OUTCOME o = TUTTI("--json", "strat");
    AUTO_JSON *error = error_of(&o);
    cr_assert_str_eq(json_text(error, "kind"), "invalid");
    cr_assert_eq(json_int(error, "exit_code", -1), EXIT_USAGE);
    HAS(json_text(error, "message"), "start");
    cr_assert_str_eq(o.out, "");
}

/* --- generated texts --- */

Test(program, completion_scripts_are_well_formed_and_know_every_command)
{
    AUTO_OUTCOME script = TUTTI("completion", "bash");
    cr_assert_eq(script.code, EXIT_OK);
    AUTO_OUTCOME check = run_program((const char *const[]){ "bash", "-n", NULL }, script.out);
    cr_assert_eq(check.code, 0, "%s", check.err);
    size_t count;
    const struct command *list = commands(&count);
    for (size_t i = 0; i < count; i++) HAS(script.out, list[i].name);
    static const char *const others[] = { "zsh", "fish" };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        AUTO_OUTCOME o = TUTTI("completion", others[i]);
        cr_assert_eq(o.code, EXIT_OK);
        HAS(o.out, "validate");
    }
}

/* Requests of a man page are balanced: what is opened by .nf is closed by .fi. */
static size_t lines_that_are(const char *text, const char *line)
{
    size_t n = 0, len = strlen(line);
    for (const char *p = text; (p = strstr(p, line)); p += len)
        n += (p == text || p[-1] == '\n') && (p[len] == '\n' || p[len] == '\0');
    return n;
}

Test(program, every_command_has_a_man_page)
{
    size_t count;
    const struct command *list = commands(&count);
    AUTO_OUTCOME all = TUTTI("man");
    cr_assert_eq(all.code, EXIT_OK);
    for (size_t i = 0; i < count; i++) {
        AUTO_OUTCOME page = TUTTI("man", list[i].name);
        cr_assert_eq(page.code, EXIT_OK);
        cr_assert_eq(strncmp(page.out, ".TH ", 4), 0, "%s", page.out);
        HAS(page.out, ".SH NAME");
        HAS(page.out, ".SH EXIT STATUS");
        cr_assert_eq(lines_that_are(page.out, ".nf"), lines_that_are(page.out, ".fi"));
        HAS(all.out, list[i].table.summary);
    }
    AUTO_OUTCOME none = TUTTI("man", "woman");
    cr_assert_eq(none.code, EXIT_USAGE);
}

/* --- eval --- */

Test(eval, names_are_the_members_of_the_data)
{
    AUTO_TEMPORARY data = temporary("d.json", "{\"a\": {\"b\": 5}, \"list\": [1, 2]}");
    AUTO_OUTCOME o = TUTTI("eval", "a.b > 3", "--data", data);
    cr_assert_eq(o.code, EXIT_OK, "%s", o.err);
    cr_assert_str_eq(o.out, "true\n");
    AUTO_OUTCOME list = TUTTI("eval", "list.map(x, x * a.b)", "-d", data);
    cr_assert_str_eq(list.out, "[5,10]\n");
    AUTO_OUTCOME standard = TUTTI_INPUT("{\"x\": \"y\"}", "eval", "x + 'z'", "--data", "-");
    cr_assert_str_eq(standard.out, "\"yz\"\n");
    AUTO_OUTCOME without = TUTTI("eval", "1 + 1");
    cr_assert_str_eq(without.out, "2\n");
}

Test(eval, an_error_says_its_column_and_exits_with_2)
{
    AUTO_OUTCOME syntax = TUTTI("eval", "1 +");
    cr_assert_eq(syntax.code, EXIT_USAGE);
    HAS(syntax.err, "tutti: eval: 1:4:");
    HAS(syntax.err, "\n    1 +\n       ^\n");
    AUTO_OUTCOME second = TUTTI("eval", "[1,\n 'é' + 2]");
    HAS(second.err,
        "tutti: eval: 2:6: no such overload: string + int\n     'é' + 2]\n         ^\n");
    AUTO_OUTCOME name = TUTTI("eval", "nobody");
    cr_assert_eq(name.code, EXIT_USAGE);
    HAS(name.err, "nobody");
    HAS(name.err, "--data");
    AUTO_OUTCOME division = TUTTI("eval", "1 / 0", "--json");
    AUTO_JSON *error = error_of(&division);
    cr_assert_eq(division.code, EXIT_USAGE);
    cr_assert_not(strchr(division.err, '^'), "JSON alone: %s", division.err);
    cr_assert_eq(json_int(error, "exit_code", -1), EXIT_USAGE);
    AUTO_OUTCOME escaped = TUTTI("eval", "\x1b[31m");
    cr_assert_eq(escaped.code, EXIT_USAGE);
    cr_assert_not(strchr(escaped.err, '\x1b'), "%s", escaped.err);
}

Test(eval, broken_data_is_named)
{
    AUTO_TEMPORARY broken = temporary("d.json", "{\"a\": ");
    AUTO_OUTCOME o = TUTTI("eval", "a", "--data", broken);
    cr_assert_eq(o.code, EXIT_USAGE);
    HAS(o.err, "d.json: line 1");
    AUTO_TEMPORARY list = temporary("d.json", "[1]");
    AUTO_OUTCOME no_object = TUTTI("eval", "a", "--data", list);
    HAS(no_object.err, "is no JSON object");
    AUTO_OUTCOME missing = TUTTI("eval", "a", "--data", "/nonexistent/d.json");
    cr_assert_eq(missing.code, EXIT_NOT_FOUND);
    HAS(missing.err, "/nonexistent/d.json");
}

/* --- validate --- */

Test(validate, good_files_are_answered_with_silence)
{
    AUTO_TEMPORARY good = temporary("w.yaml", WORKFLOW);
    AUTO_OUTCOME o = TUTTI("validate", good, good);
    cr_assert_eq(o.code, EXIT_OK, "%s", o.err);
    cr_assert_str_eq(o.out, "");
    cr_assert_str_eq(o.err, "");
    AUTO_OUTCOME standard = TUTTI_INPUT(WORKFLOW, "validate", "-");
    cr_assert_eq(standard.code, EXIT_OK, "%s", standard.err);
}

Test(validate, a_fault_is_at_file_line_and_column)
{
    AUTO_TEMPORARY good = temporary("w.yaml", WORKFLOW);
    AUTO_TEMPORARY bad = temporary("w.yaml", WORKFLOW "    - nonsense: true\n");
    AUTO_TEMPORARY unknown = temporary(
        "u.yaml",
        "workflow: x\nversion: 1.0.0\nsteps:\n  - name: a\n    type: task\n    condition: x\n");
    AUTO_OUTCOME o = TUTTI("validate", good, bad, unknown);
    cr_assert_eq(o.code, EXIT_USAGE);
    AUTO_FREE char *where = xasprintf("%s:6:", unknown);
    HAS(o.err, where);
    HAS(o.err, "\n        condition: x\n        ^\n");
    HAS(o.err, bad);
    cr_assert_not(strstr(o.err, good));
    cr_assert_str_eq(o.out, "");
}

Test(validate, with_json_there_is_one_report_of_all_files)
{
    AUTO_TEMPORARY good = temporary("w.yaml", WORKFLOW);
    AUTO_TEMPORARY bad = temporary("b.yaml", "workflow: x\n");
    AUTO_OUTCOME o = TUTTI("validate", "--json", good, bad, "/nonexistent/w.yaml");
    cr_assert_eq(o.code, EXIT_NOT_FOUND);
    struct err e;
    AUTO_JSON *report = json_parse(bytes_of(o.out), &e);
    cr_assert(report, "%s", o.out);
    cr_assert(json_is_false(json_object_get(report, "valid")));
    const json_t *files = json_object_get(report, "files");
    cr_assert_eq(json_array_size(files), 3);
    cr_assert_str_eq(json_text(json_array_get(files, 0), "workflow"), "hello");
    const json_t *fault = json_array_get(json_object_get(json_array_get(files, 1), "faults"), 0);
    cr_assert_gt(json_int(fault, "line", 0), 0);
    cr_assert(json_text(json_array_get(files, 2), "error"));
}

Test(validate, a_file_that_cannot_be_read_is_told_apart_from_one_that_is_wrong)
{
    AUTO_OUTCOME missing = TUTTI("validate", "/nonexistent/w.yaml");
    cr_assert_eq(missing.code, EXIT_NOT_FOUND);
    AUTO_OUTCOME directory = TUTTI("validate", "/tmp");
    cr_assert_eq(directory.code, EXIT_USAGE);
    HAS(directory.err, "/tmp");
    AUTO_OUTCOME endless = TUTTI("validate", "/dev/zero");
    cr_assert_eq(endless.code, EXIT_USAGE);
    HAS(endless.err, "limit");
}

/* --- servers that are not there --- */

Test(program, an_unreachable_broker_is_exit_code_4_within_the_timeout)
{
    char port[32];
    free_port(port);
    AUTO_FREE char *brokers = xasprintf("127.0.0.1:%s", port);
    AUTO_OUTCOME o = TUTTI("start", "hello", "--kafka-brokers", brokers, "--connect-timeout", "1s");
    cr_assert_eq(o.code, EXIT_UNREACHABLE, "%s", o.err);
    HAS(o.err, brokers);
    HAS(o.err, "tutti dev");
    cr_assert_lt(o.ms, 15000);
    AUTO_OUTCOME json =
        TUTTI("start", "hello", "--kafka-brokers", brokers, "--connect-timeout", "1s", "--json");
    AUTO_JSON *error = error_of(&json);
    cr_assert_eq(json_int(error, "exit_code", -1), EXIT_UNREACHABLE);
    cr_assert_str_eq(json_text(error, "kind"), "unavailable");
}

Test(program, an_unreachable_redis_is_exit_code_4_within_the_timeout)
{
    char port[32];
    free_port(port);
    AUTO_OUTCOME o = TUTTI("list", "--redis-port", port, "--connect-timeout", "500ms");
    cr_assert_eq(o.code, EXIT_UNREACHABLE, "%s", o.err);
    HAS(o.err, port);
    cr_assert_lt(o.ms, 15000);
}

Test(program, a_broken_file_or_input_needs_no_server_to_be_refused)
{
    AUTO_TEMPORARY bad = temporary("b.yaml", "workflow: x\n");
    AUTO_OUTCOME file = TUTTI("deploy", bad);
    cr_assert_eq(file.code, EXIT_USAGE);
    HAS(file.err, bad);
    AUTO_OUTCOME json = TUTTI("deploy", "--json", bad);
    AUTO_JSON *error = error_of(&json);
    cr_assert_gt(json_array_size(json_object_get(error, "faults")), 0);
    AUTO_OUTCOME twice = TUTTI("start", "hello", "--input", "a", "--input-json", "{}");
    cr_assert_eq(twice.code, EXIT_USAGE);
    HAS(twice.err, "only one of");
    AUTO_OUTCOME dev = TUTTI("dev", bad);
    cr_assert_eq(dev.code, EXIT_USAGE);
    HAS(dev.err, bad);
}

Test(program, a_full_disk_is_an_error)
{
    AUTO_OUTCOME o = run_program(
        (const char *const[]){ "sh", "-c", TUTTI_BINARY_DIR "/bin/tutti help >/dev/full", NULL },
        NULL);
    cr_assert_eq(o.code, EXIT_FAILED);
    HAS(o.err, "No space left");
}
