/* SPDX-License-Identifier: Apache-2.0
 *
 * The canonical layout: two spaces a level, lists below their key indented as well, brackets where
 * they stood on one line and fit it, at most one empty line, comments where they were. What a file
 * means is compared afterwards; a text that this code cannot lay out is refused, not changed. */
#include <stdlib.h>

#include "common/yaml/layout.h"

#define INDENT     2
#define WIDTH_MAX  120 /* of a line with brackets; what is longer becomes a block */
#define ALIGN_MAX  60  /* comments behind longer lines do not line up with their neighbours' */
#define ROUNDS_MAX 4   /* until a layout must stay as it is */

/* A comment behind something: where its line ends, and the columns before. */
struct tail {
    size_t offset;
    uint32_t line, width;
};

struct writer {
    struct layout *l;
    struct buf *out;
    struct tail *tails;
    size_t tail_count, tail_cap;
    uint32_t lines;  /* ended so far by end_line and newline */
    size_t comment;  /* the next one */
    bool fresh;      /* no empty line here: the beginning, or right below a key */
    bool kept_blank; /* what was written last ends in empty lines that mean something */
    bool odd;        /* something that has no place in this layout */
    uint32_t column; /* in the text, of the entry that is being written ... */
    uint32_t line;   /* ... and of its key's end */
};

static void write_value(struct writer *w, const struct layout_node *node, uint32_t indent,
                        size_t limit, bool dash);

/* --- lines and comments --- */

static void newline(struct writer *w)
{
    buf_add_char(w->out, '\n');
    w->lines++;
}

static void blank_line(struct writer *w)
{
    if (!w->fresh && !w->kept_blank) newline(w);
    w->fresh = true;
}

static void spaces(struct writer *w, uint32_t count)
{
    buf_addf(w->out, "%*s", (int)count, "");
}

static uint32_t out_column(const struct writer *w)
{
    size_t at = w->out->len;
    while (at > 0 && w->out->data[at - 1] != '\n') at--;
    return (uint32_t)utf8_count(w->out->data + at, w->out->len - at);
}

static const struct layout_comment *next_comment(const struct writer *w)
{
    return w->comment < w->l->comment_count ? &w->l->comments[w->comment] : NULL;
}

static bool blank_above(const struct writer *w, uint32_t line)
{
    return line > 0 && layout_line_blank(w->l, line - 1);
}

static void write_comment(struct writer *w, uint32_t indent)
{
    const struct layout_comment *c = &w->l->comments[w->comment++];
    if (blank_above(w, c->line)) blank_line(w);
    spaces(w, indent);
    buf_add(w->out, w->l->text.data + c->start, c->len);
    newline(w);
    w->fresh = w->kept_blank = false;
}

/* The comments before a place, each on a line of its own. */
static void comments_before(struct writer *w, size_t offset, uint32_t indent)
{
    const struct layout_comment *c;
    while ((c = next_comment(w)) != NULL && c->start < offset) write_comment(w, indent);
}

/* Those that close a block: indented like its entries, before the next entry of a block around. */
static void comments_closing(struct writer *w, const struct layout_node *node, uint32_t column_min,
                             size_t limit, uint32_t indent)
{
    const struct layout_comment *c;
    size_t end = node->flow ? node->end : limit;
    while ((c = next_comment(w)) != NULL && c->start < end &&
           (node->flow || c->column >= column_min))
        write_comment(w, indent);
}

static void add_tail(struct writer *w)
{
    if (w->tail_count == w->tail_cap) {
        w->tail_cap = w->tail_cap ? 2 * w->tail_cap : 32;
        w->tails = xrealloc(w->tails, w->tail_cap * sizeof *w->tails);
    }
    w->tails[w->tail_count++] =
        (struct tail){ .offset = w->out->len, .line = w->lines, .width = out_column(w) };
}

