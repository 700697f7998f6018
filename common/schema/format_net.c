/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and addresses: hosts, mail, URIs.
 */
#include "common/schema/format.h"

/* --- hosts --- */

/* RFC 1123, section 2.1. */
static bool label(struct bytes text)
{
    if (!text.len || text.len > 63) return false;
    for (size_t i = 0; i < text.len; i++) {
        bool dash = text.data[i] == '-' && i > 0 && i + 1 < text.len;
        if (!dash && !is_letter(text.data[i]) && !is_digit(text.data[i])) return false;
    }
    return true;
}

bool format_hostname(struct bytes text)
{
    if (!text.len || text.len > 253 || text.data[text.len - 1] == '.') return false;
    while (text.len)
        if (!label(take_until(&text, '.'))) return false;
    return true;
}

/* RFC 2673, section 3.2: four decimal numbers without leading zeros. */
bool format_ipv4(struct bytes text)
{
    for (int i = 0; i < 4; i++) {
        bool last = i == 3, dot = text.len && memchr(text.data, '.', text.len);
        struct bytes part = take_until(&text, '.');
        unsigned value, digits = (unsigned)part.len;
        if (last == dot || !digits || digits > 3 || (digits > 1 && *part.data == '0')) return false;
        if (!take_number(&part, digits, &value) || value > 255) return false;
    }
    return true;
}

/* Groups of RFC 4291, section 2.2; the last may be an IPv4 address, which counts twice. SIZE_MAX:
 * something else. */
static size_t ipv6_groups(struct bytes text, bool ipv4)
{
    size_t count = 0;
    if (!text.len) return 0;
    for (;;) {
        bool last = !memchr(text.data, ':', text.len);
        struct bytes group = take_until(&text, ':');
        if (last && ipv4 && format_ipv4(group)) return count + 2;
        if (!group.len || group.len > 4) return SIZE_MAX;
        for (size_t i = 0; i < group.len; i++)
            if (!is_hex(group.data[i])) return SIZE_MAX;
        count++;
        if (last) return count;
        if (!text.len) return SIZE_MAX;
    }
}

bool format_ipv6(struct bytes text)
{
    if (text.len > 45) return false;
    const char *gap = NULL;
    for (size_t i = 0; i + 1 < text.len && !gap; i++)
        if (memcmp(text.data + i, "::", 2) == 0) gap = text.data + i;
    if (!gap) return ipv6_groups(text, true) == 8;
    struct bytes left = { text.data, (size_t)(gap - text.data) };
    struct bytes right = { gap + 2, text.len - left.len - 2 };
    size_t before = ipv6_groups(left, false), after = ipv6_groups(right, true);
    return before < 8 && after < 8 && before + after < 8;
}

/* --- mail: RFC 5321, section 4.1.2 --- */

static bool is_atext(char c, bool international)
{
    if ((unsigned char)c >= 0x80) return international;
    return is_letter(c) || is_digit(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool quoted(struct bytes text, bool international)
{
    for (size_t i = 1; i + 1 < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '\\' && i + 2 < text.len)
            c = (unsigned char)text.data[++i];
        else if (c == '"' || c == '\\')
            return false;
        if (c < 0x20 || c == 0x7F || (c >= 0x80 && !international)) return false;
    }
    return text.len >= 2 && text.data[text.len - 1] == '"';
}

static bool dotted(struct bytes text, bool international)
{
    bool after_dot = true;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '.' ? after_dot : !is_atext(text.data[i], international)) return false;
        after_dot = text.data[i] == '.';
    }
    return !after_dot;
}

static bool mail_domain(struct bytes text, bool international)
{
    if (text.len > 2 && text.data[0] == '[' && text.data[text.len - 1] == ']') {
        struct bytes inner = { text.data + 1, text.len - 2 };
        if (inner.len > 5 && memcmp(inner.data, "IPv6:", 5) == 0)
            return format_ipv6((struct bytes){ inner.data + 5, inner.len - 5 });
        return format_ipv4(inner);
    }
    if (!international || text.len > 253) return format_hostname(text);
    /* Of a name in other scripts only what is ASCII is looked at. */
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < 0x80 && !is_letter(text.data[i]) &&
            !is_digit(text.data[i]) && text.data[i] != '.' && text.data[i] != '-')
            return false;
    return dotted(text, true);
}

static bool mail(struct bytes text, bool international)
{
    size_t at = text.len;
    while (at && text.data[at - 1] != '@') at--;
    if (!at) return false;
    struct bytes local = { text.data, at - 1 }, domain = { text.data + at, text.len - at };
    if (!local.len || local.len > 64 || !mail_domain(domain, international)) return false;
    return local.data[0] == '"' ? quoted(local, international) : dotted(local, international);
}

bool format_email(struct bytes text)
{
    return mail(text, false);
}

bool format_idn_email(struct bytes text)
{
    return mail(text, true);
}

/* --- URIs: RFC 3986, and RFC 3987 for those with other than ASCII characters --- */

