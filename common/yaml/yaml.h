/* SPDX-License-Identifier: Apache-2.0
 *
 * YAML 1.2 core to JSON, with the position of every value. Sole includer of libyaml (a 1.1 parser:
 * scalars are resolved by us, so `yes` and `on` stay strings). */
#ifndef TUTTI_YAML_H
#define TUTTI_YAML_H

#include "common/base/err.h"
#include "common/base/json.h"

/* YAML or JSON text to a JSON value under YAML 1.2 core rules. Positions (may be NULL):
 * line and column of every value by JSON pointer. Duplicate keys, anchors/aliases cycles, multiple
 * documents, tabs, tags are errors. */
struct positions;
MUST_CHECK json_t *yaml_parse(struct bytes text, struct positions **ret_positions,
                              uint32_t *ret_line, uint32_t *ret_column, struct err *e);
/* Position of the value at pointer, or of its nearest ancestor. */
void positions_find(const struct positions *p, const char *pointer, uint32_t *ret_line,
                    uint32_t *ret_column);
struct positions *positions_free(struct positions *p);
DEFINE_CLEANUP(struct positions *, positions_free)

#endif
