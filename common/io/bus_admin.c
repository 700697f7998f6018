/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions about topics and their creation: librdkafka blocks on these, so they run as jobs. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/io/bus_internal.h"

#define RETRY_MS 100

/* A topic's metadata; waits for leaders that are being elected, within JOB_MS_MAX. *ret_partitions
 * is 0 if there is no such topic. */
static rd_kafka_resp_err_t ask_metadata(rd_kafka_t *rk, rd_kafka_topic_t *rkt,
                                        int32_t *ret_partitions)
{
    uint64_t end = clock_mono_ms() + JOB_MS_MAX;
    *ret_partitions = 0;
    for (;;) {
        const struct rd_kafka_metadata *md;
        rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, rkt, &md, JOB_MS_MAX);
        if (code) return code;
        ASSERT(md->topic_cnt == 1);
        code = md->topics[0].err;
        int32_t partitions = md->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(md);
        if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return RD_KAFKA_RESP_ERR_NO_ERROR;
        if (code != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
            *ret_partitions = partitions;
            return code;
        }
        if (clock_mono_ms() >= end) return code;
        (void)poll(NULL, 0, RETRY_MS);
    }
}

/* --- one topic --- */

struct info_job {
    struct bus_job job;
    rd_kafka_topic_t *rkt;
    int32_t partitions;
    char *cluster_id;
    void (*done)(void *user, int32_t partitions, const char *cluster_id, const struct err *e);
    void *user;
};

static void info_run(struct bus_job *job_)
{
    struct info_job *job = CONTAINER_OF(job_, struct info_job, job);
    rd_kafka_t *rk = job_->client->rk;
    rd_kafka_resp_err_t code = ask_metadata(rk, job->rkt, &job->partitions);
    if (code)
        (void)bus_err(&job_->e, code, rd_kafka_topic_name(job->rkt));
    else
        job->cluster_id = rd_kafka_clusterid(rk, 0); /* known since that answer, if there is one */
}

static void info_finish(struct bus_job *job_, const struct err *e)
{
    struct info_job *job = CONTAINER_OF(job_, struct info_job, job);
    if (e)
        job->done(job->user, 0, NULL, e);
    else
        job->done(job->user, job->partitions, job->cluster_id, NULL);
}

static void info_release(struct bus_job *job_)
{
    struct info_job *job = CONTAINER_OF(job_, struct info_job, job);
    rd_kafka_topic_destroy(job->rkt);
    if (job->cluster_id) rd_kafka_mem_free(job_->client->rk, job->cluster_id);
    free(job);
}

void bus_topic_info(struct bus *bus, const char *topic,
                    void (*done)(void *user, int32_t partitions, const char *cluster_id,
                                 const struct err *e),
                    void *user)
{
    /* The producer keeps a topic object of its own; this is one more reference to the same. */
    (void)bus_producer_topic(bus, topic, false);
    struct info_job *job = xcalloc(1, sizeof *job);
    job->job = (struct bus_job){ .run = info_run, .finish = info_finish, .release = info_release };
    job->rkt = rd_kafka_topic_new(bus->producer.client->rk, topic, NULL);
    job->done = done;
    job->user = user;
    bus_job_submit(bus->jobs, bus->producer.client, &job->job);
}

/* --- offsets --- */

struct offsets_job {
    struct bus_job job;
    char *topic;
    int32_t partition;
    int64_t start, end;
    void (*done)(void *user, int64_t start, int64_t end, const struct err *e);
    void *user;
};

static void offsets_run(struct bus_job *job_)
{
    struct offsets_job *job = CONTAINER_OF(job_, struct offsets_job, job);
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
        job_->client->rk, job->topic, job->partition, &job->start, &job->end, JOB_MS_MAX);
    if (!code) return;
    (void)bus_err(&job_->e, code, "log offsets");
    (void)err_prefix(&job_->e, "%s/%d", job->topic, (int)job->partition);
}

