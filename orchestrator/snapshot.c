/* SPDX-License-Identifier: Apache-2.0
 *
 * A round of snapshots: every run whose state changed since its last snapshot is written to the
 * topic `snapshots` as Redis holds it (committed state only), and then a floor, below which nobody
 * needs the log any more. It goes page by page beside the fold, paced to last half an interval, and
 * any failure only means that the floor moves later.
 *
 * The order is what makes it safe. First the runs are listed that are gone but still have a
 * snapshot; then the floor is where the state stands, and the ledger is taken as it is there; then
 * all runs are looked at, live ones before finished ones, so that none slips through while it ends,
 * and at last those that were revived meanwhile, for they have gone the other way; then the floor
 * record is written, with a manifest of the older snapshots that still count; and only then the
 * snapshots of the gone are taken out. A snapshot below the floor that the manifest does not name
 * counts for nothing, so what a zombie or a rewound Redis leaves behind in the topic can never
 * bring a run back. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mutant.h"
#include "orchestrator/snapshot.h"

#define SURVEY_RUNS "64"
#define SLICE_RUNS  16 /* read and written together */
#define FORGET_MAX  500
#define TROUBLE_MS  (5 * SECOND_MS)

enum phase {
    PHASE_GONE,
    PHASE_LEDGER,
    PHASE_LIVE,
    PHASE_FINISHED,
    PHASE_REVIVED,
    PHASE_FLOOR,
    PHASE_SWEEP
};

struct dirty { /* a run that is to be written */
    char id[RUN_ID_MAX];
    char entry[SNAPSHOT_ENTRY_MAX]; /* "" : not written */
    struct snapshot_entry old;      /* chunks 0: it has none yet */
    int64_t off;
    uint32_t chunks;
};

struct round {
    struct partition *part; /* NULL: abandoned, waits only for its replies and acknowledgements */
    enum phase phase;
    char cursor[24];
    bool asking, failed, noted;
    size_t acks_missing;
    struct bus_waiter waiter;
    int64_t floor;
    char gen[FOLD_MARK_MAX]; /* what the fold had reached at the floor: fold_mark_make */
    struct buf manifest;     /* "1\n", then "<run> <epoch> <offset>\n" for each; the ledger, as
                                "=<name> <value>\n"; and start keys, as "~<run>\n" */
    struct args gone;        /* run, entry */
    size_t swept;
    struct args revived; /* runs */
    size_t revived_seen;
    struct snapshot_entry old_floor; /* chunks 0: none */
    struct dirty *page;
    size_t page_count, page_cap, next, slice; /* page[next] .. are under way, `slice` of them */
    uint64_t next_ms;
};

static void step(struct round *r);

static void round_free(struct round *r)
{
    buf_done(&r->manifest);
    args_done(&r->gone);
    args_done(&r->revived);
    free(r->page);
    free(r);
}

void snapshot_abandon(struct partition *part)
{
    struct round *r = TAKE(part->round);
    if (!r) return;
    r->part = NULL;
    if (!r->asking && r->acks_missing == 0) round_free(r);
}

static void give_up(struct round *r, const char *why)
{
    struct partition *part = r->part;
    log_warn(&part->log, "snapshot.postponed", "%s: the floor moves later", why);
    part->round_due_ms = loop_now_ms(part->shard->loop) + TROUBLE_MS;
    snapshot_abandon(part);
}

/* A call of the round has come back; NULL: nobody waits for it any more. */
static struct partition *back(struct round *r, enum store_status status,
                              const struct store_reply *reply)
{
    r->asking = false;
    if (!r->part) {
        if (r->acks_missing == 0) round_free(r);
        return NULL;
    }
    if (status == STORE_OK) return r->part;
    struct bytes text = store_string(reply);
    AUTO_FREE char *why = xasprintf("Redis did not answer (%.*s)", (int)MIN(text.len, (size_t)120),
                                    text.len ? text.data : "");
    give_up(r, why);
    return NULL;
}

/* The same of a reply that begins with the epoch, which must be ours. */
static struct partition *back_ours(struct round *r, enum store_status status,
                                   const struct store_reply *reply)
{
    struct partition *part = back(r, status, reply);
    if (!part || store_integer(store_at(reply, 0)) == part->epoch) return part;
    give_up(r, "another owner has taken over");
    return NULL;
}

static void ask(struct round *r, enum script_id script, size_t keys, struct args *args,
                store_fn done)
{
    struct shard *shard = r->part->shard;
    AUTO_FREE struct bytes *argv = args_views(args);
    r->asking = true;
    store_script(shard->store, shard_script(shard, script), keys, argv, args->count, done, r);
    args_done(args);
}

