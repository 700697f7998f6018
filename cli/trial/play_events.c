/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens to a run from outside, as events of the log. */
#include <stdlib.h>

#include "cli/trial/parts.h"

static void cancel(struct play *p, const struct trial_event *ev)
{
    AUTO_JSON *value = json_pack("{s:s*}", "reason", ev->what);
    AUTO_BUF struct buf text = { 0 };
    json_write(&text, value);
    play_apply(p, &(struct event){ .type = EVENT_RUN_CANCEL,
                                   .actor = BYTES_LIT("test"),
                                   .value = buf_bytes(&text) });
}

static void pause_run(struct play *p, const struct trial_event *ev)
{
    const struct fold_context cx = play_context(p);
    engine_pause(p->run, ev->what ? ev->what : "paused by the test", &cx, &p->fx);
    play_collect(p);
}

void play_event(struct play *p, const struct trial_event *ev)
{
    switch (ev->act) {
    case TRIAL_CANCEL: cancel(p, ev); return;
    case TRIAL_PAUSE: pause_run(p, ev); return;
    case TRIAL_RESUME:
        play_apply(p, &(struct event){ .type = EVENT_RUN_RESUME, .actor = BYTES_LIT("test") });
        return;
    default:
        trial_problem_add(p->problems, ev->line, "%s: this version knows no such event",
                          trial_act_name(ev->act));
        p->stuck = true;
    }
}
