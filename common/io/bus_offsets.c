/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a group reads, and what it commits. The committed offset is asked for in a helper thread
 * and for all partitions that wait for it at once; commits are collected and sent with the tick,
 * one request at a time, because a broker pays per request. */
#include <stdlib.h>

#include "common/io/bus_group.h"

/* --- commits --- */

void bus_commit(struct bus_group *g, const char *topic, int32_t partition, int64_t offset)
{
    bus_commit_noted(g, topic, partition, offset, "");
}

void bus_commit_noted(struct bus_group *g, const char *topic, int32_t partition, int64_t offset,
                      const char *note)
{
    struct bus_part *part = bus_group_part(g, topic, partition);
    if (!part || offset < 0) return; /* taken away meanwhile: the new owner decides */
    part->commit = offset;
    ASSERT(strlen(note) < sizeof part->note);
    memcpy(part->note, note, strlen(note) + 1);
    g->commit_waiting = true;
}

void bus_group_commit_send(struct bus_group *g, bool safe)
{
    if (!g->commit_waiting) return;
    if (!safe && __atomic_load_n(g->client->joining, __ATOMIC_SEQ_CST)) return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    size_t pos = 0;
    for (struct bus_group_topic *t; (t = map_next(&g->topics, &pos));)
        for (int32_t p = 0; p < t->cap; p++) {
            struct bus_part *part = t->parts[p];
            if (!part || part->commit < 0) continue;
            rd_kafka_topic_partition_t *tp = rd_kafka_topic_partition_list_add(list, t->name, p);
            tp->offset = part->commit;
            tp->metadata = part->note[0] ? strdup(part->note) : NULL; /* freed with the list */
            tp->metadata_size = strlen(part->note);
            part->committing = part->commit;
            part->commit = -1;
        }
    g->commit_waiting = false;
    if (list->cnt > 0) {
        rd_kafka_resp_err_t code = rd_kafka_commit_queue(g->client->rk, list, g->queue, NULL, NULL);
        g->commits_running += code == RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    rd_kafka_topic_partition_list_destroy(list);
}

void bus_group_committed(struct bus_group *g, rd_kafka_event_t *event)
{
    g->commits_running--;
    rd_kafka_resp_err_t failed = rd_kafka_event_error(event);
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    for (int i = 0; list && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *tp = &list->elems[i];
        struct bus_part *part = bus_group_part(g, tp->topic, tp->partition);
        if (!part || (!failed && !tp->err) || part->commit >= 0) continue;
        part->commit = part->committing; /* goes out again with the next one */
        g->commit_waiting = true;
    }
}

/* --- positions --- */

static void start(struct bus_part *part, int64_t offset, uint32_t credit)
{
    struct err e;
    const struct bus_group *g = part->group;
    part->resolving = false;
    if (!bus_stream_read(part->stream, offset, credit, &e))
        g->options.on_error(g->options.user, part->topic->name, part->partition, &e);
}

void bus_read(struct bus_group *g, const char *topic, int32_t partition, int64_t offset,
              uint32_t credit)
{
    struct bus_part *part = bus_group_part(g, topic, partition);
    if (!part || g->leaving) return;
    if (offset == BUS_COMMITTED && part->commit >= 0) offset = part->commit;
    if (offset != BUS_COMMITTED) {
        start(part, offset, credit);
        return;
    }
    bus_stream_stop(part->stream);
    part->resolving = true;
    part->credit = credit;
    g->resolve_waiting = true;
    bus_kick(&g->bus->others); /* by then all of this assignment have asked */
}

void bus_credit(struct bus_group *g, const char *topic, int32_t partition, uint32_t more)
{
    struct bus_part *part = bus_group_part(g, topic, partition);
    if (!part) return;
    if (part->resolving)
        part->credit += MIN(more, UINT32_MAX - part->credit);
    else
        bus_stream_credit(part->stream, more);
}

/* --- committed offsets --- */

struct resolve_job {
    struct bus_job job;
    struct bus *bus;
    struct bus_group *group; /* to be compared with the groups that still exist */
    uint64_t serial;
    rd_kafka_topic_partition_list_t *list;
};

static void resolve_run(struct bus_job *job_)
{
    struct resolve_job *job = CONTAINER_OF(job_, struct resolve_job, job);
    rd_kafka_resp_err_t code = rd_kafka_committed(job_->client->rk, job->list, JOB_MS_MAX);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) (void)bus_err(&job_->e, code, "committed offsets");
}

