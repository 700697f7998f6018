/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry of tools. */
#include "worker/tools.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "worker/tools_internal.h"

/* --- jobs --- */

struct tool_config *tool_config_ref(struct tool_config *c)
{
    c->refs++;
    return c;
}

struct tool_config *tool_config_unref(struct tool_config *c)
{
    if (!c || --c->refs > 0) return NULL;
    models_free(c->catalogue);
    secrets_free(c->secrets);
    free(c);
    return NULL;
}

void tool_job_begin(struct tools *t, struct tool_job *job, const struct tool_input *in)
{
    job->t = t;
    job->in = *in;
    job->config = tool_config_ref(t->config);
    job->next = t->jobs;
    if (t->jobs) t->jobs->prev = job;
    t->jobs = job;
}

void tool_job_end(struct tool_job *job)
{
    struct tools *t = job->t;
    if (job->prev)
        job->prev->next = job->next;
    else
        t->jobs = job->next;
    if (job->next) job->next->prev = job->prev;
    used_secrets_done(&job->used);
    tool_config_unref(job->config);
    job->free(job);
}

void tool_redact(const struct used_secrets *used, struct outcome *o)
{
    if (!used->count) return;
    if (o->ok) {
        AUTO_JSON *value = json_parse(buf_bytes(&o->text), NULL);
        ASSERT(value != NULL); /* tools make JSON */
        AUTO_JSON *clean = redact_json(used, value);
        buf_reset(&o->text);
        json_write(&o->text, clean);
        return;
    }
    redact_text(used, &o->text);
    if (!o->details) return;
    json_t *clean = redact_json(used, o->details);
    json_decref(o->details);
    o->details = clean;
}

void tool_job_done(struct tool_job *job, struct outcome *o)
{
    struct tool_input in = job->in;
    tool_redact(&job->used, o);
    tool_job_end(job);
    in.done(in.user, o);
    outcome_done(o);
}

json_t *tool_value(struct tools *t, const struct task *task, struct used_secrets *used,
                   struct outcome *ret_now)
{
    struct err e;
    struct secret_refs refs = { 0 };
    json_t *value = json_parse(task->value.len ? task->value : BYTES_LIT("null"), &e);
    if (!value) {
        outcome_fail(ret_now, ERROR_BAD_REQUEST, "the task's value is no JSON: %s", e.text);
        return NULL;
    }
    bool ok = true;
    if (task->secrets.len) {
        ok = secret_refs_decode(task->secrets, &refs, &e) &&
             secrets_apply(t->config->secrets, &refs, value, used, &e);
        secret_refs_done(&refs);
    }
    if (ok) return value;
    outcome_fail(ret_now, ERROR_BAD_REQUEST, "%s", e.text);
    json_decref(value);
    return NULL;
}

/* --- starting --- */

static struct tool_call *handler_start(struct tools *t, const struct tool_input *in,
                                       struct outcome *ret_now)
{
    for (size_t i = 0; i < t->handler_count; i++) {
        const struct handler *h = &t->handlers[i];
        if (!bytes_is(in->task->uses, h->name)) continue;
        return h->command ? tool_exec_handler_start(t, h->command, in, ret_now)
                          : tool_http_handler_start(t, h, in, ret_now);
    }
    AUTO_BUF struct buf names = { 0 };
    buf_add_text(&names, "noop");
    for (size_t i = 0; i < t->handler_count; i++) buf_addf(&names, ", %s", t->handlers[i].name);
    outcome_fail(ret_now, ERROR_BAD_REQUEST,
                 "this worker has no handler '%.*s'; configured (option handlers): %.1000s",
                 (int)MIN(in->task->uses.len, (size_t)100), in->task->uses.data, names.data);
    return NULL;
}

struct tool_call *tools_start(struct tools *t, const struct tool_input *in, struct outcome *ret_now)
{
    static const struct {
        const char *kind;
        struct tool_call *(*start)(struct tools *, const struct tool_input *, struct outcome *);
    } kinds[] = { { "task", handler_start },         { "llm", tool_model_start },
                  { "http", tool_http_start },       { "exec", tool_exec_start },
                  { "webhook", tool_webhook_start }, { "emit", tool_emit_start } };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (bytes_is(in->task->kind, kinds[i].kind)) return kinds[i].start(t, in, ret_now);
    outcome_fail(ret_now, ERROR_BAD_REQUEST, "this worker does not know tasks of kind '%.*s'",
                 (int)MIN(in->task->kind.len, (size_t)32), in->task->kind.data);
    return NULL;
}

