/* SPDX-License-Identifier: Apache-2.0
 *
 * Help, reference and manual page, all from the option table. */
#include <ctype.h>

#include "common/io/config_parts.h"

#define HELP_COLUMNS 80
#define HELP_INDENT  10

/* --- help --- */

/* Appends text in lines of at most HELP_COLUMNS columns, each indented. */
static void add_wrapped(struct buf *b, size_t indent, const char *text)
{
    size_t column = 0;
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, " ");
        size_t width = utf8_count(p, len);
        if (column && column + 1 + width > HELP_COLUMNS) {
            buf_add_char(b, '\n');
            column = 0;
        }
        if (column) {
            buf_add_char(b, ' ');
            column++;
        } else {
            buf_addf(b, "%*s", (int)indent, "");
            column = indent;
        }
        buf_add(b, p, len);
        column += width;
        p += len + strspn(p + len, " ");
    }
    buf_add_char(b, '\n');
}

static void add_group_title(struct buf *b, struct bytes group)
{
    if (!group.len) {
        buf_add_text(b, "Options");
        return;
    }
    buf_add_char(b, (char)toupper((unsigned char)group.data[0]));
    buf_add(b, group.data + 1, group.len - 1);
}

static void help_begin(void *b, struct bytes group)
{
    buf_add_char(b, '\n');
    add_group_title(b, group);
    buf_add_text(b, ":\n");
}

static void help_option(void *b, const struct option *o)
{
    char flag[OPTION_NAME_MAX], name[OPTION_NAME_MAX];
    option_flag(o, "", flag);
    buf_add_text(b, "  ");
    if (o->short_flag)
        buf_addf(b, "-%c, ", o->short_flag);
    else
        buf_add_text(b, "    ");
    if (o->type == OPTION_BOOL)
        buf_addf(b, "--[no-]%s\n", flag);
    else
        buf_addf(b, "--%s %s\n", flag, option_value_name(o));
    if (o->type == OPTION_SECRET) buf_addf(b, "      --%s-file FILE\n", flag);

    AUTO_BUF struct buf text = { 0 };
    buf_add_text(&text, o->help);
    if (o->type == OPTION_SECRET)
        buf_add_text(&text,
                     " Better kept in a file than on the command line, where others see it.");
    add_wrapped(b, HELP_INDENT, text.data);
    buf_reset(&text);
    if (o->fallback && *o->fallback) buf_addf(&text, "Default: %s. ", o->fallback);
    option_variable(o, "", name);
    buf_addf(&text, "Environment: %s", name);
    if (o->type == OPTION_SECRET) buf_addf(&text, ", %s_FILE", name);
    buf_add_char(&text, '.');
    add_wrapped(b, HELP_INDENT, text.data);
}

void config_help(const struct option_table *table, struct buf *ret)
{
    buf_addf(ret, "Usage: %s [OPTION]...%s%s\n\n", table->program, table->positional ? " " : "",
             table->positional ? table->positional : "");
    add_wrapped(ret, 0, table->summary);
    struct option_visitor v = { .begin = help_begin, .option = help_option, .user = ret };
    option_visit(table, &v);
    buf_add_text(ret, "\nGeneral:\n");
    buf_add_text(ret, "      --config FILE\n");
    add_wrapped(ret, HELP_INDENT,
                "Options from a YAML file: kafka: {brokers: ...} is --kafka-brokers. A flag "
                "precedes the environment, which precedes the file. Environment: TUTTI_CONFIG.");
    if (!table_has_flag(table, "help"))
        buf_addf(ret, "  %s--help\n          Show this help.\n", "-h, ");
    if (!table_has_flag(table, "version"))
        buf_addf(ret, "  %s--version\n          Show the version.\n", "-V, ");
}

/* --- markdown --- */

static void markdown_cell(struct buf *b, const char *text)
{
    for (; *text; text++) {
        if (strchr("|<>", *text)) buf_add_char(b, '\\');
        buf_add_char(b, *text);
    }
}

