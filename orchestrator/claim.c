/* SPDX-License-Identifier: Apache-2.0
 *
 * How a partition gets its owner: the generation is read, the log is compared with what Redis knows
 * of it, the claim is appended to the log (its offset is the epoch), the old owner fenced in Redis,
 * and the index of live runs read. Any failure on the way begins again with a new claim. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/mutant.h"
#include "orchestrator/internal.h"

#define TIMER_PAGE 5000

/* A call of this file that is under way. */
struct ask {
    struct partition *part;
    uint32_t life;
    size_t page;
    bool finished; /* it is the index of finished runs that is read */
};

static struct ask *ask_new(struct partition *part)
{
    struct ask *ask = xcalloc(1, sizeof *ask);
    *ask = (struct ask){ .part = part, .life = part->life };
    partition_await(part);
    return ask;
}

/* The partition of an answered ask that still matters, or NULL. Frees the ask. */
static struct partition *answered(struct ask *ask)
{
    struct partition *part = ask->part;
    uint32_t life = ask->life;
    free(ask);
    return partition_reply(part, life) ? part : NULL;
}

/* Redis did not do what was asked: wait and begin again. */
static bool refused(struct partition *part, enum store_status status,
                    const struct store_reply *reply)
{
    if (status == STORE_OK) return false;
    if (status == STORE_ERROR) {
        shard_refused(part->shard, store_string(reply));
        partition_retry_claim(part, 5 * RETRY_MS);
        return true;
    }
    struct bytes text = store_string(reply);
    AUTO_FREE char *why =
        xasprintf("Redis did not answer a takeover (%.*s)", (int)MIN(text.len, (size_t)120),
                  status == STORE_LOST ? "no reply" : text.data);
    partition_reload(part, status == STORE_LOST ? RETRY_MS : 5 * RETRY_MS, why);
    return true;
}

static void call(struct partition *part, enum script_id script, size_t keys, struct args *args,
                 store_fn done, struct ask *ask)
{
    AUTO_FREE struct bytes *argv = args_views(args);
    store_script(part->shard->store, shard_script(part->shard, script), keys, argv, args->count,
                 done, ask);
    args_done(args);
}

/* --- 7. the ledger --- */

static void on_ledger(void *user, enum store_status status, const struct store_reply *reply)
{
    struct partition *part = answered(user);
    if (!part || refused(part, status, reply)) return;
    if (store_integer(store_at(reply, 0)) != part->epoch ||
        store_integer(store_at(reply, 1)) != part->off) {
        partition_displaced(part, store_integer(store_at(reply, 0)),
                            "Redis moved while the ledger was read");
        return;
    }
    const struct store_reply *list = store_at(reply, 2);
    for (size_t i = 0; i + 1 < store_count(list); i += 2) {
        struct bytes value = store_string(store_at(list, i + 1));
        buf_add(&ledger_make(&part->ledger, store_string(store_at(list, i)))->value, value.data,
                value.len);
    }
    recovery_begin(part);
}

static void ask_ledger(struct partition *part)
{
    struct args args = { 0 };
    args_add_key(&args, part, key_partition);
    args_add_key(&args, part, key_ledger);
    args_add_int(&args, 1);
    args_add_int(&args, 0);
    call(part, SCRIPT_LOAD, 2, &args, on_ledger, ask_new(part));
}

/* --- 6. the index of live runs --- */

static void ask_index(struct partition *part, size_t page, bool finished);

static void take_live(struct partition *part, const struct store_reply *list)
{
    for (size_t i = 0; i + 1 < store_count(list) && !MUTANT(FORGET_TIMER); i += 2) {
        struct bytes id = store_string(store_at(list, i));
        if (!run_id_check(id)) continue;
        char text[RUN_ID_MAX];
        memcpy(text, id.data, id.len);
        text[id.len] = '\0';
        int64_t due_ms = (int64_t)store_integer(store_at(list, i + 1));
        struct due *due = timers_set(&part->timers, text, due_ms);
        due->stored = true;
        due->stored_ms = due_ms;
    }
}

static void take_finished(struct partition *part, const struct store_reply *list)
{
    for (size_t i = 0; i + 1 < store_count(list); i += 2) {
        struct bytes id = store_string(store_at(list, i));
        if (run_id_check(id)) args_add(&part->doubtful, id);
    }
}