static void offsets_finish(struct bus_job *job_, const struct err *e)
{
    struct offsets_job *job = CONTAINER_OF(job_, struct offsets_job, job);
    if (e)
        job->done(job->user, -1, -1, e);
    else
        job->done(job->user, job->start, job->end, NULL);
}

static void offsets_release(struct bus_job *job_)
{
    struct offsets_job *job = CONTAINER_OF(job_, struct offsets_job, job);
    free(job->topic);
    free(job);
}

void bus_offsets(struct bus *bus, const char *topic, int32_t partition,
                 void (*done)(void *user, int64_t start, int64_t end, const struct err *e),
                 void *user)
{
    struct offsets_job *job = xcalloc(1, sizeof *job);
    job->job = (struct bus_job){ .run = offsets_run,
                                 .finish = offsets_finish,
                                 .release = offsets_release };
    job->topic = xstrdup(topic);
    job->partition = partition;
    job->done = done;
    job->user = user;
    bus_job_submit(bus->jobs, bus->producer.client, &job->job);
}

/* --- creating topics --- */

struct create_job {
    struct bus_job job;
    size_t count;
    char **names;
    rd_kafka_NewTopic_t **topics; /* as asked for */
    rd_kafka_NewTopic_t **single; /* with one replica, where the number was left to the broker */
    char *brokers;                /* for a broker that only creates what it is asked about */
    void (*done)(void *user, const struct err *e);
    void *user;
};

/* The mock cluster has no CreateTopics, but makes a topic when a client that may asks for it. */
static void create_by_asking(struct create_job *job)
{
    struct err *e = &job->job.e;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!bus_conf_set(conf, "bootstrap.servers", job->brokers, e) ||
        !bus_conf_set(conf, "allow.auto.create.topics", "true", e)) {
        rd_kafka_conf_destroy(conf);
        return;
    }
    rd_kafka_t *rk = bus_handle(RD_KAFKA_PRODUCER, conf, e);
    if (!rk) return;
    for (size_t i = 0; i < job->count && e->kind == ERR_NONE; i++) {
        int32_t partitions;
        rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, job->names[i], NULL);
        rd_kafka_resp_err_t code = ask_metadata(rk, rkt, &partitions);
        if (!code && partitions == 0) code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        if (code) (void)bus_err(e, code, job->names[i]);
        rd_kafka_topic_destroy(rkt);
    }
    rd_kafka_destroy(rk);
}

/* Sends one CreateTopics and waits for its answer; NULL with e of the job if there is none. */
static rd_kafka_event_t *create_request(struct create_job *job, rd_kafka_NewTopic_t **topics,
                                        size_t count, rd_kafka_queue_t *queue)
{
    char text[128];
    rd_kafka_t *rk = job->job.client->rk;
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    (void)rd_kafka_AdminOptions_set_request_timeout(options, JOB_MS_MAX, text, sizeof text);
    (void)rd_kafka_AdminOptions_set_operation_timeout(options, JOB_MS_MAX, text, sizeof text);
    rd_kafka_CreateTopics(rk, topics, count, options, queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 2 * JOB_MS_MAX);
    if (!event) (void)err_fail(&job->job.e, ERR_TIMEOUT, "kafka: creating topics: no answer");
    return event;
}

/* Returns how many are to be tried again with a single replica, and which (again may be NULL: then
 * that is an error as well). */
static size_t create_read(struct create_job *job, const rd_kafka_CreateTopics_result_t *result,
                          rd_kafka_NewTopic_t **again)
{
    size_t count, retry = 0;
    const rd_kafka_topic_result_t **answers = rd_kafka_CreateTopics_result_topics(result, &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(answers[i]);
        if (!code || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) continue;
        const char *name = rd_kafka_topic_result_name(answers[i]);
        size_t which = 0;
        while (which < job->count && strcmp(job->names[which], name) != 0) which++;
        if (again && which < job->count && job->single[which] &&
            code == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR) {
            again[retry++] = job->single[which];
            continue;
        }
        (void)bus_err(&job->job.e, code, name);
        const char *why = rd_kafka_topic_result_error_string(answers[i]);
        if (why) (void)err_prefix(&job->job.e, "%s", why);
    }
    return retry;
}

