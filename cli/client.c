/* SPDX-License-Identifier: Apache-2.0
 *
 * Every call that waits has a ticket on the heap: its answer may come after the call was given up,
 * and must then find memory that is still there. Tickets of such calls live as long as the client.
 */
#include "cli/client.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/proto/keys.h"

#define LOOK_MS 10

struct ticket {
    struct bus_waiter waiter; /* of a send; first, so that the ticket is found from it */
    struct ticket *next;
    bool done, failed;
    struct err error;
    int32_t partitions;
    int64_t offset; /* of what was sent */
    void (*fn)(void *user, const struct store_reply *reply);
    void *user;
};

bool client_open(struct client *c, const struct cli *cli, struct loop *loop, struct err *e)
{
    *c = (struct client){ .cli = cli, .loop = loop };
    if (loop) return true;
    c->own_loop = c->loop = loop_new(e);
    return c->loop != NULL;
}

void client_close(struct client *c)
{
    c->store = c->store ? store_close(c->store) : NULL;
    c->bus = c->bus ? bus_close(c->bus) : NULL;
    while (c->tickets) {
        struct ticket *t = c->tickets;
        c->tickets = t->next;
        free(t);
    }
    c->own_loop = loop_free(c->own_loop);
}

/* --- waiting --- */

struct watched {
    struct client *client;
    bool (*cond)(void *user);
    void *user;
    struct loop_timer timer;
};

static bool stopped(const struct client *c)
{
    return c->stop && *c->stop;
}

static bool look(void *user)
{
    struct watched *w = user;
    return stopped(w->client) || w->cond(w->user);
}

/* The loop asks its condition once a turn; this makes it turn. */
static void on_look(struct loop_timer *t)
{
    struct watched *w = t->user;
    loop_arm(w->client->loop, t, LOOK_MS);
}

bool client_wait(struct client *c, bool (*cond)(void *user), void *user, uint32_t wait_ms)
{
    struct watched w = { .client = c, .cond = cond, .user = user };
    w.timer = (struct loop_timer){ .on_due = on_look, .user = &w };
    loop_arm(c->loop, &w.timer, LOOK_MS);
    (void)loop_run_until(c->loop, look, &w, wait_ms);
    loop_disarm(c->loop, &w.timer);
    return cond(user);
}

static bool ticket_done(void *user)
{
    const struct ticket *t = user;
    return t->done;
}

/* Waits for the answer, and moves it into *ret. A ticket without an answer is kept. */
static bool ticket_wait(struct client *c, struct ticket *t, uint32_t wait_ms, struct ticket *ret,
                        struct err *e)
{
    if (!client_wait(c, ticket_done, t, wait_ms)) {
        t->fn = NULL;
        t->next = c->tickets;
        c->tickets = t;
        if (stopped(c)) return err_fail(e, ERR_INTERNAL, "interrupted");
        return err_fail(e, ERR_TIMEOUT, "no answer within %u ms", wait_ms);
    }
    *ret = *t;
    free(t);
    if (ret->failed) *e = ret->error;
    return !ret->failed;
}

/* --- Kafka: connecting and topics --- */

bool client_bus(struct client *c, struct err *e)
{
    if (c->bus) return true;
    struct bus_options options;
    if (!kafka_bus_options(&c->cli->config->kafka, "tutti-cli", &c->cli->log, &options, e))
        return false;
    options.message_timeout_ms = c->cli->config->connect_timeout_ms;
    c->bus = bus_open(c->loop, &options, e);
    return c->bus != NULL;
}

/* A time-out towards a server means that it cannot be reached. */
static bool kafka_failed(const struct client *c, struct err *e)
{
    const char *brokers = c->cli->config->kafka.brokers;
    if (e->kind == ERR_AUTH)
        return err_prefix(e, "Kafka at %s refuses the credentials (see --kafka-sasl-username)",
                          brokers);
    if (e->kind != ERR_TIMEOUT && e->kind != ERR_UNAVAILABLE)
        return err_prefix(e, "Kafka at %s", brokers);
    char text[sizeof(e->text)];
    snprintf(text, sizeof(text), "%s", e->text);
    return err_fail(e, ERR_UNAVAILABLE,
                    "Kafka at %s cannot be reached (%s): check --kafka-brokers or "
                    "TUTTI_KAFKA_BROKERS, or run: tutti dev",
                    brokers, text);
}

