/* SPDX-License-Identifier: Apache-2.0
 *
 * One process's end of Kafka, behind common/io/bus.h: producing. A message takes three steps, each
 * at a time of its own: it leaves the process (until then it dies with it, or waits while the
 * process is stopped), it is appended, and its acknowledgement comes back. Order within a partition
 * is kept between the messages of one producer. */
#include "sim/bus_fake.h"

#include <stdlib.h>

#include "sim/fakes.h"
#include "sim/oracle.h"

/* --- open and close --- */

struct bus *bus_open(struct loop *loop, const struct bus_options *options, struct err *e)
{
    (void)e;
    struct bus *b = xcalloc(1, sizeof *b);
    b->proc = loop_proc(loop);
    b->world = b->proc->world;
    b->cluster = b->world->cluster;
    b->message_timeout_us = options->message_timeout_ms * MS;
    b->proc->bus = b;
    return b;
}

uint64_t bus_producer_epoch(const struct bus *bus)
{
    (void)bus;
    return 0;
}

size_t bus_pending(const struct bus *bus)
{
    return bus->pending;
}

/* --- answers: everything that comes back at a time, in order of that time --- */

void bus_answer(struct bus *b, struct answer *a, uint64_t at_us)
{
    a->at_us = at_us;
    struct answer **link = &b->answers;
    if (b->last_answer && b->last_answer->at_us <= at_us) link = &b->last_answer->next;
    while (*link && (*link)->at_us <= at_us) link = &(*link)->next;
    a->next = *link;
    *link = a;
    if (!a->next) b->last_answer = a;
    proc_wake(b->proc, at_us);
}

static struct answer *answer_take(struct bus *b)
{
    struct answer *a = b->answers;
    b->answers = a->next;
    if (!b->answers) b->last_answer = NULL;
    return a;
}

static bool cut(const struct bus *b)
{
    return b->proc->bus_cut_us > b->world->now_us;
}

void bus_fake_wake(struct bus *b)
{
    if (b->answers) proc_wake(b->proc, MAX(b->answers->at_us, b->proc->bus_cut_us));
    streams_wake(b);
}

void bus_fake_deliver(struct bus *b)
{
    struct world *w = b->world;
    if (cut(b)) {
        proc_wake(b->proc, b->proc->bus_cut_us);
        return;
    }
    for (int i = 0; b->answers && b->answers->at_us <= w->now_us && i < 512; i++) {
        struct answer *a = answer_take(b);
        w->counters.steps++;
        a->deliver(a);
    }
    streams_deliver(b);
    if (b->proc->bus) bus_fake_wake(b);
}

/* --- producing --- */

struct send {
    struct answer answer;     /* first; in the bus's queue at stage ACK */
    struct send *prev, *next; /* of the bus */
    struct world *world;
    struct proc *proc; /* who sent it; it may have another life by now */
    struct bus *bus;   /* NULL: its process is gone */
    struct bus_waiter *waiter;
    struct record *record;
    struct log_part *part;
    struct link *link;
    uint64_t sent_us, wire_us, gone_us;
    int64_t offset;
    const char *error;
    enum { SEND_OK, SEND_LOST, SEND_LANDED } fate;
    enum {
        SEND_IDLE, /* of a process that is dead already: goes nowhere */
        SEND_WIRE, /* a happening of the world has it */
        SEND_ACK,  /* in the queue of answers */
    } stage;
};

static void send_unlink(struct send *s)
{
    struct bus *b = s->bus;
    if (s->prev)
        s->prev->next = s->next;
    else
        b->sends = s->next;
    if (s->next) s->next->prev = s->prev;
    b->pending--;
    s->bus = NULL;
}

static void send_delivered(struct answer *a)
{
    struct send *s = (struct send *)(void *)a;
    struct bus_waiter *waiter = s->waiter;
    struct bus_delivery d = { .offset = s->offset, .error = s->error };
    send_unlink(s);
    free(s);
    waiter->done(waiter, &d);
}

static void send_report(struct send *s, const char *error)
{
    if (!s->bus) {
        free(s);
        return;
    }
    s->error = error;
    s->stage = SEND_ACK;
    uint64_t at = MAX(s->world->now_us + world_delay(s->world), s->link->told_us);
    s->link->told_us = at;
    bus_answer(s->bus, &s->answer, at);
}

static void send_arrives(void *user);

/* Tries again later; what is behind it in the same partition waits, too. */
static void send_later(struct send *s, uint64_t at_us)
{
    at_us = MAX(at_us, s->link->last_us + 1);
    s->link->last_us = at_us;
    world_at(s->world, at_us, send_arrives, s);
}

