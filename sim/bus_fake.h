/* SPDX-License-Identifier: Apache-2.0
 *
 * What bus_fake.c and bus_fake_read.c share: the bus of one process. */
#ifndef TUTTI_SIM_BUS_FAKE_H
#define TUTTI_SIM_BUS_FAKE_H

#include "sim/cluster_internal.h"

/* Something that comes back to the process at a time. */
struct answer {
    struct answer *next;
    uint64_t at_us;
    void (*deliver)(struct answer *a); /* frees it */
    void (*close)(struct answer *a);   /* the bus is closed; NULL: somebody else sees to it */
};

/* The order of one producer's messages to one partition, and of their reports. */
struct link {
    struct link *next;
    struct log_part *part;
    uint64_t last_us; /* the last of them arrives then */
    uint64_t told_us; /* and the last report comes then */
};

struct send;

/* One partition being read. */
struct bus_stream {
    struct bus_stream *next;        /* of the bus */
    struct bus_stream *next_reader; /* of the partition */
    struct bus *bus;
    struct log_part *part;
    struct bus_group *group;   /* or */
    struct bus_reader *reader; /* whose it is */
    bool reading, at_end;
    bool taken; /* revoked: it goes when all of the group that go are told of */
    int64_t next_offset;
    uint32_t credit;
    uint64_t lag_us;  /* between an append and its arrival here */
    uint64_t from_us; /* nothing arrives before */
};

struct bus {
    struct proc *proc;
    struct world *world;
    struct cluster *cluster;
    uint64_t message_timeout_us;
    struct answer *answers, *last_answer;
    struct send *sends;
    size_t pending;
    struct link *links;
    struct bus_stream *streams;
    struct bus_group *groups;
};

void bus_answer(struct bus *b, struct answer *a, uint64_t at_us);
void streams_deliver(struct bus *b);
void streams_wake(struct bus *b);
void groups_close(struct bus *b);

#endif
