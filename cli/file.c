/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing files of the user: all of it, or nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

static bool write_all(int fd, struct bytes content)
{
    for (size_t done = 0; done < content.len;) {
        ssize_t n = write(fd, content.data + done, content.len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        done += (size_t)n;
    }
    return true;
}

/* Puts the finished file into its place. */
static bool settle(const char *temporary, const char *target, bool exclusive, struct err *e)
{
    if (!exclusive)
        return rename(temporary, target) == 0 ||
               err_fail(e, ERR_IO, "%s: %s", target, strerror(errno));
    /* Unlike rename, link does not replace what somebody made meanwhile. */
    if (link(temporary, target) != 0)
        return err_fail(e, errno == EEXIST ? ERR_CONFLICT : ERR_IO, "%s: %s", target,
                        errno == EEXIST ? "exists already; nothing was changed" : strerror(errno));
    (void)unlink(temporary);
    return true;
}

bool cli_write(const char *path, struct bytes content, bool exclusive, struct err *e)
{
    AUTO_FREE char *real = exclusive ? NULL : realpath(path, NULL);
    const char *target = real ? real : path;
    AUTO_FREE char *temporary = xasprintf("%s.XXXXXX", target);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return err_fail(e, ERR_IO, "%s: no file can be made beside it: %s", target,
                        strerror(errno));
    struct stat st;
    mode_t mask = umask(0);
    (void)umask(mask);
    mode_t mode = stat(target, &st) == 0 ? st.st_mode & 07777 : 0666 & ~mask;
    bool ok = write_all(fd, content) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    if (!ok) (void)err_fail(e, ERR_IO, "%s: %s; it is as it was", target, strerror(errno));
    if (close(fd) != 0 && ok) ok = err_fail(e, ERR_IO, "%s: %s", target, strerror(errno));
    ok = ok && settle(temporary, target, exclusive, e);
    if (!ok) (void)unlink(temporary);
    return ok;
}
