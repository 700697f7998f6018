/* SPDX-License-Identifier: Apache-2.0
 *
 * The keywords of JSON Schema 2020-12, one row each: of which vocabulary, what of its value is a
 * schema, and how it is read into a node. What has no row is an annotation, as the specification
 * says.
 */
#include <stdlib.h>
#include <strings.h>

#include "common/base/limits.h"
#include "common/base/nearest.h"
#include "common/schema/compile.h"
#include "common/schema/format.h"

/* --- the groups of a node, made when the first keyword of them comes --- */

static struct object_rules *objects(struct compile *c, struct node *n)
{
    if (n->objects) return n->objects;
    n->objects = schema_arena_alloc(&c->s->arena, sizeof *n->objects);
    n->objects->max = SIZE_MAX;
    return n->objects;
}

static struct array_rules *arrays(struct compile *c, struct node *n)
{
    if (n->arrays) return n->arrays;
    n->arrays = schema_arena_alloc(&c->s->arena, sizeof *n->arrays);
    n->arrays->max = n->arrays->max_contains = SIZE_MAX;
    n->arrays->min_contains = 1;
    return n->arrays;
}

static struct string_rules *strings(struct compile *c, struct node *n)
{
    if (n->strings) return n->strings;
    n->strings = schema_arena_alloc(&c->s->arena, sizeof *n->strings);
    n->strings->max = SIZE_MAX;
    return n->strings;
}

static struct number_rules *numbers(struct compile *c, struct node *n)
{
    if (!n->numbers) n->numbers = schema_arena_alloc(&c->s->arena, sizeof *n->numbers);
    return n->numbers;
}

static struct value_rules *values(struct compile *c, struct node *n)
{
    if (!n->values) n->values = schema_arena_alloc(&c->s->arena, sizeof *n->values);
    return n->values;
}

static struct logic_rules *logic(struct compile *c, struct node *n)
{
    if (!n->logic) n->logic = schema_arena_alloc(&c->s->arena, sizeof *n->logic);
    return n->logic;
}

/* --- readers: values --- */

static bool read_one_type(struct compile *c, struct node *n, const json_t *value)
{
    static const char *const names[] = {
#define X(name, text, noun) text,
        SCHEMA_TYPES(X)
#undef X
    };
    for (unsigned i = 0; json_is_string(value) && i < TYPE_COUNT; i++) {
        if (strcmp(names[i], json_string_value(value)) != 0) continue;
        n->types |= 1u << i;
        return true;
    }
    return refuse(
        c, ERR_INVALID, "type",
        "must be null, boolean, integer, number, string, array, object, or a list of them");
}

static bool read_type(struct compile *c, struct node *n, const struct keyword *k,
                      const json_t *value)
{
    if (!json_is_array(value)) return read_one_type(c, n, value);
    if (json_array_size(value) == 0) return refuse(c, ERR_INVALID, k->name, "must not be empty");
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!read_one_type(c, n, json_array_get(value, i))) return false;
    return true;
}

static bool read_enum(struct compile *c, struct node *n, const struct keyword *k,
                      const json_t *value)
{
    if (!json_is_array(value)) return refuse(c, ERR_INVALID, k->name, "must be an array");
    struct value_rules *v = values(c, n);
    uint64_t size = 0;
    AUTO_FREE struct hashed *sorted = values_by_hash(value, &size);
    v->list = value;
    v->count = json_array_size(value);
    v->hashed = schema_arena_alloc(&c->s->arena, v->count * sizeof *v->hashed);
    if (v->count) memcpy(v->hashed, sorted, v->count * sizeof *v->hashed);
    for (size_t i = 0; i < v->count; i++) v->types |= 1u << value_type(sorted[i].value);
    return true;
}

static bool read_const(struct compile *c, struct node *n, const struct keyword *k,
                       const json_t *value)
{
    (void)k;
    values(c, n)->constant = value;
    n->values->constant_size = value_size(value);
    return true;
}

