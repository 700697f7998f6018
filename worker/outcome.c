/* SPDX-License-Identifier: Apache-2.0
 *
 * How a call ended, as a value. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "worker/tool.h"

void outcome_done(struct outcome *o)
{
    buf_done(&o->text);
    json_decref(o->details);
    *o = (struct outcome){ 0 };
}

void outcome_fail(struct outcome *o, enum error_type error, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t len = n < 0 ? 0 : MIN((size_t)n, sizeof text - 1);
    /* A cut in the middle of a character is taken back; what is no text at all is not repeated. */
    while (len && !utf8_check(text, len) && (size_t)n >= sizeof text && len > sizeof text - 5)
        len--;
    if (!utf8_check(text, len)) {
        static const char instead[] = "(a message that is not UTF-8)";
        len = sizeof instead - 1;
        memcpy(text, instead, len);
    }
    buf_reset(&o->text);
    buf_add(&o->text, text, len);
    json_decref(o->details);
    o->details = NULL;
    o->ok = false;
    o->error = error;
    o->retryable = error_type_retryable(error);
    o->retry_after_ms = 0;
}

void outcome_move(struct outcome *to, struct outcome *from)
{
    outcome_done(to);
    *to = *from;
    *from = (struct outcome){ 0 };
}
