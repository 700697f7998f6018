/* SPDX-License-Identifier: Apache-2.0
 *
 * The coordinator of consumer groups, cooperative: who has too much is asked to give back, and only
 * what was given back, or whose owner was silent for the session time-out, goes to another member.
 * A member that was silent still believes to own what it had, until it hears otherwise. */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/cluster_internal.h"
#include "sim/fakes.h"

static void settle_soon(struct group *g);

static struct group *group_of(struct cluster *c, const char *name)
{
    for (struct group *g = c->groups; g; g = g->next)
        if (strcmp(g->name, name) == 0) return g;
    struct group *g = xcalloc(1, sizeof *g);
    g->cluster = c;
    g->name = xstrdup(name);
    g->next = c->groups;
    c->groups = g;
    return g;
}

static struct share *share_find(struct group *g, const char *topic, int32_t partition)
{
    for (struct share *s = g->shares; s; s = s->next)
        if (s->part->id == partition && strcmp(s->part->topic->name, topic) == 0) return s;
    return NULL;
}

static void member_unref(struct member *m)
{
    if (--m->refs > 0) return;
    for (size_t i = 0; i < m->topic_count; i++) free(m->topics[i]);
    free(m->topics);
    free(m);
}

/* --- the assignment --- */

static void take_topic(struct group *g, const struct topic *t)
{
    for (int32_t p = 0; t && p < t->partitions; p++) {
        if (share_find(g, t->name, p)) continue;
        struct share *s = xcalloc(1, sizeof *s);
        *s = (struct share){ .next = g->shares, .part = &t->parts[p], .committed = -1 };
        g->shares = s;
    }
}

/* As librdkafka has it: what begins with ^ is a regular expression. */
static void take_pattern(struct group *g, const char *pattern)
{
    regex_t regex;
    int r = regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB);
    ASSERT(r == 0);
    for (const struct topic *t = g->cluster->topics; t; t = t->next)
        if (regexec(&regex, t->name, 0, NULL, 0) == 0) take_topic(g, t);
    regfree(&regex);
}

static void take_shares(struct group *g)
{
    for (struct member *m = g->members; m; m = m->next)
        for (size_t i = 0; i < m->topic_count; i++)
            if (m->topics[i][0] == '^')
                take_pattern(g, m->topics[i]);
            else
                take_topic(g, cluster_topic(g->cluster, m->topics[i]));
}

static struct member *poorest(struct group *g)
{
    struct member *best = NULL;
    for (struct member *m = g->members; m; m = m->next)
        if (!best || m->shares < best->shares) best = m;
    return best;
}

static void give(struct share *s, struct member *m)
{
    s->owner = m;
    m->shares++;
    m->told = true;
    if (m->user) bus_fake_notice(m->user, GROUP_ASSIGN, s->part->topic->name, s->part->id);
}

/* Asks the richest to give back until nobody has two more than another. */
static void level(struct group *g)
{
    struct member *poor = poorest(g);
    if (!poor) return;
    for (struct share *s = g->shares; s; s = s->next) {
        if (!s->owner || s->revoking || s->owner->shares <= poor->shares + 1) continue;
        s->revoking = true;
        s->owner->shares--;
        poor->shares++; /* expected: it goes there when it is free */
        if (s->owner->user)
            bus_fake_notice(s->owner->user, GROUP_REVOKE, s->part->topic->name, s->part->id);
        poor = poorest(g);
    }
}

static void count_shares(struct group *g)
{
    for (struct member *m = g->members; m; m = m->next) m->shares = 0;
    for (struct share *s = g->shares; s; s = s->next)
        if (s->owner && !s->revoking) s->owner->shares++;
}

/* Who gets nothing is a member as well. */
static void tell_joined(struct group *g)
{
    for (struct member *m = g->members; m; m = m->next) {
        if (m->told || !m->user) continue;
        m->told = true;
        bus_fake_notice(m->user, GROUP_JOINED, "", -1);
    }
}

static void settle(void *user)
{
    struct group *g = user;
    g->settling = false;
    if (g->cluster->world->closing) return;
    take_shares(g);
    count_shares(g);
    for (struct share *s = g->shares; s; s = s->next)
        if (!s->owner && poorest(g)) give(s, poorest(g));
    level(g);
    count_shares(g);
    tell_joined(g);
}

static void settle_soon(struct group *g)
{
    struct world *w = g->cluster->world;
    if (g->settling || w->closing) return;
    g->settling = true;
    world_in(w, prng_range(&w->net, MS, 50 * MS), settle, g);
}

static void refresh(void *user)
{
    struct group *g = user;
    if (g->members) settle_soon(g);
}

void groups_topic_made(struct cluster *c)
{
    struct world *w = c->world;
    for (struct group *g = c->groups; g; g = g->next)
        world_in(w, prng_range(&w->net, 50 * MS, 2 * SECOND), refresh, g);
}

