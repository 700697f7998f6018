/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake Redis as a server: its life, which command may run, and what oracles see. */
#include "tests/sim/redis.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/hash.h"
#include "orchestrator/engine/arena.h"
#include "tests/sim/redis_internal.h"
#include "tests/unit/base/prng.h"

static const struct redis_command commands[] = {
#define X(name, fn, arity, flags) { #name, redis_cmd_##fn, arity, flags },
    REDIS_COMMANDS(X)
#undef X
};

/* --- life --- */

static void new_run_id(struct redis *r)
{
    uint64_t words[3] = { prng_next(&r->prng), prng_next(&r->prng), prng_next(&r->prng) };
    hex_encode((const unsigned char *)words, 20, r->run_id);
}

/* What a seed decides; the rest is zero. */
static void sow(struct redis *r, uint64_t seed)
{
    r->options.seed = seed;
    r->prng = (seed ^ 0x5DEECE66D) * 0x9E3779B97F4A7C15ULL | 1;
    r->hash_seed = (uint32_t)prng_next(&r->prng);
    r->now_ms = 1;
    new_run_id(r);
}

struct redis *redis_new(const struct redis_options *options)
{
    struct redis *r = xcalloc(1, sizeof *r);
    r->options = *options;
    sow(r, options->seed);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        (void)map_put(&r->commands, bytes_of(commands[i].name), (void *)(uintptr_t)&commands[i]);
    scripts_open(r);
    return r;
}

void redis_reset(struct redis *r, uint64_t seed)
{
    ASSERT(!r->in_script);
    journal_done(r);
    keyspace_done(&r->keys);
    scripts_forget(r);
    r->refusing = REDIS_WILLING;
    r->calls = 0;
    sow(r, seed);
}

struct redis *redis_free(struct redis *r)
{
    if (!r) return NULL;
    journal_done(r);
    keyspace_done(&r->keys);
    scripts_close(r);
    map_done(&r->commands);
    free(r);
    return NULL;
}

void redis_set_time(struct redis *r, int64_t wall_ms)
{
    r->now_ms = wall_ms;
}

uint64_t redis_calls(const struct redis *r)
{
    return r->calls;
}

const char *redis_run_id(const struct redis *r)
{
    return r->run_id;
}

void redis_restart(struct redis *r)
{
    new_run_id(r);
    scripts_forget(r);
}

void redis_wipe(struct redis *r)
{
    data_replace_all(r, (struct keyspace){ 0 });
}

void redis_set_refusing(struct redis *r, enum redis_refusal kind)
{
    r->refusing = kind;
}

/* --- commands --- */

#define NAME_BYTES_MAX 24

const struct redis_command *redis_command_find(const struct redis *r, struct bytes name)
{
    char upper[NAME_BYTES_MAX];
    if (name.len > sizeof upper) return NULL;
    for (size_t i = 0; i < name.len; i++) {
        char ch = name.data[i];
        upper[i] = ch >= 'a' && ch <= 'z' ? (char)(ch - 'a' + 'A') : ch;
    }
    return map_get(&r->commands, (struct bytes){ .data = upper, .len = name.len });
}

bool redis_arity_ok(const struct redis_command *command, size_t argc)
{
    return command->arity >= 0 ? argc == (size_t)command->arity : argc >= (size_t)-command->arity;
}

const char *redis_refused(const struct redis *r, const struct redis_command *command)
{
    bool writes = command->flags & WRITES;
    switch (r->refusing) {
    case REDIS_WILLING: return NULL;
    case REDIS_OOM:
        return command->flags & DENY_OOM ? "OOM command not allowed when used memory > 'maxmemory'."
                                         : NULL;
    case REDIS_READONLY:
        return writes ? "READONLY You can't write against a read only replica." : NULL;
    case REDIS_MISCONF:
        return writes || (command->run == redis_cmd_ping && !r->in_script)
                   ? "MISCONF Redis is configured to save RDB snapshots, but it's currently unable "
                     "to persist to disk. Commands that may modify the data set are disabled, "
                     "because this instance is configured to report errors during writes if RDB "
                     "snapshotting fails (stop-writes-on-bgsave-error option). Please check the "
                     "Redis logs for details about the RDB error."
                   : NULL;
    case REDIS_NO_REPLICAS: return writes ? "NOREPLICAS Not enough good replicas to write." : NULL;
    case REDIS_LOADING:
        return command->flags & WHILE_LOADING ? NULL
                                              : "LOADING Redis is loading the dataset in memory";
    }
    return NULL;
}

