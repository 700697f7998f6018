/* SPDX-License-Identifier: Apache-2.0
 *
 * From librdkafka's message to a record: views only, headers parsed once. */
#include <stdlib.h>

#include "common/io/bus_internal.h"

struct bus_held {
    rd_kafka_message_t *message;
    struct bus_extra_header *extra;
};

/* What a record's owner points at during the callback. */
struct delivery {
    struct bus_held content;
    bool held;
};

static void read_headers(const rd_kafka_message_t *m, struct bus_record *r,
                         struct bus_extra_header **extra)
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    const char *name;
    const void *value;
    size_t len;
    enum message_header before = 0;
    for (size_t i = 0; i < HEADER_COUNT_MAX; i++) {
        if (rd_kafka_header_get_all(headers, i, &name, &value, &len)) break;
        struct bytes view = { .data = value ? value : "", .len = len };
        enum message_header h = message_header_find(bytes_of(name), before);
        if (h < HEADER_COUNT) {
            r->message.header[h] = view;
            before = h + 1;
            continue;
        }
        if (!*extra) *extra = xcalloc(HEADER_COUNT_MAX, sizeof **extra);
        (*extra)[r->extra_count++] = (struct bus_extra_header){ .name = name, .value = view };
    }
    r->extra = *extra;
}

static void content_done(struct bus_held *c)
{
    rd_kafka_message_destroy(c->message);
    free(c->extra);
}

static struct bus_record record_of(rd_kafka_message_t *m, struct bus_extra_header **extra)
{
    struct bus_record r = {
        .topic = rd_kafka_topic_name(m->rkt), /* lives as long as the message */
        .partition = m->partition,
        .offset = m->offset,
        .timestamp_ms = rd_kafka_message_timestamp(m, NULL),
        .message.key = { .data = m->key, .len = m->key_len },
        .message.value = { .data = m->payload, .len = m->len },
    };
    read_headers(m, &r, extra);
    return r;
}

void bus_record_deliver(rd_kafka_message_t *m,
                        void (*on_record)(void *user, const struct bus_record *r), void *user)
{
    struct delivery d = { .content = { .message = m } };
    struct bus_record r = record_of(m, &d.content.extra);
    r.owner = &d;
    on_record(user, &r);
    if (!d.held) content_done(&d.content);
}

struct bus_record bus_held_record(struct bus_held *held)
{
    return record_of(held->message, &held->extra);
}

struct bus_held *bus_record_hold(const struct bus_record *r)
{
    struct delivery *d = r->owner;
    ASSERT(d && !d->held);
    d->held = true;
    struct bus_held *held = xmalloc(sizeof *held);
    *held = d->content;
    return held;
}

void bus_record_release(struct bus_held *held)
{
    if (!held) return;
    content_done(held);
    free(held);
}
