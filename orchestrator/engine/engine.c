/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's entrances: a start, any later event, and what is emitted once more after a
 * recovery. */
#include "orchestrator/engine/engine.h"

#include <stdlib.h>

#include "common/base/limits.h"
#include "common/base/mutant.h"
#include "orchestrator/engine/state.h"

static bool input_valid(const struct definition *def, struct bytes input, struct err *e)
{
    if (!def->input_schema) return true;
    AUTO_JSON *value = json_parse(input, e);
    return (value && schema_check(def->input_schema, value, e)) || err_prefix(e, "input");
}

bool run_start_valid(const struct run *run, struct err *e)
{
    struct bytes input = { .data = run->input, .len = run->input_len };
    if (run_depth(run) > CHILD_DEPTH_MAX)
        return err_fail(e, ERR_LIMIT, "child runs are nested deeper than %d", CHILD_DEPTH_MAX);
    return input_valid(run->def, input, e);
}

static void fail_run(struct fold *f, enum run_state state, const struct failure *failure)
{
    AUTO_BUF struct buf error = { 0 };
    failure_encode(f, &error, failure);
    run_finish(f, state, buf_bytes(&error));
}

/* The run as its start says it. ret_valid: whether it can begin; e says why not. */
static struct run *run_started(const struct definition *def, const struct event *ev,
                               const struct fold_context *cx, bool *ret_valid, struct err *e)
{
    const struct bytes texts[TEXT_COUNT] = { [TEXT_KEY] = ev->key,
                                             [TEXT_NAMESPACE] = ev->namespace_,
                                             [TEXT_ACTOR] = ev->actor,
                                             [TEXT_TRACEPARENT] = ev->traceparent };
    struct bytes input = ev->value.len ? ev->value : BYTES_LIT("null");
    struct run *run = run_new(def, ev->run_id, texts);
    AUTO_BUF struct buf own = { 0 };
    *ret_valid = true;
    if (ev->forked_from.data) {
        memcpy(run_aside(run)->forked_from, ev->forked_from.data, RUN_ID_MAX - 1);
        *ret_valid = seeds_start(run, input, &own, e);
        input = buf_bytes(&own);
    }
    run->logic = LOGIC_VERSION;
    run->started_ms = run->now_ms = cx->record_ms;
    run->input = bytes_dup(input);
    run->input_len = (uint32_t)input.len;
    run->changed |= RUN_NEW | RUN_SKELETON;
    run_set_parent(run, ev);
    if (ev->key.data) {
        run_aside(run)->policy = ev->policy;
        run->aside->start_off = cx->offset;
    }
    *ret_valid = *ret_valid && run_start_valid(run, e);
    return run;
}

static void refuse(struct fold *f, const struct err *e)
{
    struct failure failure = failure_of(ERROR_BAD_REQUEST, NO_INDEX, e);
    fail_run(f, RUN_FAILED, &failure);
}

struct run *engine_start(const struct definition *def, const struct event *ev,
                         const struct fold_context *cx, struct effects *fx)
{
    struct err e = { 0 };
    bool valid;
    struct run *run = run_started(def, ev, cx, &valid, &e);
    struct fold f = fold_begin(run, cx, fx);
    parent_tell_start(&f);
    if (valid) {
        run_move(&f, RUN_RUNNING, NULL);
        run_advance(&f);
    } else {
        refuse(&f, &e);
    }
    fold_end(&f);
    return run;
}

struct run *engine_start_waiting(const struct definition *def, const struct event *ev,
                                 const struct fold_context *cx, struct effects *fx)
{
    struct err e = { 0 };
    bool valid;
    struct run *run = run_started(def, ev, cx, &valid, &e);
    struct fold f = fold_begin(run, cx, fx);
    if (valid)
        run_move(&f, RUN_INITIALIZING, NULL);
    else
        refuse(&f, &e);
    fold_end(&f);
    return run;
}

struct run *engine_start_refused(const struct definition *def, const struct event *ev,
                                 const char *why, const struct fold_context *cx, struct effects *fx)
{
    struct err e = { 0 };
    bool valid;
    struct run *run = run_started(def, ev, cx, &valid, &e);
    struct fold f = fold_begin(run, cx, fx);
    err_fail(&e, ERR_LIMIT, "%s", why);
    refuse(&f, &e);
    fold_end(&f);
    return run;
}

/* It has waited for its turn; its time counts from here. */
static void begin(struct fold *f)
{
    struct run *run = f->run;
    if (run->state != RUN_INITIALIZING) return;
    run->started_ms = f->now_ms;
    run->changed |= RUN_NEW; /* the head is written again, with this time */
    run_move(f, RUN_RUNNING, NULL);
    scope_mark(run->root);
    run_advance(f);
}

/* Nothing is due before run_due_ms, so an early timer leaves no trace. */
static void timer(struct fold *f)
{
    struct run *run = f->run;
    if (f->now_ms < run->due_ms || run->state == RUN_INITIALIZING) return;
    if (f->now_ms >= run_deadline_ms(run)) {
        struct err e;
        err_fail(&e, ERR_TIMEOUT, "the run did not end within its timeout of %lld ms",
                 (long long)f->def->timeout_ms);
        struct failure failure = failure_of(ERROR_TIMEOUT, NO_INDEX, &e);
        failure.retryable = false;
        fail_run(f, RUN_FAILED, &failure);
        return;
    }
    if (run->state == RUN_PAUSED) return;
    timed_mark_due(run, f->now_ms);
    f->timer = f->expires = true;
    run_advance(f);
}

