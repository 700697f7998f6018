/* SPDX-License-Identifier: Apache-2.0
 *
 * What the comparison calls: the product's scripts with arguments that mostly fit, commands over
 * the same few keys, snippets of Lua for every conversion; some of all with a wrong word. */
#include <stdio.h>

#include "common/base/hash.h"
#include "orchestrator/engine/arena.h"
#include "tests/sim/compare.h"
#include "tests/unit/base/prng.h"

#define WORDS_MAX 160

/* --- words --- */

struct maker {
    uint64_t *prng;
    const struct redis *fake;
    const char *prefix;
    void **arena;
    struct bytes words[WORDS_MAX];
    size_t count;
};

static size_t below(struct maker *m, size_t n)
{
    return prng_below(m->prng, n);
}

static void add_bytes(struct maker *m, struct bytes word)
{
    ASSERT(m->count < WORDS_MAX);
    m->words[m->count++] = word;
}

static void add(struct maker *m, const char *word)
{
    add_bytes(m, arena_text(m->arena, word));
}

static void add_int(struct maker *m, int64_t value)
{
    add_bytes(m, arena_int(m->arena, value));
}

static struct bytes key_of(struct maker *m, const char *name)
{
    char text[48];
    snprintf(text, sizeof text, "%s:%s", m->prefix, name);
    return arena_text(m->arena, text);
}

static void add_key(struct maker *m, const char *name)
{
    add_bytes(m, key_of(m, name));
}

#define PICK(m, list) (list)[below((m), ARRAY_LEN(list))]

static const char *const hostile[] = {
    "",
    "abc",
    "-1",
    "1e3",
    " 5",
    "0x10",
    "nan",
    "inf",
    "-inf",
    "(3",
    "1.5",
    "-0",
    "01",
    "5 ",
    "D",
    "C",
    "F|7",
    "F|-1",
    "L|w1|1",
    "L||",
    "closed",
    "%s",
    "+7",
    "9007199254740993",
    "99999999999999999999",
    "-9223372036854775808",
    "12345678901234567",
};
static const char *const fields[] = { "epoch", "off", "gen", "s", "o:a", "n", "rebuild" };
static const char *const runs[] = { "r1", "r2", "r3" };
static const char *const marks[] = { "tk1", "tk2", "tk3" }; /* each of a run */
static const char *const tasks[] = { "a", "b", "c" };
static const char *const keys[] = { "p",  "tm", "fin", "tk1", "tk2", "tk3", "k1", "k2",
                                    "r1", "r2", "r3",  "cb",  "cbp", "set", "sys" };
static const char *const workers[] = { "w1", "w2", "w3" };

/* --- the product's scripts --- */

#define SCRIPTS(X)                            \
    X(script_takeover, make_takeover)         \
    X(script_mark, make_mark)                 \
    X(script_load, make_load)                 \
    X(script_marks, make_marks)               \
    X(script_place, make_place)               \
    X(script_timers, make_timers)             \
    X(script_generation, make_generation)     \
    X(script_installation, make_installation) \
    X(worker_script_lease, make_lease)        \
    X(worker_script_renew, make_renew)        \
    X(worker_script_release, make_release)    \
    X(worker_script_breaker, make_breaker)

#define X(name, make) extern const char name[];
SCRIPTS(X)
#undef X

/* What the partition holds, mostly, so that most calls go through. */
static void add_place(struct maker *m, const char *field)
{
    struct bytes value;
    if (below(m, 4) && redis_field(m->fake, key_of(m, "p"), bytes_of(field), &value))
        add_bytes(m, arena_copy(m->arena, value));
    else
        add_int(m, (int64_t)below(m, 32));
}

/* Each makes keys, then arguments, and returns how many were keys. */
static size_t make_takeover(struct maker *m)
{
    add_key(m, "p");
    add_int(m, (int64_t)below(m, 40));
    add_int(m, (int64_t)below(m, 20));
    add_place(m, "gen");
    add(m, PICK(m, workers));
    return 1;
}

