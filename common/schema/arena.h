/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that is released as a whole: everything that a compiled schema is made of.
 */
#ifndef TUTTI_SCHEMA_ARENA_H
#define TUTTI_SCHEMA_ARENA_H

#include "common/base/base.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks;
    size_t used; /* of the first chunk */
};

/* Zeroed, aligned for anything. */
void *schema_arena_alloc(struct arena *a, size_t bytes);
char *schema_arena_text(struct arena *a, const char *text);
void schema_arena_done(struct arena *a);

#endif
