/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery (docs/protocol.md): what lies below the stored offset is only noted, what lies between
 * it and our claim is folded without producing, and then the outputs in doubt are emitted again,
 * same ids and attempts: those issued at or beyond replay_from of the runs that the range names,
 * tasks only where nobody has them; after a change of generation everything pending of every live
 * run. The last commit, which consumes our own claim, ends it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mutant.h"
#include "orchestrator/internal.h"

struct noted {
    char id[RUN_ID_MAX];
    bool owes;      /* outputs of it may be in doubt */
    bool resumed;   /* in the doubtful range */
    bool published; /* its CloudEvent is in `results` */
};

struct recovery {
    struct map noted;   /* runs that the log named, by id */
    struct noted **ids; /* those that owe, once the replay is done */
    size_t count, next; /* ids before `next` are done */
    struct batch *last; /* consumes our claim; its outputs are the re-emissions */
    struct entry *page[LOAD_PAGE];
    size_t page_count;
    struct effects fx;          /* of the page */
    bool asking;                /* the page's marks are being read */
    bool claimed_results;       /* our claim is on its way to `results`, or there */
    struct bus_reader *results; /* while `results` is being read */
    bool results_known;
    bool sealed;
};

void recovery_begin(struct partition *part)
{
    struct shard *shard = part->shard;
    part->recovery = xcalloc(1, sizeof *part->recovery);
    partition_set_state(part, PARTITION_RECOVERING);
    if (part->epoch > part->replay_from)
        log_info(&part->log, "partition.recover",
                 "%s: replaying offsets %lld to %lld, in doubt from %lld",
                 part->rebuild ? "Redis holds nothing usable, rebuilding from the log"
                               : "taken over",
                 (long long)part->off, (long long)part->epoch, (long long)part->replay_from);
    bus_read(shard->group, shard->events_topic, part->id, MAX(part->replay_from, part->log_start),
             REPLAY_CREDIT);
    part->credit_extra = REPLAY_CREDIT - CREDIT_RECORDS;
}

void recovery_free(struct partition *part)
{
    struct recovery *rec = part->recovery;
    size_t pos = 0;
    /* A rebuild that was given up has left them, too, before there was a recovery. */
    for (struct skip *skip; (skip = map_next(&part->skips, &pos));) free(skip);
    map_done(&part->skips);
    if (!rec) return;
    pos = 0;
    for (struct noted *n; (n = map_next(&rec->noted, &pos));) free(n);
    map_done(&rec->noted);
    free(rec->ids);
    effects_done(&rec->fx);
    bus_reader_close(rec->results);
    free(rec);
    part->recovery = NULL;
}

void recovery_note(struct partition *part, struct bytes run_id, bool owes)
{
    struct recovery *rec = part->recovery;
    struct noted *noted = map_get(&rec->noted, run_id);
    if (!noted) {
        noted = xcalloc(1, sizeof *noted);
        ASSERT(run_id.len == RUN_ID_MAX - 1);
        memcpy(noted->id, run_id.data, run_id.len);
        map_put(&rec->noted, (struct bytes){ noted->id, run_id.len }, noted);
    }
    noted->owes = owes;
}

void recovery_note_resume(struct partition *part, struct bytes run_id)
{
    ((struct noted *)map_get(&part->recovery->noted, run_id))->resumed = true;
}

bool recovery_lacks(const struct partition *part, struct bytes run_id)
{
    return part->recovery && part->rebuild && !map_get(&part->skips, run_id) &&
           !map_get(&part->recovery->noted, run_id);
}

/* --- replay --- */

static void consume_noted(struct partition *part)
{
    size_t n = 0;
    for (; n < part->inbox_count && partition_item(part, n)->offset < part->fold_off; n++) {
        const struct item *item = partition_item(part, n);
        if (item->verdict != EVENT_OK || item->ev.type == EVENT_OWNER_CLAIM) continue;
        recovery_note(part, item->ev.run_id, true);
        if (item->ev.type == EVENT_RUN_RESUME) recovery_note_resume(part, item->ev.run_id);
    }
    partition_consume(part, n);
}

