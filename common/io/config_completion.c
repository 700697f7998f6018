/* SPDX-License-Identifier: Apache-2.0
 *
 * Completion scripts for bash, zsh and fish. Texts of the table go into them as quoted words only.
 */
#include "common/io/config_parts.h"

struct completion {
    const struct option_table *const *tables;
    size_t count;
    struct buf *ret;
};

static bool same_program(const struct option_table *a, const struct option_table *b)
{
    return bytes_equal(table_program(a), table_program(b));
}

/* Whether tables[i] is the first of its program. */
static bool is_first(const struct completion *c, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (same_program(c->tables[k], c->tables[i])) return false;
    return true;
}

static bool has_commands(const struct option_table *table)
{
    return *table_command(table) != '\0';
}

/* A name as part of a shell identifier. */
static void add_identifier(struct buf *b, const char *name)
{
    for (; *name; name++) buf_add_char(b, *name == '-' || *name == ' ' ? '_' : *name);
}

static void add_program_identifier(struct buf *b, const struct option_table *table)
{
    struct bytes program = table_program(table);
    AUTO_FREE char *name = xstrndup(program.data, program.len);
    add_identifier(b, name);
}

static void add_program(struct buf *b, const struct option_table *table)
{
    struct bytes program = table_program(table);
    buf_add(b, program.data, program.len);
}

/* Text within single quotes of a POSIX shell. */
static void add_quoted(struct buf *b, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            buf_add_text(b, "'\\''");
        else
            buf_add_char(b, *text);
    }
}

/* What the value of an option is, for a shell: a list of words, a file, or anything. */
static bool takes_file(const struct option *o)
{
    return o->value_name && strcmp(o->value_name, "FILE") == 0;
}

static void add_choices(struct buf *b, const struct option *o)
{
    for (const char *p = o->choices; *p; p++) buf_add_char(b, *p == '|' ? ' ' : *p);
}

/* --- bash --- */

static void bash_flags(struct buf *b, const struct option_table *table)
{
    char flag[OPTION_NAME_MAX];
    buf_add_text(b, "--config --help --version");
    for (size_t i = 0; i < table->count; i++) {
        const struct option *o = &table->options[i];
        option_flag(o, "", flag);
        buf_addf(b, " --%s", flag);
        if (o->type == OPTION_BOOL) buf_addf(b, " --no-%s", flag);
        if (o->type == OPTION_SECRET) buf_addf(b, " --%s-file", flag);
        if (o->short_flag) buf_addf(b, " -%c", o->short_flag);
    }
}

/* One arm of the case over "command:previous word" for an option whose value is no free text. */
static void bash_values(struct buf *b, const struct option_table *table)
{
    char flag[OPTION_NAME_MAX];
    const char *command = table_command(table);
    for (size_t i = 0; i < table->count; i++) {
        const struct option *o = &table->options[i];
        if (o->type == OPTION_BOOL) continue;
        option_flag(o, "", flag);
        buf_addf(b, "        '%s:--%s'", command, flag);
        if (o->short_flag) buf_addf(b, "|'%s:-%c'", command, o->short_flag);
        buf_add_text(b, ") ");
        if (o->type == OPTION_ENUM) {
            buf_add_text(b, "COMPREPLY=($(compgen -W '");
            add_choices(b, o);
            buf_add_text(b, "' -- \"$cur\")); ");
        } else if (takes_file(o)) {
            buf_add_text(b, "COMPREPLY=($(compgen -f -- \"$cur\")); ");
        }
        buf_add_text(b, "return ;;\n");
    }
}

