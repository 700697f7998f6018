/* SPDX-License-Identifier: Apache-2.0
 *
 * Timestamps and durations: their texts, and what is asked of them. The calendar is the Gregorian
 * one throughout; days are turned into dates and back as Howard Hinnant's "chrono-Compatible
 * Low-Level Date Algorithms" has it.
 */
#include <stdio.h>

#include "common/cel/internal.h"

#define NS_PER_S  1000000000LL
#define S_PER_DAY 86400
#define FIRST_S   (-62135596800LL) /* 0001-01-01T00:00:00Z */
#define LAST_S    253402300799LL   /* 9999-12-31T23:59:59Z */

bool instant_in_range(struct instant t)
{
    return t.s >= FIRST_S && t.s <= LAST_S;
}

/* --- dates --- */

static int64_t days_of_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static void date_of_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* from March */
    *ret_day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

/* --- timestamps as text --- */

/* `count` digits at *p, which moves behind them; -1 if they are none. */
static int digits(const char **p, const char *end, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++, ++*p) {
        if (*p == end || **p < '0' || **p > '9') return -1;
        value = value * 10 + (**p - '0');
    }
    return value;
}

static bool is_next(const char **p, const char *end, char c)
{
    if (*p == end || **p != c) return false;
    ++*p;
    return true;
}

/* "Z" or "+hh:mm", in seconds east. */
static bool parse_offset(const char **p, const char *end, int *ret)
{
    *ret = 0;
    if (is_next(p, end, 'Z') || is_next(p, end, 'z')) return true;
    bool west = is_next(p, end, '-');
    if (!west && !is_next(p, end, '+')) return false;
    int hours = digits(p, end, 2);
    int minutes = is_next(p, end, ':') ? digits(p, end, 2) : -1;
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return false;
    *ret = (hours * 60 + minutes) * (west ? -60 : 60);
    return true;
}

static bool parse_fraction(const char **p, const char *end, int32_t *ret_ns)
{
    *ret_ns = 0;
    if (!is_next(p, end, '.')) return true;
    int count = 0;
    for (; *p < end && **p >= '0' && **p <= '9'; ++*p)
        if (count++ < 9) *ret_ns = *ret_ns * 10 + (**p - '0');
    if (count == 0) return false;
    for (; count < 9; count++) *ret_ns *= 10;
    return true;
}

static int days_in(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

bool instant_parse(struct bytes text, struct instant *ret)
{
    const char *p = text.data, *end = text.data + text.len;
    int year = digits(&p, end, 4), month = is_next(&p, end, '-') ? digits(&p, end, 2) : -1;
    int day = is_next(&p, end, '-') ? digits(&p, end, 2) : -1;
    if (year < 0 || month < 1 || month > 12 || day < 1 || day > days_in(year, month)) return false;
    if (!is_next(&p, end, 'T') && !is_next(&p, end, 't')) return false;
    int hour = digits(&p, end, 2), minute = is_next(&p, end, ':') ? digits(&p, end, 2) : -1;
    int second = is_next(&p, end, ':') ? digits(&p, end, 2) : -1;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
        return false;
    int offset;
    if (!parse_fraction(&p, end, &ret->ns) || !parse_offset(&p, end, &offset) || p != end)
        return false;
    ret->s = days_of_date(year, month, day) * S_PER_DAY + hour * 3600 + minute * 60 + second;
    ret->s -= offset;
    return instant_in_range(*ret);
}

/* ".5" of 500,000,000; nothing of 0. */
static void format_fraction(int32_t ns, char ret[16])
{
    snprintf(ret, 16, ".%09d", ns);
    for (size_t len = 10; len > 1 && ret[len - 1] == '0'; len--) ret[len - 1] = '\0';
    if (!ret[1]) ret[0] = '\0';
}

/* The days since 1970 and the second of the day. */
static int64_t day_of(int64_t s, int *ret_second)
{
    int64_t day = s / S_PER_DAY - (s % S_PER_DAY < 0);
    *ret_second = (int)(s - day * S_PER_DAY);
    return day;
}

void instant_format(struct instant t, char ret[TIME_VALUE_TEXT_MAX])
{
    int64_t year;
    int month, day, second;
    char fraction[16];
    date_of_days(day_of(t.s, &second), &year, &month, &day);
    format_fraction(t.ns, fraction);
    snprintf(ret, TIME_VALUE_TEXT_MAX, "%04lld-%02d-%02dT%02d:%02d:%02d%sZ", (long long)year, month,
             day, second / 3600, second / 60 % 60, second % 60, fraction);
}

/* --- durations as text --- */

static bool unit_at(const char **p, const char *end, int64_t *ret_ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {
        { "ns", 1 },       { "us", 1000 },    { "\u00b5s", 1000 },    { "\u03bcs", 1000 },
        { "ms", 1000000 }, { "s", NS_PER_S }, { "m", 60 * NS_PER_S }, { "h", 3600 * NS_PER_S }
    };
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        size_t len = strlen(units[i].name);
        if ((size_t)(end - *p) < len || memcmp(*p, units[i].name, len) != 0) continue;
        *p += len;
        *ret_ns = units[i].ns;
        return true;
    }
    return false;
}

