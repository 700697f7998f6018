/* SPDX-License-Identifier: Apache-2.0
 *
 * How a run goes on. After every event one pass walks the tree of blocks from the top, past what is
 * settled, and starts in definition order whatever can be started; where the run stands follows
 * from the states of the steps alone. Of maps and loops it enters only instances that were marked.
 * A pass costs a look at each live block of those, and the nesting of the walk is bounded by
 * DEFINITION_DEPTH_MAX. */
#include "orchestrator/engine/state.h"

#include <stdlib.h>

#include "common/base/limits.h"

/* --- ending what is open --- */

void step_abandon(struct fold *f, uint32_t index)
{
    if (f->def->steps[index].kind == STEP_WORKFLOW)
        child_close(f, index);
    else
        step_cancel_task(f, index);
}

void step_sweep(struct fold *f, uint32_t index)
{
    enum step_state state = step_at(f, index);
    if (step_state_terminal(state)) return;
    if (state == STEP_STATE_ISSUED) step_abandon(f, index);
    step_move(f, index, state == STEP_STATE_PENDING ? STEP_STATE_SKIPPED : STEP_STATE_CANCELLED,
              NULL);
    step_sweep_children(f, index, true);
}

void block_sweep(struct fold *f, uint32_t block)
{
    const struct block_def *b = &f->def->blocks[block];
    for (uint32_t i = 0; i < b->count; i++) step_sweep(f, b->steps[i]);
}

void step_sweep_children(struct fold *f, uint32_t index, bool handlers_too)
{
    const struct step_def *d = &f->def->steps[index];
    for (uint32_t i = 0; i < d->branch_count; i++) block_sweep(f, d->branches[i]);
    for (uint32_t i = 0; i < d->case_count; i++) block_sweep(f, d->cases[i].block);
    if (d->body_scope != NO_INDEX) repeat_drop(f, index);
    if (d->reduce_block != NO_INDEX) block_sweep(f, d->reduce_block);
    for (uint32_t i = 0; i < d->choice_count; i++) block_sweep(f, d->choices[i].block);
    if (!handlers_too) return;
    for (uint32_t i = 0; i < d->catch_count; i++) block_sweep(f, d->catches[i].block);
    if (d->fallback_block != NO_INDEX) block_sweep(f, d->fallback_block);
}

/* --- conditions and vars --- */

void fail_expression(struct fold *f, uint32_t index, const struct err *e)
{
    struct failure failure = failure_of(ERROR_EXPRESSION, index, e);
    step_fail_with(f, index, &failure);
}

bool condition_holds(struct fold *f, uint32_t index, const struct cel *condition, const char *what,
                     bool *ret, struct err *e)
{
    struct template_env env = names_env(f, index);
    json_t *value = NULL;
    if (!cel_eval(condition, &env.cel, &value, e)) return err_prefix(e, "%s", what);
    AUTO_JSON *owned = value;
    if (!json_is_boolean(owned))
        return err_fail(e, ERR_INVALID, "%s: the value is not a bool (true or false)", what);
    *ret = json_is_true(owned);
    return true;
}

bool merge_vars(struct fold *f, json_t *more, struct err *e)
{
    json_t *vars;
    if (!names_vars(f, &vars, e)) return false;
    AUTO_JSON *merged = json_copy(vars);
    int r = json_object_update(merged, more);
    ASSERT(r == 0);
    AUTO_BUF struct buf text = { 0 };
    json_write(&text, merged);
    if (text.len > fold_payload_max(f))
        return err_fail(e, ERR_LIMIT, "the run's vars have %zu bytes, the limit is %zu", text.len,
                        fold_payload_max(f));
    run_set_vars(f, buf_bytes(&text));
    return true;
}

static void set_run(struct fold *f, uint32_t index)
{
    struct template_env env = names_env(f, index);
    struct err e = { 0 };
    json_t *value = NULL;
    bool ok = template_eval_json(f->def->steps[index].value, &env, &value, &e);
    AUTO_JSON *vars = value;
    if (ok && !json_is_object(vars)) ok = err_fail(&e, ERR_INVALID, "vars: not an object");
    if (ok) ok = merge_vars(f, vars, &e);
    if (!ok) {
        step_fail_evaluation(f, index, &e);
        return;
    }
    AUTO_BUF struct buf output = { 0 };
    json_write(&output, vars);
    step_complete(f, index, buf_bytes(&output));
}