static void on_delivery(struct bus_waiter *w, const struct bus_delivery *d)
{
    struct round *r = CONTAINER_OF(w, struct round, waiter);
    r->acks_missing--;
    r->failed |= d->error != NULL;
    if (r->acks_missing > 0) return;
    if (!r->part) {
        if (!r->asking) round_free(r);
        return;
    }
    if (r->failed)
        give_up(r, "a snapshot was not delivered");
    else
        step(r);
}

/* --- what is in the log is remembered in snap:{p} --- */

static void on_noted(void *user, enum store_status status, const struct store_reply *reply)
{
    struct round *r = user;
    struct partition *part = back(r, status, reply);
    if (!part) return;
    if (!bytes_is(store_string(store_at(reply, 0)), "OK")) {
        give_up(r, "another owner has taken over");
        return;
    }
    r->noted = true;
    step(r);
}

/* floor < 0: unchanged */
static void note_begin(struct round *r, struct args *args, int64_t floor, size_t sets)
{
    args_add_key(args, r->part, key_partition);
    args_add_key(args, r->part, key_snapshots);
    args_add_int(args, r->part->epoch);
    if (floor >= 0)
        args_add_int(args, floor);
    else
        args_add(args, (struct bytes){ .data = "" });
    args_add_int(args, (int64_t)sets);
}

/* The old snapshot of a run is of no use once the new one is known, unless it was overwritten. */
static void erase_old(struct round *r, const char *id, const struct snapshot_entry *old,
                      int64_t off, uint32_t chunks)
{
    bool same_key = old->epoch == r->part->epoch && old->chunks == 1 && chunks == 1;
    if (old->chunks == 0 || same_key || (old->epoch == r->part->epoch && old->off == off)) return;
    r->acks_missing += snapshot_erase(r->part, id, old->epoch, old->off, old->chunks, &r->waiter);
}

/* --- a slice of runs: read, written, acknowledged, noted --- */

static void write_run(struct round *r, struct dirty *d, int64_t off, const struct store_reply *hash)
{
    AUTO_BUF struct buf value = { 0 };
    struct bytes skeleton = { 0 };
    for (size_t i = 0; i + 1 < store_count(hash); i += 2) {
        struct bytes name = store_string(store_at(hash, i));
        struct bytes text = store_string(store_at(hash, i + 1));
        snapshot_encode_field(&value, name, text);
        if (bytes_is(name, "s")) skeleton = text;
    }
    if (value.len == 0) return; /* gone meanwhile */
    d->off = off;
    d->chunks = snapshot_chunks(buf_bytes(&value));
    snapshot_entry_make(d->entry, r->part->epoch, off, d->chunks, skeleton);
    uint32_t sent =
        snapshot_send(r->part, d->id, r->part->epoch, off, NULL, buf_bytes(&value), &r->waiter);
    r->acks_missing += sent;
    r->failed |= sent < d->chunks;
}

static void on_slice(void *user, enum store_status status, const struct store_reply *reply)
{
    struct round *r = user;
    struct partition *part = back_ours(r, status, reply);
    if (!part) return;
    int64_t off = store_integer(store_at(reply, 1));
    for (size_t i = 0; i < r->slice && !r->failed; i++)
        write_run(r, &r->page[r->next + i], off, store_at(reply, 2 + i));
    if (r->failed) {
        give_up(r, "a snapshot could not be handed to Kafka");
        return;
    }
    if (r->acks_missing == 0) step(r); /* all of them are gone */
}

static void read_slice(struct round *r)
{
    struct args args = { 0 };
    r->slice = MIN(r->page_count - r->next, (size_t)SLICE_RUNS);
    r->noted = false;
    args_add_key(&args, r->part, key_partition);
    AUTO_BUF struct buf key = { 0 };
    for (size_t i = 0; i < r->slice; i++) {
        buf_reset(&key);
        key_run(&key, r->part->shard->prefix, r->part->id, bytes_of(r->page[r->next + i].id));
        args_add(&args, buf_bytes(&key));
    }
    size_t keys = args.count;
    args_add_int(&args, (int64_t)r->slice);
    args_add_int(&args, 0); /* a snapshot is of one place */
    ask(r, SCRIPT_LOAD, keys, &args, on_slice);
}

