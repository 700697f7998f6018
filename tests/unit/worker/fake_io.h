/* SPDX-License-Identifier: Apache-2.0
 *
 * A bus, a store and an HTTP pool that a test holds in its hands, behind the headers of common/io.
 * What the worker does is written to a journal, in order: "ask ID", "send TYPE ID", "ack ID",
 * "done ID", "keep NX", "keep GT", "get", "set TTL", "release ID", "renew ID", "commit OFFSET",
 * "leave". Replies come when fake_turn runs.
 */
#ifndef TUTTI_FAKE_IO_H
#define TUTTI_FAKE_IO_H

#include "common/io/bus.h"
#include "common/io/http_pool.h"
#include "common/io/store.h"

#define FAKE_RUN_ID     "0123456789abcdef0123456789abcdef01234567"
#define FAKE_GEN        "aaaaaaaaaaaa"
#define FAKE_GENERATION "0123456789ab-aaaaaaaaaaaa"

struct fake;
struct fake *fake_new(struct loop *loop);
void fake_free(struct fake *f); /* fails whatever is pending, as closing the real ones does */
struct bus *fake_bus(struct fake *f);
struct store *fake_store(struct fake *f);
struct http_pool *fake_pool(struct fake *f);

/* Turns the loop and delivers replies until nothing is left to do. */
void fake_turn(struct fake *f);
/* Turns until the journal holds line, at most wait_ms; whether it does. */
bool fake_until(struct fake *f, const char *line, uint32_t wait_ms);

void fake_assign(struct fake *f, const char *topic, int32_t partition);
void fake_revoke(struct fake *f, const char *topic, int32_t partition);
/* A task record at offset of tutti.tasks.default/0. task: a letter that stands for its task id. */
struct fake_task {
    char task;
    int64_t offset;
    const char *gen, *kind, *uses, *value, *secrets;
    int64_t deadline_ms, timeout_ms;
    bool broken; /* without the header `kind`: cannot be decoded */
    int32_t partition;
    const char *topic; /* tutti.tasks.default */
    const char *cache_ttl_ms, *cache_key;
    const char *marks; /* which hash its lease and mark are in */
};
void fake_deliver(struct fake *f, const struct fake_task *t);

/* The verdict of the lease script for a task ("T" unless set), of a renewal ("R" unless set). */
void fake_lease_verdict(struct fake *f, char task, const char *verdict);
void fake_renew_verdict(struct fake *f, char task, const char *verdict);
const char *fake_mark(const struct fake *f, char task); /* the last, behind its key; "": none */
void fake_gen(struct fake *f, const char *gen);         /* what p:{p} holds; "" for none */
/* What Redis holds beside scripts; NULL: nothing was stored. The name is that of the last SET. */
const char *fake_stored(const struct fake *f);
const char *fake_stored_name(const struct fake *f);
void fake_store_up(struct fake *f, bool up);
void fake_lose_replies(struct fake *f, int count); /* the next ones; the connection stays */
/* While held, Redis does not answer, and the connection stays. */
void fake_hold_replies(struct fake *f, bool hold);
/* While held, deliveries are not acknowledged. */
void fake_hold_acks(struct fake *f, bool hold);
void fake_fail_acks(struct fake *f, int count); /* the next deliveries fail */

const char *fake_journal(const struct fake *f);            /* lines */
size_t fake_count(const struct fake *f, const char *line); /* how often the line is there */
const char *fake_value(const struct fake *f,
                       char task); /* of the last message sent for it; or NULL */
const char *fake_header(const struct fake *f, char task, enum message_header h);

/* The last request of the pool, and its end. */
const struct http_request *fake_request(const struct fake *f);
size_t fake_requests(const struct fake *f);
const char *fake_request_body(const struct fake *f);
const char *fake_request_header(const struct fake *f, const char *name);
const char *fake_request_url(const struct fake *f);
void fake_respond(struct fake *f, const struct http_response *r);
size_t fake_aborts(const struct fake *f);

#endif
