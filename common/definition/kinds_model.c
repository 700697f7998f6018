/* SPDX-License-Identifier: Apache-2.0
 *
 * Model calls: llm, and router, whose answer is the name of a choice.
 */
#include <stdlib.h>

#include "common/definition/kinds.h"

/* The content of a message from a checked template, as a new reference. Models read text, but a
 * template that is one ${...} would keep the type of its value: with a line end behind it, it is
 * inserted as text like any other. */
static json_t *content_text(const json_t *content)
{
    const char *text = json_string_value(content);
    size_t len = json_string_length(content);
    bool whole = len > 3 && memcmp(text, "${", 2) == 0 && text[len - 1] == '}';
    return json_sprintf("%s%s", text, whole ? "\n" : "");
}

static void add_message(json_t *messages, const char *role, const json_t *content)
{
    if (!content) return;
    json_t *m = json_object();
    json_object_set_new(m, "role", json_string(role));
    json_object_set_new(m, "content", content_text(content));
    json_array_append_new(messages, m);
}

/* One message of `messages`. */
static void read_message(struct node n, json_t *messages)
{
    static const char *const members[] = { "role", "content" };
    static const char *const roles[] = { "system", "user", "assistant", "developer" };
    if (!is_object(n, "a message")) return;
    check_members(n, "a message", members, ARRAY_LEN(members), NULL, 0);
    struct node role = node_get(n, "role");
    if (!role.value || !json_object_get(n.value, "content")) {
        fault(n, "a message needs 'role' and 'content'");
        return;
    }
    unsigned chosen = read_word(role, roles, ARRAY_LEN(roles));
    const json_t *text = text_part(n, "content", 0);
    if (chosen < ARRAY_LEN(roles)) add_message(messages, roles[chosen], text);
}

/* The conversation that `system` with `prompt` or `messages` makes; a new reference. */
static json_t *conversation(struct node n)
{
    json_t *messages = json_array();
    struct node list = node_get(n, "messages");
    bool prompt = json_object_get(n.value, "prompt");
    if (prompt && list.value) fault_key(list, "'messages' and 'prompt' exclude each other");
    if (!prompt && !list.value) fault(n, "a step of type llm needs 'prompt' or 'messages'");
    add_message(messages, "system", text_part(n, "system", 0));
    add_message(messages, "user", text_part(n, "prompt", 0));
    if (!list.value || !is_array(list, "'messages'")) return messages;
    if (json_array_size(list.value) == 0) fault(list, "'messages' must not be empty");
    for (size_t i = 0; i < json_array_size(list.value); i++)
        read_message(node_at(list, i), messages);
    return messages;
}

json_t *literal(const json_t *value)
{
    if (json_is_string(value)) {
        CLEANUP(buf_done) struct buf b = { 0 };
        buf_add_text(&b, "");
        for (const char *p = json_string_value(value); *p; p++) {
            if (p[0] == '$' && p[1] == '{') buf_add_char(&b, '$');
            buf_add_char(&b, *p);
        }
        return json_stringn(b.data, b.len);
    }
    if (json_is_array(value)) {
        json_t *ret = json_array();
        for (size_t i = 0; i < json_array_size(value); i++)
            json_array_append_new(ret, literal(json_array_get(value, i)));
        return ret;
    }
    if (json_is_object(value)) {
        json_t *ret = json_object();
        const char *key;
        json_t *member;
        json_object_foreach((json_t *)value, key, member)
            json_object_set_new(ret, key, literal(member));
        return ret;
    }
    return json_deep_copy(value);
}

static json_t *temperature(struct node n)
{
    struct node t = node_get(n, "temperature");
    if (!t.value) return NULL;
    if (json_is_number(t.value) && json_number_value(t.value) >= 0 &&
        json_number_value(t.value) <= 2)
        return (json_t *)t.value;
    fault(t, "'temperature' must be a number from 0 to 2");
    return NULL;
}

static void set_model_options(struct node n, json_t *object)
{
    int64_t max_tokens = 0;
    set_part(object, "temperature", temperature(n));
    (void)read_int64(n, "max_tokens", 1, 10 * 1000 * 1000, &max_tokens);
    if (max_tokens) json_object_set_new(object, "max_tokens", json_integer(max_tokens));
}

