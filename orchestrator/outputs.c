/* SPDX-License-Identifier: Apache-2.0
 *
 * What a fold sends. Its acknowledgements count twice: the batch is committed when all of its folds
 * have theirs, and the wave of the fold lets the next one go. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mutant.h"
#include "orchestrator/internal.h"

#define TURN_BYTES   (256 * 1024) /* a quarter of the largest batch */
#define TASK_HEADERS 400          /* about what a task's key and headers are */

/* Its fold is over and everything is answered. */
static void end_if_answered(struct outputs *o)
{
    if (!o->closed || o->acks_missing > 0) return;
    struct wave *wave = o->wave;
    free(o);
    if (wave) wave_leave(wave);
}

void batch_answered(struct batch *b, struct outputs *o)
{
    ASSERT(b->acks_missing > 0 && (!o || o->acks_missing > 0));
    b->acks_missing--;
    if (o) {
        o->acks_missing--;
        end_if_answered(o);
    }
    struct partition *part = b->part;
    if (!part) {
        if (b->acks_missing == 0 && !b->sent) batch_free(b);
        return;
    }
    if (b->failed) {
#ifdef TUTTI_MUTANTS
        if (MUTANT(RULE_9)) {
            partition_seek_back(part);
            return;
        }
#endif
        partition_reload(part, RETRY_MS, "an output was not delivered");
        return;
    }
    if (b->acks_missing > 0) return;
    if (b->sealed)
        batches_advance(part);
    else
        recovery_pump(part);
}

static void delivered(struct outputs *o, const struct bus_delivery *d)
{
    struct batch *b = o->batch;
    b->failed |= d->error != NULL;
    if (d->error && b->part)
        log_warn(&b->part->log, "partition.delivery_failed",
                 "an output was not delivered (%s): the batch is done again", d->error);
    batch_answered(b, o);
}

static void on_delivery(struct bus_waiter *w, const struct bus_delivery *d)
{
    delivered(CONTAINER_OF(w, struct outputs, waiter), d);
}

static void on_result(struct bus_waiter *w, const struct bus_delivery *d)
{
    struct outputs *o = CONTAINER_OF(w, struct outputs, results_waiter);
    if (!d->error) o->batch->results_next = MAX(o->batch->results_next, d->offset + 1);
    delivered(o, d);
}

void outputs_open(struct batch *b, struct wave *wave)
{
    ASSERT(!b->outputs);
    b->outputs = xcalloc(1, sizeof *b->outputs);
    *b->outputs = (struct outputs){ .batch = b,
                                    .wave = wave,
                                    .waiter = { .done = on_delivery },
                                    .results_waiter = { .done = on_result } };
    if (wave) wave->folds++;
}

void outputs_await(struct batch *b, size_t count)
{
    b->outputs->acks_missing += count;
    b->acks_missing += count;
}

void outputs_close(struct batch *b)
{
    struct outputs *o = TAKE(b->outputs);
    if (!o) return;
    o->closed = true;
    end_if_answered(o);
}

static void send_message(struct batch *b, const struct bus_message *m, struct bus_waiter *w)
{
    struct err e;
    if (bus_send(b->part->shard->bus, m, w, &e)) {
        outputs_await(b, 1);
        return;
    }
    log_warn(&b->part->log, "partition.produce_refused", "%s: the batch is done again", e.text);
    b->failed = true;
}

void outputs_turn_over(struct shard *shard)
{
    if (shard->turn_bytes > 0) shard->task_turn++;
    shard->turn_bytes = 0;
}

/* A turn's tasks go to one partition, because the broker pays per batch and not per message; the
 * next one where there are too many for one batch, or for one worker. */
static int32_t task_partition(struct shard *shard, const struct queue *queue,
                              const struct effect *fx)
{
    if (shard->turn_bytes > TURN_BYTES) outputs_turn_over(shard);
    shard->turn_bytes += fx->value.len + TASK_HEADERS;
    return (int32_t)(shard->task_turn % (uint64_t)queue->partitions);
}

static void produce_task(struct batch *b, const struct effect *fx)
{
    struct shard *shard = b->part->shard;
    const struct queue *queue = catalogue_queue(shard->catalogue, fx->queue, fx->priority);
    ASSERT(queue &&
           queue->partitions > 0); /* a definition is not used before its queues are known */
    send_message(b,
                 &(struct bus_message){ .topic = queue->topic,
                                        .partition = task_partition(shard, queue, fx),
                                        .key = fx->key,
                                        .value = fx->value,
                                        .header = fx->header },
                 &b->outputs->waiter);
}

/* An event for a run, into the partition that is its own. */
static void send_event(struct batch *b, const struct bytes *header, struct bytes value)
{
    struct bytes route = run_id_route(header[HEADER_RUN_ID]);
    send_message(
        b,
        &(struct bus_message){ .topic = b->shard->events_topic,
                               .partition = partition_of(route, b->shard->options.partitions),
                               .key = route,
                               .value = value,
                               .header = header },
        &b->outputs->waiter);
}

