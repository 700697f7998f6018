/* SPDX-License-Identifier: Apache-2.0
 *
 * The value of one option: from text, within bounds, with a complaint that says what is allowed. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/io/config_parts.h"

#define SECRET_BYTES_MAX (64 * KIB)

static void *field_of(const struct option *o, void *config)
{
    return (char *)config + o->offset;
}

/* --- bounds, and how they are written --- */

void option_bounds(const struct option *o, int64_t *ret_min, int64_t *ret_max)
{
    bool bounded = o->min || o->max;
    *ret_min = bounded ? o->min : 0;
    *ret_max = bounded ? o->max : o->type == OPTION_SIZE ? INT64_MAX : UINT32_MAX;
}

static void add_duration(struct buf *b, int64_t ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } };
    size_t i = 0;
    while (i < ARRAY_LEN(units) - 1 && (ms == 0 || ms % units[i].ms != 0)) i++;
    buf_addf(b, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
}

static void add_size(struct buf *b, int64_t bytes)
{
    static const char *const units[] = { "", "KiB", "MiB", "GiB", "TiB" };
    size_t i = 0;
    for (; i < ARRAY_LEN(units) - 1 && bytes && bytes % 1024 == 0; i++) bytes /= 1024;
    buf_addf(b, "%lld%s", (long long)bytes, units[i]);
}

static void add_bounds(const struct option *o, struct buf *b,
                       void (*add)(struct buf *b, int64_t value))
{
    if (!o->min && !o->max) return;
    buf_add_text(b, " from ");
    add(b, o->min);
    buf_add_text(b, " to ");
    add(b, o->max);
}

/* The characters, runs of neighbours as a-z. */
static void add_charset(struct buf *b, const char *set)
{
    for (const char *p = set; *p;) {
        size_t run = 1;
        while (p[run] == p[run - 1] + 1) run++;
        if (run > 3)
            buf_addf(b, "%c-%c", p[0], p[run - 1]);
        else
            buf_add(b, p, run);
        p += run;
    }
}

void option_allowed(const struct option *o, struct buf *ret)
{
    switch (o->type) {
    case OPTION_TEXT:
        buf_add_text(ret, "text");
        if (o->max) buf_addf(ret, " of %lld to %lld bytes", (long long)o->min, (long long)o->max);
        if (o->charset) {
            buf_add_text(ret, " of the characters ");
            add_charset(ret, o->charset);
        }
        break;
    case OPTION_U32:
        buf_add_text(ret, "a whole number");
        add_bounds(o, ret, buf_add_int);
        break;
    case OPTION_BOOL: buf_add_text(ret, "true or false"); break;
    case OPTION_DURATION:
        buf_add_text(ret, "a duration");
        add_bounds(o, ret, add_duration);
        buf_add_text(ret, ", such as 250ms, 30s or 5m");
        break;
    case OPTION_SIZE:
        buf_add_text(ret, "a size");
        add_bounds(o, ret, add_size);
        buf_add_text(ret, ", such as 64MiB, 10MB or a number of bytes");
        break;
    case OPTION_ENUM:
        buf_add_text(ret, "one of ");
        for (const char *p = o->choices; *p; p++) {
            if (*p == '|')
                buf_add_text(ret, ", ");
            else
                buf_add_char(ret, *p);
        }
        break;
    case OPTION_SECRET: buf_add_text(ret, "a secret"); break;
    case OPTION_JSON: buf_add_text(ret, "JSON"); break;
    }
}

const char *option_value_name(const struct option *o)
{
    if (o->value_name) return o->value_name;
    switch (o->type) {
    case OPTION_TEXT: return "TEXT";
    case OPTION_U32: return "N";
    case OPTION_BOOL: return "true|false";
    case OPTION_DURATION: return "DURATION";
    case OPTION_SIZE: return "SIZE";
    case OPTION_ENUM: return o->choices;
    case OPTION_SECRET: return "SECRET";
    case OPTION_JSON: return "JSON";
    }
    return "VALUE";
}

static bool refuse(const struct option *o, const char *text, struct err *e)
{
    AUTO_BUF struct buf allowed = { 0 };
    option_allowed(o, &allowed);
    return err_fail(e, ERR_INVALID, "'%.100s' is not allowed; it takes %s", text, allowed.data);
}

/* --- from text --- */

/* Decimal digits without sign; *ret_end: behind them. */
static bool parse_digits(const char *text, int64_t *ret, const char **ret_end)
{
    if (!isdigit((unsigned char)*text)) return false;
    errno = 0;
    char *end;
    long long value = strtoll(text, &end, 10);
    *ret = value;
    *ret_end = end;
    return errno == 0;
}

