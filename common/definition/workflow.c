/* SPDX-License-Identifier: Apache-2.0
 *
 * The fields of the workflow itself.
 */
#include <math.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/definition/compile.h"

#define RETENTION_MS    (3600 * SECOND_MS)
#define PARALLEL        10
#define PARALLEL_MAX    10000
#define USD_MAX         1e6
#define TOPIC_BYTES_MAX 249 /* Kafka's own limit */

static const char *const fields[] = { "workflow", "version",   "description", "input",
                                      "output",   "limits",    "defaults",    "triggers",
                                      "on_error", "retention", "steps" };
static const struct refused_field refused_fields[] = {
    { "access", "" },
    { "notify", "finished runs are announced on the results topic" },
    { "attributes", "" },
    { "name", "the name stands under 'workflow'" },
};
static const struct refused_field refused_triggers[] = {
    { "schedule", "a trigger names a 'topic'" },
    { "webhook", "a trigger names a 'topic'" },
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

/* Nothing repeats a step in this version, so a run takes at most the steps that are written down;
 * a definition with more than it allows itself is refused before it runs. */
static void check_max_steps(struct node root)
{
    struct node limits = node_get(root, "limits");
    uint32_t max = DEFINITION_STEPS_MAX;
    if (!json_is_object(limits.value)) return;
    if (read_u32(limits, "max_steps", 1, DEFINITION_STEPS_MAX, &max) && root.c->step_count > max)
        fault(node_get(limits, "max_steps"), "the definition has %u steps, more than its max_steps",
              root.c->step_count);
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

static void read_trigger(struct node n, struct trigger_def *ret)
{
    static const char *const names[] = { "topic", "filter", "input", "key" };
    if (!is_object(n, "a trigger")) return;
    check_members(n, "a trigger", names, ARRAY_LEN(names), refused_triggers,
                  ARRAY_LEN(refused_triggers));
    struct node filter = node_get(n, "filter"), input = node_get(n, "input");
    struct node key = node_get(n, "key"), topic = node_get(n, "topic");
    const char *text = json_string_value(topic.value);
    bool good = text && *text && strlen(text) <= TOPIC_BYTES_MAX && strcmp(text, ".") != 0 &&
                strcmp(text, "..") != 0 &&
                !text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789._-")];
    ret->topic = text;
    if (!topic.value && !json_object_get(n.value, "schedule") &&
        !json_object_get(n.value, "webhook"))
        fault(n, "a trigger needs a 'topic'");
    else if (topic.value && !good)
        fault(topic,
              "'topic' is no name of a Kafka topic (letters, digits, '.', '_' and '-'; at "
              "most %d)",
              TOPIC_BYTES_MAX);
    if (filter.value) ret->filter = read_cel(filter, ROOT_EVENT);
    if (input.value) ret->input = read_template(input, ROOT_EVENT);
    if (key.value && !json_is_string(key.value))
        fault(key, "'key': expected a text");
    else if (key.value)
        ret->key = read_template(key, ROOT_EVENT);
}

static void read_triggers(struct node root)
{
    struct definition *d = root.c->d;
    struct node n = node_get(root, "triggers");
    if (!n.value || !is_array(n, "'triggers'")) return;
    size_t count = json_array_size(n.value);
    struct trigger_def *list = memory_own(root.c->memory, xcalloc(count + 1, sizeof *list), free);
    for (size_t i = 0; i < count; i++) read_trigger(node_at(n, i), &list[i]);
    d->triggers = list;
    d->trigger_count = (uint32_t)count;
}

/* A task without `input` gets the output of the step before it; the first one gets the run's. */
static void finish_inputs(struct compiler *c)
{
    for (uint32_t i = 0; i < c->step_count; i++) {
        struct step_def *s = &c->steps[i];
        if (s->kind != STEP_TASK || s->input) continue;
        const struct step_def *before = definition_before(c->d, i);
        const char *text = "${input}";
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

static void move_steps(struct compiler *c)
{
    struct definition *d = c->d;
    finish_scopes(c);
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
    d->max_steps = DEFINITION_STEPS_MAX;
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
    (void)read_duration(root, "retention", &d->retention_ms);
    if (steps.value)
        (void)compile_list(steps, NULL, NO_INDEX, false);
    else
        fault(root, "a workflow needs 'steps'");
    if (steps.value) read_on_error(root, NO_INDEX, &d->on_error, &d->fallback_block);
    check_max_steps(root);
    move_steps(c);
    check_uses(c);
    if (c->faults->count == 0) finish_inputs(c);
}
