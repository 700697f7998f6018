/* SPDX-License-Identifier: Apache-2.0
 *
 * Undoing what was completed: the saga of H. Garcia-Molina and K. Salem ("Sagas", 1987). A step
 * with `compensate` that has completed by its own work is noted in the run; a rollback runs the
 * compensations of what is noted, the newest first and one at a time. They are steps like any
 * other: durable, retried, with results of their own. One that fails for good is passed, and the
 * error says so.
 *
 * A run rolls back as a whole (on_error: rollback, or a cancel that asks for it) and is over then;
 * or a step of type rollback does, back to a named step, and the run goes on behind it. The run
 * holds
 *
 *   [level, [index of a completed step, ...]]     in the order of completion */
#include "orchestrator/engine/state.h"

#include <stdlib.h>

#include "common/base/limits.h"
#include "common/base/mutant.h"

static void undo_changed(struct fold *f)
{
    f->run->changed |= RUN_UNDO;
    f->touched = true;
}

void undo_note(struct fold *f, uint32_t index)
{
    if (f->def->steps[index].compensate_block == NO_INDEX) return;
    struct aside *a = run_aside(f->run);
    if (a->undo_count == a->undo_cap) {
        a->undo_cap = a->undo_cap ? 2 * a->undo_cap : 8;
        a->undo = xrealloc(a->undo, a->undo_cap * sizeof *a->undo);
    }
    a->undo[a->undo_count++] = index;
    undo_changed(f);
}

bool undo_noted(const struct run *run, uint32_t index)
{
    const struct aside *a = run->aside;
    for (uint32_t i = 0; a && i < a->undo_count; i++)
        if (a->undo[i] == index) return true;
    return false;
}

void undo_forget(struct fold *f, uint32_t index)
{
    struct aside *a = f->run->aside;
    if (!undo_noted(f->run, index)) return;
    uint32_t at = 0;
    while (a->undo[at] != index) at++;
    memmove(&a->undo[at], &a->undo[at + 1], (--a->undo_count - at) * sizeof *a->undo);
    undo_changed(f);
}

void undo_encode(const struct run *run, struct buf *ret)
{
    const struct aside *a = run->aside;
    buf_addf(ret, "[%d,[", (int)a->undo_level);
    for (uint32_t i = 0; i < a->undo_count; i++) buf_addf(ret, "%s%u", i ? "," : "", a->undo[i]);
    buf_add_text(ret, "]]");
}

bool undo_load(struct run *run, struct bytes text, struct err *e)
{
    AUTO_JSON *all = json_parse(text, e);
    const json_t *level = json_array_get(all, 0), *list = json_array_get(all, 1);
    struct aside *a = run_aside(run);
    if (!all) return false;
    if (!json_is_integer(level) || json_integer_value(level) < UNDO_NONE ||
        json_integer_value(level) > UNDO_CANCEL || !json_is_array(list) ||
        json_array_size(list) > run->def->step_count)
        return err_fail(e, ERR_INVALID, "field u is damaged");
    a->undo_level = (enum undo_level)json_integer_value(level);
    a->undo_count = a->undo_cap = (uint32_t)json_array_size(list);
    a->undo = xcalloc(a->undo_cap + 1, sizeof *a->undo);
    for (uint32_t i = 0; i < a->undo_count; i++) {
        const json_t *index = json_array_get(list, i);
        json_int_t n = json_integer_value(index);
        if (!json_is_integer(index) || n < 0 || n >= run->def->step_count ||
            run->def->steps[n].compensate_block == NO_INDEX)
            return err_fail(e, ERR_INVALID, "field u is damaged");
        a->undo[MUTANT(UNDO_ORDER) ? a->undo_count - 1 - i : i] = (uint32_t)n;
    }
    return true;
}

/* Runs the compensations of what was noted from `from` on, the newest first. Whether all are over.
 */
static bool undo_run(struct fold *f, uint32_t from)
{
    struct aside *a = run_aside(f->run);
    uint32_t left = MUTANT(UNDO_SHORT) && a->undo_count > from;
    for (uint32_t i = a->undo_count - left; i > from; i--) {
        uint32_t at = MUTANT(UNDO_OLDEST) ? a->undo_count - i + from : i - 1;
        uint32_t block = f->def->steps[a->undo[at]].compensate_block;
        enum flow flow = block_run(f, block);
        if (flow == FLOW_BUSY) return false;
        if (flow == FLOW_FAILED) block_sweep(f, block);
    }
    return true;
}

/* The error at which a compensation has failed, or "null". */
static struct bytes undo_error(const struct fold *f, uint32_t index)
{
    const struct block_def *b = &f->def->blocks[f->def->steps[index].compensate_block];
    for (uint32_t i = 0; i < b->count; i++)
        if (step_at(f, b->steps[i]) == STEP_STATE_FAILED &&
            f->def->steps[b->steps[i]].on_error != ON_ERROR_CONTINUE)
            return step_error(f, b->steps[i]);
    return BYTES_LIT("null");
}

