/* SPDX-License-Identifier: Apache-2.0
 *
 * What is sent for an http step, and what the answer means. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "worker/http_retry.h"
#include "worker/tool_http.h"

void http_step_done(struct http_step *c)
{
    free(c->method);
    free(c->url);
    free(c->host);
    for (size_t i = 0; i < c->header_count; i++) {
        free((char *)c->header[i].name);
        free((char *)c->header[i].value);
    }
    buf_done(&c->body);
    *c = (struct http_step){ 0 };
}

/* --- requests --- */

static bool is_token(const char *text)
{
    if (!*text) return false;
    for (const char *p = text; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("!#$%&'*+-.^_`|~", *p)) return false;
    return true;
}

bool http_step_header(struct http_step *c, const char *name, const char *value, struct err *e)
{
    if (!is_token(name)) return err_fail(e, ERR_INVALID, "'%s' is no name of a header", name);
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < 0x20 && *p != '\t')
            return err_fail(e, ERR_INVALID, "header %s has a control character in its value", name);
    if (c->header_count == HTTP_HEADERS_MAX)
        return err_fail(e, ERR_LIMIT, "more than %d headers", HTTP_HEADERS_MAX);
    c->header[c->header_count++] =
        (struct http_header){ .name = xstrdup(name), .value = xstrdup(value) };
    return true;
}

static bool has_header(const struct http_step *c, const char *name)
{
    for (size_t i = 0; i < c->header_count; i++)
        if (strcasecmp(c->header[i].name, name) == 0) return true;
    return false;
}

bool http_step_url(struct http_step *c, const char *url, struct err *e)
{
    bool tls = strncasecmp(url, "https://", 8) == 0;
    if (!tls && strncasecmp(url, "http://", 7) != 0)
        return err_fail(e, ERR_INVALID, "url must begin with http:// or https://");
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= 0x20 || *p == 0x7f)
            return err_fail(e, ERR_INVALID, "url has a space or control character in it");
    const char *host = url + (tls ? 8 : 7);
    size_t len = strcspn(host, "/?#");
    for (size_t i = 0; i < len; i++) { /* what stands before the last @ is no host */
        if (host[i] != '@') continue;
        host += i + 1;
        len -= i + 1;
        i = (size_t)-1;
    }
    if (!len || *host == ':') return err_fail(e, ERR_INVALID, "url has no host");
    const char *bracket = memrchr(host, ']', len);
    bool port = memchr(bracket ? bracket : host, ':',
                       len - (bracket ? (size_t)(bracket - host) : 0)) != NULL;
    free(c->url);
    free(c->host);
    c->url = xstrdup(url);
    c->host = xasprintf("%.*s%s", (int)len, host, port ? "" : tls ? ":443" : ":80");
    return true;
}

static void add_percent(struct buf *b, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (isalnum(c) || strchr("-._~", c)) {
            buf_add_char(b, (char)c);
            continue;
        }
        buf_add_char(b, '%');
        buf_add_char(b, hex[c >> 4]);
        buf_add_char(b, hex[c & 15]);
    }
}

/* A scalar as text; false for lists, objects and null. */
static bool scalar_text(const json_t *v, struct buf *ret)
{
    if (json_is_string(v))
        buf_add_text(ret, json_string_value(v));
    else if (json_is_number(v) || json_is_boolean(v))
        json_write(ret, v);
    else
        return false;
    if (!ret->data) buf_add_text(ret, "");
    return true;
}

static bool query_add(struct buf *url, const char *name, const json_t *v, struct err *e)
{
    if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v); i++)
            if (!query_add(url, name, json_array_get(v, i), e)) return false;
        return true;
    }
    if (json_is_null(v)) return true;
    AUTO_BUF struct buf text = { 0 };
    if (!scalar_text(v, &text))
        return err_fail(e, ERR_INVALID, "query.%s is neither text, number nor a list of these",
                        name);
    buf_add_char(url, memchr(url->data, '?', url->len) ? '&' : '?');
    add_percent(url, name);
    buf_add_char(url, '=');
    add_percent(url, text.data);
    return true;
}

static bool encode_url(const json_t *value, struct http_step *c, struct err *e)
{
    const char *base = json_text(value, "url");
    if (!base) return err_fail(e, ERR_INVALID, "url is needed");
    AUTO_BUF struct buf url = { 0 };
    size_t len = strcspn(base, "#");
    buf_add(&url, base, len);
    const char *name;
    json_t *item;
    json_object_foreach(json_object_get(value, "query"), name, item) {
        if (!query_add(&url, name, item, e)) return false;
    }
    return http_step_url(c, url.data ? url.data : "", e);
}

static bool encode_headers(const json_t *value, struct http_step *c, struct err *e)
{
    const char *name;
    json_t *item;
    json_object_foreach(json_object_get(value, "headers"), name, item) {
        AUTO_BUF struct buf text = { 0 };
        if (!scalar_text(item, &text))
            return err_fail(e, ERR_INVALID, "headers.%s is no text", name);
        if (!http_step_header(c, name, text.data, e)) return false;
    }
    return true;
}

static bool encode_body(const json_t *value, struct http_step *c, struct err *e)
{
    const json_t *body = json_object_get(value, "body");
    if (!body || json_is_null(body)) return true;
    bool text = json_is_string(body);
    if (text)
        buf_add(&c->body, json_string_value(body), json_string_length(body));
    else
        json_write(&c->body, body);
    if (has_header(c, "content-type")) return true;
    return http_step_header(c, "content-type",
                            text ? "text/plain; charset=utf-8" : "application/json", e);
}

