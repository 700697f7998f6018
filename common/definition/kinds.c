/* SPDX-License-Identifier: Apache-2.0
 *
 * The fields of each kind of step. What a worker gets is put together here, once, as one template
 * of an object; its parts are checked as they stand in the file, so that faults point there.
 */
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/definition/compile.h"

#define K(name)   (1u << STEP_##name)
#define K_WORKERS (K(TASK) | K(LLM) | K(HTTP) | K(EXEC))
#define K_ALL     (K_WORKERS | K(SET) | K(PARALLEL) | K(CONDITIONAL))

/* X(field, kinds that have it) */
#define STEP_FIELDS(X)                   \
    X("name", K_ALL)                     \
    X("type", K_ALL)                     \
    X("description", K_ALL)              \
    X("if", K_ALL)                       \
    X("on_error", K_ALL)                 \
    X("output", K_ALL)                   \
    X("timeout", K_WORKERS)              \
    X("queue_timeout", K_WORKERS)        \
    X("retry", K_WORKERS)                \
    X("queue", K_WORKERS)                \
    X("idempotency_key", K_WORKERS)      \
    X("uses", K(TASK))                   \
    X("input", K(TASK))                  \
    X("output_schema", K(TASK) | K(LLM)) \
    X("model", K(LLM))                   \
    X("system", K(LLM))                  \
    X("prompt", K(LLM))                  \
    X("messages", K(LLM))                \
    X("temperature", K(LLM))             \
    X("max_tokens", K(LLM))              \
    X("stream", K(LLM))                  \
    X("method", K(HTTP))                 \
    X("url", K(HTTP))                    \
    X("headers", K(HTTP))                \
    X("query", K(HTTP))                  \
    X("body", K(HTTP))                   \
    X("command", K(EXEC))                \
    X("args", K(EXEC))                   \
    X("stdin", K(EXEC))                  \
    X("vars", K(SET))                    \
    X("branches", K(PARALLEL))           \
    X("max_concurrent", K(PARALLEL))     \
    X("join", K(PARALLEL))               \
    X("on_branch_error", K(PARALLEL))    \
    X("cases", K(CONDITIONAL))           \
    X("else", K(CONDITIONAL))            \
    X("conditions", K(CONDITIONAL))      \
    X("steps", K(CONDITIONAL))

static const char *const names[] = {
#define X(name, kinds) name,
    STEP_FIELDS(X)
#undef X
};
static const unsigned kinds_of[] = {
#define X(name, kinds) kinds,
    STEP_FIELDS(X)
#undef X
};

unsigned field_kinds(const char *field)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], field) == 0) return kinds_of[i];
    return 0;
}

const char *const *field_names(size_t *ret_count)
{
    *ret_count = ARRAY_LEN(names);
    return names;
}

/* --- parts of what a worker gets --- */

/* The member of the step, checked as a template; NULL if it is absent or at fault. */
static json_t *part(struct node step, const char *key, unsigned roots)
{
    struct node n = node_get(step, key);
    return n.value && check_template(n, roots) ? (json_t *)n.value : NULL;
}

/* The same for a member that must be a text. */
static json_t *text_part(struct node step, const char *key, unsigned roots)
{
    const char *text = NULL;
    if (!read_text(step, key, &text) || !text) return NULL;
    return part(step, key, roots);
}

static void set_part(json_t *object, const char *key, json_t *value)
{
    if (value) json_object_set(object, key, value);
}

/* --- the kinds --- */

/* Without `input`, finish_inputs (workflow.c) says what a task gets: it needs all steps. */
static void compile_task(struct node n, struct step_def *s)
{
    s->uses = s->name;
    read_handler(n, "uses", &s->uses);
    struct node input = node_get(n, "input"), schema = node_get(n, "output_schema");
    if (input.value) s->input = read_template(input, 0);
    if (schema.value) s->output_schema = read_schema(schema);
}

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

/* A copy of a value whose strings are no templates, for use inside of one: ${ becomes $${. A new
 * reference. */
static json_t *literal(const json_t *value)
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

