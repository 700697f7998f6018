/* SPDX-License-Identifier: Apache-2.0
 *
 * From the JSON of a schema to its compiled form (JSON Schema 2020-12, Core). See compile.h.
 */
#include "common/schema/compile.h"

#include <stdlib.h>

#include "common/base/limits.h"
#include "common/schema/uri.h"

enum { PATTERNS_BYTES_MAX = 8 * MIB };

/* --- addresses --- */

static void pointer_token(struct buf *b, const char *token)
{
    buf_add_char(b, '/');
    for (; *token; token++) {
        if (*token == '~')
            buf_add_text(b, "~0");
        else if (*token == '/')
            buf_add_text(b, "~1");
        else
            buf_add_char(b, *token);
    }
}

void node_address(struct buf *b, const struct node *n)
{
    if (!n->up) {
        buf_add_text(b, n->address);
        return;
    }
    node_address(b, n->up);
    pointer_token(b, n->keyword);
    if (n->key) pointer_token(b, n->key);
    if (n->index != SIZE_MAX) {
        buf_add_char(b, '/');
        buf_add_int(b, (int64_t)n->index);
    }
}

/* The JSON pointer of a keyword of n (NULL: of n itself) in the document that is compiled; "" if n
 * stands in another one. */
static void root_pointer(struct buf *b, const struct node *n, const char *keyword)
{
    AUTO_BUF struct buf address = { 0 };
    buf_add_text(b, "");
    if (n) node_address(&address, n);
    if (!address.len || address.data[0] != '#') return;
    buf_add_text(b, address.data + 1);
    if (keyword) pointer_token(b, keyword);
}

/* The fault of c->at itself (keyword: NULL) or of one of its keywords. A place in the document is
 * told by its pointer, if the caller wants that. */
static bool fault(struct compile *c, enum err_kind kind, const char *keyword, const char *text)
{
    AUTO_BUF struct buf address = { 0 };
    node_address(&address, c->at);
    bool here = address.data[0] == '#';
    const char *place = here ? address.data + 1 : address.data;
    c->at_keyword = keyword;
    if (here && c->tell_pointer) return err_fail(c->e, kind, "%s", text);
    return err_fail(c->e, kind, "%s: %s", *place ? place : "schema", text);
}

bool refuse(struct compile *c, enum err_kind kind, const char *keyword, const char *want)
{
    AUTO_FREE char *text = xasprintf("'%s' %s", keyword, want);
    return fault(c, kind, keyword, text);
}

static void warn(struct compile *c, const struct node *n, const char *keyword, const char *text)
{
    AUTO_BUF struct buf pointer = { 0 };
    root_pointer(&pointer, n, keyword);
    c->o->warn(c->o->user, pointer.data, text);
}

/* --- nodes --- */

static void enqueue(struct compile *c, struct node *n)
{
    GROW(c->queue, c->queue_count, c->queue_cap);
    c->queue[c->queue_count++] = n;
}

static struct node *node_new(struct compile *c, const json_t *value)
{
    struct node *n = schema_arena_alloc(&c->s->arena, sizeof *n);
    n->json = value;
    n->index = SIZE_MAX;
    n->number = c->queue_count;
    enqueue(c, n);
    /* true and false are the same value everywhere, and have no address to be known by */
    if (json_is_object(value))
        map_put(&c->nodes, (struct bytes){ (const char *)&n->json, sizeof n->json }, n);
    return n;
}

static struct node *node_find(struct compile *c, const json_t *value)
{
    if (!json_is_object(value)) return NULL;
    return map_get(&c->nodes, (struct bytes){ (const char *)&value, sizeof value });
}

struct node *child(struct compile *c, struct node *n, const struct keyword *k, const char *key,
                   size_t index, const json_t *value)
{
    struct node *inner = node_find(c, value);
    if (inner) return inner;
    inner = node_new(c, value);
    inner->resource = n->resource;
    inner->up = n;
    inner->keyword = k->name;
    inner->key = key;
    inner->index = index;
    return inner;
}

static void edge_add(struct compile *c, const struct node *from, const struct node *to)
{
    GROW(c->edges, c->edge_count, c->edge_cap);
    c->edges[c->edge_count++] = (struct edge){ .from = from, .to = to };
}

struct node *child_in_place(struct compile *c, struct node *n, const struct keyword *k,
                            const char *key, size_t index, const json_t *value)
{
    struct node *inner = child(c, n, k, key, index, value);
    edge_add(c, n, inner);
    return inner;
}

