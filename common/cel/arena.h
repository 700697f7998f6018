/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that is released all at once: of a compiled expression, and of one evaluation. What an
 * evaluation makes lives until its end, so that values are copied without counting references. */
#ifndef TUTTI_CEL_ARENA_H
#define TUTTI_CEL_ARENA_H

#include "common/base/buf.h"
#include "common/base/json.h"

struct arena {
    char *at, *end; /* what is free in the current block */
    struct arena_owned *owned;
};

/* Uses the caller's memory first, which must outlive the arena; size may be 0. */
static inline struct arena arena_on(void *memory, size_t size)
{
    return (struct arena){ .at = memory, .end = (char *)memory + size };
}
/* Releases everything that was allocated, adopted or held. */
void cel_arena_done(struct arena *a);

/* Aligned for any type, not cleared. arena_more is the slow way of it. */
void *arena_more(struct arena *a, size_t bytes);
static inline void *arena_alloc(struct arena *a, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if ((size_t)(a->end - a->at) < bytes) return arena_more(a, bytes);
    void *p = a->at;
    a->at += bytes;
    return p;
}
/* A NUL-terminated copy. */
char *cel_arena_copy(struct arena *a, struct bytes text);
/* Takes what the buffer holds, which is empty afterwards. */
struct bytes arena_adopt(struct arena *a, struct buf *b);
/* Calls release(object) at the end. */
void arena_own(struct arena *a, void *object, void (*release)(void *object));
/* Takes over the reference. */
void arena_hold(struct arena *a, json_t *j);

/* Grows an array of which *cap elements have room, to hold one more than count; NULL and 0 begin
 * it. */
void *arena_grow(struct arena *a, void *array, size_t count, size_t *cap, size_t size);

#endif
