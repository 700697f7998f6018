/* SPDX-License-Identifier: Apache-2.0
 *
 * webhook steps: an http call that is signed by the Standard Webhooks specification, so that
 * whoever gets it can check with any of its libraries that it is ours, whole and fresh. */
#include <stdlib.h>

#include "common/base/hash.h"
#include "worker/http_job.h"

/* The output has no headers: what a receiver answers is of little use, and may be anything. */
static enum breaker_effect decode(struct http_job *j, const struct http_response *r,
                                  struct outcome *ret)
{
    enum breaker_effect effect = http_step_decode(&j->call, r, ret);
    if (!ret->ok) return effect;
    AUTO_JSON *output = json_parse(buf_bytes(&ret->text), NULL);
    json_object_del(output, "headers");
    buf_reset(&ret->text);
    json_write(&ret->text, output);
    return effect;
}

/* The step's value as that of an http step: the body is always JSON. */
static json_t *as_http(const json_t *value)
{
    AUTO_BUF struct buf body = { 0 };
    const json_t *given = json_object_get(value, "body");
    json_write(&body, given ? given : json_null());
    json_t *headers = json_deep_copy(json_object_get(value, "headers"));
    if (!headers) headers = json_object();
    bool typed = false;
    const char *name;
    json_t *item;
    json_object_foreach(headers, name, item) typed |= strcasecmp(name, "content-type") == 0;
    if (!typed) json_object_set_new(headers, "content-type", json_string("application/json"));
    const char *method = json_text(value, "method"), *endpoint = json_text(value, "endpoint");
    return json_pack("{s:s, s:s, s:o, s:s%}", "method", method ? method : "POST", "url",
                     endpoint ? endpoint : "", "headers", headers, "body", body.data, body.len);
}

/* A secret is base64 behind whsec_, or the text itself. */
static bool read_key(const char *secret, struct buf *ret, struct err *e)
{
    if (strncmp(secret, "whsec_", 6) != 0) {
        buf_add_text(ret, secret);
        return ret->len || err_fail(e, ERR_INVALID, "the webhook's secret is empty");
    }
    return (base64_decode(bytes_of(secret + 6), ret) && ret->len) ||
           err_fail(e, ERR_INVALID, "the webhook's secret is not base64 behind whsec_");
}

static bool sign(const char *secret, const char *id, const char *timestamp, struct http_step *c,
                 struct err *e)
{
    AUTO_BUF struct buf key = { 0 }, content = { 0 }, signature = { 0 };
    unsigned char hash[SHA256_BYTES];
    if (!read_key(secret, &key, e)) return false;
    buf_addf(&content, "%s.%s.", id, timestamp);
    buf_add(&content, c->body.data, c->body.len);
    hmac_sha256(buf_bytes(&key), buf_bytes(&content), hash);
    buf_add_text(&signature, "v1,");
    base64_encode((struct bytes){ (const char *)hash, sizeof hash }, &signature);
    return http_step_header(c, "webhook-signature", signature.data, e);
}

/* The id is that of the step, not of the attempt: a receiver knows a repetition by it. */
static bool add_headers(struct tools *t, const struct task *task, const json_t *value,
                        struct http_step *c, struct err *e)
{
    const char *secret = json_text(value, "secret");
    AUTO_BUF struct buf timestamp = { 0 };
    struct bytes key = task->idempotency_key.len ? task->idempotency_key : task->task_id;
    AUTO_FREE char *id = xstrndup(key.data, key.len);
    buf_add_int(&timestamp, loop_wall_ms(t->loop) / 1000);
    return http_step_header(c, "webhook-id", id, e) &&
           http_step_header(c, "webhook-timestamp", timestamp.data, e) &&
           (!secret || sign(secret, id, timestamp.data, c, e));
}

struct tool_call *tool_webhook_start(struct tools *t, const struct tool_input *in,
                                     struct outcome *ret_now)
{
    struct err e;
    AUTO_JSON *value = NULL;
    struct http_job *j = http_job_new(t, in, &value, ret_now);
    if (!j) return NULL;
    AUTO_JSON *request = as_http(value);
    if (!http_step_encode(request, &j->call, &e) || !add_headers(t, in->task, value, &j->call, &e))
        return http_job_refuse(j, &e, ret_now);
    http_job_limits(t, j);
    j->decode = decode;
    j->request.redirects_max = 0; /* a signed body is for its receiver alone */
    return http_job_start(t, j, in, j->call.host, ret_now);
}
