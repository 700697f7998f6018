/* SPDX-License-Identifier: Apache-2.0
 *
 * Upstream topics start runs. A record becomes an `event` (CloudEvents in binary or structured
 * mode, or plain JSON as its data); each latest definition with a trigger on that topic filters it,
 * maps it to an input, and names a start key. The start is appended to `events` and acknowledged
 * before the record's offset is committed; doing a record twice is harmless, because a start
 * without a key takes its run id from the record's place, and one with a key is idempotent. What
 * cannot be read goes to the dead-letter topic. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/clock.h"
#include "orchestrator/internal.h"

#define TRIGGER_CREDIT 256

/* A record whose starts are not all acknowledged yet. */
struct pending {
    struct pending *next;
    struct source *source;
    struct bus_waiter waiter;
    int64_t offset;
    size_t acks_missing;
    bool failed, abandoned;
};

struct source { /* an assigned partition of an upstream topic */
    struct triggers *triggers;
    struct source *next;
    char *topic;
    int32_t partition;
    struct pending *first, *last;
    struct loop_timer again;
    int64_t again_from;
};

struct triggers {
    struct shard *shard;
    struct bus_group *group;
    struct source *sources;
    char **topics;
    size_t topic_count;
};

/* --- bookkeeping --- */

static struct source *source_find(struct triggers *t, const char *topic, int32_t partition)
{
    for (struct source *s = t->sources; s; s = s->next)
        if (s->partition == partition && strcmp(s->topic, topic) == 0) return s;
    return NULL;
}

static void pending_abandon(struct source *s)
{
    while (s->first) {
        struct pending *p = s->first;
        s->first = p->next;
        p->abandoned = true;
        if (p->acks_missing == 0) free(p);
    }
    s->last = NULL;
}

static void source_free(struct source *s)
{
    loop_disarm(s->triggers->shard->loop, &s->again);
    pending_abandon(s);
    free(s->topic);
    free(s);
}

static void on_again(struct loop_timer *timer)
{
    struct source *s = timer->user;
    bus_read(s->triggers->group, s->topic, s->partition, s->again_from, TRIGGER_CREDIT);
}

/* The record at offset could not be handed on: read from it again in a moment. */
static void source_again(struct source *s, int64_t offset)
{
    pending_abandon(s);
    s->again_from = offset;
    loop_arm(s->triggers->shard->loop, &s->again, 5 * RETRY_MS);
}

static void source_advance(struct source *s)
{
    while (s->first && s->first->acks_missing == 0) {
        struct pending *p = s->first;
        if (p->failed) {
            source_again(s, p->offset);
            return;
        }
        s->first = p->next;
        if (!s->first) s->last = NULL;
        bus_commit(s->triggers->group, s->topic, s->partition, p->offset + 1);
        free(p);
    }
}

static void on_appended(struct bus_waiter *w, const struct bus_delivery *d)
{
    struct pending *p = CONTAINER_OF(w, struct pending, waiter);
    p->acks_missing--;
    p->failed |= d->error != NULL;
    if (p->acks_missing > 0) return;
    if (p->abandoned)
        free(p);
    else
        source_advance(p->source);
}

/* --- the record as an event --- */

static const struct bus_extra_header *find_header(const struct bus_record *r, const char *name)
{
    for (size_t i = 0; i < r->extra_count; i++)
        if (strcasecmp(r->extra[i].name, name) == 0) return &r->extra[i];
    return NULL;
}

static json_t *text_value(struct bytes text)
{
    json_t *value = json_stringn(text.data ? text.data : "", text.len);
    return value ? value : json_null(); /* not UTF-8 */
}

static json_t *data_value(struct bytes value, struct err *e)
{
    if (!value.data || value.len == 0) return json_null();
    return json_parse(value, e);
}

/* CloudEvents Kafka binding: structured iff content-type begins with application/cloudevents, else
 * binary where ce_ headers stand. */
static json_t *event_of(const struct bus_record *r, struct err *e)
{
    const struct bus_extra_header *type = find_header(r, "content-type");
    if (type && type->value.len >= 23 &&
        strncasecmp(type->value.data, "application/cloudevents", 23) == 0) {
        json_t *event = json_parse(r->message.value, e);
        if (event && !json_is_object(event)) {
            json_decref(event);
            err_fail(e, ERR_INVALID, "a structured CloudEvent is an object");
            return NULL;
        }
        return event;
    }
    json_t *data = data_value(r->message.value, e);
    if (!data) return NULL;
    json_t *event = json_object();
    for (size_t i = 0; i < r->extra_count; i++)
        if (strncasecmp(r->extra[i].name, "ce_", 3) == 0)
            json_object_set_new(event, r->extra[i].name + 3, text_value(r->extra[i].value));
    json_object_set_new(event, "data", data);
    json_object_set_new(event, "topic", json_string(r->topic));
    json_object_set_new(event, "partition", json_integer(r->partition));
    json_object_set_new(event, "offset", json_integer(r->offset));
    if (r->message.key.data) json_object_set_new(event, "key", text_value(r->message.key));
    return event;
}