/* --- conditional --- */

static void conditional_start(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    struct err e = { 0 };
    uint32_t choice = 0;
    for (; choice < d->case_count; choice++) {
        bool holds = true;
        if (d->cases[choice].when &&
            !condition_holds(f, index, d->cases[choice].when, "when", &holds, &e)) {
            fail_expression(f, index, &e);
            return;
        }
        if (holds) break;
    }
    if (choice == d->case_count) {
        step_complete(f, index, BYTES_LIT("null"));
        return;
    }
    step_move(f, index, STEP_STATE_WAITING, NULL)->choice = choice + 1;
    for (uint32_t i = 0; i < d->case_count; i++)
        if (i != choice) block_sweep(f, d->cases[i].block);
}

void block_follow(struct fold *f, uint32_t index, uint32_t block)
{
    enum flow flow = block_run(f, block);
    if (flow == FLOW_BUSY) return;
    AUTO_BUF struct buf copy = { 0 };
    struct bytes result = flow == FLOW_DONE ? block_output(f, block) : step_error(f, f->failed);
    buf_add(&copy, result.data, result.len);
    if (flow == FLOW_DONE)
        step_complete(f, index, buf_bytes(&copy));
    else
        step_fail(f, index, buf_bytes(&copy));
}

static void conditional_continue(struct fold *f, uint32_t index)
{
    uint32_t choice = step_get(f, index)->choice;
    ASSERT(choice >= 1 && choice <= f->def->steps[index].case_count);
    block_follow(f, index, f->def->steps[index].cases[choice - 1].block);
}

/* --- parallel --- */

struct branches {
    uint32_t active, done, failed;
    uint32_t first_failed; /* the failed step of the first failed branch */
};

static bool block_begun(const struct fold *f, uint32_t block)
{
    const struct block_def *b = &f->def->blocks[block];
    bool begun = b->count == 0;
    for (uint32_t i = 0; i < b->count && !begun; i++) {
        begun = step_at(f, b->steps[i]) != STEP_STATE_PENDING;
        if (!b->graph) break;
    }
    return begun;
}

/* Whether a block has failed, by the states alone; *ret_step: at which step. */
static bool block_failed(const struct fold *f, uint32_t block, uint32_t *ret_step)
{
    const struct block_def *b = &f->def->blocks[block];
    for (uint32_t i = 0; i < b->count; i++) {
        const struct step_def *d = &f->def->steps[b->steps[i]];
        if (step_at(f, d->index) == STEP_STATE_FAILED && d->on_error != ON_ERROR_CONTINUE) {
            *ret_step = d->index;
            return true;
        }
    }
    return false;
}

/* {branch: output of its last step (null where it was cancelled), or {"error": ...}} */
static void parallel_output(const struct fold *f, uint32_t index, struct buf *ret)
{
    const struct step_def *d = &f->def->steps[index];
    buf_add_char(ret, '{');
    for (uint32_t i = 0; i < d->branch_count; i++) {
        const struct block_def *b = &f->def->blocks[d->branches[i]];
        uint32_t failed;
        if (i) buf_add_char(ret, ',');
        buf_add_json_string(ret, b->name, strlen(b->name));
        buf_add_char(ret, ':');
        bool error = block_failed(f, d->branches[i], &failed);
        struct bytes value = error ? step_error(f, failed) : block_output(f, d->branches[i]);
        if (error) buf_add_text(ret, "{\"error\":");
        buf_add(ret, value.data, value.len);
        if (error) buf_add_char(ret, '}');
    }
    buf_add_char(ret, '}');
}

static void parallel_complete(struct fold *f, uint32_t index)
{
    AUTO_BUF struct buf output = { 0 };
    parallel_output(f, index, &output);
    step_complete(f, index, buf_bytes(&output));
}

static void parallel_fail(struct fold *f, uint32_t index, uint32_t failed)
{
    struct bytes error = step_error(f, failed);
    AUTO_BUF struct buf copy = { 0 };
    buf_add(&copy, error.data, error.len);
    step_fail(f, index, buf_bytes(&copy));
}

