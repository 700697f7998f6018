/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of several shapes, started by a client outside that no fault touches: by key and without,
 * some starts doubled, some runs cancelled. */
#include "sim/workload.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/id.h"
#include "sim/cluster.h"
#include "sim/oracle.h"
#include "sim/user.h"

/* The tool answers {"answer": 0 to 999, "n": 0 to 2}. noop answers its input. */
static const char *const shape_texts[] = {
    "{workflow: line, version: 1.0.0, retention: 6s, steps: ["
    "{name: a, type: task, uses: tool}, {name: b, type: task, uses: tool},"
    "{name: c, type: task, uses: noop}]}",

    "{workflow: fan, version: 1.0.0, retention: 8s, steps: [{name: f, type: parallel, branches: {"
    "x: [{name: x1, type: task, uses: tool}, {name: x2, type: task, uses: noop}],"
    "y: [{name: y1, type: task, uses: tool}], z: [{name: z1, type: task, uses: noop}]}},"
    "{name: e, type: task, uses: tool}]}",

    "{workflow: any, version: 1.0.0, retention: 30s, steps: [{name: f, type: parallel, join: any,"
    "branches: {x: [{name: x1, type: task, uses: tool}], y: [{name: y1, type: task, uses: tool}]}},"
    "{name: e, type: task, uses: noop}]}",

    "{workflow: choose, version: 1.0.0, steps: [{name: a, type: task, uses: tool},"
    "{name: c, type: conditional, cases: ["
    "{when: 'steps.a.output.n == 0', steps: [{name: zero, type: task, uses: noop}]},"
    "{when: 'steps.a.output.n == 1', steps: [{name: one, type: task, uses: tool}]}],"
    "else: [{name: s, type: set, vars: {two: 2}}]}, {name: z, type: task, uses: noop}]}",

    "{workflow: retry, version: 1.0.0, steps: [{name: a, type: task, uses: tool, timeout: 2s,"
    "retry: {max_attempts: 5, initial: 100ms, max: 1s}}, {name: b, type: task, uses: tool,"
    "timeout: 1s, retry: {max_attempts: 3, backoff: fixed, initial: 200ms}, on_error: continue}]}",

    "{workflow: fall, version: 1.0.0, steps: [{name: a, type: task, uses: tool, timeout: 500ms,"
    "retry: {max_attempts: 2, initial: 50ms}, on_error: {fallback: "
    "[{name: fa, type: task, uses: noop}]}}, {name: b, type: task, uses: tool}]}",

    ("{workflow: hasty, version: 1.0.0, limits: {timeout: 20s}, steps: ["
     "{name: a, type: task, uses: tool}, {name: b, type: task, uses: tool, timeout: 1s}]}"),

    "{workflow: many, version: 1.0.0, retention: 10s, limits: {max_parallel: 3}, steps: ["
    "{name: m, type: map, over: '${[1, 2, 3, 4, 5]}', max_concurrent: 4, on_item_error: collect,"
    "steps: [{name: a, type: task, uses: tool, timeout: 1s, input: ['${item}', '${index}'],"
    "retry: {max_attempts: 2, initial: 50ms}}, {name: l, type: loop, max_iterations: 3,"
    "until: 'steps.t.output.n == 0', steps: [{name: t, type: task, uses: tool}]}],"
    "reduce: [{name: r, type: task, uses: noop, input: '${results}'}]}]}",

    "{workflow: graph, version: 1.0.0, retention: 8s, steps: ["
    "{name: d, type: task, uses: noop, needs: [b, c], input: '${steps.b.output.n}'},"
    "{name: b, type: task, uses: tool, needs: [a]}, {name: c, type: map, needs: [a],"
    "over: '${[steps.a.output.n, 2]}', steps: [{name: x, type: task, uses: tool}]},"
    "{name: a, type: task, uses: tool}]}",
};
#define SHAPES ARRAY_LEN(shape_texts)

