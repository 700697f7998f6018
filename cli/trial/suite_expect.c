/* SPDX-License-Identifier: Apache-2.0
 *
 * The form of expectations, checked when a file is read: a mistyped one must not pass. */
#include <stdlib.h>

#include "cli/trial/parts.h"

static bool read_error(const struct reader *r, const json_t *error, const char *pointer)
{
    enum error_type type;
    if (!error || json_is_null(error)) return true;
    if (!suite_members(r, error, pointer, "type message step")) return false;
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)error, key, item) {
        if (!json_is_string(item)) return fault(r, pointer, "%s of an error is a text", key);
    }
    const char *name = json_text(error, "type");
    if (!name || error_type_find(bytes_of(name), &type)) return true;
    return fault(r, pointer, "%.60s is no type of error", name);
}

static bool read_count(const struct reader *r, const json_t *value, const char *pointer)
{
    return !value || (json_is_integer(value) && json_integer_value(value) >= 0) ||
           fault(r, pointer, "a number is needed, 0 or more");
}

/* A key names a step, or ends in its name. */
static bool step_exists(const struct reader *r, const char *key, const char *pointer)
{
    return mock_step(r->suite->def, bytes_of(key)) ||
           fault(r, pointer, "the workflow has no step %.100s", key);
}

static bool read_step(const struct reader *r, const char *key, const json_t *step,
                      const char *pointer)
{
    AUTO_FREE char *error = xasprintf("%s/error", pointer);
    if (!step_exists(r, key, pointer) ||
        !suite_members(r, step, pointer,
                       "status attempts calls output output_has input input_has error") ||
        !read_count(r, json_object_get(step, "attempts"), pointer) ||
        !read_count(r, json_object_get(step, "calls"), pointer) ||
        !read_error(r, json_object_get(step, "error"), error))
        return false;
    const json_t *status = json_object_get(step, "status");
    if (!status) return true;
    for (int s = 0; s < STEP_STATE_COUNT; s++)
        if (json_is_string(status) &&
            strcmp(step_state_name((enum step_state)s), json_string_value(status)) == 0)
            return true;
    return fault(r, pointer, "status: there is no such state of a step");
}

static bool read_steps(const struct reader *r, const json_t *steps, const char *pointer)
{
    const char *key;
    json_t *item;
    if (steps && !json_is_object(steps))
        return fault(r, pointer, "steps is a mapping from names of steps to what is expected");
    json_object_foreach((json_t *)steps, key, item) {
        AUTO_BUF struct buf at = { 0 };
        buf_add_text(&at, pointer);
        json_pointer_add(&at, key);
        if (!read_step(r, key, item, at.data)) return false;
    }
    return true;
}

static bool read_calls(const struct reader *r, const json_t *calls, const char *pointer)
{
    const char *key;
    json_t *item;
    if (calls && !json_is_object(calls))
        return fault(r, pointer, "calls is a mapping from names of steps to numbers");
    json_object_foreach((json_t *)calls, key, item) {
        AUTO_BUF struct buf at = { 0 };
        buf_add_text(&at, pointer);
        json_pointer_add(&at, key);
        if (!step_exists(r, key, at.data) || !read_count(r, item, at.data)) return false;
    }
    return true;
}

static bool read_path(const struct reader *r, const json_t *path, const char *pointer)
{
    size_t i;
    json_t *item;
    if (path && !json_is_array(path))
        return fault(r, pointer, "a list of names of steps is needed");
    json_array_foreach(path, i, item) {
        AUTO_FREE char *at = xasprintf("%s/%zu", pointer, i);
        if (!json_is_string(item)) return fault(r, at, "the name of a step is needed");
        if (!step_exists(r, json_string_value(item), at)) return false;
    }
    return true;
}

static bool read_time(const struct reader *r, const json_t *duration, const char *pointer)
{
    int64_t ms;
    const char *key;
    json_t *item;
    if (!duration) return true;
    if (!json_is_object(duration)) return suite_duration(r, duration, pointer, &ms);
    if (!suite_members(r, duration, pointer, "min max")) return false;
    json_object_foreach((json_t *)duration, key, item) {
        if (!suite_duration(r, item, pointer, &ms)) return false;
    }
    return true;
}

static bool read_holds(const struct reader *r, const json_t *list, const char *pointer)
{
    size_t i;
    json_t *item;
    if (list && !json_is_array(list)) return fault(r, pointer, "holds is a list of expressions");
    json_array_foreach(list, i, item) {
        AUTO_FREE char *at = xasprintf("%s/%zu", pointer, i);
        struct err why;
        if (!json_is_string(item)) return fault(r, at, "an expression is a text");
        CLEANUP(cel_free_p)
        struct cel *cel = cel_compile(bytes_of(json_string_value(item)), NULL, &why);
        if (!cel) return fault(r, at, "%s", why.text);
    }
    return true;
}

static bool read_status(const struct reader *r, const json_t *status, const char *pointer)
{
    AUTO_BUF struct buf names = { 0 };
    if (!status) return true;
    for (int s = 0; s < RUN_STATE_COUNT; s++) {
        const char *name = run_state_name((enum run_state)s);
        if (!run_state_terminal((enum run_state)s)) continue;
        if (json_is_string(status) && strcmp(name, json_string_value(status)) == 0) return true;
        buf_addf(&names, "%s%s", names.len ? ", " : "", name);
    }
    return fault(r, pointer, "status is one of %s", names.data);
}

bool suite_expect(const struct reader *r, struct trial_case *c, const json_t *expect)
{
    static const struct {
        const char *name;
        bool (*read)(const struct reader *r, const json_t *value, const char *pointer);
    } parts[] = { { "status", read_status }, { "error", read_error }, { "path", read_path },
                  { "path_has", read_path }, { "steps", read_steps }, { "calls", read_calls },
                  { "duration", read_time }, { "holds", read_holds } };
    AUTO_FREE char *place = xasprintf("%s/expect", c->pointer);
    c->expect = expect;
    if (!expect) return true;
    if (!suite_members(r, expect, place,
                       "status output output_has error path path_has steps calls duration holds"))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        AUTO_FREE char *pointer = xasprintf("%s/%s", place, parts[i].name);
        if (!parts[i].read(r, json_object_get(expect, parts[i].name), pointer)) return false;
    }
    return true;
}
