/* SPDX-License-Identifier: Apache-2.0
 *
 * Caution (docs/protocol.md): after the third takeover at one place an event may be crashing its
 * owners. Then events are folded one at a time, each marked in Redis before it is touched, with the
 * name of the process, and unmarked right after its fold came back; one that two other processes
 * have marked is put into quarantine: it goes to the dead-letter topic, its run is paused as an
 * incident, and the partition goes on. That an event is in quarantine is a record of the topic
 * `snapshots`, because the log alone would have a later replay crash again. After CALM_COMMITS
 * clean commits caution ends. */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/snapshot.h"

#define CALM_COMMITS 1000
#define MARKS_MAX    2 /* found so often, it is quarantined */
#define HOPELESS     4 /* even its quarantine crashes: then its run is not touched */

const char *partition_quarantined(const struct partition *part, int64_t offset)
{
    for (size_t i = 0; i < part->quarantined_count; i++)
        if (part->quarantined[i].offset == offset) return part->quarantined[i].why;
    return NULL;
}

struct ask {
    struct partition *part;
    uint32_t life;
    int64_t offset; /* -1: nobody waits for the answer */
};

static void on_answer(void *user, enum store_status status, const struct store_reply *reply)
{
    struct ask ask = *(struct ask *)user;
    free(user);
    struct partition *part = ask.part;
    if (!partition_reply(part, ask.life) || ask.offset < 0) return;
    if (status !=
        STORE_OK) { /* the same process's mark counts once, however often it is asked for */
        partition_resume_in(part, RETRY_MS);
        return;
    }
    part->trying = false;
    if (!bytes_is(store_string(store_at(reply, 0)), "OK")) {
        partition_displaced(part, INT64_MAX, "another owner has taken over");
        return;
    }
    part->tried_off = ask.offset;
    part->tried_count = (uint32_t)store_integer(store_at(reply, 1));
    if (part->recovery) recovery_pump(part);
}

static void tell(struct partition *part, int64_t offset, const char *what)
{
    struct shard *shard = part->shard;
    struct args args = { 0 };
    args_add_key(&args, part, key_partition);
    args_add_int(&args, part->epoch);
    args_add_int(&args, offset);
    args_add(&args, bytes_of(what));
    args_add(&args, bytes_of(shard->instance));
    struct ask *ask = xcalloc(1, sizeof *ask);
    *ask = (struct ask){ .part = part,
                         .life = part->life,
                         .offset = strcmp(what, "trying") == 0 ? offset : -1 };
    partition_await(part);
    AUTO_FREE struct bytes *argv = args_views(&args);
    store_script(shard->store, shard_script(shard, SCRIPT_TRYING), 1, argv, args.count, on_answer,
                 ask);
    args_done(&args);
}

bool caution_holds(const struct partition *part, int64_t offset)
{
    return part->caution >= 0 && offset >= part->caution;
}

bool caution_passes(struct partition *part, int64_t offset)
{
    if (part->tried_off == offset) return true;
    if (part->trying || part->batch_count > 0) return false;
    part->trying = true;
    tell(part, offset, "trying");
    return false;
}

void caution_survived(struct partition *part)
{
    tell(part, part->tried_off, "survived");
}

void caution_committed(struct partition *part)
{
    if (part->caution < 0 || part->off <= part->caution || ++part->clean_commits < CALM_COMMITS)
        return;
    part->caution = -1;
    tell(part, 0, "calm");
    log_info(&part->log, "partition.calm",
             "%d commits went well: events are folded in batches again", CALM_COMMITS);
}

/* --- quarantine --- */

bool caution_quarantines(const struct partition *part, int64_t offset)
{
    if (partition_quarantined(part, offset)) return true;
    return caution_holds(part, offset) && part->tried_off == offset &&
           part->tried_count > MARKS_MAX;
}

static void announce(struct batch *b, const struct item *item, const char *why)
{
    struct partition *part = b->part;
    struct bus_record record = bus_held_record(item->held);
    if (dlq_send(part->shard, &record, "quarantined", why, &b->outputs->waiter))
        outputs_await(b, 1);
    else
        b->failed = true;
    uint32_t sent = snapshot_send(part, SNAPSHOT_QUARANTINE, item->offset, item->offset, NULL,
                                  bytes_of(why), &b->outputs->waiter);
    outputs_await(b, sent);
    b->failed |= sent == 0;
    log_error(&part->log, "event.quarantined", "%.*s, offset %lld: %s", (int)item->ev.run_id.len,
              item->ev.run_id.data, (long long)item->offset, why);
}

void caution_quarantine(struct batch *b, struct entry *entry, const struct item *item,
                        const struct fold_context *cx, struct effects *fx)
{
    struct partition *part = b->part;
    char made[160];
    const char *known = partition_quarantined(part, item->offset), *why = known ? known : made;
    snprintf(made, sizeof made, "the event %s at offset %lld of %s/%d crashed its owner %d times",
             event_type_name(item->ev.type), (long long)item->offset, part->shard->events_topic,
             part->id, MARKS_MAX);
    if (!known || item->offset >= part->doubt_off) announce(b, item, why);
    bool hopeless = !known && part->tried_off == item->offset && part->tried_count > HOPELESS;
    if (entry->run && !hopeless) engine_pause(entry->run, why, cx, fx);
}

void caution_put_aside(struct batch *b, struct entry *entry, const struct item *item,
                       const char *why, const struct fold_context *cx, struct effects *fx)
{
    announce(b, item, why);
    if (entry->run) engine_pause(entry->run, why, cx, fx);
}
