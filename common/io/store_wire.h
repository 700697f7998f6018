/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of Redis commands (RESP2 arrays of bulk strings), written straight into a buffer that
 * is used again: no allocation per argument. Private to common/io. */
#ifndef TUTTI_STORE_WIRE_H
#define TUTTI_STORE_WIRE_H

#include "common/io/store.h"

/* The announcement of a command with `count` words. */
void wire_head(struct buf *b, size_t count);
/* Words of a command. Binary-safe. */
void wire_words(struct buf *b, const struct bytes *words, size_t count);
/* More than the bytes of MULTI, these, and EXEC. */
size_t wire_size(const struct store_commands *commands);

#endif
