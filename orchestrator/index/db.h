/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of runs, in SQLite: what a run is, where it stands, and its attributes. It is a
 * projection of topics: the offsets up to which it was made are changed in the same transaction, so
 * that a crash repeats or loses nothing, and a lost file is made again from the topics.
 *
 * One connection writes; any number read beside it (SQLite's write-ahead log). A connection belongs
 * to one thread. */
#ifndef TUTTI_INDEX_DB_H
#define TUTTI_INDEX_DB_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/id.h"
#include "common/base/json.h"

struct index_db;

/* Opens the file, made with its tables if it is not there. ERR_IO, ERR_CONFLICT (of a newer
 * program, or of another installation than prefix names) with what to do. */
MUST_CHECK struct index_db *index_db_open(const char *path, const char *prefix, struct err *e);
/* For reading only; ERR_NOT_FOUND while no writer has made it. */
MUST_CHECK struct index_db *index_db_open_reader(const char *path, struct err *e);
struct index_db *index_db_close(struct index_db *db); /* what is not committed is gone */
DEFINE_CLEANUP(struct index_db *, index_db_close)

/* --- writing: all between begin and commit --- */

MUST_CHECK bool index_db_begin(struct index_db *db, struct err *e);
MUST_CHECK bool index_db_commit(struct index_db *db, struct err *e);
void index_db_rollback(struct index_db *db);

/* A start. Texts are views; those that are absent have data NULL. attributes: an object of scalars,
 * or NULL. A run that is there already keeps the state it has. */
struct index_start {
    struct bytes run_id, workflow, version, key, actor, namespace_;
    int64_t started_ms;
    bool may_wait; /* it is initializing until something else is said of it */
    const json_t *attributes;
};
MUST_CHECK bool index_db_start(struct index_db *db, const struct index_start *s, struct err *e);
/* A state that a run came to by the event at offset (of its partition of events): ignored unless
 * that is later than what the index has. finished_ms: 0 while the run goes on. A run whose start
 * has not been seen yet is made with what is known. */
struct index_change {
    struct bytes run_id, workflow, version;
    const char *state;
    int64_t offset, finished_ms;
};
MUST_CHECK bool index_db_change(struct index_db *db, const struct index_change *c, struct err *e);
/* The start of a run has made none. */
MUST_CHECK bool index_db_forget(struct index_db *db, struct bytes run_id, struct err *e);
/* Removes up to max runs that finished before the moment. */
MUST_CHECK bool index_db_trim(struct index_db *db, int64_t finished_before_ms, uint32_t max,
                              struct err *e);
/* The next offset to read of a partition; -1: never read. */
MUST_CHECK bool index_db_offset(struct index_db *db, const char *topic, int32_t partition,
                                int64_t *ret, struct err *e);
MUST_CHECK bool index_db_set_offset(struct index_db *db, const char *topic, int32_t partition,
                                    int64_t next, struct err *e);

/* --- reading --- */

#define INDEX_PAGE_MAX       500
#define INDEX_ATTRIBUTES_MAX 8 /* in a query */

/* What to look for; NULL or 0: anything. Times in ms, since <= started < until. */
struct index_query {
    const char *workflow, *version, *state, *key;
    int64_t since_ms, until_ms;
    struct {
        const char *name, *value; /* a value as text: true, 12.5, gold */
    } attributes[INDEX_ATTRIBUTES_MAX];
    size_t attribute_count;
    uint32_t limit;     /* of runs in a page, 1..INDEX_PAGE_MAX */
    const char *cursor; /* of the page before; NULL: the first */
};
/* A page, the newest first: {"runs": [{id, workflow, version, status, started_at, finished_at,
 * key, attributes, ...}], "next": cursor or null}; a new reference. A page costs a bounded time:
 * where much has to be looked at to find little, it may be short, even empty, and have a `next`.
 * ERR_INVALID: the cursor, a state, a limit. */
MUST_CHECK bool index_db_page(struct index_db *db, const struct index_query *q, json_t **ret,
                              struct err *e);
/* How many runs there are by state: {"running": 3, ...}; kept by the writer, so it costs nothing. A
 * new reference. */
MUST_CHECK bool index_db_counts(struct index_db *db, json_t **ret, struct err *e);

#endif
