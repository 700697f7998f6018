/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens to a run from outside, as events of the log. */
#include "cli/trial/parts.h"

static void add_member(json_t *object, const struct trial_event *ev, const char *name)
{
    json_t *value = json_object_get(ev->fields, name);
    if (value) json_object_set(object, name, value);
}

/* The value of the event; empty: null. */
static void write_value(const struct trial_event *ev, struct buf *ret)
{
    AUTO_JSON *value = NULL;
    switch (ev->act) {
    case TRIAL_SIGNAL: {
        json_t *data = json_object_get(ev->fields, "data");
        value = data ? json_incref(data) : json_null();
        break;
    }
    case TRIAL_APPROVE:
    case TRIAL_REJECT:
    case TRIAL_RETRY:
        value = json_pack("{s:s}", "decision", trial_act_name(ev->act));
        add_member(value, ev, "roles");
        add_member(value, ev, "comment");
        add_member(value, ev, "values");
        add_member(value, ev, "output");
        break;
    case TRIAL_CANCEL:
    case TRIAL_PAUSE:
        value = json_object();
        if (ev->what) json_object_set_new(value, "reason", json_string(ev->what));
        add_member(value, ev, "compensate");
        break;
    default: break;
    }
    if (value) json_write(ret, value);
}

void play_event(struct play *p, const struct trial_event *ev)
{
    static const enum event_type types[] = {
        [TRIAL_SIGNAL] = EVENT_SIGNAL,     [TRIAL_APPROVE] = EVENT_APPROVAL,
        [TRIAL_REJECT] = EVENT_APPROVAL,   [TRIAL_RETRY] = EVENT_APPROVAL,
        [TRIAL_CANCEL] = EVENT_RUN_CANCEL, [TRIAL_PAUSE] = EVENT_RUN_PAUSE,
        [TRIAL_RESUME] = EVENT_RUN_RESUME,
    };
    const char *by = json_text(ev->fields, "by");
    AUTO_BUF struct buf value = { 0 };
    write_value(ev, &value);
    struct event event = { .type = types[ev->act],
                           .actor = bytes_of(by ? by : "tester"),
                           .value = buf_bytes(&value) };
    if (ev->act == TRIAL_SIGNAL)
        event.signal = bytes_of(ev->what);
    else if (ev->act < TRIAL_CANCEL)
        event.path = bytes_of(ev->what);
    if (play_apply(p, &event) == ENGINE_APPLIED) return;
    bool step = ev->act == TRIAL_APPROVE || ev->act == TRIAL_REJECT || ev->act == TRIAL_RETRY;
    trial_problem_add(p->problems, ev->line, "the event %s had no effect%s%s%s",
                      trial_act_name(ev->act), step ? ": at that time nobody was asked by " : "",
                      step ? ev->what : "", step ? ", or this person may not answer" : "");
}