static size_t make_mark(struct maker *m)
{
    size_t n = 1 + below(m, 3);
    for (size_t i = 0; i < n; i++) add_key(m, PICK(m, marks));
    for (size_t i = 0; i < n; i++) {
        add(m, PICK(m, tasks));
        add(m, below(m, 2) ? "C" : "D");
        add_int(m, 500 + (int64_t)below(m, 60000));
    }
    return n;
}

static size_t make_load(struct maker *m)
{
    size_t n = below(m, 4);
    add_key(m, "p");
    for (size_t i = 0; i < n; i++) add_key(m, PICK(m, runs));
    add_key(m, "k1");
    add_int(m, (int64_t)n);
    return n + 2;
}

static size_t add_marks(struct maker *m)
{
    size_t n = 1 + below(m, 3);
    for (size_t i = 0; i < n; i++) add_key(m, PICK(m, marks));
    return n;
}

static void add_tasks(struct maker *m, size_t n)
{
    for (size_t i = 0; i < n; i++) add(m, PICK(m, tasks));
}

static size_t make_marks(struct maker *m)
{
    add_key(m, "p");
    size_t n = add_marks(m);
    size_t key_count = m->count;
    add_place(m, "epoch");
    add_tasks(m, n);
    return key_count;
}

static size_t make_place(struct maker *m)
{
    add_key(m, "p");
    add_key(m, "fin");
    add_int(m, (int64_t)below(m, 5) * 500);
    add_int(m, (int64_t)below(m, 3) * 40);
    add_int(m, (int64_t)below(m, 4));
    return 2;
}

static size_t make_timers(struct maker *m)
{
    add_key(m, "p");
    add_key(m, "tm");
    add_int(m, (int64_t)below(m, 3));
    add_int(m, (int64_t)below(m, 5) - 1);
    return 2;
}

static size_t make_generation(struct maker *m)
{
    add_key(m, "p");
    add(m, PICK(m, workers));
    return 1;
}

static size_t make_installation(struct maker *m)
{
    add_key(m, "sys");
    add_int(m, 16);
    add(m, below(m, 2) ? "" : "cluster-1");
    add_int(m, 1);
    return 1;
}

/* Of each hash of marks: how many tasks it has, its TTL, and they. */
static void add_hashes(struct maker *m, size_t hashes)
{
    for (size_t i = 0; i < hashes; i++) {
        size_t count = 1 + below(m, 3);
        add_int(m, (int64_t)count);
        add_int(m, 500 + (int64_t)below(m, 60000));
        add_tasks(m, count);
    }
}

static size_t make_lease(struct maker *m)
{
    struct bytes gen;
    add_key(m, "p");
    size_t n = add_marks(m);
    if (below(m, 8) && redis_field(m->fake, key_of(m, "p"), BYTES_LIT("gen"), &gen))
        add_bytes(m, arena_copy(m->arena, gen));
    else
        add(m, PICK(m, workers));
    add(m, PICK(m, workers));
    add_int(m, 1 + (int64_t)below(m, 8) * 1000);
    add_hashes(m, n);
    return n + 1;
}

static size_t make_renew(struct maker *m)
{
    size_t n = add_marks(m);
    add(m, PICK(m, workers));
    add_int(m, 1 + (int64_t)below(m, 8) * 1000);
    add_hashes(m, n);
    return n;
}

static size_t make_release(struct maker *m)
{
    size_t n = add_marks(m);
    add(m, PICK(m, workers));
    add_tasks(m, n);
    return n;
}

static size_t make_breaker(struct maker *m)
{
    add_key(m, "cb");
    add_key(m, "cbp");
    add(m, PICK(m, workers));
    static const int fixed[] = { 10000, 2, 50, 3000, 2, 4000 };
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) add_int(m, fixed[i]);
    for (size_t i = 0; i < 6; i++) add_int(m, (int64_t)below(m, 3));
    return 2;
}

static const struct product {
    const char *source;
    size_t (*make)(struct maker *m);
} products[] = {
#define X(name, make) { name, make },
    SCRIPTS(X)
#undef X
};

/* --- snippets: one or two keys, one argument --- */