/* --- configuration --- */

static void command_done(struct command *c)
{
    free(c->name);
    free(c->path);
    free(c->cwd);
    json_decref(c->args);
    json_decref(c->env);
}

static bool strings_only(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i))) return false;
    return true;
}

static bool texts_only(const json_t *object)
{
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)object, key, item) {
        if (!json_is_string(item)) return false;
    }
    return true;
}

/* Refuses a field that is not in the list, so that a slip of the pen is no silent default. */
static bool known_fields(const json_t *entry, const char *const *known, struct err *e)
{
    const char *key;
    json_t *item;
    if (!json_is_object(entry)) return err_fail(e, ERR_INVALID, "an object is needed");
    json_object_foreach((json_t *)entry, key, item) {
        bool found = false;
        for (size_t i = 0; known[i]; i++) found |= strcmp(known[i], key) == 0;
        if (!found) return err_fail(e, ERR_INVALID, "%s is not known here", key);
    }
    return true;
}

static bool timeout_read(const json_t *entry, int64_t *ret, struct err *e)
{
    const json_t *v = json_object_get(entry, "timeout");
    if (!v) return true;
    if (json_is_integer(v))
        *ret = json_integer_value(v) > 86400 ? 0 : json_integer_value(v) * 1000;
    else if (!json_is_string(v) || !duration_parse(json_string_value(v), ret))
        *ret = 0;
    return *ret > 0 || err_fail(e, ERR_INVALID, "timeout is no duration above 0");
}

static bool command_read(const char *name, const json_t *entry, struct command *ret, struct err *e)
{
    static const char *const known[] = { "command", "args", "env", "cwd", "timeout", NULL };
    *ret = (struct command){ .name = xstrdup(name) };
    if (!known_fields(entry, known, e)) return false;
    const char *path = json_text(entry, "command"), *cwd = json_text(entry, "cwd");
    const json_t *args = json_object_get(entry, "args"), *env = json_object_get(entry, "env");
    if (!path || *path != '/') return err_fail(e, ERR_INVALID, "command must be an absolute path");
    if (args && (!json_is_array(args) || !strings_only(args)))
        return err_fail(e, ERR_INVALID, "args must be a list of strings");
    if (env && (!json_is_object(env) || !texts_only(env)))
        return err_fail(e, ERR_INVALID, "env must be an object of strings");
    if (cwd && *cwd != '/') return err_fail(e, ERR_INVALID, "cwd must be an absolute path");
    ret->path = xstrdup(path);
    ret->cwd = cwd ? xstrdup(cwd) : NULL;
    ret->args = json_deep_copy(args);
    ret->env = json_deep_copy(env);
    return timeout_read(entry, &ret->timeout_ms, e);
}