static void parallel_continue(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    struct branches n = { .first_failed = NO_INDEX };
    for (uint32_t i = 0; i < d->branch_count && n.done < d->join_count; i++) {
        bool full = d->max_concurrent && n.active >= d->max_concurrent;
        if (full && !block_begun(f, d->branches[i])) {
            n.active++; /* not yet active, but not ended either */
            continue;
        }
        enum flow flow = block_run(f, d->branches[i]);
        if (f->stop) return;
        n.active += flow == FLOW_BUSY;
        n.done += flow == FLOW_DONE;
        n.failed += flow == FLOW_FAILED;
        if (flow != FLOW_FAILED) continue;
        if (n.first_failed == NO_INDEX) n.first_failed = f->failed;
        /* As soon as the join can no longer be reached. */
        if (d->fail_fast && n.failed + d->join_count > d->branch_count) {
            parallel_fail(f, index, n.first_failed);
            return;
        }
    }
    if (n.done >= d->join_count)
        parallel_complete(f, index);
    else if (n.done + n.failed < d->branch_count)
        return;
    else if (n.failed == 0 || (d->join == JOIN_ALL && !d->fail_fast))
        parallel_complete(f, index); /* collect: failures are part of the output */
    else
        parallel_fail(f, index, n.first_failed);
}

/* --- small kinds --- */

/* The value of a transform; of a return, for which nothing stands for the output of the step
 * before. false: the step has failed. */
static bool evaluate_value(struct fold *f, uint32_t index, struct buf *ret)
{
    const struct step_def *d = &f->def->steps[index];
    struct err e = { 0 };
    if (!d->value) {
        const struct step_def *before = definition_before(f->def, index);
        struct bytes output = before ? step_output(f, before->index) : BYTES_LIT("null");
        buf_add(ret, output.data, output.len);
        return true;
    }
    struct template_env env = names_env(f, index);
    if (template_eval(d->value, &env, fold_payload_max(f), ret, &e)) return true;
    err_prefix(&e, d->kind == STEP_RETURN ? "output" : "value");
    step_fail_evaluation(f, index, &e);
    return false;
}

static void transform_run(struct fold *f, uint32_t index)
{
    AUTO_BUF struct buf value = { 0 };
    if (evaluate_value(f, index, &value)) step_complete(f, index, buf_bytes(&value));
}

static void return_run(struct fold *f, uint32_t index)
{
    AUTO_BUF struct buf value = { 0 };
    if (!evaluate_value(f, index, &value)) return;
    step_complete(f, index, buf_bytes(&value));
    if (step_at(f, index) != STEP_STATE_COMPLETED) return;
    buf_reset(&f->returned);
    buf_add(&f->returned, value.data, value.len);
    f->stop = STOP_RETURN;
}

/* {"type", "message", "details"}, all but the message optional. */
static void fail_run(struct fold *f, uint32_t index)
{
    struct template_env env = names_env(f, index);
    struct err e = { 0 };
    json_t *value = NULL;
    if (!template_eval_json(f->def->steps[index].value, &env, &value, &e)) {
        err_prefix(&e, "error");
        step_fail_evaluation(f, index, &e);
        return;
    }
    AUTO_JSON *error = value;
    AUTO_BUF struct buf details = { 0 }, message = { 0 };
    const char *type = json_text(error, "type");
    const json_t *more = json_object_get(error, "details"),
                 *text = json_object_get(error, "message");
    struct failure failure = { .type = ERROR_REJECTED, .step = index };
    if (type && !error_type_find(bytes_of(type), &failure.type)) failure.type = ERROR_REJECTED;
    if (more && !json_is_null(more)) json_write(&details, more);
    if (json_is_string(text))
        buf_add(&message, json_string_value(text), json_string_length(text));
    else if (text)
        json_write(&message, text);
    failure.message = buf_bytes(&message);
    failure.details = buf_bytes(&details);
    step_fail_with(f, index, &failure);
}

/* --- steps and blocks --- */

/* Whether the run may begin one more step; else it ends. */
static bool step_counts(struct fold *f)
{
    if (f->run->begun >= f->def->max_steps) {
        f->stop = STOP_STEPS;
        return false;
    }
    f->run->begun++;
    f->work++;
    return true;
}

