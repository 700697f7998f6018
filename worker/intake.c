/* SPDX-License-Identifier: Apache-2.0
 *
 * Intake: membership in the group, credit, and the way back, the commit of what is done.
 *
 * Credit is topped up every turn while fewer than inflight_max calls are open or about to be (that
 * are at least as urgent as the partition's), each partition to its share. So one busy partition
 * may fill the worker. Tasks that wait for another worker's lease, for an acknowledgement or for
 * Redis need no connection and do not count, up to HELD_FACTOR times inflight_max; what is in
 * memory stays below that and one share a partition. */
#include <stdlib.h>

#include "worker/call.h"

#define SHARE_MIN   512u
#define HELD_FACTOR 4

static uint32_t share_of(const struct worker *w)
{
    uint32_t count = 0;
    for (const struct source *s = w->sources; s; s = s->next) count += !s->gone;
    uint32_t share = count ? w->inflight_max / count : w->inflight_max;
    share = MAX(share, SHARE_MIN);
    return MIN(share, w->inflight_max);
}

static struct source *source_find(struct worker *w, const char *topic, int32_t partition)
{
    for (struct source *s = w->sources; s; s = s->next)
        if (!s->gone && s->partition == partition && strcmp(s->topic, topic) == 0) return s;
    return NULL;
}

static void on_assign(void *user, const char *topic, int32_t partition)
{
    struct worker *w = user;
    if (w->phase != WORKER_OPEN || source_find(w, topic, partition)) return;
    struct source *s = xcalloc(1, sizeof *s);
    *s = (struct source){ .next = w->sources,
                          .topic = xstrdup(topic),
                          .partition = partition,
                          .committed = -1,
                          .priority = topic_priority(topic) };
    w->sources = s;
    s->credit = share_of(w);
    bus_read(w->group, topic, partition, BUS_COMMITTED, s->credit);
}

/* Calls of a revoked partition go on: their leases keep the new owner from calling, and their
 * results count. Nothing is committed here, because a commit during a cooperative rebalance can
 * lose the assignment (librdkafka#4059). */
static void on_revoke(void *user, const char *topic, int32_t partition, bool lost)
{
    (void)lost;
    struct worker *w = user;
    struct source *s = source_find(w, topic, partition);
    if (!s) return;
    s->refs++;
    s->gone = true;
    source_unref(w, s);
}

static void on_error(void *user, const char *topic, int32_t partition, const struct err *e)
{
    struct worker *w = user;
    log_error(&w->log, "intake.error", "%s [%d]: %s", topic, (int)partition, e->text);
    struct source *s = source_find(w, topic, partition);
    if (!s || w->phase != WORKER_OPEN || e->kind != ERR_NOT_FOUND) return;
    /* The committed offset is gone with the retention: what is there still is the next best. */
    s->credit = share_of(w);
    bus_read(w->group, topic, partition, BUS_START, s->credit);
}

/* Fills a call from the record. Redeliveries of a task that is under way ride with it. */
static void take(struct worker *w, struct source *s, uint64_t ticket, const struct bus_record *r,
                 const struct task *task)
{
    struct call *c = call_new(w, s, ticket);
    c->held = bus_record_hold(r);
    c->task = *task;
    ASSERT(task->task_id.len < sizeof c->task_id);
    memcpy(c->task_id, task->task_id.data, task->task_id.len);
    c->task.task_id.data = c->task_id;
    c->attempt = r->message.header[HEADER_ATTEMPT];
    c->part = part_of(w, task->reply_topic, task->reply_partition);
    c->state = CALL_ASKING; /* until it waits, or rides */
    struct call *other = call_of_task(w, task->task_id);
    if (other && (other->started || bytes_equal(other->task.gen, task->gen))) {
        call_ride(c, other);
        return;
    }
    if (!other) call_map(c);
    call_wait(c);
}

static void on_record(void *user, const struct bus_record *r)
{
    struct worker *w = user;
    struct source *s = source_find(w, r->topic, r->partition);
    if (!s) return;
    if (s->credit) s->credit--;
    uint64_t ticket;
    if (w->phase != WORKER_OPEN || !contiguous_start(&s->done, r->offset, &ticket)) return;
    w->stats.taken++;
    struct task task;
    struct err e;
    bool ok = task_decode(&r->message, &task, &e);
    if (ok && task.reply_partition >= PARTITIONS_MAX)
        ok = err_fail(&e, ERR_INVALID, "reply-to names partition %d, the limit is %d",
                      (int)task.reply_partition, PARTITIONS_MAX);
    if (ok)
        take(w, s, ticket, r, &task);
    else
        publish_letter(w, s, ticket, r, &e);
}

/* The topics of a queue's other priorities may come later, or never: a pattern finds them, and asks
 * for nothing while they are not there. */
static void add_topics(struct buf names[2], const char *prefix, const char *queue)
{
    topic_tasks(&names[0], prefix, queue, PRIORITY_NORMAL);
    buf_add_char(&names[1], '^');
    for (const char *at = names[0].data; *at; at++) {
        if (*at == '.')
            buf_add_text(&names[1], "\\.");
        else
            buf_add_char(&names[1], *at);
    }
    buf_add_text(&names[1], "\\.(HIGH|LOW)$");
}

bool intake_join(struct worker *w, const char *const *queues, size_t queue_count, struct err *e)
{
    size_t count = 2 * queue_count;
    const char **topics = xcalloc(count, sizeof *topics);
    struct buf *names = xcalloc(count, sizeof *names);
    for (size_t i = 0; i < queue_count; i++) add_topics(&names[2 * i], w->prefix, queues[i]);
    for (size_t i = 0; i < count; i++) topics[i] = names[i].data;
    w->group = bus_join(w->bus,
                        &(struct bus_group_options){ .group = w->group_name,
                                                     .topics = topics,
                                                     .topic_count = count,
                                                     .on_assign = on_assign,
                                                     .on_revoke = on_revoke,
                                                     .on_record = on_record,
                                                     .on_error = on_error,
                                                     .user = w },
                        e);
    for (size_t i = 0; i < count; i++) buf_done(&names[i]);
    free(names);
    free(topics);
    return w->group != NULL;
}

/* Calls that are open, and those that go before one of this priority. */
static size_t ahead_of(const struct worker *w, enum priority priority)
{
    size_t count = w->stats.running + w->asking + w->fresh[PRIORITY_HIGH];
    if (priority != PRIORITY_HIGH) count += w->fresh[PRIORITY_NORMAL];
    if (priority == PRIORITY_LOW) count += w->fresh[PRIORITY_LOW];
    return count;
}

void intake_credit(struct worker *w)
{
    if (w->phase != WORKER_OPEN || payloads_full(w)) return;
    if (w->held >= HELD_FACTOR * (size_t)w->inflight_max) return;
    uint32_t share = share_of(w);
    for (struct source *s = w->sources; s; s = s->next) {
        if (s->gone || s->credit > share / 2) continue;
        if (ahead_of(w, s->priority) >= w->inflight_max) continue;
        bus_credit(w->group, s->topic, s->partition, share - s->credit);
        s->credit = share;
    }
}

void intake_commit(struct worker *w)
{
    for (struct source *s = w->sources; s; s = s->next) {
        int64_t next = contiguous_next(&s->done);
        if (s->gone || next < 0 || next == s->committed) continue;
        bus_commit(w->group, s->topic, s->partition, next);
        s->committed = next;
    }
}
