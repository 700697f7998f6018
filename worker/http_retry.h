/* SPDX-License-Identifier: Apache-2.0
 *
 * What a server says about when to come again. */
#ifndef TUTTI_HTTP_RETRY_H
#define TUTTI_HTTP_RETRY_H

#include "common/io/http_pool.h"

#define RETRY_AFTER_MS_MAX (24LL * 3600 * 1000) /* a longer wish is cut */

/* retry-after-ms, else retry-after (seconds or an HTTP date, seen from the response's own date
 * where it has one). false: neither is there, or it cannot be read. */
bool http_retry_after(const struct http_response *r, int64_t *ret_ms);

#endif
