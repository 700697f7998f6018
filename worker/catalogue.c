/* SPDX-License-Identifier: Apache-2.0
 *
 * The models a worker can call. */
#include "worker/catalogue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"

#define KEY_BYTES_MAX      8192
#define OPENAI_DEFAULT_URL "https://api.openai.com/v1"

struct catalogue {
    struct model *list;
    size_t count;
};

static void model_done(struct model *m)
{
    free(m->name);
    free(m->url);
    free(m->dependency);
    free(m->model);
    free(m->max_tokens_field);
    secret_done(&m->key);
}

struct catalogue *models_free(struct catalogue *c)
{
    if (!c) return NULL;
    for (size_t i = 0; i < c->count; i++) model_done(&c->list[i]);
    free(c->list);
    free(c);
    return NULL;
}

static bool key_from_file(const char *path, struct secret *ret, struct err *e)
{
    char text[KEY_BYTES_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    int error = errno;
    if (fd >= 0) close(fd);
    if (n < 0) return err_fail(e, ERR_IO, "api_key_file %s: %s", path, strerror(error));
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r')) n--;
    *ret = secret_new(text, (size_t)n);
    explicit_bzero(text, sizeof text);
    return true;
}

/* base + /chat/completions, with /v1 between where base has it not. */
static char *chat_url(const char *base)
{
    size_t len = strlen(base);
    while (len && base[len - 1] == '/') len--;
    bool v1 = len >= 3 && memcmp(base + len - 3, "/v1", 3) == 0;
    return xasprintf("%.*s%s/chat/completions", (int)len, base, v1 ? "" : "/v1");
}

static void model_name(struct model *m, const char *name, const char *base, const char *model)
{
    m->name = xstrdup(name);
    m->url = chat_url(base);
    m->model = xstrdup(model);
    m->dependency = xasprintf("%s|%s", base, model);
    if (!m->max_tokens_field)
        m->max_tokens_field =
            xstrdup(strstr(base, "api.openai.com") ? "max_completion_tokens" : "max_tokens");
}

static bool duration_field(const json_t *entry, const char *field, uint32_t *ret, struct err *e)
{
    const json_t *v = json_object_get(entry, field);
    int64_t ms = 0;
    if (!v) return true;
    if (json_is_integer(v))
        ms = json_integer_value(v) * 1000;
    else if (!json_is_string(v) || !duration_parse(json_string_value(v), &ms))
        ms = -1;
    if (ms <= 0 || ms > 24 * 3600 * 1000)
        return err_fail(e, ERR_INVALID, "%s is no duration between 1ms and 24h", field);
    *ret = (uint32_t)ms;
    return true;
}

static bool fields_known(const json_t *entry, struct err *e)
{
    static const char *const known[] = { "base_url",
                                         "model",
                                         "api_key_env",
                                         "api_key_file",
                                         "max_tokens_field",
                                         "json_schema",
                                         "strict_schema",
                                         "stream_usage",
                                         "price_in_micro_usd_per_mtok",
                                         "price_out_micro_usd_per_mtok",
                                         "connect_timeout",
                                         "first_byte_timeout",
                                         "idle_timeout" };
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)entry, key, value) {
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++) found |= strcmp(known[i], key) == 0;
        if (!found) return err_fail(e, ERR_INVALID, "%s is not known here", key);
    }
    return true;
}

