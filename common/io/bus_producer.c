/* SPDX-License-Identifier: Apache-2.0
 *
 * The idempotent producer. A send is a message whose opaque pointer is the caller's waiter; its
 * delivery report comes over the main queue. After a fatal error (librdkafka #4438: the idempotent
 * producer lost track of what the broker has), and after a message that timed out, the whole handle
 * is replaced: nothing of the old one is sent any more. */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/io/bus_internal.h"
#include "common/io/kafka_settings.h"

#define FAIL_MS_MAX 2000 /* how long failing everything that is pending may take */
/* More than what a message and a header of it have around their bytes, in batches of version 2. */
#define MESSAGE_OVERHEAD 64
#define HEADER_OVERHEAD  10

static rd_kafka_conf_t *producer_conf(const struct bus *bus, struct err *e)
{
    static const char *const producer[][2] = { KAFKA_PRODUCER_SETTINGS };
    rd_kafka_conf_t *conf = bus_conf(bus, e);
    if (!conf) return NULL;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
    if (bus_conf_set_all(conf, producer, ARRAY_LEN(producer), e) &&
        bus_conf_set_int(conf, "message.timeout.ms", bus->settings.message_timeout_ms, e) &&
        bus_conf_set_int(conf, "message.max.bytes", KAFKA_MESSAGE_BYTES_MAX, e) &&
        bus_conf_set(conf, "compression.type", bus->settings.compression, e))
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

bool bus_producer_open(struct bus *bus, struct err *e)
{
    struct bus_producer *p = &bus->producer;
    rd_kafka_conf_t *conf = producer_conf(bus, e);
    if (!conf) return false;
    rd_kafka_t *rk = bus_handle(RD_KAFKA_PRODUCER, conf, e);
    if (!rk) return false;
    p->client = bus_client_new(bus->jobs, rk);
    p->queue = rd_kafka_queue_get_main(rk);
    p->broken = false;
    bus_wake_on(&bus->deliveries, p->queue);
    return true;
}

uint64_t bus_producer_epoch(const struct bus *bus)
{
    return bus->producer.epoch;
}

size_t bus_pending(const struct bus *bus)
{
    return bus->producer.pending;
}

/* --- topics --- */

/* Without metadata the first message of a topic waits up to a second (librdkafka #5032). */
static void warmed(void *user, int32_t partitions, const char *cluster_id, const struct err *e)
{
    (void)user;
    (void)partitions;
    (void)cluster_id;
    (void)e;
}

struct bus_topic *bus_producer_topic(struct bus *bus, const char *name, bool warm)
{
    struct bus_producer *p = &bus->producer;
    if (p->topic && strcmp(p->topic->name, name) == 0) return p->topic;
    struct bus_topic *topic = p->topic = map_get(&p->topics, bytes_of(name));
    if (topic) return topic;
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(p->client->rk, name, NULL);
    if (!rkt) return NULL;
    topic = xcalloc(1, sizeof *topic);
    topic->name = xstrdup(name);
    topic->rkt = rkt;
    (void)map_put(&p->topics, bytes_of(topic->name), topic);
    if (warm) bus_topic_info(bus, name, warmed, NULL);
    return topic;
}

static void topics_done(struct map *topics)
{
    size_t pos = 0;
    for (struct bus_topic *t; (t = map_next(topics, &pos));) {
        rd_kafka_topic_destroy(t->rkt);
        bus_lanes_done(t);
        free(t->name);
        free(t);
    }
    map_done(topics);
    *topics = (struct map){ 0 };
}

/* --- sending --- */

static rd_kafka_headers_t *make_headers(const struct bus_message *m)
{
    if (!m->header && m->extra_count == 0) return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(16);
    for (enum message_header h = 0; m->header && h < HEADER_COUNT; h++)
        if (m->header[h].data)
            (void)rd_kafka_header_add(headers, message_header_name(h),
                                      (ssize_t)message_header_name_len(h), m->header[h].data,
                                      (ssize_t)m->header[h].len);
    for (size_t i = 0; i < m->extra_count; i++)
        (void)rd_kafka_header_add(headers, m->extra[i].name, -1, m->extra[i].value.data,
                                  (ssize_t)m->extra[i].value.len);
    return headers;
}

static bool refuse(struct bus *bus, const struct bus_message *m, rd_kafka_resp_err_t code,
                   struct err *e)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        return err_fail(e, ERR_LIMIT,
                        "kafka: a message of %zu bytes (and its headers) for %s is above the limit "
                        "of %d bytes",
                        m->key.len + m->value.len, m->topic, KAFKA_MESSAGE_BYTES_MAX);
    case RD_KAFKA_RESP_ERR__FATAL: /* its error event may come later */
        bus->producer.broken = true;
        bus_kick(&bus->deliveries);
        (void)err_fail(e, ERR_UNAVAILABLE, "kafka: the producer is being replaced");
        if (e) e->retriable = true;
        return false;
    default: return bus_err(e, code, m->topic); /* the queue is full: unavailable, retriable */
    }
}

