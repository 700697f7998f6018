/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/map.h"

#include <stdlib.h>

#include "common/base/hash.h"

static uint64_t hash_of(struct bytes key)
{
    uint64_t h = hash_bytes(key);
    return h ? h : 1;
}

void map_done(struct map *m)
{
    free(m->slots);
    *m = (struct map){ 0 };
}

/* The slot of key, or the free slot where it would go. */
static size_t map_slot(const struct map *m, uint64_t hash, struct bytes key)
{
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].hash && !(m->slots[i].hash == hash && bytes_equal(m->slots[i].key, key)))
        i = (i + 1) & (m->cap - 1);
    return i;
}

void *map_get(const struct map *m, struct bytes key)
{
    if (!m->count) return NULL;
    const struct map_entry *entry = &m->slots[map_slot(m, hash_of(key), key)];
    return entry->hash ? entry->value : NULL;
}

static void map_grow(struct map *m)
{
    struct map bigger = { .cap = m->cap ? 2 * m->cap : 16, .count = m->count };
    bigger.slots = xcalloc(bigger.cap, sizeof *bigger.slots);
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].hash)
            bigger.slots[map_slot(&bigger, m->slots[i].hash, m->slots[i].key)] = m->slots[i];
    free(m->slots);
    *m = bigger;
}

void *map_put(struct map *m, struct bytes key, void *value)
{
    ASSERT(value);
    if (4 * (m->count + 1) > 3 * m->cap) map_grow(m);
    uint64_t hash = hash_of(key);
    struct map_entry *entry = &m->slots[map_slot(m, hash, key)];
    void *old = entry->hash ? entry->value : NULL;
    m->count += !entry->hash;
    *entry = (struct map_entry){ .hash = hash, .key = key, .value = value };
    return old;
}

void *map_remove(struct map *m, struct bytes key)
{
    if (!m->count) return NULL;
    size_t hole = map_slot(m, hash_of(key), key);
    if (!m->slots[hole].hash) return NULL;
    void *value = m->slots[hole].value;
    m->count--;
    for (size_t i = (hole + 1) & (m->cap - 1); m->slots[i].hash; i = (i + 1) & (m->cap - 1)) {
        size_t home = m->slots[i].hash & (m->cap - 1);
        if (((i - home) & (m->cap - 1)) < ((i - hole) & (m->cap - 1)))
            continue; /* its home lies behind the hole: moving it would lose it */
        m->slots[hole] = m->slots[i];
        hole = i;
    }
    m->slots[hole] = (struct map_entry){ 0 };
    return value;
}

void *map_next(const struct map *m, size_t *pos)
{
    while (*pos < m->cap) {
        const struct map_entry *entry = &m->slots[(*pos)++];
        if (entry->hash) return entry->value;
    }
    return NULL;
}
