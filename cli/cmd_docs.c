/* SPDX-License-Identifier: Apache-2.0
 *
 * What is made from the table of commands: help, completion, man pages, documentation.
 */
#include <stdlib.h>

#include "cli/child.h"
#include "cli/cli.h"

#define COMMANDS_MAX 64

static const char *const servers[] = { "tutti-orchestrator", "tutti-worker", "tutti-indexer" };

static int print(const struct buf *text)
{
    return cli_print(text) ? EXIT_OK : EXIT_FAILED;
}

static int unknown_command(const struct cli *cli, const char *name)
{
    const char *near = command_suggest(name);
    struct err e;
    err_fail(&e, ERR_INVALID, "%.100s: there is no such command%s%s%s", name,
             near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
    return cli_fail(cli, cli->command->name, &e);
}

/* --- help and version --- */

static void overview(struct buf *text)
{
    size_t count;
    const struct command *list = commands(&count);
    buf_add_text(text, "tutti runs agent workflows as durable, event-driven programs.\n\n"
                       "Usage: tutti COMMAND [ARGUMENT...] [--FLAG...]\n\nCommands:\n");
    for (size_t i = 0; i < count; i++) {
        buf_add_text(text, "  ");
        term_padded(text, list[i].name, 12);
        buf_addf(text, "%s\n", list[i].table.summary);
    }
    buf_addf(text,
             "\ntutti help COMMAND says all about one. Every flag --kafka-brokers is also the "
             "variable\nTUTTI_KAFKA_BROKERS and the key kafka: { brokers: } of a file given by "
             "--config.\nEvery command takes --json.\n\n%s\nTo begin: tutti dev\n",
             exit_codes_help());
}

int cmd_help(struct cli *cli)
{
    AUTO_BUF struct buf text = { 0 };
    if (cli->arg_count == 0) {
        overview(&text);
        return print(&text);
    }
    const struct command *command = command_find(cli->args[0]);
    if (!command) return unknown_command(cli, cli->args[0]);
    config_help(&command->table, &text);
    buf_addf(&text, "\n%s", exit_codes_help());
    return print(&text);
}

int cmd_version(struct cli *cli)
{
    AUTO_BUF struct buf text = { 0 };
    if (cli->config->json)
        buf_add_text(&text, "{\"version\":\"" TUTTI_VERSION "\"}\n");
    else
        buf_add_text(&text, "tutti " TUTTI_VERSION "\n");
    return print(&text);
}

/* --- completion --- */

int cmd_completion(struct cli *cli)
{
    size_t count;
    const struct command *list = commands(&count);
    const struct option_table *tables[COMMANDS_MAX];
    ASSERT(count <= COMMANDS_MAX);
    for (size_t i = 0; i < count; i++) tables[i] = &list[i].table;
    AUTO_BUF struct buf text = { 0 };
    bool known = config_completion(tables, count, cli->args[0], &text);
    ASSERT(known); /* the table of commands allows no other shells */
    return print(&text);
}

/* --- man pages --- */

/* Text for troff: a leading dot or quote is no request, a backslash no escape. */
static void add_troff(struct buf *ret, const char *text)
{
    if (*text == '.' || *text == '\'') buf_add_text(ret, "\\&");
    for (; *text; text++) {
        if (*text == '\\')
            buf_add_text(ret, "\\e");
        else if (*text == '-')
            buf_add_text(ret, "\\-");
        else
            buf_add_char(ret, *text);
    }
}

static void add_exit_codes(struct buf *text)
{
    buf_add_text(text, ".SH EXIT STATUS\n.nf\n");
    const char *lines = strchr(exit_codes_help(), '\n') + 1;
    AUTO_FREE char *body = xstrdup(lines);
    add_troff(text, body);
    buf_add_text(text, ".fi\n");
}

static void man_overview(struct buf *text)
{
    size_t count;
    const struct command *list = commands(&count);
    buf_add_text(text, ".TH TUTTI 1 \"\" \"tutti " TUTTI_VERSION "\" \"User Commands\"\n"
                       ".SH NAME\ntutti \\- durable agent workflows over Kafka and Redis\n"
                       ".SH SYNOPSIS\n.B tutti\n.I COMMAND\n[\\fIARGUMENT\\fR...] "
                       "[\\fB\\-\\-\\fIFLAG\\fR...]\n.SH COMMANDS\n");
    for (size_t i = 0; i < count; i++) {
        buf_addf(text, ".TP\n\\fBtutti\\-%s\\fR(1)\n", list[i].name);
        add_troff(text, list[i].table.summary);
        buf_add_char(text, '\n');
    }
    buf_add_text(text, ".SH ENVIRONMENT\nEvery flag \\-\\-kafka\\-brokers is also the variable "
                       "TUTTI_KAFKA_BROKERS. NO_COLOR turns colours off.\n");
    add_exit_codes(text);
}

/* The other programs know their options best: each prints what is made from its table. */
static bool add_docs_of(const char *program, const char *flag, struct buf *text, struct err *e)
{
    AUTO_FREE char *path = NULL;
    if (!child_find(program, &path, e)) return false;
    char *argv[] = { path, (char *)flag, NULL };
    return child_output(path, argv, text, e) || err_prefix(e, "%s %s", program, flag);
}

int cmd_man(struct cli *cli)
{
    AUTO_BUF struct buf text = { 0 };
    struct err e;
    if (cli->arg_count == 0) {
        man_overview(&text);
        return print(&text);
    }
    for (size_t i = 0; i < ARRAY_LEN(servers); i++)
        if (strcmp(cli->args[0], servers[i]) == 0)
            return add_docs_of(servers[i], "--docs=man", &text, &e) ? print(&text)
                                                                    : cli_fail(cli, "man", &e);
    const struct command *command = command_find(cli->args[0]);
    if (!command) return unknown_command(cli, cli->args[0]);
    config_man(&command->table, "", &text);
    add_exit_codes(&text);
    return print(&text);
}

/* --- docs --- */

static bool has_option(const struct option_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->options[i].name, name) == 0) return true;
    return false;
}

