/* SPDX-License-Identifier: Apache-2.0
 *
 * Times as text. */
#include "common/base/clock.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/limits.h"

void time_format(int64_t wall_ms, char ret[TIME_TEXT_MAX])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    int ms = (int)(wall_ms % 1000);
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    struct tm tm;
    if (!gmtime_r(&seconds, &tm)) {
        snprintf(ret, TIME_TEXT_MAX, "invalid");
        return;
    }
    size_t n = strftime(ret, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret + n, TIME_TEXT_MAX - n, ".%03dZ", ms);
}

bool duration_parse(const char *text, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = { { "ms", 1 },   { "s", 1e3 },    { "", 1e3 },
                  { "m", 60e3 }, { "h", 3600e3 }, { "d", 86400e3 } };
    if (!isdigit((unsigned char)text[0])) return false; /* strtod would also take signs, hex, inf */
    char *end;
    double value = strtod(text, &end);
    if (text[0] == '0' && (text[1] | 32) == 'x') return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(end, units[i].unit) != 0) continue;
        double ms = round(value * units[i].ms);
        if (!(ms <= (double)DURATION_MS_MAX)) return false;
        *ret_ms = (int64_t)ms;
        return true;
    }
    return false;
}
