/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the fake Redis share: the server, a call under way, the commands, the only
 * functions that change data. Not for use outside of redis*.c. */
#ifndef TUTTI_SIM_REDIS_INTERNAL_H
#define TUTTI_SIM_REDIS_INTERNAL_H

#include <lua.h>

#include "common/base/map.h"
#include "tests/sim/redis_data.h"

struct undo;

struct journal {
    struct undo *list;
    size_t head, used, cap; /* list[head..used) */
    uint64_t dropped;       /* records before list[head] */
};

struct redis_script;
struct lua_pool;

struct redis {
    struct redis_options options;
    uint32_t hash_seed;
    uint64_t prng;
    char run_id[41];
    int64_t now_ms;
    uint64_t calls;
    enum redis_refusal refusing;
    struct keyspace keys;
    struct journal journal;

    lua_State *lua;
    struct lua_pool *lua_pool;
    struct map commands;          /* by name */
    struct map scripts;           /* by SHA-1; compiled once, also over restarts */
    struct redis_script *last;    /* of the last call: its SHA-1 is often the next one's */
    bool in_script, script_dirty; /* dirty: a write of this script has passed */
    struct bytes *words;          /* of a command of a script */
    size_t words_cap;
    struct buf digits; /* numbers among them */
};

/* --- a call and its reply (redis_reply.c) --- */

#define REPLY_DEPTH_MAX 8

/* A command under way. Its reply goes to the Lua stack, or into an arena: one value, arrays by
 * reply_array(n) followed by n values. */
struct call {
    struct redis *r;
    const struct bytes *argv;
    size_t argc;
    bool failed; /* the reply is an error */
    lua_State *lua;
    void **arena;
    struct store_reply *root;
    struct {
        size_t next, count;
        struct store_reply *items;
    } levels[REPLY_DEPTH_MAX];
    size_t depth;
};

