/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole worker over a real client, librdkafka's mock brokers and a redis-server of the test's
 * own: tasks go in, results come out, once each. */
#include <criterion/criterion.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/proto/keys.h"
#include "tests/redis/server.h"
#include "worker/worker.h"

extern char **environ;

#define TASKS 3000

struct bench {
    struct redis_server redis;
    struct loop *loop;
    struct bus_mock *mock;
    struct bus *bus;
    struct store *store;
    struct http_pool *pool;
    struct worker *worker;
    struct bus_reader *reader;
    struct bus_waiter waiter;
    struct log log;
    size_t acked, results, doubled;
    bool seen[TASKS], gen_set, drained;
};

static bool connected(void *user)
{
    return store_connected(((struct bench *)user)->store);
}
static bool gen_set(void *user)
{
    return ((struct bench *)user)->gen_set;
}
static bool all_acked(void *user)
{
    return ((struct bench *)user)->acked == TASKS;
}
static bool all_results(void *user)
{
    return ((struct bench *)user)->results == TASKS;
}
static bool nothing_held(void *user)
{
    return worker_stats(((struct bench *)user)->worker).held == 0;
}
static bool is_drained(void *user)
{
    return ((struct bench *)user)->drained;
}

static void on_gen(void *user, enum store_status status, const struct store_reply *reply)
{
    (void)reply;
    cr_assert_eq(status, STORE_OK);
    ((struct bench *)user)->gen_set = true;
}

static void on_ack(struct bus_waiter *w, const struct bus_delivery *d)
{
    struct bench *b = CONTAINER_OF(w, struct bench, waiter);
    cr_assert_null(d->error, "%s", d->error);
    b->acked++;
}

static void on_result(void *user, const struct bus_record *r)
{
    struct bench *b = user;
    struct bytes type = r->message.header[HEADER_TYPE];
    cr_assert(bytes_is(type, "task.completed"), "%.*s", (int)type.len, type.data);
    AUTO_FREE char *text = xstrndup(r->message.value.data, r->message.value.len);
    long n = strtol(text, NULL, 10);
    cr_assert(n >= 0 && n < TASKS);
    b->doubled += b->seen[n];
    b->results += !b->seen[n];
    b->seen[n] = true;
}

static void begin(struct bench *b)
{
    struct err e;
    b->log = log_new("test", LOG_ERROR, 2);
    cr_assert(redis_server_start(&b->redis, NULL));
    b->loop = loop_new(&e);
    b->mock = bus_mock_start(1, &e);
    cr_assert(b->mock != NULL, "%s", e.text);
    cr_assert(bus_mock_topic(b->mock, "tutti.tasks.default", 4, &e));
    cr_assert(bus_mock_topic(b->mock, "tutti.events", 4, &e));
    cr_assert(bus_mock_topic(b->mock, "tutti.dlq", 1, &e));
    b->bus =
        bus_open(b->loop,
                 &(struct bus_options){
                     .brokers = bus_mock_brokers(b->mock), .fetch_wait_ms = 5, .log = &b->log },
                 &e);
    cr_assert(b->bus != NULL, "%s", e.text);
    b->store =
        store_open(b->loop, &(struct store_options){ .host = b->redis.socket, .log = &b->log }, &e);
    b->pool = http_pool_open(b->loop, 100, &e);
    cr_assert(loop_run_until(b->loop, connected, b, 10000));
    struct bytes set[] = { BYTES_LIT("HSET"), BYTES_LIT("tutti:p:{2}"), BYTES_LIT("gen"),
                           BYTES_LIT("abcdefabcdef") };
    store_command(b->store, set, ARRAY_LEN(set), on_gen, b);
    cr_assert(loop_run_until(b->loop, gen_set, b, 5000));
    b->reader = bus_reader_open(b->bus,
                                &(struct bus_reader_options){ .topic = "tutti.events",
                                                              .partition = 2,
                                                              .offset = BUS_START,
                                                              .on_record = on_result,
                                                              .user = b },
                                &e);
    cr_assert(b->reader != NULL, "%s", e.text);
}

static void worker_begin(struct bench *b)
{
    struct err e;
    const char *queues[] = { "default" };
    b->worker = worker_open(b->loop, b->bus, b->store, b->pool,
                            &(struct worker_options){ .prefix = "tutti",
                                                      .name = "w",
                                                      .queues = queues,
                                                      .queue_count = 1,
                                                      .commit_ms = 100,
                                                      .log = &b->log },
                            &e);
    cr_assert(b->worker != NULL, "%s", e.text);
}

