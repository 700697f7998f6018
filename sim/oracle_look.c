/* SPDX-License-Identifier: Apache-2.0
 *
 * What people can see of the runs: the fold of the log as far as it goes, which is what a status
 * would show a moment later. */
#include "orchestrator/engine/state.h"
#include "sim/oracle_internal.h"

struct looking {
    void (*fn)(void *user, const struct look *look);
    void *user;
    struct look at;
};

static void tell(struct looking *l, enum sight sight, const struct step_def *step,
                 struct bytes path, bool escalated)
{
    l->at.sight = sight;
    l->at.step = step;
    l->at.path = path;
    l->at.escalated = escalated;
    l->fn(l->user, &l->at);
}

static void look_at_scope(struct fold *f, void *looking)
{
    const struct scope_def *def = &f->def->scopes[f->scope->id];
    for (uint32_t i = 0; i < def->count; i++) {
        const struct step_def *d = &f->def->steps[def->steps[i]];
        const struct step *s = f->scope->steps[i];
        if (!s || step_state_terminal((enum step_state)s->state)) continue;
        struct bytes path = step_path(f, d->index);
        bool waits = s->state == STEP_STATE_WAITING && !s->handler;
        ((struct looking *)looking)->at.asked =
            (struct bytes){ .data = s->payload, .len = s->payload_len };
        if (s->flags & STEP_ASKING)
            tell(looking, SIGHT_ASKS, d, path, s->flags & STEP_ESCALATED);
        else if (waits && d->kind == STEP_WAIT && d->signal)
            tell(looking, SIGHT_SIGNAL, d, path, false);
        tell(looking, SIGHT_STEP, d, path, false);
    }
}

void oracle_look(struct world *w, void (*fn)(void *user, const struct look *look), void *user)
{
    struct looking l = { .fn = fn, .user = user };
    for (size_t p = 0; p < w->oracle->part_count; p++) {
        size_t pos = 0;
        for (struct shadow_run *run; (run = map_next(&w->oracle->parts[p].runs, &pos));) {
            if (run->ended || !run->run) continue;
            l.at = (struct look){ .run_id = run->id, .def = run->run->def };
            tell(&l, SIGHT_RUN, NULL, (struct bytes){ 0 }, false);
            if (run->run->state == RUN_PAUSED)
                tell(&l, SIGHT_PAUSED, NULL, (struct bytes){ 0 }, false);
            struct fold_context cx = { .gen = "" };
            struct fold f = fold_begin(run->run, &cx, NULL); /* nothing is moved in it */
            scopes_each(&f, look_at_scope, &l);
            fold_release(&f);
        }
    }
}
