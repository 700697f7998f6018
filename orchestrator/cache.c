/* SPDX-License-Identifier: Apache-2.0
 *
 * Run states in memory: bounded, least recently used first out; what a batch under way has touched
 * stays. A state that is read belongs to a place (epoch, off): if Redis stands elsewhere than this
 * owner believes, nothing that was read is used. */
#include <stdlib.h>

#include "common/base/mutant.h"
#include "orchestrator/internal.h"

#define ENTRY_BYTES (sizeof(struct entry) + 64) /* with its share of the table */

static void unlink_entry(struct cache *cache, struct entry *entry)
{
    if (entry->older)
        entry->older->newer = entry->newer;
    else
        cache->oldest = entry->newer;
    if (entry->newer)
        entry->newer->older = entry->older;
    else
        cache->newest = entry->older;
    entry->older = entry->newer = NULL;
}

static void link_newest(struct cache *cache, struct entry *entry)
{
    entry->older = cache->newest;
    if (cache->newest)
        cache->newest->newer = entry;
    else
        cache->oldest = entry;
    cache->newest = entry;
}

struct entry *cache_find(struct partition *part, struct bytes id)
{
    return map_get(&part->runs, id);
}

struct entry *cache_add(struct partition *part, struct bytes id)
{
    struct cache *cache = &part->shard->cache;
    struct entry *entry = xcalloc(1, sizeof *entry);
    entry->part = part;
    entry->loading = true;
    ASSERT(id.len == RUN_ID_MAX - 1);
    memcpy(entry->id, id.data, id.len);
    map_put(&part->runs, (struct bytes){ entry->id, id.len }, entry);
    link_newest(cache, entry);
    entry->memory = ENTRY_BYTES;
    cache->memory += entry->memory;
    cache->count++;
    return entry;
}

void cache_use(struct entry *entry)
{
    struct cache *cache = &entry->part->shard->cache;
    if (cache->newest == entry) return;
    unlink_entry(cache, entry);
    link_newest(cache, entry);
}

void cache_account(struct entry *entry)
{
    struct cache *cache = &entry->part->shard->cache;
    size_t memory = ENTRY_BYTES + (entry->run ? run_memory(entry->run) : 0);
    cache->memory += memory - entry->memory;
    if (entry->pins > 0) cache->pinned += memory - entry->memory;
    entry->memory = memory;
}

void cache_pin(struct entry *entry)
{
    if (entry->pins++ == 0) entry->part->shard->cache.pinned += entry->memory;
}

void cache_unpin(struct entry *entry)
{
    ASSERT(entry->pins > 0);
    if (--entry->pins == 0) entry->part->shard->cache.pinned -= entry->memory;
}

static void entry_free(struct entry *entry)
{
    struct cache *cache = &entry->part->shard->cache;
    unlink_entry(cache, entry);
    cache->memory -= entry->memory;
    if (entry->pins > 0) cache->pinned -= entry->memory;
    cache->count--;
    payload_fetch_cancel(entry);
    payload_known_done(entry);
    free(entry->lost);
    run_free(entry->run);
    free(entry);
}

void cache_drop(struct entry *entry)
{
    ASSERT(entry->pins == 0);
    map_remove(&entry->part->runs, bytes_of(entry->id));
    entry_free(entry);
}

void cache_trim(struct cache *cache)
{
    struct entry *entry = cache->oldest;
    while (entry && cache->memory > cache->memory_max) {
        struct entry *next = entry->newer;
        if (entry->pins == 0 && !entry->loading && !entry->in_batch) cache_drop(entry);
        entry = next;
    }
}

void cache_drop_partition(struct partition *part)
{
    size_t pos = 0;
    for (struct entry *entry; (entry = map_next(&part->runs, &pos));) entry_free(entry);
    map_done(&part->runs);
    pos = 0;
    for (struct start_key *key; (key = map_next(&part->keys, &pos));) free(key);
    map_done(&part->keys);
}

/* --- loading --- */

struct load {
    struct partition *part;
    uint32_t life;
    int64_t expected_off;
    size_t run_count, key_count;
    char (*runs)[RUN_ID_MAX];
    char (*keys)[ROUTE_HEX + 1];
};

static void load_free(struct load *load)
{
    free(load->runs);
    free(load->keys);
    free(load);
}

/* Transitions are history: nothing of them is needed to go on. */
static size_t collect_fields(const struct store_reply *hash, struct field *fields)
{
    size_t count = 0;
    for (size_t i = 0; i + 1 < store_count(hash); i += 2) {
        struct bytes name = store_string(store_at(hash, i));
        if (name.len > 1 && name.data[0] == 't' && name.data[1] == ':') continue;
        fields[count++] =
            (struct field){ .name = name, .value = store_string(store_at(hash, i + 1)) };
    }
    return count;
}

static const struct definition *definition_of(struct entry *entry, const struct field *fields,
                                              size_t count)
{
    struct partition *part = entry->part;
    char sha[SHA256_HEX];
    struct err e = { 0 };
    if (!fields_definition(fields, count, sha)) {
        err_fail(&e, ERR_INVALID, "the stored state of run %s has no head", entry->id);
        shard_fail(part->shard, &e);
        return NULL;
    }
    return catalogue_find(part->shard->catalogue, sha);
}

