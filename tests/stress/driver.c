/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver of the stress program: deploys a workflow, keeps runs of it under way, and is their
 * worker (a member of a consumer group on the task topic, as any foreign worker would be). The
 * first attempt of one step always fails, so that timers, attempts and retries take part. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/id.h"
#include "common/base/map.h"
#include "common/definition/definition.h"
#include "common/io/bus.h"
#include "tests/stress/stress.h"

#define EVENTS_TOPIC      PREFIX ".events"
#define RESULTS_TOPIC     PREFIX ".results"
#define DEFINITIONS_TOPIC PREFIX ".definitions"
#define TASKS_TOPIC       PREFIX ".tasks.default"
#define TICK_MS           50
#define TASKS_CREDIT      64

static const char workflow[] =
    "workflow: stress\n"
    "version: 1.0.0\n"
    "steps:\n"
    "  - { name: first, type: task, uses: any, input: { n: \"${input.n}\" } }\n"
    "  - name: both\n"
    "    type: parallel\n"
    "    branches:\n"
    "      left: [ { name: left, type: task, uses: any } ]\n"
    "      right:\n"
    "        - name: again\n"
    "          type: task\n"
    "          uses: any\n"
    "          retry: { max_attempts: 3, backoff: fixed, initial: 50ms }\n"
    "  - { name: note, type: set, vars: { n: \"${steps.first.output.n + 1}\" } }\n"
    "output: { n: \"${vars.n}\" }\n";

/* What the driver's thread has to itself. */
struct session {
    struct driver *driver;
    struct loop *loop;
    struct bus *bus;
    struct definition *def;
    struct bus_group *group;
    struct bus_reader *readers[RESULTS_PARTITIONS];
    struct map under_way; /* char * by run id: owned */
    struct bus_waiter sent;
    struct loop_timer tick; /* looks whether to stop */
    uint32_t started, asked;
    bool left;
};

static void fail(struct session *s, const struct err *e)
{
    if (!s->driver->failed) s->driver->error = *e;
    s->driver->failed = true;
    loop_stop(s->loop);
}

static void on_sent(struct bus_waiter *w, const struct bus_delivery *delivery)
{
    struct session *s = CONTAINER_OF(w, struct session, sent);
    struct err e;
    if (!delivery->error || s->left) return;
    (void)err_fail(&e, ERR_UNAVAILABLE, "a message was not delivered: %s", delivery->error);
    fail(s, &e);
}

static void send(struct session *s, const struct bus_message *m)
{
    struct err e;
    if (!bus_send(s->bus, m, &s->sent, &e)) fail(s, &e);
}

/* --- runs --- */

static void start_run(struct session *s)
{
    unsigned char random[6];
    char id[RUN_ID_MAX], input[32];
    random_bytes(random, sizeof random);
    run_id_random(id, clock_wall_ms(), random);
    snprintf(input, sizeof input, "{\"n\":%u}", s->started);
    struct bytes route = run_id_route(bytes_of(id));
    struct bytes header[HEADER_COUNT] = {
        [HEADER_V] = BYTES_LIT(MESSAGE_VERSION),
        [HEADER_TYPE] = BYTES_LIT("run.start"),
        [HEADER_RUN_ID] = bytes_of(id),
        [HEADER_DEFINITION] = bytes_of(s->def->sha256),
        [HEADER_WORKFLOW] = bytes_of(s->def->name),
        [HEADER_VERSION] = bytes_of(s->def->version),
    };
    char *key = xstrdup(id);
    map_put(&s->under_way, bytes_of(key), key);
    s->started++;
    send(s, &(struct bus_message){ .topic = EVENTS_TOPIC,
                                   .partition = partition_of(route, EVENTS_PARTITIONS),
                                   .key = route,
                                   .value = bytes_of(input),
                                   .header = header });
}

static void on_result(void *user, const struct bus_record *r)
{
    struct session *s = user;
    for (size_t i = 0; i < r->extra_count; i++) {
        if (strcmp(r->extra[i].name, "ce_subject") != 0) continue;
        char *key = map_remove(&s->under_way, r->extra[i].value);
        if (!key) return; /* again, after a partition has moved */
        free(key);
        atomic_fetch_add(&s->driver->finished, 1);
        loop_wake(s->driver->main_loop);
        if (s->started < RUNS) start_run(s);
        return;
    }
}

/* --- tasks --- */

static void on_task(void *user, const struct bus_record *r)
{
    struct session *s = user;
    struct task task;
    struct err e;
    if (!task_decode(&r->message, &task, &e)) {
        fail(s, &e);
        return;
    }
    bool refuse = bytes_is(task.path, "again") && task.attempt == 1;
    AUTO_FREE char *topic = xstrndup(task.reply_topic.data, task.reply_topic.len);
    struct bytes header[HEADER_COUNT] = {
        [HEADER_V] = BYTES_LIT(MESSAGE_VERSION),
        [HEADER_TYPE] = refuse ? BYTES_LIT("task.failed") : BYTES_LIT("task.completed"),
        [HEADER_RUN_ID] = task.run_id,
        [HEADER_PATH] = task.path,
        [HEADER_ATTEMPT] = r->message.header[HEADER_ATTEMPT],
        [HEADER_TASK_ID] = task.task_id,
        [HEADER_GEN] = task.gen,
        [HEADER_WORKER] = BYTES_LIT("stress"),
    };
    send(s, &(struct bus_message){
                .topic = topic,
                .partition = task.reply_partition,
                .key = run_id_route(task.run_id),
                .value = refuse ? BYTES_LIT("{\"type\":\"overloaded\",\"message\":\"try again\","
                                            "\"retryable\":true}")
                                : task.value,
                .header = header });
    bus_commit(s->group, r->topic, r->partition, r->offset + 1);
    bus_credit(s->group, r->topic, r->partition, 1);
    atomic_fetch_add(&s->driver->tasks, 1);
}

