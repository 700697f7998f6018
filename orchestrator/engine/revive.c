/* SPDX-License-Identifier: Apache-2.0
 *
 * A run that has ended goes on: run.retry begins again what failed or was cut off, run.rerun a step
 * and all that came after it. What has completed otherwise stays as it is. Nothing is taken back in
 * the log or in the history: a step that is done again goes on counting its attempts, so that no
 * task has the id of an earlier one, and it has as many of them as at first.
 *
 * For that the end of a run, and of a step, leaves what is needed: a step knows whether it was
 * SKIPPED by decision or because all else ended (STEP_DECIDED), and a map or loop that failed keeps
 * what it repeated (STEP_HELD). Which case of a conditional or choice of a router was taken follows
 * from what has left PENDING in it, so that neither a condition nor a model is asked twice. */
#include "orchestrator/engine/state.h"

#include <stdlib.h>

#include "common/base/limits.h"

void step_blocks_each(struct fold *f, const struct step_def *d, bool handlers,
                      void (*fn)(struct fold *f, uint32_t block))
{
    for (uint32_t i = 0; i < d->branch_count; i++) fn(f, d->branches[i]);
    for (uint32_t i = 0; i < d->case_count; i++) fn(f, d->cases[i].block);
    for (uint32_t i = 0; i < d->choice_count; i++) fn(f, d->choices[i].block);
    if (d->reduce_block != NO_INDEX) fn(f, d->reduce_block);
    if (!handlers) return;
    for (uint32_t i = 0; i < d->catch_count; i++) fn(f, d->catches[i].block);
    if (d->fallback_block != NO_INDEX) fn(f, d->fallback_block);
}

/* --- from the beginning --- */

static void block_reset(struct fold *f, uint32_t block);

static void body_let_go(struct fold *f, uint32_t index)
{
    struct step *s = step_get(f, index);
    if (!(s->flags & STEP_HELD)) return;
    struct body *b = TAKE(s->body);
    s->flags &= (uint8_t)~STEP_HELD;
    step_set_payload(f, index, (struct bytes){ 0 });
    body_drop(f->run, b);
}

/* In a run that has ended nothing goes on, unless its stored form was damaged. */
static void end_stray(struct fold *f, uint32_t index)
{
    if (!step_state_terminal(step_at(f, index))) step_sweep(f, index);
}

/* The step, and all within it, is as if it had not begun, but for its attempts. */
static void step_reset(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    enum step_state state = step_at(f, index);
    if (state == STEP_STATE_COMPLETED) undo_forget(f, index);
    if (state != STEP_STATE_PENDING) {
        end_stray(f, index);
        body_let_go(f, index);
        step_reopen(f, index, STEP_STATE_PENDING);
        /* Its items and iterations will have the paths of those that are gone. */
        if (d->body_scope != NO_INDEX) f->run->floor = f->run->top;
    }
    step_blocks_each(f, d, true, block_reset);
}

static void block_reset(struct fold *f, uint32_t block)
{
    const struct block_def *b = &f->def->blocks[block];
    for (uint32_t i = 0; i < b->count; i++) step_reset(f, b->steps[i]);
}

/* --- from what failed --- */

static void block_revive(struct fold *f, uint32_t block);

/* Whether the flow has passed the step. */
static bool step_settled(const struct fold *f, uint32_t index)
{
    const struct step *s = step_get(f, index);
    if (!s) return false;
    return s->state == STEP_STATE_COMPLETED || s->flags & STEP_DECIDED ||
           (s->state == STEP_STATE_FAILED && f->def->steps[index].on_error == ON_ERROR_CONTINUE);
}

/* Whether the flow has come to some step of it. */
static bool block_entered(const struct fold *f, uint32_t block)
{
    const struct block_def *b = &f->def->blocks[block];
    for (uint32_t i = 0; i < b->count; i++) {
        const struct step *s = step_get(f, b->steps[i]);
        bool swept = s && s->state == STEP_STATE_SKIPPED && !(s->flags & STEP_DECIDED);
        if (s && s->state != STEP_STATE_PENDING && !swept) return true;
    }
    return false;
}

/* 1 + the number of the case or choice that was taken; 0: none was, or it is of another kind. */
static uint32_t choice_made(const struct fold *f, const struct step_def *d)
{
    for (uint32_t i = 0; d->kind == STEP_CONDITIONAL && i < d->case_count; i++)
        if (block_entered(f, d->cases[i].block)) return i + 1;
    for (uint32_t i = 0; d->kind == STEP_ROUTER && i < d->choice_count; i++)
        if (block_entered(f, d->choices[i].block)) return i + 1;
    return 0;
}

