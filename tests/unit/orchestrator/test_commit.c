/* SPDX-License-Identifier: Apache-2.0
 *
 * Commits against a Redis of the test's own, on a unix socket: where one is taken, and what it
 * writes. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "commit_fixture.h"

#define EQ(...) cr_assert_str_eq(__VA_ARGS__)

/* Owned under epoch 10, at offset 11; nothing is in doubt. */
static struct redis redis_owned(void)
{
    struct redis r = redis_start();
    (void)COMMAND(&r, "HSET p gen g epoch 10 off 11");
    return r;
}

/* --- where it is taken --- */

Test(commit, one_from_the_right_place_is_ok_and_asked_again_is_dup)
{
    struct redis r = redis_owned();
    struct commit c;
    commit_begin(&c, 10, 11, 12, true);
    c.b->fin_bytes = 7;
    EQ(commit_ask(&c, &r), "OK");
    EQ(commit_ask(&c, &r), "DUP 10");
    EQ(COMMAND(&r, "HMGET p epoch off fin_bytes"), "10 12 7", "it was done once");
    commit_end(&c);
    redis_stop(&r);
}

/* A commit with a run, refused: nothing of it may be there. */
static void check_refused(struct redis *r, int epoch, int from, int to, const char *expected)
{
    struct commit c;
    commit_begin(&c, epoch, from, to, true);
    words(&c.b->place, "fold_gen f gen_seen s");
    c.b->fin_bytes = 9;
    words(&c.b->mark_keys, "tk");
    words(&c.b->marks, "t D 60000");
    words(&c.b->tm_adds, "5 a");
    words(&c.b->fin_adds, "6 b");
    commit_run(&c, "r", 1, 0, "x y");
    EQ(commit_ask(&c, r), expected);
    EQ(COMMAND(r, "EXISTS tm fin tk r"), "0");
    EQ(COMMAND(r, "HMGET p fold_gen gen_seen fin_bytes"), "nil nil nil");
    commit_end(&c);
}

Test(commit, one_from_another_offset_is_told_to_reload)
{
    struct redis r = redis_owned();
    check_refused(&r, 10, 12, 13, "RELOAD 10");
    check_refused(&r, 10, 5, 13, "RELOAD 10");
    EQ(COMMAND(&r, "HMGET p epoch off"), "10 11");
    redis_stop(&r);
}

Test(commit, one_from_an_older_epoch_is_fenced)
{
    struct redis r = redis_owned();
    check_refused(&r, 9, 11, 12, "FENCED 10");
    check_refused(&r, 9, 0, 11, "FENCED 10");
    EQ(COMMAND(&r, "HMGET p epoch off"), "10 11");
    redis_stop(&r);
}

Test(commit, one_from_an_epoch_that_a_rewound_redis_does_not_hold_is_told_to_reload)
{
    struct redis r = redis_owned();
    check_refused(&r, 20, 11, 12, "RELOAD 10");
    check_refused(&r, 20, 5, 11, "RELOAD 10");
    COMMAND(&r, "FLUSHALL");
    check_refused(&r, 20, 11, 12, "RELOAD -1");
    EQ(COMMAND(&r, "EXISTS p"), "0");
    redis_stop(&r);
}

Test(commit, one_amid_a_rebuild_that_a_rewind_undid_is_told_to_reload)
{
    struct redis r = redis_owned();
    COMMAND(&r, "HSET p rebuild 1");
    check_refused(&r, 10, 11, 12, "RELOAD 10");
    COMMAND(&r, "HSET p rebuild 2");
    EQ(commit_place(&r, 10, 11, 12, false), "OK");
    redis_stop(&r);
}

Test(commit, chunks_of_a_recovery_keep_replay_from_until_the_last)
{
    struct redis r = redis_owned();
    COMMAND(&r, "HSET p epoch 20 replay_from 11 replay_until 20 rebuild 2");
    EQ(commit_place(&r, 20, 11, 14, false), "OK");
    EQ(COMMAND(&r, "HMGET p replay_from replay_until"), "11 20");
    EQ(commit_place(&r, 20, 14, 17, false), "OK");
    EQ(COMMAND(&r, "HMGET p replay_from replay_until"), "11 20");
    EQ(commit_place(&r, 20, 17, 21, true), "OK");
    EQ(COMMAND(&r, "HMGET p replay_from replay_until rebuild"), "nil nil nil");
    redis_stop(&r);
}

