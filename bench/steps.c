/* SPDX-License-Identifier: Apache-2.0
 *
 * Drives runs through a real installation: keeps IN_FLIGHT runs of a deployed workflow under way
 * for SECONDS and reads their results. Their input is a string of 512 bytes, or the JSON of a file.
 *
 *   steps BROKERS PREFIX WORKFLOW.yaml IN_FLIGHT SECONDS [INPUT.json]
 *                      prints {"runs_per_s":..,"run_p50_ms":..,"run_p99_ms":..,"runs":..}
 *   steps BROKERS PREFIX WORKFLOW.yaml --start COUNT
 *                      starts runs and waits for nothing but the log
 *   steps BROKERS PREFIX --count TOPIC
 *                      prints the number of records of a topic */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/measure.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/definition/definition.h"
#include "common/io/bus.h"
#include "common/io/loop.h"
#include "common/proto/keys.h"

#define INPUT_SIZE  512
#define PARTITIONS  16
#define RESULTS_MAX 64
/* At high load (REFILL_RUNS in flight) new runs leave in batches, as from any client that is busy,
 * and STICKY_RUNS in turn go to one partition: Kafka's sticky partitioner (KIP-480). */
#define REFILL_MS   20
#define REFILL_RUNS 1000
#define STICKY_RUNS 64
#define DRAWN_MAX   1024

struct drawn { /* run ids of one partition that were not used yet */
    size_t count;
    char ids[DRAWN_MAX][RUN_ID_MAX];
};

struct driver {
    struct loop *loop;
    struct bus *bus;
    struct log log;
    const char *prefix;
    struct definition *def;
    char *events, *results;
    struct bus_reader *readers[RESULTS_MAX];
    int32_t reader_count;
    struct map under_way; /* struct flight by run id */
    struct bus_waiter waiter;
    uint64_t sent, acked, finished, measured, warm_us, end_us;
    struct samples samples;
    int32_t info_partitions;
    int64_t info_sum;
    int info_pending;
    bool refill;
    struct loop_timer refill_timer;
    uint32_t owed; /* runs to start with the next refill */
    bool gathers;
    struct drawn drawn[PARTITIONS];
    struct buf input;
};

struct flight {
    uint64_t started_us;
    char id[RUN_ID_MAX];
};

static _Noreturn void die(const char *what, const struct err *e)
{
    fprintf(stderr, "steps: %s: %s\n", what, e->text);
    exit(1);
}

static void on_ack(struct bus_waiter *w, const struct bus_delivery *d)
{
    struct driver *dr = CONTAINER_OF(w, struct driver, waiter);
    dr->acked++;
    if (d->error) {
        fprintf(stderr, "steps: a start was not delivered: %s\n", d->error);
        exit(1);
    }
}

/* A run id without a key is free: at high load those that are drawn are kept until the batch of
 * their partition is filled. */
static void draw_id(struct driver *d, char ret[RUN_ID_MAX])
{
    struct drawn *wanted = &d->drawn[d->sent / STICKY_RUNS % PARTITIONS], *to;
    while (!d->gathers || wanted->count == 0) {
        unsigned char random[6];
        random_bytes(random, sizeof random);
        run_id_random(ret, clock_wall_ms(), random);
        if (!d->gathers) return;
        to = &d->drawn[partition_of(run_id_route(bytes_of(ret)), PARTITIONS)];
        if (to->count < DRAWN_MAX) memcpy(to->ids[to->count++], ret, RUN_ID_MAX);
    }
    memcpy(ret, wanted->ids[--wanted->count], RUN_ID_MAX);
}

