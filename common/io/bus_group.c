/* SPDX-License-Identifier: Apache-2.0
 *
 * Consumer groups. The group's handle is a member and no more: it answers every rebalance with an
 * empty incremental (un)assign, which 2.0.2 takes as an answer while the group's own record of who
 * owns what (rkcg_group_assignment) goes on as usual. The partitions are read by streams at offsets
 * that the caller says, whenever and as often as it likes. */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/io/bus_group.h"

/* librdkafka #4381, fixed in 2.3.0: destroying a member that never had an assignment aborts. */
#define VERSION_SAFE_DESTROY 0x020300ff

#define API_JOIN_GROUP 11

/* --- when not to commit --- */

/* While a JoinGroup is under way the generation changes; a commit of the old one is refused with
 * ILLEGAL_GENERATION, and 2.0.2 then gives up the whole assignment (librdkafka #4059, fixed in
 * 2.10.0). There is no question to ask about that state, so an interceptor notes the request. It
 * runs in a thread of the client. */
static rd_kafka_resp_err_t on_request_sent(rd_kafka_t *rk, int sockfd, const char *brokername,
                                           int32_t brokerid, int16_t api_key, int16_t api_version,
                                           int32_t corr_id, size_t size, void *joining)
{
    (void)rk;
    (void)sockfd;
    (void)brokername;
    (void)brokerid;
    (void)api_version;
    (void)corr_id;
    (void)size;
    if (api_key == API_JOIN_GROUP) __atomic_store_n((bool *)joining, true, __ATOMIC_SEQ_CST);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *joining,
                                  char *text, size_t text_size)
{
    (void)conf;
    (void)text;
    (void)text_size;
    return rd_kafka_interceptor_add_on_request_sent(rk, "tutti", on_request_sent, joining);
}