static bool parse_u32(const char *text, int64_t *ret)
{
    const char *end;
    return parse_digits(text, ret, &end) && *end == '\0';
}

static bool parse_size(const char *text, int64_t *ret)
{
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = { { "", 1 },
                  { "B", 1 },
                  { "kB", 1000 },
                  { "KB", 1000 },
                  { "MB", 1000000 },
                  { "GB", 1000000000 },
                  { "TB", 1000000000000 },
                  { "KiB", 1LL << 10 },
                  { "MiB", 1LL << 20 },
                  { "GiB", 1LL << 30 },
                  { "TiB", 1LL << 40 } };
    const char *end;
    if (!parse_digits(text, ret, &end)) return false;
    while (*end == ' ') end++;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (strcmp(end, units[i].unit) == 0)
            return !__builtin_mul_overflow(*ret, units[i].bytes, ret);
    return false;
}

static bool set_number(const struct option *o, void *config, const char *text, struct err *e)
{
    int64_t value, min, max;
    bool ok = o->type == OPTION_U32        ? parse_u32(text, &value)
              : o->type == OPTION_DURATION ? duration_parse(text, &value)
                                           : parse_size(text, &value);
    option_bounds(o, &min, &max);
    if (!ok || value < min || value > max) return refuse(o, text, e);
    if (o->type == OPTION_SIZE)
        *(uint64_t *)field_of(o, config) = (uint64_t)value;
    else
        *(uint32_t *)field_of(o, config) = (uint32_t)value;
    return true;
}

static bool set_bool(const struct option *o, void *config, const char *text, struct err *e)
{
    static const char *const yes[] = { "true", "yes", "1" }, *const no[] = { "false", "no", "0" };
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        bool is = strcmp(text, yes[i]) == 0;
        if (!is && strcmp(text, no[i]) != 0) continue;
        *(bool *)field_of(o, config) = is;
        return true;
    }
    return refuse(o, text, e);
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (const char *p = choices; *p;) {
        size_t n = strcspn(p, "|");
        if (n == len && memcmp(p, text, n) == 0) return true;
        p += n + (p[n] == '|');
    }
    return false;
}

static bool text_fits(const struct option *o, const char *text)
{
    int64_t len = (int64_t)strlen(text);
    if (o->type == OPTION_ENUM) return len == 0 ? !o->fallback : is_choice(o->choices, text);
    if (o->max && (len < o->min || len > o->max)) return false;
    return !o->charset || text[strspn(text, o->charset)] == '\0';
}

bool option_set(const struct option *o, void *config, const char *text, struct err *e)
{
    json_t *json = NULL;
    switch (o->type) {
    case OPTION_TEXT:
    case OPTION_ENUM:
        if (!text_fits(o, text)) return refuse(o, text, e);
        option_release(o, config);
        *(char **)field_of(o, config) = *text ? xstrdup(text) : NULL;
        return true;
    case OPTION_U32:
    case OPTION_DURATION:
    case OPTION_SIZE: return set_number(o, config, text, e);
    case OPTION_BOOL: return set_bool(o, config, text, e);
    case OPTION_SECRET:
        option_release(o, config);
        if (*text) *(struct secret *)field_of(o, config) = secret_new(text, strlen(text));
        return true;
    case OPTION_JSON:
        json = json_parse(bytes_of(text), e);
        if (!json) return err_prefix(e, "it takes JSON");
        option_release(o, config);
        *(json_t **)field_of(o, config) = json;
        return true;
    }
    return false;
}

/* --- secrets from files --- */

