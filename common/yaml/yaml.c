/* SPDX-License-Identifier: Apache-2.0
 *
 * libyaml's events to a JSON value. Text that is JSON goes through jansson instead, because libyaml
 * (YAML 1.1) refuses some of it: surrogate pairs, and keys beyond 1,024 bytes. */
#include "common/yaml/yaml.h"

#include <yaml.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/yaml/parts.h"

struct anchor {
    char *name;
    json_t *value; /* NULL while its node is still being read: an alias now would be a cycle */
    struct position *position;
};

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    struct bytes text;
    struct positions *positions;
    struct anchor *anchors;
    size_t anchor_count, anchor_cap;
    size_t expanded_nodes, expanded_bytes;
    uint32_t line, column; /* of the error */
    struct err *e;
};

static bool refuse_text(struct reader *r, yaml_mark_t mark, enum err_kind kind, const char *text)
{
    r->line = (uint32_t)mark.line + 1;
    r->column = (uint32_t)mark.column + 1;
    return err_fail(r->e, kind, "%s", text);
}

PRINTF_LIKE(4, 5)
static bool refuse(struct reader *r, yaml_mark_t mark, enum err_kind kind, const char *fmt, ...)
{
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return refuse_text(r, mark, kind, text);
}

/* --- libyaml's own errors, made clear --- */

/* Whether the line (from 0) has a tab in its indentation; *ret_column: where, from 0. */
static bool tab_indents(struct bytes text, size_t line, size_t *ret_column)
{
    const char *p = text.data, *end = text.data + text.len;
    for (; line && p < end; line--) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        p = newline ? newline + 1 : end;
    }
    const char *from = p;
    while (p < end && *p == ' ') p++;
    *ret_column = (size_t)(p - from);
    return p < end && *p == '\t';
}

/* What to do about a complaint of libyaml that speaks to its authors; "" where it speaks for
 * itself. */
static const char *advice(const char *problem)
{
    static const struct {
        const char *problem, *advice;
    } known[] = {
        { "mapping values are not allowed in this context",
          ": is the line indented too far, or is a text with ': ' in it not in quotes?" },
        { "did not find expected key",
          ": is the line indented like its neighbours, and are quotes closed?" },
        { "did not find expected '-' indicator", ": every item of the list starts with '- '" },
        { "could not find expected ':'", ": a key is written 'name: value'" },
        { "found character that cannot start any token",
          ": put quotes around text that starts with @, ` or %" },
        { "found unexpected end of stream", ": a quote or bracket is not closed" },
        { "found undefined tag handle", ": tags of your own are not supported" },
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(problem, known[i].problem) == 0) return known[i].advice;
    return "";
}

static bool refuse_syntax(struct reader *r)
{
    const yaml_parser_t *parser = &r->parser;
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    yaml_mark_t mark = parser->problem_mark;
    if (parser->error == YAML_READER_ERROR) {
        text_position(r->text, parser->problem_offset, &r->line, &r->column);
        return err_fail(r->e, ERR_INVALID, "%s (U+%04X)", problem, (unsigned)parser->problem_value);
    }
    size_t tab;
    if (tab_indents(r->text, mark.line, &tab)) {
        mark.column = tab;
        return refuse(r, mark, ERR_INVALID, "a tab in the indentation; YAML indents with spaces");
    }
    if (parser->context && parser->context_mark.line != mark.line)
        return refuse(r, mark, ERR_INVALID, "%s (%s that starts in line %zu)%s", problem,
                      parser->context, parser->context_mark.line + 1, advice(problem));
    return refuse(r, mark, ERR_INVALID, "%s%s", problem, advice(problem));
}

static bool next_event(struct reader *r)
{
    yaml_event_delete(&r->event);
    return yaml_parser_parse(&r->parser, &r->event) || refuse_syntax(r);
}

/* --- anchors --- */

static struct anchor *anchor_find(const struct reader *r, const char *name)
{
    for (size_t i = r->anchor_count; i-- > 0;)
        if (strcmp(r->anchors[i].name, name) == 0) return &r->anchors[i];
    return NULL;
}

