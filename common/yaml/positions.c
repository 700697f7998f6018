/* SPDX-License-Identifier: Apache-2.0
 *
 * Where values stand: a tree beside the JSON value, so that its size is linear in the document's
 * (a map by pointer would repeat every prefix). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/yaml/parts.h"

struct position *position_new(struct positions *p, uint32_t line, uint32_t column)
{
    struct position *node = xcalloc(1, sizeof *node);
    *node = (struct position){
        .made_before = p->made_last, .line = line, .column = column, .height = 1, .nodes = 1
    };
    p->made_last = node;
    return node;
}

void position_add(struct position *parent, const char *key, uint32_t line, uint32_t column,
                  struct position *child)
{
    if (parent->count == parent->cap) {
        parent->cap = parent->cap ? 2 * parent->cap : 4;
        parent->children = xrealloc(parent->children, parent->cap * sizeof *parent->children);
    }
    parent->children[parent->count++] = (struct position_child){
        .key = key ? xstrdup(key) : NULL, .line = line, .column = column, .value = child
    };
    parent->nodes += child->nodes;
    parent->bytes += child->bytes + (key ? strlen(key) : 0);
    parent->height = MAX(parent->height, child->height + 1);
}

struct positions *positions_free(struct positions *p)
{
    if (!p) return NULL;
    for (struct position *node = p->made_last; node;) {
        struct position *before = node->made_before;
        for (size_t i = 0; i < node->count; i++) free(node->children[i].key);
        free(node->children);
        free(node->text);
        free(node);
        node = before;
    }
    free(p);
    return NULL;
}

/* --- lookup --- */

/* Compares a key with the segment of a JSON pointer (RFC 6901: ~0 is ~, ~1 is /). */
static bool segment_is(const char *segment, size_t len, const char *key)
{
    const char *end = segment + len;
    while (segment < end) {
        char c = *segment++;
        if (c == '~' && segment < end) c = *segment++ == '0' ? '~' : '/';
        if (*key++ != c) return false;
    }
    return *key == '\0';
}

static const struct position_child *child_of(const struct position *node, const char *segment,
                                             size_t len)
{
    if (!node->count) return NULL;
    if (!node->children[0].key) {
        if (!len || len > 9 || strspn(segment, "0123456789") < len) return NULL;
        size_t index = (size_t)strtoul(segment, NULL, 10);
        return index < node->count ? &node->children[index] : NULL;
    }
    for (size_t i = 0; i < node->count; i++)
        if (segment_is(segment, len, node->children[i].key)) return &node->children[i];
    return NULL;
}

/* The nearest node to pointer and the child entry that led to it (NULL at the root); *ret_exact
 * says whether it is the value at pointer itself. */
static const struct position *find(const struct positions *p, const char *pointer,
                                   const struct position_child **ret_child, bool *ret_exact)
{
    const struct position *node = p->root;
    *ret_child = NULL;
    while (*pointer == '/') {
        size_t len = strcspn(pointer + 1, "/");
        const struct position_child *child = child_of(node, pointer + 1, len);
        if (!child) break;
        *ret_child = child;
        node = child->value;
        pointer += 1 + len;
    }
    *ret_exact = *pointer == '\0';
    return node;
}

void positions_find(const struct positions *p, const char *pointer, uint32_t *ret_line,
                    uint32_t *ret_column)
{
    const struct position_child *child;
    bool exact;
    const struct position *node = p ? find(p, pointer, &child, &exact) : NULL;
    *ret_line = node ? node->line : 0;
    *ret_column = node ? node->column : 0;
}

bool positions_fail(const struct positions *p, const char *file, const char *pointer, struct err *e,
                    const char *fmt, ...)
{
    uint32_t line, column;
    char text[sizeof e->text];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    positions_find(p, pointer, &line, &column);
    return err_fail(e, ERR_INVALID, "%s:%u:%u: %s", file, line, column, text);
}

