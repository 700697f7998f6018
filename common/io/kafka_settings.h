/* SPDX-License-Identifier: Apache-2.0
 *
 * The client settings that the bus uses whatever the configuration says, as { name, value } pairs.
 * In a file of their own so that bench/raw measures the broker's limit with the very same ones. */
#ifndef TUTTI_KAFKA_SETTINGS_H
#define TUTTI_KAFKA_SETTINGS_H

#define KAFKA_COMMON_SETTINGS                                                   \
    { "socket.nagle.disable", "true" }, /* the default delays small requests */ \
        { "reconnect.backoff.max.ms", "500" },                                  \
    {                                                                           \
        "log.connection.close", "false"                                         \
    }

#define KAFKA_PRODUCER_SETTINGS                                                                   \
    { "enable.idempotence", "true" },                                                             \
        { "linger.ms", "0" }, /* batches form while the previous one is under way */              \
        { "queue.buffering.max.messages", "100000" }, { "queue.buffering.max.kbytes", "262144" }, \
        { "partitioner", "murmur2_random" },                                                      \
    {                                                                                             \
        "allow.auto.create.topics", "false"                                                       \
    } /* asking for a topic must not make it */

#define KAFKA_FETCHER_SETTINGS                                                  \
    { "enable.auto.commit", "false" }, { "enable.auto.offset.store", "false" }, \
        { "auto.offset.reset", "error" }, { "fetch.error.backoff.ms", "50" },   \
    {                                                                           \
        "check.crcs", "true"                                                    \
    }

#endif
