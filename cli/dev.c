/* SPDX-License-Identifier: Apache-2.0
 *
 * `tutti dev`: everything in one command. The order of things is that of their need: files are
 * checked before anything is started, the broker has its topics before anyone asks for them, and
 * what was started last ends first.
 */
#include "cli/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/runs.h"
#include "common/base/clock.h"
#include "common/proto/keys.h"

#define TOPICS_MS  30000 /* until an orchestrator has made the topics of a real Kafka */
#define READY_MS   60000 /* until every partition has an owner */
#define TAIL_LINES 20
#define POLL_MS    50

static void on_signal(int signal, void *user)
{
    struct dev *d = user;
    if (signal == SIGCHLD) {
        dev_check_children(d);
        return;
    }
    d->stop = d->interrupted = true;
}

/* --- before anything starts --- */

static bool parse_files(struct dev *d, int *ret_exit)
{
    struct cli *cli = d->cli;
    d->defs = xcalloc(cli->arg_count + 1, sizeof(*d->defs));
    for (size_t i = 0; i < cli->arg_count; i++) {
        d->defs[d->def_count] = cli_definition(cli, cli->args[i], ret_exit);
        if (!d->defs[d->def_count++]) return false;
    }
    if (!cli->config->run) return true;
    d->defs[d->def_count] = cli_definition(cli, cli->config->run, ret_exit);
    return d->defs[d->def_count++] != NULL;
}

