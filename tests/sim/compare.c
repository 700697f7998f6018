/* SPDX-License-Identifier: Apache-2.0
 *
 * Many sequences side by side, each on keys of its own, so that a round of calls is one pipeline
 * and the clock of both sides moves between rounds only. */
#include "tests/sim/compare.h"

#include <ctype.h>
#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "orchestrator/engine/arena.h"
#include "tests/unit/base/prng.h"

#define BATCH      512 /* sequences side by side: seeds of one multiple of it to the next */
#define CONNECT_MS 20000
#define WORDS_MAX  200

struct sequence {
    uint64_t seed, prng;
    char prefix[24];
    struct compared calls[COMPARE_CALLS_MAX];
    size_t count, done;
    bool differs;
};

struct comparison {
    const struct compare_options *o;
    struct compare_result *result;
    struct redis_server server;
    struct redis *fake;
    redisContext *real;
    struct sequence *sequences;
    size_t count;
    uint64_t first_seed;
    void *arena;
    const struct store_reply **fake_replies;
    bool lost;
};

/* --- replies --- */

static void convert(struct store_reply *to, const redisReply *r, void **arena)
{
    *to = (struct store_reply){ 0 };
    switch (r->type) {
    case REDIS_REPLY_INTEGER:
        to->type = STORE_INTEGER;
        to->integer = r->integer;
        break;
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_STRING:
        to->type = STORE_STRING;
        to->status = r->type == REDIS_REPLY_STATUS;
        to->text = arena_copy(arena, (struct bytes){ r->str, r->len });
        break;
    case REDIS_REPLY_ERROR:
        to->type = STORE_ERROR_TEXT;
        to->text = arena_copy(arena, (struct bytes){ r->str, r->len });
        break;
    case REDIS_REPLY_ARRAY:
        to->type = STORE_ARRAY;
        to->count = r->elements;
        to->items = arena_alloc(arena, (r->elements + 1) * sizeof *to->items);
        for (size_t i = 0; i < r->elements; i++) convert(&to->items[i], r->element[i], arena);
        break;
    default: to->type = STORE_NIL;
    }
}

static int by_text(const void *a, const void *b)
{
    struct bytes left = ((const struct store_reply *)a)->text;
    struct bytes right = ((const struct store_reply *)b)->text;
    size_t len = MIN(left.len, right.len);
    int order = len ? memcmp(left.data, right.data, len) : 0;
    return order ? order : (left.len > right.len) - (left.len < right.len);
}

static bool same_set(const struct store_reply *a, const struct store_reply *b)
{
    size_t bytes = (a->count + 1) * sizeof *a->items;
    AUTO_FREE struct store_reply *left = xmalloc(bytes), *right = xmalloc(bytes);
    bool same = true;
    if (a->count) {
        memcpy(left, a->items, a->count * sizeof *left);
        memcpy(right, b->items, a->count * sizeof *right);
        qsort(left, a->count, sizeof *left, by_text);
        qsort(right, a->count, sizeof *right, by_text);
    }
    for (size_t i = 0; i < a->count && same; i++) same = compare_equal(&left[i], &right[i], false);
    return same;
}

bool compare_equal(const struct store_reply *a, const struct store_reply *b, bool unordered)
{
    if (a->type != b->type || a->status != b->status || a->integer != b->integer ||
        a->count != b->count || !bytes_equal(a->text, b->text))
        return false;
    if (unordered && a->type == STORE_ARRAY) return same_set(a, b);
    for (size_t i = 0; i < a->count; i++)
        if (!compare_equal(&a->items[i], &b->items[i], false)) return false;
    return true;
}

static void print_text(struct buf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char ch = (unsigned char)text.data[i];
        if (isprint(ch) && ch != '\\')
            buf_add_char(out, (char)ch);
        else
            buf_addf(out, "\\x%02x", ch);
    }
}

void compare_print(struct buf *out, const struct store_reply *r)
{
    switch (r->type) {
    case STORE_NIL: buf_add_text(out, "nil"); break;
    case STORE_INTEGER: buf_add_int(out, r->integer); break;
    case STORE_STRING:
        buf_add_text(out, r->status ? "+" : "'");
        print_text(out, r->text);
        if (!r->status) buf_add_text(out, "'");
        break;
    case STORE_ERROR_TEXT:
        buf_add_text(out, "-");
        print_text(out, r->text);
        break;
    case STORE_ARRAY:
        buf_add_text(out, "[");
        for (size_t i = 0; i < r->count; i++) {
            if (i) buf_add_text(out, " ");
            compare_print(out, &r->items[i]);
        }
        buf_add_text(out, "]");
        break;
    }
}

/* --- the real side --- */

