/* SPDX-License-Identifier: Apache-2.0
 *
 * The fold: takes what is queued, makes sure that every state it touches is in memory, runs the
 * engine over it, and puts the batch on its way. Everything here is a function of the log; nothing
 * reads a clock or asks a server except to load a state. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mutant.h"
#include "orchestrator/internal.h"

/* --- which states a batch needs --- */

/* What is to be asked for in one script. */
struct want {
    struct entry *entries[LOAD_PAGE];
    struct start_key *keys[LOAD_PAGE];
    size_t entry_count, key_count;
};

static void want_send(struct partition *part, struct want *want)
{
    if (want->entry_count || want->key_count)
        cache_load(part, want->entries, want->entry_count, want->keys, want->key_count);
    want->entry_count = want->key_count = 0;
}

/* Whether the run is in memory; asked for if it is not, once a round. */
static bool want_run(struct partition *part, struct want *want, struct bytes id)
{
    struct entry *entry = cache_find(part, id);
    if (entry && !entry->loading) return true;
    if (!entry) {
        entry = cache_add(part, id);
        entry->loading = !recovery_lacks(part, id);
        if (!entry->loading) return true;
    }
    if (entry->asked == part->load_round) return false;
    entry->asked = part->load_round;
    want->entries[want->entry_count++] = entry;
    if (want->entry_count == ARRAY_LEN(want->entries)) want_send(part, want);
    return false;
}

static void want_key(struct partition *part, struct want *want, struct bytes route)
{
    struct start_key *key = map_get(&part->keys, route);
    if (!key) {
        key = xcalloc(1, sizeof *key);
        memcpy(key->route, route.data, ROUTE_HEX);
        key->loading = true;
        map_put(&part->keys, (struct bytes){ key->route, ROUTE_HEX }, key);
    }
    if (!key->loading || key->asked == part->load_round) return;
    key->asked = part->load_round;
    want->keys[want->key_count++] = key;
    if (want->key_count == ARRAY_LEN(want->keys)) want_send(part, want);
}

bool fold_have_runs(struct partition *part, const struct bytes *ids, size_t count)
{
    struct want want = { 0 };
    bool all = true;
    for (size_t i = 0; i < count; i++) all &= want_run(part, &want, ids[i]);
    want_send(part, &want);
    return all;
}

static bool names_run(const struct item *item)
{
    return item->verdict == EVENT_OK && item->ev.type != EVENT_OWNER_CLAIM;
}

/* Amid a rebuild a run that has expired may be gone already, but for its key. */
static bool names_key(const struct partition *part, const struct item *item)
{
    return (item->ev.type == EVENT_RUN_START && item->ev.key.data) ||
           (item->ev.type == EVENT_RUN_EXPIRED && part->recovery && part->rebuild);
}

void fold_prepare(struct partition *part)
{
    struct want want = { 0 };
    for (; part->prepared < part->inbox_count; part->prepared++) {
        const struct item *item = partition_item(part, part->prepared);
        if (part->prepared > 0 && caution_holds(part, item->offset)) break;
        if (!names_run(item)) continue;
        (void)want_run(part, &want, item->ev.run_id);
        payloads_expect(part, item);
        if (names_key(part, item)) want_key(part, &want, run_id_route(item->ev.run_id));
    }
    want_send(part, &want);
    payloads_prepare(part);
}

/* How many of the first `count` items can be folded now: up to the first whose state is not in
 * memory. *ret_gone: it is not on its way either, because it was let go since it was asked for (a
 * run by the cache, a start key by the commit of another start). */
static size_t ready_span(struct partition *part, size_t count, bool *ret_gone)
{
    *ret_gone = false;
    for (size_t i = 0; i < count; i++) {
        struct item *item = partition_item(part, i);
        if (!names_run(item)) continue;
        if (!payload_here(part, item) || payloads_lacking(part, item, ret_gone)) return i;
        const struct entry *entry = item->entry = cache_find(part, item->ev.run_id);
        const struct start_key *key = NULL;
        bool named = names_key(part, item);
        if (named) key = map_get(&part->keys, run_id_route(item->ev.run_id));
        *ret_gone = !entry || (named && !key);
        if (*ret_gone || entry->loading || (key && key->loading)) return i;
    }
    return count;
}

/* --- one event --- */

/* The start's key becomes the run's if it is free, unless the run is there already and was started
 * without one; false: it is not the run's. It goes with the batch either way, which writes what it
 * holds, because the commit is what lets it leave memory. */
