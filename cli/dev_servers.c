/* SPDX-License-Identifier: Apache-2.0
 *
 * What `tutti dev` starts. Everything private lies in one directory with a random name: the Redis
 * socket (no port to collide with) and the logs.
 */
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/dev.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/proto/keys.h"

#define START_MS      10000 /* a server that does not listen by then never will */
#define DRAIN_MS      900   /* what children get to end by themselves; then a second signal */
#define FORGET_MS     200   /* the same where nothing is kept that they could leave in order */
#define FORCE_MS      400   /* and then to end at once; then SIGKILL */
#define EVENTS_COUNT  16
#define RESULTS_COUNT 4

/* --- the embedded broker --- */

/* Takes over the name and the queue. */
static void add_topic(struct dev_topics *t, char *name, char *queue, int32_t partitions)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->list[i].name, name) != 0) continue;
        free(name);
        free(queue);
        return;
    }
    t->list = xrealloc(t->list, (t->count + 1) * sizeof(*t->list));
    t->list[t->count++] =
        (struct dev_topic){ .name = name, .queue = queue, .partitions = partitions };
}

static void add_queue(struct dev_topics *t, const char *prefix, const char *queue)
{
    struct buf name = { 0 };
    topic_tasks(&name, prefix, queue, PRIORITY_NORMAL);
    add_topic(t, buf_take(&name, NULL), xstrdup(queue), EVENTS_COUNT);
}

static void add_definition(struct dev_topics *t, const char *prefix, const struct definition *def)
{
    for (uint32_t i = 0; i < def->step_count; i++) {
        const struct step_def *step = &def->steps[i];
        if (step_kind_is_task(step->kind) && step->queue) add_queue(t, prefix, step->queue);
    }
    for (uint32_t i = 0; i < def->trigger_count; i++)
        add_topic(t, xstrdup(def->triggers[i].topic), NULL, RESULTS_COUNT);
}

struct dev_topics dev_topics_of(const struct dev *d)
{
    static const struct {
        const char *name;
        int32_t partitions;
    } own[] = { { "events", EVENTS_COUNT },     { "results", RESULTS_COUNT },
                { "lifecycle", RESULTS_COUNT }, { "definitions", 1 },
                { "dlq", RESULTS_COUNT },       { "snapshots", EVENTS_COUNT } };
    const char *prefix = d->cli->config->prefix;
    struct dev_topics t = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        struct buf name = { 0 };
        topic_name(&name, prefix, own[i].name);
        add_topic(&t, buf_take(&name, NULL), NULL, own[i].partitions);
    }
    add_queue(&t, prefix, "default");
    for (size_t i = 0; i < d->def_count; i++) add_definition(&t, prefix, d->defs[i]);
    return t;
}

void dev_topics_done(struct dev_topics *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->list[i].name);
        free(t->list[i].queue);
    }
    free(t->list);
}

static void replace(char **text, const char *by)
{
    free(*text);
    *text = xstrdup(by);
}

bool dev_start_broker(struct dev *d, struct err *e)
{
    struct cli_config *o = d->cli->config;
    if (o->use_kafka) {
        replace(&o->kafka.brokers, o->use_kafka);
        return true;
    }
    d->mock = bus_mock_start(1, e);
    if (!d->mock) return err_prefix(e, "the embedded broker");
    CLEANUP(dev_topics_done) struct dev_topics topics = dev_topics_of(d);
    for (size_t i = 0; i < topics.count; i++) {
        const struct dev_topic *t = &topics.list[i];
        if (!bus_mock_topic(d->mock, t->name, t->partitions, e))
            return err_prefix(e, "the embedded broker: topic %s", t->name);
    }
    replace(&o->kafka.brokers, bus_mock_brokers(d->mock));
    replace(&o->kafka.security_protocol, "plaintext");
    /* The mock does not wake a waiting fetch when a record comes: it must be asked often. */
    o->kafka.fetch_wait_ms = 2;
    return true;
}