/* Ends the line; a comment that stood behind `end` goes along. */
static void end_line(struct writer *w, size_t end)
{
    const struct layout_comment *c = next_comment(w);
    bool behind = c && c->start >= end;
    for (size_t i = end; behind && i < c->start; i++)
        behind = strchr(" \t,]}:", w->l->text.data[i]) != NULL;
    if (behind) {
        add_tail(w);
        buf_add_char(w->out, ' ');
        buf_add(w->out, w->l->text.data + c->start, c->len);
        w->comment++;
    }
    newline(w);
    w->fresh = w->kept_blank = false;
}

/* Where the first text of a node begins, which stands on the line of its dash. */
static size_t first_text(const struct layout_node *node)
{
    while (node->count && !node->props) node = node->children[0];
    return node->start;
}

/* What stands before an entry of a block: comments, an empty line if there was one. */
static void lead(struct writer *w, const struct layout_node *entry, uint32_t indent, bool spaced)
{
    const struct layout_comment *c = next_comment(w);
    if (spaced) blank_line(w);
    bool above = c && c->start < first_text(entry);
    comments_before(w, first_text(entry), indent);
    size_t from = w->l->line_starts[entry->line];
    while (from < entry->start && strchr(" -", w->l->text.data[from])) from++;
    if (from == entry->start && blank_above(w, entry->line) && (above || !spaced)) blank_line(w);
}

/* --- scalars --- */

static void write_props(struct writer *w, const struct layout_node *node)
{
    if (node->props) buf_addf(w->out, " %s", node->props);
}

/* 'text' as "text" where nothing in it would be an escape. */
static bool requoted(const struct writer *w, const struct layout_node *node, struct buf *ret)
{
    const char *text = w->l->text.data;
    if (node->style != LAYOUT_SINGLE) return false;
    buf_add_char(ret, '"');
    for (size_t i = node->start + 1; i + 1 < node->end; i++) {
        if (text[i] == '"' || text[i] == '\\' || (unsigned char)text[i] < ' ') return false;
        buf_add_char(ret, text[i]);
        i += text[i] == '\''; /* '' is one quote */
    }
    buf_add_char(ret, '"');
    return true;
}

/* A scalar that stands on one line. */
static void add_scalar(const struct writer *w, const struct layout_node *node, struct buf *ret)
{
    AUTO_BUF struct buf quoted = { 0 };
    if (requoted(w, node, &quoted))
        buf_add(ret, quoted.data, quoted.len);
    else
        buf_add(ret, w->l->text.data + node->start, node->end - node->start);
}

/* Continuation lines of plain and quoted text: white space around them means nothing, except
 * behind a backslash. */
static void write_folded_lines(struct writer *w, const struct layout_node *node, uint32_t indent)
{
    const char *text = w->l->text.data;
    for (size_t at = node->start; at < node->end;) {
        const char *end = memchr(text + at, '\n', node->end - at);
        size_t stop = end ? (size_t)(end - text) : node->end, to = stop;
        bool first = at == node->start;
        while (!first && at < to && strchr(" \t", text[at])) at++;
        while (end && to > at && strchr(" \t", text[to - 1])) to--;
        if (to > at && text[to - 1] == '\\') to = stop;
        if (!first && to > at) spaces(w, indent);
        buf_add(w->out, text + at, to - at);
        if (end) newline(w);
        at = stop + 1;
    }
}

/* The indentation of a block scalar's content, in the text. */
static size_t content_indent(const struct writer *w, size_t at, size_t end)
{
    const char *text = w->l->text.data;
    while (at < end) {
        size_t from = at;
        while (at < end && text[at] == ' ') at++;
        if (at < end && text[at] != '\n') return at - from;
        at++;
    }
    return SIZE_MAX; /* only spaces, which mean nothing */
}

static void write_content(struct writer *w, size_t at, size_t end, size_t cut, uint32_t indent)
{
    const char *text = w->l->text.data;
    size_t empty = 0;
    while (at < end) {
        const char *stop = memchr(text + at, '\n', end - at);
        size_t to = stop ? (size_t)(stop - text) : end, from = at;
        while (from < to && from - at < cut && text[from] == ' ') from++;
        at = to + 1;
        if (from == to) {
            empty++; /* at the end they mean nothing, or are counted by the value */
            continue;
        }
        for (; empty; empty--) newline(w);
        spaces(w, indent);
        buf_add(w->out, text + from, to - from);
        newline(w);
    }
}