static void note_slice(struct round *r)
{
    struct args args = { 0 };
    size_t written = 0;
    for (size_t i = 0; i < r->slice; i++) written += r->page[r->next + i].entry[0] != '\0';
    note_begin(r, &args, -1, written);
    for (size_t i = 0; i < r->slice; i++) {
        const struct dirty *d = &r->page[r->next + i];
        if (!d->entry[0]) continue;
        args_add(&args, bytes_of(d->id));
        args_add(&args, bytes_of(d->entry));
    }
    ask(r, SCRIPT_SNAPPED, 2, &args, on_noted);
}

static void end_slice(struct round *r)
{
    for (size_t i = 0; i < r->slice; i++) {
        const struct dirty *d = &r->page[r->next + i];
        if (d->entry[0]) erase_old(r, d->id, &d->old, d->off, d->chunks);
    }
    r->next += r->slice;
    r->slice = 0;
}

/* --- a page of the indexes --- */

static void look_at(struct round *r, struct bytes id, struct bytes entry, struct bytes skeleton)
{
    struct snapshot_entry old;
    bool known = snapshot_entry_parse(entry, &old);
    if (r->phase == PHASE_GONE) {
        if (!known) return;
        if (bytes_is(id, SNAPSHOT_FLOOR)) {
            r->old_floor = old;
            return;
        }
        args_add(&r->gone, id);
        args_add(&r->gone, entry);
        return;
    }
    if (!run_id_check(id) || (MUTANT(RULE_5) && r->phase == PHASE_FINISHED)) return;
    char fresh[SNAPSHOT_ENTRY_MAX];
    struct snapshot_entry now;
    snapshot_entry_make(fresh, 0, 0, 1, skeleton);
    if (known && snapshot_entry_parse(bytes_of(fresh), &now) && strcmp(now.hash, old.hash) == 0) {
        buf_addf(&r->manifest, "%.*s %lld %lld\n", (int)id.len, id.data, (long long)old.epoch,
                 (long long)old.off);
        return;
    }
    if (r->page_count == r->page_cap) {
        r->page_cap = r->page_cap ? 2 * r->page_cap : 64;
        r->page = xrealloc(r->page, r->page_cap * sizeof *r->page);
    }
    struct dirty *d = &r->page[r->page_count++];
    *d = (struct dirty){ 0 };
    memcpy(d->id, id.data, id.len);
    if (known) d->old = old;
}

/* So that a round lasts half an interval, however many runs there are. */
static void pace(struct round *r, size_t runs)
{
    struct shard *shard = r->part->shard;
    uint64_t gap = (uint64_t)shard->options.snapshot_ms / 2 * 64 / MAX(runs, (size_t)64);
    r->next_ms = loop_now_ms(shard->loop) + MIN(gap, (uint64_t)SECOND_MS);
}

static void on_survey(void *user, enum store_status status, const struct store_reply *reply)
{
    struct round *r = user;
    struct partition *part = back(r, status, reply);
    if (!part) return;
    /* Below the floor of this round it has gone back, and names what it had then. */
    bool gone_back = r->phase != PHASE_GONE && store_integer(store_at(reply, 1)) < r->floor;
    if (gone_back || store_integer(store_at(reply, 0)) != part->epoch) {
        give_up(r, gone_back ? "Redis has gone back" : "another owner has taken over");
        return;
    }
    struct bytes cursor = store_string(store_at(reply, 3));
    size_t size = (size_t)MAX(store_integer(store_at(reply, 4)), (int64_t)0);
    r->page_count = r->next = 0;
    for (size_t i = 5; i < store_count(reply); i++) {
        const struct store_reply *run = store_at(reply, i);
        look_at(r, store_string(store_at(run, 0)), store_string(store_at(run, 1)),
                store_string(store_at(run, 2)));
    }
    snprintf(r->cursor, sizeof r->cursor, "%.*s", (int)cursor.len, cursor.data);
    if (r->phase != PHASE_GONE) pace(r, size);
    if (r->phase == PHASE_REVIVED) { /* the next of them, then the floor: see step */
        step(r);
        return;
    }
    if (strcmp(r->cursor, "0") == 0) {
        if (r->phase == PHASE_GONE) { /* it changes with the owner only */
            struct bytes gen = store_string(store_at(reply, 2));
            snprintf(r->gen, sizeof r->gen, "%.*s", (int)gen.len, gen.len ? gen.data : "");
        }
        r->phase++;
    }
    step(r);
}

/* All that is gone went below this place. */
static void on_ledger(void *user, enum store_status status, const struct store_reply *reply)
{
    struct round *r = user;
    if (!back_ours(r, status, reply)) return;
    r->floor = store_integer(store_at(reply, 1));
    const struct store_reply *list = store_at(reply, 2);
    for (size_t i = 0; i + 1 < store_count(list); i += 2) {
        struct bytes name = store_string(store_at(list, i));
        struct bytes value = store_string(store_at(list, i + 1));
        buf_add_char(&r->manifest, '=');
        buf_add(&r->manifest, name.data, name.len);
        buf_add_char(&r->manifest, ' ');
        buf_add(&r->manifest, value.data, value.len);
        buf_add_char(&r->manifest, '\n');
    }
    r->phase++;
    step(r);
}