static bool flag(const json_t *entry, const char *field, bool fallback)
{
    const json_t *v = json_object_get(entry, field);
    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

static bool model_read(struct model *m, const char *name, const json_t *entry, struct err *e)
{
    if (!json_is_object(entry)) return err_fail(e, ERR_INVALID, "an object is needed");
    if (!fields_known(entry, e)) return false;
    const char *base = json_text(entry, "base_url"), *model = json_text(entry, "model");
    if (!base || (strncmp(base, "http://", 7) != 0 && strncmp(base, "https://", 8) != 0))
        return err_fail(e, ERR_INVALID, "base_url must be an http or https URL");
    if (!model || !*model) return err_fail(e, ERR_INVALID, "model is needed");
    const char *field = json_text(entry, "max_tokens_field");
    if (field && strcmp(field, "max_tokens") != 0 && strcmp(field, "max_completion_tokens") != 0)
        return err_fail(e, ERR_INVALID, "max_tokens_field is max_tokens or max_completion_tokens");
    if (field) m->max_tokens_field = xstrdup(field);
    model_name(m, name, base, model);
    m->json_schema = flag(entry, "json_schema", true);
    m->strict_schema = flag(entry, "strict_schema", false);
    m->stream_usage = flag(entry, "stream_usage", true);
    m->price_in = json_int(entry, "price_in_micro_usd_per_mtok", 0);
    m->price_out = json_int(entry, "price_out_micro_usd_per_mtok", 0);
    if (m->price_in < 0 || m->price_out < 0)
        return err_fail(e, ERR_INVALID, "a price is not below 0");
    const char *env = json_text(entry, "api_key_env"), *file = json_text(entry, "api_key_file");
    const char *key = env ? getenv(env) : NULL;
    if (env && !key) return err_fail(e, ERR_INVALID, "api_key_env: %s is not set", env);
    if (key) m->key = secret_new(key, strlen(key));
    if (!env && file && !key_from_file(file, &m->key, e)) return false;
    return duration_field(entry, "connect_timeout", &m->connect_ms, e) &&
           duration_field(entry, "first_byte_timeout", &m->first_byte_ms, e) &&
           duration_field(entry, "idle_timeout", &m->idle_ms, e);
}

static struct model *model_add(struct catalogue *c)
{
    c->list = xrealloc(c->list, (c->count + 1) * sizeof *c->list);
    c->list[c->count] = (struct model){ 0 };
    return &c->list[c->count++];
}

static void model_from_environment(struct catalogue *c)
{
    const char *base = getenv("OPENAI_BASE_URL"), *key = getenv("OPENAI_API_KEY");
    const char *model = getenv("TUTTI_MODEL");
    if ((!base || !*base) && (!key || !*key)) return;
    struct model *m = model_add(c);
    model_name(m, "default", base && *base ? base : OPENAI_DEFAULT_URL,
               model && *model ? model : "gpt-4o-mini");
    m->json_schema = m->stream_usage = m->any_name = true;
    if (key && *key) m->key = secret_new(key, strlen(key));
}

static const struct model *find_exactly(const struct catalogue *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->list[i].name, name) == 0) return &c->list[i];
    return NULL;
}

struct catalogue *models_open(const json_t *models, struct err *e)
{
    struct catalogue *c = xcalloc(1, sizeof *c);
    const char *name;
    json_t *entry;
    if (models && !json_is_null(models) && !json_is_object(models)) {
        (void)err_fail(e, ERR_INVALID, "models: an object of entries by name is needed");
        return models_free(c);
    }
    json_object_foreach((json_t *)models, name, entry) {
        if (model_read(model_add(c), name, entry, e)) continue;
        (void)err_prefix(e, "models.%s", name);
        return models_free(c);
    }
    if (!find_exactly(c, "default")) model_from_environment(c);
    return c;
}

const struct model *models_find(const struct catalogue *c, const char *name)
{
    const struct model *fallback = find_exactly(c, "default");
    if (!name || !*name) return fallback;
    const struct model *m = find_exactly(c, name);
    return m ? m : fallback && fallback->any_name ? fallback : NULL;
}

void catalogue_names(const struct catalogue *c, struct buf *ret)
{
    for (size_t i = 0; i < c->count; i++) buf_addf(ret, "%s%s", i ? ", " : "", c->list[i].name);
    if (!c->count) buf_add_text(ret, "none");
}

int64_t model_price(const struct model *m, int64_t tokens_in, int64_t tokens_out)
{
    __int128 sum = (__int128)tokens_in * m->price_in + (__int128)tokens_out * m->price_out;
    sum = (sum + 999999) / 1000000;
    return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}