/* A number with its unit at *p, added to *sum. */
static bool add_part(const char **p, const char *end, int64_t *sum)
{
    int64_t whole = 0, fraction = 0, scale = 1, unit;
    const char *begin = *p;
    for (; *p < end && **p >= '0' && **p <= '9'; ++*p)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, **p - '0', &whole))
            return false;
    size_t digits = (size_t)(*p - begin);
    if (is_next(p, end, '.'))
        for (; *p < end && **p >= '0' && **p <= '9'; ++*p, digits++) {
            if (scale > NS_PER_S * NS_PER_S / 10) continue; /* less than any unit can show */
            fraction = fraction * 10 + (**p - '0');
            scale *= 10;
        }
    if (digits == 0 || !unit_at(p, end, &unit) || __builtin_mul_overflow(whole, unit, &whole))
        return false;
    int64_t rest = (int64_t)((__int128)fraction * unit / scale);
    return !__builtin_add_overflow(*sum, whole, sum) && !__builtin_add_overflow(*sum, rest, sum);
}

bool span_parse(struct bytes text, int64_t *ret_ns)
{
    const char *p = text.data, *end = text.data + text.len;
    bool negative = is_next(&p, end, '-');
    if (!negative) (void)is_next(&p, end, '+');
    *ret_ns = 0;
    if (end - p == 1 && *p == '0') return true;
    if (p == end) return false;
    while (p < end)
        if (!add_part(&p, end, ret_ns)) return false;
    if (negative) *ret_ns = -*ret_ns;
    return true;
}

void span_format(int64_t ns, char ret[TIME_VALUE_TEXT_MAX])
{
    char fraction[16];
    int64_t s = ns / NS_PER_S;
    int32_t rest = (int32_t)(ns % NS_PER_S);
    format_fraction(rest < 0 ? -rest : rest, fraction);
    snprintf(ret, TIME_VALUE_TEXT_MAX, "%s%lld%ss", ns < 0 ? "-" : "", (long long)(s < 0 ? -s : s),
             fraction);
}

/* --- arithmetic --- */

static bool out_of_range(struct eval *ev, uint32_t offset, const char *what)
{
    return eval_fail(ev, offset, "the %s is out of range", what);
}

static bool timestamp_plus(struct eval *ev, uint32_t offset, struct instant t, int64_t ns,
                           struct val *ret)
{
    int64_t nanos = t.ns + ns % NS_PER_S;
    int carry = nanos < 0 ? -1 : nanos >= NS_PER_S;
    t.s += ns / NS_PER_S + carry;
    t.ns = (int32_t)(nanos - carry * NS_PER_S);
    if (!instant_in_range(t)) return out_of_range(ev, offset, "timestamp");
    *ret = (struct val){ .type = VAL_TIMESTAMP, .time = t };
    return true;
}

static bool timestamp_difference(struct eval *ev, uint32_t offset, struct instant a,
                                 struct instant b, struct val *ret)
{
    int64_t ns;
    if (__builtin_mul_overflow(a.s - b.s, NS_PER_S, &ns) ||
        __builtin_add_overflow(ns, a.ns - b.ns, &ns))
        return out_of_range(ev, offset, "duration");
    *ret = val_duration(ns);
    return true;
}

bool time_arithmetic(struct eval *ev, enum op op, uint32_t offset, const struct val *a,
                     const struct val *b, struct val *ret, bool *ret_known)
{
    bool add = op == OP_ADD, subtract = op == OP_SUB;
    *ret_known = true;
    if (a->type == VAL_DURATION && b->type == VAL_DURATION && (add || subtract)) {
        int64_t ns;
        bool over =
            add ? __builtin_add_overflow(a->i, b->i, &ns) : __builtin_sub_overflow(a->i, b->i, &ns);
        if (over) return out_of_range(ev, offset, "duration");
        *ret = val_duration(ns);
        return true;
    }
    if (a->type == VAL_DURATION && b->type == VAL_TIMESTAMP && add)
        return timestamp_plus(ev, offset, b->time, a->i, ret);
    if (a->type == VAL_TIMESTAMP && b->type == VAL_TIMESTAMP && subtract)
        return timestamp_difference(ev, offset, a->time, b->time, ret);
    if (a->type == VAL_TIMESTAMP && b->type == VAL_DURATION && (add || subtract)) {
        if (subtract && b->i == INT64_MIN) return out_of_range(ev, offset, "duration");
        return timestamp_plus(ev, offset, a->time, add ? b->i : -b->i, ret);
    }
    *ret_known = false;
    return true;
}

