/* SPDX-License-Identifier: Apache-2.0
 *
 * YAML 1.2 core to JSON, with the position of every value. Sole includer of libyaml (a 1.1 parser:
 * scalars are resolved by us, so `yes` and `on` stay strings). */
#ifndef TUTTI_YAML_H
#define TUTTI_YAML_H

#include "common/base/err.h"
#include "common/base/json.h"

/* What anchors may add to a document by being used again; both bound "billion laughs". */
#define YAML_EXPANDED_NODES_MAX 100000
#define YAML_EXPANDED_BYTES_MAX (4 * 1024 * 1024)

/* YAML or JSON text to a JSON value under YAML 1.2 core rules; an empty document is null. Positions
 * (may be NULL): line and column of every value by JSON pointer.
 * Returns a new reference, or NULL with *ret_line and *ret_column (from 1; each may be NULL) and e,
 * whose text does not repeat the position. Duplicate keys, cycles, unknown anchors, merge keys,
 * several documents, tabs as indentation, tags beyond the core ones, numbers that JSON has not (or
 * beyond 64 bits), NUL characters and invalid UTF-8 are ERR_INVALID; too deep (JSON_DEPTH_MAX) or
 * too much by aliases is ERR_LIMIT. The caller bounds the size of text. */
struct positions;
MUST_CHECK json_t *yaml_parse(struct bytes text, struct positions **ret_positions,
                              uint32_t *ret_line, uint32_t *ret_column, struct err *e);
/* Position of the value at pointer, or of its nearest ancestor; 0, 0 if p is NULL. */
void positions_find(const struct positions *p, const char *pointer, uint32_t *ret_line,
                    uint32_t *ret_column);
/* Position of the key under which the value at pointer stands (for "unknown field"); where there is
 * no such key, as positions_find. */
void positions_find_key(const struct positions *p, const char *pointer, uint32_t *ret_line,
                        uint32_t *ret_column);
/* Fails with ERR_INVALID and "FILE:LINE:COLUMN: text", the place being that of the value at
 * pointer. Returns false. */
bool positions_fail(const struct positions *p, const char *file, const char *pointer, struct err *e,
                    const char *fmt, ...) PRINTF_LIKE(5, 6);
/* The text of the number, bool or null at pointer as it was written (`1.10` and not 1.1); NULL if
 * there is no such value or it is a string, whose value is its text. Lives as long as p. */
const char *positions_text(const struct positions *p, const char *pointer);
/* Appends the text in its canonical layout: indentation, spacing and quotes are made uniform, while
 * comments, the order of keys and every value stay. JSON stays JSON. Formatting the result again
 * gives the same. ERR_INVALID (with line and column) if it is no YAML that yaml_parse takes;
 * ERR_UNSUPPORTED for the rare text that could not be laid out without losing something. */
MUST_CHECK bool yaml_format(struct bytes text, struct buf *ret, struct err *e);
struct positions *positions_free(struct positions *p);
DEFINE_CLEANUP(struct positions *, positions_free)

#endif
