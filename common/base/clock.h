/* SPDX-License-Identifier: Apache-2.0
 *
 * Time for shells: the engine gets its time from records. Monotonic for intervals, wall for people.
 */
#ifndef TUTTI_CLOCK_H
#define TUTTI_CLOCK_H

#include "common/base/base.h"

#define TIME_TEXT_MAX 32

uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
int64_t clock_wall_ms(void);
/* RFC 3339 in UTC with milliseconds, as in 2026-11-22T04:27:15.123Z. */
void time_format(int64_t wall_ms, char ret[TIME_TEXT_MAX]);
/* RFC 3339 -> ms since 1970, cut to whole ones: "2026-11-22T04:27:15.123Z", also with an offset
 * such as +01:00; false if it is no such time (a leap second counts as the second behind it). */
MUST_CHECK bool time_parse(const char *text, int64_t *ret_ms);
/* "250ms", "30s", "10m", "2h", "7d" or a bare number of seconds -> milliseconds; false if it is no
 * duration or above DURATION_MS_MAX. */
MUST_CHECK bool duration_parse(const char *text, int64_t *ret_ms);
/* Fills the buffer from the kernel's generator; aborts if there is none. */
void random_bytes(void *ret, size_t len);

#endif
