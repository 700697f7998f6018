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

static bool valid(const struct schema *s, const json_t *value)
{
    struct err e = { 0 };
    bool ok = schema_check(s, value, &e);
    if (!ok) fuzz_check_error(&e);
    return ok;
}

/* The schema inside of another, and the value in the same place. */
static void check_nested(const json_t *schema, const json_t *value, bool want)
{
    struct err e = { 0 };
    AUTO_JSON *outer = json_pack("{s:{s:O}, s:s}", "properties", "x", schema, "type", "object");
    AUTO_JSON *list = json_pack("{s:O, s:i}", "items", schema, "maxItems", 3);
    AUTO_JSON *object = json_pack("{s:O}", "x", value), *two = json_pack("[O, O]", value, value);
    CLEANUP(schema_free_p) struct schema *a = schema_compile(outer, NULL, &e);
    CLEANUP(schema_free_p) struct schema *b = schema_compile(list, NULL, &e);
    if (!a || !b) return; /* one level too deep */
    FUZZ_CHECK(valid(a, object) == want, "as a member it is not %d", want);
    FUZZ_CHECK(valid(b, two) == want, "as an item it is not %d", want);
}

static void check_const(const json_t *a, const json_t *b)
{
    struct err e = { 0 };
    AUTO_JSON *schema = json_pack("{s:O}", "const", a);
    CLEANUP(schema_free_p) struct schema *s = schema_compile(schema, NULL, &e);
    if (!s) return;
    FUZZ_CHECK(valid(s, a), "a constant is not itself");
    FUZZ_CHECK(valid(s, b) == json_same(a, b), "const and json_same disagree");
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
    CLEANUP(schema_free_p) struct schema *s = schema_compile(schema, &pointer, &e);
    if (!s) {
        fuzz_check_error(&e);
        FUZZ_CHECK(pointer, "a fault without a place: %s", e.text);
        return 0;
    }
    if (!value) return 0;
    bool ok = valid(s, value);
    check_nested(schema, value, ok);
    check_const(value, schema);
    return 0;
}
