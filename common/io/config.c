/* SPDX-License-Identifier: Apache-2.0
 *
 * The loader: defaults, file, environment and flags in this order, each overwriting the one before,
 * each complaint with the place that it is about. */
#include "common/io/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/io/config_parts.h"
#include "common/yaml/yaml.h"

#define FILE_BYTES_MAX (4 * MIB)

struct loader {
    const struct option_table *table;
    void *config;
    const char *path; /* of the file, or NULL */
    struct positions *positions;
    char **args; /* positional arguments */
    size_t arg_count;
    bool flags_ended; /* by -- */
    bool help, version;
    const char *docs; /* what --docs asks for, or NULL */
};

/* --- the nearest name --- */

/* The names that may be given, as flags or as in a file. */
struct candidates {
    char (*text)[OPTION_NAME_MAX];
    const char **names;
    size_t count;
};

static void offer(struct candidates *c, const struct option *o, bool flag, const char *end)
{
    char *text = c->text[c->count];
    if (flag)
        option_flag(o, end, text);
    else
        snprintf(text, OPTION_NAME_MAX, "%s%s", o->name, end);
    c->names[c->count++] = text;
}

/* "; did you mean '--x'?" as text, or "" if nothing is near. */
static void suggest(const struct option_table *table, const char *name, bool flag, struct buf *ret)
{
    static const char *const always[] = { "config", "help", "version" };
    ASSERT(table->options || table->count == 0);
    size_t max = 2 * table->count + ARRAY_LEN(always);
    AUTO_FREE char(*text)[OPTION_NAME_MAX] = xcalloc(max, sizeof *text);
    AUTO_FREE const char **names = xcalloc(max, sizeof *names);
    struct candidates c = { .text = text, .names = names };
    for (size_t i = 0; i < table->count; i++) {
        const struct option *o = &table->options[i];
        offer(&c, o, flag, "");
        if (o->type == OPTION_SECRET) offer(&c, o, flag, "_file");
    }
    for (size_t i = 0; i < ARRAY_LEN(always) && flag; i++) names[c.count++] = always[i];
    const char *best = nearest_name(name, names, c.count);
    if (best) buf_addf(ret, "; did you mean '%s%s'?", flag ? "--" : "", best);
}

/* --- the file --- */

static bool fail_in_file(const struct loader *l, const char *pointer, bool at_key, const char *text,
                         struct err *e)
{
    uint32_t line, column;
    (at_key ? positions_find_key : positions_find)(l->positions, pointer, &line, &column);
    return err_fail(e, ERR_INVALID, "%s:%u:%u: %s", l->path, line, column, text);
}

/* Sets an option from a value of the file. */
static bool set_from_json(const struct loader *l, const struct option *o, bool is_file_name,
                          const json_t *value, const char *pointer, struct err *e)
{
    if (o->type == OPTION_JSON) {
        option_release(o, l->config);
        *(json_t **)((char *)l->config + o->offset) = json_incref((json_t *)value);
        return true;
    }
    struct err why;
    const char *text = json_string_value(value);
    if (!text) text = positions_text(l->positions, pointer); /* 1.10 stays 1.10 */
    bool ok = true;
    if (!text) {
        AUTO_BUF struct buf allowed = { 0 };
        option_allowed(o, &allowed);
        ok = err_fail(&why, ERR_INVALID, "a %s is not allowed; it takes %s",
                      json_is_object(value) ? "mapping" : "list", allowed.data);
    } else if (is_file_name) {
        ok = option_set_from_file(o, l->config, text, &why);
    } else {
        ok = option_set(o, l->config, text, &why);
    }
    if (ok) return true;
    err_prefix(&why, "%s%s", o->name, is_file_name ? "_file" : "");
    return fail_in_file(l, pointer, false, why.text, e);
}

/* The option with this name, or whose secret's file it names (*ret_is_file). */
static const struct option *option_by_name(const struct option_table *table, const char *name,
                                           bool *ret_is_file)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct option *o = &table->options[i];
        size_t len = strlen(o->name);
        *ret_is_file = false;
        if (strcmp(o->name, name) == 0) return o;
        if (o->type != OPTION_SECRET || strncmp(o->name, name, len) != 0) continue;
        *ret_is_file = true;
        if (strcmp(name + len, "_file") == 0) return o;
    }
    return NULL;
}

