/* SPDX-License-Identifier: Apache-2.0
 *
 * The orchestrator's scripts against a Redis of the test's own, on a unix socket: who owns a
 * partition, and where its state stands. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "commit_fixture.h"
#include "common/base/limits.h"

extern const char script_takeover[], script_load[], script_fields[], script_marks[], script_place[],
    script_timers[], script_generation[], script_installation[], script_purge[], script_restore[],
    script_survey[], script_snapped[], script_trying[], script_known[];

#define EQ(...) cr_assert_str_eq(__VA_ARGS__)

/* As an owner does it: the generation is read, and made where there is none, then the takeover
 * names it. -> state, off, replay_from, tries, gen, fold_gen, gen_seen */
static const char *takeover(struct redis *r, int epoch, int log_start)
{
    char gen[64];
    (void)ask(r, script_generation, "p / gen%d", epoch);
    snprintf(gen, sizeof gen, "%s", COMMAND(r, "HGET p gen"));
    return ask(r, script_takeover, "p / %d %d %s token%d", epoch, log_start, gen, epoch);
}

/* What the last call of restore.lua says of a rebuild. */
static void restored(struct redis *r)
{
    (void)COMMAND(r, "HSET p rebuild 2");
}

/* Owned under epoch 10, recovered, at offset 11. */
static struct redis redis_owned(void)
{
    struct redis r = redis_start();
    takeover(&r, 10, 0);
    restored(&r);
    EQ(commit_place(&r, 10, 0, 11, 1), "OK");
    return r;
}

/* --- takeovers --- */

Test(takeover, the_first_of_an_empty_partition_is_a_rebuild_at_the_log_start)
{
    struct redis r = redis_start();
    EQ(takeover(&r, 10, 4), "REBUILD 4 4 1 gen10 - - -");
    EQ(COMMAND(&r, "HMGET p epoch off replay_from replay_until rebuild"), "10 4 4 10 1");
    redis_stop(&r);
}

Test(takeover, a_partition_that_stands_in_the_log_is_taken_over_where_it_stands)
{
    struct redis r = redis_owned();
    EQ(takeover(&r, 20, 0), "OK 11 11 1 gen10 - - -", "its generation survives");
    EQ(COMMAND(&r, "HMGET p epoch off replay_until rebuild"), "20 11 20 nil");
    EQ(takeover(&r, 30, 11), "OK 11 11 2 gen10 - - -", "the log begins where it stands");
    redis_stop(&r);
}

Test(takeover, a_place_before_the_log_start_is_a_rebuild_that_forgets_what_was_seen)
{
    struct redis r = redis_owned();
    COMMAND(&r, "HSET p fold_gen f gen_seen s fin_bytes 70");
    EQ(takeover(&r, 20, 12), "REBUILD 12 12 1 gen10 - - -");
    EQ(COMMAND(&r, "HMGET p fold_gen gen_seen fin_bytes"), "nil nil nil");
    redis_stop(&r);
}

Test(takeover, a_newer_owner_fences_the_older_one)
{
    struct redis r = redis_owned();
    takeover(&r, 30, 0);
    EQ(takeover(&r, 20, 0), "FENCED 30");
    EQ(COMMAND(&r, "HMGET p epoch off replay_until tries"), "30 11 30 1", "nothing was written");
    EQ(commit_place(&r, 10, 11, 12, 1), "FENCED 30");
    EQ(commit_place(&r, 30, 11, 12, 1), "OK");
    redis_stop(&r);
}

Test(takeover, a_copy_that_comes_behind_a_wipe_makes_nothing)
{
    struct redis r = redis_owned();
    COMMAND(&r, "FLUSHALL");
    EQ(ask(&r, script_takeover, "p / 10 0 gen10 token10"), "WIPED -");
    EQ(COMMAND(&r, "EXISTS p"), "0");
    (void)ask(&r, script_generation, "p / gen20");
    EQ(ask(&r, script_takeover, "p / 10 0 gen10 token10"), "WIPED gen20");
    EQ(COMMAND(&r, "HEXISTS p epoch"), "0");
    redis_stop(&r);
}

Test(takeover, asked_again_it_says_the_same_but_for_the_tries)
{
    struct redis r = redis_owned();
    EQ(takeover(&r, 20, 0), "OK 11 11 1 gen10 - - -");
    EQ(takeover(&r, 20, 0), "OK 11 11 2 gen10 - - -");
    redis_stop(&r);
}

