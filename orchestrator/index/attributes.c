/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/index/attributes.h"

#include "common/base/clock.h"

#define TEXT_BYTES_SHOWN 256 /* of an attribute; longer ones are no attributes */

struct seen {
    const struct event *ev;
    int64_t started_ms;
    json_t *input; /* NULL until it is asked for */
};

static bool input_of(struct seen *s, json_t **ret, struct err *e)
{
    if (!s->input) s->input = json_parse(s->ev->value, e);
    if (s->input && s->ev->forked_from.data) { /* its value has more in it (engine/seeds.c) */
        AUTO_JSON *all = TAKE(s->input);
        const json_t *input = json_object_get(all, "input");
        s->input = input ? json_deep_copy(input) : json_null();
    }
    *ret = s->input;
    return s->input || err_prefix(e, "input");
}

static json_t *run_of(const struct seen *s)
{
    char started[TIME_TEXT_MAX];
    time_format(s->started_ms, started);
    return json_pack("{s:s%, s:s%, s:s%, s:s}", "id", s->ev->run_id.data, s->ev->run_id.len,
                     "workflow", s->ev->workflow.data, s->ev->workflow.len, "version",
                     s->ev->version.data ? s->ev->version.data : "", s->ev->version.len,
                     "started_at", started);
}

static bool resolve(void *user, const char *const *names, size_t count, size_t *ret_used,
                    json_t **ret, struct err *e)
{
    struct seen *s = user;
    json_t *input;
    (void)count;
    *ret_used = 1;
    if (strcmp(names[0], "run") == 0) {
        *ret = run_of(s);
        return *ret || err_fail(e, ERR_INVALID, "run: it is no text");
    }
    if (!input_of(s, &input, e)) return false;
    json_t *value = strcmp(names[0], "input") == 0 ? input : json_object_get(input, names[0]);
    if (!value) return err_fail(e, ERR_NOT_FOUND, "unknown name '%.100s'", names[0]);
    *ret = json_incref(value);
    return true;
}

static bool is_attribute(const json_t *value)
{
    return json_is_number(value) || json_is_boolean(value) ||
           (json_is_string(value) && json_string_length(value) <= TEXT_BYTES_SHOWN);
}

bool attributes_make(const struct definition *def, const struct event *ev, int64_t started_ms,
                     json_t **ret, struct err *e)
{
    struct seen s = { .ev = ev, .started_ms = started_ms };
    struct template_env env = { .cel = { .resolve = resolve, .user = &s } };
    if (ev->claim_check)
        return err_fail(e, ERR_UNSUPPORTED,
                        "no attributes: its input lies in the payload store, which the index does "
                        "not read");
    json_t *value = NULL;
    bool ok = template_eval_json(def->attributes, &env, &value, e);
    AUTO_JSON *made = value;
    json_decref(s.input);
    if (!ok) return false;
    AUTO_JSON *kept = json_object();
    const char *name;
    json_object_foreach(made, name, value)
        if (is_attribute(value)) json_object_set(kept, name, value);
    *ret = TAKE(kept);
    return true;
}