bool http_step_encode(const json_t *value, struct http_step *ret, struct err *e)
{
    *ret = (struct http_step){ 0 };
    if (!json_is_object(value)) return err_fail(e, ERR_INVALID, "the task's value is no object");
    if (!encode_url(value, ret, e) || !encode_headers(value, ret, e) ||
        !encode_body(value, ret, e)) {
        http_step_done(ret);
        return false;
    }
    const char *method = json_text(value, "method");
    ret->method = xstrdup(method && *method ? method : ret->body.len ? "POST" : "GET");
    for (char *p = ret->method; *p; p++) *p = (char)toupper((unsigned char)*p);
    if (is_token(ret->method)) return true;
    (void)err_fail(e, ERR_INVALID, "method is no method");
    http_step_done(ret);
    return false;
}

/* --- answers --- */

static bool says_json(const struct http_response *r)
{
    const char *type = http_response_header(r, "content-type");
    if (!type) return false;
    size_t len = strcspn(type, ";");
    while (len && type[len - 1] == ' ') len--;
    return (len == 16 && strncasecmp(type, "application/json", 16) == 0) ||
           (len > 5 && strncasecmp(type + len - 5, "+json", 5) == 0);
}

/* JSON where the type says so and it is some, else text; NULL where it is neither. */
static json_t *body_value(const struct http_response *r)
{
    if (!r->body.len) return json_null();
    json_t *value = says_json(r) ? json_parse(r->body, NULL) : NULL;
    if (value) return value;
    if (!utf8_check(r->body.data, r->body.len) || memchr(r->body.data, '\0', r->body.len))
        return NULL;
    return json_stringn(r->body.data, r->body.len);
}

static json_t *headers_value(const struct http_response *r)
{
    json_t *all = json_object();
    for (size_t i = 0; i < r->header_count; i++) {
        const struct http_header *h = &r->headers[i];
        if (!utf8_check(h->name, strlen(h->name)) || !utf8_check(h->value, strlen(h->value)))
            continue;
        const char *before = json_text(all, h->name);
        AUTO_FREE char *both = before ? xasprintf("%s, %s", before, h->value) : NULL;
        json_object_set_new(all, h->name, json_string(both ? both : h->value));
    }
    return all;
}

static enum breaker_effect decode_success(const struct http_step *c, const struct http_response *r,
                                          struct outcome *ret)
{
    json_t *body = body_value(r);
    if (!body) {
        outcome_fail(ret, ERROR_INVALID_OUTPUT,
                     "%s answered %u with a body that is neither JSON nor UTF-8 text", c->host,
                     r->status);
        ret->retryable = false;
        return BREAKER_SUCCESS;
    }
    AUTO_JSON *output = NULL;
    if (c->bare) {
        output = body;
    } else {
        output = json_object();
        json_object_set_new(output, "status", json_integer(r->status));
        json_object_set_new(output, "headers", headers_value(r));
        json_object_set_new(output, "body", body);
    }
    buf_reset(&ret->text);
    json_write(&ret->text, output);
    ret->ok = true;
    return BREAKER_SUCCESS;
}

static enum breaker_effect decode_status(const struct http_step *c, const struct http_response *r,
                                         struct outcome *ret)
{
    json_t *body = body_value(r);
    int64_t wait_ms = 0;
    bool stated = http_retry_after(r, &wait_ms);
    bool again = r->status >= 500 || r->status == 408 || r->status == 425 || r->status == 429;
    const char *text = json_is_string(body) ? json_string_value(body) : "";
    outcome_fail(ret, ERROR_TOOL_ERROR, "%s answered %u%s%.300s", c->host, r->status,
                 *text ? ": " : "", text);
    ret->retryable = again;
    if (stated && again) ret->retry_after_ms = wait_ms;
    ret->details = json_object();
    json_object_set_new(ret->details, "status", json_integer(r->status));
    if (body && r->body.len <= 16384)
        json_object_set_new(ret->details, "body", body);
    else
        json_decref(body);
    if (r->status == 429 || (r->status == 503 && stated)) return BREAKER_IGNORE;
    return r->status >= 500 ? BREAKER_FAILURE : BREAKER_IGNORE;
}

enum breaker_effect http_step_decode(const struct http_step *c, const struct http_response *r,
                                     struct outcome *ret)
{
    switch (r->outcome) {
    case HTTP_DONE:
        return r->status >= 200 && r->status < 300 ? decode_success(c, r, ret)
                                                   : decode_status(c, r, ret);
    case HTTP_REFUSED_ADDRESS:
        outcome_fail(ret, ERROR_BAD_REQUEST,
                     "%s has a private address; the worker's option http.allow_private names those "
                     "that may be called",
                     c->host);
        return BREAKER_IGNORE;
    case HTTP_CONNECT_TIMEOUT:
    case HTTP_FIRST_BYTE_TIMEOUT:
    case HTTP_IDLE_TIMEOUT:
    case HTTP_TOTAL_TIMEOUT:
        outcome_fail(ret, ERROR_TIMEOUT, "%s: %s", c->host, r->text);
        return BREAKER_FAILURE;
    case HTTP_TOO_LARGE:
        outcome_fail(ret, ERROR_INVALID_OUTPUT, "%s: %s", c->host, r->text);
        ret->retryable = false;
        return BREAKER_SUCCESS;
    case HTTP_BAD_REDIRECT:
        outcome_fail(ret, ERROR_TOOL_ERROR, "%s: %s", c->host, r->text);
        ret->retryable = false;
        return BREAKER_IGNORE;
    case HTTP_CONNECT:
    case HTTP_BROKEN:
    case HTTP_ABORTED: break;
    }
    outcome_fail(ret, ERROR_UNREACHABLE, "%s: %s", c->host, r->text);
    return BREAKER_FAILURE;
}
