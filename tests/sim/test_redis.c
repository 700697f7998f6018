/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulator's Redis: equal to a real one over random sequences, willing or not; a wrong one is
 * noticed; and what only it can do: rewinds, dumps, restarts. */
#include <criterion/criterion.h>
#include <hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "orchestrator/engine/arena.h"
#include "tests/sim/compare.h"
#include "tests/unit/base/prng.h"

#define SEQUENCES         100000
#define SEQUENCES_REFUSED 4000
#define SEQUENCES_BROKEN  40000 /* at the most: the first difference ends them */
#define WAIT_MS           20000
#define WORDS_MAX         16

/* --- equal to a real one --- */

static struct compare_result run(struct compare_options o)
{
    struct compare_result r;
    o.clock_module = REDIS_CLOCK_MODULE;
    cr_assert(compare_run(&o, &r));
    return r;
}

Test(fake_redis, answers_and_holds_what_a_real_one_does_over_random_sequences, .timeout = 240)
{
    struct compare_result r = run((struct compare_options){ .sequences = SEQUENCES });
    printf("sequences %zu, calls %zu, differences %zu\n", r.sequences, r.calls, r.differences);
    cr_assert_eq(r.differences, 0u);
    cr_assert_eq(r.sequences, (size_t)SEQUENCES);
    cr_assert(r.calls >= SEQUENCES * COMPARE_CALLS_MIN);
    cr_assert(r.failed > r.calls / 50 && r.failed < r.calls / 4,
              "%zu errors: most calls go through, and errors are compared too", r.failed);
}

Test(fake_redis, a_wrong_one_is_noticed)
{
    static const char *const names[] = {
#define X(name) #name,
        REDIS_BUGS(X)
#undef X
    };
    for (enum redis_bug bug = REDIS_BUG_NONE + 1; bug < REDIS_BUG_COUNT; bug++) {
        struct compare_result r = run(
            (struct compare_options){ .sequences = SEQUENCES_BROKEN, .bug = bug, .quiet = true });
        cr_expect(r.differences > 0, "%s was not noticed", names[bug]);
    }
}

Test(fake_redis, refuses_what_a_real_one_does_out_of_memory_as_a_replica_and_without_replicas)
{
    static const enum redis_refusal kinds[] = { REDIS_OOM, REDIS_READONLY, REDIS_NO_REPLICAS };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct compare_result r =
            run((struct compare_options){ .sequences = SEQUENCES_REFUSED, .refusing = kinds[i] });
        cr_expect_eq(r.differences, 0u, "kind %d", kinds[i]);
        cr_expect(r.refused > r.calls / 10, "only %zu of %zu were refused", r.refused, r.calls);
    }
}

/* --- both by lines --- */

struct both {
    struct redis_server server;
    redisContext *real;
    struct redis *fake;
    void *arena;
};

static struct both both_start(const char *const *more)
{
    struct both b = { .server.clock_module = REDIS_CLOCK_MODULE };
    cr_assert(redis_server_start(&b.server, more));
    b.real = compare_connect(&b.server);
    cr_assert_not_null(b.real);
    b.fake = redis_new(&(struct redis_options){ .seed = 1, .journal = true });
    redis_set_time(b.fake, *b.server.clock_ms);
    return b;
}

static void both_done(struct both *b)
{
    redisFree(b->real);
    redis_server_done(&b->server);
    redis_free(b->fake);
    arena_done(&b->arena);
}

static size_t split(char *line, struct bytes *argv)
{
    size_t argc = 0;
    for (char *at = line; *at;) {
        size_t len = strcspn(at, " ");
        cr_assert_lt(argc, (size_t)WORDS_MAX);
        argv[argc++] = (struct bytes){ at, len };
        at += len + (at[len] == ' ');
    }
    return argc;
}

static const struct store_reply *real_says(struct both *b, const char *line)
{
    char copy[400];
    struct bytes argv[WORDS_MAX];
    snprintf(copy, sizeof copy, "%s", line);
    const struct store_reply *r = compare_ask(b->real, argv, split(copy, argv), &b->arena);
    cr_assert_not_null(r, "%s", line);
    return r;
}

static const struct store_reply *fake_says(struct redis *fake, void **arena, const char *line)
{
    char copy[400];
    struct bytes argv[WORDS_MAX];
    snprintf(copy, sizeof copy, "%s", line);
    return redis_call(fake, argv, split(copy, argv), arena);
}

