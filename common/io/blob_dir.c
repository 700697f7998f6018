/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects as files: <dir>/run/<first two digits of the run id>/<run id>/<sha256>. The digits are of
 * a hash, so they spread the runs over 256 directories, and the order of directories is the order
 * of ids. A file is written under another name, flushed and renamed, and the directories above are
 * flushed, before a put is OK. Names are made of run ids and digests that were checked, and no
 * symbolic link is followed below <dir>: nothing outside can be reached. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/io/blob_work.h"

#define FAN_DIGITS   2
#define FANS         256
#define TRIES        3 /* of what a removal by another process can disturb */
#define TMP_NAME_MAX (SHA256_HEX + 16)

struct blob_dir {
    struct blob_work *work;
    int root; /* <dir>/run */
};

static void close_p(const int *fd)
{
    if (*fd >= 0) (void)close(*fd);
}
#define AUTO_FD CLEANUP(close_p) int

static bool fail_errno(struct blob_op *op, const char *what)
{
    int number = errno;
    enum blob_status status = BLOB_UNAVAILABLE;
    if (number == ENOSPC || number == EDQUOT || number == EFBIG) status = BLOB_FULL;
    if (number == EACCES || number == EPERM || number == EROFS) status = BLOB_REFUSED;
    return blob_op_fail(op, status, "payload store: %s, run %s: %s", what, op->run_id,
                        strerror(number));
}

static int open_dir(int at, const char *name, bool make)
{
    if (make && mkdirat(at, name, 0700) != 0 && errno != EEXIST) return -1;
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int open_fan(const struct blob_dir *d, const char *run_id, bool make)
{
    char name[FAN_DIGITS + 1];
    snprintf(name, sizeof name, "%.*s", FAN_DIGITS, run_id);
    return open_dir(d->root, name, make);
}

/* --- put --- */

static bool write_all(int fd, struct bytes data)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.data, data.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        data.data += n;
        data.len -= (size_t)n;
    }
    return fsync(fd) == 0;
}

