/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps that a worker does, but for those of models. What a worker gets is put together here, once,
 * as one template of an object; its parts are checked as they stand in the file, so that faults
 * point there.
 */
#include <stdlib.h>

#include "common/definition/kinds.h"

json_t *part(struct node step, const char *key, unsigned roots)
{
    struct node n = node_get(step, key);
    return n.value && check_template(n, roots) ? (json_t *)n.value : NULL;
}

json_t *text_part(struct node step, const char *key, unsigned roots)
{
    const char *text = NULL;
    if (!read_text(step, key, &text) || !text) return NULL;
    return part(step, key, roots);
}

void set_part(json_t *object, const char *key, json_t *value)
{
    if (value) json_object_set(object, key, value);
}

/* --- the kinds --- */

/* Without `input`, finish_inputs (workflow.c) says what a task gets: it needs all steps. */
void compile_task(struct node n, struct step_def *s)
{
    s->uses = s->name;
    read_handler(n, "uses", &s->uses);
    struct node input = node_get(n, "input"), schema = node_get(n, "output_schema");
    if (input.value) s->input = read_template(input, 0);
    if (schema.value) s->output_schema = read_schema(schema);
}

/* An object whose members are texts: headers. NULL if it is absent or at fault. */
static json_t *texts(struct node step, const char *key, unsigned roots)
{
    struct node n = node_get(step, key);
    if (!n.value || !is_object(n, scratch_text(n.c, "'%s'", key))) return NULL;
    const char *name;
    json_t *value;
    size_t faults = n.c->faults->count;
    json_object_foreach((json_t *)n.value, name, value)
        if (!json_is_string(value)) fault(node_get(n, name), "'%s': expected a text", name);
    return n.c->faults->count == faults && check_template(n, roots) ? (json_t *)n.value : NULL;
}

void compile_http(struct node n, struct step_def *s)
{
    static const char *const methods[] = { "GET",    "POST", "PUT",    "PATCH",
                                           "DELETE", "HEAD", "OPTIONS" };
    size_t faults = n.c->faults->count;
    struct node method = node_get(n, "method"), query = node_get(n, "query");
    bool body = json_object_get(n.value, "body");
    AUTO_JSON *object = json_object();
    unsigned chosen = body ? 1 : 0;
    if (method.value) chosen = read_word(method, methods, ARRAY_LEN(methods));
    if (chosen < ARRAY_LEN(methods))
        json_object_set_new(object, "method", json_string(methods[chosen]));
    if (!json_object_get(n.value, "url")) fault(n, "a step of type http needs a 'url'");
    set_part(object, "url", text_part(n, "url", ROOT_SECRETS));
    set_part(object, "headers", texts(n, "headers", ROOT_SECRETS));
    if (query.value && is_object(query, "'query'"))
        set_part(object, "query", part(n, "query", ROOT_SECRETS));
    set_part(object, "body", part(n, "body", ROOT_SECRETS));
    if (n.c->faults->count == faults) s->input = build_template(n.c, object);
}

void compile_exec(struct node n, struct step_def *s)
{
    size_t faults = n.c->faults->count;
    AUTO_JSON *object = json_object();
    if (!json_object_get(n.value, "command"))
        fault(n, "a step of type exec needs a 'command', a name in the worker's configuration");
    read_handler(n, "command", &s->uses);
    json_object_set_new(object, "command", json_string(s->uses));
    struct node args = node_get(n, "args");
    if (args.value && is_array(args, "'args'")) {
        for (size_t i = 0; i < json_array_size(args.value); i++) {
            struct node arg = node_at(args, i);
            if (!json_is_string(arg.value)) fault(arg, "an argument must be a text");
        }
        set_part(object, "args", part(n, "args", ROOT_SECRETS));
    }
    set_part(object, "stdin", part(n, "stdin", ROOT_SECRETS));
    if (n.c->faults->count == faults) s->input = build_template(n.c, object);
}

/* {"endpoint", "method", "headers", "body", "secret"}; the worker fills the secret in and signs. */
void compile_webhook(struct node n, struct step_def *s)
{
    static const char *const methods[] = { "POST", "PUT", "PATCH" };
    size_t faults = n.c->faults->count;
    struct node method = node_get(n, "method"), secret = node_get(n, "secret");
    AUTO_JSON *object = json_object();
    unsigned chosen = 0;
    if (method.value) chosen = read_word(method, methods, ARRAY_LEN(methods));
    if (chosen < ARRAY_LEN(methods))
        json_object_set_new(object, "method", json_string(methods[chosen]));
    if (!json_object_get(n.value, "endpoint"))
        fault(n, "a step of type webhook needs an 'endpoint'");
    set_part(object, "endpoint", text_part(n, "endpoint", ROOT_SECRETS));
    set_part(object, "headers", texts(n, "headers", ROOT_SECRETS));
    set_part(object, "body", part(n, "body", ROOT_SECRETS));
    if (secret.value && check_name(secret, "'secret'") &&
        !is_identifier(json_string_value(secret.value)))
        fault(secret, "'secret' has letters, digits and _, as in ${secrets.NAME}");
    else if (json_is_string(secret.value))
        json_object_set_new(object, "secret",
                            json_sprintf("${secrets.%s}", json_string_value(secret.value)));
    if (n.c->faults->count == faults) s->input = build_template(n.c, object);
}

/* {"topic", "type", "data", "key"} */
void compile_emit(struct node n, struct step_def *s)
{
    size_t faults = n.c->faults->count;
    const char *topic = NULL, *type = NULL;
    AUTO_JSON *object = json_object();
    (void)read_text(n, "topic", &topic);
    (void)read_text(n, "event_type", &type);
    if (!json_object_get(n.value, "topic")) fault(n, "a step of type emit needs a 'topic'");
    if (!json_object_get(n.value, "event_type"))
        fault(n, "a step of type emit needs an 'event_type', such as com.example.order.paid");
    if (topic && topic_name_good(node_get(n, "topic")))
        json_object_set_new(object, "topic", json_string(topic));
    if (type) json_object_set_new(object, "type", literal(json_object_get(n.value, "event_type")));
    set_part(object, "data", part(n, "data", 0));
    set_part(object, "key", text_part(n, "key", 0));
    if (n.c->faults->count == faults) s->input = build_template(n.c, object);
}