static void check_same(struct both *b, const char *line)
{
    const struct store_reply *fake = fake_says(b->fake, &b->arena, line),
                             *real = real_says(b, line);
    AUTO_BUF struct buf said = { 0 };
    compare_print(&said, fake);
    buf_add_text(&said, " is not ");
    compare_print(&said, real);
    cr_expect(compare_equal(fake, real, false), "%s: %s", line, said.data);
}

Test(fake_redis, what_a_connection_asks_at_its_start_is_answered_alike)
{
    struct both b = both_start(NULL);
    static const char *const lines[] = {
        "PING",
        "SELECT 0",
        "SELECT 3",
        "SELECT 16",
        "SELECT -1",
        "SELECT x",
        "SELECT",
        "AUTH secret",
        "AUTH somebody secret",
        "AUTH a b c",
        "CONFIG GET maxmemory-policy",
        "SCRIPT LOAD x",
        "SCRIPT LOAD return(1)",
        "SCRIPT EXISTS ffffffffffffffffffffffffffffffffffffffff x",
        "EVALSHA ffffffffffffffffffffffffffffffffffffffff 0",
        "EVAL return(1) 1",
        "EVAL return(1) -1",
        "EVAL return(1) x",
        "EVAL return",
        "DBSIZE",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) check_same(&b, lines[i]);
    both_done(&b);
}

Test(fake_redis, the_server_says_its_run_id_where_the_store_looks_for_it)
{
    struct both b = both_start(NULL);
    const struct store_reply *fake = fake_says(b.fake, &b.arena, "INFO server");
    const struct store_reply *real = real_says(&b, "INFO server");
    static const char key[] = "\r\nrun_id:";
    const char *at = strstr(fake->text.data, key);
    cr_assert(strstr(real->text.data, key) && at);
    cr_assert(strncmp(at + sizeof key - 1, redis_run_id(b.fake), 40) == 0);
    cr_assert_eq(strcspn(at + sizeof key - 1, "\r"), 40u);
    both_done(&b);
}

static void until_real_says(struct both *b, const char *line, const char *part)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    while (!strstr(real_says(b, line)->text.data, part))
        cr_assert(clock_mono_ms() < end, "%s never said %s", line, part);
}

/* A directory stands where the dump would be renamed to, so that no dump succeeds. */
Test(fake_redis, refuses_what_a_real_one_does_that_cannot_save)
{
    struct both b =
        both_start((const char *[]){ "--dbfilename", "taken", "--save", "3600 1", NULL });
    char taken[80];
    snprintf(taken, sizeof taken, "%s/taken", b.server.dir);
    cr_assert_eq(mkdir(taken, 0700), 0);
    check_same(&b, "HSET h f 1");
    real_says(&b, "BGSAVE");
    until_real_says(&b, "INFO persistence", "rdb_last_bgsave_status:err");
    redis_set_refusing(b.fake, REDIS_MISCONF);
    static const char *const lines[] = {
        "PING",
        "SET k v",
        "DEL h",
        "HGET h f",
        "HDEL h f",
        "TIME",
        "EVAL return(redis.call('PING')) 0",
        "EVAL return(redis.call('HDEL',KEYS[1],'f')) 1 h",
        "EVAL return(redis.call('HGET',KEYS[1],'f')) 1 h",
        "EVAL return(redis.pcall('SET',KEYS[1],'v')) 1 k",
        "SCRIPT LOAD return(2)",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) check_same(&b, lines[i]);
    rmdir(taken);
    both_done(&b);
}

/* --- transactions --- */

#define LINES_MAX 8

static const struct store_reply *fake_executes(struct both *b, const char *const *lines)
{
    char copies[LINES_MAX][100];
    struct bytes words[LINES_MAX * WORDS_MAX];
    size_t lengths[LINES_MAX], count = 0, total = 0;
    for (; lines[count]; count++) {
        snprintf(copies[count], sizeof copies[count], "%s", lines[count]);
        lengths[count] = split(copies[count], &words[total]);
        total += lengths[count];
    }
    struct store_commands commands = { words, lengths, count };
    return redis_exec(b->fake, &commands, &b->arena);
}

static const struct store_reply *real_executes(struct both *b, const char *const *lines)
{
    (void)real_says(b, "MULTI");
    for (size_t i = 0; lines[i]; i++) (void)real_says(b, lines[i]);
    return real_says(b, "EXEC");
}

