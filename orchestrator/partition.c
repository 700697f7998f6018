/* SPDX-License-Identifier: Apache-2.0
 *
 * A partition's life: its inbox, its state, and what drops its memory (reload, revoke). Replies
 * that were asked for in an earlier life are recognised by their number and ignored. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "orchestrator/internal.h"

static const char *const state_names[] = {
#define X(name, text) [PARTITION_##name] = text,
    PARTITION_STATES(X)
#undef X
};

static void on_retry(struct loop_timer *t)
{
    struct partition *part = t->user;
    part->retry_fn(part);
}

static void on_appended(struct bus_waiter *w, const struct bus_delivery *d)
{
    /* A timer event that got lost is appended again when its guard time is over. */
    struct partition *part = CONTAINER_OF(w, struct partition, appended);
    (void)d;
    partition_reply(part, part->life);
}

struct partition *partition_new(struct shard *shard, int32_t id)
{
    struct partition *part = xcalloc(1, sizeof *part);
    part->shard = shard;
    part->id = id;
    part->log = log_with_int(&shard->log, "partition", id);
    part->retry = (struct loop_timer){ .on_due = on_retry, .user = part };
    part->appended.done = on_appended;
    part->load_round = 1;
    part->caution = part->tried_off = part->floor = part->accept_loss = -1;
    part->results_next = -1;
    partition_claim(part);
    return part;
}

int32_t partition_results(const struct partition *part)
{
    return part->id % part->shard->results_partitions;
}

void partition_set_state(struct partition *part, enum partition_state state)
{
    log_debug(&part->log, "partition.state", "%s -> %s at offset %lld", state_names[part->state],
              state_names[state], (long long)part->fold_off);
    if (state == PARTITION_RUNNING) part->halted = false;
    if (state == PARTITION_RUNNING)
        log_info(&part->log, "partition.running", "recovered up to our claim at offset %lld",
                 (long long)part->epoch);
    part->state = state;
}

void partition_retry(struct partition *part, uint32_t wait_ms, void (*fn)(struct partition *part))
{
    part->retry_fn = fn;
    loop_arm(part->shard->loop, &part->retry, wait_ms);
}

static void resume(struct partition *part)
{
    part->load_round++;
    part->prepared = 0;
    part->trying = false;
    batches_advance(part);
    recovery_pump(part);
}

void partition_resume_in(struct partition *part, uint32_t wait_ms)
{
    if (!loop_armed(&part->retry)) partition_retry(part, wait_ms, resume);
}

void partition_await(struct partition *part)
{
    part->replies_pending++;
}

bool partition_reply(struct partition *part, uint32_t life)
{
    ASSERT(part->replies_pending > 0);
    part->replies_pending--;
    bool same = life == part->life && !part->revoked;
    if (part->revoked) partition_bury(part);
    return same;
}

/* --- the inbox --- */

struct item *partition_item(struct partition *part, size_t i)
{
    ASSERT(i < part->inbox_count);
    return part->inbox[(part->inbox_first + i) & (part->inbox_cap - 1)]; /* a power of two */
}

static void inbox_grow(struct partition *part)
{
    size_t cap = part->inbox_cap ? 2 * part->inbox_cap : 64;
    struct item **bigger = xcalloc(cap, sizeof(struct item *));
    for (size_t i = 0; i < part->inbox_count; i++) bigger[i] = partition_item(part, i);
    free(part->inbox);
    part->inbox = bigger;
    part->inbox_cap = cap;
    part->inbox_first = 0;
}

void partition_record(struct partition *part, const struct bus_record *r)
{
    if (part->state != PARTITION_RECOVERING && part->state != PARTITION_REISSUING &&
        part->state != PARTITION_RUNNING)
        return; /* of a position that a reload has left */
    if (part->inbox_count == part->inbox_cap) inbox_grow(part);
    struct item *item = xcalloc(1, sizeof *item);
    part->inbox[(part->inbox_first + part->inbox_count++) & (part->inbox_cap - 1)] = item;
    struct err e = { 0 };
    item->held = bus_record_hold(r);
    item->offset = r->offset;
    item->record_ms = r->timestamp_ms;
    item->bytes = (uint32_t)r->message.value.len;
    item->verdict = event_decode(&r->message, &item->ev, &e);
    item->reason = item->verdict == EVENT_OK ? NULL : xstrdup(e.text);
    part->claim_checks += item->ev.claim_check;
}

static void item_release(struct partition *part, size_t i)
{
    struct item *item = partition_item(part, i);
    part->claim_checks -= item->ev.claim_check || item->payload;
    (void)payload_free(item->payload);
    bus_record_release(item->held);
    free(item->reason);
    free(item);
}

