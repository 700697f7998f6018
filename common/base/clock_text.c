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

/* A number of exactly `digits` digits within bounds; moves *p behind it. */
static bool read_digits(const char **p, int digits, int min, int max, int *ret)
{
    *ret = 0;
    for (int i = 0; i < digits; i++, ++*p) {
        if (!isdigit((unsigned char)**p)) return false;
        *ret = *ret * 10 + (**p - '0');
    }
    return *ret >= min && *ret <= max;
}

static bool read_char(const char **p, char wanted)
{
    if ((**p | 32) != (wanted | 32)) return false;
    ++*p;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* ".123456": whole milliseconds of it. */
static bool read_fraction(const char **p, int *ret_ms)
{
    *ret_ms = 0;
    if (**p != '.') return true;
    int scale = 100;
    const char *begin = ++*p;
    for (; isdigit((unsigned char)**p); ++*p, scale /= 10) *ret_ms += (**p - '0') * scale;
    return *p > begin;
}

static bool read_zone(const char **p, int *ret_minutes)
{
    int hours, minutes, sign = **p == '-' ? -1 : 1;
    *ret_minutes = 0;
    if (read_char(p, 'Z')) return true;
    if (**p != '+' && **p != '-') return false;
    ++*p;
    if (!read_digits(p, 2, 0, 23, &hours) || !read_char(p, ':') ||
        !read_digits(p, 2, 0, 59, &minutes))
        return false;
    *ret_minutes = sign * (hours * 60 + minutes);
    return true;
}

bool time_parse(const char *text, int64_t *ret_ms)
{
    struct tm tm = { 0 };
    int year, month, ms, zone;
    const char *p = text;
    if (!read_digits(&p, 4, 0, 9999, &year) || !read_char(&p, '-') ||
        !read_digits(&p, 2, 1, 12, &month) || !read_char(&p, '-') ||
        !read_digits(&p, 2, 1, days_in_month(year, month), &tm.tm_mday) ||
        !(read_char(&p, 'T') || read_char(&p, ' ')) || !read_digits(&p, 2, 0, 23, &tm.tm_hour) ||
        !read_char(&p, ':') || !read_digits(&p, 2, 0, 59, &tm.tm_min) || !read_char(&p, ':') ||
        !read_digits(&p, 2, 0, 60, &tm.tm_sec) || !read_fraction(&p, &ms) ||
        !read_zone(&p, &zone) || *p)
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    *ret_ms = ((int64_t)timegm(&tm) - zone * 60) * 1000 + ms;
    return true;
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