static bool write_object(int run, const struct blob_op *op)
{
    unsigned char random[6];
    char hex[2 * sizeof random + 1], tmp[TMP_NAME_MAX];
    random_bytes(random, sizeof random);
    hex_encode(random, sizeof random, hex);
    snprintf(tmp, sizeof tmp, ".%s.%s", op->ref.sha256, hex);
    AUTO_FD fd = openat(run, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    if (write_all(fd, buf_bytes(&op->content)) && renameat(run, tmp, run, op->ref.sha256) == 0)
        return true;
    int number = errno;
    (void)unlinkat(run, tmp, 0);
    errno = number;
    return false;
}

/* The directories above are flushed each time: whoever made them may not have come to it yet, and
 * where there is nothing to flush it costs next to nothing. */
static bool put_once(const struct blob_dir *d, const struct blob_op *op)
{
    AUTO_FD fan = open_fan(d, op->run_id, true);
    if (fan < 0) return false;
    AUTO_FD run = open_dir(fan, op->run_id, true);
    return run >= 0 && write_object(run, op) && fsync(run) == 0 && fsync(fan) == 0 &&
           fsync(d->root) == 0;
}

static bool put(const struct blob_dir *d, struct blob_op *op)
{
    for (int i = 0; i < TRIES; i++) {
        if (put_once(d, op)) return true;
        if (errno != ENOENT) break; /* a removal took the directory away below us */
    }
    return fail_errno(op, "write");
}

/* --- get --- */

static bool read_all(int fd, struct blob_op *op)
{
    size_t size = (size_t)op->ref.size;
    buf_reserve(&op->content, size);
    while (op->content.len < size) {
        ssize_t n = read(fd, op->content.data + op->content.len, size - op->content.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(op, "read");
        if (n == 0) break; /* too short: the digest says so */
        op->content.len += (size_t)n;
    }
    return true;
}

static bool lost(struct blob_op *op, const char *why)
{
    return blob_op_fail(op, BLOB_LOST, "payload %s of run %s: %s", op->ref.sha256, op->run_id, why);
}

static bool get(const struct blob_dir *d, struct blob_op *op)
{
    AUTO_FD fan = open_fan(d, op->run_id, false);
    AUTO_FD run = fan < 0 ? -1 : open_dir(fan, op->run_id, false);
    AUTO_FD fd = run < 0 ? -1 : openat(run, op->ref.sha256, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? lost(op, "there is none") : fail_errno(op, "open");
    struct stat st;
    if (fstat(fd, &st) != 0) return fail_errno(op, "stat");
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size != op->ref.size)
        return lost(op, "the file has another size");
    return read_all(fd, op);
}

/* --- directories --- */

static void closedir_p(DIR **dir)
{
    if (*dir) (void)closedir(*dir);
}
#define AUTO_DIR CLEANUP(closedir_p) DIR

/* Takes the descriptor over; NULL with errno if it is none. */
static DIR *dir_of(int fd)
{
    if (fd < 0) return NULL;
    DIR *dir = fdopendir(fd);
    if (!dir) (void)close(fd);
    return dir;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool remove_files(int fan, const char *run_id)
{
    AUTO_DIR *dir = dir_of(open_dir(fan, run_id, false));
    if (!dir) return false;
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (!is_dots(entry->d_name) && unlinkat(dirfd(dir), entry->d_name, 0) != 0 &&
            errno != ENOENT)
            return false;
    return true;
}

static bool remove_run(const struct blob_dir *d, struct blob_op *op)
{
    AUTO_FD fan = open_fan(d, op->run_id, false);
    for (int i = 0; fan >= 0 && i < TRIES; i++) {
        if (remove_files(fan, op->run_id) && unlinkat(fan, op->run_id, AT_REMOVEDIR) == 0)
            return true;
        if (errno != ENOTEMPTY) break; /* a late put */
    }
    return errno == ENOENT ? true : fail_errno(op, "remove");
}

static bool age(const struct blob_dir *d, struct blob_op *op)
{
    AUTO_FD fan = open_fan(d, op->run_id, false);
    AUTO_DIR *dir = fan < 0 ? NULL : dir_of(open_dir(fan, op->run_id, false));
    if (!dir) return errno == ENOENT ? true : fail_errno(op, "list");
    struct stat st;
    /* The directory itself counts: it changes with every write, and may be all that there is. */
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, "..") != 0 &&
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            op->newest_ms = MAX(op->newest_ms,
                                (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000);
    return true;
}

/* --- list --- */

struct ids {
    char (*ids)[RUN_ID_MAX];
    size_t count, cap;
};

static void ids_done(struct ids *ids)
{
    free(ids->ids);
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool read_fan(const struct blob_dir *d, const char *fan, const char *after, struct ids *ids)
{
    AUTO_DIR *dir = dir_of(open_dir(d->root, fan, false));
    if (!dir) return errno == ENOENT;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        struct bytes name = bytes_of(entry->d_name);
        if (!run_id_check(name) || strcmp(entry->d_name, after) <= 0) continue;
        if (ids->count == ids->cap) {
            ids->cap = ids->cap ? 2 * ids->cap : 64;
            ids->ids = xrealloc(ids->ids, ids->cap * sizeof *ids->ids);
        }
        memcpy(ids->ids[ids->count++], name.data, name.len + 1);
    }
    if (ids->count) qsort(ids->ids, ids->count, sizeof *ids->ids, compare_ids);
    return true;
}

static bool list_runs(const struct blob_dir *d, struct blob_op *op)
{
    char first[FAN_DIGITS + 1], name[FAN_DIGITS + 1];
    snprintf(first, sizeof first, "%.*s", FAN_DIGITS, op->run_id);
    for (unsigned i = (unsigned)strtoul(first, NULL, 16); i < FANS; i++) {
        CLEANUP(ids_done) struct ids ids = { 0 };
        snprintf(name, sizeof name, "%02x", i & 0xff);
        if (!read_fan(d, name, op->run_id, &ids)) return fail_errno(op, "list");
        for (size_t k = 0; k < ids.count; k++) {
            op->more = op->run_count == BLOB_PAGE_MAX;
            if (op->more) return true;
            blob_op_add_run(op, bytes_of(ids.ids[k]));
        }
    }
    return true;
}

/* --- the backend --- */

static void run_op(void *d, struct blob_op *op)
{
    static bool (*const verbs[])(const struct blob_dir *d, struct blob_op *op) = {
        [BLOB_PUT] = put,
        [BLOB_GET] = get,
        [BLOB_REMOVE_RUN] = remove_run,
        [BLOB_LIST_RUNS] = list_runs,
        [BLOB_AGE] = age,
    };
    (void)verbs[op->verb](d, op);
}

/* A descriptor of <dir>/run, or -1. */
static int open_root(const char *path, struct err *e)
{
    int root = -1;
    if (mkdir(path, 0700) == 0 || errno == EEXIST) {
        AUTO_FD dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir >= 0) root = open_dir(dir, "run", true);
        if (root >= 0 && faccessat(root, ".", R_OK | W_OK | X_OK, AT_EACCESS) == 0 &&
            fsync(dir) == 0)
            return root;
    }
    (void)err_fail(e, ERR_IO, "payload store %s: %s", path, strerror(errno));
    close_p(&root);
    return -1;
}

void *blob_dir_open(struct loop *loop, const char *path, struct err *e)
{
    int root = open_root(path, e);
    if (root < 0) return NULL;
    struct blob_dir *d = xcalloc(1, sizeof *d);
    d->root = root;
    d->work = blob_work_open(loop, run_op, d, e);
    if (!d->work) {
        (void)close(root);
        free(d);
        return NULL;
    }
    return d;
}

static void dir_start(void *backend, struct blob_op *op)
{
    struct blob_dir *d = backend;
    blob_work_submit(d->work, op);
}

static void dir_close(void *backend)
{
    struct blob_dir *d = backend;
    blob_work_close(d->work);
    (void)close(d->root);
    free(d);
}

const struct blob_backend blob_dir_backend = { .start = dir_start, .close = dir_close };