static bool take_key(struct batch *b, const struct entry *entry, struct start_key *key)
{
    bool wants = !entry->run || run_key(entry->run).data;
    bool taken = turns_taken(&b->part->ledger, bytes_of(entry->id));
    if (wants && !key->run_id[0] && !taken) memcpy(key->run_id, entry->id, RUN_ID_MAX);
    return strcmp(key->run_id, entry->id) == 0;
}

/* Whether a start begins a run, as far as its key has a say. It is asked in a replay too where the
 * run itself is ahead. */
static enum turn start_turn(struct batch *b, const struct entry *entry, const struct item *item,
                            struct effects *fx)
{
    if (!item->ev.key.data) return TURN_NOW;
    struct start_key *key = map_get(&b->part->keys, run_id_route(bytes_of(entry->id)));
    bool fits = batch_touch_key(b, key);
    ASSERT(fits);                        /* at most one key a touched run */
    if (item->ev.policy == START_REJECT) /* taken: the start asks for the run that has it */
        return take_key(b, entry, key) ? TURN_NOW : TURN_NONE;
    if (entry->run && run_start_off(entry->run) != item->offset)
        return TURN_NONE; /* the same start again */
    return turns_start(&b->part->ledger, &item->ev, bytes_of(key->run_id), fx);
}

/* What the event means to the ledger. */
static enum turn fold_ledger(struct batch *b, const struct entry *entry, const struct item *item,
                             struct effects *fx)
{
    struct ledger *ledger = &b->part->ledger;
    switch (item->ev.type) {
    case EVENT_RUN_START:
        return schedules_start(ledger, &item->ev) ? start_turn(b, entry, item, fx) : TURN_NONE;
    case EVENT_SCHEDULE_PAUSED:
    case EVENT_SCHEDULE_RESUMED: schedules_control(ledger, &item->ev, item->record_ms); break;
    case EVENT_RUN_BEGIN: turns_begun(ledger, item->ev.run_id); break;
    case EVENT_KEY_RELEASED: turns_released(ledger, item->ev.run_id, fx); break;
    default: break;
    }
    return TURN_NONE;
}

static void start_run(struct batch *b, struct entry *entry, const struct item *item, enum turn turn,
                      const struct fold_context *cx, struct effects *fx)
{
    struct partition *part = b->part;
    bool taken = turn == TURN_NONE && !MUTANT(KEY_TAKEN);
    if (taken || entry->run) return; /* it may be the same start again */
    char sha[SHA256_HEX];
    memcpy(sha, item->ev.definition.data, SHA256_HEX - 1);
    sha[SHA256_HEX - 1] = '\0';
    const struct definition *def = catalogue_find(part->shard->catalogue, sha);
    ASSERT(def); /* the batch was cut before a start whose definition is unknown */
    if (item->ev.refused.data) {
        AUTO_FREE char *why = xstrndup(item->ev.refused.data, item->ev.refused.len);
        entry->run = engine_start_refused(def, &item->ev, why, cx, fx);
    } else if (turn == TURN_WAIT)
        entry->run = engine_start_waiting(def, &item->ev, cx, fx);
    else if (turn == TURN_FULL)
        entry->run = engine_start_refused(
            def, &item->ev,
            "too many unfinished runs have its start key: 1000 may wait, and 1000 may run", cx, fx);
    else
        entry->run = engine_start(def, &item->ev, cx, fx);
}

static void delete_run(struct batch *b, struct entry *entry, int64_t offset)
{
    struct partition *part = b->part;
    if (run_key(entry->run).data && run_policy(entry->run) == START_REJECT) {
        snapshot_note_freed(part, entry->id, offset);
        struct bytes route = { entry->id, ROUTE_HEX };
        struct start_key *key = map_get(&part->keys, route);
        if (!key) {
            key = xcalloc(1, sizeof *key);
            memcpy(key->route, entry->id, ROUTE_HEX);
            map_put(&part->keys, (struct bytes){ key->route, ROUTE_HEX }, key);
        }
        key->loading = false;
        key->run_id[0] = '\0';
        bool fits = batch_touch_key(b, key);
        ASSERT(fits);
    }
    run_free(entry->run);
    entry->run = NULL;
    entry->deleted = true;
}