redisContext *compare_connect(struct redis_server *server)
{
    uint64_t end = clock_mono_ms() + CONNECT_MS;
    do {
        redisContext *real = redisConnectUnix(server->socket);
        redisReply *r = real && !real->err ? redisCommand(real, "PING") : NULL;
        bool up = r && r->type == REDIS_REPLY_STATUS;
        if (r) freeReplyObject(r);
        if (up) return real;
        if (real) redisFree(real);
    } while (clock_mono_ms() < end);
    return NULL;
}

static void send_words(redisContext *real, const struct bytes *argv, size_t argc)
{
    const char *words[WORDS_MAX];
    size_t lens[WORDS_MAX];
    ASSERT(argc <= WORDS_MAX);
    for (size_t i = 0; i < argc; i++) {
        words[i] = argv[i].len ? argv[i].data : "";
        lens[i] = argv[i].len;
    }
    ASSERT(redisAppendCommandArgv(real, (int)argc, words, lens) == REDIS_OK);
}

static const struct store_reply *receive(redisContext *real, void **arena)
{
    void *raw = NULL;
    if (redisGetReply(real, &raw) != REDIS_OK) return NULL;
    struct store_reply *reply = arena_alloc(arena, sizeof *reply);
    convert(reply, raw, arena);
    freeReplyObject(raw);
    return reply;
}

const struct store_reply *compare_ask(redisContext *real, const struct bytes *argv, size_t argc,
                                      void **arena)
{
    send_words(real, argv, argc);
    return receive(real, arena);
}

static void tell_real(struct comparison *c, const char *line)
{
    redisReply *r = redisCommand(c->real, line);
    if (!r || r->type == REDIS_REPLY_ERROR) {
        fprintf(stderr, "redis-server: %s: %s\n", line, r ? r->str : c->real->errstr);
        c->lost = true;
    }
    if (r) freeReplyObject(r);
}

/* --- the fake side --- */

static const struct store_reply *call_fake(struct comparison *c, const struct compared *call)
{
    if (!call->source) return redis_call(c->fake, call->argv, call->argc, &c->arena);
    char sha1[SHA1_HEX];
    snprintf(sha1, sizeof sha1, "%.*s", (int)call->argv[1].len, call->argv[1].data);
    size_t key_count = strtoul(call->argv[2].data, NULL, 10);
    return redis_script(c->fake, sha1, NULL, key_count, call->argv + 3, call->argc - 3, &c->arena);
}

static void load_scripts(struct comparison *c)
{
    const char *source;
    for (size_t i = 0; (source = compare_script(i)); i++) {
        struct bytes argv[] = { BYTES_LIT("SCRIPT"), BYTES_LIT("LOAD"), bytes_of(source) };
        (void)redis_call(c->fake, argv, ARRAY_LEN(argv), &c->arena);
        if (!compare_ask(c->real, argv, ARRAY_LEN(argv), &c->arena)) c->lost = true;
    }
}

/* --- what differs --- */

static void print_call(struct buf *out, const struct compared *call)
{
    const char *source;
    for (size_t i = 0; i < call->argc; i++) {
        buf_add_text(out, i ? " '" : "    '");
        print_text(out, call->argv[i]);
        buf_add_text(out, "'");
    }
    for (size_t i = 0; call->argc > 1 && (source = compare_script(i)); i++) {
        char sha1[SHA1_HEX];
        sha1_hex(bytes_of(source), sha1);
        if (bytes_is(call->argv[1], sha1)) buf_addf(out, "   script: %.70s", source);
    }
    buf_add_text(out, "\n");
}

static void differs(struct comparison *c, struct sequence *s, const struct compared *call,
                    const struct store_reply *fake, const struct store_reply *real)
{
    if (s->differs) return; /* the rest follows from it */
    s->differs = true;
    c->result->differences++;
    if (c->o->quiet) return;
    AUTO_BUF struct buf out = { 0 };
    buf_addf(&out, "difference: seed %llu, after\n", (unsigned long long)s->seed);
    for (size_t i = 0; i < s->done; i++) print_call(&out, &s->calls[i]);
    buf_add_text(&out, "  of\n");
    print_call(&out, call);
    buf_add_text(&out, "  fake: ");
    compare_print(&out, fake);
    buf_add_text(&out, "\n  real: ");
    compare_print(&out, real);
    fprintf(stderr, "%s\n", out.data);
}

static void count_reply(struct comparison *c, const struct store_reply *reply)
{
    static const char *const refusals[] = { "OOM ", "READONLY ", "MISCONF ", "NOREPLICAS " };
    if (reply->type != STORE_ERROR_TEXT) return;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        if (strncmp(reply->text.data, refusals[i], strlen(refusals[i])) == 0) {
            c->result->refused++;
            return;
        }
    c->result->failed++;
}

