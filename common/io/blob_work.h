/* SPDX-License-Identifier: Apache-2.0
 *
 * A few threads for operations on files: an fsync takes milliseconds on a good day and seconds on a
 * bad one, in which the loop has leases to renew. Private to common/io. */
#ifndef TUTTI_BLOB_WORK_H
#define TUTTI_BLOB_WORK_H

#include "common/io/blob_internal.h"

struct blob_work;

/* run is called in one of the threads, with context; blob_op_done then in the loop's. ERR_IO. */
MUST_CHECK struct blob_work *blob_work_open(struct loop *loop,
                                            void (*run)(void *context, struct blob_op *op),
                                            void *context, struct err *e);
void blob_work_submit(struct blob_work *w, struct blob_op *op);
/* Waits for what runs, and ends the rest. */
void blob_work_close(struct blob_work *w);

#endif