void redis_not_implemented(const struct redis *r, struct bytes what)
{
    if (r->options.lenient) return;
    fprintf(stderr,
            "the simulator's Redis does not implement %.*s: add it to tests/sim/redis_*.c\n",
            (int)what.len, what.data);
    abort();
}

static void wrong_arity(struct call *c, const char *name)
{
    char lower[32];
    size_t len = 0;
    for (; name[len]; len++) lower[len] = (char)tolower((unsigned char)name[len]);
    reply_error(c, "ERR wrong number of arguments for '%.*s' command", (int)len, lower);
}

static void unknown(struct call *c)
{
    AUTO_BUF struct buf args = { 0 };
    for (size_t i = 1; i < c->argc && args.len < 128; i++)
        buf_addf(&args, "'%.*s' ", (int)MIN(c->argv[i].len, 128 - args.len), c->argv[i].data);
    reply_error(c, "ERR unknown command '%.*s', with args beginning with: %s",
                (int)MIN(c->argv[0].len, (size_t)128), c->argv[0].data, args.data ? args.data : "");
}

/* NULL: it may not run, and the reply says why. */
static const struct redis_command *command_checked(struct call *c)
{
    const struct redis_command *command = redis_command_find(c->r, c->argv[0]);
    const char *refusal = NULL;
    if (!command) {
        redis_not_implemented(c->r, c->argv[0]);
        unknown(c);
    } else if (!redis_arity_ok(command, c->argc)) {
        wrong_arity(c, command->name);
    } else if ((refusal = redis_refused(c->r, command))) {
        reply_error(c, "%s", refusal);
    } else {
        return command;
    }
    return NULL;
}

static void call_into(struct redis *r, const struct bytes *argv, size_t argc, void **arena,
                      struct store_reply *ret)
{
    struct call c = { .r = r, .argv = argv, .argc = argc, .arena = arena, .root = ret };
    r->calls++;
    const struct redis_command *command = command_checked(&c);
    if (command) command->run(&c);
}

const struct store_reply *redis_call(struct redis *r, const struct bytes *argv, size_t argc,
                                     void **arena)
{
    ASSERT(argc > 0 && !r->in_script);
    struct store_reply *root = arena_alloc(arena, sizeof *root);
    call_into(r, argv, argc, arena, root);
    return root;
}

/* Whether EXEC would abort: some are refused when they are queued; without memory all are, because
 * a queue takes some. */
static bool aborts(struct redis *r, const struct store_commands *commands, void **arena)
{
    if (r->refusing == REDIS_OOM && commands->count > 0) return true;
    const struct bytes *at = commands->words;
    for (size_t i = 0; i < commands->count; at += commands->lengths[i++]) {
        struct store_reply thrown;
        struct call c = {
            .r = r, .argv = at, .argc = commands->lengths[i], .arena = arena, .root = &thrown
        };
        if (!command_checked(&c)) return true;
    }
    return false;
}

const struct store_reply *redis_exec(struct redis *r, const struct store_commands *commands,
                                     void **arena)
{
    struct store_reply *root = arena_alloc(arena, sizeof *root);
    if (aborts(r, commands, arena)) {
        struct call c = { .r = r, .arena = arena, .root = root };
        reply_error(&c, "EXECABORT Transaction discarded because of previous errors.");
        return root;
    }
    *root = (struct store_reply){ .type = STORE_ARRAY, .count = commands->count };
    root->items = arena_alloc(arena, (commands->count + 1) * sizeof *root->items);
    const struct bytes *at = commands->words;
    for (size_t i = 0; i < commands->count; at += commands->lengths[i++])
        call_into(r, at, commands->lengths[i], arena, &root->items[i]);
    return root;
}

/* --- for oracles --- */

static const struct entry *look(const struct redis *r, struct bytes key)
{
    const struct entry *e = keyspace_find(&r->keys, key, hash_of(r, key));
    return e && !is_expired(r, e) ? e : NULL;
}

enum redis_type redis_type(const struct redis *r, struct bytes key)
{
    const struct entry *e = look(r, key);
    return e ? e->type : REDIS_NONE;
}

size_t redis_length(const struct redis *r, struct bytes key)
{
    const struct entry *e = look(r, key);
    if (!e) return 0;
    return e->type == REDIS_STRING ? e->string->len : entry_fields(e)->count;
}

int64_t redis_expires_ms(const struct redis *r, struct bytes key)
{
    const struct entry *e = look(r, key);
    return e ? e->expire_ms : -2;
}