static bool read_count(struct compile *c, const struct keyword *k, const json_t *value, size_t *ret)
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
    return refuse(c, ERR_INVALID, k->name, "must be an integer from 0");
}

static bool read_number(struct compile *c, const struct keyword *k, const json_t *value,
                        const json_t **ret)
{
    if (!json_is_number(value)) return refuse(c, ERR_INVALID, k->name, "must be a number");
    *ret = value;
    return true;
}

/* read_MEMBER: into a member of a group. */
#define READER(name, group, how)                                                                  \
    static bool read_##group##_##name(struct compile *c, struct node *n, const struct keyword *k, \
                                      const json_t *value)                                        \
    {                                                                                             \
        return how(c, k, value, &group(c, n)->name);                                              \
    }
READER(min, arrays, read_count)
READER(max, arrays, read_count)
READER(min_contains, arrays, read_count)
READER(max_contains, arrays, read_count)
READER(min, strings, read_count)
READER(max, strings, read_count)
READER(min, objects, read_count)
READER(max, objects, read_count)
READER(minimum, numbers, read_number)
READER(maximum, numbers, read_number)
READER(exclusive_minimum, numbers, read_number)
READER(exclusive_maximum, numbers, read_number)

static bool read_multiple_of(struct compile *c, struct node *n, const struct keyword *k,
                             const json_t *value)
{
    if (!json_is_number(value) || json_number_value(value) <= 0)
        return refuse(c, ERR_INVALID, k->name, "must be a number above 0");
    numbers(c, n)->multiple_of = value;
    n->numbers->divisor = decimal_of(value);
    return true;
}

static bool read_unique(struct compile *c, struct node *n, const struct keyword *k,
                        const json_t *value)
{
    if (!json_is_boolean(value)) return refuse(c, ERR_INVALID, k->name, "must be true or false");
    arrays(c, n)->unique = json_is_true(value);
    return true;
}

static bool read_pattern(struct compile *c, struct node *n, const struct keyword *k,
                         const json_t *value)
{
    if (!json_is_string(value))
        return refuse(c, ERR_INVALID, k->name, "must be a regular expression");
    strings(c, n)->pattern_text = json_string_value(value);
    n->strings->pattern = pattern_add(c, k->name, n->strings->pattern_text);
    return n->strings->pattern != NULL;
}

static bool read_format(struct compile *c, struct node *n, const struct keyword *k,
                        const json_t *value)
{
    if (!json_is_string(value)) return refuse(c, ERR_INVALID, k->name, "must be a text");
    bool assert =
        c->o->assert_format || (n->resource->vocabularies & 1u << VOCABULARY_FORMAT_ASSERTION) != 0;
    if (assert) strings(c, n)->format = format_find(json_string_value(value));
    return true;
}

/* --- readers: schemas --- */

static bool read_definitions(struct compile *c, struct node *n, const struct keyword *k,
                             const json_t *value)
{
    const char *name;
    json_t *inner;
    if (!json_is_object(value))
        return refuse(c, ERR_INVALID, k->name, "must be an object of schemas");
    json_object_foreach((json_t *)value, name, inner) child(c, n, k, name, SIZE_MAX, inner);
    return true;
}

/* read_GROUP_MEMBER: one schema, of a part of the value. */
#define SCHEMA_READER(name, group)                                                                \
    static bool read_##group##_##name(struct compile *c, struct node *n, const struct keyword *k, \
                                      const json_t *value)                                        \
    {                                                                                             \
        group(c, n)->name = child(c, n, k, NULL, SIZE_MAX, value);                                \
        return true;                                                                              \
    }
SCHEMA_READER(items, arrays)
SCHEMA_READER(contains, arrays)
SCHEMA_READER(unevaluated, arrays)
SCHEMA_READER(additional, objects)
SCHEMA_READER(names, objects)
SCHEMA_READER(unevaluated, objects)

