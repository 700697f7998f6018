/* SPDX-License-Identifier: Apache-2.0
 *
 * A compiled schema, shared by the compiler and the checker. Every constraint is stored in the form
 * in which it is tested, so that a check allocates nothing unless it fails (uniqueItems apart) and
 * takes no reference to any value of the schema.
 */
#ifndef TUTTI_SCHEMA_NODE_H
#define TUTTI_SCHEMA_NODE_H

#include "common/schema/schema.h"

/* X(enumerator, keyword text, with its article): the types of JSON Schema, in bit order. */
#define SCHEMA_TYPES(X)                 \
    X(NULL, "null", "null")             \
    X(BOOLEAN, "boolean", "a boolean")  \
    X(INTEGER, "integer", "an integer") \
    X(NUMBER, "number", "a number")     \
    X(STRING, "string", "a string")     \
    X(ARRAY, "array", "an array")       \
    X(OBJECT, "object", "an object")

enum schema_type {
#define X(name, text, noun) TYPE_##name,
    SCHEMA_TYPES(X)
#undef X
        TYPE_COUNT
};

struct property {
    const char *name; /* of the schema's value, which the root keeps */
    struct schema *schema;
};

struct schema {
    json_t *root;        /* the whole value, owned; only in the outermost schema */
    bool never;          /* the schema `false` */
    unsigned types;      /* bit 1 << enum schema_type; 0: any */
    const json_t *enums; /* an array, or NULL; the json_t here are views into root */
    const json_t *constant;
    const json_t *minimum, *maximum, *exclusive_minimum, *exclusive_maximum;
    size_t min_items, max_items, min_length, max_length; /* max: SIZE_MAX where there is none */
    bool unique_items;
    struct schema *items;        /* NULL: any */
    struct property *properties; /* sorted by name */
    size_t property_count;
    const char **required;
    size_t required_count;
    struct schema *additional; /* of properties that are not listed; NULL: any */
};

#endif
