/* SPDX-License-Identifier: Apache-2.0
 *
 * The fields of the workflow itself.
 */
#include <math.h>
#include <stdlib.h>

#include "common/definition/kinds.h"

#define RETENTION_MS   (3600 * SECOND_MS)
#define PARALLEL       10
#define ATTRIBUTES_MAX 32
#define USD_MAX        1e6

static const char *const fields[] = { "workflow", "version",   "description", "input",
                                      "output",   "limits",    "defaults",    "triggers",
                                      "on_error", "retention", "attributes",  "steps" };
static const struct refused_field refused_fields[] = {
    { "access", "" },
    { "notify", "finished runs are announced on the results topic" },
    { "name", "the name stands under 'workflow'" },
};
static void read_version(struct node root)
{
    struct node n = node_get(root, "version");
    const char *text = json_string_value(n.value);
    if (!n.value) {
        fault(root, "a workflow needs a 'version', such as 1.0.0");
        return;
    }
    if (!text || !*text || strlen(text) > NAME_BYTES_MAX ||
        text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-")])
        fault(n, "'version' has letters, digits and . _ + -, such as 1.0.0; at most %d",
              NAME_BYTES_MAX);
    else
        root.c->d->version = text;
}

static void read_budget(struct node limits)
{
    static const char *const names[] = { "tokens", "usd" };
    struct definition *d = limits.c->d;
    struct node n = node_get(limits, "budget");
    if (!n.value || !is_object(n, "'budget'")) return;
    check_members(n, "'budget'", names, ARRAY_LEN(names), NULL, 0);
    (void)read_int64(n, "tokens", 1, INT64_C(1) << 53, &d->budget_tokens);
    struct node usd = node_get(n, "usd");
    if (!usd.value) return;
    double value = json_is_number(usd.value) ? json_number_value(usd.value) : 0;
    int64_t micro = value > 0 && value <= USD_MAX ? llround(value * 1e6) : 0;
    if (micro < 1)
        fault(usd, "'usd' must be a number from 0.000001 to 1000000");
    else
        d->budget_micro_usd = micro;
}

static void read_limits(struct node root)
{
    static const char *const names[] = { "timeout", "max_parallel", "max_steps", "budget" };
    struct definition *d = root.c->d;
    struct node n = node_get(root, "limits");
    if (!n.value || !is_object(n, "'limits'")) return;
    check_members(n, "'limits'", names, ARRAY_LEN(names), NULL, 0);
    (void)read_duration(n, "timeout", &d->timeout_ms);
    (void)read_u32(n, "max_parallel", 1, PARALLEL_MAX, &d->max_parallel);
    read_budget(n);
}

/* Where nothing repeats a step, a definition with more steps than it allows itself is refused
 * before it runs. */
static void read_max_steps(struct node root)
{
    struct node limits = node_get(root, "limits");
    struct compiler *c = root.c;
    bool repeats = c->scope_count > 1;
    c->d->max_steps = repeats ? RUN_STEPS_MAX : DEFINITION_STEPS_MAX;
    if (!json_is_object(limits.value)) return;
    if (read_u32(limits, "max_steps", 1, RUN_STEPS_MAX, &c->d->max_steps) && !repeats &&
        c->step_count > c->d->max_steps)
        fault(node_get(limits, "max_steps"), "the definition has %u steps, more than its max_steps",
              c->step_count);
}

/* An object of expressions over the input. */
static void read_attributes(struct node root)
{
    struct node n = node_get(root, "attributes");
    if (!n.value || !is_object(n, "'attributes'")) return;
    if (json_object_size(n.value) > ATTRIBUTES_MAX)
        fault(n, "a workflow has at most %d attributes", ATTRIBUTES_MAX);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)n.value, name, value) {
        struct node at = node_get(n, name);
        if (strlen(name) > NAME_BYTES_MAX || !is_identifier(name))
            fault_key(at, "an attribute's name has letters, digits and _");
        if (json_is_object(value) || json_is_array(value))
            fault(at, "an attribute is a text, a number or a bool, or a template of one");
    }
    root.c->d->attributes = read_template(n, ROOT_START);
}

static void read_defaults(struct node root)
{
    static const char *const names[] = { "model", "queue", "timeout", "retry" };
    struct compiler *c = root.c;
    struct node n = node_get(root, "defaults");
    if (!n.value || !is_object(n, "'defaults'")) return;
    check_members(n, "'defaults'", names, ARRAY_LEN(names), NULL, 0);
    read_handler(n, "model", &c->model);
    (void)read_queue(n, &c->queue);
    (void)read_duration(n, "timeout", &c->timeout_ms);
    (void)read_retry(n, &c->retry);
}

/* What a task without `input` gets where no step stands before it: the item of its map or loop, the
 * results that it reduces, the outputs of several steps that it needs, or the run's input. */
static const char *first_input(struct compiler *c, const struct step_def *s)
{
    const struct block_def *block = &c->d->blocks[s->block];
    if (block->parent_step == NO_INDEX) return "${input}";
    const struct step_def *parent = &c->d->steps[block->parent_step];
    if (s->block == parent->reduce_block) return "${results}";
    if (s->block == parent->body_block) return scratch_text(c, "${%s}", parent->as);
    return first_input(c, parent);
}

