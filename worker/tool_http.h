/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP calls as pure functions: what is sent for a task's value, and what an answer means. */
#ifndef TUTTI_TOOL_HTTP_H
#define TUTTI_TOOL_HTTP_H

#include "worker/breaker.h"
#include "worker/tool.h"

#define HTTP_HEADERS_MAX 64

/* A request; everything is owned. */
struct http_step {
    char *method, *url, *host; /* host: "host:port", of the breaker */
    struct http_header header[HTTP_HEADERS_MAX];
    size_t header_count;
    struct buf body;
    bool bare; /* the output is the body alone (a handler), not {"status","headers","body"} */
};
void http_step_done(struct http_step *c);
/* ERR_INVALID where name or value cannot be a header, ERR_LIMIT beyond HTTP_HEADERS_MAX. */
MUST_CHECK bool http_step_header(struct http_step *c, const char *name, const char *value,
                                 struct err *e);
/* Sets url and host. ERR_INVALID: neither http nor https, or no host. */
MUST_CHECK bool http_step_url(struct http_step *c, const char *url, struct err *e);
/* Of {"method","url","headers","query","body"}. On failure c holds nothing. */
MUST_CHECK bool http_step_encode(const json_t *value, struct http_step *ret, struct err *e);
/* What the answer means. */
enum breaker_effect http_step_decode(const struct http_step *c, const struct http_response *r,
                                     struct outcome *ret);

#endif
