/* SPDX-License-Identifier: Apache-2.0
 *
 * The bus itself: settings, wake-ups, log lines, and the order of closing. */
#include "common/io/bus_internal.h"
#include "common/io/kafka_settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/limits.h"

/* --- wake-ups --- */

static const uint64_t one = 1; /* an eventfd takes 8 bytes, no fewer */

void bus_kick(struct bus_wake *wake)
{
    if (wake->kicked) return;
    wake->kicked = true;
    (void)!write(wake->watch.fd, &one, sizeof one);
}

void bus_wake_on(struct bus_wake *wake, rd_kafka_queue_t *queue)
{
    rd_kafka_queue_io_event_enable(queue, wake->watch.fd, &one, sizeof one);
}

void bus_wake_clear(struct bus_wake *wake)
{
    uint64_t ignored;
    wake->kicked = false;
    (void)!read(wake->watch.fd, &ignored, sizeof ignored);
}

static void on_deliveries(struct loop_watch *w, unsigned events)
{
    (void)events;
    struct bus *bus = w->user;
    bus_wake_clear(&bus->deliveries);
    bus_producer_poll(bus);
}

static void on_records(struct loop_watch *w, unsigned events)
{
    (void)events;
    struct bus *bus = w->user;
    bus_wake_clear(&bus->records);
    bus_streams_drain(bus);
}

/* Rebalances, commits, answers of helper threads, errors and log lines. */
static void on_others(struct loop_watch *w, unsigned events)
{
    (void)events;
    struct bus *bus = w->user;
    bus_wake_clear(&bus->others);
    bus_groups_poll(bus);
    bus_fetchers_poll(bus);
    bus_jobs_finish(bus->jobs);
}

/* The eventfds suffice; this is for the wake-up that a bug loses, and what has no hurry. */
static void on_tick(struct loop_timer *t)
{
    struct bus *bus = t->user;
    bus_producer_poll(bus);
    bus_groups_poll(bus);
    bus_fetchers_poll(bus);
    bus_jobs_finish(bus->jobs);
    bus_groups_tick(bus);
    bus_kick(&bus->records);
    loop_arm(bus->loop, t, TICK_MS);
}

static bool wake_open(struct bus *bus, struct bus_wake *wake,
                      void (*on_ready)(struct loop_watch *w, unsigned events), struct err *e)
{
    /* Not blocking: librdkafka writes it under a lock. */
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) return err_fail(e, ERR_IO, "kafka: eventfd: %s", strerror(errno));
    wake->watch = (struct loop_watch){ .on_ready = on_ready, .user = bus, .fd = fd };
    loop_watch(bus->loop, &wake->watch, LOOP_READ);
    return true;
}

static void wake_close(struct bus *bus, struct bus_wake *wake)
{
    if (!wake->watch.on_ready) return;
    loop_unwatch(bus->loop, &wake->watch);
    (void)close(wake->watch.fd);
}

/* --- configuration --- */

bool bus_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *e)
{
    char text[256];
    rd_kafka_conf_res_t res = rd_kafka_conf_set(conf, name, value, text, sizeof text);
    if (res == RD_KAFKA_CONF_OK) return true;
    /* A library built without TLS or SASL knows the name but not the value, or not even that. */
    bool missing = res == RD_KAFKA_CONF_UNKNOWN || strstr(text, "not available") ||
                   strstr(text, "not supported");
    return err_fail(e, missing ? ERR_UNSUPPORTED : ERR_INVALID, "kafka: %s: %s", name, text);
}

bool bus_conf_set_all(rd_kafka_conf_t *conf, const char *const (*pairs)[2], size_t count,
                      struct err *e)
{
    for (size_t i = 0; i < count; i++)
        if (!bus_conf_set(conf, pairs[i][0], pairs[i][1], e)) return false;
    return true;
}

bool bus_conf_set_int(rd_kafka_conf_t *conf, const char *name, int64_t value, struct err *e)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    return bus_conf_set(conf, name, text, e);
}

