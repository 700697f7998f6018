/* SPDX-License-Identifier: Apache-2.0
 *
 * Schedules fire here. All runs of a schedule have one start key, so they lie in one partition, and
 * its owner fires it. What was fired last and whether somebody has paused it stands in the ledger
 * under "s:<workflow>/<name>" (common/proto/ledger.h), folded from the very starts; the clock only
 * decides when to append one. They are appended one by one: the next when the one before has been
 * folded, so that nobody, also not an owner that is gone without knowing it, can overtake a time
 * that is still to come into the log. One that comes twice is not later than the last. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/definition/firing.h"
#include "common/proto/ledger.h"
#include "orchestrator/internal.h"

#define REFIRE_MS (30 * SECOND_MS) /* a start that nobody folded by then is appended again */

struct schedule {
    struct schedule *next; /* of its partition */
    const struct definition *def;
    const struct trigger_def *trigger;
    int64_t deployed_ms;
    struct cron cron;
    struct zone *zone;
    char id[SCHEDULE_ID_MAX];
    int64_t base_ms, look_ms; /* nothing is due behind base_ms before look_ms */
    int64_t sent_ms;          /* the planned time that was appended last */
    uint64_t sent_at_ms;
    uint32_t sent_life;
};

/* --- the fold --- */

static struct ledger_item *state_find(struct ledger *l, struct bytes id, bool make)
{
    AUTO_BUF struct buf name = { 0 };
    schedule_name(&name, id);
    return make ? ledger_make(l, buf_bytes(&name)) : ledger_find(l, buf_bytes(&name));
}

static void state_set(struct ledger *l, struct ledger_item *entry,
                      const struct schedule_state *state)
{
    buf_reset(&entry->value);
    schedule_encode(&entry->value, state);
    ledger_touch(l, entry);
}

bool schedules_start(struct ledger *l, const struct event *ev)
{
    if (!ev->schedule.data) return true;
    struct ledger_item *entry = state_find(l, ev->schedule, true);
    struct schedule_state state = schedule_decode(buf_bytes(&entry->value));
    if (ev->due_ms <= state.last_ms) return false; /* it was fired already */
    state.last_ms = ev->due_ms;
    state_set(l, entry, &state);
    return state.paused != SCHEDULE_PAUSED;
}

void schedules_control(struct ledger *l, const struct event *ev, int64_t record_ms)
{
    struct ledger_item *entry = state_find(l, ev->schedule, true);
    struct schedule_state state = schedule_decode(buf_bytes(&entry->value));
    bool pause = ev->type == EVENT_SCHEDULE_PAUSED;
    state.paused = pause ? SCHEDULE_PAUSED : SCHEDULE_RESUMED;
    if (!pause) state.last_ms = MAX(state.last_ms, record_ms); /* what was paused was not missed */
    state_set(l, entry, &state);
}

/* --- which there are --- */

static void schedule_free(struct schedule *s)
{
    zone_free(s->zone);
    free(s);
}

void schedules_close(struct shard *shard)
{
    for (int32_t p = 0; shard->schedules && p < shard->options.partitions; p++) {
        while (shard->schedules[p]) {
            struct schedule *s = shard->schedules[p];
            shard->schedules[p] = s->next;
            schedule_free(s);
        }
    }
    free(TAKE(shard->schedules));
}

static void schedule_add(struct shard *shard, const struct definition *def,
                         const struct trigger_def *trigger)
{
    char run[RUN_ID_MAX];
    struct err e;
    struct schedule *s = xcalloc(1, sizeof *s);
    s->def = def;
    s->trigger = trigger;
    s->deployed_ms = catalogue_deployed_ms(shard->catalogue, def);
    schedule_id(def, trigger, s->id);
    s->zone = zone_load(trigger->schedule->timezone, &e);
    if (!s->zone || !cron_parse(trigger->schedule->cron, &s->cron, NULL, &e)) {
        log_error(&shard->log, "schedule.unusable", "%s does not fire here: %s", s->id, e.text);
        schedule_free(s);
        return;
    }
    schedule_run_id(def, trigger, 0, run);
    int32_t p = partition_of(run_id_route(bytes_of(run)), shard->options.partitions);
    s->next = shard->schedules[p];
    shard->schedules[p] = s;
}

void schedules_update(struct shard *shard)
{
    schedules_close(shard);
    shard->schedules = xcalloc((size_t)shard->options.partitions, sizeof(struct schedule *));
    size_t pos = 0;
    for (const struct definition *def; (def = catalogue_next_latest(shard->catalogue, &pos));)
        for (uint32_t i = 0; i < def->trigger_count; i++)
            if (def->triggers[i].schedule) schedule_add(shard, def, &def->triggers[i]);
}

/* --- firing --- */

/* A start whose input cannot be made is sent as one that fails, so that it is seen. */
static bool append(struct partition *part, const struct schedule *s, int64_t planned_ms)
{
    struct shard *shard = part->shard;
    struct bytes header[HEADER_COUNT];
    struct err e = { 0 }, why = { 0 };
    CLEANUP(firing_done) struct firing firing = { 0 };
    char due[24];
    bool made = firing_make(s->def, s->trigger, planned_ms, &firing, &why);
    if (!made) buf_reset(&firing.input);
    firing_headers(s->def, s->trigger->policy, &firing, header);
    snprintf(due, sizeof due, "%" PRId64, planned_ms);
    header[HEADER_SCHEDULE] = bytes_of(s->id);
    header[HEADER_DUE_MS] = bytes_of(due);
    if (!made) header[HEADER_REFUSED] = bytes_of(why.text);
    if (!bus_send(shard->bus,
                  &(struct bus_message){ .topic = shard->events_topic,
                                         .partition = part->id,
                                         .key = run_id_route(bytes_of(firing.run_id)),
                                         .value = buf_bytes(&firing.input),
                                         .header = header },
                  &part->appended, &e))
        return false; /* the queue is full: later */
    partition_await(part);
    return true;
}

static void fire(struct partition *part, struct schedule *s, int64_t now_ms)
{
    const struct ledger_item *entry = state_find(&part->ledger, bytes_of(s->id), false);
    struct schedule_state state = schedule_decode(entry ? buf_bytes(&entry->value) : BYTES_LIT(""));
    bool paused = state.paused == SCHEDULE_BY_DEFINITION ? s->trigger->schedule->paused
                                                         : state.paused == SCHEDULE_PAUSED;
    uint64_t mono = loop_now_ms(part->shard->loop);
    if (paused) return;
    if (s->sent_life == part->life && s->sent_ms > state.last_ms &&
        mono - s->sent_at_ms < REFIRE_MS)
        return; /* on its way */
    int64_t base = MAX(state.last_ms, s->deployed_ms);
    if (s->base_ms == base && now_ms < s->look_ms) return;
    s->base_ms = base;
    int64_t planned =
        schedule_due(s->trigger->schedule, &s->cron, s->zone, base, now_ms, &s->look_ms);
    if (planned < 0 || !append(part, s, planned)) return;
    log_debug(&part->log, "schedule.fired", "%s for %" PRId64, s->id, planned);
    s->look_ms = now_ms;
    s->sent_ms = planned;
    s->sent_at_ms = mono;
    s->sent_life = part->life;
}

void schedules_fire(struct partition *part)
{
    struct shard *shard = part->shard;
    if (!shard->schedules) return;
    int64_t now_ms = loop_wall_ms(shard->loop);
    for (struct schedule *s = shard->schedules[part->id]; s; s = s->next) fire(part, s, now_ms);
}