/* Whether it is held up on its way: then it comes again. */
static bool send_held(struct send *s)
{
    const struct world *w = s->world;
    const struct proc *p = s->bus->proc;
    if (p->state == PROC_STOPPED && s->wire_us > p->stopped_us) {
        s->wire_us += p->resume_us - p->stopped_us;
        send_later(s, p->resume_us + world_delay(s->world));
        return true;
    }
    if (p->bus_cut_us <= w->now_us) return false;
    if (w->now_us - s->sent_us < s->bus->message_timeout_us) {
        send_later(s, w->now_us + 500 * MS);
        /* What was in the socket may still arrive; the rest has not left the process. */
        if (s->wire_us >= p->cut_since_us) s->wire_us = s->link->last_us;
        return true;
    }
    s->fate = SEND_LOST;
    return false;
}

static void send_arrives(void *user)
{
    struct send *s = user;
    struct world *w = s->world;
    if (w->closing || (!s->bus && s->wire_us > s->gone_us)) { /* it died with its process */
        if (!w->closing) oracle_dropped(w, s->proc, s->part, s->record);
        record_unref(s->record);
        if (s->bus)
            s->stage = SEND_IDLE;
        else
            free(s);
        return;
    }
    if (s->bus && send_held(s)) return;
    if (s->fate == SEND_LOST) {
        oracle_dropped(w, s->proc, s->part, s->record);
        record_unref(s->record);
        send_report(s, "simulated: timed out, and not in the log");
        return;
    }
    s->offset = log_append(w, s->part, s->record, s->proc);
    send_report(s, s->fate == SEND_LANDED ? "simulated: no acknowledgement" : NULL);
}

static struct link *link_of(struct bus *b, struct log_part *part)
{
    for (struct link *l = b->links; l; l = l->next)
        if (l->part == part) return l;
    struct link *l = xcalloc(1, sizeof *l);
    *l = (struct link){ .part = part, .next = b->links };
    b->links = l;
    return l;
}

static void send_fate(struct send *s)
{
    struct world *w = s->world;
    const struct options *o = &w->options;
    const char *what = NULL;
    if (!world_faulty(w)) return;
    if (prng_chance(&w->faults, o->send_lost_ppm)) {
        s->fate = SEND_LOST;
        what = "is not delivered";
    } else if (prng_chance(&w->faults, o->send_landed_ppm)) {
        s->fate = SEND_LANDED;
        what = "is delivered, but not acknowledged";
    } else if (prng_chance(&w->faults, o->send_late_ppm)) {
        s->wire_us += prng_range(&w->faults, 100 * MS, 5 * SECOND);
        what = "leaves late";
    }
    if (what)
        world_fault(w, "a message of %s to %s/%d %s", s->proc->name, s->part->topic->name,
                    s->part->id, what);
}

bool bus_send(struct bus *b, const struct bus_message *m, struct bus_waiter *waiter, struct err *e)
{
    struct world *w = b->world;
    struct log_part *part = cluster_part(b->cluster, m->topic, m->partition);
    if (!part)
        return err_fail(e, ERR_NOT_FOUND, "%s/%d: no such partition", m->topic, m->partition);
    struct send *s = xcalloc(1, sizeof *s);
    *s = (struct send){ .world = w,
                        .proc = b->proc,
                        .bus = b,
                        .waiter = waiter,
                        .part = part,
                        .sent_us = w->now_us,
                        .wire_us = w->now_us + prng_below(&w->net, 300) };
    s->answer.deliver = send_delivered;
    s->next = b->sends;
    if (s->next) s->next->prev = s;
    b->sends = s;
    b->pending++;
    if (proc_silent(b->proc)) return true; /* it will be told at the end of the process */
    s->stage = SEND_WIRE;
    s->record = record_new(m);
    oracle_sent(w, b->proc, part, s->record);
    s->link = link_of(b, part);
    send_fate(s);
    s->link->last_us = MAX(s->wire_us + world_delay(w), s->link->last_us + 1);
    world_at(w, s->link->last_us, send_arrives, s);
    proc_output(b->proc);
    return true;
}

/* Whether it still waits in the process: not on the wire yet, or for a broker to answer again. */
static bool send_queued(const struct send *s)
{
    if (s->stage != SEND_WIRE || s->fate == SEND_LOST) return false;
    return s->wire_us > s->world->now_us || (cut(s->bus) && s->wire_us >= s->proc->cut_since_us);
}

