/* SPDX-License-Identifier: Apache-2.0
 *
 * The topics that a worker needs. */
#include <stdlib.h>

#include "common/proto/keys.h"
#include "worker/worker.h"

#define DLQ_PARTITIONS 4

void worker_topics_make(struct bus *bus, const struct worker_options *o, int32_t partitions,
                        int16_t replicas, void (*done)(void *user, const struct err *e), void *user)
{
    size_t count = o->queue_count + 1;
    struct bus_topic_spec *specs = xcalloc(count, sizeof *specs);
    struct buf *names = xcalloc(count, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        bool letters = i == o->queue_count;
        if (letters)
            topic_name(&names[i], o->prefix, "dlq");
        else
            topic_tasks(&names[i], o->prefix, o->queues[i], PRIORITY_NORMAL);
        specs[i] = (struct bus_topic_spec){ .name = names[i].data,
                                            .partitions = letters ? DLQ_PARTITIONS : partitions,
                                            .replicas = replicas };
    }
    bus_create_topics(bus, specs, count, done, user);
    for (size_t i = 0; i < count; i++) buf_done(&names[i]);
    free(names);
    free(specs);
}