/* Definitions never change, so they are compiled once for all seeds of a process. */
static _Thread_local struct definition *shapes[SHAPES];

static struct definition *shape(size_t i)
{
    if (shapes[i]) return shapes[i];
    struct faults faults = { 0 };
    shapes[i] = definition_parse(bytes_of(shape_texts[i]), &faults);
    if (!shapes[i]) fprintf(stderr, "shape %zu: %s\n", i, faults.list[0].text);
    ASSERT(shapes[i]);
    faults_done(&faults);
    return shapes[i];
}

/* The user's own, where there is one. Who compiles and frees definitions is a process. */
static const struct definition *users(void)
{
    const struct proc *p = proc_current();
    return p && p->world->options.user ? p->world->options.user->def : NULL;
}

/* The linker sends the product's calls here (--wrap): what is compiled already is shared. */
struct definition *__real_definition_load(struct bytes canonical, const char *sha256,
                                          struct err *e);
struct definition *__wrap_definition_load(struct bytes canonical, const char *sha256,
                                          struct err *e);
struct definition *__real_definition_free(struct definition *d);
struct definition *__wrap_definition_free(struct definition *d);

struct definition *__wrap_definition_load(struct bytes canonical, const char *sha256, struct err *e)
{
    const struct definition *own = users();
    if (own && sha256 && strcmp(own->sha256, sha256) == 0) return (struct definition *)own;
    for (size_t i = 0; i < SHAPES && sha256; i++)
        if (shapes[i] && strcmp(shapes[i]->sha256, sha256) == 0) return shapes[i];
    return __real_definition_load(canonical, sha256, e);
}

struct definition *__wrap_definition_free(struct definition *d)
{
    if (d && d == users()) return NULL;
    for (size_t i = 0; i < SHAPES; i++)
        if (d && shapes[i] == d) return NULL;
    return __real_definition_free(d);
}

void shapes_free(void)
{
    for (size_t i = 0; i < SHAPES; i++) shapes[i] = __real_definition_free(shapes[i]);
}

struct workload {
    struct world *world;
    size_t to_come; /* starts, doubles and cancels that are not in the log yet */
};

/* Something that the client sends. */
struct sending {
    struct workload *load;
    const struct definition *def;
    char run_id[RUN_ID_MAX];
    char key[16];
    enum start_policy policy;
    bool cancel;
};

static struct log_part *events_of(struct world *w, const char *run_id)
{
    AUTO_FREE char *topic = xasprintf("%s.events", PREFIX);
    struct bytes route = run_id_route(bytes_of(run_id));
    return cluster_part(w->cluster, topic, partition_of(route, (int32_t)w->options.partitions));
}

static void send_now(void *user)
{
    struct sending *s = user;
    struct world *w = s->load->world;
    if (!w->closing) {
        struct bytes header[HEADER_COUNT] = {
            [HEADER_V] = BYTES_LIT(MESSAGE_VERSION),
            [HEADER_TYPE] =
                bytes_of(event_type_name(s->cancel ? EVENT_RUN_CANCEL : EVENT_RUN_START)),
            [HEADER_RUN_ID] = bytes_of(s->run_id),
        };
        if (!s->cancel) {
            header[HEADER_DEFINITION] = bytes_of(s->def->sha256);
            header[HEADER_WORKFLOW] = bytes_of(s->def->name);
            header[HEADER_VERSION] = bytes_of(s->def->version);
            if (s->key[0]) header[HEADER_KEY] = bytes_of(s->key);
            if (s->policy) header[HEADER_POLICY] = bytes_of(start_policy_name(s->policy));
        }
        log_append(w, events_of(w, s->run_id),
                   record_new(&(struct bus_message){
                       .key = run_id_route(bytes_of(s->run_id)),
                       .value = s->cancel         ? BYTES_LIT("{\"reason\":\"simulated\"}")
                                : w->options.user ? buf_bytes(&w->options.user->input)
                                                  : BYTES_LIT("{\"n\":1}"),
                       .header = header }),
                   NULL);
        s->load->to_come--;
    }
    free(s);
}