Test(takeover, tries_count_takeovers_at_an_unchanged_offset)
{
    struct redis r = redis_owned();
    EQ(takeover(&r, 20, 0), "OK 11 11 1 gen10 - - -");
    EQ(takeover(&r, 30, 0), "OK 11 11 2 gen10 - - -");
    EQ(takeover(&r, 40, 0), "OK 11 11 3 gen10 - - 11", "from here on with caution");
    (void)commit_place(&r, 40, 11, 12, 0);
    EQ(takeover(&r, 50, 0), "OK 12 11 1 gen10 - - 12", "a step forward is enough");
    redis_stop(&r);
}

Test(takeover, a_second_one_amid_a_recovery_keeps_replay_from)
{
    struct redis r = redis_owned();
    takeover(&r, 20, 0);
    EQ(commit_place(&r, 20, 11, 15, 0), "OK");
    EQ(takeover(&r, 30, 0), "OK 15 11 1 gen10 - - -");
    EQ(commit_place(&r, 30, 15, 31, 1), "OK");
    EQ(takeover(&r, 40, 0), "OK 31 31 1 gen10 - - -", "a finished recovery leaves no doubt");
    redis_stop(&r);
}

Test(takeover, an_unfinished_rebuild_is_one_for_the_next_owner_too)
{
    struct redis r = redis_start();
    takeover(&r, 10, 0);
    restored(&r);
    EQ(commit_place(&r, 10, 0, 5, 0), "OK");
    EQ(takeover(&r, 20, 0), "REBUILD 0 0 2 gen10 - - -", "from the start again");
    EQ(commit_place(&r, 20, 0, 5, 0), "RELOAD 20",
       "what was restored before is not there any more");
    restored(&r);
    EQ(commit_place(&r, 20, 0, 5, 0), "OK");
    EQ(commit_place(&r, 20, 5, 21, 1), "OK");
    EQ(takeover(&r, 30, 0), "OK 21 21 1 gen10 - - -");
    redis_stop(&r);
}

Test(takeover, offsets_near_the_largest_exact_number_are_kept_to_the_last_digit)
{
    struct redis r = redis_start();
    COMMAND(&r, "HSET p gen g");
    EQ(ask(&r, script_takeover, "p / 9007199254740990 9007199254740981 g token"),
       "REBUILD 9007199254740981 9007199254740981 1 g - - -");
    restored(&r);
    EQ(COMMAND(&r, "HMGET p off replay_from replay_until"),
       "9007199254740981 9007199254740981 9007199254740990");
    EQ(commit_place(&r, 9007199254740990, 9007199254740982, 9007199254740983, false),
       "RELOAD 9007199254740990");
    redis_stop(&r);
}

/* --- what is read --- */

Test(load, it_reads_runs_and_start_keys_with_the_place_and_tells_what_is_absent)
{
    struct redis r = redis_owned();
    COMMAND(&r, "HSET r1 a 1 b 2");
    COMMAND(&r, "SET k1 run1");
    EQ(ask(&r, script_load, "p r1 r2 k1 k2 / 2 0"), "10 11 [a 1 b 2] [] run1 -");
    EQ(ask(&r, script_load, "p k1 / 0 2"), "10 11 run1");
    EQ(ask(&r, script_load, "none r1 / 1 2"), "-1 -1 [a 1 b 2]");
    redis_stop(&r);
}

Test(load, a_run_with_many_fields_is_read_in_pieces)
{
    struct redis r = redis_owned();
    COMMAND(&r, "HSET r1 a 1 b 2 c 3");
    COMMAND(&r, "HSET r2 a 1");
    EQ(ask(&r, script_load, "p r1 r2 / 2 2"), "10 11 [large] [a 1]");
    EQ(ask(&r, script_fields, "p r1 / c x a"), "10 11 3 nil 1");
    EQ(ask(&r, script_fields, "none r1 / b"), "-1 -1 2");
    redis_stop(&r);
}

Test(marks, a_task_is_nobodys_leased_ended_or_done)
{
    struct redis r = redis_owned();
    COMMAND(&r, "HSET tk1 live L|w1|9999999999999 ended L|w1|1000");
    COMMAND(&r, "HSET tk2 done D cancelled C");
    EQ(ask(&r, script_marks, "p tk1 tk1 tk1 tk2 tk2 tk3 / 10 none live ended done cancelled none"),
       "10 11 - live ended done done -");
    redis_stop(&r);
}

Test(marks, a_failure_that_the_fold_has_ignored_is_forgotten_and_one_that_it_will_count_is_not)
{
    struct redis r = redis_owned();
    COMMAND(&r, "HSET tk below F|9 above F|11 unknown F|-1");
    EQ(ask(&r, script_marks, "p tk tk tk / 9 below above unknown"), "10 11 done done done",
       "not by another owner");
    EQ(ask(&r, script_marks, "p tk tk tk / 10 below above unknown"), "10 11 - done -");
    EQ(COMMAND(&r, "HGETALL tk"), "above F|11");
    redis_stop(&r);
}

