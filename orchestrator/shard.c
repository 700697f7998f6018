/* SPDX-License-Identifier: Apache-2.0
 *
 * A shard's set-up and its turns. Set-up is a list of conditions that are tried again until they
 * hold: the topics exist and have the right number of partitions, Redis answers, evicts nothing and
 * belongs to this installation, the definitions are read; then it joins the group. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "orchestrator/internal.h"

#define TICK_MS  100
#define STOP_MS  SECOND_MS /* how long a stop waits for commits under way */
#define STATS_MS (60 * SECOND_MS)

#define X(name, stem) extern const char script_##stem[];
SCRIPTS(X)
#undef X

const struct script *shard_script(const struct shard *shard, enum script_id id)
{
    return &shard->scripts[id];
}

void shard_fail(struct shard *shard, const struct err *e)
{
    if (shard->fatal.kind != ERR_NONE) return;
    shard->fatal = *e;
    log_error(&shard->log, "shard.failed", "%s: this orchestrator stops", e->text);
    shard_stop(shard);
}

void shard_refused(struct shard *shard, struct bytes why)
{
    if (!shard->refused)
        log_error(&shard->log, "redis.refuses",
                  "Redis refuses to write (%.*s): nothing moves until it does, nothing is lost",
                  (int)MIN(why.len, (size_t)200), why.len ? why.data : "");
    shard->refused = true;
}

void shard_accepted(struct shard *shard)
{
    if (shard->refused) log_info(&shard->log, "redis.writes", "Redis takes what is written again");
    shard->refused = false;
}

/* --- set-up --- */

static void setup_next(struct shard *shard);

static void setup_retry(struct shard *shard, const char *what, const char *why)
{
    if (strcmp(shard->setup_trouble, why) != 0) /* say it once, not every half second */
        log_warn(&shard->log, "setup.waiting", "%s: %s; trying again", what, why);
    snprintf(shard->setup_trouble, sizeof shard->setup_trouble, "%s", why);
    loop_arm(shard->loop, &shard->setup_timer, 500);
}

static void setup_done(struct shard *shard)
{
    shard->setup_trouble[0] = '\0';
    shard->setup_step++;
    setup_next(shard);
}

static void on_topics(void *user, const struct err *e)
{
    struct shard *shard = user;
    if (e)
        setup_retry(shard, "topics", e->text);
    else
        setup_done(shard);
}

static void setup_topics(struct shard *shard)
{
    static const char *const compact[][2] = { { "cleanup.policy", "compact" }, { NULL, NULL } };
    static const char *const append_time[][2] = { { "message.timestamp.type", "LogAppendTime" },
                                                  { NULL, NULL } };
    if (!shard->options.create_topics) {
        setup_done(shard);
        return;
    }
    static const char *const week[][2] = { { "retention.ms", "604800000" }, { NULL, NULL } };
    int16_t replicas = shard->options.replication;
    struct bus_topic_spec specs[] = {
        { .name = shard->events_topic,
          .partitions = shard->options.partitions,
          .replicas = replicas,
          .config = append_time },
        { .name = shard->definitions_topic,
          .partitions = 1,
          .replicas = replicas,
          .config = compact },
        { .name = shard->snapshots_topic,
          .partitions = shard->options.partitions,
          .replicas = replicas,
          .config = compact },
        { .name = shard->results_topic,
          .partitions = shard->options.partitions, /* each run's partition has one to itself */
          .replicas = replicas },
        { .name = shard->dlq_topic, .partitions = 4, .replicas = replicas },
        { .name = shard->lifecycle_topic, /* the last: not everybody wants it */
          .partitions = shard->options.partitions,
          .replicas = replicas,
          .config = week },
    };
    size_t count = ARRAY_LEN(specs) - !shard->options.lifecycle;
    bus_create_topics(shard->bus, specs, count, on_topics, shard);
}

/* A topic whose partitions are ours: as many as the option says. */
static bool partitions_good(struct shard *shard, const char *topic, int32_t partitions,
                            const struct err *e)
{
    if (e || partitions == 0) {
        setup_retry(shard, topic, e ? e->text : "the topic does not exist");
        return false;
    }
    if (partitions == shard->options.partitions) return true;
    struct err why;
    err_fail(&why, ERR_CONFLICT,
             "topic %s has %d partitions, but this orchestrator is set up for %d (option "
             "partitions). The number is fixed for the life of an "
             "installation: set the option to %d, or use another prefix",
             topic, partitions, shard->options.partitions, partitions);
    shard_fail(shard, &why);
    return false;
}

