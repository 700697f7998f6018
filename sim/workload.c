/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of several shapes, started by clients outside that no fault touches: by key and without,
 * some starts doubled, some runs cancelled. */
#include "sim/workload.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/id.h"
#include "sim/cluster.h"
#include "sim/oracle.h"
#include "sim/shapes.h"
#include "sim/user.h"

#define CHOSEN_MAX 6

struct workload {
    struct world *world;
    size_t to_come;                              /* events of clients that are not in the log yet */
    const struct definition *chosen[CHOSEN_MAX]; /* what this seed's clients start */
    size_t chosen_count;
};

/* --- what clients send --- */

struct sending {
    struct world *world;
    struct client_event event;
};

static struct log_part *events_of(struct world *w, const char *run_id)
{
    struct bytes route = run_id_route(bytes_of(run_id));
    return cluster_part(w->cluster, PREFIX ".events",
                        partition_of(route, (int32_t)w->options.partitions));
}

static void append(struct world *w, const struct client_event *ev)
{
    const struct definition *def = ev->def;
    struct bytes header[HEADER_COUNT] = {
        [HEADER_V] = BYTES_LIT(MESSAGE_VERSION),
        [HEADER_TYPE] = bytes_of(event_type_name(ev->type)),
        [HEADER_RUN_ID] = bytes_of(ev->run_id),
    };
    if (def) {
        header[HEADER_DEFINITION] = bytes_of(def->sha256);
        header[HEADER_WORKFLOW] = bytes_of(def->name);
        header[HEADER_VERSION] = bytes_of(def->version);
    }
    if (ev->key[0]) header[HEADER_KEY] = bytes_of(ev->key);
    if (ev->policy) header[HEADER_POLICY] = bytes_of(start_policy_name(ev->policy));
    if (ev->path[0]) header[HEADER_PATH] = bytes_of(ev->path);
    if (ev->actor[0]) header[HEADER_ACTOR] = bytes_of(ev->actor);
    if (ev->signal[0]) header[HEADER_SIGNAL] = bytes_of(ev->signal);
    log_append(
        w, events_of(w, ev->run_id),
        record_new(&(struct bus_message){ .key = run_id_route(bytes_of(ev->run_id)),
                                          .value = ev->value.data ? ev->value : bytes_of(ev->text),
                                          .header = header }),
        NULL);
}

static void send_now(void *user)
{
    struct sending *s = user;
    if (!s->world->closing) {
        append(s->world, &s->event);
        s->world->workload->to_come--;
    }
    free(s);
}

void client_send(struct world *w, uint64_t at_us, const struct client_event *event)
{
    struct sending *s = xmalloc(sizeof *s);
    *s = (struct sending){ .world = w, .event = *event };
    w->workload->to_come++;
    world_at(w, at_us, send_now, s);
}

/* --- starts --- */

static void draw_id(struct prng *p, struct client_event *start, uint64_t at_us)
{
    unsigned char random[6];
    for (size_t i = 0; i < sizeof random; i++) random[i] = (unsigned char)prng_next(p);
    run_id_random(start->run_id, EPOCH_MS + (int64_t)(at_us / MS), random);
    if (start->key[0])
        run_id_route_by_key(start->run_id, bytes_of(start->def->name), bytes_of(start->key));
}

static void freeze(void *user)
{
    struct world *w = user;
    if (!w->closing && w->phase == PHASE_FAULTS) fault_freeze(w);
}

/* The same start once more, or the same key from another client: within a second, or with an owner
 * between the two that stands still for longer than its session, and wakes up as a zombie. */
static void draw_twin(struct world *w, const struct client_event *start, uint64_t at_us)
{
    struct prng *p = &w->script;
    struct client_event twin = *start;
    uint64_t again_us = at_us + prng_below(p, SECOND);
    bool kept = start->def->retention_ms >= 30 * SECOND_MS;
    if (kept && w->options.every_us[FAULT_STOP] && prng_below(p, 2)) {
        world_at(w, at_us + prng_below(p, 50 * MS), freeze, w);
        again_us = at_us + prng_below(p, 2ull * w->options.session_timeout_ms * MS);
    }
    if (start->key[0] && prng_below(p, 2)) draw_id(p, &twin, at_us);
    client_send(w, again_us, &twin);
}

/* What a start brings: 0 to 2 leads elsewhere. */
static void draw_input(struct world *w, struct client_event *start)
{
    if (w->options.user)
        start->value = buf_bytes(&w->options.user->input);
    else
        snprintf(start->text, sizeof start->text, "{\"n\":%u}",
                 (unsigned)prng_below(&w->script, 3));
}

/* A third of the keys knows no policy. Of two others every start has one of its own. */
static void draw_key(struct workload *load, struct client_event *start, uint32_t number)
{
    struct prng *p = &load->world->script;
    /* A user's runs are as many as were asked for: they share no key. */
    bool user = load->world->options.user != NULL;
    uint32_t shared = user ? number : (uint32_t)prng_below(p, 1 + number / 2);
    if (!user && shared % 3) {
        shared = 1 + shared % 2;
        start->def = load->chosen[shared % load->chosen_count];
        start->policy = (enum start_policy)prng_below(p, START_POLICY_COUNT);
    }
    snprintf(start->key, sizeof start->key, "k%u", (unsigned)shared);
}