/* --- Redis --- */

/* HOST:PORT, [IPv6]:PORT, HOST, or a path. */
static bool use_redis(struct redis_config *redis, const char *where, struct err *e)
{
    const char *colon = where[0] == '/' ? NULL : strrchr(where, ':');
    bool bracketed = where[0] == '[';
    if (bracketed && colon && colon[-1] != ']') colon = NULL;
    if (colon) {
        char *end;
        unsigned long port = strtoul(colon + 1, &end, 10);
        if (*end || end == colon + 1 || port == 0 || port > UINT16_MAX)
            return err_fail(e, ERR_INVALID, "--redis %s: wants HOST:PORT", where);
        redis->port = (uint32_t)port;
    }
    size_t len = colon ? (size_t)(colon - where) : strlen(where);
    AUTO_FREE char *host =
        bracketed && len > 2 ? xstrndup(where + 1, len - 2) : xstrndup(where, len);
    replace(&redis->host, host);
    return true;
}

struct socket_wait {
    const char *path;
    struct child *child;
};

static bool listens(void *user)
{
    const struct socket_wait *w = user;
    return access(w->path, F_OK) == 0 || child_ended(w->child);
}

static char *log_path(const struct dev *d, const char *name)
{
    return d->cli->config->verbose ? NULL : xasprintf("%s/%s.log", d->dir, name);
}