static void on_topic(void *user, int32_t partitions, const char *cluster_id, const struct err *e)
{
    struct ticket *t = user;
    (void)cluster_id;
    t->partitions = partitions;
    t->failed = e != NULL;
    if (e) t->error = *e;
    t->done = true;
}

bool client_partitions(struct client *c, const char *name, int32_t *ret, struct err *e)
{
    if (!client_bus(c, e)) return false;
    AUTO_BUF struct buf topic = { 0 };
    topic_name(&topic, c->cli->config->prefix, name);
    struct ticket *t = xcalloc(1, sizeof(*t)), answer = { 0 };
    bus_topic_info(c->bus, topic.data, on_topic, t);
    if (!ticket_wait(c, t, c->cli->config->connect_timeout_ms, &answer, e))
        return kafka_failed(c, e);
    if (answer.partitions <= 0)
        return err_fail(e, ERR_NOT_FOUND,
                        "topic %s does not exist: tutti-orchestrator makes it when it first "
                        "starts; start one, or run: tutti dev",
                        topic.data);
    *ret = answer.partitions;
    return true;
}

/* --- Kafka: producing --- */

static void on_delivery(struct bus_waiter *w, const struct bus_delivery *d)
{
    struct ticket *t = CONTAINER_OF(w, struct ticket, waiter);
    t->failed = d->error != NULL;
    t->offset = d->offset;
    if (d->error) err_fail(&t->error, ERR_UNAVAILABLE, "%s", d->error);
    t->done = true;
}

bool client_send(struct client *c, const struct bus_message *m, struct err *e)
{
    if (!client_bus(c, e)) return false;
    struct ticket *t = xcalloc(1, sizeof(*t)), answer = { 0 };
    t->waiter.done = on_delivery;
    if (!bus_send(c->bus, m, &t->waiter, e)) {
        free(t);
        return kafka_failed(c, e);
    }
    /* The producer gives up by itself at the message timeout; its reason is the better one. */
    uint32_t wait_ms = c->cli->config->connect_timeout_ms + 2 * SECOND_MS;
    if (!ticket_wait(c, t, wait_ms, &answer, e)) return kafka_failed(c, e);
    c->sent_offset = answer.offset;
    return true;
}

bool client_append(struct client *c, enum event_type type, const char *run_id, int32_t partitions,
                   struct bytes *header, struct bytes value, struct err *e)
{
    if (!client_bus(c, e)) return false;
    AUTO_BUF struct buf topic = { 0 };
    topic_name(&topic, c->cli->config->prefix, "events");
    header[HEADER_V] = bytes_of(MESSAGE_VERSION);
    header[HEADER_TYPE] = bytes_of(event_type_name(type));
    header[HEADER_RUN_ID] = bytes_of(run_id);
    struct bytes route = run_id_route(bytes_of(run_id));
    struct bus_message m = { .topic = topic.data,
                             .partition = partition_of(route, partitions),
                             .key = route,
                             .value = value,
                             .header = header };
    return client_send(c, &m, e);
}

/* --- Kafka: reading --- */

struct reading {
    void (*on_record)(void *user, const struct bus_record *r);
    void *user;
    bool ended, failed;
    struct err error;
};

static void on_read(void *user, const struct bus_record *r)
{
    struct reading *reading = user;
    if (!reading->ended) reading->on_record(reading->user, r);
}

static void on_read_end(void *user, int64_t next_offset)
{
    struct reading *reading = user;
    (void)next_offset;
    reading->ended = true;
}

static void on_read_error(void *user, const struct err *e)
{
    struct reading *reading = user;
    reading->failed = true;
    reading->error = *e;
}