static void markdown_begin(void *b, struct bytes group)
{
    buf_add_text(b, "\n### ");
    add_group_title(b, group);
    buf_add_text(b, "\n\n| option | takes | default | environment | what |\n"
                    "|---|---|---|---|---|\n");
}

static void markdown_option(void *b, const struct option *o)
{
    char flag[OPTION_NAME_MAX], name[OPTION_NAME_MAX];
    option_flag(o, "", flag);
    option_variable(o, "", name);
    buf_addf(b, "| `%s`", o->name);
    if (o->short_flag) buf_addf(b, " (`-%c`)", o->short_flag);
    if (o->type == OPTION_SECRET) buf_addf(b, ", `%s_file`", o->name);
    buf_add_text(b, " | ");
    AUTO_BUF struct buf allowed = { 0 };
    option_allowed(o, &allowed);
    markdown_cell(b, allowed.data);
    if (o->fallback && *o->fallback)
        buf_addf(b, " | `%s`", o->fallback);
    else
        buf_add_text(b, " | none");
    buf_addf(b, " | `%s`", name);
    if (o->type == OPTION_SECRET) buf_addf(b, ", `%s_FILE`", name);
    buf_add_text(b, " | ");
    markdown_cell(b, o->help);
    if (o->reloadable) buf_add_text(b, " Read again on SIGHUP.");
    buf_add_text(b, " |\n");
}

void config_markdown(const struct option_table *table, struct buf *ret)
{
    buf_addf(ret, "## %s\n\n%s\n\n", table->program, table->summary);
    buf_addf(
        ret,
        "```sh\n%s [OPTION]...%s%s\n```\n\nA flag is the option's name with dashes (`a.b_c` is "
        "`--a-b-c VALUE`).\n",
        table->program, table->positional ? " " : "", table->positional ? table->positional : "");
    struct option_visitor v = { .begin = markdown_begin, .option = markdown_option, .user = ret };
    option_visit(table, &v);
}

/* --- the manual page --- */

/* Text as troff: no escapes, no requests at the start of a line, real hyphens. */
static void roff(struct buf *b, const char *text, size_t len)
{
    bool line_begins = true;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (line_begins && (c == '.' || c == '\'')) buf_add_text(b, "\\&");
        if (c == '\\')
            buf_add_text(b, "\\e");
        else if (c == '-')
            buf_add_text(b, "\\-");
        else
            buf_add_char(b, c);
        line_begins = c == '\n';
    }
}

static void roff_text(struct buf *b, const char *text)
{
    roff(b, text, strlen(text));
}

/* Paragraphs are separated by empty lines; one with indented lines keeps its lines. */
static void roff_paragraphs(struct buf *b, const char *text)
{
    for (const char *p = text + strspn(text, "\n"); *p;) {
        const char *end = strstr(p, "\n\n");
        size_t len = end ? (size_t)(end - p) : strlen(p);
        AUTO_FREE char *paragraph = xstrndup(p, len);
        bool as_it_is = paragraph[0] == ' ' || strstr(paragraph, "\n ");
        buf_add_text(b, as_it_is ? ".PP\n.nf\n" : ".PP\n");
        roff(b, paragraph, len);
        if (!len || paragraph[len - 1] != '\n') buf_add_char(b, '\n');
        if (as_it_is) buf_add_text(b, ".fi\n");
        p += len + strspn(p + len, "\n");
    }
}

static void man_begin(void *b, struct bytes group)
{
    buf_add_text(b, ".SS ");
    add_group_title(b, group);
    buf_add_char(b, '\n');
}