bool dev_start_redis(struct dev *d, struct err *e)
{
    struct redis_config *redis = &d->cli->config->redis;
    if (d->cli->config->use_redis) return use_redis(redis, d->cli->config->use_redis, e);
    AUTO_FREE char *path = NULL;
    AUTO_FREE char *socket = xasprintf("%s/redis.sock", d->dir);
    /* redis-server talks a lot, and nothing of it is about workflows. */
    AUTO_FREE char *log = xasprintf("%s/redis.log", d->dir);
    if (strlen(socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return err_fail(e, ERR_INVALID, "%s is too long for a socket: set TMPDIR to a shorter path",
                        socket);
    if (!child_find("redis-server", &path, e)) return err_prefix(e, "a private Redis");
    const char *argv[] = { path,         "--port", "0",    "--unixsocket",
                           socket,       "--save", "",     "--appendonly",
                           "no",         "--dir",  d->dir, "--maxmemory-policy",
                           "noeviction", NULL };
    struct child_options options = {
        .name = "redis-server", .path = path, .argv = (char *const *)argv, .log_path = log
    };
    if (!child_start(&d->redis, &options, e)) return false;
    struct socket_wait wait = { .path = socket, .child = &d->redis };
    if (!client_wait(&d->client, listens, &wait, START_MS) || child_ended(&d->redis))
        return err_fail(e, ERR_UNAVAILABLE, "the private redis-server does not start");
    replace(&redis->host, socket);
    return true;
}

/* --- the demo model --- */

static bool model_spoke(void *user)
{
    struct dev *d = user;
    return d->model_url || child_ended(&d->model);
}

/* Its first line is "listening on HOST:PORT". */
static void on_model_line(struct loop_watch *w, unsigned events)
{
    static const char greeting[] = "listening on ";
    struct dev *d = w->user;
    char line[200];
    (void)events;
    ssize_t len = read(w->fd, line, sizeof(line) - 1);
    loop_unwatch(d->loop, w);
    if (len <= 0) return;
    line[len] = '\0';
    if (strncmp(line, greeting, sizeof(greeting) - 1) != 0) return;
    const char *address = line + sizeof(greeting) - 1;
    d->model_url = xasprintf("http://%.*s/v1", (int)strcspn(address, " \r\n"), address);
}

bool dev_start_model(struct dev *d, struct err *e)
{
    const char *given = getenv("OPENAI_BASE_URL");
    if (!d->cli->config->demo_model || (given && *given)) return true;
    AUTO_FREE char *path = NULL;
    if (!child_find("tutti-demo-model", &path, e)) return false;
    AUTO_FREE char *log = log_path(d, "tutti-demo-model");
    const char *argv[] = { path, "--port", "0", NULL };
    struct child_options options = { .name = "tutti-demo-model",
                                     .path = path,
                                     .argv = (char *const *)argv,
                                     .log_path = log,
                                     .pipe_stdout = true };
    if (!child_start(&d->model, &options, e)) return false;
    struct loop_watch watch = { .on_ready = on_model_line, .user = d, .fd = d->model.stdout_fd };
    loop_watch(d->loop, &watch, LOOP_READ);
    bool spoke = client_wait(&d->client, model_spoke, d, START_MS) && d->model_url;
    if (watch.events) loop_unwatch(d->loop, &watch);
    loop_turn(d->loop, 0); /* the watch must outlive the turn that it was taken out in */
    if (!spoke)
        return err_fail(e, ERR_UNAVAILABLE, "tutti-demo-model does not say where it listens");
    cli_note(d->cli,
             "tutti dev: model calls are answered by tutti-demo-model, which is NO LLM; set "
             "OPENAI_BASE_URL and OPENAI_API_KEY to call one");
    return true;
}

/* --- orchestrator and worker --- */

#define ENV_MAX 20

struct env {
    const char *list[ENV_MAX + 1][2];
    size_t count;
};

static void env_set(struct env *env, const char *name, const char *value)
{
    ASSERT(env->count < ENV_MAX);
    if (!value) return;
    env->list[env->count][0] = name;
    env->list[env->count++][1] = value;
}

/* Credentials go by the environment, never by a command line that everyone can see. */
static void env_common(struct env *env, const struct dev *d)
{
    const struct cli_config *o = d->cli->config;
    env_set(env, "TUTTI_PAYLOADS_STORE", d->payloads);
    env_set(env, "TUTTI_CONFIG", "");
    env_set(env, "TUTTI_KAFKA_SECURITY_PROTOCOL", o->kafka.security_protocol);
    env_set(env, "TUTTI_KAFKA_SASL_MECHANISM", o->kafka.sasl_mechanism);
    env_set(env, "TUTTI_KAFKA_SASL_USERNAME", o->kafka.sasl_username);
    if (o->kafka.sasl_password.bytes) env_set(env, "TUTTI_KAFKA_SASL_PASSWORD_FILE", "");
    env_set(env, "TUTTI_KAFKA_SASL_PASSWORD", o->kafka.sasl_password.bytes);
    env_set(env, "TUTTI_KAFKA_SSL_CA", o->kafka.ssl_ca);
    env_set(env, "TUTTI_KAFKA_SSL_CERTIFICATE", o->kafka.ssl_certificate);
    env_set(env, "TUTTI_KAFKA_SSL_KEY", o->kafka.ssl_key);
    env_set(env, "TUTTI_REDIS_USERNAME", o->redis.username);
    if (o->redis.password.bytes) env_set(env, "TUTTI_REDIS_PASSWORD_FILE", "");
    env_set(env, "TUTTI_REDIS_PASSWORD", o->redis.password.bytes);
}

static bool start_program(struct dev *d, struct child *child, const char *name, struct env *env,
                          const char *const *extra, struct err *e)
{
    const struct cli_config *o = d->cli->config;
    AUTO_FREE char *path = NULL;
    if (!child_find(name, &path, e)) return false;
    AUTO_FREE char *log = log_path(d, name);
    char port[16], db[16], fetch_wait[24];
    snprintf(port, sizeof(port), "%u", o->redis.port);
    snprintf(db, sizeof(db), "%u", o->redis.db);
    snprintf(fetch_wait, sizeof(fetch_wait), "%ums", o->kafka.fetch_wait_ms);
    const char *argv[24] = { path,           "--kafka-brokers", o->kafka.brokers,
                             "--redis-host", o->redis.host,     "--redis-port",
                             port,           "--redis-db",      db,
                             "--prefix",     o->prefix,         "--kafka-fetch-wait",
                             fetch_wait };
    size_t count = 13;
    for (size_t i = 0; extra && extra[i]; i++) argv[count++] = extra[i];
    /* The embedded broker has its topics, and no request to make some. */
    if (d->mock) argv[count++] = "--no-kafka-create-topics";
    ASSERT(count < ARRAY_LEN(argv));
    struct child_options options = { .name = name,
                                     .path = path,
                                     .argv = (char *const *)argv,
                                     .env = (const char *const(*)[2])env->list,
                                     .log_path = log };
    return child_start(child, &options, e);
}

bool dev_start_programs(struct dev *d, struct err *e)
{
    struct env env = { 0 }, worker_env;
    env_common(&env, d);
    worker_env = env;
    if (d->model_url) {
        const char *key = getenv("OPENAI_API_KEY");
        env_set(&worker_env, "OPENAI_BASE_URL", d->model_url);
        if (!key || !*key) env_set(&worker_env, "OPENAI_API_KEY", "demo");
    }
    AUTO_BUF struct buf queues = { 0 };
    CLEANUP(dev_topics_done) struct dev_topics topics = dev_topics_of(d);
    for (size_t i = 0; i < topics.count; i++) {
        if (!topics.list[i].queue) continue;
        if (queues.len > 0) buf_add_char(&queues, ',');
        buf_add_text(&queues, topics.list[i].queue);
    }
    const char *file = d->cli->config->worker_config;
    const char *extra[] = { "--queues", queues.data, file ? "--config" : NULL, file, NULL };
    return start_program(d, &d->orchestrator, "tutti-orchestrator", &env, NULL, e) &&
           start_program(d, &d->worker, "tutti-worker", &worker_env, extra, e);
}

/* --- the end --- */

void dev_check_children(struct dev *d)
{
    struct child *all[] = { &d->redis, &d->model, &d->orchestrator, &d->worker };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i]->pid == 0 || !child_ended(all[i]) || d->stop) continue;
        d->stop = true;
        d->reason = all[i]->name;
    }
}