void reply_nil(struct call *c);
void reply_integer(struct call *c, int64_t value);
void reply_bytes(struct call *c, struct bytes text);
void reply_text(struct call *c, const char *text);
void reply_status(struct call *c, const char *text);
bool scan_small(struct call *c, enum redis_type type, struct entry **ret);
void reply_double(struct call *c, double value);
void reply_error(struct call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
void reply_array(struct call *c, size_t count);

#define SYNTAX_ERROR "ERR syntax error"
#define NOT_INTEGER  "ERR value is not an integer or out of range"

/* --- commands --- */

enum { WRITES = 1, DENY_OOM = 2, NO_SCRIPT = 4, WHILE_LOADING = 8 };

/* Arity as in Redis: with the name; negative: at least. */
#define REDIS_COMMANDS(X)                            \
    X(GET, get, 2, 0)                                \
    X(SET, set, -3, WRITES | DENY_OOM)               \
    X(DEL, del, -2, WRITES)                          \
    X(UNLINK, del, -2, WRITES)                       \
    X(MGET, mget, -2, 0)                             \
    X(EXISTS, exists, -2, 0)                         \
    X(TYPE, type, 2, 0)                              \
    X(INCR, incr, 2, WRITES | DENY_OOM)              \
    X(INCRBY, incrby, 3, WRITES | DENY_OOM)          \
    X(PTTL, pttl, 2, 0)                              \
    X(TTL, ttl, 2, 0)                                \
    X(PEXPIRE, pexpire, -3, WRITES)                  \
    X(EXPIRE, expire, -3, WRITES)                    \
    X(PERSIST, persist, 2, WRITES)                   \
    X(SCAN, scan, -2, 0)                             \
    X(DBSIZE, dbsize, 1, 0)                          \
    X(HGET, hget, 3, 0)                              \
    X(HMGET, hmget, -3, 0)                           \
    X(HGETALL, hgetall, 2, 0)                        \
    X(HKEYS, hkeys, 2, 0)                            \
    X(HEXISTS, hexists, 3, 0)                        \
    X(HLEN, hlen, 2, 0)                              \
    X(HSCAN, hscan, -3, 0)                           \
    X(HSET, hset, -4, WRITES | DENY_OOM)             \
    X(HMSET, hmset, -4, WRITES | DENY_OOM)           \
    X(HSETNX, hsetnx, 4, WRITES | DENY_OOM)          \
    X(HDEL, hdel, -3, WRITES)                        \
    X(HINCRBY, hincrby, 4, WRITES | DENY_OOM)        \
    X(SADD, sadd, -3, WRITES | DENY_OOM)             \
    X(SREM, srem, -3, WRITES)                        \
    X(SMEMBERS, smembers, 2, 0)                      \
    X(SISMEMBER, sismember, 3, 0)                    \
    X(SCARD, scard, 2, 0)                            \
    X(ZADD, zadd, -4, WRITES | DENY_OOM)             \
    X(ZINCRBY, zincrby, 4, WRITES | DENY_OOM)        \
    X(ZREM, zrem, -3, WRITES)                        \
    X(ZCARD, zcard, 2, 0)                            \
    X(ZSCORE, zscore, 3, 0)                          \
    X(ZCOUNT, zcount, 4, 0)                          \
    X(ZRANGE, zrange, -4, 0)                         \
    X(ZSCAN, zscan, -3, 0)                           \
    X(ZREVRANGE, zrevrange, -4, 0)                   \
    X(ZRANGEBYSCORE, zrangebyscore, -4, 0)           \
    X(ZREMRANGEBYSCORE, zremrangebyscore, 4, WRITES) \
    X(TIME, time, 1, WHILE_LOADING)                  \
    X(PING, ping, -1, 0)                             \
    X(SELECT, select, 2, WHILE_LOADING)              \
    X(AUTH, auth, -2, NO_SCRIPT | WHILE_LOADING)     \
    X(INFO, info, -1, WHILE_LOADING)                 \
    X(CONFIG, config, -2, NO_SCRIPT | WHILE_LOADING) \
    X(FLUSHALL, flushall, -1, WRITES)                \
    X(FLUSHDB, flushall, -1, WRITES)                 \
    X(SCRIPT, script, -2, NO_SCRIPT)                 \
    X(EVAL, eval, -3, NO_SCRIPT)                     \
    X(EVALSHA, evalsha, -3, NO_SCRIPT)

struct redis_command {
    const char *name;
    void (*run)(struct call *c);
    int arity;
    unsigned flags;
};

#define X(name, fn, arity, flags) void redis_cmd_##fn(struct call *c);
REDIS_COMMANDS(X)
#undef X

/* NULL: not one of ours. */
const struct redis_command *redis_command_find(const struct redis *r, struct bytes name);
bool redis_arity_ok(const struct redis_command *command, size_t argc);
/* Why it may not run now; NULL: it may. */
const char *redis_refused(const struct redis *r, const struct redis_command *command);
/* Ends the process unless this Redis is lenient. */
void redis_not_implemented(const struct redis *r, struct bytes what);

/* --- what commands need (redis_strings.c) --- */

static inline uint32_t hash_of(const struct redis *r, struct bytes data)
{
    return text_hash(data, r->hash_seed);
}
static inline struct text *text_make(const struct redis *r, struct bytes data)
{
    return text_new(data, hash_of(r, data));
}
/* The live entry of a key. false: it is of another type, which was answered. NULL: none. */
bool find_typed(struct call *c, struct bytes key, enum redis_type type, struct entry **ret);
/* As find_typed; makes it where there is none. */
bool make_typed(struct call *c, struct bytes key, enum redis_type type, struct entry **ret);
struct entry *find_live(struct redis *r, struct bytes key);
static inline bool is_expired(const struct redis *r, const struct entry *e)
{
    return e->expire_ms >= 0 && e->expire_ms < r->now_ms; /* its last ms is alive */
}
/* As Redis' string2ll: no sign +, no leading zeros, no spaces. */
bool parse_integer(struct bytes text, int64_t *ret);
/* As strtod over the whole text; no NaN. */
bool parse_double(struct bytes text, double *ret);
bool word_is(struct bytes word, const char *upper);
bool glob_match(struct bytes pattern, struct bytes text);
struct bytes int_text(char digits[24], int64_t value);

/* --- the only changes of data (redis_journal.c) --- */

struct entry *data_create(struct redis *r, struct bytes key, enum redis_type type);
void data_remove(struct redis *r, struct entry *e);
void data_set_string(struct redis *r, struct entry *e, struct bytes value);
void data_set_expire(struct redis *r, struct entry *e, int64_t expire_ms);
/* at NULL: a new field. */
void data_set_field(struct redis *r, struct entry *e, struct field *at, struct bytes name,
                    uint32_t hash, struct bytes value);
void data_set_score(struct redis *r, struct entry *e, struct field *at, struct bytes member,
                    uint32_t hash, double score);
void data_add_member(struct redis *r, struct entry *e, struct bytes member, uint32_t hash);
/* The last one takes the entry with it; true: it did. */
bool data_remove_field(struct redis *r, struct entry *e, struct field *at);
/* Everything goes; keys take its place. */
void data_replace_all(struct redis *r, struct keyspace keys);
void journal_done(struct redis *r);

/* --- scripts (redis_lua.c) --- */

void scripts_open(struct redis *r);
void scripts_close(struct redis *r);
void scripts_forget(struct redis *r);

#endif
