/* SPDX-License-Identifier: Apache-2.0
 *
 * http steps, and task steps whose handler is an HTTP endpoint. */
#include "worker/tool_http.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "worker/http_job.h"

#define REDIRECTS_MAX 5

static enum breaker_effect decode(struct http_job *j, const struct http_response *r,
                                  struct outcome *ret)
{
    return http_step_decode(&j->call, r, ret);
}

void http_job_limits(struct tools *t, struct http_job *j)
{
    j->decode = decode;
    j->request.connect_ms = t->http_connect_ms;
    j->request.body_bytes_max = t->http_body_bytes_max;
    j->request.redirects_max = REDIRECTS_MAX;
    j->request.private_allowed = t->private_allowed;
    j->request.hosts_allowed = (const char *const *)t->hosts_private;
}

static bool has(const struct http_step *c, const char *name)
{
    for (size_t i = 0; i < c->header_count; i++)
        if (strcasecmp(c->header[i].name, name) == 0) return true;
    return false;
}

static bool header_view(struct http_step *c, const char *name, struct bytes value, struct err *e)
{
    if (!value.len || has(c, name)) return true;
    AUTO_FREE char *text = xstrndup(value.data, value.len);
    return http_step_header(c, name, text, e);
}

struct http_job *http_job_new(struct tools *t, const struct tool_input *in, json_t **ret_value,
                              struct outcome *ret_now)
{
    struct http_job *j = xcalloc(1, sizeof *j);
    *ret_value = tool_value(t, in->task, &j->job.used, ret_now);
    if (*ret_value) return j;
    used_secrets_done(&j->job.used);
    free(j);
    return NULL;
}

struct tool_call *http_job_refuse(struct http_job *j, const struct err *e, struct outcome *ret_now)
{
    outcome_fail(ret_now, ERROR_BAD_REQUEST, "%s", e->text);
    tool_redact(&j->job.used, ret_now);
    used_secrets_done(&j->job.used);
    http_step_done(&j->call);
    free(j);
    return NULL;
}

struct tool_call *tool_http_start(struct tools *t, const struct tool_input *in,
                                  struct outcome *ret_now)
{
    struct err e;
    AUTO_JSON *value = NULL;
    struct http_job *j = http_job_new(t, in, &value, ret_now);
    if (!j) return NULL;
    if (!http_step_encode(value, &j->call, &e) ||
        !header_view(&j->call, "idempotency-key", in->task->idempotency_key, &e))
        return http_job_refuse(j, &e, ret_now);
    http_job_limits(t, j);
    return http_job_start(t, j, in, j->call.host, ret_now);
}

static bool handler_call(const struct handler *h, const struct tool_input *in, const json_t *value,
                         struct http_step *c, struct err *e)
{
    const struct task *task = in->task;
    const char *name;
    json_t *item;
    char attempt[16];
    struct buf number = { 0 };
    buf_add_int(&number, task->attempt);
    memcpy(attempt, number.data, number.len + 1);
    buf_done(&number);
    c->method = xstrdup("POST");
    c->bare = true;
    json_write(&c->body, value);
    if (!http_step_url(c, json_text(h->http, "url"), e)) return false;
    json_object_foreach(json_object_get(h->http, "headers"), name, item) {
        const char *text = json_string_value(item);
        if (!http_step_header(c, name, text ? text : "", e)) return false;
    }
    return header_view(c, "content-type", BYTES_LIT("application/json"), e) &&
           header_view(c, "tutti-run-id", task->run_id, e) &&
           header_view(c, "tutti-path", task->path, e) &&
           header_view(c, "tutti-attempt", bytes_of(attempt), e) &&
           header_view(c, "traceparent", task->traceparent, e) &&
           header_view(c, "idempotency-key", task->idempotency_key, e);
}

struct tool_call *tool_http_handler_start(struct tools *t, const struct handler *h,
                                          const struct tool_input *in, struct outcome *ret_now)
{
    struct err e;
    AUTO_JSON *value = NULL;
    struct http_job *j = http_job_new(t, in, &value, ret_now);
    if (!j) return NULL;
    if (!handler_call(h, in, value, &j->call, &e)) return http_job_refuse(j, &e, ret_now);
    http_job_limits(t, j);
    j->request.private_allowed = true; /* the operator wrote the URL, not a workflow */
    struct tool_input bounded = *in;
    const char *timeout = json_text(h->http, "timeout");
    int64_t ms;
    if (timeout && duration_parse(timeout, &ms) && ms > 0)
        bounded.timeout_ms = MIN(ms, in->timeout_ms);
    return http_job_start(t, j, &bounded, j->call.host, ret_now);
}
