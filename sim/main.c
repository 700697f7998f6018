/* SPDX-License-Identifier: Apache-2.0
 *
 * tutti-simulator: many seeds, or one with its trace. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/mutants.h"
#include "sim/runner.h"
#include "sim/shapes.h"
#include "sim/user_report.h"
#include "sim/workload.h"
#include "tests/sim/redis.h"

/* jemalloc's: a seed's memory is the next one's, so none of it goes back to the system between. */
extern const char *malloc_conf;
const char *malloc_conf = "dirty_decay_ms:-1,muzzy_decay_ms:-1";

struct request {
    struct campaign campaign;
    bool json, trace, one, mutants;
    const char *only;         /* this mutant */
    struct user_request user; /* a workflow of the user's instead of our shapes, if it has one */
};

static const char usage[] =
    "usage: tutti-simulator [--seeds N] [--seconds N] [--first N] [--faults none|some|many|mixed]\n"
    "                       [--seed N [--trace]] [--mutants] [--json]\n"
    "       tutti-simulator --workflow FILE [--input FILE] [--mocks FILE] [--runs N] [--seeds N]\n"
    "                       [--approve] [--faults LEVEL] [--seed N [--trace]] [--json]   (tutti "
    "simulate)\n";

static bool number(const char *text, uint64_t *ret)
{
    char *end;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return !errno && *text && !*end && *text != '-';
}

static bool level(const char *text, enum fault_level *ret)
{
    static const char *const names[] = { "none", "some", "many", "mixed" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum fault_level)i;
            return true;
        }
    return false;
}

static bool parse(int argc, char **argv, struct request *q)
{
    static const struct option options[] = {
        { "seeds", 1, NULL, 'n' },    { "seconds", 1, NULL, 't' }, { "seed", 1, NULL, 's' },
        { "first", 1, NULL, 'f' },    { "faults", 1, NULL, 'l' },  { "trace", 0, NULL, 'T' },
        { "mutants", 0, NULL, 'm' },  { "mutant", 1, NULL, 'M' },  { "json", 0, NULL, 'j' },
        { "workflow", 1, NULL, 'w' }, { "input", 1, NULL, 'i' },   { "mocks", 1, NULL, 'k' },
        { "runs", 1, NULL, 'r' },     { "replay", 1, NULL, 'R' },  { "approve", 0, NULL, 'a' },
        { NULL, 0, NULL, 0 }
    };
    struct campaign *c = &q->campaign;
    uint64_t n = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        bool good = true;
        switch (option) {
        case 'n': good = number(optarg, &c->count); break;
        case 'f': good = number(optarg, &c->first); break;
        case 't':
            good = number(optarg, &n) && n < 1000000;
            c->seconds = (uint32_t)n;
            break;
        case 's':
            good = number(optarg, &c->first);
            q->one = true;
            break;
        case 'l': good = level(optarg, &c->level); break;
        case 'T': q->trace = true; break;
        case 'm': q->mutants = true; break;
        case 'M':
            q->only = optarg;
            q->mutants = true;
            break;
        case 'j': q->json = true; break;
        case 'w': q->user.files.workflow = optarg; break;
        case 'i': q->user.files.input = optarg; break;
        case 'k': q->user.files.mocks = optarg; break;
        case 'a': q->user.files.approve = true; break;
        case 'R': q->user.replay = optarg; break;
        case 'r':
            good = number(optarg, &n) && n > 0 && n <= USER_RUNS_MAX;
            q->user.files.runs = (uint32_t)n;
            break;
        default: good = false; break;
        }
        if (!good) return false;
    }
    return optind == argc;
}

