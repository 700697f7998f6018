/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenAI's chat completions: requests, and whole answers. */
#include "worker/model_openai.h"

#include <stdlib.h>
#include <string.h>

#include "worker/openai_internal.h"

/* --- requests --- */

static const char SCHEMA_PROMPT[] =
    "Answer with one JSON value only, without any other text, that is valid against this JSON "
    "Schema: ";

static json_t *message(const char *role, const char *content)
{
    json_t *m = json_object();
    json_object_set_new(m, "role", json_string(role));
    json_object_set_new(m, "content", json_string(content));
    return m;
}

/* The messages, with the step's system text and, for servers without response_format, the schema.
 */
static json_t *messages_of(const struct model *m, const json_t *value, struct err *e)
{
    const json_t *given = json_object_get(value, "messages");
    const json_t *schema = json_object_get(value, "output_schema");
    json_t *list = json_array();
    const char *system = json_text(value, "system");
    if (system && *system) json_array_append_new(list, message("system", system));
    if (json_is_object(schema) && !m->json_schema) {
        AUTO_BUF struct buf text = { 0 };
        buf_add_text(&text, SCHEMA_PROMPT);
        json_write(&text, schema);
        json_array_append_new(list, message("system", text.data));
    }
    if (json_is_array(given))
        json_array_extend(list, (json_t *)given);
    else if (json_text(value, "prompt"))
        json_array_append_new(list, message("user", json_text(value, "prompt")));
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (json_text(json_array_get(list, i), "role")) continue;
        (void)err_fail(e, ERR_INVALID, "messages[%zu] has no role", i);
        json_decref(list);
        return NULL;
    }
    if (json_array_size(list)) return list;
    (void)err_fail(e, ERR_INVALID, "messages is needed: a list of {role, content}");
    json_decref(list);
    return NULL;
}

static bool schema_field(const struct model *m, const json_t *schema, json_t *body,
                         struct model_call *c, struct err *e)
{
    if (!schema || json_is_null(schema)) return true;
    AUTO_FREE char *pointer = NULL;
    c->schema = schema_compile(schema, &pointer, e);
    if (!c->schema) return err_prefix(e, "output_schema%s", pointer);
    if (!m->json_schema || !json_is_object(schema)) return true;
    json_t *inner = json_object(), *format = json_object();
    json_object_set_new(inner, "name", json_string("output"));
    if (m->strict_schema) json_object_set_new(inner, "strict", json_true());
    json_object_set(inner, "schema", (json_t *)schema);
    json_object_set_new(format, "type", json_string("json_schema"));
    json_object_set_new(format, "json_schema", inner);
    json_object_set_new(body, "response_format", format);
    return true;
}

static bool number_fields(const struct model *m, const json_t *value, json_t *body,
                          struct model_call *c, struct err *e)
{
    const json_t *temperature = json_object_get(value, "temperature");
    const json_t *max = json_object_get(value, "max_tokens");
    if (temperature && !json_is_null(temperature)) {
        if (!json_is_number(temperature))
            return err_fail(e, ERR_INVALID, "temperature is no number");
        json_object_set(body, "temperature", (json_t *)temperature);
    }
    if (max && !json_is_null(max)) {
        if (!json_is_integer(max) || json_integer_value(max) < 1)
            return err_fail(e, ERR_INVALID, "max_tokens is no integer above 0");
        c->max_tokens = json_integer_value(max);
        json_object_set(body, m->max_tokens_field, (json_t *)max);
    }
    return true;
}

/* Fields that are none of ours go to the server as they are. */
static void other_fields(const json_t *value, json_t *body)
{
    static const char *const ours[] = { "model",         "system",      "messages",   "prompt",
                                        "output_schema", "temperature", "max_tokens", "stream" };
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)value, key, item) {
        bool known = json_is_null(item);
        for (size_t i = 0; i < ARRAY_LEN(ours); i++) known |= strcmp(ours[i], key) == 0;
        if (!known) json_object_set(body, key, item);
    }
}

bool openai_encode(const struct model *m, const json_t *value, struct buf *ret_body,
                   struct model_call *ret_call, struct err *e)
{
    if (!json_is_object(value)) return err_fail(e, ERR_INVALID, "the task's value is no object");
    struct model_call c = { .model = m };
    const char *asked = json_text(value, "model");
    bool verbatim = m->any_name && asked && *asked && strcmp(asked, m->name) != 0;
    AUTO_JSON *body = json_object();
    json_t *messages = messages_of(m, value, e);
    if (!messages) return false;
    c.name = xstrdup(verbatim ? asked : m->model);
    json_object_set_new(body, "model", json_string(c.name));
    json_object_set_new(body, "messages", messages);
    if (!number_fields(m, value, body, &c, e) ||
        !schema_field(m, json_object_get(value, "output_schema"), body, &c, e)) {
        model_call_done(&c);
        return false;
    }
    c.stream = json_is_true(json_object_get(value, "stream"));
    if (c.stream) {
        json_object_set_new(body, "stream", json_true());
        if (m->stream_usage)
            json_object_set_new(body, "stream_options", json_pack("{s:b}", "include_usage", 1));
    }
    other_fields(value, body);
    size_t before = ret_body->len;
    json_write(ret_body, body);
    c.request_bytes = ret_body->len - before;
    *ret_call = c;
    return true;
}

/* --- completions --- */

/* The text of a message: a string, or the text parts of a list, as some servers have it. */
static void content_text(const json_t *content, struct buf *ret)
{
    if (json_is_string(content))
        buf_add(ret, json_string_value(content), json_string_length(content));
    for (size_t i = 0; i < json_array_size(content); i++) {
        const char *text = json_text(json_array_get(content, i), "text");
        if (text) buf_add_text(ret, text);
    }
}

