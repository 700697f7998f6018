/* SPDX-License-Identifier: Apache-2.0
 *
 * Logs: one JSON object a line on stderr, RFC 3339 UTC. Only shells log (main programs and the
 * layers that drive them); libraries return struct err. Every line has ts, level, event, msg, and
 * the fields of the logger it came through.
 */
#ifndef TUTTI_LOG_H
#define TUTTI_LOG_H

#include "common/base/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* A logger is a small value to copy and extend; `fields` is a fragment such as `"partition":3,` */
struct log {
    enum log_level level; /* lines below it are dropped */
    int fd;               /* where lines go, usually 2 */
    char fields[200];
};

/* A logger for a program: adds "service":name. */
struct log log_new(const char *service, enum log_level level, int fd);
/* A copy with one more field; a field that does not fit is left out. */
struct log log_with_text(const struct log *log, const char *key, const char *value);
struct log log_with_int(const struct log *log, const char *key, int64_t value);
/* event: dotted, stable, for machines ("partition.fenced"); msg: a sentence that also says what
 * happens next. */
void log_at(const struct log *log, enum log_level level, const char *event, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
#define log_debug(log, event, ...) log_at((log), LOG_DEBUG, (event), __VA_ARGS__)
#define log_info(log, event, ...)  log_at((log), LOG_INFO, (event), __VA_ARGS__)
#define log_warn(log, event, ...)  log_at((log), LOG_WARN, (event), __VA_ARGS__)
#define log_error(log, event, ...) log_at((log), LOG_ERROR, (event), __VA_ARGS__)

/* "debug" "info" "warn" "error" -> level; false for anything else. */
MUST_CHECK bool log_level_parse(const char *text, enum log_level *ret);

#endif
