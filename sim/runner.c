/* SPDX-License-Identifier: Apache-2.0
 *
 * The processes of a campaign. */
#include "sim/runner.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/mutants.h"
#include "sim/shapes.h"
#include "sim/workload.h"
#include "tests/sim/redis.h"

#define PROCESSES_MAX 64
#define SEED_SECONDS  60 /* of wall time: a seed takes milliseconds */

struct slot {
    pid_t pid;
    _Atomic uint64_t seed; /* 0: none under way */
    struct counters sum;
    struct endings endings;
    uint64_t seeds;
};

struct board { /* in shared memory */
    _Atomic uint64_t next;
    _Atomic bool stop;
    _Atomic uint64_t found_count, violations;
    struct found found[FOUND_MAX];
    struct slot slots[PROCESSES_MAX];
};

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add(struct counters *sum, const struct counters *c)
{
    const uint64_t *from = (const uint64_t *)(const void *)c;
    uint64_t *to = (uint64_t *)(void *)sum;
    for (size_t i = 0; i < sizeof *c / sizeof *to; i++) to[i] += from[i];
}

bool seed_run(const struct campaign *c, struct redis *redis, uint64_t seed, bool tracing,
              struct counters *sum, struct endings *endings, struct found *ret)
{
    struct options o = options_draw(seed, c->level);
    o.trace = tracing;
    if (c->adjust) c->adjust(&o, c->user);
    struct world *w = xcalloc(1, sizeof *w);
    (void)mutant_set(c->mutant);
    world_run(w, redis, seed, &o);
    bool good = !w->violated;
    if (o.user) endings_of_world(w, endings);
    add(sum, &w->counters);
    *ret = (struct found){ .seed = seed };
    snprintf(ret->oracle, sizeof ret->oracle, "%s", w->oracle_name);
    snprintf(ret->text, sizeof ret->text, "%.399s", w->violation);
    world_done(w);
    free(w);
    (void)mutant_set(MUTANT_NONE);
    return good;
}

static void report(struct board *b, const struct campaign *c, const struct found *found)
{
    atomic_fetch_add(&b->violations, 1);
    uint64_t at = atomic_fetch_add(&b->found_count, 1);
    if (at < FOUND_MAX) b->found[at] = *found;
    if (c->stop_at_violation) atomic_store(&b->stop, true);
}

/* A mutant is to blame only for what does not happen without it. */
static bool guilty(const struct campaign *c, struct redis *redis, uint64_t seed)
{
    if (c->mutant == MUTANT_NONE) return true;
    struct campaign plain = *c;
    struct counters sum = { 0 };
    struct endings *endings = xcalloc(1, sizeof *endings);
    struct found found;
    plain.mutant = MUTANT_NONE;
    bool good = seed_run(&plain, redis, seed, false, &sum, endings, &found);
    free(endings);
    return good;
}

static void work(struct board *b, struct slot *slot, const struct campaign *c, double end_s)
{
    CLEANUP(redis_free_p) struct redis *redis = world_redis();
    while (!atomic_load(&b->stop)) {
        uint64_t n = atomic_fetch_add(&b->next, 1);
        if (n >= c->count || (c->seconds && now_s() >= end_s)) break;
        uint64_t seed = c->first + n;
        struct found found;
        atomic_store(&slot->seed, seed);
        (void)alarm(SEED_SECONDS);
        if (!seed_run(c, redis, seed, false, &slot->sum, &slot->endings, &found) &&
            guilty(c, redis, seed))
            report(b, c, &found);
        atomic_store(&slot->seed, 0);
        slot->seeds++;
    }
    shapes_free();
}

static void begin(struct board *b, struct slot *slot, const struct campaign *c, double end_s)
{
    fflush(NULL);
    pid_t pid = fork();
    ASSERT(pid >= 0);
    if (pid != 0) {
        slot->pid = pid;
        return;
    }
    if (c->mutant != MUTANT_NONE && !freopen("/dev/null", "w", stderr)) _exit(3);
    work(b, slot, c, end_s);
    exit(0);
}

/* A process that ended otherwise than by itself took a seed with it; another one goes on. */
static bool ended_well(struct board *b, struct slot *slot, const struct campaign *c, int status)
{
    uint64_t seed = atomic_exchange(&slot->seed, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    struct found found = { .seed = seed };
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    snprintf(found.oracle, sizeof found.oracle, "%s", number == SIGALRM ? "an end" : "no crash");
    if (number)
        snprintf(found.text, sizeof found.text, "the process is ended by signal %d", number);
    else
        snprintf(found.text, sizeof found.text, "the process exits with %d", WEXITSTATUS(status));
    slot->seeds++;
    report(b, c, &found);
    return false;
}

void campaign_run(const struct campaign *c, struct verdict *ret)
{
    struct board *b =
        mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(b != MAP_FAILED);
    double start_s = now_s(), end_s = start_s + c->seconds;
    struct rusage before, after;
    (void)getrusage(RUSAGE_CHILDREN, &before);
    uint32_t running = MIN(c->processes, (uint32_t)PROCESSES_MAX);
    for (uint32_t i = 0; i < running; i++) begin(b, &b->slots[i], c, end_s);
    while (running > 0) {
        int status;
        pid_t pid = wait(&status);
        if (pid < 0) break;
        for (size_t i = 0; i < PROCESSES_MAX; i++) {
            if (b->slots[i].pid != pid) continue;
            bool over = ended_well(b, &b->slots[i], c, status) || atomic_load(&b->stop);
            if (over)
                running--;
            else
                begin(b, &b->slots[i], c, end_s);
        }
    }
    (void)getrusage(RUSAGE_CHILDREN, &after);
    *ret = (struct verdict){ .violations = atomic_load(&b->violations) };
    ret->seconds = now_s() - start_s;
    ret->cpu_seconds = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
                       (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1e6 +
                       (double)(after.ru_stime.tv_sec - before.ru_stime.tv_sec) +
                       (double)(after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1e6;
    for (size_t i = 0; i < PROCESSES_MAX; i++) {
        add(&ret->sum, &b->slots[i].sum);
        endings_merge(&ret->endings, &b->slots[i].endings);
        ret->seeds += b->slots[i].seeds;
    }
    ret->found_count = MIN(atomic_load(&b->found_count), (uint64_t)FOUND_MAX);
    memcpy(ret->found, b->found, sizeof ret->found);
    (void)munmap(b, sizeof *b);
}