/* Reads at most len bytes; -1 with errno. */
static ssize_t read_whole(int fd, char *ret, size_t len)
{
    size_t have = 0;
    while (have < len) {
        ssize_t n = read(fd, ret + have, len - have);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

static bool take_secret(const struct option *o, void *config, const char *path, const char *text,
                        size_t len, struct err *e)
{
    if (len > SECRET_BYTES_MAX)
        return err_fail(e, ERR_LIMIT, "%s: a secret has at most %d bytes", path, SECRET_BYTES_MAX);
    if (len && text[len - 1] == '\n') len--;
    if (len && text[len - 1] == '\r') len--;
    if (!len) return err_fail(e, ERR_INVALID, "%s: the file is empty", path);
    if (memchr(text, '\0', len))
        return err_fail(e, ERR_INVALID, "%s: the secret holds a NUL character", path);
    option_release(o, config);
    *(struct secret *)field_of(o, config) = secret_new(text, len);
    return true;
}

bool option_set_from_file(const struct option *o, void *config, const char *path, struct err *e)
{
    ASSERT(o->type == OPTION_SECRET);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_fail(e, ERR_INVALID, "cannot read %s: %s", path, strerror(errno));
    char *text = xmalloc(SECRET_BYTES_MAX + 1);
    ssize_t len = read_whole(fd, text, SECRET_BYTES_MAX + 1);
    bool ok = len < 0 ? err_fail(e, ERR_INVALID, "cannot read %s: %s", path, strerror(errno))
                      : take_secret(o, config, path, text, (size_t)len, e);
    explicit_bzero(text, SECRET_BYTES_MAX + 1);
    free(text);
    close(fd);
    return ok;
}

/* --- ownership --- */

void option_release(const struct option *o, void *config)
{
    void *field = field_of(o, config);
    switch (o->type) {
    case OPTION_TEXT:
    case OPTION_ENUM:
        free(*(char **)field);
        *(char **)field = NULL;
        break;
    case OPTION_SECRET: secret_done(field); break;
    case OPTION_JSON:
        json_decref(*(json_t **)field);
        *(json_t **)field = NULL;
        break;
    case OPTION_U32:
    case OPTION_DURATION:
    case OPTION_BOOL:
    case OPTION_SIZE: break;
    }
}

void option_copy(const struct option *o, void *to, const void *from_)
{
    void *field = field_of(o, to);
    const void *from = (const char *)from_ + o->offset;
    switch (o->type) {
    case OPTION_TEXT:
    case OPTION_ENUM: {
        const char *text = *(char *const *)from;
        *(char **)field = text ? xstrdup(text) : NULL;
        break;
    }
    case OPTION_SECRET: {
        const struct secret *secret = from;
        if (secret->bytes) *(struct secret *)field = secret_new(secret->bytes, secret->len);
        break;
    }
    case OPTION_JSON: *(json_t **)field = json_deep_copy(*(json_t *const *)from); break;
    case OPTION_U32:
    case OPTION_DURATION: *(uint32_t *)field = *(const uint32_t *)from; break;
    case OPTION_BOOL: *(bool *)field = *(const bool *)from; break;
    case OPTION_SIZE: *(uint64_t *)field = *(const uint64_t *)from; break;
    }
}

/* --- names --- */

static void transform(const struct option *o, const char *prefix, const char *suffix, bool variable,
                      char ret[OPTION_NAME_MAX])
{
    size_t n = 0;
    const char *const parts[] = { prefix, o->name, suffix };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        for (const char *p = parts[i]; *p; p++) {
            ASSERT(n + 1 < OPTION_NAME_MAX);
            bool joint = *p == '.' || *p == '-' || *p == '_';
            ret[n++] = joint      ? (variable ? '_' : '-')
                       : variable ? (char)toupper((unsigned char)*p)
                                  : *p;
        }
    }
    ret[n] = '\0';
}

void option_variable(const struct option *o, const char *suffix, char ret[OPTION_NAME_MAX])
{
    transform(o, "TUTTI_", suffix, true, ret);
}

void option_flag(const struct option *o, const char *suffix, char ret[OPTION_NAME_MAX])
{
    transform(o, "", suffix, false, ret);
}

struct bytes option_group(const struct option *o)
{
    const char *dot = strchr(o->name, '.');
    return (struct bytes){ .data = o->name, .len = dot ? (size_t)(dot - o->name) : 0 };
}

/* Whether an earlier option is of the same group, so that it has been visited. */
static bool group_was_seen(const struct option_table *table, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (bytes_equal(option_group(&table->options[k]), option_group(&table->options[i])))
            return true;
    return false;
}

static void visit_group(const struct option_table *table, const struct option_visitor *v,
                        struct bytes group)
{
    bool begun = false;
    for (size_t i = 0; i < table->count; i++) {
        if (!bytes_equal(option_group(&table->options[i]), group)) continue;
        if (!begun) v->begin(v->user, group);
        begun = true;
        v->option(v->user, &table->options[i]);
    }
}

void option_visit(const struct option_table *table, const struct option_visitor *v)
{
    visit_group(table, v, (struct bytes){ 0 });
    for (size_t i = 0; i < table->count; i++) {
        struct bytes group = option_group(&table->options[i]);
        if (group.len && !group_was_seen(table, i)) visit_group(table, v, group);
    }
}

struct bytes table_program(const struct option_table *table)
{
    return (struct bytes){ .data = table->program, .len = strcspn(table->program, " ") };
}

const char *table_command(const struct option_table *table)
{
    const char *space = strchr(table->program, ' ');
    return space ? space + 1 : "";
}

bool table_has_flag(const struct option_table *table, const char *flag)
{
    for (size_t i = 0; i < table->count; i++) {
        char name[OPTION_NAME_MAX];
        option_flag(&table->options[i], "", name);
        if (strcmp(name, flag) == 0) return true;
    }
    return false;
}