/* --- rounds --- */

static void round_of_calls(struct comparison *c, size_t round)
{
    for (size_t i = 0; i < c->count; i++) {
        struct sequence *s = &c->sequences[i];
        if (round >= s->count) continue;
        struct compared *call = &s->calls[round];
        compare_make(call, &s->prng, c->fake, s->prefix, &c->arena);
        c->fake_replies[i] = call_fake(c, call);
        count_reply(c, c->fake_replies[i]);
        send_words(c->real, call->argv, call->argc);
    }
    for (size_t i = 0; i < c->count && !c->lost; i++) {
        struct sequence *s = &c->sequences[i];
        if (round >= s->count) continue;
        const struct store_reply *real = receive(c->real, &c->arena);
        if (!real) {
            c->lost = true;
            return;
        }
        if (!compare_equal(c->fake_replies[i], real, s->calls[round].unordered))
            differs(c, s, &s->calls[round], c->fake_replies[i], real);
        s->done = round + 1;
        c->result->calls++;
    }
}

/* --- what is left --- */

struct left {
    struct comparison *comparison;
    struct compared *calls;
    const struct store_reply **replies;
    size_t count, cap;
};

/* A wrong word in the place of a key is a key of any sequence: the first answers for it. */
static struct sequence *owner_of(struct comparison *c, struct bytes key)
{
    if (key.len == 0 || key.data[0] != 's') return &c->sequences[0];
    uint64_t seed = strtoull(key.data + 1, NULL, 10);
    ASSERT(seed >= c->first_seed && seed < c->first_seed + c->count);
    return &c->sequences[seed - c->first_seed];
}

static void read_both(struct left *l, const char *const *words, struct bytes key, bool unordered)
{
    struct comparison *c = l->comparison;
    if (l->count == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 1024;
        l->calls = xrealloc(l->calls, l->cap * sizeof *l->calls);
        l->replies = xrealloc(l->replies, l->cap * sizeof *l->replies);
    }
    struct compared *call = &l->calls[l->count];
    *call = (struct compared){ .argv = arena_alloc(&c->arena, 6 * sizeof *call->argv),
                               .unordered = unordered };
    for (; words[call->argc]; call->argc++)
        call->argv[call->argc] = call->argc == 1 ? key : bytes_of(words[call->argc]);
    l->replies[l->count] = redis_call(c->fake, call->argv, call->argc, &c->arena);
    send_words(c->real, call->argv, call->argc);
    l->count++;
}

static void on_key(void *user, struct bytes key)
{
    static const char *const reads[][6] = {
        [REDIS_STRING] = { "GET", "" },
        [REDIS_HASH] = { "HGETALL", "" },
        [REDIS_SET] = { "SMEMBERS", "" },
        [REDIS_ZSET] = { "ZRANGE", "", "0", "-1", "WITHSCORES" },
    };
    struct left *l = user;
    struct bytes copy = arena_copy(&l->comparison->arena, key);
    enum redis_type type = redis_type(l->comparison->fake, key);
    read_both(l, reads[type], copy, type == REDIS_SET);
    read_both(l, (const char *[]){ "PTTL", "", NULL }, copy, false);
}

/* A key that only the real side has. */
static void compare_names(struct comparison *c)
{
    struct bytes argv[] = { BYTES_LIT("SCAN"), BYTES_LIT("0"), BYTES_LIT("COUNT"),
                            BYTES_LIT("1000000") };
    const struct store_reply *real = compare_ask(c->real, argv, ARRAY_LEN(argv), &c->arena);
    if (!real || real->type != STORE_ARRAY) {
        c->lost = true;
        return;
    }
    const struct store_reply *names = &real->items[1], nil = { .type = STORE_NIL };
    struct compared scan = { .argv = argv, .argc = ARRAY_LEN(argv) };
    for (size_t i = 0; i < names->count; i++)
        if (redis_type(c->fake, names->items[i].text) == REDIS_NONE)
            differs(c, owner_of(c, names->items[i].text), &scan, &nil, &names->items[i]);
}

static void compare_left(struct comparison *c)
{
    struct left l = { .comparison = c };
    redis_each_key(c->fake, (struct bytes){ 0 }, on_key, &l);
    for (size_t i = 0; i < l.count && !c->lost; i++) {
        const struct store_reply *real = receive(c->real, &c->arena);
        if (!real)
            c->lost = true;
        else if (!compare_equal(l.replies[i], real, l.calls[i].unordered))
            differs(c, owner_of(c, l.calls[i].argv[1]), &l.calls[i], l.replies[i], real);
    }
    free(l.calls);
    free(l.replies);
    if (!c->lost) compare_names(c);
}

