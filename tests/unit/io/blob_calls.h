/* SPDX-License-Identifier: Apache-2.0
 *
 * The payload store's operations one at a time, for tests. */
#ifndef TUTTI_TEST_BLOB_CALLS_H
#define TUTTI_TEST_BLOB_CALLS_H

#include <stdlib.h>

#include "common/io/blob_gc.h"

#define WAIT_MS 60000

struct outcome {
    bool over;
    enum blob_status status;
    char text[300];
    struct buf data;
    char (*runs)[RUN_ID_MAX];
    size_t run_count;
    bool more;
    int64_t newest_ms;
};

static inline void outcome_done(struct outcome *o)
{
    buf_done(&o->data);
    free(o->runs);
}
/* clang calls a variable unused that is only released at the end of its block */
#define AUTO_OUTCOME             \
    UNUSED CLEANUP(outcome_done) \
    struct outcome

static inline void on_outcome(void *outcome, const struct blob_result *r)
{
    struct outcome *o = outcome;
    o->over = true;
    o->status = r->status;
    strncpy(o->text, r->text, sizeof o->text - 1);
    if (r->data.len) buf_add(&o->data, r->data.data, r->data.len);
    o->run_count = r->run_count;
    if (r->run_count) {
        o->runs = xcalloc(r->run_count, sizeof *o->runs);
        memcpy(o->runs, r->runs, r->run_count * sizeof *o->runs);
    }
    o->more = r->more;
    o->newest_ms = r->newest_ms;
}

static inline bool outcome_over(void *outcome)
{
    return ((struct outcome *)outcome)->over;
}

static inline struct outcome wait_for(struct loop *loop, struct outcome *o)
{
    if (!loop_run_until(loop, outcome_over, o, WAIT_MS)) abort();
    return *o;
}

static inline struct outcome put(struct loop *loop, struct blob_store *s, const char *run,
                                 struct bytes content)
{
    struct outcome o = { 0 };
    struct blob_ref ref = blob_ref_of(content);
    blob_put(s, bytes_of(run), &ref, content, on_outcome, &o);
    return wait_for(loop, &o);
}

static inline struct outcome get(struct loop *loop, struct blob_store *s, const char *run,
                                 struct bytes content)
{
    struct outcome o = { 0 };
    struct blob_ref ref = blob_ref_of(content);
    blob_get(s, bytes_of(run), &ref, on_outcome, &o);
    return wait_for(loop, &o);
}

static inline struct outcome remove_run(struct loop *loop, struct blob_store *s, const char *run)
{
    struct outcome o = { 0 };
    blob_remove_run(s, bytes_of(run), on_outcome, &o);
    return wait_for(loop, &o);
}

static inline struct outcome list(struct loop *loop, struct blob_store *s, const char *after)
{
    struct outcome o = { 0 };
    blob_list_runs(s, bytes_of(after), on_outcome, &o);
    return wait_for(loop, &o);
}

static inline struct outcome age(struct loop *loop, struct blob_store *s, const char *run)
{
    struct outcome o = { 0 };
    blob_age(s, bytes_of(run), on_outcome, &o);
    return wait_for(loop, &o);
}

/* --- a sweep; the run that is known is the one named --- */

struct sweep {
    bool over;
    const char *known;
    enum blob_status status;
    uint64_t seen, removed;
};

static inline void sweep_ask(void *sweep, struct blob_gc *gc, char (*ids)[RUN_ID_MAX], size_t count)
{
    struct sweep *s = sweep;
    AUTO_FREE bool *known = xcalloc(count, sizeof *known);
    for (size_t i = 0; i < count; i++) known[i] = s->known && strcmp(ids[i], s->known) == 0;
    blob_gc_known(gc, known);
}

static inline void sweep_done(void *sweep, const struct blob_gc_result *r)
{
    struct sweep *s = sweep;
    s->over = true;
    s->status = r->status;
    s->seen = r->runs_seen;
    s->removed = r->runs_removed;
}

static inline bool sweep_over(void *sweep)
{
    return ((struct sweep *)sweep)->over;
}

static inline struct sweep sweep_run(struct loop *loop, struct blob_store *store, const char *known,
                                     int64_t age_ms_min)
{
    struct sweep s = { .known = known };
    struct blob_gc *gc = blob_gc_start(loop, &(struct blob_gc_options){ .store = store,
                                                                        .age_ms_min = age_ms_min,
                                                                        .ask = sweep_ask,
                                                                        .done = sweep_done,
                                                                        .user = &s });
    (void)gc;
    if (!loop_run_until(loop, sweep_over, &s, WAIT_MS)) abort();
    return s;
}

#endif
