/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch: what one commit writes. It stays open over several folds (fold.c), is encoded when it is
 * sealed, and committed when all of its outputs are acknowledged: nothing is persisted before they
 * are durable, and commits of a partition go out in the order of the log. A batch whose partition
 * was reloaded lives on, without a partition, until its acknowledgements are in. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mutant.h"
#include "orchestrator/internal.h"

struct batch *batch_new(struct partition *part, int64_t from)
{
    struct shard *shard = part->shard;
    struct batch *b = xcalloc(1, sizeof *b);
    b->shard = shard;
    b->part = part;
    b->from = b->to = from;
    b->opened_ms = loop_now_ms(shard->loop);
    return b;
}

void batch_free(struct batch *b)
{
    struct args *const all[] = { &b->fixed_keys, &b->mark_keys, &b->start_keys,   &b->run_keys,
                                 &b->head,       &b->marks,     &b->start_values, &b->tm_adds,
                                 &b->tm_dels,    &b->fin_adds,  &b->fin_dels,     &b->run_values };
    outputs_close(b);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) args_done(all[i]);
    free(b->touched);
    free(b->keys);
    free(b);
}

bool batch_touch(struct batch *b, struct entry *entry)
{
    if (entry->in_batch) return true;
    if (b->touched_count == COMMIT_RUNS_MAX) return false;
    if (b->touched_count == b->touched_cap) {
        b->touched_cap = b->touched_cap ? 2 * b->touched_cap : 64;
        b->touched = xrealloc(b->touched, b->touched_cap * sizeof(struct entry *));
    }
    b->touched[b->touched_count++] = entry;
    entry->in_batch = true;
    cache_pin(entry);
    return true;
}

bool batch_touch_key(struct batch *b, struct start_key *key)
{
    if (key->in_batch) return true;
    if (b->key_count == COMMIT_RUNS_MAX) return false;
    if (b->key_count == b->key_cap) {
        b->key_cap = b->key_cap ? 2 * b->key_cap : 64;
        b->keys = xrealloc(b->keys, b->key_cap * sizeof(struct start_key *));
    }
    b->keys[b->key_count++] = key;
    key->in_batch = true;
    key->pins++;
    return true;
}

void batch_mark(struct batch *b, const struct effect *effect)
{
    struct shard *shard = b->part->shard;
    AUTO_BUF struct buf key = { 0 };
    key_marks(&key, shard->prefix, b->part->id, effect->header[HEADER_MARKS]);
    args_add(&b->mark_keys, buf_bytes(&key));
    args_add(&b->marks, bytes_of(effect->task_id));
    args_add(&b->marks, bytes_of(effect->kind == EFFECT_CANCEL ? "C" : "D"));
    args_add_int(&b->marks,
                 MAX(effect->until_ms - loop_wall_ms(shard->loop), (int64_t)60 * SECOND_MS));
}

/* --- the script's arguments --- */

/* Index entries of a run after the fold: tm names live runs with a due time that is never late, fin
 * the finished ones. */
static void seal_timers(struct batch *b, struct entry *entry)
{
    struct partition *part = b->part;
    struct due *due = timers_find(&part->timers, entry->id);
    bool live = entry->run && !run_state_terminal(run_state_of(entry->run));
    if (live && entry->stored_bytes) { /* it had ended, and was revived */
        args_add(&b->fin_dels, bytes_of(entry->id));
        b->fin_bytes -= entry->stored_bytes;
        entry->stored_bytes = 0;
        snapshot_note_revived(part, entry->id);
    }
    if (live) {
        int64_t due_ms = run_due_ms(entry->run);
        bool earlier = !due || !due->stored || due_ms < due->stored_ms || entry->retime;
        due = timers_set(&part->timers, entry->id, due_ms);
        if (!earlier) return;
        due->stored = true;
        due->stored_ms = due_ms;
        args_add_int(&b->tm_adds, due_ms);
        args_add(&b->tm_adds, bytes_of(entry->id));
        return;
    }
    if (due && due->stored) args_add(&b->tm_dels, bytes_of(entry->id));
    if (due) timers_remove(&part->timers, entry->id);
    if (entry->deleted) {
        args_add(&b->fin_dels, bytes_of(entry->id));
        b->fin_bytes -= entry->stored_bytes;
    } else if (entry->run) { /* once more, too, if it was revived and has ended within the batch */
        int64_t bytes = (int64_t)run_memory(entry->run);
        b->fin_bytes += bytes - entry->stored_bytes;
        entry->stored_bytes = bytes;
        args_add_int(&b->fin_adds, run_due_ms(entry->run));
        args_add(&b->fin_adds, bytes_of(entry->id));
    }
}