static struct template *input_of_needs(struct compiler *c, const struct step_def *s)
{
    AUTO_JSON *object = json_object();
    for (uint32_t i = 0; i < s->need_count; i++) {
        const char *name = c->d->steps[s->needs[i]].name;
        json_object_set_new(object, name, json_sprintf("${steps.`%s`.output}", name));
    }
    return build_template(c, object);
}

/* A task without `input` gets the output of the step before it. */
static void finish_inputs(struct compiler *c)
{
    for (uint32_t i = 0; i < c->step_count; i++) {
        struct step_def *s = &c->steps[i];
        if ((s->kind != STEP_TASK && s->kind != STEP_WORKFLOW) || s->input) continue;
        const struct step_def *before = definition_before(c->d, i);
        if (s->need_count > 1) {
            s->input = input_of_needs(c, s);
            continue;
        }
        const char *text = before ? "" : first_input(c, s);
        if (before && strchr(before->name, '-'))
            text = scratch_text(c, "${steps.`%s`.output}", before->name);
        else if (before && *before->name)
            text = scratch_text(c, "${steps.%s.output}", before->name);
        s->input = build_template(c, scratch_json(c, json_string(text)));
    }
}

/* Gives each step its slot. */
static void finish_scopes(struct compiler *c)
{
    for (uint32_t i = 0; i < c->step_count; i++) c->scopes[c->steps[i].scope].count++;
    AUTO_FREE uint32_t **steps = xcalloc(c->scope_count, sizeof *steps);
    for (uint32_t i = 0; i < c->scope_count; i++) {
        size_t count = c->scopes[i].count ? c->scopes[i].count : 1;
        steps[i] = memory_own(c->memory, xcalloc(count, sizeof **steps), free);
        c->scopes[i].steps = steps[i];
        c->scopes[i].count = 0;
    }
    for (uint32_t i = 0; i < c->step_count; i++) {
        struct step_def *s = &c->steps[i];
        s->slot = c->scopes[s->scope].count++;
        steps[s->scope][s->slot] = i;
    }
}

/* A step's path in a run names every map and loop around it, each with a number. */
static void check_paths(struct compiler *c)
{
    for (uint32_t i = 0; i < c->step_count; i++) {
        size_t len = strlen(c->steps[i].path);
        uint32_t scope = c->steps[i].scope;
        for (; c->scopes[scope].owner != NO_INDEX; scope = c->scopes[scope].parent)
            len += strlen(c->steps[c->scopes[scope].owner].path) + strlen("[99999]/");
        struct node n = { .c = c, .value = c->root, .pointer = c->step_pointers[i] };
        if (len > PATH_BYTES_MAX)
            fault(n,
                  "the path of this step has up to %zu bytes, the limit is %d: give the maps and "
                  "loops around it shorter names",
                  len, PATH_BYTES_MAX);
    }
}

static void move_steps(struct compiler *c)
{
    struct definition *d = c->d;
    finish_scopes(c);
    check_paths(c);
    d->scopes = c->scopes;
    d->scope_count = c->scope_count;
    memory_own(c->memory, c->scopes, free);
    d->steps = c->steps;
    d->step_count = c->step_count;
    d->blocks = c->blocks;
    d->block_count = c->block_count;
    if (c->steps) memory_own(c->memory, c->steps, free);
    if (c->blocks) memory_own(c->memory, c->blocks, free);
}

void compile_workflow(struct node root)
{
    struct compiler *c = root.c;
    struct definition *d = c->d;
    d->timeout_ms = RUN_TIMEOUT_MS;
    d->max_parallel = PARALLEL;
    d->retention_ms = RETENTION_MS;
    d->fallback_block = NO_INDEX;
    if (!is_object(root, "a workflow")) return;
    (void)scope_add(c, NO_INDEX);
    check_members(root, "a workflow", fields, ARRAY_LEN(fields), refused_fields,
                  ARRAY_LEN(refused_fields));
    struct node name = node_get(root, "workflow"), input = node_get(root, "input");
    struct node output = node_get(root, "output"), steps = node_get(root, "steps");
    if (!name.value)
        fault(root, "a workflow needs its name under 'workflow'");
    else if (check_name(name, "'workflow'"))
        d->name = json_string_value(name.value);
    read_version(root);
    (void)read_text(root, "description", &d->description);
    if (input.value) d->input_schema = read_schema(input);
    if (output.value) d->output = read_template(output, 0);
    read_limits(root);
    read_defaults(root);
    read_triggers(root);
    read_attributes(root);
    (void)read_duration(root, "retention", &d->retention_ms);
    if (steps.value)
        (void)compile_list(steps, NULL, NO_INDEX, false);
    else
        fault(root, "a workflow needs 'steps'");
    struct on_error_def on_error = { .block = NO_INDEX };
    if (steps.value) on_error = read_on_error(root, NO_INDEX);
    d->on_error = on_error.kind;
    d->fallback_block = on_error.block;
    d->escalation = on_error.escalation;
    read_max_steps(root);
    move_steps(c);
    check_uses(c);
    if (c->faults->count > 0) return;
    if (c->warnings) check_warnings(c);
    finish_inputs(c);
}
