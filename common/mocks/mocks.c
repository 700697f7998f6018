/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding the mock of a call, and answering. */
#include "common/mocks/mocks.h"

#include <stdlib.h>

#include "common/base/limits.h"

static void reply_done(struct mock_reply *reply)
{
    template_free(reply->output);
    template_free(reply->message);
    json_decref(reply->details);
}

void mocks_done(struct mocks *m)
{
    for (size_t i = 0; i < m->count; i++) {
        struct mock *mock = &m->list[i];
        for (size_t k = 0; k < mock->count; k++) reply_done(&mock->replies[k]);
        free(mock->replies);
        free(mock->name);
    }
    free(m->list);
    *m = (struct mocks){ 0 };
}

static struct bytes name_of(struct bytes path)
{
    ASSERT(path.data);
    const char *slash = memrchr(path.data, '/', path.len);
    if (!slash) return path;
    return (struct bytes){ slash + 1, path.len - (size_t)(slash + 1 - path.data) };
}

const struct step_def *mock_step(const struct definition *def, struct bytes path)
{
    return definition_step(def, name_of(path));
}

const struct mock *mocks_find(const struct mocks *m, struct bytes path)
{
    struct bytes name = name_of(path);
    const struct mock *found = NULL;
    for (size_t i = 0; i < m->count; i++) {
        const struct mock *mock = &m->list[i];
        ASSERT(mock->name);
        if (bytes_is(path, mock->name)) return mock;
        if (bytes_is(name, mock->name)) found = mock;
    }
    return found;
}

const struct mock_reply *mock_reply_of(const struct mock *mock, uint32_t attempt)
{
    size_t last = mock->count - 1;
    return &mock->replies[MIN(last, (size_t)attempt - 1)];
}

/* --- expressions --- */

/* The number in the last brackets of a path: of the item or iteration that the step is in. */
static bool path_index(struct bytes path, int64_t *ret)
{
    const char *open = path.data ? memrchr(path.data, '[', path.len) : NULL;
    if (open) *ret = strtoll(open + 1, NULL, 10);
    return open != NULL;
}

static bool resolve(void *user, const char *const *names, size_t count, size_t *ret_used,
                    json_t **ret, struct err *e)
{
    const struct mock_call *call = user;
    const char *name = names[0];
    int64_t index;
    (void)count;
    *ret_used = 1;
    if (strcmp(name, "input") == 0) {
        *ret = json_parse(call->input, e);
        return *ret != NULL;
    }
    if (strcmp(name, "attempt") == 0)
        *ret = json_integer(call->attempt);
    else if (strcmp(name, "call") == 0)
        *ret = json_integer(call->call);
    else if (strcmp(name, "path") == 0)
        *ret = json_stringn(call->path.data, call->path.len);
    else if (strcmp(name, "index") == 0 && path_index(call->path, &index))
        *ret = json_integer(index);
    else
        return err_fail(e, ERR_INVALID,
                        "%s is unknown here: a mock sees input (what the task got), attempt, call, "
                        "path, and index inside a map or loop",
                        name);
    return true;
}

static bool evaluate(const struct template *t, const struct mock_call *call, struct buf *ret,
                     struct err *e)
{
    struct template_env env = { .cel = { .resolve = resolve, .user = (void *)(uintptr_t)call } };
    return template_eval(t, &env, PAYLOAD_BYTES_MAX, ret, e);
}

static bool answer_error(const struct mock_reply *reply, const struct mock_call *call,
                         struct buf *ret, struct err *e)
{
    AUTO_BUF struct buf text = { 0 };
    if (!evaluate(reply->message, call, &text, e)) return false;
    AUTO_JSON *message = json_parse(buf_bytes(&text), e);
    if (!message) return false;
    const char *words = json_is_string(message) ? json_string_value(message) : text.data;
    error_encode(ret, reply->type, words, reply->retryable, reply->retry_after_ms, reply->details);
    return true;
}

bool mock_answer(const struct mock *mock, const struct mock_call *call, struct buf *ret,
                 struct err *e)
{
    const struct mock_reply *reply = mock_reply_of(mock, call->attempt);
    if (!reply->output)
        return answer_error(reply, call, ret, e) || err_prefix(e, "the mock of %s", mock->name);
    size_t before = ret->len;
    if (!evaluate(reply->output, call, ret, e)) return err_prefix(e, "the mock of %s", mock->name);
    if (!mock->step->output_schema || template_is_constant(reply->output)) return true;
    AUTO_JSON *value = json_parse((struct bytes){ ret->data + before, ret->len - before }, e);
    return (value && schema_check(mock->step->output_schema, value, e)) ||
           err_prefix(e, "the mock of %s does not fit the step's output_schema", mock->name);
}
