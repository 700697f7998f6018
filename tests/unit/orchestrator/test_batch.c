/* SPDX-License-Identifier: Apache-2.0
 *
 * What a sealed batch writes. Runs themselves are the engine's matter: here
 * they are deleted ones, which have no state. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/internal.h"

#define RUN "0123456789abcdef-0123456789abcdef01234567"

/* A running partition of a shard that is connected to nothing. */
struct world {
    struct shard shard;
    struct partition part;
    struct batch *batch;
};

static struct world *world_new(void)
{
    struct world *w = xcalloc(1, sizeof *w);
    struct err e;
    w->shard.prefix = "t";
    w->shard.scripts[SCRIPT_MARK].source = "mark";
    w->shard.loop = loop_new(&e);
    cr_assert_not_null(w->shard.loop);
    w->part =
        (struct partition){ .shard = &w->shard, .id = 3, .epoch = 10, .state = PARTITION_RUNNING };
    snprintf(w->part.gen, sizeof w->part.gen, "gen");
    snprintf(w->part.fold_gen, sizeof w->part.fold_gen, "folded");
    w->batch = batch_new(&w->part, 11);
    w->batch->to = 12;
    return w;
}

static void world_free(struct world *w)
{
    batch_free(w->batch);
    cache_drop_partition(&w->part);
    map_done(&w->part.runs);
    map_done(&w->part.keys);
    timers_done(&w->part.timers);
    loop_free(w->shard.loop);
    free(w);
}

#define END_OF_REPLAY "HDEL t:p:{3} replay_from replay_until rebuild | "

/* All commands, a bar between them. */
static void check_commands(const struct batch *b, const char *expected)
{
    AUTO_BUF struct buf text = { 0 };
    struct command_list list = { 0 };
    batch_commands(b, b->ends_replay, false, &list);
    const struct bytes *word = list.words;
    for (size_t i = 0; i < list.count; i++)
        for (size_t k = 0; k < list.lengths[i]; k++, word++) {
            if (text.len) buf_add_text(&text, k ? " " : " | ");
            buf_add(&text, word->data, word->len);
        }
    cr_assert(bytes_is(buf_bytes(&text), expected), "%.*s", (int)text.len, text.data);
    command_list_done(&list);
}

static struct entry *deleted_run(struct world *w, const char *id)
{
    struct entry *entry = cache_add(&w->part, bytes_of(id));
    entry->loading = false;
    entry->deleted = true;
    entry->stored_bytes = 700;
    cr_assert(batch_touch(w->batch, entry));
    return entry;
}

/* Nothing commits it here. */
static void let_go(struct entry *entry)
{
    cache_unpin(entry);
}

Test(batch, one_that_changes_nothing_moves_the_place)
{
    struct world *w = world_new();
    batch_seal(w->batch);
    check_commands(w->batch, END_OF_REPLAY "HSET t:p:{3} epoch 10 off 12");
    world_free(w);
}

Test(batch, only_the_last_of_a_recovery_ends_the_replay_and_names_the_generation)
{
    struct world *w = world_new();
    w->part.state = PARTITION_RECOVERING;
    batch_seal(w->batch);
    check_commands(w->batch, "HSET t:p:{3} epoch 10 off 12");
    batch_free(w->batch);
    w->batch = batch_new(&w->part, 12);
    w->batch->to = 20;
    w->batch->recovered = w->batch->has_claim = true;
    batch_seal(w->batch);
    check_commands(w->batch,
                   END_OF_REPLAY "HSET t:p:{3} epoch 10 off 20 fold_gen folded gen_seen gen");
    world_free(w);
}

Test(batch, a_deleted_run_leaves_the_indexes_and_gives_its_bytes_back)
{
    struct world *w = world_new();
    struct entry *entry = deleted_run(w, RUN);
    timers_set(&w->part.timers, entry->id, 500)->stored = true;
    batch_seal(w->batch);
    check_commands(w->batch,
                   "ZREM t:tm:{3} " RUN " | ZREM t:fin:{3} " RUN " | UNLINK t:run:{3}:" RUN
                   " | HINCRBY t:p:{3} fin_bytes -700 | " END_OF_REPLAY
                   "HSET t:p:{3} epoch 10 off 12");
    cr_assert_null(timers_first(&w->part.timers));
    cr_assert_not(entry->deleted || entry->in_batch, "ready for the next batch");
    let_go(entry);
    world_free(w);
}

Test(batch, marks_and_start_keys_are_written_with_the_runs)
{
    struct world *w = world_new();
    struct start_key set = { .route = "aaaaaaaaaaaaaaaa", .run_id = RUN };
    struct start_key gone = { .route = "bbbbbbbbbbbbbbbb" };
    struct entry *entry = deleted_run(w, RUN);
    struct effect mark = { .kind = EFFECT_CANCEL, .task_id = "c" };
    mark.header[HEADER_MARKS] = BYTES_LIT("r1");
    batch_mark(w->batch, &mark);
    mark = (struct effect){ .kind = EFFECT_SETTLE, .task_id = "s" };
    mark.header[HEADER_MARKS] = BYTES_LIT("r2");
    batch_mark(w->batch, &mark);
    cr_assert(batch_touch_key(w->batch, &set) && batch_touch_key(w->batch, &gone));
    batch_seal(w->batch);
    check_commands(w->batch,
                   "EVAL mark 2 t:tk:{3}:r1 t:tk:{3}:r2 c C 60000 s D 60000 | "
                   "SET t:key:{3}:aaaaaaaaaaaaaaaa " RUN " | DEL t:key:{3}:bbbbbbbbbbbbbbbb | "
                   "ZREM t:fin:{3} " RUN " | UNLINK t:run:{3}:" RUN
                   " | HINCRBY t:p:{3} fin_bytes -700 | " END_OF_REPLAY
                   "HSET t:p:{3} epoch 10 off 12");
    let_go(entry);
    world_free(w);
}

