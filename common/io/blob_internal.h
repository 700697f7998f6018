/* SPDX-License-Identifier: Apache-2.0
 *
 * What blob.c and the backends share: an operation, and what a backend does with it. */
#ifndef TUTTI_BLOB_INTERNAL_H
#define TUTTI_BLOB_INTERNAL_H

#include "common/io/blob.h"

enum blob_verb { BLOB_PUT, BLOB_GET, BLOB_REMOVE_RUN, BLOB_LIST_RUNS, BLOB_AGE };

/* An operation and its outcome. A backend owns it from start until blob_op_done. */
struct blob_op {
    struct blob_op *next, *previous; /* the backend's */
    struct blob_store *store;
    void *backend_data; /* the backend's */
    enum blob_verb verb;
    char run_id[RUN_ID_MAX]; /* of list_runs: `after`, or "" */
    struct blob_ref ref;
    struct buf content; /* put: what to write; get: what was read */
    blob_fn done;
    void *user;

    enum blob_status status;
    char text[300];
    char (*runs)[RUN_ID_MAX]; /* owned; room for BLOB_PAGE_MAX */
    size_t run_count;
    bool more;
    int64_t newest_ms;
};

struct blob_backend {
    void (*start)(void *backend, struct blob_op *op);
    /* Ends the operations that it still has. */
    void (*close)(void *backend);
};

/* Writes status and text; returns false. */
bool blob_op_fail(struct blob_op *op, enum blob_status status, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Calls done, and frees. In the loop's thread. */
void blob_op_done(struct blob_op *op);
/* The same as UNAVAILABLE: the store is closed. */
void blob_op_closed(struct blob_op *op);
/* Appends an id to the page, if it is one and there is room. */
void blob_op_add_run(struct blob_op *op, struct bytes id);

void *blob_dir_open(struct loop *loop, const char *dir, struct err *e);
extern const struct blob_backend blob_dir_backend;
void *blob_s3_open(struct loop *loop, const struct blob_options *options, struct err *e);
extern const struct blob_backend blob_s3_backend;

#endif
