/* SPDX-License-Identifier: Apache-2.0
 *
 * Upstream topics start runs. A record becomes an `event` (CloudEvents in binary or structured
 * mode, or plain JSON as its data); each latest definition with a trigger on that topic filters it,
 * maps it to an input, and names a start key. The start is appended to `events` and acknowledged
 * before the record's offset is committed; doing a record twice is harmless, because a start
 * without a key takes its run id from the record's place, and one with a key is idempotent. What
 * cannot be read goes to the dead-letter topic. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "orchestrator/internal.h"
#include "orchestrator/trigger_start.h"

#define TRIGGER_CREDIT 256

/* A record whose starts are not all acknowledged yet. */
struct pending {
    struct pending *next;
    struct source *source;
    struct bus_waiter waiter;
    int64_t offset;
    size_t acks_missing;
    bool failed, abandoned;
};

struct source { /* an assigned partition of an upstream topic */
    struct triggers *triggers;
    struct source *next;
    char *topic;
    int32_t partition;
    struct pending *first, *last;
    struct loop_timer again;
    int64_t again_from;
};

struct triggers {
    struct shard *shard;
    struct bus_group *group;
    struct source *sources;
    char **topics;
    size_t topic_count;
};

/* --- bookkeeping --- */

static struct source *source_find(struct triggers *t, const char *topic, int32_t partition)
{
    for (struct source *s = t->sources; s; s = s->next)
        if (s->partition == partition && strcmp(s->topic, topic) == 0) return s;
    return NULL;
}

static void pending_abandon(struct source *s)
{
    while (s->first) {
        struct pending *p = s->first;
        s->first = p->next;
        p->abandoned = true;
        if (p->acks_missing == 0) free(p);
    }
    s->last = NULL;
}

static void source_free(struct source *s)
{
    loop_disarm(s->triggers->shard->loop, &s->again);
    pending_abandon(s);
    free(s->topic);
    free(s);
}

static void on_again(struct loop_timer *timer)
{
    struct source *s = timer->user;
    bus_read(s->triggers->group, s->topic, s->partition, s->again_from, TRIGGER_CREDIT);
}

/* The record at offset could not be handed on: read from it again in a moment. */
static void source_again(struct source *s, int64_t offset)
{
    pending_abandon(s);
    s->again_from = offset;
    loop_arm(s->triggers->shard->loop, &s->again, 5 * RETRY_MS);
}

static void source_advance(struct source *s)
{
    while (s->first && s->first->acks_missing == 0) {
        struct pending *p = s->first;
        if (p->failed) {
            source_again(s, p->offset);
            return;
        }
        s->first = p->next;
        if (!s->first) s->last = NULL;
        bus_commit(s->triggers->group, s->topic, s->partition, p->offset + 1);
        free(p);
    }
}

static void on_appended(struct bus_waiter *w, const struct bus_delivery *d)
{
    struct pending *p = CONTAINER_OF(w, struct pending, waiter);
    p->acks_missing--;
    p->failed |= d->error != NULL;
    if (p->acks_missing > 0) return;
    if (p->abandoned)
        free(p);
    else
        source_advance(p->source);
}

/* --- one start --- */

static bool send_start(struct pending *p, const struct definition *def,
                       const struct trigger_start *start, struct err *e)
{
    struct shard *shard = p->source->triggers->shard;
    struct bytes header[HEADER_COUNT];
    trigger_start_headers(def, start, header);
    struct bytes route = run_id_route(bytes_of(start->run_id));
    if (!bus_send(
            shard->bus,
            &(struct bus_message){ .topic = shard->events_topic,
                                   .partition = partition_of(route, shard->options.partitions),
                                   .key = route,
                                   .value = buf_bytes(&start->input),
                                   .header = header },
            &p->waiter, e))
        return false;
    p->acks_missing++;
    return true;
}

/* ERR_UNAVAILABLE: try the record again; another error: the record is at fault. */
static bool start_by(struct pending *p, const struct definition *def,
                     const struct trigger_def *trigger, json_t *event, const struct bus_record *r,
                     struct err *e)
{
    CLEANUP(trigger_start_done) struct trigger_start start = { 0 };
    return trigger_start_make(def, trigger, event, r, &start, e) &&
           (!start.wanted || send_start(p, def, &start, e));
}

static bool start_all(struct pending *p, const struct bus_record *r, struct err *e)
{
    struct shard *shard = p->source->triggers->shard;
    json_t *event = trigger_event(r, e);
    if (!event) return err_prefix(e, "the value is no JSON");
    size_t pos = 0;
    bool ok = true;
    for (const struct definition *def; ok && (def = catalogue_next_latest(shard->catalogue, &pos));)
        for (uint32_t i = 0; ok && i < def->trigger_count; i++)
            if (def->triggers[i].topic && strcmp(def->triggers[i].topic, r->topic) == 0)
                ok = start_by(p, def, &def->triggers[i], event, r, e);
    json_decref(event);
    return ok;
}