static const char *const snippets[] = {
    "return {1, 2.7, 'a', true, false, 'x'}",
    "return {1, nil, 3}",
    "return {{1, {2, {3, {}}}}, {}}",
    "return {0.5, -0.5, 1e15, -2^31, 2^53 + 1}",
    "return 3.99",
    "return -3.99",
    "return 0/0",
    "return 2^63",
    "return -2^70",
    "return nil",
    "return true",
    "return false",
    "return ''",
    "return {ok = 'FINE', 2}",
    "return {err = 'MINE it is'}",
    "return {1, {err = 'MINE it is'}, {ok = 'FINE'}, redis.pcall('INCR', KEYS[1])}",
    "return redis.error_reply('MINE it is')",
    "return redis.error_reply('-MINE it is')",
    "return redis.error_reply('MINE')",
    "return redis.error_reply('')",
    "return redis.error_reply(1)",
    "return redis.status_reply()",
    "return redis.status_reply('FINE')",
    "return function() end",
    "return tostring(1e15) .. ' ' .. 2^53 .. ' ' .. 1e100 .. ' ' .. 0.1 .. ' ' .. -0 .. ' ' .. 1/3",
    "return tostring(0/0) .. tostring(1/0) .. tostring(-1/0) .. 123456789012345678",
    "return string.format('%d %s %5.2f %x %q %.0f %g', 3.7, 1.5, 2.345, 255, 'a\"b', 2^60, 1e20)",
    "return string.format('%d', ARGV[1])",
    "return {tostring(tonumber(ARGV[1])), tostring(tonumber(ARGV[1], 16))}",
    "return ARGV[1] + 1",
    "return ARGV[1] * 1",
    "return ARGV[1] .. 1",
    "return ARGV[1] < 5",
    "return {#KEYS, #ARGV, KEYS[1], ARGV[1], ARGV[2]}",
    "return {string.match(ARGV[1], '^L|(.*)|(%d+)$')}",
    "return {string.find('a.b', '.', 1, true), string.sub('abc', -2), string.rep('x', 3)}",
    "return {math.floor(-3.5), math.max(1, 2.5), math.fmod(-7, 3), -7 % 3, math.min(3, 2)}",
    "local t = {} for i = 1, 20 do t[i] = i * i % 7 end table.sort(t) return t",
    "local t = {1, 2, 3, 4} table.remove(t, 2) table.insert(t, 1, 9) return table.concat(t, ',')",
    "return redis.call('SET', KEYS[1], 12345678901234567890)",
    "return redis.call('SET', KEYS[1], 0.1)",
    "return redis.call('SET', KEYS[1], -0)",
    "return redis.call('SET', KEYS[1], 2^53)",
    "return redis.call('SET', KEYS[1], 1e15)",
    "return redis.call('SET', KEYS[1], 123456789012345)",
    "return redis.call('SET', KEYS[1], 1/0)",
    "return redis.call('SET', KEYS[1], true)",
    "return redis.call('SET', KEYS[1], {})",
    "return redis.call('SET', KEYS[1], 'v').ok",
    "return redis.call('SET', KEYS[1], 'v', 'NX')",
    "return redis.call()",
    "return redis.call('NOSUCH', 1)",
    "return redis.call('GET')",
    "return redis.call('GET', KEYS[1])",
    "return redis.pcall('GET', KEYS[1], 'x')",
    "return redis.pcall('NOSUCH')",
    "return redis.call('EVAL', 'return 1', 0)",
    "return redis.call('INCR', KEYS[1])",
    "return redis.pcall('INCR', KEYS[1])",
    "redis.call('SET', KEYS[1], 'before') return redis.call('HGET', KEYS[1], 'f')",
    "local ok, e = pcall(redis.call, 'INCR', KEYS[1]) return {tostring(ok), type(e)}",
    "local e = redis.pcall('INCR', KEYS[1]) return type(e) == 'table' and e.err or e",
    "local e = redis.pcall('INCR', KEYS[1])\nif type(e) == 'table' then error(e) end\nreturn e",
    "return type(redis.call('HGET', KEYS[2], 'nofield'))",
    "return redis.call('HGETALL', KEYS[2])",
    "return redis.call('HMGET', KEYS[2], 'epoch', 'nofield')",
    "return redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')",
    "return redis.call('HSET', KEYS[2], 'n', 1, 'off', 2.5)",
    "return {redis.call('ZADD', KEYS[2], 1.5, 'a', -2, 'b'), redis.call('ZSCORE', KEYS[2], 'a')}",
    "return redis.call('PING')",
    "return redis.call('TIME')",
    "return redis.call('DEL', KEYS[1]) + redis.call('EXISTS', KEYS[2])",
    "return redis.sha1hex('abc')",
    "return nosuch",
    "nosuch = 1",
    "\n\nerror('boom')",
    "error({err = 'MINE boom'})",
    "error()",
    "local t = nil\nreturn t.x",
    "return #nil",
    "return unpack({1, 2, 3})",
    "return {pcall(function() error('x') end)}",
    "return 1 +",
};

