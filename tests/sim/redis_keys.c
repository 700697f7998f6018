/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorted sets, entries and the table of keys of the fake Redis. */
#include <stdlib.h>

#include "tests/sim/redis_data.h"

/* --- sorted sets --- */

static int text_order(const struct text *a, const struct text *b)
{
    int order = memcmp(a->data, b->data, MIN(a->len, b->len));
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

size_t zset_first(const struct zset *z, double score, bool above)
{
    size_t low = 0, high = z->members.count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (z->list[mid].score < score || (above && z->list[mid].score == score))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Where (score, member) is or belongs among the first count. */
static size_t place_of(const struct zset *z, size_t count, double score, const struct text *member)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct ranked *at = &z->list[mid];
        if (at->score < score || (at->score == score && text_order(at->member, member) < 0))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void rank_insert(struct zset *z, size_t count, double score, struct text *member)
{
    if (count == z->cap) {
        z->cap = z->cap ? 2 * z->cap : 8;
        z->list = xrealloc(z->list, z->cap * sizeof *z->list);
    }
    size_t at = place_of(z, count, score, member);
    memmove(z->list + at + 1, z->list + at, (count - at) * sizeof *z->list);
    z->list[at] = (struct ranked){ .score = score, .member = member };
}

static void rank_remove(struct zset *z, size_t count, double score, const struct text *member)
{
    size_t at = place_of(z, count, score, member);
    ASSERT(at < count && z->list[at].member == member);
    memmove(z->list + at, z->list + at + 1, (count - at - 1) * sizeof *z->list);
}

struct field *zset_add(struct zset *z, struct text *member, double score)
{
    rank_insert(z, z->members.count, score, member);
    return fields_add(&z->members, member, NULL, score);
}

void zset_rescore(struct zset *z, struct field *at, double score)
{
    rank_remove(z, z->members.count, at->score, at->name);
    rank_insert(z, z->members.count - 1, score, at->name);
    at->score = score;
}

struct field zset_remove(struct zset *z, struct field *at)
{
    rank_remove(z, z->members.count, at->score, at->name);
    return fields_remove(&z->members, at);
}

void zset_put_back(struct zset *z, const struct field *was)
{
    rank_insert(z, z->members.count, was->score, was->name);
    fields_put_back(&z->members, was);
}

void zset_done(struct zset *z)
{
    free(z->list);
    z->list = NULL;
    z->cap = 0;
    redis_fields_done(&z->members);
}

void zset_copy(struct zset *to, const struct zset *from)
{
    fields_copy(&to->members, &from->members);
    to->cap = from->cap;
    to->list = xmalloc((from->cap ? from->cap : 1) * sizeof *to->list);
    if (from->members.count) memcpy(to->list, from->list, from->members.count * sizeof *to->list);
}

/* --- entries --- */

struct entry *entry_new(struct text *key, enum redis_type type)
{
    struct entry *e = xcalloc(1, sizeof *e);
    e->key = key;
    e->type = type;
    e->expire_ms = -1;
    if (type == REDIS_HASH || type == REDIS_SET) e->map = xcalloc(1, sizeof *e->map);
    if (type == REDIS_ZSET) e->zset = xcalloc(1, sizeof *e->zset);
    return e;
}

struct entry *entry_copy(const struct entry *e)
{
    struct entry *copy = entry_new(text_ref(e->key), e->type);
    copy->expire_ms = e->expire_ms;
    if (e->type == REDIS_STRING)
        copy->string = text_ref(e->string);
    else if (e->type == REDIS_ZSET)
        zset_copy(copy->zset, e->zset);
    else
        fields_copy(copy->map, e->map);
    return copy;
}

struct entry *entry_free(struct entry *e)
{
    if (!e) return NULL;
    if (e->type == REDIS_STRING) {
        text_unref(e->string);
    } else if (e->type == REDIS_ZSET) {
        zset_done(e->zset);
        free(e->zset);
    } else {
        redis_fields_done(e->map);
        free(e->map);
    }
    text_unref(e->key);
    free(e);
    return NULL;
}

struct fields *entry_fields(const struct entry *e)
{
    return e->type == REDIS_ZSET ? &e->zset->members : e->map;
}

/* --- the table --- */

struct entry *keyspace_find(const struct keyspace *k, struct bytes key, uint32_t hash)
{
    if (!k->buckets) return NULL;
    for (struct entry *e = k->buckets[keyspace_bucket(k, hash)]; e; e = e->next)
        if (text_is(e->key, key, hash)) return e;
    return NULL;
}

/* Within a bucket by hash, then by bytes: SCAN's order is the data's, not that of its history. */
static void link_in(struct keyspace *k, struct entry *e)
{
    struct entry **at = &k->buckets[keyspace_bucket(k, e->key->hash)];
    while (*at && ((*at)->key->hash < e->key->hash ||
                   ((*at)->key->hash == e->key->hash && text_order((*at)->key, e->key) < 0)))
        at = &(*at)->next;
    e->next = *at;
    *at = e;
}

static void grow(struct keyspace *k)
{
    struct keyspace old = *k;
    k->bits = old.buckets ? old.bits + 1 : 4;
    k->buckets = xcalloc((size_t)1 << k->bits, sizeof *k->buckets);
    for (size_t i = 0; old.buckets && i < (size_t)1 << old.bits; i++)
        for (struct entry *e = old.buckets[i], *next; e; e = next) {
            next = e->next;
            link_in(k, e);
        }
    free(old.buckets);
}

void keyspace_add(struct keyspace *k, struct entry *e)
{
    if (!k->buckets || k->count >= (size_t)1 << k->bits) grow(k);
    link_in(k, e);
    k->count++;
}

void keyspace_remove(struct keyspace *k, struct entry *e)
{
    struct entry **at = &k->buckets[keyspace_bucket(k, e->key->hash)];
    while (*at != e) at = &(*at)->next;
    *at = e->next;
    e->next = NULL;
    k->count--;
}

void keyspace_done(struct keyspace *k)
{
    for (size_t i = 0; k->buckets && i < (size_t)1 << k->bits; i++)
        for (struct entry *e = k->buckets[i], *next; e; e = next) {
            next = e->next;
            entry_free(e);
        }
    free(k->buckets);
    *k = (struct keyspace){ 0 };
}

struct keyspace keyspace_copy(const struct keyspace *k)
{
    struct keyspace copy = { 0 };
    for (size_t i = 0; k->buckets && i < (size_t)1 << k->bits; i++)
        for (const struct entry *e = k->buckets[i]; e; e = e->next)
            keyspace_add(&copy, entry_copy(e));
    return copy;
}
