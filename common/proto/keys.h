/* SPDX-License-Identifier: Apache-2.0
 *
 * Names in Redis and Kafka. Everything of a partition lies under one hash tag, so that one script
 * may touch it all. prefix is the installation's (option `prefix`, default "tutti").
 *
 *   <prefix>:p:{<p>}            hash     epoch, off, claim, replay_from, replay_until, tries,
 *                                        tries_off, rebuild, gen, fold_gen, gen_seen, fin_bytes,
 *                                        floor, caution, try_off, try_by, accept_loss
 *   <prefix>:tm:{<p>}           zset     live runs by earliest due time
 *   <prefix>:fin:{<p>}          zset     finished runs by the time they expire
 *   <prefix>:snap:{<p>}         hash     run -> its snapshot in the topic (snapshot.c has its form)
 *   <prefix>:run:{<p>}:<id>     hash     a run (orchestrator/engine/engine.h)
 *   <prefix>:ledger:{<p>}       hash     what the fold keeps beside the runs: orchestrator/ledger.c
 *   <prefix>:key:{<p>}:<r>      string   run id of the run that a start key stands for
 *   <prefix>:tk:{<p>}:<n>       hash     task -> "L|<worker>|<lease end ms>" leased, "D" done,
 *                                        "F|<offset of the failure>" failed, "C" cancelled, of the
 *                                        runs with that `marks` (message.h); outlives deadlines and
 *                                        leases of these tasks
 *   <prefix>:cb:<dependency>    hash     circuit breaker
 *   <prefix>:cache:<sha256>     string   an output that tasks alike share (worker/cache.c)
 *   <prefix>:sys                hash     partitions, cluster id, format
 *
 * Topics: <prefix>.events, .results, .definitions, .dlq, .snapshots, .tasks.<queue>, and for steps
 * with a priority .tasks.<queue>.HIGH and .LOW (names of queues have no capitals, so none can be
 * meant) */
#ifndef TUTTI_KEYS_H
#define TUTTI_KEYS_H

#include "common/base/buf.h"

/* Each appends the name to b (which is not reset). */
void key_partition(struct buf *b, const char *prefix, int32_t p);
void key_timers(struct buf *b, const char *prefix, int32_t p);
void key_finished(struct buf *b, const char *prefix, int32_t p);
void key_snapshots(struct buf *b, const char *prefix, int32_t p);
void key_ledger(struct buf *b, const char *prefix, int32_t p);
void key_run(struct buf *b, const char *prefix, int32_t p, struct bytes run_id);
void key_start(struct buf *b, const char *prefix, int32_t p, struct bytes route);
void key_marks(struct buf *b, const char *prefix, int32_t p, struct bytes marks);
void key_breaker(struct buf *b, const char *prefix, struct bytes dependency);
void key_cache(struct buf *b, const char *prefix, const char *sha256);
void key_sys(struct buf *b, const char *prefix);
/* What a worker takes first. */
enum priority { PRIORITY_NORMAL, PRIORITY_HIGH, PRIORITY_LOW };
#define PRIORITY_COUNT 3
/* "<prefix>.<name>", or "<prefix>.tasks.<queue>" with the priority's suffix. */
void topic_name(struct buf *b, const char *prefix, const char *name);
void topic_tasks(struct buf *b, const char *prefix, const char *queue, enum priority priority);
/* Of a topic that topic_tasks made. */
enum priority topic_priority(const char *topic);

/* The generation of a partition: 12 hex digits of the server's run_id and the `gen` of p:{p} (12
 * hex). */
#define GENERATION_MAX 26
void generation_make(char ret[GENERATION_MAX], const char *server_run_id, struct bytes gen);
/* The `gen` that it was made of; a view. */
struct bytes generation_gen(const char *generation);

#endif