/* Unreserved characters, %XX, and those of `others`. */
static bool characters(struct bytes text, const char *others, bool international)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            if (i + 2 >= text.len || !is_hex(text.data[i + 1]) || !is_hex(text.data[i + 2]))
                return false;
            i += 2;
        } else if ((unsigned char)c >= 0x80) {
            if (!international) return false;
        } else if (!is_letter(c) && !is_digit(c) && (!c || !strchr("-._~", c)) &&
                   (!c || !strchr(others, c))) {
            return false;
        }
    }
    return true;
}

#define SUB_DELIMITERS "!$&'()*+,;="

/* "v1.x", the address of a version to come. */
static bool ip_future(struct bytes text)
{
    if (!take_char(&text, 'v') && !take_char(&text, 'V')) return false;
    struct bytes version = take_until(&text, '.');
    for (size_t i = 0; i < version.len; i++)
        if (!is_hex(version.data[i])) return false;
    return version.len && text.len && !memchr(text.data, '%', text.len) &&
           characters(text, SUB_DELIMITERS ":", false);
}

static bool authority(struct bytes text, bool international)
{
    if (text.len && memchr(text.data, '@', text.len) &&
        !characters(take_until(&text, '@'), SUB_DELIMITERS ":", international))
        return false;
    if (take_char(&text, '[')) {
        if (!text.len || !memchr(text.data, ']', text.len)) return false;
        struct bytes address = take_until(&text, ']');
        if (!format_ipv6(address) && !ip_future(address)) return false;
        if (text.len && !take_char(&text, ':')) return false;
    } else if (!characters(take_until(&text, ':'), SUB_DELIMITERS, international)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++)
        if (!is_digit(text.data[i])) return false;
    return true;
}

/* Takes "scheme:" if there is one. */
static bool take_scheme(struct bytes *text)
{
    size_t i = 0;
    while (i < text->len &&
           (is_letter(text->data[i]) ||
            (i && (is_digit(text->data[i]) || (text->data[i] && strchr("+-.", text->data[i]))))))
        i++;
    if (!i || i == text->len || text->data[i] != ':') return false;
    *text = (struct bytes){ text->data + i + 1, text->len - i - 1 };
    return true;
}

static bool reference(struct bytes text, bool absolute, bool international)
{
    bool scheme = take_scheme(&text);
    if (absolute && !scheme) return false;
    struct bytes rest = take_until(&text, '#');
    if (!characters(text, SUB_DELIMITERS ":@/?", international)) return false; /* the fragment */
    struct bytes path = take_until(&rest, '?');
    if (!characters(rest, SUB_DELIMITERS ":@/?", international)) return false; /* the query */
    if (path.len >= 2 && memcmp(path.data, "//", 2) == 0) {
        path = (struct bytes){ path.data + 2, path.len - 2 };
        const char *slash = path.len ? memchr(path.data, '/', path.len) : NULL;
        size_t len = slash ? (size_t)(slash - path.data) : path.len;
        if (!authority((struct bytes){ path.data, len }, international)) return false;
        path = (struct bytes){ path.data + len, path.len - len };
    } else if (!scheme) { /* a colon in the first segment would make it a scheme */
        struct bytes all = path, first = take_until(&all, '/');
        if (first.len && memchr(first.data, ':', first.len)) return false;
    }
    return characters(path, SUB_DELIMITERS ":@/", international);
}

bool format_uri(struct bytes text)
{
    return reference(text, true, false);
}

bool format_uri_reference(struct bytes text)
{
    return reference(text, false, false);
}

bool format_iri(struct bytes text)
{
    return reference(text, true, true);
}

bool format_iri_reference(struct bytes text)
{
    return reference(text, false, true);
}

/* --- URI templates: RFC 6570, section 2 --- */

/* A name, and behind it * or :LENGTH. */
static bool variable(struct bytes text)
{
    if (text.len && text.data[text.len - 1] == '*') text.len--;
    struct bytes name = take_until(&text, ':');
    bool after_dot = true;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (c == '.' ? after_dot : !is_letter(c) && !is_digit(c) && c != '_' && c != '%')
            return false;
        after_dot = c == '.';
    }
    if (after_dot || text.len > 4 || (text.len && *text.data == '0')) return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_digit(text.data[i])) return false;
    return characters(name, "", false);
}

static bool expression(struct bytes text)
{
    if (text.len && *text.data && strchr("+#./;?&=,!@|", *text.data))
        text = (struct bytes){ text.data + 1, text.len - 1 };
    do
        if (!variable(take_until(&text, ','))) return false;
    while (text.len);
    return true;
}

bool format_uri_template(struct bytes text)
{
    while (text.len) {
        bool braces = memchr(text.data, '{', text.len) != NULL;
        struct bytes literal = take_until(&text, '{');
        if (!characters(literal, SUB_DELIMITERS ":@/?#[]", true) ||
            (literal.len && memchr(literal.data, '\'', literal.len)))
            return false;
        if (!braces) return true;
        if (!text.len || !memchr(text.data, '}', text.len)) return false;
        if (!expression(take_until(&text, '}'))) return false;
    }
    return true;
}
