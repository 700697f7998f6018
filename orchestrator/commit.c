/* SPDX-License-Identifier: Apache-2.0
 *
 * The one write of the fold: changed runs, timers, marks of tasks, and the offset they stand for,
 * if and only if the partition stands where the batch began and is still ours (guard.h). */
#include <stdlib.h>

#include "common/base/mutant.h"
#include "orchestrator/internal.h"

/* --- where Redis stands --- */

enum { EPOCH, OFF, REPLAY_UNTIL, REBUILD, PLACE_FIELDS };
static const struct bytes place_fields[PLACE_FIELDS] = {
    [EPOCH] = { "epoch", 5 },
    [OFF] = { "off", 3 },
    [REPLAY_UNTIL] = { "replay_until", 12 },
    [REBUILD] = { "rebuild", 7 },
};

/* -1: there is none. */
static int64_t number_of(struct bytes value)
{
    return value.data ? strtoll(value.data, NULL, 10) : -1;
}

static enum commit_verdict judge(const struct batch *b, int64_t epoch, int64_t off, bool rebuild)
{
    int64_t me = b->part->epoch;
    if (epoch > me && !MUTANT(NO_FENCE)) return COMMIT_FENCED;
    if (epoch == me && off == b->to && !MUTANT(NO_OFFSET_CHECK))
        return b->torn ? COMMIT_OK : COMMIT_DUP;
    if (epoch != me && !MUTANT(NO_FENCE))
        return COMMIT_RELOAD; /* less: a rewind undid our takeover */
    if (off != b->from && !MUTANT(NO_OFFSET_CHECK)) return COMMIT_RELOAD;
    return rebuild ? COMMIT_RELOAD : COMMIT_OK; /* a rewind undid what was restored */
}

/* --- what is written --- */

static void list_words(struct command_list *l, const struct args *args, size_t from, size_t count)
{
    for (size_t i = from; i < from + count; i++) command_list_word(l, args_at(args, i));
}

static void list_all(struct command_list *l, struct bytes verb, struct bytes key,
                     const struct args *args)
{
    if (args->count == 0) return;
    command_list_begin(l, verb, key);
    list_words(l, args, 0, args->count);
}

/* With its source: one that Redis did not know would be skipped, and the others executed. */
static void list_marks(struct command_list *l, const struct batch *b)
{
    if (b->mark_keys.count == 0) return;
    command_list_begin(l, BYTES_LIT("EVAL"), bytes_of(shard_script(b->shard, SCRIPT_MARK)->source));
    command_list_word(l, args_at(&b->mark_count, 0));
    list_words(l, &b->mark_keys, 0, b->mark_keys.count);
    list_words(l, &b->marks, 0, b->marks.count);
}

static void list_runs(struct command_list *l, const struct batch *b)
{
    size_t at = 0;
    for (size_t i = 0; i < b->run_keys.count; i++) {
        const struct run_write *w = &b->writes[i];
        struct bytes key = args_at(&b->run_keys, i);
        if (w->gone) command_list_begin(l, BYTES_LIT("UNLINK"), key);
        /* First: what is deleted may be written again. */
        if (w->deletes > 0) {
            command_list_begin(l, BYTES_LIT("HDEL"), key);
            list_words(l, &b->run_values, at + 2 * w->sets, w->deletes);
        }
        if (w->sets > 0) {
            command_list_begin(l, BYTES_LIT("HSET"), key);
            list_words(l, &b->run_values, at, 2 * w->sets);
        }
        at += 2 * w->sets + w->deletes;
    }
}

void batch_commands(const struct batch *b, bool ends_replay, bool counted, struct command_list *l)
{
    struct bytes place = args_at(&b->fixed_keys, 0), timers = args_at(&b->fixed_keys, 1),
                 finished = args_at(&b->fixed_keys, 2);
    list_marks(l, b);
    for (size_t i = 0; i < b->key_count; i++) {
        struct bytes run_id = args_at(&b->start_values, i);
        command_list_begin(l, run_id.len ? BYTES_LIT("SET") : BYTES_LIT("DEL"),
                           args_at(&b->start_keys, i));
        if (run_id.len) command_list_word(l, run_id);
    }
    list_all(l, BYTES_LIT("ZADD"), timers, &b->tm_adds);
    list_all(l, BYTES_LIT("ZREM"), timers, &b->tm_dels);
    list_all(l, BYTES_LIT("ZADD"), finished, &b->fin_adds);
    list_all(l, BYTES_LIT("ZREM"), finished, &b->fin_dels);
    list_runs(l, b);
    if (b->fin_bytes && !counted) {
        command_list_begin(l, BYTES_LIT("HINCRBY"), place);
        command_list_word(l, BYTES_LIT("fin_bytes"));
        command_list_word(l, args_at(&b->fin_delta, 0));
    }
    if (ends_replay) {
        command_list_begin(l, BYTES_LIT("HDEL"), place);
        command_list_word(l, BYTES_LIT("replay_from"));
        command_list_word(l, BYTES_LIT("replay_until"));
        command_list_word(l, BYTES_LIT("rebuild"));
    }
    list_all(l, BYTES_LIT("HSET"), place, &b->place);
}