static void bash_program(const struct completion *c, size_t first)
{
    const struct option_table *program = c->tables[first];
    struct buf *b = c->ret;
    buf_add_text(b, "_");
    add_program_identifier(b, program);
    buf_add_text(b, "()\n{\n"
                    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                    "    local command='' words=''\n    COMPREPLY=()\n");
    if (has_commands(program))
        buf_add_text(b, "    if (( COMP_CWORD > 1 )); then command=${COMP_WORDS[1]}; fi\n");
    buf_add_text(
        b, "    case \"$command:$prev\" in\n"
           "        *:--config|*:--*-file) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n");
    for (size_t i = first; i < c->count; i++)
        if (same_program(program, c->tables[i])) bash_values(b, c->tables[i]);
    buf_add_text(b, "    esac\n    case \"$command\" in\n");
    if (has_commands(program)) {
        buf_add_text(b, "        '') words='");
        for (size_t i = first; i < c->count; i++)
            if (same_program(program, c->tables[i]))
                buf_addf(b, "%s ", table_command(c->tables[i]));
        buf_add_text(b, "--help --version' ;;\n");
    }
    for (size_t i = first; i < c->count; i++) {
        if (!same_program(program, c->tables[i])) continue;
        buf_addf(b, "        '%s') words='", table_command(c->tables[i]));
        bash_flags(b, c->tables[i]);
        buf_add_text(b, "' ;;\n");
    }
    buf_add_text(b, "    esac\n"
                    "    if [[ $cur == -* || -z $command ]]; then\n"
                    "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                    "    else\n"
                    "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
                    "    fi\n}\ncomplete -o filenames -F _");
    add_program_identifier(b, program);
    buf_add_char(b, ' ');
    add_program(b, program);
    buf_add_char(b, '\n');
}

/* --- zsh --- */

/* Text inside the brackets or behind the colons of an _arguments specification. */
static void zsh_text(struct buf *b, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'') {
            buf_add_text(b, "'\\''");
            continue;
        }
        if (strchr("[]:\\", *text)) buf_add_char(b, '\\');
        buf_add_char(b, *text);
    }
}

static void zsh_option(struct buf *b, const char *dashes_and_name, const struct option *o,
                       bool is_file)
{
    bool has_value = is_file || o->type != OPTION_BOOL;
    buf_addf(b, " \\\n        '%s%s[", dashes_and_name,
             !has_value                  ? ""
             : dashes_and_name[1] == '-' ? "="
                                         : "+");
    zsh_text(b, o->help);
    buf_add_char(b, ']');
    if (has_value) {
        buf_add_char(b, ':');
        zsh_text(b, is_file ? "FILE" : o->type == OPTION_ENUM ? "value" : option_value_name(o));
        buf_add_char(b, ':');
    }
    if (is_file || takes_file(o)) {
        buf_add_text(b, "_files");
    } else if (o->type == OPTION_ENUM) {
        buf_add_char(b, '(');
        add_choices(b, o);
        buf_add_char(b, ')');
    }
    buf_add_char(b, '\'');
}

static void zsh_table(struct buf *b, const struct option_table *table)
{
    buf_add_char(b, '_');
    add_identifier(b, table->program);
    buf_add_text(b, "_arguments()\n{\n    _arguments -s \\\n"
                    "        '--config=[Options from a YAML file]:FILE:_files' \\\n"
                    "        '--help[Show help]' \\\n        '--version[Show the version]'");
    for (size_t i = 0; i < table->count; i++) {
        const struct option *o = &table->options[i];
        char flag[OPTION_NAME_MAX];
        option_flag(o, "", flag);
        AUTO_FREE char *name = xasprintf("--%s", flag);
        zsh_option(b, name, o, false);
        if (o->short_flag) zsh_option(b, (const char[]){ '-', o->short_flag, '\0' }, o, false);
        AUTO_FREE char *other = xasprintf(o->type == OPTION_BOOL ? "--no-%s" : "--%s-file", flag);
        if (o->type == OPTION_BOOL || o->type == OPTION_SECRET)
            zsh_option(b, other, o, o->type == OPTION_SECRET);
    }
    buf_add_text(b, " \\\n        '*:file:_files'\n}\n");
}

