/* SPDX-License-Identifier: Apache-2.0
 *
 * The definitions topic in memory, compiled, by sha256; of two contents under one version the lower
 * offset wins. A definition is used once the task topics that it names are known. Each shard keeps
 * its own: compiled definitions are for one thread. */
#include <stdlib.h>

#include "orchestrator/internal.h"

struct known {
    struct definition *def;
    int64_t offset, deployed_ms;
    struct queue **queues; /* that its steps name */
    size_t queue_count;
};
struct latest { /* of one name */
    struct known *known;
    char *name;
};
struct versioned { /* who holds name@version */
    char *label;
    struct known *known;
};

struct catalogue {
    struct shard *shard;
    struct bus_reader *reader;
    struct map by_sha, by_version, by_name, queues[PRIORITY_COUNT];
    struct known *last; /* found last: runs of one definition come in crowds */
    bool ready;
};

/* --- queues --- */

static void ask_queue(struct queue *queue);

static void on_queue_info(void *user, int32_t partitions, const char *cluster_id,
                          const struct err *e)
{
    struct queue *queue = user;
    struct shard *shard = queue->catalogue->shard;
    (void)cluster_id;
    queue->asking = false;
    if (e || partitions == 0) {
        log_warn(&shard->log, "queue.unknown", "task topic %s: %s; asking again", queue->topic,
                 e ? e->text : "it does not exist (create it, or allow kafka.create_topics)");
        queue->asked_ms = loop_now_ms(shard->loop);
        return;
    }
    queue->partitions = partitions;
}

static void on_queue_created(void *user, const struct err *e)
{
    struct queue *queue = user;
    if (e)
        log_warn(&queue->catalogue->shard->log, "queue.create", "task topic %s: %s", queue->topic,
                 e->text);
    if (queue->catalogue->shard->stopping) return; /* the bus is being closed */
    bus_topic_info(queue->catalogue->shard->bus, queue->topic, on_queue_info, queue);
}

static void ask_queue(struct queue *queue)
{
    struct shard *shard = queue->catalogue->shard;
    queue->asking = true;
    if (!shard->options.create_topics) {
        on_queue_created(queue, NULL);
        return;
    }
    struct bus_topic_spec spec = { .name = queue->topic,
                                   .partitions = shard->options.tasks_partitions,
                                   .replicas = shard->options.replication };
    bus_create_topics(shard->bus, &spec, 1, on_queue_created, queue);
}

static struct queue *queue_of(struct catalogue *c, const char *name, enum priority priority)
{
    struct map *queues = &c->queues[priority];
    struct queue *queue = map_get(queues, bytes_of(name));
    if (queue) return queue;
    queue = xcalloc(1, sizeof *queue);
    queue->name = xstrdup(name);
    queue->catalogue = c;
    struct buf topic = { 0 };
    topic_tasks(&topic, c->shard->prefix, name, priority);
    queue->topic = buf_take(&topic, NULL);
    map_put(queues, bytes_of(queue->name), queue);
    ask_queue(queue);
    return queue;
}

const struct queue *catalogue_queue(const struct catalogue *c, const char *name,
                                    enum priority priority)
{
    return map_get(&c->queues[priority], bytes_of(name));
}

static void ask_again(struct catalogue *c, const struct map *queues)
{
    size_t pos = 0;
    for (struct queue *queue; (queue = map_next(queues, &pos));)
        if (!queue->asking && queue->partitions == 0 &&
            loop_now_ms(c->shard->loop) - queue->asked_ms > SECOND_MS)
            ask_queue(queue);
}

void catalogue_tick(struct catalogue *c)
{
    for (size_t i = 0; i < ARRAY_LEN(c->queues); i++) ask_again(c, &c->queues[i]);
}

static void queues_done(struct map *queues)
{
    size_t pos = 0;
    for (struct queue *queue; (queue = map_next(queues, &pos));) {
        free(queue->name);
        free(queue->topic);
        free(queue);
    }
    map_done(queues);
}

/* --- definitions --- */

static struct known *known_new(struct catalogue *c, struct definition *def,
                               const struct bus_record *r)
{
    struct known *known = xcalloc(1, sizeof *known);
    known->def = def;
    known->offset = r->offset;
    known->deployed_ms = r->timestamp_ms;
    known->queues = xcalloc(def->step_count, sizeof *known->queues);
    for (uint32_t i = 0; i < def->step_count; i++)
        if (step_kind_is_task(def->steps[i].kind))
            known->queues[known->queue_count++] =
                queue_of(c, def->steps[i].queue, def->steps[i].priority);
    return known;
}

/* key: name@version/sha256 */
static bool split_key(struct bytes key, struct bytes *label, char sha[SHA256_HEX])
{
    if (key.len < SHA256_HEX + 3 || key.data[key.len - SHA256_HEX] != '/') return false;
    *label = (struct bytes){ key.data, key.len - SHA256_HEX };
    memcpy(sha, key.data + key.len - (SHA256_HEX - 1), SHA256_HEX - 1);
    sha[SHA256_HEX - 1] = '\0';
    return true;
}

static void changed(struct catalogue *c)
{
    schedules_update(c->shard);
    if (c->shard->triggers) triggers_update(c->shard->triggers);
}

