/* SPDX-License-Identifier: Apache-2.0
 *
 * emit steps: one CloudEvent (1.0, Kafka binding, binary mode) to a topic outside of the
 * installation, acknowledged before the step's result is told. Its id is that of the step, so that
 * a consumer knows a repetition. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "worker/tools_internal.h"

#define HEADERS 7

/* What is under way in Kafka, which may be longer than the call that wants it. */
struct flight {
    struct bus_waiter waiter; /* first */
    struct emit_job *job;     /* NULL: nobody waits any more */
};

struct emit_job {
    struct tool_job job; /* first */
    struct flight *flight;
    struct loop_timer timeout;
    json_t *value; /* {"topic", "type", "data", "key"} */
    char *topic;
    int32_t partition;
};

static void job_free(struct tool_job *job)
{
    struct emit_job *j = (struct emit_job *)job;
    loop_disarm(job->t->loop, &j->timeout);
    if (j->flight) j->flight->job = NULL;
    json_decref(j->value);
    free(j->topic);
    free(j);
}

static void on_abort(struct tool_call *call)
{
    tool_job_end((struct tool_job *)call);
}

/* The flight has landed: the job, or NULL where nobody waits for it. */
static struct emit_job *land(struct flight *flight)
{
    struct emit_job *j = flight->job;
    if (j) j->flight = NULL;
    free(flight);
    return j;
}

static void fail(struct emit_job *j, enum error_type type, const char *text)
{
    struct outcome o = { 0 };
    outcome_fail(&o, type, "topic %s: %s", j->topic, text);
    tool_job_done(&j->job, &o);
}

static void on_timeout(struct loop_timer *t)
{
    fail(t->user, ERROR_TIMEOUT, "Kafka did not acknowledge the event in time");
}

static void on_delivery(struct bus_waiter *w, const struct bus_delivery *d)
{
    struct emit_job *j = land((struct flight *)w);
    if (!j) return;
    if (d->error) {
        fail(j, ERROR_UNREACHABLE, d->error);
        return;
    }
    struct outcome o = { .ok = true };
    AUTO_JSON *output = json_pack("{s:s, s:i, s:I}", "topic", j->topic, "partition",
                                  (int)j->partition, "offset", (json_int_t)d->offset);
    json_write(&o.text, output);
    tool_job_done(&j->job, &o);
}

/* Everything of the record but its value; texts are views of the task and of the job. */
static void make_headers(const struct emit_job *j, const char *id, const char *source,
                         const char *time, struct bus_extra_header ret[HEADERS])
{
    const char *type = json_text(j->value, "type");
    const struct bus_extra_header all[HEADERS] = {
        { "ce_specversion", BYTES_LIT("1.0") },
        { "ce_id", bytes_of(id) },
        { "ce_source", bytes_of(source) },
        { "ce_type", bytes_of(type ? type : "") },
        { "ce_subject", j->job.in.task->run_id },
        { "ce_time", bytes_of(time) },
        { "content-type", BYTES_LIT("application/json") },
    };
    memcpy(ret, all, sizeof all);
}

static bool send_event(struct emit_job *j, struct err *e)
{
    const struct task *task = j->job.in.task;
    const char *key = json_text(j->value, "key");
    const json_t *data = json_object_get(j->value, "data");
    char time[TIME_TEXT_MAX];
    struct bus_extra_header headers[HEADERS];
    AUTO_BUF struct buf body = { 0 };
    AUTO_FREE char *id = xasprintf("%.*s/%.*s", (int)task->run_id.len, task->run_id.data,
                                   (int)task->path.len, task->path.data);
    AUTO_FREE char *source = xasprintf("/tutti/%.*s", (int)task->workflow.len, task->workflow.data);
    time_format(loop_wall_ms(j->job.t->loop), time);
    make_headers(j, id, source, time, headers);
    json_write(&body, data ? data : json_null());
    struct bus_message m = { .topic = j->topic,
                             .partition = j->partition,
                             .key = key ? bytes_of(key) : task->run_id,
                             .value = buf_bytes(&body),
                             .extra = headers,
                             .extra_count = HEADERS };
    return bus_send(j->job.t->bus, &m, &j->flight->waiter, e);
}

static void on_info(void *user, int32_t partitions, const char *cluster_id, const struct err *e)
{
    struct flight *flight = user;
    struct emit_job *j = flight->job;
    struct err why;
    (void)cluster_id;
    if (!j || e || partitions == 0) {
        j = land(flight);
        if (j && e) fail(j, ERROR_UNREACHABLE, e->text);
        if (j && !e) fail(j, ERROR_BAD_REQUEST, "it does not exist");
        return;
    }
    const char *key = json_text(j->value, "key");
    j->partition = partition_of(key ? bytes_of(key) : j->job.in.task->run_id, partitions);
    if (send_event(j, &why)) return;
    land(flight);
    fail(j, why.kind == ERR_UNAVAILABLE ? ERROR_OVERLOADED : ERROR_BAD_REQUEST, why.text);
}

/* --- what may be sent where --- */

/* "orders", or "orders.*" for all that begins so. */
static bool matches(const char *pattern, const char *topic)
{
    size_t len = strlen(pattern);
    if (len && pattern[len - 1] == '*') return strncmp(pattern, topic, len - 1) == 0;
    return strcmp(pattern, topic) == 0;
}

static bool allowed(const struct tools *t, const char *topic, struct err *e)
{
    size_t prefix = strlen(t->prefix);
    if (strncmp(topic, t->prefix, prefix) == 0 && topic[prefix] == '.')
        return err_fail(e, ERR_INVALID, "it is one of the installation's own topics");
    for (size_t i = 0; i < json_array_size(t->emit_topics); i++) {
        const char *pattern = json_string_value(json_array_get(t->emit_topics, i));
        if (pattern && matches(pattern, topic)) return true;
    }
    return err_fail(e, ERR_INVALID,
                    "this worker does not allow it (option emit.topics, a list of names)");
}

struct tool_call *tool_emit_start(struct tools *t, const struct tool_input *in,
                                  struct outcome *ret_now)
{
    struct used_secrets used = { 0 };
    struct err e;
    json_t *value = tool_value(t, in->task, &used, ret_now);
    used_secrets_done(&used); /* no part of an event may be a secret */
    if (!value) return NULL;
    const char *topic = json_text(value, "topic");
    if (!topic || !allowed(t, topic, &e)) {
        outcome_fail(ret_now, ERROR_BAD_REQUEST, "topic %.249s: %s", topic ? topic : "(none)",
                     topic ? e.text : "it is no text");
        json_decref(value);
        return NULL;
    }
    struct emit_job *j = xcalloc(1, sizeof *j);
    j->job.call.abort = on_abort;
    j->job.free = job_free;
    j->value = value;
    j->topic = xstrdup(topic);
    j->timeout = (struct loop_timer){ .on_due = on_timeout, .user = j };
    j->flight = xcalloc(1, sizeof *j->flight);
    *j->flight = (struct flight){ .waiter.done = on_delivery, .job = j };
    tool_job_begin(t, &j->job, in);
    loop_arm(t->loop, &j->timeout, (uint64_t)in->timeout_ms);
    bus_topic_info(t->bus, j->topic, on_info, j->flight);
    return &j->job.call;
}