static void send_at(struct workload *load, uint64_t at_us, const struct sending *s)
{
    struct sending *copy = xmalloc(sizeof *copy);
    *copy = *s;
    load->to_come++;
    world_at(load->world, at_us, send_now, copy);
}

static void draw_run(struct workload *load, uint32_t number)
{
    struct world *w = load->world;
    struct prng *p = &w->script;
    const struct sim_user *user = w->options.user;
    struct sending s = { .load = load, .def = user ? user->def : shape(prng_below(p, SHAPES)) };
    unsigned char random[6];
    for (size_t i = 0; i < sizeof random; i++) random[i] = (unsigned char)prng_next(p);
    /* Without faults the installation is at rest before the work begins: nobody takes over. */
    uint64_t rest = w->options.level == FAULTS_NONE ? 8 * SECOND : 0;
    uint64_t at = w->now_us + rest + prng_below(p, w->options.faults_us);
    run_id_random(s.run_id, EPOCH_MS + (int64_t)(at / MS), random);
    if (prng_chance(p, w->options.keyed_ppm)) {
        /* A user's runs are as many as were asked for: they share no key. */
        uint32_t shared = user ? number : (uint32_t)prng_below(p, 1 + number / 2);
        /* A third of the keys knows no policy. Of two others every start has one of its own. */
        if (!user && shared % 3) {
            shared = 1 + shared % 2;
            s.def = shape(shared);
            s.policy = (enum start_policy)(random[0] % START_POLICY_COUNT);
        }
        snprintf(s.key, sizeof s.key, "k%u", (unsigned)shared);
        run_id_route_by_key(s.run_id, bytes_of(s.def->name), bytes_of(s.key));
    }
    send_at(load, at, &s);
    if (prng_chance(p, w->options.doubled_ppm)) send_at(load, at + prng_below(p, SECOND), &s);
    if (!prng_chance(p, w->options.cancels_ppm)) return;
    s.cancel = true;
    send_at(load, at + prng_below(p, 4 * SECOND), &s);
}

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

void workload_begin(struct world *w)
{
    static const char *const compact[][2] = { { "cleanup.policy", "compact" }, { NULL, NULL } };
    static const char *const append_time[][2] = { { "message.timestamp.type", "LogAppendTime" },
                                                  { NULL, NULL } };
    struct workload *load = xcalloc(1, sizeof *load);
    load->world = w;
    w->workload = load;
    struct topic *definitions = cluster_topic_make(
        w->cluster, &(struct bus_topic_spec){
                        .name = PREFIX ".definitions", .partitions = 1, .config = compact });
    (void)cluster_topic_make(w->cluster,
                             &(struct bus_topic_spec){ .name = PREFIX ".events",
                                                       .partitions = (int32_t)w->options.partitions,
                                                       .config = append_time });
    size_t queue_count;
    const char *const *queues = workload_queues(w, &queue_count);
    for (size_t i = 0; i < queue_count; i++) {
        AUTO_FREE char *name = xasprintf("%s.tasks.%s", PREFIX, queues[i]);
        (void)cluster_topic_make(
            w->cluster, &(struct bus_topic_spec){
                            .name = name, .partitions = (int32_t)w->options.tasks_partitions });
    }
    if (w->options.user) deploy(w, definitions, w->options.user->def);
    for (size_t i = 0; i < SHAPES && !w->options.user; i++) deploy(w, definitions, shape(i));
    for (uint32_t i = 0; i < w->options.runs; i++) draw_run(load, i);
}

void workload_done(struct world *w)
{
    free(w->workload);
}

bool workload_settled(struct world *w)
{
    return w->workload->to_come == 0 && oracle_at_rest(w);
}
