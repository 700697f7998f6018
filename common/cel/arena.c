/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cel/arena.h"

#include <stdlib.h>

enum { BLOCK_BYTES = 4000 };

struct arena_owned {
    struct arena_owned *next;
    void *object;
    void (*release)(void *object);
};

void cel_arena_done(struct arena *a)
{
    /* The records themselves lie in blocks, which are the first that was owned: they go last. */
    for (struct arena_owned *o = a->owned, *next; o; o = next) {
        next = o->next;
        o->release(o->object);
    }
    *a = (struct arena){ 0 };
}

/* A block begins with the record that owns it. */
void *arena_more(struct arena *a, size_t bytes)
{
    size_t head = (sizeof(struct arena_owned) + 15) & ~(size_t)15;
    bool large = bytes > BLOCK_BYTES / 4;
    size_t size = large ? bytes : BLOCK_BYTES;
    char *block = xmalloc(head + size);
    struct arena_owned *o = (struct arena_owned *)(void *)block;
    *o = (struct arena_owned){ a->owned, block, free };
    a->owned = o;
    if (large) return block + head;
    a->at = block + head + bytes;
    a->end = block + head + size;
    return block + head;
}

void arena_own(struct arena *a, void *object, void (*release)(void *object))
{
    struct arena_owned *o = arena_alloc(a, sizeof *o);
    *o = (struct arena_owned){ a->owned, object, release };
    a->owned = o;
}

static void release_json(void *object)
{
    json_decref(object);
}

void arena_hold(struct arena *a, json_t *j)
{
    arena_own(a, j, release_json);
}

char *cel_arena_copy(struct arena *a, struct bytes text)
{
    char *copy = arena_alloc(a, text.len + 1);
    if (text.len) memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

struct bytes arena_adopt(struct arena *a, struct buf *b)
{
    struct bytes text = buf_bytes(b);
    if (!text.data) return BYTES_LIT("");
    arena_own(a, buf_take(b, NULL), free);
    return text;
}

void *arena_grow(struct arena *a, void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) return array;
    *cap = *cap ? *cap * 2 : 8;
    void *larger = arena_alloc(a, *cap * size);
    if (count) memcpy(larger, array, count * size);
    return larger;
}
