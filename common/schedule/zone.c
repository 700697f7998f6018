/* SPDX-License-Identifier: Apache-2.0 */
#include "common/schedule/zone.h"

#include <glib.h>
#include <stdlib.h>

struct zone {
    GTimeZone *zone;
};

struct zone *zone_load(const char *name, struct err *e)
{
    if (!*name) name = "UTC";
    if (!zone_name_good(name)) {
        err_fail(e, ERR_INVALID, "'%.64s' is no name of a time zone, such as Europe/Oslo", name);
        return NULL;
    }
    GTimeZone *zone = g_time_zone_new_identifier(name);
    if (!zone) {
        err_fail(e, ERR_NOT_FOUND,
                 "time zone '%.64s' is not in this system's database (package tzdata)", name);
        return NULL;
    }
    struct zone *z = xcalloc(1, sizeof *z);
    z->zone = zone;
    return z;
}

struct zone *zone_free(struct zone *z)
{
    if (!z) return NULL;
    g_time_zone_unref(z->zone);
    free(z);
    return NULL;
}

int64_t zone_offset_s(const struct zone *z, int64_t at_s)
{
    gint interval = g_time_zone_find_interval(z->zone, G_TIME_TYPE_UNIVERSAL, at_s);
    return g_time_zone_get_offset(z->zone, interval);
}