/* --- members --- */

static void joined(void *user)
{
    struct member *m = user;
    struct group *g = m->group;
    if (!g->cluster->world->closing && m->user) {
        m->refs++;
        m->out = false;
        m->next = g->members;
        g->members = m;
        trace(g->cluster->world, m->proc, "joins %s", g->name);
        settle_soon(g);
    }
    member_unref(m);
}

struct member *group_join(struct cluster *c, const char *group, struct bus_group *user,
                          struct proc *p, const char *const *topics, size_t topic_count)
{
    struct world *w = c->world;
    struct member *m = xcalloc(1, sizeof *m);
    *m = (struct member){ .group = group_of(c, group),
                          .user = user,
                          .proc = p,
                          .refs = 2,
                          .out = true,
                          .topic_count = topic_count };
    m->topics = xcalloc(topic_count, sizeof(char *));
    for (size_t i = 0; i < topic_count; i++) m->topics[i] = xstrdup(topics[i]);
    world_in(w, prng_range(&w->net, MS, 20 * MS), joined, m);
    return m;
}

/* The coordinator counts it no more: what it had is free. */
static void put_out(struct member *m)
{
    if (m->out) return;
    m->out = true;
    struct member **link = &m->group->members;
    while (*link != m) link = &(*link)->next;
    *link = m->next;
    for (struct share *s = m->group->shares; s; s = s->next) {
        if (s->owner != m) continue;
        s->owner = NULL;
        s->revoking = false;
    }
    settle_soon(m->group);
    member_unref(m);
}

void group_leave(struct member *m)
{
    m->user = NULL;
    put_out(m);
    member_unref(m);
}

static void found_out(void *user)
{
    struct member *m = user;
    put_out(m);
    member_unref(m);
}

void group_vanish(struct member *m)
{
    struct world *w = m->group->cluster->world;
    m->user = NULL;
    if (w->closing) {
        put_out(m);
        member_unref(m);
        return;
    }
    world_in(w, w->options.session_timeout_ms * MS, found_out, m);
}

void groups_silent(struct cluster *c, const struct proc *p)
{
    for (struct group *g = c->groups; g; g = g->next)
        for (struct member *m = g->members, *next; m; m = next) {
            next = m->next;
            if (m->proc != p || !m->user) continue;
            trace(c->world, p, "is thrown out of %s", g->name);
            /* It hears of it when it speaks again, and joins anew. */
            bus_fake_notice(m->user, GROUP_LOST, "", -1);
            put_out(m);
        }
}

void groups_shuffle(struct cluster *c)
{
    for (struct group *g = c->groups; g; g = g->next)
        for (struct share *s = g->shares; s; s = s->next) {
            if (!s->owner || s->revoking || !prng_chance(&c->world->faults, 300000)) continue;
            s->revoking = true;
            if (s->owner->user)
                bus_fake_notice(s->owner->user, GROUP_REVOKE, s->part->topic->name, s->part->id);
        }
}

void group_rejoin(struct member *m)
{
    struct world *w = m->group->cluster->world;
    if (!m->out || w->closing) return;
    m->refs++;
    world_in(w, prng_range(&w->net, 20 * MS, 2 * SECOND), joined, m);
}

struct given {
    struct member *member;
    struct share *share;
};

static void given_back(void *user)
{
    struct given *given = user;
    struct share *s = given->share;
    if (!given->member->group->cluster->world->closing && s->owner == given->member &&
        s->revoking) {
        s->owner = NULL;
        s->revoking = false;
        settle_soon(given->member->group);
    }
    member_unref(given->member);
    free(given);
}

void group_revoked(struct member *m, const char *topic, int32_t partition)
{
    struct world *w = m->group->cluster->world;
    struct share *s = share_find(m->group, topic, partition);
    if (!s || w->closing) return;
    struct given *given = xcalloc(1, sizeof *given);
    *given = (struct given){ .member = m, .share = s };
    m->refs++;
    world_in(w, world_delay(w), given_back, given);
}

void group_commit(struct member *m, const char *topic, int32_t partition, int64_t offset,
                  const char *note)
{
    struct share *s = share_find(m->group, topic, partition);
    if (!s || s->owner != m) return;
    s->committed = offset;
    snprintf(s->note, sizeof s->note, "%s", note);
}

int64_t group_committed(struct member *m, const char *topic, int32_t partition, char *ret_note)
{
    struct share *s = share_find(m->group, topic, partition);
    if (s && ret_note) snprintf(ret_note, BUS_NOTE_MAX, "%s", s->note);
    return s ? s->committed : -1;
}

void groups_free(struct cluster *c)
{
    while (c->groups) {
        struct group *g = c->groups;
        c->groups = g->next;
        ASSERT(!g->members);
        while (g->shares) {
            struct share *s = g->shares;
            g->shares = s->next;
            free(s);
        }
        free(g->name);
        free(g);
    }
}