Test(place, it_names_finished_runs_that_are_due)
{
    struct redis r = redis_owned();
    COMMAND(&r, "ZADD fin 100 a 200 b 300 c");
    EQ(ask(&r, script_place, "p fin / 99 1000 10"), "10 11 [] 0");
    EQ(ask(&r, script_place, "p fin / 200 1000 10"), "10 11 [a 100 b 200] 0");
    EQ(ask(&r, script_place, "p fin / 999 1000 2"), "10 11 [a 100 b 200] 0",
       "no more than are wanted");
    EQ(ask(&r, script_place, "none nofin / 999 1000 2"), "-1 -1 [] 0");
    redis_stop(&r);
}

Test(place, it_names_the_oldest_finished_runs_when_they_hold_too_much)
{
    struct redis r = redis_owned();
    COMMAND(&r, "ZADD fin 100 a 200 b 300 c");
    COMMAND(&r, "HSET p fin_bytes 1000");
    EQ(ask(&r, script_place, "p fin / 1 1000 2"), "10 11 [] 1000", "as much as they may");
    EQ(ask(&r, script_place, "p fin / 1 999 2"), "10 11 [a 100 b 200] 1000");
    EQ(ask(&r, script_place, "p fin / 100 999 2"), "10 11 [a 100] 1000", "what is due goes first");
    redis_stop(&r);
}

Test(timers_script, it_reads_a_page_of_live_runs_with_the_place)
{
    struct redis r = redis_owned();
    COMMAND(&r, "ZADD tm 300 c 100 a 200 b");
    EQ(ask(&r, script_timers, "p tm / 0 1"), "10 11 [a 100 b 200]");
    EQ(ask(&r, script_timers, "p tm / 2 3"), "10 11 [c 300]");
    EQ(ask(&r, script_timers, "p tm / 4 5"), "10 11 []");
    redis_stop(&r);
}

Test(generation, the_first_value_stays)
{
    struct redis r = redis_start();
    EQ(ask(&r, script_generation, "p / g1"), "g1 - - - -");
    EQ(ask(&r, script_generation, "p / g2"), "g1 - - - -");
    EQ(takeover(&r, 10, 0), "REBUILD 0 0 1 g1 - - -", "a takeover keeps it too");
    EQ(ask(&r, script_generation, "p / g2"), "g1 10 0 token10 -",
       "and says what is known of the log");
    COMMAND(&r, "FLUSHALL");
    EQ(ask(&r, script_generation, "p / g2"), "g2 - - - -", "a wiped Redis has another one");
    redis_stop(&r);
}

Test(installation, the_first_facts_stay)
{
    struct redis r = redis_start();
    EQ(ask(&r, script_installation, "sys / 64 c1 1"), "64 c1 1");
    EQ(ask(&r, script_installation, "sys / 32 c2 2"), "64 c1 1");
    redis_stop(&r);
}

Test(installation, a_broker_without_a_cluster_id_leaves_it_to_the_next)
{
    struct redis r = redis_start();
    EQ(ask(&r, script_installation, "sys / 64 - 1"), "64 - 1");
    EQ(ask(&r, script_installation, "sys / 64 c1 1"), "64 c1 1");
    EQ(ask(&r, script_installation, "sys / 64 - 1"), "64 c1 1");
    redis_stop(&r);
}

/* --- a rebuild --- */

Test(purge, it_deletes_only_amid_a_rebuild_of_its_own_epoch)
{
    struct redis r = redis_start();
    takeover(&r, 10, 0);
    COMMAND(&r, "MSET a 1 b 2");
    EQ(ask(&r, script_purge, "p a / 9"), "RELOAD");
    takeover(&r, 20, 0);
    EQ(ask(&r, script_purge, "p a b / 10"), "RELOAD", "an owner that was stopped amid its rebuild");
    EQ(COMMAND(&r, "EXISTS a b"), "2");
    EQ(ask(&r, script_purge, "p a b / 20"), "OK");
    EQ(COMMAND(&r, "EXISTS a b"), "0");
    restored(&r);
    EQ(commit_place(&r, 20, 0, 21, 1), "OK");
    COMMAND(&r, "SET a 1");
    EQ(ask(&r, script_purge, "p a / 20"), "RELOAD", "the rebuild is over");
    EQ(COMMAND(&r, "EXISTS a"), "1");
    redis_stop(&r);
}