static void check_executed(struct both *b, const char *const *lines)
{
    const struct store_reply *fake = fake_executes(b, lines), *real = real_executes(b, lines);
    AUTO_BUF struct buf said = { 0 };
    compare_print(&said, fake);
    buf_add_text(&said, " is not ");
    compare_print(&said, real);
    cr_expect(compare_equal(fake, real, false), "%s ...: %s", lines[0], said.data);
}

Test(fake_redis, executes_as_one_what_a_real_one_does)
{
    struct both b = both_start(NULL);
    static const char *const lists[][LINES_MAX] = {
        { "HSET h f 1 g 2", "HDEL h f", "ZADD z 5 m 6 n", "HINCRBY h g 3", "SET k v" },
        { "HGET h g", "EVAL return(redis.call('HGET',KEYS[1],'g')) 1 h", "DEL k", "UNLINK h" },
        { "SET s v", "HSET s f 1", "HSET h f 1" }, /* one of them fails, the others are done */
        { "SET t v", "HSET h" },                   /* and here nothing is done */
        { "EXISTS t h s" },
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) check_executed(&b, lists[i]);
    real_says(&b, "CONFIG SET maxmemory 1");
    redis_set_refusing(b.fake, REDIS_OOM);
    check_executed(&b, (const char *const[]){ "DEL s", "SET k v", NULL });
    check_executed(&b, (const char *const[]){ "DEL s", "EXISTS s", NULL });
    both_done(&b);
}

/* --- SCAN --- */

static void count_key(void *user, struct bytes key)
{
    (void)key;
    ++*(size_t *)user;
}

/* All keys of a whole SCAN, sorted into one reply of the arena. */
static const struct store_reply *scan_all(struct both *b, bool fake, const char *pattern)
{
    struct store_reply *all = arena_alloc(&b->arena, sizeof *all);
    *all = (struct store_reply){ .type = STORE_ARRAY,
                                 .items = arena_alloc(&b->arena, 2000 * sizeof *all->items) };
    char cursor[32] = "0", line[200];
    do {
        snprintf(line, sizeof line, "SCAN %s MATCH %s COUNT 7", cursor, pattern);
        const struct store_reply *r =
            fake ? fake_says(b->fake, &b->arena, line) : real_says(b, line);
        cr_assert_eq(r->type, STORE_ARRAY, "%s", line);
        snprintf(cursor, sizeof cursor, "%s", r->items[0].text.data);
        for (size_t i = 0; i < r->items[1].count; i++) {
            cr_assert_lt(all->count, 2000u);
            all->items[all->count++] = r->items[1].items[i];
        }
    } while (strcmp(cursor, "0") != 0);
    return all;
}

Test(fake_redis, a_scan_names_each_matching_key_as_a_real_one)
{
    static const char *const patterns[] = {
        "*",
        "t:[rkf]*:{1}*",
        "t:r*",
        "t:?:{1}:1?",
        "*{2}*",
        "[^t]*",
        "t:[a-k]:*",
        "t:[k-a]:*",
        "t:\\r:*",
        "t:[r",
        "t:r:{1}:1",
        "**5",
        "",
        "t:[\\]r]:*",
        "*:*:*",
        "?",
        "t:r:{1}*1*",
        "t:[^\\r]*9",
        "[",
        "\\",
        "t:r:{1}:[0-9]",
    };
    struct both b = both_start(NULL);
    for (int i = 0; i < 300; i++) {
        char line[64];
        snprintf(line, sizeof line, "SET t:%c:{%d}:%d v", "rkfa"[i % 4], i % 3, i);
        check_same(&b, line);
    }
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        if (!*patterns[i]) continue;
        const struct store_reply *fake = scan_all(&b, true, patterns[i]),
                                 *real = scan_all(&b, false, patterns[i]);
        cr_expect(compare_equal(fake, real, true), "%s: %zu keys, not %zu", patterns[i],
                  fake->count, real->count);
    }
    both_done(&b);
}

