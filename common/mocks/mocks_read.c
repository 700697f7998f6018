/* SPDX-License-Identifier: Apache-2.0
 *
 * From a file to mocks: by the name of a step {output: VALUE}, {error: {type, message ...}}, or a
 * list of these, one for each attempt. */
#include <math.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/mocks/mocks.h"

struct reader {
    const struct definition *def;
    const struct mocks_place *at;
    unsigned also;
    struct err *e;
};

#define fault(r, pointer, ...) \
    positions_fail((r)->at->positions, (r)->at->path, (pointer), (r)->e, __VA_ARGS__)

/* A template of the file; its own fault is told with the place of the string. */
static bool compile(const struct reader *r, const json_t *value, const char *pointer,
                    struct template **ret)
{
    AUTO_FREE char *within = NULL;
    struct err why;
    *ret = template_compile(value, &within, NULL, &why);
    if (*ret) return true;
    AUTO_FREE char *whole = xasprintf("%s%s", pointer, within ? within : "");
    return fault(r, whole, "%s", why.text);
}

static bool read_duration(const struct reader *r, const json_t *value, const char *pointer,
                          int64_t *ret_ms)
{
    AUTO_BUF struct buf text = { 0 };
    if (json_is_string(value))
        buf_add_text(&text, json_string_value(value));
    else
        json_write(&text, value);
    return duration_parse(text.data ? text.data : "", ret_ms) ||
           fault(r, pointer, "after is a duration, as 250ms, 30s or 2m");
}

/* --- errors --- */

static bool read_type(const struct reader *r, const json_t *error, const char *pointer,
                      struct mock_reply *ret)
{
    const char *text = json_text(error, "type");
    if (text && error_type_find(bytes_of(text), &ret->type)) return true;
    AUTO_BUF struct buf names = { 0 };
    for (int i = 0; i < ERROR_TYPE_COUNT; i++)
        buf_addf(&names, "%s%s", i ? ", " : "", error_type_name((enum error_type)i));
    return fault(r, pointer, "error wants a type, one of %s", names.data);
}

static bool read_error(const struct reader *r, const json_t *error, const char *pointer,
                       struct mock_reply *ret)
{
    const char *key;
    json_t *item, *message = NULL;
    if (!read_type(r, error, pointer, ret)) return false;
    ret->retryable = error_type_retryable(ret->type);
    json_object_foreach((json_t *)error, key, item) {
        if (strcmp(key, "type") == 0)
            continue;
        else if (strcmp(key, "message") == 0 && json_is_string(item))
            message = item;
        else if (strcmp(key, "retryable") == 0 && json_is_boolean(item))
            ret->retryable = json_is_true(item);
        else if (strcmp(key, "retry_after_ms") == 0 && json_is_integer(item))
            ret->retry_after_ms = json_integer_value(item);
        else if (strcmp(key, "details") == 0)
            ret->details = json_incref(item);
        else
            return fault(r, pointer,
                         "error has type, message (text), retryable (true, false), retry_after_ms "
                         "(an integer) and details");
    }
    AUTO_JSON *text = message ? json_incref(message) : json_string("mocked");
    AUTO_FREE char *at = xasprintf("%s/message", pointer);
    return compile(r, text, at, &ret->message);
}

/* --- replies --- */

static bool read_usage(const struct reader *r, const json_t *usage, const char *pointer,
                       struct mock_reply *ret)
{
    const char *key;
    json_t *item;
    ret->usage_given = true;
    bool good = json_is_object(usage);
    json_object_foreach((json_t *)usage, key, item) {
        double number = json_is_number(item) ? json_number_value(item) : -1;
        if (!(number >= 0 && number <= 1e9))
            good = false;
        else if (strcmp(key, "tokens_in") == 0)
            ret->usage.tokens_in = (int64_t)number;
        else if (strcmp(key, "tokens_out") == 0)
            ret->usage.tokens_out = (int64_t)number;
        else if (strcmp(key, "usd") == 0)
            ret->usage.micro_usd = (int64_t)llround(number * 1e6);
        else
            good = false;
    }
    return good || fault(r, pointer, "usage has tokens_in, tokens_out and usd, each a number");
}

