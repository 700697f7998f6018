/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch: what one commit writes. It stays open over several folds (fold.c), is encoded when it is
 * sealed, and committed (commit.c) when all of its outputs are acknowledged: nothing is persisted
 * before they are durable, and commits of a partition go out in the order of the log. A batch whose
 * partition was reloaded lives on, without a partition, until its acknowledgements are in. */
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
    struct args *const all[] = { &b->fixed_keys,   &b->mark_keys,  &b->start_keys, &b->run_keys,
                                 &b->place,        &b->mark_count, &b->fin_delta,  &b->marks,
                                 &b->start_values, &b->tm_adds,    &b->tm_dels,    &b->fin_adds,
                                 &b->fin_dels,     &b->run_values };
    outputs_close(b);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) args_done(all[i]);
    free(b->touched);
    free(b->keys);
    free(b->writes);
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

/* --- what it writes --- */

/* The next of run_keys. */
static void seal_key(struct batch *b, struct bytes key, struct run_write write)
{
    if (b->run_keys.count == b->write_cap) {
        b->write_cap = b->write_cap ? 2 * b->write_cap : 64;
        b->writes = xrealloc(b->writes, b->write_cap * sizeof *b->writes);
    }
    b->writes[b->run_keys.count] = write;
    args_add(&b->run_keys, key);
}

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
    struct args *values = &b->run_values;
    struct shard *shard = b->part->shard;
    bool changed = entry->deleted || (entry->run && run_changed(entry->run));
    if (!changed) {
        if (entry->retime) seal_timers(b, entry);
        return;
    }
    AUTO_BUF struct buf key = { 0 };
    key_run(&key, shard->prefix, b->part->id, bytes_of(entry->id));
    if (entry->deleted) {
        seal_timers(b, entry);
        seal_key(b, buf_bytes(&key), (struct run_write){ .gone = true });
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
    seal_key(b, buf_bytes(&key),
             (struct run_write){ .sets = fields->count - deletions + sized, .deletes = deletions });
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
    AUTO_BUF struct buf key = { 0 };
    key_ledger(&key, part->shard->prefix, part->id);
    seal_key(b, buf_bytes(&key),
             (struct run_write){ .sets = sets.count / 2, .deletes = deletes.count });
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

/* The place that it moves the partition to. */
static void seal_place(struct batch *b)
{
    struct partition *part = b->part;
    struct args *place = &b->place;
    args_add(place, BYTES_LIT("epoch"));
    args_add_int(place, part->epoch);
    args_add(place, BYTES_LIT("off"));
    args_add_int(place, b->to);
    char mark[FOLD_MARK_MAX] = "";
    if (b->has_claim) fold_mark_make(part, mark);
    if (mark[0]) {
        args_add(place, BYTES_LIT("fold_gen"));
        args_add(place, bytes_of(mark));
    }
    if (b->recovered || b->strange) {
        args_add(place, BYTES_LIT("gen_seen"));
        args_add(place, b->recovered ? bytes_of(part->gen) : BYTES_LIT("none"));
    }
    b->ends_replay = b->recovered || (part->state == PARTITION_RUNNING && !MUTANT(RULE_8));
    args_add_int(&b->fin_delta, b->fin_bytes);
    args_add_int(&b->mark_count, (int64_t)b->mark_keys.count);
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
    seal_place(b);
    for (size_t i = 0; i < b->key_count; i++) b->keys[i]->in_batch = false;
    b->sealed = true;
}

/* --- commits --- */

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
