/* SPDX-License-Identifier: Apache-2.0
 *
 * What a page of the index costs with a million runs in it: pages of 50 by every filter, from the
 * first page and from the middle, each through a connection of its own as the HTTP API has it.
 * Prints one JSON object.
 *
 *   bench-index FILE [RUNS] */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/measure.h"
#include "common/base/clock.h"
#include "orchestrator/index/db.h"

#define RUNS     1000000
#define PAGES    2000
#define START_MS INT64_C(1764000000000)
#define BATCH    5000

static const char *const workflows[] = { "orders", "tickets", "reports", "rare" };
static const char *const tiers[] = { "gold", "silver", "tin" };

static void must(bool ok, const struct err *e)
{
    if (ok) return;
    fprintf(stderr, "bench-index: %s\n", e->text);
    exit(1);
}

/* One run in a thousand is of the rare workflow, one in a hundred is still running. */
static void add_run(struct index_db *db, int n)
{
    struct err e;
    char id[RUN_ID_MAX], customer[24];
    snprintf(id, sizeof id, "%016x-%024x", (unsigned)n * 2654435761u, (unsigned)n);
    snprintf(customer, sizeof customer, "c%d", n % 20000);
    AUTO_JSON *attributes = json_pack("{s:s, s:s}", "tier", tiers[n % 3], "customer", customer);
    const char *workflow = workflows[n % 1000 == 0 ? 3 : n % 3];
    must(index_db_start(db,
                        &(struct index_start){ .run_id = bytes_of(id),
                                               .workflow = bytes_of(workflow),
                                               .version = BYTES_LIT("1.0.0"),
                                               .started_ms = START_MS + n,
                                               .attributes = attributes },
                        &e),
         &e);
    if (n % 100 == 0) return;
    must(index_db_change(db,
                         &(struct index_change){ .run_id = bytes_of(id),
                                                 .state = n % 10 ? "completed" : "failed",
                                                 .offset = n,
                                                 .finished_ms = START_MS + n + 1000 },
                         &e),
         &e);
}

static double fill(const char *path, int runs)
{
    struct err e;
    struct index_db *db = index_db_open(path, "bench", &e);
    must(db, &e);
    uint64_t begun = clock_mono_us();
    for (int n = 0; n < runs; n += BATCH) {
        must(index_db_begin(db, &e), &e);
        for (int i = n; i < n + BATCH && i < runs; i++) add_run(db, i);
        must(index_db_commit(db, &e), &e);
    }
    double seconds = (double)(clock_mono_us() - begun) / 1e6;
    index_db_close(db);
    return runs / seconds;
}

static struct index_query query_of(int n, char customer[24])
{
    struct index_query q = { .limit = 50 };
    snprintf(customer, 24, "c%d", n % 20000);
    if (n & 1) q.workflow = workflows[n / 7 % 4];
    if (n & 2) q.state = n & 4 ? "running" : "failed";
    if (n & 8) {
        q.attributes[q.attribute_count].name = "tier";
        q.attributes[q.attribute_count++].value = tiers[n % 3];
    }
    if (n & 16) {
        q.attributes[q.attribute_count].name = "customer";
        q.attributes[q.attribute_count++].value = customer;
    }
    return q;
}

int main(int argc, char **argv)
{
    struct samples took = { 0 };
    struct err e;
    int runs = argc > 2 ? (int)strtol(argv[2], NULL, 10) : RUNS;
    if (argc < 2) {
        fprintf(stderr, "usage: bench-index FILE [RUNS]\n");
        return 2;
    }
    double rate = fill(argv[1], runs);
    for (int i = 0; i < PAGES; i++) {
        char customer[24], cursor[40];
        struct index_query q = query_of(i, customer);
        snprintf(cursor, sizeof cursor, "%lld.1", (long long)(START_MS + runs / 2 - i));
        if (i % 2) q.cursor = cursor;
        uint64_t begun = clock_mono_us();
        struct index_db *db = index_db_open_reader(argv[1], &e);
        must(db, &e);
        json_t *page;
        must(index_db_page(db, &q, &page, &e), &e);
        json_decref(page);
        index_db_close(db);
        samples_add(&took, clock_mono_us() - begun);
    }
    printf("{\"runs\": %d, \"adds_per_s\": %.0f, \"page_p50_ms\": %.2f, \"page_p99_ms\": %.2f, "
           "\"page_max_ms\": %.2f}\n",
           runs, rate, samples_ms(&took, 0.5), samples_ms(&took, 0.99), samples_ms(&took, 1));
    free(took.us);
    return 0;
}