void limit_start(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    struct step *s = step_get(f, index);
    bool holds = d->kind == STEP_PARALLEL || d->kind == STEP_MAP || d->kind == STEP_CONDITIONAL ||
                 d->kind == STEP_LOOP;
    if (!holds || !d->timeout_ms || s->state != STEP_STATE_WAITING || s->handler) return;
    s->at_ms = f->now_ms + d->timeout_ms;
    timed_update(f->run, step_scope(f, index), index, s);
}

static void limit_reached(struct fold *f, uint32_t index)
{
    struct err e;
    err_fail(&e, ERR_TIMEOUT, "it did not end within its timeout of %lld ms",
             (long long)f->def->steps[index].timeout_ms);
    struct failure failure = failure_of(ERROR_TIMEOUT, index, &e);
    step_fail_with(f, index, &failure);
}

static void step_start(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    struct err e = { 0 };
    bool holds = true;
    if (seed_step(f, index)) return;
    if (d->condition && !condition_holds(f, index, d->condition, "if", &holds, &e)) {
        fail_expression(f, index, &e);
        return;
    }
    if (!holds) {
        step_move(f, index, STEP_STATE_SKIPPED, NULL)->flags |= STEP_DECIDED;
        step_sweep_children(f, index, true);
        return;
    }
    if (!step_counts(f)) return;
    switch (d->kind) {
    case STEP_SET: set_run(f, index); break;
    case STEP_TRANSFORM: transform_run(f, index); break;
    case STEP_RETURN: return_run(f, index); break;
    case STEP_FAIL: fail_run(f, index); break;
    case STEP_PARALLEL: step_move(f, index, STEP_STATE_WAITING, NULL); break;
    case STEP_CONDITIONAL: conditional_start(f, index); break;
    case STEP_MAP: map_start(f, index); break;
    case STEP_LOOP: loop_start(f, index); break;
    case STEP_APPROVAL: approval_start(f, index); break;
    case STEP_ROLLBACK: rollback_start(f, index); break;
    case STEP_WORKFLOW: child_issue(f, index); break;
    case STEP_WAIT: wait_start(f, index); break;
    case STEP_TASK:
    case STEP_LLM:
    case STEP_HTTP:
    case STEP_EXEC:
    case STEP_WEBHOOK:
    case STEP_EMIT:
    case STEP_ROUTER: step_issue(f, index, false); break;
    case STEP_KIND_COUNT: ASSERT(false); break;
    }
    limit_start(f, index);
}

static uint8_t handler_of(const struct fold *f, uint32_t index)
{
    const struct step *s = step_get(f, index);
    return s ? s->handler : 0;
}

/* What a step that is WAITING waits for may have come. (A task waits for a slot, and is issued when
 * it is its turn.) */
static void step_continue(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    const struct step *s = step_get(f, index);
    if (s->handler)
        block_follow(f, index, step_handler(d, s));
    else if (s->flags & STEP_ASKING)
        return;
    else if (d->kind == STEP_PARALLEL)
        parallel_continue(f, index);
    else if (d->kind == STEP_CONDITIONAL)
        conditional_continue(f, index);
    else if (d->kind == STEP_MAP)
        map_continue(f, index);
    else if (d->kind == STEP_LOOP)
        loop_continue(f, index);
    else if (d->kind == STEP_ROUTER && s->choice)
        router_continue(f, index);
    else if (d->kind == STEP_ROLLBACK)
        rollback_continue(f, index);
}

/* The time has come for which a step was WAITING. */
static void waited(struct fold *f, uint32_t index)
{
    if (step_get(f, index)->flags & STEP_ASKING)
        approval_timed_out(f, index);
    else if (f->def->steps[index].kind == STEP_WAIT)
        wait_ended(f, index);
    else
        limit_reached(f, index);
}

/* What time does to a step. */
static void step_time(struct fold *f, uint32_t index)
{
    const struct step *s = step_get(f, index);
    const struct step_def *d = &f->def->steps[index];
    if (s->state == STEP_STATE_ISSUED && f->expires &&
        step_backstop_ms(f->run, d, s) <= f->now_ms) {
        if (d->kind == STEP_WORKFLOW)
            child_timed_out(f, index);
        else
            step_timed_out(f, index);
    }
    if (s->state == STEP_STATE_BACKOFF && s->at_ms <= f->now_ms) step_issue(f, index, false);
    if (s->state == STEP_STATE_WAITING && s->at_ms && s->at_ms <= f->now_ms) waited(f, index);
}

