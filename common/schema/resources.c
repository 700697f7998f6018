/* SPDX-License-Identifier: Apache-2.0
 *
 * Which schema has which URI (Core, sections 8.2 and 9.1): a document is walked once, along the
 * keywords that hold schemas, for $id, $anchor and $dynamicAnchor. The tables are sorted, so a
 * schema with many names costs n log n whatever the names are.
 */
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/schema/compile.h"
#include "common/schema/uri.h"

extern const char schema_metaschemas[];

enum { URI_BYTES_MAX = 4096 };

struct walk {
    struct registry *r;
    struct err *e;
    unsigned depth;
};

static bool walk(struct walk *w, const json_t *schema, const struct resource *resource);

static void name_add(struct registry *r, const char *uri, struct resource *resource)
{
    GROW(r->names, r->name_count, r->name_cap);
    r->names[r->name_count++] =
        (struct named){ .uri = uri, .resource = resource, .document = r->document_count };
    r->dirty = true;
}

/* parent: NULL at the root of a document. */
static struct resource *resource_add(struct registry *r, const struct resource *parent,
                                     const char *uri, const json_t *root)
{
    struct resource *resource = schema_arena_alloc(r->arena, sizeof *resource);
    *resource = (struct resource){
        .uri = uri, .root = root, .index = (unsigned)r->resource_count, .parent = parent
    };
    GROW(r->resources, r->resource_count, r->resource_cap);
    r->resources[r->resource_count++] = resource;
    name_add(r, uri, resource);
    return resource;
}

/* $id against the base, without its empty fragment; points into the arena. NULL if it gets too
 * long: a URI is kept for every schema below, so together they could take any amount of memory. */
static const char *resolve_id(struct registry *r, const char *base, const char *id, struct err *e)
{
    AUTO_BUF struct buf uri = { 0 };
    uri_resolve(&uri, base, id);
    if (uri.len && uri.data[uri.len - 1] == '#') uri.data[uri.len - 1] = '\0';
    if (uri.len <= URI_BYTES_MAX) return schema_arena_text(r->arena, uri.data);
    err_fail(e, ERR_LIMIT, "a URI by '$id' is longer than %d bytes", URI_BYTES_MAX);
    return NULL;
}

static void anchor_add(struct registry *r, const struct resource *resource, const json_t *schema,
                       const char *keyword)
{
    const char *name = json_text(schema, keyword);
    if (!name) return;
    GROW(r->anchors, r->anchor_count, r->anchor_cap);
    r->anchors[r->anchor_count++] = (struct anchor){
        .resource = resource, .name = name, .schema = schema, .dynamic = keyword[1] == 'd'
    };
    r->dirty = true;
}

static bool walk_value(struct walk *w, enum shape shape, const json_t *value,
                       const struct resource *resource)
{
    const char *key;
    json_t *inner;
    switch (shape) {
    case SHAPE_NONE: return true;
    case SHAPE_SCHEMA: return walk(w, value, resource);
    case SHAPE_LIST:
        for (size_t i = 0; i < json_array_size(value); i++)
            if (!walk(w, json_array_get(value, i), resource)) return false;
        return true;
    case SHAPE_MAP:
    case SHAPE_MAYBE_MAP: break;
    }
    json_object_foreach((json_t *)value, key, inner)
        if (!walk(w, inner, resource)) return false;
    return true;
}

static bool walk(struct walk *w, const json_t *schema, const struct resource *resource)
{
    if (!json_is_object(schema)) return true;
    if (++w->depth > JSON_DEPTH_MAX)
        return err_fail(w->e, ERR_LIMIT, "the schema is nested deeper than %d", JSON_DEPTH_MAX);
    const char *id = json_text(schema, "$id");
    if (id && resource->root != schema) {
        const char *uri = resolve_id(w->r, resource->uri, id, w->e);
        if (!uri) return false;
        resource = resource_add(w->r, resource, uri, schema);
    }
    anchor_add(w->r, resource, schema, "$anchor");
    anchor_add(w->r, resource, schema, "$dynamicAnchor");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)schema, name, value) {
        const struct keyword *k = keyword_find(name);
        if (k && !walk_value(w, k->shape, value, resource)) return false;
    }
    w->depth--;
    return true;
}

