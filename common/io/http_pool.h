/* SPDX-License-Identifier: Apache-2.0
 *
 * Outbound HTTP on the loop: thousands of open transfers over sharded curl multi handles (at most
 * 1,000 transfers a multi), with timers of our own. Sole includer of libcurl. Calls are named by
 * id, not by pointer: a late callback for a dead call finds nobody. */
#ifndef TUTTI_HTTP_POOL_H
#define TUTTI_HTTP_POOL_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/io/loop.h"

struct http_pool;
/* Initializes curl (counted, so several pools are fine) and gives SIGPIPE an empty handler if it
 * has none. Addresses are taken from DNS without stopping the loop. No proxy is used, whatever the
 * environment says; TLS certificates are verified. ERR_INVALID: calls_max is 0. */
MUST_CHECK struct http_pool *http_pool_open(struct loop *loop, uint32_t calls_max, struct err *e);
/* Open calls end without a callback. Not from within one. NULL is fine; returns NULL. */
struct http_pool *http_pool_close(struct http_pool *pool);
DEFINE_CLEANUP(struct http_pool *, http_pool_close)

struct http_id {
    uint32_t slot, generation; /* generation 0: no call */
};

enum http_outcome {
    HTTP_DONE,            /* a whole response; status says which */
    HTTP_REFUSED_ADDRESS, /* the address is not allowed (loopback, private, link-local ...) */
    HTTP_CONNECT,         /* DNS, TCP or TLS failed: the request never left */
    HTTP_CONNECT_TIMEOUT,
    HTTP_FIRST_BYTE_TIMEOUT,
    HTTP_IDLE_TIMEOUT,
    HTTP_TOTAL_TIMEOUT,
    HTTP_BROKEN,       /* the connection broke after the request was sent */
    HTTP_TOO_LARGE,    /* the body passed body_bytes_max */
    HTTP_BAD_REDIRECT, /* too many, or to a forbidden scheme or address */
    HTTP_ABORTED,      /* by http_abort or by on_data returning false */
};
const char *http_outcome_name(enum http_outcome outcome);

struct http_header {
    const char *name, *value;
};

struct http_response {
    enum http_outcome outcome;
    uint32_t status;                   /* 0 if no status line came */
    struct bytes body;                 /* empty if on_data took it; dies with the callback */
    const struct http_header *headers; /* lower-case names; the last response's (after redirects) */
    size_t header_count;
    bool sent;      /* request bytes may have reached a server (with redirects: of any hop) */
    char text[200]; /* what went wrong, for people */
    uint64_t elapsed_ms;
};
/* The value of a header (lower-case name), or NULL. */
const char *http_response_header(const struct http_response *r, const char *name);

/* AWS Signature Version 4, made by libcurl. What its versions do differently is kept away from it:
 * libcurl 7.88 signs the query as it stands, so the URL must have it in canonical form already
 * (sorted by name, %XX in upper case, "name=" where there is no value), and later ones leave that
 * as it is. For S3 the caller gives the header x-amz-content-sha256, which is taken as the hash of
 * the body, and x-amz-security-token where there is a session. */
struct http_sigv4 {
    const char *region, *service; /* up to 64 characters, no colon */
    const char *access_key, *secret_key;
};

/* A request leaves once: what curl repeats on its own after a kept connection died unanswered is
 * let through for GET, HEAD, PUT, DELETE and OPTIONS only; others are HTTP_BROKEN. */
struct http_request {
    const char *method, *url; /* http and https only */
    const struct http_header *headers;
    size_t header_count;
    struct bytes body;                                     /* copied */
    uint32_t connect_ms, first_byte_ms, idle_ms, total_ms; /* 0: 10 s, total, total, 600 s */
    size_t body_bytes_max;                                 /* 0: 1 MiB; also of a streamed body */
    /* 0: redirects are not followed. To another scheme, host or port only Accept, Accept-Language,
     * Content-Type and User-Agent of the headers go along. */
    uint32_t redirects_max;
    bool private_allowed; /* else loopback, private, link-local, multicast and unspecified addresses
                             are refused at connect, also after DNS and on every redirect (v4-mapped
                             v6 too) */
    const char *const *hosts_allowed; /* host or host:port that may be private all the same;
                                         NULL-ended, may be NULL */
    /* NULL: not signed. A signed request follows no redirect, and its body has a Content-Type. A
     * body over 1 MiB goes with curl's Expect: 100-continue. */
    const struct http_sigv4 *sigv4;
    /* Streamed body; false aborts. NULL: the body is collected. */
    bool (*on_data)(void *user, struct bytes data);
    void (*on_done)(void *user,
                    const struct http_response *r); /* exactly once, never inside http_start */
    void *user;
};
/* Copies what it needs. Expect is suppressed, Content-Length set; a body has no Content-Type but
 * the one given. ERR_INVALID: a URL, method or header that cannot be; ERR_LIMIT: calls_max are
 * open. */
MUST_CHECK bool http_start(struct http_pool *pool, const struct http_request *request,
                           struct http_id *ret, struct err *e);
/* on_done comes with HTTP_ABORTED in the next turn; no effect on a call that has ended. */
void http_abort(struct http_pool *pool, struct http_id id);
size_t http_open_calls(const struct http_pool *pool);

#endif