/* | and >, whose chomping follows from the value. An explicit indentation counts from the column of
 * the entry. */
static void write_block_scalar(struct writer *w, const struct layout_node *node, uint32_t indent)
{
    const char *text = w->l->text.data;
    size_t at = node->start, trailing = 0, explicit = 0;
    for (; at < node->end && text[at] != '\n' && text[at] != '#'; at++)
        if (text[at] >= '1' && text[at] <= '9') explicit = (size_t)(text[at] - '0');
    const char *stop = memchr(text + at, '\n', node->end - at);
    size_t body = stop ? (size_t)(stop - text) + 1 : node->end;
    while (trailing < node->value_len && node->value[node->value_len - 1 - trailing] == '\n')
        trailing++;
    buf_addf(w->out, " %c", node->style == LAYOUT_LITERAL ? '|' : '>');
    if (explicit) buf_addf(w->out, "%d", INDENT);
    if (trailing != 1) buf_add_char(w->out, trailing ? '+' : '-');
    end_line(w, at);
    size_t cut = explicit ? w->column + explicit : content_indent(w, body, node->end);
    write_content(w, body, node->end, cut, indent + INDENT);
    for (size_t i = 1; i < trailing; i++) newline(w);
    w->kept_blank = trailing > 1;
}

/* --- brackets --- */

/* On one line; false if that cannot be. */
static bool render(const struct writer *w, const struct layout_node *node, struct buf *ret)
{
    if (node->line != node->end_line) return false;
    if (node->props) buf_addf(ret, "%s ", node->props);
    if (node->kind == LAYOUT_ALIAS) {
        buf_addf(ret, "*%s", node->value);
        return true;
    }
    if (node->kind == LAYOUT_SCALAR) {
        if (node->start == node->end)
            buf_add_text(ret, "null");
        else
            add_scalar(w, node, ret);
        return node->style < LAYOUT_LITERAL;
    }
    bool map = node->kind == LAYOUT_MAP;
    buf_add_text(ret, map ? node->count ? "{ " : "{" : "[");
    for (size_t i = 0; i < node->count; i++) {
        if (i) buf_add_text(ret, !map || i % 2 == 0 ? ", " : ": ");
        if (map && i % 2 == 0 && node->children[i]->kind != LAYOUT_SCALAR) return false;
        if (!render(w, node->children[i], ret)) return false;
        /* "*a:" would be another alias, "&a :" another anchor */
        if (map && i % 2 == 0 && node->children[i]->start == node->children[i]->end) return false;
    }
    buf_add_text(ret, map ? node->count ? " }" : "}" : "]");
    return true;
}