Test(commit, one_of_which_redis_refused_a_part_is_written_again)
{
    struct redis r = redis_owned();
    struct commit c;
    commit_begin(&c, 10, 11, 12, true);
    c.b->fin_bytes = 7;
    commit_run(&c, "r1", 1, 0, "a x");
    COMMAND(&r, "SET r1 foreign");
    EQ(commit_ask(&c, &r), "torn", "a key of another type");
    c.b->torn = true;
    EQ(commit_ask(&c, &r), "torn", "it is not taken for done");
    COMMAND(&r, "DEL r1");
    EQ(commit_ask(&c, &r), "OK");
    EQ(COMMAND(&r, "HGETALL r1"), "a x");
    EQ(COMMAND(&r, "HMGET p off fin_bytes"), "12 7");
    commit_end(&c);
    redis_stop(&r);
}

/* --- what it writes --- */

Test(commit, it_sets_and_deletes_fields_of_runs)
{
    struct redis r = redis_owned();
    struct commit c;
    COMMAND(&r, "HSET r1 old 1 keep 2 older 3");
    COMMAND(&r, "HSET r2 old 1 keep 2");
    commit_begin(&c, 10, 11, 12, true);
    commit_run(&c, "r1", 2, 2, "a x keep y old older");
    commit_run(&c, "r2", 0, 1, "old");
    commit_run(&c, "r3", 1, 0, "b c");
    EQ(commit_ask(&c, &r), "OK");
    EQ(COMMAND(&r, "HGETALL r1"), "keep y a x");
    EQ(COMMAND(&r, "HGETALL r2"), "keep 2");
    EQ(COMMAND(&r, "HGETALL r3"), "b c");
    commit_end(&c);
    redis_stop(&r);
}

Test(commit, it_deletes_a_run_and_goes_on_with_the_next)
{
    struct redis r = redis_owned();
    struct commit c;
    COMMAND(&r, "HSET r1 a 1");
    commit_begin(&c, 10, 11, 12, true);
    commit_run(&c, "r1", 0, 0, NULL);
    commit_run(&c, "r2", 1, 0, "b 2");
    EQ(commit_ask(&c, &r), "OK");
    EQ(COMMAND(&r, "EXISTS r1"), "0");
    EQ(COMMAND(&r, "HGETALL r2"), "b 2");
    commit_end(&c);
    redis_stop(&r);
}

static void check_ttl(struct redis *r, const char *key, long least, long most)
{
    long ms = strtol(COMMAND(r, "PTTL %s", key), NULL, 10);
    cr_assert(ms > least && ms <= most, "%s lives %ld ms", key, ms);
}

Test(commit, it_marks_tasks_cancelled_or_done_and_leaves_done_ones_alone)
{
    struct redis r = redis_owned();
    struct commit c;
    COMMAND(&r, "HSET tk done D leased L|w1|9999999999999 cancelled C");
    COMMAND(&r, "SCRIPT FLUSH");
    commit_begin(&c, 10, 11, 12, true);
    words(&c.b->mark_keys, "tk tk tk tk2");
    words(&c.b->marks, "done C 900000 leased C 900000 cancelled D 900000 new C 900000");
    EQ(commit_ask(&c, &r), "OK");
    commit_end(&c);
    EQ(COMMAND(&r, "HMGET tk done leased cancelled"), "D C D");
    EQ(COMMAND(&r, "HGET tk2 new"), "C");
    check_ttl(&r, "tk", 900000, 960000);
    check_ttl(&r, "tk2", 900000, 960000);
    commit_begin(&c, 10, 12, 13, true);
    words(&c.b->mark_keys, "tk tk2");
    words(&c.b->marks, "x C 5000 y C 1800000");
    EQ(commit_ask(&c, &r), "OK");
    commit_end(&c);
    check_ttl(&r, "tk", 900000, 960000); /* it was long enough */
    check_ttl(&r, "tk2", 1800000, 1860000);
    redis_stop(&r);
}

