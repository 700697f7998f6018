/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics and logs. */
#include "sim/cluster.h"

#include <stdlib.h>

#include "sim/cluster_internal.h"
#include "sim/fakes.h"
#include "sim/oracle.h"

static char *pack(char **at, struct bytes b)
{
    char *start = *at;
    if (b.len) memcpy(start, b.data, b.len);
    start[b.len] = '\0';
    *at += b.len + 1;
    return start;
}

static struct bytes copied(char **at, struct bytes b)
{
    if (!b.data) return (struct bytes){ 0 };
    return (struct bytes){ pack(at, b), b.len };
}

struct record *record_new(const struct bus_message *m)
{
    size_t size = m->key.len + m->value.len + 2;
    for (int h = 0; m->header && h < HEADER_COUNT; h++)
        if (m->header[h].data) size += m->header[h].len + 1;
    for (size_t i = 0; i < m->extra_count; i++)
        size += strlen(m->extra[i].name) + m->extra[i].value.len + 2;
    struct record *r = xmalloc(sizeof *r + m->extra_count * sizeof(struct bus_extra_header) + size);
    *r = (struct record){ .refs = 1, .extra_count = m->extra_count };
    r->extra = (struct bus_extra_header *)(void *)(r + 1);
    char *at = (char *)(r->extra + m->extra_count);
    r->message.key = copied(&at, m->key);
    r->message.value = copied(&at, m->value);
    for (int h = 0; m->header && h < HEADER_COUNT; h++)
        r->message.header[h] = copied(&at, m->header[h]);
    for (size_t i = 0; i < m->extra_count; i++) {
        r->extra[i].name = pack(&at, bytes_of(m->extra[i].name));
        r->extra[i].value = copied(&at, m->extra[i].value);
    }
    return r;
}

bool record_is_claim(const struct record *r)
{
    for (size_t i = 0; i < r->extra_count; i++)
        if (strcmp(r->extra[i].name, "ce_type") == 0)
            return bytes_is(r->extra[i].value, CE_TYPE_CLAIMED);
    return false;
}

void record_unref(struct record *r)
{
    if (r && --r->refs == 0) free(r);
}

struct cluster *cluster_new(struct world *w)
{
    struct cluster *c = xcalloc(1, sizeof *c);
    c->world = w;
    return c;
}

struct cluster *cluster_free(struct cluster *c)
{
    if (!c) return NULL;
    groups_free(c);
    while (c->topics) {
        struct topic *t = c->topics;
        c->topics = t->next;
        for (int32_t p = 0; p < t->partitions; p++) {
            for (int64_t o = 0; o < t->parts[p].end; o++) record_unref(t->parts[p].records[o]);
            free(t->parts[p].records);
        }
        free(t->parts);
        free(t->name);
        free(t);
    }
    free(c);
    return NULL;
}

struct topic *cluster_topic(struct cluster *c, const char *name)
{
    for (struct topic *t = c->topics; t; t = t->next)
        if (strcmp(t->name, name) == 0) return t;
    return NULL;
}

static bool has_config(const struct bus_topic_spec *spec, const char *name, const char *value)
{
    for (size_t i = 0; spec->config && spec->config[i][0]; i++)
        if (strcmp(spec->config[i][0], name) == 0 && strcmp(spec->config[i][1], value) == 0)
            return true;
    return false;
}

struct topic *cluster_topic_make(struct cluster *c, const struct bus_topic_spec *spec)
{
    struct topic *t = cluster_topic(c, spec->name);
    if (t) return t;
    t = xcalloc(1, sizeof *t);
    t->name = xstrdup(spec->name);
    t->partitions = spec->partitions;
    t->append_time = has_config(spec, "message.timestamp.type", "LogAppendTime");
    t->compact = has_config(spec, "cleanup.policy", "compact");
    t->parts = xcalloc((size_t)spec->partitions, sizeof *t->parts);
    for (int32_t p = 0; p < spec->partitions; p++)
        t->parts[p] = (struct log_part){ .topic = t, .id = p };
    t->next = c->topics;
    c->topics = t;
    groups_topic_made(c);
    return t;
}

struct log_part *cluster_part(struct cluster *c, const char *topic, int32_t partition)
{
    struct topic *t = cluster_topic(c, topic);
    if (!t || partition < 0 || partition >= t->partitions) return NULL;
    return &t->parts[partition];
}

int64_t log_append(struct world *w, struct log_part *part, struct record *r, const struct proc *by)
{
    if ((size_t)part->end == part->cap) {
        part->cap = part->cap ? 2 * part->cap : 64;
        part->records = xrealloc(part->records, part->cap * sizeof(struct record *));
    }
    r->part = part;
    r->offset = part->end;
    r->at_us = w->now_us;
    /* A broker's clock never goes back here; whether it is the sender's or its own matters for
     * events only. */
    r->timestamp_ms = world_wall_ms(w);
    part->records[part->end++] = r;
    oracle_appended(w, part, r, by);
    stream_wake_all(part);
    return r->offset;
}

void log_truncate(struct log_part *part, int64_t start)
{
    start = MIN(start, part->end);
    for (; part->start < start; part->start++) {
        record_unref(part->records[part->start]);
        part->records[part->start] = NULL;
    }
}

void log_compact(struct log_part *part)
{
    for (int64_t o = part->start; o < part->end; o++) {
        const struct record *r = part->records[o];
        if (!r) continue;
        bool newer = false;
        for (int64_t n = o + 1; n < part->end && !newer; n++)
            newer = part->records[n] && bytes_equal(part->records[n]->message.key, r->message.key);
        if (!newer) continue;
        record_unref(part->records[o]);
        part->records[o] = NULL;
    }
}
