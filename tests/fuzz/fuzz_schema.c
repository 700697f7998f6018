/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON and schemas. Parts: a schema, a value. Whatever the text: the scanner and the parser agree
 * about it, and what is written is read again as the same. */
#include "common/base/limits.h"
#include "common/schema/schema.h"
#include "common/yaml/yaml.h"
#include "tests/fuzz/fuzz.h"

/* The value, or NULL for what is none (json_check's meaning, doubled keys refused). */
static json_t *parse(struct bytes text)
{
    struct err e = { 0 };
    json_t *value = json_parse(text, &e);
    bool good = json_check(text);
    if (value && good) return value;
    if (value) { /* the only thing that the scanner refuses and the parser does not: depth */
        AUTO_BUF struct buf flat = { 0 };
        json_write(&flat, value);
        FUZZ_CHECK(text.len > 2 * JSON_DEPTH_MAX && !json_check(buf_bytes(&flat)),
                   "refused by json_check: %s", flat.data);
        json_decref(value);
        return NULL;
    }
    fuzz_check_error(&e);
    FUZZ_CHECK(!good || strstr(e.text, "duplicate"), "accepted by json_check: %s", e.text);
    return NULL;
}

static void check_written(const json_t *value)
{
    struct err e = { 0 };
    AUTO_BUF struct buf plain = { 0 }, sorted = { 0 }, again = { 0 };
    json_write(&plain, value);
    FUZZ_CHECK(json_check(buf_bytes(&plain)), "written, it is refused: %s", plain.data);
    AUTO_JSON *read = json_parse(buf_bytes(&plain), &e);
    FUZZ_CHECK(read && json_same(read, value), "written, it is another: %s", plain.data);
    json_write_sorted(&sorted, value);
    AUTO_JSON *canonical = json_parse(buf_bytes(&sorted), &e);
    FUZZ_CHECK(canonical && json_same(canonical, value), "sorted, it is another: %s", sorted.data);
    json_write_sorted(&again, canonical);
    fuzz_check_same("canonical forms", buf_bytes(&sorted), buf_bytes(&again));
    AUTO_JSON *yaml = yaml_parse(buf_bytes(&plain), NULL, NULL, NULL, &e);
    FUZZ_CHECK(!yaml || json_same(yaml, value), "as YAML it is another: %s", plain.data);
}

enum verdict { INVALID, VALID, UNKNOWN };

/* Little work for one check, because there are many. */
static const struct schema_options options = { .work_max = 300000 };

static void check_report(const struct schema *s, const json_t *value, const struct err *e)
{
    struct err again = { 0 };
    CLEANUP(schema_report_done) struct schema_report r = { .max = 20 };
    FUZZ_CHECK(!schema_check_all(s, value, &r, &again), "invalid, and then valid: %s", e->text);
    FUZZ_CHECK(e->kind == again.kind && strcmp(e->text, again.text) == 0, "%s and then %s", e->text,
               again.text);
    FUZZ_CHECK(e->kind == ERR_LIMIT || r.count <= 20, "%zu violations", r.count);
    for (size_t i = 0; i < r.count; i++) {
        const struct schema_violation *v = &r.list[i];
        FUZZ_CHECK((!*v->pointer || *v->pointer == '/') && strchr(v->keyword, '#') && *v->text,
                   "'%s' '%s' '%s'", v->pointer, v->keyword, v->text);
    }
}

static enum verdict verdict(const struct schema *s, const json_t *value)
{
    struct err e = { 0 };
    if (schema_check(s, value, &e)) return VALID;
    fuzz_check_error(&e);
    FUZZ_CHECK(e.kind == ERR_INVALID || e.kind == ERR_LIMIT, "kind %d: %s", e.kind, e.text);
    check_report(s, value, &e);
    return e.kind == ERR_LIMIT ? UNKNOWN : INVALID;
}

static void check_verdict(const struct schema *s, const json_t *value, enum verdict want,
                          const char *what)
{
    enum verdict got = verdict(s, value);
    FUZZ_CHECK(got == want || got == UNKNOWN || want == UNKNOWN, "%s it is not %d", what, want);
}