/* The parent learns by an event, like any other end of a child, that there is no such workflow. */
static void refuse_start(struct batch *b, const struct effect *fx)
{
    const struct bytes *asked = fx->header;
    struct bytes header[HEADER_COUNT] = { [HEADER_V] = BYTES_LIT(MESSAGE_VERSION),
                                          [HEADER_RUN_ID] = asked[HEADER_PARENT],
                                          [HEADER_PATH] = asked[HEADER_PATH],
                                          [HEADER_ATTEMPT] = asked[HEADER_ATTEMPT],
                                          [HEADER_CHILD] = asked[HEADER_RUN_ID] };
    header[HEADER_TYPE] = bytes_of(event_type_name(EVENT_CHILD_FINISHED));
    struct bytes name = asked[HEADER_WORKFLOW], version = asked[HEADER_VERSION];
    AUTO_FREE char *text =
        xasprintf("no workflow %.*s%s%.*s is deployed", (int)name.len, name.data,
                  version.len ? "@" : "", (int)version.len, version.len ? version.data : "");
    AUTO_BUF struct buf value = { 0 };
    buf_add_text(&value, "{\"status\":\"failed\",\"error\":");
    error_encode(&value, ERROR_BAD_REQUEST, text, false, 0, NULL);
    buf_add_char(&value, '}');
    send_event(b, header, buf_bytes(&value));
}

/* Which version is the latest is decided here, once: the start that comes first into the log
 * counts, whatever another owner would resolve it to. */
static void produce_start(struct batch *b, const struct effect *fx)
{
    const struct definition *def = catalogue_resolve(
        b->shard->catalogue, fx->header[HEADER_WORKFLOW], fx->header[HEADER_VERSION]);
    if (!def) {
        refuse_start(b, fx);
        return;
    }
    struct bytes header[HEADER_COUNT];
    memcpy(header, fx->header, sizeof header);
    header[HEADER_DEFINITION] = bytes_of(def->sha256);
    header[HEADER_VERSION] = bytes_of(def->version);
    send_event(b, header, fx->value);
}

/* A CloudEvent in binary mode; m: where it goes and what it says. */
static void send_cloudevent(struct batch *b, struct bus_message m, const struct effect *fx,
                            struct bus_waiter *w)
{
    struct bus_extra_header extra[24];
    size_t count = MIN(fx->ce_count, ARRAY_LEN(extra));
    for (size_t i = 0; i < count; i++)
        extra[i] = (struct bus_extra_header){ .name = fx->ce[i].name, .value = fx->ce[i].value };
    m.key = fx->key;
    m.value = fx->value;
    m.extra = extra;
    m.extra_count = count;
    send_message(b, &m, w);
}

static void produce_result(struct batch *b, const struct effect *fx)
{
    struct bus_message m = { .topic = b->shard->results_topic,
                             .partition = partition_results(b->part) };
    send_cloudevent(b, m, fx, &b->outputs->results_waiter);
}

/* Like results, to the one partition that is ours, so that what is told of a run stays in order. */
void batch_lifecycle(struct batch *b, const struct effect *effect)
{
    const struct shard *shard = b->shard;
    struct bus_message m = { .topic = shard->lifecycle_topic,
                             .partition = b->part->id % shard->lifecycle_partitions };
    send_cloudevent(b, m, effect, &b->outputs->waiter);
}

void batch_claim_results(struct batch *b)
{
    const struct partition *part = b->part;
    char time[TIME_TEXT_MAX];
    time_format(loop_wall_ms(b->shard->loop), time);
    AUTO_BUF struct buf subject = { 0 }, source = { 0 }, value = { 0 };
    buf_addf(&subject, "%s/%d", b->shard->events_topic, (int)part->id);
    buf_addf(&source, "/tutti/%s", subject.data);
    buf_addf(&value, "{\"partition\":%d,\"offset\":%" PRId64 "}", (int)part->id, part->epoch);
    const struct bus_extra_header extra[] = {
        { "ce_specversion", BYTES_LIT("1.0") },
        { "ce_id", bytes_of(part->token) },
        { "ce_source", buf_bytes(&source) },
        { "ce_type", BYTES_LIT(CE_TYPE_CLAIMED) },
        { "ce_subject", buf_bytes(&subject) },
        { "ce_time", bytes_of(time) },
        { "content-type", BYTES_LIT("application/json") },
    };
    send_message(b,
                 &(struct bus_message){ .topic = b->shard->results_topic,
                                        .partition = partition_results(part),
                                        .key = buf_bytes(&subject),
                                        .value = buf_bytes(&value),
                                        .extra = extra,
                                        .extra_count = ARRAY_LEN(extra) },
                 &b->outputs->results_waiter);
}

static void produce(struct batch *b, const struct effect *fx)
{
    switch (fx->kind) {
    case EFFECT_TASK: produce_task(b, fx); break;
    case EFFECT_RESULT: produce_result(b, fx); break;
    case EFFECT_LIFECYCLE: batch_lifecycle(b, fx); break;
    case EFFECT_START: produce_start(b, fx); break;
    case EFFECT_EVENT: send_event(b, fx->header, fx->value); break;
    case EFFECT_CANCEL:
    case EFFECT_SETTLE: batch_mark(b, fx); break;
    }
}

void batch_send(struct batch *b, struct outputs *o, const struct effect *fx)
{
    struct outputs *current = b->outputs;
    b->outputs = o;
    produce(b, fx);
    b->outputs = current;
}

/* What the engine makes is content: a value that looks like a claim check is none. */
static void produce_guarded(struct batch *b, const struct effect *fx)
{
    AUTO_BUF struct buf value = { 0 };
    struct effect guarded = *fx;
    payload_add(&value, fx->value);
    guarded.value = buf_bytes(&value);
    produce(b, &guarded);
}

void batch_produce(struct batch *b, const struct effects *fx)
{
    for (size_t i = 0; i < fx->count && !b->failed; i++) {
        const struct effect *effect = &fx->list[i];
        if (payloads_hold(b, effect)) continue;
        if (payload_is_ref(effect->value))
            produce_guarded(b, effect);
        else
            produce(b, effect);
    }
}
