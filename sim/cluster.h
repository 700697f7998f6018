/* SPDX-License-Identifier: Apache-2.0
 *
 * Kafka as the simulated processes see it together: topics whose partitions are logs, and the
 * coordinator of consumer groups. */
#ifndef TUTTI_SIM_CLUSTER_H
#define TUTTI_SIM_CLUSTER_H

#include "common/io/bus.h"
#include "sim/world.h"

struct log_part;

/* A record in a log: one piece of memory, shared by everybody who holds it. */
struct record {
    uint32_t refs;
    const struct log_part *part; /* NULL until it is appended */
    int64_t offset, timestamp_ms;
    uint64_t at_us;
    struct message message;
    struct bus_extra_header *extra;
    size_t extra_count;
};
struct record *record_new(const struct bus_message *m);
void record_unref(struct record *r);
/* An owner's claim on `results`: no run's. */
bool record_is_claim(const struct record *r);

struct topic;
struct bus_stream;
struct log_part {
    struct topic *topic;
    int32_t id;
    struct record **records; /* by offset; NULL below start, and where compaction took it */
    int64_t start, end;
    size_t cap;
    struct bus_stream *streams; /* everybody who reads it */
};
struct topic {
    struct topic *next;
    char *name;
    int32_t partitions;
    bool append_time, compact;
    struct log_part *parts;
};

struct cluster;
struct cluster *cluster_new(struct world *w);
struct cluster *cluster_free(struct cluster *c);
struct topic *cluster_topic(struct cluster *c, const char *name); /* NULL: there is none */
/* Makes it where it does not exist. */
struct topic *cluster_topic_make(struct cluster *c, const struct bus_topic_spec *spec);
/* NULL: no such topic or partition. */
struct log_part *cluster_part(struct cluster *c, const char *topic, int32_t partition);
/* Appends; r belongs to the log afterwards. Readers are woken, oracles told. by: who sent it, NULL
 * for the world outside. Returns the offset. */
int64_t log_append(struct world *w, struct log_part *part, struct record *r, const struct proc *by);
/* Forgets what lies below the offset. */
void log_truncate(struct log_part *part, int64_t start);
/* Of records with one key in a compacted topic keeps the last, and drops old tombstones. */
void log_compact(struct log_part *part);

/* --- group.c: the coordinator --- */

struct group;
struct member;
/* A member joins; g is told by bus_fake's callbacks below. */
struct member *group_join(struct cluster *c, const char *group, struct bus_group *user,
                          struct proc *p, const char *const *topics, size_t topic_count);
void group_rejoin(struct member *m); /* it was thrown out, and has heard of it */
void group_leave(struct member *m);  /* says so */
void group_vanish(struct member *m); /* without a word: found out after the session time-out */
/* What the member has done about a revocation reaches the coordinator after a while. */
void group_revoked(struct member *m, const char *topic, int32_t partition);
void group_commit(struct member *m, const char *topic, int32_t partition, int64_t offset,
                  const char *note);
/* -1: none. ret_note holds BUS_NOTE_MAX, or is NULL. */
int64_t group_committed(struct member *m, const char *topic, int32_t partition, char *ret_note);
/* The member did not answer for the session time-out. */
void groups_silent(struct cluster *c, const struct proc *p);
/* Somebody's partitions go elsewhere, for no reason. */
void groups_shuffle(struct cluster *c);
/* There is a new topic, which members may want: they look for such now and then. */
void groups_topic_made(struct cluster *c);
void groups_free(struct cluster *c);

/* bus_fake.c: what the coordinator tells a member; it arrives after a delay. GROUP_JOINED: there is
 * nothing for it. */
enum group_notice { GROUP_JOINED, GROUP_ASSIGN, GROUP_REVOKE, GROUP_LOST };
void bus_fake_notice(struct bus_group *g, enum group_notice what, const char *topic,
                     int32_t partition);

#endif
