/* SPDX-License-Identifier: Apache-2.0
 *
 * What people do to a run from outside: pause and resume it, end it, skip a step, set variables. */
#include "orchestrator/engine/state.h"

#include <stdlib.h>

/* --- ends --- */

static void failure_of_end(struct fold *f, const json_t *value, const char *what,
                           struct buf *ret_error)
{
    const char *reason = json_text(value, "reason");
    AUTO_FREE char *text = xasprintf("%s%s%s", what, reason ? ": " : "", reason ? reason : "");
    struct failure failure = { .type = ERROR_CANCELLED,
                               .step = NO_INDEX,
                               .message = bytes_of(text) };
    failure_encode(f, ret_error, &failure);
}

void run_cancel(struct fold *f, const struct event *ev)
{
    AUTO_JSON *value = ev->value.len ? json_parse(ev->value, NULL) : NULL;
    const char *reason = json_text(value, "reason");
    AUTO_BUF struct buf error = { 0 };
    struct failure failure = { .type = ERROR_CANCELLED,
                               .step = NO_INDEX,
                               .message =
                                   reason ? bytes_of(reason) : BYTES_LIT("the run was cancelled") };
    failure_encode(f, &error, &failure);
    if (!json_is_true(json_object_get(value, "compensate")) || f->run->state == RUN_INITIALIZING) {
        run_finish(f, RUN_CANCELLED, buf_bytes(&error));
        return;
    }
    if (run_rolls(f->run)) return; /* it does so already, and in the time that it has for that */
    run_roll_back(f, UNDO_CANCEL, buf_bytes(&error));
    if (f->run->state != RUN_PAUSED) run_advance(f);
}

void run_terminate(struct fold *f, const struct event *ev)
{
    AUTO_JSON *value = ev->value.len ? json_parse(ev->value, NULL) : NULL;
    AUTO_BUF struct buf error = { 0 };
    failure_of_end(f, value, "the run was terminated", &error);
    run_finish(f, RUN_CANCELLED, buf_bytes(&error));
}

/* --- a stop --- */

void run_pause(struct fold *f)
{
    if (run_going(f->run)) run_move(f, RUN_PAUSED, NULL);
}

/* --- a step, and variables --- */

/* What is open of it is ended. Without an output it is SKIPPED, with one it is as good as done. */
void step_skip(struct fold *f, const struct event *ev)
{
    const struct step_def *gone, *d = path_find(f, ev->path, &gone);
    if (d && !step_state_terminal(step_at(f, d->index))) {
        bool output = !bytes_is(ev->value, "null");
        if (step_at(f, d->index) == STEP_STATE_ISSUED) step_abandon(f, d->index);
        if (output || step_get(f, d->index))
            step_set_result(f, d->index, output ? ev->value : (struct bytes){ 0 });
        struct step *s =
            step_move(f, d->index, output ? STEP_STATE_COMPLETED : STEP_STATE_SKIPPED, NULL);
        if (!output) s->flags |= STEP_DECIDED;
        step_sweep_children(f, d->index, true);
        scope_mark(f->scope);
    }
    f->scope = f->run->root;
}

void run_change_vars(struct fold *f, const struct event *ev)
{
    struct err e;
    AUTO_JSON *more = json_parse(ev->value, NULL);
    if (json_is_object(more) && json_object_size(more) && merge_vars(f, more, &e))
        f->run->sets_vars = true; /* what reads them may read something else from now on */
}
