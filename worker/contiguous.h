/* SPDX-License-Identifier: Apache-2.0
 *
 * The lowest contiguous done offset of one source partition. Tasks end in any order, but an offset
 * may only be committed when everything below it is done too: what a committed offset leaves behind
 * is never delivered again. Pure; a ring of flags in order of arrival. */
#ifndef TUTTI_CONTIGUOUS_H
#define TUTTI_CONTIGUOUS_H

#include "common/base/base.h"

struct contiguous {
    struct contiguous_slot {
        int64_t offset;
        bool done;
    } * ring;          /* owned */
    size_t cap, count; /* cap is 0 or a power of two */
    uint64_t first;    /* ticket of the oldest that is not done */
    int64_t last;      /* highest offset that was started; valid if any */
    bool any;
};

/* Releases the memory; the tracker is empty and usable afterwards. */
void contiguous_free(struct contiguous *c);
/* Notes that the record at offset is taken. Offsets arrive in rising order, with gaps where the log
 * has some. false: this offset, or a later one, was taken before; else *ret_ticket names it. */
MUST_CHECK bool contiguous_start(struct contiguous *c, int64_t offset, uint64_t *ret_ticket);
/* Notes that the record of this ticket is done; once per ticket. */
void contiguous_done(struct contiguous *c, uint64_t ticket);
/* The offset to commit (the next to read), or -1 while nothing was taken. */
int64_t contiguous_next(const struct contiguous *c);
/* Records that are taken and not yet behind the committed offset. */
static inline size_t contiguous_open(const struct contiguous *c)
{
    return c->count;
}

#endif
