/* SPDX-License-Identifier: Apache-2.0
 *
 * A fork: a new run that takes over what another has done. Its start event's value is
 *
 *   {"input": value, "vars": {name: value}, "outputs": {path: value}}
 *
 * A step, or an item of a map, whose path stands in `outputs` completes with that output as soon as
 * the flow comes to it, so that what it is a part of goes on as if it had been done. The run keeps
 * `outputs` (field k); what was revived is done, whatever stands there. */
#include "orchestrator/engine/state.h"

#include <stdlib.h>

static void take_vars(struct run *run, const json_t *vars)
{
    AUTO_BUF struct buf text = { 0 };
    if (!json_object_size(vars)) return;
    json_write(&text, vars);
    run->vars = bytes_dup(buf_bytes(&text));
    run->vars_len = (uint32_t)text.len;
    run->changed |= RUN_VARS;
    run->sets_vars = true;
}

bool seeds_start(struct run *run, struct bytes value, struct buf *ret_input, struct err *e)
{
    AUTO_JSON *all = json_parse(value, e);
    const json_t *input = json_object_get(all, "input"), *vars = json_object_get(all, "vars"),
                 *outputs = json_object_get(all, "outputs");
    json_write(ret_input, input ? input : json_null());
    if (!all) return err_prefix(e, "the value of a fork");
    if ((vars && !json_is_object(vars)) || (outputs && !json_is_object(outputs)))
        return err_fail(e, ERR_INVALID, "the value of a fork is no {input, vars, outputs}");
    take_vars(run, vars);
    if (!json_object_size(outputs)) return true;
    AUTO_BUF struct buf text = { 0 };
    json_write(&text, outputs);
    run_aside(run)->seeds = bytes_dup(buf_bytes(&text));
    run->aside->seeds_len = (uint32_t)text.len;
    return true;
}

/* The output that stands for a path; borrowed from the fold's cache. NULL: none. */
static const json_t *seed_of(struct fold *f, const char *path)
{
    const struct aside *a = f->run->aside;
    if (!a || !a->seeds) return NULL;
    if (!f->seeds_json)
        f->seeds_json = json_parse((struct bytes){ .data = a->seeds, .len = a->seeds_len }, NULL);
    return json_object_get(f->seeds_json, path);
}

/* What ends the flow where it stands is no work that could have been done before. */
static const json_t *seed_of_step(struct fold *f, uint32_t index)
{
    if (!f->run->aside || !f->run->aside->seeds) return NULL;
    const struct step_def *d = &f->def->steps[index];
    const struct scope *scope = step_scope(f, index);
    if (d->kind == STEP_RETURN || d->kind == STEP_ROLLBACK || d->kind == STEP_FAIL) return NULL;
    /* Done before in this run, or maybe done. */
    if (step_get(f, index) || (scope->body && run_lives(f->run))) return NULL;
    struct bytes path = step_path(f, index);
    AUTO_FREE char *text = xstrndup(path.data, path.len);
    return seed_of(f, text);
}

static void block_seed(struct fold *f, uint32_t block);

static void take(struct fold *f, uint32_t index, const json_t *seed)
{
    AUTO_BUF struct buf text = { 0 };
    json_write(&text, seed);
    if (!json_is_null(seed)) step_set_result(f, index, buf_bytes(&text));
    step_move(f, index, STEP_STATE_COMPLETED, SEEDED);
    /* Steps within can be read from outside. */
    step_blocks_each(f, &f->def->steps[index], false, block_seed);
    step_sweep_children(f, index, true);
}

static void block_seed(struct fold *f, uint32_t block)
{
    const struct block_def *b = &f->def->blocks[block];
    for (uint32_t i = 0; i < b->count; i++) (void)!seed_step(f, b->steps[i]);
}

bool seed_step(struct fold *f, uint32_t index)
{
    const json_t *seed = seed_of_step(f, index);
    if (seed) take(f, index, seed);
    return seed != NULL;
}

bool seed_item(struct fold *f, const struct scope *scope, struct buf *ret_output)
{
    buf_reset(ret_output);
    if (!f->run->aside->seeds || run_lives(f->run)) return false;
    const char *path = scope_path(f->run, scope); /* "docs[17]/" */
    AUTO_FREE char *text = xstrndup(path, strlen(path) - 1);
    const json_t *seed = seed_of(f, text);
    if (seed) json_write(ret_output, seed);
    return seed != NULL;
}

/* --- what another run can take over --- */

struct taking {
    const bool *left, *around; /* steps that are not taken, and those that hold the first of them */
    json_t *outputs, *vars;
};