bool cache_put_in(struct entry *entry, const struct field *fields, size_t count)
{
    struct partition *part = entry->part;
    struct err e = { 0 };
    const struct definition *def = definition_of(entry, fields, count);
    if (!def) return false;
    entry->run = entry->lost ? run_load_outline(def, entry->id, fields, count, &e)
                             : run_load(def, entry->id, fields, count, &e);
    if (!entry->run) {
        err_prefix(&e, "the stored state of run %s", entry->id);
        shard_fail(part->shard, &e);
        return false;
    }
    if (run_state_terminal(run_state_of(entry->run)))
        entry->stored_bytes = payloads_counted(entry->run, fields, count);
    entry->loading = false;
    cache_account(entry);
    return true;
}

bool cache_take(struct entry *entry, struct field *fields, size_t count)
{
    if (payloads_fetch(entry, fields, count)) return true;
    payloads_unguard(fields, count);
    return cache_put_in(entry, fields, count);
}

/* false: the definition is not known yet, so the run cannot be read. */
static bool load_run(struct entry *entry, const struct store_reply *hash)
{
    if (store_count(hash) == 1) { /* "large" */
        large_load(entry);
        return true;
    }
    if (store_count(hash) == 0) { /* does not exist */
        entry->loading = false;
        cache_account(entry);
        return true;
    }
    AUTO_FREE struct field *fields = xcalloc(store_count(hash) / 2, sizeof *fields);
    size_t count = collect_fields(hash, fields);
    return cache_take(entry, fields, count);
}

/* Takes what was read; entries whose definition is unknown stay loading and are asked for again. */
static bool load_take(struct load *load, const struct store_reply *reply)
{
    struct partition *part = load->part;
    bool whole = true;
    for (size_t i = 0; i < load->run_count; i++) {
        struct entry *entry = cache_find(part, bytes_of(load->runs[i]));
        if (!entry || !entry->loading) continue;
        whole &= load_run(entry, store_at(reply, 2 + i));
    }
    for (size_t i = 0; i < load->key_count; i++) {
        struct start_key *key = map_get(&part->keys, bytes_of(load->keys[i]));
        if (!key || !key->loading) continue;
        struct bytes id = store_string(store_at(reply, 2 + load->run_count + i));
        memcpy(key->run_id, id.data ? id.data : "", MIN(id.len, (size_t)RUN_ID_MAX - 1));
        key->loading = false;
    }
    return whole;
}

static void on_load(void *user, enum store_status status, const struct store_reply *reply)
{
    struct load *load = user;
    struct partition *part = load->part;
    if (!partition_reply(part, load->life)) {
        load_free(load);
        return;
    }
    if (status != STORE_OK || part->commits_fail) { /* what is read now is behind on purpose */
        partition_resume_in(part, RETRY_MS);
    } else if (!MUTANT(RULE_1) && (store_integer(store_at(reply, 0)) != part->epoch ||
                                   store_integer(store_at(reply, 1)) != load->expected_off)) {
        partition_displaced(part, store_integer(store_at(reply, 0)),
                            "Redis stands at another place than this owner");
    } else if (!load_take(load, reply)) {
        partition_resume_in(part, RETRY_MS);
    }
    load_free(load);
}

static void load_send(struct load *load)
{
    struct partition *part = load->part;
    struct shard *shard = part->shard;
    struct args args = { 0 };
    AUTO_BUF struct buf key = { 0 };
    args_add_key(&args, part, key_partition);
    for (size_t i = 0; i < load->run_count; i++) {
        buf_reset(&key);
        key_run(&key, shard->prefix, part->id, bytes_of(load->runs[i]));
        args_add(&args, buf_bytes(&key));
    }
    for (size_t i = 0; i < load->key_count; i++) {
        buf_reset(&key);
        key_start(&key, shard->prefix, part->id, bytes_of(load->keys[i]));
        args_add(&args, buf_bytes(&key));
    }
    size_t keys = args.count;
    args_add_int(&args, (int64_t)load->run_count);
    args_add_int(&args, shard->options.load_fields_max);
    AUTO_FREE struct bytes *argv = args_views(&args);
    partition_await(part);
    store_script(shard->store, shard_script(shard, SCRIPT_LOAD), keys, argv, args.count, on_load,
                 load);
    args_done(&args);
}

void cache_load(struct partition *part, struct entry **entries, size_t entry_count,
                struct start_key **keys, size_t key_count)
{
    struct load *load = xcalloc(1, sizeof *load);
    *load = (struct load){ .part = part,
                           .life = part->life,
                           .expected_off = part->sent_off,
                           .run_count = entry_count,
                           .key_count = key_count };
    load->runs = xcalloc(entry_count, sizeof *load->runs);
    load->keys = xcalloc(key_count, sizeof *load->keys);
    for (size_t i = 0; i < entry_count; i++) memcpy(load->runs[i], entries[i]->id, RUN_ID_MAX);
    for (size_t i = 0; i < key_count; i++) memcpy(load->keys[i], keys[i]->route, ROUTE_HEX + 1);
    load_send(load);
}
