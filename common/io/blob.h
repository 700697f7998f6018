/* SPDX-License-Identifier: Apache-2.0
 *
 * The payload store: objects named by the sha256 of their content, under run/<run id>/, in a
 * directory or in an S3-compatible store. A put that comes twice (a replay, a worker that was taken
 * for dead) writes the same object; an object never changes; all of a run's go with one call.
 *
 * Every operation ends with its callback, once and never inside the call; what it is given is
 * copied. */
#ifndef TUTTI_BLOB_H
#define TUTTI_BLOB_H

#include "common/base/id.h"
#include "common/io/loop.h"
#include "common/proto/blob_ref.h"

struct blob_store;

struct blob_options {
    /* A directory, made if it is missing (0700); or NULL: the S3 store below. */
    const char *dir;
    /* Scheme, host and port, without a path: https://s3.eu-central-1.amazonaws.com. Plain http only
     * with http_allowed. */
    const char *endpoint;
    bool http_allowed;
    const char *region, *bucket;
    const char *prefix;     /* of all keys: "a/b"; NULL or "": none */
    bool virtual_host;      /* https://<bucket>.<host>/<key>, else https://<host>/<bucket>/<key> */
    const char *access_key; /* and secret_key: required for S3 */
    const char *secret_key;
    const char *session_token; /* NULL: none */
    uint32_t attempt_ms;       /* longest time of one request; 0: 30 s. S3 only */
    uint32_t attempts_max;     /* of one request, with pauses between; 0: 5. S3 only */
};

/* ERR_INVALID: options that cannot be. ERR_IO: a directory that cannot be made or written to. That
 * an S3 store answers is found out by the first operation. */
MUST_CHECK struct blob_store *blob_open(struct loop *loop, const struct blob_options *options,
                                        struct err *e);
/* Operations under way end as UNAVAILABLE before this returns, and those that their callbacks give
 * are dropped without a callback. Waits for files that are being written this moment. Not from
 * within a callback of this store. NULL is fine; returns NULL. */
struct blob_store *blob_close(struct blob_store *s);
DEFINE_CLEANUP(struct blob_store *, blob_close)

/* X(enumerator, name, can trying again later help) */
#define BLOB_STATUSES(X)     \
    X(OK, "ok", 0)           \
    X(LOST, "lost", 0)       \
    X(REFUSED, "refused", 0) \
    X(FULL, "full", 1)       \
    X(UNAVAILABLE, "unavailable", 1)

/* LOST: a get of an object that is not there, or whose bytes are not those that were put.
 * REFUSED: credentials, rights, a bucket that does not exist: somebody has to change something.
 * FULL: no room on the device. UNAVAILABLE: no answer, or not now; done or not done. */
enum blob_status {
#define X(name, text, retriable) BLOB_##name,
    BLOB_STATUSES(X)
#undef X
        BLOB_STATUS_COUNT
};
const char *blob_status_name(enum blob_status status);
bool blob_status_retriable(enum blob_status status);

/* Dies with the callback. */
struct blob_result {
    enum blob_status status;
    const char *text;         /* for people, with the server's code ("SlowDown"); "" if OK */
    struct bytes data;        /* get: the content */
    char (*runs)[RUN_ID_MAX]; /* list_runs: ids */
    size_t run_count;
    bool more;         /* list_runs: there are others behind the last */
    int64_t newest_ms; /* age: wall time of the last write, by the store's clock; 0: no object */
};
typedef void (*blob_fn)(void *user, const struct blob_result *r);

/* Stores content, which ref names (blob_ref_of), for the run. It is durable once OK has come. */
void blob_put(struct blob_store *s, struct bytes run_id, const struct blob_ref *ref,
              struct bytes content, blob_fn done, void *user);
/* The content that ref names; its length is ref->size. */
void blob_get(struct blob_store *s, struct bytes run_id, const struct blob_ref *ref, blob_fn done,
              void *user);
/* Removes all objects of the run; none is fine. Not atomic: after UNAVAILABLE do it again. */
void blob_remove_run(struct blob_store *s, struct bytes run_id, blob_fn done, void *user);
/* Up to BLOB_PAGE_MAX ids of runs that have objects, in the store's order, behind `after` (the last
 * of the page before; empty: from the start). What is no run of ours is passed over. */
#define BLOB_PAGE_MAX 1000
void blob_list_runs(struct blob_store *s, struct bytes after, blob_fn done, void *user);
/* When an object of the run was last written. */
void blob_age(struct blob_store *s, struct bytes run_id, blob_fn done, void *user);

/* Operations under way or waiting. */
size_t blob_pending(const struct blob_store *s);

#endif
