/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated process: what main.c of the orchestrator and of the worker do, without signals and
 * configuration files. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/json.h"
#include "common/base/log.h"
#include "orchestrator/shard.h"
#include "sim/fakes.h"
#include "sim/generate.h"
#include "sim/oracle.h"
#include "sim/workload.h"
#include "sim/world.h"
#include "worker/worker.h"

void proc_wake(struct proc *p, uint64_t at_us)
{
    p->wake_us = MIN(p->wake_us, at_us);
}

void proc_output(struct proc *p)
{
    struct world *w = p->world;
    if (p->dead || !world_faulty(w) || !prng_chance(&w->faults, w->options.crash_output_ppm))
        return;
    p->dead = true;
    world_fault(w, "%s is killed right behind an output", p->name);
    w->counters.kinds[FAULT_CRASH]++;
    p->killed = true;
}

static struct log proc_log(const struct proc *p)
{
    /* Without a trace no line is even formatted. */
    struct log log = log_new(p->name, LOG_DEBUG, 2);
    if (!p->world->options.trace) log.level = (enum log_level)(LOG_ERROR + 1);
    return log;
}

static struct store_options store_settings(const struct proc *p, const struct log *log)
{
    return (struct store_options){ .host = "redis",
                                   .port = 6379,
                                   .command_timeout_ms = p->world->options.command_timeout_ms,
                                   .log = log };
}

static struct bus_options bus_settings(const struct proc *p, const struct log *log)
{
    const struct options *o = &p->world->options;
    return (struct bus_options){ .brokers = "kafka:9092",
                                 .message_timeout_ms = o->message_timeout_ms,
                                 .session_timeout_ms = o->session_timeout_ms,
                                 .log = log };
}

static void start_orchestrator(struct proc *p, const struct log *log)
{
    const struct options *o = &p->world->options;
    AUTO_FREE char *name = xasprintf("%s.%u", p->name, p->life);
    struct err e;
    p->shard = shard_open(p->loop,
                          &(struct shard_options){ .prefix = PREFIX,
                                                   .name = name,
                                                   .partitions = (int32_t)o->partitions,
                                                   .tasks_partitions = (int32_t)o->tasks_partitions,
                                                   .create_topics = true,
                                                   .pipeline = o->pipeline,
                                                   .cache_bytes_max = o->cache_bytes_max,
                                                   .retention_bytes_max = o->retention_bytes_max,
                                                   .commit_ms = o->commit_ms,
                                                   .lifecycle = o->lifecycle,
                                                   .snapshot_ms = o->snapshot_ms,
                                                   .load_fields_max = o->load_fields_max,
                                                   .bus = bus_settings(p, log),
                                                   .store = store_settings(p, log),
                                                   .log = log },
                          &e);
    ASSERT(p->shard);
}

static void start_worker(struct proc *p, const struct log *log)
{
    const struct options *o = &p->world->options;
    size_t queue_count;
    const char *const *queues = workload_queues(p->world, &queue_count);
    struct err e;
    struct store_options store = store_settings(p, log);
    struct bus_options bus = bus_settings(p, log);
    p->store = store_open(p->loop, &store, &e);
    p->bus = bus_open(p->loop, &bus, &e);
    p->pool = http_pool_open(p->loop, o->inflight_max + 64, &e);
    AUTO_JSON *handlers =
        json_parse(BYTES_LIT("{\"tool\":{\"http\":{\"url\":\"http://tool/\"}}}"), NULL);
    AUTO_JSON *emit_topics = json_pack("[s]", EMIT_TOPIC);
    p->worker = worker_open(p->loop, p->bus, p->store, p->pool,
                            &(struct worker_options){ .prefix = PREFIX,
                                                      .name = p->name,
                                                      .queues = queues,
                                                      .queue_count = queue_count,
                                                      .inflight_max = o->inflight_max,
                                                      .lease_ms = o->lease_ms,
                                                      .log = log,
                                                      .handlers = handlers,
                                                      .emit_topics = emit_topics },
                            &e);
    ASSERT(p->worker);
}

void proc_start(struct proc *p)
{
    ASSERT(p->state == PROC_DOWN);
    struct world *w = p->world;
    p->state = PROC_UP;
    p->dead = false;
    p->life++;
    p->random = prng_new(w->seed, 100 + (uint64_t)p->index * 1000 + p->life);
    p->wake_us = w->now_us;
    p->free_us = 0;
    trace(w, p, "starts");
    proc_enter(p);
    struct log log = proc_log(p);
    struct err e;
    p->loop = loop_new(&e);
    if (p->kind == PROC_ORCHESTRATOR)
        start_orchestrator(p, &log);
    else
        start_worker(p, &log);
    proc_enter(NULL);
}

/* Nothing leaves it any more: its objects are closed as at the end of main, unheard. */
void proc_crash(struct proc *p)
{
    struct world *w = p->world;
    struct err why;
    if (p->shard && !p->dead && shard_failed(p->shard, &why) && w->phase != PHASE_OVER)
        world_violation(w, "no orchestrator gives up", "%s: %s", p->name, why.text);
    trace(w, p, "is gone");
    if (p->killed) oracle_killed(w, p);
    p->killed = false;
    p->dead = true;
    proc_enter(p);
    p->shard = shard_close(p->shard);
    if (p->worker) {
        worker_stop(p->worker);
        store_close(p->store);
        bus_close(p->bus);
        http_pool_close(p->pool);
        p->worker = worker_free(p->worker);
    }
    p->store = NULL;
    p->bus = NULL;
    p->pool = NULL;
    p->loop = loop_free(p->loop);
    proc_enter(NULL);
    p->state = PROC_DOWN;
    p->wake_us = NEVER;
}

void proc_stop(struct proc *p, uint64_t for_us)
{
    if (p->state != PROC_UP) return;
    p->state = PROC_STOPPED;
    p->stops++;
    p->stopped_us = p->world->now_us;
    p->resume_us = p->world->now_us + for_us;
    trace(p->world, p, "is stopped for %llu ms", (unsigned long long)(for_us / 1000));
}

void proc_continue(struct proc *p)
{
    if (p->state != PROC_STOPPED) return;
    p->state = PROC_UP;
    trace(p->world, p, "goes on");
    proc_wake(p, p->world->now_us);
}
