/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/json.h"

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"
};

bool log_level_parse(const char *text, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

struct log log_new(const char *service, enum log_level level, int fd)
{
    struct log log = { .level = level, .fd = fd };
    return log_with_text(&log, "service", service);
}

static struct log with_field(const struct log *log, const struct buf *field)
{
    struct log wider = *log;
    size_t used = strlen(wider.fields);
    if (used + field->len < sizeof wider.fields)
        memcpy(wider.fields + used, field->data, field->len + 1);
    return wider;
}

/* Text from outside may be anything: what is no UTF-8 is shown byte by byte. */
static void add_text(struct buf *b, const char *text)
{
    size_t len = strlen(text);
    if (utf8_check(text, len)) {
        buf_add_json_string(b, text, len);
        return;
    }
    AUTO_BUF struct buf clean = { 0 };
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x80)
            buf_add_char(&clean, text[i]);
        else
            buf_addf(&clean, "\\x%02x", (unsigned char)text[i]);
    }
    buf_add_json_string(b, clean.data, clean.len);
}

struct log log_with_text(const struct log *log, const char *key, const char *value)
{
    AUTO_BUF struct buf field = { 0 };
    buf_addf(&field, "\"%s\":", key);
    add_text(&field, value);
    buf_add_char(&field, ',');
    return with_field(log, &field);
}

struct log log_with_int(const struct log *log, const char *key, int64_t value)
{
    AUTO_BUF struct buf field = { 0 };
    buf_addf(&field, "\"%s\":%lld,", key, (long long)value);
    return with_field(log, &field);
}

void log_at(const struct log *log, enum log_level level, const char *event, const char *fmt, ...)
{
    if (level < log->level) return;
    char msg[1024], ts[TIME_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    time_format(clock_wall_ms(), ts);
    AUTO_BUF struct buf line = { 0 };
    buf_addf(&line, "{\"ts\":\"%s\",\"level\":\"%s\",%s\"event\":\"%s\",\"msg\":", ts,
             level_names[level], log->fields, event);
    add_text(&line, msg);
    buf_add_text(&line, "}\n");
    ssize_t n =
        write(log->fd, line.data, line.len); /* one write a line: lines of threads do not mix */
    (void)n; /* a log that cannot be written has nowhere to say so */
}