static void on_index(void *user, enum store_status status, const struct store_reply *reply)
{
    struct ask ask = *(struct ask *)user;
    struct partition *part = answered(user);
    if (!part || refused(part, status, reply)) return;
    if (!MUTANT(RULE_1) && (store_integer(store_at(reply, 0)) != part->epoch ||
                            store_integer(store_at(reply, 1)) != part->off)) {
        partition_displaced(part, store_integer(store_at(reply, 0)),
                            "Redis moved while the timers were read");
        return;
    }
    const struct store_reply *list = store_at(reply, 2);
    if (ask.finished)
        take_finished(part, list);
    else
        take_live(part, list);
    if (store_count(list) == 2 * TIMER_PAGE)
        ask_index(part, ask.page + 1, ask.finished);
    else if (!ask.finished && part->doubt_off < part->log_start)
        ask_index(part, 0, true); /* the log no longer names all that may owe a result */
    else
        ask_ledger(part);
}

static void ask_index(struct partition *part, size_t page, bool finished)
{
    struct args args = { 0 };
    args_add_key(&args, part, key_partition);
    args_add_key(&args, part, finished ? key_finished : key_timers);
    args_add_int(&args, (int64_t)(page * TIMER_PAGE));
    args_add_int(&args, (int64_t)((page + 1) * TIMER_PAGE - 1));
    struct ask *ask = ask_new(part);
    ask->page = page;
    ask->finished = finished;
    call(part, SCRIPT_TIMERS, 2, &args, on_index, ask);
}

void partition_read_index(struct partition *part)
{
    ask_index(part, 0, false);
}

/* --- 5. below what place everything is known to be in Kafka --- */

/* What Kafka was told is never ahead of what was acknowledged and committed. Below it no result can
 * be missing, even if Redis has lost that knowledge; and the note beside it says from where on the
 * results of what lies above stand in `results`. */
static void on_committed(void *user, int64_t offset, const char *note, const struct err *e)
{
    struct partition *part = answered(user);
    if (!part) return;
    if (e)
        log_warn(&part->log, "partition.doubt",
                 "%s: results may be sent a second time, under the same ids", e->text);
    part->doubt_off = part->replay_from;
    recovery_note_take(part, note);
    if (!e && offset > part->doubt_off && offset <= part->epoch) part->doubt_off = offset;
    if (part->rebuild || part->caution >= 0)
        rebuild_begin(part, part->rebuild);
    else
        partition_read_index(part);
}

/* --- 4. the takeover --- */

static void copy_text(char *ret, size_t size, struct bytes text)
{
    snprintf(ret, size, "%.*s", (int)text.len, text.data ? text.data : "");
}

static void on_takeover(void *user, enum store_status status, const struct store_reply *reply)
{
    struct partition *part = answered(user);
    if (!part || refused(part, status, reply)) return;
    struct bytes verdict = store_string(store_at(reply, 0));
    if (bytes_is(verdict, "FENCED")) {
        partition_displaced(part, INT64_MAX, "a newer claim stands in Redis");
        return;
    }
    char gen[GENERATION_MAX], seen[GENERATION_MAX];
    generation_make(gen, store_run_id(part->shard->store), store_string(store_at(reply, 4)));
    if (bytes_is(verdict, "WIPED") || strcmp(gen, part->gen) != 0) {
        partition_reload(part, 0, "the generation of Redis changed during the claim");
        return;
    }
    part->rebuild = bytes_is(verdict, "REBUILD");
    part->off = part->sent_off = part->fold_off = store_integer(store_at(reply, 1));
    part->replay_from = store_integer(store_at(reply, 2));
    copy_text(part->fold_gen, sizeof part->fold_gen, store_string(store_at(reply, 5)));
    copy_text(seen, sizeof seen, store_string(store_at(reply, 6)));
    part->reissue_all = strcmp(seen, part->gen) != 0;
    const struct store_reply *caution = store_at(reply, 7);
    part->caution = store_string(caution).len ? store_integer(caution) : -1;
    if (part->caution >= 0)
        log_warn(&part->log, "partition.caution",
                 "owners have ended again and again at offset %lld: from there on events are "
                 "folded one by one",
                 (long long)part->caution);
    bus_committed(part->shard->group, part->shard->events_topic, part->id, on_committed,
                  ask_new(part));
}

static void take_over(struct partition *part)
{
    struct args args = { 0 };
    args_add_key(&args, part, key_partition);
    args_add_int(&args, part->epoch);
    args_add_int(&args, part->log_start);
    args_add(&args, generation_gen(part->gen));
    args_add(&args, bytes_of(part->token));
    partition_set_state(part, PARTITION_TAKING_OVER);
    call(part, SCRIPT_TAKEOVER, 1, &args, on_takeover, ask_new(part));
}

