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

enum order step_order(const struct definition *d, uint32_t y_, uint32_t x_, uint32_t *ret_step)
{
    struct chain y = chain_of(d, y_), x = chain_of(d, x_);
    ASSERT(y.count > 0 && x.count > 0); /* both steps exist: each ends its own chain */
    size_t i = 0;
    if (y.steps[0]->block != x.steps[0]->block) /* one is in the fallback of the workflow */
        return x.steps[0]->block == 0 ? ORDER_BEFORE : ORDER_LATER;
    while (y.steps[i] == x.steps[i] && i + 1 < y.count && i + 1 < x.count &&
           y.steps[i + 1]->block == x.steps[i + 1]->block)
        i++;
    const struct step_def *ys = y.steps[i], *xs = x.steps[i];
    if (ys != xs) return xs->position < ys->position ? ORDER_BEFORE : ORDER_LATER;
    *ret_step = ys->index;
    if (i + 1 == y.count) return i + 1 == x.count ? ORDER_SELF : ORDER_INSIDE;
    bool y_falls_back =
        ys->on_error == ON_ERROR_FALLBACK && y.steps[i + 1]->block == ys->fallback_block;
    if (y_falls_back) return ORDER_BEFORE;
    if (i + 1 == x.count) return ORDER_AROUND;
    bool x_falls_back =
        ys->on_error == ON_ERROR_FALLBACK && x.steps[i + 1]->block == ys->fallback_block;
    return x_falls_back ? ORDER_LATER : ORDER_BESIDE;
}

bool step_in_fallback(const struct definition *d, uint32_t step)
{
    for (uint32_t at = step; at != NO_INDEX;) {
        uint32_t block = d->steps[at].block, parent = d->blocks[block].parent_step;
        if (parent == NO_INDEX) return block != 0;
        if (d->steps[parent].on_error == ON_ERROR_FALLBACK &&
            d->steps[parent].fallback_block == block)
            return true;
        at = parent;
    }
    return false;
}

const struct step_def *definition_before(const struct definition *d, uint32_t step)
{
    for (uint32_t at = step; at != NO_INDEX;) {
        const struct step_def *s = &d->steps[at];
        const struct block_def *block = &d->blocks[s->block];
        if (s->position > 0) return &d->steps[block->steps[s->position - 1]];
        at = block->parent_step;
        /* A fallback comes after the step that it stands in for. */
        if (at != NO_INDEX && d->steps[at].on_error == ON_ERROR_FALLBACK &&
            d->steps[at].fallback_block == s->block)
            return &d->steps[at];
    }
    return NULL;
}