static void resolve_finish(struct bus_job *job_, const struct err *e)
{
    struct resolve_job *job = CONTAINER_OF(job_, struct resolve_job, job);
    struct bus_group *g = job->bus->groups;
    while (g && !(g == job->group && g->serial == job->serial)) g = g->next;
    if (!g || g->leaving) return;
    g->resolve_running = false;
    if (e) {
        if (e->retriable) return; /* asked again with the next tick */
        g->resolve_waiting = false;
        g->options.on_error(g->options.user, "", -1, e);
        return;
    }
    for (int i = 0; i < job->list->cnt; i++) {
        const rd_kafka_topic_partition_t *tp = &job->list->elems[i];
        struct bus_part *part = bus_group_part(g, tp->topic, tp->partition);
        if (!part || !part->resolving || tp->err) continue;
        start(part, tp->offset >= 0 ? tp->offset : BUS_START, part->credit);
    }
}

static void resolve_release(struct bus_job *job_)
{
    struct resolve_job *job = CONTAINER_OF(job_, struct resolve_job, job);
    rd_kafka_topic_partition_list_destroy(job->list);
    free(job);
}

void bus_group_resolve(struct bus_group *g)
{
    if (!g->resolve_waiting || g->resolve_running || g->bus->closing) return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    size_t pos = 0;
    for (struct bus_group_topic *t; (t = map_next(&g->topics, &pos));)
        for (int32_t p = 0; p < t->cap; p++)
            if (t->parts[p] && t->parts[p]->resolving)
                (void)rd_kafka_topic_partition_list_add(list, t->name, p);
    if (list->cnt == 0) {
        g->resolve_waiting = false;
        rd_kafka_topic_partition_list_destroy(list);
        return;
    }
    struct resolve_job *job = xcalloc(1, sizeof *job);
    *job = (struct resolve_job){
        .job = { .run = resolve_run, .finish = resolve_finish, .release = resolve_release },
        .bus = g->bus,
        .group = g,
        .serial = g->serial,
        .list = list,
    };
    g->resolve_running = true;
    bus_job_submit(g->bus->jobs, g->client, &job->job);
}

struct committed_job {
    struct bus_job job;
    rd_kafka_topic_partition_list_t *list;
    void (*done)(void *user, int64_t offset, const char *note, const struct err *e);
    void *user;
};

static void committed_run(struct bus_job *job_)
{
    struct committed_job *job = CONTAINER_OF(job_, struct committed_job, job);
    rd_kafka_resp_err_t code = rd_kafka_committed(job_->client->rk, job->list, JOB_MS_MAX);
    if (!code) code = job->list->elems[0].err;
    if (code) (void)bus_err(&job_->e, code, "the committed offset");
}

static void committed_finish(struct bus_job *job_, const struct err *e)
{
    struct committed_job *job = CONTAINER_OF(job_, struct committed_job, job);
    char note[BUS_NOTE_MAX] = "";
    int64_t offset = -1;
    if (!e) { /* else the list may still be written */
        const rd_kafka_topic_partition_t *tp = &job->list->elems[0];
        offset = MAX(tp->offset, (int64_t)-1);
        if (tp->metadata_size < sizeof note)
            memcpy(note, tp->metadata ? tp->metadata : "", tp->metadata_size);
    }
    job->done(job->user, offset, note, e);
}

static void committed_release(struct bus_job *job_)
{
    struct committed_job *job = CONTAINER_OF(job_, struct committed_job, job);
    rd_kafka_topic_partition_list_destroy(job->list);
    free(job);
}

void bus_committed(struct bus_group *g, const char *topic, int32_t partition,
                   void (*done)(void *user, int64_t offset, const char *note, const struct err *e),
                   void *user)
{
    struct committed_job *job = xcalloc(1, sizeof *job);
    *job = (struct committed_job){
        .job = { .run = committed_run, .finish = committed_finish, .release = committed_release },
        .list = rd_kafka_topic_partition_list_new(1),
        .done = done,
        .user = user
    };
    (void)rd_kafka_topic_partition_list_add(job->list, topic, partition);
    bus_job_submit(g->bus->jobs, g->client, &job->job);
}