/* --- 3. the claim --- */

static void on_claimed(struct bus_waiter *w, const struct bus_delivery *d)
{
    struct partition *part = CONTAINER_OF(w, struct partition, claim_waiter);
    part->claim_pending = false;
    if (!partition_reply(part, part->claim_life)) return;
    if (d->error) {
        AUTO_FREE char *why = xasprintf("the owner claim was not delivered (%s)", d->error);
        partition_reload(part, 5 * RETRY_MS, why);
        return;
    }
    part->epoch = d->offset;
    take_over(part);
}

static void send_claim(struct partition *part)
{
    struct shard *shard = part->shard;
    if (part->claim_pending) { /* of an earlier life: its waiter is not free yet */
        partition_retry(part, RETRY_MS, send_claim);
        return;
    }
    char random[RANDOM_TEXT_MAX], logic[16];
    random_text(random);
    snprintf(part->token, sizeof part->token, "%" PRIx64 "-%s", (uint64_t)loop_wall_ms(shard->loop),
             random);
    snprintf(logic, sizeof logic, "%d", LOGIC_VERSION);
    struct bytes header[HEADER_COUNT] = {
        [HEADER_V] = BYTES_LIT(MESSAGE_VERSION),
        [HEADER_TYPE] = bytes_of(event_type_name(EVENT_OWNER_CLAIM)),
        [HEADER_CLAIM] = bytes_of(part->token),
        [HEADER_GEN] = bytes_of(part->gen),
        [HEADER_LOGIC] = bytes_of(logic),
        [HEADER_WORKER] = bytes_of(shard->name),
    };
    struct err e;
    part->claim_waiter.done = on_claimed;
    part->claim_life = part->life;
    if (!bus_send(shard->bus,
                  &(struct bus_message){ .topic = shard->events_topic,
                                         .partition = part->id,
                                         .key = BYTES_LIT("claim"),
                                         .header = header },
                  &part->claim_waiter, &e)) {
        partition_reload(part, 5 * RETRY_MS, e.text);
        return;
    }
    part->claim_pending = true;
    partition_await(part);
}

/* --- 2. the ends of the log, 1. the generation and what Redis knows of the log --- */

static void on_offsets(void *user, int64_t start, int64_t end, const struct err *e)
{
    struct partition *part = answered(user);
    if (!part) return;
    if (e) {
        partition_reload(part, 5 * RETRY_MS, e->text);
        return;
    }
    part->log_start = start;
    if (part->known.epoch >= end || part->known.off > end) {
        AUTO_FREE char *why =
            xasprintf("Redis stands at offset %lld (claim %lld), but the log ends at %lld: the "
                      "topic was made anew or lost records",
                      (long long)part->known.off, (long long)part->known.epoch, (long long)end);
        partition_halt(part, why);
        return;
    }
    if (part->known.claim[0] && part->known.epoch >= start)
        genesis_check(part, part->known.epoch, part->known.claim, send_claim);
    else
        send_claim(part);
}

static int64_t known_number(const struct store_reply *text)
{
    return store_string(text).len ? store_integer(text) : -1;
}

static void on_generation(void *user, enum store_status status, const struct store_reply *reply)
{
    struct partition *part = answered(user);
    if (!part || refused(part, status, reply)) return;
    generation_make(part->gen, store_run_id(part->shard->store), store_string(store_at(reply, 0)));
    part->known.epoch = known_number(store_at(reply, 1));
    part->known.off = known_number(store_at(reply, 2));
    copy_text(part->known.claim, sizeof part->known.claim, store_string(store_at(reply, 3)));
    part->accept_loss = known_number(store_at(reply, 4));
    bus_offsets(part->shard->bus, part->shard->events_topic, part->id, on_offsets, ask_new(part));
}

void partition_claim(struct partition *part)
{
    part->state = PARTITION_CLAIMING;
    if (!store_connected(part->shard->store)) { /* a claim that cannot be followed by a takeover
                                                   only disturbs the log */
        partition_retry(part, RETRY_MS, partition_claim);
        return;
    }
    char value[RANDOM_TEXT_MAX];
    random_text(value);
    struct args args = { 0 };
    args_add_key(&args, part, key_partition);
    args_add(&args, bytes_of(value));
    call(part, SCRIPT_GENERATION, 1, &args, on_generation, ask_new(part));
}
