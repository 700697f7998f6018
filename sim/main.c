/* SPDX-License-Identifier: Apache-2.0
 *
 * tutti-simulator: many seeds, or one with its trace. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim/workload.h"
#include "sim/world.h"

int main(int argc, char **argv)
{
    uint64_t first = 1, count = 1000;
    bool tracing = false;
    enum fault_level level = FAULTS_SOME;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) count = strtoull(argv[++i], NULL, 10);
        if (strcmp(argv[i], "--first") == 0 && i + 1 < argc) first = strtoull(argv[++i], NULL, 10);
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            first = strtoull(argv[++i], NULL, 10);
            count = 1;
        }
        if (strcmp(argv[i], "--trace") == 0) tracing = true;
        if (strcmp(argv[i], "--none") == 0) level = FAULTS_NONE;
        if (strcmp(argv[i], "--many") == 0) level = FAULTS_MANY;
    }
    struct counters sum = { 0 };
    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    uint64_t bad = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct options o = options_draw(seed, level);
        o.trace = tracing;
        struct world *w = xcalloc(1, sizeof *w);
        world_run(w, seed, &o);
        sum.steps += w->counters.steps;
        sum.turns += w->counters.turns;
        sum.events += w->counters.events;
        sum.faults += w->counters.faults;
        sum.calls += w->counters.calls;
        sum.repeated += w->counters.repeated;
        sum.runs += w->counters.runs;
        if (w->violated) {
            bad++;
            printf("SEED=%" PRIu64 " %s: %s\n", seed, w->oracle_name, w->violation);
            fflush(stdout);
        }
        world_done(w);
        free(w);
    }
    clock_gettime(CLOCK_MONOTONIC, &t1);
    double s = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
    double n = (double)count;
    printf("%" PRIu64 " seeds, %" PRIu64 " violations, %.1f s; per seed: %.1f log events, %.1f steps, %.1f turns, "
           "%.1f faults, %.1f calls, %.2f runs, %" PRIu64 " repeated; %.0f seeds/s %.0f steps/s %.0f events/s\n",
           count, bad, s, (double)sum.events / n, (double)sum.steps / n, (double)sum.turns / n, (double)sum.faults / n,
           (double)sum.calls / n, (double)sum.runs / n, sum.repeated, n / s, (double)sum.steps / s, (double)sum.events / s);
    shapes_free();
    return bad ? 1 : 0;
}
