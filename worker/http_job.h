/* SPDX-License-Identifier: Apache-2.0
 *
 * A call that goes through the pool: its breaker, its immediate second and third try where the
 * connection never reached the server, and its abortion. What is sent and what the answer means is
 * the tool's. */
#ifndef TUTTI_HTTP_JOB_H
#define TUTTI_HTTP_JOB_H

#include "worker/tool_http.h"
#include "worker/tools_internal.h"

#define HTTP_TRIES_MAX 3

struct http_job {
    struct tool_job job; /* first */
    struct http_step call;
    struct http_request request; /* all but the callbacks; headers and body are call's */
    struct http_id id;
    struct breaker_pass pass;
    uint32_t tries;
    bool aborted;
    uint64_t begun_ms; /* loop time */
    /* The meaning of the answer. */
    enum breaker_effect (*decode)(struct http_job *j, const struct http_response *r,
                                  struct outcome *ret);
    bool (*on_data)(void *job, struct bytes data); /* NULL: collected */
    void (*free_own)(struct http_job *j);          /* may be NULL */
};

/* What every call of a workflow's own is held to: sizes, times, redirects, addresses. */
void http_job_limits(struct tools *t, struct http_job *j);
/* A new job and the task's value with its secrets (released by the caller). NULL where the value
 * could not be made: ret_now says why. */
struct http_job *http_job_new(struct tools *t, const struct tool_input *in, json_t **ret_value,
                              struct outcome *ret_now);
/* Gives up a job that was not started: *ret_now is a bad_request of e's text. Returns NULL. */
struct tool_call *http_job_refuse(struct http_job *j, const struct err *e, struct outcome *ret_now);
/* Starts a prepared job (allocated by the caller, who gives it away). NULL: over, see ret_now. */
struct tool_call *http_job_start(struct tools *t, struct http_job *j, const struct tool_input *in,
                                 const char *dependency, struct outcome *ret_now);

#endif
