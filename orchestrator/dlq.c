/* SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters: a record that cannot be used goes to the topic `dlq` as it came (key, value,
 * headers), with the reason in headers of its own, so that sending it again is a plain produce. */
#include <stdlib.h>

#include "orchestrator/internal.h"

bool dlq_send(struct shard *shard, const struct bus_record *r, const char *reason,
              const char *error, struct bus_waiter *w)
{
    AUTO_FREE char *partition = xasprintf("%d", r->partition);
    AUTO_FREE char *offset = xasprintf("%lld", (long long)r->offset);
    struct bus_extra_header extra[HEADER_COUNT_MAX + 8] = {
        { "dlq-topic", bytes_of(r->topic) },
        { "dlq-partition", bytes_of(partition) },
        { "dlq-offset", bytes_of(offset) },
        { "dlq-reason", bytes_of(reason) },
        { "dlq-error", bytes_of(error) },
        { "dlq-host", bytes_of(shard->name) },
        { "dlq-version", BYTES_LIT(TUTTI_VERSION) },
    };
    size_t count = 7;
    for (size_t i = 0; i < r->extra_count && count < ARRAY_LEN(extra); i++)
        extra[count++] = r->extra[i];
    log_warn(&shard->log, "record.dead_letter",
             "%s/%s offset %s cannot be used (%s): it goes to %s", r->topic, partition, offset,
             error, shard->dlq_topic);
    struct bus_message m = { .topic = shard->dlq_topic,
                             .partition = r->partition % shard->dlq_partitions,
                             .key = r->message.key,
                             .value = r->message.value,
                             .header = r->message.header,
                             .extra = extra,
                             .extra_count = count };
    struct err e;
    return bus_send(shard->bus, &m, w, &e);
}
