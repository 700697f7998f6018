/* SPDX-License-Identifier: Apache-2.0
 *
 * Error objects: {type, message, step, attempt, retryable, details}, as expressions and people see
 * them. */
#include "orchestrator/engine/state.h"

#include "common/base/limits.h"

#define MESSAGE_BYTES_SHOWN (4 * KIB)
#define DETAILS_BYTES_MAX                                                  \
    (32 * KIB) /* larger ones are dropped: an error goes into every result \
                */

/* A JSON string of any bytes: cut to what is sensible, and '?' for what is no UTF-8. */
static void add_any_text(struct buf *b, struct bytes text)
{
    size_t len = MIN(text.len, (size_t)MESSAGE_BYTES_SHOWN);
    /* A cut may have split a sequence; its rest is at most three bytes. */
    for (int i = 0; i < 3 && len && !utf8_check(text.data, len); i++) len--;
    if (len && !utf8_check(text.data, len)) len = MIN(text.len, (size_t)MESSAGE_BYTES_SHOWN);
    AUTO_FREE char *copy = xstrndup(len ? text.data : "", len);
    size_t n = strlen(copy);
    if (!utf8_check(copy, n))
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)copy[i] >= 0x80) copy[i] = '?';
    buf_add_json_string(b, copy, n);
}

void failure_encode(struct fold *f, struct buf *ret, const struct failure *failure)
{
    buf_add_text(ret, "{\"type\":\"");
    buf_add_text(ret, error_type_name(failure->type));
    buf_add_text(ret, "\",\"message\":");
    add_any_text(ret, failure->message);
    buf_add_text(ret, ",\"step\":");
    if (failure->step == NO_INDEX) {
        buf_add_text(ret, "null");
    } else {
        struct bytes path = step_path(f, failure->step);
        buf_add_json_string(ret, path.data, path.len);
    }
    buf_add_text(ret, ",\"attempt\":");
    buf_add_int(ret, failure->attempt);
    buf_add_text(ret, failure->retryable ? ",\"retryable\":true" : ",\"retryable\":false");
    buf_add_text(ret, ",\"details\":");
    if (failure->details.len && failure->details.len <= DETAILS_BYTES_MAX)
        buf_add(ret, failure->details.data, failure->details.len);
    else
        buf_add_text(ret, "null");
    buf_add_char(ret, '}');
}

struct failure failure_of(enum error_type type, uint32_t step, const struct err *e)
{
    return (struct failure){ .type = type,
                             .retryable = error_type_retryable(type),
                             .step = step,
                             .message = bytes_of(e->text) };
}

/* Every error object was written by failure_encode, so its type stands at a known place. */
void failure_type(struct bytes error, char ret[32])
{
    const size_t from = sizeof "{\"type\":\"" - 1;
    size_t n = 0;
    while (from + n < error.len && n < 31 && error.data[from + n] != '"') {
        ret[n] = error.data[from + n];
        n++;
    }
    ret[n] = '\0';
}