static rd_kafka_conf_t *group_conf(const struct bus *bus, const char *group, struct err *e)
{
    rd_kafka_conf_t *conf = bus_conf(bus, e);
    if (!conf) return NULL;
    uint32_t session_ms = bus->settings.session_timeout_ms;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT |
                                       RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
    if (bus_conf_set(conf, "group.id", group, e) &&
        bus_conf_set(conf, "partition.assignment.strategy", "cooperative-sticky", e) &&
        bus_conf_set(conf, "enable.auto.commit", "false", e) &&
        bus_conf_set(conf, "enable.auto.offset.store", "false", e) &&
        bus_conf_set_int(conf, "session.timeout.ms", session_ms, e) &&
        bus_conf_set_int(conf, "heartbeat.interval.ms", MIN(3000U, session_ms / 3), e) &&
        bus_conf_set_int(conf, "max.poll.interval.ms", MAX(60000U, session_ms), e) &&
        /* New topics of a regular expression are found by it. */
        bus_conf_set(conf, "topic.metadata.refresh.interval.ms", "10000", e))
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

/* --- partitions --- */

struct bus_part *bus_group_part(const struct bus_group *g, const char *topic, int32_t partition)
{
    const struct bus_group_topic *t = map_get(&g->topics, bytes_of(topic));
    if (!t || partition < 0 || partition >= t->cap) return NULL;
    return t->parts[partition];
}

static void on_record(void *user, const struct bus_record *r)
{
    const struct bus_part *part = user;
    bus_is_up(part->group->bus);
    part->group->options.on_record(part->group->options.user, r);
}

static void on_error(void *user, const struct err *e)
{
    const struct bus_part *part = user;
    const struct bus_group_options *o = &part->group->options;
    o->on_error(o->user, part->topic->name, part->partition, e);
}

static struct bus_part *add_part(struct bus_group *g, const char *topic, int32_t partition)
{
    struct bus_group_topic *t = map_get(&g->topics, bytes_of(topic));
    if (!t) {
        t = xcalloc(1, sizeof *t);
        t->name = xstrdup(topic);
        (void)map_put(&g->topics, bytes_of(t->name), t);
    }
    if (partition >= t->cap) {
        int32_t cap = partition + 16;
        t->parts = xrealloc(t->parts, (size_t)cap * sizeof *t->parts);
        memset(t->parts + t->cap, 0, (size_t)(cap - t->cap) * sizeof *t->parts);
        t->cap = cap;
    }
    if (t->parts[partition]) return NULL; /* assigned already */
    struct bus_part *part = xcalloc(1, sizeof *part);
    *part = (struct bus_part){ .group = g, .topic = t, .partition = partition, .commit = -1 };
    part->stream = bus_stream_new(g->bus, &(struct bus_stream_options){ .topic = t->name,
                                                                        .partition = partition,
                                                                        .on_record = on_record,
                                                                        .on_error = on_error,
                                                                        .user = part });
    t->parts[partition] = part;
    g->assigned++;
    return part;
}

/* A commit that was asked for and not sent is dropped: the next owner may be further. */
static void remove_part(struct bus_part *part)
{
    part->topic->parts[part->partition] = NULL;
    part->group->assigned--;
    bus_stream_free(part->stream);
    loop_defer_free(part->group->bus->loop, free, part);
}

static void revoke_all(struct bus_group *g)
{
    size_t pos = 0;
    for (struct bus_group_topic *t; (t = map_next(&g->topics, &pos));)
        for (int32_t p = 0; p < t->cap; p++)
            if (t->parts[p]) {
                bus_stream_stop(t->parts[p]->stream);
                g->options.on_revoke(g->options.user, t->name, p, false);
            }
}

static void remove_all(struct bus_group *g)
{
    size_t pos = 0;
    for (struct bus_group_topic *t; (t = map_next(&g->topics, &pos));)
        for (int32_t p = 0; p < t->cap; p++)
            if (t->parts[p]) remove_part(t->parts[p]);
}

/* --- rebalances --- */

/* The answer that keeps the group going and has nothing fetched. */
static void answer(struct bus_group *g, bool assign)
{
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
    rd_kafka_error_t *error = assign ? rd_kafka_incremental_assign(g->client->rk, none)
                                     : rd_kafka_incremental_unassign(g->client->rk, none);
    if (error) {
        log_warn(&g->bus->log, "kafka.rebalance", "%s", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
    rd_kafka_topic_partition_list_destroy(none);
}

static void on_revoked(struct bus_group *g, const rd_kafka_topic_partition_list_t *list)
{
    bool lost = rd_kafka_assignment_lost(g->client->rk) != 0;
    for (int i = 0; i < list->cnt; i++) {
        struct bus_part *part = bus_group_part(g, list->elems[i].topic, list->elems[i].partition);
        if (!part) continue;
        bus_stream_stop(part->stream);
        g->options.on_revoke(g->options.user, part->topic->name, part->partition, lost);
    }
    /* Here the new generation is known and the member still owns what it gives back: the one safe
     * moment to say how far it came. The answer waits for the commit. */
    if (!lost) bus_group_commit_send(g, true);
    for (int i = 0; i < list->cnt; i++) {
        struct bus_part *part = bus_group_part(g, list->elems[i].topic, list->elems[i].partition);
        if (part) remove_part(part);
    }
    answer(g, false);
}

static void on_assigned(struct bus_group *g, const rd_kafka_topic_partition_list_t *list)
{
    /* The end of a rebalance, also if the list is empty. Before the answer, which may start the
     * next one. */
    __atomic_store_n(g->client->joining, false, __ATOMIC_SEQ_CST);
    answer(g, true);
    g->joined = true;
    for (int i = 0; i < list->cnt && !g->leaving; i++) {
        const struct bus_part *part = add_part(g, list->elems[i].topic, list->elems[i].partition);
        if (part) g->options.on_assign(g->options.user, part->topic->name, part->partition);
    }
}

static void on_rebalance(struct bus_group *g, rd_kafka_event_t *event)
{
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        on_assigned(g, list);
    else
        on_revoked(g, list);
}

static void on_event(struct bus_group *g, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_REBALANCE: on_rebalance(g, event); break;
    case RD_KAFKA_EVENT_OFFSET_COMMIT: bus_group_committed(g, event); break;
    case RD_KAFKA_EVENT_LOG: bus_on_log(g->bus, event); break;
    case RD_KAFKA_EVENT_ERROR: {
        struct err e;
        rd_kafka_resp_err_t code = rd_kafka_event_error(event);
        bus_on_error(g->bus, event);
        (void)bus_err(&e, code, g->group);
        /* What concerns the whole group and cannot heal: no permission, or a fatal error. */
        if ((e.kind == ERR_AUTH || rd_kafka_event_error_is_fatal(event)) && !g->leaving)
            g->options.on_error(g->options.user, "", -1, &e);
        break;
    }
    default: break;
    }
    rd_kafka_event_destroy(event);
}

/* --- life --- */

static void group_done(void *group)
{
    struct bus_group *g = group;
    size_t pos = 0;
    for (struct bus_group_topic *t; (t = map_next(&g->topics, &pos));) {
        free(t->parts);
        free(t->name);
        free(t);
    }
    map_done(&g->topics);
    free(g->group);
    free(g);
}

static void queue_done(rd_kafka_queue_t *queue)
{
    if (!queue) return;
    rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
    rd_kafka_queue_destroy(queue);
}

/* The member is out: the handle goes, and with it the group. */
static void finish(struct bus_group *g)
{
    struct bus_group **at = &g->bus->groups;
    while (*at != g) at = &(*at)->next;
    *at = g->next;
    bool closed = rd_kafka_consumer_closed(g->client->rk) != 0;
    g->client->abandon = !closed || (!g->joined && rd_kafka_version() < VERSION_SAFE_DESTROY);
    queue_done(g->queue);
    queue_done(g->close_queue);
    bus_client_unref(g->client);
    if (g->on_left) g->on_left(g->left_user);
    loop_defer_free(g->bus->loop, group_done, g);
}

bool bus_group_topics(struct bus_group *g, const char *const *topics, size_t count, struct err *e)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        (void)rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(g->client->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || bus_err(e, code, "subscribing");
}

struct bus_group *bus_join(struct bus *bus, const struct bus_group_options *options, struct err *e)
{
    ASSERT(options->on_assign && options->on_revoke && options->on_record && options->on_error);
    rd_kafka_conf_t *conf = group_conf(bus, options->group, e);
    if (!conf) return NULL;
    bool *joining = xcalloc(1, sizeof *joining);
    (void)rd_kafka_conf_interceptor_add_on_new(conf, "tutti", on_new, joining);
    rd_kafka_t *rk = bus_handle(RD_KAFKA_CONSUMER, conf, e);
    if (!rk) {
        free(joining);
        return NULL;
    }
    (void)rd_kafka_poll_set_consumer(rk);
    struct bus_group *g = xcalloc(1, sizeof *g);
    g->bus = bus;
    g->serial = ++bus->group_serial;
    g->options = *options;
    g->group = xstrdup(options->group);
    g->client = bus_client_new(bus->jobs, rk);
    g->client->joining = joining;
    g->queue = rd_kafka_queue_get_consumer(rk);
    bus_wake_on(&bus->others, g->queue);
    g->next = bus->groups;
    bus->groups = g;
    if (bus_group_topics(g, options->topics, options->topic_count, e)) return g;
    bus_leave(g, NULL, NULL);
    return NULL;
}

void bus_leave(struct bus_group *g, void (*done)(void *user), void *user)
{
    g->on_left = done;
    g->left_user = user;
    if (g->leaving) return;
    g->leaving = true;
    g->leave_by_ms = clock_mono_ms() + CLOSE_MS_MAX;
    /* The callbacks may commit what they finished; that goes out before the member leaves. */
    revoke_all(g);
    bus_group_commit_send(g, false);
    remove_all(g);
    g->close_queue = rd_kafka_queue_new(g->client->rk);
    bus_wake_on(&g->bus->others, g->close_queue);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(g->client->rk, g->close_queue);
    if (error) rd_kafka_error_destroy(error); /* closed already: a fatal error did it */
    bus_kick(&g->bus->others);
}

static void poll_queue(struct bus_group *g, rd_kafka_queue_t *queue)
{
    if (!queue) return;
    for (rd_kafka_event_t *event; (event = rd_kafka_queue_poll(queue, 0));) on_event(g, event);
}

void bus_groups_poll(struct bus *bus)
{
    for (struct bus_group *g = bus->groups, *next; g; g = next) {
        /* While it closes, its queue is forwarded to the other one. */
        poll_queue(g, g->leaving ? g->close_queue : g->queue);
        next = g->next;
        if (!g->leaving) {
            bus_group_resolve(g);
            continue;
        }
        bool closed = rd_kafka_consumer_closed(g->client->rk) != 0;
        if (!closed && clock_mono_ms() < g->leave_by_ms) continue;
        if (!closed)
            log_warn(&bus->log, "kafka.close", "group %s does not close; leaving it behind",
                     g->group);
        finish(g);
    }
}

void bus_groups_tick(struct bus *bus)
{
    for (struct bus_group *g = bus->groups; g; g = g->next) {
        if (g->leaving) continue;
        if (g->commits_running == 0) bus_group_commit_send(g, false);
        bus_group_resolve(g);
    }
}

static void poll_blocking(struct bus_group *g, int wait_ms)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(g->close_queue, wait_ms);
    if (event) on_event(g, event);
}

void bus_groups_close(struct bus *bus, uint64_t deadline_ms)
{
    for (struct bus_group *g = bus->groups; g; g = g->next) {
        if (!g->leaving) bus_leave(g, NULL, NULL);
        g->leave_by_ms = MIN(g->leave_by_ms, deadline_ms);
    }
    while (bus->groups) {
        poll_blocking(bus->groups, 10);
        bus_groups_poll(bus);
    }
}

size_t bus_group_assigned(const struct bus_group *g)
{
    return g->assigned;
}

bool bus_group_joined(const struct bus_group *g)
{
    return g->joined;
}