bool redis_string(const struct redis *r, struct bytes key, struct bytes *ret)
{
    const struct entry *e = look(r, key);
    if (!e || e->type != REDIS_STRING) return false;
    *ret = text_bytes(e->string);
    return true;
}

static const struct field *look_field(const struct redis *r, struct bytes key, enum redis_type type,
                                      struct bytes name)
{
    const struct entry *e = look(r, key);
    if (!e || e->type != type) return NULL;
    return fields_find(entry_fields(e), name, hash_of(r, name));
}

bool redis_field(const struct redis *r, struct bytes key, struct bytes field, struct bytes *ret)
{
    const struct field *at = look_field(r, key, REDIS_HASH, field);
    if (at) *ret = text_bytes(at->value);
    return at != NULL;
}

bool redis_score(const struct redis *r, struct bytes key, struct bytes member, double *ret)
{
    const struct field *at = look_field(r, key, REDIS_ZSET, member);
    if (at) *ret = at->score;
    return at != NULL;
}

void redis_each_field(const struct redis *r, struct bytes key,
                      void (*fn)(void *user, struct bytes field, struct bytes value), void *user)
{
    const struct entry *e = look(r, key);
    if (!e || e->type != REDIS_HASH) return;
    for (size_t i = 0; i < e->map->used; i++)
        if (e->map->list[i].name)
            fn(user, text_bytes(e->map->list[i].name), text_bytes(e->map->list[i].value));
}

void redis_each_member(const struct redis *r, struct bytes key,
                       void (*fn)(void *user, struct bytes member, double score), void *user)
{
    const struct entry *e = look(r, key);
    if (e && e->type == REDIS_ZSET)
        for (size_t i = 0; i < e->zset->members.count; i++)
            fn(user, text_bytes(e->zset->list[i].member), e->zset->list[i].score);
    if (e && e->type == REDIS_SET)
        for (size_t i = 0; i < e->map->used; i++)
            if (e->map->list[i].name) fn(user, text_bytes(e->map->list[i].name), 0);
}

/* The next live entry in the order of SCAN; NULL at the end. *bucket is 0 and at NULL at first. */
static const struct entry *next_entry(const struct redis *r, size_t *bucket, const struct entry *at)
{
    const struct keyspace *k = &r->keys;
    if (!k->buckets) return NULL;
    at = at ? at->next : k->buckets[*bucket];
    for (;;) {
        for (; at; at = at->next)
            if (!is_expired(r, at)) return at;
        if (++*bucket >= (size_t)1 << k->bits) return NULL;
        at = k->buckets[*bucket];
    }
}

void redis_each_key(const struct redis *r, struct bytes prefix,
                    void (*fn)(void *user, struct bytes key), void *user)
{
    size_t bucket = 0;
    for (const struct entry *e = NULL; (e = next_entry(r, &bucket, e));)
        if (e->key->len >= prefix.len &&
            (prefix.len == 0 || memcmp(e->key->data, prefix.data, prefix.len) == 0))
            fn(user, text_bytes(e->key));
}

size_t redis_key_count(const struct redis *r)
{
    size_t bucket = 0, count = 0;
    for (const struct entry *e = NULL; (e = next_entry(r, &bucket, e));) count++;
    return count;
}

static uint64_t mix(uint64_t digest, struct bytes data)
{
    return (digest ^ hash_bytes(data)) * 0x9E3779B97F4A7C15ULL;
}

static uint64_t mix_raw(uint64_t digest, const void *data, size_t len)
{
    return mix(digest, (struct bytes){ .data = data, .len = len });
}

uint64_t redis_digest(const struct redis *r)
{
    uint64_t digest = 0;
    size_t bucket = 0;
    for (const struct entry *e = NULL; (e = next_entry(r, &bucket, e));) {
        digest = mix(digest + e->type, text_bytes(e->key));
        digest = mix_raw(digest, &e->expire_ms, sizeof e->expire_ms);
        if (e->type == REDIS_STRING) digest = mix(digest, text_bytes(e->string));
        for (size_t i = 0; e->type == REDIS_ZSET && i < e->zset->members.count; i++) {
            digest = mix(digest, text_bytes(e->zset->list[i].member));
            digest = mix_raw(digest, &e->zset->list[i].score, sizeof(double));
        }
        for (size_t i = 0; (e->type == REDIS_HASH || e->type == REDIS_SET) && i < e->map->used;
             i++) {
            const struct field *at = &e->map->list[i];
            if (!at->name) continue;
            digest = mix(digest, text_bytes(at->name));
            if (at->value) digest = mix(digest, text_bytes(at->value));
        }
    }
    return digest;
}