static bool programs_ended(void *user)
{
    struct dev *d = user;
    bool a = child_ended(&d->orchestrator), b = child_ended(&d->worker), c = child_ended(&d->model);
    return a && b && c;
}

static bool redis_ended(void *user)
{
    struct dev *d = user;
    return child_ended(&d->redis);
}

static void signal_programs(struct dev *d, int signal)
{
    child_signal(&d->worker, signal);
    child_signal(&d->orchestrator, signal);
    child_signal(&d->model, signal);
}

/* Its payloads lie four deep. */
static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place)
{
    (void)st, (void)type, (void)place;
    (void)remove(path);
    return 0;
}

static void remove_directory(const char *path)
{
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void dev_stop_all(struct dev *d)
{
    struct child *all[] = { &d->redis, &d->model, &d->orchestrator, &d->worker };
    struct client *c = &d->client;
    c->stop = NULL; /* from here on, waiting is what we want */
    d->stop = true;
    signal_programs(d, SIGTERM);
    if (!client_wait(c, programs_ended, d, d->mock ? FORGET_MS : DRAIN_MS)) {
        signal_programs(d, SIGTERM);
        if (!client_wait(c, programs_ended, d, FORCE_MS)) {
            signal_programs(d, SIGKILL);
            (void)client_wait(c, programs_ended, d, FORCE_MS);
        }
    }
    child_signal(&d->redis, SIGTERM);
    if (!client_wait(c, redis_ended, d, FORCE_MS)) {
        child_signal(&d->redis, SIGKILL);
        (void)client_wait(c, redis_ended, d, FORCE_MS);
    }
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (child_ended(all[i])) child_done(all[i]);
    if (d->dir) remove_directory(d->dir);
}