static enum flow step_flow(const struct step_def *d, enum step_state state)
{
    switch (state) {
    case STEP_STATE_COMPLETED:
    case STEP_STATE_SKIPPED: return FLOW_DONE;
    case STEP_STATE_FAILED: return d->on_error == ON_ERROR_CONTINUE ? FLOW_DONE : FLOW_FAILED;
    default: return FLOW_BUSY;
    }
}

static enum flow step_run(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    enum step_state state = step_at(f, index);
    if (state == STEP_STATE_COMPLETED) return FLOW_DONE;
    if (state == STEP_STATE_PENDING)
        step_start(f, index);
    else if (f->timer)
        step_time(f, index);
    /* A second turn is only needed for the handler of what has just failed. */
    for (int turn = 0; turn < 2 && step_at(f, index) == STEP_STATE_WAITING; turn++) {
        uint8_t before = handler_of(f, index);
        step_continue(f, index);
        if (f->stop || before == handler_of(f, index)) break;
    }
    return f->stop ? FLOW_BUSY : step_flow(d, step_at(f, index));
}

/* Whether what a step of a graph needs has ended well. */
static bool needs_met(const struct fold *f, const struct step_def *d)
{
    for (uint32_t i = 0; i < d->need_count; i++) {
        const struct step_def *need = &f->def->steps[d->needs[i]];
        enum step_state state = step_at(f, need->index);
        bool well = state == STEP_STATE_COMPLETED || state == STEP_STATE_SKIPPED ||
                    (state == STEP_STATE_FAILED && need->on_error == ON_ERROR_CONTINUE);
        if (!well) return false;
    }
    return true;
}

/* Steps stand in any order, so what one of them allows may stand before it: again until nothing
 * moves any more. */
static enum flow graph_run(struct fold *f, const struct block_def *b)
{
    bool moved, busy;
    do {
        moved = busy = false;
        for (uint32_t i = 0; i < b->count; i++) {
            const struct step_def *d = &f->def->steps[b->steps[i]];
            enum step_state before = step_at(f, d->index);
            enum flow flow = FLOW_BUSY;
            if (before != STEP_STATE_PENDING || needs_met(f, d)) flow = step_run(f, d->index);
            if (f->stop) return FLOW_BUSY;
            if (flow == FLOW_FAILED) {
                f->failed = d->index;
                return flow;
            }
            busy |= flow == FLOW_BUSY;
            moved |= step_at(f, d->index) != before;
        }
    } while (moved && busy);
    return busy ? FLOW_BUSY : FLOW_DONE;
}

enum flow block_run(struct fold *f, uint32_t block)
{
    const struct block_def *b = &f->def->blocks[block];
    if (b->graph) return graph_run(f, b);
    for (uint32_t i = 0; i < b->count; i++) {
        enum flow flow = step_run(f, b->steps[i]);
        if (flow == FLOW_FAILED) f->failed = b->steps[i];
        if (flow != FLOW_DONE) return flow;
    }
    return FLOW_DONE;
}

/* --- the run --- */

void run_sweep(struct fold *f)
{
    f->scope = f->run->root;
    if (f->def->block_count) block_sweep(f, 0);
    if (f->def->on_error == ON_ERROR_FALLBACK) block_sweep(f, f->def->fallback_block);
}

/* A compensation that is under way goes on while the run does. */
static void undo_sweep(struct fold *f)
{
    for (uint32_t i = 0; i < f->def->step_count; i++)
        if (f->def->steps[i].compensate_block != NO_INDEX)
            block_sweep(f, f->def->steps[i].compensate_block);
}

void run_finish(struct fold *f, enum run_state state, struct bytes result)
{
    struct run *run = f->run;
    char why[32];
    bool completed = state == RUN_COMPLETED;
    if (!completed) failure_type(result, why);
    run_sweep(f);
    undo_sweep(f);
    run_set_result(f, result);
    run->fallback = run->more = false;
    run->finished_ms = f->now_ms;
    run->finished_off = f->cx->offset;
    run_move(f, state, completed ? NULL : why);
    effect_result(f);
    parent_tell_end(f);
}