/* {"undone": [names], "failed": {name: error}}, the newest first; and they are noted no more. */
static json_t *undo_report(struct fold *f, uint32_t from)
{
    struct aside *a = run_aside(f->run);
    json_t *undone = json_array(), *failed = json_object();
    for (uint32_t i = a->undo_count; i > from; i--) {
        const char *name = f->def->steps[a->undo[i - 1]].name;
        struct bytes error = undo_error(f, a->undo[i - 1]);
        if (bytes_is(error, "null")) {
            json_array_append_new(undone, json_string(name));
            continue;
        }
        json_t *value = json_parse(error, NULL);
        json_object_set_new(failed, name, value ? value : json_null());
    }
    a->undo_count = MIN(a->undo_count, from);
    undo_changed(f);
    return json_pack("{s:o, s:o}", "undone", undone, "failed", failed);
}

/* --- a step that rolls back --- */

/* Where what it undoes begins: behind the step that `to` names, by the order of completion. */
static uint32_t undo_from(const struct fold *f, uint32_t index)
{
    const struct aside *a = f->run->aside;
    uint32_t to = f->def->steps[index].rollback_to;
    for (uint32_t i = 0; a && to != NO_INDEX && i < a->undo_count; i++)
        if (a->undo[i] == to) return i + 1;
    /* A step without compensation is no mark: what stands before it in the definition stays. */
    uint32_t from = 0;
    while (a && to != NO_INDEX && from < a->undo_count && a->undo[from] <= to) from++;
    return from;
}

void rollback_start(struct fold *f, uint32_t index)
{
    step_move(f, index, STEP_STATE_WAITING, NULL);
    run_aside(f->run)->undoing++;
}

void rollback_continue(struct fold *f, uint32_t index)
{
    uint32_t from = undo_from(f, index);
    if (!undo_run(f, from) || f->stop) return;
    AUTO_JSON *report = undo_report(f, from);
    AUTO_BUF struct buf output = { 0 };
    json_write(&output, report);
    step_complete(f, index, buf_bytes(&output));
}

/* --- a run that rolls back --- */

/* Compensations that are out were issued before the rollback began, be it in the same
 * millisecond (step_deadline_ms). */
static void keep_deadlines(struct fold *f, void *unused)
{
    (void)unused;
    const struct scope_def *def = &f->def->scopes[f->scope->id];
    for (uint32_t i = 0; i < def->count; i++) {
        struct step *s = f->scope->steps[i];
        if (!s || s->state != STEP_STATE_ISSUED || s->at_ms < f->run->finished_ms) continue;
        s->at_ms = f->run->finished_ms - 1;
        step_touch(f, def->steps[i]);
    }
}

/* Compensations have the time that a whole run has, from now on. */
void run_roll_back(struct fold *f, enum undo_level level, struct bytes error)
{
    AUTO_BUF struct buf copy = { 0 };
    buf_add(&copy, error.data, error.len);
    f->scope = f->run->root;
    run_sweep(f);
    run_set_result(f, buf_bytes(&copy));
    f->run->fallback = f->run->more = false;
    f->run->finished_ms = f->now_ms;
    scopes_each(f, keep_deadlines, NULL);
    run_aside(f->run)->undo_level = level;
    undo_changed(f);
    scope_mark(f->run->root);
}

/* What could not be undone stands in the error's details, beside those that it has. */
static void add_failures(struct bytes error, const json_t *report, struct buf *ret)
{
    AUTO_JSON *whole = json_parse(error, NULL);
    json_t *failed = json_object_get(report, "failed");
    if (json_is_object(whole) && json_object_size(failed)) {
        json_t *details = json_object_get(whole, "details");
        json_t *more = json_is_object(details) ? json_copy(details) : json_object();
        json_object_set(more, "compensation_failed", failed);
        json_object_set_new(whole, "details", more);
        json_write(ret, whole);
        return;
    }
    buf_add(ret, error.data, error.len);
}

void run_roll_on(struct fold *f)
{
    struct run *run = f->run;
    if (!undo_run(f, 0) || f->stop) return;
    bool cancelled = run->aside->undo_level == UNDO_CANCEL;
    AUTO_JSON *report = undo_report(f, 0);
    AUTO_BUF struct buf error = { 0 };
    add_failures((struct bytes){ .data = run->result, .len = run->result_len }, report, &error);
    /* Of a run that was cancelled nothing else says that it was undone. */
    if (!cancelled) run->aside->undo_level = UNDO_NONE;
    run_finish(f, cancelled ? RUN_CANCELLED : RUN_ROLLED_BACK, buf_bytes(&error));
}
