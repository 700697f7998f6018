/* SPDX-License-Identifier: Apache-2.0
 *
 * What cluster.c, group.c and bus_fake.c share. */
#ifndef TUTTI_SIM_CLUSTER_INTERNAL_H
#define TUTTI_SIM_CLUSTER_INTERNAL_H

#include "sim/cluster.h"

struct cluster {
    struct world *world;
    struct topic *topics;
    struct group *groups;
};

/* A partition of a group's topics. */
struct share {
    struct share *next;
    struct log_part *part;
    struct member *owner; /* NULL: nobody */
    bool revoking;        /* the owner was asked to give it back */
    int64_t committed;    /* -1: nothing */
    char note[BUS_NOTE_MAX];
};
struct group {
    struct group *next;
    struct cluster *cluster;
    char *name;
    struct share *shares;
    struct member *members;
    bool settling; /* a rebalance is due */
};
struct member {
    struct member *next;
    struct group *group;
    struct bus_group *user; /* NULL: its process is gone */
    struct proc *proc;
    uint32_t refs; /* happenings that name it, and its user */
    bool out;      /* the coordinator does not count it any more */
    bool told;     /* of an assignment, be it an empty one */
    size_t shares; /* that it owns */
    char **topics;
    size_t topic_count;
};

/* bus_fake.c */
void stream_wake_all(struct log_part *part);

#endif
