/* SPDX-License-Identifier: Apache-2.0
 *
 * The payload store in a directory. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/io/blob_calls.h"

#define RUN   "0123456789abcdef-0123456789abcdef01234567"
#define OTHER "fe23456789abcdef-0123456789abcdef01234567"

static struct loop *loop;
static struct blob_store *store;
static char dir[64];

static void open_store(void)
{
    struct err e;
    loop = loop_new(&e);
    snprintf(dir, sizeof dir, "%s", "/tmp/tutti-blob-XXXXXX");
    cr_assert(mkdtemp(dir));
    store = blob_open(loop, &(struct blob_options){ .dir = dir }, &e);
    cr_assert(store, "%s", store ? "" : e.text);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void close_store(void)
{
    store = blob_close(store);
    loop = loop_free(loop);
    cr_assert_eq(nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

TestSuite(blob_dir, .init = open_store, .fini = close_store);

/* The path of the content's file. */
static char *path_of(struct bytes content)
{
    return xasprintf("%s/run/01/" RUN "/%s", dir, blob_ref_of(content).sha256);
}

static size_t entries(const char *path)
{
    DIR *d = opendir(path);
    if (!d) return 0;
    size_t count = 0;
    while (readdir(d)) count++;
    closedir(d);
    return count - 2;
}

Test(blob_dir, gives_back_what_was_put_also_after_a_restart)
{
    struct bytes big = { xcalloc(1, 3 << 20), 3 << 20 };
    AUTO_OUTCOME wrote = put(loop, store, RUN, big);
    cr_assert_eq(wrote.status, BLOB_OK, "%s", wrote.text);
    struct err e;
    blob_close(store);
    store = blob_open(loop, &(struct blob_options){ .dir = dir }, &e);
    AUTO_OUTCOME read = get(loop, store, RUN, big);
    cr_assert_eq(read.status, BLOB_OK, "%s", read.text);
    cr_assert(bytes_equal(buf_bytes(&read.data), big));
    free((char *)big.data);
}

Test(blob_dir, files_are_for_their_owner_only)
{
    AUTO_OUTCOME o = put(loop, store, RUN, BYTES_LIT("secret"));
    AUTO_FREE char *path = path_of(BYTES_LIT("secret"));
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    *strrchr(path, '/') = '\0';
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0700);
}

Test(blob_dir, the_same_put_many_times_at_once_is_one_object)
{
    struct outcome o[50] = { 0 };
    struct blob_ref ref = blob_ref_of(BYTES_LIT("same"));
    for (size_t i = 0; i < ARRAY_LEN(o); i++)
        blob_put(store, bytes_of(RUN), &ref, BYTES_LIT("same"), on_outcome, &o[i]);
    for (size_t i = 0; i < ARRAY_LEN(o); i++) cr_assert_eq(wait_for(loop, &o[i]).status, BLOB_OK);
    AUTO_FREE char *path = path_of(BYTES_LIT("same"));
    *strrchr(path, '/') = '\0';
    cr_assert_eq(entries(path), 1);
}

Test(blob_dir, an_empty_payload_is_a_payload)
{
    AUTO_OUTCOME wrote = put(loop, store, RUN, BYTES_LIT(""));
    AUTO_OUTCOME read = get(loop, store, RUN, BYTES_LIT(""));
    cr_assert_eq(read.status, BLOB_OK, "%s", read.text);
}

Test(blob_dir, what_is_not_there_is_lost)
{
    AUTO_OUTCOME none = get(loop, store, RUN, BYTES_LIT("none"));
    cr_assert_eq(none.status, BLOB_LOST);
    cr_assert_not(blob_status_retriable(none.status));
}

Test(blob_dir, a_damaged_object_is_lost_and_a_put_heals_it)
{
    AUTO_OUTCOME wrote = put(loop, store, RUN, BYTES_LIT("content"));
    AUTO_FREE char *path = path_of(BYTES_LIT("content"));
    static const char *const damages[] = { "contend", "cont", "content and more", "" };
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        FILE *f = fopen(path, "w");
        fputs(damages[i], f);
        fclose(f);
        AUTO_OUTCOME damaged = get(loop, store, RUN, BYTES_LIT("content"));
        cr_assert_eq(damaged.status, BLOB_LOST, "%s", damages[i]);
        cr_assert_eq(damaged.data.len, 0);
    }
    AUTO_OUTCOME again = put(loop, store, RUN, BYTES_LIT("content"));
    AUTO_OUTCOME healed = get(loop, store, RUN, BYTES_LIT("content"));
    cr_assert_eq(healed.status, BLOB_OK);
}

Test(blob_dir, no_link_leads_out_of_the_directory)
{
    AUTO_OUTCOME wrote = put(loop, store, RUN, BYTES_LIT("content"));
    AUTO_FREE char *path = path_of(BYTES_LIT("content"));
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(symlink("/etc/hostname", path), 0);
    AUTO_OUTCOME o = get(loop, store, RUN, BYTES_LIT("content"));
    cr_assert_neq(o.status, BLOB_OK);
    AUTO_FREE char *outside = xasprintf("%s/outside", dir), *fan = xasprintf("%s/run/fe", dir);
    cr_assert_eq(mkdir(outside, 0700), 0);
    cr_assert_eq(symlink(outside, fan), 0);
    AUTO_OUTCOME stray = put(loop, store, OTHER, BYTES_LIT("content"));
    cr_assert_neq(stray.status, BLOB_OK);
    cr_assert_eq(entries(outside), 0);
}