void partition_consume(struct partition *part, size_t count)
{
    for (size_t i = 0; i < count; i++) item_release(part, i);
    part->inbox_count -= count;
    part->prepared -= MIN(part->prepared, count);
    part->inbox_first = part->inbox_count ? (part->inbox_first + count) % part->inbox_cap : 0;
    if (part->state == PARTITION_RUNNING) { /* less is read ahead than in its recovery */
        size_t kept = MIN(part->credit_extra, count);
        part->credit_extra -= kept;
        count -= kept;
    }
    if (count) bus_credit(part->shard->group, part->shard->events_topic, part->id, (uint32_t)count);
}

static void inbox_clear(struct partition *part)
{
    for (size_t i = 0; i < part->inbox_count; i++) item_release(part, i);
    part->inbox_count = part->inbox_first = part->prepared = 0;
}

/* --- life and death --- */

/* All that this life knows is given up; what is under way comes back to nobody. */
static void drop_memory(struct partition *part)
{
    part->life++;
    loop_disarm(part->shard->loop, &part->retry);
    genesis_abandon(part);
    rebuild_abandon(part);
    snapshot_abandon(part);
    inbox_clear(part);
    batches_abandon(part);
    recovery_free(part);
    cache_drop_partition(part);
    timers_done(&part->timers);
    ledger_done(&part->ledger);
    args_done(&part->doubtful);
    part->checking = part->waits_for_definition = part->trying = part->commits_fail = false;
    part->expiring = part->freed_count = 0;
    part->caution = part->tried_off = part->floor = -1;
    part->tried_count = part->clean_commits = 0;
}

void partition_reload(struct partition *part, uint32_t wait_ms, const char *why)
{
    log_warn(&part->log, "partition.reload",
             "%s: memory is dropped and the partition claimed again", why);
    partition_retry_claim(part, wait_ms);
}

void partition_displaced(struct partition *part, int64_t epoch, const char *why)
{
    unsigned char jitter = 0;
    bool other = epoch > part->epoch;
    struct shard *shard = part->shard;
    for (int32_t p = 0; !other && p < shard->options.partitions; p++)
        if (shard->partitions[p]) shard->partitions[p]->checked_ms = 0; /* a wipe is one of all */
    if (other) random_bytes(&jitter, 1);
    partition_reload(part, other ? 1000 + 8u * jitter : 0, why);
}

#ifdef TUTTI_MUTANTS
/* What a failed delivery must not lead to. */
void partition_seek_back(struct partition *part)
{
    bool running = part->state == PARTITION_RUNNING;
    int64_t off = part->off;
    if (!running) {
        partition_reload(part, RETRY_MS, "an output was not delivered");
        return;
    }
    drop_memory(part);
    part->fold_off = part->sent_off = off;
    bus_read(part->shard->group, part->shard->events_topic, part->id, off, CREDIT_RECORDS);
}
#endif

void partition_retry_claim(struct partition *part, uint32_t wait_ms)
{
    drop_memory(part);
    partition_set_state(part, PARTITION_CLAIMING);
    partition_retry(part, wait_ms, partition_claim);
}

void partition_halt(struct partition *part, const char *why)
{
    if (!part->halted) log_error(&part->log, "partition.halted", "%s", why);
    part->halted = true;
    drop_memory(part);
    partition_set_state(part, PARTITION_HALTED);
    partition_retry(part, HALT_MS, partition_claim);
}

void partition_revoke(struct partition *part)
{
    struct shard *shard = part->shard;
    /* The less is left in doubt, the less its new owner has to look at. */
    if (part->state == PARTITION_RUNNING) fold_close(part);
    drop_memory(part);
    part->revoked = true;
    shard->partitions[part->id] = NULL;
    part->next_buried = shard->buried;
    shard->buried = part;
    partition_bury(part);
}

void partition_bury(struct partition *part)
{
    if (!part->revoked || part->replies_pending > 0) return;
    struct partition **link = &part->shard->buried;
    while (*link != part) link = &(*link)->next_buried;
    *link = part->next_buried;
    free(part->inbox);
    for (size_t i = 0; i < part->quarantined_count; i++) free(part->quarantined[i].why);
    free(part->quarantined);
    free(part->freed);
    free(part);
}

void partition_pump(struct partition *part)
{
    if (part->state == PARTITION_RECOVERING || part->state == PARTITION_REISSUING)
        recovery_pump(part);
    else if (part->state == PARTITION_RUNNING)
        fold_prepare(part);
}

void partition_fold(struct partition *part, struct wave *wave)
{
    struct shard *shard = part->shard;
    bool folded = false;
    while (part->state == PARTITION_RUNNING && part->inbox_count > 0 &&
           (fold_open(part) || part->batch_count < PIPELINE_MAX) &&
           bus_pending(shard->bus) < SHARD_PENDING_MAX) {
        if (!fold_batch(part, wave, false, INT64_MAX)) break;
        folded = true;
    }
    /* A run that has more to begin is due at once, and does not wait for the next tick. */
    if (folded && part->state == PARTITION_RUNNING) partition_fire_timers(part);
}