static void add(struct catalogue *c, struct bytes label, struct definition *def,
                const struct bus_record *r)
{
    struct known *known = known_new(c, def, r);
    map_put(&c->by_sha, bytes_of(def->sha256), known);
    if (map_get(&c->by_version, label)) {
        /* Runs that were started with it keep it; the version itself belongs to whoever came first.
         */
        log_warn(&c->shard->log, "definition.conflict",
                 "another content was deployed as %.*s before: this one is not its latest",
                 (int)label.len, label.data);
        return;
    }
    struct versioned *version = xcalloc(1, sizeof *version);
    *version = (struct versioned){ .label = xstrndup(label.data, label.len), .known = known };
    map_put(&c->by_version, bytes_of(version->label), version);
    struct latest *latest = map_get(&c->by_name, bytes_of(def->name));
    if (!latest) {
        latest = xcalloc(1, sizeof *latest);
        latest->name = xstrdup(def->name);
        map_put(&c->by_name, bytes_of(latest->name), latest);
    }
    latest->known = known;
    log_info(&c->shard->log, "definition.known", "%s, sha256 %s", version->label, def->sha256);
    if (c->ready) changed(c);
}

static void on_record(void *user, const struct bus_record *r)
{
    struct catalogue *c = user;
    struct bytes label;
    char sha[SHA256_HEX];
    if (!split_key(r->message.key, &label, sha)) {
        log_warn(&c->shard->log, "definition.malformed",
                 "the record at offset %lld has no key of the form name@version/sha256: ignored",
                 (long long)r->offset);
        return;
    }
    if (!r->message.value.data || map_get(&c->by_sha, bytes_of(sha))) return;
    struct err e;
    struct definition *def = definition_load(r->message.value, sha, &e);
    if (def)
        add(c, label, def, r);
    else
        log_warn(&c->shard->log, "definition.unusable",
                 "%.*s: %s; runs of it wait until a version that can read it runs", (int)label.len,
                 label.data, e.text);
}

static void on_end(void *user, int64_t next_offset)
{
    struct catalogue *c = user;
    (void)next_offset;
    if (c->ready) return;
    c->ready = true;
    changed(c);
}

static void on_error(void *user, const struct err *e)
{
    struct catalogue *c = user;
    log_warn(&c->shard->log, "definition.read", "%s", e->text);
}

struct catalogue *catalogue_open(struct shard *shard, struct err *e)
{
    struct catalogue *c = xcalloc(1, sizeof *c);
    c->shard = shard;
    c->reader = bus_reader_open(shard->bus,
                                &(struct bus_reader_options){ .topic = shard->definitions_topic,
                                                              .partition = 0,
                                                              .offset = BUS_START,
                                                              .on_record = on_record,
                                                              .on_end = on_end,
                                                              .on_error = on_error,
                                                              .user = c },
                                e);
    if (!c->reader) return catalogue_close(c);
    (void)queue_of(c, "default", PRIORITY_NORMAL);
    return c;
}

struct catalogue *catalogue_close(struct catalogue *c)
{
    if (!c) return NULL;
    bus_reader_close(c->reader);
    size_t pos = 0;
    for (struct known *known; (known = map_next(&c->by_sha, &pos));) {
        definition_free(known->def);
        free(known->queues);
        free(known);
    }
    pos = 0;
    for (struct versioned *version; (version = map_next(&c->by_version, &pos));) {
        free(version->label);
        free(version);
    }
    pos = 0;
    for (struct latest *latest; (latest = map_next(&c->by_name, &pos));) {
        free(latest->name);
        free(latest);
    }
    map_done(&c->by_sha);
    map_done(&c->by_version);
    map_done(&c->by_name);
    for (size_t i = 0; i < ARRAY_LEN(c->queues); i++) queues_done(&c->queues[i]);
    free(c);
    return NULL;
}

bool catalogue_ready(const struct catalogue *c)
{
    return c->ready;
}

const struct definition *catalogue_find(struct catalogue *c, const char *sha256)
{
    if (c->last && strcmp(c->last->def->sha256, sha256) == 0) return c->last->def;
    struct known *known = map_get(&c->by_sha, bytes_of(sha256));
    if (!known) return NULL;
    for (size_t i = 0; i < known->queue_count; i++)
        if (known->queues[i]->partitions == 0) return NULL;
    c->last = known;
    return known->def;
}

const struct definition *catalogue_resolve(const struct catalogue *c, struct bytes name,
                                           struct bytes version)
{
    if (!version.len) {
        const struct latest *latest = map_get(&c->by_name, name);
        return latest ? latest->known->def : NULL;
    }
    AUTO_BUF struct buf label = { 0 };
    buf_addf(&label, "%.*s@%.*s", (int)name.len, name.data, (int)version.len, version.data);
    const struct versioned *found = map_get(&c->by_version, buf_bytes(&label));
    return found ? found->known->def : NULL;
}

int64_t catalogue_deployed_ms(const struct catalogue *c, const struct definition *def)
{
    const struct known *known = map_get(&c->by_sha, bytes_of(def->sha256));
    return known ? known->deployed_ms : 0;
}

const struct definition *catalogue_next_latest(const struct catalogue *c, size_t *pos)
{
    const struct latest *latest = map_next(&c->by_name, pos);
    return latest ? latest->known->def : NULL;
}