/* read_MEMBER: one schema, of the value itself. */
#define LOGIC_READER(name)                                                              \
    static bool read_##name(struct compile *c, struct node *n, const struct keyword *k, \
                            const json_t *value)                                        \
    {                                                                                   \
        logic(c, n)->name = child_in_place(c, n, k, NULL, SIZE_MAX, value);             \
        return true;                                                                    \
    }
LOGIC_READER(not_)
LOGIC_READER(if_)
LOGIC_READER(then_)
LOGIC_READER(else_)

static bool check_list(struct compile *c, const struct keyword *k, const json_t *value)
{
    if (json_is_array(value) && json_array_size(value)) return true;
    return refuse(c, ERR_INVALID, k->name, "must be a list of schemas that is not empty");
}

static bool read_prefix(struct compile *c, struct node *n, const struct keyword *k,
                        const json_t *value)
{
    if (!check_list(c, k, value)) return false;
    struct array_rules *a = arrays(c, n);
    a->prefix_count = json_array_size(value);
    a->prefix = schema_arena_alloc(&c->s->arena, a->prefix_count * sizeof(struct node *));
    for (size_t i = 0; i < a->prefix_count; i++)
        a->prefix[i] = child(c, n, k, NULL, i, json_array_get(value, i));
    return true;
}

static bool read_list(struct compile *c, struct node *n, const struct keyword *k,
                      const json_t *value, struct node_list *ret)
{
    if (!check_list(c, k, value)) return false;
    ret->list = schema_arena_alloc(&c->s->arena, json_array_size(value) * sizeof(struct node *));
    for (size_t i = 0; i < json_array_size(value); i++)
        ret->list[ret->count++] = child_in_place(c, n, k, NULL, i, json_array_get(value, i));
    return true;
}

#define LIST_READER(name)                                                               \
    static bool read_##name(struct compile *c, struct node *n, const struct keyword *k, \
                            const json_t *value)                                        \
    {                                                                                   \
        return read_list(c, n, k, value, &logic(c, n)->name);                           \
    }
LIST_READER(all)
LIST_READER(any)
LIST_READER(one)

/* --- readers: members of objects --- */

/* Room for so many more; properties come from `properties` and from `required`. */
static struct property *more_properties(struct compile *c, struct object_rules *o, size_t count)
{
    struct property *all =
        schema_arena_alloc(&c->s->arena, (o->property_count + count) * sizeof(struct property));
    if (o->property_count) memcpy(all, o->properties, o->property_count * sizeof *all);
    o->properties = all;
    return all + o->property_count;
}

static bool read_properties(struct compile *c, struct node *n, const struct keyword *k,
                            const json_t *value)
{
    if (!json_is_object(value))
        return refuse(c, ERR_INVALID, k->name, "must be an object of schemas");
    struct object_rules *o = objects(c, n);
    struct property *p = more_properties(c, o, json_object_size(value));
    const char *name;
    json_t *inner;
    json_object_foreach((json_t *)value, name, inner) {
        *p++ = (struct property){ .name = name,
                                  .len = strlen(name),
                                  .node = child(c, n, k, name, SIZE_MAX, inner) };
        o->property_count++;
    }
    return true;
}

static bool read_names(struct compile *c, const char *keyword, const json_t *value,
                       const char ***ret, size_t *ret_count)
{
    static const char want[] = "must be an array of different property names";
    if (!json_is_array(value)) return refuse(c, ERR_INVALID, keyword, want);
    *ret = schema_arena_alloc(&c->s->arena, json_array_size(value) * sizeof **ret);
    for (size_t i = 0; i < json_array_size(value); i++) {
        (*ret)[i] = json_string_value(json_array_get(value, i));
        if (!(*ret)[i]) return refuse(c, ERR_INVALID, keyword, want);
    }
    *ret_count = json_array_size(value);
    return true;
}