static void list_noted(struct partition *part)
{
    struct recovery *rec = part->recovery;
    /* Where the log no longer names all runs in doubt, the index does. */
    bool index = part->replay_from < part->log_start && !MUTANT(RULE_7);
    if (part->reissue_all || index || MUTANT(REEMIT_ALL))
        for (size_t i = 0; i < part->timers.count; i++)
            recovery_note(part, bytes_of(part->timers.heap[i]->id), true);
    AUTO_FREE struct bytes *finished = args_views(&part->doubtful);
    for (size_t i = 0; i < part->doubtful.count; i++) recovery_note(part, finished[i], true);
    args_done(&part->doubtful);
    rec->ids = xcalloc(rec->noted.count, sizeof *rec->ids);
    size_t pos = 0;
    for (struct noted *n; (n = map_next(&rec->noted, &pos));)
        if (n->owes) rec->ids[rec->count++] = n;
}

/* Our own claim is the next item: it ends the replay. false: it is not there yet. */
static bool reach_claim(struct partition *part)
{
    if (part->inbox_count == 0) return false;
    const struct item *item = partition_item(part, 0);
    if (item->offset < part->epoch) return false;
    if (item->offset > part->epoch || item->verdict != EVENT_OK ||
        !bytes_is(item->ev.claim, part->token)) {
        partition_reload(part, 5 * RETRY_MS, "our claim is not where it was acknowledged");
        return false;
    }
    fold_close(part);
    struct recovery *rec = part->recovery;
    rec->last = batch_new(part, part->fold_off);
    outputs_open(rec->last, NULL);
    rec->last->to = part->fold_off = part->epoch + 1;
    rec->last->recovered = rec->last->has_claim = true;
    memcpy(part->fold_gen, part->gen, sizeof part->fold_gen);
    part->fold_payload_max = (size_t)item->ev.payload_max;
    batch_link(rec->last);
    partition_consume(part, 1);
    turns_resend(&part->ledger, &rec->fx);
    batch_produce(rec->last, &rec->fx);
    effects_reset(&rec->fx);
    if (rec->last->failed) {
        partition_reload(part, RETRY_MS, "an output could not be handed to Kafka");
        return false;
    }
    list_noted(part);
    partition_set_state(part, PARTITION_REISSUING);
    return true;
}

static void replay(struct partition *part)
{
    consume_noted(part);
    while (part->state == PARTITION_RECOVERING &&
           (fold_open(part) || part->batch_count < REPLAY_PIPELINE_MAX))
        if (!fold_batch(part, NULL, true, part->epoch)) break;
    if (part->state == PARTITION_RECOVERING) (void)reach_claim(part);
}

/* --- which CloudEvents are in `results` already ---
 *
 * A CloudEvent in doubt was acknowledged to its owner or not; `results` itself knows. It is read
 * from where those of uncommitted batches begin (the note beside the offset that Kafka was told) to
 * a claim of ours that is written first, as in `events`: where a replica has died the brokers hold
 * back from readers what not enough of the others have yet, and its end, as they tell it, lies
 * before that. What remains is one that is still in the queue of an owner that was stopped, or in a
 * socket of a broker that was: it may come later, under the same id. */

void recovery_note_make(const struct partition *part, char ret[BUS_NOTE_MAX])
{
    ret[0] = '\0';
    if (part->results_next >= 0)
        snprintf(ret, BUS_NOTE_MAX, "results %d %lld", (int)partition_results(part),
                 (long long)part->results_next);
}

void recovery_note_take(struct partition *part, const char *note)
{
    static const char head[] = "results ";
    part->results_next = -1;
    if (strncmp(note, head, sizeof head - 1) != 0) return;
    char *end;
    long long where = strtoll(note + sizeof head - 1, &end, 10);
    if (*end == ' ' && where == partition_results(part))
        part->results_next = strtoll(end, NULL, 10);
}

static struct noted *noted_find(const struct recovery *rec, struct bytes run_id)
{
    return map_get(&rec->noted, run_id);
}

static void on_result(void *user, const struct bus_record *r)
{
    const struct partition *part = user;
    for (size_t i = 0; i < r->extra_count; i++) {
        if (strcmp(r->extra[i].name, "ce_subject") != 0) continue;
        struct noted *noted = noted_find(part->recovery, r->extra[i].value);
        if (noted) noted->published = true;
    }
}