static bool conf_security(const struct bus_settings *s, rd_kafka_conf_t *conf, struct err *e)
{
    const struct {
        const char *name, *value;
    } pairs[] = {
        { "security.protocol", s->security_protocol },
        { "sasl.mechanism", s->sasl_mechanism },
        { "sasl.username", s->sasl_username },
        { "sasl.password", s->sasl_password },
        { "ssl.ca.location", s->ssl_ca_location },
        { "ssl.certificate.location", s->ssl_certificate_location },
        { "ssl.key.location", s->ssl_key_location },
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        if (pairs[i].value && !bus_conf_set(conf, pairs[i].name, pairs[i].value, e)) return false;
    return true;
}

rd_kafka_conf_t *bus_conf(const struct bus *bus, struct err *e)
{
    static const char *const common[][2] = { KAFKA_COMMON_SETTINGS };
    const struct bus_settings *s = &bus->settings;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (bus_conf_set(conf, "bootstrap.servers", s->brokers, e) &&
        bus_conf_set(conf, "client.id", s->client_id, e) &&
        bus_conf_set_all(conf, common, ARRAY_LEN(common), e) &&
        bus_conf_set(conf, "log.queue", "true", e) && conf_security(s, conf, e))
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

rd_kafka_t *bus_handle(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct err *e)
{
    char text[256];
    rd_kafka_t *rk = kafka_new(type, conf, text, sizeof text);
    if (rk) {
        (void)rd_kafka_set_log_queue(rk, NULL); /* its main queue */
        return rk;
    }
    rd_kafka_conf_destroy(conf);
    (void)err_fail(e, ERR_INVALID, "kafka: %s", text);
    return NULL;
}

/* --- errors and log lines --- */

bool bus_err(struct err *e, rd_kafka_resp_err_t code, const char *what)
{
    enum err_kind kind = ERR_UNAVAILABLE;
    bool retriable = false;
    switch (code) {
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR__NO_OFFSET:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION: kind = ERR_NOT_FOUND; break;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE: kind = ERR_LIMIT; break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION: kind = ERR_AUTH; break;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
        kind = ERR_TIMEOUT;
        retriable = true;
        break;
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG: kind = ERR_INVALID; break;
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE: kind = ERR_UNSUPPORTED; break;
    default: retriable = true; break;
    }
    (void)err_fail(e, kind, "kafka: %s: %s", what, rd_kafka_err2str(code));
    if (e) e->retriable = retriable;
    return false;
}

/* Whether this complaint was not logged lately. */
static bool is_news(struct bus *bus, const char *facility, const char *about, size_t about_len)
{
    uint64_t what = hash_bytes(bytes_of(facility)) ^
                    hash_bytes((struct bytes){ .data = about, .len = about_len });
    uint64_t now = clock_mono_ms();
    size_t slot = what % LOG_SLOTS;
    if (bus->logged[slot].what == what && now < bus->logged[slot].until_ms) return false;
    bus->logged[slot].what = what;
    bus->logged[slot].until_ms = now + LOG_REPEAT_MS;
    return true;
}

void bus_on_log(struct bus *bus, rd_kafka_event_t *event)
{
    const char *facility = "", *text = "";
    int level = 0;
    if (rd_kafka_event_log(event, &facility, &text, &level) < 0) return;
    if (level > 4) { /* notices and below */
        log_debug(&bus->log, "kafka.client", "%s: %s", facility, text);
        return;
    }
    /* "[thrd:HOST:PORT/1]: ..." : once per facility and broker, not once per attempt. */
    const char *end = strchr(text, ']');
    if (is_news(bus, facility, text, end ? (size_t)(end - text) : strlen(text)))
        log_warn(&bus->log, "kafka.client", "%s: %s", facility, text);
}

void bus_log_up(struct bus *bus)
{
    bus->down = false;
    log_info(&bus->log, "kafka.up", "Kafka answers again");
}

void bus_complain(struct bus *bus, const char *name, const char *text)
{
    if (is_news(bus, name, "", 0)) log_warn(&bus->log, "kafka.error", "%s: %s", name, text);
}

void bus_on_error(struct bus *bus, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const char *text = rd_kafka_event_error_string(event);
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        if (!bus->down) log_warn(&bus->log, "kafka.down", "no Kafka broker answers; retrying");
        bus->down = true;
        return;
    }
    bus_complain(bus, rd_kafka_err2name(code), text ? text : "");
}

/* --- life --- */

static char *copy(const char *text, const char *fallback)
{
    if (!text) text = fallback;
    return text ? xstrdup(text) : NULL;
}

static void settings_copy(struct bus_settings *s, const struct bus_options *o)
{
    *s = (struct bus_settings){
        .brokers = copy(o->brokers, NULL),
        .client_id = copy(o->client_id, "tutti"),
        .security_protocol = copy(o->security_protocol, NULL),
        .sasl_mechanism = copy(o->sasl_mechanism, NULL),
        .sasl_username = copy(o->sasl_username, NULL),
        .sasl_password = copy(o->sasl_password, NULL),
        .ssl_ca_location = copy(o->ssl_ca_location, NULL),
        .ssl_certificate_location = copy(o->ssl_certificate_location, NULL),
        .ssl_key_location = copy(o->ssl_key_location, NULL),
        .compression = copy(o->compression, "none"),
        .fetch_wait_ms = o->fetch_wait_ms ? o->fetch_wait_ms : 100,
        .message_timeout_ms = o->message_timeout_ms ? o->message_timeout_ms : 30 * SECOND_MS,
        .session_timeout_ms = o->session_timeout_ms ? o->session_timeout_ms : 10 * SECOND_MS,
    };
}

static void settings_done(struct bus_settings *s)
{
    if (s->sasl_password) explicit_bzero(s->sasl_password, strlen(s->sasl_password));
    char *texts[] = { s->brokers,           s->client_id,
                      s->security_protocol, s->sasl_mechanism,
                      s->sasl_username,     s->sasl_password,
                      s->ssl_ca_location,   s->ssl_certificate_location,
                      s->ssl_key_location,  s->compression };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) free(texts[i]);
}

