/* SPDX-License-Identifier: Apache-2.0
 *
 * tutti-worker: wiring and shutdown, nothing else. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/config.h"

/* Read by jemalloc where the program is linked with it: few arenas and quick return of what is
 * free, because the memory of a small server is worth more than the last percent of its speed. */
extern const char *malloc_conf;
const char *malloc_conf = "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0";

struct program {
    int argc;
    char **argv;
    struct worker_config *config;
    struct log log;
    struct loop *loop;
    struct store *store;
    struct bus *bus;
    struct http_pool *pool;
    struct worker *worker;
    struct worker_options options;
    struct worker_lists lists;
    struct loop_timer retry;
    bool stopping, failed; /* failed: exit status 1 */
};

static void on_drained(void *user)
{
    struct program *p = user;
    loop_stop(p->loop);
}

static void reload(struct program *p)
{
    struct err e;
    void *config;
    if (!config_reload(&worker_option_table, p->argc, p->argv, p->config, &config, &e)) {
        log_error(&p->log, "config.reload", "%s; the old configuration stays", e.text);
        return;
    }
    const struct worker_config *c = config; /* freed below: the worker copies what it keeps */
    if (!p->worker || worker_reload(p->worker, c->models, c->secrets_dir, &e))
        log_info(&p->log, "config.reload", "models and secrets are read again");
    else
        log_error(&p->log, "config.reload", "%s; the old ones stay", e.text);
    config_free(&worker_option_table, config);
}

static void on_signal(int signal, void *user)
{
    struct program *p = user;
    if (signal == SIGHUP) {
        reload(p);
        return;
    }
    if (p->stopping) _exit(1);
    p->stopping = true;
    log_info(&p->log, "worker.stopping", "no more tasks; waiting for those that run");
    if (p->worker)
        worker_drain(p->worker, p->config->drain_ms, on_drained, p);
    else
        loop_stop(p->loop);
}

/* The topics are there: a group that joins before would not see them for minutes. */
static void on_topics(void *user, const struct err *why)
{
    struct program *p = user;
    if (p->stopping) return;
    if (why) {
        log_warn(&p->log, "worker.topics", "%s; trying again", why->text);
        loop_arm(p->loop, &p->retry, 1000);
        return;
    }
    struct err e;
    p->worker = worker_open(p->loop, p->bus, p->store, p->pool, &p->options, &e);
    if (p->worker) {
        log_info(&p->log, "worker.started", "%s takes tasks from %s", p->options.name,
                 p->config->queues);
        return;
    }
    log_error(&p->log, "worker.failed", "%s", e.text);
    p->failed = true;
    loop_stop(p->loop);
}

static void make_topics(struct program *p)
{
    const struct kafka_config *kafka = &p->config->common.kafka;
    if (kafka->create_topics)
        worker_topics_make(p->bus, &p->options, (int32_t)p->config->partitions,
                           (int16_t)kafka->replication, on_topics, p);
    else
        on_topics(p, NULL);
}

static void on_retry(struct loop_timer *t)
{
    make_topics(t->user);
}

static bool start(struct program *p, struct err *e)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
    const struct worker_config *c = p->config;
    enum log_level level = LOG_INFO;
    (void)!log_level_parse(c->common.log_level, &level);
    p->log = log_new("tutti-worker", level, STDERR_FILENO);
    p->retry = (struct loop_timer){ .on_due = on_retry, .user = p };
    struct store_options store;
    struct bus_options bus;
    if (!worker_options_make(c, &p->log, &p->options, &p->lists, e) ||
        !redis_store_options(&c->common.redis, &p->log, &store, e) ||
        !kafka_bus_options(&c->common.kafka, "tutti-worker", &p->log, &bus, e))
        return false;
    if (!(p->loop = loop_new(e))) return false;
    loop_pace(p->loop, c->pace_us);
    if (!loop_on_signals(p->loop, signals, ARRAY_LEN(signals), on_signal, p, e)) return false;
    if (!(p->store = store_open(p->loop, &store, e))) return false;
    if (!(p->bus = bus_open(p->loop, &bus, e))) return false;
    if (!(p->pool = http_pool_open(p->loop, c->inflight_max + 64, e))) return false;
    make_topics(p);
    return true;
}

int main(int argc, char **argv)
{
    struct program p = { .argc = argc, .argv = argv };
    (void)signal(SIGXFSZ, SIG_IGN); /* a log file that is full is no reason to die */
    struct err e;
    void *config;
    bool done = false;
    if (!config_load(&worker_option_table, argc, argv, &config, NULL, &done, &e)) {
        fprintf(stderr, "tutti-worker: %s\n", e.text);
        return 2;
    }
    if (done) return 0;
    p.config = config;
    if (!start(&p, &e)) { /* it may also have failed later, and said so in the log */
        fprintf(stderr, "tutti-worker: %s\n", e.text);
        p.failed = true;
    }
    if (!p.failed) loop_run(p.loop);
    if (p.worker) worker_stop(p.worker);
    store_close(p.store);
    bus_close(p.bus);
    http_pool_close(p.pool);
    worker_free(p.worker);
    loop_free(p.loop);
    worker_lists_done(&p.lists);
    config_free(&worker_option_table, config);
    return p.failed ? 1 : 0;
}