/* A rebuild has put back the key of a run that expired while its snapshot was being made. */
static void free_key_of_gone(struct batch *b, const struct entry *entry)
{
    struct start_key *key = map_get(&b->part->keys, (struct bytes){ entry->id, ROUTE_HEX });
    if (!key || strcmp(key->run_id, entry->id) != 0) return;
    key->run_id[0] = '\0';
    bool fits = batch_touch_key(b, key);
    ASSERT(fits);
}

/* Until the commit memory is ahead of Redis: what the run holds counts from here on, and its time
 * is watched. The index in Redis follows with the commit. */
static void follow(struct entry *entry)
{
    struct partition *part = entry->part;
    cache_account(entry);
    if (!entry->run || run_state_terminal(run_state_of(entry->run))) return;
    int64_t due_ms = run_due_ms(entry->run);
    if (entry->watched_ms == due_ms && !entry->retime) return;
    entry->watched_ms = due_ms;
    timers_set(&part->timers, entry->id, due_ms);
}

static void fold_event(struct batch *b, struct entry *entry, const struct item *item,
                       enum turn turn, const struct fold_context *cx, struct effects *fx)
{
    struct partition *part = b->part;
    fold_probe(&item->ev);
    cache_use(entry);
    if (item->ev.type == EVENT_RUN_EXPIRED) {
        if (part->expiring > 0) part->expiring--;
        part->expired_off = item->offset + 1;
    }
    if (item->ev.type == EVENT_TIMER_FIRED) entry->retime = true;
    if (item->ev.type == EVENT_RUN_START)
        start_run(b, entry, item, turn, cx, fx);
    else if (entry->run && engine_apply(entry->run, &item->ev, cx, fx) == ENGINE_DELETED)
        delete_run(b, entry, item->offset);
    else if (!entry->run && names_key(part, item))
        free_key_of_gone(b, entry);
    if (!entry->run || run_state_terminal(run_state_of(entry->run)))
        turns_over(&part->ledger, item->ev.run_id, fx);
    if (part->state == PARTITION_RUNNING) follow(entry);
}

/* What is no event of ours goes to the dead-letter topic. */
static void dead_letter(struct batch *b, const struct item *item, const char *why)
{
    struct bus_record record = bus_held_record(item->held);
    if (dlq_send(b->part->shard, &record, "malformed", why, &b->outputs->waiter))
        outputs_await(b, 1);
    else
        b->failed = true;
}

/* --- the batch --- */

/* How many of the queued items can be folded together, judged without any state. */
static size_t fold_span(struct partition *part, int64_t until)
{
    size_t most = part->recovery ? COMMIT_EVENTS_MAX : FOLD_EVENTS_MAX;
    size_t max = MIN(part->inbox_count, most), n = 0;
    for (; n < max; n++) {
        const struct item *item = partition_item(part, n);
        if (item->offset >= until || item->verdict == EVENT_NEWER) break;
        if (n > 0 && caution_holds(part, item->offset)) break;
        if (item->verdict != EVENT_OK) continue;
        if (item->ev.type == EVENT_OWNER_CLAIM && part->state == PARTITION_RUNNING) break;
        if (item->ev.type != EVENT_RUN_START) continue;
        char sha[SHA256_HEX];
        memcpy(sha, item->ev.definition.data, SHA256_HEX - 1);
        sha[SHA256_HEX - 1] = '\0';
        if (!catalogue_find(part->shard->catalogue, sha)) break;
    }
    return n;
}

/* Why nothing can be folded although something is there. */
static void stand_still(struct partition *part, int64_t until)
{
    const struct item *item = partition_item(part, 0);
    if (item->offset >= until) return;
    if (item->verdict == EVENT_NEWER) {
        struct err e;
        err_fail(&e, ERR_UNSUPPORTED,
                 "%s, offset %lld: %s. The partition is given back; run the newer version",
                 part->shard->events_topic, (long long)item->offset, item->reason);
        shard_fail(part->shard, &e);
    } else if (item->ev.type == EVENT_OWNER_CLAIM) {
        /* Somebody else claims, or a doubled claim of our own: stop, and if it is still ours, claim
         * beyond it. */
        uint32_t wait_ms = 1000 + (uint32_t)(item->offset % 2000);
        partition_reload(part, wait_ms, "a claim that is not ours stands in the log");
    } else if (!part->waits_for_definition) {
        part->waits_for_definition = true;
        log_warn(&part->log, "partition.waits",
                 "the start at offset %lld names definition %.*s, which is not deployed yet: "
                 "waiting for it",
                 (long long)item->offset, (int)item->ev.definition.len, item->ev.definition.data);
    }
}