/* The node of a schema that is reached by an address. */
static struct node *node_at(struct compile *c, const struct resource *resource, const json_t *value,
                            const char *address)
{
    struct node *n = node_find(c, value);
    if (n) return n;
    n = node_new(c, value);
    n->resource = resource;
    n->address = schema_arena_text(&c->s->arena, address);
    return n;
}

const struct pattern *pattern_add(struct compile *c, const char *keyword, const char *text)
{
    struct err e = { 0 };
    struct pattern *p = pattern_compile(bytes_of(text), &e);
    if (p && (c->pattern_bytes += pattern_size(p)) > PATTERNS_BYTES_MAX) {
        p = pattern_free(p);
        err_fail(&e, ERR_LIMIT, "the patterns of the schema take too much memory together");
    }
    if (!p) {
        AUTO_FREE char *why = xasprintf("'%.60s' cannot be used: %s", text, e.text);
        (void)refuse(c, e.kind, keyword, why);
        return NULL;
    }
    GROW(c->s->patterns, c->s->pattern_count, c->s->pattern_cap);
    c->s->patterns[c->s->pattern_count++] = p;
    return p;
}

/* --- dialects (Core, section 8.1) --- */

static bool read_vocabulary(struct compile *c, const struct resource *meta, unsigned *ret)
{
    static const char *const known[] = {
#define X(name, text) SCHEMA_DRAFT "vocab/" text,
        SCHEMA_VOCABULARIES(X)
#undef X
    };
    const char *uri;
    json_t *needed;
    *ret = 0;
    json_object_foreach(json_object_get(meta->root, "$vocabulary"), uri, needed) {
        unsigned i = 0;
        while (i < VOCABULARY_COUNT && strcmp(known[i], uri) != 0) i++;
        if (i < VOCABULARY_COUNT) {
            *ret |= 1u << i;
        } else if (json_is_true(needed)) {
            AUTO_FREE char *why = xasprintf(
                "names a metaschema that needs the vocabulary %.200s, which is unknown", uri);
            return refuse(c, ERR_UNSUPPORTED, "$schema", why);
        }
    }
    /* Whoever asserts formats knows the keyword. */
    if (*ret & 1u << VOCABULARY_FORMAT_ASSERTION) *ret |= 1u << VOCABULARY_FORMAT_ANNOTATION;
    return true;
}

static bool read_dialect(struct compile *c, const char *text, unsigned *ret)
{
    AUTO_BUF struct buf uri = { 0 };
    uri_resolve(&uri, "", text);
    if (uri.len && uri.data[uri.len - 1] == '#') uri.data[uri.len - 1] = '\0';
    if (strcmp(uri.data, SCHEMA_DRAFT "schema") == 0) return true;
    const struct resource *meta = registry_find(&c->registry, c->s->documents, uri.data);
    if (meta && json_is_object(json_object_get(meta->root, "$vocabulary")))
        return read_vocabulary(c, meta, ret);
    if (meta) return true;
    AUTO_FREE char *why =
        xasprintf("is '%.200s', which is neither JSON Schema 2020-12 (" SCHEMA_DRAFT
                  "schema) nor a metaschema that was given",
                  text);
    return refuse(c, ERR_UNSUPPORTED, "$schema", why);
}

/* A resource without $schema is of the dialect of the one around it. */
static bool know_dialect(struct compile *c, struct resource *resource)
{
    if (resource->dialect_known) return true;
    const struct resource *own = resource;
    while (own->parent && !json_text(own->root, "$schema")) own = own->parent;
    const char *text = json_text(own->root, "$schema");
    resource->vocabularies = ~(1u << VOCABULARY_FORMAT_ASSERTION);
    if (text && !read_dialect(c, text, &resource->vocabularies)) return false;
    resource->dialect_known = true;
    return true;
}

/* --- reading --- */

static void unknown_keyword(struct compile *c, const struct node *n, const char *name)
{
    const char *near = keyword_nearest(name);
    if (!near || !c->o->warn) return;
    AUTO_FREE char *text =
        xasprintf("'%s' is no keyword, and checks nothing; did you mean '%s'?", name, near);
    warn(c, n, name, text);
}

static void use_resource(struct compile *c, struct resource *resource)
{
    if (resource->used) return;
    resource->used = true;
    resource->index_used = c->used_count;
    GROW(c->used, c->used_count, c->used_cap);
    c->used[c->used_count++] = resource;
}

