/* SPDX-License-Identifier: Apache-2.0
 *
 * A Redis 7.0 in memory for the simulator: one keyspace, virtual time, the product's own Lua
 * scripts in the Lua that Redis embeds, every fault on command. Calls are synchronous and
 * deterministic: the same seed and the same calls give the same replies. test_redis.c holds it
 * against a real server. */
#ifndef TUTTI_SIM_REDIS_H
#define TUTTI_SIM_REDIS_H

#include "common/base/buf.h"
#include "common/io/store.h"

struct redis;

/* A deliberately wrong answer, to prove that a comparison would notice one. */
#define REDIS_BUGS(X)   \
    X(NONE)             \
    X(ZADD_KEEPS_SCORE) \
    X(HDEL_KEEPS_EMPTY) \
    X(SET_KEEPS_TTL)    \
    X(NX_OVERWRITES)    \
    X(RANGE_IS_OPEN)    \
    X(NIL_IS_EMPTY)     \
    X(HINCRBY_FORGETS)  \
    X(UNLINK_COUNTS_ALL)
enum redis_bug {
#define X(name) REDIS_BUG_##name,
    REDIS_BUGS(X)
#undef X
        REDIS_BUG_COUNT
};

struct redis_options {
    uint64_t seed;                /* of the run_ids and of the order in which SCAN names keys */
    const char *maxmemory_policy; /* of CONFIG GET; NULL: noeviction */
    bool journal; /* keep what redis_rewind needs, until redis_forget; false: redis_mark is refused
                   */
    /* What this Redis does not implement ends the process with its name, so that nobody takes it
     * for a refusal. true: it is answered as Redis answers an unknown command. */
    bool lenient;
    enum redis_bug bug;
};

struct redis *redis_new(const struct redis_options *options);
/* NULL is fine; returns NULL. */
struct redis *redis_free(struct redis *r);
DEFINE_CLEANUP(struct redis *, redis_free)

/* As new with this seed; of the options only the seed changes. Much faster than a new one, which
 * has to compile its scripts. Marks are void. */
void redis_reset(struct redis *r, uint64_t seed);

/* The wall clock in ms since 1970: of TIME and of every expiry. It may go back. 1 at first. */
void redis_set_time(struct redis *r, int64_t wall_ms);

/* --- calls --- */

/* What store.h hides. A reply lies in the arena of its call (orchestrator/engine/arena.h) and is
 * gone with its reset; it points to nothing in the keyspace. redis_store.c has the accessors of
 * store.h over it. */
struct store_reply {
    enum store_type type;
    bool status; /* a STORE_STRING that Redis sends as a status, such as OK */
    int64_t integer;
    struct bytes text; /* STORE_STRING, STORE_ERROR_TEXT; NUL-terminated */
    size_t count;
    struct store_reply *items; /* STORE_ARRAY: count replies */
};

/* One command; argv[0] is its name in any case. argv is not kept. */
const struct store_reply *redis_call(struct redis *r, const struct bytes *argv, size_t argc,
                                     void **arena);
/* EVALSHA (source NULL) or EVAL without the words of a command: argv are key_count keys, then
 * arguments. sha1 is that of the source, 40 lower-case hex digits. */
const struct store_reply *redis_script(struct redis *r, const char *sha1, const char *source,
                                       size_t key_count, const struct bytes *argv, size_t argc,
                                       void **arena);
/* MULTI, the commands, EXEC: if one of them is unknown or refused, an error and nothing is done. */
const struct store_reply *redis_exec(struct redis *r, const struct store_commands *commands,
                                     void **arena);
/* Script calls and commands so far, those within scripts too. */
uint64_t redis_calls(const struct redis *r);

/* --- faults --- */

const char *redis_run_id(const struct redis *r); /* 40 hex */
/* A process that starts again with all its data: another run_id, no scripts. */
void redis_restart(struct redis *r);
/* FLUSHALL: the data is gone, scripts and run_id stay. */
void redis_wipe(struct redis *r);

enum redis_refusal {
    REDIS_WILLING,
    REDIS_OOM,         /* out of memory: what could need more is refused, reads and deletes are not;
                        * a script only up to its first write that passes */
    REDIS_READONLY,    /* a replica: no writes */
    REDIS_MISCONF,     /* cannot save to its disk: no writes */
    REDIS_NO_REPLICAS, /* min-replicas-to-write is not met: no writes */
    REDIS_LOADING,     /* reads its dump: nothing but INFO, CONFIG, SELECT, AUTH and TIME */
};
void redis_set_refusing(struct redis *r, enum redis_refusal kind);

/* A place in the history of writes: between two calls, never within one. */
uint64_t redis_mark(const struct redis *r);
/* Back to exactly the data of the mark; keys that expired since then expire anew. Marks beyond it
 * are void. new_process: and another run_id and no scripts, as after a failover. */
void redis_rewind(struct redis *r, uint64_t mark, bool new_process);
/* Gives up the marks below this one, and the memory that they need. */
void redis_forget(struct redis *r, uint64_t mark);

/* A copy of all data; cheap to keep: it shares its texts. Free before the redis. */
struct redis_dump;
struct redis_dump *redis_dump(const struct redis *r);
/* The data becomes the dump's, which stays the caller's. Marks stay good. */
void redis_load(struct redis *r, const struct redis_dump *dump);
struct redis_dump *redis_dump_free(struct redis_dump *dump);

/* --- for oracles: what is there, without a call. A key that ran out is not. Views are good until
 * the next call that is no look. --- */

enum redis_type { REDIS_NONE, REDIS_STRING, REDIS_HASH, REDIS_SET, REDIS_ZSET };
enum redis_type redis_type(const struct redis *r, struct bytes key);
/* Bytes of a string, fields, members; 0: no such key. */
size_t redis_length(const struct redis *r, struct bytes key);
/* Wall ms; -1: never; -2: no such key. */
int64_t redis_expires_ms(const struct redis *r, struct bytes key);
/* false: there is none, or the key is of another type; *ret is left alone. */
bool redis_string(const struct redis *r, struct bytes key, struct bytes *ret);
bool redis_field(const struct redis *r, struct bytes key, struct bytes field, struct bytes *ret);
bool redis_score(const struct redis *r, struct bytes key, struct bytes member, double *ret);
/* Fields in the order of HGETALL. */
void redis_each_field(const struct redis *r, struct bytes key,
                      void (*fn)(void *user, struct bytes field, struct bytes value), void *user);
/* Members of a zset in order; of a set with score 0. */
void redis_each_member(const struct redis *r, struct bytes key,
                       void (*fn)(void *user, struct bytes member, double score), void *user);
/* Keys that begin with prefix, in the order of SCAN. */
void redis_each_key(const struct redis *r, struct bytes prefix,
                    void (*fn)(void *user, struct bytes key), void *user);
size_t redis_key_count(const struct redis *r);
/* Of all keys, values and expiries; equal data of two of the same seed have equal digests, however
 * they came about (the order of fields counts). One pass over the data. */
uint64_t redis_digest(const struct redis *r);

#endif