Test(fake_redis, a_scan_misses_no_key_that_stays_while_others_come_and_go)
{
    CLEANUP(redis_free_p) struct redis *r = redis_new(&(struct redis_options){ .seed = 7 });
    void *arena = NULL;
    char line[64];
    bool seen[200] = { false };
    for (int i = 0; i < 200; i++) {
        snprintf(line, sizeof line, "SET stay%d v", i);
        fake_says(r, &arena, line);
    }
    uint64_t prng = 5;
    char cursor[32] = "0";
    do {
        snprintf(line, sizeof line, "SCAN %s MATCH stay* COUNT 3", cursor);
        const struct store_reply *reply = fake_says(r, &arena, line);
        snprintf(cursor, sizeof cursor, "%s", reply->items[0].text.data);
        for (size_t i = 0; i < reply->items[1].count; i++)
            seen[strtoul(reply->items[1].items[i].text.data + 4, NULL, 10)] = true;
        for (int i = 0; i < 20; i++) {
            snprintf(line, sizeof line, "%s go%zu v", i % 3 ? "SET" : "DEL",
                     prng_below(&prng, 900));
            fake_says(r, &arena, line);
        }
    } while (strcmp(cursor, "0") != 0);
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) cr_expect(seen[i], "stay%zu", i);
    arena_done(&arena);
}

/* --- rewinds and dumps --- */

/* Random calls on the fake alone; the keys of few sequences, so that they are made and unmade. */
static void churn(struct redis *r, uint64_t *prng, size_t calls, void **arena)
{
    for (size_t i = 0; i < calls; i++) {
        struct compared call;
        char prefix[8], sha1[SHA1_HEX];
        snprintf(prefix, sizeof prefix, "s%zu", prng_below(prng, 3));
        compare_make(&call, prng, r, prefix, arena);
        (void)redis_call(r, call.argv, call.argc, arena);
        if (!call.source) continue;
        sha1_hex(bytes_of(call.source), sha1);
        (void)redis_script(r, sha1, call.source, (size_t)(call.argv[2].data[0] - '0'),
                           call.argv + 3, call.argc - 3, arena);
    }
}

static void note_field(void *user, struct bytes field, struct bytes value)
{
    buf_addf(user, " %.*s=%.*s", (int)field.len, field.data, (int)value.len, value.data);
}

static void note_member(void *user, struct bytes member, double score)
{
    buf_addf(user, " %.*s=%.17g", (int)member.len, member.data, score);
}

struct notes {
    const struct redis *r;
    struct buf text;
};

static void note_key(void *user, struct bytes key)
{
    struct notes *n = user;
    struct bytes value;
    buf_addf(&n->text, "%.*s %d %lld", (int)key.len, key.data, redis_type(n->r, key),
             (long long)redis_expires_ms(n->r, key));
    if (redis_string(n->r, key, &value)) buf_addf(&n->text, " %.*s", (int)value.len, value.data);
    redis_each_field(n->r, key, note_field, &n->text);
    redis_each_member(n->r, key, note_member, &n->text);
    buf_add_char(&n->text, '\n');
}

/* Everything that is there, by the doors of the oracles. */
static char *everything(const struct redis *r)
{
    struct notes n = { .r = r };
    redis_each_key(r, (struct bytes){ 0 }, note_key, &n);
    buf_add_char(&n.text, '.');
    return buf_take(&n.text, NULL);
}

/* All scripts are loaded, so that what calls do depends on the data alone. */
static struct redis *busy(uint64_t seed, bool journal)
{
    struct redis *r =
        redis_new(&(struct redis_options){ .seed = seed, .lenient = true, .journal = journal });
    void *arena = NULL;
    const char *source;
    for (size_t i = 0; (source = compare_script(i)); i++) {
        struct bytes argv[] = { BYTES_LIT("SCRIPT"), BYTES_LIT("LOAD"), bytes_of(source) };
        (void)redis_call(r, argv, ARRAY_LEN(argv), &arena);
    }
    arena_done(&arena);
    return r;
}

enum { MARKS = 6 };