static bool reading_over(void *user)
{
    const struct reading *reading = user;
    return reading->ended || reading->failed;
}

bool client_read(struct client *c, const char *name, int32_t partition,
                 void (*on_record)(void *user, const struct bus_record *r), void *user,
                 struct err *e)
{
    if (!client_bus(c, e)) return false;
    AUTO_BUF struct buf topic = { 0 };
    topic_name(&topic, c->cli->config->prefix, name);
    struct reading reading = { .on_record = on_record, .user = user };
    struct bus_reader_options options = { .topic = topic.data,
                                          .partition = partition,
                                          .offset = BUS_START,
                                          .on_record = on_read,
                                          .on_end = on_read_end,
                                          .on_error = on_read_error,
                                          .user = &reading };
    CLEANUP(bus_reader_close_p) struct bus_reader *reader = bus_reader_open(c->bus, &options, e);
    if (!reader) return kafka_failed(c, e);
    if (!client_wait(c, reading_over, &reading, c->cli->config->connect_timeout_ms)) {
        if (stopped(c)) return err_fail(e, ERR_INTERNAL, "interrupted");
        err_fail(e, ERR_TIMEOUT, "topic %s was not read to its end", topic.data);
        return kafka_failed(c, e);
    }
    if (!reading.failed) return true;
    *e = reading.error;
    return kafka_failed(c, e);
}

/* --- Kafka: definitions --- */

void deployments_done(struct deployments *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->list[i].name);
        free(d->list[i].version);
        free(d->list[i].canonical);
    }
    free(d->list);
    *d = (struct deployments){ 0 };
}

struct gathering {
    const struct deployed_query *query;
    struct deployments *found;
};

/* Splits name@version/sha256; false for a key that is none of ours. */
static bool split_key(struct bytes key, struct bytes *name, struct bytes *version,
                      struct bytes *sha)
{
    const char *slash = key.len ? memrchr(key.data, '/', key.len) : NULL;
    if (!slash) return false;
    size_t left = (size_t)(slash - key.data);
    const char *at = left ? memrchr(key.data, '@', left) : NULL;
    if (!at) return false;
    *name = (struct bytes){ .data = key.data, .len = (size_t)(at - key.data) };
    *version = (struct bytes){ .data = at + 1, .len = (size_t)(slash - at) - 1 };
    *sha = (struct bytes){ .data = slash + 1, .len = key.len - left - 1 };
    return sha->len == SHA256_HEX - 1;
}

static bool wanted(struct bytes text, const char *query)
{
    return !query || bytes_is(text, query);
}

static void on_definition(void *user, const struct bus_record *r)
{
    struct gathering *gathering = user;
    const struct deployed_query *q = gathering->query;
    struct bytes name, version, sha, value = r->message.value;
    if (!value.data || !split_key(r->message.key, &name, &version, &sha)) return;
    if (!wanted(name, q->name) || !wanted(version, q->version) || !wanted(sha, q->sha256)) return;
    struct deployments *found = gathering->found;
    found->list = xrealloc(found->list, (found->count + 1) * sizeof(*found->list));
    struct deployed *d = &found->list[found->count++];
    *d = (struct deployed){ .name = xstrndup(name.data, name.len),
                            .version = xstrndup(version.data, version.len),
                            .offset = r->offset,
                            .canonical = xstrndup(value.data, value.len),
                            .canonical_len = value.len };
    memcpy(d->sha256, sha.data, sha.len);
}

bool client_deployments(struct client *c, const struct deployed_query *query,
                        struct deployments *ret, struct err *e)
{
    int32_t partitions;
    if (!client_partitions(c, "definitions", &partitions, e)) return false;
    CLEANUP(deployments_done) struct deployments found = { 0 };
    struct gathering gathering = { .query = query, .found = &found };
    if (!client_read(c, "definitions", 0, on_definition, &gathering, e)) return false;
    *ret = found;
    found = (struct deployments){ 0 };
    return true;
}