const char *compare_script(size_t i)
{
    if (i < ARRAY_LEN(products)) return products[i].source;
    i -= ARRAY_LEN(products);
    return i < ARRAY_LEN(snippets) ? snippets[i] : NULL;
}

/* --- commands: small letters are classes of words --- */

static const char *const shapes[] = {
    "GET k",
    "SET k v",
    "SET k v NX",
    "SET k v XX",
    "SET k v PX t",
    "SET k v EX i",
    "SET k v NX PX t",
    "SET k v GET",
    "SET k v KEEPTTL",
    "SET k v o o o",
    "DEL k k",
    "UNLINK k",
    "UNLINK k k k",
    "EXISTS k k k",
    "TYPE k",
    "INCR k",
    "INCRBY k i",
    "PTTL k",
    "TTL k",
    "PEXPIRE k t",
    "EXPIRE k i",
    "PEXPIRE k t x",
    "PEXPIRE k t x x",
    "PEXPIRE h t NX",
    "PEXPIRE h t GT",
    "PERSIST k",
    "MGET k k",
    "HGET k f",
    "HMGET k f f f",
    "HGETALL k",
    "HKEYS k",
    "HEXISTS k f",
    "HLEN k",
    "HSCAN k 0",
    "HSET k f v",
    "HSET k f v f v",
    "HSET h a d a d",
    "HMSET k f v",
    "HSETNX k f v",
    "HDEL k f",
    "HDEL k f f f f f",
    "HINCRBY k f i",
    "SADD k v v",
    "SREM k v",
    "SMEMBERS k",
    "SISMEMBER k v",
    "SCARD k",
    "ZADD k s m",
    "ZADD k s m s m s m",
    "ZADD k z s m",
    "ZADD k z z s m",
    "ZADD k z s m s m",
    "ZINCRBY k s m",
    "ZREM k m m",
    "ZCARD k",
    "ZSCORE k m",
    "ZCOUNT k s s",
    "ZRANGE k i i",
    "ZRANGE k i i WITHSCORES",
    "ZRANGE k i i REV",
    "ZRANGE k s s BYSCORE",
    "ZRANGE k s s BYSCORE WITHSCORES",
    "ZRANGE k s s BYSCORE LIMIT i i",
    "ZRANGE k s s BYSCORE REV LIMIT i i",
    "ZREVRANGE k i i",
    "ZREVRANGE k i i WITHSCORES",
    "ZRANGEBYSCORE k s s",
    "ZRANGEBYSCORE k s s WITHSCORES LIMIT i i",
    "ZREMRANGEBYSCORE k s s",
    "TIME",
    "PING",
    "PING v",
    "NOSUCH k v",
    "get k",
    "hSet k f v",
};

