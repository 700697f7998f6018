/* SPDX-License-Identifier: Apache-2.0
 *
 * The raw limit: two hops through the broker and nothing else (driver -> there -> echo process ->
 * back -> driver), with the client settings that the product uses, as many messages in flight as
 * the product has steps.
 *
 *   raw topics BROKERS THERE BACK                      makes the topics
 *   raw echo BROKERS THERE BACK
 *   raw drive BROKERS THERE BACK IN_FLIGHT SECONDS     prints {"per_s":..,"p50_ms":..} */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

#include "bench/measure.h"
#include "common/base/clock.h"
#include "common/io/kafka_settings.h"

#define PARTITIONS 16
#define VALUE_SIZE 512
#define BATCH      4096

struct hop {
    rd_kafka_t *producer, *consumer;
    rd_kafka_topic_t *out;
    rd_kafka_queue_t *in;
};

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "raw: %s\n", text);
        exit(1);
    }
}

static rd_kafka_t *handle(rd_kafka_type_t type, const char *brokers)
{
    static const char *const common[][2] = { KAFKA_COMMON_SETTINGS };
    static const char *const producer[][2] = { KAFKA_PRODUCER_SETTINGS };
    static const char *const consumer[][2] = { KAFKA_FETCHER_SETTINGS };
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    for (size_t i = 0; i < ARRAY_LEN(common); i++) set(conf, common[i][0], common[i][1]);
    for (size_t i = 0; type == RD_KAFKA_PRODUCER && i < ARRAY_LEN(producer); i++)
        set(conf, producer[i][0], producer[i][1]);
    for (size_t i = 0; type == RD_KAFKA_CONSUMER && i < ARRAY_LEN(consumer); i++)
        set(conf, consumer[i][0], consumer[i][1]);
    if (type == RD_KAFKA_CONSUMER) {
        set(conf, "group.id", "raw");
        set(conf, "fetch.wait.max.ms", "100");
    }
    rd_kafka_t *rk = kafka_new(type, conf, text, sizeof text);
    if (!rk) {
        fprintf(stderr, "raw: %s\n", text);
        exit(1);
    }
    return rk;
}

static void open_hop(struct hop *hop, const char *brokers, const char *from, const char *to)
{
    hop->producer = handle(RD_KAFKA_PRODUCER, brokers);
    hop->consumer = handle(RD_KAFKA_CONSUMER, brokers);
    hop->out = rd_kafka_topic_new(hop->producer, to, NULL);
    const struct rd_kafka_metadata *meta; /* warm-up, and from now on partitions are known */
    if (rd_kafka_metadata(hop->producer, 0, hop->out, &meta, 10000) == RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_metadata_destroy(meta);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++) {
        int64_t low, high = 0;
        rd_kafka_query_watermark_offsets(hop->consumer, from, p, &low, &high, 10000);
        rd_kafka_topic_partition_list_add(list, from, p)->offset = high;
    }
    rd_kafka_assign(hop->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    hop->in = rd_kafka_queue_get_consumer(hop->consumer);
}

static void hop_send(struct hop *hop, int partition, void *value)
{
    while (rd_kafka_produce(hop->out, partition, RD_KAFKA_MSG_F_COPY, value, VALUE_SIZE, NULL, 0,
                            NULL) != 0)
        rd_kafka_poll(hop->producer, 1); /* the queue is full */
}

/* Waits for one message, then takes what else is there. */
static int receive(struct hop *hop, rd_kafka_event_t **event, int wait_ms)
{
    rd_kafka_poll(hop->producer, 0);
    *event = rd_kafka_queue_poll(hop->in, wait_ms);
    return *event != NULL;
}

static _Noreturn void echo(struct hop *hop)
{
    puts("ready");
    fflush(stdout);
    for (;;) {
        rd_kafka_event_t *event;
        if (!receive(hop, &event, 100)) continue;
        for (const rd_kafka_message_t *m; (m = rd_kafka_event_message_next(event));)
            if (!m->err) hop_send(hop, m->partition, m->payload);
        rd_kafka_event_destroy(event);
    }
}

static int drive(struct hop *hop, uint32_t in_flight, uint32_t seconds)
{
    char value[VALUE_SIZE] = { 0 };
    struct samples samples = { 0 };
    uint64_t sent = 0, measured = 0, start = clock_mono_us(), warm = start + 1000000,
             end = warm + seconds * 1000000ull;
    for (uint32_t i = 0; i < in_flight; i++) {
        uint64_t now = clock_mono_us();
        memcpy(value, &now, sizeof now);
        hop_send(hop, (int)(sent++ % PARTITIONS), value);
    }
    for (uint64_t now; (now = clock_mono_us()) < end;) {
        rd_kafka_event_t *event;
        if (!receive(hop, &event, 100)) continue;
        now = clock_mono_us();
        for (const rd_kafka_message_t *m; (m = rd_kafka_event_message_next(event));) {
            if (m->err || m->len != VALUE_SIZE) continue;
            uint64_t then;
            memcpy(&then, m->payload, sizeof then);
            if (then < start) continue; /* of an earlier phase */
            if (now >= warm) {
                samples_add(&samples, now - then);
                measured++;
            }
            memcpy(value, &now, sizeof now);
            hop_send(hop, (int)(sent++ % PARTITIONS), value);
        }
        rd_kafka_event_destroy(event);
    }
    printf("{\"per_s\":%.0f,\"p50_ms\":%.3f}\n", (double)measured / seconds,
           samples_ms(&samples, 0.5));
    samples_done(&samples);
    return 0;
}

static int make_topics(const char *brokers, char **names, size_t count)
{
    char text[256];
    rd_kafka_t *rk = handle(RD_KAFKA_PRODUCER, brokers);
    rd_kafka_NewTopic_t *topics[2];
    for (size_t i = 0; i < count; i++)
        topics[i] = rd_kafka_NewTopic_new(names[i], PARTITIONS, -1, text, sizeof text);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_CreateTopics(rk, topics, count, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
    bool ok = event && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!ok) fprintf(stderr, "raw: the topics could not be made\n");
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct hop hop;
    if (argc == 5 && strcmp(argv[1], "topics") == 0) _Exit(make_topics(argv[2], argv + 3, 2));
    if (argc == 5 && strcmp(argv[1], "echo") == 0) {
        open_hop(&hop, argv[2], argv[3], argv[4]);
        echo(&hop);
    }
    if (argc == 7 && strcmp(argv[1], "drive") == 0) {
        open_hop(&hop, argv[2], argv[4], argv[3]);
        fflush(stdout);
        int r =
            drive(&hop, (uint32_t)strtoul(argv[5], NULL, 10), (uint32_t)strtoul(argv[6], NULL, 10));
        fflush(stdout);
        _Exit(r); /* closing the handles would wait for what is still in flight */
    }
    fputs("usage: raw echo BROKERS THERE BACK | raw drive BROKERS THERE BACK IN_FLIGHT SECONDS\n",
          stderr);
    return 2;
}