static void reissue_scope(struct fold *f, void *doubt_off)
{
    const struct scope_def *def = &f->def->scopes[f->scope->id];
    for (uint32_t i = 0; i < def->count; i++) {
        const struct step *s = f->scope->steps[i];
        if (s && s->state == STEP_STATE_ISSUED && s->issued_off >= *(int64_t *)doubt_off)
            step_reissue(f, def->steps[i]);
    }
}

/* A recovery has left them alone; who has them already drops them. From now on they are out because
 * of this event: a later recovery looks for them here, not where they were issued first. */
static void resume_scope(struct fold *f, void *unused)
{
    (void)unused;
    const struct scope_def *def = &f->def->scopes[f->scope->id];
    for (uint32_t i = 0; i < def->count; i++) {
        struct step *s = f->scope->steps[i];
        if (!s || s->state != STEP_STATE_ISSUED) continue;
        s->issued_off = f->cx->offset;
        step_touch(f, def->steps[i]);
        if (!MUTANT(RESUME_SILENT)) step_reissue(f, def->steps[i]);
    }
}

static void resume(struct fold *f)
{
    if (f->run->state != RUN_PAUSED) return;
    run_move(f, RUN_RUNNING, NULL);
    if (!run_rolls(f->run)) run_set_result(f, (struct bytes){ 0 });
    scopes_each(f, resume_scope, NULL);
    timed_mark_due(f->run, f->now_ms); /* what became due meanwhile */
    f->timer = true;
    run_advance(f);
}

void engine_pause(struct run *run, const char *why, const struct fold_context *cx,
                  struct effects *fx)
{
    if (!run_going(run)) return;
    struct fold f = fold_begin(run, cx, fx);
    struct failure failure = { .type = ERROR_INTERNAL, .step = NO_INDEX, .message = bytes_of(why) };
    AUTO_BUF struct buf error = { 0 };
    failure_encode(&f, &error, &failure);
    /* Why it rolls back is not to be forgotten. */
    if (!run_rolls(run)) run_set_result(&f, buf_bytes(&error));
    run_move(&f, RUN_PAUSED, error_type_name(failure.type));
    fold_end(&f);
}

/* An event of a run that is not over. */
static void apply_live(struct fold *f, const struct event *ev)
{
    switch (ev->type) {
    case EVENT_TASK_COMPLETED:
    case EVENT_TASK_FAILED:
    case EVENT_TASK_LOST: step_result(f, ev); break;
    case EVENT_RUN_CANCEL: run_cancel(f, ev); break;
    case EVENT_RUN_TERMINATE: run_terminate(f, ev); break;
    case EVENT_RUN_PAUSE: run_pause(f); break;
    case EVENT_RUN_RESUME: resume(f); break;
    case EVENT_TIMER_FIRED: timer(f); break;
    case EVENT_APPROVAL: approval_apply(f, ev); break;
    case EVENT_SIGNAL: signal_apply(f, ev); break;
    case EVENT_STEP_SKIP: step_skip(f, ev); break;
    case EVENT_RUN_SET_VARS: run_change_vars(f, ev); break;
    case EVENT_CHILD_STARTED:
    case EVENT_CHILD_FINISHED: child_apply(f, ev); break;
    case EVENT_RUN_BEGIN: begin(f); break;
    case EVENT_KEY_ASKED:
    case EVENT_KEY_RELEASED:
    case EVENT_RUN_SKIPPED:
    case EVENT_SCHEDULE_PAUSED:
    case EVENT_SCHEDULE_RESUMED:
    case EVENT_RUN_START:
    case EVENT_RUN_EXPIRED:
    case EVENT_RUN_RETRY:
    case EVENT_RUN_RERUN:
    case EVENT_OWNER_CLAIM:
    case EVENT_TYPE_COUNT: break;
    }
    if (f->touched && run_going(f->run)) run_advance(f);
}

enum engine_verdict engine_apply(struct run *run, const struct event *ev,
                                 const struct fold_context *cx, struct effects *fx)
{
    bool over = run_state_terminal((enum run_state)run->state);
    if (ev->type == EVENT_RUN_EXPIRED) {
        /* Of an earlier end, if the run was revived since and has ended again. */
        bool meant = !ev->due_ms || ev->due_ms == run->due_ms;
        return over && meant ? ENGINE_DELETED : ENGINE_IGNORED;
    }
    struct fold f = fold_begin(run, cx, fx);
    if (!over)
        apply_live(&f, ev);
    else if (event_type_is_result(ev->type))
        step_result(&f, ev);
    else if (ev->type == EVENT_RUN_RETRY)
        run_retry(&f);
    else if (ev->type == EVENT_RUN_RERUN)
        run_rerun(&f, ev->path);
    bool touched = f.touched;
    fold_end(&f);
    return touched ? ENGINE_APPLIED : ENGINE_IGNORED;
}

void engine_reissue(const struct run *run, int64_t doubt_off, const struct fold_context *cx,
                    struct effects *fx)
{
    /* A fold only reads the run until something is moved in it; nothing is here. */
    struct fold f = fold_begin((struct run *)(uintptr_t)run, cx, fx);
    if (run_state_terminal((enum run_state)run->state)) {
        if (run->finished_off >= doubt_off) {
            effect_result(&f);
            if (!MUTANT(CHILD_END)) parent_tell_end(&f);
        }
    } else if (run->state != RUN_PAUSED) {
        scopes_each(&f, reissue_scope, &doubt_off);
    }
    parent_tell_start(&f);
    closed_reissue(&f, doubt_off);
    ASSERT(!f.touched);
    fold_end(&f);
}
