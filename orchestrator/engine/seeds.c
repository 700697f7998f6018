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
    const struct step_def *d = &f->def->steps[index];
    const struct scope *scope = step_scope(f, index);
    if (!f->run->aside || !f->run->aside->seeds || d->kind == STEP_RETURN ||
        d->kind == STEP_ROLLBACK || d->kind == STEP_FAIL)
        return NULL;
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
