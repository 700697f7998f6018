/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole files.
 */
#ifndef TUTTI_FILE_H
#define TUTTI_FILE_H

#include "common/base/buf.h"
#include "common/base/err.h"

/* Appends the file's content to ret. Errors name the path: ERR_NOT_FOUND, ERR_LIMIT where it has
 * more than bytes_max, else ERR_INVALID; ret may then hold a part. */
MUST_CHECK bool file_read(const char *path, size_t bytes_max, struct buf *ret, struct err *e);

#endif
