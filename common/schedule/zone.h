/* SPDX-License-Identifier: Apache-2.0
 *
 * Time zones of the IANA database, by name, over GLib's reader of it. What a zone says may change
 * with an update of the system's database, so no fold may ask one: a schedule's moments enter the
 * log as starts. */
#ifndef TUTTI_ZONE_H
#define TUTTI_ZONE_H

#include "common/base/err.h"

struct zone; /* immutable */

#define ZONE_NAME_MAX 64

/* Whether the text has the form of a zone's name. ("/etc/localtime" and "../x" are files, and
 * "+02:00" is an offset, which knows no summer.) */
bool zone_name_good(const char *name);
/* "Europe/Oslo", "UTC" or "" (UTC). NULL with ERR_NOT_FOUND for a name that the system's database
 * does not have, and ERR_INVALID for what is no name of a zone. */
MUST_CHECK struct zone *zone_load(const char *name, struct err *e);
struct zone *zone_free(struct zone *z);
DEFINE_CLEANUP(struct zone *, zone_free)
/* Seconds that local time is ahead of UTC at a moment (seconds since 1970). */
int64_t zone_offset_s(const struct zone *z, int64_t at_s);

#endif