static void on_events_info(void *user, int32_t partitions, const char *cluster_id,
                           const struct err *e)
{
    struct shard *shard = user;
    if (!partitions_good(shard, shard->events_topic, partitions, e)) return;
    snprintf(shard->cluster_id, sizeof shard->cluster_id, "%s", cluster_id ? cluster_id : "");
    setup_done(shard);
}

static void on_snapshots_info(void *user, int32_t partitions, const char *cluster_id,
                              const struct err *e)
{
    struct shard *shard = user;
    (void)cluster_id;
    if (partitions_good(shard, shard->snapshots_topic, partitions, e)) setup_done(shard);
}

/* A topic that the fold writes to: how many partitions it has. */
static void setup_output(struct shard *shard, const char *topic, int32_t partitions,
                         const struct err *e, int32_t *ret)
{
    if (e || partitions == 0) {
        setup_retry(shard, topic, e ? e->text : "the topic does not exist");
        return;
    }
    *ret = partitions;
    setup_done(shard);
}

static void on_results_info(void *user, int32_t partitions, const char *cluster_id,
                            const struct err *e)
{
    struct shard *shard = user;
    (void)cluster_id;
    setup_output(shard, shard->results_topic, partitions, e, &shard->results_partitions);
}

static void on_lifecycle_info(void *user, int32_t partitions, const char *cluster_id,
                              const struct err *e)
{
    struct shard *shard = user;
    (void)cluster_id;
    setup_output(shard, shard->lifecycle_topic, partitions, e, &shard->lifecycle_partitions);
}

static void on_dlq_info(void *user, int32_t partitions, const char *cluster_id, const struct err *e)
{
    struct shard *shard = user;
    (void)cluster_id;
    setup_output(shard, shard->dlq_topic, partitions, e, &shard->dlq_partitions);
}

static bool policy_good(struct shard *shard, struct bytes policy)
{
    if (bytes_is(policy, "noeviction")) return true;
    struct err why;
    err_fail(&why, ERR_CONFLICT,
             "Redis has maxmemory-policy %.*s: it would silently evict state. Set it to noeviction",
             (int)policy.len, policy.data);
    shard_fail(shard, &why);
    return false;
}

static void ask_policy(struct shard *shard, store_fn done)
{
    struct bytes argv[] = { BYTES_LIT("CONFIG"), BYTES_LIT("GET"), BYTES_LIT("maxmemory-policy") };
    store_command(shard->store, argv, ARRAY_LEN(argv), done, shard);
}

static void on_policy(void *user, enum store_status status, const struct store_reply *reply)
{
    struct shard *shard = user;
    if (status == STORE_LOST) {
        setup_retry(shard, "Redis", "no answer");
        return;
    }
    bool told = status == STORE_OK && store_count(reply) >= 2;
    struct bytes policy = told ? store_string(store_at(reply, 1)) : (struct bytes){ 0 };
    if (!told) {
        log_warn(&shard->log, "setup.policy",
                 "Redis does not tell its maxmemory-policy: make sure that it is noeviction");
    } else if (!policy_good(shard, policy)) {
        return;
    }
    setup_done(shard);
}

static void setup_redis(struct shard *shard)
{
    struct err e;
    if (!store_connected(shard->store)) {
        setup_retry(shard, "Redis", store_error(shard->store, &e) ? e.text : "not connected yet");
        return;
    }
    ask_policy(shard, on_policy);
}

static void on_installation(void *user, enum store_status status, const struct store_reply *reply)
{
    struct shard *shard = user;
    if (status != STORE_OK) {
        if (shard->setup_step == SETUP_DONE) { /* the next tick asks again */
            shard->sys_due = true;
            return;
        }
        struct bytes text = store_string(reply);
        AUTO_FREE char *why = xstrndup(text.len ? text.data : "no answer", text.len ? text.len : 9);
        setup_retry(shard, "Redis", why);
        return;
    }
    int64_t partitions = store_integer(store_at(reply, 0)),
            format = store_integer(store_at(reply, 2));
    struct bytes cluster = store_string(store_at(reply, 1));
    struct err why = { 0 };
    if (partitions != shard->options.partitions)
        err_fail(&why, ERR_CONFLICT,
                 "Redis holds an installation of %lld partitions under prefix %s, this "
                 "orchestrator is set up for %d",
                 (long long)partitions, shard->prefix, shard->options.partitions);
    else if (format != 1)
        err_fail(&why, ERR_UNSUPPORTED, "Redis holds state of format %lld, this program knows 1",
                 (long long)format);
    else if (shard->cluster_id[0] && cluster.len && !bytes_is(cluster, shard->cluster_id))
        err_fail(&why, ERR_CONFLICT,
                 "Redis belongs to Kafka cluster %.*s, but the brokers are of cluster %s: check "
                 "kafka.brokers and redis.host, or use another prefix",
                 (int)cluster.len, cluster.data, shard->cluster_id);
    if (why.kind != ERR_NONE)
        shard_fail(shard, &why);
    else if (shard->setup_step == SETUP_INSTALLATION)
        setup_done(shard);
}

