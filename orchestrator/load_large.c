/* SPDX-License-Identifier: Apache-2.0
 *
 * A run with more fields than one script may read without holding up Redis (a map of a hundred
 * thousand items has two hundred thousand, half of them transitions, which nobody needs here). It
 * is read in pieces, by the names that the engine asks for. No event of it can be folded until it
 * is there, so that no commit changes it meanwhile, and every piece says which place it stands for.
 */
#include <stdlib.h>

#include "orchestrator/internal.h"

#define PIECE_FIELDS 1000

struct large {
    struct partition *part;
    uint32_t life;
    int64_t expected_off;
    char id[RUN_ID_MAX];
    const struct definition *def; /* NULL: the head is still to come */
    void *arena;                  /* of everything below */
    struct field *fields;         /* what was read */
    size_t count, cap;
    struct map named; /* names that were asked for */
    struct bytes *names;
    size_t name_count, name_cap, next, piece;
};

static void ask(struct large *l);

static void large_free(struct large *l)
{
    arena_done(&l->arena);
    map_done(&l->named);
    free(l->fields);
    free(l->names);
    free(l);
}

static void want(struct large *l, struct bytes name)
{
    if (map_get(&l->named, name)) return;
    if (l->name_count == l->name_cap) {
        l->name_cap = l->name_cap ? 2 * l->name_cap : 64;
        l->names = xrealloc(l->names, l->name_cap * sizeof *l->names);
    }
    struct bytes copy = arena_copy(&l->arena, name);
    l->names[l->name_count++] = copy;
    map_put(&l->named, copy, (void *)(uintptr_t)copy.data);
}

static void keep(struct large *l, struct bytes name, struct bytes value)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->fields = xrealloc(l->fields, l->cap * sizeof *l->fields);
    }
    l->fields[l->count++] = (struct field){ .name = name, .value = arena_copy(&l->arena, value) };
}

/* What else is to be read, by what was read. */
static void want_more(struct large *l)
{
    char sha[SHA256_HEX];
    if (!l->def && fields_definition(l->fields, l->count, sha))
        l->def = catalogue_find(l->part->shard->catalogue, sha);
    if (!l->def) return;
    CLEANUP(fields_done) struct fields needs = { 0 };
    run_needs(l->def, l->fields, l->count, &needs);
    for (size_t i = 0; i < needs.count; i++) want(l, needs.list[i].name);
}

static void finish(struct large *l)
{
    struct partition *part = l->part;
    struct entry *entry = cache_find(part, bytes_of(l->id));
    if (entry) entry->large = false;
    if (entry && entry->loading && !cache_take(entry, l->fields, l->count))
        partition_resume_in(part, RETRY_MS);
    large_free(l);
}

/* From the beginning, in a while. */
static void start_over(struct large *l)
{
    struct entry *entry = cache_find(l->part, bytes_of(l->id));
    if (entry) entry->large = false;
    partition_resume_in(l->part, RETRY_MS);
    large_free(l);
}

static void on_piece(void *user, enum store_status status, const struct store_reply *reply)
{
    struct large *l = user;
    struct partition *part = l->part;
    if (!partition_reply(part, l->life)) {
        large_free(l);
        return;
    }
    if (status != STORE_OK || part->commits_fail) {
        start_over(l);
        return;
    }
    if (store_integer(store_at(reply, 0)) != part->epoch ||
        store_integer(store_at(reply, 1)) != l->expected_off) {
        int64_t epoch = store_integer(store_at(reply, 0));
        large_free(l);
        partition_displaced(part, epoch, "Redis stands at another place than this owner");
        return;
    }
    for (size_t i = 0; i < l->piece; i++) {
        const struct store_reply *value = store_at(reply, 2 + i);
        if (store_type(value) == STORE_STRING) keep(l, l->names[l->next + i], store_string(value));
    }
    l->next += l->piece;
    if (l->next == l->name_count) want_more(l);
    if (l->next < l->name_count)
        ask(l);
    else
        finish(l);
}

static void ask(struct large *l)
{
    struct partition *part = l->part;
    struct shard *shard = part->shard;
    struct args args = { 0 };
    AUTO_BUF struct buf key = { 0 };
    l->piece = MIN(l->name_count - l->next, (size_t)PIECE_FIELDS);
    l->expected_off = part->sent_off;
    args_add_key(&args, part, key_partition);
    key_run(&key, shard->prefix, part->id, bytes_of(l->id));
    args_add(&args, buf_bytes(&key));
    for (size_t i = 0; i < l->piece; i++) args_add(&args, l->names[l->next + i]);
    AUTO_FREE struct bytes *argv = args_views(&args);
    partition_await(part);
    store_script(shard->store, shard_script(shard, SCRIPT_FIELDS), 2, argv, args.count, on_piece,
                 l);
    args_done(&args);
}

void large_load(struct entry *entry)
{
    if (entry->large) return;
    entry->large = true;
    struct large *l = xcalloc(1, sizeof *l);
    *l = (struct large){ .part = entry->part, .life = entry->part->life };
    memcpy(l->id, entry->id, RUN_ID_MAX);
    want(l, BYTES_LIT("h"));
    want(l, BYTES_LIT("s"));
    want(l, BYTES_LIT("b"));
    ask(l);
}
