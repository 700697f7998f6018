/* SPDX-License-Identifier: Apache-2.0
 *
 * What needs no server: `validate` and `eval`.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/trial/trial.h"
#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/cel/cel.h"

#define EVAL_DATA_BYTES_MAX (64 * MIB)

/* --- definitions --- */

static json_t *places_json(const char *path, const struct faults *faults, const char *severity)
{
    json_t *list = json_array();
    for (size_t i = 0; i < faults->count; i++) {
        const struct fault *f = &faults->list[i];
        json_t *item =
            json_pack("{s:s, s:i, s:i, s:s, s:s, s:s}", "file", path, "line", (int)f->line,
                      "column", (int)f->column, "pointer", f->pointer ? f->pointer : "", "severity",
                      severity, "message", f->text);
        if (item) json_array_append_new(list, item);
    }
    return list;
}

json_t *cli_faults_json(const char *path, const struct faults *faults)
{
    return places_json(path, faults, "error");
}

/* FILE:LINE:COLUMN: text, and under it the line of the file with a ^ at the column. */
static void places_print(const char *path, const struct buf *source, const struct faults *faults,
                         const char *before)
{
    AUTO_BUF struct buf text = { 0 };
    for (size_t i = 0; i < faults->count; i++) {
        const struct fault *f = &faults->list[i];
        term_text(&text, bytes_of(path), false);
        if (f->line > 0) buf_addf(&text, ":%u:%u", f->line, f->column);
        buf_addf(&text, ": %s", before);
        term_text(&text, bytes_of(f->text), false);
        buf_add_char(&text, '\n');
        if (f->line > 0 && source) term_caret(&text, buf_bytes(source), f->line, f->column);
    }
    fputs(text.data ? text.data : "", stderr);
}

void cli_faults_print(const char *path, const struct buf *source, const struct faults *faults)
{
    places_print(path, source, faults, "");
}

/* Reads into *ret_text and parses. NULL: either *ret_faults has some, or e says why the file could
 * not be read. */
static struct definition *parse(const char *path, struct buf *ret_text, struct faults *ret_faults,
                                struct err *e)
{
    if (!cli_read(path, DEFINITION_BYTES_MAX, ret_text, e)) return NULL;
    return definition_parse(buf_bytes(ret_text), ret_faults);
}

struct definition *cli_definition(const struct cli *cli, const char *path, int *ret_exit)
{
    CLEANUP(faults_done) struct faults faults = { 0 };
    AUTO_BUF struct buf text = { 0 };
    struct err e = { 0 };
    struct definition *def = parse(path, &text, &faults, &e);
    if (def) return def;
    *ret_exit = EXIT_USAGE;
    if (faults.count == 0) {
        *ret_exit = cli_fail(cli, cli->command->name, &e);
    } else if (!cli->config->json) {
        cli_faults_print(path, &text, &faults);
    } else {
        AUTO_JSON *list = cli_faults_json(path, &faults);
        AUTO_JSON *error =
            json_pack("{s:{s:s, s:s, s:s, s:i, s:O}}", "error", "kind", "invalid", "command",
                      cli->command->name, "message", "the workflow definition has faults",
                      "exit_code", EXIT_USAGE, "faults", list);
        AUTO_BUF struct buf line = { 0 };
        if (error) json_write(&line, error);
        fprintf(stderr, "%s\n", line.data ? line.data : "");
    }
    return NULL;
}

/* --- validate --- */

static json_t *file_report(const char *path, const struct definition *def,
                           const struct faults *faults, const struct faults *warnings,
                           const struct err *e)
{
    json_t *report = json_pack("{s:s, s:b}", "file", path, "valid", def != NULL);
    if (!report) return json_null(); /* a path that is no UTF-8 */
    if (def) {
        json_object_set_new(report, "workflow", json_string(def->name));
        json_object_set_new(report, "version", json_string(def->version));
        json_object_set_new(report, "sha256", json_string(def->sha256));
        if (warnings->count > 0)
            json_object_set_new(report, "warnings", places_json(path, warnings, "warning"));
    } else if (faults->count > 0) {
        json_object_set_new(report, "faults", cli_faults_json(path, faults));
    } else {
        json_object_set_new(report, "error", json_string(e->text));
    }
    return report;
}

/* A file of test cases with its workflow. *ret_report: for --json. */
static int validate_suite(const struct cli *cli, const char *path, json_t **ret_report)
{
    CLEANUP(trial_suite_done) struct trial_suite suite = { 0 };
    CLEANUP(faults_done) struct faults faults = { 0 };
    struct err e = { 0 };
    bool valid = trial_suite_read(path, &suite, &faults, &e), faulty = faults.count > 0;
    json_t *report = json_pack("{s:s, s:b}", "file", path, "valid", valid);
    if (valid)
        json_object_set_new(report, "cases", json_integer((json_int_t)suite.count));
    else if (faulty)
        json_object_set_new(report, "faults", cli_faults_json(suite.workflow_path, &faults));
    else
        json_object_set_new(report, "error", json_string(e.text));
    *ret_report = report ? report : json_null();
    if (valid) return EXIT_OK;
    if (faulty && !cli->config->json) cli_faults_print(suite.workflow_path, NULL, &faults);
    if (!faulty && !cli->config->json) cli_fail(cli, "validate", &e);
    return faulty ? EXIT_USAGE : exit_code_of(&e);
}