Test(batch, what_is_touched_twice_is_written_once)
{
    struct world *w = world_new();
    struct start_key key = { .route = "aaaaaaaaaaaaaaaa" };
    struct entry *entry = deleted_run(w, RUN);
    cr_assert(batch_touch(w->batch, entry));
    cr_assert(batch_touch_key(w->batch, &key) && batch_touch_key(w->batch, &key));
    cr_assert_eq(entry->pins, 1);
    cr_assert_eq(key.pins, 1);
    cr_assert_eq(w->batch->touched_count, 1);
    cr_assert_eq(w->batch->key_count, 1);
    let_go(entry);
    world_free(w);
}

Test(batch, it_takes_no_more_runs_than_a_commit_may_have_but_those_it_has_again)
{
    struct world *w = world_new();
    struct entry *first = NULL;
    for (unsigned i = 0; i < COMMIT_RUNS_MAX; i++) {
        char id[RUN_ID_MAX];
        snprintf(id, sizeof id, "%016x-%024x", i, i);
        struct entry *entry = deleted_run(w, id);
        if (!first) first = entry;
    }
    struct entry *more = cache_add(&w->part, bytes_of(RUN));
    more->loading = false;
    cr_assert_not(batch_touch(w->batch, more));
    cr_assert(batch_touch(w->batch, first));
    cr_assert_eq(more->pins, 0);
    for (size_t i = 0; i < COMMIT_RUNS_MAX; i++) let_go(w->batch->touched[i]);
    world_free(w);
}

/* Opened and last folded into at the world's time; nothing is queued or unacknowledged. */
static struct world *gathering(uint64_t *ret_now)
{
    struct world *w = world_new();
    w->shard.options.commit_ms = 200;
    w->shard.cache.memory_max = 1000;
    *ret_now = loop_now_ms(w->shard.loop);
    batch_link(w->batch);
    w->part.folded_ms = *ret_now;
    return w;
}

Test(batch, an_open_one_is_due_when_its_partition_is_quiet_for_a_moment)
{
    uint64_t now;
    struct world *w = gathering(&now);
    cr_assert_eq(fold_due_ms(&w->part), now + 20);
    w->part.folded_ms += 15;
    cr_assert_eq(fold_due_ms(&w->part), now + 35);
    w->part.folded_ms = now + 190;
    cr_assert_eq(fold_due_ms(&w->part), now + 200, "it waits no longer than it gathers");
    world_free(w);
}

Test(batch, an_open_one_gathers_while_something_is_queued_or_unacknowledged)
{
    uint64_t now;
    struct world *w = gathering(&now);
    w->part.inbox_count = 1;
    cr_assert_eq(fold_due_ms(&w->part), now + 200);
    w->part.inbox_count = 0;
    w->batch->acks_missing = 1;
    cr_assert_eq(fold_due_ms(&w->part), now + 200);
    w->batch->acks_missing = 0;
    world_free(w);
}

Test(batch, an_open_one_waits_for_the_commit_before_it_and_a_sealed_one_for_nothing)
{
    uint64_t now;
    struct world *w = gathering(&now);
    struct batch *next = batch_new(&w->part, 12);
    batch_seal(w->batch);
    cr_assert_eq(fold_due_ms(&w->part), UINT64_MAX);
    batch_link(next);
    cr_assert_eq(fold_due_ms(&w->part), UINT64_MAX);
    w->part.batches = next;
    cr_assert_eq(fold_due_ms(&w->part), now + 20);
    batch_free(next);
    world_free(w);
}

Test(batch, an_open_one_is_due_at_once_when_it_pins_more_than_the_cache_may_hold)
{
    uint64_t now;
    struct world *w = gathering(&now);
    struct entry *idle = cache_add(&w->part, bytes_of(RUN));
    w->shard.cache.memory_max = idle->memory - 1;
    cr_assert_eq(fold_due_ms(&w->part), now + 20, "what can leave is no reason");
    cache_pin(idle);
    cr_assert_eq(fold_due_ms(&w->part), 0);
    cache_unpin(idle);
    cr_assert_eq(w->shard.cache.pinned, 0);
    world_free(w);
}

Test(fold, what_a_claim_said_is_kept_beside_the_offset_and_comes_back)
{
    struct world *w = world_new();
    char mark[FOLD_MARK_MAX];
    snprintf(w->part.fold_gen, sizeof w->part.fold_gen, "0123456789ab-0123456789ab");
    fold_mark_make(&w->part, mark);
    cr_assert_str_eq(mark, "0123456789ab-0123456789ab", "as before there were payload stores");
    w->part.fold_payload_max = 64 * MIB;
    fold_mark_make(&w->part, mark);
    w->part.fold_gen[0] = '\0';
    w->part.fold_payload_max = 0;
    fold_mark_take(&w->part, bytes_of(mark));
    cr_assert_str_eq(w->part.fold_gen, "0123456789ab-0123456789ab");
    cr_assert_eq(w->part.fold_payload_max, 64 * MIB);
    fold_mark_take(&w->part, (struct bytes){ 0 });
    cr_assert(!w->part.fold_gen[0] && !w->part.fold_payload_max);
    world_free(w);
}