static void setup_installation(struct shard *shard)
{
    AUTO_BUF struct buf key = { 0 };
    key_sys(&key, shard->prefix);
    struct args args = { 0 };
    args_add(&args, buf_bytes(&key));
    args_add_int(&args, shard->options.partitions);
    args_add(&args, bytes_of(shard->cluster_id));
    args_add_int(&args, 1);
    AUTO_FREE struct bytes *argv = args_views(&args);
    store_script(shard->store, shard_script(shard, SCRIPT_INSTALLATION), 1, argv, args.count,
                 on_installation, shard);
    args_done(&args);
}

static void setup_catalogue(struct shard *shard)
{
    struct err e;
    if (!shard->catalogue) shard->catalogue = catalogue_open(shard, &e);
    if (!shard->catalogue)
        setup_retry(shard, shard->definitions_topic, e.text);
    else if (!catalogue_ready(shard->catalogue))
        loop_arm(shard->loop, &shard->setup_timer, 10);
    else
        setup_done(shard);
}

/* --- the group --- */

static void on_assign(void *user, const char *topic, int32_t partition)
{
    struct shard *shard = user;
    (void)topic;
    ASSERT(partition < shard->options.partitions && !shard->partitions[partition]);
    shard->partitions[partition] = partition_new(shard, partition);
    log_info(&shard->partitions[partition]->log, "partition.assigned", "ours: claiming it");
}

static void on_revoke(void *user, const char *topic, int32_t partition, bool lost)
{
    struct shard *shard = user;
    (void)topic;
    struct partition *part = shard->partitions[partition];
    if (!part) return;
    log_info(&part->log, "partition.revoked",
             lost ? "lost to the group" : "given back at offset %lld", (long long)part->off);
    /* Whoever has it now looks at what is there and writes the rest: what waits here for a broker
     * that does not answer must not come after it. A lost session is that of all partitions. */
    if (lost) bus_purge(shard->bus);
    partition_revoke(part);
}

static void on_record(void *user, const struct bus_record *r)
{
    struct shard *shard = user;
    if (shard->partitions[r->partition]) partition_record(shard->partitions[r->partition], r);
}

static void on_group_error(void *user, const char *topic, int32_t partition, const struct err *e)
{
    struct shard *shard = user;
    struct partition *part = shard->partitions[partition];
    log_warn(&shard->log, "partition.read", "%s/%d: %s", topic, partition, e->text);
    if (part) partition_reload(part, 5 * RETRY_MS, e->text);
}

static void setup_join(struct shard *shard)
{
    struct err e;
    AUTO_FREE char *name = xasprintf("%s-orchestrators", shard->prefix);
    const char *topics[] = { shard->events_topic };
    shard->group = bus_join(shard->bus,
                            &(struct bus_group_options){ .group = name,
                                                         .topics = topics,
                                                         .topic_count = 1,
                                                         .on_assign = on_assign,
                                                         .on_revoke = on_revoke,
                                                         .on_record = on_record,
                                                         .on_error = on_group_error,
                                                         .user = shard },
                            &e);
    if (!shard->group) {
        setup_retry(shard, name, e.text);
        return;
    }
    shard->triggers = triggers_open(shard);
    triggers_update(shard->triggers);
    log_info(&shard->log, "shard.joined", "set up: %d partitions, waiting for an assignment",
             shard->options.partitions);
    setup_done(shard);
}

