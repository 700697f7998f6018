/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets: reading, substitution, redaction. */
#include "worker/secrets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENV_PREFIX "TUTTI_SECRET_"

extern char **environ;

struct secrets {
    struct used_secrets all; /* a name and a value each */
};

void used_secrets_done(struct used_secrets *u)
{
    for (size_t i = 0; i < u->count; i++) {
        free(u->list[i].name);
        secret_done(&u->list[i].value);
    }
    free(u->list);
    *u = (struct used_secrets){ 0 };
}

void used_secrets_add(struct used_secrets *u, const char *name, const struct secret *value)
{
    for (size_t i = 0; i < u->count; i++)
        if (strcmp(u->list[i].name, name) == 0) return;
    u->list = xrealloc(u->list, (u->count + 1) * sizeof *u->list);
    u->list[u->count++] = (struct used_secret){ .name = xstrdup(name),
                                                .value = secret_new(value->bytes, value->len) };
}

const struct secret *secrets_find(const struct secrets *s, const char *name)
{
    for (size_t i = 0; i < s->all.count; i++)
        if (strcmp(s->all.list[i].name, name) == 0) return &s->all.list[i].value;
    return NULL;
}

/* --- reading --- */

static bool text_check(const char *name, const char *text, size_t len, struct err *e)
{
    if (!utf8_check(text, len) || memchr(text, '\0', len))
        return err_fail(e, ERR_INVALID, "secret %s is not UTF-8 text", name);
    return true;
}

static bool read_file(struct secrets *s, int dir, const char *name, struct err *e)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_fail(e, ERR_IO, "secret %s: %s", name, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return true; /* a directory beside the files is none of ours */
    }
    char *text = xmalloc(SECRET_BYTES_MAX + 1);
    size_t len = 0;
    ssize_t n;
    while (len <= SECRET_BYTES_MAX && (n = read(fd, text + len, SECRET_BYTES_MAX + 1 - len)) > 0)
        len += (size_t)n;
    close(fd);
    bool ok = len <= SECRET_BYTES_MAX;
    if (!ok)
        (void)err_fail(e, ERR_LIMIT, "secret %s has more than %d bytes", name, SECRET_BYTES_MAX);
    if (ok && len && text[len - 1] == '\n') len--;
    if (ok && len && text[len - 1] == '\r') len--;
    ok = ok && text_check(name, text, len, e);
    struct secret value = { .bytes = text, .len = len };
    if (ok) used_secrets_add(&s->all, name, &value);
    explicit_bzero(text, SECRET_BYTES_MAX + 1);
    free(text);
    return ok;
}

static bool read_dir(struct secrets *s, const char *path, struct err *e)
{
    DIR *dir = opendir(path);
    if (!dir) return err_fail(e, ERR_IO, "secrets.dir %s: %s", path, strerror(errno));
    bool ok = true;
    for (struct dirent *d; ok && (d = readdir(dir)) != NULL;)
        if (d->d_name[0] != '.') ok = read_file(s, dirfd(dir), d->d_name, e);
    closedir(dir);
    return ok;
}

static bool read_environment(struct secrets *s, struct err *e)
{
    for (char **at = environ; *at; at++) {
        if (strncmp(*at, ENV_PREFIX, sizeof ENV_PREFIX - 1) != 0) continue;
        const char *start = *at + sizeof ENV_PREFIX - 1, *equals = strchr(start, '=');
        if (!equals || equals == start) continue;
        AUTO_FREE char *name = xstrndup(start, (size_t)(equals - start));
        struct secret value = secret_new(equals + 1, strlen(equals + 1));
        bool ok = text_check(name, value.bytes, value.len, e);
        if (ok) used_secrets_add(&s->all, name, &value); /* a file of that name was first */
        secret_done(&value);
        if (!ok) return false;
    }
    return true;
}

struct secrets *secrets_open(const char *dir, struct err *e)
{
    struct secrets *s = xcalloc(1, sizeof *s);
    if ((dir && *dir && !read_dir(s, dir, e)) || !read_environment(s, e)) return secrets_free(s);
    return s;
}

struct secrets *secrets_free(struct secrets *s)
{
    if (!s) return NULL;
    used_secrets_done(&s->all);
    free(s);
    return NULL;
}

/* --- substitution --- */

/* One reference token of a JSON pointer (RFC 6901), unescaped; *at moves behind it. */
static char *pointer_token(const char **at)
{
    struct buf token = { 0 };
    const char *p = *at + 1;
    for (; *p && *p != '/'; p++) {
        if (p[0] == '~' && (p[1] == '0' || p[1] == '1'))
            buf_add_char(&token, *++p == '0' ? '~' : '/');
        else
            buf_add_char(&token, *p);
    }
    *at = p;
    if (!token.data) buf_add_text(&token, "");
    return buf_take(&token, NULL);
}

