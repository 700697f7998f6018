/* SPDX-License-Identifier: Apache-2.0
 *
 * Which step can have run before which. Steps of a list run one after the other; branches run side
 * by side, of cases one is taken, and a fallback runs after what it stands in for.
 */
#include "common/base/limits.h"
#include "common/definition/compile.h"

/* The steps that hold a step, outermost first, itself last. */
struct chain {
    const struct step_def *steps[DEFINITION_DEPTH_MAX + 1];
    size_t count;
};

static struct chain chain_of(const struct definition *d, uint32_t step)
{
    struct chain chain = { 0 };
    for (uint32_t at = step; at != NO_INDEX; at = d->blocks[d->steps[at].block].parent_step) {
        ASSERT(chain.count < ARRAY_LEN(chain.steps));
        chain.steps[chain.count++] = &d->steps[at];
    }
    for (size_t i = 0; i < chain.count / 2; i++) {
        const struct step_def *other = chain.steps[i];
        chain.steps[i] = chain.steps[chain.count - 1 - i];
        chain.steps[chain.count - 1 - i] = other;
    }
    return chain;
}

/* What a block is to the step that holds it. */
enum role {
    ROLE_MAIN,   /* a branch, a case, a choice, a body, what reduces: the step's own work */
    ROLE_CAUGHT, /* a fallback or a catch: after that failed */
    ROLE_UNDO,   /* compensation: after all of it */
};

static enum role role_of(const struct step_def *s, uint32_t block)
{
    if (block == s->compensate_block) return ROLE_UNDO;
    if (block == s->fallback_block) return ROLE_CAUGHT;
    for (uint32_t i = 0; i < s->catch_count; i++)
        if (s->catches[i].block == block) return ROLE_CAUGHT;
    return ROLE_MAIN;
}

/* Whether scope x is y or around it. */
static bool scope_around(const struct definition *d, uint32_t x, uint32_t y)
{
    while (y != x && d->scopes[y].parent != NO_INDEX) y = d->scopes[y].parent;
    return y == x;
}

/* Two steps of one block. */
static enum order order_in_block(const struct definition *d, const struct step_def *y,
                                 const struct step_def *x)
{
    if (!d->blocks[y->block].graph) return x->position < y->position ? ORDER_BEFORE : ORDER_LATER;
    if (step_needs(d->steps, y->index, x->index)) return ORDER_BEFORE;
    return step_needs(d->steps, x->index, y->index) ? ORDER_LATER : ORDER_BESIDE;
}

enum order step_order(const struct definition *d, uint32_t y_, uint32_t y_scope, uint32_t x_,
                      uint32_t *ret_step)
{
    struct chain y = chain_of(d, y_), x = chain_of(d, x_);
    ASSERT(y.count > 0 && x.count > 0); /* both steps exist: each ends its own chain */
    size_t i = 0;
    *ret_step = x_;
    if (!scope_around(d, d->steps[x_].scope, y_scope)) {
        *ret_step = d->scopes[d->steps[x_].scope].owner;
        return ORDER_HIDDEN;
    }
    if (y.steps[0]->block != x.steps[0]->block) /* one is in the fallback of the workflow */
        return x.steps[0]->block == 0 ? ORDER_BEFORE : ORDER_LATER;
    while (y.steps[i] == x.steps[i] && i + 1 < y.count && i + 1 < x.count &&
           y.steps[i + 1]->block == x.steps[i + 1]->block)
        i++;
    const struct step_def *ys = y.steps[i], *xs = x.steps[i];
    *ret_step = ys->index;
    if (ys != xs) return order_in_block(d, ys, xs);
    if (i + 1 == y.count) {
        if (i + 1 == x.count) return ORDER_SELF;
        /* `until` is asked in the scope of the body, behind it. */
        return y_scope != ys->scope ? ORDER_BEFORE : ORDER_INSIDE;
    }
    enum role y_role = role_of(ys, y.steps[i + 1]->block);
    if (i + 1 == x.count) return y_role == ROLE_MAIN ? ORDER_AROUND : ORDER_BEFORE;
    enum role x_role = role_of(ys, x.steps[i + 1]->block);
    if (x_role != y_role) return x_role < y_role ? ORDER_BEFORE : ORDER_LATER;
    return ORDER_BESIDE;
}

bool step_after_error(const struct definition *d, uint32_t step)
{
    for (uint32_t at = step; at != NO_INDEX;) {
        uint32_t block = d->steps[at].block, parent = d->blocks[block].parent_step;
        if (parent == NO_INDEX) return block != 0;
        if (role_of(&d->steps[parent], block) == ROLE_CAUGHT) return true;
        at = parent;
    }
    return false;
}

uint32_t step_reduces(const struct definition *d, uint32_t step)
{
    for (uint32_t at = step; at != NO_INDEX;) {
        uint32_t block = d->steps[at].block, parent = d->blocks[block].parent_step;
        if (parent != NO_INDEX && d->steps[parent].reduce_block == block) return parent;
        at = parent;
    }
    return NO_INDEX;
}

const struct step_def *definition_before(const struct definition *d, uint32_t step)
{
    for (uint32_t at = step; at != NO_INDEX;) {
        const struct step_def *s = &d->steps[at];
        const struct block_def *block = &d->blocks[s->block];
        if (block->graph && s->need_count)
            return s->need_count == 1 ? &d->steps[s->needs[0]] : NULL;
        if (!block->graph && s->position > 0) return &d->steps[block->steps[s->position - 1]];
        at = block->parent_step;
        if (at == NO_INDEX) break;
        const struct step_def *parent = &d->steps[at];
        /* Handlers come after the step that they belong to. */
        if (role_of(parent, s->block) != ROLE_MAIN) return parent;
        if (s->block == parent->body_block || s->block == parent->reduce_block) return NULL;
    }
    return NULL;
}
