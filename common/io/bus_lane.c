/* SPDX-License-Identifier: Apache-2.0
 *
 * A lane is a partition that is produced to. What is sent to it in a turn is handed to librdkafka
 * at the turn's end, all at once; while any of it is under way, what comes later waits here and
 * leaves together when the last is acknowledged.
 *
 * librdkafka 2.0.2 makes no further request for a partition of which five messages are under way
 * (rd_kafka_toppar_producer_serve), but while it holds others its broker thread does not sleep: it
 * walks all partitions and polls without a timeout until the acknowledgement comes, 25,000 times a
 * second, and being awake it sends whatever comes for other partitions in crumbs. So it is given
 * nothing that it could not send. */
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/io/bus_internal.h"

/* A message that waits. */
struct parcel {
    struct parcel *next;
    struct bus_waiter *waiter;
    rd_kafka_headers_t *headers; /* owned; NULL: none */
    struct bytes key, value;     /* in data; a null one has none */
    rd_kafka_resp_err_t code;    /* why it failed */
    char data[];
};

struct bus_lane {
    struct bus_topic *topic;
    int32_t partition;
    bool known;       /* something was delivered: the partition exists */
    bool ready;       /* is in the list of those that leave at the end of the turn */
    size_t under_way; /* messages that librdkafka has and has not reported */
    struct parcel *first, **last;
    struct bus_lane *next_ready;
};

struct bus_lane *bus_lane_of(struct bus_topic *topic, int32_t partition)
{
    if (partition < 0 || partition >= PARTITIONS_MAX) return NULL;
    size_t index = (size_t)partition;
    if (index >= topic->lane_count) {
        size_t count = MAX(index + 1, 2 * topic->lane_count);
        topic->lanes = xrealloc(topic->lanes, count * sizeof *topic->lanes);
        for (size_t i = topic->lane_count; i < count; i++) topic->lanes[i] = NULL;
        topic->lane_count = count;
    }
    if (topic->lanes[index]) return topic->lanes[index];
    struct bus_lane *lane = topic->lanes[index] = xcalloc(1, sizeof *lane);
    *lane = (struct bus_lane){ .topic = topic, .partition = partition, .last = &lane->first };
    return lane;
}

bool bus_lane_known(const struct bus_lane *lane)
{
    return lane && lane->known;
}

void bus_lane_left(struct bus_lane *lane)
{
    if (lane) lane->under_way++;
}

static void make_ready(struct bus *bus, struct bus_lane *lane)
{
    if (lane->ready) return;
    lane->ready = true;
    lane->next_ready = bus->producer.ready;
    bus->producer.ready = lane;
}

static struct bytes copy(struct bytes from, char *to)
{
    if (!from.data) return from;
    if (from.len > 0) memcpy(to, from.data, from.len);
    return (struct bytes){ .data = to, .len = from.len };
}

void bus_lane_add(struct bus *bus, struct bus_lane *lane, const struct bus_message *m,
                  rd_kafka_headers_t *headers, struct bus_waiter *w)
{
    struct parcel *parcel = xmalloc(sizeof *parcel + m->key.len + m->value.len);
    parcel->next = NULL;
    parcel->waiter = w;
    parcel->headers = headers;
    parcel->key = copy(m->key, parcel->data);
    parcel->value = copy(m->value, parcel->data + m->key.len);
    *lane->last = parcel;
    lane->last = &parcel->next;
    if (lane->under_way == 0) make_ready(bus, lane);
}

static struct parcel *take_all(struct bus_lane *lane)
{
    struct parcel *parcels = TAKE(lane->first);
    lane->last = &lane->first;
    return parcels;
}

/* Gives librdkafka all that waits; what it refuses goes to the list. */
static void hand_over(struct bus *bus, struct bus_lane *lane, struct parcel **refused)
{
    for (struct parcel *next, *parcel = take_all(lane); parcel; parcel = next) {
        next = parcel->next;
        parcel->code = bus_produce(bus, lane->topic, lane->partition, parcel->key, parcel->value,
                                   parcel->headers, parcel->waiter);
        if (parcel->code) {
            parcel->next = *refused;
            *refused = parcel;
        } else {
            lane->under_way++;
            free(parcel);
        }
    }
}

static void refuse(struct bus *bus, struct bus_lane *lane, struct parcel **refused)
{
    (void)bus;
    for (struct parcel *next, *parcel = take_all(lane); parcel; parcel = next) {
        next = parcel->next;
        parcel->code = RD_KAFKA_RESP_ERR__PURGE_QUEUE;
        parcel->next = *refused;
        *refused = parcel;
    }
}

/* Tells whose they are, last, because they may do anything about it. */
static void report(struct bus *bus, struct parcel *refused)
{
    for (struct parcel *next; refused; refused = next) {
        next = refused->next;
        struct bus_waiter *w = refused->waiter;
        struct bus_delivery d = { .error = rd_kafka_err2str(refused->code) };
        if (refused->headers) rd_kafka_headers_destroy(refused->headers);
        bus_producer_settle(bus, refused->key.len + refused->value.len);
        free(refused);
        w->done(w, &d);
    }
}

void bus_lanes_leave(void *user)
{
    struct bus *bus = user;
    struct parcel *refused = NULL;
    for (struct bus_lane *next, *lane = TAKE(bus->producer.ready); lane; lane = next) {
        next = TAKE(lane->next_ready);
        lane->ready = false;
        hand_over(bus, lane, &refused);
    }
    report(bus, refused);
    if (bus->producer.ready) loop_again(bus->loop); /* whose message failed has sent another */
}

static void for_all(struct bus *bus,
                    void (*each)(struct bus *bus, struct bus_lane *lane, struct parcel **refused))
{
    struct parcel *refused = NULL;
    size_t pos = 0;
    for (struct bus_topic *t; (t = map_next(&bus->producer.topics, &pos));)
        for (size_t i = 0; i < t->lane_count; i++)
            if (t->lanes[i]) each(bus, t->lanes[i], &refused);
    report(bus, refused);
}

void bus_lanes_hand_over(struct bus *bus)
{
    for_all(bus, hand_over);
}

void bus_lanes_fail(struct bus *bus)
{
    for_all(bus, refuse);
}

void bus_lane_reported(struct bus *bus, struct bus_lane *lane, bool delivered)
{
    if (!lane) return;
    lane->known |= delivered;
    if (lane->under_way > 0) lane->under_way--; /* 0: it was sent with BUS_ANY */
    if (lane->under_way == 0 && lane->first) make_ready(bus, lane);
}

void bus_lanes_done(struct bus_topic *topic)
{
    for (size_t i = 0; i < topic->lane_count; i++) {
        ASSERT(!topic->lanes[i] || !topic->lanes[i]->first);
        free(topic->lanes[i]);
    }
    free(topic->lanes);
}