bool registry_add(struct registry *r, const char *uri, const json_t *value,
                  struct resource **ret_root, struct err *e)
{
    const char *id = json_text(value, "$id");
    const char *own = id ? resolve_id(r, uri, id, e) : schema_arena_text(r->arena, uri);
    if (!own) return false;
    struct resource *root = resource_add(r, NULL, own, value);
    if (strcmp(own, uri) != 0 && *uri) name_add(r, schema_arena_text(r->arena, uri), root);
    struct walk w = { .r = r, .e = e };
    bool ok = walk(&w, value, root);
    r->document_count++;
    if (ok && ret_root) *ret_root = root;
    return ok;
}

/* --- looking up --- */

static int by_uri(const void *a_, const void *b_)
{
    const struct named *a = a_, *b = b_;
    int order = strcmp(a->uri, b->uri);
    if (order) return order;
    return a->resource->index < b->resource->index ? -1 : a->resource->index > b->resource->index;
}

static int by_anchor(const void *a_, const void *b_)
{
    const struct anchor *a = a_, *b = b_;
    if (a->resource->index != b->resource->index)
        return a->resource->index < b->resource->index ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void sort(struct registry *r)
{
    if (!r->dirty) return;
    qsort(r->names, r->name_count, sizeof *r->names, by_uri);
    if (r->anchor_count) qsort(r->anchors, r->anchor_count, sizeof *r->anchors, by_anchor);
    r->dirty = false;
}

/* The first of that URI. */
static struct resource *find(struct registry *r, const char *uri)
{
    sort(r);
    size_t low = 0, high = r->name_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(r->names[middle].uri, uri) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < r->name_count && strcmp(r->names[low].uri, uri) == 0;
    return found ? r->names[low].resource : NULL;
}

static void load_metaschemas(struct registry *r, json_t *documents)
{
    struct err e = { 0 };
    r->metaschemas = true;
    json_t *list = json_parse(bytes_of(schema_metaschemas), &e);
    ASSERT(list);
    json_array_append_new(documents, list);
    for (size_t i = 0; i < json_array_size(list); i++) {
        bool ok = registry_add(r, "", json_array_get(list, i), NULL, &e);
        ASSERT(ok);
    }
}

struct resource *registry_find(struct registry *r, json_t *documents, const char *uri)
{
    struct resource *found = find(r, uri);
    if (found || r->metaschemas || strncmp(uri, SCHEMA_DRAFT, strlen(SCHEMA_DRAFT)) != 0)
        return found;
    load_metaschemas(r, documents);
    return find(r, uri);
}

const struct anchor *registry_anchor(struct registry *r, const struct resource *resource,
                                     const char *name)
{
    sort(r);
    struct anchor key = { .resource = resource, .name = name };
    if (!r->anchor_count) return NULL;
    return bsearch(&key, r->anchors, r->anchor_count, sizeof *r->anchors, by_anchor);
}

struct resource *registry_enter(struct registry *r, json_t *documents,
                                const struct resource *resource, const json_t *schema)
{
    struct resource *same = r->resources[resource->index];
    const char *id = json_text(schema, "$id");
    if (!id || resource->root == schema) return same;
    AUTO_BUF struct buf uri = { 0 };
    uri_resolve(&uri, resource->uri, id);
    if (uri.len && uri.data[uri.len - 1] == '#') uri.data[uri.len - 1] = '\0';
    /* What only looks like a schema, in `enum` say, has no resource of its own. */
    struct resource *inner = registry_find(r, documents, uri.data);
    return inner && inner->root == schema ? inner : same;
}

void registry_done(struct registry *r)
{
    free(r->resources);
    free(r->names);
    free(r->anchors);
}
