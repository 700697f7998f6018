/* SPDX-License-Identifier: Apache-2.0
 *
 * Schemas that refer to one another: what is found, what is not, and that nothing is fetched.
 */
#include "tests/unit/schema/support.h"

#define DRAFT "https://json-schema.org/draft/2020-12/"

/* Checks with one more document, known under a URI. */
static void check_beside(const char *uri, const char *document, const char *schema,
                         const char *value, const char *fault)
{
    AUTO_JSON *other = parse(document);
    struct schema_document d = { .uri = uri, .value = other };
    CLEANUP(schema_free_p)
    struct schema *s =
        compile_with(schema, &(struct schema_options){ .documents = &d, .document_count = 1 });
    check_by(s, schema, value, fault);
}

Test(schema_refs, a_reference_leads_to_a_pointer_an_anchor_or_an_id)
{
    const char *schema =
        "{\"$defs\":{\"a\":{\"type\":\"string\"},\"b\":{\"$anchor\":\"bee\",\"minLength\":2},"
        "\"c\":{\"$id\":\"https://example.com/c\",\"maxLength\":3}},"
        "\"items\":{\"$ref\":\"#/$defs/a\",\"allOf\":[{\"$ref\":\"#bee\"},{\"$ref\":"
        "\"https://example.com/c\"}]}}";
    check(schema, "[\"abc\"]", NULL);
    check(schema, "[1]", "/0: expected a string, found an integer (#/$defs/a/type)");
    check(schema, "[\"a\"]", "(#/$defs/b/minLength)");
    check(schema, "[\"abcd\"]", "(#/$defs/c/maxLength)");
}

Test(schema_refs, a_schema_may_refer_to_itself_along_the_value)
{
    const char *tree = "{\"properties\":{\"next\":{\"$ref\":\"#\"}},\"required\":[\"v\"]}";
    check(tree, "{\"v\":1,\"next\":{\"v\":2,\"next\":{\"v\":3}}}", NULL);
    check(tree, "{\"v\":1,\"next\":{\"v\":2,\"next\":{}}}",
          "/next/next/v: this property is required");
}

Test(schema_refs, other_documents_are_those_that_are_given)
{
    const char *name = "{\"$defs\":{\"n\":{\"type\":\"string\"}},\"$ref\":\"#/$defs/n\"}";
    check_beside("https://example.com/name.json", name,
                 "{\"$id\":\"https://example.com/x/y\",\"$ref\":\"../name.json\"}", "\"a\"", NULL);
    check_beside("https://example.com/name.json", name,
                 "{\"items\":{\"$ref\":\"https://example.com/name.json\"}}", "[1]",
                 "/0: expected a string, found an integer "
                 "(https://example.com/name.json#/$defs/n/type)");
    check_beside(NULL, "{\"$id\":\"urn:example:n\",\"type\":\"null\"}",
                 "{\"$ref\":\"urn:example:n\"}", "1", "expected null");
}

Test(schema_refs, nothing_is_fetched_and_the_missing_uri_is_named)
{
    refuse("{\"items\":{\"$ref\":\"https://example.com/a?b#/c\"}}", ERR_NOT_FOUND, "/items/$ref",
           "'$ref' leads to 'https://example.com/a?b', which is not here: nothing is fetched");
    refuse("{\"$ref\":\"#/$defs/a\"}", ERR_NOT_FOUND, "/$ref",
           "leads to '#/$defs/a', and there is nothing there");
    refuse("{\"$dynamicRef\":\"#a\"}", ERR_NOT_FOUND, "/$dynamicRef",
           "'$dynamicRef' leads to '#a'");
    refuse("{\"$ref\":\"#/%zz\"}", ERR_NOT_FOUND, "/$ref", "broken %XX");
    refuse("{\"$ref\":\"#/items/01/a\",\"items\":{}}", ERR_NOT_FOUND, "/$ref", "nothing there");
}

Test(schema_refs, an_id_that_resolves_to_nothing_names_no_new_schema)
{
    check(
        "{\"$ref\":\"b#/$defs/c\",\"$defs\":{\"b\":{\"$id\":\"b\",\"$defs\":{\"c\":{\"$id\":\"..\","
        "\"minLength\":2}}}}}",
        "\"a\"", "at least 2 characters");
}

Test(schema_refs, a_fault_in_a_document_that_was_given_names_it)
{
    struct err e = { 0 };
    AUTO_FREE char *at = NULL;
    AUTO_JSON *other = parse("{\"items\":{\"minItems\":-1}}");
    AUTO_JSON *value = parse("{\"$ref\":\"https://example.com/o\"}");
    struct schema_document d = { .uri = "https://example.com/o", .value = other };
    struct schema_options o = { .documents = &d, .document_count = 1 };
    cr_expect_null(schema_compile_with(value, &o, &at, &e));
    cr_expect_str_eq(at, "");
    cr_expect_not_null(strstr(e.text, "https://example.com/o#/items: 'minItems'"), "%s", e.text);
}

