/* SPDX-License-Identifier: Apache-2.0
 *
 * The index file: what is found, in which order, page by page, and what a page may cost. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "orchestrator/index/db.h"

#define START_MS 1764000000000LL

struct fixture {
    char dir[32], path[48];
    struct index_db *db;
};

static struct fixture make(void)
{
    struct fixture f = { .dir = "/tmp/tutti-index-XXXXXX" };
    struct err e;
    cr_assert(mkdtemp(f.dir));
    snprintf(f.path, sizeof f.path, "%s/index.db", f.dir);
    f.db = index_db_open(f.path, "tutti", &e);
    cr_assert(f.db, "%s", e.text);
    cr_assert(index_db_begin(f.db, &e), "%s", e.text);
    return f;
}

static void remove_file(struct fixture *f)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    index_db_close(f->db);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", f->path, ends[i]);
        unlink(name);
    }
    rmdir(f->dir);
}

static struct bytes id_of(int n)
{
    static char text[RUN_ID_MAX];
    snprintf(text, sizeof text, "%016x-%024x", 0, n);
    return bytes_of(text);
}

static void start(struct fixture *f, int n, const char *workflow, const char *attributes)
{
    struct err e;
    AUTO_JSON *object = attributes ? json_parse(bytes_of(attributes), &e) : NULL;
    struct index_start s = { .run_id = id_of(n),
                             .workflow = bytes_of(workflow),
                             .version = BYTES_LIT("1.0.0"),
                             .started_ms = START_MS + n,
                             .attributes = object };
    cr_assert(index_db_start(f->db, &s, &e), "%s", e.text);
}

static void change(struct fixture *f, int n, const char *state, int64_t offset, int64_t finished_ms)
{
    struct err e;
    struct index_change c = { .run_id = id_of(n),
                              .workflow = BYTES_LIT("a"),
                              .version = BYTES_LIT("1.0.0"),
                              .state = state,
                              .offset = offset,
                              .finished_ms = finished_ms };
    cr_assert(index_db_change(f->db, &c, &e), "%s", e.text);
}

static json_t *page(struct fixture *f, const struct index_query *q)
{
    struct err e;
    json_t *ret;
    cr_assert(index_db_page(f->db, q, &ret, &e), "%s", e.text);
    return ret;
}

/* The numbers of the runs of a page, as text. */
static void expect_page(struct fixture *f, const struct index_query *q, const char *wanted)
{
    AUTO_JSON *p = page(f, q);
    AUTO_BUF struct buf text = { 0 };
    size_t i;
    json_t *run;
    buf_add_text(&text, "");
    json_array_foreach(json_object_get(p, "runs"), i, run)
        buf_addf(&text, "%s%ld", i ? " " : "", strtol(json_text(run, "id") + 17, NULL, 16));
    cr_expect_str_eq(text.data, wanted);
}

Test(index, runs_are_found_by_each_filter_and_by_several_the_newest_first)
{
    struct fixture f = make();
    for (int n = 0; n < 8; n++)
        start(&f, n, n % 2 ? "a" : "b",
              n < 4 ? "{\"tier\":\"gold\",\"n\":1}" : "{\"tier\":\"tin\",\"n\":2}");
    change(&f, 3, "completed", 10, START_MS + 50);
    change(&f, 4, "waiting_approval", 11, 0);
    expect_page(&f, &(struct index_query){ .limit = 3 }, "7 6 5");
    expect_page(&f, &(struct index_query){ .limit = 9, .workflow = "a" }, "7 5 3 1");
    expect_page(&f, &(struct index_query){ .limit = 9, .state = "running" }, "7 6 5 2 1 0");
    expect_page(&f, &(struct index_query){ .limit = 9, .state = "running", .workflow = "b" },
                "6 2 0");
    expect_page(
        &f, &(struct index_query){ .limit = 9, .since_ms = START_MS + 2, .until_ms = START_MS + 5 },
        "4 3 2");
    struct index_query gold = { .limit = 9,
                                .attribute_count = 1,
                                .attributes = { { "tier", "gold" } } };
    expect_page(&f, &gold, "3 2 1 0");
    gold.state = "completed";
    expect_page(&f, &gold, "3");
    struct index_query both = { .limit = 9,
                                .attribute_count = 2,
                                .attributes = { { "n", "2" }, { "tier", "tin" } } };
    expect_page(&f, &both, "7 6 5 4");
    both.attributes[1].value = "gold";
    expect_page(&f, &both, "");
    remove_file(&f);
}

Test(index, pages_follow_one_another_without_a_gap_while_runs_are_added)
{
    struct fixture f = make();
    for (int n = 0; n < 10; n++) start(&f, n, "a", NULL);
    AUTO_JSON *first = page(&f, &(struct index_query){ .limit = 4 });
    start(&f, 10, "a", NULL);
    struct index_query next = { .limit = 4, .cursor = json_text(first, "next") };
    expect_page(&f, &next, "5 4 3 2");
    AUTO_JSON *second = page(&f, &next);
    next.cursor = json_text(second, "next");
    expect_page(&f, &next, "1 0");
    AUTO_JSON *third = page(&f, &next);
    cr_expect(json_is_null(json_object_get(third, "next")));
    AUTO_JSON *whole = page(&f, &(struct index_query){ .limit = 11 });
    cr_expect(json_is_null(json_object_get(whole, "next")), "nothing is behind the last run");
    remove_file(&f);
}

