/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots: the states of runs in a compacted topic, so that a wiped Redis can be filled again
 * without the whole log. snapshot.c writes them, rebuild.c reads them, snapshot_record.c knows
 * their form. */
#ifndef TUTTI_ORCHESTRATOR_SNAPSHOT_H
#define TUTTI_ORCHESTRATOR_SNAPSHOT_H

#include "common/base/hash.h"
#include "orchestrator/internal.h"

#define SNAPSHOT_FLOOR       "floor"
#define SNAPSHOT_QUARANTINE  "quarantine"
#define SNAPSHOT_CHUNK_BYTES (768 * 1024)
/* More than the largest value needs; what Redis or the topic claim beyond it is damage. */
#define SNAPSHOT_CHUNKS_MAX (64 * 1024)
#define SNAPSHOT_ENTRY_MAX  80

struct snapshot_key {
    char id[RUN_ID_MAX]; /* a run, or one of the two names above */
    int64_t epoch;       /* of its writer; of a quarantine the offset of the event */
    int64_t off;         /* -1: the value is in one piece */
    uint32_t chunk;
};
struct snapshot_record {
    struct snapshot_key key;
    int64_t off;             /* it stands for everything below */
    uint32_t chunks;         /* 0: a tombstone */
    struct bytes value;      /* data NULL: a tombstone */
    struct bytes gen, claim; /* of a floor */
};
/* Both are false for what is none of ours. */
MUST_CHECK bool snapshot_key_parse(struct bytes key, struct snapshot_key *ret);
MUST_CHECK bool snapshot_parse(const struct bus_record *r, struct snapshot_record *ret);
void snapshot_key_make(struct buf *b, const char *id, int64_t epoch, int64_t off, uint32_t chunks,
                       uint32_t chunk);
/* How many messages a value needs. */
uint32_t snapshot_chunks(struct bytes value);
/* Hands a snapshot, or the tombstones of one, to the bus; returns how many messages were taken (w
 * is told of each), fewer than the chunks if the queue is full. gen: of a floor, else NULL. */
uint32_t snapshot_send(struct partition *part, const char *id, int64_t epoch, int64_t off,
                       const char *gen, struct bytes value, struct bus_waiter *w);
uint32_t snapshot_erase(struct partition *part, const char *id, int64_t epoch, int64_t off,
                        uint32_t chunks, struct bus_waiter *w);
/* The fields of a run as one value. The decoded list is the caller's, its bytes are views. */
void snapshot_encode_field(struct buf *b, struct bytes name, struct bytes value);
MUST_CHECK bool snapshot_decode(struct bytes value, struct field **ret, size_t *ret_count);

struct snapshot_entry {
    int64_t epoch, off;
    uint32_t chunks;
    char hash[17];
};
void snapshot_entry_make(char ret[SNAPSHOT_ENTRY_MAX], int64_t epoch, int64_t off, uint32_t chunks,
                         struct bytes skeleton);
MUST_CHECK bool snapshot_entry_parse(struct bytes text, struct snapshot_entry *ret);

#endif
