/* SPDX-License-Identifier: Apache-2.0 */
#include "common/io/blob.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/io/blob_internal.h"

struct blob_store {
    const struct blob_backend *backend;
    void *data; /* the backend's */
    size_t pending;
    bool closing;
};

static const struct {
    const char *name;
    bool retriable;
} status_info[] = {
#define X(name_, text, retriable_) [BLOB_##name_] = { .name = text, .retriable = retriable_ },
    BLOB_STATUSES(X)
#undef X
};

const char *blob_status_name(enum blob_status status)
{
    ASSERT(status < BLOB_STATUS_COUNT);
    return status_info[status].name;
}

bool blob_status_retriable(enum blob_status status)
{
    ASSERT(status < BLOB_STATUS_COUNT);
    return status_info[status].retriable;
}

struct blob_store *blob_open(struct loop *loop, const struct blob_options *options, struct err *e)
{
    void *data =
        options->dir ? blob_dir_open(loop, options->dir, e) : blob_s3_open(loop, options, e);
    if (!data) return NULL;
    struct blob_store *s = xcalloc(1, sizeof *s);
    s->backend = options->dir ? &blob_dir_backend : &blob_s3_backend;
    s->data = data;
    return s;
}

struct blob_store *blob_close(struct blob_store *s)
{
    if (!s) return NULL;
    s->closing = true;
    s->backend->close(s->data);
    free(s);
    return NULL;
}

size_t blob_pending(const struct blob_store *s)
{
    return s->pending;
}

/* --- operations --- */

bool blob_op_fail(struct blob_op *op, enum blob_status status, const char *fmt, ...)
{
    va_list args;
    op->status = status;
    va_start(args, fmt);
    vsnprintf(op->text, sizeof op->text, fmt, args);
    va_end(args);
    text_one_line(op->text);
    return false;
}

static void op_free(struct blob_op *op)
{
    buf_done(&op->content);
    free(op->runs);
    free(op);
}

/* Whatever a store returns: what a get hands out is what was put. */
static void check_content(struct blob_op *op)
{
    if (op->status == BLOB_OK && !blob_ref_matches(&op->ref, buf_bytes(&op->content)))
        (void)blob_op_fail(op, BLOB_LOST, "payload %s of run %s: the stored bytes are not those",
                           op->ref.sha256, op->run_id);
}

void blob_op_done(struct blob_op *op)
{
    if (op->verb == BLOB_GET) check_content(op);
    op->store->pending--;
    bool ok = op->status == BLOB_OK;
    struct blob_result r = {
        .status = op->status,
        .text = op->text,
        .data = ok && op->verb == BLOB_GET ? buf_bytes(&op->content) : (struct bytes){ 0 },
        .runs = op->runs,
        .run_count = ok ? op->run_count : 0,
        .more = ok && op->more,
        .newest_ms = ok ? op->newest_ms : 0,
    };
    op->done(op->user, &r);
    op_free(op);
}

void blob_op_closed(struct blob_op *op)
{
    (void)blob_op_fail(op, BLOB_UNAVAILABLE, "the payload store is closed");
    blob_op_done(op);
}

void blob_op_add_run(struct blob_op *op, struct bytes id)
{
    if (!run_id_check(id) || op->run_count == BLOB_PAGE_MAX) return;
    memcpy(op->runs[op->run_count], id.data, id.len);
    op->runs[op->run_count++][id.len] = '\0';
}

static struct blob_op *op_new(struct blob_store *s, enum blob_verb verb, struct bytes run_id,
                              blob_fn done, void *user)
{
    ASSERT(run_id_check(run_id) || (verb == BLOB_LIST_RUNS && run_id.len == 0));
    struct blob_op *op = xcalloc(1, sizeof *op);
    op->store = s;
    op->verb = verb;
    if (run_id.len) memcpy(op->run_id, run_id.data, run_id.len);
    op->done = done;
    op->user = user;
    return op;
}

static void start(struct blob_op *op)
{
    struct blob_store *s = op->store;
    if (s->closing) {
        op_free(op);
        return;
    }
    s->pending++;
    s->backend->start(s->data, op);
}

void blob_put(struct blob_store *s, struct bytes run_id, const struct blob_ref *ref,
              struct bytes content, blob_fn done, void *user)
{
    ASSERT(content.len == ref->size && content.len <= BLOB_BYTES_MAX);
    struct blob_op *op = op_new(s, BLOB_PUT, run_id, done, user);
    op->ref = *ref;
    buf_add(&op->content, content.data, content.len);
    start(op);
}

void blob_get(struct blob_store *s, struct bytes run_id, const struct blob_ref *ref, blob_fn done,
              void *user)
{
    struct blob_op *op = op_new(s, BLOB_GET, run_id, done, user);
    op->ref = *ref;
    start(op);
}

void blob_remove_run(struct blob_store *s, struct bytes run_id, blob_fn done, void *user)
{
    start(op_new(s, BLOB_REMOVE_RUN, run_id, done, user));
}

void blob_list_runs(struct blob_store *s, struct bytes after, blob_fn done, void *user)
{
    struct blob_op *op = op_new(s, BLOB_LIST_RUNS, after, done, user);
    op->runs = xcalloc(BLOB_PAGE_MAX, sizeof *op->runs);
    start(op);
}

void blob_age(struct blob_store *s, struct bytes run_id, blob_fn done, void *user)
{
    start(op_new(s, BLOB_AGE, run_id, done, user));
}