/* Notes that a node with this anchor begins; returns its number, or SIZE_MAX without an anchor. */
static size_t anchor_begin(struct reader *r, const yaml_char_t *name)
{
    if (!name) return SIZE_MAX;
    if (r->anchor_count == r->anchor_cap) {
        r->anchor_cap = r->anchor_cap ? 2 * r->anchor_cap : 8;
        r->anchors = xrealloc(r->anchors, r->anchor_cap * sizeof *r->anchors);
    }
    r->anchors[r->anchor_count] = (struct anchor){ .name = xstrdup((const char *)name) };
    return r->anchor_count++;
}

static void anchor_end(struct reader *r, size_t number, json_t *value, struct position *position)
{
    if (number == SIZE_MAX) return;
    r->anchors[number].value = json_incref(value);
    r->anchors[number].position = position;
}

static json_t *read_alias(struct reader *r, int depth, struct position **ret_position)
{
    const char *name = (const char *)r->event.data.alias.anchor;
    const struct anchor *anchor = anchor_find(r, name);
    yaml_mark_t at = r->event.start_mark;
    if (!anchor)
        refuse(r, at, ERR_INVALID, "*%s refers to an anchor that is not defined before it", name);
    else if (!anchor->value)
        refuse(r, at, ERR_INVALID, "*%s stands inside the value that it refers to", name);
    if (!anchor || !anchor->value) return NULL;
    r->expanded_nodes += anchor->position->nodes;
    r->expanded_bytes += anchor->position->bytes;
    if (r->expanded_nodes > YAML_EXPANDED_NODES_MAX || r->expanded_bytes > YAML_EXPANDED_BYTES_MAX)
        refuse(r, at, ERR_LIMIT, "aliases expand to more than %d values or %d MiB",
               YAML_EXPANDED_NODES_MAX, YAML_EXPANDED_BYTES_MAX / MIB);
    else if (depth + (int)anchor->position->height - 1 > JSON_DEPTH_MAX)
        refuse(r, at, ERR_LIMIT, "more than %d levels of nesting", JSON_DEPTH_MAX);
    else {
        *ret_position = anchor->position;
        return json_deep_copy(anchor->value);
    }
    return NULL;
}

/* --- nodes --- */

static struct position *position_here(struct reader *r)
{
    return position_new(r->positions, (uint32_t)r->event.start_mark.line + 1,
                        (uint32_t)r->event.start_mark.column + 1);
}

static bool check_collection_tag(struct reader *r, const yaml_char_t *tag_, const char *expected)
{
    const char *tag = (const char *)tag_;
    if (!tag || strcmp(tag, expected) == 0 || strcmp(tag, "!") == 0) return true;
    return refuse(r, r->event.start_mark, ERR_INVALID, "the tag %.100s is not supported", tag);
}

/* The value of a scalar whose type a tag names. */
static json_t *resolve_tagged(struct reader *r, const char *tag, const char *text, size_t len)
{
    if (strcmp(tag, YAML_STR_TAG) == 0 || strcmp(tag, "!") == 0) return json_stringn(text, len);
    json_t *value = scalar_resolve(text, len, r->e);
    bool fits = strcmp(tag, YAML_NULL_TAG) == 0    ? json_is_null(value)
                : strcmp(tag, YAML_BOOL_TAG) == 0  ? json_is_boolean(value)
                : strcmp(tag, YAML_INT_TAG) == 0   ? json_is_integer(value)
                : strcmp(tag, YAML_FLOAT_TAG) == 0 ? json_is_number(value)
                                                   : false;
    if (fits && strcmp(tag, YAML_FLOAT_TAG) == 0 && json_is_integer(value)) {
        double number = json_number_value(value);
        json_decref(value);
        return json_real(number);
    }
    if (fits) return value;
    json_decref(value);
    err_fail(r->e, ERR_INVALID, "the tag %.100s is not supported or does not fit its value", tag);
    return NULL;
}

static json_t *read_scalar(struct reader *r, struct position *position)
{
    yaml_mark_t at = r->event.start_mark;
    const char *text = (const char *)r->event.data.scalar.value;
    size_t len = r->event.data.scalar.length;
    const char *tag = (const char *)r->event.data.scalar.tag;
    r->line = (uint32_t)at.line + 1;
    r->column = (uint32_t)at.column + 1;
    position->bytes = len;
    json_t *value = NULL;
    if (memchr(text, '\0', len))
        err_fail(r->e, ERR_INVALID, "text must not hold NUL characters");
    else if (tag)
        value = resolve_tagged(r, tag, text, len);
    else if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        value = scalar_resolve(text, len, r->e);
    else
        value = json_stringn(text, len);
    if (value && !json_is_string(value)) position->text = xstrndup(text, len);
    return value;
}