static bool read_required(struct compile *c, struct node *n, const struct keyword *k,
                          const json_t *value)
{
    const char **names;
    size_t count;
    if (!read_names(c, k->name, value, &names, &count)) return false;
    struct object_rules *o = objects(c, n);
    struct property *p = more_properties(c, o, count);
    for (size_t i = 0; i < count; i++)
        p[i] = (struct property){ .name = names[i], .len = strlen(names[i]), .required = true };
    o->property_count += count;
    o->required_count = count;
    return true;
}

static bool read_pattern_properties(struct compile *c, struct node *n, const struct keyword *k,
                                    const json_t *value)
{
    if (!json_is_object(value))
        return refuse(c, ERR_INVALID, k->name, "must be an object of schemas");
    struct object_rules *o = objects(c, n);
    o->patterns = schema_arena_alloc(&c->s->arena, json_object_size(value) * sizeof *o->patterns);
    const char *text;
    json_t *inner;
    json_object_foreach((json_t *)value, text, inner) {
        struct pattern_property *p = &o->patterns[o->pattern_count];
        p->pattern = pattern_add(c, k->name, text);
        if (!p->pattern) return false;
        p->node = child(c, n, k, text, SIZE_MAX, inner);
        o->pattern_count++;
    }
    return true;
}

static bool read_dependent(struct compile *c, struct node *n, const struct keyword *k,
                           const char *name, const json_t *value, struct dependent *ret)
{
    *ret = (struct dependent){ .name = name };
    if (k->shape == SHAPE_MAP || (k->shape == SHAPE_MAYBE_MAP && !json_is_array(value))) {
        ret->node = child_in_place(c, n, k, name, SIZE_MAX, value);
        return true;
    }
    return read_names(c, k->name, value, &ret->required, &ret->required_count);
}

/* dependentRequired, dependentSchemas, and dependencies, which was both of them once. */
static bool read_dependents(struct compile *c, struct node *n, const struct keyword *k,
                            const json_t *value)
{
    if (!json_is_object(value)) return refuse(c, ERR_INVALID, k->name, "must be an object");
    struct object_rules *o = objects(c, n);
    struct dependent *all = schema_arena_alloc(
        &c->s->arena, (o->dependent_count + json_object_size(value)) * sizeof(struct dependent));
    if (o->dependent_count) memcpy(all, o->dependents, o->dependent_count * sizeof *all);
    o->dependents = all;
    const char *name;
    json_t *inner;
    json_object_foreach((json_t *)value, name, inner)
        if (!read_dependent(c, n, k, name, inner, &all[o->dependent_count++])) return false;
    return true;
}

/* --- readers: core --- */

static bool read_reference(struct compile *c, struct node *n, const struct keyword *k,
                           const json_t *value)
{
    if (!json_is_string(value)) return refuse(c, ERR_INVALID, k->name, "must be a URI reference");
    (void)logic(c, n);
    reference_add(c, n, json_string_value(value), k->name[1] == 'd');
    return true;
}

static bool read_id(struct compile *c, struct node *n, const struct keyword *k, const json_t *value)
{
    (void)n;
    const char *text = json_string_value(value), *hash = text ? strchr(text, '#') : NULL;
    if (!text || (hash && hash[1]))
        return refuse(c, ERR_INVALID, k->name, "must be a URI reference without a fragment");
    return true;
}

static bool read_anchor(struct compile *c, struct node *n, const struct keyword *k,
                        const json_t *value)
{
    (void)n;
    /* NCName without what is not ASCII (Core, section 8.2.2). */
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    const char *text = json_string_value(value);
    size_t len = text ? strspn(text, letters) : 0;
    if (len && text[len]) {
        static const char others[] = "-._0123456789";
        while (text[len] && (strchr(letters, text[len]) || strchr(others, text[len]))) len++;
    }
    if (!len || text[len])
        return refuse(c, ERR_INVALID, k->name,
                      "must begin with a letter or _ and go on with letters, digits and - . _");
    return true;
}

