/* SPDX-License-Identifier: Apache-2.0
 *
 * A bump allocator over a list of chunks. */
#include "orchestrator/engine/arena.h"

#include <stdlib.h>

#include "common/base/limits.h"

#define CHUNK_BYTES (64 * KIB)

struct chunk {
    struct chunk *next;
    size_t cap, used;
    char data[];
};

struct arena {
    struct chunk *filled; /* the first one is being filled */
    struct chunk *spare;  /* empty ones of CHUNK_BYTES, kept for the next batch */
};

static struct chunk *chunk_take(struct arena *a, size_t bytes)
{
    struct chunk *c = a->spare;
    if (c && bytes <= CHUNK_BYTES) {
        a->spare = c->next;
    } else {
        size_t cap = MAX(bytes, (size_t)CHUNK_BYTES);
        c = xmalloc(sizeof *c + cap);
        c->cap = cap;
    }
    c->used = 0;
    c->next = a->filled;
    a->filled = c;
    return c;
}

void *arena_alloc(void **arena, size_t bytes)
{
    if (!*arena) *arena = xcalloc(1, sizeof(struct arena));
    struct arena *a = *arena;
    size_t aligned = (bytes + 15) & ~(size_t)15;
    struct chunk *c = a->filled;
    if (!c || c->cap - c->used < aligned) c = chunk_take(a, aligned);
    void *p = c->data + c->used;
    c->used += aligned;
    return p;
}

struct bytes arena_copy(void **arena, struct bytes data)
{
    char *p = arena_alloc(arena, data.len + 1);
    if (data.len) memcpy(p, data.data, data.len);
    p[data.len] = '\0';
    return (struct bytes){ .data = p, .len = data.len };
}

struct bytes arena_text(void **arena, const char *text)
{
    return arena_copy(arena, bytes_of(text));
}

struct bytes arena_int(void **arena, int64_t value)
{
    char digits[24];
    char *end = digits + sizeof digits, *p = end;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--p = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0) *--p = '-';
    return arena_copy(arena, (struct bytes){ .data = p, .len = (size_t)(end - p) });
}

static void chunks_free(struct chunk *c)
{
    while (c) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
}

void arena_reset(void **arena)
{
    struct arena *a = *arena;
    if (!a) return;
    while (a->filled) {
        struct chunk *c = a->filled;
        a->filled = c->next;
        if (c->cap == CHUNK_BYTES) {
            c->next = a->spare;
            a->spare = c;
        } else {
            free(c);
        }
    }
}

void arena_done(void **arena)
{
    struct arena *a = *arena;
    if (!a) return;
    chunks_free(a->filled);
    chunks_free(a->spare);
    free(a);
    *arena = NULL;
}
