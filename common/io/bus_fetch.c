/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading partitions. A fetcher is a consumer handle without a group on which single partitions are
 * started and stopped (librdkafka's simple consumer), each with a queue of its own. A handle can
 * read a partition once, so where a group and a reader want the same one, another fetcher is made.
 * Credit is enforced by not taking from the queue; librdkafka stops fetching a partition when its
 * queue is full. Who begins at an end of a partition whose leader is not known waits for half a
 * second in 2.0.2, so the handle is asked for the leaders of a new topic first. */
#include <stdlib.h>

#include "common/io/bus_internal.h"
#include "common/io/kafka_settings.h"

struct bus_fetcher {
    struct bus_fetcher *next;
    struct bus_client *client;
    rd_kafka_queue_t *queue; /* the main queue: errors and log lines */
    struct map topics;       /* name -> struct bus_topic */
    bool ends;               /* says when a partition's end is reached */
};

struct bus_stream {
    struct bus *bus;
    struct bus_stream_options options;
    struct bus_fetcher *fetcher; /* NULL while stopped */
    struct bus_topic *topic;
    rd_kafka_queue_t *queue; /* NULL while stopped, and until the topic's leaders are known */
    int64_t offset;          /* where to begin then */
    uint32_t credit;
    uint32_t stops; /* how often it was stopped: what was taken before is not delivered after it */
};

/* --- fetchers --- */

static rd_kafka_conf_t *fetcher_conf(const struct bus *bus, bool ends, struct err *e)
{
    static const char *const fetcher[][2] = { KAFKA_FETCHER_SETTINGS };
    rd_kafka_conf_t *conf = bus_conf(bus, e);
    if (!conf) return NULL;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
    if (bus_conf_set_all(conf, fetcher, ARRAY_LEN(fetcher), e) &&
        bus_conf_set(conf, "enable.partition.eof", ends ? "true" : "false", e) &&
        bus_conf_set_int(conf, "fetch.wait.max.ms", bus->settings.fetch_wait_ms, e) &&
        /* After it a topic that does not exist is an error. */
        bus_conf_set(conf, "topic.metadata.propagation.max.ms", "5000", e) &&
        /* Counts per partition. Above it 2.0.2 does not fetch for a whole second, so it has to
         * hold more than a second of work. */
        bus_conf_set(conf, "queued.max.messages.kbytes", ends ? "1024" : "8192", e))
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

static struct bus_fetcher *fetcher_open(struct bus *bus, bool ends, struct err *e)
{
    rd_kafka_conf_t *conf = fetcher_conf(bus, ends, e);
    if (!conf) return NULL;
    rd_kafka_t *rk = bus_handle(RD_KAFKA_CONSUMER, conf, e);
    if (!rk) return NULL;
    struct bus_fetcher *f = xcalloc(1, sizeof *f);
    f->client = bus_client_new(bus->jobs, rk);
    f->queue = rd_kafka_queue_get_main(rk);
    f->ends = ends;
    f->next = bus->fetchers;
    bus->fetchers = f;
    bus_wake_on(&bus->others, f->queue);
    return f;
}

/* Whether the handle reads this partition for somebody already. */
static bool fetcher_reads(const struct bus *bus, const struct bus_fetcher *f, const char *topic,
                          int32_t partition)
{
    for (size_t i = 0; i < bus->stream_count; i++) {
        const struct bus_stream *s = bus->streams[i];
        if (s && s->fetcher == f && s->options.partition == partition &&
            strcmp(s->options.topic, topic) == 0)
            return true;
    }
    return false;
}

static struct bus_fetcher *fetcher_for(struct bus *bus, const struct bus_stream_options *o,
                                       struct err *e)
{
    for (struct bus_fetcher *f = bus->fetchers; f; f = f->next)
        if (f->ends == o->ends && !fetcher_reads(bus, f, o->topic, o->partition)) return f;
    return fetcher_open(bus, o->ends, e);
}

static struct bus_topic *fetcher_topic(struct bus_fetcher *f, const char *name, struct err *e)
{
    struct bus_topic *topic = map_get(&f->topics, bytes_of(name));
    if (topic) return topic;
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(f->client->rk, name, NULL);
    if (!rkt) {
        (void)bus_err(e, rd_kafka_last_error(), name);
        return NULL;
    }
    topic = xcalloc(1, sizeof *topic);
    topic->name = xstrdup(name);
    topic->rkt = rkt;
    (void)map_put(&f->topics, bytes_of(topic->name), topic);
    return topic;
}

void bus_fetchers_poll(struct bus *bus)
{
    for (struct bus_fetcher *f = bus->fetchers; f; f = f->next)
        for (rd_kafka_event_t *event; (event = rd_kafka_queue_poll(f->queue, 0));) {
            if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_LOG)
                bus_on_log(bus, event);
            else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
                bus_on_error(bus, event);
            rd_kafka_event_destroy(event);
        }
}

void bus_fetchers_close(struct bus *bus)
{
    for (size_t i = 0; i < bus->stream_count; i++) ASSERT(!bus->streams[i]);
    while (bus->fetchers) {
        struct bus_fetcher *f = bus->fetchers;
        bus->fetchers = f->next;
        size_t pos = 0;
        for (struct bus_topic *t; (t = map_next(&f->topics, &pos));) {
            rd_kafka_topic_destroy(t->rkt);
            free(t->name);
            free(t);
        }
        map_done(&f->topics);
        rd_kafka_queue_io_event_enable(f->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(f->queue);
        bus_client_unref(f->client);
        free(f);
    }
}

/* --- streams --- */

struct bus_stream *bus_stream_new(struct bus *bus, const struct bus_stream_options *options)
{
    struct bus_stream *s = xcalloc(1, sizeof *s);
    s->bus = bus;
    s->options = *options;
    if (bus->stream_count == bus->stream_cap) {
        bus->stream_cap = bus->stream_cap ? 2 * bus->stream_cap : 16;
        bus->streams = xrealloc(bus->streams, bus->stream_cap * sizeof *bus->streams);
    }
    bus->streams[bus->stream_count++] = s;
    return s;
}

void bus_stream_stop(struct bus_stream *s)
{
    if (!s->fetcher) return;
    if (s->queue) {
        /* Waits for librdkafka's main thread, not for the network: some ten microseconds. */
        (void)rd_kafka_consume_stop(s->topic->rkt, s->options.partition);
        rd_kafka_queue_io_event_enable(s->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(s->queue);
        s->queue = NULL;
    }
    s->fetcher = NULL;
    s->credit = 0;
    s->stops++;
}

static void forget_streams(struct bus *bus)
{
    size_t kept = 0;
    for (size_t i = 0; i < bus->stream_count; i++)
        if (bus->streams[i]) bus->streams[kept++] = bus->streams[i];
    bus->stream_count = kept;
}

/* Has the fetcher begin at s->offset. */
static bool begin(struct bus_stream *s, struct err *e)
{
    s->queue = rd_kafka_queue_new(s->fetcher->client->rk);
    bus_wake_on(&s->bus->records, s->queue);
    if (rd_kafka_consume_start_queue(s->topic->rkt, s->options.partition, s->offset, s->queue) == 0)
        return true;
    rd_kafka_resp_err_t code = rd_kafka_last_error();
    rd_kafka_queue_destroy(s->queue);
    s->queue = NULL;
    s->fetcher = NULL;
    return bus_err(e, code, s->options.topic);
}

struct leaders_job {
    struct bus_job job;
    struct bus *bus;
    struct bus_topic *topic; /* lives as long as the bus is not being closed */
    rd_kafka_topic_t *rkt;
};

static void leaders_run(struct bus_job *job_)
{
    struct leaders_job *job = CONTAINER_OF(job_, struct leaders_job, job);
    const struct rd_kafka_metadata *md;
    /* What is wrong with a topic comes as an error of those who read it. */
    if (!rd_kafka_metadata(job_->client->rk, 0, job->rkt, &md, JOB_MS_MAX))
        rd_kafka_metadata_destroy(md);
}

static void leaders_finish(struct bus_job *job_, const struct err *e)
{
    struct leaders_job *job = CONTAINER_OF(job_, struct leaders_job, job);
    struct bus *bus = job->bus;
    struct err failed;
    (void)e;
    if (bus->closing) return;
    job->topic->leaders = TOPIC_ANSWERED;
    bus->walking = true;
    for (size_t i = 0; i < bus->stream_count; i++) {
        struct bus_stream *s = bus->streams[i];
        if (s && s->topic == job->topic && s->fetcher && !s->queue && !begin(s, &failed))
            s->options.on_error(s->options.user, &failed);
    }
    bus->walking = false;
    forget_streams(bus);
}

static void leaders_release(struct bus_job *job_)
{
    struct leaders_job *job = CONTAINER_OF(job_, struct leaders_job, job);
    rd_kafka_topic_destroy(job->rkt);
    free(job);
}

static void ask_leaders(struct bus *bus, struct bus_fetcher *f, struct bus_topic *topic)
{
    if (topic->leaders == TOPIC_ASKED) return;
    topic->leaders = TOPIC_ASKED;
    struct leaders_job *job = xcalloc(1, sizeof *job);
    job->job = (struct bus_job){ .run = leaders_run,
                                 .finish = leaders_finish,
                                 .release = leaders_release };
    job->bus = bus;
    job->topic = topic;
    job->rkt = rd_kafka_topic_new(f->client->rk, topic->name, NULL); /* a reference to the same */
    bus_job_submit(bus->jobs, f->client, &job->job);
}

bool bus_stream_read(struct bus_stream *s, int64_t offset, uint32_t credit, struct err *e)
{
    bus_stream_stop(s);
    struct bus_fetcher *f = fetcher_for(s->bus, &s->options, e);
    if (!f) return false;
    s->topic = fetcher_topic(f, s->options.topic, e);
    if (!s->topic) return false;
    s->fetcher = f;
    s->offset = offset;
    s->credit = credit;
    if (offset >= 0 || s->topic->leaders == TOPIC_ANSWERED) return begin(s, e);
    ask_leaders(s->bus, f, s->topic);
    return true;
}

void bus_stream_credit(struct bus_stream *s, uint32_t more)
{
    if (!s->fetcher || more == 0) return;
    s->credit = more < UINT32_MAX - 1 - s->credit ? s->credit + more : UINT32_MAX - 1;
    /* A queue that still holds messages is not announced again. */
    bus_kick(&s->bus->records);
}

void bus_stream_free(struct bus_stream *s)
{
    struct bus *bus = s->bus;
    bus_stream_stop(s);
    for (size_t i = 0; i < bus->stream_count; i++)
        if (bus->streams[i] == s) bus->streams[i] = NULL;
    if (!bus->walking) forget_streams(bus);
    /* A callback of this stream may be the one that frees it. */
    loop_defer_free(bus->loop, free, s);
}

/* Whether to tell the caller; what librdkafka goes on trying by itself is only logged. */
static bool is_final(const struct bus_stream *s, rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED: return true;
    /* A group knows that its topic exists: to it this is a broker that just started, and must not
     * look like an offset that is gone. */
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION: return s->options.ends;
    default: return false;
    }
}

/* Something other than a record. */
static void on_special(struct bus_stream *s, rd_kafka_message_t *m)
{
    const struct bus_stream_options *o = &s->options;
    rd_kafka_resp_err_t code = m->err;
    int64_t offset = m->offset;
    struct err e;
    rd_kafka_message_destroy(m);
    if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (o->on_end) o->on_end(o->user, offset);
        return;
    }
    (void)bus_err(&e, code, "reading");
    (void)err_prefix(&e, "%s/%d", o->topic, (int)o->partition);
    if (!is_final(s, code)) {
        bus_complain(s->bus, rd_kafka_err2name(code), e.text);
        return;
    }
    /* librdkafka gives up on a partition only where the offset is not there. */
    if (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
        code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
        bus_stream_stop(s);
    o->on_error(o->user, &e);
}

/* Hands on what was taken from the queue together, up to where a callback stops or moves the
 * stream.
 */
static void deliver(struct bus_stream *s, rd_kafka_message_t **list, size_t count)
{
    uint32_t stops = s->stops;
    for (size_t i = 0; i < count; i++) {
        rd_kafka_message_t *m = list[i];
        if (s->stops != stops) {
            rd_kafka_message_destroy(m);
        } else if (m->err) {
            on_special(s, m);
        } else {
            if (s->credit != UINT32_MAX) s->credit--;
            loop_work(s->bus->loop, 1);
            bus_record_deliver(m, s->options.on_record, s->options.user);
        }
    }
}

/* Callbacks may do anything to the stream: move it, stop it, free it (it is buried later). */
static void drain(struct bus_stream *s)
{
    rd_kafka_message_t *list[64];
    for (size_t left = DRAIN_MAX; s->queue && s->credit > 0;) {
        if (left == 0) {
            bus_kick(&s->bus->records);
            return;
        }
        size_t most = MIN(ARRAY_LEN(list), left);
        most = MIN(most, (size_t)s->credit);
        ssize_t count = rd_kafka_consume_batch_queue(s->queue, 0, list, most);
        if (count <= 0) return;
        left -= (size_t)count;
        deliver(s, list, (size_t)count);
    }
}

void bus_streams_drain(struct bus *bus)
{
    bus->walking = true;
    for (size_t i = 0; i < bus->stream_count; i++)
        if (bus->streams[i]) drain(bus->streams[i]);
    bus->walking = false;
    forget_streams(bus);
}
