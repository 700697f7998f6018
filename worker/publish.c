/* SPDX-License-Identifier: Apache-2.0
 *
 * Results on their way to the log, and dead letters. A result is kept until it is acknowledged, and
 * sent again for as long as that takes: it may have been paid for. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/id.h"
#include "common/base/limits.h"
#include "worker/call.h"

static void on_result(struct bus_waiter *waiter, const struct bus_delivery *d)
{
    struct call *c = CONTAINER_OF(waiter, struct call, waiter);
    struct worker *w = c->worker;
    if (w->phase == WORKER_LEFT) return;
    if (d->error) {
        log_warn(&w->log, "result.unsent", "run %.*s step %.*s: %s; sending it again",
                 (int)c->task.run_id.len, c->task.run_id.data, (int)c->task.path.len,
                 c->task.path.data, d->error);
        call_push(&c->part->again, c);
        return;
    }
    w->stats.completed += c->type == EVENT_TASK_COMPLETED;
    w->stats.failed += c->type == EVENT_TASK_FAILED;
    w->stats.lost += c->type == EVENT_TASK_LOST;
    c->result_off = d->offset;
    c->state = CALL_MARKING;
    call_push(&c->part->acked, c);
}

static bool send(struct worker *w, struct call *c, struct err *e)
{
    struct bytes header[HEADER_COUNT] = {
        [HEADER_V] = BYTES_LIT(MESSAGE_VERSION),
        [HEADER_TYPE] = bytes_of(event_type_name(c->type)),
        [HEADER_RUN_ID] = c->task.run_id,
        [HEADER_PATH] = c->task.path,
        [HEADER_ATTEMPT] = c->attempt,
        [HEADER_TASK_ID] = c->task.task_id,
        [HEADER_GEN] = c->again_gen[0] ? bytes_of(c->again_gen) : c->task.gen,
        [HEADER_WORKER] = bytes_of(w->name),
        [HEADER_USAGE] = c->usage.len ? buf_bytes(&c->usage) : (struct bytes){ 0 },
        [HEADER_TRACEPARENT] = c->task.traceparent,
        [HEADER_CACHED] =
            c->cached && c->type == EVENT_TASK_COMPLETED ? BYTES_LIT("true") : (struct bytes){ 0 },
    };
    c->waiter.done = on_result;
    return bus_send(w->bus,
                    &(struct bus_message){ .topic = c->part->topic,
                                           .partition = c->part->partition,
                                           .key = run_id_route(c->task.run_id),
                                           .value = c->value,
                                           .header = header },
                    &c->waiter, e);
}

void publish_results(struct worker *w, struct part *p)
{
    while (p->results.head) {
        struct call *c = call_pop(&p->results);
        struct err e;
        if (send(w, c, &e)) continue;
        if (e.kind == ERR_LIMIT && c->type == EVENT_TASK_COMPLETED) {
            buf_reset(&c->owned);
            char text[sizeof e.text + 100];
            (void)snprintf(text, sizeof text, "the output does not fit one message: %s", e.text);
            error_encode(&c->owned, ERROR_INVALID_OUTPUT, text, false, 0, NULL);
            c->value = buf_bytes(&c->owned);
            c->type = EVENT_TASK_FAILED;
        }
        call_push(&p->again, c); /* the producer's queue is full: the next tick tries again */
    }
}

/* --- dead letters --- */

/* A record that cannot be decoded, and the failed result of its task where its headers say enough
 * to answer. Its offset is done when both are in the log. */
struct letter {
    struct call *call;
    struct bus_waiter dead, failed;
    bool dead_sent, dead_done, failed_sent, failed_done;
    struct message message; /* views into the held record */
    struct bus_extra_header *extra;
    size_t extra_count;
    struct buf texts[8];
    char task_id[TASK_ID_MAX];
    char *reply_topic;
    int32_t reply_partition;
    struct buf error;
};

void letter_free(struct letter *l)
{
    if (!l) return;
    for (size_t i = 0; i < ARRAY_LEN(l->texts); i++) buf_done(&l->texts[i]);
    buf_done(&l->error);
    free(l->extra);
    free(l->reply_topic);
    free(l);
}

static void letter_end(struct letter *l)
{
    if (!l->dead_done || !l->failed_done) return;
    struct call *c = l->call;
    struct worker *w = c->worker;
    w->stats.dead_letters++;
    struct call_list rest = { 0 };
    for (struct call *at; (at = call_pop(&w->letters)) != NULL;)
        if (at != c) call_push(&rest, at);
    w->letters = rest;
    c->letter = NULL;
    letter_free(l);
    call_finish(c);
}

static void on_dead(struct bus_waiter *waiter, const struct bus_delivery *d)
{
    struct letter *l = CONTAINER_OF(waiter, struct letter, dead);
    if (l->call->worker->phase == WORKER_LEFT) return;
    l->dead_sent = l->dead_done = d->error == NULL;
    letter_end(l);
}

static void on_failed(struct bus_waiter *waiter, const struct bus_delivery *d)
{
    struct letter *l = CONTAINER_OF(waiter, struct letter, failed);
    if (l->call->worker->phase == WORKER_LEFT) return;
    l->failed_sent = l->failed_done = d->error == NULL;
    letter_end(l);
}