static void compile_llm(struct node n, struct step_def *s)
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
    set_part(object, "temperature", temperature(n));
    int64_t max_tokens = 0;
    (void)read_int64(n, "max_tokens", 1, 10 * 1000 * 1000, &max_tokens);
    if (max_tokens) json_object_set_new(object, "max_tokens", json_integer(max_tokens));
    if (stream.value && !json_is_boolean(stream.value))
        fault(stream, "'stream' must be true or false");
    set_part(object, "stream", (json_t *)stream.value);
    if (n.c->faults->count == faults) s->input = build_template(n.c, object);
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

static void compile_http(struct node n, struct step_def *s)
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

static void compile_exec(struct node n, struct step_def *s)
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

static bool is_identifier(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    return *text && !(*text >= '0' && *text <= '9') && !text[strspn(text, letters)] &&
           strlen(text) <= NAME_BYTES_MAX;
}

static void compile_set(struct node n, struct step_def *s)
{
    struct compiler *c = n.c;
    struct node vars = node_get(n, "vars");
    if (!vars.value) {
        fault(n, "a step of type set needs 'vars'");
        return;
    }
    if (!is_object(vars, "'vars'")) return;
    if (json_object_size(vars.value) == 0) fault(vars, "'vars' must not be empty");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)vars.value, name, value) {
        if (!is_identifier(name))
            fault_key(
                node_get(vars, name),
                "a variable's name has letters, digits and _, so that expressions can use it");
        GROW(c->vars, c->var_count, c->var_cap);
        c->vars[c->var_count++] = name;
    }
    s->value = read_template(vars, 0);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Branches in the order of their names: the canonical form of a definition sorts members, so there
 * is no other order that all who load it could agree on. */
static void compile_branches(struct node branches, struct step_def *s)
{
    size_t count = json_object_size(branches.value), made = 0;
    AUTO_FREE const char **keys = xcalloc(count + 1, sizeof *keys);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)branches.value, key, value) keys[made++] = key;
    qsort(keys, count, sizeof *keys, by_text);
    uint32_t *blocks = memory_own(branches.c->memory, xcalloc(count + 1, sizeof *blocks), free);
    for (size_t i = 0; i < count; i++) {
        struct node branch = node_get(branches, keys[i]);
        struct node named = branch;
        named.value = scratch_json(branch.c, json_string(keys[i]));
        (void)check_name(named, "a branch's name");
        blocks[i] = compile_list(branch, keys[i], s->index, false);
    }
    s->branches = blocks;
    s->branch_count = (uint32_t)count;
}

static void read_join(struct node n, struct step_def *s)
{
    static const char *const words[] = { "all", "any" };
    static const char *const members[] = { "at_least" };
    s->join = JOIN_ALL;
    s->join_count = s->branch_count;
    if (!n.value) return;
    if (json_is_object(n.value)) {
        check_members(n, "'join'", members, 1, NULL, 0);
        s->join = JOIN_AT_LEAST;
        if (!json_object_get(n.value, "at_least"))
            fault(n, "'join' is all, any or {at_least: n}");
        else
            (void)read_u32(n, "at_least", 1, MAX(s->branch_count, 1u), &s->join_count);
    } else if (read_word(n, words, ARRAY_LEN(words)) == 1) {
        s->join = JOIN_ANY;
        s->join_count = 1;
    }
}

static void compile_parallel(struct node n, struct step_def *s)
{
    static const char *const words[] = { "fail_fast", "collect" };
    struct node branches = node_get(n, "branches"), errors = node_get(n, "on_branch_error");
    if (!branches.value)
        fault(n, "a step of type parallel needs 'branches'");
    else if (is_object(branches, "'branches' (name: steps)")) {
        if (json_object_size(branches.value) == 0) fault(branches, "'branches' must not be empty");
        compile_branches(branches, s);
    }
    (void)read_u32(n, "max_concurrent", 1, DEFINITION_STEPS_MAX, &s->max_concurrent);
    read_join(node_get(n, "join"), s);
    s->fail_fast = !errors.value || read_word(errors, words, ARRAY_LEN(words)) == 0;
}

