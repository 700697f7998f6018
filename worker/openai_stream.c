/* SPDX-License-Identifier: Apache-2.0
 *
 * Streamed chat completions: the pieces are put together to the object that a whole answer would
 * have been, and decoded as one. */
#include <stdlib.h>
#include <string.h>

#include "worker/openai_internal.h"

#define STREAM_TOOLS_MAX 128
#define STREAM_BYTES_MAX (8 * 1024 * 1024)

static void set_text(char **slot, const char *text)
{
    if (!text || !*text) return;
    free(*slot);
    *slot = xstrdup(text);
}

/* Fragments are appended by index; where a server sends none, to the last call, or to a new one
 * when an id comes. */
static void tool_fragment(struct model_stream *s, const json_t *fragment)
{
    if (!s->tools) s->tools = json_array();
    size_t count = json_array_size(s->tools);
    int64_t index = json_int(fragment, "index", -1);
    if (index < 0) {
        bool begins = count == 0 || json_text(fragment, "id") != NULL;
        index = (int64_t)(begins ? count : count - 1);
    }
    if (index >= STREAM_TOOLS_MAX) return;
    while (json_array_size(s->tools) <= (size_t)index)
        json_array_append_new(s->tools, json_pack("{s:s,s:s}", "name", "", "arguments", ""));
    json_t *tool = json_array_get(s->tools, (size_t)index);
    const json_t *function = json_object_get(fragment, "function");
    const char *name = json_text(function, "name"), *more = json_text(function, "arguments");
    if (name) json_object_set_new(tool, "name", json_string(name));
    if (!more) return;
    AUTO_FREE char *joined = xasprintf("%s%s", json_text(tool, "arguments"), more);
    json_object_set_new(tool, "arguments", json_string(joined));
}

static void add_text(struct buf *b, const json_t *text)
{
    if (json_is_string(text)) buf_add(b, json_string_value(text), json_string_length(text));
}

static bool on_event(void *user, struct bytes event, struct bytes data)
{
    (void)event;
    struct model_stream *s = user;
    if (bytes_is(data, "[DONE]")) {
        s->done = true;
        return true;
    }
    AUTO_JSON *chunk = json_parse(data, NULL);
    if (!json_is_object(chunk)) return true; /* a ping of a server that has its own form */
    s->any = true;
    json_t *error = json_object_get(chunk, "error");
    if (error && !json_is_null(error)) {
        json_decref(s->error);
        s->error = json_incref(chunk);
        return false;
    }
    set_text(&s->model, json_text(chunk, "model"));
    json_t *usage = json_object_get(chunk, "usage");
    if (json_is_object(usage)) {
        json_decref(s->usage);
        s->usage = json_incref(usage);
    }
    const json_t *choice = json_array_get(json_object_get(chunk, "choices"), 0);
    const json_t *delta = json_object_get(choice, "delta");
    if (!delta) delta = json_object_get(choice, "message");
    add_text(&s->content, json_object_get(delta, "content"));
    add_text(&s->refusal, json_object_get(delta, "refusal"));
    const json_t *tools = json_object_get(delta, "tool_calls");
    for (size_t i = 0; i < json_array_size(tools); i++) tool_fragment(s, json_array_get(tools, i));
    set_text(&s->finish, json_text(choice, "finish_reason"));
    return s->content.len <= STREAM_BYTES_MAX;
}

void openai_stream_begin(struct model_stream *s)
{
    *s = (struct model_stream){ .sse = { .on_event = on_event, .user = s } };
}

bool openai_stream_feed(struct model_stream *s, struct bytes bytes)
{
    return sse_feed(&s->sse, bytes);
}

static json_t *whole(const struct model_stream *s)
{
    json_t *message = json_object(), *choice = json_object(), *body = json_object();
    json_object_set_new(message, "content",
                        json_stringn(s->content.data ? s->content.data : "", s->content.len));
    if (s->refusal.len)
        json_object_set_new(message, "refusal", json_stringn(s->refusal.data, s->refusal.len));
    if (s->tools) json_object_set(message, "tool_calls", s->tools);
    json_object_set_new(choice, "message", message);
    if (s->finish) json_object_set_new(choice, "finish_reason", json_string(s->finish));
    json_t *choices = json_array();
    json_array_append_new(choices, choice);
    json_object_set_new(body, "choices", choices);
    if (s->usage) json_object_set(body, "usage", s->usage);
    if (s->model) json_object_set_new(body, "model", json_string(s->model));
    return body;
}

enum model_outcome openai_stream_decode(const struct model_call *c, struct model_stream *s,
                                        const struct http_response *r, struct outcome *ret)
{
    (void)!sse_end(&s->sse);
    if (s->error) return openai_error_decode(c, 0, s->error, r, ret);
    if (!s->any) {
        model_fail(ret, MODEL_PROVIDER_ERROR, "the stream of %s had no events", c->name);
        return MODEL_PROVIDER_ERROR;
    }
    if (!s->finish && !s->done) { /* a stream may end without [DONE], but not without a reason */
        model_fail(ret, MODEL_PROVIDER_ERROR, "the stream of %s ended in the middle of the answer",
                   c->name);
        return MODEL_PROVIDER_ERROR;
    }
    AUTO_JSON *body = whole(s);
    return openai_completion_decode(c, body, ret);
}

void openai_stream_done(struct model_stream *s)
{
    sse_done(&s->sse);
    buf_done(&s->content);
    buf_done(&s->refusal);
    free(s->finish);
    free(s->model);
    json_decref(s->usage);
    json_decref(s->error);
    json_decref(s->tools);
    *s = (struct model_stream){ 0 };
}