static bool resolve_event(void *user, const char *const *names, size_t count, size_t *ret_used,
                          json_t **ret, struct err *e)
{
    (void)count;
    if (strcmp(names[0], "event") != 0)
        return err_fail(e, ERR_INVALID, "unknown name '%s': a trigger sees only 'event'", names[0]);
    *ret_used = 1;
    *ret = json_incref(user);
    return true;
}

/* --- one start --- */

static bool send_start(struct pending *p, const struct definition *def, const char *run_id,
                       struct bytes key, struct bytes input, struct err *e)
{
    struct shard *shard = p->source->triggers->shard;
    struct bytes header[HEADER_COUNT] = {
        [HEADER_V] = BYTES_LIT(MESSAGE_VERSION),
        [HEADER_TYPE] = bytes_of(event_type_name(EVENT_RUN_START)),
        [HEADER_RUN_ID] = bytes_of(run_id),
        [HEADER_DEFINITION] = bytes_of(def->sha256),
        [HEADER_WORKFLOW] = bytes_of(def->name),
        [HEADER_VERSION] = bytes_of(def->version),
        [HEADER_KEY] = key,
        [HEADER_ACTOR] = BYTES_LIT("trigger"),
    };
    struct bytes route = run_id_route(bytes_of(run_id));
    if (input.len > PAYLOAD_BYTES_MAX)
        return err_fail(e, ERR_LIMIT, "the input has %zu bytes, the limit is %d", input.len,
                        PAYLOAD_BYTES_MAX);
    if (!bus_send(
            shard->bus,
            &(struct bus_message){ .topic = shard->events_topic,
                                   .partition = partition_of(route, shard->options.partitions),
                                   .key = route,
                                   .value = input,
                                   .header = header },
            &p->waiter, e))
        return false;
    p->acks_missing++;
    return true;
}

/* ERR_UNAVAILABLE: try the record again; another error: the record is at fault. */
static bool start_by(struct pending *p, const struct definition *def,
                     const struct trigger_def *trigger, json_t *event, const struct bus_record *r,
                     struct err *e)
{
    struct template_env env = { .cel = { .resolve = resolve_event, .user = event } };
    if (trigger->filter) {
        AUTO_JSON *holds = NULL;
        if (!cel_eval(trigger->filter, &env.cel, &holds, e))
            return err_prefix(e, "filter of workflow %s", def->name);
        if (!json_is_true(holds)) return true;
    }
    AUTO_BUF struct buf input = { 0 };
    if (!trigger->input)
        json_write(&input,
                   json_object_get(event, "data") ? json_object_get(event, "data") : json_null());
    else if (!template_eval(trigger->input, &env, PAYLOAD_BYTES_MAX, &input, e))
        return err_prefix(e, "input of workflow %s", def->name);
    AUTO_JSON *key = NULL;
    if (trigger->key && !template_eval_json(trigger->key, &env, &key, e))
        return err_prefix(e, "key of workflow %s", def->name);
    AUTO_BUF struct buf key_text = { 0 };
    if (json_is_string(key))
        buf_add(&key_text, json_string_value(key), json_string_length(key));
    else if (key && !json_is_null(key))
        json_write(&key_text, key);
    if (key_text.len > START_KEY_BYTES_MAX)
        return err_fail(e, ERR_LIMIT, "the start key has %zu bytes, the limit is %d", key_text.len,
                        START_KEY_BYTES_MAX);
    AUTO_FREE char *origin =
        xasprintf("%s/%d/%lld/%s", r->topic, r->partition, (long long)r->offset, def->name);
    char run_id[RUN_ID_MAX];
    run_id_from_origin(run_id, bytes_of(origin));
    if (key_text.len) run_id_route_by_key(run_id, bytes_of(def->name), buf_bytes(&key_text));
    return send_start(p, def, run_id, key_text.len ? buf_bytes(&key_text) : (struct bytes){ 0 },
                      buf_bytes(&input), e);
}

static bool start_all(struct pending *p, const struct bus_record *r, struct err *e)
{
    struct shard *shard = p->source->triggers->shard;
    json_t *event = event_of(r, e);
    if (!event) return err_prefix(e, "the value is no JSON");
    size_t pos = 0;
    bool ok = true;
    for (const struct definition *def; ok && (def = catalogue_next_latest(shard->catalogue, &pos));)
        for (uint32_t i = 0; ok && i < def->trigger_count; i++)
            if (strcmp(def->triggers[i].topic, r->topic) == 0)
                ok = start_by(p, def, &def->triggers[i], event, r, e);
    json_decref(event);
    return ok;
}

