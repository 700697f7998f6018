/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the compiler share. Schemas are compiled in two turns until nothing is left:
 * all subschemas that wait in the queue, then the references that these have brought. So no depth
 * of references is recursion, and a subschema is known by the place where it stands and not by the
 * first reference to it.
 */
#ifndef TUTTI_SCHEMA_COMPILE_H
#define TUTTI_SCHEMA_COMPILE_H

#include "common/base/map.h"
#include "common/schema/node.h"

/* Different names of $dynamicAnchor that $dynamicRef looks for. */
enum { DYNAMIC_NAMES_MAX = 64 };

#define SCHEMA_DRAFT "https://json-schema.org/draft/2020-12/"

/* X(enumerator, end of its URI): the vocabularies of 2020-12. */
#define SCHEMA_VOCABULARIES(X)                \
    X(CORE, "core")                           \
    X(APPLICATOR, "applicator")               \
    X(UNEVALUATED, "unevaluated")             \
    X(VALIDATION, "validation")               \
    X(META_DATA, "meta-data")                 \
    X(FORMAT_ANNOTATION, "format-annotation") \
    X(FORMAT_ASSERTION, "format-assertion")   \
    X(CONTENT, "content")
enum vocabulary {
#define X(name, text) VOCABULARY_##name,
    SCHEMA_VOCABULARIES(X)
#undef X
        VOCABULARY_COUNT
};

/* What of a keyword's value is a schema. */
enum shape {
    SHAPE_NONE,
    SHAPE_SCHEMA,
    SHAPE_LIST,
    SHAPE_MAP,
    SHAPE_MAYBE_MAP, /* members that are no lists */
};

struct compile;
struct keyword {
    const char *name;
    enum vocabulary vocabulary;
    enum shape shape;
    /* Reads the value into n. NULL: an annotation. */
    bool (*read)(struct compile *c, struct node *n, const struct keyword *k, const json_t *value);
};

struct anchor {
    const struct resource *resource;
    const char *name;
    const json_t *schema;
    bool dynamic;
};

/* All schemas that have a name: resources by URI, anchors by resource and name. */
struct registry {
    struct arena *arena;
    struct resource **resources; /* in the order of their index */
    size_t resource_count, resource_cap;
    struct named {
        const char *uri;
        struct resource *resource;
        unsigned document;
    } * names; /* sorted unless dirty */
    size_t name_count, name_cap;
    struct anchor *anchors;
    size_t anchor_count, anchor_cap;
    bool dirty, metaschemas; /* metaschemas: they are loaded */
    unsigned document_count;
};

struct reference {
    struct node *node;
    const char *text;
    bool dynamic;
};

struct edge {
    const struct node *from, *to;
};

struct compile {
    struct schema *s;
    const struct schema_options *o;
    struct registry registry;
    struct map nodes; /* by the address of their JSON object */
    struct node **queue;
    size_t queue_count, queue_cap, queue_done;
    struct reference *references;
    size_t reference_count, reference_cap, reference_done;
    struct edge *edges; /* from a schema to one of the same value */
    size_t edge_count, edge_cap;
    struct resource **used; /* in the order in which the first node of each is read */
    size_t used_count, used_cap, used_done;
    const char *dynamic_names[DYNAMIC_NAMES_MAX];
    size_t dynamic_count, dynamic_done;
    size_t pattern_bytes;
    const struct node *at;  /* being read, for errors */
    const char *at_keyword; /* that was refused */
    bool tell_pointer;
    struct err *e;
};

/* Room for one more in an array with a _count and a _cap. */
#define GROW(list, count, cap)                                 \
    do {                                                       \
        if ((count) == (cap)) {                                \
            (cap) = (cap) ? 2 * (cap) : 8;                     \
            (list) = xrealloc((list), (cap) * sizeof *(list)); \
        }                                                      \
    } while (0)

/* --- keywords.c --- */

/* The keyword of that name, or NULL. */
const struct keyword *keyword_find(const char *name);
/* The known keyword that an unknown one was probably meant to be, or NULL. */
const char *keyword_nearest(const char *name);
/* What can be done only when all keywords of a node are read. */
bool keywords_finish(struct compile *c, struct node *n);

/* --- resources.c --- */

/* Registers all identifiers of a document that is known under uri ("": none). The first of two
 * documents with the same URI is the one that counts. */
bool registry_add(struct registry *r, const char *uri, const json_t *value,
                  struct resource **ret_root, struct err *e);
/* The resource of a URI without fragment, the metaschemas included (which keep below `documents`),
 * or NULL without an error. */
struct resource *registry_find(struct registry *r, json_t *documents, const char *uri);
const struct anchor *registry_anchor(struct registry *r, const struct resource *resource,
                                     const char *name);
/* The resource that a schema object within `resource` begins or goes on. */
struct resource *registry_enter(struct registry *r, json_t *documents,
                                const struct resource *resource, const json_t *schema);
void registry_done(struct registry *r);

/* --- compile.c --- */

/* The fault of a keyword of the node that is being read; returns false. */
bool refuse(struct compile *c, enum err_kind kind, const char *keyword, const char *want);
/* The node of a subschema of n. key: NULL for none or an index; index: SIZE_MAX for none. */
struct node *child(struct compile *c, struct node *n, const struct keyword *k, const char *key,
                   size_t index, const json_t *value);
/* The same, of a schema for the same value. */
struct node *child_in_place(struct compile *c, struct node *n, const struct keyword *k,
                            const char *key, size_t index, const json_t *value);
void reference_add(struct compile *c, struct node *n, const char *text, bool dynamic);
/* Compiles a pattern for the node that is being read; the schema owns it. */
const struct pattern *pattern_add(struct compile *c, const char *keyword, const char *text);

#endif