/* Whether a schema may mean something else in another place, because it names places. */
static bool names_places(const json_t *schema)
{
    const char *key;
    json_t *inner;
    for (size_t i = 0; i < json_array_size(schema); i++)
        if (names_places(json_array_get(schema, i))) return true;
    json_object_foreach((json_t *)schema, key, inner)
        if (*key == '$' || names_places(inner)) return true;
    return false;
}

/* The schema inside of another, and the value in the same place. */
static void check_nested(const json_t *schema, const json_t *value, enum verdict want)
{
    struct err e = { 0 };
    AUTO_JSON *outer = json_pack("{s:{s:O}, s:s}", "properties", "x", schema, "type", "object");
    AUTO_JSON *list = json_pack("{s:O, s:i}", "items", schema, "maxItems", 3);
    AUTO_JSON *negation = json_pack("{s:O}", "not", schema);
    AUTO_JSON *object = json_pack("{s:O}", "x", value), *two = json_pack("[O, O]", value, value);
    CLEANUP(schema_free_p) struct schema *a = schema_compile_with(outer, &options, NULL, &e);
    CLEANUP(schema_free_p) struct schema *b = schema_compile_with(list, &options, NULL, &e);
    CLEANUP(schema_free_p) struct schema *c = schema_compile_with(negation, &options, NULL, &e);
    if (!a || !b || !c) return; /* one level too deep */
    check_verdict(a, object, want, "as a member");
    check_verdict(b, two, want, "as an item");
    check_verdict(c, value, want == UNKNOWN ? UNKNOWN : want == VALID ? INVALID : VALID, "negated");
}

/* The schema as another document that is referred to. */
static void check_referred(const json_t *schema, const json_t *value, enum verdict want)
{
    struct err e = { 0 };
    struct schema_document d = { .uri = "urn:fuzz", .value = schema };
    struct schema_options o = options;
    o.documents = &d;
    o.document_count = 1;
    AUTO_JSON *by_uri = json_pack("{s:s}", "$ref", d.uri);
    CLEANUP(schema_free_p) struct schema *s = schema_compile_with(by_uri, &o, NULL, &e);
    /* `$ref` of an empty URI leads to the one or the other; so may relative ones. */
    if (s && !names_places(schema)) check_verdict(s, value, want, "by reference");
    if (s) (void)verdict(s, value);
}

static void check_formats(const json_t *schema, const json_t *value)
{
    struct err e = { 0 };
    struct schema_options o = options;
    o.assert_format = true;
    CLEANUP(schema_free_p) struct schema *s = schema_compile_with(schema, &o, NULL, &e);
    FUZZ_CHECK(s, "with formats it does not compile: %s", e.text);
    (void)verdict(s, value);
}

static void check_const(const json_t *a, const json_t *b)
{
    struct err e = { 0 };
    AUTO_JSON *schema = json_pack("{s:O}", "const", a),
              *list = json_pack("{s:[O, O]}", "enum", b, a);
    CLEANUP(schema_free_p) struct schema *s = schema_compile(schema, NULL, &e);
    CLEANUP(schema_free_p) struct schema *any = schema_compile(list, NULL, &e);
    FUZZ_CHECK(s && any, "%s", e.text);
    check_verdict(s, a, VALID, "a constant:");
    check_verdict(s, b, json_same(a, b) ? VALID : INVALID, "const and json_same:");
    check_verdict(any, a, VALID, "of an enumeration:");
    check_verdict(any, b, VALID, "of an enumeration:");
    FUZZ_CHECK(json_same(a, b) == json_same(b, a), "json_same knows an order");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_INPUT in = fuzz_split(data, size);
    struct err e = { 0 };
    AUTO_FREE char *pointer = NULL;
    AUTO_JSON *schema = parse(in.part[0]), *value = parse(in.part[1]);
    if (value) check_written(value);
    if (!schema) return 0;
    check_written(schema);
    CLEANUP(schema_free_p) struct schema *s = schema_compile_with(schema, &options, &pointer, &e);
    if (!s) {
        fuzz_check_error(&e);
        FUZZ_CHECK(pointer, "a fault without a place: %s", e.text);
        return 0;
    }
    if (!value) return 0;
    enum verdict ok = verdict(s, value);
    if (!names_places(schema)) check_nested(schema, value, ok);
    check_referred(schema, value, ok);
    check_formats(schema, value);
    check_const(value, schema);
    return 0;
}