static bool refuse_other(const struct definition *def, const struct deployed *winner, struct err *e)
{
    return err_fail(e, ERR_CONFLICT,
                    "%s@%s is deployed with other content (sha256 %.12s, this is %.12s): a version "
                    "does not change, give the file a new one",
                    def->name, def->version, winner->sha256, def->sha256);
}

bool client_deploy(struct client *c, const struct definition *def, bool *ret_new, struct err *e)
{
    struct deployed_query query = { .name = def->name, .version = def->version };
    CLEANUP(deployments_done) struct deployments before = { 0 };
    if (!client_deployments(c, &query, &before, e)) return false;
    *ret_new = before.count == 0;
    if (before.count > 0)
        return strcmp(before.list[0].sha256, def->sha256) == 0 ||
               refuse_other(def, &before.list[0], e);

    AUTO_BUF struct buf topic = { 0 }, key = { 0 };
    topic_name(&topic, c->cli->config->prefix, "definitions");
    buf_addf(&key, "%s@%s/%s", def->name, def->version, def->sha256);
    struct bus_message m = { .topic = topic.data,
                             .partition = 0,
                             .key = buf_bytes(&key),
                             .value = { .data = def->canonical, .len = def->canonical_len } };
    if (!client_send(c, &m, e)) return false;
    /* Someone may have deployed the same version at the same time: the lower offset wins. */
    CLEANUP(deployments_done) struct deployments after = { 0 };
    if (!client_deployments(c, &query, &after, e)) return false;
    if (after.count == 0)
        return err_fail(e, ERR_INTERNAL, "%s was acknowledged by Kafka, but is not in %s", key.data,
                        topic.data);
    return strcmp(after.list[0].sha256, def->sha256) == 0 || refuse_other(def, &after.list[0], e);
}

/* The nearest thing to help: which names there are. */
static bool not_deployed(struct client *c, const char *reference, struct err *e)
{
    CLEANUP(deployments_done) struct deployments all = { 0 };
    struct deployed_query any = { 0 };
    if (!client_deployments(c, &any, &all, e)) return false;
    AUTO_BUF struct buf names = { 0 };
    for (size_t i = all.count; i > 0 && names.len < 150; i--)
        buf_addf(&names, "%s%s@%s", names.len ? ", " : "", all.list[i - 1].name,
                 all.list[i - 1].version);
    return err_fail(e, ERR_NOT_FOUND, "%s is not deployed; %s%s", reference,
                    names.len ? "there is " : "nothing is: tutti deploy FILE",
                    names.len ? names.data : "");
}

bool client_resolve(struct client *c, const char *reference, struct definition **ret, struct err *e)
{
    const char *at = strrchr(reference, '@');
    AUTO_FREE char *name = at ? xstrndup(reference, (size_t)(at - reference)) : xstrdup(reference);
    struct deployed_query query = { .name = name, .version = at ? at + 1 : NULL };
    CLEANUP(deployments_done) struct deployments found = { 0 };
    if (!client_deployments(c, &query, &found, e)) return false;
    if (found.count == 0) return not_deployed(c, reference, e);
    const struct deployed *last = &found.list[found.count - 1], *chosen = last;
    for (size_t i = found.count; i > 0; i--)
        if (strcmp(found.list[i - 1].version, last->version) == 0) chosen = &found.list[i - 1];
    struct bytes text = { .data = chosen->canonical, .len = chosen->canonical_len };
    *ret = definition_load(text, chosen->sha256, e);
    return *ret || err_prefix(e, "the deployed definition of %s@%s", chosen->name, chosen->version);
}

/* --- Redis --- */

static bool connected(void *user)
{
    const struct client *c = user;
    struct err e;
    /* Refused credentials do not get better by waiting. */
    return store_connected(c->store) || (store_error(c->store, &e) && e.kind == ERR_AUTH);
}