static void setup_next(struct shard *shard)
{
    if (shard->stopping) return;
    switch (shard->setup_step) {
    case SETUP_TOPICS: setup_topics(shard); break;
    case SETUP_EVENTS:
        bus_topic_info(shard->bus, shard->events_topic, on_events_info, shard);
        break;
    case SETUP_SNAPSHOTS:
        bus_topic_info(shard->bus, shard->snapshots_topic, on_snapshots_info, shard);
        break;
    case SETUP_RESULTS:
        bus_topic_info(shard->bus, shard->results_topic, on_results_info, shard);
        break;
    case SETUP_LIFECYCLE:
        if (shard->options.lifecycle)
            bus_topic_info(shard->bus, shard->lifecycle_topic, on_lifecycle_info, shard);
        else
            setup_done(shard);
        break;
    case SETUP_DLQ: bus_topic_info(shard->bus, shard->dlq_topic, on_dlq_info, shard); break;
    case SETUP_REDIS: setup_redis(shard); break;
    case SETUP_INSTALLATION: setup_installation(shard); break;
    case SETUP_CATALOGUE: setup_catalogue(shard); break;
    case SETUP_JOIN: setup_join(shard); break;
    case SETUP_DONE: break;
    }
}

static void on_setup_timer(struct loop_timer *t)
{
    setup_next(t->user);
}

/* --- turns --- */

void wave_leave(struct wave *wave)
{
    if (--wave->folds > 0) return;
    wave->shard->waves--;
    free(wave);
}

/* One wave: what every partition has queued, folded in one turn. */
static void fold_wave(struct shard *shard)
{
    uint64_t now = loop_now_ms(shard->loop);
    if (shard->waves >= shard->options.pipeline && now - shard->wave_ms < WAVE_MS) return;
    struct wave *wave = xcalloc(1, sizeof *wave);
    wave->shard = shard;
    wave->folds = 1; /* ours, until all are in */
    shard->waves++;
    for (int32_t p = 0; p < shard->options.partitions; p++)
        if (shard->partitions[p]) partition_fold(shard->partitions[p], wave);
    if (wave->folds > 1) shard->wave_ms = now;
    wave_leave(wave);
}

/* Encoded and not answered yet. */
static bool committing(const struct partition *part)
{
    return part && part->state == PARTITION_RUNNING && part->batches && part->batches->sealed;
}

/* Commits the open batches that are due, a few at a time: together they would hold up Redis for
 * what workers ask it, and hold as much memory as they write. An answer makes a turn for the next;
 * the timer makes one when the next is due. */
static void commit_due(struct shard *shard)
{
    uint64_t now = loop_now_ms(shard->loop), next = UINT64_MAX;
    int32_t count = shard->options.partitions, under_way = 0;
    for (int32_t p = 0; p < count; p++) under_way += committing(shard->partitions[p]);
    for (int32_t i = 0; i < count; i++) {
        int32_t p = (shard->commit_turn + i) % count;
        struct partition *part = shard->partitions[p];
        uint64_t due_ms = part ? fold_due_ms(part) : UINT64_MAX;
        if (due_ms > now) {
            next = MIN(next, due_ms);
            continue;
        }
        if (under_way >= COMMITS_MAX) {
            shard->commit_turn = p;
            break;
        }
        fold_close(part);
        under_way++;
    }
    struct loop_timer *timer = &shard->commit_timer;
    if (next == UINT64_MAX)
        loop_disarm(shard->loop, timer);
    else if (!loop_armed(timer) || timer->due_ms != next)
        loop_arm(shard->loop, timer, next - now);
}

void shard_left(struct shard *shard)
{
    if (shard->leaving > 0 && --shard->leaving > 0) return;
    loop_stop(shard->loop);
}

static void on_left(void *user)
{
    struct shard *shard = user;
    shard->group = NULL;
    shard_left(shard);
}

/* The turn that it makes looks what is due. */
static void on_commit_timer(struct loop_timer *t)
{
    (void)t;
}

/* Nothing is folded any more. The groups are left when what was folded is committed, or after
 * STOP_MS: whoever comes next then finds nothing in doubt. */
static void stop_turn(struct shard *shard)
{
    if (shard->leave_ms == 0) return;
    bool idle = true;
    for (int32_t p = 0; p < shard->options.partitions; p++) {
        struct partition *part = shard->partitions[p];
        if (!part || part->state != PARTITION_RUNNING) continue;
        fold_close(part);
        idle &= !part->batches;
    }
    if (!idle && loop_now_ms(shard->loop) < shard->leave_ms) return;
    shard->leave_ms = 0;
    shard->leaving = (shard->group != NULL) + 1;
    if (shard->triggers && triggers_leave(shard->triggers)) shard->leaving++;
    if (shard->group) bus_leave(shard->group, on_left, shard);
    shard_left(shard);
}

