/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading what happens to a run from outside: {at: DURATION, ACT: ..., fields of the act}. */
#include <stdlib.h>

#include "cli/trial/parts.h"

#define EVENTS_MAX 10000

static const char *const acts[] = {
#define X(name, text) [TRIAL_##name] = text,
    TRIAL_ACTS(X)
#undef X
};
static const char *const members[] = {
    [TRIAL_SIGNAL] = "at signal data",
    [TRIAL_APPROVE] = "at approve by roles comment values output",
    [TRIAL_REJECT] = "at reject by roles comment",
    [TRIAL_RETRY] = "at retry by roles comment",
    [TRIAL_CANCEL] = "at cancel compensate",
    [TRIAL_PAUSE] = "at pause",
    [TRIAL_RESUME] = "at resume",
};

const char *trial_act_name(enum trial_act act)
{
    return acts[act];
}

static bool find_act(const struct reader *r, const json_t *event, const char *pointer,
                     enum trial_act *ret)
{
    size_t found = 0;
    for (size_t i = 0; i < ARRAY_LEN(acts); i++) {
        if (!json_object_get(event, acts[i])) continue;
        *ret = (enum trial_act)i;
        found++;
    }
    if (found == 1) return true;
    AUTO_BUF struct buf names = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(acts); i++) buf_addf(&names, "%s%s", i ? ", " : "", acts[i]);
    return fault(r, pointer, "an event wants exactly one of %s", names.data);
}

static bool read_event(const struct reader *r, const json_t *event, const char *pointer,
                       struct trial_event *ret)
{
    uint32_t column;
    *ret = (struct trial_event){ .fields = event };
    positions_find(r->suite->positions, pointer, &ret->line, &column);
    if (!find_act(r, event, pointer, &ret->act)) return false;
    if (!suite_members(r, event, pointer, members[ret->act])) return false;
    const json_t *at = json_object_get(event, "at");
    const json_t *what = json_object_get(event, acts[ret->act]);
    ret->what = json_string_value(what);
    bool optional = ret->act >= TRIAL_CANCEL;
    if (!ret->what && !(optional && json_is_true(what)))
        return fault(r, pointer,
                     optional ? "%s is true, or the reason"
                              : "%s is the name of the signal or step",
                     acts[ret->act]);
    const json_t *roles = json_object_get(event, "roles");
    if (roles && !json_is_array(roles)) return fault(r, pointer, "roles is a list of names");
    const json_t *compensate = json_object_get(event, "compensate");
    if (compensate && !json_is_boolean(compensate))
        return fault(r, pointer, "compensate is true or false");
    return !at || suite_duration(r, at, pointer, &ret->at_ms);
}

/* Stable: events of one moment happen in the order of the file. */
static int by_time(const void *a, const void *b)
{
    const struct trial_event *x = a, *y = b;
    if (x->at_ms != y->at_ms) return x->at_ms < y->at_ms ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

bool suite_events(const struct reader *r, struct trial_case *c, const json_t *list)
{
    AUTO_FREE char *place = xasprintf("%s/events", c->pointer);
    size_t count = json_array_size(list);
    if (!list) return true;
    if (!json_is_array(list)) return fault(r, place, "events is a list");
    if (count > EVENTS_MAX) return fault(r, place, "more than %d events", EVENTS_MAX);
    c->events = xcalloc(count + 1, sizeof *c->events);
    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *pointer = xasprintf("%s/%zu", place, i);
        if (!read_event(r, json_array_get(list, i), pointer, &c->events[i])) return false;
    }
    c->event_count = count;
    qsort(c->events, count, sizeof *c->events, by_time);
    return true;
}
