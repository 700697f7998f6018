/* SPDX-License-Identifier: Apache-2.0
 *
 * The in-flight table: memory of calls in chunks with a free list, so that a task costs no malloc;
 * partitions and sources by name; who rides with whom. */
#include <stdlib.h>

#include "worker/call.h"

static void add_chunk(struct worker *w)
{
    struct call *chunk = xcalloc(CALLS_PER_CHUNK, sizeof *chunk);
    w->chunks = xrealloc(w->chunks, (w->chunk_count + 1) * sizeof *w->chunks);
    w->chunks[w->chunk_count++] = chunk;
    for (size_t i = 0; i < CALLS_PER_CHUNK; i++) call_push(&w->free, &chunk[i]);
}

struct call *call_new(struct worker *w, struct source *source, uint64_t ticket)
{
    if (!w->free.head) add_chunk(w);
    struct call *c = call_pop(&w->free);
    *c = (struct call){ .worker = w,
                        .serial = ++w->serial,
                        .priority = source->priority,
                        .first = { .source = source, .ticket = ticket } };
    source->refs++;
    w->held++;
    return c;
}

/* The memory goes back; the riders must be gone. */
static void call_release(struct call *c)
{
    struct worker *w = c->worker;
    ASSERT(c->state != CALL_FREE);
    if (c->state == CALL_PARKED) w->parked--;
    if (c->state == CALL_FRESH) w->fresh[c->priority]--;
    if (c->mapped) (void)map_remove(&w->by_task, c->task.task_id);
    loop_disarm(w->loop, &c->timer);
    payloads_release(c);
    if (c->held) bus_record_release(c->held);
    buf_done(&c->owned);
    buf_done(&c->usage);
    c->state = CALL_FREE;
    w->held--;
    call_push_front(&w->free, c); /* the next one gets what the processor still has at hand */
}

static void riders_end(struct call *c, bool done)
{
    struct worker *w = c->worker;
    for (struct rider *r = &c->first, *next; r; r = next) {
        next = r->next;
        if (done) contiguous_done(&r->source->done, r->ticket);
        source_unref(w, r->source);
        if (r != &c->first) free(r);
    }
}

void call_finish(struct call *c)
{
    riders_end(c, true);
    call_release(c);
}

void call_forget(struct call *c)
{
    riders_end(c, false);
    call_release(c);
}

struct call *call_of_task(struct worker *w, struct bytes task_id)
{
    return map_get(&w->by_task, task_id);
}

void call_map(struct call *c)
{
    struct call *old = map_put(&c->worker->by_task, c->task.task_id, c);
    if (old) old->mapped = false;
    c->mapped = true;
}

void call_ride(struct call *c, struct call *to)
{
    struct bytes gen = c->task.gen;
    struct rider *first = xmalloc(sizeof *first);
    *first = c->first;
    size_t len = gen.len < sizeof first->gen ? gen.len : 0; /* a longer one is none of ours */
    if (len) memcpy(first->gen, gen.data, len);
    first->gen[len] = '\0';
    struct rider *last = first;
    while (last->next) last = last->next;
    last->next = to->first.next;
    to->first.next = first;
    call_release(c);
}

void call_each(struct worker *w, void (*fn)(struct call *c))
{
    for (size_t i = 0; i < w->chunk_count; i++)
        for (size_t k = 0; k < CALLS_PER_CHUNK; k++)
            if (w->chunks[i][k].state != CALL_FREE) fn(&w->chunks[i][k]);
}

void call_wait(struct call *c)
{
    c->state = CALL_FRESH;
    c->worker->fresh[c->priority]++;
    call_push(&c->part->fresh[c->priority], c);
}

struct call *call_unwait(struct part *p, enum priority priority)
{
    struct call *c = call_pop(&p->fresh[priority]);
    if (!c) return NULL;
    c->worker->fresh[priority]--;
    c->state = CALL_ASKING;
    return c;
}

size_t part_waiting(const struct part *p)
{
    size_t count = 0;
    for (size_t i = 0; i < PRIORITY_COUNT; i++) count += p->fresh[i].count;
    return count;
}

struct part *part_of(struct worker *w, struct bytes topic, int32_t partition)
{
    for (struct part *p = w->parts; p; p = p->next)
        if (p->partition == partition && bytes_is(topic, p->topic)) return p;
    struct part *p = xcalloc(1, sizeof *p);
    *p = (struct part){ .next = w->parts,
                        .topic = xstrndup(topic.data, topic.len),
                        .partition = partition };
    w->parts = p;
    return p;
}

void source_unref(struct worker *w, struct source *s)
{
    ASSERT(s->refs > 0);
    if (--s->refs > 0 || !s->gone) return;
    for (struct source **at = &w->sources; *at; at = &(*at)->next) {
        if (*at != s) continue;
        *at = s->next;
        break;
    }
    contiguous_free(&s->done);
    free(s->topic);
    free(s);
}
