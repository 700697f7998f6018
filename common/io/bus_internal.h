/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the bus share. One bus has four kinds of librdkafka handles:
 *   - the producer (bus_producer.c), which also answers metadata questions (bus_jobs.c,
 * bus_admin.c)
 *   - one handle a consumer group (bus_group.c), for the membership alone: it is told to fetch
 *     nothing, so a rebalance and a change of position can never get into each other's way
 *   - fetchers (bus_fetch.c), which read partitions at explicit offsets for groups and readers. A
 *     stream is one partition being read: a queue of its own, drained while it has credit. To move
 *     it, it is stopped and started on a fresh queue, so no stale record can come out.
 * Handles are counted references: a blocking question in a thread keeps its handle alive beyond
 * bus_close, and the last one to let go destroys it outside the loop. */
#ifndef TUTTI_BUS_INTERNAL_H
#define TUTTI_BUS_INTERNAL_H

#include <librdkafka/rdkafka.h>

#include "common/base/map.h"
#include "common/io/bus.h"

#define CLOSE_MS_MAX  10000 /* the watchdog of bus_close */
#define TICK_MS       200   /* safety net below the eventfds; commits go out with it */
#define JOB_MS_MAX    10000 /* a blocking question to the brokers */
#define DRAIN_MAX     512   /* records a stream delivers before the others get their turn */
#define LOG_REPEAT_MS 60000 /* the same complaint of the client is logged once in this time */
#define LOG_SLOTS     32
#define EXTRA_MAX     HEADER_COUNT_MAX

/* --- handles and blocking questions (bus_jobs.c) --- */

/* Shared by the loop and the helper threads; outlives the bus if one of them hangs. */
struct bus_jobs;
struct bus_jobs *bus_jobs_new(int wake_fd); /* written when a job is done */
/* In the loop: runs the finish functions of jobs that are done. */
void bus_jobs_finish(struct bus_jobs *jobs);
/* Finishes every job that is not done as failed, waits at most wait_ms for handles to be destroyed,
 * and lets go. */
void bus_jobs_close(struct bus_jobs *jobs, uint32_t wait_ms);

struct bus_client {
    rd_kafka_t *rk;
    struct bus_jobs *jobs;
    int refs;      /* under the lock of jobs */
    bool *joining; /* of a group: see bus_group.c; freed after the handle */
    bool abandon;  /* destroying it would crash or hang: it is left to the end of the process */
};
/* Takes over rk, with one reference. */
struct bus_client *bus_client_new(struct bus_jobs *jobs, rd_kafka_t *rk);
/* Drops a reference; the last one has the handle destroyed in a thread. */
void bus_client_unref(struct bus_client *client);

struct bus_job {
    struct bus_job *next;
    struct bus_client *client;        /* referenced while the job lives */
    void (*run)(struct bus_job *job); /* in a thread: may block, fills the job and e */
    /* In the loop, exactly once. e: it failed, or (at bus_close) it may still run: then nothing but
     * what was set before the submission may be looked at. */
    void (*finish)(struct bus_job *job, const struct err *e);
    void (*release)(struct bus_job *job); /* frees the job; any thread */
    struct err e;                         /* kind ERR_NONE: it went well */
    int state;                            /* of bus_jobs.c, as is pinned */
    bool pinned;
};
/* Not while the bus is being closed. */
void bus_job_submit(struct bus_jobs *jobs, struct bus_client *client, struct bus_job *job);

/* --- the bus (bus.c) --- */

/* An eventfd that librdkafka writes when one of the queues tied to it stops being empty. */
struct bus_wake {
    struct loop_watch watch;
    bool kicked; /* written by ourselves and not yet read */
};
/* Has the watch's callback run in the next turn. */
void bus_kick(struct bus_wake *wake);
void bus_wake_on(struct bus_wake *wake, rd_kafka_queue_t *queue);
/* To call first in the callback: re-arms before the queues are drained, never after. */
void bus_wake_clear(struct bus_wake *wake);

struct bus_settings { /* owned copies of struct bus_options */
    char *brokers, *client_id, *security_protocol, *sasl_mechanism, *sasl_username, *sasl_password;
    char *ssl_ca_location, *ssl_certificate_location, *ssl_key_location, *compression;
    uint32_t fetch_wait_ms, message_timeout_ms, session_timeout_ms;
};

struct bus_lane;

struct bus_topic { /* a topic object of the producer or a fetcher */
    char *name;
    rd_kafka_topic_t *rkt;
    struct bus_lane **lanes; /* of the producer, by partition; NULL: not used yet */
    size_t lane_count;
    enum { TOPIC_NEW, TOPIC_ASKED, TOPIC_ANSWERED } leaders; /* of a fetcher: see bus_fetch.c */
};

struct bus_producer {
    struct bus_client *client;
    rd_kafka_queue_t *queue;
    struct map topics;       /* name -> struct bus_topic */
    struct bus_topic *topic; /* that was asked for last; NULL: it was made then, or none was */
    struct bus_lane *ready;  /* those that leave at the end of the turn */
    size_t pending, bytes;   /* accepted and not reported yet; of keys and values */
    uint64_t epoch;
    bool broken; /* a fatal error: to be replaced in the next turn */
};

struct bus_fetcher;
struct bus_stream;

