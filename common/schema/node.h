/* SPDX-License-Identifier: Apache-2.0
 *
 * A compiled schema, shared by the compiler and the checker. Each subschema is one node; what it
 * says is grouped by the type of value that it speaks about, in the form in which it is tested, so
 * that a check looks nothing up by name or URI and takes no reference to any value of the schema.
 * Nodes refer to one another by pointer, in circles too; the schema owns them all.
 */
#ifndef TUTTI_SCHEMA_NODE_H
#define TUTTI_SCHEMA_NODE_H

#include "common/schema/arena.h"
#include "common/schema/pattern.h"
#include "common/schema/schema.h"
#include "common/schema/value.h"

struct format; /* format.h */

struct property {
    const char *name; /* of the schema's value */
    size_t len;
    const struct node *node; /* NULL: required only */
    bool required;
};

struct pattern_property {
    const struct pattern *pattern;
    const struct node *node;
};

struct dependent {
    const char *name;
    const struct node *node; /* dependentSchemas; NULL: none */
    const char **required;   /* dependentRequired */
    size_t required_count;
};

struct object_rules {
    size_t min, max;             /* max: SIZE_MAX where there is none */
    struct property *properties; /* by length, then bytes */
    size_t property_count, required_count;
    struct pattern_property *patterns;
    size_t pattern_count;
    struct dependent *dependents;
    size_t dependent_count;
    const struct node *additional, *names, *unevaluated;
};

struct array_rules {
    size_t min, max;
    const struct node **prefix;
    size_t prefix_count;
    const struct node *items, *contains, *unevaluated;
    size_t min_contains, max_contains;
    bool unique;
};

struct string_rules {
    size_t min, max; /* code points */
    const struct pattern *pattern;
    const char *pattern_text;
    const struct format *format; /* NULL: none, or an annotation */
};

struct number_rules {
    const json_t *minimum, *maximum, *exclusive_minimum, *exclusive_maximum, *multiple_of;
    struct decimal divisor; /* multiple_of */
};

/* enum and const. */
struct value_rules {
    const json_t *constant, *list;
    size_t constant_size;  /* values in it, for the work */
    struct hashed *hashed; /* the members of list, by hash */
    size_t count;
    unsigned types; /* of the members */
};

struct node_list {
    const struct node **list;
    size_t count;
};

/* Schemas for the very same value. */
struct logic_rules {
    const struct node *ref, *dynamic; /* dynamic: where $dynamicRef leads if nothing overrides it */
    size_t dynamic_name;              /* index into each resource's dynamic table */
    struct node_list all, any, one;
    const struct node *not_, *if_, *then_, *else_;
};

struct resource;

struct node {
    const json_t *json; /* a view */
    const struct resource *resource;
    /* Where it stands: below another node, or at an address. */
    const struct node *up;
    const char *keyword, *key; /* key: NULL for an index, or where there is neither */
    size_t index;              /* SIZE_MAX: none */
    size_t number;             /* in the order of creation */
    const char *address;       /* if up is NULL: "#", "#/$defs/a", "http://x/y#" */

    bool never;     /* the schema `false` */
    unsigned types; /* bit 1 << enum schema_type; 0: any */
    struct value_rules *values;
    struct number_rules *numbers;
    struct string_rules *strings;
    struct array_rules *arrays;
    struct object_rules *objects;
    struct logic_rules *logic;
};

/* A schema with a URI of its own (Core, section 4.3.5): the unit that $dynamicRef looks through. */
struct resource {
    const char *uri; /* absolute unless nobody gave a base; without fragment */
    const json_t *root;
    const struct resource *parent; /* NULL: a document's own */
    unsigned index;
    unsigned vocabularies;    /* bit 1 << enum vocabulary */
    bool dialect_known, used; /* used: a node of it is compiled */
    size_t index_used;        /* among those that are used */
    const struct node *
        *dynamic; /* by dynamic name; NULL: the resource has no such $dynamicAnchor */
};

struct schema {
    struct arena arena;
    json_t *documents; /* an array that keeps all values that nodes point into */
    struct pattern **patterns;
    size_t pattern_count, pattern_cap;
    const struct node *root;
    size_t resource_count; /* that are used */
    uint64_t work_max;
    bool dynamic; /* there is a $dynamicRef that the way to it decides */
};

/* The node's place, as in "#/properties/a". */
void node_address(struct buf *b, const struct node *n);

#endif
