/* SPDX-License-Identifier: Apache-2.0
 *
 * Cron expressions: minute, hour, day of month, month, day of week, each `*`, a value, a range, a
 * list, with steps; months and days of the week also by name; Sunday is 0 and 7. Where both days
 * are restricted, either of them fires (POSIX, crontab). Also @hourly, @daily (@midnight), @weekly,
 * @monthly and @yearly (@annually).
 *
 * Around a change of the clocks as Debian's cron has it: a time that the clocks skip fires as they
 * have been put forward, one that they pass twice fires the first time; with a star (or a step) in
 * the field of minutes or hours it follows the time as it really passes. */
#ifndef TUTTI_CRON_H
#define TUTTI_CRON_H

#include "common/schedule/zone.h"

struct cron {
    uint64_t minutes;                    /* bit n: minute n */
    uint32_t hours, days, months, wdays; /* bits 0..23, 1..31, 1..12, 0..6 */
    bool any_day, any_wday;              /* the fields begin with a star */
    bool passing;                        /* that of minutes or of hours does */
};

/* ERR_INVALID says which field and why; ret_offset (may be NULL): the byte at fault. */
MUST_CHECK bool cron_parse(const char *text, struct cron *ret, size_t *ret_offset, struct err *e);
/* The first moment behind after_ms (both in ms since 1970) at which it fires; INT64_MAX: it never
 * does (the 31st of February). */
int64_t cron_next_ms(const struct cron *c, const struct zone *zone, int64_t after_ms);

#endif