/* The flow of the run has failed: its fallback begins, or it is FAILED. */
static void run_failed(struct fold *f, struct bytes error)
{
    AUTO_BUF struct buf copy = { 0 };
    buf_add(&copy, error.data, error.len);
    if (f->def->on_error == ON_ERROR_ROLLBACK) {
        run_roll_back(f, UNDO_ERROR, buf_bytes(&copy));
    } else if (f->def->on_error == ON_ERROR_FALLBACK && !f->run->fallback) {
        block_sweep(f, 0);
        run_set_result(f, buf_bytes(&copy));
        f->run->fallback = true;
    } else {
        run_finish(f, RUN_FAILED, buf_bytes(&copy));
    }
}

static void run_complete(struct fold *f)
{
    AUTO_BUF struct buf output = { 0 };
    struct err e = { 0 };
    if (!f->def->output) {
        struct bytes last = block_output(f, 0);
        buf_add(&output, last.data, last.len);
        run_finish(f, RUN_COMPLETED, buf_bytes(&output));
        return;
    }
    struct template_env env = names_env(f, NO_INDEX);
    if (template_eval(f->def->output, &env, fold_payload_max(f), &output, &e)) {
        run_finish(f, RUN_COMPLETED, buf_bytes(&output));
        return;
    }
    err_prefix(&e, "output");
    struct failure failure =
        failure_of(e.kind == ERR_LIMIT ? ERROR_BAD_REQUEST : ERROR_EXPRESSION, NO_INDEX, &e);
    buf_reset(&output);
    failure_encode(f, &output, &failure);
    run_failed(f, buf_bytes(&output));
}

static void run_pass(struct fold *f)
{
    f->run->root->dirty = false;
    f->visited++;
    if (f->run->aside && f->run->aside->undo_level) {
        run_roll_on(f);
        return;
    }
    if (!f->run->fallback) {
        enum flow flow = block_run(f, 0);
        if (flow == FLOW_DONE) run_complete(f);
        if (flow == FLOW_FAILED) run_failed(f, step_error(f, f->failed));
    }
    if (!f->run->fallback || f->stop) return;
    enum flow flow = block_run(f, f->def->fallback_block);
    if (flow == FLOW_FAILED) run_failed(f, step_error(f, f->failed));
    if (flow != FLOW_DONE) return;
    AUTO_BUF struct buf output = { 0 };
    struct bytes last = block_output(f, f->def->fallback_block);
    buf_add(&output, last.data, last.len);
    run_finish(f, RUN_COMPLETED, buf_bytes(&output));
}

/* A pass was left in the middle: the run ends. */
static void run_stop(struct fold *f)
{
    enum stop stop = f->stop;
    f->stop = STOP_NOT;
    if (stop == STOP_RETURN || stop == STOP_UNDO) {
        if (stop == STOP_RETURN)
            run_finish(f, RUN_COMPLETED, buf_bytes(&f->returned));
        else
            run_roll_back(f, UNDO_ERROR, buf_bytes(&f->returned));
        return;
    }
    struct err e;
    err_fail(&e, ERR_LIMIT, "the run has begun %u steps, which is its limit (limits.max_steps)",
             f->run->begun);
    struct failure failure = failure_of(ERROR_BUDGET_EXCEEDED, NO_INDEX, &e);
    AUTO_BUF struct buf error = { 0 };
    failure_encode(f, &error, &failure);
    run_finish(f, RUN_FAILED, buf_bytes(&error));
}

static enum run_state state_of_going(const struct aside *a)
{
    if (a && (a->undoing || a->undo_level)) return RUN_ROLLING_BACK;
    return a && a->asked ? RUN_WAITING_APPROVAL : RUN_RUNNING;
}

/* Slots that are free go to what has waited longest. A step that could not be issued then has
 * failed, and another pass is needed. */
void run_advance(struct fold *f)
{
    struct run *run = f->run;
    while (run_going(run) && run->root->dirty && !f->yielded) {
        run_pass(f);
        if (f->stop) run_stop(f);
        if (run_going(run)) queue_serve(f);
    }
    if (!run_going(run)) return;
    enum run_state now = state_of_going(run->aside);
    if (run->state != now) run_move(f, now, NULL);
    if (run->more == f->yielded) return;
    run->more = f->yielded;
    f->touched = true;
}
