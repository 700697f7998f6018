/* SPDX-License-Identifier: Apache-2.0
 *
 * The client settings that the bus uses whatever the configuration says, as { name, value } pairs.
 * In a file of their own so that bench/raw measures the broker's limit with the very same ones. */
#ifndef TUTTI_KAFKA_SETTINGS_H
#define TUTTI_KAFKA_SETTINGS_H

#include <librdkafka/rdkafka.h>
#include <sched.h>

#define KAFKA_COMMON_SETTINGS                                                   \
    { "socket.nagle.disable", "true" }, /* the default delays small requests */ \
        { "reconnect.backoff.max.ms", "500" },                                  \
    {                                                                           \
        "log.connection.close", "false"                                         \
    }

/* What a producer's queue may hold: settings below. */
#define KAFKA_QUEUE_MESSAGES_MAX 100000U
#define KAFKA_QUEUE_BYTES_MAX    (262144U * 1024)

#define KAFKA_PRODUCER_SETTINGS                                                          \
    { "enable.idempotence", "true" }, { "max.in.flight.requests.per.connection", "3" },  \
        { "linger.ms", "0" }, { "queue.buffering.max.messages", "100000" },              \
        { "queue.buffering.max.kbytes", "262144" }, { "partitioner", "murmur2_random" }, \
    {                                                                                    \
        "allow.auto.create.topics", "false"                                              \
    } /* asking for a topic must not make it */

#define KAFKA_FETCHER_SETTINGS                                                  \
    { "enable.auto.commit", "false" }, { "enable.auto.offset.store", "false" }, \
        { "auto.offset.reset", "error" }, { "fetch.error.backoff.ms", "50" },   \
    {                                                                           \
        "check.crcs", "true"                                                    \
    }

/* rd_kafka_new() whose threads, which inherit the policy, are SCHED_BATCH. The first message of a
 * burst wakes the broker's thread; on a busy machine it would push the caller from its core and
 * send a batch of one, and the rest of the burst in crumbs after it. A batch thread waits until
 * the caller sleeps or another core is idle: three times as many records a batch, measured. */
static inline rd_kafka_t *kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *errstr,
                                    size_t errstr_size)
{
    static const struct sched_param none = { 0 };
    bool plain = sched_getscheduler(0) == SCHED_OTHER;
    if (plain) (void)sched_setscheduler(0, SCHED_BATCH, &none);
    rd_kafka_t *rk = rd_kafka_new(type, conf, errstr, errstr_size);
    if (plain) (void)sched_setscheduler(0, SCHED_OTHER, &none);
    return rk;
}

#endif
