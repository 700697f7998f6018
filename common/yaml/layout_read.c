/* SPDX-License-Identifier: Apache-2.0
 *
 * libyaml's events to nodes with places, and the comments between them. */
#include "common/yaml/layout.h"

#include <yaml.h>

#include <stdlib.h>

struct reader {
    struct layout *l;
    yaml_parser_t parser;
    uint32_t *offsets; /* of each character, in bytes; libyaml counts characters */
    size_t characters;
    struct span {
        size_t start, end;
    } * spans; /* of scalars, in order: a # within is no comment */
    size_t span_count, span_cap;
    struct err *e;
};

static size_t offset_of(const struct reader *r, yaml_mark_t mark)
{
    return mark.index < r->characters ? r->offsets[mark.index] : r->l->text.len;
}

static uint32_t line_of(const struct layout *l, size_t offset)
{
    size_t low = 0, high = l->line_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (l->line_starts[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    return (uint32_t)low;
}

static uint32_t column_of(const struct layout *l, size_t offset)
{
    size_t start = l->line_starts[line_of(l, offset)];
    return (uint32_t)utf8_count(l->text.data + start, offset - start);
}

bool layout_line_blank(const struct layout *l, uint32_t line)
{
    if (line >= l->line_count) return true;
    for (size_t i = l->line_starts[line]; i < l->text.len && l->text.data[i] != '\n'; i++)
        if (l->text.data[i] != ' ' && l->text.data[i] != '\t') return false;
    return true;
}

static void index_text(struct reader *r)
{
    struct layout *l = r->l;
    r->offsets = xcalloc(l->text.len + 1, sizeof *r->offsets);
    l->line_starts = xcalloc(l->text.len + 2, sizeof *l->line_starts);
    l->line_count = 1;
    for (size_t i = 0; i < l->text.len; i++) {
        if (((unsigned char)l->text.data[i] & 0xC0) != 0x80)
            r->offsets[r->characters++] = (uint32_t)i;
        if (l->text.data[i] == '\n') l->line_starts[l->line_count++] = (uint32_t)i + 1;
    }
}

/* --- nodes --- */

static void node_free(struct layout_node *node)
{
    if (!node) return;
    for (size_t i = 0; i < node->count; i++) node_free(node->children[i]);
    free(node->children);
    free(node->props);
    free(node->value);
    free(node);
}

static void node_add(struct layout_node *parent, struct layout_node *child)
{
    if (parent->count == parent->cap) {
        parent->cap = parent->cap ? 2 * parent->cap : 8;
        parent->children = xrealloc(parent->children, parent->cap * sizeof *parent->children);
    }
    parent->children[parent->count++] = child;
}

static void add_span(struct reader *r, size_t start, size_t end)
{
    if (r->span_count == r->span_cap) {
        r->span_cap = r->span_cap ? 2 * r->span_cap : 64;
        r->spans = xrealloc(r->spans, r->span_cap * sizeof *r->spans);
    }
    r->spans[r->span_count++] = (struct span){ start, end };
}

/* Anchor and tag as they are written; a tag of the core schema in its short form. */
static char *props_of(const yaml_char_t *anchor, const yaml_char_t *tag)
{
    static const char core[] = "tag:yaml.org,2002:";
    const char *name = (const char *)tag;
    AUTO_BUF struct buf b = { 0 };
    if (anchor) buf_addf(&b, "&%s", (const char *)anchor);
    if (name && anchor) buf_add_char(&b, ' ');
    if (name && strncmp(name, core, sizeof core - 1) == 0)
        buf_addf(&b, "!!%s", name + sizeof core - 1);
    else if (name && strcmp(name, "!") == 0)
        buf_add_char(&b, '!');
    else if (name)
        buf_addf(&b, "!<%s>", name);
    return b.len ? buf_take(&b, NULL) : NULL;
}

/* Beyond anchor and tag: an event begins with them. */
static size_t skip_props(const struct bytes text, size_t at, size_t end)
{
    while (at < end && (text.data[at] == '&' || text.data[at] == '!')) {
        while (at < end && !strchr(" \t\n", text.data[at])) at++;
        while (at < end && strchr(" \t\n", text.data[at])) at++;
    }
    return at;
}

static struct layout_node *node_new(const struct reader *r, enum layout_kind kind,
                                    const yaml_event_t *event)
{
    struct layout_node *node = xcalloc(1, sizeof *node);
    node->kind = kind;
    node->start = offset_of(r, event->start_mark);
    node->end = offset_of(r, event->end_mark);
    return node;
}

static void place(const struct reader *r, struct layout_node *node)
{
    node->line = line_of(r->l, node->start);
    /* Of brackets it means nothing, and a long line may hold many of them. */
    if (node->kind >= LAYOUT_LIST && !node->flow) node->column = column_of(r->l, node->start);
    size_t last = node->end > node->start ? node->end - 1 : node->end;
    node->end_line = line_of(r->l, last);
}

static struct layout_node *scalar(struct reader *r, const yaml_event_t *event)
{
    static const enum layout_style styles[] = {
        [YAML_ANY_SCALAR_STYLE] = LAYOUT_PLAIN,
        [YAML_PLAIN_SCALAR_STYLE] = LAYOUT_PLAIN,
        [YAML_SINGLE_QUOTED_SCALAR_STYLE] = LAYOUT_SINGLE,
        [YAML_DOUBLE_QUOTED_SCALAR_STYLE] = LAYOUT_DOUBLE,
        [YAML_LITERAL_SCALAR_STYLE] = LAYOUT_LITERAL,
        [YAML_FOLDED_SCALAR_STYLE] = LAYOUT_FOLDED,
    };
    struct bytes text = r->l->text;
    struct layout_node *node = node_new(r, LAYOUT_SCALAR, event);
    node->style = styles[event->data.scalar.style];
    node->props = props_of(event->data.scalar.anchor, event->data.scalar.tag);
    if (node->props) node->start = skip_props(text, node->start, node->end);
    place(r, node);
    size_t from = node->start;
    if (node->style >= LAYOUT_LITERAL) {
        node->value_len = event->data.scalar.length;
        node->value = xstrndup((const char *)event->data.scalar.value, node->value_len);
        /* A comment may stand behind the indicators. */
        while (from < node->end && text.data[from] != '\n') from++;
    }
    add_span(r, from, node->end);
    return node;
}

static bool next(struct reader *r, yaml_event_t *event)
{
    return yaml_parser_parse(&r->parser, event) ||
           err_fail(r->e, ERR_INVALID, "%s", r->parser.problem ? r->parser.problem : "no YAML");
}

static bool read_node(struct reader *r, yaml_event_t *event, struct layout_node **ret);

static bool read_children(struct reader *r, struct layout_node *node, yaml_event_type_t end)
{
    for (;;) {
        yaml_event_t event;
        struct layout_node *child = NULL;
        if (!next(r, &event)) return false;
        if (event.type == end) {
            if (node->flow) node->end = offset_of(r, event.end_mark);
            yaml_event_delete(&event);
            place(r, node);
            return true;
        }
        if (!read_node(r, &event, &child)) return false;
        node_add(node, child);
        if (!node->flow) node->end = child->end;
    }
}

static bool read_node(struct reader *r, yaml_event_t *event, struct layout_node **ret)
{
    struct bytes text = r->l->text;
    bool ok = true;
    struct layout_node *node = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        node = scalar(r, event);
    } else if (event->type == YAML_ALIAS_EVENT) {
        node = node_new(r, LAYOUT_ALIAS, event);
        node->value = xstrdup((const char *)event->data.alias.anchor);
        place(r, node);
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        node = node_new(r, LAYOUT_LIST, event);
        node->flow = event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
        node->props = props_of(event->data.sequence_start.anchor, event->data.sequence_start.tag);
        ok = read_children(r, node, YAML_SEQUENCE_END_EVENT);
    } else {
        node = node_new(r, LAYOUT_MAP, event);
        node->flow = event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
        node->props = props_of(event->data.mapping_start.anchor, event->data.mapping_start.tag);
        ok = read_children(r, node, YAML_MAPPING_END_EVENT);
    }
    if (ok && node->count && node->props && !node->flow) {
        node->start = skip_props(text, node->start, node->end);
        place(r, node);
    }
    yaml_event_delete(event);
    if (ok)
        *ret = node;
    else
        node_free(node);
    return ok;
}

static bool read_document(struct reader *r)
{
    bool ok = true, more = true;
    while (ok && more) {
        yaml_event_t event;
        if (!next(r, &event)) return false;
        more = event.type != YAML_STREAM_END_EVENT;
        if (event.type == YAML_SCALAR_EVENT || event.type == YAML_ALIAS_EVENT ||
            event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT)
            ok = read_node(r, &event, &r->l->root);
        else
            yaml_event_delete(&event);
    }
    return ok;
}

/* --- comments --- */

static void add_comment(struct layout *l, size_t start, size_t end)
{
    while (end > start && strchr(" \t", l->text.data[end - 1])) end--;
    if (l->comment_count == l->comment_cap) {
        l->comment_cap = l->comment_cap ? 2 * l->comment_cap : 32;
        l->comments = xrealloc(l->comments, l->comment_cap * sizeof *l->comments);
    }
    l->comments[l->comment_count++] = (struct layout_comment){
        .start = start, .len = end - start, .line = line_of(l, start), .column = column_of(l, start)
    };
}

/* Outside of scalars a # at the beginning of a line or behind white space begins a comment. */
static void find_comments(struct reader *r)
{
    struct bytes text = r->l->text;
    size_t span = 0;
    for (size_t i = 0; i < text.len; i++) {
        while (span < r->span_count && r->spans[span].end <= i) span++;
        if (span < r->span_count && i >= r->spans[span].start) {
            i = r->spans[span].end - 1;
            continue;
        }
        if (text.data[i] != '#' || (i > 0 && !strchr(" \t\n", text.data[i - 1]))) continue;
        const char *newline = memchr(text.data + i, '\n', text.len - i);
        size_t end = newline ? (size_t)(newline - text.data) : text.len;
        add_comment(r->l, i, end);
        i = end;
    }
}

/* --- all --- */

bool layout_read(struct layout *ret, struct bytes text, struct err *e)
{
    struct reader r = { .l = ret, .e = e };
    *ret = (struct layout){ .text = text };
    index_text(&r);
    int ready = yaml_parser_initialize(&r.parser);
    ASSERT(ready);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    const char *data = text.len ? text.data : ""; /* libyaml takes no NULL */
    yaml_parser_set_input_string(&r.parser, (const yaml_char_t *)data, text.len);
    bool ok = read_document(&r);
    yaml_parser_delete(&r.parser);
    if (ok) find_comments(&r);
    free(r.spans);
    free(r.offsets);
    return ok;
}

void layout_done(struct layout *l)
{
    node_free(l->root);
    free(l->comments);
    free(l->line_starts);
    *l = (struct layout){ 0 };
}

/* --- JSON --- */

void layout_json(struct bytes text, struct buf *ret)
{
    int depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (strchr(" \t\r\n", c)) continue;
        size_t next_at = i + 1;
        while (next_at < text.len && strchr(" \t\r\n", text.data[next_at])) next_at++;
        char then = next_at < text.len ? text.data[next_at] : '\0';
        if (c == '"') {
            size_t from = i;
            for (i++; text.data[i] != '"'; i++) i += text.data[i] == '\\';
            buf_add(ret, text.data + from, i - from + 1);
        } else if ((c == '{' && then == '}') || (c == '[' && then == ']')) {
            buf_addf(ret, "%c%c", c, then);
            i = next_at;
        } else if (c == '{' || c == '[') {
            buf_addf(ret, "%c\n%*s", c, ++depth * 2, "");
        } else if (c == '}' || c == ']') {
            depth--;
            buf_addf(ret, "\n%*s%c", depth * 2, "", c);
        } else if (c == ',') {
            buf_addf(ret, ",\n%*s", depth * 2, "");
        } else {
            buf_add_char(ret, c);
            if (c == ':') buf_add_char(ret, ' ');
        }
    }
    buf_add_char(ret, '\n');
}