static bool read_node(struct compile *c, struct node *n)
{
    c->at = n;
    if (json_is_boolean(n->json)) {
        n->never = json_is_false(n->json);
        return true;
    }
    if (!json_is_object(n->json))
        return fault(c, ERR_INVALID, NULL, "a schema is an object, true or false");
    struct resource *resource = registry_enter(&c->registry, c->s->documents, n->resource, n->json);
    n->resource = resource;
    use_resource(c, resource);
    if (!know_dialect(c, resource)) return false;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)n->json, name, value) {
        const struct keyword *k = keyword_find(name);
        if (!k)
            unknown_keyword(c, n, name);
        else if (k->read && (resource->vocabularies & 1u << k->vocabulary) &&
                 !k->read(c, n, k, value))
            return false;
    }
    return keywords_finish(c, n);
}

/* --- references --- */

void reference_add(struct compile *c, struct node *n, const char *text, bool dynamic)
{
    GROW(c->references, c->reference_count, c->reference_cap);
    c->references[c->reference_count++] =
        (struct reference){ .node = n, .text = text, .dynamic = dynamic };
}

static bool unresolved(struct compile *c, const struct reference *r, const char *uri,
                       const char *why)
{
    AUTO_FREE char *text = xasprintf("leads to '%.200s', %s", uri, why);
    return refuse(c, ERR_NOT_FOUND, r->dynamic ? "$dynamicRef" : "$ref", text);
}

/* Follows a JSON pointer (RFC 6901) from the root of *resource; NULL if nothing is there. */
static const json_t *follow(struct compile *c, const struct resource **resource,
                            const char *pointer)
{
    const json_t *value = (*resource)->root;
    while (value && *pointer == '/') {
        AUTO_BUF struct buf token = { 0 };
        buf_add_text(&token, "");
        for (pointer++; *pointer && *pointer != '/'; pointer++) {
            if (pointer[0] == '~' && (pointer[1] == '0' || pointer[1] == '1'))
                buf_add_char(&token, *++pointer == '0' ? '~' : '/');
            else
                buf_add_char(&token, *pointer);
        }
        if (json_is_array(value)) {
            char *end;
            unsigned long index = strtoul(token.data, &end, 10);
            bool good = token.len && !*end && token.data[0] >= '0' && token.data[0] <= '9';
            value = good ? json_array_get(value, index) : NULL;
        } else {
            value = json_object_get(value, token.data);
        }
        if (value) *resource = registry_enter(&c->registry, c->s->documents, *resource, value);
    }
    return value;
}

/* The schema that a reference leads to, and the resource that it stands in. *ret_anchor is the
 * anchor that it names, or NULL. */
static bool resolve(struct compile *c, const struct reference *r, struct node **ret,
                    const struct anchor **ret_anchor)
{
    AUTO_BUF struct buf uri = { 0 };
    AUTO_BUF struct buf fragment = { 0 }, address = { 0 };
    uri_resolve(&uri, r->node->resource->uri, r->text);
    char *hash = strchr(uri.data, '#');
    if (!uri_decode(&fragment, hash ? hash + 1 : ""))
        return unresolved(c, r, uri.data, "whose fragment has a broken %XX");
    if (hash) *hash = '\0';
    const struct resource *resource = registry_find(&c->registry, c->s->documents, uri.data);
    if (!resource)
        return unresolved(
            c, r, uri.data,
            "which is not here: nothing is fetched, a schema that is referred to must "
            "be given, or stand in '$defs' with that '$id'");
    /* A place in the schema itself needs no URI before it. */
    if (resource != c->s->root->resource) buf_add_text(&address, uri.data);
    buf_addf(&address, "#%s", fragment.data);
    const json_t *value = NULL;
    *ret_anchor = NULL;
    if (!fragment.len || fragment.data[0] == '/')
        value = follow(c, &resource, fragment.data);
    else if ((*ret_anchor = registry_anchor(&c->registry, resource, fragment.data)))
        value = (*ret_anchor)->schema;
    if (!value) return unresolved(c, r, address.data, "and there is nothing there");
    *ret = node_at(c, resource, value, address.data);
    return true;
}

