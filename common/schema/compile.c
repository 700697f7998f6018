/* SPDX-License-Identifier: Apache-2.0
 *
 * From the JSON of a schema to its compiled form (JSON Schema 2020-12, Core and Validation). Each
 * keyword is one row of a table: how it is read, or that it is an annotation. A keyword without a
 * row is refused, so that nobody believes in a check that does not take place.
 */
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/schema/node.h"

struct compile {
    struct buf pointer; /* JSON pointer of what is being read */
    unsigned depth;
    struct err *e;
};

typedef bool read_fn(struct compile *c, struct schema *s, const json_t *value);

static struct schema *compile_value(struct compile *c, const json_t *value);

static bool refuse(struct compile *c, enum err_kind kind, const char *keyword, const char *want)
{
    return err_fail(c->e, kind, "%s: '%s' %s", c->pointer.len ? c->pointer.data : "schema", keyword,
                    want);
}

/* Adds one token to the pointer, escaped as RFC 6901 says; returns the length before. */
static size_t push(struct compile *c, const char *token)
{
    size_t before = c->pointer.len;
    buf_add_char(&c->pointer, '/');
    for (; *token; token++) {
        if (*token == '~')
            buf_add_text(&c->pointer, "~0");
        else if (*token == '/')
            buf_add_text(&c->pointer, "~1");
        else
            buf_add_char(&c->pointer, *token);
    }
    return before;
}

static void pop(struct compile *c, size_t before)
{
    c->pointer.len = before;
    c->pointer.data[before] = '\0';
}

static bool read_one_type(struct compile *c, struct schema *s, const json_t *value)
{
    static const char *const names[] = {
#define X(name, text, noun) text,
        SCHEMA_TYPES(X)
#undef X
    };
    for (unsigned i = 0; json_is_string(value) && i < TYPE_COUNT; i++) {
        if (strcmp(names[i], json_string_value(value)) != 0) continue;
        s->types |= 1u << i;
        return true;
    }
    return refuse(
        c, ERR_INVALID, "type",
        "must be null, boolean, integer, number, string, array, object, or a list of them");
}

static bool read_type(struct compile *c, struct schema *s, const json_t *value)
{
    if (!json_is_array(value)) return read_one_type(c, s, value);
    if (json_array_size(value) == 0) return refuse(c, ERR_INVALID, "type", "must not be empty");
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!read_one_type(c, s, json_array_get(value, i))) return false;
    return true;
}

static bool read_enum(struct compile *c, struct schema *s, const json_t *value)
{
    if (!json_is_array(value)) return refuse(c, ERR_INVALID, "enum", "must be an array");
    s->enums = value;
    return true;
}

static bool read_const(struct compile *c, struct schema *s, const json_t *value)
{
    (void)c;
    s->constant = value;
    return true;
}

static bool read_count(struct compile *c, const char *keyword, const json_t *value, size_t *ret)
{
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *ret = (size_t)json_integer_value(value);
        return true;
    }
    /* 2.0 is an integer, too (Validation, section 6.1.1 leans on Core 4.2.3). */
    double real = json_is_real(value) ? json_real_value(value) : -1.0;
    if (real >= 0 && real < 1e15 && real == (double)(int64_t)real) {
        *ret = (size_t)real;
        return true;
    }
    return refuse(c, ERR_INVALID, keyword, "must be an integer from 0");
}

static bool read_bound(struct compile *c, const char *keyword, const json_t *value,
                       const json_t **ret)
{
    if (!json_is_number(value)) return refuse(c, ERR_INVALID, keyword, "must be a number");
    *ret = value;
    return true;
}

#define COUNT_READER(name, keyword)                                                   \
    static bool read_##name(struct compile *c, struct schema *s, const json_t *value) \
    {                                                                                 \
        return read_count(c, keyword, value, &s->name);                               \
    }
#define BOUND_READER(name, keyword)                                                   \
    static bool read_##name(struct compile *c, struct schema *s, const json_t *value) \
    {                                                                                 \
        return read_bound(c, keyword, value, &s->name);                               \
    }
COUNT_READER(min_items, "minItems")
COUNT_READER(max_items, "maxItems")
COUNT_READER(min_length, "minLength")
COUNT_READER(max_length, "maxLength")
BOUND_READER(minimum, "minimum")
BOUND_READER(maximum, "maximum")
BOUND_READER(exclusive_minimum, "exclusiveMinimum")
BOUND_READER(exclusive_maximum, "exclusiveMaximum")

static bool read_unique_items(struct compile *c, struct schema *s, const json_t *value)
{
    if (!json_is_boolean(value))
        return refuse(c, ERR_INVALID, "uniqueItems", "must be true or false");
    s->unique_items = json_is_true(value);
    return true;
}

static bool read_items(struct compile *c, struct schema *s, const json_t *value)
{
    size_t before = push(c, "items");
    s->items = compile_value(c, value);
    if (!s->items) return false;
    pop(c, before);
    return true;
}

static bool read_additional(struct compile *c, struct schema *s, const json_t *value)
{
    size_t before = push(c, "additionalProperties");
    s->additional = compile_value(c, value);
    if (!s->additional) return false;
    pop(c, before);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct property *)a)->name, ((const struct property *)b)->name);
}