/* A workflow. */
static int validate_file(const struct cli *cli, const char *path, json_t **ret_report)
{
    CLEANUP(faults_done) struct faults faults = { 0 };
    CLEANUP(faults_done) struct faults warnings = { 0 };
    CLEANUP(definition_free_p) struct definition *def = NULL;
    AUTO_BUF struct buf text = { 0 };
    struct err e = { 0 };
    if (cli_read(path, DEFINITION_BYTES_MAX, &text, &e))
        def = definition_lint(buf_bytes(&text), &faults, &warnings);
    if (def && cli->config->strict && warnings.count > 0) {
        faults = warnings;
        warnings = (struct faults){ 0 };
        def = definition_free(def);
    }
    *ret_report = NULL;
    if (cli->config->json) {
        *ret_report = file_report(path, def, &faults, &warnings, &e);
    } else {
        if (!def && faults.count == 0) cli_fail(cli, "validate", &e);
        places_print(path, &text, &faults, "");
        places_print(path, &text, &warnings, "warning: ");
    }
    if (def) return EXIT_OK;
    return faults.count > 0 ? EXIT_USAGE : exit_code_of(&e);
}

int cmd_validate(struct cli *cli)
{
    int code = EXIT_OK;
    AUTO_JSON *reports = json_array();
    for (size_t i = 0; i < cli->arg_count; i++) {
        const char *path = cli->args[i];
        json_t *report;
        int ended = trial_path_is_suite(path) ? validate_suite(cli, path, &report)
                                              : validate_file(cli, path, &report);
        code = MAX(code, ended);
        if (report) json_array_append_new(reports, report);
    }
    if (!cli->config->json) return code;
    AUTO_JSON *report = json_pack("{s:b, s:O}", "valid", code == EXIT_OK, "files", reports);
    return cli_print_json(cli, report) ? code : EXIT_FAILED;
}

/* --- eval --- */

static bool fail_member(const json_t *data, const char *name, struct err *e)
{
    char hint[NEAREST_TEXT_MAX];
    struct nearest near = { .wanted = name };
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)data, key, value) nearest_offer(&near, key);
    nearest_text(&near, hint);
    return err_fail(e, ERR_INVALID, "%s is unknown: the data has no such member%s", name, hint);
}

/* Names are the members of the data's top object. */
static bool resolve(void *user, const char *const *names, size_t count, size_t *ret_used,
                    json_t **ret, struct err *e)
{
    const json_t *data = user;
    (void)count;
    json_t *value = json_object_get(data, names[0]);
    if (!value && !data)
        return err_fail(e, ERR_INVALID, "%s is unknown: no data was given (--data FILE)", names[0]);
    if (!value) return fail_member(data, names[0], e);
    *ret_used = 1;
    *ret = json_incref(value);
    return true;
}

static bool load_data(const char *path, json_t **ret, struct err *e)
{
    if (!path) return true;
    AUTO_BUF struct buf text = { 0 };
    if (!cli_read(path, EVAL_DATA_BYTES_MAX, &text, e)) return false;
    *ret = json_parse(buf_bytes(&text), e);
    if (!*ret) return err_prefix(e, "%s", path);
    if (!json_is_object(*ret))
        return err_fail(e, ERR_INVALID, "%s: is no JSON object, so it names nothing", path);
    return true;
}

/* The error, which begins with its line and column, and the place in the expression. */
static int fail_in_expression(const struct cli *cli, const char *source, const struct err *e)
{
    int code = cli_fail(cli, "eval", e);
    char *colon, *end;
    unsigned long line = strtoul(e->text, &colon, 10);
    if (cli->config->json || *colon != ':') return code;
    unsigned long column = strtoul(colon + 1, &end, 10);
    AUTO_BUF struct buf text = { 0 };
    buf_add_text(&text, "");
    if (*end == ':') term_caret(&text, bytes_of(source), (uint32_t)line, (uint32_t)column);
    fputs(text.data, stderr);
    return code;
}

int cmd_eval(struct cli *cli)
{
    struct err e;
    AUTO_JSON *data = NULL;
    if (!load_data(cli->config->data, &data, &e)) return cli_fail(cli, "eval", &e);
    CLEANUP(cel_free_p) struct cel *expression = cel_compile(bytes_of(cli->args[0]), NULL, &e);
    if (!expression) return fail_in_expression(cli, cli->args[0], &e);
    struct cel_env env = { .resolve = resolve, .user = data };
    AUTO_JSON *value = NULL;
    if (!cel_eval(expression, &env, &value, &e)) {
        e.kind = ERR_INVALID;
        return fail_in_expression(cli, cli->args[0], &e);
    }
    return cli_print_json(cli, value) ? EXIT_OK : EXIT_FAILED;
}