static bool read_output(const struct reader *r, const struct step_def *step, const json_t *output,
                        const char *pointer, struct mock_reply *ret)
{
    struct err why;
    if (!compile(r, output, pointer, &ret->output)) return false;
    if (!step->output_schema || !template_is_constant(ret->output) ||
        schema_check(step->output_schema, output, &why))
        return true;
    return fault(r, pointer, "%s: does not fit the step's output_schema: %.200s", step->name,
                 why.text);
}

static bool read_reply(const struct reader *r, const struct step_def *step, const json_t *reply,
                       const char *pointer, struct mock_reply *ret)
{
    const char *key;
    json_t *item;
    const json_t *output = json_object_get(reply, "output"),
                 *error = json_object_get(reply, "error");
    bool good = json_is_object(reply) && !output != !error;
    json_object_foreach((json_t *)reply, key, item) {
        AUTO_FREE char *at = xasprintf("%s/%s", pointer, key);
        if (strcmp(key, "after") == 0) {
            if (!read_duration(r, item, at, &ret->after_ms)) return false;
        } else if (strcmp(key, "usage") == 0) {
            if (!read_usage(r, item, at, ret)) return false;
        } else if (strcmp(key, "output") != 0 && strcmp(key, "error") != 0) {
            good = false;
        }
    }
    if (!good)
        return fault(r, pointer,
                     "%s: wants {output: VALUE} or {error: {type: TYPE, message: TEXT}}, each with "
                     "after: DURATION and usage: {...} if need be, or a list of these",
                     step->name);
    AUTO_FREE char *at = xasprintf("%s/%s", pointer, output ? "output" : "error");
    return output ? read_output(r, step, output, at, ret) : read_error(r, error, at, ret);
}

static bool may_be_mocked(const struct reader *r, const struct step_def *step)
{
    if (step->kind == STEP_WORKFLOW) return r->also & MOCK_CHILD;
    if (!step_kind_is_task(step->kind)) return false;
    return strcmp(step->uses, "noop") != 0 || (r->also & MOCK_NOOP);
}

static bool read_mock(const struct reader *r, const char *name, json_t *value, const char *pointer,
                      struct mock *ret)
{
    const struct step_def *step = mock_step(r->def, bytes_of(name));
    ret->name = xstrdup(name);
    ret->step = step;
    if (!step) return fault(r, pointer, "the workflow has no step %.100s", name);
    if (!may_be_mocked(r, step))
        return fault(r, pointer, "%s is no step whose result could be mocked: no worker is called",
                     name);
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (!count) return fault(r, pointer, "%s: the list is empty", name);
    ret->replies = xcalloc(count, sizeof *ret->replies);
    ret->count = count;
    for (size_t i = 0; i < count; i++) {
        bool listed = json_is_array(value);
        AUTO_FREE char *at = listed ? xasprintf("%s/%zu", pointer, i) : xstrdup(pointer);
        const json_t *reply = listed ? json_array_get(value, i) : value;
        if (!read_reply(r, step, reply, at, &ret->replies[i])) return false;
    }
    return true;
}

bool mocks_read(struct mocks *ret, const struct definition *def, const json_t *value,
                const char *pointer, unsigned also, const struct mocks_place *at, struct err *e)
{
    struct reader r = { .def = def, .at = at, .also = also, .e = e };
    *ret = (struct mocks){ 0 };
    if (!value || json_is_null(value)) return true;
    if (!json_is_object(value))
        return fault(&r, pointer, "a mapping from names of steps to their results is needed");
    ret->list = xcalloc(json_object_size(value) + 1, sizeof *ret->list);
    const char *name;
    json_t *item;
    json_object_foreach((json_t *)value, name, item) {
        AUTO_BUF struct buf place = { 0 };
        buf_add_text(&place, pointer);
        json_pointer_add(&place, name);
        if (!read_mock(&r, name, item, place.data, &ret->list[ret->count++])) return false;
    }
    return true;
}
