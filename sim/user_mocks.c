/* SPDX-License-Identifier: Apache-2.0
 *
 * The mocks file: by the name of a step {output: VALUE}, {error: {type, message, retryable}}, or a
 * list of these, one for each attempt, of which the last stands for all further ones. */
#include "common/yaml/yaml.h"
#include "sim/user.h"

/* What a fault is reported with. */
struct place {
    const char *path;
    const struct positions *positions;
    struct err *e;
};

static bool fault(const struct place *at, const char *pointer, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
static bool fault(const struct place *at, const char *pointer, const char *fmt, ...)
{
    uint32_t line, column;
    char text[300];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    positions_find(at->positions, pointer, &line, &column);
    return err_fail(at->e, ERR_INVALID, "%s:%u:%u: %s", at->path, line, column, text);
}

static bool error_check(const json_t *error, const char *pointer, const struct place *at)
{
    enum error_type type;
    const char *text = json_text(error, "type"), *key;
    json_t *item;
    if (!text || !error_type_find(bytes_of(text), &type)) {
        AUTO_BUF struct buf names = { 0 };
        for (int i = 0; i < ERROR_TYPE_COUNT; i++)
            buf_addf(&names, "%s%s", i ? ", " : "", error_type_name((enum error_type)i));
        return fault(at, pointer, "error wants a type, one of %s", names.data);
    }
    json_object_foreach((json_t *)error, key, item) {
        bool good = (strcmp(key, "type") == 0 || strcmp(key, "message") == 0)
                        ? json_is_string(item)
                        : strcmp(key, "retryable") == 0 && json_is_boolean(item);
        if (!good)
            return fault(at, pointer, "error has type, message (text) and retryable (true, false)");
    }
    return true;
}

static bool answer_check(const struct step_def *step, const json_t *answer, const char *pointer,
                         const struct place *at)
{
    const json_t *output = json_object_get(answer, "output");
    const json_t *error = json_object_get(answer, "error");
    struct err why;
    if (json_object_size(answer) != 1 || (!output && !error))
        return fault(at, pointer,
                     "%s: wants {output: VALUE} or {error: {type: TYPE, message: TEXT}}, or a list "
                     "of these",
                     step->name);
    if (error) return error_check(error, pointer, at);
    if (step->output_schema && !schema_check(step->output_schema, output, &why))
        return fault(at, pointer, "%s: does not fit the step's output_schema: %.200s", step->name,
                     why.text);
    return true;
}

static bool mock_read(struct sim_user *u, const char *name, json_t *mock, const struct place *at)
{
    AUTO_FREE char *pointer = xasprintf("/%s", name); /* a step's name has no / and no ~ */
    const struct step_def *step = definition_step(u->def, bytes_of(name));
    if (!step) return fault(at, pointer, "the workflow has no step %.100s", name);
    if (!step_kind_is_task(step->kind) || strcmp(step->uses, "noop") == 0)
        return fault(at, pointer, "%s is no step whose result could be mocked: no worker is called",
                     name);
    json_t *list = json_is_array(mock) ? json_incref(mock) : json_pack("[O]", mock);
    u->mocks[step->index] = list;
    if (!json_array_size(list)) return fault(at, pointer, "%s: the list is empty", name);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!answer_check(step, json_array_get(list, i), pointer, at)) return false;
    return true;
}

bool user_mocks_read(struct sim_user *u, const char *path, struct err *e)
{
    AUTO_BUF struct buf text = { 0 };
    CLEANUP(positions_free_p) struct positions *positions = NULL;
    uint32_t line = 0, column = 0;
    if (!user_file_read(path, &text, e)) return false;
    AUTO_JSON *mocks = yaml_parse(buf_bytes(&text), &positions, &line, &column, e);
    if (!mocks) return err_prefix(e, "%s:%u:%u", path, line, column);
    struct place at = { path, positions, e };
    if (!json_is_object(mocks) && !json_is_null(mocks))
        return fault(&at, "", "a mapping from names of steps to their results is needed");
    const char *name;
    json_t *mock;
    json_object_foreach(mocks, name, mock) {
        if (!mock_read(u, name, mock, &at)) return false;
    }
    return true;
}
