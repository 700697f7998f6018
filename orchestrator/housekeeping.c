/* SPDX-License-Identifier: Apache-2.0
 *
 * What time brings to a running partition: timers that are due become events, finished runs leave
 * by an event, the offset is told to Kafka for lag tools, and a quiet partition still compares its
 * place with Redis, or a rewind of it would never be noticed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mutant.h"
#include "orchestrator/internal.h"

#define FIRE_MAX 256
#define REFIRE_MS                                                                  \
    (30 * SECOND_MS) /* a timer event that nobody folded by then is appended again \
                      */
#define CHECK_MS          (2 * SECOND_MS)
#define ADVISE_MS         200 /* after a loss of Redis results of so long are sent again */
#define EXPIRE_MAX        256
#define EXPIRE_PARTITIONS 2
#define EXPIRE_GUARD_MS   (30 * SECOND_MS)

static bool append(struct partition *part, enum event_type type, struct bytes run_id,
                   const char *due_text)
{
    struct shard *shard = part->shard;
    struct bytes header[HEADER_COUNT] = {
        [HEADER_V] = BYTES_LIT(MESSAGE_VERSION),
        [HEADER_TYPE] = bytes_of(event_type_name(type)),
        [HEADER_RUN_ID] = run_id,
        [HEADER_DUE_MS] = bytes_of(due_text),
    };
    struct err e;
    if (!bus_send(shard->bus,
                  &(struct bus_message){ .topic = shard->events_topic,
                                         .partition = part->id,
                                         .key = run_id_route(run_id),
                                         .header = header },
                  &part->appended, &e))
        return false; /* the queue is full: later */
    partition_await(part);
    return true;
}

void partition_fire_timers(struct partition *part)
{
    int64_t now = loop_wall_ms(part->shard->loop);
    for (int i = 0; i < FIRE_MAX; i++) {
        struct due *due = timers_first(&part->timers);
        if (!due || due->due_ms > now) return;
        char text[24];
        snprintf(text, sizeof text, "%" PRId64, due->due_ms);
        if (!append(part, EVENT_TIMER_FIRED, bytes_of(due->id), text)) return;
        timers_set(&part->timers, due->id,
                   now + REFIRE_MS); /* the fold of the event sets it right */
    }
}

struct check {
    struct partition *part;
    uint32_t life;
    int64_t expected_off;
};

/* The event names the end that it is about, by when that was due: a run that is revived meanwhile
 * and ends again stays for as long as any other. */
static void expire(struct partition *part, const struct store_reply *runs)
{
    for (size_t i = 0; i + 1 < store_count(runs); i += 2) {
        struct bytes id = store_string(store_at(runs, i)),
                     due = store_string(store_at(runs, i + 1));
        AUTO_FREE char *text = xstrndup(due.data ? due.data : "", due.len);
        if (!run_id_check(id) || !append(part, EVENT_RUN_EXPIRED, id, text)) continue;
        part->expiring++;
        part->expiring_ms = loop_now_ms(part->shard->loop);
    }
}

/* Its share of what finished runs may hold. Above it the oldest leave when there is nothing else to
 * do (a run that leaves costs as much as a step or two), above twice as much as fast as they can.
 */
static int64_t finished_bytes_max(const struct partition *part)
{
    const struct shard_options *o = &part->shard->options;
    return (int64_t)(o->retention_bytes_max / (uint64_t)o->partitions);
}

static bool at_leisure(const struct partition *part)
{
    return part->inbox_count == 0 && part->shard->waves == 0;
}

/* Redis names a run until the commit that deletes it: asked before, it would be told to leave
 * again. */
static bool expired_all(const struct partition *part)
{
    return part->expiring == 0 && part->off >= part->expired_off;
}

/* Each run is read whole before it is deleted: those of all partitions at once are tens of
 * megabytes. */
static bool expiry_fits(const struct shard *shard)
{
    int leaving = 0;
    for (int32_t p = 0; p < shard->options.partitions; p++) {
        const struct partition *part = shard->partitions[p];
        if (part && (part->checking || part->expiring > 0)) leaving++;
    }
    return leaving < EXPIRE_PARTITIONS;
}

static void on_place(void *user, enum store_status status, const struct store_reply *reply)
{
    struct check check = *(struct check *)user;
    free(user);
    struct partition *part = check.part;
    if (!partition_reply(part, check.life)) return;
    part->checking = false;
    if (status != STORE_OK || part->commits_fail) return; /* asked again in a moment */
    if (!MUTANT(RULE_4) && (store_integer(store_at(reply, 0)) != part->epoch ||
                            store_integer(store_at(reply, 1)) != check.expected_off)) {
        partition_displaced(part, store_integer(store_at(reply, 0)),
                            "Redis stands at another place than this owner");
        return;
    }
    part->overfull = store_integer(store_at(reply, 3)) > 2 * finished_bytes_max(part);
    if (expired_all(part)) expire(part, store_at(reply, 2));
}

static void check_place(struct partition *part)
{
    struct shard *shard = part->shard;
    struct args args = { 0 };
    args_add_key(&args, part, key_partition);
    args_add_key(&args, part, key_finished);
    args_add_int(&args, loop_wall_ms(shard->loop));
    args_add_int(&args, (at_leisure(part) ? 1 : 2) * finished_bytes_max(part));
    args_add_int(&args, EXPIRE_MAX);
    struct check *check = xcalloc(1, sizeof *check);
    *check = (struct check){ .part = part, .life = part->life, .expected_off = part->sent_off };
    part->checking = true;
    partition_await(part);
    AUTO_FREE struct bytes *argv = args_views(&args);
    store_script(shard->store, shard_script(shard, SCRIPT_PLACE), 2, argv, args.count, on_place,
                 check);
    args_done(&args);
}

/* The checks of a shard's partitions are spread over the time between two, so that a wipe, which
 * concerns all of them, is noticed by the next one soon. */
static uint64_t check_phase(const struct partition *part)
{
    const struct shard_options *o = &part->shard->options;
    return (uint64_t)part->id * CHECK_MS / (uint64_t)o->partitions;
}

void partition_make_room(struct partition *part)
{
    struct shard *shard = part->shard;
    if (!part->overfull || part->checking || part->state != PARTITION_RUNNING) return;
    if (expired_all(part) && expiry_fits(shard) && store_connected(shard->store)) check_place(part);
}

void partition_housekeep(struct partition *part)
{
    struct shard *shard = part->shard;
    if (part->state != PARTITION_RUNNING) return;
    partition_fire_timers(part);
    schedules_fire(part);
    snapshot_tick(part);
    uint64_t now = loop_now_ms(shard->loop);
    if (part->expiring > 0 && now - part->expiring_ms > EXPIRE_GUARD_MS) part->expiring = 0;
    /* Only when no commit is under way and failing: a commit that is asked again tells the same. */
    bool due = now - part->checked_ms >= CHECK_MS;
    if (!part->checking && due && store_connected(shard->store)) {
        part->checked_ms = now - (now - check_phase(part)) % CHECK_MS;
        check_place(part);
    }
    int64_t off = MUTANT(EARLY_NOTE) ? part->fold_off : part->off;
    if (off == part->advised_off || now - part->advised_ms < ADVISE_MS) return;
    part->advised_ms = now;
    char note[BUS_NOTE_MAX];
    recovery_note_make(part, note);
    bus_commit_noted(shard->group, shard->events_topic, part->id, off, note);
    part->advised_off = off;
}
