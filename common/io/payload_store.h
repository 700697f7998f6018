/* SPDX-License-Identifier: Apache-2.0
 *
 * The payload store as a process uses it: which payloads go there, and puts and gets with patience.
 * A store that does not answer, refuses or is full is asked again with growing pauses, whatever it
 * says: somebody will see to it, and meanwhile nothing is lost. So only few operations are under
 * way at a time, and while the store is in trouble one pause holds for all. What is in trouble is
 * logged, once a minute. */
#ifndef TUTTI_PAYLOAD_STORE_H
#define TUTTI_PAYLOAD_STORE_H

#include "common/base/log.h"
#include "common/io/blob.h"

struct payload_store;

struct payload_store_options {
    const struct blob_options *place; /* NULL: there is no store */
    const char *url;                  /* what the references in results begin with */
    size_t inline_max, max;           /* bytes; max is used only with a place */
    const struct log *log;
};

/* The options and their texts are copied, the log's must live on. Errors are those of blob_open. */
MUST_CHECK struct payload_store *
payload_store_open(struct loop *loop, const struct payload_store_options *options, struct err *e);
/* Ends what goes on as UNAVAILABLE; the callbacks may begin nothing. Not from within one. NULL is
 * fine; returns NULL. */
struct payload_store *payload_store_close(struct payload_store *s);
DEFINE_CLEANUP(struct payload_store *, payload_store_close)

/* Whether there is a place for them. */
bool payload_store_there(const struct payload_store *s);
/* Whether a payload of so many bytes belongs there; never without a store. */
bool payload_store_takes(const struct payload_store *s, size_t len);
/* The largest payload; without a store what fits a message. */
size_t payload_store_max(const struct payload_store *s);
/* Where the object lies, for people and for whoever reads results. */
void payload_store_url(const struct payload_store *s, struct bytes run_id,
                       const struct blob_ref *ref, struct buf *ret);
/* The store itself, for a sweep; NULL: there is none. */
struct blob_store *payload_store_blobs(const struct payload_store *s);

/* OK, LOST (a get: somebody has to put the object back), or UNAVAILABLE: the time that the
 * operation was given is over. text says why; data is that of a get. Both die with the callback. */
struct payload_answer {
    enum blob_status status;
    const char *text;
    struct bytes data;
};
typedef void (*payload_fn)(void *user, const struct payload_answer *a);

/* One operation that goes on. Its callback comes once, never inside the call; then it is gone. */
struct payload_op;
/* wait_ms: how long it may take at the most; 0: any time. content is copied. */
struct payload_op *payload_store_put(struct payload_store *s, struct bytes run_id,
                                     const struct blob_ref *ref, struct bytes content,
                                     uint64_t wait_ms, payload_fn done, void *user);
/* Without a store this waits, and says that there is none: the object may be there for another
 * process that has one. */
struct payload_op *payload_store_get(struct payload_store *s, struct bytes run_id,
                                     const struct blob_ref *ref, uint64_t wait_ms, payload_fn done,
                                     void *user);
/* No callback comes any more. NULL is fine; returns NULL. */
struct payload_op *payload_op_cancel(struct payload_op *op);

#endif
