/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/json.h"

void text_one_line(char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t n = 1;
        while (n < 4 && n < left && !utf8_check(text, n)) n++;
        if (!utf8_check(text, n)) {
            bool cut = left < 4 && (unsigned char)*text >= 0xC2;
            *text = cut ? '\0' : '?';
            if (cut) return;
            n = 1;
        } else if ((unsigned char)*text < 0x20 || *text == 0x7F) {
            *text = ' ';
        }
        text += n;
        left -= n;
    }
}

bool err_fail_at(struct err *e, enum err_kind kind, const char *file, int line, const char *fmt,
                 ...)
{
    if (!e) return false;
    char text[sizeof e->text]; /* arguments may point into e itself */
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    *e = (struct err){ .kind = kind,
                       .retriable = kind == ERR_UNAVAILABLE || kind == ERR_TIMEOUT,
                       .file = file,
                       .line = line };
    text_one_line(text);
    memcpy(e->text, text, sizeof text);
    return false;
}

bool err_prefix(struct err *e, const char *fmt, ...)
{
    if (!e) return false;
    char text[sizeof e->text];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n + 2 < sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, ": %.*s", (int)(sizeof text - (size_t)n - 3),
                 e->text);
    text_one_line(text);
    memcpy(e->text, text, sizeof text);
    return false;
}

const char *err_kind_name(enum err_kind kind)
{
    static const char *const names[] = {
        [ERR_NONE] = "none",
        [ERR_INVALID] = "invalid",
        [ERR_NOT_FOUND] = "not_found",
        [ERR_CONFLICT] = "conflict",
        [ERR_LIMIT] = "limit",
        [ERR_UNAVAILABLE] = "unavailable",
        [ERR_AUTH] = "auth",
        [ERR_TIMEOUT] = "timeout",
        [ERR_UNSUPPORTED] = "unsupported",
        [ERR_IO] = "io",
        [ERR_INTERNAL] = "internal",
    };
    ASSERT((size_t)kind < ARRAY_LEN(names));
    return names[kind];
}
