/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain scalars by the regular expressions of the YAML 1.2.2 core schema, section 10.3.2. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/yaml/parts.h"

static bool one_of(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0) return true;
    return false;
}
#define ONE_OF(text, ...)                                \
    one_of((text), (const char *const[]){ __VA_ARGS__ }, \
           ARRAY_LEN(((const char *[]){ __VA_ARGS__ })))

static const char *skip_digits(const char *p)
{
    return p + strspn(p, "0123456789");
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? ; *ret_integer: without point and exponent */
static bool is_number(const char *text, bool *ret_integer)
{
    const char *p = text + (*text == '-' || *text == '+');
    const char *end = skip_digits(p);
    size_t digits = (size_t)(end - p);
    *ret_integer = true;
    if (*end == '.') {
        *ret_integer = false;
        p = end + 1;
        end = skip_digits(p);
        digits += (size_t)(end - p);
    }
    if (!digits) return false;
    if (*end == 'e' || *end == 'E') {
        *ret_integer = false;
        p = end + 1;
        p += *p == '-' || *p == '+';
        end = skip_digits(p);
        if (end == p) return false;
    }
    return *end == '\0';
}

/* The base of 0o17 or 0x1f, or 0. */
static int prefixed_base(const char *text)
{
    if (text[0] != '0' || (text[1] != 'o' && text[1] != 'x') || !text[2]) return 0;
    const char *digits = text[1] == 'o' ? "01234567" : "0123456789abcdefABCDEF";
    if (text[2 + strspn(text + 2, digits)]) return 0;
    return text[1] == 'o' ? 8 : 16;
}

static json_t *integer(const char *text, const char *digits, int base, struct err *e)
{
    errno = 0;
    long long value = strtoll(digits, NULL, base);
    if (errno == ERANGE) {
        err_fail(e, ERR_INVALID,
                 "the integer %.60s does not fit 64 bits; put quotes around it to keep it as text",
                 text);
        return NULL;
    }
    return json_integer(value);
}

json_t *scalar_resolve(const char *text, size_t len, struct err *e)
{
    if (ONE_OF(text, "", "~", "null", "Null", "NULL")) return json_null();
    if (ONE_OF(text, "true", "True", "TRUE")) return json_true();
    if (ONE_OF(text, "false", "False", "FALSE")) return json_false();
    int base = prefixed_base(text);
    if (base) return integer(text, text + 2, base, e);
    const char *unsigned_text = text + (*text == '-' || *text == '+');
    if (ONE_OF(unsigned_text, ".inf", ".Inf", ".INF") || ONE_OF(text, ".nan", ".NaN", ".NAN")) {
        err_fail(e, ERR_INVALID, "%s is a number that JSON does not have; put quotes around text",
                 text);
        return NULL;
    }
    bool is_integer;
    if (!is_number(text, &is_integer)) return json_stringn(text, len);
    if (is_integer) return integer(text, text, 10, e);
    double value = strtod(text, NULL);
    if (isinf(value)) {
        err_fail(e, ERR_INVALID, "the number %.60s is too large", text);
        return NULL;
    }
    return json_real(value);
}
