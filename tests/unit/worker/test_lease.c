/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's scripts against a Redis of the test's own, on a unix socket: what lease, renewal,
 * done and breaker answer, from two workers. */
#include <criterion/criterion.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/io/store.h"

extern const char worker_script_lease[], worker_script_renew[], worker_script_done[],
    worker_script_release[], worker_script_breaker[];
extern char **environ;

struct redis {
    pid_t pid;
    char dir[40], socket[60];
    struct loop *loop;
    struct store *store;
    char answer[400]; /* the last reply, elements joined by spaces */
    bool answered;
};

static bool connected(void *user)
{
    return store_connected(((struct redis *)user)->store);
}

static struct redis redis_start(void)
{
    struct redis r = { .dir = "/tmp/tutti-redis-XXXXXX" };
    struct err e;
    cr_assert_not_null(mkdtemp(r.dir));
    snprintf(r.socket, sizeof r.socket, "%s/s", r.dir);
    char *argv[] = { "redis-server", "--port", "0",          "--unixsocket", r.socket, "--save", "",
                     "--dir",        r.dir,    "--loglevel", "warning",      NULL };
    cr_assert_eq(posix_spawnp(&r.pid, argv[0], NULL, NULL, argv, environ), 0);
    r.loop = loop_new(&e);
    struct log log = log_new("test", LOG_ERROR + 1, 2);
    r.store = store_open(r.loop, &(struct store_options){ .host = r.socket, .log = &log }, &e);
    cr_assert(r.store != NULL, "%s", e.text);
    cr_assert(loop_run_until(r.loop, connected, &r, 10000));
    return r;
}

static void redis_stop(struct redis *r)
{
    store_close(r->store);
    loop_free(r->loop);
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
    unlink(r->socket);
    rmdir(r->dir);
}

static void print(char *at, size_t size, const struct store_reply *r)
{
    size_t used = strlen(at);
    if (store_type(r) == STORE_INTEGER)
        snprintf(at + used, size - used, "%s%ld", used ? " " : "", (long)store_integer(r));
    else if (store_type(r) == STORE_ARRAY)
        for (size_t i = 0; i < store_count(r); i++) print(at, size, store_at(r, i));
    else
        snprintf(at + used, size - used, "%s%.*s", used ? " " : "", (int)store_string(r).len,
                 store_string(r).data);
}

static void on_reply(void *user, enum store_status status, const struct store_reply *reply)
{
    struct redis *r = user;
    r->answer[0] = '\0';
    r->answered = true;
    if (status == STORE_LOST)
        snprintf(r->answer, sizeof r->answer, "LOST");
    else
        print(r->answer, sizeof r->answer, reply);
}

static bool answered(void *user)
{
    return ((struct redis *)user)->answered;
}