Test(index, the_latest_state_wins_in_whatever_order_the_topics_are_read)
{
    struct fixture f = make();
    change(&f, 1, "completed", 9, START_MS + 5);
    change(&f, 1, "waiting_approval", 7, 0);
    start(&f, 1, "a", "{\"x\":true}");
    AUTO_JSON *p = page(&f, &(struct index_query){ .limit = 9 });
    const json_t *run = json_array_get(json_object_get(p, "runs"), 0);
    cr_expect_str_eq(json_text(run, "status"), "completed");
    cr_expect_str_eq(json_text(run, "finished_at"), "2025-11-24T16:00:00.005Z");
    cr_expect_str_eq(json_text(run, "started_at"), "2025-11-24T16:00:00.001Z");
    cr_expect(json_is_true(json_object_get(json_object_get(run, "attributes"), "x")));
    start(&f, 1, "a", NULL);         /* read again */
    change(&f, 1, "running", 12, 0); /* it was retried */
    expect_page(&f,
                &(struct index_query){ .limit = 9,
                                       .state = "running",
                                       .attribute_count = 1,
                                       .attributes = { { "x", "true" } } },
                "1");
    struct err e;
    json_t *counts;
    cr_assert(index_db_counts(f.db, &counts, &e));
    cr_expect_eq(json_int(counts, "running", 0), 1);
    cr_expect_eq(json_object_size(counts), 1);
    json_decref(counts);
    remove_file(&f);
}

/* One event may start a run and end it: lifecycle tells both, results the end, in any order. */
Test(index, of_one_event_the_last_state_counts_and_when_it_ended)
{
    struct fixture f = make();
    static const bool first[] = { true, false };
    for (int n = 0; n < 2; n++) {
        start(&f, n, "a", NULL);
        if (first[n]) change(&f, n, "completed", 9, START_MS + 5);
        change(&f, n, "running", 9, 0);
        change(&f, n, "completed", 9, 0);
        if (!first[n]) change(&f, n, "completed", 9, START_MS + 5);
    }
    AUTO_JSON *p = page(&f, &(struct index_query){ .limit = 9, .state = "completed" });
    const json_t *runs = json_object_get(p, "runs");
    cr_assert_eq(json_array_size(runs), 2);
    for (size_t n = 0; n < 2; n++)
        cr_expect_str_eq(json_text(json_array_get(runs, n), "finished_at"),
                         "2025-11-24T16:00:00.005Z");
    remove_file(&f);
}

/* A filter that finds nothing among many ends early and says where to go on. */
Test(index, a_page_that_finds_little_is_cut_and_goes_on)
{
    struct fixture f = make();
    for (int n = 0; n < 12000; n++) start(&f, n, "a", NULL);
    struct index_query q = { .limit = 5, .workflow = "a", .version = "2.0.0" };
    int pages = 0;
    AUTO_JSON *p = NULL;
    do {
        json_t *next = page(&f, &q);
        json_decref(p);
        p = next;
        cr_expect_eq(json_array_size(json_object_get(p, "runs")), 0);
        q.cursor = json_text(p, "next");
        pages++;
    } while (q.cursor && pages < 10);
    cr_expect_eq(pages, 3);
    remove_file(&f);
}

Test(index, runs_that_finished_long_ago_leave_it)
{
    struct fixture f = make();
    struct err e;
    for (int n = 0; n < 6; n++) start(&f, n, "a", "{\"k\":1}");
    for (int n = 0; n < 4; n++) change(&f, n, "failed", n, START_MS + 1000 * n);
    cr_assert(index_db_trim(f.db, START_MS + 2500, 2, &e));
    cr_assert(index_db_trim(f.db, START_MS + 2500, 2, &e));
    expect_page(
        &f,
        &(struct index_query){ .limit = 9, .attribute_count = 1, .attributes = { { "k", "1" } } },
        "5 4 3");
    remove_file(&f);
}

Test(index, what_was_not_committed_is_read_again_from_the_stored_offset)
{
    struct fixture f = make();
    struct err e;
    int64_t offset;
    start(&f, 1, "a", NULL);
    cr_assert(index_db_set_offset(f.db, "t.events", 3, 17, &e) && index_db_commit(f.db, &e));
    cr_assert(index_db_begin(f.db, &e));
    start(&f, 2, "a", NULL);
    cr_assert(index_db_set_offset(f.db, "t.events", 3, 18, &e));
    index_db_close(f.db);
    f.db = index_db_open(f.path, "tutti", &e);
    cr_assert(f.db, "%s", e.text);
    cr_assert(index_db_offset(f.db, "t.events", 3, &offset, &e));
    cr_expect_eq(offset, 17);
    cr_assert(index_db_offset(f.db, "t.events", 4, &offset, &e));
    cr_expect_eq(offset, -1);
    expect_page(&f, &(struct index_query){ .limit = 9 }, "1");
    remove_file(&f);
}

Test(index, a_file_of_another_installation_and_a_bad_cursor_are_refused)
{
    struct fixture f = make();
    struct err e;
    json_t *none;
    cr_assert(index_db_commit(f.db, &e));
    cr_expect_null(index_db_open(f.path, "other", &e));
    cr_expect_eq(e.kind, ERR_CONFLICT);
    cr_expect(strstr(e.text, "'tutti'"), "%s", e.text);
    static const char *const bad[] = { "", "x", "1", "1.", "1.x", ".1" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        cr_expect_not(
            index_db_page(f.db, &(struct index_query){ .limit = 1, .cursor = bad[i] }, &none, &e),
            "%s", bad[i]);
        cr_expect_eq(e.kind, ERR_INVALID);
    }
    cr_expect_null(index_db_open_reader("/nonexistent/index.db", &e));
    cr_expect_eq(e.kind, ERR_NOT_FOUND);
    remove_file(&f);
}
