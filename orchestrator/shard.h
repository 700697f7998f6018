/* SPDX-License-Identifier: Apache-2.0
 *
 * A shard: what one thread of the orchestrator runs. It is a member of the consumer group of its
 * own; several shards, in one process or in many, divide the partitions between them. The simulator
 * and the tests open shards over fakes of the same io headers. */
#ifndef TUTTI_SHARD_H
#define TUTTI_SHARD_H

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/io/bus.h"
#include "common/io/loop.h"
#include "common/io/payload_store.h"
#include "common/io/store.h"

/* A run with more fields is read in pieces: so many keep Redis for about four milliseconds. */
#define LOAD_FIELDS_MAX 4000

struct shard_options {
    const char *prefix;       /* of topics and keys */
    const char *name;         /* of this owner, unique: host, pid and thread */
    int32_t partitions;       /* of `events`, fixed for the life of the installation */
    int32_t tasks_partitions; /* of a new task topic */
    int16_t replication;      /* of new topics; 0: the broker's default */
    bool create_topics;
    bool lifecycle;           /* changes of runs' states are told on `lifecycle` */
    uint32_t pipeline;        /* waves of folds under way at once, 1 to 4 */
    uint32_t commit_ms;       /* how long a busy partition gathers for a commit; 0: not at all */
    uint64_t cache_bytes_max; /* run states in memory */
    uint64_t retention_bytes_max; /* that finished runs may hold in Redis, over all partitions */
    uint32_t snapshot_ms;         /* between two rounds of snapshots; see snapshot.c */
    uint32_t load_fields_max;     /* of a run that is read by one script; 0: any number */
    struct bus_options bus;       /* log is set by the shard */
    struct store_options store;
    struct payload_store_options payloads; /* log is set by the shard */
    uint32_t sweep_ms;                     /* between two sweeps of the payload store */
    int64_t garbage_after_ms;              /* since the last write for a run */
    const struct log *log;
};

struct shard;
/* Opens connections and starts the set-up; everything else happens in the loop. The strings of
 * options are copied where they must outlive the call, except bus, store and payload store
 * settings, which are used now. */
MUST_CHECK struct shard *shard_open(struct loop *loop, const struct shard_options *options,
                                    struct err *e);
/* Commits what is folded, within STOP_MS, leaves the group and stops the loop when that is done. */
void shard_stop(struct shard *shard);
struct shard *shard_close(struct shard *shard);
DEFINE_CLEANUP(struct shard *, shard_close)
/* Why the shard stopped by itself (a fact of the installation differs, an event of a newer
 * version): false if it did not. */
bool shard_failed(const struct shard *shard, struct err *ret);
/* Joined the group, Redis answers and takes what is written, and no partition is halted. */
bool shard_ready(const struct shard *shard);
/* Counters for logs and tests. */
struct shard_stats {
    uint64_t events_folded, commits, floors;
    size_t runs_cached, cache_bytes, partitions_running;
};
void shard_stats(const struct shard *shard, struct shard_stats *ret);

#endif