static bool branches_entered(const struct fold *f, const struct step_def *d)
{
    for (uint32_t i = 0; d->kind == STEP_PARALLEL && i < d->branch_count; i++)
        if (block_entered(f, d->branches[i])) return true;
    return false;
}

/* A step that holds others waits for them once more. */
static void container_reopen(struct fold *f, uint32_t index, uint32_t choice)
{
    const struct step_def *d = &f->def->steps[index];
    end_stray(f, index);
    step_reopen(f, index, STEP_STATE_WAITING)->choice = choice;
    limit_start(f, index);
    for (uint32_t i = 0; i < d->catch_count; i++) block_reset(f, d->catches[i].block);
    if (d->fallback_block != NO_INDEX) block_reset(f, d->fallback_block);
}

/* The items that were live, or the iteration. */
static void instances_revive(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    struct scope *here = f->scope;
    struct step *s = step_get(f, index);
    container_reopen(f, index, s->choice);
    for (struct scope *i = s->body->first; i; i = i->next) {
        f->scope = i;
        block_revive(f, d->body_block);
        scope_mark(i);
    }
    f->scope = here;
    scope_mark(here);
    if (d->reduce_block == NO_INDEX) return;
    if (s->choice)
        block_revive(f, d->reduce_block);
    else
        block_reset(f, d->reduce_block);
}

static void step_revive(struct fold *f, uint32_t index)
{
    const struct step_def *d = &f->def->steps[index];
    const struct step *s = step_get(f, index);
    if (!s || s->state == STEP_STATE_PENDING || step_settled(f, index)) return;
    uint32_t choice = choice_made(f, d);
    if (s->flags & STEP_HELD && repeat_resume(f, index)) {
        instances_revive(f, index);
    } else if (choice) {
        container_reopen(f, index, choice);
        block_revive(f, d->kind == STEP_ROUTER ? d->choices[choice - 1].block
                                               : d->cases[choice - 1].block);
    } else if (branches_entered(f, d)) {
        container_reopen(f, index, 0);
        for (uint32_t i = 0; i < d->branch_count; i++) block_revive(f, d->branches[i]);
    } else {
        step_reset(f, index);
    }
}

static void block_revive(struct fold *f, uint32_t block)
{
    const struct block_def *b = &f->def->blocks[block];
    for (uint32_t i = 0; i < b->count; i++) step_revive(f, b->steps[i]);
}

/* What undoes a step begins anew the next time, but for a rollback that was cut off. */
static void undo_revive(struct fold *f)
{
    for (uint32_t i = 0; i < f->def->step_count; i++) {
        uint32_t block = f->def->steps[i].compensate_block;
        if (block == NO_INDEX) continue;
        if (undo_noted(f->run, i))
            block_revive(f, block);
        else
            block_reset(f, block);
    }
}

/* --- the run --- */

/* Whether there is something to go on with: what was undone is not there any more, and an input
 * that was refused is as bad as before. */
static bool can_revive(const struct run *run, bool completed_too, struct err *e)
{
    enum run_state state = (enum run_state)run->state;
    if (!run_state_terminal(state))
        return err_fail(e, ERR_CONFLICT, "it has not ended: it is %s", run_state_name(state));
    if (state == RUN_ROLLED_BACK || run_rolls(run))
        return err_fail(e, ERR_CONFLICT,
                        "what it had done was undone, so it cannot go on: start another run");
    if (state == RUN_COMPLETED && !completed_too)
        return err_fail(e, ERR_CONFLICT, "it has completed: nothing in it failed");
    return run_start_valid(run, e) || err_prefix(e, "it can never begin");
}

static void go_on(struct fold *f)
{
    if (f->def->on_error == ON_ERROR_FALLBACK) block_reset(f, f->def->fallback_block);
    undo_revive(f);
    scope_mark(f->run->root);
    run_advance(f);
}

void run_retry(struct fold *f)
{
    struct err e;
    if (!can_revive(f->run, false, &e)) return;
    run_reopen(f);
    block_revive(f, 0);
    go_on(f);
}

/* --- from a step --- */

/* Whether all that the flow passes before the step was passed. */
static bool step_reached(const struct fold *f, const struct step_def *d)
{
    const struct block_def *b = &f->def->blocks[d->block];
    for (uint32_t i = 0; !b->graph && i < d->position; i++)
        if (!step_settled(f, b->steps[i])) return false;
    for (uint32_t i = 0; i < d->need_count; i++)
        if (!step_settled(f, d->needs[i])) return false;
    return true;
}

/* Whether the block is a part of the step that was entered: a branch, or the case or choice that
 * was taken; no handler, no reduction. */
