/* SPDX-License-Identifier: Apache-2.0
 *
 * One outbound call: a curl easy handle, what it was asked, what came back, and its timer. The pool
 * puts it into a multi and takes it out; this side never touches a multi. Private to common/io. */
#ifndef TUTTI_HTTP_CALL_H
#define TUTTI_HTTP_CALL_H

#include <curl/curl.h>

#include "common/io/http_pool.h"
#include "common/io/http_target.h"

enum call_phase {
    CALL_STARTING,   /* not in a multi yet; the timer is due at once */
    CALL_CONNECTING, /* DNS, TCP, TLS */
    CALL_WAITING,    /* the request is on its way; no byte came back */
    CALL_READING,
};

struct http_shard;

/* A header while it is collected: offsets, because the text moves as it grows. */
struct call_header {
    size_t name, value;
};

struct http_call {
    struct loop *loop;
    struct http_pool *pool;   /* the next three belong to the pool */
    struct http_shard *shard; /* NULL: in no multi */
    uint32_t slot;
    struct loop_timer timer;

    CURL *easy;
    struct curl_slist *request_headers;
    char *method;
    struct buf request_body;
    struct http_target target; /* of the present hop */
    uint32_t hops, redirects_max;
    bool private_allowed;
    char **hosts_allowed; /* NULL-ended, owned */
    uint32_t connect_ms, first_byte_ms, idle_ms;
    size_t body_bytes_max;
    bool (*on_data)(void *user, struct bytes data);
    void (*on_done)(void *user, const struct http_response *r);
    void *user;

    enum call_phase phase;
    uint64_t start_ms, phase_end_ms, end_ms;
    bool exempt;         /* this hop may go to a private address */
    bool request_begun;  /* on this hop: curl was let past the connection */
    bool sent;           /* on any hop */
    bool abort, stopped; /* by http_abort; by on_data */
    bool too_large;
    char refused[64];  /* the address that was not allowed, or "" */
    uint32_t status;   /* of the response at hand; 0: none */
    size_t body_bytes; /* of it */
    struct buf body, header_text;
    struct call_header *headers;
    size_t header_count, header_cap;
    char curl_error[CURL_ERROR_SIZE];
};

/* A call that is not in a multi. NULL with e (ERR_INVALID) where the request cannot be. on_due is
 * the timer's callback; its user is the call. */
MUST_CHECK struct http_call *http_call_new(struct loop *loop, const struct http_request *request,
                                           void (*on_due)(struct loop_timer *t), struct err *e);
void http_call_free(struct http_call *call); /* in no multi any more */

/* Sets the handle up for the present hop and starts the clock of the connection. */
void http_call_begin_hop(struct http_call *call);
/* After curl has ended the hop: true if there is another one to begin. Otherwise *ret_outcome says
 * how the call ended, and text why. */
MUST_CHECK bool http_call_ended(struct http_call *call, CURLcode code,
                                enum http_outcome *ret_outcome, char *text, size_t text_size);
/* Whether a deadline has passed, and which; re-arms the timer if none has. */
MUST_CHECK bool http_call_overdue(struct http_call *call, enum http_outcome *ret_outcome);
/* Calls on_done, once; the pool has forgotten the call by then. */
void http_call_report(struct http_call *call, enum http_outcome outcome, const char *text);

#endif
