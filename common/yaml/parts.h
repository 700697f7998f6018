/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of this layer share: the tree of positions, and the resolution of scalars. */
#ifndef TUTTI_YAML_PARTS_H
#define TUTTI_YAML_PARTS_H

#include "common/yaml/yaml.h"

/* A value's place. An alias is the same node under a second parent, so nodes are owned by the list
 * of all of them. */
struct position {
    struct position *made_before;
    uint32_t line, column; /* from 1 */
    uint32_t height;       /* levels below and including this one */
    size_t nodes, bytes;   /* values and bytes of text in it, aliases counted as often as used */
    char *text;            /* as written; NULL for strings and containers */
    struct position_child {
        char *key; /* NULL in an array */
        uint32_t line, column;
        struct position *value;
    } * children;
    size_t count, cap;
};

struct positions {
    struct position *root, *made_last;
};

struct position *position_new(struct positions *p, uint32_t line, uint32_t column);
/* key is copied; line and column are those of the key. */
void position_add(struct position *parent, const char *key, uint32_t line, uint32_t column,
                  struct position *child);

/* The positions of the values of a JSON text that is known to hold value. false: too deep. */
MUST_CHECK bool positions_of_json(struct positions *p, struct bytes text, const json_t *value,
                                  uint32_t *ret_line, uint32_t *ret_column, struct err *e);

/* Line and column (in code points) of a byte of the text. */
void text_position(struct bytes text, size_t offset, uint32_t *ret_line, uint32_t *ret_column);

/* A plain scalar under the YAML 1.2 core schema (section 10.3.2 of the specification). */
MUST_CHECK json_t *scalar_resolve(const char *text, size_t len, struct err *e);

#endif
