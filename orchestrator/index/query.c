/* SPDX-License-Identifier: Apache-2.0
 *
 * The reading half. A page is read along one index, from where the page before ended, and what that
 * index does not know of the query is looked at row by row, a bounded number of them: no query can
 * cost more than a few milliseconds, whatever it asks for. */
#include <stdlib.h>

#include "common/base/clock.h"
#include "orchestrator/index/db_internal.h"

#define LOOKS_MAX 5000 /* rows that a page looks at */

#define COLUMNS                                                                          \
    "r.n, r.id, r.workflow, r.version, r.state, r.started, r.finished, r.key, r.actor, " \
    "r.namespace, r.attributes"
/* Behind the last row of the page before: ?1 is its start, ?2 its number. ?3 <= start < ?4. */
#define PLACE(t) \
    " (" t ".started, " t ".n) < (?1, ?2) AND " t ".started >= ?3 AND " t ".started < ?4 "
#define BACKWARDS(t) "ORDER BY " t ".started DESC, " t ".n DESC"

static const char *const texts[PAGE_ORDERS] = {
    [BY_START] =
        "SELECT " COLUMNS " FROM runs r INDEXED BY runs_started WHERE" PLACE("r") BACKWARDS("r"),
    [BY_WORKFLOW] =
        "SELECT " COLUMNS
        " FROM runs r INDEXED BY runs_workflow WHERE r.workflow = ?5 AND" PLACE("r") BACKWARDS("r"),
    [BY_STATE] =
        "SELECT " COLUMNS " FROM runs r INDEXED BY runs_state WHERE r.state = ?6 AND" PLACE("r")
            BACKWARDS("r"),
    [BY_BOTH] = "SELECT " COLUMNS " FROM runs r INDEXED BY runs_both WHERE r.workflow = ?5 AND "
                "r.state = ?6 AND" PLACE("r") BACKWARDS("r"),
    [BY_KEY] = "SELECT " COLUMNS " FROM runs r INDEXED BY runs_key WHERE r.key = ?7 AND" PLACE("r")
        BACKWARDS("r"),
    [BY_ATTRIBUTE] =
        "SELECT " COLUMNS " FROM attributes a CROSS JOIN runs r ON r.n = a.n WHERE a.name = ?8 AND "
        "a.value = ?9 AND" PLACE("a") BACKWARDS("a"),
};

static enum page_order order_of(const struct index_query *q)
{
    if (q->key) return BY_KEY;
    if (q->attribute_count) return BY_ATTRIBUTE;
    if (q->workflow) return q->state ? BY_BOTH : BY_WORKFLOW;
    return q->state ? BY_STATE : BY_START;
}

/* "<started>.<n>", both in decimal. */
static bool read_cursor(const char *text, int64_t *ret_started, int64_t *ret_n, struct err *e)
{
    *ret_started = *ret_n = INT64_MAX;
    if (!text) return true;
    char *end;
    *ret_started = strtoll(text, &end, 10);
    if (end != text && *end == '.') {
        const char *n = end + 1;
        *ret_n = strtoll(n, &end, 10);
        if (end != n && *end == '\0') return true;
    }
    return err_fail(e, ERR_INVALID, "'%.60s' is no cursor; it is what a page calls `next`", text);
}

static sqlite3_stmt *use_page(struct index_db *db, const struct index_query *q, struct err *e)
{
    enum page_order order = order_of(q);
    int64_t started, n;
    if (!read_cursor(q->cursor, &started, &n, e)) return NULL;
    sqlite3_stmt **s = &db->pages[order];
    if (!*s && sqlite3_prepare_v3(db->sqlite, texts[order], -1, SQLITE_PREPARE_PERSISTENT, s,
                                  NULL) != SQLITE_OK) {
        (void)db_fail(db, e);
        return NULL;
    }
    sqlite3_reset(*s);
    sqlite3_clear_bindings(*s);
    sqlite3_bind_int64(*s, 1, started);
    sqlite3_bind_int64(*s, 2, n);
    sqlite3_bind_int64(*s, 3, q->since_ms);
    sqlite3_bind_int64(*s, 4, q->until_ms ? q->until_ms : INT64_MAX);
    /* What a statement does not have is no fault here. */
    db_bind_text(*s, 5, bytes_of(q->workflow));
    db_bind_text(*s, 6, bytes_of(q->state));
    db_bind_text(*s, 7, bytes_of(q->key));
    if (q->attribute_count) {
        db_bind_text(*s, 8, bytes_of(q->attributes[0].name));
        db_bind_text(*s, 9, bytes_of(q->attributes[0].value));
    }
    return *s;
}

