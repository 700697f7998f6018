/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/limits.h"

bool file_read(const char *path, size_t bytes_max, struct buf *ret, struct err *e)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return err_fail(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_INVALID, "%s: %s", path,
                        strerror(errno));
    char chunk[16 * KIB];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0 && ret->len <= bytes_max)
        buf_add(ret, chunk, n);
    bool ok = !ferror(file) || err_fail(e, ERR_INVALID, "%s: cannot be read", path);
    if (ok && ret->len > bytes_max)
        ok = err_fail(e, ERR_LIMIT, "%s: is larger than %zu bytes", path, bytes_max);
    fclose(file);
    return ok;
}