static void start_one(struct driver *d)
{
    struct flight *flight = xcalloc(1, sizeof *flight);
    draw_id(d, flight->id);
    flight->started_us = clock_mono_us();
    struct bytes route = run_id_route(bytes_of(flight->id));
    struct bytes header[HEADER_COUNT] = {
        [HEADER_V] = BYTES_LIT(MESSAGE_VERSION),    [HEADER_TYPE] = BYTES_LIT("run.start"),
        [HEADER_RUN_ID] = bytes_of(flight->id),     [HEADER_DEFINITION] = bytes_of(d->def->sha256),
        [HEADER_WORKFLOW] = bytes_of(d->def->name), [HEADER_VERSION] = bytes_of(d->def->version),
    };
    struct err e;
    if (!bus_send(d->bus,
                  &(struct bus_message){ .topic = d->events,
                                         .partition = partition_of(route, PARTITIONS),
                                         .key = route,
                                         .value = buf_bytes(&d->input),
                                         .header = header },
                  &d->waiter, &e))
        die("start", &e);
    d->sent++;
    if (d->refill)
        map_put(&d->under_way, bytes_of(flight->id), flight);
    else
        free(flight);
}

static void on_result(void *user, const struct bus_record *r)
{
    struct driver *d = user;
    for (size_t i = 0; i < r->extra_count; i++) {
        if (strcmp(r->extra[i].name, "ce_subject") != 0) continue;
        struct flight *flight = map_remove(&d->under_way, r->extra[i].value);
        if (!flight) return; /* of an earlier phase, or twice */
        uint64_t now = clock_mono_us();
        d->finished++;
        if (now >= d->warm_us && now < d->end_us) {
            d->measured++;
            samples_add(&d->samples, now - flight->started_us);
        }
        free(flight);
        if (d->gathers)
            d->owed++;
        else if (now < d->end_us)
            start_one(d);
        return;
    }
}

static void on_refill(struct loop_timer *t)
{
    struct driver *d = t->user;
    if (clock_mono_us() >= d->end_us) return;
    for (; d->owed > 0; d->owed--) start_one(d);
    loop_arm(d->loop, t, REFILL_MS);
}

static void on_reader_end(void *user, int64_t next)
{
    struct driver *d = user;
    (void)next;
    d->info_pending--;
}

static void on_info(void *user, int32_t partitions, const char *cluster, const struct err *e)
{
    struct driver *d = user;
    (void)cluster;
    if (e) die("topic", e);
    d->info_partitions = partitions;
    d->info_pending--;
}

static void on_offsets(void *user, int64_t start, int64_t end, const struct err *e)
{
    struct driver *d = user;
    (void)start;
    if (e) die("offsets", e);
    d->info_sum += end;
    d->info_pending--;
}

static bool answered(void *user)
{
    return ((struct driver *)user)->info_pending <= 0;
}
static bool acknowledged(void *user)
{
    struct driver *d = user;
    return d->acked == d->sent;
}
static bool drained(void *user)
{
    return ((struct driver *)user)->under_way.count == 0;
}
static bool timed_out(void *user)
{
    return clock_mono_us() >= ((struct driver *)user)->end_us;
}

static void wait_for(struct driver *d, bool (*cond)(void *), uint32_t ms, const char *what)
{
    if (loop_run_until(d->loop, cond, d, ms)) return;
    fprintf(stderr, "steps: %s: nothing within %u ms (%zu runs under way)\n", what, ms,
            d->under_way.count);
    exit(1);
}

static int32_t topic_partitions(struct driver *d, const char *topic)
{
    d->info_pending = 1;
    bus_topic_info(d->bus, topic, on_info, d);
    wait_for(d, answered, 30000, topic);
    return d->info_partitions;
}

static void open_readers(struct driver *d)
{
    struct err e;
    d->reader_count = topic_partitions(d, d->results);
    d->info_pending = d->reader_count;
    for (int32_t p = 0; p < d->reader_count; p++) {
        d->readers[p] = bus_reader_open(d->bus,
                                        &(struct bus_reader_options){ .topic = d->results,
                                                                      .partition = p,
                                                                      .offset = BUS_END,
                                                                      .on_record = on_result,
                                                                      .on_end = on_reader_end,
                                                                      .user = d },
                                        &e);
        if (!d->readers[p]) die("results", &e);
    }
    wait_for(d, answered, 30000, "results");
}