static void man_flag(struct buf *b, char short_flag, const char *flag, const char *suffix,
                     const char *value)
{
    buf_add_text(b, ".TP\n");
    if (short_flag) buf_addf(b, "\\fB\\-%c\\fR, ", short_flag);
    buf_add_text(b, "\\fB\\-\\-");
    roff_text(b, flag);
    roff_text(b, suffix);
    buf_add_text(b, "\\fR");
    if (value) {
        buf_add_text(b, " \\fI");
        roff_text(b, value);
        buf_add_text(b, "\\fR");
    }
    buf_add_char(b, '\n');
}

static void man_option(void *b, const struct option *o)
{
    char flag[OPTION_NAME_MAX], name[OPTION_NAME_MAX];
    option_flag(o, "", flag);
    option_variable(o, "", name);
    if (o->type == OPTION_BOOL) {
        AUTO_FREE char *both = xasprintf("[no-]%s", flag);
        man_flag(b, o->short_flag, both, "", NULL);
    } else {
        man_flag(b, o->short_flag, flag, "", option_value_name(o));
    }
    if (o->type == OPTION_SECRET) {
        buf_add_text(b, ".TQ\n\\fB\\-\\-");
        roff_text(b, flag);
        buf_add_text(b, "\\-file\\fR \\fIFILE\\fR\n");
    }
    roff_text(b, o->help);
    buf_add_char(b, '\n');
    AUTO_BUF struct buf rest = { 0 };
    buf_add_text(&rest, "Takes ");
    option_allowed(o, &rest);
    if (o->fallback && *o->fallback) buf_addf(&rest, "; default %s", o->fallback);
    buf_addf(&rest, ". File: %s. Environment: %s", o->name, name);
    if (o->type == OPTION_SECRET) buf_addf(&rest, ", %s_FILE", name);
    buf_add_text(&rest, o->reloadable ? ". Read again on SIGHUP." : ".");
    roff_text(b, rest.data);
    buf_add_char(b, '\n');
}

static void man_general(struct buf *b)
{
    buf_add_text(b, ".SS General\n");
    man_flag(b, 0, "config", "", "FILE");
    roff_text(b, "Options from a YAML file, where kafka: {brokers: ...} is --kafka-brokers. "
                 "Environment: TUTTI_CONFIG.\n");
    man_flag(b, 'h', "help", "", NULL);
    buf_add_text(b, "Show help.\n");
    man_flag(b, 'V', "version", "", NULL);
    buf_add_text(b, "Show the version.\n");
}

void config_man(const struct option_table *table, const char *date, struct buf *ret)
{
    ASSERT(*table->program);
    AUTO_BUF struct buf title = { 0 };
    for (const char *p = table->program; *p; p++) buf_add_char(&title, *p == ' ' ? '-' : *p);
    buf_add_text(ret, ".TH \"");
    for (size_t i = 0; i < title.len; i++)
        if (title.data[i] == '-')
            buf_add_text(ret, "\\-");
        else
            buf_add_char(ret, (char)toupper((unsigned char)title.data[i]));
    buf_addf(ret, "\" 1 \"%s\" \"tutti %s\" \"User Commands\"\n.SH NAME\n", date, TUTTI_VERSION);
    roff_text(ret, title.data);
    buf_add_text(ret, " \\- ");
    roff_text(ret, table->summary);
    buf_add_text(ret, "\n.SH SYNOPSIS\n\\fB");
    roff_text(ret, table->program);
    buf_add_text(ret, "\\fR [\\fIOPTION\\fR]...");
    if (table->positional) {
        buf_add_char(ret, ' ');
        roff_text(ret, table->positional);
    }
    buf_add_char(ret, '\n');
    if (table->description) {
        buf_add_text(ret, ".SH DESCRIPTION\n");
        roff_paragraphs(ret, table->description);
    }
    buf_add_text(ret, ".SH OPTIONS\n");
    roff_text(ret, "A flag precedes the environment, which precedes the file.\n");
    struct option_visitor v = { .begin = man_begin, .option = man_option, .user = ret };
    option_visit(table, &v);
    man_general(ret);
}