/* The happening that would append it finds a message of nobody, which never left; who waits for it
 * is told in its place. */
static void send_purge(struct send *s)
{
    struct send *told = xmalloc(sizeof *told);
    *told = *s;
    if (told->prev)
        told->prev->next = told;
    else
        told->bus->sends = told;
    if (told->next) told->next->prev = told;
    s->bus = NULL;
    s->gone_us = s->world->now_us;
    s->wire_us = NEVER;
    trace(s->world, s->proc, "purges a message to %s/%d", s->part->topic->name, s->part->id);
    send_report(told, "simulated: purged");
}

void bus_purge(struct bus *b)
{
    for (struct send *s = b->sends, *next; s; s = next) {
        next = s->next;
        if (send_queued(s)) send_purge(s);
    }
}

/* The process ends: whoever waits is told, and what is on the wire goes on alone. */
static void sends_abandon(struct bus *b)
{
    for (struct send *s; (s = b->sends);) {
        struct bus_waiter *waiter = s->waiter;
        b->sends = s->next;
        if (s->next) s->next->prev = NULL;
        b->pending--;
        s->bus = NULL;
        s->gone_us = b->world->now_us;
        s->link = NULL;
        if (s->stage != SEND_WIRE) free(s);
        struct bus_delivery d = { .error = "the client is closed" };
        waiter->done(waiter, &d);
    }
}

struct bus *bus_close(struct bus *b)
{
    if (!b) return NULL;
    while (b->answers) {
        struct answer *a = answer_take(b);
        if (a->close) a->close(a);
    }
    groups_close(b);
    sends_abandon(b);
    while (b->links) {
        struct link *l = b->links;
        b->links = l->next;
        free(l);
    }
    b->proc->bus = NULL;
    free(b);
    return NULL;
}

/* --- questions about topics --- */

struct question {
    struct answer answer; /* first */
    struct bus *bus;
    char *topic;
    int32_t partition;
    void *user;
    void (*created)(void *user, const struct err *e);
    void (*info)(void *user, int32_t partitions, const char *cluster_id, const struct err *e);
    void (*offsets)(void *user, int64_t start, int64_t end, const struct err *e);
};

static void question_end(struct question *q, const struct err *e)
{
    struct question it = *q;
    const struct topic *t = cluster_topic(it.bus->cluster, it.topic ? it.topic : "");
    free(q);
    if (it.created) it.created(it.user, e);
    if (it.info) it.info(it.user, t && !e ? t->partitions : 0, "simulated", e);
    if (it.offsets) {
        struct log_part *part = e ? NULL : cluster_part(it.bus->cluster, it.topic, it.partition);
        struct err none = { .kind = ERR_NOT_FOUND, .text = "no such partition" };
        it.offsets(it.user, part ? part->start : 0, part ? part->end : 0,
                   part ? NULL
                   : e  ? e
                        : &none);
    }
    free(it.topic);
}

static void question_answered(struct answer *a)
{
    question_end((struct question *)(void *)a, NULL);
}

static void question_closed(struct answer *a)
{
    struct err e = { .kind = ERR_UNAVAILABLE, .text = "the client is closed" };
    question_end((struct question *)(void *)a, &e);
}

static void ask(struct bus *b, const struct question *q)
{
    struct question *copy = xmalloc(sizeof *copy);
    *copy = *q;
    copy->answer.deliver = question_answered;
    copy->answer.close = question_closed;
    copy->bus = b;
    bus_answer(b, &copy->answer, b->world->now_us + 2 * world_delay(b->world));
}

void bus_create_topics(struct bus *b, const struct bus_topic_spec *specs, size_t count,
                       void (*done)(void *user, const struct err *e), void *user)
{
    for (size_t i = 0; i < count && !proc_silent(b->proc); i++)
        cluster_topic_make(b->cluster, &specs[i]);
    ask(b, &(struct question){ .created = done, .user = user });
}

void bus_topic_info(struct bus *b, const char *topic,
                    void (*done)(void *user, int32_t partitions, const char *cluster_id,
                                 const struct err *e),
                    void *user)
{
    ask(b, &(struct question){ .topic = xstrdup(topic), .info = done, .user = user });
}

void bus_offsets(struct bus *b, const char *topic, int32_t partition,
                 void (*done)(void *user, int64_t start, int64_t end, const struct err *e),
                 void *user)
{
    ask(b, &(struct question){
               .topic = xstrdup(topic), .partition = partition, .offsets = done, .user = user });
}
