/* SPDX-License-Identifier: Apache-2.0
 *
 * tutti-indexer: wiring and shutdown. One thread makes the index, those of the API read it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/io/options.h"
#include "orchestrator/index/api.h"
#include "orchestrator/index/feed.h"

#define LOOK_MS 200
#define DAY_MS  86400000ull

struct indexer_config {
    struct kafka_config kafka;
    char *prefix, *log_level, *path, *listen;
    uint32_t retention_days;
};

/* clang-format off */
static const struct option options[] = {
    PREFIX_OPTION(struct indexer_config, prefix), LOG_LEVEL_OPTION(struct indexer_config, log_level),
    KAFKA_OPTIONS(struct indexer_config, kafka),
    { .name = "index.path", .type = OPTION_TEXT, .offset = offsetof(struct indexer_config, path), .value_name = "FILE",
      .fallback = "tutti-index.db", .help = "The index, a SQLite file on a local disk. If it is lost it is made again of what the topics still have." },
    { .name = "index.listen", .type = OPTION_TEXT, .offset = offsetof(struct indexer_config, listen), .value_name = "ADDRESS:PORT",
      .fallback = "127.0.0.1:7780", .help = "Where questions are answered over HTTP. It knows no users yet: let only those in who may see all runs." },
    { .name = "index.retention_days", .type = OPTION_U32, .offset = offsetof(struct indexer_config, retention_days), .min = 1, .max = 36500,
      .fallback = "30", .help = "Days that a finished run can be found for." },
};
/* clang-format on */

static const struct option_table table = {
    .program = "tutti-indexer",
    .summary = "keeps an index of all runs, and answers what is asked of it",
    .description =
        "Reads the topics events, results and lifecycle, and keeps what runs there are, where they "
        "stand and by which attributes they can be found, in a SQLite file. It stands beside the "
        "way of a step: without it everything runs, only `tutti list` cannot search.\n\n"
        "Several may run, each with a file of its own.",
    .options = options,
    .count = ARRAY_LEN(options),
    .config_bytes = sizeof(struct indexer_config),
};

struct program {
    const struct indexer_config *config;
    struct log log;
    struct loop *loop;
    struct bus *bus;
    struct index_db *db;
    struct feed *feed;
    struct index_api *api;
    struct loop_timer look;
    atomic_bool at_end;
};

static void on_signal(int signal, void *user)
{
    struct program *p = user;
    if (signal != SIGHUP) loop_stop(p->loop);
}

static void on_look(struct loop_timer *t)
{
    struct program *p = t->user;
    bool at_end = feed_at_end(p->feed);
    if (at_end && !atomic_load(&p->at_end)) log_info(&p->log, "index.ready", "all is indexed");
    atomic_store(&p->at_end, at_end);
    loop_arm(p->loop, t, LOOK_MS);
}

static bool program_open(struct program *p, struct err *e)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
    const struct indexer_config *c = p->config;
    struct bus_options bus = { 0 };
    p->loop = loop_new(e);
    if (!p->loop || !loop_on_signals(p->loop, signals, ARRAY_LEN(signals), on_signal, p, e) ||
        !kafka_bus_options(&c->kafka, "tutti-index", &p->log, &bus, e))
        return false;
    p->db = index_db_open(c->path, c->prefix, e);
    p->bus = p->db ? bus_open(p->loop, &bus, e) : NULL;
    if (!p->bus) return false;
    p->feed = feed_open(p->loop, p->bus, p->db,
                        &(struct feed_options){ .prefix = c->prefix,
                                                .retention_ms = c->retention_days * DAY_MS,
                                                .log = &p->log },
                        e);
    if (!p->feed) return false;
    p->api = index_api_start(
        &(struct index_api_options){ .listen = c->listen, .path = c->path, .at_end = &p->at_end },
        e);
    if (!p->api) return false;
    log_info(&p->log, "index.listening", "port %u", index_api_port(p->api));
    p->look = (struct loop_timer){ .on_due = on_look, .user = p };
    loop_arm(p->loop, &p->look, LOOK_MS);
    return true;
}

static void program_close(struct program *p)
{
    index_api_stop(p->api);
    feed_close(p->feed);
    if (p->bus) bus_close(p->bus);
    index_db_close(p->db);
    loop_free(p->loop);
}

int main(int argc, char **argv)
{
    struct err e = { 0 };
    bool done = false;
    void *config = NULL;
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that is full is an error of the write */
    json_object_seed(0);            /* before threads: jansson makes its hash seed lazily */
    if (!config_load(&table, argc, argv, &config, NULL, &done, &e)) {
        fprintf(stderr, "tutti-indexer: %s\n", e.text);
        return 2;
    }
    if (done) return 0;
    struct program p = { .config = config };
    enum log_level level = LOG_INFO;
    (void)!log_level_parse(p.config->log_level, &level);
    p.log = log_new("indexer", level, STDERR_FILENO);
    log_info(&p.log, "program.start", "tutti-indexer " TUTTI_VERSION ", index %s", p.config->path);
    bool ok = program_open(&p, &e);
    if (ok) loop_run(p.loop);
    if (ok) ok = !feed_failed(p.feed, &e);
    if (!ok) log_error(&p.log, "program.failed", "%s", e.text);
    program_close(&p);
    log_info(&p.log, "program.exit", "bye");
    config_free(&table, config);
    return ok ? 0 : 1;
}
