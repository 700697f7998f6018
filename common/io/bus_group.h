/* SPDX-License-Identifier: Apache-2.0
 *
 * A group as bus_group.c (membership) and bus_offsets.c (positions and commits) share it. */
#ifndef TUTTI_BUS_GROUP_H
#define TUTTI_BUS_GROUP_H

#include "common/io/bus_internal.h"

struct bus_part { /* a partition that is assigned to us */
    struct bus_group *group;
    struct bus_group_topic *topic;
    int32_t partition;
    struct bus_stream *stream;
    int64_t commit;          /* to be committed; -1: nothing */
    char note[BUS_NOTE_MAX]; /* of the last commit; "" : none */
    int64_t committing;      /* under way; looked at if that fails */
    bool resolving;          /* waits for the committed offset, to be read with credit */
    uint32_t credit;
};

struct bus_group_topic {
    char *name;
    struct bus_part **parts; /* by partition; NULL: not ours */
    int32_t cap;
};

struct bus_group {
    struct bus *bus;
    struct bus_group *next;
    uint64_t serial;                  /* tells it from a later one at the same address */
    struct bus_group_options options; /* group and topics are not used any more */
    char *group;
    struct bus_client *client;
    rd_kafka_queue_t *queue, *close_queue;
    struct map topics; /* name -> struct bus_group_topic */
    size_t assigned;
    bool joined, leaving;
    bool commit_waiting;
    int commits_running;
    bool resolve_waiting, resolve_running; /* some part is resolving; a question is under way */
    uint64_t leave_by_ms;
    void (*on_left)(void *user);
    void *left_user;
};

/* NULL if it is not assigned to us. */
struct bus_part *bus_group_part(const struct bus_group *g, const char *topic, int32_t partition);
/* Sends what bus_commit collected; not while the group is being joined unless the caller knows that
 * this is safe. */
void bus_group_commit_send(struct bus_group *g, bool safe);
void bus_group_committed(struct bus_group *g, rd_kafka_event_t *event);
/* Asks for the committed offsets of all parts that wait for them. */
void bus_group_resolve(struct bus_group *g);

#endif
