/* SPDX-License-Identifier: Apache-2.0
 *
 * Kafka on the loop: an idempotent producer with delivery reports, group consumers whose partitions
 * are read by credit, and readers of single partitions. Sole includer of librdkafka. Everything
 * arrives as callbacks in the loop's thread; nothing here blocks. See docs/loop.md for how it is
 * woken. */
#ifndef TUTTI_BUS_H
#define TUTTI_BUS_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/io/loop.h"
#include "common/proto/message.h"

struct bus;

/* Connection settings; the strings are copied. NULL or 0: the stated default. */
struct bus_options {
    const char *brokers;                                            /* host:port,...; required */
    const char *client_id;                                          /* short; default "tutti" */
    const char *security_protocol, *sasl_mechanism, *sasl_username; /* NULL: plaintext, none */
    const char *sasl_password;
    const char *ssl_ca_location, *ssl_certificate_location, *ssl_key_location;
    uint32_t fetch_wait_ms;      /* fetch.wait.max.ms: 1-10 on the mock cluster; default 100 */
    uint32_t message_timeout_ms; /* default 30000 */
    uint32_t session_timeout_ms; /* default 10000; above 3000 on the mock cluster */
    const char *compression;     /* default "none" on loopback-sized payloads; "lz4", "zstd" */
    const struct log *log;       /* client warnings go here; required */
};

/* Connects lazily: success does not mean that a broker answers. ERR_INVALID: a setting that cannot
 * be; ERR_UNSUPPORTED: the linked client was built without TLS or SASL. */
MUST_CHECK struct bus *bus_open(struct loop *loop, const struct bus_options *options,
                                struct err *e);
/* Flushes nothing: pending sends get a failed delivery and open questions an error, and groups are
 * left (on_revoke is called) with a watchdog of 10 s, all before it returns. Never from within a
 * callback of the bus. Groups are gone afterwards; readers are still to be closed. */
struct bus *bus_close(struct bus *bus);
DEFINE_CLEANUP(struct bus *, bus_close)

/* Whether a fatal producer error was replaced by a new producer instance: all unacknowledged sends
 * failed. */
uint64_t bus_producer_epoch(const struct bus *bus);

/* --- topics --- */

struct bus_topic_spec {
    const char *name;
    int32_t partitions;
    int16_t replicas; /* 0: the broker's default, or 1 where that is refused */
    const char *const (
        *config)[2]; /* pairs of name and value, ended by { NULL, NULL }; may be NULL */
};
/* Makes the topics that do not exist; a broker without CreateTopics (the mock) auto-creates by
 * metadata. done(user, NULL) on success. */
void bus_create_topics(struct bus *bus, const struct bus_topic_spec *specs, size_t count,
                       void (*done)(void *user, const struct err *e), void *user);
/* Metadata of one topic: its partition count, 0 if it does not exist (the mock makes every topic it
 * is asked about), or e. Also the producer's warm-up of that topic: without it the first message
 * sent there is up to a second late. cluster_id may be NULL where the broker has none. */
void bus_topic_info(struct bus *bus, const char *topic,
                    void (*done)(void *user, int32_t partitions, const char *cluster_id,
                                 const struct err *e),
                    void *user);
/* Log start and end offsets of a partition, asked from its leader. */
void bus_offsets(struct bus *bus, const char *topic, int32_t partition,
                 void (*done)(void *user, int64_t start, int64_t end, const struct err *e),
                 void *user);

/* --- producing --- */

struct bus_message {
    const char *topic;
    int32_t partition;          /* explicit; BUS_ANY lets the client choose (tests only) */
    struct bytes key, value;    /* data NULL: a null value. Copied. */
    const struct bytes *header; /* HEADER_COUNT views indexed by enum message_header (absent: data
                                   NULL); may be NULL */
    const struct bus_extra_header {
        const char *name;
        struct bytes value;
    } * extra; /* e.g. ce_*; copied */
    size_t extra_count;
};
#define BUS_ANY (-1)

struct bus_delivery {
    int64_t offset;    /* valid if error is NULL */
    const char *error; /* NULL: in the log, acknowledged by all in-sync replicas */
};
/* The caller's memory, alive until done was called as many times as it was passed to bus_send. */
struct bus_waiter {
    void (*done)(struct bus_waiter *w, const struct bus_delivery *d);
};

/* Queues a message; done comes later, never inside the call. false: refused now, and done is not
 * called. ERR_UNAVAILABLE, retriable: the queue is full (give no credit and try again) or the
 * producer is being replaced; ERR_LIMIT: too large; ERR_NOT_FOUND: no such topic or partition. */
MUST_CHECK bool bus_send(struct bus *bus, const struct bus_message *m, struct bus_waiter *w,
                         struct err *e);
/* Messages that are queued or under way. */
size_t bus_pending(const struct bus *bus);
/* Fails everything that is queued but not sent yet, of all partitions (a claim at revoke). */
void bus_purge(struct bus *bus);

/* --- consuming --- */

/* A record. Views die with the callback unless bus_record_hold was called. */
struct bus_record {
    const char *topic;
    int32_t partition;
    int64_t offset, timestamp_ms;
    struct message message;               /* our headers by name; key and value */
    const struct bus_extra_header *extra; /* all other headers, in order */
    size_t extra_count;
    void *owner; /* the client's message; for bus_record_hold */
};

struct bus_group; /* membership in a consumer group */