Test(commit, it_adds_to_the_bytes_of_finished_runs)
{
    static const int added[] = { 100, 50, -30 };
    struct redis r = redis_owned();
    for (int i = 0; i < 3; i++) {
        struct commit c;
        commit_begin(&c, 10, 11 + i, 12 + i, true);
        c.b->fin_bytes = added[i];
        EQ(commit_ask(&c, &r), "OK");
        commit_end(&c);
    }
    EQ(COMMAND(&r, "HGET p fin_bytes"), "120");
    redis_stop(&r);
}

Test(commit, all_kinds_of_changes_in_one_do_not_take_each_others_words)
{
    struct redis r = redis_owned();
    struct start_key set = { .run_id = "run1" }, gone = { .run_id = "" };
    struct start_key *keys[] = { &set, &gone };
    struct commit c;
    COMMAND(&r, "ZADD tm 1 t-gone 300 t-stays 200 t-moved");
    COMMAND(&r, "ZADD fin 1 f-gone");
    COMMAND(&r, "HSET r1 a 1");
    COMMAND(&r, "SET k2 run0");
    commit_begin(&c, 10, 11, 12, true);
    struct batch *b = c.b;
    words(&b->place, "fold_gen f gen_seen s");
    b->fin_bytes = 64;
    words(&b->mark_keys, "tk1 tk2");
    words(&b->marks, "a C 60000 b D 60000");
    b->key_count = ARRAY_LEN(keys);
    words(&b->start_keys, "k1 k2");
    words(&b->start_values, "run1");
    args_add(&b->start_values, (struct bytes){ 0 });
    words(&b->tm_adds, "1795330000123 t-new 50 t-moved");
    words(&b->tm_dels, "t-gone");
    words(&b->fin_adds, "600 f-new 700 f-next");
    words(&b->fin_dels, "f-gone never");
    commit_run(&c, "r1", 0, 0, NULL);
    commit_run(&c, "r2", 1, 1, "b 2 c");
    EQ(commit_ask(&c, &r), "OK");
    EQ(COMMAND(&r, "HGETALL tk1"), "a C");
    EQ(COMMAND(&r, "HGETALL tk2"), "b D");
    EQ(COMMAND(&r, "MGET k1 k2"), "run1 nil");
    EQ(COMMAND(&r, "PTTL k1"), "-1", "it stays until it is deleted");
    EQ(COMMAND(&r, "ZRANGE tm 0 -1 WITHSCORES"), "t-moved 50 t-stays 300 t-new 1795330000123");
    EQ(COMMAND(&r, "ZRANGE fin 0 -1 WITHSCORES"), "f-new 600 f-next 700");
    EQ(COMMAND(&r, "EXISTS r1"), "0");
    EQ(COMMAND(&r, "HGETALL r2"), "b 2");
    EQ(COMMAND(&r, "HMGET p epoch off fold_gen gen_seen fin_bytes"), "10 12 f s 64");
    commit_end(&c);
    redis_stop(&r);
}

/* An event that ends a large map changes many. What is deleted and written anew in one commit is
 * there. */
Test(commit, a_run_may_change_in_any_number_of_fields)
{
    enum { FIELDS = 10000 };
    struct redis r = redis_owned();
    struct commit c;
    AUTO_BUF struct buf line = { 0 };
    for (int i = 0; i < FIELDS; i++) buf_addf(&line, "f%d x ", i);
    for (int i = 0; i < FIELDS; i++) buf_addf(&line, "f%d ", i);
    line.data[--line.len] = '\0';
    commit_begin(&c, 10, 11, 12, true);
    commit_run(&c, "r", FIELDS, FIELDS, line.data);
    COMMAND(&r, "HSET r f0 old f9999 old");
    EQ(commit_ask(&c, &r), "OK");
    EQ(COMMAND(&r, "HLEN r"), "10000");
    EQ(COMMAND(&r, "HMGET r f0 f9999"), "x x");
    commit_end(&c);
    redis_stop(&r);
}