/* One case of `cases`; false after a fault that leaves no case. */
static bool read_case(struct node n, struct step_def *s, struct case_def *ret)
{
    static const char *const members[] = { "when", "steps" };
    if (!is_object(n, "a case")) return false;
    check_members(n, "a case", members, ARRAY_LEN(members), NULL, 0);
    struct node when = node_get(n, "when"), steps = node_get(n, "steps");
    if (!when.value || !steps.value) fault(n, "a case needs 'when' and 'steps'");
    if (when.value) ret->when = read_cel(when, 0);
    if (steps.value) ret->block = compile_list(steps, NULL, s->index, true);
    return when.value && steps.value;
}

/* Appends "|| (condition)", in a line of its own, since it may end in a comment. */
static void read_condition(struct node n, struct buf *any)
{
    struct bytes source;
    if (!read_cel(n, 0)) return;
    (void)cel_source(&n, &source);
    buf_addf(any, "%s(%.*s\n)", any->len ? " || " : "", (int)source.len, source.data);
}

/* `conditions` are one case: any of them, as one expression. Each was compiled alone before, so
 * that its faults are its own. */
static bool read_conditions(struct node n, struct node conditions, struct step_def *s,
                            struct case_def *ret)
{
    struct node steps = node_get(n, "steps");
    size_t faults = n.c->faults->count;
    CLEANUP(buf_done) struct buf any = { 0 };
    if (!steps.value) {
        fault(n, "'conditions' need 'steps' to run when one of them holds");
        return false;
    }
    ret->block = compile_list(steps, NULL, s->index, true);
    for (size_t i = 0; i < json_array_size(conditions.value); i++)
        read_condition(node_at(conditions, i), &any);
    if (n.c->faults->count > faults || !any.len) return false;
    ret->when = build_cel(conditions, buf_bytes(&any));
    return ret->when;
}

static void compile_conditional(struct node n, struct step_def *s)
{
    struct node list = node_get(n, "cases"), conditions = node_get(n, "conditions");
    struct node otherwise = node_get(n, "else"), steps = node_get(n, "steps");
    bool both = list.value && conditions.value, none = !list.value && !conditions.value;
    if (both) fault_key(conditions, "'conditions' and 'cases' exclude each other");
    if (none)
        fault(n, "a step of type conditional needs 'cases', or 'conditions' with 'steps'%s",
              otherwise.value ? "; 'else' alone decides nothing" : "");
    if (list.value && steps.value)
        fault_key(steps, "'steps' goes with 'conditions'; each case has steps of its own");
    if (both || none) return;
    struct node tests = list.value ? list : conditions;
    if (!is_array(tests, list.value ? "'cases'" : "'conditions'")) return;
    size_t count = json_array_size(tests.value);
    if (count == 0) fault(tests, "'%s' must not be empty", list.value ? "cases" : "conditions");
    struct case_def *cases = memory_own(n.c->memory, xcalloc(count + 1, sizeof *cases), free);
    uint32_t made = 0;
    if (list.value) {
        for (size_t i = 0; i < count; i++) made += read_case(node_at(list, i), s, &cases[made]);
    } else {
        made += read_conditions(n, conditions, s, &cases[0]);
    }
    if (otherwise.value)
        cases[made++] = (struct case_def){ .block = compile_list(otherwise, NULL, s->index, true) };
    s->cases = cases;
    s->case_count = made;
}

void compile_kind(struct node n, struct step_def *s)
{
    static void (*const compile[STEP_KIND_COUNT])(struct node, struct step_def *) = {
        [STEP_TASK] = compile_task,
        [STEP_LLM] = compile_llm,
        [STEP_HTTP] = compile_http,
        [STEP_EXEC] = compile_exec,
        [STEP_SET] = compile_set,
        [STEP_PARALLEL] = compile_parallel,
        [STEP_CONDITIONAL] = compile_conditional,
    };
    ASSERT(compile[s->kind]); /* read_type lets no other pass */
    compile[s->kind](n, s);
}
