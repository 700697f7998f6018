/* SPDX-License-Identifier: Apache-2.0
 *
 * What every payload store keeps to, whatever it stores in. A file of tests says how a test of its
 * suite gets to its store, and BLOB_CASES makes the tests. */
#ifndef TUTTI_TEST_BLOB_CASES_H
#define TUTTI_TEST_BLOB_CASES_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/unit/io/blob_calls.h"

#define RUN   "0123456789abcdef-0123456789abcdef01234567"
#define OTHER "fe23456789abcdef-0123456789abcdef01234567"

static inline void case_gives_back(struct loop *loop, struct blob_store *store)
{
    struct bytes big = { xcalloc(1, 3 << 20), 3 << 20 };
    struct bytes contents[] = { BYTES_LIT("{\"a\": 1}"), BYTES_LIT(""), big };
    for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
        AUTO_OUTCOME wrote = put(loop, store, RUN, contents[i]),
                     again = put(loop, store, RUN, contents[i]);
        cr_assert_eq(wrote.status, BLOB_OK, "%s", wrote.text);
        cr_assert_eq(again.status, BLOB_OK, "%s", again.text);
        AUTO_OUTCOME read = get(loop, store, RUN, contents[i]);
        cr_assert_eq(read.status, BLOB_OK, "%s", read.text);
        cr_assert(bytes_equal(buf_bytes(&read.data), contents[i]));
    }
    free((char *)big.data);
}

static inline void case_missing(struct loop *loop, struct blob_store *store)
{
    AUTO_OUTCOME none = get(loop, store, RUN, BYTES_LIT("none"));
    cr_assert_eq(none.status, BLOB_LOST, "%s", none.text);
    cr_assert_not(blob_status_retriable(none.status));
}

static inline void case_removes_a_run(struct loop *loop, struct blob_store *store)
{
    char text[20];
    for (int i = 0; i < 5; i++) {
        snprintf(text, sizeof text, "content %d", i);
        AUTO_OUTCOME o = put(loop, store, RUN, bytes_of(text));
        cr_assert_eq(o.status, BLOB_OK, "%s", o.text);
    }
    AUTO_OUTCOME other = put(loop, store, OTHER, BYTES_LIT("content 0"));
    AUTO_OUTCOME gone = remove_run(loop, store, RUN), again = remove_run(loop, store, RUN);
    cr_assert_eq(gone.status, BLOB_OK, "%s", gone.text);
    cr_assert_eq(again.status, BLOB_OK, "%s", again.text);
    AUTO_OUTCOME mine = get(loop, store, RUN, BYTES_LIT("content 0")),
                 theirs = get(loop, store, OTHER, BYTES_LIT("content 0"));
    cr_assert_eq(mine.status, BLOB_LOST);
    cr_assert_eq(theirs.status, BLOB_OK);
    AUTO_OUTCOME left = list(loop, store, "");
    cr_assert_eq(left.run_count, 1);
    cr_assert_str_eq(left.runs[0], OTHER);
}

static inline void case_lists_in_pages(struct loop *loop, struct blob_store *store)
{
    size_t count = BLOB_PAGE_MAX + 7, seen = 0;
    struct outcome *o = xcalloc(count, sizeof *o);
    struct blob_ref ref = blob_ref_of(BYTES_LIT("x"));
    for (size_t i = 0; i < count; i++) {
        char run[RUN_ID_MAX];
        snprintf(run, sizeof run, "%02zx23456789abcdef-%024zx", i % 256, i);
        blob_put(store, bytes_of(run), &ref, BYTES_LIT("x"), on_outcome, &o[i]);
    }
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(wait_for(loop, &o[i]).status, BLOB_OK, "%s", o[i].text);
    free(o);
    char after[RUN_ID_MAX] = "";
    for (bool more = true; more;) {
        AUTO_OUTCOME page = list(loop, store, after);
        cr_assert_eq(page.status, BLOB_OK, "%s", page.text);
        for (size_t i = 0; i < page.run_count; i++) {
            cr_assert_gt(strcmp(page.runs[i], after), 0);
            memcpy(after, page.runs[i], sizeof after);
        }
        seen += page.run_count;
        more = page.more;
    }
    cr_assert_eq(seen, count);
}

static inline void case_sweeps(struct loop *loop, struct blob_store *store)
{
    AUTO_OUTCOME a = put(loop, store, RUN, BYTES_LIT("a")),
                 b = put(loop, store, OTHER, BYTES_LIT("b"));
    struct sweep young = sweep_run(loop, store, RUN, 3600000);
    cr_assert_eq(young.status, BLOB_OK);
    cr_assert_eq(young.seen, 2);
    cr_assert_eq(young.removed, 0);
    struct sweep old = sweep_run(loop, store, RUN, -2000); /* its clock may be another one */
    cr_assert_eq(old.seen, 2);
    cr_assert_eq(old.removed, 1);
    AUTO_OUTCOME known = get(loop, store, RUN, BYTES_LIT("a")),
                 swept = get(loop, store, OTHER, BYTES_LIT("b"));
    cr_assert_eq(known.status, BLOB_OK);
    cr_assert_eq(swept.status, BLOB_LOST);
}

/* The suite's `loop` and `store` are variables of the file, set when a test begins. */
#define BLOB_CASE(suite, name, check) \
    Test(suite, name)                 \
    {                                 \
        check(loop, store);           \
    }
#define BLOB_CASES(suite)                                                  \
    BLOB_CASE(suite, gives_back_what_was_put, case_gives_back)             \
    BLOB_CASE(suite, what_is_not_there_is_lost, case_missing)              \
    BLOB_CASE(suite, removing_a_run_leaves_the_others, case_removes_a_run) \
    BLOB_CASE(suite, lists_all_runs_in_pages, case_lists_in_pages)         \
    BLOB_CASE(suite, a_sweep_removes_old_runs_that_nobody_knows, case_sweeps)

#endif