/* Whether the item can join: what it touches and changes must fit, and a deleted run is not made
 * again within one commit. */
static bool joins(struct batch *b, const struct item *item, struct entry **ret)
{
    *ret = NULL;
    if (!names_run(item)) return true;
    struct entry *entry = *ret = item->entry;
    ASSERT(entry && !entry->loading);
    if (entry->deleted || entry->batch_events == RUN_EVENTS_MAX) return false;
    if (entry->run && run_pending_fields(entry->run) >= COMMIT_FIELDS_MAX) return false;
    if (!batch_touch(b, entry)) return false;
    entry->batch_events++;
    return true;
}

/* Amid a rebuild: the run's snapshot has the event already. */
bool fold_skips(const struct partition *part, const struct item *item)
{
    if (part->skips.count == 0) return false;
    const struct skip *skip = map_get(&part->skips, item->ev.run_id);
    return skip && item->offset < skip->off;
}

/* A replay sends nothing, but the marks of tasks belong to the state: they are lost with it, and a
 * task that is settled must not be called for again. And no state says which changes of it were
 * told: that can be made again nowhere but here, so what may not have left is told now. */
static void keep_of_replay(struct batch *b, struct effects *fx, int64_t offset)
{
    bool doubtful = offset >= b->part->doubt_off;
    int64_t now = loop_wall_ms(b->shard->loop);
    for (size_t i = 0; i < fx->count; i++) {
        const struct effect *effect = &fx->list[i];
        bool mark = effect->kind == EFFECT_CANCEL || effect->kind == EFFECT_SETTLE;
        if (mark && effect->until_ms > now) batch_mark(b, effect);
        if (doubtful && effect->kind == EFFECT_LIFECYCLE) batch_lifecycle(b, effect);
    }
    effects_reset(fx);
}

static bool batch_full(const struct batch *b)
{
    return b->to - b->from >= COMMIT_EVENTS_MAX || b->folded_bytes >= COMMIT_BYTES_MAX;
}

/* Of a run that ended where Kafka was told that all is acknowledged nothing is in doubt. */
static void note_folded(struct partition *part, const struct entry *entry, const struct item *item)
{
    bool ended = !entry->run || run_state_terminal(run_state_of(entry->run));
    recovery_note(part, item->ev.run_id, !ended || item->offset >= part->doubt_off);
    if (item->ev.type == EVENT_RUN_RESUME) recovery_note_resume(part, item->ev.run_id);
}

/* Folds an event of a run whose payloads are there; else it is put aside. */
static void fold_here(struct batch *b, struct entry *entry, struct item *item, enum turn turn,
                      const struct fold_context *cx, struct effects *fx)
{
    AUTO_BUF struct buf why = { 0 };
    switch (payload_take(item, entry, &why)) {
    case PAYLOAD_FINE: fold_event(b, entry, item, turn, cx, fx); break;
    case PAYLOAD_LOST: caution_put_aside(b, entry, item, why.data, cx, fx); break;
    case PAYLOAD_MALFORMED: dead_letter(b, item, why.data); break;
    }
}

/* The ledger and the keys are where the log is, even where the run is ahead: the end of an older
 * run may have freed its key. */
static void fold_item(struct batch *b, struct entry *entry, struct item *item,
                      const struct fold_context *cx, struct effects *fx)
{
    enum turn turn = fold_ledger(b, entry, item, fx);
    if (!fold_skips(b->part, item)) fold_here(b, entry, item, turn, cx, fx);
}

static void fold_claim(struct batch *b, const struct item *item)
{
    struct partition *part = b->part;
    b->has_claim = true;
    if (!bytes_is(item->ev.gen, part->gen)) b->strange = part->reissue_all = true;
    snprintf(part->fold_gen, sizeof part->fold_gen, "%.*s", (int)item->ev.gen.len,
             item->ev.gen.data);
    part->fold_payload_max = (size_t)item->ev.payload_max;
}

void fold_mark_make(const struct partition *part, char ret[FOLD_MARK_MAX])
{
    if (part->fold_payload_max)
        snprintf(ret, FOLD_MARK_MAX, "%s %zu", part->fold_gen, part->fold_payload_max);
    else
        snprintf(ret, FOLD_MARK_MAX, "%s", part->fold_gen);
}

