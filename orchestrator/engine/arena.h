/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that is filled bit by bit and released at once: what the effects and the stored fields of
 * a batch point to. */
#ifndef TUTTI_ENGINE_ARENA_H
#define TUTTI_ENGINE_ARENA_H

#include "common/base/buf.h"

/* An arena is a `void *` in the public structures, NULL while it is empty. */
void *arena_alloc(void **arena, size_t bytes);
/* A copy that lives as long as the arena, with a NUL behind it. */
struct bytes arena_copy(void **arena, struct bytes data);
struct bytes arena_text(void **arena, const char *text);
struct bytes arena_int(void **arena, int64_t value);
/* Forgets the contents; keeps ordinary chunks, frees those that one large payload needed. */
void arena_reset(void **arena);
void arena_done(void **arena);

#endif