void positions_find_key(const struct positions *p, const char *pointer, uint32_t *ret_line,
                        uint32_t *ret_column)
{
    const struct position_child *child = NULL;
    bool exact = false;
    positions_find(p, pointer, ret_line, ret_column);
    if (p) (void)find(p, pointer, &child, &exact);
    if (!exact || !child || !child->key) return;
    *ret_line = child->line;
    *ret_column = child->column;
}

const char *positions_text(const struct positions *p, const char *pointer)
{
    if (!p) return NULL;
    const struct position_child *child;
    bool exact;
    const struct position *node = find(p, pointer, &child, &exact);
    return exact ? node->text : NULL;
}

/* --- JSON --- */

struct walk {
    struct positions *positions;
    const char *p, *end;
    uint32_t line, column;
};

/* Moves over one byte; continuation bytes of UTF-8 are no column of their own. */
static void step(struct walk *w)
{
    unsigned char c = (unsigned char)*w->p++;
    if (c == '\n') {
        w->line++;
        w->column = 1;
    } else if ((c & 0xC0) != 0x80) {
        w->column++;
    }
}

/* Moves to the next byte that is no white space and none of the given punctuation. */
static void skip(struct walk *w, const char *punctuation)
{
    while (w->p < w->end && *w->p && strchr(punctuation, *w->p)) step(w);
}

static void walk_string(struct walk *w)
{
    step(w);
    while (*w->p != '"') {
        if (*w->p == '\\') step(w);
        step(w);
    }
    step(w);
}

static void walk_scalar(struct walk *w, struct position *node)
{
    if (*w->p == '"') {
        const char *from = w->p;
        walk_string(w);
        node->bytes = (size_t)(w->p - from);
        return;
    }
    const char *from = w->p;
    while (w->p < w->end && !strchr(",]} \t\r\n", *w->p)) step(w);
    node->text = xstrndup(from, (size_t)(w->p - from));
}

static struct position *walk_value(struct walk *w, const json_t *value, int depth)
{
    skip(w, " \t\r\n,:");
    struct position *node = position_new(w->positions, w->line, w->column);
    if (depth > JSON_DEPTH_MAX) return NULL;
    if (json_is_array(value)) {
        step(w);
        for (size_t i = 0; i < json_array_size(value); i++) {
            struct position *child = walk_value(w, json_array_get(value, i), depth + 1);
            if (!child) return NULL;
            position_add(node, NULL, child->line, child->column, child);
        }
    } else if (json_is_object(value)) {
        /* jansson keeps the order of insertion, and there are no duplicates: the keys of the value
         * and of the text go side by side. */
        const char *key;
        json_t *member;
        step(w);
        json_object_foreach((json_t *)value, key, member) {
            skip(w, " \t\r\n,");
            uint32_t line = w->line, column = w->column;
            walk_string(w);
            struct position *child = walk_value(w, member, depth + 1);
            if (!child) return NULL;
            position_add(node, key, line, column, child);
        }
    } else {
        walk_scalar(w, node);
        return node;
    }
    skip(w, " \t\r\n");
    step(w); /* the closing bracket */
    return node;
}

bool positions_of_json(struct positions *p, struct bytes text, const json_t *value,
                       uint32_t *ret_line, uint32_t *ret_column, struct err *e)
{
    struct walk w = {
        .positions = p, .p = text.data, .end = text.data + text.len, .line = 1, .column = 1
    };
    p->root = walk_value(&w, value, 1);
    if (p->root) return true;
    *ret_line = w.line;
    *ret_column = w.column;
    return err_fail(e, ERR_LIMIT, "more than %d levels of nesting", JSON_DEPTH_MAX);
}

void text_position(struct bytes text, size_t offset, uint32_t *ret_line, uint32_t *ret_column)
{
    struct walk w = { .p = text.data, .line = 1, .column = 1 };
    while (w.p < text.data + MIN(offset, text.len)) step(&w);
    *ret_line = w.line;
    *ret_column = w.column;
}
