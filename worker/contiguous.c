/* SPDX-License-Identifier: Apache-2.0
 *
 * The lowest contiguous done offset. */
#include "worker/contiguous.h"

#include <stdlib.h>

#include "common/base/mutant.h"

static struct contiguous_slot *slot_of(const struct contiguous *c, uint64_t ticket)
{
    return &c->ring[ticket & (c->cap - 1)];
}

void contiguous_free(struct contiguous *c)
{
    free(c->ring);
    *c = (struct contiguous){ 0 };
}

static void grow(struct contiguous *c)
{
    struct contiguous bigger = *c;
    bigger.cap = c->cap ? 2 * c->cap : 64;
    bigger.ring = xcalloc(bigger.cap, sizeof *bigger.ring);
    for (uint64_t t = c->first; t < c->first + c->count; t++) *slot_of(&bigger, t) = *slot_of(c, t);
    free(c->ring);
    *c = bigger;
}

bool contiguous_start(struct contiguous *c, int64_t offset, uint64_t *ret_ticket)
{
    ASSERT(offset >= 0);
    if (c->any && offset <= c->last) return false;
    if (c->count == c->cap) grow(c);
    uint64_t ticket = c->first + c->count++;
    *slot_of(c, ticket) = (struct contiguous_slot){ .offset = offset };
    c->last = offset;
    c->any = true;
    *ret_ticket = ticket;
    return true;
}

void contiguous_done(struct contiguous *c, uint64_t ticket)
{
    ASSERT(ticket >= c->first && ticket < c->first + c->count);
    struct contiguous_slot *slot = slot_of(c, ticket);
    ASSERT(!slot->done);
    slot->done = true;
    while (c->count && slot_of(c, c->first)->done) {
        c->first++;
        c->count--;
    }
}

int64_t contiguous_next(const struct contiguous *c)
{
    if (!c->any) return -1;
    if (MUTANT(GAP)) return c->last + 1;
    return c->count ? slot_of(c, c->first)->offset : c->last + 1;
}
