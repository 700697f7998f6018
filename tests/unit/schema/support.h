/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of schemas share.
 */
#ifndef TUTTI_TEST_SCHEMA_SUPPORT_H
#define TUTTI_TEST_SCHEMA_SUPPORT_H

#include <criterion/criterion.h>

#include "common/schema/schema.h"

static inline json_t *parse(const char *text)
{
    struct err e;
    json_t *value = json_parse(bytes_of(text), &e);
    cr_assert_not_null(value, "%s: %s", text, e.text);
    return value;
}

static inline struct schema *compile_with(const char *text, const struct schema_options *o)
{
    struct err e = { 0 };
    AUTO_JSON *value = parse(text);
    struct schema *s = schema_compile_with(value, o, NULL, &e);
    cr_assert_not_null(s, "%s: %s", text, e.text);
    return s;
}

static inline struct schema *compile(const char *text)
{
    return compile_with(text, NULL);
}

/* fault: what the error must hold; NULL: the value is valid. */
static inline void check_by(const struct schema *s, const char *schema, const char *value,
                            const char *fault)
{
    struct err e = { 0 };
    AUTO_JSON *v = parse(value);
    bool ok = schema_check(s, v, &e);
    cr_expect_eq(ok, fault == NULL, "%s against %s: %s", value, schema, ok ? "valid" : e.text);
    if (fault && !ok) {
        cr_expect_not_null(strstr(e.text, fault), "'%s' has no '%s'", e.text, fault);
        cr_expect_eq(e.kind, ERR_INVALID);
    }
}

static inline void check(const char *schema, const char *value, const char *fault)
{
    CLEANUP(schema_free_p) struct schema *s = compile(schema);
    check_by(s, schema, value, fault);
}

static inline void refuse(const char *schema, enum err_kind kind, const char *pointer,
                          const char *fault)
{
    struct err e = { 0 };
    AUTO_FREE char *at = NULL;
    AUTO_JSON *value = parse(schema);
    CLEANUP(schema_free_p) struct schema *s = schema_compile(value, &at, &e);
    cr_expect_null(s, "%s compiles", schema);
    if (s) return;
    cr_expect_eq(e.kind, kind, "%s: %s", schema, e.text);
    cr_expect_str_eq(at, pointer, "%s: %s", schema, e.text);
    cr_expect_not_null(strstr(e.text, fault), "'%s' has no '%s'", e.text, fault);
}

#endif