static bool comment_within(const struct layout *l, size_t start, size_t end)
{
    size_t low = 0, high = l->comment_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (l->comments[middle].start < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->comment_count && l->comments[low].start < end;
}

/* Whether the node goes on the line that has `column` columns already. */
static bool fits(const struct writer *w, const struct layout_node *node, uint32_t column,
                 struct buf *ret)
{
    if (!node->flow && node->kind != LAYOUT_ALIAS && node->kind != LAYOUT_SCALAR) return false;
    if (comment_within(w->l, node->start, node->end)) return false;
    if (!render(w, node, ret)) return false;
    bool empty = (node->kind == LAYOUT_MAP || node->kind == LAYOUT_LIST) && !node->count;
    return !node->flow || empty || column + utf8_count(ret->data, ret->len) <= WIDTH_MAX;
}

/* --- blocks --- */

static void write_key(struct writer *w, const struct layout_node *key)
{
    AUTO_BUF struct buf text = { 0 };
    if (key->kind != LAYOUT_SCALAR || key->start == key->end || !render(w, key, &text)) {
        w->odd = true;
        return;
    }
    buf_add(w->out, text.data, text.len);
    buf_add_char(w->out, ':');
}

static bool is_document_list(const struct writer *w, const struct layout_node *key)
{
    static const char *const names[] = { "steps", "cases" };
    const struct layout_node *root = w->l->root;
    struct bytes text = { w->l->text.data + key->start, key->end - key->start };
    bool of_root = false;
    for (size_t i = 0; i < root->count; i += 2) of_root |= root->children[i] == key;
    return of_root && (bytes_is(text, names[0]) || bytes_is(text, names[1]));
}

/* Items are set apart where one of them takes several lines. */
static bool wants_space(const struct writer *w, const struct layout_node *list)
{
    for (size_t i = 0; i < list->count; i++) {
        AUTO_BUF struct buf line = { 0 };
        if (!fits(w, list->children[i], 2 * INDENT, &line)) return true;
    }
    return false;
}

static void write_list(struct writer *w, const struct layout_node *list, uint32_t indent,
                       size_t limit, bool inline_first, bool spaced)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct layout_node *item = list->children[i];
        size_t until = i + 1 < list->count ? list->children[i + 1]->start : limit;
        if (i || !inline_first) {
            lead(w, item, indent, spaced && i > 0);
            spaces(w, indent);
        }
        buf_add_char(w->out, '-');
        w->column = list->column;
        write_value(w, item, indent, until, true);
    }
}

static void write_map(struct writer *w, const struct layout_node *map, uint32_t indent,
                      size_t limit, bool inline_first)
{
    for (size_t i = 0; i + 1 < map->count; i += 2) {
        const struct layout_node *key = map->children[i], *value = map->children[i + 1];
        size_t until = i + 2 < map->count ? map->children[i + 2]->start : limit;
        if (i || !inline_first) {
            lead(w, key, indent, false);
            spaces(w, indent);
        }
        write_key(w, key);
        w->column = map->column;
        w->line = key->end_line;
        bool set_apart =
            value->kind == LAYOUT_LIST && is_document_list(w, key) && wants_space(w, value);
        AUTO_BUF struct buf line = { 0 };
        if (!set_apart || fits(w, value, out_column(w) + 1, &line)) {
            write_value(w, value, indent, until, false);
            continue;
        }
        write_props(w, value);
        end_line(w, key->end);
        w->fresh = true;
        write_list(w, value, indent + INDENT, until, false, true);
        uint32_t column = value->column + (value->column == map->column);
        comments_closing(w, value, column, until, indent + INDENT);
    }
}

/* A list or mapping below its key or behind its dash. */
static void write_collection(struct writer *w, const struct layout_node *node, uint32_t indent,
                             size_t limit, bool dash)
{
    uint32_t inner = indent + INDENT;
    bool inlined = dash && !node->props;
    const struct layout_comment *c = next_comment(w);
    write_props(w, node);
    if (inlined) {
        buf_add_char(w->out, ' ');
    } else {
        bool beside = !dash && c && c->start < first_text(node) && c->line == w->line;
        end_line(w, beside ? c->start : w->l->text.len);
        w->fresh = true;
    }
    if (node->kind == LAYOUT_MAP)
        write_map(w, node, inner, limit, inlined);
    else
        write_list(w, node, inner, limit, inlined, false);
    comments_closing(w, node, node->column, limit, inner);
}

/* What stands behind "key:" or "-" of a block whose entries begin at `indent`. limit: where the
 * next entry around begins. */
