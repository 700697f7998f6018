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

/* format_time.c */
bool format_date(struct bytes text);
bool format_time(struct bytes text);
bool format_date_time(struct bytes text);
bool format_duration(struct bytes text);

/* format_net.c */
bool format_email(struct bytes text);
bool format_idn_email(struct bytes text);
bool format_hostname(struct bytes text);
bool format_ipv4(struct bytes text);
bool format_ipv6(struct bytes text);
bool format_uri(struct bytes text);
bool format_uri_reference(struct bytes text);
bool format_iri(struct bytes text);
bool format_iri_reference(struct bytes text);
bool format_uri_template(struct bytes text);

/* --- for the above: taking text apart, ASCII only --- */

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool is_letter(char c)
{
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}
static inline bool is_hex(char c)
{
    return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

/* What stands before c, which is taken, too; if there is no c, all. */
static inline struct bytes take_until(struct bytes *text, char c)
{
    struct bytes taken = *text;
    const char *at = text->len ? memchr(text->data, c, text->len) : NULL;
    if (at) taken.len = (size_t)(at - text->data);
    size_t used = taken.len + (at != NULL);
    *text = (struct bytes){ text->data + used, text->len - used };
    return taken;
}

static inline bool take_char(struct bytes *text, char c)
{
    if (!text->len || *text->data != c) return false;
    *text = (struct bytes){ text->data + 1, text->len - 1 };
    return true;
}

/* Exactly `digits` digits. */
static inline bool take_number(struct bytes *text, unsigned digits, unsigned *ret)
{
    *ret = 0;
    for (unsigned i = 0; i < digits; i++) {
        if (!text->len || !is_digit(*text->data)) return false;
        *ret = *ret * 10 + (unsigned)(*text->data - '0');
        *text = (struct bytes){ text->data + 1, text->len - 1 };
    }
    return true;
}

#endif
