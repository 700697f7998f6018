/* SPDX-License-Identifier: Apache-2.0
 *
 * One process's end of Kafka: reading, by credit, from explicit offsets, as a member of groups and
 * without. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/bus_fake.h"
#include "sim/fakes.h"
#include "sim/oracle.h"

/* --- streams --- */

static struct bus_stream *stream_new(struct bus *b, struct log_part *part)
{
    struct world *w = b->world;
    struct bus_stream *s = xcalloc(1, sizeof *s);
    *s = (struct bus_stream){ .bus = b, .part = part, .next = b->streams };
    b->streams = s;
    s->lag_us = prng_below(&w->net, 2 * w->options.delay_us + 1);
    if (part) {
        s->next_reader = part->streams;
        part->streams = s;
    }
    return s;
}

/* Nothing comes of it any more. */
static void stream_unlink(struct bus_stream *s)
{
    if (!s->bus) return;
    struct bus_stream **link = &s->bus->streams;
    while (*link != s) link = &(*link)->next;
    *link = s->next;
    link = &s->part->streams;
    while (*link != s) link = &(*link)->next_reader;
    *link = s->next_reader;
    s->bus = NULL;
}

static void stream_free(struct bus_stream *s)
{
    stream_unlink(s);
    free(s);
}

static void stream_wake(struct bus_stream *s)
{
    if (!s->reading || !s->credit) return;
    uint64_t at = s->from_us;
    if (s->next_offset < s->part->end && s->next_offset >= s->part->start) {
        const struct record *r = s->part->records[s->next_offset];
        if (r) at = MAX(at, r->at_us + s->lag_us);
    } else if (s->next_offset == s->part->end && (s->at_end || !s->reader)) {
        return;
    }
    proc_wake(s->bus->proc, MAX(at, s->bus->proc->bus_cut_us));
}

void stream_wake_all(struct log_part *part)
{
    for (struct bus_stream *s = part->streams; s; s = s->next_reader) stream_wake(s);
}

void streams_wake(struct bus *b)
{
    for (struct bus_stream *s = b->streams; s; s = s->next) stream_wake(s);
}

static void deliver_error(struct bus_stream *s, const struct err *e);
static void deliver_record(struct bus_stream *s, const struct bus_record *r);
static void deliver_end(struct bus_stream *s);

static struct bus_record view_of(struct record *r)
{
    return (struct bus_record){ .topic = r->part->topic->name,
                                .partition = r->part->id,
                                .offset = r->offset,
                                .timestamp_ms = r->timestamp_ms,
                                .message = r->message,
                                .extra = r->extra,
                                .extra_count = r->extra_count,
                                .owner = r };
}

/* Whether the stream is still there and still at this position: callbacks may close or move it. */
static bool stream_alive(const struct bus *b, const struct bus_stream *s, int64_t next)
{
    for (const struct bus_stream *at = b->streams; at; at = at->next)
        if (at == s) return s->reading && s->next_offset == next;
    return false;
}

static void stream_deliver(struct bus *b, struct bus_stream *s)
{
    struct world *w = b->world;
    uint32_t max = (uint32_t)prng_range(&w->net, 1, 64);
    /* Without credit nothing is told, not even an error or an end. */
    if (!s->reading || !s->credit || s->from_us > w->now_us) return;
    if (s->next_offset < s->part->start || s->next_offset > s->part->end) {
        struct err e;
        err_fail(&e, ERR_NOT_FOUND, "offset %lld is out of range", (long long)s->next_offset);
        s->reading = false;
        deliver_error(s, &e);
        return;
    }
    while (max && s->credit && s->next_offset < s->part->end) {
        struct record *r = s->part->records[s->next_offset];
        if (r && r->at_us + s->lag_us > w->now_us) return;
        int64_t next = ++s->next_offset;
        s->at_end = false;
        if (!r) continue; /* compacted away */
        if (s->credit != UINT32_MAX) s->credit--;
        max--;
        w->counters.steps++;
        struct bus_record view = view_of(r);
        r->refs++;
        deliver_record(s, &view);
        record_unref(r);
        if (!stream_alive(b, s, next)) return;
    }
    if (s->credit && s->next_offset == s->part->end && !s->at_end) {
        s->at_end = true;
        deliver_end(s);
    }
}