static void read_ledger(struct round *r)
{
    struct args args = { 0 };
    args_add_key(&args, r->part, key_partition);
    args_add_key(&args, r->part, key_ledger);
    args_add_int(&args, 1);
    args_add_int(&args, 0);
    ask(r, SCRIPT_LOAD, 2, &args, on_ledger);
}

void snapshot_note_revived(struct partition *part, const char *run_id)
{
    struct round *r = part->round;
    if (r && r->phase <= PHASE_FINISHED) args_add(&r->revived, bytes_of(run_id));
}

/* The next of those that were revived since the round began. */
static void survey_revived(struct round *r)
{
    struct args args = { 0 };
    args_add_key(&args, r->part, key_partition);
    args_add_key(&args, r->part, key_snapshots);
    args_add_key(&args, r->part, key_timers);
    AUTO_BUF struct buf key = { 0 };
    key_run(&key, r->part->shard->prefix, r->part->id, (struct bytes){ .data = "" });
    args_add(&args, BYTES_LIT("0"));
    args_add(&args, BYTES_LIT(SURVEY_RUNS));
    args_add(&args, buf_bytes(&key));
    AUTO_FREE struct bytes *runs = args_views(&r->revived);
    size_t end = MIN(r->revived.count, r->revived_seen + SLICE_RUNS);
    for (; r->revived_seen < end; r->revived_seen++) args_add(&args, runs[r->revived_seen]);
    ask(r, SCRIPT_SURVEY, 3, &args, on_survey);
}

static void survey(struct round *r)
{
    static void (*const index_key[])(struct buf *, const char *, int32_t) = {
        [PHASE_GONE] = key_snapshots, [PHASE_LIVE] = key_timers, [PHASE_FINISHED] = key_finished
    };
    struct args args = { 0 };
    args_add_key(&args, r->part, key_partition);
    args_add_key(&args, r->part, key_snapshots);
    args_add_key(&args, r->part, index_key[r->phase]);
    AUTO_BUF struct buf key = { 0 };
    key_run(&key, r->part->shard->prefix, r->part->id, (struct bytes){ .data = "" });
    args_add(&args, bytes_of(r->cursor));
    args_add(&args, BYTES_LIT(SURVEY_RUNS));
    args_add(&args, buf_bytes(&key));
    ask(r, SCRIPT_SURVEY, 3, &args, on_survey);
}

/* --- the floor, and what it makes useless --- */

/* A run that expired behind the floor, before it was looked at, has no snapshot any more. Its start
 * key was taken at the floor all the same: "~<run>". */
static void add_freed(struct round *r)
{
    const struct partition *part = r->part;
    for (size_t i = 0; i < part->freed_count; i++)
        if (part->freed[i].off >= r->floor) buf_addf(&r->manifest, "~%s\n", part->freed[i].id);
}

void snapshot_note_freed(struct partition *part, const char *run_id, int64_t offset)
{
    if (part->freed_count == part->freed_cap) {
        part->freed_cap = part->freed_cap ? 2 * part->freed_cap : 64;
        part->freed = xrealloc(part->freed, part->freed_cap * sizeof *part->freed);
    }
    struct freed *freed = &part->freed[part->freed_count++];
    freed->off = offset;
    memcpy(freed->id, run_id, RUN_ID_MAX);
}

/* What lies below the committed place lies below the floor of any round that is yet to begin. */
static void forget_freed(struct partition *part)
{
    size_t kept = 0;
    for (size_t i = 0; i < part->freed_count; i++)
        if (part->freed[i].off >= part->off) part->freed[kept++] = part->freed[i];
    part->freed_count = kept;
}

static void write_floor(struct round *r)
{
    struct partition *part = r->part;
    add_freed(r);
    uint32_t chunks = snapshot_chunks(buf_bytes(&r->manifest));
    r->noted = false;
    uint32_t sent = snapshot_send(part, SNAPSHOT_FLOOR, part->epoch, r->floor, r->gen,
                                  buf_bytes(&r->manifest), &r->waiter);
    r->acks_missing += sent;
    r->slice = chunks; /* to be noted */
    if (sent == chunks) return;
    give_up(r, "a floor could not be handed to Kafka");
}