Test(restore, runs_come_back_with_their_indexes_and_start_keys)
{
    struct redis r = redis_start();
    takeover(&r, 10, 0);
    COMMAND(&r, "HSET r1 old 1");
    EQ(ask(&r, script_restore,
           "p tm fin snap r1 k1 r2 k2 / 10 - - 70 run1 1 500 0 e1 2 s a i b run2 0 600 1 e2 1 s c"),
       "OK");
    EQ(COMMAND(&r, "HGETALL r1"), "s a i b", "nothing of an older state is left");
    EQ(COMMAND(&r, "HGETALL r2"), "s c");
    EQ(COMMAND(&r, "ZRANGE tm 0 -1 WITHSCORES"), "run1 500");
    EQ(COMMAND(&r, "ZRANGE fin 0 -1 WITHSCORES"), "run2 600");
    EQ(COMMAND(&r, "MGET k1 k2"), "nil run2");
    EQ(COMMAND(&r, "HMGET snap run1 run2"), "e1 e2");
    EQ(COMMAND(&r, "HMGET p fin_bytes off fold_gen"), "70 0 nil");
    redis_stop(&r);
}

Test(restore, the_last_call_sets_the_place_and_the_generation_of_the_fold)
{
    struct redis r = redis_start();
    takeover(&r, 90, 4);
    EQ(ask(&r, script_restore, "p tm fin snap / 90 40 g 0"), "OK");
    EQ(COMMAND(&r, "HMGET p off replay_from fold_gen rebuild"), "40 40 g 2");
    EQ(commit_place(&r, 90, 40, 91, 1), "OK");
    redis_stop(&r);
}

Test(restore, the_last_call_puts_the_ledger_and_keys_of_the_gone_back)
{
    struct redis r = redis_start();
    takeover(&r, 90, 4);
    EQ(ask(&r, script_restore, "p tm fin snap ledger k1 k2 / 90 40 g 0 run1 run2 k:1 r1w2 s:x 5"),
       "OK");
    EQ(COMMAND(&r, "MGET k1 k2"), "run1 run2");
    EQ(COMMAND(&r, "HMGET ledger k:1 s:x"), "r1w2 5");
    EQ(COMMAND(&r, "HGET p off"), "40");
    redis_stop(&r);
}

Test(restore, a_successor_and_the_end_of_the_rebuild_stop_it)
{
    struct redis r = redis_start();
    takeover(&r, 10, 0);
    takeover(&r, 20, 0);
    EQ(ask(&r, script_restore, "p tm fin snap r k / 10 - - 7 run 1 5 1 e 1 s a"), "RELOAD");
    restored(&r);
    EQ(commit_place(&r, 20, 0, 21, 1), "OK");
    EQ(ask(&r, script_restore, "p tm fin snap r k / 20 - - 7 run 1 5 1 e 1 s a"), "RELOAD");
    EQ(COMMAND(&r, "EXISTS tm fin snap r k"), "0");
    EQ(COMMAND(&r, "HGET p fin_bytes"), "nil");
    redis_stop(&r);
}

/* --- snapshots --- */

Test(survey, it_names_runs_with_their_entries_and_skeletons)
{
    struct redis r = redis_owned();
    COMMAND(&r, "ZADD tm 1 a 2 b 3 gone");
    COMMAND(&r, "HSET run:a s [1]");
    COMMAND(&r, "HSET run:b s [2]");
    COMMAND(&r, "HSET snap b e");
    EQ(ask(&r, script_survey, "p snap tm / 0 64 run:"), "10 11 - 0 3 [a - [1]] [b e [2]]");
    EQ(ask(&r, script_survey, "p snap fin / 0 64 run:"), "10 11 - 0 0");
    EQ(ask(&r, script_survey, "p snap tm / 0 64 run: b nobody"), "10 11 - 0 3 [b e [2]]",
       "only those that are asked for");
    redis_stop(&r);
}

Test(survey, of_the_snapshots_it_names_those_whose_runs_are_gone)
{
    struct redis r = redis_owned();
    COMMAND(&r, "HSET run:a s 1");
    COMMAND(&r, "HSET snap a e1 b e2");
    EQ(ask(&r, script_survey, "p snap snap / 0 64 run:"), "10 11 - 0 2 [b e2 -]");
    redis_stop(&r);
}

