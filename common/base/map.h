/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash table from byte strings to pointers: open addressing, linear probing, deletion by backward
 * shift (Knuth, TAOCP vol. 3, 6.4 algorithm R). The key is borrowed and must live as long as its
 * entry, usually inside the value. The table owns neither.
 */
#ifndef TUTTI_MAP_H
#define TUTTI_MAP_H

#include "common/base/buf.h"

struct map_entry {
    uint64_t hash; /* 0: free slot */
    struct bytes key;
    void *value;
};

struct map {
    struct map_entry *slots;
    size_t cap, count; /* cap is 0 or a power of two */
};

void map_done(struct map *m); /* frees the table, not the values */
void *map_get(const struct map *m, struct bytes key);
/* Inserts or replaces; returns the value that was there, or NULL. value is not NULL. */
void *map_put(struct map *m, struct bytes key, void *value);
/* Removes; returns the value that was there, or NULL. */
void *map_remove(struct map *m, struct bytes key);
/* Iterates in no order: start with *pos = 0; NULL at the end. The map must not change meanwhile. */
void *map_next(const struct map *m, size_t *pos);

#endif