bool batch_decide(void *user, const struct bytes *values, struct command_list *commands)
{
    struct batch *b = user;
    b->verdict = COMMIT_RELOAD;
    /* Abandoned meanwhile; or the answer to the one before it was lost, which is asked again first.
     */
    if (!b->part || b->part->batches != b) return false;
    int64_t off = number_of(values[OFF]);
    b->found_epoch = number_of(values[EPOCH]);
    b->verdict = judge(b, b->found_epoch, off, number_of(values[REBUILD]) == 1);
    if (b->verdict != COMMIT_OK) return false;
    b->part->sent_off = b->to;
    batch_commands(b, b->ends_replay && values[REPLAY_UNTIL].data, off == b->to, commands);
    return true;
}

/* --- the answer --- */

/* The batch is in Redis: what it touched may leave the cache. */
static void batch_release(struct batch *b)
{
    struct partition *part = b->part;
    for (size_t i = 0; i < b->touched_count; i++) {
        struct entry *entry = b->touched[i];
        cache_unpin(entry);
        /* A finished run is of little use in memory, and what does not exist is of none. */
        if (entry->pins == 0 && !entry->loading &&
            (!entry->run || entry->lost || run_state_terminal(run_state_of(entry->run))))
            cache_drop(entry);
    }
    for (size_t i = 0; i < b->key_count; i++) {
        struct start_key *key = b->keys[i];
        if (--key->pins == 0 && !key->loading) {
            map_remove(&part->keys, bytes_of(key->route));
            free(key);
        }
    }
    cache_trim(&part->shard->cache);
}

static void committed(struct batch *b)
{
    struct partition *part = b->part;
    ASSERT(part->batches == b);
    part->commits_fail = false;
    shard_accepted(part->shard);
    part->batches = b->next;
    if (!part->batches) part->batches_last = NULL;
    part->batch_count--;
    part->off = b->to;
    part->results_next = MAX(part->results_next, b->results_next > 0 ? b->results_next : -1);
    part->shard->commits++;
    caution_committed(part);
    batch_release(b);
    bool recovered = b->recovered;
    if (MUTANT(EARLY_COMMIT) && b->acks_missing > 0)
        b->part = NULL; /* its acknowledgements free it */
    else
        batch_free(b);
    if (recovered) {
        recovery_free(part);
        partition_set_state(part, PARTITION_RUNNING);
    }
}

/* What Redis holds is not what the batch goes on from. */
static void declined(struct batch *b)
{
    if (b->verdict == COMMIT_DUP)
        committed(b);
    else
        partition_displaced(b->part, b->found_epoch,
                            b->verdict == COMMIT_FENCED ? "another owner has taken over"
                                                        : "Redis stands at another place");
}

static void on_commit(void *user, enum guard_result result, struct bytes why)
{
    struct batch *b = user;
    struct partition *part = b->part;
    b->sent = false;
    if (!part) {
        if (b->acks_missing == 0) batch_free(b);
        return;
    }
    if (why.len) shard_refused(part->shard, why);
    b->torn |= result == GUARD_TORN;
    if (result == GUARD_CHANGED) part->sent_off = part->off;
    if (part->batches == b && result == GUARD_DONE) {
        committed(b);
    } else if (part->batches == b && result == GUARD_DECLINED) {
        declined(b);
    } else {
        /* Asking again is safe: it is the same (epoch, from, to). So is one that was declined
         * because that before it is asked again. */
        part->commits_fail |= result >= GUARD_CHANGED; /* what was read meanwhile is behind */
        partition_resume_in(part, result == GUARD_CHANGED ? 0 : RETRY_MS);
    }
}

void batch_commit(struct batch *b)
{
    struct partition *part = b->part;
    b->sent = true;
    guard_submit(part->shard->guards, &(struct guarded){ .key = args_at(&b->fixed_keys, 0),
                                                         .fields = place_fields,
                                                         .field_count = PLACE_FIELDS,
                                                         .decide = batch_decide,
                                                         .done = on_commit,
                                                         .user = b });
}