/* The section of a command: what all commands share stands once, at `deploy`, which has nothing
 * else. */
static void add_own_options(const struct option_table *table, struct buf *text)
{
    const struct option_table *shared = &command_find("deploy")->table;
    AUTO_FREE struct option *own = xcalloc(table->count + 1, sizeof(*own));
    struct option_table section = *table;
    section.options = own;
    section.count = 0;
    for (size_t i = 0; i < table->count; i++)
        if (table == shared || !has_option(shared, table->options[i].name))
            own[section.count++] = table->options[i];
    if (section.count > 0) config_markdown(&section, text);
}

static bool add_configuration(struct buf *text, struct err *e)
{
    size_t count;
    const struct command *list = commands(&count);
    buf_add_text(text, "# Configuration\n\nEvery option of every program. A flag goes before a "
                       "variable of the environment, that before the file (`--config FILE` or "
                       "`TUTTI_CONFIG`, YAML), that before the default. A secret can also be "
                       "given as the name of a file that holds it.\n\nThis page is made by "
                       "`tutti docs configuration`; "
                       "[schemas/config.schema.json](../schemas/config.schema.json) says the "
                       "same to editors.\n");
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        buf_add_char(text, '\n');
        if (!add_docs_of(servers[i], "--docs", text, e)) return false;
    }
    for (size_t i = 0; i < count; i++) {
        size_t before = text->len;
        buf_add_char(text, '\n');
        add_own_options(&list[i].table, text);
        if (text->len == before + 1) text->data[text->len = before] = '\0';
    }
    return true;
}

/* What a file for `tutti` may hold: the options of all commands, each once. */
static json_t *cli_schema(void)
{
    size_t count, room = 0;
    const struct command *list = commands(&count);
    for (size_t i = 0; i < count; i++) room += list[i].table.count;
    AUTO_FREE struct option *options = xcalloc(room, sizeof(*options));
    struct option_table all = {
        .program = "tutti",
        .summary = "The options of all commands. A command refuses a file that names an option "
                   "which it has not.",
        .options = options,
    };
    for (size_t i = 0; i < count; i++)
        for (size_t o = 0; o < list[i].table.count; o++)
            if (!has_option(&all, list[i].table.options[o].name))
                options[all.count++] = list[i].table.options[o];
    return config_schema(&all);
}

static bool add_schema(struct buf *text, struct err *e)
{
    AUTO_JSON *defs = json_object();
    AUTO_JSON *any = json_array();
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        AUTO_BUF struct buf part = { 0 };
        if (!add_docs_of(servers[i], "--docs=schema", &part, e)) return false;
        json_t *schema = json_parse(buf_bytes(&part), e);
        if (!schema) return err_prefix(e, "%s --docs=schema", servers[i]);
        json_object_set_new(defs, servers[i], schema);
        json_array_append_new(any, json_pack("{s:s+}", "$ref", "#/$defs/", servers[i]));
    }
    json_object_set_new(defs, "tutti", cli_schema());
    json_array_append_new(any, json_pack("{s:s}", "$ref", "#/$defs/tutti"));
    AUTO_JSON *all = json_pack(
        "{s:s,s:s,s:s,s:O,s:O}", "$schema", "https://json-schema.org/draft/2020-12/schema", "title",
        "tutti configuration", "description",
        "The configuration file of one of the programs; a reference to #/$defs/PROGRAM is exact. "
        "Made by `tutti docs schema`.",
        "anyOf", any, "$defs", defs);
    AUTO_FREE char *pretty = json_dumps(all, JSON_INDENT(2));
    buf_addf(text, "%s\n", pretty);
    return true;
}

int cmd_docs(struct cli *cli)
{
    AUTO_BUF struct buf text = { 0 };
    struct err e;
    bool schema = strcmp(cli->args[0], "schema") == 0;
    bool ok = schema ? add_schema(&text, &e) : add_configuration(&text, &e);
    return ok ? print(&text) : cli_fail(cli, "docs", &e);
}
