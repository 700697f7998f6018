/* SPDX-License-Identifier: Apache-2.0
 *
 * What a record of an upstream topic means: an event, and by a definition's trigger a start. */
#include "orchestrator/trigger_start.h"

#include <stdlib.h>
#include <strings.h>

#include "common/base/limits.h"
#include "common/definition/start.h"

/* --- the record as an event --- */

static const struct bus_extra_header *find_header(const struct bus_record *r, const char *name)
{
    for (size_t i = 0; i < r->extra_count; i++)
        if (strcasecmp(r->extra[i].name, name) == 0) return &r->extra[i];
    return NULL;
}

/* null for what is no text: not UTF-8, or with a NUL, as keys that are binary numbers have. */
static json_t *text_value(struct bytes text)
{
    if (text.len && memchr(text.data, '\0', text.len)) return json_null();
    json_t *value = json_stringn(text.data ? text.data : "", text.len);
    return value ? value : json_null();
}

static json_t *data_value(struct bytes value, struct err *e)
{
    if (!value.data || value.len == 0) return json_null();
    return json_parse(value, e);
}

/* Where the record stands and its key are known in every mode, whatever attributes it has. */
static void add_place(json_t *event, const struct bus_record *r)
{
    json_object_set_new(event, "topic", json_string(r->topic));
    json_object_set_new(event, "partition", json_integer(r->partition));
    json_object_set_new(event, "offset", json_integer(r->offset));
    if (r->message.key.data) json_object_set_new(event, "key", text_value(r->message.key));
}

/* CloudEvents Kafka binding: structured iff content-type begins with application/cloudevents, else
 * binary where ce_ headers stand. */
json_t *trigger_event(const struct bus_record *r, struct err *e)
{
    const struct bus_extra_header *type = find_header(r, "content-type");
    if (type && type->value.len >= 23 &&
        strncasecmp(type->value.data, "application/cloudevents", 23) == 0) {
        json_t *event = json_parse(r->message.value, e);
        if (event && !json_is_object(event)) {
            json_decref(event);
            err_fail(e, ERR_INVALID, "a structured CloudEvent is an object");
            return NULL;
        }
        if (event) add_place(event, r);
        return event;
    }
    json_t *data = data_value(r->message.value, e);
    if (!data) return NULL;
    json_t *event = json_object();
    for (size_t i = 0; i < r->extra_count; i++)
        /* No attribute is empty: a header without a value is how some clients write that it is not
         * there. */
        if (r->extra[i].value.len && strncasecmp(r->extra[i].name, "ce_", 3) == 0)
            json_object_set_new(event, r->extra[i].name + 3, text_value(r->extra[i].value));
    json_object_set_new(event, "data", data);
    add_place(event, r);
    return event;
}

/* --- one start --- */

void trigger_start_done(struct trigger_start *s)
{
    buf_done(&s->input);
    buf_done(&s->key);
}

/* Whatever the input is made of: a start that nobody could fold is never sent. */
static bool make_input(const struct trigger_def *trigger, struct template_env *env, json_t *event,
                       struct buf *ret, struct err *e)
{
    const json_t *data = json_object_get(event, "data");
    if (!trigger->input)
        json_write(ret, data ? data : json_null());
    else if (!template_eval(trigger->input, env, PAYLOAD_BYTES_MAX, ret, e))
        return false;
    if (ret->len > PAYLOAD_BYTES_MAX)
        return err_fail(e, ERR_LIMIT, "the input has %zu bytes, the limit is %d", ret->len,
                        PAYLOAD_BYTES_MAX);
    if (!json_check(buf_bytes(ret)))
        return err_fail(e, ERR_LIMIT, "the input nests deeper than %d levels", JSON_DEPTH_MAX);
    return true;
}

static bool make_key(const struct trigger_def *trigger, struct template_env *env, struct buf *ret,
                     struct err *e)
{
    AUTO_JSON *key = NULL;
    if (!trigger->key) return true;
    if (!template_eval_json(trigger->key, env, &key, e)) return false;
    if (json_is_string(key))
        buf_add(ret, json_string_value(key), json_string_length(key));
    else if (!json_is_null(key))
        json_write(ret, key);
    if (ret->len <= START_KEY_BYTES_MAX) return true;
    return err_fail(e, ERR_LIMIT, "the start key has %zu bytes, the limit is %d", ret->len,
                    START_KEY_BYTES_MAX);
}

bool trigger_start_make(const struct definition *def, const struct trigger_def *trigger,
                        json_t *event, const struct bus_record *r, struct trigger_start *ret,
                        struct err *e)
{
    struct template_env env = event_env(event);
    if (trigger->filter) {
        AUTO_JSON *holds = NULL;
        if (!cel_eval(trigger->filter, &env.cel, &holds, e))
            return err_prefix(e, "filter of workflow %s", def->name);
        if (!json_is_true(holds)) return true;
    }
    if (!make_input(trigger, &env, event, &ret->input, e))
        return err_prefix(e, "input of workflow %s", def->name);
    if (!make_key(trigger, &env, &ret->key, e))
        return err_prefix(e, "key of workflow %s", def->name);
    AUTO_FREE char *origin =
        xasprintf("%s/%d/%lld/%s", r->topic, r->partition, (long long)r->offset, def->name);
    run_id_from_origin(ret->run_id, bytes_of(origin));
    if (ret->key.len) run_id_route_by_key(ret->run_id, bytes_of(def->name), buf_bytes(&ret->key));
    ret->policy = trigger->policy;
    ret->wanted = true;
    return true;
}

void trigger_start_headers(const struct definition *def, const struct trigger_start *s,
                           struct bytes ret[HEADER_COUNT])
{
    start_headers(def, s->run_id, "trigger", ret);
    if (s->key.len) ret[HEADER_KEY] = buf_bytes(&s->key);
    if (s->key.len && s->policy != START_REJECT)
        ret[HEADER_POLICY] = bytes_of(start_policy_name(s->policy));
}