static void add_class(struct maker *m, char class)
{
    static const char *const set_options[] = { "NX",   "XX",   "GET", "KEEPTTL", "PX", "EX",
                                               "PXAT", "EXAT", "nx",  "1000",    "5" };
    static const char *const add_options[] = { "NX", "XX", "GT", "LT", "CH", "INCR" };
    static const char *const expire_options[] = { "NX", "XX", "GT", "LT", "ZZ" };
    static const char *const done[] = { "D", "F|7", "F|31" };
    switch (class) {
    case 'k': add_key(m, PICK(m, keys)); break;
    case 'h': add_key(m, PICK(m, marks)); break;
    case 'a': add(m, PICK(m, tasks)); break;
    case 'd': add(m, PICK(m, done)); break;
    case 'f': add(m, PICK(m, fields)); break;
    case 'm': add(m, PICK(m, runs)); break;
    case 'i': add_int(m, (int64_t)below(m, 8) - 2); break;
    case 's': add(m, below(m, 2) ? PICK(m, hostile) : "500"); break;
    case 't': add_int(m, (int64_t)below(m, 20000) - 100); break;
    case 'o': add(m, PICK(m, set_options)); break;
    case 'x': add(m, PICK(m, expire_options)); break;
    case 'z': add(m, PICK(m, add_options)); break;
    default: add(m, below(m, 2) ? PICK(m, hostile) : PICK(m, workers));
    }
}

static void make_command(struct maker *m)
{
    for (const char *at = PICK(m, shapes); *at;) {
        size_t len = strcspn(at, " ");
        if (len == 1 && *at >= 'a' && *at <= 'z')
            add_class(m, *at);
        else
            add_bytes(m, arena_copy(m->arena, (struct bytes){ at, len }));
        at += len + (at[len] == ' ');
    }
}

/* A word too few, too many or wrong: never a name of a command or the first of a breaker's numbers,
 * which may ask for a day's work. */
static void spoil(struct maker *m, size_t first)
{
    if (m->count <= first) return;
    size_t at = first + below(m, m->count - first);
    switch (below(m, 4)) {
    case 0: m->count--; break;
    case 1: add(m, PICK(m, hostile)); break;
    default: m->words[at] = arena_text(m->arena, PICK(m, hostile));
    }
}

static size_t make_script(struct maker *m, const char **ret_source)
{
    const struct product *product = &PICK(m, products);
    *ret_source = product->source;
    size_t key_count = product->make(m);
    if (below(m, 10) == 0 && product->source != worker_script_breaker) spoil(m, key_count);
    if (below(m, 20) == 0) m->words[below(m, key_count)] = key_of(m, PICK(m, keys));
    return key_count;
}

static size_t make_snippet(struct maker *m, const char **ret_source)
{
    *ret_source = PICK(m, snippets);
    add_key(m, PICK(m, keys));
    add_key(m, PICK(m, keys));
    add(m, PICK(m, hostile));
    return 2;
}

/* The words so far become the arguments of an EVAL or an EVALSHA. */
static void wrap(struct maker *m, struct compared *ret, const char *source, size_t key_count)
{
    char sha1[SHA1_HEX];
    bool by_source = below(m, 8) == 0;
    memmove(m->words + 3, m->words, m->count * sizeof *m->words);
    m->count += 3;
    sha1_hex(bytes_of(source), sha1);
    m->words[0] = by_source ? BYTES_LIT("EVAL") : BYTES_LIT("EVALSHA");
    m->words[1] = by_source ? bytes_of(source) : arena_text(m->arena, sha1);
    m->words[2] = arena_int(m->arena, (int64_t)key_count);
    if (below(m, 100) == 0)
        m->words[2] = arena_text(m->arena, PICK(m, hostile));
    else if (!by_source && below(m, 2))
        ret->source = source;
}

void compare_make(struct compared *ret, uint64_t *prng, const struct redis *fake,
                  const char *prefix, void **arena)
{
    struct maker m = { .prng = prng, .fake = fake, .prefix = prefix, .arena = arena };
    *ret = (struct compared){ 0 };
    const char *source;
    size_t kind = below(&m, 10);
    if (kind < 6) {
        size_t key_count = make_script(&m, &source);
        wrap(&m, ret, source, key_count);
    } else if (kind < 7) {
        size_t key_count = make_snippet(&m, &source);
        wrap(&m, ret, source, key_count);
    } else {
        make_command(&m);
        if (below(&m, 8) == 0 && !bytes_is(m.words[0], "HSCAN")) spoil(&m, 1);
    }
    ret->unordered = bytes_is(m.words[0], "SMEMBERS");
    ret->argc = m.count;
    ret->argv = arena_alloc(arena, m.count * sizeof *m.words);
    memcpy(ret->argv, m.words, m.count * sizeof *m.words);
}