static void on_results_end(void *user, int64_t next_offset)
{
    struct partition *part = user;
    struct recovery *rec = part->recovery;
    rec->results = bus_reader_close(rec->results);
    if (next_offset < rec->last->results_next) { /* a leader that has yet to catch up */
        partition_reload(part, 5 * RETRY_MS, "`results` ends before what was acknowledged");
        return;
    }
    rec->results_known = true;
    recovery_pump(part);
}

static void read_results(struct partition *part, int64_t from);

static void on_results_error(void *user, const struct err *e)
{
    struct partition *part = user;
    part->recovery->results = bus_reader_close(part->recovery->results);
    if (e->kind == ERR_NOT_FOUND && part->results_next >= 0) { /* gone with the retention */
        part->results_next = -1;
        read_results(part, BUS_START);
        return;
    }
    partition_reload(part, 5 * RETRY_MS, e->text);
}

static void read_results(struct partition *part, int64_t from)
{
    struct err e;
    struct shard *shard = part->shard;
    part->recovery->results =
        bus_reader_open(shard->bus,
                        &(struct bus_reader_options){ .topic = shard->results_topic,
                                                      .partition = partition_results(part),
                                                      .offset = from,
                                                      .on_record = on_result,
                                                      .on_end = on_results_end,
                                                      .on_error = on_results_error,
                                                      .user = part },
                        &e);
    if (!part->recovery->results) partition_reload(part, 5 * RETRY_MS, e.text);
}

/* Whether it is known which of the page's CloudEvents are there; if not, it soon will be. */
static bool results_known(struct partition *part)
{
    struct recovery *rec = part->recovery;
    bool wanted = false;
    for (size_t i = 0; i < rec->fx.count && !wanted; i++)
        wanted = rec->fx.list[i].kind == EFFECT_RESULT;
    if (!wanted || rec->results_known) return true;
    if (!rec->claimed_results) {
        rec->claimed_results = true;
        batch_claim_results(rec->last);
        if (rec->last->failed) {
            partition_reload(part, RETRY_MS, "an output could not be handed to Kafka");
            return false;
        }
    }
    if (rec->last->acks_missing > 0) return false;
    if (!rec->results) read_results(part, part->results_next >= 0 ? part->results_next : BUS_START);
    return false;
}

/* --- re-emission, a page of runs at a time --- */

static void page_release(struct recovery *rec)
{
    for (size_t i = 0; i < rec->page_count; i++) cache_unpin(rec->page[i]);
    rec->next += rec->page_count;
    rec->page_count = 0;
    effects_reset(&rec->fx);
}

/* Whether a task goes out again, by what its mark says. After a change of generation a lease is no
 * reason to keep it back: who holds it may be dead, or not know of it because the answer was lost,
 * and then everybody drops the record of the old generation. Where the holder does live, whoever
 * gets the new record waits for its result. */
static bool wanted(const struct partition *part, const struct effect *task, struct bytes mark)
{
    /* A resume issues again whatever is out: its run may have been paused amid such a change. */
    const struct noted *noted = noted_find(part->recovery, task->header[HEADER_RUN_ID]);
    bool anew = part->reissue_all || (noted && noted->resumed);
    return mark.len == 0 || MUTANT(NO_MARKS) || (anew && !bytes_is(mark, "done"));
}

static void page_emit(struct partition *part, const struct store_reply *marks)
{
    struct recovery *rec = part->recovery;
    size_t mark = 0, kept = 0;
    for (size_t i = 0; i < rec->fx.count; i++) {
        const struct effect *effect = &rec->fx.list[i];
        if (effect->kind == EFFECT_TASK &&
            !wanted(part, effect, store_string(store_at(marks, 2 + mark++))))
            continue;
        if (effect->kind == EFFECT_RESULT && noted_find(rec, effect->key)->published) continue;
        rec->fx.list[kept++] = *effect;
    }
    rec->fx.count = kept;
    batch_produce(rec->last, &rec->fx);
    page_release(rec);
}

struct ask_marks {
    struct partition *part;
    uint32_t life;
    int64_t expected_off;
};

