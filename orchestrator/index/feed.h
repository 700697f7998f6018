/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes the index of what stands in the topics: starts in `events`, ends in `results`, and what is
 * between in `lifecycle`. It belongs to no consumer group: each indexer has a whole index of its
 * own, whose offsets stand beside its rows. */
#ifndef TUTTI_INDEX_FEED_H
#define TUTTI_INDEX_FEED_H

#include "common/base/log.h"
#include "common/io/bus.h"
#include "orchestrator/index/db.h"

struct feed;

struct feed_options {
    const char *prefix;
    uint64_t retention_ms; /* a run that finished longer ago leaves the index */
    const struct log *log;
};
/* Begins; db is the feed's alone until feed_close. Waits for topics that are not there yet. A
 * database that cannot be written (a full disk) is tried again each second, from the last commit.
 */
MUST_CHECK struct feed *feed_open(struct loop *loop, struct bus *bus, struct index_db *db,
                                  const struct feed_options *options, struct err *e);
struct feed *feed_close(struct feed *f);
/* Everything that was there is indexed (for the moment). */
bool feed_at_end(const struct feed *f);
/* Whether it had to give up: the topics are not those that the index was made of. */
bool feed_failed(const struct feed *f, struct err *ret);

#endif