void compile_llm(struct node n, struct step_def *s)
{
    s->uses = n.c->model;
    read_handler(n, "model", &s->uses);
    size_t faults = n.c->faults->count;
    AUTO_JSON *object = json_object();
    json_object_set_new(object, "model", json_string(s->uses));
    json_object_set_new(object, "messages", conversation(n));
    struct node schema = node_get(n, "output_schema"), stream = node_get(n, "stream");
    if (schema.value) {
        s->output_schema = read_schema(schema);
        json_object_set_new(object, "output_schema", literal(schema.value));
    }
    set_model_options(n, object);
    if (stream.value && !json_is_boolean(stream.value))
        fault(stream, "'stream' must be true or false");
    set_part(object, "stream", (json_t *)stream.value);
    if (n.c->faults->count == faults) s->input = build_template(n.c, object);
}

/* --- router --- */

static void read_choice(struct node n, struct step_def *s, struct choice_def *ret, struct buf *told)
{
    static const char *const members[] = { "description", "steps" };
    const char *description = NULL;
    struct node named = n;
    named.value = scratch_json(n.c, json_string(ret->name));
    (void)check_name(named, "a choice's name");
    if (!is_object(n, "a choice")) return;
    check_members(n, "a choice", members, ARRAY_LEN(members), NULL, 0);
    struct node steps = node_get(n, "steps");
    (void)read_text(n, "description", &description);
    if (!description) fault(n, "a choice needs a 'description', by which the model chooses");
    if (!steps.value)
        fault(n, "a choice needs 'steps' (which may be empty: [])");
    else
        ret->block = compile_list(steps, NULL, s->index, true);
    buf_addf(told, "- %s: %s\n", ret->name, description ? description : "");
}

static void read_choices(struct node n, struct step_def *s, struct buf *told)
{
    struct node list = node_get(n, "choices"), fallback = node_get(n, "default");
    size_t count;
    if (!list.value) fault(n, "a step of type router needs 'choices'");
    if (!list.value || !is_object(list, "'choices' (name: {description, steps})")) return;
    const char **keys = sorted_keys(list, &count);
    if (count < 2) fault(list, "'choices' must be at least two");
    struct choice_def *choices = memory_own(n.c->memory, xcalloc(count + 1, sizeof *choices), free);
    for (size_t i = 0; i < count; i++) {
        choices[i].name = keys[i];
        read_choice(node_get(list, keys[i]), s, &choices[i], told);
        bool taken = json_is_string(fallback.value) &&
                     strcmp(json_string_value(fallback.value), keys[i]) == 0;
        if (taken) s->default_block = choices[i].block;
    }
    if (fallback.value && s->default_block == NO_INDEX)
        (void)read_word(fallback, keys, (unsigned)count);
    s->choices = choices;
    s->choice_count = (uint32_t)count;
}

static json_t *choice_schema(const struct step_def *s)
{
    json_t *names = json_array();
    for (uint32_t i = 0; i < s->choice_count; i++)
        json_array_append_new(names, json_string(s->choices[i].name));
    return json_pack("{s:s, s:[s], s:{s:{s:o}}, s:b}", "type", "object", "required", "choice",
                     "properties", "choice", "enum", names, "additionalProperties", 0);
}

/* A model call like any other, with what it may answer said twice: in words and as a schema. */
void compile_router(struct node n, struct step_def *s)
{
    size_t faults = n.c->faults->count;
    s->uses = n.c->model;
    read_handler(n, "model", &s->uses);
    if (!json_object_get(n.value, "prompt")) fault(n, "a step of type router needs a 'prompt'");
    AUTO_JSON *object = json_object(), *messages = json_array();
    CLEANUP(buf_done) struct buf told = { 0 };
    buf_add_text(&told, "Choose exactly one of these, and answer with the JSON object "
                        "{\"choice\": its name}:\n");
    const json_t *system = text_part(n, "system", 0), *prompt = text_part(n, "prompt", 0);
    read_choices(n, s, &told);
    add_message(messages, "system", system);
    AUTO_JSON *plain = json_stringn(told.data, told.len), *words = literal(plain);
    add_message(messages, "system", words);
    add_message(messages, "user", prompt);
    AUTO_JSON *schema = choice_schema(s);
    struct node at = n;
    at.value = scratch_json(n.c, json_incref(schema));
    s->output_schema = read_schema(at);
    json_object_set_new(object, "model", json_string(s->uses));
    json_object_set(object, "messages", messages);
    json_object_set_new(object, "output_schema", literal(schema));
    set_model_options(n, object);
    if (n.c->faults->count == faults) s->input = build_template(n.c, object);
}
