/* SPDX-License-Identifier: Apache-2.0 */
#include "common/schedule/cron.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define MINUTE_S 60
#define HOUR_S   3600
#define DAY_S    86400
/* The longest that a date can be away: the 29th of February, over a century that is no leap year.
 */
#define YEARS_MAX 9

/* --- reading --- */

struct field {
    const char *name;
    unsigned min, max;
    const char *const *words; /* of the values from min on; NULL: none */
};

static const char *const month_words[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul",
                                           "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const wday_words[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };
static const struct field fields[] = { { "minute", 0, 59, NULL },
                                       { "hour", 0, 23, NULL },
                                       { "day of month", 1, 31, NULL },
                                       { "month", 1, 12, month_words },
                                       { "day of week", 0, 7, wday_words } };

static bool fail_value(const struct field *f, const char *p, struct err *e)
{
    return err_fail(e, ERR_INVALID, "%s: expected a value from %u to %u at '%.20s'", f->name,
                    f->min, f->max, p);
}

static bool read_word(const struct field *f, const char **p, unsigned *ret)
{
    for (unsigned i = 0; f->words && f->words[i]; i++) {
        if (strncasecmp(*p, f->words[i], 3) != 0 || isalnum((unsigned char)(*p)[3])) continue;
        *p += 3;
        *ret = f->min + i;
        return true;
    }
    return false;
}

static bool read_number(const char **p, unsigned *ret)
{
    if (!isdigit((unsigned char)**p)) return false;
    *ret = 0;
    for (; isdigit((unsigned char)**p); ++*p) {
        *ret = *ret * 10 + (unsigned)(**p - '0');
        if (*ret > 1000) return false;
    }
    return true;
}

static bool read_value(const struct field *f, const char **p, unsigned *ret, struct err *e)
{
    const char *at = *p;
    if (!read_word(f, p, ret) && !read_number(p, ret)) return fail_value(f, at, e);
    return (*ret >= f->min && *ret <= f->max) || fail_value(f, at, e);
}

/* One of a list: star, value or range, with or without a step. */
static bool read_part(const struct field *f, const char **p, uint64_t *bits, struct err *e)
{
    unsigned from = f->min, to = f->max, step = 1;
    bool range = true;
    if (**p == '*') {
        ++*p;
    } else {
        if (!read_value(f, p, &from, e)) return false;
        range = **p == '-';
        if (range) {
            ++*p;
            if (!read_value(f, p, &to, e)) return false;
            if (to < from)
                return err_fail(e, ERR_INVALID, "%s: the range %u-%u runs backwards", f->name, from,
                                to);
        }
    }
    if (**p == '/') {
        ++*p;
        if (!read_number(p, &step) || step == 0 || step > f->max)
            return err_fail(e, ERR_INVALID, "%s: a step is a number from 1 to %u", f->name, f->max);
    } else if (!range) {
        to = from;
    }
    for (unsigned n = from; n <= to && n < 64; n += step) *bits |= UINT64_C(1) << n;
    return true;
}

static bool read_field(const struct field *f, const char **p, uint64_t *ret, struct err *e)
{
    *ret = 0;
    for (;;) {
        if (!read_part(f, p, ret, e)) return false;
        if (**p != ',') break;
        ++*p;
    }
    if (**p && !isspace((unsigned char)**p))
        return err_fail(e, ERR_INVALID, "%s: '%.20s' is not understood", f->name, *p);
    while (isspace((unsigned char)**p)) ++*p;
    return true;
}

static const char *expand(const char *text)
{
    static const struct {
        const char *word, *means;
    } words[] = { { "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },
                  { "@midnight", "0 0 * * *" }, { "@weekly", "0 0 * * 0" },
                  { "@monthly", "0 0 1 * *" },  { "@yearly", "0 0 1 1 *" },
                  { "@annually", "0 0 1 1 *" } };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcasecmp(text, words[i].word) == 0) return words[i].means;
    return text;
}

bool cron_parse(const char *text, struct cron *ret, size_t *ret_offset, struct err *e)
{
    uint64_t bits[ARRAY_LEN(fields)];
    bool star[ARRAY_LEN(fields)];
    const char *begin = expand(text), *p = begin;
    bool ok = *text != '@' || begin != text ||
              err_fail(e, ERR_INVALID,
                       "'%.20s' is none of @hourly, @daily, @weekly, @monthly, @yearly", text);
    while (isspace((unsigned char)*p)) p++;
    for (size_t i = 0; i < ARRAY_LEN(fields) && ok; i++) {
        star[i] = *p == '*';
        ok = *p ? read_field(&fields[i], &p, &bits[i], e)
                : err_fail(e, ERR_INVALID,
                           "five fields are needed (minute, hour, day of month, "
                           "month, day of week), the %s is missing",
                           fields[i].name);
    }
    if (ok && *p) ok = err_fail(e, ERR_INVALID, "more than five fields: '%.20s'", p);
    if (!ok) {
        if (ret_offset) *ret_offset = begin == text ? (size_t)(p - begin) : 0;
        return false;
    }
    if (bits[4] >> 7 & 1) bits[4] |= 1;
    *ret = (struct cron){ .minutes = bits[0],
                          .hours = (uint32_t)bits[1],
                          .days = (uint32_t)bits[2],
                          .months = (uint32_t)bits[3],
                          .wdays = (uint32_t)bits[4] & 0x7f,
                          .any_day = star[2],
                          .any_wday = star[4],
                          .passing = star[0] || star[1] };
    return true;
}

bool zone_name_good(const char *name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
    return name[0] >= 'A' && name[0] <= 'Z' && strlen(name) <= ZONE_NAME_MAX &&
           !name[strspn(name, letters)];
}

/* --- dates --- */

struct date {
    int64_t year;
    unsigned month, day, wday; /* 1..12, 1..31, 0 (Sunday)..6 */
};

/* Days since 1970 <-> date: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
static struct date date_of(int64_t days)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    return (struct date){ .year = yoe + era * 400 + (month <= 2),
                          .month = month,
                          .day = (unsigned)(doy - (153 * mp + 2) / 5 + 1),
                          .wday = (unsigned)(((days + 4) % 7 + 7) % 7) };
}

static bool day_fires(const struct cron *c, int64_t day)
{
    struct date d = date_of(day);
    if (!(c->months >> d.month & 1)) return false;
    bool by_day = c->days >> d.day & 1, by_wday = c->wdays >> d.wday & 1;
    return c->any_day || c->any_wday ? by_day && by_wday : by_day || by_wday;
}

/* Local times are counted in seconds as if they were UTC. */
static bool local_fires(const struct cron *c, int64_t local_s)
{
    int64_t day = local_s / DAY_S, in_day = local_s % DAY_S;
    return c->minutes >> (in_day % HOUR_S / MINUTE_S) & 1 && c->hours >> (in_day / HOUR_S) & 1 &&
           day_fires(c, day);
}

/* Whether a local time in [from, to) fires. */
static bool span_fires(const struct cron *c, int64_t from, int64_t to)
{
    for (int64_t t = from; t < to; t += MINUTE_S)
        if (local_fires(c, t)) return true;
    return false;
}

/* Whether it fires at this minute, whose local time may have been jumped over to, or come twice. */
static bool fires(const struct cron *c, const struct zone *zone, int64_t at_s, int64_t offset)
{
    int64_t local = at_s + offset;
    if (c->passing) return local_fires(c, local);
    int64_t before = zone_offset_s(zone, at_s - MINUTE_S);
    if (offset > before && span_fires(c, at_s + before, local)) return true;
    if (!local_fires(c, local)) return false;
    /* The same local time, as the clocks stood up to a day ago: did it exist then? */
    int64_t old = zone_offset_s(zone, at_s - DAY_S / 4);
    int64_t first = local - old;
    return !(old > offset && zone_offset_s(zone, first) == old);
}

int64_t cron_next_ms(const struct cron *c, const struct zone *zone, int64_t after_ms)
{
    int64_t at = after_ms / 1000 / MINUTE_S * MINUTE_S + MINUTE_S;
    int64_t until = at + (int64_t)YEARS_MAX * 366 * DAY_S;
    while (at < until) {
        int64_t offset = zone_offset_s(zone, at), local = at + offset;
        int64_t tomorrow = (local / DAY_S + 1) * DAY_S - local;
        /* A day that does not fire is passed at once, unless the clocks change on the way. */
        if (!day_fires(c, local / DAY_S) && zone_offset_s(zone, at + tomorrow) == offset &&
            zone_offset_s(zone, at - MINUTE_S) == offset) {
            at += tomorrow;
            continue;
        }
        if (fires(c, zone, at, offset)) return at * 1000;
        at += MINUTE_S;
    }
    return INT64_MAX;
}