/* JSON between code fences, as models like to write it. */
static struct bytes without_fences(struct bytes text)
{
    while (text.len && strchr(" \t\r\n", text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len && strchr(" \t\r\n", text.data[text.len - 1])) text.len--;
    if (text.len < 6 || memcmp(text.data, "```", 3) != 0 ||
        memcmp(text.data + text.len - 3, "```", 3) != 0)
        return text;
    const char *line = memchr(text.data, '\n', text.len);
    if (!line) return text;
    size_t skip = (size_t)(line + 1 - text.data);
    if (skip + 3 > text.len) return text;
    return (struct bytes){ text.data + skip, text.len - skip - 3 };
}

static enum model_outcome output(const struct model_call *c, struct bytes text, struct outcome *ret)
{
    struct err e;
    buf_reset(&ret->text);
    if (!c->schema) {
        buf_add_json_string(&ret->text, text.data ? text.data : "", text.len);
        ret->ok = true;
        return MODEL_OK;
    }
    AUTO_JSON *value = json_parse(without_fences(text), &e);
    if (!value) {
        model_fail(ret, MODEL_INVALID_OUTPUT, "the model's answer is not JSON: %s", e.text);
        return MODEL_INVALID_OUTPUT;
    }
    if (!schema_check(c->schema, value, &e)) {
        model_fail(ret, MODEL_INVALID_OUTPUT, "the model's answer does not fit output_schema: %s",
                   e.text);
        return MODEL_INVALID_OUTPUT;
    }
    json_write(&ret->text, value);
    ret->ok = true;
    return MODEL_OK;
}

/* As reported; where nothing is, four bytes are taken for a token, so that budgets see something.
 */
static void usage_read(const struct model_call *c, const json_t *body, size_t output_bytes,
                       struct outcome *ret)
{
    const json_t *u = json_object_get(body, "usage");
    int64_t in = json_int(u, "prompt_tokens", -1), out = json_int(u, "completion_tokens", -1);
    if (in < 0) in = json_int(u, "input_tokens", -1);
    if (out < 0) out = json_int(u, "output_tokens", -1);
    if (in < 0) in = (int64_t)(c->request_bytes + 3) / 4;
    if (out < 0) out = (int64_t)(output_bytes + 3) / 4;
    ret->used = true;
    ret->usage = (struct usage){ .tokens_in = in,
                                 .tokens_out = out,
                                 .micro_usd = model_price(c->model, in, out) };
    const char *name = json_text(body, "model");
    if (!name || !*name) name = c->name;
    size_t len = strnlen(name, sizeof ret->model - 1);
    while (len && !utf8_check(name, len)) len--;
    memcpy(ret->model, name, len);
    ret->model[len] = '\0';
}

/* The finish reason is looked at before anything is parsed: a cut answer can be valid JSON. */
static enum model_outcome finish(const struct model_call *c, const char *reason,
                                 const json_t *message, struct bytes text, struct outcome *ret)
{
    const char *refusal = json_text(message, "refusal");
    bool tools = json_array_size(json_object_get(message, "tool_calls")) > 0;
    bool capped = c->max_tokens && ret->usage.tokens_out >= c->max_tokens;
    if (refusal && *refusal) {
        model_fail(ret, MODEL_REFUSED, "the model refused: %.500s", refusal);
        return MODEL_REFUSED;
    }
    if (strcmp(reason, "content_filter") == 0) {
        model_fail(ret, MODEL_FILTERED, "the provider's content filter stopped the answer");
        return MODEL_FILTERED;
    }
    if (strcmp(reason, "length") == 0 || (capped && strcmp(reason, "stop") != 0)) {
        model_fail(ret, MODEL_TRUNCATED, "the answer was cut at %lld tokens; raise max_tokens",
                   (long long)ret->usage.tokens_out);
        return MODEL_TRUNCATED;
    }
    if (tools && !text.len) {
        model_fail(ret, MODEL_INVALID_OUTPUT,
                   "the model called a tool, and this step offers none that run here");
        return MODEL_INVALID_OUTPUT;
    }
    return output(c, text, ret);
}

enum model_outcome openai_completion_decode(const struct model_call *c, const json_t *body,
                                            struct outcome *ret)
{
    const json_t *choice = json_array_get(json_object_get(body, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    if (!json_is_object(message)) {
        model_fail(ret, MODEL_PROVIDER_ERROR, "the answer has no choices[0].message");
        return MODEL_PROVIDER_ERROR;
    }
    AUTO_BUF struct buf text = { 0 };
    content_text(json_object_get(message, "content"), &text);
    usage_read(c, body, text.len, ret);
    const char *reason = json_text(choice, "finish_reason");
    return finish(c, reason ? reason : "stop", message, buf_bytes(&text), ret);
}

enum model_outcome openai_decode(const struct model_call *c, const struct http_response *r,
                                 struct outcome *ret)
{
    struct err e;
    AUTO_JSON *body = json_parse(r->body, &e);
    if (r->status < 200 || r->status > 299) return openai_error_decode(c, r->status, body, r, ret);
    if (!json_is_object(body)) {
        model_fail(ret, MODEL_PROVIDER_ERROR, "the answer is no JSON object: %s",
                   body ? "another type" : e.text);
        return MODEL_PROVIDER_ERROR;
    }
    const json_t *error = json_object_get(body, "error");
    if (error && !json_is_null(error)) return openai_error_decode(c, 0, body, r, ret);
    return openai_completion_decode(c, body, ret);
}