static bool redis_failed(const struct client *c, struct err *e)
{
    const struct redis_config *o = &c->cli->config->redis;
    AUTO_BUF struct buf where = { 0 };
    buf_add_text(&where, o->host);
    if (o->host[0] != '/') buf_addf(&where, ":%u", o->port);
    struct err why;
    if (c->store && store_error(c->store, &why) &&
        (e->kind == ERR_TIMEOUT || e->kind == ERR_UNAVAILABLE))
        *e = why;
    char text[sizeof(e->text)];
    snprintf(text, sizeof(text), "%s", e->text);
    /* The store's own reason names the address, and may name a better one (of several). */
    bool named = strncmp(text, "Redis", strlen("Redis")) == 0;
    if (e->kind == ERR_AUTH)
        return err_fail(e, ERR_AUTH, "%s%s%s%s; see --redis-username and --redis-password-file",
                        named ? "" : "Redis at ", named ? "" : where.data, named ? "" : ": ", text);
    return err_fail(e, ERR_UNAVAILABLE,
                    "%s%s%s%s; check --redis-host or TUTTI_REDIS_HOST, or run: tutti dev",
                    named ? "" : "Redis at ", named ? "" : where.data, named ? "" : ": ", text);
}

bool client_store(struct client *c, struct err *e)
{
    if (!c->store) {
        struct store_options options;
        if (!redis_store_options(&c->cli->config->redis, &c->cli->log, &options, e)) return false;
        c->store = store_open(c->loop, &options, e);
        if (!c->store) return redis_failed(c, e);
    }
    if (client_wait(c, connected, c, c->cli->config->connect_timeout_ms) &&
        store_connected(c->store))
        return true;
    if (stopped(c)) return err_fail(e, ERR_INTERNAL, "interrupted");
    err_fail(e, ERR_TIMEOUT, "no answer within %u ms", c->cli->config->connect_timeout_ms);
    return redis_failed(c, e);
}

static void on_reply(void *user, enum store_status status, const struct store_reply *reply)
{
    struct ticket *t = user;
    t->failed = status != STORE_OK;
    if (status == STORE_ERROR) {
        struct bytes text = store_string(reply);
        bool auth = text.len >= 6 &&
                    (memcmp(text.data, "NOAUTH", 6) == 0 || memcmp(text.data, "NOPERM", 6) == 0);
        err_fail(&t->error, auth ? ERR_AUTH : ERR_INTERNAL, "%.*s", (int)MIN(text.len, 200u),
                 text.data);
    } else if (status == STORE_LOST) {
        err_fail(&t->error, ERR_UNAVAILABLE, "the connection was lost");
    } else if (t->fn) {
        t->fn(t->user, reply);
    }
    t->done = true;
}

bool client_command(struct client *c, const struct bytes *argv, size_t argc,
                    void (*fn)(void *user, const struct store_reply *reply), void *user,
                    struct err *e)
{
    if (!client_store(c, e)) return false;
    struct ticket *t = xcalloc(1, sizeof(*t)), answer;
    t->fn = fn;
    t->user = user;
    store_command(c->store, argv, argc, on_reply, t);
    if (ticket_wait(c, t, c->cli->config->connect_timeout_ms, &answer, e)) return true;
    return e->kind == ERR_INTERNAL ? err_prefix(e, "Redis") : redis_failed(c, e);
}

static void on_integer(void *user, const struct store_reply *reply)
{
    int64_t *ret = user;
    *ret = store_integer(reply);
}

bool client_stored_partitions(struct client *c, int32_t *ret, struct err *e)
{
    AUTO_BUF struct buf key = { 0 };
    key_sys(&key, c->cli->config->prefix);
    struct bytes argv[] = { BYTES_LIT("HGET"), buf_bytes(&key), BYTES_LIT("partitions") };
    int64_t partitions = 0;
    if (!client_command(c, argv, ARRAY_LEN(argv), on_integer, &partitions, e)) return false;
    if (partitions <= 0 || partitions > PARTITIONS_MAX)
        return err_fail(e, ERR_NOT_FOUND,
                        "nothing has run here yet: Redis has no %s; start tutti-orchestrator, or "
                        "run: tutti dev",
                        key.data);
    *ret = (int32_t)partitions;
    return true;
}