/* --- the table, by name --- */

static const struct keyword keywords[] = {
    { "$anchor", VOCABULARY_CORE, SHAPE_NONE, read_anchor },
    { "$comment", VOCABULARY_CORE, SHAPE_NONE, NULL },
    { "$defs", VOCABULARY_CORE, SHAPE_MAP, read_definitions },
    { "$dynamicAnchor", VOCABULARY_CORE, SHAPE_NONE, read_anchor },
    { "$dynamicRef", VOCABULARY_CORE, SHAPE_NONE, read_reference },
    { "$id", VOCABULARY_CORE, SHAPE_NONE, read_id },
    { "$ref", VOCABULARY_CORE, SHAPE_NONE, read_reference },
    { "$schema", VOCABULARY_CORE, SHAPE_NONE, NULL },
    { "$vocabulary", VOCABULARY_CORE, SHAPE_NONE, NULL },
    { "additionalProperties", VOCABULARY_APPLICATOR, SHAPE_SCHEMA, read_objects_additional },
    { "allOf", VOCABULARY_APPLICATOR, SHAPE_LIST, read_all },
    { "anyOf", VOCABULARY_APPLICATOR, SHAPE_LIST, read_any },
    { "const", VOCABULARY_VALIDATION, SHAPE_NONE, read_const },
    { "contains", VOCABULARY_APPLICATOR, SHAPE_SCHEMA, read_arrays_contains },
    { "contentEncoding", VOCABULARY_CONTENT, SHAPE_NONE, NULL },
    { "contentMediaType", VOCABULARY_CONTENT, SHAPE_NONE, NULL },
    { "contentSchema", VOCABULARY_CONTENT, SHAPE_SCHEMA, NULL },
    { "default", VOCABULARY_META_DATA, SHAPE_NONE, NULL },
    { "definitions", VOCABULARY_CORE, SHAPE_MAP, read_definitions },
    { "dependencies", VOCABULARY_APPLICATOR, SHAPE_MAYBE_MAP, read_dependents },
    { "dependentRequired", VOCABULARY_VALIDATION, SHAPE_NONE, read_dependents },
    { "dependentSchemas", VOCABULARY_APPLICATOR, SHAPE_MAP, read_dependents },
    { "deprecated", VOCABULARY_META_DATA, SHAPE_NONE, NULL },
    { "description", VOCABULARY_META_DATA, SHAPE_NONE, NULL },
    { "else", VOCABULARY_APPLICATOR, SHAPE_SCHEMA, read_else_ },
    { "enum", VOCABULARY_VALIDATION, SHAPE_NONE, read_enum },
    { "examples", VOCABULARY_META_DATA, SHAPE_NONE, NULL },
    { "exclusiveMaximum", VOCABULARY_VALIDATION, SHAPE_NONE, read_numbers_exclusive_maximum },
    { "exclusiveMinimum", VOCABULARY_VALIDATION, SHAPE_NONE, read_numbers_exclusive_minimum },
    { "format", VOCABULARY_FORMAT_ANNOTATION, SHAPE_NONE, read_format },
    { "if", VOCABULARY_APPLICATOR, SHAPE_SCHEMA, read_if_ },
    { "items", VOCABULARY_APPLICATOR, SHAPE_SCHEMA, read_arrays_items },
    { "maxContains", VOCABULARY_VALIDATION, SHAPE_NONE, read_arrays_max_contains },
    { "maxItems", VOCABULARY_VALIDATION, SHAPE_NONE, read_arrays_max },
    { "maxLength", VOCABULARY_VALIDATION, SHAPE_NONE, read_strings_max },
    { "maxProperties", VOCABULARY_VALIDATION, SHAPE_NONE, read_objects_max },
    { "maximum", VOCABULARY_VALIDATION, SHAPE_NONE, read_numbers_maximum },
    { "minContains", VOCABULARY_VALIDATION, SHAPE_NONE, read_arrays_min_contains },
    { "minItems", VOCABULARY_VALIDATION, SHAPE_NONE, read_arrays_min },
    { "minLength", VOCABULARY_VALIDATION, SHAPE_NONE, read_strings_min },
    { "minProperties", VOCABULARY_VALIDATION, SHAPE_NONE, read_objects_min },
    { "minimum", VOCABULARY_VALIDATION, SHAPE_NONE, read_numbers_minimum },
    { "multipleOf", VOCABULARY_VALIDATION, SHAPE_NONE, read_multiple_of },
    { "not", VOCABULARY_APPLICATOR, SHAPE_SCHEMA, read_not_ },
    { "oneOf", VOCABULARY_APPLICATOR, SHAPE_LIST, read_one },
    { "pattern", VOCABULARY_VALIDATION, SHAPE_NONE, read_pattern },
    { "patternProperties", VOCABULARY_APPLICATOR, SHAPE_MAP, read_pattern_properties },
    { "prefixItems", VOCABULARY_APPLICATOR, SHAPE_LIST, read_prefix },
    { "properties", VOCABULARY_APPLICATOR, SHAPE_MAP, read_properties },
    { "propertyNames", VOCABULARY_APPLICATOR, SHAPE_SCHEMA, read_objects_names },
    { "readOnly", VOCABULARY_META_DATA, SHAPE_NONE, NULL },
    { "required", VOCABULARY_VALIDATION, SHAPE_NONE, read_required },
    { "then", VOCABULARY_APPLICATOR, SHAPE_SCHEMA, read_then_ },
    { "title", VOCABULARY_META_DATA, SHAPE_NONE, NULL },
    { "type", VOCABULARY_VALIDATION, SHAPE_NONE, read_type },
    { "unevaluatedItems", VOCABULARY_UNEVALUATED, SHAPE_SCHEMA, read_arrays_unevaluated },
    { "unevaluatedProperties", VOCABULARY_UNEVALUATED, SHAPE_SCHEMA, read_objects_unevaluated },
    { "uniqueItems", VOCABULARY_VALIDATION, SHAPE_NONE, read_unique },
    { "writeOnly", VOCABULARY_META_DATA, SHAPE_NONE, NULL },
};