static json_t *pointer_find(json_t *value, const char *pointer)
{
    for (const char *at = pointer; value && *at;) {
        if (*at != '/') return NULL;
        AUTO_FREE char *token = pointer_token(&at);
        if (json_is_object(value))
            value = json_object_get(value, token);
        else if (json_is_array(value) && *token && strspn(token, "0123456789") == strlen(token))
            value = json_array_get(value, strtoul(token, NULL, 10));
        else
            return NULL;
    }
    return value;
}

static bool insert(json_t *string, uint32_t offset, const struct secret *secret)
{
    struct buf text = { 0 };
    size_t len = json_string_length(string);
    if (offset > len) return false;
    buf_add(&text, json_string_value(string), offset);
    buf_add(&text, secret->bytes, secret->len);
    buf_add(&text, json_string_value(string) + offset, len - offset);
    bool ok = json_string_setn(string, text.data, text.len) == 0;
    explicit_bzero(text.data, text.len);
    buf_done(&text);
    return ok; /* false too where the offset is inside a character */
}

bool secrets_apply(const struct secrets *s, const struct secret_refs *refs, json_t *value,
                   struct used_secrets *used, struct err *e)
{
    /* From the last to the first: an insertion moves only what is behind it. */
    for (size_t i = refs->count; i-- > 0;) {
        const struct secret_ref *ref = &refs->refs[i];
        const struct secret *secret = secrets_find(s, ref->name);
        if (!secret) return err_fail(e, ERR_NOT_FOUND, "this worker has no secret '%s'", ref->name);
        json_t *string = pointer_find(value, ref->pointer);
        if (!json_is_string(string) || !insert(string, ref->offset, secret))
            return err_fail(e, ERR_INVALID, "secret '%s' has no place at %s, byte %u", ref->name,
                            ref->pointer, ref->offset);
        used_secrets_add(used, ref->name, secret);
    }
    return true;
}

/* --- redaction --- */

static void replace_all(struct buf *text, const char *what, size_t what_len, const char *name)
{
    if (what_len < SECRET_REDACT_BYTES || !text->len) return;
    const char *hit = memmem(text->data, text->len, what, what_len);
    if (!hit) return;
    struct buf out = { 0 };
    const char *at = text->data, *end = text->data + text->len;
    for (; hit; hit = memmem(at, (size_t)(end - at), what, what_len)) {
        buf_add(&out, at, (size_t)(hit - at));
        buf_addf(&out, "[redacted:%s]", name);
        at = hit + what_len;
    }
    buf_add(&out, at, (size_t)(end - at));
    buf_done(text);
    *text = out;
}

void redact_text(const struct used_secrets *u, struct buf *text)
{
    for (size_t i = 0; i < u->count; i++) {
        const struct secret *s = &u->list[i].value;
        if (s->len < SECRET_REDACT_BYTES) continue;
        replace_all(text, s->bytes, s->len, u->list[i].name);
        struct buf escaped = { 0 };
        buf_add_json_string(&escaped, s->bytes, s->len);
        if (escaped.len != s->len + 2) /* something was escaped */
            replace_all(text, escaped.data + 1, escaped.len - 2, u->list[i].name);
        explicit_bzero(escaped.data, escaped.len);
        buf_done(&escaped);
    }
}

static json_t *redact_string(const struct used_secrets *u, const char *text, size_t len)
{
    AUTO_BUF struct buf b = { 0 };
    buf_add(&b, text, len);
    redact_text(u, &b);
    return json_stringn(b.data ? b.data : "", b.len);
}

/* A secret of digits may come back as a number. */
static json_t *redact_number(const struct used_secrets *u, const json_t *value)
{
    AUTO_BUF struct buf b = { 0 };
    json_write(&b, value);
    size_t before = b.len;
    AUTO_FREE char *text = xstrndup(b.data, b.len);
    redact_text(u, &b);
    if (b.len == before && strcmp(text, b.data) == 0) return json_deep_copy(value);
    return json_stringn(b.data, b.len);
}

json_t *redact_json(const struct used_secrets *u, const json_t *value)
{
    if (json_is_string(value))
        return redact_string(u, json_string_value(value), json_string_length(value));
    if (json_is_number(value)) return redact_number(u, value);
    if (json_is_array(value)) {
        json_t *out = json_array();
        for (size_t i = 0; i < json_array_size(value); i++)
            json_array_append_new(out, redact_json(u, json_array_get(value, i)));
        return out;
    }
    if (json_is_object(value)) {
        json_t *out = json_object(), *item;
        const char *key;
        json_object_foreach((json_t *)value, key, item) {
            json_t *name = redact_string(u, key, strlen(key));
            json_object_set_new(out, json_string_value(name), redact_json(u, item));
            json_decref(name);
        }
        return out;
    }
    return json_deep_copy(value);
}