/* Words of a line; the first `keys` are keys. source NULL: a command. */
static const char *ask(struct redis *r, const char *source, size_t keys, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
static const char *ask(struct redis *r, const char *source, size_t keys, const char *fmt, ...)
{
    char line[600];
    struct bytes argv[40];
    size_t argc = 0;
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    for (char *at = line; *at;) {
        size_t len = strcspn(at, " ");
        bool empty = len == 1 && *at == '-'; /* a dash is an empty word */
        argv[argc++] = (struct bytes){ at, empty ? 0 : len };
        at += len + (at[len] == ' ');
    }
    r->answered = false;
    struct script script = source ? script_make("s", source) : (struct script){ 0 };
    if (source)
        store_script(r->store, &script, keys, argv, argc, on_reply, r);
    else
        store_command(r->store, argv, argc, on_reply, r);
    cr_assert(loop_run_until(r->loop, answered, r, 10000));
    return r->answer;
}

#define LEASE(r, worker, ms, task) \
    ask(r, worker_script_lease, 2, "p:{3} tk:{3}:%s g1 %s %d 60000", task, worker, ms)

static void until_ended(struct redis *r)
{
    uint64_t end = clock_mono_ms() + 5000;
    while (strcmp(LEASE(r, "w3", 1000, "a"), "g1 E") != 0)
        cr_assert(clock_mono_ms() < end, "%s", r->answer);
}

Test(lease, the_first_taker_wins_and_others_hear_how_long)
{
    struct redis r = redis_start();
    ask(&r, NULL, 0, "HSET p:{3} gen g1");
    cr_assert_str_eq(LEASE(&r, "w1", 30000, "a"), "g1 T");
    cr_assert_str_eq(LEASE(&r, "w1", 30000, "a"), "g1 T", "its own write, asked again");
    LEASE(&r, "w2", 30000, "a");
    int ms = 0;
    cr_assert_eq(sscanf(r.answer, "g1 H%d", &ms), 1, "%s", r.answer);
    cr_assert(ms > 20000 && ms <= 30000);
    redis_stop(&r);
}

Test(lease, one_that_ran_out_is_ended_for_everybody_and_stays_so)
{
    struct redis r = redis_start();
    ask(&r, NULL, 0, "HSET p:{3} gen g1");
    cr_assert_str_eq(LEASE(&r, "w1", 1, "a"), "g1 T");
    until_ended(&r);
    cr_assert_str_eq(LEASE(&r, "w1", 30000, "a"), "g1 E",
                     "even for its holder: another may have said so");
    redis_stop(&r);
}

Test(lease, done_and_cancelled_tasks_are_not_taken)
{
    struct redis r = redis_start();
    ask(&r, NULL, 0, "HSET p:{3} gen g1");
    LEASE(&r, "w1", 30000, "a");
    ask(&r, worker_script_done, 1, "tk:{3}:a 60000");
    cr_assert_str_eq(LEASE(&r, "w2", 30000, "a"), "g1 D");
    ask(&r, NULL, 0, "SET tk:{3}:b C");
    cr_assert_str_eq(LEASE(&r, "w2", 30000, "b"), "g1 C");
    ask(&r, NULL, 0, "PTTL tk:{3}:a");
    cr_assert(strtol(r.answer, NULL, 10) > 30000, "the mark outlives the lease");
    redis_stop(&r);
}

Test(lease, another_generation_or_none_leases_nothing)
{
    struct redis r = redis_start();
    cr_assert_str_eq(LEASE(&r, "w1", 30000, "a"), "");
    ask(&r, NULL, 0, "HSET p:{3} gen g2");
    cr_assert_str_eq(LEASE(&r, "w1", 30000, "a"), "g2");
    cr_assert_str_eq(ask(&r, NULL, 0, "EXISTS tk:{3}:a"), "0");
    cr_assert_str_eq(ask(&r, worker_script_lease, 1, "p:{3} - w1 1000"), "g2",
                     "asked for the generation alone");
    redis_stop(&r);
}

Test(lease, renewal_extends_makes_again_and_hears_of_cancellation)
{
    struct redis r = redis_start();
    ask(&r, NULL, 0, "HSET p:{3} gen g1");
    LEASE(&r, "w1", 1000, "a");
    LEASE(&r, "w2", 30000, "b");
    ask(&r, NULL, 0, "SET tk:{3}:c C");
    ask(&r, NULL, 0, "SET tk:{3}:d D");
    cr_assert_str_eq(ask(&r, worker_script_renew, 5,
                         "tk:{3}:a tk:{3}:b tk:{3}:c tk:{3}:d tk:{3}:new w1 30000 60000 60000 "
                         "60000 60000 60000"),
                     "R O C D R");
    LEASE(&r, "w2", 1000, "a");
    int ms = 0;
    cr_assert(sscanf(r.answer, "g1 H%d", &ms) == 1 && ms > 20000, "%s", r.answer);
    LEASE(&r, "w2", 1000, "new");
    cr_assert(strncmp(r.answer, "g1 H", 4) == 0, "a wiped Redis has the lease again: %s", r.answer);
    redis_stop(&r);
}

Test(lease, only_ones_own_lease_is_given_back)
{
    struct redis r = redis_start();
    ask(&r, NULL, 0, "HSET p:{3} gen g1");
    LEASE(&r, "w1", 30000, "a");
    cr_assert_str_eq(ask(&r, worker_script_release, 1, "tk:{3}:a w2"), "0");
    cr_assert_str_eq(ask(&r, worker_script_release, 1, "tk:{3}:a w1"), "1");
    cr_assert_str_eq(LEASE(&r, "w2", 30000, "a"), "g1 T");
    redis_stop(&r);
}

/* ok, failed, probes ok, probes failed, permits wanted */
#define BREAKER(r, worker, open_ms, ...) breaker(r, worker, open_ms, (int[]){ __VA_ARGS__ })
static const char *breaker(struct redis *r, const char *worker, int open_ms, const int n[5])
{
    return ask(r, worker_script_breaker, 2,
               "cb {cb}:probes %s 60000 4 50 %d 2 60000 %d %d %d %d %d", worker, open_ms, n[0],
               n[1], n[2], n[3], n[4]);
}

Test(lease, the_fleets_breaker_opens_when_two_workers_see_failures_and_probes_close_it)
{
    struct redis r = redis_start();
    cr_assert_str_eq(BREAKER(&r, "w2", 50, 1, 0, 0, 0, 0), "closed 0 0 0");
    cr_assert_str_eq(BREAKER(&r, "w1", 50, 0, 9, 0, 0, 0), "closed 0 0 0",
                     "one worker alone may be the sick one");
    BREAKER(&r, "w2", 50, 0, 1, 0, 0, 0);
    cr_assert(strncmp(r.answer, "open 1 ", 7) == 0, "%s", r.answer);
    uint64_t end = clock_mono_ms() + 5000;
    do BREAKER(&r, "w1", 50, 0, 0, 0, 0, 1);
    while (strncmp(r.answer, "open", 4) == 0 && clock_mono_ms() < end);
    cr_assert_str_eq(r.answer, "half 2 0 1", "one permit was wanted");
    cr_assert_str_eq(BREAKER(&r, "w2", 50, 0, 0, 0, 0, 5), "half 2 0 1", "there are two");
    cr_assert_str_eq(BREAKER(&r, "w2", 50, 0, 0, 0, 0, 5), "half 2 0 0");
    cr_assert_str_eq(BREAKER(&r, "w2", 50, 0, 0, 1, 0, 0), "half 2 0 0");
    cr_assert_str_eq(BREAKER(&r, "w1", 50, 0, 0, 1, 0, 0), "closed 3 0 0");
    cr_assert_str_eq(BREAKER(&r, "w1", 50, 0, 1, 0, 0, 0), "closed 3 0 0", "with empty counts");
    redis_stop(&r);
}

Test(lease, a_fleet_of_one_opens_by_itself_and_failing_probes_open_again)
{
    struct redis r = redis_start();
    BREAKER(&r, "w1", 20, 0, 4, 0, 0, 0);
    cr_assert(strncmp(r.answer, "open 1 ", 7) == 0, "%s", r.answer);
    uint64_t end = clock_mono_ms() + 5000;
    do BREAKER(&r, "w1", 20, 0, 0, 0, 0, 2);
    while (strncmp(r.answer, "open", 4) == 0 && clock_mono_ms() < end);
    cr_assert_str_eq(r.answer, "half 2 0 2");
    BREAKER(&r, "w1", 20, 0, 0, 1, 1, 0);
    cr_assert(strncmp(r.answer, "open 3 ", 7) == 0, "%s", r.answer);
    redis_stop(&r);
}
