/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP side of tutti-demo-model: OpenAI's chat completions on the loopback interface, with
 * faults on request. Sole includer of libmicrohttpd. */
#ifndef TUTTI_DEMO_SERVE_H
#define TUTTI_DEMO_SERVE_H

#include "common/base/err.h"

struct serve;
struct serve_options {
    uint16_t port;        /* of 127.0.0.1; 0: any free one */
    uint32_t delay_ms;    /* before each answer */
    uint32_t fail_status; /* the first fail_count requests are answered with this */
    uint32_t fail_count;
    bool garbage; /* answers that are no JSON */
    bool prose;   /* content that is no JSON, whatever was asked for */
    bool hang;    /* no answer at all */
};

/* Serves from threads of its own until serve_stop. NULL: the port is taken (ERR_UNAVAILABLE). */
MUST_CHECK struct serve *serve_start(const struct serve_options *options, struct err *e);
uint16_t serve_port(const struct serve *s);
/* Ends what is waiting and returns when the last connection is closed. */
struct serve *serve_stop(struct serve *s);

#endif
