/* SPDX-License-Identifier: Apache-2.0
 *
 * A YAML text as the layout sees it: nodes with their places in the text, and comments, which
 * libyaml does not report. */
#ifndef TUTTI_YAML_LAYOUT_H
#define TUTTI_YAML_LAYOUT_H

#include "common/yaml/yaml.h"

enum layout_kind { LAYOUT_SCALAR, LAYOUT_ALIAS, LAYOUT_LIST, LAYOUT_MAP };
enum layout_style { LAYOUT_PLAIN, LAYOUT_SINGLE, LAYOUT_DOUBLE, LAYOUT_LITERAL, LAYOUT_FOLDED };

struct layout_node {
    enum layout_kind kind;
    enum layout_style style; /* SCALAR */
    bool flow;               /* LIST, MAP: in brackets */
    size_t start, end;       /* bytes of the text; a scalar's without anchor and tag */
    uint32_t line, end_line; /* from 0 */
    uint32_t column;         /* of the entries of a block, from 0, in characters */
    char *props;             /* "&a !!str", or NULL; owned */
    char *value;             /* ALIAS: its name; block scalar: the value; owned */
    size_t value_len;
    struct layout_node **children; /* MAP: key, value, key, value ...; owned */
    size_t count, cap;
};

struct layout_comment {
    size_t start, len; /* with the #, without the space behind it */
    uint32_t line, column;
};

struct layout {
    struct bytes text;        /* without byte order mark, lines end in \n */
    struct layout_node *root; /* NULL: empty */
    struct layout_comment *comments;
    size_t comment_count, comment_cap;
    uint32_t *line_starts; /* byte offsets */
    size_t line_count;
};

/* Reads a text that yaml_parse accepts. Release with layout_done, also after a failure. */
MUST_CHECK bool layout_read(struct layout *ret, struct bytes text, struct err *e);
void layout_done(struct layout *l);
/* Whether a line (from 0) has nothing but white space, or is beyond the text. */
bool layout_line_blank(const struct layout *l, uint32_t line);
/* JSON text, indented; strings and numbers as they stand. */
void layout_json(struct bytes text, struct buf *ret);

#endif
