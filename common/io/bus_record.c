/* SPDX-License-Identifier: Apache-2.0
 *
 * From librdkafka's message to a record: views only, headers parsed once. The names of our headers
 * are found by a small hash table instead of being compared one by one, because this runs for every
 * message. */
#include <stdlib.h>

#include "common/io/bus_internal.h"

struct bus_held {
    const struct bus *bus;
    rd_kafka_message_t *message;
    struct bus_extra_header *extra;
};

/* What a record's owner points at during the callback. */
struct delivery {
    struct bus_held content;
    bool held;
};

/* Length, first and last two letters tell our names apart well enough for a table this sparse. */
static size_t slot_of(const char *name, size_t len)
{
    size_t h = len * 7 + (unsigned char)name[0] * 31 + (unsigned char)name[len - 1] * 5;
    if (len > 2) h += (unsigned char)name[2] * 17;
    return h % HEADER_SLOTS;
}

void bus_record_init(struct bus *bus)
{
    static_assert(HEADER_SLOTS > 2 * HEADER_COUNT, "probing ends at a free slot");
    for (int h = 0; h < HEADER_COUNT; h++) {
        const char *name = message_header_name((enum message_header)h);
        size_t slot = slot_of(name, strlen(name));
        while (bus->header_slots[slot]) slot = (slot + 1) % HEADER_SLOTS;
        bus->header_slots[slot] = (uint8_t)(h + 1);
    }
}

static enum message_header find_header(const struct bus *bus, const char *name, size_t len)
{
    if (len == 0) return HEADER_COUNT;
    for (size_t slot = slot_of(name, len); bus->header_slots[slot];
         slot = (slot + 1) % HEADER_SLOTS) {
        enum message_header h = (enum message_header)(bus->header_slots[slot] - 1);
        const char *ours = message_header_name(h);
        if (strncmp(ours, name, len) == 0 && ours[len] == '\0') return h;
    }
    return HEADER_COUNT;
}

static void read_headers(const struct bus *bus, const rd_kafka_message_t *m, struct bus_record *r,
                         struct bus_extra_header **ret_extra)
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    const char *name;
    const void *value;
    size_t len;
    for (size_t i = 0; i < HEADER_COUNT_MAX; i++) {
        if (rd_kafka_header_get_all(headers, i, &name, &value, &len)) break;
        struct bytes view = { .data = value ? value : "", .len = len };
        enum message_header h = find_header(bus, name, strlen(name));
        if (h < HEADER_COUNT) {
            r->message.header[h] = view;
            continue;
        }
        if (!*ret_extra) *ret_extra = xcalloc(HEADER_COUNT_MAX, sizeof **ret_extra);
        (*ret_extra)[r->extra_count++] = (struct bus_extra_header){ .name = name, .value = view };
    }
    r->extra = *ret_extra;
}

static struct bus_record record_of(struct bus_held *c)
{
    const rd_kafka_message_t *m = c->message;
    struct bus_record r = {
        .topic = rd_kafka_topic_name(m->rkt), /* lives as long as the message */
        .partition = m->partition,
        .offset = m->offset,
        .timestamp_ms = rd_kafka_message_timestamp(m, NULL),
        .message.key = { .data = m->key, .len = m->key_len },
        .message.value = { .data = m->payload, .len = m->len },
    };
    read_headers(c->bus, m, &r, &c->extra);
    return r;
}

static void content_done(struct bus_held *c)
{
    rd_kafka_message_destroy(c->message);
    free(c->extra);
}

void bus_record_deliver(struct bus *bus, rd_kafka_message_t *m,
                        void (*on_record)(void *user, const struct bus_record *r), void *user)
{
    struct delivery d = { .content = { .bus = bus, .message = m } };
    struct bus_record r = record_of(&d.content);
    r.owner = &d;
    on_record(user, &r);
    if (!d.held) content_done(&d.content);
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

struct bus_record bus_held_record(struct bus_held *held)
{
    return record_of(held);
}

void bus_record_release(struct bus_held *held)
{
    if (!held) return;
    content_done(held);
    free(held);
}