/* --- batches --- */

static void set_time(struct comparison *c, int64_t wall_ms)
{
    *(volatile int64_t *)c->server.clock_ms = wall_ms;
    redis_set_time(c->fake, wall_ms);
}

static void refuse(struct comparison *c, bool on)
{
    static const char *const lines[][2] = {
        [REDIS_OOM] = { "CONFIG SET maxmemory 0", "CONFIG SET maxmemory 1" },
        [REDIS_READONLY] = { "REPLICAOF NO ONE", "REPLICAOF 127.0.0.1 1" },
        [REDIS_NO_REPLICAS] = { "CONFIG SET min-replicas-to-write 0",
                                "CONFIG SET min-replicas-to-write 1" },
    };
    enum redis_refusal kind = c->o->refusing;
    if (kind == REDIS_WILLING) return;
    ASSERT(kind < ARRAY_LEN(lines) && lines[kind][0]);
    tell_real(c, lines[kind][on]);
    redis_set_refusing(c->fake, on ? kind : REDIS_WILLING);
}

static void begin_sequences(struct comparison *c, uint64_t seed, size_t count)
{
    c->first_seed = seed;
    c->count = count;
    for (size_t i = 0; i < count; i++) {
        struct sequence *s = &c->sequences[i];
        *s = (struct sequence){ .seed = seed + i,
                                .prng = (seed + i + 1) * 0x9E3779B97F4A7C15ULL | 1 };
        (void)prng_next(&s->prng);
        snprintf(s->prefix, sizeof s->prefix, "s%llu", (unsigned long long)s->seed);
        s->count =
            COMPARE_CALLS_MIN + prng_below(&s->prng, COMPARE_CALLS_MAX - COMPARE_CALLS_MIN + 1);
    }
}

/* How the clock moves depends on the multiple of BATCH that a seed lies in, so that one sequence
 * alone is what it was among others. */
static void run_batch(struct comparison *c, uint64_t seed, size_t count)
{
    static const int64_t steps_ms[] = { 0, 0, 1, 7, 500, 999, 2000, 3000, 5000, 30000 };
    uint64_t prng = (seed / BATCH + 1) * 0x9E3779B97F4A7C15ULL | 1;
    int64_t now = 1700000000000 + (int64_t)(prng_next(&prng) % 1000000000);
    arena_reset(&c->arena);
    begin_sequences(c, seed, count);
    set_time(c, now);
    redis_wipe(c->fake);
    tell_real(c, "FLUSHALL");
    for (size_t round = 0; round < COMPARE_CALLS_MAX && !c->lost; round++) {
        if (round == COMPARE_CALLS_MIN / 2) refuse(c, true);
        now += steps_ms[prng_below(&prng, ARRAY_LEN(steps_ms))];
        set_time(c, now);
        round_of_calls(c, round);
    }
    refuse(c, false);
    if (!c->lost) compare_left(c);
    c->result->sequences += count;
}

static bool begin(struct comparison *c)
{
    static const char *const more[] = { "--hash-max-listpack-entries",
                                        "100000",
                                        "--hash-max-listpack-value",
                                        "1000000",
                                        "--loglevel",
                                        "warning",
                                        NULL };
    c->server.clock_module = c->o->clock_module;
    if (!redis_server_start(&c->server, more)) return false;
    c->real = compare_connect(&c->server);
    if (!c->real) return false;
    c->fake =
        redis_new(&(struct redis_options){ .seed = c->o->seed, .lenient = true, .bug = c->o->bug });
    c->sequences = xcalloc(BATCH, sizeof *c->sequences);
    c->fake_replies = xcalloc(BATCH, sizeof *c->fake_replies);
    load_scripts(c);
    return !c->lost;
}

static void end(struct comparison *c)
{
    if (c->real) redisFree(c->real);
    redis_server_done(&c->server);
    redis_free(c->fake);
    free(c->sequences);
    free(c->fake_replies);
    arena_done(&c->arena);
}

bool compare_run(const struct compare_options *o, struct compare_result *ret)
{
    struct comparison c = { .o = o, .result = ret };
    *ret = (struct compare_result){ 0 };
    bool ok = begin(&c);
    if (!ok) fprintf(stderr, "no redis-server to compare with\n");
    uint64_t seed = o->seed, last = o->seed + o->sequences;
    while (ok && seed < last && (ret->differences == 0 || ret->differences < o->differences_most)) {
        size_t count = (size_t)MIN((uint64_t)BATCH - seed % BATCH, last - seed);
        run_batch(&c, seed, count);
        seed += count;
        ok = !c.lost;
    }
    end(&c);
    return ok;
}