static bool dynamic_index(struct compile *c, const char *name, size_t *ret)
{
    for (*ret = 0; *ret < c->dynamic_count; ++*ret)
        if (strcmp(c->dynamic_names[*ret], name) == 0) return true;
    if (c->dynamic_count == DYNAMIC_NAMES_MAX)
        return refuse(c, ERR_LIMIT, "$dynamicRef", "is used for too many different names");
    c->dynamic_names[c->dynamic_count++] = name;
    return true;
}

static bool read_reference(struct compile *c, const struct reference *r)
{
    const struct anchor *anchor = NULL;
    struct node *target = NULL;
    struct logic_rules *l = r->node->logic;
    c->at = r->node;
    if (!resolve(c, r, &target, &anchor)) return false;
    if (!r->dynamic) {
        l->ref = target;
        edge_add(c, r->node, target);
        return true;
    }
    l->dynamic = target;
    l->dynamic_name = SIZE_MAX;
    if (anchor && anchor->dynamic) return dynamic_index(c, anchor->name, &l->dynamic_name);
    edge_add(c, r->node, target);
    return true;
}

static const struct anchor *dynamic_anchor(struct compile *c, const struct resource *resource,
                                           size_t name)
{
    const struct anchor *a = registry_anchor(&c->registry, resource, c->dynamic_names[name]);
    return a && a->dynamic ? a : NULL;
}

/* Every $dynamicAnchor that a $dynamicRef may find on its way: each pair of a resource that is used
 * and a name, once. */
static void add_dynamic_targets(struct compile *c)
{
    bool more_names = c->dynamic_done < c->dynamic_count;
    for (size_t i = more_names ? 0 : c->used_done; i < c->used_count; i++) {
        const struct resource *resource = c->used[i];
        for (size_t j = i < c->used_done ? c->dynamic_done : 0; j < c->dynamic_count; j++) {
            const struct anchor *a = dynamic_anchor(c, resource, j);
            if (!a) continue;
            AUTO_FREE char *address =
                xasprintf("%s#%s", resource == c->s->root->resource ? "" : resource->uri, a->name);
            (void)node_at(c, resource, a->schema, address);
        }
    }
    c->used_done = c->used_count;
    c->dynamic_done = c->dynamic_count;
}

static bool drain(struct compile *c)
{
    while (c->queue_done < c->queue_count || c->reference_done < c->reference_count) {
        while (c->queue_done < c->queue_count)
            if (!read_node(c, c->queue[c->queue_done++])) return false;
        if (c->reference_done < c->reference_count) {
            struct reference r = c->references[c->reference_done++];
            if (!read_reference(c, &r)) return false;
        }
        if (c->queue_done == c->queue_count && c->reference_done == c->reference_count)
            add_dynamic_targets(c);
    }
    return true;
}

/* Fills the tables through which a $dynamicRef looks, and makes those static that can lead to one
 * place only. */
static void finish_dynamic(struct compile *c)
{
    if (!c->dynamic_count) return;
    size_t holders[DYNAMIC_NAMES_MAX] = { 0 };
    for (size_t i = 0; i < c->used_count; i++) {
        struct resource *resource = c->used[i];
        resource->dynamic =
            schema_arena_alloc(&c->s->arena, c->dynamic_count * sizeof(struct node *));
        for (size_t j = 0; j < c->dynamic_count; j++) {
            const struct anchor *a = dynamic_anchor(c, resource, j);
            if (!a) continue;
            resource->dynamic[j] = node_find(c, a->schema);
            holders[j]++;
        }
    }
    for (size_t i = 0; i < c->reference_count; i++) {
        struct logic_rules *l = c->references[i].node->logic;
        if (!c->references[i].dynamic || l->dynamic_name == SIZE_MAX) continue;
        if (holders[l->dynamic_name] > 1) {
            c->s->dynamic = true;
            continue;
        }
        l->dynamic_name = SIZE_MAX;
        edge_add(c, c->references[i].node, l->dynamic);
    }
}

/* --- circles --- */

/* A schema that comes back to itself without a step into the value would never end (Core, section
 * 9.4.1). Topological order (Kahn 1962) over the edges between schemas of the same value. */