static bool handler_http(const json_t *entry, struct handler *h, struct err *e)
{
    static const char *const known[] = { "url", "headers", "timeout", NULL };
    int64_t timeout_ms = 0;
    if (!known_fields(entry, known, e) || !timeout_read(entry, &timeout_ms, e)) return false;
    const char *url = json_text(entry, "url");
    if (!url || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
        return err_fail(e, ERR_INVALID, "url must be an http or https URL");
    if (!texts_only(json_object_get(entry, "headers")))
        return err_fail(e, ERR_INVALID, "headers must be an object of strings");
    h->http = json_deep_copy(entry);
    return true;
}

static bool handler_read(const char *name, const json_t *entry, struct handler *h, struct err *e)
{
    static const char *const known[] = { "exec", "http", NULL };
    h->name = xstrdup(name);
    if (!known_fields(entry, known, e)) return false;
    const json_t *exec = json_object_get(entry, "exec"), *http = json_object_get(entry, "http");
    if (!exec == !http) return err_fail(e, ERR_INVALID, "either exec or http is needed");
    if (http) return handler_http(http, h, e);
    h->command = xcalloc(1, sizeof *h->command);
    return command_read(name, exec, h->command, e);
}

static bool registry_read(struct tools *t, const struct worker_options *o, struct err *e)
{
    const char *name;
    json_t *entry;
    if (o->emit_topics && !(json_is_array(o->emit_topics) && strings_only(o->emit_topics)))
        return err_fail(e, ERR_INVALID, "emit.topics: a list of names of topics is needed");
    const json_t *objects[] = { o->commands, o->handlers };
    static const char *const options[] = { "commands", "handlers" };
    for (size_t i = 0; i < ARRAY_LEN(objects); i++)
        if (objects[i] && !json_is_null(objects[i]) && !json_is_object(objects[i]))
            return err_fail(e, ERR_INVALID, "%s: an object of entries by name is needed",
                            options[i]);
    t->commands = xcalloc(json_object_size(o->commands) + 1, sizeof *t->commands);
    t->handlers = xcalloc(json_object_size(o->handlers) + 1, sizeof *t->handlers);
    json_object_foreach((json_t *)o->commands, name, entry) {
        if (!command_read(name, entry, &t->commands[t->command_count++], e))
            return err_prefix(e, "commands.%s", name);
    }
    json_object_foreach((json_t *)o->handlers, name, entry) {
        if (!handler_read(name, entry, &t->handlers[t->handler_count++], e))
            return err_prefix(e, "handlers.%s", name);
    }
    return true;
}

static struct tool_config *config_open(const json_t *models, const char *secrets_dir, struct err *e)
{
    struct tool_config *c = xcalloc(1, sizeof *c);
    c->refs = 1;
    c->catalogue = models_open(models, e);
    if (c->catalogue) c->secrets = secrets_open(secrets_dir, e);
    return c->secrets ? c : tool_config_unref(c);
}

static void hosts_copy(struct tools *t, const char *const *hosts)
{
    size_t count = 0;
    while (hosts && hosts[count]) count++;
    t->hosts_private = xcalloc(count + 1, sizeof *t->hosts_private);
    for (size_t i = 0; i < count; i++) t->hosts_private[i] = xstrdup(hosts[i]);
}

struct tools *tools_open(const struct tools_options *o, struct err *e)
{
    struct tools *t = xcalloc(1, sizeof *t);
    const struct worker_options *w = o->worker;
    t->loop = o->loop;
    t->pool = o->pool;
    t->log = o->log;
    t->bus = o->bus;
    t->prefix = xstrdup(w->prefix ? w->prefix : "");
    t->emit_topics = json_deep_copy(w->emit_topics);
    t->private_allowed = w->private_allowed;
    t->http_body_bytes_max = w->http_body_bytes_max;
    t->exec_output_bytes_max = MAX(w->exec_output_bytes_max, (size_t)MIB);
    t->http_connect_ms = w->http_connect_ms;
    hosts_copy(t, w->hosts_private);
    tool_exec_prepare();
    t->breakers = breaker_share_open(&(struct breaker_share_options){ .loop = o->loop,
                                                                      .store = o->store,
                                                                      .script = o->breaker_script,
                                                                      .prefix = w->prefix,
                                                                      .worker = o->worker_name,
                                                                      .log = o->log,
                                                                      .breaker = w->breaker });
    t->config = config_open(w->models, w->secrets_dir, e);
    if (t->config && registry_read(t, w, e)) return t;
    tools_stop(t);
    return tools_free(t);
}

bool tools_reload(struct tools *t, const json_t *models, const char *secrets_dir, struct err *e)
{
    struct tool_config *c = config_open(models, secrets_dir, e);
    if (!c) return false;
    tool_config_unref(t->config);
    t->config = c;
    return true;
}

void tools_stop(struct tools *t)
{
    breaker_share_stop(t->breakers);
}

struct tools *tools_free(struct tools *t)
{
    if (!t) return NULL;
    while (t->jobs) tool_job_end(t->jobs); /* aborted ones whose pool closed without a word */
    breaker_share_free(t->breakers);
    tool_config_unref(t->config);
    for (size_t i = 0; i < t->command_count; i++) command_done(&t->commands[i]);
    for (size_t i = 0; i < t->handler_count; i++) {
        struct handler *h = &t->handlers[i];
        if (h->command) command_done(h->command);
        free(h->command);
        json_decref(h->http);
        free(h->name);
    }
    free(t->commands);
    free(t->handlers);
    for (char **host = t->hosts_private; host && *host; host++) free(*host);
    free(t->hosts_private);
    free(t->prefix);
    json_decref(t->emit_topics);
    free(t);
    return NULL;
}
