/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of steps, and the fields that every step may have.
 */
#include <stdlib.h>
#include <strings.h>

#include "common/definition/kinds.h"

/* The types that a definition may write. */
static const struct {
    const char *text;
    enum step_kind kind;
} types[] = { { "sequential", STEP_TASK },
              { "worker", STEP_TASK },
#define X(name, text) { text, STEP_##name },
              STEP_KINDS(X)
#undef X
};
#define TYPES_TEXT                                                                             \
    "task (also sequential, worker), llm, http, exec, webhook, emit, router, set, transform, " \
    "parallel, map, conditional, loop, human_approval, wait, workflow, rollback, return, fail"

/* Types of the language that this version does not run. */
static const char *const refused_types[] = { "react", "planner", "orchestrator", "mcp", "embed" };

static const struct refused_field refused_fields[] = {
    { "resources", "" },
    { "tools", "a model call has no tools yet" },
    { "env", "an exec step passes values as 'args' or 'stdin'" },
};

const char *step_kind_name(enum step_kind kind)
{
    static const char *const names[] = {
#define X(name, text) [STEP_##name] = text,
        STEP_KINDS(X)
#undef X
    };
    static_assert(ARRAY_LEN(names) == STEP_KIND_COUNT, "every kind needs a name");
    ASSERT(kind < STEP_KIND_COUNT);
    return names[kind];
}

const char *const *step_names(struct compiler *c)
{
    const char **names = memory_own(&c->scratch, xcalloc(c->step_count + 1, sizeof *names), free);
    for (uint32_t i = 0; i < c->step_count; i++) names[i] = c->steps[i].name;
    return names;
}

/* The kind that `type` names; false after a fault. */
static bool read_type(struct node step, enum step_kind *ret)
{
    struct node n = node_get(step, "type");
    const char *text = json_string_value(n.value);
    if (!text) {
        fault(n.value ? n : step, "a step needs a 'type': " TYPES_TEXT);
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (strcasecmp(types[i].text, text) != 0) continue;
        *ret = types[i].kind;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(refused_types); i++) {
        if (strcasecmp(refused_types[i], text) != 0) continue;
        fault(n, "step type '%s' is not supported by this version; supported: " TYPES_TEXT, text);
        return false;
    }
    const char *names[ARRAY_LEN(types)];
    for (size_t i = 0; i < ARRAY_LEN(types); i++) names[i] = types[i].text;
    const char *hint = did_you_mean(n.c, text, names, ARRAY_LEN(names));
    fault(n, "there is no step type '%.100s'%s%s", text,
          *hint ? hint : "; supported: ", *hint ? "" : TYPES_TEXT);
    return false;
}

/* Faults for fields that no step has, or not a step of this kind. */
static void check_fields(struct node step, enum step_kind kind)
{
    size_t count;
    const char *const *names = field_names(&count);
    check_members(step, "a step", names, count, refused_fields, ARRAY_LEN(refused_fields));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)step.value, key, value) {
        unsigned kinds = field_kinds(key);
        if (!kinds || (kinds & 1u << kind)) continue;
        CLEANUP(buf_done) struct buf b = { 0 };
        for (unsigned k = 0; k < STEP_KIND_COUNT; k++)
            if (kinds & 1u << k) buf_addf(&b, "%s%s", b.len ? ", " : "", step_kind_name(k));
        fault_key(node_get(step, key), "a step of type %s has no field '%s'; it belongs to: %s",
                  step_kind_name(kind), key, b.data);
    }
}

/* A name that is taken is a fault; without a usable one the step gets an empty name, which nothing
 * can refer to. */
static const char *read_name(struct node step, uint32_t index)
{
    struct compiler *c = step.c;
    struct node n = node_get(step, "name");
    if (!n.value) {
        fault(step, "a step needs a 'name'");
        return "";
    }
    if (!check_name(n, "a step's 'name'")) return "";
    const char *name = json_string_value(n.value);
    uintptr_t taken = (uintptr_t)map_get(&c->names, bytes_of(name));
    if (taken) {
        uint32_t line, column;
        positions_find(c->positions, c->step_pointers[taken - 1], &line, &column);
        fault(n, "the name '%s' is taken by the step in line %u; names are unique in a definition",
              name, line);
        return "";
    }
    map_put(&c->names, bytes_of(name), (void *)(uintptr_t)(index + 1));
    return name;
}

static void read_cache(struct node n, struct step_def *s)
{
    static const char *const members[] = { "ttl", "key" };
    if (!n.value || !is_object(n, "'cache'")) return;
    check_members(n, "'cache'", members, ARRAY_LEN(members), NULL, 0);
    struct node key = node_get(n, "key");
    if (!json_object_get(n.value, "ttl")) fault(n, "'cache' needs a 'ttl', a duration");
    (void)read_duration(n, "ttl", &s->cache_ttl_ms);
    if (key.value && !json_is_string(key.value))
        fault(key, "'key': expected a text");
    else if (key.value)
        s->cache_key = read_template(key, 0);
}