static bool is_text(sqlite3_stmt *row, int column, const char *wanted)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return !wanted || (text && strcmp(text, wanted) == 0);
}

static bool has_attributes(struct index_db *db, int64_t n, const struct index_query *q, bool *ret,
                           struct err *e)
{
    *ret = true;
    /* Where the page is read along the first attribute, that one holds. */
    for (size_t i = q->key ? 0 : 1; i < q->attribute_count && *ret; i++) {
        sqlite3_stmt *s = db_use(db, SQL_HAS_ATTRIBUTE, e);
        if (!s) return false;
        sqlite3_bind_int64(s, 1, n);
        db_bind_text(s, 2, bytes_of(q->attributes[i].name));
        db_bind_text(s, 3, bytes_of(q->attributes[i].value));
        int code = sqlite3_step(s);
        sqlite3_reset(s);
        if (code != SQLITE_ROW && code != SQLITE_DONE) return db_fail(db, e);
        *ret = code == SQLITE_ROW;
    }
    return true;
}

static bool matches(struct index_db *db, sqlite3_stmt *row, const struct index_query *q, bool *ret,
                    struct err *e)
{
    *ret = is_text(row, 2, q->workflow) && is_text(row, 3, q->version) &&
           is_text(row, 4, q->state) && is_text(row, 7, q->key);
    return !*ret || has_attributes(db, sqlite3_column_int64(row, 0), q, ret, e);
}

static void set_text(json_t *object, const char *name, sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    if (text) json_object_set_new(object, name, json_string(text));
}

static void set_time(json_t *object, const char *name, int64_t ms)
{
    char text[TIME_TEXT_MAX];
    if (ms <= 0) return;
    time_format(ms, text);
    json_object_set_new(object, name, json_string(text));
}

static json_t *row_json(sqlite3_stmt *row)
{
    json_t *run = json_object();
    set_text(run, "id", row, 1);
    set_text(run, "workflow", row, 2);
    set_text(run, "version", row, 3);
    set_text(run, "status", row, 4);
    set_time(run, "started_at", sqlite3_column_int64(row, 5));
    set_time(run, "finished_at", sqlite3_column_int64(row, 6));
    set_text(run, "key", row, 7);
    set_text(run, "actor", row, 8);
    set_text(run, "namespace", row, 9);
    const char *attributes = (const char *)sqlite3_column_text(row, 10);
    json_t *parsed = attributes ? json_parse(bytes_of(attributes), NULL) : NULL;
    json_object_set_new(run, "attributes", parsed ? parsed : json_object());
    return run;
}

/* Reads on until the page is full, the looks are spent or nothing is left; *ret_next: where the
 * next page begins, NULL behind the last. */
static bool read_page(struct index_db *db, sqlite3_stmt *s, const struct index_query *q,
                      json_t *runs, json_t **ret_next, struct err *e)
{
    int64_t started = 0, n = 0;
    for (uint32_t looks = 0;; looks++) {
        int code = sqlite3_step(s);
        if (code != SQLITE_ROW) return code == SQLITE_DONE || db_fail(db, e);
        if (json_array_size(runs) == q->limit || looks == LOOKS_MAX) {
            *ret_next = json_sprintf("%lld.%lld", (long long)started, (long long)n);
            return true;
        }
        started = sqlite3_column_int64(s, 5);
        n = sqlite3_column_int64(s, 0);
        bool wanted;
        if (!matches(db, s, q, &wanted, e)) return false;
        if (wanted) json_array_append_new(runs, row_json(s));
    }
}

bool index_db_page(struct index_db *db, const struct index_query *q, json_t **ret, struct err *e)
{
    if (q->limit < 1 || q->limit > INDEX_PAGE_MAX)
        return err_fail(e, ERR_INVALID, "a page has 1 to %d runs", INDEX_PAGE_MAX);
    sqlite3_stmt *s = use_page(db, q, e);
    if (!s) return false;
    AUTO_JSON *runs = json_array();
    json_t *next = NULL;
    bool ok = read_page(db, s, q, runs, &next, e);
    sqlite3_reset(s);
    if (!ok) return false;
    *ret = json_pack("{s:O, s:o}", "runs", runs, "next", next ? next : json_null());
    return true;
}

bool index_db_counts(struct index_db *db, json_t **ret, struct err *e)
{
    sqlite3_stmt *s = db_use(db, SQL_COUNTS, e);
    if (!s) return false;
    AUTO_JSON *counts = json_object();
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW)
        json_object_set_new(counts, (const char *)sqlite3_column_text(s, 0),
                            json_integer(sqlite3_column_int64(s, 1)));
    sqlite3_reset(s);
    if (code != SQLITE_DONE) return db_fail(db, e);
    *ret = TAKE(counts);
    return true;
}