static void show(const struct verdict *v)
{
    double n = v->seeds ? (double)v->seeds : 1, s = v->seconds > 0 ? v->seconds : 1e-9;
    for (size_t i = 0; i < v->found_count; i++)
        printf("SEED=%" PRIu64 "  %s: %s\n", v->found[i].seed, v->found[i].oracle,
               v->found[i].text);
    printf("%" PRIu64 " seeds in %.1f s, %" PRIu64 " violations; a seed: %.1f events in the log, "
           "%.0f deliveries, %.1f faults, %.1f runs, %.1f calls; %.0f seeds/s; calls begun between "
           "a lease check and a result: %" PRIu64 ", on the answer of a Redis that was wiped "
           "meanwhile: %" PRIu64 "; results sent again: %" PRIu64 "\n",
           v->seeds, v->seconds, v->violations, (double)v->sum.events / n, (double)v->sum.steps / n,
           (double)v->sum.faults / n, (double)v->sum.runs / n, (double)v->sum.calls / n,
           (double)v->seeds / s, v->sum.repeated, v->sum.overtaken, v->sum.results_doubled);
}

static void show_json(const struct verdict *v, size_t mutants, size_t killed)
{
    double n = v->seeds ? (double)v->seeds : 1, cpu = v->cpu_seconds > 0 ? v->cpu_seconds : 1e-9;
    printf("{\"seeds\":%" PRIu64 ",\"violations\":%" PRIu64 ",\"seeds_per_s\":%.1f,\"mutants\":%zu,"
           "\"mutants_killed\":%zu,\"events_per_s\":%.0f,\"events_per_seed\":%.1f,"
           "\"faults_per_seed\":%.2f,\"log_events_per_s\":%.0f,\"log_events_per_seed\":%.1f}\n",
           v->seeds, v->violations, (double)v->seeds / (v->seconds > 0 ? v->seconds : 1e-9),
           mutants, killed, (double)v->sum.steps / cpu, (double)v->sum.steps / n,
           (double)v->sum.faults / n, (double)v->sum.events / cpu, (double)v->sum.events / n);
}

static int one_seed(const struct request *q)
{
    struct verdict v = { .seeds = 1 };
    CLEANUP(redis_free_p) struct redis *redis = world_redis();
    bool good =
        seed_run(&q->campaign, redis, q->campaign.first, q->trace, &v.sum, &v.endings, &v.found[0]);
    v.violations = v.found_count = !good;
    show(&v);
    shapes_free();
    return !good;
}

static int users_workflow(const struct request *q)
{
    struct user_request u = q->user;
    u.campaign = q->campaign;
    u.one = q->one;
    u.trace = q->trace;
    u.json = q->json;
    if (!q->mutants) return user_simulate(&u);
    u.campaign.mutant = q->only ? mutant_find(q->only) : MUTANT_NONE;
    u.campaign.stop_at_violation = true;
    if (u.campaign.mutant != MUTANT_NONE) return user_simulate(&u);
    fputs(
        "tutti-simulator: with --workflow one mutant can be named, and tutti-simulator-mutants has "
        "them\n",
        stderr);
    return 2;
}

/* Each mutant is hunted on up to --seeds seeds, and shown to survive 1,000 without faults. */
static int hunt(const struct request *q)
{
#ifdef TUTTI_MUTANTS
    struct hunt h = mutants_hunt(q->campaign.count, 1000, q->campaign.processes, q->only);
    if (q->json) printf("{\"mutants\":%zu,\"mutants_killed\":%zu}\n", h.mutants, h.killed);
    return h.mutants > 0 && h.all_killed && h.all_calm ? 0 : 1;
#else
    (void)q;
    fputs("tutti-simulator: this build has no mutants; use tutti-simulator-mutants\n", stderr);
    return 2;
#endif
}

int main(int argc, char **argv)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct request q = { .campaign = { .first = 1,
                                       .level = FAULTS_MIXED,
                                       .processes = cores > 0 ? (uint32_t)cores : 1 },
                         .user = { .files = { .runs = 5 } } };
    if (!parse(argc, argv, &q)) {
        fputs(usage, stderr);
        return 2;
    }
    if (!q.campaign.count) q.campaign.count = q.campaign.seconds ? UINT64_MAX : 1000;
    if (q.user.files.workflow) return users_workflow(&q);
    if (q.one) return one_seed(&q);
    if (q.mutants) return hunt(&q);
    struct verdict v;
    campaign_run(&q.campaign, &v);
    show(&v);
    if (q.json) show_json(&v, 0, 0);
    return v.violations ? 1 : 0;
}