static bool read_properties(struct compile *c, struct schema *s, const json_t *value)
{
    if (!json_is_object(value))
        return refuse(c, ERR_INVALID, "properties", "must be an object of schemas");
    s->properties = xcalloc(json_object_size(value) + 1, sizeof *s->properties);
    size_t outer = push(c, "properties");
    const char *name;
    json_t *inner;
    json_object_foreach((json_t *)value, name, inner) {
        size_t before = push(c, name);
        struct schema *schema = compile_value(c, inner);
        if (!schema) return false;
        s->properties[s->property_count++] = (struct property){ .name = name, .schema = schema };
        pop(c, before);
    }
    pop(c, outer);
    qsort(s->properties, s->property_count, sizeof *s->properties, by_name);
    return true;
}

static bool read_required(struct compile *c, struct schema *s, const json_t *value)
{
    static const char want[] = "must be an array of different property names";
    if (!json_is_array(value)) return refuse(c, ERR_INVALID, "required", want);
    s->required = xcalloc(json_array_size(value) + 1, sizeof *s->required);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *name = json_string_value(json_array_get(value, i));
        if (!name) return refuse(c, ERR_INVALID, "required", want);
        for (size_t j = 0; j < i; j++)
            if (strcmp(s->required[j], name) == 0) return refuse(c, ERR_INVALID, "required", want);
        s->required[s->required_count++] = name;
    }
    return true;
}

/* An annotation says something to people and tools, and checks nothing. `format` is one: the
 * specification makes it an annotation unless a dialect asks for more. */
static bool read_annotation(struct compile *c, struct schema *s, const json_t *value)
{
    (void)c, (void)s, (void)value;
    return true;
}

static const struct {
    const char *keyword;
    read_fn *read;
} keywords[] = {
    { "type", read_type },
    { "enum", read_enum },
    { "const", read_const },
    { "properties", read_properties },
    { "required", read_required },
    { "additionalProperties", read_additional },
    { "items", read_items },
    { "minItems", read_min_items },
    { "maxItems", read_max_items },
    { "uniqueItems", read_unique_items },
    { "minLength", read_min_length },
    { "maxLength", read_max_length },
    { "minimum", read_minimum },
    { "maximum", read_maximum },
    { "exclusiveMinimum", read_exclusive_minimum },
    { "exclusiveMaximum", read_exclusive_maximum },
    { "title", read_annotation },
    { "description", read_annotation },
    { "default", read_annotation },
    { "examples", read_annotation },
    { "$schema", read_annotation },
    { "$comment", read_annotation },
    { "deprecated", read_annotation },
    { "readOnly", read_annotation },
    { "writeOnly", read_annotation },
    { "format", read_annotation },
};

static bool read_keyword(struct compile *c, struct schema *s, const char *keyword,
                         const json_t *value)
{
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (strcmp(keywords[i].keyword, keyword) == 0) return keywords[i].read(c, s, value);
    push(c, keyword);
    return err_fail(c->e, ERR_UNSUPPORTED,
                    "%s: the schema keyword '%s' is not supported by this version", c->pointer.data,
                    keyword);
}

static struct schema *compile_value(struct compile *c, const json_t *value)
{
    if (++c->depth > JSON_DEPTH_MAX) {
        err_fail(c->e, ERR_LIMIT, "the schema is nested deeper than %d", JSON_DEPTH_MAX);
        return NULL;
    }
    CLEANUP(schema_free_p) struct schema *s = xcalloc(1, sizeof *s);
    s->max_items = s->max_length = SIZE_MAX;
    if (json_is_boolean(value)) {
        s->never = json_is_false(value);
    } else if (json_is_object(value)) {
        const char *keyword;
        json_t *inner;
        json_object_foreach((json_t *)value, keyword, inner)
            if (!read_keyword(c, s, keyword, inner)) return NULL;
    } else {
        err_fail(c->e, ERR_INVALID, "%s: a schema is an object, true or false",
                 c->pointer.len ? c->pointer.data : "schema");
        return NULL;
    }
    c->depth--;
    return TAKE(s);
}

struct schema *schema_compile(const json_t *value, char **ret_pointer, struct err *e)
{
    struct compile c = { .e = e };
    buf_add_text(&c.pointer, "");
    /* The compiled form points into the value; a copy of its own makes it independent of what the
     * caller does with theirs, other threads' reference counts included. */
    json_t *root = json_deep_copy(value);
    ASSERT(root);
    struct schema *s = compile_value(&c, root);
    if (s)
        s->root = root;
    else
        json_decref(root);
    if (!s && ret_pointer) *ret_pointer = buf_take(&c.pointer, NULL);
    buf_done(&c.pointer);
    return s;
}

struct schema *schema_free(struct schema *s)
{
    if (!s) return NULL;
    for (size_t i = 0; i < s->property_count; i++) schema_free(s->properties[i].schema);
    schema_free(s->items);
    schema_free(s->additional);
    free(s->properties);
    free(s->required);
    json_decref(s->root);
    free(s);
    return NULL;
}