static int by_name(const void *name, const void *keyword)
{
    return strcmp(name, ((const struct keyword *)keyword)->name);
}

const struct keyword *keyword_find(const char *name)
{
    return bsearch(name, keywords, ARRAY_LEN(keywords), sizeof *keywords, by_name);
}

const char *keyword_nearest(const char *name)
{
    const char *names[ARRAY_LEN(keywords)];
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++) names[i] = keywords[i].name;
    return nearest_name(name, names, ARRAY_LEN(names));
}

/* --- the end of a node --- */

static int by_length(const void *a_, const void *b_)
{
    const struct property *a = a_, *b = b_;
    if (a->len != b->len) return a->len < b->len ? -1 : 1;
    return memcmp(a->name, b->name, a->len);
}

/* Sorts the properties; those that are required and described become one. */
static bool finish_properties(struct compile *c, struct object_rules *o)
{
    struct property *p = o->properties;
    qsort(p, o->property_count, sizeof *p, by_length);
    size_t kept = 0;
    for (size_t i = 0; i < o->property_count; i++) {
        if (!kept || by_length(&p[kept - 1], &p[i]) != 0) {
            p[kept++] = p[i];
            continue;
        }
        struct property *same = &p[kept - 1];
        if (same->required && p[i].required)
            return refuse(c, ERR_INVALID, "required",
                          "must be an array of different property names");
        same->required = true;
        if (!same->node) same->node = p[i].node;
    }
    o->property_count = kept;
    return true;
}

bool keywords_finish(struct compile *c, struct node *n)
{
    if (n->objects && n->objects->property_count) return finish_properties(c, n->objects);
    return true;
}