void streams_deliver(struct bus *b)
{
    /* Callbacks may open and close streams; a new one has its first chance in the next turn. */
    struct bus_stream *list[64];
    size_t count = 0;
    for (struct bus_stream *s = b->streams; s && count < ARRAY_LEN(list); s = s->next)
        list[count++] = s;
    ASSERT(count < ARRAY_LEN(list));
    for (size_t i = 0; i < count; i++) {
        bool there = false;
        for (struct bus_stream *s = b->streams; s; s = s->next) there |= s == list[i];
        if (there) stream_deliver(b, list[i]);
    }
}

struct bus_held *bus_record_hold(const struct bus_record *r)
{
    ((struct record *)r->owner)->refs++;
    return r->owner;
}

struct bus_record bus_held_record(struct bus_held *h)
{
    return view_of((struct record *)(void *)h);
}

void bus_record_release(struct bus_held *h)
{
    record_unref((struct record *)(void *)h);
}

/* --- readers --- */

struct bus_reader {
    struct bus_reader_options options;
    char *topic;
    struct bus *bus;
    struct bus_stream *stream;
};

struct bus_reader *bus_reader_open(struct bus *b, const struct bus_reader_options *options,
                                   struct err *e)
{
    struct log_part *part = cluster_part(b->cluster, options->topic, options->partition);
    if (!part) {
        err_fail(e, ERR_NOT_FOUND, "%s/%d: no such partition", options->topic, options->partition);
        return NULL;
    }
    struct bus_reader *r = xcalloc(1, sizeof *r);
    *r = (struct bus_reader){ .options = *options, .bus = b };
    r->stream = stream_new(b, part);
    r->stream->reader = r;
    r->stream->reading = true;
    r->stream->credit = options->credit ? options->credit : UINT32_MAX;
    r->stream->from_us = b->world->now_us + 2 * world_delay(b->world);
    r->stream->next_offset = options->offset == BUS_START ? part->start
                             : options->offset == BUS_END ? part->end
                                                          : options->offset;
    stream_wake(r->stream);
    return r;
}

void bus_reader_credit(struct bus_reader *r, uint32_t more)
{
    if (!r->stream->bus) return;
    r->stream->credit += MIN(more, UINT32_MAX - r->stream->credit);
    stream_wake(r->stream);
}

struct bus_reader *bus_reader_close(struct bus_reader *r)
{
    if (!r) return NULL;
    stream_free(r->stream);
    free(r);
    return NULL;
}

/* --- groups --- */

struct bus_group {
    struct bus_group *next;
    struct bus *bus;
    struct bus_group_options options;
    struct member *member; /* NULL: it leaves */
    bool joined;
};

struct notice {
    struct answer answer; /* first */
    struct bus_group *group;
    enum group_notice what;
    char *topic;
    int32_t partition;
};

static struct bus_stream *group_stream(struct bus_group *g, const char *topic, int32_t partition)
{
    for (struct bus_stream *s = g->bus->streams; s; s = s->next)
        if (s->group == g && s->part->id == partition && strcmp(s->part->topic->name, topic) == 0)
            return s;
    return NULL;
}

/* Tells of it. Until everything that goes is told of, it still counts and can be committed. */
static void take(struct bus_group *g, struct bus_stream *s, bool lost)
{
    s->taken = true;
    s->reading = false;
    g->options.on_revoke(g->options.user, s->part->topic->name, s->part->id, lost);
}

static void revoke(struct bus_group *g, struct bus_stream *s)
{
    const char *topic = s->part->topic->name;
    int32_t partition = s->part->id;
    take(g, s, false);
    s = group_stream(g, topic, partition);
    if (s) stream_free(s);
    if (g->member) group_revoked(g->member, topic, partition);
}

static struct bus_stream *any_stream(const struct bus_group *g)
{
    for (struct bus_stream *s = g->bus->streams; s; s = s->next)
        if (s->group == g && !s->taken) return s;
    return NULL;
}

static void revoke_all(struct bus_group *g, bool lost)
{
    for (struct bus_stream *s; (s = any_stream(g));) take(g, s, lost);
    for (struct bus_stream *s = g->bus->streams, *next; s; s = next) {
        next = s->next;
        if (s->group == g) stream_free(s);
    }
}

static void notice_free(struct answer *a)
{
    free(((struct notice *)(void *)a)->topic);
    free(a);
}

