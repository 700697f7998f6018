/* SPDX-License-Identifier: Apache-2.0 */
#include "common/schema/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 2000, CHUNK_BYTES_MAX = 64 * 1024 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    alignas(max_align_t) char data[];
};

void *schema_arena_alloc(struct arena *a, size_t bytes)
{
    size_t align = alignof(max_align_t);
    bytes = (bytes + align - 1) & ~(align - 1);
    if (!a->chunks || a->chunks->size - a->used < bytes) {
        size_t size = a->chunks ? MIN(2 * a->chunks->size, (size_t)CHUNK_BYTES_MAX) : CHUNK_BYTES;
        size = MAX(size, bytes);
        struct arena_chunk *chunk = xcalloc(1, sizeof *chunk + size);
        *chunk = (struct arena_chunk){ .next = a->chunks, .size = size };
        a->chunks = chunk;
        a->used = 0;
    }
    void *p = a->chunks->data + a->used;
    a->used += bytes;
    return p;
}

char *schema_arena_text(struct arena *a, const char *text)
{
    size_t len = strlen(text) + 1;
    return memcpy(schema_arena_alloc(a, len), text, len);
}

void schema_arena_done(struct arena *a)
{
    for (struct arena_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    *a = (struct arena){ 0 };
}