static json_t *read_node(struct reader *r, int depth, struct position **ret_position);

static bool read_items(struct reader *r, int depth, json_t *array, struct position *position)
{
    for (;;) {
        if (!next_event(r)) return false;
        if (r->event.type == YAML_SEQUENCE_END_EVENT) return true;
        struct position *child;
        json_t *item = read_node(r, depth + 1, &child);
        if (!item) return false;
        position_add(position, NULL, child->line, child->column, child);
        json_array_append_new(array, item);
    }
}

/* A mapping's key from the present event; a new string, or NULL. */
static char *read_key(struct reader *r, json_t *object, const struct position *position)
{
    yaml_mark_t at = r->event.start_mark;
    if (r->event.type != YAML_SCALAR_EVENT || r->event.data.scalar.anchor) {
        refuse(r, at, ERR_INVALID, "a key must be plain text, without anchor or alias");
        return NULL;
    }
    const char *text = (const char *)r->event.data.scalar.value;
    size_t len = r->event.data.scalar.length;
    if (memchr(text, '\0', len)) {
        refuse(r, at, ERR_INVALID, "a key must not hold NUL characters");
        return NULL;
    }
    if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(text, "<<") == 0) {
        refuse(r, at, ERR_INVALID,
               "the merge key << is not part of YAML 1.2 and not supported; write the fields out");
        return NULL;
    }
    if (json_object_get(object, text)) {
        uint32_t line = 0;
        for (size_t i = 0; i < position->count; i++)
            if (strcmp(position->children[i].key, text) == 0) line = position->children[i].line;
        refuse(r, at, ERR_INVALID, "the key '%.100s' stands here again; it is in line %u already",
               text, line);
        return NULL;
    }
    return xstrndup(text, len);
}

static bool read_members(struct reader *r, int depth, json_t *object, struct position *position)
{
    for (;;) {
        if (!next_event(r)) return false;
        if (r->event.type == YAML_MAPPING_END_EVENT) return true;
        yaml_mark_t at = r->event.start_mark;
        AUTO_FREE char *key = read_key(r, object, position);
        if (!key || !next_event(r)) return false;
        struct position *child;
        json_t *member = read_node(r, depth + 1, &child);
        if (!member) return false;
        position_add(position, key, (uint32_t)at.line + 1, (uint32_t)at.column + 1, child);
        json_object_set_new(object, key, member);
    }
}

static json_t *read_node(struct reader *r, int depth, struct position **ret_position)
{
    if (r->event.type == YAML_ALIAS_EVENT) return read_alias(r, depth, ret_position);
    if (depth > JSON_DEPTH_MAX) {
        refuse(r, r->event.start_mark, ERR_LIMIT, "more than %d levels of nesting", JSON_DEPTH_MAX);
        return NULL;
    }
    struct position *position = *ret_position = position_here(r);
    AUTO_JSON *value = NULL;
    size_t anchor;
    switch (r->event.type) {
    case YAML_SCALAR_EVENT:
        anchor = anchor_begin(r, r->event.data.scalar.anchor);
        value = read_scalar(r, position);
        if (!value) return NULL;
        break;
    case YAML_SEQUENCE_START_EVENT:
        if (!check_collection_tag(r, r->event.data.sequence_start.tag, YAML_SEQ_TAG)) return NULL;
        anchor = anchor_begin(r, r->event.data.sequence_start.anchor);
        value = json_array();
        if (!read_items(r, depth, value, position)) return NULL;
        break;
    default:
        ASSERT(r->event.type == YAML_MAPPING_START_EVENT);
        if (!check_collection_tag(r, r->event.data.mapping_start.tag, YAML_MAP_TAG)) return NULL;
        anchor = anchor_begin(r, r->event.data.mapping_start.anchor);
        value = json_object();
        if (!read_members(r, depth, value, position)) return NULL;
    }
    anchor_end(r, anchor, value, position);
    return TAKE(value);
}

