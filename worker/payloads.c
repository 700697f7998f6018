/* SPDX-License-Identifier: Apache-2.0
 *
 * Claim checks: the content of a task's input is read before its call, and an output that is too
 * large for a message is put into the payload store before its result is published. The lease is
 * renewed all the while. An output may have been paid for: it waits for a store that is down as a
 * result waits for Kafka, but not for ever, because the step would then end as timed out without a
 * word about the reason. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "worker/call.h"

#define PUT_WAIT_MS    (600 * SECOND_MS)
#define HELD_BYTES_MAX (256 * MIB) /* inputs and outputs in memory; one may be larger */
#define LOOK_MS        50          /* while there is no room, or the lease is to be renewed */

/* Reading an input: what a cancel sees of it is a call like any other. */
struct input {
    struct tool_call tool; /* first */
    struct call *call;
    struct payload_op *op;
    struct blob_ref ref;
    struct loop_timer timer;
    bool here;
};

bool payloads_full(const struct worker *w)
{
    return w->payload_bytes >= HELD_BYTES_MAX;
}

static void count(struct call *c, size_t bytes)
{
    c->worker->payload_bytes += bytes;
    c->payload_bytes += bytes;
}

void payloads_release(struct call *c)
{
    c->worker->payload_bytes -= c->payload_bytes;
    c->payload_bytes = 0;
    c->saving = payload_op_cancel(c->saving);
    buf_done(&c->input);
    if (c->claim.data) c->task.value = c->claim; /* what the task was, for the cache's key */
}

/* --- inputs --- */

static void input_free(struct input *in)
{
    struct worker *w = in->call->worker;
    payload_op_cancel(in->op);
    loop_disarm(w->loop, &in->timer);
    free(in);
}

static void on_abort(struct tool_call *tool)
{
    input_free((struct input *)tool);
}

/* The call may be begun (or fails): it is no input any more. */
static struct call *input_end(struct input *in)
{
    struct call *c = in->call;
    c->tool = NULL;
    c->worker->stats.running--;
    input_free(in);
    return c;
}

/* A call is begun only upon a fresh lease (worker.h), and reading may have taken long. */
static void begin_when_fresh(struct input *in)
{
    struct call *c = in->call;
    struct worker *w = c->worker;
    if (loop_now_ms(w->loop) - c->leased_ms >= w->lease_ms / 3) {
        loop_arm(w->loop, &in->timer, LOOK_MS);
        return;
    }
    (void)input_end(in);
    if (call_past_deadline(c)) {
        call_fail(c, ERROR_TIMEOUT, "the task's deadline passed while its input was read");
        return;
    }
    c->claim = c->task.value;
    c->task.value = buf_bytes(&c->input);
    call_run(c);
}

static void on_input(void *user, const struct payload_answer *a)
{
    struct input *in = user;
    struct call *c = in->call;
    in->op = NULL;
    if (c->worker->phase == WORKER_LEFT) return; /* the abort comes */
    if (a->status == BLOB_OK) {
        in->here = true;
        buf_add(&c->input, a->data.data, a->data.len);
        begin_when_fresh(in);
        return;
    }
    (void)input_end(in);
    if (a->status == BLOB_LOST)
        call_fail_for_good(c, ERROR_INTERNAL,
                           "the task's input is lost: %s. Put the object back and retry", a->text);
    else
        call_fail(c, ERROR_UNREACHABLE, "the task's input could not be read: %s", a->text);
}

/* How long it may be read: until the task must be begun. */
static uint64_t input_wait_ms(const struct call *c)
{
    const struct worker *w = c->worker;
    if (!c->task.deadline_ms) return w->call_timeout_ms;
    return (uint64_t)MAX(c->task.deadline_ms - loop_wall_ms(w->loop), (int64_t)1);
}

static void on_timer(struct loop_timer *t)
{
    struct input *in = t->user;
    struct call *c = in->call;
    struct worker *w = c->worker;
    if (in->here) {
        begin_when_fresh(in);
    } else if (payloads_full(w) && !call_past_deadline(c)) {
        loop_arm(w->loop, t, LOOK_MS);
    } else {
        count(c, (size_t)in->ref.size);
        in->op = payload_store_get(w->payloads, c->task.run_id, &in->ref, input_wait_ms(c),
                                   on_input, in);
    }
}

bool payloads_read_input(struct call *c)
{
    struct worker *w = c->worker;
    struct err e;
    if (!payload_is_ref(c->task.value)) return false;
    struct input *in = xcalloc(1, sizeof *in);
    *in = (struct input){ .tool = { .abort = on_abort },
                          .call = c,
                          .timer = { .on_due = on_timer, .user = in } };
    if (!blob_ref_parse(c->task.value, &in->ref, &e)) {
        free(in);
        call_fail(c, ERROR_BAD_REQUEST, "the task's input: %s", e.text);
        return true;
    }
    c->state = CALL_RUNNING;
    c->tool = &in->tool;
    w->stats.running++;
    loop_arm(w->loop, &in->timer, 0);
    return true;
}

/* --- outputs --- */

static void on_saved(void *user, const struct payload_answer *a)
{
    struct call *c = user;
    struct worker *w = c->worker;
    c->saving = NULL;
    if (w->phase == WORKER_LEFT) return;
    size_t size = c->payload_bytes;
    payloads_release(c);
    if (a->status == BLOB_OK) {
        c->value = buf_bytes(&c->owned);
        call_publish(c, EVENT_TASK_COMPLETED);
        return;
    }
    call_fail(c, ERROR_UNREACHABLE,
              "the output (%zu bytes) could not be put into the payload store within %d s: %s",
              size, PUT_WAIT_MS / SECOND_MS, a->text);
}

void payloads_publish(struct call *c)
{
    struct worker *w = c->worker;
    if (!payload_store_takes(w->payloads, c->value.len)) {
        call_publish(c, EVENT_TASK_COMPLETED);
        return;
    }
    struct blob_ref ref = blob_ref_of(c->value);
    payloads_release(c); /* the input has done its work */
    count(c, c->value.len);
    c->started = true;
    c->state = CALL_SENDING;
    c->saving =
        payload_store_put(w->payloads, c->task.run_id, &ref, c->value, PUT_WAIT_MS, on_saved, c);
    buf_done(&c->owned); /* the store has its copy */
    blob_ref_add(&c->owned, &ref);
    c->value = (struct bytes){ 0 };
}