/* Whether the controller is a broker of the cluster: the mock names one that does not exist, and a
 * CreateTopics would wait for it until its time-out. */
static bool has_controller(rd_kafka_t *rk)
{
    const struct rd_kafka_metadata *md;
    int32_t controller = rd_kafka_controllerid(rk, JOB_MS_MAX);
    if (rd_kafka_metadata(rk, 0, NULL, &md, JOB_MS_MAX)) return true; /* let the request tell */
    bool found = false;
    for (int i = 0; i < md->broker_cnt; i++) found |= md->brokers[i].id == controller;
    rd_kafka_metadata_destroy(md);
    return found;
}

static void create_run(struct bus_job *job_)
{
    struct create_job *job = CONTAINER_OF(job_, struct create_job, job);
    if (!has_controller(job_->client->rk)) {
        create_by_asking(job);
        return;
    }
    AUTO_FREE rd_kafka_NewTopic_t **again = xcalloc(job->count + 1, sizeof *again);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(job_->client->rk);
    rd_kafka_event_t *event = create_request(job, job->topics, job->count, queue);
    rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR_NO_ERROR;
    size_t retry = 0;
    if (code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE)
        create_by_asking(job);
    else if (code)
        (void)bus_err(&job_->e, code, "creating topics");
    else if (event)
        retry = create_read(job, rd_kafka_event_CreateTopics_result(event), again);
    if (event) rd_kafka_event_destroy(event);
    if (retry > 0 && job_->e.kind == ERR_NONE) {
        event = create_request(job, again, retry, queue);
        code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR_NO_ERROR;
        if (code)
            (void)bus_err(&job_->e, code, "creating topics");
        else if (event)
            (void)create_read(job, rd_kafka_event_CreateTopics_result(event), NULL);
        if (event) rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
}

static void create_finish(struct bus_job *job_, const struct err *e)
{
    struct create_job *job = CONTAINER_OF(job_, struct create_job, job);
    job->done(job->user, e);
}

static void create_release(struct bus_job *job_)
{
    struct create_job *job = CONTAINER_OF(job_, struct create_job, job);
    for (size_t i = 0; i < job->count; i++) {
        free(job->names[i]);
        rd_kafka_NewTopic_destroy(job->topics[i]);
        if (job->single[i]) rd_kafka_NewTopic_destroy(job->single[i]);
    }
    free(job->names);
    free(job->topics);
    free(job->single);
    free(job->brokers);
    free(job);
}

static rd_kafka_NewTopic_t *new_topic(const struct bus_topic_spec *spec, int replicas)
{
    char text[128];
    rd_kafka_NewTopic_t *t =
        rd_kafka_NewTopic_new(spec->name, spec->partitions, replicas, text, sizeof text);
    ASSERT(t); /* a name and numbers of ours */
    for (size_t i = 0; spec->config && spec->config[i][0]; i++)
        (void)rd_kafka_NewTopic_set_config(t, spec->config[i][0], spec->config[i][1]);
    return t;
}

void bus_create_topics(struct bus *bus, const struct bus_topic_spec *specs, size_t count,
                       void (*done)(void *user, const struct err *e), void *user)
{
    struct create_job *job = xcalloc(1, sizeof *job);
    job->job =
        (struct bus_job){ .run = create_run, .finish = create_finish, .release = create_release };
    job->count = count;
    job->names = xcalloc(count + 1, sizeof *job->names);
    job->topics = xcalloc(count + 1, sizeof *job->topics);
    job->single = xcalloc(count + 1, sizeof *job->single);
    job->brokers = xstrdup(bus->settings.brokers);
    job->done = done;
    job->user = user;
    for (size_t i = 0; i < count; i++) {
        job->names[i] = xstrdup(specs[i].name);
        job->topics[i] = new_topic(&specs[i], specs[i].replicas ? specs[i].replicas : -1);
        if (!specs[i].replicas) job->single[i] = new_topic(&specs[i], 1);
    }
    bus_job_submit(bus->jobs, bus->producer.client, &job->job);
}
