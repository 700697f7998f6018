/* SPDX-License-Identifier: Apache-2.0
 *
 * A payload store that a test holds in its hands, behind common/io/blob.h: one of a process, and it
 * answers in the next turn. */
#ifndef TUTTI_FAKE_BLOB_H
#define TUTTI_FAKE_BLOB_H

#include "common/io/blob.h"

/* While it is down every operation ends as UNAVAILABLE. */
void fake_blob_down(bool down);
/* An object as somebody else has put it, for any run. */
void fake_blob_add(struct bytes content);
/* How many puts went well; and what the last one put. */
size_t fake_blob_puts(void);
const char *fake_blob_last(void);

#endif