static void notice_come(struct answer *a)
{
    struct notice *n = (struct notice *)(void *)a;
    struct bus_group *g = n->group;
    if (!g) { /* it has left meanwhile */
        notice_free(a);
        return;
    }
    struct bus_stream *s = group_stream(g, n->topic, n->partition);
    trace(g->bus->world, g->bus->proc, "%s %s/%d",
          n->what == GROUP_JOINED   ? "is assigned nothing,"
          : n->what == GROUP_ASSIGN ? "is assigned"
          : n->what == GROUP_REVOKE ? "is asked for"
                                    : "has lost all of",
          n->topic, n->partition);
    switch (n->what) {
    case GROUP_JOINED: g->joined = true; break;
    case GROUP_ASSIGN:
        g->joined = true;
        if (s) break;
        s = stream_new(g->bus, cluster_part(g->bus->cluster, n->topic, n->partition));
        s->group = g;
        g->options.on_assign(g->options.user, s->part->topic->name, n->partition);
        break;
    case GROUP_REVOKE:
        if (s)
            revoke(g, s);
        else
            group_revoked(g->member, n->topic, n->partition);
        break;
    case GROUP_LOST:
        revoke_all(g, true);
        if (g->member) group_rejoin(g->member);
        break;
    }
    notice_free(a);
}

void bus_fake_notice(struct bus_group *g, enum group_notice what, const char *topic,
                     int32_t partition)
{
    struct notice *n = xcalloc(1, sizeof *n);
    *n = (struct notice){
        .group = g, .what = what, .topic = xstrdup(topic), .partition = partition
    };
    n->answer.deliver = notice_come;
    n->answer.close = notice_free;
    /* Behind what was told before: an answer that comes later than this one's due time would
     * otherwise let a revocation overtake the assignment it takes back. */
    uint64_t at = g->bus->world->now_us + world_delay(g->bus->world);
    for (struct answer *a = g->bus->answers; a; a = a->next)
        if (a->deliver == notice_come) at = MAX(at, a->at_us);
    bus_answer(g->bus, &n->answer, at);
}

struct bus_group *bus_join(struct bus *b, const struct bus_group_options *options, struct err *e)
{
    (void)e;
    struct bus_group *g = xcalloc(1, sizeof *g);
    *g = (struct bus_group){ .bus = b, .options = *options, .next = b->groups };
    b->groups = g;
    g->member =
        group_join(b->cluster, options->group, g, b->proc, options->topics, options->topic_count);
    return g;
}

bool bus_group_topics(struct bus_group *g, const char *const *topics, size_t count, struct err *e)
{
    (void)g, (void)topics, (void)count;
    return err_fail(e, ERR_UNSUPPORTED, "triggers are not simulated");
}

void bus_read(struct bus_group *g, const char *topic, int32_t partition, int64_t offset,
              uint32_t credit)
{
    struct bus_stream *s = group_stream(g, topic, partition);
    if (!s || s->taken) return;
    int64_t committed = group_committed(g->member, topic, partition, NULL);
    if (offset == BUS_COMMITTED) offset = committed >= 0 ? committed : BUS_START;
    if (offset == BUS_START) offset = s->part->start;
    if (offset == BUS_END) offset = s->part->end;
    s->reading = true;
    s->at_end = false;
    s->next_offset = offset;
    s->credit = credit;
    s->from_us = g->bus->world->now_us + world_delay(g->bus->world);
    stream_wake(s);
    if (offset > s->part->end || offset < s->part->start) proc_wake(g->bus->proc, s->from_us);
}

void bus_credit(struct bus_group *g, const char *topic, int32_t partition, uint32_t more)
{
    struct bus_stream *s = group_stream(g, topic, partition);
    if (!s) return;
    s->credit += MIN(more, UINT32_MAX - s->credit);
    stream_wake(s);
}

void bus_commit_noted(struct bus_group *g, const char *topic, int32_t partition, int64_t offset,
                      const char *note)
{
    if (proc_silent(g->bus->proc) || g->bus->proc->bus_cut_us > g->bus->world->now_us) return;
    if (group_stream(g, topic, partition)) group_commit(g->member, topic, partition, offset, note);
}

void bus_commit(struct bus_group *g, const char *topic, int32_t partition, int64_t offset)
{
    bus_commit_noted(g, topic, partition, offset, "");
}

