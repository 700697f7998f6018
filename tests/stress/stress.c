/* SPDX-License-Identifier: Apache-2.0
 *
 * The orchestrator's threads under ThreadSanitizer: several shards in one process, each with a
 * thread and a loop of its own as in orchestrator/main.c, on the embedded broker and a private
 * redis-server, while a driver keeps runs under way. In the middle one shard leaves, so that the
 * others take its partitions over, and comes back. Ends with 0 when every run has finished. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/io/bus.h"
#include "orchestrator/shard.h"
#include "tests/redis/server.h"
#include "tests/stress/stress.h"

#define SHARDS      3
#define PHASE_MS    90000
#define REDIS_MS    10000
#define MEMBER_NAME 32

struct member {
    struct world *world;
    pthread_t thread;
    struct loop *loop;
    struct shard *shard;
    atomic_bool stop, ended;
    char name[MEMBER_NAME];
    bool failed;
    struct err error;
    struct shard_stats stats;
};

struct world {
    struct loop *loop;
    struct log log;
    struct bus_mock *mock;
    struct redis_server redis;
    struct member members[SHARDS];
    struct driver driver;
    uint32_t until; /* runs that the present phase waits for */
};

/* --- servers --- */

static bool mock_start(struct world *w, struct err *e)
{
    static const struct {
        const char *name;
        int32_t partitions;
    } topics[] = {
        { PREFIX ".events", EVENTS_PARTITIONS },
        { PREFIX ".results", RESULTS_PARTITIONS },
        { PREFIX ".definitions", 1 },
        { PREFIX ".dlq", 1 },
        { PREFIX ".snapshots", EVENTS_PARTITIONS },
        { PREFIX ".tasks.default", TASKS_PARTITIONS },
    };
    w->mock = bus_mock_start(1, e);
    if (!w->mock) return false;
    for (size_t i = 0; i < ARRAY_LEN(topics); i++)
        if (!bus_mock_topic(w->mock, topics[i].name, topics[i].partitions, e)) return false;
    return true;
}

/* --- shards --- */

static void member_turn(void *user)
{
    struct member *m = user;
    if (atomic_load(&m->stop)) shard_stop(m->shard);
}

static void *member_run(void *user)
{
    struct member *m = user;
    loop_run(m->loop);
    m->failed = shard_failed(m->shard, &m->error);
    shard_stats(m->shard, &m->stats);
    shard_close(m->shard);
    atomic_store(&m->ended, true);
    loop_wake(m->world->loop);
    return NULL;
}

static bool member_start(struct member *m, struct err *e)
{
    struct world *w = m->world;
    atomic_store(&m->stop, false);
    atomic_store(&m->ended, false);
    m->loop = loop_new(e);
    if (!m->loop) return false;
    m->shard = shard_open(m->loop,
                          &(struct shard_options){
                              .prefix = PREFIX,
                              .name = m->name,
                              .partitions = EVENTS_PARTITIONS,
                              .tasks_partitions = TASKS_PARTITIONS,
                              .create_topics = true,
                              .pipeline = 2,
                              .cache_bytes_max = 4 * MIB,
                              .retention_bytes_max = 64 * MIB,
                              .bus = { .brokers = bus_mock_brokers(w->mock),
                                       .client_id = m->name,
                                       .fetch_wait_ms = MOCK_FETCH_WAIT_MS,
                                       .session_timeout_ms = SESSION_TIMEOUT_MS },
                              .store = { .host = w->redis.socket, .command_timeout_ms = 10000 },
                              .log = &w->log,
                          },
                          e);
    if (!m->shard) return false;
    loop_on_flush(m->loop, member_turn, m);
    return pthread_create(&m->thread, NULL, member_run, m) == 0 ||
           err_fail(e, ERR_IO, "cannot start a thread");
}

/* As on a signal: says so, and wakes the loop. The loop is freed here, by whoever joins. */
static bool member_stop(struct member *m, struct err *e)
{
    atomic_store(&m->stop, true);
    loop_wake(m->loop);
    pthread_join(m->thread, NULL);
    atomic_store(&m->ended, false); /* it was asked to */
    loop_free(m->loop);
    if (m->failed) *e = m->error;
    return !m->failed;
}

/* --- the story --- */

static bool phase_over(void *user)
{
    struct world *w = user;
    if (atomic_load(&w->driver.ended)) return true;
    for (size_t i = 0; i < SHARDS; i++)
        if (atomic_load(&w->members[i].ended)) return true;
    return atomic_load(&w->driver.finished) >= w->until;
}

static bool wait_for_runs(struct world *w, uint32_t count, struct err *e)
{
    w->until = count;
    bool over = loop_run_until(w->loop, phase_over, w, PHASE_MS);
    unsigned finished = atomic_load(&w->driver.finished);
    return finished >= count ||
           err_fail(e, ERR_TIMEOUT, "%u of %d runs have finished%s", finished, RUNS,
                    over ? ", and a thread has ended by itself" : "; nothing more comes");
}

static bool story(struct world *w, struct err *e)
{
    w->loop = loop_new(e);
    if (!w->loop) return false;
    if (!redis_server_start(&w->redis, NULL)) return err_fail(e, ERR_IO, "no redis-server");
    if (!mock_start(w, e)) return false;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct member *m = &w->members[i];
        m->world = w;
        snprintf(m->name, sizeof m->name, "stress-%u", i);
        if (!member_start(m, e)) return false;
    }
    w->driver.brokers = bus_mock_brokers(w->mock);
    w->driver.log = w->log;
    w->driver.main_loop = w->loop;
    if (!driver_start(&w->driver, e) || !wait_for_runs(w, RUNS / 3, e)) return false;
    if (!member_stop(&w->members[0], e) || !wait_for_runs(w, RUNS / 2, e)) return false;
    if (!member_start(&w->members[0], e) || !wait_for_runs(w, RUNS, e)) return false;
    if (!driver_stop(&w->driver, e)) return false;
    for (size_t i = 0; i < SHARDS; i++)
        if (!member_stop(&w->members[i], e)) return false;
    return true;
}

int main(void)
{
    static struct world world; /* threads may still look at it when main gives up */
    struct err e;
    struct world *w = &world;
    uint64_t start_ms = clock_mono_ms();
    w->log = log_new("stress", LOG_WARN, STDERR_FILENO);
    json_object_seed(0); /* before threads: jansson makes its hash seed lazily */
    if (!story(w, &e)) {
        fprintf(stderr, "stress: %s\n", e.text);
        redis_server_done(&w->redis);
        _exit(1); /* threads are still running */
    }
    bus_mock_stop(w->mock);
    loop_free(w->loop);
    redis_server_done(&w->redis);
    printf("stress: %d shards finished %u runs with %u tasks in %.1f s\n", SHARDS,
           atomic_load(&w->driver.finished), atomic_load(&w->driver.tasks),
           (double)(clock_mono_ms() - start_ms) / 1000);
    return 0;
}