struct bus_group_options {
    const char *group;
    const char *const *topics; /* names; a name starting with ^ is a regular expression */
    size_t topic_count;
    /* Assigned: the caller calls bus_read when it knows the offset; until then nothing is read. */
    void (*on_assign)(void *user, const char *topic, int32_t partition);
    /* Taken away (lost: without a chance to finish); the partition is read no more. */
    void (*on_revoke)(void *user, const char *topic, int32_t partition, bool lost);
    /* One record, while the partition has credit. */
    void (*on_record)(void *user, const struct bus_record *r);
    /* The partition cannot be read from the offset asked for (ERR_NOT_FOUND: out of range; reading
     * has stopped until the next bus_read), or another error that does not heal by itself. What
     * concerns the whole group (ERR_AUTH, a fatal error) comes with topic "" and partition -1. */
    void (*on_error)(void *user, const char *topic, int32_t partition, const struct err *e);
    void *user;
};
MUST_CHECK struct bus_group *bus_join(struct bus *bus, const struct bus_group_options *options,
                                      struct err *e);
/* Changes the topics (triggers come and go). */
MUST_CHECK bool bus_group_topics(struct bus_group *g, const char *const *topics, size_t count,
                                 struct err *e);
/* Begins or moves reading at offset (BUS_COMMITTED: the group's committed offset, or the start;
 * BUS_START; BUS_END). Credit becomes `credit` records. */
#define BUS_COMMITTED (-1000)
#define BUS_START     (-2)
#define BUS_END       (-1)
void bus_read(struct bus_group *g, const char *topic, int32_t partition, int64_t offset,
              uint32_t credit);
/* Adds credit; what is queued already is delivered in the next turn. */
void bus_credit(struct bus_group *g, const char *topic, int32_t partition, uint32_t more);
/* Commits the next offset to read; asynchronous, advisory: collected and sent every 200 ms, retried
 * if it fails. A commit made before or within on_revoke (unless lost) goes out before the partition
 * is given away; later ones, and those of partitions that are not ours, are ignored. */
void bus_commit(struct bus_group *g, const char *topic, int32_t partition, int64_t offset);
/* The same with a note that the broker keeps beside the offset: a text without NUL, copied, shorter
 * than BUS_NOTE_MAX. */
#define BUS_NOTE_MAX 48
void bus_commit_noted(struct bus_group *g, const char *topic, int32_t partition, int64_t offset,
                      const char *note);
/* The group's committed offset of a partition that is assigned to this member, asked from the
 * broker, and its note: -1 and "" where there is none. done comes once, never inside the call; for
 * a partition that was taken away meanwhile it comes too. */
void bus_committed(struct bus_group *g, const char *topic, int32_t partition,
                   void (*done)(void *user, int64_t offset, const char *note, const struct err *e),
                   void *user);
/* Leaves: revokes everything (on_revoke is called), then done. The handle dies with done. */
void bus_leave(struct bus_group *g, void (*done)(void *user), void *user);
size_t bus_group_assigned(const struct bus_group *g);
bool bus_group_joined(const struct bus_group *g); /* had an assignment (possibly empty) */

/* A reader of single partitions without a group (definitions, a CLI looking at results). */
struct bus_reader;
struct bus_reader_options {
    const char *topic;
    int32_t partition; /* one; open several readers for several */
    int64_t offset;    /* BUS_START, BUS_END or a number */
    uint32_t credit;   /* records to deliver until bus_reader_credit gives more; 0: without limit */
    void (*on_record)(void *user, const struct bus_record *r);
    /* Everything that was there is read (again after each time it was behind); may be NULL. */
    void (*on_end)(void *user, int64_t next_offset);
    /* ERR_NOT_FOUND: no such offset (reading has stopped) or, after 5 s, no such topic (goes on
     * trying); ERR_AUTH. May be NULL. */
    void (*on_error)(void *user, const struct err *e);
    void *user;
};
MUST_CHECK struct bus_reader *
bus_reader_open(struct bus *bus, const struct bus_reader_options *options, struct err *e);
/* More records may be delivered; of a reader that was opened with a credit. */
void bus_reader_credit(struct bus_reader *r, uint32_t more);
struct bus_reader *bus_reader_close(struct bus_reader *r); /* no callback comes after it */
DEFINE_CLEANUP(struct bus_reader *, bus_reader_close)

/* Keeps a record's views alive beyond the callback, its topic and extra included; at most once a
 * record, within its callback. Release exactly once; the bus may be closed by then. */
struct bus_held;
struct bus_held *bus_record_hold(const struct bus_record *r);
/* The record again, for who kept no more of it than what it needed so far. */
struct bus_record bus_held_record(struct bus_held *h);
void bus_record_release(struct bus_held *h);

/* --- the embedded broker of `tutti dev` and the tests (librdkafka's mock cluster) --- */

struct bus_mock;
MUST_CHECK struct bus_mock *bus_mock_start(int brokers, struct err *e);
struct bus_mock *bus_mock_stop(struct bus_mock *m);
DEFINE_CLEANUP(struct bus_mock *, bus_mock_stop)
const char *bus_mock_brokers(const struct bus_mock *m); /* host:port,... */
MUST_CHECK bool bus_mock_topic(struct bus_mock *m, const char *topic, int32_t partitions,
                               struct err *e);
/* Faults for tests: the next `count` requests of the ApiKey fail with these Kafka error codes
 * (-195: connection dropped). */
void bus_mock_fail(struct bus_mock *m, int16_t api_key, size_t count, const int *codes);
void bus_mock_down(struct bus_mock *m, bool down); /* every broker */
void bus_mock_slow(struct bus_mock *m, int ms);    /* every answer comes so much later */

#endif