Test(fake_redis, a_rewind_gives_back_exactly_what_was_there)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        CLEANUP(redis_free_p) struct redis *r = busy(seed, true);
        void *arena = NULL;
        uint64_t prng = seed * 77, marks[MARKS], digests[MARKS];
        char *copies[MARKS];
        redis_set_time(r, 1700000000000);
        for (size_t i = 0; i < MARKS; i++) {
            churn(r, &prng, 1 + prng_below(&prng, 20), &arena);
            if (prng_below(&prng, 4) == 0) redis_wipe(r);
            marks[i] = redis_mark(r);
            digests[i] = redis_digest(r);
            copies[i] = everything(r);
        }
        for (size_t i = MARKS; i-- > 0;) {
            redis_rewind(r, marks[i], false);
            AUTO_FREE char *now = everything(r);
            cr_assert_str_eq(now, copies[i], "seed %d, mark %zu", (int)seed, i);
            cr_assert_eq(redis_digest(r), digests[i]);
            free(copies[i]);
            if (prng_below(&prng, 2)) churn(r, &prng, 10, &arena); /* undone by the next rewind */
        }
        arena_done(&arena);
    }
}

Test(fake_redis, after_a_rewind_it_goes_on_as_if_nothing_had_been_undone)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        CLEANUP(redis_free_p) struct redis *rewound = busy(seed, true);
        CLEANUP(redis_free_p) struct redis *straight = busy(seed, false);
        void *arena = NULL;
        uint64_t a = seed * 99, b = seed * 99, lost = seed;
        churn(rewound, &a, 20, &arena);
        churn(straight, &b, 20, &arena);
        uint64_t mark = redis_mark(rewound);
        churn(rewound, &lost, 20, &arena);
        redis_rewind(rewound, mark, false);
        for (int i = 0; i < 10; i++) {
            churn(rewound, &a, 5, &arena);
            churn(straight, &b, 5, &arena);
            AUTO_FREE char *left = everything(rewound), *right = everything(straight);
            cr_assert_str_eq(left, right, "seed %d", (int)seed);
        }
        arena_done(&arena);
    }
}

Test(fake_redis, what_expired_since_the_mark_is_back_and_expires_by_the_clock)
{
    CLEANUP(redis_free_p) struct redis *r = busy(1, true);
    void *arena = NULL;
    redis_set_time(r, 1000);
    fake_says(r, &arena, "SET k v PX 500");
    uint64_t mark = redis_mark(r);
    redis_set_time(r, 1500);
    cr_assert_eq(fake_says(r, &arena, "EXISTS k")->integer, 1, "its last millisecond");
    redis_set_time(r, 1501);
    cr_assert_eq(fake_says(r, &arena, "EXISTS k")->integer, 0);
    redis_rewind(r, mark, false);
    cr_assert_eq(redis_type(r, BYTES_LIT("k")), REDIS_NONE, "its time is over");
    redis_set_time(r, 1200);
    cr_assert_eq(redis_type(r, BYTES_LIT("k")), REDIS_STRING);
    cr_assert_eq(redis_expires_ms(r, BYTES_LIT("k")), 1500);
    arena_done(&arena);
}

Test(fake_redis, a_failover_has_another_run_id_and_no_scripts)
{
    CLEANUP(redis_free_p) struct redis *r = busy(1, true);
    void *arena = NULL;
    char run_id[41], sha1[SHA1_HEX];
    sha1_hex(BYTES_LIT("return 1"), sha1);
    snprintf(run_id, sizeof run_id, "%s", redis_run_id(r));
    cr_assert_eq(redis_script(r, sha1, NULL, 0, NULL, 0, &arena)->type, STORE_ERROR_TEXT);
    cr_assert_eq(redis_script(r, sha1, "return 1", 0, NULL, 0, &arena)->integer, 1);
    cr_assert_eq(redis_script(r, sha1, NULL, 0, NULL, 0, &arena)->integer, 1);
    uint64_t mark = redis_mark(r);
    fake_says(r, &arena, "SET k v");
    redis_rewind(r, mark, false);
    cr_assert_str_eq(redis_run_id(r), run_id);
    cr_assert_eq(redis_script(r, sha1, NULL, 0, NULL, 0, &arena)->integer, 1);
    redis_rewind(r, mark, true);
    cr_assert_str_neq(redis_run_id(r), run_id);
    cr_assert(strncmp(redis_script(r, sha1, NULL, 0, NULL, 0, &arena)->text.data, "NOSCRIPT", 8) ==
              0);
    arena_done(&arena);
}