static void write_value(struct writer *w, const struct layout_node *node, uint32_t indent,
                        size_t limit, bool dash)
{
    AUTO_BUF struct buf line = { 0 };
    const struct layout_comment *c = next_comment(w);
    bool empty = node->kind == LAYOUT_SCALAR && node->start == node->end && !node->props;
    if (empty && node->style == LAYOUT_PLAIN) {
        end_line(w, node->end);
    } else if (node->kind == LAYOUT_SCALAR && node->style >= LAYOUT_LITERAL) {
        write_props(w, node);
        write_block_scalar(w, node, indent);
    } else if (c && c->start < node->start && node->kind == LAYOUT_SCALAR) {
        newline(w); /* comments between a key and its text */
        w->fresh = true;
        comments_before(w, node->start, indent + INDENT);
        spaces(w, indent + INDENT - 1);
        write_props(w, node);
        buf_add_char(w->out, ' ');
        write_folded_lines(w, node, indent + INDENT);
        end_line(w, node->end);
    } else if (fits(w, node, out_column(w) + 1, &line)) {
        buf_addf(w->out, " %s", line.data);
        end_line(w, node->end);
    } else if (node->kind == LAYOUT_SCALAR) {
        write_props(w, node);
        buf_add_char(w->out, ' ');
        write_folded_lines(w, node, indent + INDENT);
        end_line(w, node->end);
    } else if (!node->count) {
        write_props(w, node); /* empty brackets with something in them */
        buf_add_text(w->out, node->kind == LAYOUT_MAP ? " {}" : " []");
        newline(w);
        comments_before(w, node->end, indent + INDENT);
    } else {
        write_collection(w, node, indent, limit, dash);
    }
}

static void write_root(struct writer *w)
{
    const struct layout_node *root = w->l->root;
    AUTO_BUF struct buf line = { 0 };
    w->fresh = true;
    if (!root) {
        comments_before(w, w->l->text.len, 0);
        return;
    }
    comments_before(w, root->start, 0);
    if (root->kind == LAYOUT_MAP && root->count && !root->props) {
        write_map(w, root, 0, w->l->text.len, false);
    } else if (root->kind == LAYOUT_LIST && root->count && !root->props) {
        write_list(w, root, 0, w->l->text.len, false, false);
    } else if (fits(w, root, 0, &line)) {
        buf_add(w->out, line.data, line.len);
        end_line(w, root->end);
    } else {
        w->odd = true;
    }
    comments_before(w, w->l->text.len, 0);
}

/* --- comments line up --- */

/* How many tails from the first one on stand on neighbouring lines. */
static size_t group_of(const struct writer *w, size_t first)
{
    size_t count = 1;
    while (first + count < w->tail_count && w->tails[first].width <= ALIGN_MAX &&
           w->tails[first + count].width <= ALIGN_MAX &&
           w->tails[first + count].line == w->tails[first].line + count)
        count++;
    return count;
}

/* Comments behind neighbouring lines begin in one column, as gofmt has them. */
static void line_up(const struct writer *w, struct buf *ret)
{
    size_t from = 0;
    for (size_t i = 0; i < w->tail_count;) {
        size_t count = group_of(w, i);
        uint32_t width = 0;
        for (size_t k = i; k < i + count; k++) width = MAX(width, w->tails[k].width);
        for (size_t k = i; k < i + count; k++) {
            const struct tail *tail = &w->tails[k];
            buf_add(ret, w->out->data + from, tail->offset - from);
            buf_addf(ret, "%*s", (int)(width - tail->width), "");
            from = tail->offset;
        }
        i += count;
    }
    if (w->out->len > from) buf_add(ret, w->out->data + from, w->out->len - from);
}

/* --- the whole, and the proof --- */

/* The same value, numbers written as they were. */
static bool same_numbers(const json_t *value, const struct positions *a, const struct positions *b,
                         struct buf *pointer)
{
    const char *key;
    json_t *item;
    size_t i, before = pointer->len;
    bool same = true;
    json_object_foreach((json_t *)value, key, item) {
        json_pointer_add(pointer, key);
        same = same && same_numbers(item, a, b, pointer);
        pointer->data[pointer->len = before] = '\0';
    }
    json_array_foreach(value, i, item) {
        buf_addf(pointer, "/%zu", i);
        same = same && same_numbers(item, a, b, pointer);
        pointer->data[pointer->len = before] = '\0';
    }
    if (!json_is_number(value)) return same;
    const char *x = positions_text(a, pointer->data), *y = positions_text(b, pointer->data);
    return x && y && strcmp(x, y) == 0;
}