static void load_definition(struct driver *d, const char *path)
{
    struct faults faults = { 0 };
    AUTO_BUF struct buf text = { 0 };
    struct err e;
    if (!file_read(path, MIB, &text, &e)) die("workflow", &e);
    d->def = definition_parse(buf_bytes(&text), &faults);
    if (!d->def) {
        fprintf(stderr, "steps: %s is no definition\n", path);
        exit(1);
    }
}

static void load_input(struct driver *d, const char *path)
{
    struct err e;
    if (path) {
        if (!file_read(path, MIB, &d->input, &e)) die("input", &e);
        return;
    }
    char text[INPUT_SIZE];
    memset(text, 'x', sizeof text);
    text[0] = text[INPUT_SIZE - 1] = '"';
    buf_add(&d->input, text, sizeof text);
}

static void drive(struct driver *d, uint32_t in_flight, uint32_t seconds)
{
    if (in_flight >= 100)
        loop_pace(d->loop, 5000); /* the driver shares the cores with what it measures */
    open_readers(d);
    (void)topic_partitions(d, d->events);
    d->refill = true;
    uint64_t now = clock_mono_us();
    d->warm_us = now + 2000000;
    d->end_us = d->warm_us + seconds * 1000000ull;
    d->gathers = in_flight >= REFILL_RUNS;
    for (uint32_t i = 0; i < in_flight; i++) start_one(d);
    d->refill_timer = (struct loop_timer){ .on_due = on_refill, .user = d };
    if (d->gathers) loop_arm(d->loop, &d->refill_timer, REFILL_MS);
    wait_for(d, timed_out, (seconds + 10) * 1000, "phase");
    wait_for(d, drained, 60000, "the last runs");
    printf("{\"runs_per_s\":%.1f,\"run_p50_ms\":%.3f,\"run_p99_ms\":%.3f,\"runs\":%" PRIu64 "}\n",
           (double)d->measured / seconds, samples_ms(&d->samples, 0.5),
           samples_ms(&d->samples, 0.99), d->finished);
}

static void start_only(struct driver *d, uint32_t count)
{
    (void)topic_partitions(d, d->events);
    for (uint32_t i = 0; i < count; i++) start_one(d);
    wait_for(d, acknowledged, 60000, "starts");
    printf("{\"started\":%u}\n", count);
}

static void count_records(struct driver *d, const char *topic)
{
    int32_t partitions = topic_partitions(d, topic);
    d->info_pending = partitions;
    for (int32_t p = 0; p < partitions; p++) bus_offsets(d->bus, topic, p, on_offsets, d);
    wait_for(d, answered, 30000, topic);
    printf("%" PRId64 "\n", d->info_sum);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fputs("usage: steps BROKERS PREFIX WORKFLOW.yaml IN_FLIGHT SECONDS [INPUT.json] | "
              "... WORKFLOW.yaml --start COUNT | ... --count TOPIC\n",
              stderr);
        return 2;
    }
    struct err e;
    struct driver d = { .log = log_new("bench", LOG_WARN, 2),
                        .prefix = argv[2],
                        .waiter = { .done = on_ack } };
    d.loop = loop_new(&e);
    if (!d.loop) die("loop", &e);
    d.bus = bus_open(
        d.loop, &(struct bus_options){ .brokers = argv[1], .client_id = "bench", .log = &d.log },
        &e);
    if (!d.bus) die("kafka", &e);
    d.events = xasprintf("%s.events", d.prefix);
    d.results = xasprintf("%s.results", d.prefix);
    load_input(&d, argc > 6 ? argv[6] : NULL);
    if (strcmp(argv[3], "--count") == 0) {
        count_records(&d, argv[4]);
    } else {
        load_definition(&d, argv[3]);
        if (strcmp(argv[4], "--start") == 0)
            start_only(&d, (uint32_t)strtoul(argv[5], NULL, 10));
        else
            drive(&d, (uint32_t)strtoul(argv[4], NULL, 10), (uint32_t)strtoul(argv[5], NULL, 10));
    }
    fflush(stdout);
    _Exit(0);
}