static void end(struct bench *b)
{
    bus_reader_close(b->reader);
    if (b->worker) worker_stop(b->worker);
    store_close(b->store);
    bus_close(b->bus);
    http_pool_close(b->pool);
    worker_free(b->worker);
    loop_free(b->loop);
    bus_mock_stop(b->mock);
    redis_server_done(&b->redis);
}

static void send_task(struct bench *b, int n)
{
    static const char run[] = "0123456789abcdef-0123456789abcdef01234567";
    char path[16], id[TASK_ID_MAX], gen[GENERATION_MAX];
    struct err e;
    snprintf(path, sizeof path, "s%d", n);
    task_id_make(id, BYTES_LIT(run), bytes_of(path), 1);
    generation_make(gen, store_run_id(b->store), BYTES_LIT("abcdefabcdef"));
    struct bytes h[HEADER_COUNT] = { [HEADER_V] = BYTES_LIT(MESSAGE_VERSION),
                                     [HEADER_TYPE] = BYTES_LIT("task"),
                                     [HEADER_RUN_ID] = BYTES_LIT(run),
                                     [HEADER_PATH] = bytes_of(path),
                                     [HEADER_ATTEMPT] = BYTES_LIT("1"),
                                     [HEADER_TASK_ID] = bytes_of(id),
                                     [HEADER_REPLY_TO] = BYTES_LIT("tutti.events/2"),
                                     [HEADER_GEN] = bytes_of(gen),
                                     [HEADER_KIND] = BYTES_LIT("task"),
                                     [HEADER_USES] = BYTES_LIT("noop") };
    cr_assert(bus_send(b->bus,
                       &(struct bus_message){ .topic = "tutti.tasks.default",
                                              .partition = n % 4,
                                              .key = bytes_of(id),
                                              .value = { path + 1, strlen(path) - 1 },
                                              .header = h },
                       &b->waiter, &e),
              "%s", e.text);
}

static void on_drained(void *user)
{
    ((struct bench *)user)->drained = true;
}

Test(round_trip, every_task_has_one_result_and_the_worker_leaves_clean, .timeout = 60)
{
    struct bench *b = xcalloc(1, sizeof *b);
    b->waiter.done = on_ack;
    begin(b);
    worker_begin(b);

    for (int n = 0; n < TASKS; n++) send_task(b, n);
    cr_assert(loop_run_until(b->loop, all_acked, b, 20000));
    cr_assert(loop_run_until(b->loop, all_results, b, 30000), "%zu results of %zu taken",
              b->results, (size_t)worker_stats(b->worker).taken);
    cr_assert_eq(b->doubled, 0);
    cr_assert(loop_run_until(b->loop, nothing_held, b, 5000));
    worker_drain(b->worker, 5000, on_drained, b);
    cr_assert(loop_run_until(b->loop, is_drained, b, 15000));
    end(b);
    free(b);
}

/* The program as it is started in production; its exit status, once SIGTERM has reached it. */
static pid_t program_start(struct bench *b)
{
    char *argv[] = { WORKER_PROGRAM,
                     "--kafka-brokers",
                     (char *)bus_mock_brokers(b->mock),
                     "--kafka-fetch-wait",
                     "5ms",
                     "--redis-host",
                     b->redis.socket,
                     "--log-level",
                     "error",
                     "--partitions",
                     "4",
                     NULL };
    pid_t pid;
    cr_assert_eq(posix_spawn(&pid, argv[0], NULL, NULL, argv, environ), 0);
    return pid;
}

struct child {
    pid_t pid;
    int status;
};

static bool exited(void *user)
{
    struct child *c = user;
    return waitpid(c->pid, &c->status, WNOHANG) == c->pid;
}

Test(round_trip, the_program_does_its_tasks_and_ends_with_0_after_sigterm, .timeout = 60)
{
    struct bench *b = xcalloc(1, sizeof *b);
    b->waiter.done = on_ack;
    begin(b);
    struct child child = { .pid = program_start(b) };
    for (int n = 0; n < TASKS; n++) send_task(b, n);
    cr_assert(loop_run_until(b->loop, all_results, b, 30000), "%zu results", b->results);
    cr_assert_eq(b->doubled, 0);
    kill(child.pid, SIGHUP);
    kill(child.pid, SIGTERM);
    cr_assert(loop_run_until(b->loop, exited, &child, 20000));
    cr_assert(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0, "status %x", child.status);
    end(b);
    free(b);
}
