/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts and ordered maps of the fake Redis. */
#include <stdlib.h>

#include "tests/sim/redis_data.h"

#define SMALL_MAX 12 /* a walk over so few hashes is faster than an index */

/* --- texts --- */

/* Murmur's mix over 8 bytes at a time; the seed makes another SCAN order, nothing else. */
uint32_t text_hash(struct bytes data, uint32_t seed)
{
    uint64_t h = seed ^ (data.len * 0x9E3779B97F4A7C15ULL);
    const char *p = data.data;
    size_t left = data.len;
    for (; left >= 8; p += 8, left -= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = (h ^ w) * 0xC6A4A7935BD1E995ULL;
        h ^= h >> 47;
    }
    uint64_t w = 0;
    if (left) memcpy(&w, p, left);
    h = (h ^ w) * 0xC6A4A7935BD1E995ULL;
    h ^= h >> 32;
    h *= 0x9E3779B97F4A7C15ULL;
    return (uint32_t)(h >> 32);
}

struct text *text_new(struct bytes data, uint32_t hash)
{
    struct text *t = xmalloc(sizeof *t + data.len + 1);
    t->refs = 1;
    t->hash = hash;
    t->len = (uint32_t)data.len;
    if (data.len) memcpy(t->data, data.data, data.len);
    t->data[data.len] = '\0';
    return t;
}

void text_free(struct text *t)
{
    free(t);
}

/* --- ordered maps --- */

static void index_add(struct fields *f, size_t position)
{
    size_t at = f->list[position].name->hash & (f->slots - 1);
    while (f->index[at]) at = (at + 1) & (f->slots - 1);
    f->index[at] = (uint32_t)position + 1;
}

/* Drops the gaps and makes the index anew. */
static void rebuild(struct fields *f)
{
    size_t to = 0;
    for (size_t i = 0; i < f->used; i++)
        if (f->list[i].name) f->list[to++] = f->list[i];
    f->used = to;
    free(f->index);
    f->index = NULL;
    f->slots = 0;
    if (f->cap <= SMALL_MAX) return;
    for (f->slots = 32; f->slots < 2 * f->cap;) f->slots *= 2;
    f->index = xcalloc(f->slots, sizeof *f->index);
    for (size_t i = 0; i < f->used; i++) index_add(f, i);
}

static void make_room(struct fields *f)
{
    if (f->used < f->cap) return;
    if (f->count > f->cap / 2 || f->cap == 0) {
        f->cap = f->cap ? 2 * f->cap : 6;
        f->list = xrealloc(f->list, f->cap * sizeof *f->list);
    }
    rebuild(f);
}

struct field *fields_find(const struct fields *f, struct bytes name, uint32_t hash)
{
    if (!f->index) {
        for (size_t i = 0; i < f->used; i++)
            if (f->list[i].name && text_is(f->list[i].name, name, hash)) return &f->list[i];
        return NULL;
    }
    for (size_t at = hash & (f->slots - 1); f->index[at]; at = (at + 1) & (f->slots - 1)) {
        struct field *field = &f->list[f->index[at] - 1];
        if (field->name && text_is(field->name, name, hash)) return field;
    }
    return NULL;
}

struct field *fields_add(struct fields *f, struct text *name, struct text *value, double score)
{
    make_room(f);
    f->list[f->used] =
        (struct field){ .name = name, .value = value, .score = score, .seq = f->seq_next++ };
    f->used++;
    f->count++;
    if (f->index) index_add(f, f->used - 1);
    return &f->list[f->used - 1];
}

void fields_put_back(struct fields *f, const struct field *was)
{
    make_room(f);
    rebuild(f);
    size_t at = f->used;
    while (at > 0 && f->list[at - 1].seq > was->seq) at--;
    memmove(f->list + at + 1, f->list + at, (f->used - at) * sizeof *f->list);
    f->list[at] = *was;
    f->used++;
    f->count++;
    rebuild(f);
}

struct field fields_remove(struct fields *f, struct field *at)
{
    struct field was = *at;
    at->name = NULL; /* its slot of the index stays, and leads to nothing */
    at->value = NULL;
    f->count--;
    if (!f->index && at == &f->list[f->used - 1]) f->used--;
    return was;
}

void redis_fields_done(struct fields *f)
{
    for (size_t i = 0; i < f->used; i++) {
        text_unref(f->list[i].name);
        text_unref(f->list[i].value);
    }
    free(f->list);
    free(f->index);
    *f = (struct fields){ 0 };
}

void fields_copy(struct fields *to, const struct fields *from)
{
    *to = *from;
    to->index = NULL;
    to->list = xmalloc((from->cap ? from->cap : 1) * sizeof *to->list);
    if (from->used) memcpy(to->list, from->list, from->used * sizeof *to->list);
    for (size_t i = 0; i < to->used; i++) {
        if (to->list[i].name) text_ref(to->list[i].name);
        if (to->list[i].value) text_ref(to->list[i].value);
    }
    rebuild(to);
}
