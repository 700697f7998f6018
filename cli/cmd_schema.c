/* SPDX-License-Identifier: Apache-2.0
 *
 * `schema workflow` and `schema workflow-test` print what editors complete by; `schema check` says
 * whether a file is what a JSON Schema says, as the engine and the workers check it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "common/base/limits.h"
#include "common/schema/schema.h"
#include "common/yaml/yaml.h"

enum { FILE_BYTES_MAX = 64 * MIB, VIOLATIONS_MAX = 100, REFERENCES_MAX = 64 };

struct file {
    const char *path;
    json_t *value;
    struct positions *positions;
};

static void file_done(struct file *f)
{
    json_decref(f->value);
    positions_free(f->positions);
}

/* The two files, and what is found: warnings about the schema and violations of it, a line of text
 * for people, an object for programs. */
struct findings {
    struct file schema, data;
    struct buf text;
    json_t *warnings, *violations;
};

static void findings_done(struct findings *f)
{
    file_done(&f->schema);
    file_done(&f->data);
    buf_done(&f->text);
    json_decref(f->warnings);
    json_decref(f->violations);
}

static bool load(const char *path, struct file *ret, struct err *e)
{
    AUTO_BUF struct buf text = { 0 };
    uint32_t line = 0, column = 0;
    ret->path = path;
    if (!cli_read(path, FILE_BYTES_MAX, &text, e)) return false;
    ret->value = yaml_parse(buf_bytes(&text), &ret->positions, &line, &column, e);
    return ret->value || err_prefix(e, "%s:%u:%u", path, line, column);
}

/* keyword: where a violated one stands; NULL: it is a warning about the key at pointer. */
static json_t *finding(struct findings *f, const struct file *file, const char *pointer,
                       const char *keyword, const char *message)
{
    uint32_t line, column;
    (keyword ? positions_find : positions_find_key)(file->positions, pointer, &line, &column);
    term_text(&f->text, bytes_of(file->path), false);
    buf_addf(&f->text, ":%u:%u: ", line, column);
    term_text(&f->text, bytes_of(!keyword ? "warning" : *pointer ? pointer : "the value"), false);
    buf_add_text(&f->text, ": ");
    term_text(&f->text, bytes_of(message), false);
    if (keyword) {
        buf_add_text(&f->text, " (");
        term_text(&f->text, bytes_of(keyword), false);
        buf_add_char(&f->text, ')');
    }
    buf_add_char(&f->text, '\n');
    json_t *item = json_pack("{s:s, s:i, s:i, s:s, s:s}", "file", file->path, "line", (int)line,
                             "column", (int)column, "pointer", pointer, "message", message);
    if (item && keyword) json_object_set_new(item, "keyword", json_string(keyword));
    return item;
}

static void warned(void *user, const char *pointer, const char *text)
{
    struct findings *f = user;
    json_array_append_new(f->warnings, finding(f, &f->schema, pointer, NULL, text));
}

/* Cuts the list of --ref in place. A document is known by the name that it is given here. */
static bool load_references(char *names, struct file *files, struct schema_document *documents,
                            size_t *ret_count, struct err *e)
{
    for (char *next; names && *names; names = next) {
        size_t len = strcspn(names, ",");
        next = names + len + (names[len] == ',');
        names[len] = '\0';
        if (!*names) continue;
        if (*ret_count == REFERENCES_MAX)
            return err_fail(e, ERR_INVALID, "--ref: more than %d files", REFERENCES_MAX);
        struct file *f = &files[(*ret_count)++];
        if (!load(names, f, e)) return false;
        documents[f - files] = (struct schema_document){ .uri = names, .value = f->value };
    }
    return true;
}

/* The schema, or NULL with e, whose text begins with its place. */
static struct schema *compile(const struct cli *cli, struct findings *f, struct err *e)
{
    struct file files[REFERENCES_MAX] = { 0 };
    struct schema_document documents[REFERENCES_MAX];
    struct schema_options o = {
        .documents = documents, .assert_format = cli->config->format, .warn = warned, .user = f
    };
    AUTO_FREE char *pointer = NULL;
    struct schema *s = NULL;
    if (load_references(cli->config->ref, files, documents, &o.document_count, e))
        s = schema_compile_with(f->schema.value, &o, &pointer, e);
    if (!s && pointer) {
        uint32_t line, column;
        positions_find_key(f->schema.positions, pointer, &line, &column);
        err_prefix(e, "%s:%u:%u", f->schema.path, line, column);
        e->kind = ERR_INVALID; /* a reference without a target is no missing file */
    }
    for (size_t i = 0; i < o.document_count; i++) file_done(&files[i]);
    return s;
}

/* Adds what is wrong with the data; false if it could not be checked. */
static bool check(const struct schema *s, struct findings *f, bool *ret_valid, struct err *e)
{
    CLEANUP(schema_report_done) struct schema_report report = { .max = VIOLATIONS_MAX };
    *ret_valid = schema_check_all(s, f->data.value, &report, e);
    if (!*ret_valid && !report.count) return err_prefix(e, "%s", f->data.path);
    for (size_t i = 0; i < report.count; i++) {
        const struct schema_violation *v = &report.list[i];
        json_array_append_new(f->violations, finding(f, &f->data, v->pointer, v->keyword, v->text));
    }
    if (report.count == report.max)
        buf_addf(&f->text, "tutti: schema: these are the first %d violations; there may be more\n",
                 VIOLATIONS_MAX);
    return true;
}

static int check_files(const struct cli *cli, struct findings *f)
{
    struct err e = { 0 };
    bool valid;
    if (!load(cli->args[1], &f->schema, &e)) return cli_fail(cli, "schema", &e);
    CLEANUP(schema_free_p) struct schema *s = compile(cli, f, &e);
    if (!s || !load(cli->args[2], &f->data, &e) || !check(s, f, &valid, &e))
        return cli_fail(cli, "schema", &e);
    if (cli->config->json) {
        AUTO_JSON *report = json_pack("{s:b, s:O, s:O}", "valid", valid, "violations",
                                      f->violations, "warnings", f->warnings);
        if (!cli_print_json(cli, report)) return EXIT_FAILED;
    } else if (f->text.len) {
        fputs(f->text.data, stderr);
    }
    return valid ? EXIT_OK : EXIT_USAGE;
}

/* The schemas of files that people write, for their editors. */
extern const char schema_workflow[], schema_workflow_test[];

static int print_own(const char *name)
{
    AUTO_BUF struct buf text = { 0 };
    buf_add_text(&text, strcmp(name, "workflow") == 0 ? schema_workflow : schema_workflow_test);
    return cli_print(&text) ? EXIT_OK : EXIT_FAILED;
}

int cmd_schema(struct cli *cli)
{
    struct err e;
    bool own = strcmp(cli->args[0], "check") != 0;
    if (cli->arg_count != (own ? 1 : 3)) {
        err_fail(&e, ERR_INVALID, "usage: tutti schema %s%s", cli->args[0],
                 own ? "" : " SCHEMA DATA");
        return cli_fail(cli, "schema", &e);
    }
    if (own) return print_own(cli->args[0]);
    if (strcmp(cli->args[1], "-") == 0 && strcmp(cli->args[2], "-") == 0) {
        err_fail(&e, ERR_INVALID, "schema and data cannot both be standard input");
        return cli_fail(cli, "schema", &e);
    }
    CLEANUP(findings_done)
    struct findings f = { .warnings = json_array(), .violations = json_array() };
    return check_files(cli, &f);
}