static void note_floor(struct round *r)
{
    struct args args = { 0 };
    char entry[SNAPSHOT_ENTRY_MAX];
    snapshot_entry_make(entry, r->part->epoch, r->floor, (uint32_t)r->slice, BYTES_LIT(""));
    note_begin(r, &args, r->floor, 1);
    args_add(&args, BYTES_LIT(SNAPSHOT_FLOOR));
    args_add(&args, bytes_of(entry));
    ask(r, SCRIPT_SNAPPED, 2, &args, on_noted);
}

static void sweep(struct round *r)
{
    AUTO_FREE struct bytes *gone = args_views(&r->gone);
    size_t end = MIN(r->gone.count, r->swept + (size_t)2 * FORGET_MAX);
    struct args args = { 0 };
    note_begin(r, &args, -1, 0);
    for (; r->swept < end; r->swept += 2) {
        struct snapshot_entry old;
        char id[RUN_ID_MAX];
        if (!run_id_check(gone[r->swept]) || !snapshot_entry_parse(gone[r->swept + 1], &old))
            continue;
        memcpy(id, gone[r->swept].data, RUN_ID_MAX - 1);
        id[RUN_ID_MAX - 1] = '\0';
        /* A tombstone that gets lost leaves a record that counts for nothing. */
        r->acks_missing += snapshot_erase(r->part, id, old.epoch, old.off, old.chunks, &r->waiter);
        args_add(&args, gone[r->swept]);
    }
    ask(r, SCRIPT_SNAPPED, 2, &args, on_noted);
}

static void round_end(struct round *r)
{
    struct partition *part = r->part;
    log_debug(&part->log, "snapshot.floor", "no run needs the log below offset %lld",
              (long long)r->floor);
    part->floor = r->floor;
    part->round_due_ms = loop_now_ms(part->shard->loop) + part->shard->options.snapshot_ms;
    part->shard->floors++;
    snapshot_abandon(part);
}

static void step_floor(struct round *r)
{
    if (r->slice == 0) {
        write_floor(r);
    } else if (!r->noted) {
        note_floor(r);
    } else {
        erase_old(r, SNAPSHOT_FLOOR, &r->old_floor, r->floor, (uint32_t)r->slice);
        r->slice = 0;
        r->phase = PHASE_SWEEP;
        if (r->acks_missing == 0) step(r);
    }
}

/* Goes on, unless something is under way or it is not time yet. */
static void step(struct round *r)
{
    struct shard *shard = r->part->shard;
    if (r->asking || r->acks_missing > 0) return;
    if (r->phase == PHASE_FLOOR && r->next >= r->page_count) {
        step_floor(r);
        return;
    }
    if (r->phase == PHASE_SWEEP) {
        if (r->swept < r->gone.count)
            sweep(r);
        else
            round_end(r);
        return;
    }
    if (r->slice > 0 && !r->noted) {
        note_slice(r);
        return;
    }
    if (r->slice > 0) {
        end_slice(r);
        if (r->acks_missing > 0) return;
    }
    if (r->next < r->page_count) {
        read_slice(r);
        return;
    }
    if (r->phase == PHASE_REVIVED && r->revived_seen == r->revived.count) r->phase = PHASE_FLOOR;
    if (r->phase == PHASE_LEDGER)
        read_ledger(r);
    else if (r->phase == PHASE_FLOOR)
        step_floor(r);
    else if (loop_now_ms(shard->loop) >= r->next_ms &&
             bus_pending(shard->bus) < SHARD_PENDING_MAX / 2) {
        if (r->phase == PHASE_REVIVED)
            survey_revived(r);
        else
            survey(r);
    }
}

void snapshot_tick(struct partition *part)
{
    struct shard *shard = part->shard;
    uint64_t now = loop_now_ms(shard->loop);
    if (part->state != PARTITION_RUNNING || !store_connected(shard->store)) return;
    if (part->round) {
        step(part->round);
        return;
    }
    forget_freed(part);
    if (part->round_due_ms == 0) { /* spread over the interval */
        uint64_t interval = shard->options.snapshot_ms;
        part->round_due_ms =
            now + interval / 4 +
            interval / 2 * (uint64_t)part->id / (uint64_t)shard->options.partitions;
    }
    if (now < part->round_due_ms || part->off == part->floor) return;
    struct round *r = xcalloc(1, sizeof *r);
    r->part = part;
    r->waiter.done = on_delivery;
    r->floor = -1;
    buf_add_text(&r->manifest, "1\n"); /* its form; and a value that is never empty */
    snprintf(r->cursor, sizeof r->cursor, "0");
    part->round = r;
    step(r);
}