static void on_turn(void *user)
{
    struct shard *shard = user;
    for (int32_t p = 0; p < shard->options.partitions; p++) {
        struct partition *part = shard->partitions[p];
        if (!part) continue;
        partition_pump(part);
        partition_make_room(part);
        /* A turn of replays folds for long and says much: Redis works meanwhile. */
        if (part->recovery) store_push(shard->store);
    }
    if (shard->stopping) {
        stop_turn(shard);
        return;
    }
    fold_wave(shard);
    commit_due(shard);
    outputs_turn_over(shard);
}

static void log_stats(struct shard *shard)
{
    struct shard_stats stats;
    shard_stats(shard, &stats);
    log_info(
        &shard->log, "shard.stats",
        "%llu events folded, %llu commits, %zu partitions running, %zu runs cached in %zu bytes",
        (unsigned long long)stats.events_folded, (unsigned long long)stats.commits,
        stats.partitions_running, stats.runs_cached, stats.cache_bytes);
}

static void on_tick(struct loop_timer *t)
{
    struct shard *shard = t->user;
    loop_arm(shard->loop, &shard->tick, TICK_MS);
    for (int32_t p = 0; p < shard->options.partitions; p++)
        if (shard->partitions[p]) partition_housekeep(shard->partitions[p]);
    if (shard->catalogue) catalogue_tick(shard->catalogue);
    payload_sweep_tick(shard);
    if (shard->sys_due && shard->setup_step == SETUP_DONE && store_connected(shard->store)) {
        shard->sys_due = false;
        setup_installation(shard);
    }
    uint64_t now = loop_now_ms(shard->loop);
    if (shard->folded != shard->folded_logged && now - shard->logged_ms >= STATS_MS) {
        shard->folded_logged = shard->folded;
        shard->logged_ms = now;
        log_stats(shard);
    }
}

/* Eviction that was turned on behind our back, or a replacement that has it. */
static void on_policy_again(void *user, enum store_status status, const struct store_reply *reply)
{
    struct shard *shard = user;
    if (status == STORE_OK && store_count(reply) >= 2)
        (void)policy_good(shard, store_string(store_at(reply, 1)));
}

/* Another server, or the same one restarted: a new generation, which every partition has to claim.
 */
static void on_redis(void *user, const char *run_id)
{
    struct shard *shard = user;
    bool changed = shard->run_id[0] && strcmp(shard->run_id, run_id) != 0;
    snprintf(shard->run_id, sizeof shard->run_id, "%s", run_id);
    for (int32_t p = 0; changed && p < shard->options.partitions; p++)
        if (shard->partitions[p] && shard->partitions[p]->state != PARTITION_CLAIMING)
            partition_reload(shard->partitions[p], 0, "Redis was restarted or replaced");
    if (shard->setup_step > SETUP_REDIS) ask_policy(shard, on_policy_again);
}

/* --- open and close --- */

void random_text(char ret[RANDOM_TEXT_MAX])
{
    unsigned char bytes[(RANDOM_TEXT_MAX - 1) / 2];
    random_bytes(bytes, sizeof bytes);
    hex_encode(bytes, sizeof bytes, ret);
}

static char *topic_of(const struct shard *shard, const char *name)
{
    struct buf topic = { 0 };
    topic_name(&topic, shard->prefix, name);
    return buf_take(&topic, NULL);
}

/* Who does not answer for a session is replaced, and its successor looks at what is there: nothing
 * may be older in the queue of a process that was only stopped, and wakes up. */
static uint32_t output_timeout_ms(const struct bus_options *bus)
{
    return bus->session_timeout_ms ? MIN(bus->message_timeout_ms, bus->session_timeout_ms / 4 * 3)
                                   : bus->message_timeout_ms;
}

