/* SPDX-License-Identifier: Apache-2.0
 *
 * Garbage of the payload store. Nothing is kept of what is to be deleted: from time to time the
 * owner of partition 0 goes through all runs that have objects, and removes those that neither
 * Redis nor a replay can need (scripts/known.lua) and to which nothing was written for
 * payloads.garbage_after. So a wiped Redis, a crash or a start that never came leave nothing
 * behind for ever. */
#include <stdlib.h>

#include "common/io/blob_gc.h"
#include "orchestrator/internal.h"

/* A sweep, and the page that it asks about. */
struct sweep {
    struct shard *shard; /* NULL: it was given up, and only answers are still to come */
    struct blob_gc *gc;
    char (*ids)[RUN_ID_MAX]; /* the collector's, until it is told */
    bool *known;
    size_t count, asked, missing;
    bool failed;
};

struct question {
    struct sweep *sweep;
    size_t run;
};

static void ask_more(struct sweep *s);

static void sweep_free(struct sweep *s)
{
    free(s->known);
    free(s);
}

static void on_known(void *user, enum store_status status, const struct store_reply *reply)
{
    struct question q = *(struct question *)user;
    struct sweep *s = q.sweep;
    free(user);
    s->missing--;
    if (!s->shard) {
        if (s->missing == 0) sweep_free(s);
        return;
    }
    s->failed |= status != STORE_OK;
    s->known[q.run] = status != STORE_OK || store_integer(reply) != 0;
    ask_more(s);
}

static void ask_one(struct sweep *s, size_t run)
{
    struct shard *shard = s->shard;
    struct bytes id = bytes_of(s->ids[run]);
    int32_t p = partition_of(run_id_route(id), shard->options.partitions);
    char server[GENERATION_MAX];
    struct buf keys[3] = { { 0 } };
    generation_make(server, store_run_id(shard->store), (struct bytes){ .data = "" });
    key_partition(&keys[0], shard->prefix, p);
    key_snapshots(&keys[1], shard->prefix, p);
    key_run(&keys[2], shard->prefix, p, id);
    const struct bytes argv[] = { buf_bytes(&keys[0]), buf_bytes(&keys[1]), buf_bytes(&keys[2]),
                                  bytes_of(server), id };
    struct question *q = xcalloc(1, sizeof *q);
    *q = (struct question){ .sweep = s, .run = run };
    s->missing++;
    store_script(shard->store, shard_script(shard, SCRIPT_KNOWN), 3, argv, ARRAY_LEN(argv),
                 on_known, q);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) buf_done(&keys[i]);
}

/* A few at a time: Redis has better things to do. */
static void ask_more(struct sweep *s)
{
    while (s->asked < s->count && s->missing < 16 && !s->failed) ask_one(s, s->asked++);
    if (s->missing == 0) blob_gc_known(s->gc, s->failed ? NULL : s->known);
}

static void on_page(void *user, struct blob_gc *gc, char (*ids)[RUN_ID_MAX], size_t count)
{
    struct sweep *s = user;
    s->gc = gc;
    s->ids = ids;
    s->count = count;
    s->asked = 0;
    s->known = xrealloc(s->known, MAX(count, (size_t)1) * sizeof *s->known);
    ask_more(s);
}

static void on_swept(void *user, const struct blob_gc_result *r)
{
    struct sweep *s = user;
    struct shard *shard = s->shard;
    if (r->status == BLOB_OK)
        log_info(&shard->log, "payloads.swept", "%llu of %llu runs with payloads were garbage",
                 (unsigned long long)r->runs_removed, (unsigned long long)r->runs_seen);
    else
        log_warn(&shard->log, "payloads.sweep_failed", "%s: tried again in %u s", r->text,
                 shard->options.sweep_ms / SECOND_MS);
    shard->sweep = NULL;
    sweep_free(s);
}

void payload_sweep_tick(struct shard *shard)
{
    struct blob_store *blobs = payload_store_blobs(shard->payloads);
    const struct partition *first = shard->partitions[0];
    uint64_t now = loop_now_ms(shard->loop);
    if (!blobs || shard->sweep || !first || first->state != PARTITION_RUNNING) return;
    if (now < shard->sweep_due_ms) return;
    shard->sweep_due_ms = now + shard->options.sweep_ms;
    struct sweep *s = xcalloc(1, sizeof *s);
    s->shard = shard;
    shard->sweep = s;
    s->gc = blob_gc_start(shard->loop,
                          &(struct blob_gc_options){ .store = blobs,
                                                     .age_ms_min = shard->options.garbage_after_ms,
                                                     .ask = on_page,
                                                     .done = on_swept,
                                                     .user = s });
}

void payload_sweep_end(struct shard *shard)
{
    struct sweep *s = TAKE(shard->sweep);
    if (!s) return;
    blob_gc_cancel(s->gc);
    s->shard = NULL;
    if (s->missing == 0) sweep_free(s);
}