rd_kafka_resp_err_t bus_produce(struct bus *bus, const struct bus_topic *topic, int32_t partition,
                                struct bytes key, struct bytes value, rd_kafka_headers_t *headers,
                                struct bus_waiter *w)
{
    /* producev and not produceva, which frees the headers twice on an unknown partition. An empty
     * value needs a pointer to differ from a null value. */
    rd_kafka_t *rk = bus->producer.client->rk;
    if (headers)
        return rd_kafka_producev(rk, RD_KAFKA_V_RKT(topic->rkt), RD_KAFKA_V_PARTITION(partition),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_KEY((void *)key.data, key.len),
                                 RD_KAFKA_V_VALUE((void *)value.data, value.len),
                                 RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(w), RD_KAFKA_V_END);
    return rd_kafka_producev(
        rk, RD_KAFKA_V_RKT(topic->rkt), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY((void *)key.data, key.len),
        RD_KAFKA_V_VALUE((void *)value.data, value.len), RD_KAFKA_V_OPAQUE(w), RD_KAFKA_V_END);
}

/* librdkafka's own limits, for what it is not asked about yet. */
static rd_kafka_resp_err_t judge(const struct bus_producer *p, const struct bus_message *m)
{
    size_t size = MESSAGE_OVERHEAD + m->key.len + m->value.len;
    for (enum message_header h = 0; m->header && h < HEADER_COUNT; h++)
        if (m->header[h].data)
            size += HEADER_OVERHEAD + message_header_name_len(h) + m->header[h].len;
    for (size_t i = 0; i < m->extra_count; i++)
        size += HEADER_OVERHEAD + strlen(m->extra[i].name) + m->extra[i].value.len;
    if (size > KAFKA_MESSAGE_BYTES_MAX) return RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    if (p->pending >= KAFKA_QUEUE_MESSAGES_MAX || p->bytes >= KAFKA_QUEUE_BYTES_MAX)
        return RD_KAFKA_RESP_ERR__QUEUE_FULL;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

bool bus_send(struct bus *bus, const struct bus_message *m, struct bus_waiter *w, struct err *e)
{
    struct bus_producer *p = &bus->producer;
    ASSERT(w && w->done);
    if (p->broken || bus->closing) return refuse(bus, m, RD_KAFKA_RESP_ERR__FATAL, e);
    struct bus_topic *topic = bus_producer_topic(bus, m->topic, true);
    if (!topic) return bus_err(e, rd_kafka_last_error(), m->topic);
    rd_kafka_resp_err_t code = judge(p, m);
    if (code) return refuse(bus, m, code, e);
    struct bus_lane *lane = bus_lane_of(topic, m->partition);
    rd_kafka_headers_t *headers = make_headers(m);
    if (bus_lane_known(lane)) {
        bus_lane_add(bus, lane, m, headers, w);
    } else {
        code = bus_produce(bus, topic, m->partition, m->key, m->value, headers, w);
        if (code) {
            if (headers) rd_kafka_headers_destroy(headers); /* taken over on success only */
            return refuse(bus, m, code, e);
        }
        bus_lane_left(lane);
    }
    p->pending++;
    p->bytes += m->key.len + m->value.len;
    return true;
}

/* What waits must be where the purge finds it. */
void bus_purge(struct bus *bus)
{
    bus_lanes_hand_over(bus);
    (void)rd_kafka_purge(bus->producer.client->rk,
                         RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

/* --- delivery reports --- */

void bus_producer_settle(struct bus *bus, size_t bytes)
{
    struct bus_producer *p = &bus->producer;
    ASSERT(p->pending > 0 && p->bytes >= bytes);
    p->pending--;
    p->bytes -= bytes;
}

static void on_reports(struct bus *bus, rd_kafka_event_t *event)
{
    for (const rd_kafka_message_t *m; (m = rd_kafka_event_message_next(event));) {
        struct bus_waiter *w = m->_private;
        struct bus_delivery d = {
            .offset = m->offset,
            .error = m->err ? rd_kafka_err2str(m->err) : NULL,
        };
        bus_producer_settle(bus, m->key_len + m->len);
        struct bus_topic *topic = bus_producer_topic(bus, rd_kafka_topic_name(m->rkt), false);
        bus_lane_reported(bus, bus_lane_of(topic, m->partition), !m->err);
        if (!m->err) bus_is_up(bus);
        /* What it gave up may have been on its way: librdkafka 2.0.2 then begins a new epoch and
         * sends again under it what the broker may have already, and does not know any more. */
        if (m->err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT) bus->producer.broken = true;
        loop_work(bus->loop, 1);
        w->done(w, &d);
    }
}

static void on_event(struct bus *bus, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_DR: on_reports(bus, event); break;
    case RD_KAFKA_EVENT_LOG: bus_on_log(bus, event); break;
    case RD_KAFKA_EVENT_ERROR:
        if (rd_kafka_event_error_is_fatal(event)) bus->producer.broken = true;
        bus_on_error(bus, event);
        break;
    default: break;
    }
    rd_kafka_event_destroy(event);
}

/* Fails everything that is queued or under way. The purge makes librdkafka report each message, so
 * this ends; the deadline is for a bug there. */
static void fail_pending(struct bus *bus)
{
    struct bus_producer *p = &bus->producer;
    uint64_t end = clock_mono_ms() + FAIL_MS_MAX;
    bus_lanes_fail(bus);
    if (p->pending > 0)
        (void)rd_kafka_purge(p->client->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    while (p->pending > 0 && clock_mono_ms() < end) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(p->queue, 20);
        if (event) on_event(bus, event);
    }
    if (p->pending > 0)
        log_error(&bus->log, "kafka.lost_reports", "%zu messages got no delivery report",
                  p->pending);
}

static void let_go(struct bus_producer *p)
{
    topics_done(&p->topics);
    p->topic = NULL;
    p->ready = NULL;
    rd_kafka_queue_io_event_enable(p->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(p->queue);
    bus_client_unref(p->client);
    p->queue = NULL;
    p->client = NULL;
}

static void replace(struct bus *bus)
{
    struct err e;
    struct bus_producer *p = &bus->producer;
    p->broken = true; /* nothing is accepted while the old sends fail */
    fail_pending(bus);
    let_go(p);
    p->pending = p->bytes = 0;
    p->epoch++;
    /* The same settings made a handle before, so only a lack of threads can stop this. */
    bool opened = bus_producer_open(bus, &e);
    ASSERT(opened);
    log_warn(&bus->log, "kafka.producer_replaced",
             "the producer may not know what the brokers have; continuing with a new one");
}

void bus_producer_poll(struct bus *bus)
{
    struct bus_producer *p = &bus->producer;
    for (rd_kafka_event_t *event; (event = rd_kafka_queue_poll(p->queue, 0));) on_event(bus, event);
    if (p->broken) replace(bus);
}

void bus_producer_close(struct bus *bus)
{
    struct bus_producer *p = &bus->producer;
    if (!p->client) return;
    fail_pending(bus);
    let_go(p);
}
