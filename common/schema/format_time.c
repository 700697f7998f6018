/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates and times of RFC 3339, section 5.6, and its durations, appendix A.
 */
#include "common/schema/format.h"

static bool take_date(struct bytes *text)
{
    static const unsigned days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    unsigned year, month, day;
    if (!take_number(text, 4, &year) || !take_char(text, '-') || !take_number(text, 2, &month) ||
        !take_char(text, '-') || !take_number(text, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days[month - 1]) return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month != 2 || day < 29 || leap;
}

/* Minutes east of Greenwich. */
static bool take_offset(struct bytes *text, int *ret)
{
    *ret = 0;
    if (take_char(text, 'Z') || take_char(text, 'z')) return true;
    bool west = take_char(text, '-');
    unsigned hour, minute;
    if ((!west && !take_char(text, '+')) || !take_number(text, 2, &hour) || !take_char(text, ':') ||
        !take_number(text, 2, &minute) || hour > 23 || minute > 59)
        return false;
    *ret = (int)(hour * 60 + minute) * (west ? -1 : 1);
    return true;
}

static bool take_time(struct bytes *text)
{
    unsigned hour, minute, second, digit;
    int offset;
    if (!take_number(text, 2, &hour) || !take_char(text, ':') || !take_number(text, 2, &minute) ||
        !take_char(text, ':') || !take_number(text, 2, &second))
        return false;
    if (take_char(text, '.')) {
        if (!take_number(text, 1, &digit)) return false;
        while (take_number(text, 1, &digit)) continue;
    }
    if (!take_offset(text, &offset) || hour > 23 || minute > 59 || second > 60) return false;
    /* A leap second is the last one of a day, in UTC. */
    int utc = ((int)(hour * 60 + minute) - offset + 2 * 1440) % 1440;
    return second < 60 || utc == 1439;
}

bool format_date(struct bytes text)
{
    return take_date(&text) && !text.len;
}

bool format_time(struct bytes text)
{
    return take_time(&text) && !text.len;
}

bool format_date_time(struct bytes text)
{
    return take_date(&text) && (take_char(&text, 'T') || take_char(&text, 't')) &&
           take_time(&text) && !text.len;
}

/* Numbers with these units, which are in order and without a gap, as the grammar has it: hours and
 * seconds need minutes between them. Returns how many there were; SIZE_MAX: something else. */
static size_t take_units(struct bytes *text, const char *units)
{
    size_t count = 0;
    const char *next = units;
    unsigned digit;
    while (text->len && is_digit(*text->data)) {
        while (take_number(text, 1, &digit)) continue;
        const char *unit = text->len ? strchr(next, *text->data) : NULL;
        if (!unit || !*text->data || (count && unit != next)) return SIZE_MAX;
        (void)take_char(text, *unit);
        next = unit + 1;
        count++;
    }
    return count;
}

bool format_duration(struct bytes text)
{
    if (!take_char(&text, 'P')) return false;
    struct bytes weeks = text;
    if (take_units(&weeks, "W") == 1) return !weeks.len;
    size_t date = take_units(&text, "YMD"), time = 0;
    if (date == SIZE_MAX) return false;
    if (take_char(&text, 'T')) {
        time = take_units(&text, "HMS");
        if (time == 0 || time == SIZE_MAX) return false;
    }
    return date + time > 0 && !text.len;
}
