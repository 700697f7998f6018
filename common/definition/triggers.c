/* SPDX-License-Identifier: Apache-2.0
 *
 * What starts a workflow: records of upstream topics, and schedules.
 */
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/definition/compile.h"
#include "common/schedule/cron.h"

/* Words stand in the order of enum start_policy. */
static void read_policy(struct node n, const char *const *words, unsigned count,
                        enum start_policy *ret)
{
    if (!n.value) return;
    unsigned chosen = read_word(n, words, count);
    if (chosen < count) *ret = (enum start_policy)chosen;
}

static void read_topic(struct node n, struct trigger_def *ret)
{
    static const char *const names[] = { "topic", "filter", "input", "key", "on_conflict" };
    static const char *const policies[] = { [START_REJECT] = "reject",
                                            [START_QUEUE] = "queue",
                                            [START_REPLACE] = "replace",
                                            [START_ALLOW] = "allow" };
    check_members(n, "a trigger of a topic", names, ARRAY_LEN(names), NULL, 0);
    struct node filter = node_get(n, "filter"), input = node_get(n, "input");
    struct node key = node_get(n, "key"), topic = node_get(n, "topic");
    struct node policy = node_get(n, "on_conflict");
    if (topic_name_good(topic)) ret->topic = json_string_value(topic.value);
    if (filter.value) ret->filter = read_cel(filter, ROOT_EVENT);
    if (input.value) ret->input = read_template(input, ROOT_EVENT);
    if (key.value && !json_is_string(key.value))
        fault(key, "'key': expected a text");
    else if (key.value)
        ret->key = read_template(key, ROOT_EVENT);
    read_policy(policy, policies, ARRAY_LEN(policies), &ret->policy);
    if (policy.value && !key.value)
        fault_key(policy, "'on_conflict' is about runs with the same key: it needs a 'key'");
}

static void read_cron(struct node n, struct schedule_def *ret)
{
    const char *text = json_string_value(n.value);
    struct cron cron;
    struct err e;
    size_t offset = 0;
    if (!text)
        fault(n, "'schedule' is a cron expression, such as \"0 9 * * mon-fri\"");
    else if (!cron_parse(text, &cron, &offset, &e))
        fault_in(n, offset, "in the schedule: %s", e.text);
    else
        ret->cron = text;
}

static void read_zone(struct node n, struct schedule_def *ret)
{
    const char *text = json_string_value(n.value);
    ret->timezone = "UTC";
    if (!n.value) return;
    if (text && zone_name_good(text))
        ret->timezone = text;
    else
        fault(n, "'timezone' is the name of a time zone, such as Europe/Oslo");
}

static void read_schedule(struct node n, struct trigger_def *ret)
{
    static const char *const names[] = { "name",     "schedule",     "timezone", "overlap",
                                         "catch_up", "max_catch_up", "paused",   "input" };
    static const char *const overlaps[] = { [START_REJECT] = "skip",
                                            [START_QUEUE] = "queue",
                                            [START_REPLACE] = "replace",
                                            [START_ALLOW] = "allow" };
    static const char *const catches[] = { "none", "last", "all" };
    struct schedule_def *s = memory_own(n.c->memory, xcalloc(1, sizeof *s), free);
    struct node input = node_get(n, "input"), catch_up = node_get(n, "catch_up");
    struct node paused = node_get(n, "paused");
    check_members(n, "a trigger of a schedule", names, ARRAY_LEN(names), NULL, 0);
    read_cron(node_get(n, "schedule"), s);
    read_zone(node_get(n, "timezone"), s);
    read_policy(node_get(n, "overlap"), overlaps, ARRAY_LEN(overlaps), &ret->policy);
    if (ret->policy == START_REJECT) ret->policy = START_SKIP;
    if (catch_up.value) {
        unsigned chosen = read_word(catch_up, catches, ARRAY_LEN(catches));
        s->catch_up = chosen < ARRAY_LEN(catches) ? (enum catch_up)chosen : CATCH_UP_NONE;
    }
    if (paused.value && !json_is_boolean(paused.value))
        fault(paused, "'paused' must be true or false");
    s->paused = json_is_true(paused.value);
    if (input.value) ret->input = read_template(input, ROOT_EVENT);
    s->catch_up_max = 100;
    (void)read_u32(n, "max_catch_up", 1, SCHEDULE_CATCH_UP_MAX, &s->catch_up_max);
    ret->schedule = s;
}

/* A schedule without a name is known by its number among the workflow's schedules. */
static void name_schedules(struct node triggers, struct trigger_def *list, size_t count)
{
    struct compiler *c = triggers.c;
    uint32_t number = 0;
    for (size_t i = 0; i < count; i++) {
        if (!list[i].schedule) continue;
        struct schedule_def *s = (struct schedule_def *)(uintptr_t)list[i].schedule;
        struct node name = node_get(node_at(triggers, i), "name");
        number++;
        s->name = name.value && check_name(name, "the name of a schedule")
                      ? json_string_value(name.value)
                      : memory_own(c->memory, xasprintf("%u", number), free);
        for (size_t k = 0; k < i; k++)
            if (name.value && list[k].schedule && strcmp(list[k].schedule->name, s->name) == 0)
                fault(name, "another schedule has the name '%s'", s->name);
    }
}

static void read_trigger(struct node n, struct trigger_def *ret)
{
    if (!is_object(n, "a trigger")) return;
    if (json_object_get(n.value, "schedule"))
        read_schedule(n, ret);
    else if (json_object_get(n.value, "topic"))
        read_topic(n, ret);
    else if (json_object_get(n.value, "webhook"))
        fault_key(node_get(n, "webhook"),
                  "'webhook' is not supported by this version; a trigger names a 'topic' or a "
                  "'schedule'");
    else
        fault(n, "a trigger needs a 'topic' or a 'schedule'");
}

void read_triggers(struct node root)
{
    struct definition *d = root.c->d;
    struct node n = node_get(root, "triggers");
    if (!n.value || !is_array(n, "'triggers'")) return;
    size_t count = json_array_size(n.value);
    struct trigger_def *list = memory_own(root.c->memory, xcalloc(count + 1, sizeof *list), free);
    for (size_t i = 0; i < count; i++) read_trigger(node_at(n, i), &list[i]);
    name_schedules(n, list, count);
    d->triggers = list;
    d->trigger_count = (uint32_t)count;
}
