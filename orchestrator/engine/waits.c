/* SPDX-License-Identifier: Apache-2.0
 *
 * What waits: steps that time will move, in a binary heap (J. W. J. Williams, "Algorithm 232:
 * Heapsort", 1964) in which each knows its place, and steps that wait for a slot, in a queue. So an
 * event costs what it touches, however much else waits. */
#include <stdlib.h>

#include "orchestrator/engine/state.h"

/* --- for a time --- */

static void heap_put(struct run *run, size_t at, struct timed t)
{
    run->timed[at] = t;
    t.step->timed = (uint32_t)at + 1;
}

static void heap_up(struct run *run, size_t at, struct timed t)
{
    while (at > 0 && run->timed[(at - 1) / 2].due_ms > t.due_ms) {
        heap_put(run, at, run->timed[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(run, at, t);
}

static void heap_down(struct run *run, size_t at, struct timed t)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= run->timed_count) break;
        if (child + 1 < run->timed_count && run->timed[child + 1].due_ms < run->timed[child].due_ms)
            child++;
        if (run->timed[child].due_ms >= t.due_ms) break;
        heap_put(run, at, run->timed[child]);
        at = child;
    }
    heap_put(run, at, t);
}

/* Either way from a place, because the element that takes it may belong above or below. */
static void heap_settle(struct run *run, size_t at, struct timed t)
{
    if (at > 0 && run->timed[(at - 1) / 2].due_ms > t.due_ms)
        heap_up(run, at, t);
    else
        heap_down(run, at, t);
}

void timed_remove(struct run *run, struct step *s)
{
    if (!s->timed) return;
    size_t at = s->timed - 1;
    s->timed = 0;
    struct timed last = run->timed[--run->timed_count];
    if (at < run->timed_count) heap_settle(run, at, last);
}

/* When time moves a step. false: it does not. */
static bool due_of(const struct run *run, const struct step_def *d, const struct step *s,
                   int64_t *ret)
{
    *ret = s->at_ms;
    if (s->state == STEP_STATE_ISSUED) *ret = step_backstop_ms(run, d, s);
    return s->state == STEP_STATE_ISSUED || s->state == STEP_STATE_BACKOFF ||
           (s->state == STEP_STATE_WAITING && s->at_ms);
}

void timed_update(struct run *run, struct scope *scope, uint32_t index, struct step *s)
{
    struct timed t = { .scope = scope, .step = s };
    if (!due_of(run, &run->def->steps[index], s, &t.due_ms)) {
        timed_remove(run, s);
        return;
    }
    if (s->timed) {
        heap_settle(run, s->timed - 1, t);
        return;
    }
    uint32_t count = run->timed_count;
    bool full = count ? (count & (count - 1)) == 0 : !run->timed; /* room for a power of two */
    if (full) run->timed = xrealloc(run->timed, MAX(2 * count, 1u) * sizeof *run->timed);
    heap_up(run, run->timed_count++, t);
}

/* Depth first from a place; below one that is not due nothing is. The depth is the logarithm of
 * what waits. */
static void mark_due(struct run *run, size_t at, int64_t now_ms)
{
    if (at >= run->timed_count || run->timed[at].due_ms > now_ms) return;
    scope_mark(run->timed[at].scope);
    mark_due(run, 2 * at + 1, now_ms);
    mark_due(run, 2 * at + 2, now_ms);
}

void timed_mark_due(struct run *run, int64_t now_ms)
{
    mark_due(run, 0, now_ms);
}

/* --- for a slot --- */

bool queue_full(const struct run *run)
{
    bool queued = run->aside && run->aside->queue;
    return run->def->max_parallel && (queued || run->issued >= run->def->max_parallel);
}

void queue_append(struct run *run, struct scope *scope, uint32_t index, struct step *s)
{
    struct aside *a = run_aside(run);
    struct queued *q = xmalloc(sizeof *q);
    *q = (struct queued){
        .scope = scope, .step = index, .ticket = s->issued_off, .previous = a->queue_end
    };
    *(a->queue_end ? &a->queue_end->next : &a->queue) = q;
    a->queue_end = q;
    s->queued = q;
}

void queue_add(struct fold *f, uint32_t index)
{
    struct run *run = f->run;
    struct step *s = step_move(f, index, STEP_STATE_WAITING, NULL);
    const struct aside *a = run_aside(run);
    s->issued_off = a->queue_end ? a->queue_end->ticket + 1 : 1;
    queue_append(run, step_scope(f, index), index, s);
}

void queue_remove(struct run *run, struct step *s)
{
    struct queued *q = TAKE(s->queued);
    *(q->previous ? &q->previous->next : &run->aside->queue) = q->next;
    *(q->next ? &q->next->previous : &run->aside->queue_end) = q->previous;
    free(q);
}

void queue_serve(struct fold *f)
{
    struct run *run = f->run;
    struct scope *here = f->scope;
    if (!run->aside) return;
    while (run->aside->queue && run->issued < run->def->max_parallel) {
        uint32_t index = run->aside->queue->step;
        f->scope = run->aside->queue->scope;
        step_issue(f, index, true);
        /* It may have failed instead: the next pass sees to it. */
        if (step_at(f, index) != STEP_STATE_ISSUED) scope_mark(f->scope);
    }
    f->scope = here;
}