Test(schema_refs, references_in_a_circle_are_refused)
{
    static const char why[] = "leads back here without a step into the value";
    refuse("{\"$ref\":\"#\"}", ERR_INVALID, "/$ref", why);
    refuse("{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"anyOf\":[{\"$ref\":\"#/$defs/b\"}]},"
           "\"b\":{\"$ref\":\"#/$defs/a\"}}}",
           ERR_INVALID, "/$defs/b/$ref", why);
    refuse("{\"properties\":{\"x\":{\"not\":{\"$ref\":\"#/properties/x\"}}}}", ERR_INVALID,
           "/properties/x/not/$ref", why);
}

Test(schema_refs, a_dynamic_reference_finds_the_outermost_anchor)
{
    static const char tree[] =
        "{\"$id\":\"https://example.com/tree\",\"$dynamicAnchor\":\"node\",\"type\":\"object\","
        "\"properties\":{\"kids\":{\"items\":{\"$dynamicRef\":\"#node\"}}}}";
    static const char strict[] =
        "{\"$id\":\"https://example.com/strict\",\"$dynamicAnchor\":\"node\",\"$ref\":\"tree\","
        "\"unevaluatedProperties\":false}";
    check(tree, "{\"kids\":[{\"kid\":1}]}", NULL);
    check_beside("https://example.com/tree", tree, strict, "{\"kids\":[{\"kids\":[]}]}", NULL);
    check_beside("https://example.com/tree", tree, strict, "{\"kids\":[{\"kid\":1}]}",
                 "/kids/0/kid: the schema allows no such property");
}

Test(schema_refs, a_dynamic_reference_that_never_steps_into_the_value_ends)
{
    struct err e = { 0 };
    CLEANUP(schema_free_p)
    struct schema *s = compile(
        "{\"$id\":\"urn:a\",\"$dynamicAnchor\":\"n\",\"$ref\":\"urn:b\",\"$defs\":{\"b\":{\"$id\":"
        "\"urn:b\",\"$dynamicRef\":\"#n\",\"$defs\":{\"n\":{\"$dynamicAnchor\":\"n\"}}}}}");
    AUTO_JSON *value = parse("1");
    cr_expect_not(schema_check(s, value, &e));
    cr_expect_eq(e.kind, ERR_LIMIT);
    cr_expect_not_null(strstr(e.text, "nested too deep"), "%s", e.text);
}

Test(schema_refs, the_metaschemas_are_built_in)
{
    const char *schema = "{\"$ref\":\"" DRAFT "schema\"}";
    check(schema, "{\"type\":\"object\",\"items\":{\"minItems\":1}}", NULL);
    check(schema, "{\"items\":{\"minItems\":-1}}", "/items/minItems: expected a number at least 0");
    check(schema, "{\"allOf\":[{\"type\":\"text\"}]}", "/allOf/0/type: expected one of 2");
    refuse("{\"$ref\":\"" DRAFT "meta/none\"}", ERR_NOT_FOUND, "/$ref", "is not here");
}

Test(schema_refs, a_dialect_says_which_keywords_check)
{
    static const char dialect[] =
        "{\"$id\":\"https://example.com/d\",\"$schema\":\"" DRAFT "schema\",\"$vocabulary\":{"
        "\"" DRAFT "vocab/core\":true,\"" DRAFT "vocab/applicator\":true}}";
    const char *schema =
        "{\"$schema\":\"https://example.com/d\",\"items\":{\"minimum\":3,\"not\":{}}}";
    check_beside(NULL, dialect, schema, "[]", NULL);
    check_beside(NULL, dialect, schema, "[1]", "(#/items/not)");
    check("{\"$schema\":\"" DRAFT "schema#\",\"type\":\"null\"}", "1", "expected null");
    refuse("{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}", ERR_UNSUPPORTED, "/$schema",
           "is 'http://json-schema.org/draft-07/schema#', which is neither JSON Schema 2020-12");
}

Test(schema_refs, a_vocabulary_that_is_needed_and_unknown_is_refused)
{
    struct err e = { 0 };
    AUTO_FREE char *at = NULL;
    AUTO_JSON *dialect = parse("{\"$id\":\"urn:d\",\"$vocabulary\":{\"urn:units\":true}}");
    AUTO_JSON *value = parse("{\"$schema\":\"urn:d\"}");
    struct schema_document d = { .value = dialect };
    struct schema_options o = { .documents = &d, .document_count = 1 };
    cr_expect_null(schema_compile_with(value, &o, &at, &e));
    cr_expect_eq(e.kind, ERR_UNSUPPORTED);
    cr_expect_not_null(strstr(e.text, "the vocabulary urn:units, which is unknown"), "%s", e.text);
}

/* --- warnings --- */

static void collect(void *user, const char *pointer, const char *text)
{
    buf_addf(user, "%s: %s\n", pointer, text);
}

Test(schema_refs, a_misspelt_keyword_is_warned_about)
{
    AUTO_BUF struct buf warnings = { 0 };
    struct schema_options o = { .warn = collect, .user = &warnings };
    struct schema *s = compile_with(
        "{\"x-note\":1,\"properties\":{\"a\":{\"minlength\":3,\"enmu\":[]},\"requird\":{}}}", &o);
    schema_free(s);
    cr_expect_str_eq(
        warnings.data,
        "/properties/a/minlength: 'minlength' is no keyword, and checks nothing; did you "
        "mean 'minLength'?\n"
        "/properties/a/enmu: 'enmu' is no keyword, and checks nothing; did you mean "
        "'enum'?\n");
}
