/* SPDX-License-Identifier: Apache-2.0
 *
 * Members of one group join and leave while records are sent. Every partition has one owner at the
 * most, after a while exactly one, and each goes on where the one before committed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/bus/contract.h"

#define PARTS_MAX 6
#define MEMBERS   3
#define ROUNDS    3
#define CREDIT    4

struct members;

struct member {
    struct members *all;
    struct bus_group *group;
    bool leaving, within;
};

struct members {
    struct sequence sequence; /* first */
    struct bus_waiter waiter;
    struct member member[MEMBERS];
    int32_t parts;
    struct member *owner[PARTS_MAX];
    int64_t next[PARTS_MAX]; /* what the group reads next */
    int64_t sends[PARTS_MAX];
    size_t pending;
    bool late; /* commits what was read when it is taken away, and not before */
    size_t rounds;
    bool resting;
};

#define wrong(m, ...) sequence_wrong(&(m)->sequence, __VA_ARGS__)

static bool planted(const struct members *m, enum plant plant)
{
    return m->sequence.contract->plant == plant;
}

static size_t number_of(const struct members *m, const struct member *member)
{
    return (size_t)(member - m->member);
}

/* --- what a member is told --- */

static void on_assign(void *user, const char *topic, int32_t p)
{
    struct member *member = user;
    struct members *m = member->all;
    if (p == 0 && planted(m, PLANT_UNOWNED)) return;
    if (m->owner[p])
        wrong(m, "%d is assigned to %zu while %zu has it", p, number_of(m, member),
              number_of(m, m->owner[p]));
    m->owner[p] = member;
    bus_read(member->group, topic, p, BUS_COMMITTED, CREDIT);
}

static void commit(struct member *member, const char *topic, int32_t p)
{
    struct members *m = member->all;
    if (!planted(m, PLANT_COMMIT_DROPPED)) bus_commit(member->group, topic, p, m->next[p]);
}

static void on_revoke(void *user, const char *topic, int32_t p, bool lost)
{
    struct member *member = user;
    struct members *m = member->all;
    if (planted(m, PLANT_OWNERS)) return;
    if (m->owner[p] != member) wrong(m, "%d is taken from %zu", p, number_of(m, member));
    if (lost || planted(m, PLANT_LOST)) wrong(m, "%d is lost", p);
    m->owner[p] = NULL;
    commit(member, topic, p);
}

static void on_record(void *user, const struct bus_record *r)
{
    struct member *member = user;
    struct members *m = member->all;
    int32_t p = r->partition;
    if (m->owner[p] != member)
        wrong(m, "%d/%" PRId64 " comes to %zu", p, r->offset, number_of(m, member));
    /* A commit is advisory: what was not kept is read once more. */
    if (r->offset > m->next[p] || (r->offset < m->next[p] && side_commits_kept))
        wrong(m, "%d/%" PRId64 " comes where %" PRId64 " is due", p, r->offset, m->next[p]);
    m->next[p] = r->offset + 1;
    if (!m->late) commit(member, r->topic, p);
    bus_credit(member->group, r->topic, p, 1);
}

static void on_error(void *user, const char *topic, int32_t p, const struct err *e)
{
    wrong(((struct member *)user)->all, "%s/%d: %s", topic, p, e->text);
}

static void on_left(void *user)
{
    struct member *member = user;
    if (member->within) wrong(member->all, "left within the call");
    member->group = NULL;
    member->leaving = false;
}

/* --- what happens --- */

static void join(struct member *member)
{
    struct members *m = member->all;
    struct err e;
    const char *topic = m->sequence.topic;
    struct bus_group_options o = { .group = topic,
                                   .topics = &topic,
                                   .topic_count = 1,
                                   .on_assign = on_assign,
                                   .on_revoke = on_revoke,
                                   .on_record = on_record,
                                   .on_error = on_error,
                                   .user = member };
    member->group = bus_join(side_bus(m->sequence.contract->side, number_of(m, member)), &o, &e);
    if (!member->group) wrong(m, "does not join: %s", e.text);
}