static bool is_group(const struct option_table *table, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < table->count; i++)
        if (strncmp(table->options[i].name, name, len) == 0 && table->options[i].name[len] == '.')
            return true;
    return false;
}

static bool load_mapping(const struct loader *l, const json_t *object, const char *name,
                         const char *pointer, struct err *e);

static bool load_member(const struct loader *l, const json_t *object, const char *name,
                        const char *pointer, const json_t *value, struct err *e)
{
    bool is_file;
    const struct option *o = option_by_name(l->table, name, &is_file);
    /* A name may be both, as `kafka` of `tutti dev`: the shape of the value tells. */
    if (json_is_object(value) && is_group(l->table, name)) o = NULL;
    if (o && json_is_null(value) && o->type != OPTION_JSON)
        return true; /* as if it were not there */
    if (o && is_file) {
        const char *plain = strrchr(o->name, '.');
        if (json_object_get(object, plain ? plain + 1 : o->name)) {
            AUTO_FREE char *text = xasprintf("give either %s or %s, not both", o->name, name);
            return fail_in_file(l, pointer, true, text, e);
        }
    }
    if (o) return set_from_json(l, o, is_file, value, pointer, e);
    if (is_group(l->table, name)) {
        if (json_is_null(value)) return true;
        if (json_is_object(value)) return load_mapping(l, value, name, pointer, e);
        AUTO_FREE char *text = xasprintf("%s is a group of options; it takes a mapping", name);
        return fail_in_file(l, pointer, false, text, e);
    }
    AUTO_BUF struct buf text = { 0 };
    buf_addf(&text, "unknown option '%.100s'", name);
    suggest(l->table, name, false, &text);
    return fail_in_file(l, pointer, true, text.data, e);
}

static bool load_mapping(const struct loader *l, const json_t *object, const char *name,
                         const char *pointer, struct err *e)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        AUTO_BUF struct buf below = { 0 };
        AUTO_BUF struct buf path = { 0 };
        buf_addf(&below, "%s%s%s", name, *name ? "." : "", key);
        buf_add_text(&path, pointer);
        json_pointer_add(&path, key);
        if (!load_member(l, object, below.data, path.data, value, e)) return false;
    }
    return true;
}

static bool load_file(struct loader *l, struct err *e)
{
    if (!l->path || !*l->path) return true;
    AUTO_BUF struct buf text = { 0 };
    if (!file_read(l->path, FILE_BYTES_MAX, &text, e)) return false;
    uint32_t line = 0, column = 0;
    AUTO_JSON *root = yaml_parse(buf_bytes(&text), &l->positions, &line, &column, e);
    if (!root) return err_prefix(e, "%s:%u:%u", l->path, line, column);
    if (json_is_null(root)) return true;
    if (!json_is_object(root))
        return fail_in_file(l, "", false, "a configuration is a mapping of options", e);
    return load_mapping(l, root, "", "", e);
}

/* --- the environment --- */

/* An empty variable counts as one that is not set, as templates of containers leave them. */
static const char *variable(const char *name)
{
    const char *text = getenv(name);
    return text && *text ? text : NULL;
}

static bool load_environment(const struct loader *l, struct err *e)
{
    for (size_t i = 0; i < l->table->count; i++) {
        const struct option *o = &l->table->options[i];
        char name[OPTION_NAME_MAX], file_name[OPTION_NAME_MAX];
        option_variable(o, "", name);
        option_variable(o, "_file", file_name);
        const char *text = variable(name);
        const char *path = o->type == OPTION_SECRET ? variable(file_name) : NULL;
        if (text && path)
            return err_fail(e, ERR_INVALID, "environment: give either %s or %s, not both", name,
                            file_name);
        if (text && !option_set(o, l->config, text, e))
            return err_prefix(e, "environment variable %s", name);
        if (path && !option_set_from_file(o, l->config, path, e))
            return err_prefix(e, "environment variable %s", file_name);
    }
    return true;
}

/* --- flags --- */

/* What a flag without its dashes means. */
struct flag {
    const struct option *option; /* NULL: --config, or unknown */
    bool is_config, is_file, negated;
};

