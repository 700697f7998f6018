/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls through the pool. */
#include "worker/http_job.h"

#include <stdlib.h>

static void job_free(struct tool_job *job)
{
    struct http_job *j = (struct http_job *)job;
    if (j->free_own) j->free_own(j);
    http_step_done(&j->call);
    free(j);
}

static void on_done(void *user, const struct http_response *r);

static bool try_start(struct http_job *j, struct err *e)
{
    struct tools *t = j->job.t;
    uint64_t spent = loop_now_ms(t->loop) - j->begun_ms;
    struct http_request q = j->request;
    if ((int64_t)spent >= j->job.in.timeout_ms)
        return err_fail(e, ERR_TIMEOUT, "no time is left for another try");
    int64_t left = j->job.in.timeout_ms - (int64_t)spent;
    q.total_ms = (uint32_t)MIN(left, (int64_t)UINT32_MAX);
    q.method = j->call.method;
    q.url = j->call.url;
    q.headers = j->call.header;
    q.header_count = j->call.header_count;
    q.body = buf_bytes(&j->call.body);
    q.on_data = j->on_data;
    q.on_done = on_done;
    q.user = j;
    j->tries++;
    return http_start(t->pool, &q, &j->id, e);
}

/* The connection never got as far as the server: nobody was paid, and the next address may answer.
 */
static bool never_arrived(const struct http_response *r)
{
    return !r->sent && (r->outcome == HTTP_CONNECT || r->outcome == HTTP_BROKEN);
}

static void on_done(void *user, const struct http_response *r)
{
    struct http_job *j = user;
    struct err e;
    if (j->aborted) {
        tool_job_end(&j->job);
        return;
    }
    if (never_arrived(r) && j->tries < HTTP_TRIES_MAX && try_start(j, &e)) return;
    struct outcome o = { 0 };
    enum breaker_effect effect = j->decode(j, r, &o);
    breaker_share_record(j->job.t->breakers, &j->pass, effect);
    tool_job_done(&j->job, &o);
}

static void on_abort(struct tool_call *call)
{
    struct http_job *j = (struct http_job *)call;
    breaker_share_record(j->job.t->breakers, &j->pass, BREAKER_IGNORE);
    j->aborted = true;
    http_abort(j->job.t->pool, j->id); /* on_done comes, or tools_free finds the job */
}

struct tool_call *http_job_start(struct tools *t, struct http_job *j, const struct tool_input *in,
                                 const char *dependency, struct outcome *ret_now)
{
    struct err e;
    uint64_t wait_ms;
    j->job.call.abort = on_abort;
    j->job.free = job_free;
    j->begun_ms = loop_now_ms(t->loop);
    tool_job_begin(t, &j->job, in);
    if (!breaker_share_acquire(t->breakers, dependency, &j->pass, &wait_ms)) {
        outcome_fail(ret_now, ERROR_UNREACHABLE, "the circuit breaker of %s is open", dependency);
        ret_now->retry_after_ms = (int64_t)wait_ms;
        tool_job_end(&j->job);
        return NULL;
    }
    if (try_start(j, &e)) return &j->job.call;
    breaker_share_record(t->breakers, &j->pass, BREAKER_IGNORE);
    outcome_fail(ret_now, e.kind == ERR_INVALID ? ERROR_BAD_REQUEST : ERROR_INTERNAL, "%s", e.text);
    tool_redact(&j->job.used, ret_now);
    tool_job_end(&j->job);
    return NULL;
}