static bool part_entered(const struct fold *f, const struct step_def *d, uint32_t block)
{
    uint32_t choice = choice_made(f, d);
    if (choice && d->kind == STEP_CONDITIONAL) return d->cases[choice - 1].block == block;
    if (choice) return d->choices[choice - 1].block == block;
    enum step_state state = step_at(f, d->index);
    if (state == STEP_STATE_PENDING || state == STEP_STATE_SKIPPED) return false;
    for (uint32_t i = 0; d->kind == STEP_PARALLEL && i < d->branch_count; i++)
        if (d->branches[i] == block) return true;
    return false;
}

bool chain_find(const struct fold *f, struct bytes path, struct chain *ret, struct err *e)
{
    const struct step_def *d = definition_step(f->def, path);
    int len = (int)MIN(path.len, (size_t)100);
    *ret = (struct chain){ .count = 0 };
    if (!d || d->scope != 0)
        return err_fail(e, d || memchr(path.data, '[', path.len) ? ERR_CONFLICT : ERR_NOT_FOUND,
                        "%.*s is no step outside of maps and loops: name the map or loop itself",
                        len, path.data);
    for (;;) {
        uint32_t block = d->block, parent = f->def->blocks[block].parent_step;
        if (ret->count == ARRAY_LEN(ret->steps) || !step_reached(f, d))
            return err_fail(e, ERR_CONFLICT, "the run never came to step %.*s", len, path.data);
        memmove(&ret->steps[1], ret->steps, ret->count * sizeof *ret->steps);
        ret->steps[0] = d->index;
        ret->count++;
        if (parent == NO_INDEX && block == 0) return true;
        if (parent == NO_INDEX || !part_entered(f, &f->def->steps[parent], block))
            return err_fail(e, ERR_CONFLICT,
                            "step %.*s belongs to a handler, a compensation, a reduction, or a way "
                            "that was not taken: name the step around it",
                            len, path.data);
        d = &f->def->steps[parent];
    }
}

void chain_mark_behind(const struct fold *f, const struct step_def *d, bool *behind)
{
    const struct block_def *b = &f->def->blocks[d->block];
    for (uint32_t i = d->position + 1; !b->graph && i < b->count; i++) behind[b->steps[i]] = true;
    for (bool more = b->graph; more;) {
        more = false;
        for (uint32_t i = 0; i < b->count; i++) {
            const struct step_def *x = &f->def->steps[b->steps[i]];
            for (uint32_t n = 0; n < x->need_count && !behind[x->index]; n++)
                if (x->needs[n] == d->index || behind[x->needs[n]]) behind[x->index] = more = true;
        }
    }
}

/* From the step at that depth of the chain on. What is beside it and has not ended well (other
 * branches, in a run that failed) is begun again as by a retry. */
static void rerun_from(struct fold *f, const struct chain *chain, uint32_t depth)
{
    const struct step_def *d = &f->def->steps[chain->steps[depth]];
    const struct block_def *b = &f->def->blocks[d->block];
    AUTO_FREE bool *behind = xcalloc(f->def->step_count, sizeof *behind);
    chain_mark_behind(f, d, behind);
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->steps[i] == d->index) continue;
        if (behind[b->steps[i]])
            step_reset(f, b->steps[i]);
        else
            step_revive(f, b->steps[i]);
    }
    if (depth + 1 == chain->count) {
        step_reset(f, d->index);
        return;
    }
    uint32_t within = f->def->steps[chain->steps[depth + 1]].block;
    if (step_settled(f, d->index)) undo_forget(f, d->index);
    container_reopen(f, d->index, choice_made(f, d));
    for (uint32_t i = 0; i < d->branch_count; i++)
        if (d->branches[i] != within) block_revive(f, d->branches[i]);
    rerun_from(f, chain, depth + 1);
}

void run_rerun(struct fold *f, struct bytes path)
{
    struct chain chain;
    struct err e;
    if (!can_revive(f->run, true, &e) || !chain_find(f, path, &chain, &e)) return;
    run_reopen(f);
    rerun_from(f, &chain, 0);
    go_on(f);
}

bool engine_may_revive(const struct run *run, struct bytes path, struct err *e)
{
    static const struct fold_context cx = { .topic = "" };
    struct chain chain;
    /* A fold only reads the run until something is moved in it; nothing is here. */
    struct fold f = fold_begin((struct run *)(uintptr_t)run, &cx, NULL);
    bool ok = can_revive(run, path.len > 0, e);
    if (ok && path.len) ok = chain_find(&f, path, &chain, e);
    fold_release(&f);
    return ok;
}