static void dead_letter(struct pending *p, const struct bus_record *r, const struct err *why)
{
    if (dlq_send(p->source->triggers->shard, r, "trigger", why->text, &p->waiter))
        p->acks_missing++;
    else
        p->failed = true;
}

static void on_record(void *user, const struct bus_record *r)
{
    struct triggers *t = user;
    struct source *s = source_find(t, r->topic, r->partition);
    if (!s || loop_armed(&s->again)) return; /* to be read again from an earlier record */
    struct pending *p = xcalloc(1, sizeof *p);
    *p = (struct pending){ .source = s, .offset = r->offset, .waiter = { .done = on_appended } };
    if (s->last)
        s->last->next = p;
    else
        s->first = p;
    s->last = p;
    struct err e;
    if (!start_all(p, r, &e)) {
        if (e.kind == ERR_UNAVAILABLE)
            p->failed = true;
        else
            dead_letter(p, r, &e);
    }
    bus_credit(t->group, r->topic, r->partition, 1);
    source_advance(s);
}

/* --- membership --- */

static void on_assign(void *user, const char *topic, int32_t partition)
{
    struct triggers *t = user;
    struct source *s = xcalloc(1, sizeof *s);
    *s = (struct source){
        .triggers = t, .next = t->sources, .topic = xstrdup(topic), .partition = partition
    };
    s->again = (struct loop_timer){ .on_due = on_again, .user = s };
    t->sources = s;
    bus_read(t->group, topic, partition, BUS_COMMITTED, TRIGGER_CREDIT);
}

static void on_revoke(void *user, const char *topic, int32_t partition, bool lost)
{
    struct triggers *t = user;
    (void)lost;
    struct source *s = source_find(t, topic, partition);
    if (!s) return;
    struct source **link = &t->sources;
    while (*link != s) link = &(*link)->next;
    *link = s->next;
    source_free(s);
}

static void on_error(void *user, const char *topic, int32_t partition, const struct err *e)
{
    struct triggers *t = user;
    log_warn(&t->shard->log, "trigger.read", "%s/%d: %s", topic, partition, e->text);
    if (e->kind == ERR_NOT_FOUND) bus_read(t->group, topic, partition, BUS_START, TRIGGER_CREDIT);
}

static bool has_topic(const struct triggers *t, const char *topic)
{
    for (size_t i = 0; i < t->topic_count; i++)
        if (strcmp(t->topics[i], topic) == 0) return true;
    return false;
}

void triggers_update(struct triggers *t)
{
    struct shard *shard = t->shard;
    size_t before = t->topic_count, pos = 0;
    for (const struct definition *def; (def = catalogue_next_latest(shard->catalogue, &pos));) {
        for (uint32_t i = 0; i < def->trigger_count; i++) {
            if (!def->triggers[i].topic || has_topic(t, def->triggers[i].topic)) continue;
            t->topics = xrealloc(t->topics, (t->topic_count + 1) * sizeof *t->topics);
            t->topics[t->topic_count++] = xstrdup(def->triggers[i].topic);
        }
    }
    if (t->topic_count == before) return;
    struct err e;
    bool ok;
    if (t->group) {
        ok = bus_group_topics(t->group, (const char *const *)t->topics, t->topic_count, &e);
    } else {
        AUTO_FREE char *name = xasprintf("%s-triggers", shard->prefix);
        t->group = bus_join(shard->bus,
                            &(struct bus_group_options){ .group = name,
                                                         .topics = (const char *const *)t->topics,
                                                         .topic_count = t->topic_count,
                                                         .on_assign = on_assign,
                                                         .on_revoke = on_revoke,
                                                         .on_record = on_record,
                                                         .on_error = on_error,
                                                         .user = t },
                            &e);
        ok = t->group != NULL;
    }
    if (ok)
        log_info(&shard->log, "trigger.topics", "listening to %zu upstream topics", t->topic_count);
    else
        log_error(&shard->log, "trigger.join", "%s: triggers do not run here", e.text);
}

struct triggers *triggers_open(struct shard *shard)
{
    struct triggers *t = xcalloc(1, sizeof *t);
    t->shard = shard;
    return t;
}

static void on_left(void *user)
{
    struct triggers *t = user;
    t->group = NULL;
    shard_left(t->shard);
}

bool triggers_leave(struct triggers *t)
{
    if (!t->group) return false;
    bus_leave(t->group, on_left, t);
    return true;
}

struct triggers *triggers_close(struct triggers *t)
{
    if (!t) return NULL;
    while (t->sources) {
        struct source *s = t->sources;
        t->sources = s->next;
        source_free(s);
    }
    for (size_t i = 0; i < t->topic_count; i++) free(t->topics[i]);
    free(t->topics);
    free(t);
    return NULL;
}
