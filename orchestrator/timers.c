/* SPDX-License-Identifier: Apache-2.0
 *
 * A binary heap of due times with an index by run id. One entry a live run: the wheel that the
 * design speaks of would save the logarithm, but entries change only when a run starts, ends, or
 * gets an earlier due time. */
#include <stdlib.h>

#include "orchestrator/internal.h"

static void place(struct timers *t, size_t slot, struct due *due)
{
    t->heap[slot] = due;
    due->slot = slot;
}

static void sift_up(struct timers *t, struct due *due)
{
    size_t slot = due->slot;
    while (slot > 0 && t->heap[(slot - 1) / 2]->due_ms > due->due_ms) {
        place(t, slot, t->heap[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    place(t, slot, due);
}

static void sift_down(struct timers *t, struct due *due)
{
    size_t slot = due->slot;
    for (;;) {
        size_t child = 2 * slot + 1;
        if (child >= t->count) break;
        if (child + 1 < t->count && t->heap[child + 1]->due_ms < t->heap[child]->due_ms) child++;
        if (t->heap[child]->due_ms >= due->due_ms) break;
        place(t, slot, t->heap[child]);
        slot = child;
    }
    place(t, slot, due);
}

void timers_done(struct timers *t)
{
    for (size_t i = 0; i < t->count; i++) free(t->heap[i]);
    free(t->heap);
    map_done(&t->by_id);
    *t = (struct timers){ 0 };
}

struct due *timers_find(const struct timers *t, const char *id)
{
    return map_get(&t->by_id, bytes_of(id));
}

struct due *timers_set(struct timers *t, const char *id, int64_t due_ms)
{
    struct due *due = timers_find(t, id);
    if (due) {
        due->due_ms = due_ms;
        sift_up(t, due);
        sift_down(t, due);
        return due;
    }
    if (t->count == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->heap = xrealloc(t->heap, t->cap * sizeof *t->heap);
    }
    due = xcalloc(1, sizeof *due);
    due->due_ms = due_ms;
    memcpy(due->id, id, RUN_ID_MAX);
    map_put(&t->by_id, bytes_of(due->id), due);
    due->slot = t->count++;
    sift_up(t, due);
    return due;
}

void timers_remove(struct timers *t, const char *id)
{
    struct due *due = map_remove(&t->by_id, bytes_of(id));
    if (!due) return;
    struct due *last = t->heap[--t->count];
    if (last != due) {
        place(t, due->slot, last);
        sift_up(t, last);
        sift_down(t, last);
    }
    free(due);
}

struct due *timers_first(const struct timers *t)
{
    return t->count ? t->heap[0] : NULL;
}
