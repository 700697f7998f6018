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

#include "tests/unit/io/blob_cases.h"

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
BLOB_CASES(blob_dir)

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

Test(blob_dir, gives_back_after_a_restart_what_was_put_before)
{
    AUTO_OUTCOME wrote = put(loop, store, RUN, BYTES_LIT("kept"));
    cr_assert_eq(wrote.status, BLOB_OK, "%s", wrote.text);
    struct err e;
    blob_close(store);
    store = blob_open(loop, &(struct blob_options){ .dir = dir }, &e);
    AUTO_OUTCOME read = get(loop, store, RUN, BYTES_LIT("kept"));
    cr_assert_eq(read.status, BLOB_OK, "%s", read.text);
    cr_assert(bytes_is(buf_bytes(&read.data), "kept"));
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

Test(blob_dir, removing_a_run_leaves_no_empty_directory)
{
    AUTO_OUTCOME a = put(loop, store, RUN, BYTES_LIT("a")), gone = remove_run(loop, store, RUN);
    cr_assert_eq(gone.status, BLOB_OK);
    AUTO_FREE char *path = xasprintf("%s/run/01", dir);
    cr_assert_eq(entries(path), 0);
}

Test(blob_dir, lists_no_directory_that_is_no_run)
{
    AUTO_FREE char *alien = xasprintf("%s/run/07", dir), *stray = xasprintf("%s/notes", alien);
    AUTO_OUTCOME o = put(loop, store, RUN, BYTES_LIT("x"));
    cr_assert_eq(mkdir(alien, 0700), 0);
    cr_assert_eq(mkdir(stray, 0700), 0);
    AUTO_OUTCOME page = list(loop, store, "");
    cr_assert_eq(page.status, BLOB_OK);
    cr_assert_eq(page.run_count, 1);
    cr_assert_str_eq(page.runs[0], RUN);
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
