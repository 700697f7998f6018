/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cel/scope.h"

#include <stdlib.h>

enum { BLOCK_BYTES = 4000 };

struct scope_owned {
    struct scope_owned *next;
    void *object;
    void (*release)(void *object);
};

void scope_done(struct scope *a)
{
    /* The records themselves lie in blocks, which are the first that was owned: they go last. */
    for (struct scope_owned *o = a->owned, *next; o; o = next) {
        next = o->next;
        o->release(o->object);
    }
    *a = (struct scope){ 0 };
}

/* A block begins with the record that owns it. */
void *scope_more(struct scope *a, size_t bytes)
{
    size_t head = (sizeof(struct scope_owned) + 15) & ~(size_t)15;
    bool large = bytes > BLOCK_BYTES / 4;
    size_t size = large ? bytes : BLOCK_BYTES;
    char *block = xmalloc(head + size);
    struct scope_owned *o = (struct scope_owned *)(void *)block;
    *o = (struct scope_owned){ a->owned, block, free };
    a->owned = o;
    if (large) return block + head;
    a->at = block + head + bytes;
    a->end = block + head + size;
    return block + head;
}

void scope_own(struct scope *a, void *object, void (*release)(void *object))
{
    struct scope_owned *o = scope_alloc(a, sizeof *o);
    *o = (struct scope_owned){ a->owned, object, release };
    a->owned = o;
}

static void release_json(void *object)
{
    json_decref(object);
}

void scope_hold(struct scope *a, json_t *j)
{
    scope_own(a, j, release_json);
}

char *scope_copy(struct scope *a, struct bytes text)
{
    char *copy = scope_alloc(a, text.len + 1);
    if (text.len) memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

struct bytes scope_adopt(struct scope *a, struct buf *b)
{
    struct bytes text = buf_bytes(b);
    if (!text.data) return BYTES_LIT("");
    scope_own(a, buf_take(b, NULL), free);
    return text;
}

void *scope_grow(struct scope *a, void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) return array;
    *cap = *cap ? *cap * 2 : 8;
    void *larger = scope_alloc(a, *cap * size);
    if (count) memcpy(larger, array, count * size);
    return larger;
}