static void leave(struct member *member)
{
    member->leaving = member->within = true;
    bus_leave(member->group, on_left, member);
    member->within = false;
    for (int32_t p = 0; p < member->all->parts; p++)
        if (member->all->owner[p] == member)
            wrong(member->all, "%zu leaves with %d", number_of(member->all, member), p);
}

static void toggle(struct member *member)
{
    if (member->group)
        leave(member);
    else
        join(member);
}

static void on_report(struct bus_waiter *w, const struct bus_delivery *d)
{
    struct members *m = CONTAINER_OF(w, struct members, waiter);
    m->pending--;
    if (d->error) wrong(m, "a send failed: %s", d->error);
}

static void send_some(struct members *m)
{
    for (int i = 0; i < 10; i++) {
        struct err e;
        int32_t p = (int32_t)draw(&m->sequence, (uint64_t)m->parts);
        m->sends[p]++;
        m->pending++;
        if (!bus_send(side_bus(m->sequence.contract->side, 0),
                      &(struct bus_message){ .topic = m->sequence.topic, .partition = p },
                      &m->waiter, &e))
            wrong(m, "refused: %s", e.text);
    }
}

/* --- at rest --- */

static bool rests(const struct members *m)
{
    size_t there = 0, least = PARTS_MAX, most = 0;
    for (const struct member *member = m->member; member < m->member + MEMBERS; member++) {
        if (member->leaving) return false;
        if (!member->group) continue;
        size_t owned = bus_group_assigned(member->group);
        if (!bus_group_joined(member->group)) return false;
        there++;
        least = MIN(least, owned);
        most = MAX(most, owned);
    }
    if (m->pending) return false;
    if (there == 0) return true;
    if (most > least + 1) return false;
    for (int32_t p = 0; p < m->parts; p++)
        if (!m->owner[p] || m->next[p] != m->sends[p]) return false;
    return true;
}

static void tell(struct members *m)
{
    size_t members_of[PARTS_MAX + 1] = { 0 }; /* by number of partitions */
    for (int i = 0; i < MEMBERS; i++)
        if (m->member[i].group) members_of[bus_group_assigned(m->member[i].group)]++;
    buf_addf(&m->sequence.trace, " |");
    for (size_t n = 0; n <= PARTS_MAX; n++)
        if (members_of[n]) buf_addf(&m->sequence.trace, " %zu have %zu", members_of[n], n);
    for (int32_t p = 0; p < m->parts; p++) buf_addf(&m->sequence.trace, " %" PRId64, m->next[p]);
}

static void round_begin(struct members *m)
{
    uint64_t who = 1 + draw(&m->sequence, (1 << MEMBERS) - 1);
    send_some(m);
    for (int i = 0; i < MEMBERS; i++)
        if (m->rounds < ROUNDS ? who >> i & 1 : m->member[i].group != NULL) toggle(&m->member[i]);
    send_some(m);
    m->rounds++;
    m->resting = true;
    sequence_wait(&m->sequence);
}

static void members_step(struct sequence *s)
{
    struct members *m = (struct members *)(void *)s;
    if (m->resting && !rests(m)) return;
    if (m->resting) tell(m);
    if (m->rounds > ROUNDS)
        s->done = true;
    else
        round_begin(m);
}

static void members_stuck(struct sequence *s)
{
    struct members *m = (struct members *)(void *)s;
    wrong(m, "waits in vain in round %zu", m->rounds);
    tell(m);
}

static void members_end(struct sequence *s)
{
    (void)s; /* everybody has left */
}

struct sequence *members_new(struct contract *c, uint64_t seed)
{
    struct members *m = xcalloc(1, sizeof *m);
    struct sequence *s = &m->sequence;
    *s = (struct sequence){ .contract = c,
                            .seed = seed,
                            .prng = prng_new(seed, 51),
                            .step = members_step,
                            .stuck = members_stuck,
                            .end = members_end };
    snprintf(s->topic, sizeof s->topic, "members-%" PRIu64, seed);
    m->waiter.done = on_report;
    m->parts = (int32_t)(1 + draw(s, PARTS_MAX));
    m->late = draw(s, 2);
    for (int i = 0; i < MEMBERS; i++) m->member[i].all = m;
    side_topic(c->side, s->topic, m->parts);
    sequence_wait(s);
    return s;
}