Test(fake_redis, a_dump_is_a_copy_that_later_writes_leave_alone)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        CLEANUP(redis_free_p) struct redis *r = busy(seed, true);
        void *arena = NULL;
        uint64_t prng = seed * 55;
        churn(r, &prng, 30, &arena);
        AUTO_FREE char *before = everything(r);
        struct redis_dump *dump = redis_dump(r);
        churn(r, &prng, 30, &arena);
        AUTO_FREE char *later = everything(r);
        uint64_t mark = redis_mark(r);
        for (int i = 0; i < 2; i++) { /* a dump may be loaded again */
            redis_load(r, dump);
            AUTO_FREE char *loaded = everything(r);
            cr_assert_str_eq(loaded, before, "seed %d", (int)seed);
            churn(r, &prng, 10, &arena);
        }
        redis_rewind(r, mark, false);
        AUTO_FREE char *rewound = everything(r);
        cr_assert_str_eq(rewound, later, "a load can be undone");
        redis_dump_free(dump);
        arena_done(&arena);
    }
}

Test(fake_redis, marks_that_were_not_forgotten_stay_good)
{
    CLEANUP(redis_free_p) struct redis *r = busy(3, true);
    void *arena = NULL;
    uint64_t prng = 3, mark = 0;
    AUTO_FREE char *copy = NULL;
    for (int i = 0; i < 400; i++) {
        arena_reset(&arena);
        churn(r, &prng, 20, &arena);
        redis_forget(r, redis_mark(r));
        free(copy);
        mark = redis_mark(r);
        copy = everything(r);
        churn(r, &prng, 20, &arena);
        if (i % 3 == 0) continue;
        redis_rewind(r, mark, false);
        AUTO_FREE char *now = everything(r);
        cr_assert_str_eq(now, copy, "round %d", i);
    }
    arena_done(&arena);
}

Test(fake_redis, one_that_was_reset_is_as_a_new_one)
{
    CLEANUP(redis_free_p) struct redis *used = busy(1, true);
    void *arena = NULL;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        CLEANUP(redis_free_p)
        struct redis *fresh =
            redis_new(&(struct redis_options){ .seed = seed, .lenient = true, .journal = true });
        uint64_t a = seed * 99, b = seed * 99;
        redis_reset(used, seed);
        cr_assert_str_eq(redis_run_id(used), redis_run_id(fresh));
        cr_assert_eq(redis_mark(used), redis_mark(fresh));
        churn(used, &a, 40, &arena); /* scripts are unknown until they are sent */
        churn(fresh, &b, 40, &arena);
        AUTO_FREE char *left = everything(used), *right = everything(fresh);
        cr_assert_str_eq(left, right, "seed %d", (int)seed);
        cr_assert_eq(redis_digest(used), redis_digest(fresh));
        redis_set_refusing(used, REDIS_OOM);
    }
    arena_done(&arena);
}

/* --- the rest of what it can refuse --- */

Test(fake_redis, while_it_loads_it_answers_only_about_itself)
{
    CLEANUP(redis_free_p) struct redis *r = redis_new(&(struct redis_options){ .seed = 1 });
    void *arena = NULL;
    size_t keys = 0;
    fake_says(r, &arena, "SET k v");
    redis_set_refusing(r, REDIS_LOADING);
    static const char *const refused[] = { "GET k",  "SET k v",          "PING",
                                           "SCAN 0", "EVAL return(1) 0", "SCRIPT LOAD return(1)" };
    static const char *const answered[] = { "INFO server", "TIME", "SELECT 0",
                                            "CONFIG GET maxmemory-policy" };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        cr_expect_str_eq(fake_says(r, &arena, refused[i])->text.data,
                         "LOADING Redis is loading the dataset in memory");
    for (size_t i = 0; i < ARRAY_LEN(answered); i++)
        cr_expect_neq(fake_says(r, &arena, answered[i])->type, STORE_ERROR_TEXT);
    char sha1[SHA1_HEX];
    sha1_hex(BYTES_LIT("return 1"), sha1);
    cr_expect_str_eq(redis_script(r, sha1, "return 1", 0, NULL, 0, &arena)->text.data,
                     "LOADING Redis is loading the dataset in memory");
    redis_set_refusing(r, REDIS_WILLING);
    redis_each_key(r, BYTES_LIT("k"), count_key, &keys);
    cr_expect_eq(keys, 1u);
    arena_done(&arena);
}

Test(fake_redis, an_unknown_command_ends_the_process_and_is_named, .signal = SIGABRT)
{
    CLEANUP(redis_free_p) struct redis *r = redis_new(&(struct redis_options){ .seed = 1 });
    void *arena = NULL;
    fake_says(r, &arena, "LPUSH k v");
}
