/* SPDX-License-Identifier: Apache-2.0
 *
 * The values of the fake Redis: texts that are shared by counting, ordered maps (hashes, sets and
 * the index of sorted sets), sorted sets. Not for use outside of redis*.c. */
#ifndef TUTTI_SIM_REDIS_DATA_H
#define TUTTI_SIM_REDIS_DATA_H

#include "tests/sim/redis.h"

/* --- texts: immutable; whoever keeps one holds a reference --- */

struct text {
    uint32_t refs, hash;
    uint32_t len;
    char data[]; /* and a NUL */
};

uint32_t text_hash(struct bytes data, uint32_t seed);
struct text *text_new(struct bytes data, uint32_t hash);
static inline struct text *text_ref(struct text *t)
{
    t->refs++;
    return t;
}
void text_free(struct text *t);
static inline void text_unref(struct text *t)
{
    if (t && --t->refs == 0) text_free(t);
}
static inline struct bytes text_bytes(const struct text *t)
{
    return (struct bytes){ .data = t->data, .len = t->len };
}
static inline bool text_is(const struct text *t, struct bytes data, uint32_t hash)
{
    return t->hash == hash && t->len == data.len && memcmp(t->data, data.data, data.len) == 0;
}

/* --- ordered maps: insertion order, as of Redis' listpacks --- */

struct field {
    struct text *name;  /* NULL: was removed */
    struct text *value; /* of a hash; NULL otherwise */
    double score;       /* of a sorted set */
    uint64_t seq;       /* grows along the order; survives removal and return (redis_journal.c) */
};

struct fields {
    struct field *list;
    size_t used, cap, count; /* used: with the removed ones */
    uint32_t *index;         /* open addressing, 1 + position; NULL while the map is small */
    size_t slots;
    uint64_t seq_next;
};

void redis_fields_done(struct fields *f);
void fields_copy(struct fields *to, const struct fields *from);
struct field *fields_find(const struct fields *f, struct bytes name, uint32_t hash);
/* Appends; the caller knows that there is none. name's and value's references are taken over. */
struct field *fields_add(struct fields *f, struct text *name, struct text *value, double score);
/* Back to where it was; seq as it was then. */
void fields_put_back(struct fields *f, const struct field *was);
/* The references are the caller's now. */
struct field fields_remove(struct fields *f, struct field *at);

/* --- sorted sets --- */

struct ranked {
    double score;
    struct text *member; /* borrowed from the map */
};

struct zset {
    struct fields members;
    struct ranked *list; /* by (score, bytes) */
    size_t cap;
};

void zset_done(struct zset *z);
void zset_copy(struct zset *to, const struct zset *from);
struct field *zset_add(struct zset *z, struct text *member, double score);
void zset_rescore(struct zset *z, struct field *at, double score);
struct field zset_remove(struct zset *z, struct field *at);
void zset_put_back(struct zset *z, const struct field *was);
/* The first position whose score is at least (above: more than) score. */
size_t zset_first(const struct zset *z, double score, bool above);

/* --- keys --- */

struct entry {
    struct entry *next; /* of its bucket, in the order of hashes */
    struct text *key;
    enum redis_type type;
    int64_t expire_ms; /* -1: never */
    union {
        struct text *string;
        struct fields *map; /* hash, set */
        struct zset *zset;
    };
};

/* Buckets by the upper bits of the hash: bucket after bucket is the order of hashes whatever the
 * size, so a cursor is a hash and a growing table moves nothing across it. */
struct keyspace {
    struct entry **buckets;
    unsigned bits;
    size_t count;
};

void keyspace_done(struct keyspace *k);
struct keyspace keyspace_copy(const struct keyspace *k);
struct entry *keyspace_find(const struct keyspace *k, struct bytes key, uint32_t hash);
void keyspace_add(struct keyspace *k, struct entry *e);
void keyspace_remove(struct keyspace *k, struct entry *e); /* the entry is the caller's now */
static inline size_t keyspace_bucket(const struct keyspace *k, uint32_t hash)
{
    return k->bits ? hash >> (32 - k->bits) : 0;
}

struct entry *entry_new(struct text *key, enum redis_type type); /* takes the reference over */
struct entry *entry_copy(const struct entry *e);
struct entry *entry_free(struct entry *e);
/* Elements of a hash, set or sorted set. */
struct fields *entry_fields(const struct entry *e);

#endif
