/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that is released all at once: of a compiled expression, and of one evaluation. What an
 * evaluation makes lives until its end, so that values are copied without counting references. */
#ifndef TUTTI_CEL_SCOPE_H
#define TUTTI_CEL_SCOPE_H

#include "common/base/buf.h"
#include "common/base/json.h"

struct scope {
    char *at, *end; /* what is free in the current block */
    struct scope_owned *owned;
};

/* Uses the caller's memory first, which must outlive the scope; size may be 0. */
static inline struct scope scope_on(void *memory, size_t size)
{
    return (struct scope){ .at = memory, .end = (char *)memory + size };
}
/* Releases everything that was allocated, adopted or held. */
void scope_done(struct scope *a);

/* Aligned for any type, not cleared, never NULL. scope_more is the slow way of it. */
void *scope_more(struct scope *a, size_t bytes);
static inline void *scope_alloc(struct scope *a, size_t bytes)
{
    bytes = (bytes + !bytes + 15) & ~(size_t)15;
    if ((size_t)(a->end - a->at) < bytes) return scope_more(a, bytes);
    void *p = a->at;
    a->at += bytes;
    return p;
}
/* A NUL-terminated copy. */
char *scope_copy(struct scope *a, struct bytes text);
/* Takes what the buffer holds, which is empty afterwards. */
struct bytes scope_adopt(struct scope *a, struct buf *b);
/* Calls release(object) at the end. */
void scope_own(struct scope *a, void *object, void (*release)(void *object));
/* Takes over the reference. */
void scope_hold(struct scope *a, json_t *j);

/* Grows an array of which *cap elements have room, to hold one more than count; NULL and 0 begin
 * it. */
void *scope_grow(struct scope *a, void *array, size_t count, size_t *cap, size_t size);

#endif