static void on_assign(void *user, const char *topic, int32_t partition)
{
    struct session *s = user;
    bus_read(s->group, topic, partition, BUS_COMMITTED, TASKS_CREDIT);
}

static void on_revoke(void *user, const char *topic, int32_t partition, bool lost)
{
    (void)user, (void)topic, (void)partition, (void)lost;
}

static void on_error(void *user, const char *topic, int32_t partition, const struct err *e)
{
    (void)topic, (void)partition;
    fail(user, e);
}

/* --- the thread --- */

static void on_info(void *user, int32_t partitions, const char *cluster, const struct err *e)
{
    struct session *s = user;
    (void)partitions, (void)cluster;
    if (e) fail(s, e);
    s->asked--;
}

static bool answered(void *user)
{
    return ((struct session *)user)->asked == 0;
}

static void on_left(void *user)
{
    ((struct session *)user)->left = true;
}

static bool has_left(void *user)
{
    return ((struct session *)user)->left;
}

static void on_tick(struct loop_timer *t)
{
    struct session *s = t->user;
    if (atomic_load(&s->driver->stop)) loop_stop(s->loop);
    loop_arm(s->loop, t, TICK_MS);
}

static bool deploy(struct session *s, struct err *e)
{
    struct faults faults = { 0 };
    s->def = definition_parse(bytes_of(workflow), &faults);
    if (!s->def) return err_fail(e, ERR_INTERNAL, "the workflow: %s", faults.list[0].text);
    AUTO_FREE char *key = xasprintf("%s@%s/%s", s->def->name, s->def->version, s->def->sha256);
    return bus_send(s->bus,
                    &(struct bus_message){ .topic = DEFINITIONS_TOPIC,
                                           .key = bytes_of(key),
                                           .value = { s->def->canonical, s->def->canonical_len } },
                    &s->sent, e);
}

static bool open_streams(struct session *s, struct err *e)
{
    static const char *const topics[] = { TASKS_TOPIC };
    s->group = bus_join(s->bus,
                        &(struct bus_group_options){ .group = PREFIX "-worker",
                                                     .topics = topics,
                                                     .topic_count = 1,
                                                     .on_assign = on_assign,
                                                     .on_revoke = on_revoke,
                                                     .on_record = on_task,
                                                     .on_error = on_error,
                                                     .user = s },
                        e);
    if (!s->group) return false;
    for (int32_t p = 0; p < RESULTS_PARTITIONS; p++) {
        s->readers[p] = bus_reader_open(s->bus,
                                        &(struct bus_reader_options){ .topic = RESULTS_TOPIC,
                                                                      .partition = p,
                                                                      .offset = BUS_START,
                                                                      .on_record = on_result,
                                                                      .user = s },
                                        e);
        if (!s->readers[p]) return false;
    }
    return true;
}

static bool session_open(struct session *s, struct err *e)
{
    s->loop = loop_new(e);
    if (!s->loop) return false;
    s->bus = bus_open(s->loop,
                      &(struct bus_options){ .brokers = s->driver->brokers,
                                             .client_id = "stress-driver",
                                             .fetch_wait_ms = MOCK_FETCH_WAIT_MS,
                                             .session_timeout_ms = SESSION_TIMEOUT_MS,
                                             .log = &s->driver->log },
                      e);
    if (!s->bus) return false;
    s->asked = 2;
    bus_topic_info(s->bus, EVENTS_TOPIC, on_info, s);
    bus_topic_info(s->bus, DEFINITIONS_TOPIC, on_info, s);
    if (!loop_run_until(s->loop, answered, s, 20000))
        return err_fail(e, ERR_TIMEOUT, "the embedded broker does not answer");
    if (!deploy(s, e) || !open_streams(s, e)) return false;
    s->tick = (struct loop_timer){ .on_due = on_tick, .user = s };
    loop_arm(s->loop, &s->tick, TICK_MS);
    return true;
}

static void session_close(struct session *s)
{
    for (int32_t p = 0; p < RESULTS_PARTITIONS; p++) bus_reader_close(s->readers[p]);
    if (s->group) {
        bus_leave(s->group, on_left, s);
        (void)loop_run_until(s->loop, has_left, s, 10000);
    }
    s->left = true;
    bus_close(s->bus);
    loop_free(s->loop);
    definition_free(s->def);
    size_t pos = 0;
    for (char *key; (key = map_next(&s->under_way, &pos));) free(key);
    map_done(&s->under_way);
}

static void *run(void *user)
{
    struct driver *d = user;
    struct session s = { .driver = d, .sent = { .done = on_sent } };
    struct err e;
    if (session_open(&s, &e)) {
        for (uint32_t i = 0; i < RUNS_IN_FLIGHT; i++) start_run(&s);
        if (!d->failed) loop_run(s.loop);
    } else {
        d->error = e;
        d->failed = true;
    }
    session_close(&s);
    atomic_store(&d->ended, true);
    loop_wake(d->main_loop);
    return NULL;
}

bool driver_start(struct driver *d, struct err *e)
{
    return pthread_create(&d->thread, NULL, run, d) == 0 ||
           err_fail(e, ERR_IO, "cannot start a thread");
}

bool driver_stop(struct driver *d, struct err *e)
{
    atomic_store(&d->stop, true);
    pthread_join(d->thread, NULL);
    if (d->failed) *e = d->error;
    return !d->failed;
}