static void on_marks(void *user, enum store_status status, const struct store_reply *reply)
{
    struct ask_marks ask = *(struct ask_marks *)user;
    free(user);
    struct partition *part = ask.part;
    if (!partition_reply(part, ask.life)) return;
    part->recovery->asking = false;
    if (status != STORE_OK || part->commits_fail) {
        partition_resume_in(part, RETRY_MS); /* the page is still there: it is asked for again */
        return;
    }
    if (store_integer(store_at(reply, 0)) != part->epoch ||
        store_integer(store_at(reply, 1)) != ask.expected_off) {
        partition_displaced(part, store_integer(store_at(reply, 0)),
                            "Redis moved while the marks of tasks were read");
        return;
    }
    page_emit(part, reply);
    if (part->recovery->last->failed)
        partition_reload(part, RETRY_MS, "an output could not be handed to Kafka");
    else
        recovery_pump(part);
}

static void ask_marks(struct partition *part)
{
    struct recovery *rec = part->recovery;
    struct shard *shard = part->shard;
    struct args args = { 0 };
    AUTO_BUF struct buf key = { 0 };
    args_add_key(&args, part, key_partition);
    for (size_t i = 0; i < rec->fx.count; i++) {
        if (rec->fx.list[i].kind != EFFECT_TASK) continue;
        buf_reset(&key);
        key_marks(&key, shard->prefix, part->id, rec->fx.list[i].header[HEADER_MARKS]);
        args_add(&args, buf_bytes(&key));
    }
    size_t keys = args.count;
    args_add_int(&args, part->epoch);
    for (size_t i = 0; i < rec->fx.count; i++)
        if (rec->fx.list[i].kind == EFFECT_TASK) args_add(&args, bytes_of(rec->fx.list[i].task_id));
    struct ask_marks *ask = xcalloc(1, sizeof *ask);
    *ask = (struct ask_marks){ .part = part, .life = part->life, .expected_off = part->sent_off };
    rec->asking = true;
    partition_await(part);
    AUTO_FREE struct bytes *argv = args_views(&args);
    store_script(shard->store, shard_script(shard, SCRIPT_MARKS), keys, argv, args.count, on_marks,
                 ask);
    args_done(&args);
}

/* The next runs, in memory; false while they are being read. */
static bool page_fill(struct partition *part)
{
    struct recovery *rec = part->recovery;
    struct bytes ids[LOAD_PAGE];
    size_t count = MIN(rec->count - rec->next, (size_t)LOAD_PAGE);
    for (size_t i = 0; i < count; i++) ids[i] = bytes_of(rec->ids[rec->next + i]->id);
    if (!fold_have_runs(part, ids, count)) return false;
    struct fold_context cx = { .offset = part->epoch,
                               .topic = part->shard->events_topic,
                               .partition = part->id,
                               .gen = part->gen,
                               .payload_max = part->fold_payload_max };
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = cache_find(part, ids[i]);
        cache_pin(entry);
        rec->page[rec->page_count++] = entry;
        if (!entry->run || run_state_terminal(run_state_of(entry->run)))
            turns_over(&part->ledger, ids[i], &rec->fx);
        if (!entry->run) continue;
        bool live = !run_state_terminal(run_state_of(entry->run));
        int64_t doubt = live ? part->replay_from : part->doubt_off;
        if (MUTANT(REEMIT_ALL)) doubt = 0;
        engine_reissue(entry->run, part->reissue_all && live ? 0 : doubt, &cx, &rec->fx);
    }
    return true;
}

static void reissue(struct partition *part)
{
    struct recovery *rec = part->recovery;
    while (!rec->asking && rec->next < rec->count &&
           bus_pending(part->shard->bus) < SHARD_PENDING_MAX) {
        if (rec->page_count == 0 && !page_fill(part)) return;
        if (!results_known(part)) return;
        if (rec->fx.count > 0)
            ask_marks(part);
        else
            page_release(rec);
    }
    if (rec->next < rec->count || rec->sealed || rec->last->acks_missing > 0) return;
    rec->sealed = true;
    batch_seal(rec->last);
    batches_advance(part);
}

void recovery_pump(struct partition *part)
{
    if (part->state == PARTITION_RECOVERING) replay(part);
    if (part->state == PARTITION_REISSUING) reissue(part);
}