/* One run: its key, and what changed. */
static void seal_run(struct batch *b, struct entry *entry)
{
    struct args *keys = &b->run_keys, *values = &b->run_values;
    struct shard *shard = b->part->shard;
    bool changed = entry->deleted || (entry->run && run_changed(entry->run));
    if (!changed) {
        if (entry->retime) seal_timers(b, entry);
        return;
    }
    AUTO_BUF struct buf key = { 0 };
    key_run(&key, shard->prefix, b->part->id, bytes_of(entry->id));
    args_add(keys, buf_bytes(&key));
    if (entry->deleted) {
        seal_timers(b, entry);
        args_add_int(values, -1);
        args_add_int(values, 0);
        return;
    }
    struct fields *fields = &shard->fields;
    fields_reset(fields);
    run_changes(entry->run, fields);
    seal_timers(b, entry); /* now it has the size that it will have when it is read again */
    size_t deletions = 0;
    for (size_t i = 0; i < fields->count; i++) deletions += !fields->list[i].value.data;
    /* What lies elsewhere is not read again to be counted. */
    bool sized = entry->stored_bytes && payloads_outside(b, entry, fields);
    args_add_int(values, (int64_t)(fields->count - deletions) + sized);
    args_add_int(values, (int64_t)deletions);
    for (size_t i = 0; i < fields->count; i++) {
        if (!fields->list[i].value.data) continue;
        args_add(values, fields->list[i].name);
        payloads_add_field(b, entry, &fields->list[i]);
    }
    if (sized) args_add(values, BYTES_LIT("b"));
    if (sized) args_add_int(values, entry->stored_bytes);
    for (size_t i = 0; i < fields->count && deletions; i++)
        if (!fields->list[i].value.data) args_add(values, fields->list[i].name);
}

/* The ledger is one more hash of which fields change. */
static void seal_ledger(struct batch *b)
{
    struct partition *part = b->part;
    if (!part->ledger.changed) return;
    struct args sets = { 0 }, deletes = { 0 };
    ledger_changes(&part->ledger, &sets, &deletes);
    args_add_key(&b->run_keys, part, key_ledger);
    args_add_int(&b->run_values, (int64_t)sets.count / 2);
    args_add_int(&b->run_values, (int64_t)deletes.count);
    args_append(&b->run_values, &sets);
    args_append(&b->run_values, &deletes);
    args_done(&sets);
    args_done(&deletes);
}

static void seal_keys(struct batch *b)
{
    const char *prefix = b->part->shard->prefix;
    AUTO_BUF struct buf key = { 0 };
    args_add_key(&b->fixed_keys, b->part, key_partition);
    args_add_key(&b->fixed_keys, b->part, key_timers);
    args_add_key(&b->fixed_keys, b->part, key_finished);
    for (size_t i = 0; i < b->key_count; i++) {
        buf_reset(&key);
        key_start(&key, prefix, b->part->id, bytes_of(b->keys[i]->route));
        args_add(&b->start_keys, buf_bytes(&key));
        args_add(&b->start_values, bytes_of(b->keys[i]->run_id));
    }
}

static void seal_head(struct batch *b)
{
    struct partition *part = b->part;
    struct args *head = &b->head;
    args_add_int(head, part->epoch);
    args_add_int(head, b->from);
    args_add_int(head, b->to);
    args_add_int(head, b->recovered || (part->state == PARTITION_RUNNING && !MUTANT(RULE_8)));
    char mark[FOLD_MARK_MAX] = "";
    if (b->has_claim) fold_mark_make(part, mark);
    args_add(head, bytes_of(mark));
    args_add(head, bytes_of(b->recovered ? part->gen : b->strange ? "none" : ""));
    args_add_int(head, b->fin_bytes);
    args_add_int(head, (int64_t)b->mark_keys.count);
    args_add_int(head, (int64_t)b->key_count);
    args_add_int(head, (int64_t)b->tm_adds.count / 2);
    args_add_int(head, (int64_t)b->tm_dels.count);
    args_add_int(head, (int64_t)b->fin_adds.count / 2);
    args_add_int(head, (int64_t)b->fin_dels.count);
}

