/* SPDX-License-Identifier: Apache-2.0
 *
 * Retry-After. */
#include "worker/http_retry.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

static bool number(const char *text, double factor, int64_t *ret_ms)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || v < 0) return false;
    double ms = v * factor;
    *ret_ms = ms > (double)RETRY_AFTER_MS_MAX ? RETRY_AFTER_MS_MAX : (int64_t)ms;
    return true;
}

/* RFC 9110, 5.6.7: the preferred form. */
static bool http_date(const char *text, int64_t *ret_s)
{
    struct tm tm = { 0 };
    const char *end = text ? strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm) : NULL;
    if (!end || *end) return false;
    *ret_s = timegm(&tm);
    return true;
}

bool http_retry_after(const struct http_response *r, int64_t *ret_ms)
{
    const char *ms = http_response_header(r, "retry-after-ms");
    const char *after = http_response_header(r, "retry-after");
    if (ms && number(ms, 1, ret_ms)) return true;
    if (!after) return false;
    if (number(after, 1000, ret_ms)) return true;
    int64_t due, now;
    if (!http_date(after, &due)) return false;
    if (!http_date(http_response_header(r, "date"), &now)) now = (int64_t)time(NULL);
    int64_t wait = (due - now) * 1000;
    *ret_ms = wait < 0 ? 0 : wait > RETRY_AFTER_MS_MAX ? RETRY_AFTER_MS_MAX : wait;
    return true;
}