static json_t *read_stream(struct reader *r)
{
    if (!next_event(r)) return NULL; /* STREAM-START */
    if (!next_event(r)) return NULL;
    if (r->event.type == YAML_STREAM_END_EVENT) {
        r->positions->root = position_new(r->positions, 1, 1);
        return json_null();
    }
    if (!next_event(r)) return NULL;
    AUTO_JSON *value = read_node(r, 1, &r->positions->root);
    if (!value) return NULL;
    if (!next_event(r)) return NULL; /* DOCUMENT-END */
    if (!next_event(r)) return NULL;
    if (r->event.type != YAML_STREAM_END_EVENT) {
        refuse(r, r->event.start_mark, ERR_INVALID, "a second document begins; one is allowed");
        return NULL;
    }
    return TAKE(value);
}

static json_t *parse_yaml(struct reader *r)
{
    int ready = yaml_parser_initialize(&r->parser);
    ASSERT(ready);
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const yaml_char_t *)r->text.data, r->text.len);
    json_t *value = read_stream(r);
    yaml_event_delete(&r->event);
    yaml_parser_delete(&r->parser);
    for (size_t i = 0; i < r->anchor_count; i++) {
        free(r->anchors[i].name);
        json_decref(r->anchors[i].value);
    }
    free(r->anchors);
    return value;
}

/* --- the entry --- */

/* NUL characters and broken UTF-8 anywhere, comments included. */
static bool check_text(struct reader *r)
{
    const char *nul = memchr(r->text.data, '\0', r->text.len);
    if (nul) {
        text_position(r->text, (size_t)(nul - r->text.data), &r->line, &r->column);
        return err_fail(r->e, ERR_INVALID, "a NUL character; is this a text file in UTF-8?");
    }
    if (utf8_check(r->text.data, r->text.len)) return true;
    size_t good = 0;
    for (size_t n = 0; good < r->text.len; good += n) {
        unsigned char lead = (unsigned char)r->text.data[good];
        n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        if (n > r->text.len - good || !utf8_check(r->text.data + good, n)) break;
    }
    text_position(r->text, good, &r->line, &r->column);
    return err_fail(r->e, ERR_INVALID, "bytes that are not valid UTF-8");
}

/* Text that begins like JSON, as JSON. NULL without an error in r: it may still be YAML; then
 * *ret_json says how far JSON went, and why no farther. */
static json_t *parse_json(struct reader *r, json_error_t *ret_json)
{
    struct bytes text = r->text;
    size_t space = 0;
    while (space < text.len && strchr(" \t\r\n", text.data[space])) space++;
    *ret_json = (json_error_t){ 0 };
    if (space == text.len || !strchr("{[\"", text.data[space])) return NULL;
    return json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, ret_json);
}

static json_t *parse(struct reader *r)
{
    if (!check_text(r)) return NULL;
    json_error_t json_error;
    AUTO_JSON *value = parse_json(r, &json_error);
    if (value) {
        bool ok = positions_of_json(r->positions, r->text, value, &r->line, &r->column, r->e);
        return ok ? TAKE(value) : NULL;
    }
    value = parse_yaml(r);
    /* Of two complaints the better one is that of the parser which understood more of the text. */
    if (!value && json_error.line > (int)r->line) {
        r->line = (uint32_t)json_error.line;
        r->column = (uint32_t)MAX(json_error.column, 1);
        err_fail(r->e, ERR_INVALID, "%s", json_error.text);
    }
    return TAKE(value);
}

json_t *yaml_parse(struct bytes text, struct positions **ret_positions, uint32_t *ret_line,
                   uint32_t *ret_column, struct err *e)
{
    CLEANUP(positions_free_p) struct positions *positions = xcalloc(1, sizeof *positions);
    if (text.len >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0) {
        text.data += 3; /* a byte order mark is no part of the text */
        text.len -= 3;
    }
    if (!text.data) text.data = "";
    struct reader r = { .text = text, .positions = positions, .e = e };
    json_t *value = parse(&r);
    if (!value) {
        if (ret_line) *ret_line = r.line;
        if (ret_column) *ret_column = r.column;
    } else if (ret_positions) {
        *ret_positions = TAKE(positions);
    }
    return value;
}