void batch_seal(struct batch *b)
{
    outputs_close(b);
    for (size_t i = 0; i < b->touched_count; i++) {
        seal_run(b, b->touched[i]);
        b->touched[i]->in_batch = b->touched[i]->deleted = b->touched[i]->retime = false;
        b->touched[i]->batch_events = 0;
        cache_account(b->touched[i]);
    }
    seal_ledger(b);
    seal_keys(b);
    seal_head(b);
    for (size_t i = 0; i < b->key_count; i++) b->keys[i]->in_batch = false;
    b->sealed = true;
}

struct bytes *batch_script(const struct batch *b, size_t *ret_keys, size_t *ret_count)
{
    const struct args *const keys[] = { &b->fixed_keys, &b->mark_keys, &b->start_keys,
                                        &b->run_keys };
    const struct args *const values[] = { &b->head,     &b->marks,     &b->start_values,
                                          &b->tm_adds,  &b->tm_dels,   &b->fin_adds,
                                          &b->fin_dels, &b->run_values };
    *ret_keys = 0;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) *ret_keys += keys[i]->count;
    *ret_count = *ret_keys;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) *ret_count += values[i]->count;
    struct bytes *views = xcalloc(*ret_count, sizeof *views), *at = views;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) at += args_view(keys[i], at);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) at += args_view(values[i], at);
    return views;
}

/* --- commits --- */

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

static void on_commit(void *user, enum store_status status, const struct store_reply *reply)
{
    struct batch *b = user;
    struct partition *part = b->part;
    b->sent = false;
    if (!part) {
        if (b->acks_missing == 0) batch_free(b);
        return;
    }
    if (status != STORE_OK) {
        if (status == STORE_ERROR) shard_refused(part->shard, store_string(reply));
        part->commits_fail = true;
        partition_resume_in(part, RETRY_MS); /* the same (epoch, from, to): asking again is safe */
        return;
    }
    struct bytes verdict = store_string(store_at(reply, 0));
    if (!bytes_is(verdict, "FENCED") && part->batches != b) {
        /* The one before it was refused, or its answer was: both are asked again, in order. */
        partition_resume_in(part, RETRY_MS);
        return;
    }
    if (!bytes_is(verdict, "OK") && !bytes_is(verdict, "DUP")) {
        partition_displaced(part, store_integer(store_at(reply, 1)),
                            bytes_is(verdict, "FENCED") ? "another owner has taken over"
                                                        : "Redis stands at another place");
        return;
    }
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

static void batch_commit(struct batch *b)
{
    struct partition *part = b->part;
    size_t keys, count;
    AUTO_FREE struct bytes *argv = batch_script(b, &keys, &count);
    b->sent = true;
    part->sent_off = b->to;
    store_script(part->shard->store, shard_script(part->shard, SCRIPT_COMMIT), keys, argv, count,
                 on_commit, b);
}

void batch_link(struct batch *b)
{
    struct partition *part = b->part;
    if (part->batches_last)
        part->batches_last->next = b;
    else
        part->batches = b;
    part->batches_last = b;
    part->batch_count++;
}

void batches_advance(struct partition *part)
{
    for (struct batch *b = part->batches; b && b->sealed; b = b->next) {
        if (b->acks_missing > 0 && !MUTANT(EARLY_COMMIT)) break;
        if (!b->sent) batch_commit(b);
    }
}

void batches_abandon(struct partition *part)
{
    while (part->batches) {
        struct batch *b = part->batches;
        part->batches = b->next;
        b->part = NULL;
        outputs_close(b);
        if (b->acks_missing == 0 && !b->sent) batch_free(b);
    }
    part->batches_last = NULL;
    part->batch_count = 0;
}
