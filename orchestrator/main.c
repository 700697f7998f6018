/* SPDX-License-Identifier: Apache-2.0
 *
 * tutti-orchestrator: wiring and shutdown, nothing else. Each thread runs one shard; the main
 * thread waits for signals. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/json.h"
#include "orchestrator/options.h"
#include "orchestrator/shard.h"

/* Read by jemalloc where the program is linked with it: few arenas and quick return of what is
 * free, because the memory of a small server is worth more than the last percent of its speed. */
extern const char *malloc_conf;
const char *malloc_conf = "narenas:2,dirty_decay_ms:200,muzzy_decay_ms:0";

struct program;

struct member {
    struct program *program;
    pthread_t thread;
    struct loop *loop;
    struct shard *shard;
    atomic_bool stop;
    char name[120];
    bool failed;
};

struct program {
    struct orchestrator_config *config;
    struct log log;
    struct loop *loop; /* signals */
    struct member *members;
    uint32_t count, stops;
    atomic_uint running;
};

static void member_turn(void *user)
{
    struct member *m = user;
    if (atomic_load(&m->stop)) shard_stop(m->shard);
}

static bool member_open(struct member *m, struct err *e)
{
    const struct orchestrator_config *c = m->program->config;
    struct shard_options options = {
        .prefix = c->common.prefix,
        .name = m->name,
        .partitions = (int32_t)c->partitions,
        .tasks_partitions = (int32_t)c->tasks_partitions,
        .replication = (int16_t)c->common.kafka.replication,
        .create_topics = c->common.kafka.create_topics,
        .lifecycle = strcmp(c->lifecycle, "runs") == 0,
        .pipeline = c->pipeline,
        .commit_ms = c->commit_ms,
        .snapshot_ms = c->snapshot_ms,
        .sweep_ms = c->sweep_ms,
        .garbage_after_ms = c->garbage_after_ms,
        .load_fields_max = LOAD_FIELDS_MAX,
        .cache_bytes_max = c->cache_bytes / c->threads,
        .retention_bytes_max = c->retention_bytes,
        .log = &m->program->log,
    };
    struct payloads_place place; /* used by shard_open */
    if (!payload_store_options_of(&c->payloads, &m->program->log, &place, &options.payloads, e))
        return false;
    if (!kafka_bus_options(&c->common.kafka, "tutti-orch", &m->program->log, &options.bus, e) ||
        !redis_store_options(&c->common.redis, &m->program->log, &options.store, e))
        return false;
    m->loop = loop_new(e);
    if (!m->loop) return false;
    loop_pace(m->loop, c->pace_us);
    m->shard = shard_open(m->loop, &options, e);
    if (!m->shard) return false;
    loop_on_flush(m->loop, member_turn, m);
    return true;
}

static void *member_run(void *user)
{
    struct member *m = user;
    struct err e;
    loop_run(m->loop);
    m->failed = shard_failed(m->shard, &e);
    shard_close(m->shard);
    loop_free(m->loop);
    atomic_fetch_sub(&m->program->running, 1);
    loop_wake(m->program->loop);
    return NULL;
}

static void on_signal(int signal, void *user)
{
    struct program *p = user;
    if (signal == SIGHUP) {
        log_info(&p->log, "config.reload",
                 "nothing here can change while it runs: restart to change the configuration");
        return;
    }
    if (++p->stops > 1) {
        log_warn(&p->log, "program.killed", "a second signal: exiting at once");
        _exit(1);
    }
    log_info(&p->log, "program.stopping", "giving the partitions back");
    for (uint32_t i = 0; i < p->count; i++) {
        atomic_store(&p->members[i].stop, true);
        if (p->members[i].loop) loop_wake(p->members[i].loop);
    }
}

static bool all_done(void *user)
{
    struct program *p = user;
    return atomic_load(&p->running) == 0;
}

static bool program_run(struct program *p, struct err *e)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
    p->loop = loop_new(e);
    if (!p->loop || !loop_on_signals(p->loop, signals, ARRAY_LEN(signals), on_signal, p, e))
        return false;
    char host[64] = "localhost";
    gethostname(host, sizeof host - 1);
    p->members = xcalloc(p->config->threads, sizeof *p->members);
    for (uint32_t i = 0; i < p->config->threads; i++) {
        struct member *m = &p->members[i];
        m->program = p;
        if (p->config->name)
            snprintf(m->name, sizeof m->name, "%.90s-%u", p->config->name, i);
        else
            snprintf(m->name, sizeof m->name, "%s-%d-%u", host, (int)getpid(), i);
        if (!member_open(m, e)) return false;
        p->count++;
    }
    atomic_store(&p->running, p->count);
    for (uint32_t i = 0; i < p->count; i++)
        if (pthread_create(&p->members[i].thread, NULL, member_run, &p->members[i]) != 0)
            return err_fail(e, ERR_IO, "cannot start a thread");
    while (!loop_run_until(p->loop, all_done, p, 60000)) {}
    bool ok = true;
    for (uint32_t i = 0; i < p->count; i++) {
        pthread_join(p->members[i].thread, NULL);
        ok = ok && !p->members[i].failed;
    }
    return ok || err_fail(e, ERR_INTERNAL, "stopped by itself (see above)");
}

int main(int argc, char **argv)
{
    struct err e = { 0 };
    struct program p = { 0 };
    bool done = false;
    void *config = NULL;
    (void)signal(SIGXFSZ, SIG_IGN); /* a log file that is full is no reason to die */
    json_object_seed(0);            /* before threads: jansson makes its hash seed lazily */
    if (!config_load(orchestrator_options(), argc, argv, &config, NULL, &done, &e)) {
        fprintf(stderr, "tutti-orchestrator: %s\n", e.text);
        return 2;
    }
    if (done) return 0;
    p.config = config;
    enum log_level level = LOG_INFO;
    (void)!log_level_parse(p.config->common.log_level, &level);
    p.log = log_new("orchestrator", level, STDERR_FILENO);
    log_info(&p.log, "program.start", "tutti-orchestrator " TUTTI_VERSION ", %u threads, prefix %s",
             p.config->threads, p.config->common.prefix);
    bool ok = program_run(&p, &e);
    if (!ok) log_error(&p.log, "program.failed", "%s", e.text);
    log_info(&p.log, "program.exit", "bye");
    loop_free(p.loop);
    free(p.members);
    config_free(orchestrator_options(), config);
    return ok ? 0 : 1;
}
