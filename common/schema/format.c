/* SPDX-License-Identifier: Apache-2.0
 *
 * The table, and the formats that are a few lines.
 */
#include "common/schema/format.h"

#include "common/schema/pattern.h"

/* RFC 4122, section 3. */
static bool format_uuid(struct bytes text)
{
    if (text.len != 36) return false;
    for (size_t i = 0; i < text.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text.data[i] != '-' : !is_hex(text.data[i])) return false;
    }
    return true;
}

/* RFC 6901, section 3. */
static bool format_json_pointer(struct bytes text)
{
    if (text.len && text.data[0] != '/') return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == '~' &&
            (i + 1 == text.len || (text.data[i + 1] != '0' && text.data[i + 1] != '1')))
            return false;
    return true;
}

/* draft-handrews-relative-json-pointer-01, section 3. */
static bool format_relative_json_pointer(struct bytes text)
{
    size_t digits = 0;
    while (digits < text.len && is_digit(text.data[digits])) digits++;
    if (!digits || (digits > 1 && text.data[0] == '0')) return false;
    struct bytes rest = { text.data + digits, text.len - digits };
    return bytes_is(rest, "#") || format_json_pointer(rest);
}

static bool format_regex(struct bytes text)
{
    struct err e;
    CLEANUP(pattern_free_p) struct pattern *p = pattern_compile(text, &e);
    return p != NULL;
}

const struct format *format_find(const char *name)
{
    static const struct format formats[] = {
        { "date-time", "a date and time (RFC 3339)", format_date_time },
        { "date", "a date (RFC 3339)", format_date },
        { "time", "a time with its offset (RFC 3339)", format_time },
        { "duration", "a duration (ISO 8601)", format_duration },
        { "email", "an e-mail address", format_email },
        { "idn-email", "an e-mail address", format_idn_email },
        { "hostname", "a host name", format_hostname },
        { "ipv4", "an IPv4 address", format_ipv4 },
        { "ipv6", "an IPv6 address", format_ipv6 },
        { "uri", "a URI", format_uri },
        { "uri-reference", "a URI reference", format_uri_reference },
        { "iri", "an IRI", format_iri },
        { "iri-reference", "an IRI reference", format_iri_reference },
        { "uri-template", "a URI template", format_uri_template },
        { "uuid", "a UUID", format_uuid },
        { "json-pointer", "a JSON pointer", format_json_pointer },
        { "relative-json-pointer", "a relative JSON pointer", format_relative_json_pointer },
        { "regex", "a regular expression (ECMA-262)", format_regex },
    };
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (strcmp(formats[i].name, name) == 0) return &formats[i];
    return NULL;
}