Test(blob_dir, a_full_disk_is_told_and_leaves_nothing_behind)
{
    AUTO_OUTCOME first = put(loop, store, RUN, BYTES_LIT("small"));
    struct rlimit was, tight = { .rlim_cur = 100000 };
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
    tight.rlim_max = was.rlim_max;
    struct bytes big = { xcalloc(1, 200000), 200000 };
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    AUTO_OUTCOME full = put(loop, store, RUN, big);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
    cr_assert_eq(full.status, BLOB_FULL, "%s", full.text);
    cr_assert(strstr(full.text, RUN), "%s", full.text);
    AUTO_FREE char *path = path_of(big);
    *strrchr(path, '/') = '\0';
    cr_assert_eq(entries(path), 1);
    free((char *)big.data);
}

Test(blob_dir, a_directory_that_cannot_be_is_an_error_at_the_start)
{
    struct err e;
    AUTO_FREE char *file = xasprintf("%s/file", dir);
    fclose(fopen(file, "w"));
    cr_assert_null(blob_open(loop, &(struct blob_options){ .dir = file }, &e));
    cr_assert_eq(e.kind, ERR_IO);
    cr_assert(strstr(e.text, file), "%s", e.text);
    cr_assert_null(blob_open(loop, &(struct blob_options){ .dir = "/nowhere/at/all" }, &e));
}

Test(blob_dir, removing_a_run_leaves_the_others)
{
    AUTO_OUTCOME a = put(loop, store, RUN, BYTES_LIT("a")),
                 b = put(loop, store, RUN, BYTES_LIT("b")),
                 c = put(loop, store, OTHER, BYTES_LIT("a"));
    AUTO_OUTCOME gone = remove_run(loop, store, RUN), again = remove_run(loop, store, RUN);
    cr_assert_eq(gone.status, BLOB_OK);
    cr_assert_eq(again.status, BLOB_OK);
    AUTO_OUTCOME mine = get(loop, store, RUN, BYTES_LIT("a")),
                 theirs = get(loop, store, OTHER, BYTES_LIT("a"));
    cr_assert_eq(mine.status, BLOB_LOST);
    cr_assert_eq(theirs.status, BLOB_OK);
    AUTO_FREE char *path = xasprintf("%s/run/01", dir);
    cr_assert_eq(entries(path), 0);
}

Test(blob_dir, lists_all_runs_in_pages)
{
    char run[RUN_ID_MAX];
    size_t count = BLOB_PAGE_MAX + 7, seen = 0;
    AUTO_FREE char *alien = xasprintf("%s/run/07", dir), *stray = xasprintf("%s/notes", alien);
    cr_assert_eq(mkdir(alien, 0700), 0);
    cr_assert_eq(mkdir(stray, 0700), 0);
    for (size_t i = 0; i < count; i++) {
        snprintf(run, sizeof run, "%02zx23456789abcdef-%024zx", i % 256, i);
        AUTO_OUTCOME o = put(loop, store, run, BYTES_LIT("x"));
        cr_assert_eq(o.status, BLOB_OK);
    }
    char after[RUN_ID_MAX] = "";
    for (bool more = true; more;) {
        AUTO_OUTCOME page = list(loop, store, after);
        cr_assert_eq(page.status, BLOB_OK);
        for (size_t i = 0; i < page.run_count; i++) {
            cr_assert_gt(strcmp(page.runs[i], after), 0);
            memcpy(after, page.runs[i], sizeof after);
        }
        seen += page.run_count;
        more = page.more;
    }
    cr_assert_eq(seen, count);
}

Test(blob_dir, a_sweep_removes_old_runs_that_nobody_knows)
{
    AUTO_OUTCOME a = put(loop, store, RUN, BYTES_LIT("a")),
                 b = put(loop, store, OTHER, BYTES_LIT("b"));
    struct sweep young = sweep_run(loop, store, RUN, 3600000);
    cr_assert_eq(young.status, BLOB_OK);
    cr_assert_eq(young.seen, 2);
    cr_assert_eq(young.removed, 0);
    struct sweep old = sweep_run(loop, store, RUN, -1000);
    cr_assert_eq(old.removed, 1);
    AUTO_OUTCOME known = get(loop, store, RUN, BYTES_LIT("a")),
                 swept = get(loop, store, OTHER, BYTES_LIT("b"));
    cr_assert_eq(known.status, BLOB_OK);
    cr_assert_eq(swept.status, BLOB_LOST);
}

Test(blob_dir, closing_answers_everybody)
{
    struct outcome o[200] = { 0 };
    struct blob_ref ref = blob_ref_of(BYTES_LIT("x"));
    for (size_t i = 0; i < ARRAY_LEN(o); i++)
        blob_put(store, bytes_of(RUN), &ref, BYTES_LIT("x"), on_outcome, &o[i]);
    cr_assert_eq(blob_pending(store), ARRAY_LEN(o));
    store = blob_close(store);
    for (size_t i = 0; i < ARRAY_LEN(o); i++)
        cr_assert(o[i].over && (o[i].status == BLOB_OK || o[i].status == BLOB_UNAVAILABLE));
}
