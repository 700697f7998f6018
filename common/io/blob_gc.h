/* SPDX-License-Identifier: Apache-2.0
 *
 * Collection of what a crash leaves behind: objects of runs that nobody knows any more. A run's
 * objects normally go with the run (blob_remove_run); this sweep goes through all runs that have
 * objects, page by page, asks which are known, and removes those of the others whose last write is
 * older than a bound, which covers a run that is only about to be known. */
#ifndef TUTTI_BLOB_GC_H
#define TUTTI_BLOB_GC_H

#include "common/io/blob.h"

struct blob_gc;

struct blob_gc_result {
    uint64_t runs_seen, runs_removed;
    enum blob_status status; /* OK: the sweep came to its end */
    const char *text;
    const char *after; /* where it stopped: the `after` that resumes it; "" at the end */
};

struct blob_gc_options {
    struct blob_store *store;
    int64_t age_ms_min; /* of the last write; longer than any start takes, and than clocks differ */
    const char *after;  /* NULL or "": from the start */
    /* Asks which runs of a page are known; the answer comes by blob_gc_known, now or later. ids
     * live until then. */
    void (*ask)(void *user, struct blob_gc *gc, char (*ids)[RUN_ID_MAX], size_t count);
    void (*done)(void *user, const struct blob_gc_result *r); /* once; gc is gone then */
    void *user;
};

/* Begins a sweep; one operation of the store at a time. Ends at the first that fails. */
struct blob_gc *blob_gc_start(struct loop *loop, const struct blob_gc_options *options);
/* known[i] says whether ids[i] is a run that is known; NULL: it could not be found out, which ends
 * the sweep as UNAVAILABLE. */
void blob_gc_known(struct blob_gc *gc, const bool *known);
/* Ends it without `done`, before its store is closed; its memory goes with the operation under way.
 * NULL is fine; returns NULL. */
struct blob_gc *blob_gc_cancel(struct blob_gc *gc);

#endif
