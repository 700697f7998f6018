/* SPDX-License-Identifier: Apache-2.0
 *
 * llm steps: one call of a model. */
#include <stdlib.h>
#include <string.h>

#include "worker/http_job.h"
#include "worker/model_openai.h"

#define ANSWER_BYTES_MAX (8 * 1024 * 1024)
#define STREAM_IDLE_MS   120000        /* a stream that is silent for so long has stalled */
#define RAW_BYTES_MAX    (1024 * 1024) /* of a streamed answer, in case that it is no stream */

struct model_job {
    struct http_job http; /* first */
    struct model_call call;
    struct model_stream stream;
    struct buf raw;
};

static void free_own(struct http_job *j)
{
    struct model_job *m = (struct model_job *)j;
    model_call_done(&m->call);
    openai_stream_done(&m->stream);
    buf_done(&m->raw);
}

/* The status is not known yet: an error body comes the same way, and some servers do not stream. */
static bool on_data(void *job, struct bytes data)
{
    struct model_job *m = job;
    size_t room = RAW_BYTES_MAX - m->raw.len;
    buf_add(&m->raw, data.data, MIN(data.len, room));
    return openai_stream_feed(&m->stream, data);
}

static enum model_outcome of_transport(const struct http_response *r)
{
    switch (r->outcome) {
    case HTTP_CONNECT_TIMEOUT: return MODEL_TIMEOUT_CONNECT;
    case HTTP_FIRST_BYTE_TIMEOUT: return MODEL_TIMEOUT_HEADERS;
    case HTTP_IDLE_TIMEOUT: return MODEL_TIMEOUT_IDLE;
    case HTTP_TOTAL_TIMEOUT: return MODEL_TIMEOUT_TOTAL;
    case HTTP_TOO_LARGE: return MODEL_INVALID_OUTPUT;
    case HTTP_REFUSED_ADDRESS:
    case HTTP_BAD_REDIRECT: return MODEL_BAD_REQUEST;
    case HTTP_DONE:
    case HTTP_CONNECT:
    case HTTP_BROKEN:
    case HTTP_ABORTED: break;
    }
    return MODEL_TRANSPORT;
}

/* A stream that stopped by itself: it said why, or it grew too large. */
static bool stopped_itself(const struct model_job *m, const struct http_response *r)
{
    return r->outcome == HTTP_ABORTED && m->stream.error != NULL;
}

static enum breaker_effect decode(struct http_job *j, const struct http_response *r,
                                  struct outcome *ret)
{
    struct model_job *m = (struct model_job *)j;
    enum model_outcome outcome;
    if (r->outcome != HTTP_DONE && !stopped_itself(m, r)) {
        bool flooded = r->outcome == HTTP_ABORTED && m->call.stream;
        outcome = flooded ? MODEL_INVALID_OUTPUT : of_transport(r);
        model_fail(ret, outcome, "%s: %s", m->call.name, r->text);
        return model_outcome_effect(outcome);
    }
    struct http_response whole = *r;
    if (m->call.stream) whole.body = buf_bytes(&m->raw);
    const char *type = http_response_header(r, "content-type");
    bool plain = type && strncasecmp(type, "application/json", 16) == 0;
    if (m->call.stream && r->status >= 200 && r->status < 300 && !plain)
        outcome = openai_stream_decode(&m->call, &m->stream, r, ret);
    else
        outcome = openai_decode(&m->call, &whole, ret);
    return model_outcome_effect(outcome);
}

static bool headers(struct model_job *m, const struct model *model, const struct task *task,
                    struct err *e)
{
    struct http_step *c = &m->http.call;
    if (!http_step_header(c, "content-type", "application/json", e) ||
        !http_step_header(c, "accept", m->call.stream ? "text/event-stream" : "application/json",
                          e))
        return false;
    if (model->key.bytes) {
        AUTO_FREE char *bearer = xasprintf("Bearer %s", model->key.bytes);
        bool ok = http_step_header(c, "authorization", bearer, e);
        explicit_bzero(bearer, strlen(bearer));
        if (!ok) return false;
        used_secrets_add(&m->http.job.used, "api key", &model->key); /* servers like to quote it */
    }
    if (!task->idempotency_key.len) return true;
    AUTO_FREE char *key = xstrndup(task->idempotency_key.data, task->idempotency_key.len);
    return http_step_header(c, "idempotency-key", key, e);
}

static const struct model *model_of(struct tools *t, const struct task *task, const json_t *value,
                                    struct outcome *ret_now)
{
    AUTO_FREE char *uses = xstrndup(task->uses.data ? task->uses.data : "", task->uses.len);
    const char *name = *uses ? uses : json_text(value, "model");
    const struct model *m = models_find(t->config->catalogue, name);
    if (m) return m;
    AUTO_BUF struct buf names = { 0 };
    catalogue_names(t->config->catalogue, &names);
    outcome_fail(ret_now, ERROR_BAD_REQUEST,
                 "this worker has no model '%.100s'; configured (option models): %s",
                 name && *name ? name : "default", names.data);
    return NULL;
}

static bool prepare(struct tools *t, struct model_job *m, const struct tool_input *in,
                    struct outcome *ret_now, const struct model **ret_model)
{
    struct err e;
    AUTO_JSON *value = tool_value(t, in->task, &m->http.job.used, ret_now);
    if (!value) return false;
    const struct model *model = model_of(t, in->task, value, ret_now);
    if (!model) return false;
    if (json_is_object(value) && !json_text(value, "model") && in->task->uses.len)
        json_object_set_new(value, "model", json_stringn(in->task->uses.data, in->task->uses.len));
    struct http_step *c = &m->http.call;
    c->method = xstrdup("POST");
    if (!http_step_url(c, model->url, &e) || !openai_encode(model, value, &c->body, &m->call, &e) ||
        !headers(m, model, in->task, &e)) {
        outcome_fail(ret_now, ERROR_BAD_REQUEST, "%s", e.text);
        tool_redact(&m->http.job.used, ret_now);
        return false;
    }
    m->http.request.connect_ms = model->connect_ms ? model->connect_ms : t->http_connect_ms;
    m->http.request.first_byte_ms = model->first_byte_ms;
    m->http.request.idle_ms = model->idle_ms;
    if (m->call.stream && !model->idle_ms) m->http.request.idle_ms = STREAM_IDLE_MS;
    m->http.request.body_bytes_max = ANSWER_BYTES_MAX;
    m->http.request.private_allowed = true; /* the operator wrote base_url */
    m->http.decode = decode;
    m->http.free_own = free_own;
    *ret_model = model;
    return true;
}

struct tool_call *tool_model_start(struct tools *t, const struct tool_input *in,
                                   struct outcome *ret_now)
{
    struct model_job *m = xcalloc(1, sizeof *m);
    const struct model *model;
    if (!prepare(t, m, in, ret_now, &model)) {
        used_secrets_done(&m->http.job.used);
        http_step_done(&m->http.call);
        free_own(&m->http);
        free(m);
        return NULL;
    }
    if (m->call.stream) {
        openai_stream_begin(&m->stream);
        m->http.on_data = on_data;
    }
    return http_job_start(t, &m->http, in, model->dependency, ret_now);
}