struct bus {
    struct loop *loop;
    struct bus_settings settings;
    struct log log;
    struct bus_jobs *jobs;
    struct bus_wake deliveries, records, others; /* see the three callbacks in bus.c */
    struct loop_timer tick;
    struct bus_producer producer;
    struct bus_group *groups;
    uint64_t group_serial;
    struct bus_fetcher *fetchers;
    struct bus_reader *readers;
    struct bus_stream **streams; /* NULL where one was removed while they were walked */
    size_t stream_count, stream_cap;
    bool walking, closing, down;
    struct {
        uint64_t what, until_ms;
    } logged[LOG_SLOTS];
};

/* A configuration with everything that all handles share; NULL with e. */
MUST_CHECK rd_kafka_conf_t *bus_conf(const struct bus *bus, struct err *e);
MUST_CHECK bool bus_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                             struct err *e);
MUST_CHECK bool bus_conf_set_all(rd_kafka_conf_t *conf, const char *const (*pairs)[2], size_t count,
                                 struct err *e);
MUST_CHECK bool bus_conf_set_int(rd_kafka_conf_t *conf, const char *name, int64_t value,
                                 struct err *e);
/* Makes a handle; conf is used up either way. */
MUST_CHECK rd_kafka_t *bus_handle(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct err *e);
/* Log lines and errors of any handle. */
void bus_on_log(struct bus *bus, rd_kafka_event_t *event);
void bus_on_error(struct bus *bus, rd_kafka_event_t *event);
/* Logs a passing error, unless the same name was logged lately. */
void bus_complain(struct bus *bus, const char *name, const char *text);
/* A broker answered: ends a "brokers are down" state. */
void bus_log_up(struct bus *bus);
static inline void bus_is_up(struct bus *bus)
{
    if (bus->down) bus_log_up(bus);
}
/* Fills e from an error of the client. Returns false. */
bool bus_err(struct err *e, rd_kafka_resp_err_t code, const char *what);

/* --- the producer (bus_producer.c) --- */

MUST_CHECK bool bus_producer_open(struct bus *bus, struct err *e);
void bus_producer_poll(struct bus *bus);
/* Every pending send fails; then the handle is let go. */
void bus_producer_close(struct bus *bus);
/* The topic object of the producer, made (and warmed up in the background) where it is new. */
struct bus_topic *bus_producer_topic(struct bus *bus, const char *name, bool warm);

/* Gives one message to librdkafka, which takes over headers (NULL: none) unless it returns an
 * error. */
MUST_CHECK rd_kafka_resp_err_t bus_produce(struct bus *bus, const struct bus_topic *topic,
                                           int32_t partition, struct bytes key, struct bytes value,
                                           rd_kafka_headers_t *headers, struct bus_waiter *w);
/* An accepted message of that many bytes is no longer pending. */
void bus_producer_settle(struct bus *bus, size_t bytes);

/* --- what waits for a partition (bus_lane.c) --- */

/* NULL for BUS_ANY and for a partition that cannot be. */
struct bus_lane *bus_lane_of(struct bus_topic *topic, int32_t partition);
/* Whether messages may wait in it. What is the first of a partition goes out directly: it may not
 * exist. */
bool bus_lane_known(const struct bus_lane *lane);
/* A message of it went out directly. */
void bus_lane_left(struct bus_lane *lane);
/* Copies m, takes over headers; it leaves at the end of the turn, or when all that is under way has
 * been reported. */
void bus_lane_add(struct bus *bus, struct bus_lane *lane, const struct bus_message *m,
                  rd_kafka_headers_t *headers, struct bus_waiter *w);
/* librdkafka has reported one of its messages. */
void bus_lane_reported(struct bus *bus, struct bus_lane *lane, bool delivered);
/* At the end of a turn (user is the bus): what is ready leaves. */
void bus_lanes_leave(void *user);
/* Everything that waits leaves, or fails. */
void bus_lanes_hand_over(struct bus *bus);
void bus_lanes_fail(struct bus *bus);
void bus_lanes_done(struct bus_topic *topic); /* nothing may wait there */

/* --- reading partitions (bus_fetch.c) --- */

struct bus_stream_options {
    const char *topic; /* outlives the stream */
    int32_t partition;
    bool ends; /* on_end is wanted */
    void (*on_record)(void *user, const struct bus_record *r);
    void (*on_end)(void *user, int64_t next_offset);
    void (*on_error)(void *user, const struct err *e); /* required */
    void *user;
};
struct bus_stream *bus_stream_new(struct bus *bus, const struct bus_stream_options *options);
/* (Re)starts at offset with this credit (UINT32_MAX: for ever). */
MUST_CHECK bool bus_stream_read(struct bus_stream *s, int64_t offset, uint32_t credit,
                                struct err *e);
void bus_stream_credit(struct bus_stream *s, uint32_t more);
/* Stops reading; nothing of it is delivered any more until the next bus_stream_read. */
void bus_stream_stop(struct bus_stream *s);
/* Stops and buries it. */
void bus_stream_free(struct bus_stream *s);
void bus_streams_drain(struct bus *bus);
void bus_fetchers_poll(struct bus *bus);
void bus_fetchers_close(struct bus *bus);

/* --- groups (bus_group.c) and readers (bus_reader.c) --- */

void bus_groups_poll(struct bus *bus);
void bus_groups_tick(struct bus *bus);
/* Leaves all groups, waiting for them until the deadline (clock_mono_ms). */
void bus_groups_close(struct bus *bus, uint64_t deadline_ms);
void bus_readers_close(struct bus *bus);

/* --- records (bus_record.c) --- */

/* Calls on_record with the decoded message, which is destroyed afterwards unless it was held. */
void bus_record_deliver(rd_kafka_message_t *m,
                        void (*on_record)(void *user, const struct bus_record *r), void *user);

#endif