static bool send_failed(struct worker *w, struct letter *l)
{
    const struct bytes *h = l->message.header;
    struct bytes header[HEADER_COUNT] = {
        [HEADER_V] = BYTES_LIT(MESSAGE_VERSION),
        [HEADER_TYPE] = bytes_of(event_type_name(EVENT_TASK_FAILED)),
        [HEADER_RUN_ID] = h[HEADER_RUN_ID],
        [HEADER_PATH] = h[HEADER_PATH],
        [HEADER_ATTEMPT] = h[HEADER_ATTEMPT],
        [HEADER_TASK_ID] = bytes_of(l->task_id),
        [HEADER_GEN] = h[HEADER_GEN],
        [HEADER_WORKER] = bytes_of(w->name),
    };
    l->failed.done = on_failed;
    return bus_send(w->bus,
                    &(struct bus_message){ .topic = l->reply_topic,
                                           .partition = l->reply_partition,
                                           .key = run_id_route(h[HEADER_RUN_ID]),
                                           .value = buf_bytes(&l->error),
                                           .header = header },
                    &l->failed, NULL);
}

static bool send_dead(struct worker *w, struct letter *l)
{
    int32_t partition = 0;
    if (w->dlq_partitions > 1 && l->message.key.data)
        partition = partition_of(l->message.key, w->dlq_partitions);
    l->dead.done = on_dead;
    return bus_send(w->bus,
                    &(struct bus_message){ .topic = w->dlq_topic,
                                           .partition = partition,
                                           .key = l->message.key,
                                           .value = l->message.value,
                                           .header = l->message.header,
                                           .extra = l->extra,
                                           .extra_count = l->extra_count },
                    &l->dead, NULL);
}

void publish_letters(struct worker *w)
{
    for (struct call *c = w->letters.head; c; c = c->next) {
        struct letter *l = c->letter;
        if (!l->dead_sent) l->dead_sent = send_dead(w, l);
        if (!l->failed_sent) l->failed_sent = send_failed(w, l);
    }
}

static bool decimal(struct bytes text, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        v = v * 10 + (uint64_t)(text.data[i] - '0');
        if (v > max) return false;
    }
    *ret = v;
    return text.len > 0;
}

/* Whether the headers say whom to tell, and about what. */
static bool answerable(struct letter *l)
{
    const struct bytes *h = l->message.header;
    uint64_t attempt, partition;
    struct bytes reply = h[HEADER_REPLY_TO];
    const char *slash = reply.len ? memrchr(reply.data, '/', reply.len) : NULL;
    if (!slash || slash == reply.data || !run_id_check(h[HEADER_RUN_ID])) return false;
    if (!h[HEADER_PATH].len || !utf8_check(h[HEADER_PATH].data, h[HEADER_PATH].len)) return false;
    struct bytes after = { slash + 1, (size_t)(reply.data + reply.len - slash - 1) };
    if (!decimal(h[HEADER_ATTEMPT], ATTEMPTS_MAX, &attempt) || !attempt) return false;
    if (!decimal(after, PARTITIONS_MAX - 1, &partition)) return false;
    l->reply_topic = xstrndup(reply.data, (size_t)(slash - reply.data));
    l->reply_partition = (int32_t)partition;
    task_id_make(l->task_id, h[HEADER_RUN_ID], h[HEADER_PATH], (uint32_t)attempt);
    return true;
}

/* The record's own headers untouched, with ours behind, so that a replay is a plain re-produce. */
static void letter_headers(struct worker *w, struct letter *l, const struct bus_record *r,
                           const struct err *why)
{
    static const char *const names[] = {
        "dlq-topic",  "dlq-partition", "dlq-offset", "dlq-group",
        "dlq-reason", "dlq-first-ts",  "dlq-host",   "dlq-version"
    };
    static_assert(ARRAY_LEN(names) == ARRAY_LEN(((struct letter *)0)->texts), "a text a header");
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    buf_add_text(&l->texts[0], r->topic);
    buf_add_int(&l->texts[1], r->partition);
    buf_add_int(&l->texts[2], r->offset);
    buf_add_text(&l->texts[3], w->group_name);
    buf_add_text(&l->texts[4], why->text);
    buf_add_int(&l->texts[5], loop_wall_ms(w->loop));
    buf_add_text(&l->texts[6], host);
    buf_add_text(&l->texts[7], TUTTI_VERSION);
    l->extra = xcalloc(r->extra_count + ARRAY_LEN(names), sizeof *l->extra);
    for (size_t i = 0; i < r->extra_count; i++) l->extra[i] = r->extra[i];
    l->extra_count = r->extra_count;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        l->extra[l->extra_count++] =
            (struct bus_extra_header){ .name = names[i], .value = buf_bytes(&l->texts[i]) };
}

void publish_letter(struct worker *w, struct source *source, uint64_t ticket,
                    const struct bus_record *r, const struct err *why)
{
    log_error(&w->log, "task.dead_letter", "%s [%d] offset %lld: %s; it goes to %s", r->topic,
              (int)r->partition, (long long)r->offset, why->text, w->dlq_topic);
    struct call *c = call_new(w, source, ticket);
    struct letter *l = xcalloc(1, sizeof *l);
    c->state = CALL_LETTER;
    c->held = bus_record_hold(r);
    c->letter = l;
    l->call = c;
    l->message = r->message;
    letter_headers(w, l, r, why);
    if (answerable(l))
        error_encode(&l->error, ERROR_BAD_REQUEST, why->text, false, 0, NULL);
    else
        l->failed_sent = l->failed_done = true;
    call_push(&w->letters, c);
    publish_letters(w);
}