static bool make_directory(struct dev *d, struct err *e)
{
    const char *base = getenv("TMPDIR");
    AUTO_FREE char *path = xasprintf("%s/tutti-dev-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(path)) return err_fail(e, ERR_IO, "%s: %s", path, strerror(errno));
    d->dir = TAKE(path);
    return true;
}

/* --- readiness --- */

static bool never(void *user)
{
    (void)user;
    return false;
}

/* On a real Kafka the orchestrator makes the topics. */
static bool wait_for_topics(struct dev *d, int32_t *ret_partitions, struct err *e)
{
    uint64_t end_ms = clock_mono_ms() + TOPICS_MS;
    int32_t one;
    for (;;) {
        if (client_partitions(&d->client, "events", ret_partitions, e) &&
            client_partitions(&d->client, "definitions", &one, e))
            return true;
        if (e->kind != ERR_NOT_FOUND || d->stop || clock_mono_ms() >= end_ms) return false;
        client_wait(&d->client, never, NULL, POLL_MS);
    }
}

static void on_count(void *user, const struct store_reply *reply)
{
    *(int64_t *)user = store_integer(reply);
}

/* An owner's first commit makes the hash of a partition. */
static bool wait_for_owners(struct dev *d, int32_t partitions, struct err *e)
{
    const char *prefix = d->cli->config->prefix;
    AUTO_FREE struct buf *keys = xcalloc((size_t)partitions, sizeof(*keys));
    AUTO_FREE struct bytes *argv = xcalloc((size_t)partitions + 1, sizeof(*argv));
    argv[0] = BYTES_LIT("EXISTS");
    for (int32_t p = 0; p < partitions; p++) {
        key_partition(&keys[p], prefix, p);
        argv[p + 1] = buf_bytes(&keys[p]);
    }
    uint64_t end_ms = clock_mono_ms() + READY_MS;
    int64_t owned = 0;
    bool ok = true;
    while (ok && owned < partitions) {
        ok = client_command(&d->client, argv, (size_t)partitions + 1, on_count, &owned, e);
        if (ok && owned < partitions && clock_mono_ms() >= end_ms)
            ok = err_fail(e, ERR_TIMEOUT,
                          "only %d of %d partitions have an owner after %d s; see --verbose",
                          (int)owned, partitions, READY_MS / 1000);
        if (ok && owned < partitions) client_wait(&d->client, never, NULL, POLL_MS);
    }
    for (int32_t p = 0; p < partitions; p++) buf_done(&keys[p]);
    return ok;
}

/* --- what it says --- */

static void redis_address(const struct dev *d, struct buf *ret)
{
    const struct redis_config *redis = &d->cli->config->redis;
    buf_add_text(ret, redis->host);
    if (redis->host[0] != '/') buf_addf(ret, ":%u", redis->port);
}

static bool write_env_file(const struct dev *d, struct err *e)
{
    const struct cli_config *o = d->cli->config;
    if (!o->env_file) return true;
    AUTO_BUF struct buf text = { 0 };
    buf_addf(&text, "export TUTTI_KAFKA_BROKERS='%s'\nexport TUTTI_REDIS_HOST='%s'\n",
             o->kafka.brokers, o->redis.host);
    if (o->redis.host[0] != '/') buf_addf(&text, "export TUTTI_REDIS_PORT=%u\n", o->redis.port);
    if (d->mock) buf_addf(&text, "export TUTTI_KAFKA_FETCH_WAIT=%ums\n", o->kafka.fetch_wait_ms);
    buf_addf(&text, "export TUTTI_PREFIX='%s'\n", o->prefix);
    /* Whole or not at all: whoever waits for the file may read it as soon as it is there. */
    AUTO_FREE char *temporary = xasprintf("%s.%d", o->env_file, getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text.data, text.len) == (ssize_t)text.len;
    if (fd >= 0) ok = close(fd) == 0 && ok;
    if (ok && rename(temporary, o->env_file) == 0) return true;
    err_fail(e, ERR_IO, "--env-file %s: %s", o->env_file, strerror(errno));
    (void)unlink(temporary);
    return false;
}

static bool say_ready(const struct dev *d)
{
    const struct cli_config *o = d->cli->config;
    AUTO_BUF struct buf redis = { 0 }, text = { 0 };
    redis_address(d, &redis);
    if (o->json) {
        AUTO_JSON *report =
            json_pack("{s:b, s:s, s:s, s:s, s:b}", "ready", 1, "kafka", o->kafka.brokers, "redis",
                      redis.data, "prefix", o->prefix, "embedded", d->mock != NULL);
        return cli_print_json(d->cli, report);
    }
    buf_addf(&text, "tutti dev: ready: kafka %s, redis %s\n", o->kafka.brokers, redis.data);
    return cli_print(&text);
}

static void say_what_is_kept(const struct dev *d)
{
    const struct cli *cli = d->cli;
    AUTO_BUF struct buf text = { 0 };
    const char *what = d->mock && d->redis.pid ? "the embedded broker and the private Redis"
                       : d->mock               ? "the embedded broker"
                       : d->redis.pid          ? "the private Redis"
                                               : NULL;
    if (!what || cli->config->json) return;
    buf_addf(&text, "tutti dev KEEPS NOTHING: what %s hold%s is gone when it ends", what,
             d->mock && d->redis.pid ? "" : "s");
    AUTO_BUF struct buf styled = { 0 };
    term_styled(&styled, &cli->err, TERM_YELLOW, text.data);
    dprintf(STDERR_FILENO, "%s\n", styled.data);
}

static void say_tail(const struct child *c)
{
    AUTO_BUF struct buf tail = { 0 };
    child_log_tail(c, TAIL_LINES, &tail);
    if (tail.len > 0) dprintf(STDERR_FILENO, "%s", tail.data);
}

/* A failure that a log may explain. */
static int say_failure(const struct dev *d, struct err *e)
{
    const struct child *all[] = { &d->redis, &d->model, &d->orchestrator, &d->worker };
    if (d->interrupted) return 128 + SIGINT;
    for (size_t i = 0; d->reason && i < ARRAY_LEN(all); i++) {
        if (!all[i]->name || strcmp(all[i]->name, d->reason) != 0) continue;
        AUTO_BUF struct buf how = { 0 };
        child_describe(all[i], &how);
        err_fail(e, ERR_INTERNAL, "%s ended with %s; what it said last is below", d->reason,
                 how.data);
        int code = cli_fail(d->cli, "dev", e);
        if (!d->cli->config->json) say_tail(all[i]);
        return code;
    }
    int code = cli_fail(d->cli, "dev", e);
    for (size_t i = 1; !d->cli->config->json && i < ARRAY_LEN(all); i++)
        if (all[i]->pid) say_tail(all[i]);
    return code;
}

/* --- the work --- */

static bool start_all(struct dev *d, int32_t *ret_partitions, struct err *e)
{
    return make_directory(d, e) && dev_start_broker(d, e) && dev_start_redis(d, e) &&
           dev_start_model(d, e) && dev_start_programs(d, e) && client_store(&d->client, e) &&
           wait_for_topics(d, ret_partitions, e);
}

static bool deploy_all(struct dev *d, struct err *e)
{
    for (size_t i = 0; i < d->def_count; i++) {
        bool new;
        if (!client_deploy(&d->client, d->defs[i], &new, e)) return false;
        if (new && !d->cli->config->run)
            cli_note(d->cli, "tutti dev: deployed %s@%s", d->defs[i]->name, d->defs[i]->version);
    }
    return true;
}

/* --run: one run, and its exit code. The start does not wait for an owner: the log keeps it. */
static int run_one(struct dev *d, const struct buf *input)
{
    struct cli *cli = d->cli;
    struct err e;
    struct definition *def = TAKE(d->defs[d->def_count - 1]);
    d->def_count--;
    CLEANUP(view_done) struct view view = { .def = def, .def_asked = true, .fresh = true };
    if (!runs_start(&d->client, def, buf_bytes(input), NULL, NULL, view.id, &view.partition, &e) ||
        !runs_watch(&d->client, &view, watch_mode_of(cli), cli->config->timeout_ms, &e))
        return say_failure(d, &e);
    if (!cli->config->json) dprintf(STDOUT_FILENO, "\n");
    return runs_print_result(cli, view.run);
}

static int serve(struct dev *d, int32_t partitions)
{
    struct err e;
    if (!wait_for_owners(d, partitions, &e) || !write_env_file(d, &e)) return say_failure(d, &e);
    if (!say_ready(d)) return EXIT_FAILED;
    while (!d->stop) loop_turn(d->loop, 1000);
    if (d->interrupted) return EXIT_OK;
    return say_failure(d, &e);
}

static int work(struct dev *d, const struct buf *input)
{
    struct err e;
    int32_t partitions = 0;
    if (!d->cli->config->run)
        cli_note(d->cli, "tutti dev: starting%s",
                 d->cli->config->use_kafka
                     ? ""
                     : "; the embedded broker takes 3 s to assign partitions for the first time");
    if (!start_all(d, &partitions, &e) || !deploy_all(d, &e)) return say_failure(d, &e);
    say_what_is_kept(d);
    dev_alarm_start(d);
    return d->cli->config->run ? run_one(d, input) : serve(d, partitions);
}

static void dev_done(struct dev *d)
{
    if (d->loop) dev_stop_all(d);
    client_close(&d->client);
    dev_alarm_free(d);
    d->mock = d->mock ? bus_mock_stop(d->mock) : NULL;
    for (size_t i = 0; i < d->def_count; i++) definition_free(d->defs[i]);
    free(d->defs);
    free(d->model_url);
    free(d->dir);
    d->loop = loop_free(d->loop);
}

static int prepare_and_work(struct dev *d, const struct buf *input)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD };
    struct err e;
    int code = EXIT_FAILED;
    if (!parse_files(d, &code)) return code;
    d->loop = loop_new(&e);
    if (!d->loop || !loop_on_signals(d->loop, signals, ARRAY_LEN(signals), on_signal, d, &e) ||
        !client_open(&d->client, d->cli, d->loop, &e))
        return cli_fail(d->cli, "dev", &e);
    d->client.stop = &d->stop;
    return work(d, input);
}

int cmd_dev(struct cli *cli)
{
    struct err e;
    AUTO_BUF struct buf input = { 0 };
    if (!runs_input(cli, &input, &e)) return cli_fail(cli, "dev", &e);
    struct dev d = { .cli = cli };
    int code = prepare_and_work(&d, &input);
    dev_done(&d);
    return code;
}