void fold_mark_take(struct partition *part, struct bytes mark)
{
    AUTO_FREE char *text = xstrndup(mark.data ? mark.data : "", mark.len);
    char *space = strchr(text, ' ');
    part->fold_payload_max = space ? strtoul(space + 1, NULL, 10) : 0;
    if (space) *space = '\0';
    snprintf(part->fold_gen, sizeof part->fold_gen, "%s", text);
}

static size_t fold_items(struct batch *b, size_t count, bool silent)
{
    struct partition *part = b->part;
    struct effects *fx = &part->shard->effects;
    size_t n = 0;
    for (; n < count; n++) {
        struct item *item = partition_item(part, n);
        struct entry *entry;
        if (batch_full(b) || !joins(b, item, &entry)) break;
        struct fold_context cx = { .record_ms = item->record_ms,
                                   .offset = item->offset,
                                   .topic = part->shard->events_topic,
                                   .partition = part->id,
                                   .gen = part->fold_gen,
                                   .payload_max = part->fold_payload_max,
                                   .lifecycle = part->shard->options.lifecycle };
        if (item->verdict != EVENT_OK) {
            /* In a replay the letter may not have left; it is the same if it did. */
            if (!silent || item->offset >= part->doubt_off) dead_letter(b, item, item->reason);
        } else if (item->ev.type == EVENT_OWNER_CLAIM) {
            fold_claim(b, item);
        } else {
            if (caution_quarantines(part, item->offset))
                caution_quarantine(b, entry, item, &cx, fx);
            else
                fold_item(b, entry, item, &cx, fx);
            if (part->recovery) note_folded(part, entry, item);
        }
        if (silent) keep_of_replay(b, fx, item->offset);
        b->to = item->offset + 1;
        b->folded_bytes += MAX(item->bytes, item->ev.value.len);
    }
    return n;
}

struct batch *fold_open(const struct partition *part)
{
    struct batch *b = part->batches_last;
    return b && !b->sealed ? b : NULL;
}

void fold_close(struct partition *part)
{
    struct batch *b = fold_open(part);
    if (!b) return;
    batch_seal(b);
    batches_advance(part);
}

static struct batch *batch_under_way(struct partition *part)
{
    struct batch *b = fold_open(part);
    if (b) return b;
    b = batch_new(part, part->fold_off);
    batch_link(b);
    return b;
}

/* Between two events of a partition that is quiet, as a part of `gather`. */
#define QUIET_PART 10

uint64_t fold_due_ms(const struct partition *part)
{
    const struct batch *b = fold_open(part);
    const struct shard *shard = part->shard;
    /* While the commit before it is on its way it costs nothing to wait for more. */
    if (!b || part->state != PARTITION_RUNNING || part->batches != b) return UINT64_MAX;
    if (shard->cache.pinned > shard->cache.memory_max) return 0;
    uint64_t due_ms = b->opened_ms + shard->options.commit_ms;
    if (part->inbox_count > 0 || b->acks_missing > 0) return due_ms;
    return MIN(due_ms, part->folded_ms + shard->options.commit_ms / QUIET_PART);
}

bool fold_batch(struct partition *part, struct wave *wave, bool silent, int64_t until)
{
    struct shard *shard = part->shard;
    if (part->inbox_count == 0) return false;
    size_t span = fold_span(part, until);
    if (span == 0) {
        stand_still(part, until);
        return false;
    }
    part->waits_for_definition = false;
    fold_prepare(part);
    bool gone;
    span = ready_span(part, span, &gone);
    if (gone) part->prepared = 0; /* asked for again in the next turn */
    if (span == 0) return false;
    int64_t first = partition_item(part, 0)->offset;
    bool cautious = caution_holds(part, first);
    if (cautious) fold_close(part);
    if (cautious && !caution_passes(part, first)) return false;
    struct batch *b = batch_under_way(part);
    outputs_open(b, wave);
    effects_reset(&shard->effects);
    size_t folded = fold_items(b, span, silent);
    ASSERT(b->to > b->from);
    if (cautious) caution_survived(part);
    part->fold_off = b->to;
    part->folded_ms = loop_now_ms(shard->loop);
    shard->folded += folded;
    batch_produce(b, &shard->effects);
    outputs_close(b);
    bool at_once = cautious || (!silent && shard->options.commit_ms == 0);
    if (at_once || folded < span || batch_full(b)) batch_seal(b);
    partition_consume(part, folded);
    if (b->failed) {
        partition_reload(part, RETRY_MS, "an output could not be handed to Kafka");
        return false;
    }
    batches_advance(part);
    return true;
}