static void draw_run(struct workload *load, uint32_t number)
{
    struct world *w = load->world;
    struct prng *p = &w->script;
    const struct sim_user *user = w->options.user;
    struct client_event start = { .type = EVENT_RUN_START };
    start.def = user ? user->def : load->chosen[prng_below(p, load->chosen_count)];
    draw_input(w, &start);
    /* Without faults the installation is at rest before the work begins: nobody takes over. */
    uint64_t at = w->now_us + workload_rest_us(w) + prng_below(p, w->options.faults_us);
    if (prng_chance(p, w->options.keyed_ppm)) draw_key(load, &start, number);
    draw_id(p, &start, at);
    client_send(w, at, &start);
    if (prng_chance(p, w->options.doubled_ppm)) draw_twin(w, &start, at);
    if (!prng_chance(p, w->options.cancels_ppm)) return;
    struct client_event cancel = { .type = EVENT_RUN_CANCEL };
    memcpy(cancel.run_id, start.run_id, sizeof cancel.run_id);
    snprintf(cancel.text, sizeof cancel.text, "{\"reason\":\"simulated\"}");
    client_send(w, at + prng_below(p, 4 * SECOND), &cancel);
}

uint64_t workload_rest_us(const struct world *w)
{
    return w->options.level == FAULTS_NONE ? 8 * SECOND : 0;
}

/* --- definitions --- */

static void deploy(struct world *w, struct topic *topic, const struct definition *def)
{
    AUTO_FREE char *key = xasprintf("%s@%s/%s", def->name, def->version, def->sha256);
    log_append(w, &topic->parts[0],
               record_new(&(struct bus_message){ .key = bytes_of(key),
                                                 .value = { def->canonical, def->canonical_len } }),
               NULL);
    oracle_definition(w, def);
}

const char *const *workload_queues(const struct world *w, size_t *ret_count)
{
    static const char *const ours[] = { "default" };
    const struct sim_user *user = w->options.user;
    *ret_count = user ? user->queue_count : ARRAY_LEN(ours);
    return user ? user->queues : ours;
}

/* Whether the installation of this seed can hold to what the workflow promises. */
static bool suits(const struct world *w, const struct definition *def)
{
    const struct options *o = &w->options;
    /* A start that comes late would start a child again that has left already. */
    if (shape_has(def, STEP_WORKFLOW) && o->retention_bytes_max < RETENTION_BYTES_AMPLE)
        return false;
    return !o->lasting || def->retention_ms >= LASTING_MS;
}

/* Which workflows the clients of this seed start: some written ones, more generated ones. */
static void choose(struct workload *load)
{
    struct world *w = load->world;
    struct prng *p = &w->script;
    size_t count = (size_t)prng_range(p, 2, CHOSEN_MAX);
    while (load->chosen_count < count) {
        size_t i = prng_below(p, 100) < 35 ? prng_below(p, SHAPES_WRITTEN)
                                           : SHAPES_CHILD + GENERATED_CHILDREN +
                                                 prng_below(p, GENERATED - GENERATED_CHILDREN);
        if (suits(w, shape(i))) load->chosen[load->chosen_count++] = shape(i);
    }
}

static bool is_chosen(const struct workload *load, size_t before, const struct definition *def)
{
    for (size_t i = 0; i < before; i++)
        if (load->chosen[i] == def) return true;
    return false;
}

static void deploy_all(struct workload *load, struct topic *definitions)
{
    struct world *w = load->world;
    bool parents = false;
    if (w->options.user) {
        deploy(w, definitions, w->options.user->def);
        return;
    }
    choose(load);
    for (size_t i = 0; i < load->chosen_count; i++) {
        if (is_chosen(load, i, load->chosen[i])) continue;
        deploy(w, definitions, load->chosen[i]);
        parents |= shape_has(load->chosen[i], STEP_WORKFLOW);
    }
    for (size_t i = 0; i < GENERATED_CHILDREN && parents; i++)
        deploy(w, definitions, shape(SHAPES_CHILD + i));
}

/* --- all of it --- */

static void make_topics(struct world *w)
{
    static const char *const append_time[][2] = { { "message.timestamp.type", "LogAppendTime" },
                                                  { NULL, NULL } };
    (void)cluster_topic_make(w->cluster,
                             &(struct bus_topic_spec){ .name = PREFIX ".events",
                                                       .partitions = (int32_t)w->options.partitions,
                                                       .config = append_time });
    (void)cluster_topic_make(w->cluster,
                             &(struct bus_topic_spec){ .name = EMIT_TOPIC, .partitions = 2 });
    size_t queue_count;
    const char *const *queues = workload_queues(w, &queue_count);
    for (size_t i = 0; i < queue_count; i++) {
        AUTO_FREE char *name = xasprintf("%s.tasks.%s", PREFIX, queues[i]);
        (void)cluster_topic_make(
            w->cluster, &(struct bus_topic_spec){
                            .name = name, .partitions = (int32_t)w->options.tasks_partitions });
    }
}

void workload_begin(struct world *w)
{
    static const char *const compact[][2] = { { "cleanup.policy", "compact" }, { NULL, NULL } };
    struct workload *load = xcalloc(1, sizeof *load);
    load->world = w;
    w->workload = load;
    struct topic *definitions = cluster_topic_make(
        w->cluster, &(struct bus_topic_spec){
                        .name = PREFIX ".definitions", .partitions = 1, .config = compact });
    make_topics(w);
    deploy_all(load, definitions);
    for (uint32_t i = 0; i < w->options.runs; i++) draw_run(load, i);
    people_begin(w);
}

void workload_done(struct world *w)
{
    people_done(w);
    free(w->workload);
}

bool workload_settled(struct world *w)
{
    return w->workload->to_come == 0 && oracle_at_rest(w);
}