struct bus *bus_open(struct loop *loop, const struct bus_options *options, struct err *e)
{
    if (!options->brokers || !options->brokers[0]) {
        (void)err_fail(e, ERR_INVALID, "kafka: no brokers are given");
        return NULL;
    }
    ASSERT(options->log);
    CLEANUP(bus_close_p) struct bus *bus = xcalloc(1, sizeof *bus);
    bus->loop = loop;
    bus->log = *options->log;
    settings_copy(&bus->settings, options);
    if (!wake_open(bus, &bus->deliveries, on_deliveries, e) ||
        !wake_open(bus, &bus->records, on_records, e) ||
        !wake_open(bus, &bus->others, on_others, e))
        return NULL;
    bus->jobs = bus_jobs_new(bus->others.watch.fd);
    if (!bus_producer_open(bus, e)) return NULL;
    bus->tick = (struct loop_timer){ .on_due = on_tick, .user = bus };
    loop_arm(loop, &bus->tick, TICK_MS);
    loop_after_flush(loop, bus_lanes_leave, bus);
    return TAKE(bus);
}

struct bus *bus_close(struct bus *bus)
{
    if (!bus) return NULL;
    ASSERT(!bus->walking && !bus->closing);
    bus->closing = true;
    uint64_t deadline_ms = clock_mono_ms() + CLOSE_MS_MAX;
    loop_disarm(bus->loop, &bus->tick);
    loop_off_flush(bus->loop, bus_lanes_leave, bus);
    bus_groups_close(bus, deadline_ms);
    bus_readers_close(bus);
    bus_fetchers_close(bus);
    bus_producer_close(bus);
    uint64_t now = clock_mono_ms();
    if (bus->jobs) bus_jobs_close(bus->jobs, now < deadline_ms ? (uint32_t)(deadline_ms - now) : 0);
    wake_close(bus, &bus->deliveries);
    wake_close(bus, &bus->records);
    wake_close(bus, &bus->others);
    settings_done(&bus->settings);
    free(bus->streams);
    free(bus);
    return NULL;
}
