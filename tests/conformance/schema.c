/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON Schema for the conformance driver: one line of JSON in, one out.
 *
 *   {"schema": TEXT, "data": [TEXT, ...], "documents": {URI: TEXT, ...}, "format": BOOL}
 *   -> ["valid" | "invalid" | "refused: why", ...]   one for each of data
 *
 * Schemas and data are JSON as text, so that what jansson refuses (an integer beyond 64 bits) is
 * the result of that case and not of the line. The reader of the product refuses NUL characters,
 * too, long before a schema sees them; the validator knows them, as the suite demands.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/schema/schema.h"

static json_t *parse(const char *text, struct err *e)
{
    json_error_t je;
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES;
    json_t *value = json_loads(text, flags, &je);
    if (!value) err_fail(e, ERR_INVALID, "%s", je.text);
    return value;
}

static json_t *refused(const struct err *e)
{
    AUTO_FREE char *text = xasprintf("refused: %s", e->text);
    return json_string(text);
}

/* What refers to a document that is no JSON of ours does not find it. */
static size_t read_documents(const json_t *texts, struct schema_document *ret)
{
    const char *uri;
    json_t *text;
    size_t count = 0;
    struct err e;
    json_object_foreach((json_t *)texts, uri, text) {
        json_t *value = parse(json_string_value(text), &e);
        if (value) ret[count++] = (struct schema_document){ .uri = uri, .value = value };
    }
    return count;
}

static json_t *verdict(const struct schema *s, const char *text)
{
    struct err e = { 0 };
    AUTO_JSON *value = parse(text, &e);
    if (!value) return refused(&e);
    if (schema_check(s, value, &e)) return json_string("valid");
    return e.kind == ERR_INVALID ? json_string("invalid") : refused(&e);
}

static json_t *answer(const json_t *line)
{
    struct err e = { 0 };
    const json_t *texts = json_object_get(line, "documents"), *data = json_object_get(line, "data");
    AUTO_FREE struct schema_document *documents =
        xcalloc(json_object_size(texts) + 1, sizeof *documents);
    struct schema_options o = { .documents = documents,
                                .document_count = read_documents(texts, documents),
                                .assert_format = json_is_true(json_object_get(line, "format")) };
    AUTO_JSON *schema = parse(json_text(line, "schema"), &e);
    CLEANUP(schema_free_p)
    struct schema *s = schema ? schema_compile_with(schema, &o, NULL, &e) : NULL;
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(data); i++)
        json_array_append_new(list, s ? verdict(s, json_string_value(json_array_get(data, i)))
                                      : refused(&e));
    for (size_t i = 0; i < o.document_count; i++) json_decref((json_t *)documents[i].value);
    return list;
}

int main(void)
{
    AUTO_FREE char *text = NULL;
    size_t room = 0;
    ssize_t len;
    while ((len = getline(&text, &room, stdin)) > 0) {
        struct err e = { 0 };
        AUTO_JSON *line = json_parse((struct bytes){ text, (size_t)len }, &e);
        if (!line) {
            fprintf(stderr, "schema: %s\n", e.text);
            return 2;
        }
        AUTO_JSON *list = answer(line);
        AUTO_BUF struct buf out = { 0 };
        json_write(&out, list);
        puts(out.data);
        fflush(stdout);
    }
    return 0;
}