struct committed {
    struct answer answer;    /* first */
    struct bus_group *group; /* NULL: it has left */
    char *topic;
    int32_t partition;
    void (*done)(void *user, int64_t offset, const char *note, const struct err *e);
    void *user;
};

static void committed_end(struct answer *a, const struct err *e)
{
    struct committed it = *(struct committed *)(void *)a;
    free(a);
    char note[BUS_NOTE_MAX] = "";
    int64_t offset =
        it.group && !e ? group_committed(it.group->member, it.topic, it.partition, note) : -1;
    free(it.topic);
    it.done(it.user, offset, note, e);
}

static void committed_answered(struct answer *a)
{
    committed_end(a, NULL);
}

static void committed_closed(struct answer *a)
{
    struct err e = { .kind = ERR_UNAVAILABLE, .text = "the client is closed" };
    committed_end(a, &e);
}

void bus_committed(struct bus_group *g, const char *topic, int32_t partition,
                   void (*done)(void *user, int64_t offset, const char *note, const struct err *e),
                   void *user)
{
    struct committed *c = xcalloc(1, sizeof *c);
    *c = (struct committed){ .group = g->member ? g : NULL,
                             .topic = xstrdup(topic),
                             .partition = partition,
                             .done = done,
                             .user = user };
    c->answer.deliver = committed_answered;
    c->answer.close = committed_closed;
    bus_answer(g->bus, &c->answer, g->bus->world->now_us + 2 * world_delay(g->bus->world));
}

size_t bus_group_assigned(const struct bus_group *g)
{
    size_t n = 0;
    for (const struct bus_stream *s = g->bus->streams; s; s = s->next) n += s->group == g;
    return n;
}

bool bus_group_joined(const struct bus_group *g)
{
    return g->joined;
}

static void group_free(struct bus_group *g)
{
    struct bus_group **link = &g->bus->groups;
    while (*link != g) link = &(*link)->next;
    *link = g->next;
    free(g);
}

/* Takes the group's streams away, tells the process, and forgets what the group waits for. */
static void group_empty(struct bus_group *g)
{
    revoke_all(g, false);
    for (struct answer *a = g->bus->answers; a; a = a->next)
        if (a->deliver == notice_come && ((struct notice *)(void *)a)->group == g)
            ((struct notice *)(void *)a)->group = NULL;
        else if (a->deliver == committed_answered && ((struct committed *)(void *)a)->group == g)
            ((struct committed *)(void *)a)->group = NULL;
}

struct leaving {
    struct answer answer; /* first */
    struct bus_group *group;
    void (*done)(void *user);
    void *user;
};

static void group_left(struct answer *a)
{
    struct leaving it = *(struct leaving *)(void *)a;
    free(a);
    group_free(it.group);
    if (it.done) it.done(it.user);
}

void bus_leave(struct bus_group *g, void (*done)(void *user), void *user)
{
    if (!g->member) return;
    group_empty(g);
    group_leave(g->member);
    g->member = NULL;
    struct leaving *l = xcalloc(1, sizeof *l);
    *l = (struct leaving){ .group = g, .done = done, .user = user };
    l->answer.deliver = l->answer.close = group_left;
    bus_answer(g->bus, &l->answer, g->bus->world->now_us + 2 * world_delay(g->bus->world));
}

void groups_close(struct bus *b)
{
    for (struct bus_group *g; (g = b->groups);) {
        group_empty(g);
        group_vanish(g->member);
        b->groups = g->next;
        free(g);
    }
    while (b->streams) stream_unlink(b->streams); /* of readers, which are closed later */
}

/* --- whom a stream belongs to --- */

static void deliver_error(struct bus_stream *s, const struct err *e)
{
    if (s->group)
        s->group->options.on_error(s->group->options.user, s->part->topic->name, s->part->id, e);
    else if (s->reader->options.on_error)
        s->reader->options.on_error(s->reader->options.user, e);
}

static void deliver_record(struct bus_stream *s, const struct bus_record *r)
{
    if (s->group)
        s->group->options.on_record(s->group->options.user, r);
    else
        s->reader->options.on_record(s->reader->options.user, r);
}

static void deliver_end(struct bus_stream *s)
{
    if (s->reader && s->reader->options.on_end)
        s->reader->options.on_end(s->reader->options.user, s->next_offset);
}