static void zsh_program(const struct completion *c, size_t first)
{
    const struct option_table *program = c->tables[first];
    struct buf *b = c->ret;
    for (size_t i = first; i < c->count; i++)
        if (same_program(program, c->tables[i])) zsh_table(b, c->tables[i]);
    if (has_commands(program)) {
        buf_add_char(b, '_');
        add_program_identifier(b, program);
        buf_add_text(b, "()\n{\n    local -a commands\n    commands=(\n");
        for (size_t i = first; i < c->count; i++) {
            if (!same_program(program, c->tables[i])) continue;
            buf_addf(b, "        '%s:", table_command(c->tables[i]));
            add_quoted(b, c->tables[i]->summary);
            buf_add_text(b, "'\n");
        }
        buf_add_text(b, "    )\n    if (( CURRENT == 2 )); then\n"
                        "        _describe 'command' commands\n        return\n    fi\n"
                        "    shift words\n    (( CURRENT-- ))\n    case $words[1] in\n");
        for (size_t i = first; i < c->count; i++) {
            if (!same_program(program, c->tables[i])) continue;
            buf_addf(b, "        %s) _", table_command(c->tables[i]));
            add_identifier(b, c->tables[i]->program);
            buf_add_text(b, "_arguments ;;\n");
        }
        buf_add_text(b, "    esac\n}\n");
    }
    buf_add_text(b, "compdef _");
    add_program_identifier(b, program);
    buf_addf(b, "%s ", has_commands(program) ? "" : "_arguments");
    add_program(b, program);
    buf_add_char(b, '\n');
}

/* --- fish --- */

/* fish knows \' and \\ inside single quotes. */
static void fish_text(struct buf *b, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\') buf_add_char(b, '\\');
        buf_add_char(b, *text);
    }
}

static void fish_line(struct buf *b, const struct option_table *table)
{
    buf_add_text(b, "complete -c ");
    add_program(b, table);
    if (has_commands(table))
        buf_addf(b, " -n '__fish_seen_subcommand_from %s'", table_command(table));
}

static void fish_option(struct buf *b, const struct option_table *table, const struct option *o)
{
    char flag[OPTION_NAME_MAX];
    option_flag(o, "", flag);
    fish_line(b, table);
    buf_addf(b, " -l %s", flag);
    if (o->short_flag) buf_addf(b, " -s %c", o->short_flag);
    if (o->type == OPTION_ENUM) {
        buf_add_text(b, " -xa '");
        add_choices(b, o);
        buf_add_char(b, '\'');
    } else if (o->type != OPTION_BOOL) {
        buf_add_text(b, takes_file(o) ? " -rF" : " -x");
    }
    buf_add_text(b, " -d '");
    fish_text(b, o->help);
    buf_add_text(b, "'\n");
    if (o->type != OPTION_BOOL && o->type != OPTION_SECRET) return;
    fish_line(b, table);
    buf_addf(b, o->type == OPTION_BOOL ? " -l no-%s -d '" : " -l %s-file -rF -d '", flag);
    fish_text(b, o->help);
    buf_add_text(b, "'\n");
}

static void fish_table(struct buf *b, const struct option_table *table)
{
    if (has_commands(table)) {
        buf_add_text(b, "complete -c ");
        add_program(b, table);
        buf_addf(b, " -n __fish_use_subcommand -a %s -d '", table_command(table));
        fish_text(b, table->summary);
        buf_add_text(b, "'\n");
    }
    fish_line(b, table);
    buf_add_text(b, " -l config -rF -d 'Options from a YAML file'\n");
    fish_line(b, table);
    buf_add_text(b, " -l help -d 'Show help'\n");
    for (size_t i = 0; i < table->count; i++) fish_option(b, table, &table->options[i]);
}

/* --- all --- */

bool config_completion(const struct option_table *const *tables, size_t count, const char *shell,
                       struct buf *ret)
{
    struct completion c = { .tables = tables, .count = count, .ret = ret };
    if (strcmp(shell, "fish") == 0) {
        for (size_t i = 0; i < count; i++) fish_table(ret, tables[i]);
        return true;
    }
    bool zsh = strcmp(shell, "zsh") == 0;
    if (!zsh && strcmp(shell, "bash") != 0) return false;
    if (zsh) {
        buf_add_text(ret, "#compdef");
        for (size_t i = 0; i < count; i++) {
            if (!is_first(&c, i)) continue;
            buf_add_char(ret, ' ');
            add_program(ret, tables[i]);
        }
        buf_add_char(ret, '\n');
    }
    for (size_t i = 0; i < count; i++)
        if (is_first(&c, i)) (zsh ? zsh_program : bash_program)(&c, i);
    return true;
}
