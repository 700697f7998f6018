/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to the index over HTTP, read-only:
 *
 *   GET /v1/runs?workflow=&version=&state=&key=&since=&until=&attr.NAME=VALUE&limit=&cursor=
 *       {"runs": [...], "next": cursor or null}: index_db_page; since and until are RFC 3339
 *   GET /v1/counts
 *       {"runs": {state: number}}
 *   GET /health
 *       200 {"status": "ok", "at_end": whether everything that was there is indexed}
 *
 * Errors are {"error": {"type", "message"}} with 400, 404, 405 or 503. It has threads of its own,
 * each request reads the file through a connection of its own. */
#ifndef TUTTI_INDEX_API_H
#define TUTTI_INDEX_API_H

#include <stdatomic.h>

#include "common/base/err.h"

struct index_api;

struct index_api_options {
    const char *listen; /* ADDRESS:PORT, such as 127.0.0.1:7780 or [::]:7780; port 0: any */
    const char *path;   /* of the index, which is there */
    const atomic_bool *at_end;
};
/* The strings must live as long as it does. ERR_INVALID: the address; ERR_UNAVAILABLE: the port. */
MUST_CHECK struct index_api *index_api_start(const struct index_api_options *options,
                                             struct err *e);
uint16_t index_api_port(const struct index_api *a);
struct index_api *index_api_stop(struct index_api *a);
DEFINE_CLEANUP(struct index_api *, index_api_stop)

#endif