static json_t *json_of(const char *data, size_t len)
{
    json_t *value = data ? json_parse((struct bytes){ .data = data, .len = len }, NULL) : NULL;
    return value ? value : json_null();
}

static void take_block(struct fold *f, uint32_t block, const struct taking *t);

static void take_items(struct fold *f, const struct step_def *d, const struct body *body,
                       const struct taking *t)
{
    struct scope *here = f->scope;
    struct bytes path = step_path(f, d->index);
    AUTO_FREE char *owner = xstrndup(path.data, path.len);
    for (uint32_t i = 0; i < body->begun; i++) {
        const struct map_item *item = &body->items[i];
        AUTO_FREE char *name = xasprintf("%s[%u]", owner, i);
        if (item->state == ITEM_COMPLETED)
            json_object_set_new(t->outputs, name, json_of(item->output, item->output_len));
        if (item->state != ITEM_LIVE) continue;
        f->scope = item->live;
        take_block(f, d->body_block, t);
        f->scope = here;
    }
}

static void take_step(struct fold *f, const struct step_def *d, const struct taking *t)
{
    const struct step *s = step_get(f, d->index);
    bool around = t->around && t->around[d->index];
    if (s && s->state == STEP_STATE_COMPLETED && !around) {
        struct bytes path = step_path(f, d->index);
        AUTO_FREE char *name = xstrndup(path.data, path.len);
        json_t *output = json_of(s->result, s->result_len);
        json_object_set_new(t->outputs, name, output);
        if (d->kind == STEP_SET && !d->output) json_object_update(t->vars, output);
    }
    if (s && d->kind == STEP_MAP && s->body) take_items(f, d, s->body, t);
    for (uint32_t i = 0; i < d->branch_count; i++) take_block(f, d->branches[i], t);
    for (uint32_t i = 0; i < d->case_count; i++) take_block(f, d->cases[i].block, t);
    for (uint32_t i = 0; i < d->choice_count; i++) take_block(f, d->choices[i].block, t);
    if (d->reduce_block != NO_INDEX) take_block(f, d->reduce_block, t);
}

static void take_block(struct fold *f, uint32_t block, const struct taking *t)
{
    const struct block_def *b = &f->def->blocks[block];
    for (uint32_t i = 0; i < b->count; i++)
        if (!t->left || !t->left[b->steps[i]]) take_step(f, &f->def->steps[b->steps[i]], t);
}

/* Whether a step that sets variables may have run that is not taken over. Then they are what the
 * others made them, in the order of the definition; else they are what they are now. */
static bool vars_moved(const struct fold *f, const bool *left)
{
    for (uint32_t i = 0; i < f->def->step_count; i++) {
        const struct step_def *d = &f->def->steps[i];
        bool within = left[i];
        for (uint32_t p = f->def->blocks[d->block].parent_step; p != NO_INDEX && !within;
             p = f->def->blocks[f->def->steps[p].block].parent_step)
            within = left[p];
        if (d->kind == STEP_SET && (d->scope != 0 || within)) return true;
    }
    return false;
}

json_t *engine_fork(const struct run *run, struct bytes at, struct err *e)
{
    static const struct fold_context cx = { .topic = "" };
    struct chain chain = { .count = 0 };
    /* A fold only reads the run until something is moved in it; nothing is here. */
    struct fold f = fold_begin((struct run *)(uintptr_t)run, &cx, NULL);
    AUTO_FREE bool *left = xcalloc(run->def->step_count, sizeof *left);
    AUTO_FREE bool *around = xcalloc(run->def->step_count, sizeof *around);
    AUTO_JSON *outputs = json_object(), *vars = json_object();
    bool ok = !at.len || chain_find(&f, at, &chain, e);
    for (uint32_t i = 0; i < chain.count; i++) {
        chain_mark_behind(&f, &run->def->steps[chain.steps[i]], left);
        around[chain.steps[i]] = i + 1 < chain.count;
        left[chain.steps[i]] |= i + 1 == chain.count;
    }
    struct taking taking = { .left = left, .around = around, .outputs = outputs, .vars = vars };
    if (ok) take_block(&f, 0, &taking);
    bool moved = at.len && vars_moved(&f, left);
    fold_release(&f);
    if (!ok) return NULL;
    json_t *now = run->vars ? json_of(run->vars, run->vars_len) : json_object();
    json_t *fork = json_pack("{s:o, s:O, s:O}", "input", json_of(run->input, run->input_len),
                             "vars", moved ? vars : now, "outputs", outputs);
    json_decref(now);
    return fork;
}
