/* SPDX-License-Identifier: Apache-2.0 */
#include "common/io/blob_gc.h"

#include <stdio.h>
#include <stdlib.h>

struct blob_gc {
    struct loop *loop;
    struct blob_store *store;
    struct blob_gc_options options;
    char (*ids)[RUN_ID_MAX]; /* the page; first all, then those that are not known */
    size_t count, at;
    bool more;
    char after[RUN_ID_MAX]; /* what is done */
    char page_end[RUN_ID_MAX];
    struct blob_gc_result result;
    bool busy;      /* an operation of the store is under way */
    bool cancelled; /* freed when that ends */
};

static void gc_free(struct blob_gc *gc)
{
    free(gc->ids);
    free(gc);
}

static void end(struct blob_gc *gc, enum blob_status status, const char *text)
{
    gc->result.status = status;
    gc->result.text = text;
    gc->result.after = gc->after;
    gc->options.done(gc->options.user, &gc->result);
    gc_free(gc);
}

/* What every callback of the store begins with: false if the sweep is over. */
static bool goes_on(struct blob_gc *gc, const struct blob_result *r)
{
    gc->busy = false;
    if (gc->cancelled) {
        gc_free(gc);
        return false;
    }
    if (r->status == BLOB_OK) return true;
    end(gc, r->status, r->text);
    return false;
}

static void next_run(struct blob_gc *gc);

static void on_page(void *user, const struct blob_result *r)
{
    struct blob_gc *gc = user;
    if (!goes_on(gc, r)) return;
    if (r->run_count == 0) {
        gc->after[0] = '\0';
        end(gc, BLOB_OK, "");
        return;
    }
    gc->count = r->run_count;
    gc->more = r->more;
    memcpy(gc->ids, r->runs, gc->count * sizeof *gc->ids);
    memcpy(gc->page_end, gc->ids[gc->count - 1], RUN_ID_MAX);
    gc->result.runs_seen += gc->count;
    gc->options.ask(gc->options.user, gc, gc->ids, gc->count);
}

static void next_page(struct blob_gc *gc)
{
    gc->busy = true;
    blob_list_runs(gc->store, bytes_of(gc->after), on_page, gc);
}

static void on_removed(void *user, const struct blob_result *r)
{
    struct blob_gc *gc = user;
    if (!goes_on(gc, r)) return;
    gc->result.runs_removed++;
    gc->at++;
    next_run(gc);
}

static void on_age(void *user, const struct blob_result *r)
{
    struct blob_gc *gc = user;
    if (!goes_on(gc, r)) return;
    if (r->newest_ms == 0 || loop_wall_ms(gc->loop) - r->newest_ms < gc->options.age_ms_min) {
        gc->at++;
        next_run(gc);
        return;
    }
    gc->busy = true;
    blob_remove_run(gc->store, bytes_of(gc->ids[gc->at]), on_removed, gc);
}

static void next_run(struct blob_gc *gc)
{
    if (gc->at < gc->count) {
        gc->busy = true;
        blob_age(gc->store, bytes_of(gc->ids[gc->at]), on_age, gc);
        return;
    }
    memcpy(gc->after, gc->page_end, RUN_ID_MAX);
    if (gc->more) {
        next_page(gc);
        return;
    }
    gc->after[0] = '\0';
    end(gc, BLOB_OK, "");
}

void blob_gc_known(struct blob_gc *gc, const bool *known)
{
    if (!known) {
        end(gc, BLOB_UNAVAILABLE, "which runs are known could not be found out");
        return;
    }
    size_t unknown = 0;
    for (size_t i = 0; i < gc->count; i++)
        if (!known[i]) memmove(gc->ids[unknown++], gc->ids[i], RUN_ID_MAX);
    gc->count = unknown;
    gc->at = 0;
    next_run(gc);
}

struct blob_gc *blob_gc_start(struct loop *loop, const struct blob_gc_options *options)
{
    struct blob_gc *gc = xcalloc(1, sizeof *gc);
    gc->loop = loop;
    gc->store = options->store;
    gc->options = *options;
    gc->ids = xcalloc(BLOB_PAGE_MAX, sizeof *gc->ids);
    if (options->after) snprintf(gc->after, sizeof gc->after, "%s", options->after);
    next_page(gc);
    return gc;
}

struct blob_gc *blob_gc_cancel(struct blob_gc *gc)
{
    if (!gc) return NULL;
    gc->cancelled = true;
    if (!gc->busy) gc_free(gc);
    return NULL;
}