/* --- what is asked of them --- */

/* "hh:mm" with or without a sign, "UTC", or a name that the environment knows. */
static bool zone_offset(const struct call *c, struct bytes zone, int64_t s, int *ret)
{
    const struct cel_env *env = c->ev->env;
    *ret = 0;
    if (zone.len == 0 || bytes_is(zone, "UTC") || bytes_is(zone, "Z")) return true;
    AUTO_FREE char *name = xstrndup(zone.data, MIN(zone.len, 60u));
    AUTO_FREE char *text = *name >= '0' && *name <= '9' ? xasprintf("+%s", name) : xstrdup(name);
    const char *p = text, *end = text + strlen(text);
    if (parse_offset(&p, end, ret) && p == end && zone.len == strlen(name)) return true;
    int32_t seconds;
    if (env->zone && env->zone(env->user, name, s, &seconds)) {
        *ret = seconds;
        return true;
    }
    return eval_fail(c->ev, c->node->offset,
                     "%s(): the time zone '%.60s' is not known here; write an offset, as in "
                     "'+02:00', or 'UTC'",
                     c->function->name, name);
}

/* Which part of a timestamp is asked for. The order is that of the functions below. */
enum field { YEAR, MONTH, DAY_OF_MONTH, DATE, DAY_OF_WEEK, DAY_OF_YEAR, HOURS, MINUTES, SECONDS };

static bool field_of(const struct call *c, enum field field, struct val *ret)
{
    int offset = 0, second, month, day;
    int64_t year, s = c->args[0].time.s;
    if (c->count == 2 && !zone_offset(c, c->args[1].text, s, &offset)) return false;
    int64_t days = day_of(s + offset, &second);
    date_of_days(days, &year, &month, &day);
    switch (field) {
    case YEAR: *ret = val_int(year); break;
    case MONTH: *ret = val_int(month - 1); break;
    case DAY_OF_MONTH: *ret = val_int(day - 1); break;
    case DATE: *ret = val_int(day); break;
    case DAY_OF_WEEK: *ret = val_int(((days + 4) % 7 + 7) % 7); break; /* 1970 began on Thursday */
    case DAY_OF_YEAR: *ret = val_int(days - days_of_date(year, 1, 1)); break;
    case HOURS: *ret = val_int(second / 3600); break;
    case MINUTES: *ret = val_int(second / 60 % 60); break;
    case SECONDS: *ret = val_int(second % 60); break;
    }
    return true;
}

bool time_full_year(const struct call *c, struct val *ret)
{
    return field_of(c, YEAR, ret);
}
bool time_month(const struct call *c, struct val *ret)
{
    return field_of(c, MONTH, ret);
}
bool time_day_of_month(const struct call *c, struct val *ret)
{
    return field_of(c, DAY_OF_MONTH, ret);
}
bool time_date(const struct call *c, struct val *ret)
{
    return field_of(c, DATE, ret);
}
bool time_day_of_week(const struct call *c, struct val *ret)
{
    return field_of(c, DAY_OF_WEEK, ret);
}
bool time_day_of_year(const struct call *c, struct val *ret)
{
    return field_of(c, DAY_OF_YEAR, ret);
}

/* The hours and so on of a duration are the whole of it; only its milliseconds are the rest. */
static bool hours_or(const struct call *c, enum field field, int64_t unit_ns, struct val *ret)
{
    if (c->args[0].type == VAL_TIMESTAMP) return field_of(c, field, ret);
    *ret = val_int(c->args[0].i / unit_ns);
    return true;
}
bool time_hours(const struct call *c, struct val *ret)
{
    return hours_or(c, HOURS, 3600 * NS_PER_S, ret);
}
bool time_minutes(const struct call *c, struct val *ret)
{
    return hours_or(c, MINUTES, 60 * NS_PER_S, ret);
}
bool time_seconds(const struct call *c, struct val *ret)
{
    return hours_or(c, SECONDS, NS_PER_S, ret);
}
bool time_milliseconds(const struct call *c, struct val *ret)
{
    const struct val *v = &c->args[0];
    int64_t ns = v->type == VAL_DURATION ? v->i % NS_PER_S : v->time.ns;
    *ret = val_int(ns / 1000000);
    return true;
}