Test(known, a_run_may_be_needed_while_redis_or_a_snapshot_has_it_or_the_partition_is_not_sure)
{
    struct redis r = redis_owned();
    COMMAND(&r, "HSET p gen g gen_seen server-g");
    COMMAND(&r, "HDEL p replay_from rebuild");
    COMMAND(&r, "HSET run:a s 1");
    COMMAND(&r, "HSET snap b e");
    EQ(ask(&r, script_known, "p snap run:a / server- a"), "1");
    EQ(ask(&r, script_known, "p snap run:b / server- b"), "1", "it has ended above the floor");
    EQ(ask(&r, script_known, "p snap run:c / server- c"), "0");
    EQ(ask(&r, script_known, "p snap run:c / another- c"), "1", "another server, such as a dump");
    COMMAND(&r, "HSET p replay_from 3");
    EQ(ask(&r, script_known, "p snap run:c / server- c"), "1", "it recovers");
    COMMAND(&r, "HDEL p replay_from");
    COMMAND(&r, "HSET p rebuild 1");
    EQ(ask(&r, script_known, "p snap run:c / server- c"), "1", "it is being rebuilt");
    COMMAND(&r, "DEL p");
    EQ(ask(&r, script_known, "p snap run:c / server- c"), "1", "it was wiped");
    redis_stop(&r);
}

Test(snapped, it_remembers_and_forgets_for_the_owner_only)
{
    struct redis r = redis_owned();
    EQ(ask(&r, script_snapped, "p snap / 9 5 1 a e"), "RELOAD");
    EQ(COMMAND(&r, "EXISTS snap"), "0");
    EQ(ask(&r, script_snapped, "p snap / 10 5 2 a e1 b e2"), "OK");
    EQ(ask(&r, script_snapped, "p snap / 10 - 0 a never"), "OK");
    EQ(COMMAND(&r, "HGETALL snap"), "b e2");
    EQ(COMMAND(&r, "HGET p floor"), "5");
    redis_stop(&r);
}

/* --- caution --- */

Test(trying, each_process_marks_an_event_once_however_often_it_asks)
{
    struct redis r = redis_owned();
    EQ(ask(&r, script_trying, "p / 10 11 trying a1"), "OK 1");
    EQ(ask(&r, script_trying, "p / 10 11 trying a1"), "OK 1");
    takeover(&r, 20, 0);
    EQ(ask(&r, script_trying, "p / 20 11 trying b1"), "OK 2");
    EQ(ask(&r, script_trying, "p / 10 11 trying a1"), "RELOAD 0");
    takeover(&r, 30, 0);
    EQ(ask(&r, script_trying, "p / 30 11 trying a2"), "OK 3", "started again, it is another one");
    EQ(ask(&r, script_trying, "p / 30 12 trying a2"), "OK 1", "another event begins anew");
    redis_stop(&r);
}

Test(trying, a_process_that_lived_on_marks_an_event_once_over_all_its_claims)
{
    struct redis r = redis_owned();
    for (int epoch = 20; epoch < 60; epoch += 20) {
        takeover(&r, epoch, 0);
        EQ(ask(&r, script_trying, "p / %d 11 trying a1", epoch), epoch == 20 ? "OK 1" : "OK 2");
        takeover(&r, epoch + 10, 0);
        EQ(ask(&r, script_trying, "p / %d 11 trying b1", epoch + 10), "OK 2");
    }
    redis_stop(&r);
}

Test(trying, what_was_survived_is_not_held_against_an_event)
{
    struct redis r = redis_owned();
    EQ(ask(&r, script_trying, "p / 10 11 trying a1"), "OK 1");
    EQ(ask(&r, script_trying, "p / 10 11 survived a1"), "OK 0");
    takeover(&r, 20, 0);
    EQ(ask(&r, script_trying, "p / 20 11 trying b1"), "OK 1");
    redis_stop(&r);
}

Test(trying, caution_lasts_over_takeovers_until_it_is_ended)
{
    struct redis r = redis_owned();
    for (int epoch = 20; epoch < 50; epoch += 10) takeover(&r, epoch, 0);
    EQ(commit_place(&r, 40, 11, 30, 1), "OK");
    EQ(takeover(&r, 50, 0), "OK 30 30 1 gen10 - - 30", "from where it stands now");
    EQ(ask(&r, script_trying, "p / 50 0 calm a1"), "OK 0");
    EQ(takeover(&r, 60, 0), "OK 30 30 2 gen10 - - -");
    redis_stop(&r);
}

Test(trying, a_rebuild_is_cautious_from_where_the_last_one_got_to)
{
    struct redis r = redis_start();
    takeover(&r, 10, 0);
    takeover(&r, 20, 0);
    restored(&r);
    EQ(commit_place(&r, 20, 0, 700, 0), "OK");
    EQ(takeover(&r, 1000, 0), "REBUILD 0 0 3 gen10 - - 700");
    redis_stop(&r);
}