struct shard *shard_open(struct loop *loop, const struct shard_options *options, struct err *e)
{
    CLEANUP(shard_close_p) struct shard *shard = xcalloc(1, sizeof *shard);
    shard->options = *options;
    shard->prefix = xstrdup(options->prefix);
    shard->name = xstrdup(options->name);
    random_text(shard->instance);
    shard->log = log_with_text(options->log, "owner", options->name);
    shard->loop = loop;
    shard->cache.memory_max = options->cache_bytes_max;
    shard->partitions = xcalloc((size_t)options->partitions, sizeof(struct partition *));
    shard->events_topic = topic_of(shard, "events");
    shard->results_topic = topic_of(shard, "results");
    shard->lifecycle_topic = topic_of(shard, "lifecycle");
    shard->definitions_topic = topic_of(shard, "definitions");
    shard->dlq_topic = topic_of(shard, "dlq");
    shard->snapshots_topic = topic_of(shard, "snapshots");
#define X(name_, stem) shard->scripts[SCRIPT_##name_] = script_make(#stem, script_##stem);
    SCRIPTS(X)
#undef X
    struct bus_options bus = options->bus;
    bus.log = &shard->log;
    bus.message_timeout_ms = output_timeout_ms(&options->bus);
    shard->bus = bus_open(loop, &bus, e);
    if (!shard->bus) return NULL;
    struct store_options store = options->store;
    store.log = &shard->log;
    store.on_connect = on_redis;
    store.user = shard;
    shard->store = store_open(loop, &store, e);
    if (!shard->store) return NULL;
    shard->guards = guards_new(shard->store);
    struct payload_store_options payloads = options->payloads;
    payloads.log = &shard->log;
    shard->payloads = payload_store_open(loop, &payloads, e);
    if (!shard->payloads) return NULL;
    store_use_scripts(shard->store, shard->scripts, SCRIPT_COUNT);
    loop_on_flush(loop, on_turn, shard);
    shard->tick = (struct loop_timer){ .on_due = on_tick, .user = shard };
    shard->setup_timer = (struct loop_timer){ .on_due = on_setup_timer, .user = shard };
    shard->commit_timer = (struct loop_timer){ .on_due = on_commit_timer };
    loop_arm(loop, &shard->tick, TICK_MS);
    setup_next(shard);
    return TAKE(shard);
}

void shard_stop(struct shard *shard)
{
    if (shard->stopping) return;
    shard->stopping = true;
    loop_disarm(shard->loop, &shard->setup_timer);
    shard->leave_ms = loop_now_ms(shard->loop) + STOP_MS;
    loop_arm(shard->loop, &shard->commit_timer, STOP_MS);
    loop_again(shard->loop);
}

struct shard *shard_close(struct shard *shard)
{
    if (!shard) return NULL;
    loop_disarm(shard->loop, &shard->tick);
    loop_disarm(shard->loop, &shard->setup_timer);
    loop_disarm(shard->loop, &shard->commit_timer);
    for (int32_t p = 0; p < shard->options.partitions; p++)
        if (shard->partitions[p]) partition_revoke(shard->partitions[p]);
    shard->stopping = true;
    payload_sweep_end(shard);
    store_close(shard->store); /* every reply comes, as lost */
    guards_free(shard->guards);
    bus_close(shard->bus); /* every delivery comes, as failed, and every answer, as an error */
    payload_store_close(shard->payloads); /* likewise */
    triggers_close(shard->triggers);
    schedules_close(shard);
    catalogue_close(shard->catalogue);
    ASSERT(!shard->buried);
    effects_done(&shard->effects);
    fields_done(&shard->fields);
    free(shard->partitions);
    free(shard->events_topic);
    free(shard->results_topic);
    free(shard->lifecycle_topic);
    free(shard->definitions_topic);
    free(shard->dlq_topic);
    free(shard->snapshots_topic);
    free(shard->prefix);
    free(shard->name);
    free(shard);
    return NULL;
}

bool shard_failed(const struct shard *shard, struct err *ret)
{
    *ret = shard->fatal;
    return shard->fatal.kind != ERR_NONE;
}

bool shard_ready(const struct shard *shard)
{
    for (int32_t p = 0; p < shard->options.partitions; p++)
        if (shard->partitions[p] && shard->partitions[p]->halted) return false;
    return shard->group && bus_group_joined(shard->group) && store_connected(shard->store) &&
           !shard->refused;
}

void shard_stats(const struct shard *shard, struct shard_stats *ret)
{
    *ret = (struct shard_stats){ .events_folded = shard->folded,
                                 .commits = shard->commits,
                                 .floors = shard->floors,
                                 .runs_cached = shard->cache.count,
                                 .cache_bytes = shard->cache.memory };
    for (int32_t p = 0; p < shard->options.partitions; p++)
        ret->partitions_running +=
            shard->partitions[p] && shard->partitions[p]->state == PARTITION_RUNNING;
}