static void dead_letter(struct pending *p, const struct bus_record *r, const struct err *why)
{
    if (dlq_send(p->source->triggers->shard, r, "trigger", why->text, &p->waiter))
        p->acks_missing++;
    else
        p->failed = true;
}

static void on_record(void *user, const struct bus_record *r)
{
    struct triggers *t = user;
    struct source *s = source_find(t, r->topic, r->partition);
    if (!s || loop_armed(&s->again)) return; /* to be read again from an earlier record */
    struct pending *p = xcalloc(1, sizeof *p);
    *p = (struct pending){ .source = s, .offset = r->offset, .waiter = { .done = on_appended } };
    if (s->last)
        s->last->next = p;
    else
        s->first = p;
    s->last = p;
    struct err e;
    if (!start_all(p, r, &e)) {
        if (e.kind == ERR_UNAVAILABLE)
            p->failed = true;
        else
            dead_letter(p, r, &e);
    }
    bus_credit(t->group, r->topic, r->partition, 1);
    source_advance(s);
}

/* --- membership --- */

static void on_assign(void *user, const char *topic, int32_t partition)
{
    struct triggers *t = user;
    struct source *s = xcalloc(1, sizeof *s);
    *s = (struct source){
        .triggers = t, .next = t->sources, .topic = xstrdup(topic), .partition = partition
    };
    s->again = (struct loop_timer){ .on_due = on_again, .user = s };
    t->sources = s;
    bus_read(t->group, topic, partition, BUS_COMMITTED, TRIGGER_CREDIT);
}

static void on_revoke(void *user, const char *topic, int32_t partition, bool lost)
{
    struct triggers *t = user;
    (void)lost;
    struct source *s = source_find(t, topic, partition);
    if (!s) return;
    struct source **link = &t->sources;
    while (*link != s) link = &(*link)->next;
    *link = s->next;
    source_free(s);
}

static void on_error(void *user, const char *topic, int32_t partition, const struct err *e)
{
    struct triggers *t = user;
    log_warn(&t->shard->log, "trigger.read", "%s/%d: %s", topic, partition, e->text);
    if (e->kind == ERR_NOT_FOUND) bus_read(t->group, topic, partition, BUS_START, TRIGGER_CREDIT);
}

static bool has_topic(const struct triggers *t, const char *topic)
{
    for (size_t i = 0; i < t->topic_count; i++)
        if (strcmp(t->topics[i], topic) == 0) return true;
    return false;
}

void triggers_update(struct triggers *t)
{
    struct shard *shard = t->shard;
    size_t before = t->topic_count, pos = 0;
    for (const struct definition *def; (def = catalogue_next_latest(shard->catalogue, &pos));) {
        for (uint32_t i = 0; i < def->trigger_count; i++) {
            if (has_topic(t, def->triggers[i].topic)) continue;
            t->topics = xrealloc(t->topics, (t->topic_count + 1) * sizeof *t->topics);
            t->topics[t->topic_count++] = xstrdup(def->triggers[i].topic);
        }
    }
    if (t->topic_count == before) return;
    struct err e;
    bool ok;
    if (t->group) {
        ok = bus_group_topics(t->group, (const char *const *)t->topics, t->topic_count, &e);
    } else {
        AUTO_FREE char *name = xasprintf("%s-triggers", shard->prefix);
        t->group = bus_join(shard->bus,
                            &(struct bus_group_options){ .group = name,
                                                         .topics = (const char *const *)t->topics,
                                                         .topic_count = t->topic_count,
                                                         .on_assign = on_assign,
                                                         .on_revoke = on_revoke,
                                                         .on_record = on_record,
                                                         .on_error = on_error,
                                                         .user = t },
                            &e);
        ok = t->group != NULL;
    }
    if (ok)
        log_info(&shard->log, "trigger.topics", "listening to %zu upstream topics", t->topic_count);
    else
        log_error(&shard->log, "trigger.join", "%s: triggers do not run here", e.text);
}

struct triggers *triggers_open(struct shard *shard)
{
    struct triggers *t = xcalloc(1, sizeof *t);
    t->shard = shard;
    return t;
}

static void on_left(void *user)
{
    struct triggers *t = user;
    t->group = NULL;
    shard_left(t->shard);
}

bool triggers_leave(struct triggers *t)
{
    if (!t->group) return false;
    bus_leave(t->group, on_left, t);
    return true;
}

struct triggers *triggers_close(struct triggers *t)
{
    if (!t) return NULL;
    while (t->sources) {
        struct source *s = t->sources;
        t->sources = s->next;
        source_free(s);
    }
    for (size_t i = 0; i < t->topic_count; i++) free(t->topics[i]);
    free(t->topics);
    free(t);
    return NULL;
}