static bool same_meaning(struct bytes before, struct bytes after)
{
    CLEANUP(positions_free_p) struct positions *a = NULL, *b = NULL;
    struct err e;
    AUTO_JSON *x = yaml_parse(before, &a, NULL, NULL, &e);
    AUTO_JSON *y = yaml_parse(after, &b, NULL, NULL, &e);
    AUTO_BUF struct buf first = { 0 }, second = { 0 }, pointer = { 0 };
    if (!x || !y) return false;
    json_write(&first, x);
    json_write(&second, y);
    buf_add_text(&pointer, "");
    return bytes_equal(buf_bytes(&first), buf_bytes(&second)) && same_numbers(x, a, b, &pointer);
}

static bool same_comments(const struct layout *a, const struct layout *b)
{
    if (a->comment_count != b->comment_count) return false;
    for (size_t i = 0; i < a->comment_count; i++) {
        struct bytes x = { a->text.data + a->comments[i].start, a->comments[i].len };
        struct bytes y = { b->text.data + b->comments[i].start, b->comments[i].len };
        if (!bytes_equal(x, y)) return false;
    }
    return true;
}

static bool begins_with_mark(struct bytes text)
{
    return text.len >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0;
}

/* Without byte order mark, and with \n at the ends of lines. */
static void normalise(struct bytes text, struct buf *ret)
{
    size_t at = begins_with_mark(text) ? 3 : 0;
    for (; at < text.len; at++) {
        if (text.data[at] != '\r')
            buf_add_char(ret, text.data[at]);
        else if (at + 1 == text.len || text.data[at + 1] != '\n')
            buf_add_char(ret, '\n');
    }
}

static bool lay_out_once(struct bytes text, struct buf *ret, struct err *e)
{
    AUTO_BUF struct buf ragged = { 0 };
    CLEANUP(layout_done) struct layout before = { 0 }, after = { 0 };
    struct writer w = { .l = &before, .out = &ragged };
    if (!layout_read(&before, text, e)) return false;
    write_root(&w);
    line_up(&w, ret);
    free(w.tails);
    return (!w.odd && !begins_with_mark(buf_bytes(ret)) && same_meaning(text, buf_bytes(ret)) &&
            layout_read(&after, buf_bytes(ret), e) && same_comments(&before, &after)) ||
           err_fail(e, ERR_UNSUPPORTED,
                    "it is written in a way that cannot be laid out without a change of what it "
                    "means or the loss of a comment; it stays as it is");
}

/* A comment in an odd place (within empty brackets, say) may find its own only after one round: a
 * layout is one that stays. */
static bool lay_out(struct bytes text, struct buf *ret, struct err *e)
{
    if (!lay_out_once(text, ret, e)) return false;
    for (int round = 1; round < ROUNDS_MAX; round++) {
        AUTO_BUF struct buf again = { 0 };
        if (!lay_out_once(buf_bytes(ret), &again, e)) return false;
        if (bytes_equal(buf_bytes(ret), buf_bytes(&again))) return true;
        buf_reset(ret);
        buf_add(ret, again.data, again.len);
    }
    return err_fail(e, ERR_UNSUPPORTED,
                    "its comments stand where no layout keeps them; it stays as it is");
}

bool yaml_format(struct bytes text, struct buf *ret, struct err *e)
{
    uint32_t line = 0, column = 0;
    AUTO_JSON *value = yaml_parse(text, NULL, &line, &column, e);
    if (!value) return err_prefix(e, "%u:%u", line, column);
    AUTO_BUF struct buf plain = { 0 };
    normalise(text, &plain);
    if (!plain.len) return true;
    size_t first = strspn(plain.data, " \t\n");
    AUTO_JSON *json = plain.len && strchr("{[", plain.data[first]) && plain.data[first]
                          ? json_parse(buf_bytes(&plain), NULL)
                          : NULL;
    if (!json) return lay_out(buf_bytes(&plain), ret, e);
    layout_json(buf_bytes(&plain), ret);
    return same_meaning(text, buf_bytes(ret)) ||
           err_fail(e, ERR_INTERNAL, "the JSON would change; it stays as it is");
}