static struct flag flag_find(const struct option_table *table, const char *name, size_t len)
{
    struct bytes wanted = { .data = name, .len = len };
    char other[OPTION_NAME_MAX];
    for (size_t i = 0; i < table->count; i++) {
        const struct option *o = &table->options[i];
        option_flag(o, "", other);
        if (bytes_is(wanted, other)) return (struct flag){ .option = o };
        if (o->type == OPTION_BOOL && len > 3 && memcmp(name, "no-", 3) == 0 &&
            bytes_is((struct bytes){ .data = name + 3, .len = len - 3 }, other))
            return (struct flag){ .option = o, .negated = true };
        option_flag(o, "_file", other);
        if (o->type == OPTION_SECRET && bytes_is(wanted, other))
            return (struct flag){ .option = o, .is_file = true };
    }
    return (struct flag){ .is_config = bytes_is(wanted, "config") };
}

static bool set_flag(struct loader *l, const struct flag *f, const char *shown, int shown_len,
                     const char *value, struct err *e)
{
    if (f->is_config) {
        l->path = value;
        return true;
    }
    if (!l->config) return true; /* the first pass, which looks for --config */
    bool ok = f->is_file ? option_set_from_file(f->option, l->config, value, e)
                         : option_set(f->option, l->config, value, e);
    return ok || err_prefix(e, "%.*s", shown_len, shown);
}

/* --docs, --docs=man and --docs=schema: how `tutti` asks another program for what is made from its
 * table. Not in the help. */
static bool docs_flag(struct loader *l, const char *arg)
{
    static const char *const kinds[] = { "--docs", "--docs=man", "--docs=schema" };
    if (*table_command(l->table)) return false;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(arg, kinds[i]) == 0) l->docs = kinds[i] + strlen("--docs");
    return l->docs;
}

/* --name, --name=value, --name value. *i is moved over a value that is taken from the next. */
static bool long_flag(struct loader *l, int argc, char **argv, int *i, struct err *e)
{
    const char *arg = argv[*i], *name = arg + 2;
    size_t len = strcspn(name, "=");
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    int shown = (int)len + 2;
    struct flag f = flag_find(l->table, name, len);
    if (!f.option && !f.is_config) {
        if (strcmp(name, "help") == 0 || strcmp(name, "version") == 0) {
            *(*name == 'h' ? &l->help : &l->version) = true;
            return true;
        }
        if (docs_flag(l, arg)) return true;
        AUTO_FREE char *unknown = xstrndup(name, len);
        AUTO_BUF struct buf text = { 0 };
        suggest(l->table, unknown, true, &text);
        return err_fail(e, ERR_INVALID, "unknown flag '--%.100s'%s", unknown,
                        text.data ? text.data : "");
    }
    if (f.option && f.option->type == OPTION_BOOL) {
        if (f.negated && value) return err_fail(e, ERR_INVALID, "%.*s takes no value", shown, arg);
        if (!value) value = f.negated ? "false" : "true";
    }
    if (!value) {
        if (*i + 1 >= argc)
            return err_fail(e, ERR_INVALID, "%s needs a value: %s %s", arg, arg,
                            f.option && !f.is_file ? option_value_name(f.option) : "FILE");
        value = argv[++*i];
    }
    return set_flag(l, &f, arg, shown, value, e);
}

static const struct option *option_by_short(const struct option_table *table, char c)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->options[i].short_flag == c) return &table->options[i];
    return NULL;
}

/* -k value, -kvalue, and several that take no value in one: -jw. */
static bool short_flags(struct loader *l, int argc, char **argv, int *i, struct err *e)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        char shown[] = { '-', *p, '\0' };
        struct flag f = { .option = option_by_short(l->table, *p) };
        if (!f.option) {
            if (*p != 'h' && *p != 'V')
                return err_fail(e, ERR_INVALID, "unknown flag '-%c' in '%s'; --help lists all", *p,
                                argv[*i]);
            *(*p == 'h' ? &l->help : &l->version) = true;
            continue;
        }
        if (f.option->type == OPTION_BOOL) {
            if (!set_flag(l, &f, shown, 2, "true", e)) return false;
            continue;
        }
        const char *value = p[1] ? p + 1 + (p[1] == '=') : NULL;
        if (!value && *i + 1 >= argc)
            return err_fail(e, ERR_INVALID, "%s needs a value: %s %s", shown, shown,
                            option_value_name(f.option));
        return set_flag(l, &f, shown, 2, value ? value : argv[++*i], e);
    }
    return true;
}

/* Goes through the command line. Without l->config only --config, --help, --version and positional
 * arguments are taken (and unknown flags refused). */