static bool check_circles(struct compile *c)
{
    size_t count = c->queue_count, done = 0, ready_count = 0;
    AUTO_FREE size_t *in = xcalloc(count, sizeof *in), *from = xcalloc(count + 1, sizeof *from);
    AUTO_FREE size_t *ready = xcalloc(count, sizeof *ready);
    AUTO_FREE const struct node **out = xcalloc(c->edge_count + 1, sizeof(struct node *));
    for (size_t i = 0; i < c->edge_count; i++) {
        in[c->edges[i].to->number]++;
        from[c->edges[i].from->number + 1]++;
    }
    for (size_t i = 0; i < count; i++) from[i + 1] += from[i];
    AUTO_FREE size_t *fill = xcalloc(count + 1, sizeof *fill);
    memcpy(fill, from, (count + 1) * sizeof *fill);
    for (size_t i = 0; i < c->edge_count; i++)
        out[fill[c->edges[i].from->number]++] = c->edges[i].to;
    for (size_t i = 0; i < count; i++)
        if (!in[i]) ready[ready_count++] = i;
    while (done < ready_count) {
        size_t n = ready[done++];
        for (size_t i = from[n]; i < from[n + 1]; i++)
            if (--in[out[i]->number] == 0) ready[ready_count++] = out[i]->number;
    }
    if (done == count) return true;
    /* What is left is in a circle or behind one: walk back until a schema comes a second time. */
    AUTO_FREE size_t *before = xcalloc(count, sizeof *before);
    for (size_t i = 0; i < c->edge_count; i++)
        if (in[c->edges[i].from->number]) before[c->edges[i].to->number] = c->edges[i].from->number;
    AUTO_FREE bool *seen = xcalloc(count, sizeof *seen);
    size_t at = 0;
    while (!in[at]) at++;
    for (; !seen[at]; at = before[at]) seen[at] = true;
    /* Subschemas lie within one another, so some step of a circle is a reference. */
    while (!c->queue[at]->logic || !(c->queue[at]->logic->ref || c->queue[at]->logic->dynamic))
        at = before[at];
    c->at = c->queue[at];
    return refuse(c, ERR_INVALID, c->at->logic->ref ? "$ref" : "$dynamicRef",
                  "leads back here without a step into the value: that would never end");
}

/* --- the whole --- */

static struct resource *add_document(struct compile *c, const char *uri, const json_t *value)
{
    /* The compiled form points into the value; a copy of its own makes it independent of what the
     * caller does with theirs, other threads' reference counts included. */
    json_t *copy = json_deep_copy(value);
    ASSERT(copy);
    json_array_append_new(c->s->documents, copy);
    struct resource *root = NULL;
    return registry_add(&c->registry, uri, copy, &root, c->e) ? root : NULL;
}

static bool compile(struct compile *c, const json_t *value)
{
    struct resource *root = add_document(c, "", value);
    if (!root) return false;
    for (size_t i = 0; i < c->o->document_count; i++) {
        const struct schema_document *d = &c->o->documents[i];
        if (!add_document(c, d->uri ? d->uri : "", d->value))
            return err_prefix(c->e, "%s", d->uri ? d->uri : "a given document");
    }
    c->s->root = node_at(c, root, root->root, "#");
    if (!drain(c)) return false;
    c->s->resource_count = c->used_count;
    finish_dynamic(c);
    return check_circles(c);
}

struct schema *schema_compile_with(const json_t *value, const struct schema_options *o,
                                   char **ret_pointer, struct err *e)
{
    static const struct schema_options none = { 0 };
    CLEANUP(schema_free_p) struct schema *s = xcalloc(1, sizeof *s);
    s->documents = json_array();
    struct compile c = { .s = s, .o = o ? o : &none, .tell_pointer = ret_pointer, .e = e };
    c.registry.arena = &s->arena;
    s->work_max = c.o->work_max ? c.o->work_max : SCHEMA_WORK_MAX;
    bool ok = compile(&c, value);
    if (!ok && ret_pointer) {
        AUTO_BUF struct buf pointer = { 0 };
        root_pointer(&pointer, c.at, c.at_keyword);
        *ret_pointer = buf_take(&pointer, NULL);
    }
    registry_done(&c.registry);
    map_done(&c.nodes);
    free(c.queue);
    free(c.references);
    free(c.edges);
    free(c.used);
    return ok ? TAKE(s) : NULL;
}

struct schema *schema_compile(const json_t *value, char **ret_pointer, struct err *e)
{
    return schema_compile_with(value, NULL, ret_pointer, e);
}

struct schema *schema_free(struct schema *s)
{
    if (!s) return NULL;
    for (size_t i = 0; i < s->pattern_count; i++) pattern_free(s->patterns[i]);
    free(s->patterns);
    schema_arena_done(&s->arena);
    json_decref(s->documents);
    free(s);
    return NULL;
}