static void compile_worker_fields(struct node n, struct step_def *s)
{
    static const char *const priorities[] = { "normal", "high", "low" };
    struct node key = node_get(n, "idempotency_key"), priority = node_get(n, "priority");
    s->queue = n.c->queue;
    s->timeout_ms = n.c->timeout_ms;
    s->retry = n.c->retry;
    (void)read_queue(n, &s->queue);
    (void)read_duration(n, "queue_timeout", &s->queue_timeout_ms);
    (void)read_retry(n, &s->retry);
    if (priority.value) {
        unsigned chosen = read_word(priority, priorities, ARRAY_LEN(priorities));
        s->priority = chosen == 1 ? PRIORITY_HIGH : chosen == 2 ? PRIORITY_LOW : PRIORITY_NORMAL;
    }
    read_cache(node_get(n, "cache"), s);
    if (key.value && !json_is_string(key.value))
        fault(key, "'idempotency_key': expected a text");
    else if (key.value)
        s->idempotency_key = read_template(key, 0);
}

static void compile_common(struct node n, struct step_def *s)
{
    struct node condition = node_get(n, "if"), output = node_get(n, "output");
    if (condition.value) s->condition = read_cel(condition, 0);
    if (output.value && s->kind != STEP_RETURN) s->output = read_template(output, ROOT_OUTPUT);
    const char *description;
    (void)read_text(n, "description", &description);
    if (step_kind_is_task(s->kind)) compile_worker_fields(n, s);
    (void)read_duration(n, "timeout", &s->timeout_ms);
}

/* Compiles the step at n into its place in c->steps, which is there already. */
static void compile_step(struct node n, uint32_t index, uint32_t block, uint32_t position)
{
    struct compiler *c = n.c;
    c->step_pointers[index] = n.pointer;
    struct step_def s = {
        .name = "",
        .path = "",
        .queue = "",
        .uses = "",
        .index = index,
        .block = block,
        .position = position,
        .scope = c->now_scope,
        .fallback_block = NO_INDEX,
        .compensate_block = NO_INDEX,
        .default_block = NO_INDEX,
        .body_block = NO_INDEX,
        .body_scope = NO_INDEX,
        .reduce_block = NO_INDEX,
        .rollback_to = NO_INDEX,
    };
    if (is_object(n, "a step")) {
        uint32_t outer = c->now_step;
        c->now_step = index;
        s.name = s.path = read_name(n, index);
        bool known = read_type(n, &s.kind);
        c->steps[index] = s; /* what is inside looks at where it stands */
        if (known) {
            check_fields(n, s.kind);
            compile_common(n, &s);
            compile_kind(n, &s);
        }
        compile_handlers(n, &s);
        c->now_step = outer;
    }
    c->steps[index] = s;
}

static uint32_t block_add(struct compiler *c, const char *name, uint32_t parent)
{
    GROW(c->blocks, c->block_count, c->block_cap);
    c->blocks[c->block_count] = (struct block_def){ .name = name, .parent_step = parent };
    return c->block_count++;
}

uint32_t scope_add(struct compiler *c, uint32_t owner)
{
    GROW(c->scopes, c->scope_count, c->scope_cap);
    c->scopes[c->scope_count] =
        (struct scope_def){ .owner = owner, .parent = owner == NO_INDEX ? NO_INDEX : c->now_scope };
    return c->scope_count++;
}

static bool step_add(struct compiler *c)
{
    if (c->step_count == DEFINITION_STEPS_MAX) return false;
    uint32_t cap = c->step_cap;
    GROW(c->steps, c->step_count, c->step_cap);
    if (cap != c->step_cap)
        c->step_pointers = xrealloc(c->step_pointers, c->step_cap * sizeof *c->step_pointers);
    c->step_count++;
    return true;
}

uint32_t compile_list(struct node list, const char *name, uint32_t parent, bool may_be_empty)
{
    struct compiler *c = list.c;
    uint32_t block = block_add(c, name, parent);
    if (!is_array(list, "steps")) return block;
    size_t count = json_array_size(list.value);
    if (count == 0 && !may_be_empty) fault(list, "a list of steps must not be empty");
    if (c->depth == DEFINITION_DEPTH_MAX) {
        fault(list, "lists of steps are nested deeper than %d", DEFINITION_DEPTH_MAX);
        return block;
    }
    c->depth++;
    uint32_t *steps = memory_own(c->memory, xcalloc(count + 1, sizeof *steps), free);
    uint32_t made = 0;
    for (size_t i = 0; i < count; i++) {
        struct node n = node_at(list, i);
        uint32_t index = c->step_count;
        if (!step_add(c)) {
            fault(n, "a definition has at most %d steps", DEFINITION_STEPS_MAX);
            break;
        }
        compile_step(n, index, block, made);
        steps[made++] = index;
    }
    c->depth--;
    c->blocks[block].steps = steps;
    c->blocks[block].count = made;
    compile_needs(list, block);
    return block;
}