static bool load_flags(struct loader *l, int argc, char **argv, struct err *e)
{
    l->arg_count = 0;
    l->flags_ended = false;
    for (int i = 1; i < argc; i++) {
        char *arg = argv[i];
        bool ok = true;
        if (l->flags_ended || arg[0] != '-' || arg[1] == '\0')
            l->args[l->arg_count++] = arg;
        else if (strcmp(arg, "--") == 0)
            l->flags_ended = true;
        else if (arg[1] == '-')
            ok = long_flag(l, argc, argv, &i, e);
        else
            ok = short_flags(l, argc, argv, &i, e);
        if (l->help || l->version || l->docs) return true;
        if (!ok) return false;
    }
    l->args[l->arg_count] = NULL;
    return true;
}

/* --- putting it together --- */

static void *config_new(const struct option_table *table)
{
    void *config = xcalloc(1, table->config_bytes);
    for (size_t i = 0; i < table->count; i++) {
        const struct option *o = &table->options[i];
        bool ok = !o->fallback || option_set(o, config, o->fallback, NULL);
        ASSERT(ok);
    }
    return config;
}

void config_free(const struct option_table *table, void *config)
{
    if (!config) return;
    for (size_t i = 0; i < table->count; i++) option_release(&table->options[i], config);
    free(config);
}

/* Everything after the first pass over the flags. */
static bool load_sources(struct loader *l, int argc, char **argv, struct err *e)
{
    l->config = config_new(l->table);
    if (!l->path) l->path = variable("TUTTI_CONFIG");
    bool ok = load_file(l, e) && load_environment(l, e) && load_flags(l, argc, argv, e);
    l->positions = positions_free(l->positions);
    if (ok) return true;
    config_free(l->table, TAKE(l->config));
    return false;
}

static void add_docs(const struct loader *l, struct buf *text)
{
    if (strcmp(l->docs, "=man") == 0) {
        config_man(l->table, "", text);
    } else if (strcmp(l->docs, "=schema") == 0) {
        AUTO_JSON *schema = config_schema(l->table);
        json_write(text, schema);
        buf_add_char(text, '\n');
    } else {
        config_markdown(l->table, text);
    }
}

static bool print_and_exit(const struct loader *l, bool *ret_exit, struct err *e)
{
    AUTO_BUF struct buf text = { 0 };
    if (l->help)
        config_help(l->table, &text);
    else if (l->docs)
        add_docs(l, &text);
    else
        buf_addf(&text, "%.*s %s\n", (int)table_program(l->table).len, l->table->program,
                 TUTTI_VERSION);
    bool ok = fwrite(text.data, 1, text.len, stdout) == text.len && fflush(stdout) == 0;
    if (!ok) return err_fail(e, ERR_IO, "standard output: %s", strerror(errno));
    *ret_exit = true;
    return true;
}

bool config_load(const struct option_table *table, int argc, char **argv, void **ret_config,
                 char ***ret_args, bool *ret_exit, struct err *e)
{
    AUTO_FREE char **args = xcalloc((size_t)argc + 1, sizeof *args);
    struct loader l = { .table = table, .args = args };
    *ret_config = NULL;
    if (ret_args) *ret_args = NULL;
    *ret_exit = false;
    if (!load_flags(&l, argc, argv, e)) return false;
    if (l.help || l.version || l.docs) return print_and_exit(&l, ret_exit, e);
    if (!ret_args && l.arg_count)
        return err_fail(e, ERR_INVALID,
                        "unexpected argument '%.100s'; --help lists what is allowed", args[0]);
    if (!load_sources(&l, argc, argv, e)) return false;
    *ret_config = l.config;
    if (ret_args) *ret_args = TAKE(args);
    return true;
}

bool config_reload(const struct option_table *table, int argc, char **argv, const void *old,
                   void **ret_config, struct err *e)
{
    AUTO_FREE char **args = xcalloc((size_t)argc + 1, sizeof *args);
    struct loader l = { .table = table, .args = args };
    if (!load_flags(&l, argc, argv, e) || !load_sources(&l, argc, argv, e)) return false;
    for (size_t i = 0; i < table->count; i++) {
        if (table->options[i].reloadable) continue;
        option_release(&table->options[i], l.config);
        option_copy(&table->options[i], l.config, old);
    }
    *ret_config = l.config;
    return true;
}
