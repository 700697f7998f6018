/* SPDX-License-Identifier: Apache-2.0
 *
 * The formats of JSON Schema (Validation, section 7.3), for those who ask for them as rules.
 */
#ifndef TUTTI_SCHEMA_FORMAT_H
#define TUTTI_SCHEMA_FORMAT_H

#include "common/base/buf.h"

struct format {
    const char *name;
    const char *noun; /* "an e-mail address" */
    bool (*valid)(struct bytes text);
};

/* The format of that name, or NULL: an unknown one says nothing. */
const struct format *format_find(const char *name);

/* The parts, by subject. */
bool format_date(struct bytes text);
bool format_time(struct bytes text);
bool format_date_time(struct bytes text);
bool format_duration(struct bytes text);
bool format_email(struct bytes text);
bool format_idn_email(struct bytes text);
bool format_hostname(struct bytes text);
bool format_idn_hostname(struct bytes text);
bool format_ipv4(struct bytes text);
bool format_ipv6(struct bytes text);
bool format_uri(struct bytes text);
bool format_uri_reference(struct bytes text);
bool format_iri(struct bytes text);
bool format_iri_reference(struct bytes text);
bool format_uri_template(struct bytes text);

#endif
