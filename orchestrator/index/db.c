/* SPDX-License-Identifier: Apache-2.0
 *
 * The writing half, and what both halves share. */
#include "orchestrator/index/db.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "orchestrator/engine/engine.h"
#include "orchestrator/index/db_internal.h"

#define FORMAT  "1"
#define WAIT_MS 5000

extern const char index_schema[];

/* --- statements --- */

static const char *const texts[] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_META] = "SELECT value FROM meta WHERE name = ?1",
    [SQL_SET_META] = "INSERT INTO meta VALUES (?1, ?2)",
    [SQL_OFFSET] = "SELECT next FROM offsets WHERE topic = ?1 AND partition = ?2",
    [SQL_SET_OFFSET] =
        ("INSERT INTO offsets VALUES (?1, ?2, ?3) ON CONFLICT (topic, partition) DO UPDATE SET "
         "next = ?3"),
    /* A run of which a change was seen first has started = 0 and no attributes. */
    [SQL_START] =
        ("INSERT INTO runs (id, workflow, version, state, started, finished, off, key, actor, "
         "namespace, attributes) VALUES (?1, ?2, ?3, ?9, ?4, 0, -1, ?5, ?6, ?7, ?8) ON "
         "CONFLICT (id) DO UPDATE SET started = ?4, key = ?5, actor = ?6, namespace = ?7, "
         "attributes = ?8 WHERE started = 0 RETURNING n"),
    /* Of one event there may be several: lifecycle tells them in order, and results has the word
     * about the last, whichever comes first. */
    [SQL_CHANGE] =
        ("INSERT INTO runs (id, workflow, version, state, started, finished, off) VALUES (?1, ?2, "
         "?3, ?4, 0, ?5, ?6) ON CONFLICT (id) DO UPDATE SET state = ?4, finished = ?5, off = ?6 "
         "WHERE off < ?6 OR (off = ?6 AND finished = 0)"),
    /* Others are passed by the engine as well. */
    [SQL_REVIVE] =
        ("UPDATE runs SET state = 'running', finished = 0, off = ?2 WHERE id = ?1 AND off "
         "< ?2 AND state <> 'rolled_back' AND (?3 OR state <> 'completed')"),
    [SQL_ATTRIBUTE] = "INSERT OR IGNORE INTO attributes VALUES (?1, ?2, ?3, ?4)",
    [SQL_OLD] = "SELECT n FROM runs WHERE finished > 0 AND finished < ?1 LIMIT ?2",
    [SQL_FIND] = "SELECT n FROM runs WHERE id = ?1",
    [SQL_DELETE] = "DELETE FROM runs WHERE n = ?1",
    [SQL_DELETE_ATTRIBUTES] = "DELETE FROM attributes WHERE n = ?1",
    [SQL_HAS_ATTRIBUTE] = "SELECT 1 FROM attributes WHERE n = ?1 AND name = ?2 AND value = ?3",
    [SQL_COUNTS] = "SELECT state, runs FROM counts WHERE runs > 0 ORDER BY state",
};
static_assert(ARRAY_LEN(texts) == SQL_COUNT, "every statement has its text");

bool db_fail(const struct index_db *db, struct err *e)
{
    int code = sqlite3_errcode(db->sqlite);
    enum err_kind kind = code == SQLITE_FULL || code == SQLITE_IOERR || code == SQLITE_READONLY ||
                                 code == SQLITE_CANTOPEN
                             ? ERR_IO
                             : ERR_INTERNAL;
    return err_fail(e, kind, "the index %s: %s", db->path, sqlite3_errmsg(db->sqlite));
}

sqlite3_stmt *db_use(struct index_db *db, enum sql sql, struct err *e)
{
    sqlite3_stmt **s = &db->statements[sql];
    if (!*s && sqlite3_prepare_v3(db->sqlite, texts[sql], -1, SQLITE_PREPARE_PERSISTENT, s, NULL) !=
                   SQLITE_OK) {
        (void)db_fail(db, e);
        return NULL;
    }
    sqlite3_reset(*s);
    sqlite3_clear_bindings(*s);
    return *s;
}

void db_bind_text(sqlite3_stmt *s, int at, struct bytes text)
{
    /* Views outlive the step, and every statement is reset before the next use. */
    if (text.data) sqlite3_bind_text64(s, at, text.data, text.len, SQLITE_STATIC, SQLITE_UTF8);
}

static bool step(struct index_db *db, sqlite3_stmt *s, struct err *e)
{
    int code = sqlite3_step(s);
    sqlite3_reset(s);
    return code == SQLITE_DONE || code == SQLITE_ROW || db_fail(db, e);
}

/* --- opening --- */

static bool run_sql(struct index_db *db, const char *sql, struct err *e)
{
    return sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK || db_fail(db, e);
}

static struct index_db *open_file(const char *path, int flags, struct err *e)
{
    struct index_db *db = xcalloc(1, sizeof *db);
    db->path = xstrdup(path);
    int code = sqlite3_open_v2(path, &db->sqlite, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) {
        err_fail(e, code == SQLITE_CANTOPEN ? ERR_NOT_FOUND : ERR_IO, "the index %s: %s", path,
                 db->sqlite ? sqlite3_errmsg(db->sqlite) : sqlite3_errstr(code));
        return index_db_close(db);
    }
    sqlite3_busy_timeout(db->sqlite, WAIT_MS);
    return db;
}

/* The value of a name in meta, copied; NULL with no error where there is none. */
static bool read_meta(struct index_db *db, const char *name, char **ret, struct err *e)
{
    sqlite3_stmt *s = db_use(db, SQL_META, e);
    if (!s) return false;
    db_bind_text(s, 1, bytes_of(name));
    int code = sqlite3_step(s);
    *ret = code == SQLITE_ROW ? xstrdup((const char *)sqlite3_column_text(s, 0)) : NULL;
    sqlite3_reset(s);
    return code == SQLITE_ROW || code == SQLITE_DONE || db_fail(db, e);
}

static bool write_meta(struct index_db *db, const char *name, const char *value, struct err *e)
{
    sqlite3_stmt *s = db_use(db, SQL_SET_META, e);
    if (!s) return false;
    db_bind_text(s, 1, bytes_of(name));
    db_bind_text(s, 2, bytes_of(value));
    return step(db, s, e);
}

static bool has_tables(struct index_db *db, bool *ret, struct err *e)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(db->sqlite, "SELECT 1 FROM sqlite_schema WHERE name = 'meta'", -1, &s,
                           NULL) != SQLITE_OK)
        return db_fail(db, e);
    int code = sqlite3_step(s);
    *ret = code == SQLITE_ROW;
    sqlite3_finalize(s);
    return code == SQLITE_ROW || code == SQLITE_DONE || db_fail(db, e);
}

static bool make_tables(struct index_db *db, const char *prefix, struct err *e)
{
    return run_sql(db, "BEGIN", e) && run_sql(db, index_schema, e) &&
           write_meta(db, "format", FORMAT, e) && write_meta(db, "prefix", prefix, e) &&
           run_sql(db, "COMMIT", e);
}

static bool check_meta(struct index_db *db, const char *prefix, struct err *e)
{
    AUTO_FREE char *format = NULL, *of = NULL;
    if (!read_meta(db, "format", &format, e) || !read_meta(db, "prefix", &of, e)) return false;
    if (!format || strcmp(format, FORMAT) != 0)
        return err_fail(e, ERR_CONFLICT,
                        "the index %s has format %s, this program writes " FORMAT
                        ": remove the file, and it is made again from the topics",
                        db->path, format ? format : "?");
    if (prefix && (!of || strcmp(of, prefix) != 0))
        return err_fail(e, ERR_CONFLICT,
                        "the index %s is of the installation '%s', not of '%s': name another file",
                        db->path, of ? of : "?", prefix);
    return true;
}

struct index_db *index_db_open(const char *path, const char *prefix, struct err *e)
{
    CLEANUP(index_db_close_p)
    struct index_db *db = open_file(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, e);
    bool there = false;
    /* The topics are the truth: what a power failure takes from the end is read again. */
    if (!db || !run_sql(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL", e) ||
        !has_tables(db, &there, e))
        return NULL;
    if (!there && !make_tables(db, prefix, e)) return NULL;
    return check_meta(db, prefix, e) ? TAKE(db) : NULL;
}

struct index_db *index_db_open_reader(const char *path, struct err *e)
{
    CLEANUP(index_db_close_p) struct index_db *db = open_file(path, SQLITE_OPEN_READONLY, e);
    return db && check_meta(db, NULL, e) ? TAKE(db) : NULL;
}

struct index_db *index_db_close(struct index_db *db)
{
    if (!db) return NULL;
    for (size_t i = 0; i < SQL_COUNT; i++) sqlite3_finalize(db->statements[i]);
    for (size_t i = 0; i < ARRAY_LEN(db->pages); i++) sqlite3_finalize(db->pages[i]);
    sqlite3_close(db->sqlite);
    free(db->path);
    free(db);
    return NULL;
}

/* --- writing --- */

static bool run_plain(struct index_db *db, enum sql sql, struct err *e)
{
    sqlite3_stmt *s = db_use(db, sql, e);
    return s && step(db, s, e);
}

bool index_db_begin(struct index_db *db, struct err *e)
{
    return run_plain(db, SQL_BEGIN, e);
}

bool index_db_commit(struct index_db *db, struct err *e)
{
    return run_plain(db, SQL_COMMIT, e);
}

void index_db_rollback(struct index_db *db)
{
    /* It fails where SQLite has rolled back by itself already. */
    (void)sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
}

/* A scalar as it is looked for: as text without quotes. */
static bool attribute_text(const json_t *value, struct buf *ret)
{
    buf_reset(ret);
    if (json_is_string(value))
        buf_add(ret, json_string_value(value), json_string_length(value));
    else if (json_is_number(value) || json_is_boolean(value))
        json_write(ret, value);
    else
        return false;
    return true;
}

static bool add_attributes(struct index_db *db, int64_t n, const struct index_start *start,
                           struct err *e)
{
    AUTO_BUF struct buf text = { 0 };
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)start->attributes, name, value) {
        if (!attribute_text(value, &text)) continue;
        sqlite3_stmt *s = db_use(db, SQL_ATTRIBUTE, e);
        if (!s) return false;
        db_bind_text(s, 1, bytes_of(name));
        db_bind_text(s, 2, (struct bytes){ text.data ? text.data : "", text.len });
        sqlite3_bind_int64(s, 3, start->started_ms);
        sqlite3_bind_int64(s, 4, n);
        if (!step(db, s, e)) return false;
    }
    return true;
}

bool index_db_start(struct index_db *db, const struct index_start *start, struct err *e)
{
    sqlite3_stmt *s = db_use(db, SQL_START, e);
    if (!s) return false;
    AUTO_BUF struct buf attributes = { 0 };
    if (json_object_size(start->attributes)) json_write(&attributes, start->attributes);
    db_bind_text(s, 1, start->run_id);
    db_bind_text(s, 2, start->workflow);
    db_bind_text(s, 3, start->version);
    sqlite3_bind_int64(s, 4, start->started_ms);
    db_bind_text(s, 5, start->key);
    db_bind_text(s, 6, start->actor);
    db_bind_text(s, 7, start->namespace_);
    db_bind_text(s, 8, buf_bytes(&attributes));
    db_bind_text(s, 9, bytes_of(run_state_name(start->may_wait ? RUN_INITIALIZING : RUN_RUNNING)));
    int code = sqlite3_step(s);
    int64_t n = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    if (code != SQLITE_ROW) return code == SQLITE_DONE || db_fail(db, e); /* it was there */
    return add_attributes(db, n, start, e);
}

bool index_db_change(struct index_db *db, const struct index_change *c, struct err *e)
{
    sqlite3_stmt *s = db_use(db, SQL_CHANGE, e);
    if (!s) return false;
    db_bind_text(s, 1, c->run_id);
    db_bind_text(s, 2, c->workflow.data ? c->workflow : BYTES_LIT(""));
    db_bind_text(s, 3, c->version.data ? c->version : BYTES_LIT(""));
    db_bind_text(s, 4, bytes_of(c->state));
    sqlite3_bind_int64(s, 5, c->finished_ms);
    sqlite3_bind_int64(s, 6, c->offset);
    return step(db, s, e);
}

bool index_db_revive(struct index_db *db, struct bytes run_id, int64_t offset, bool completed_too,
                     struct err *e)
{
    sqlite3_stmt *s = db_use(db, SQL_REVIVE, e);
    if (!s) return false;
    db_bind_text(s, 1, run_id);
    sqlite3_bind_int64(s, 2, offset);
    sqlite3_bind_int(s, 3, completed_too);
    return step(db, s, e);
}

static bool delete_run(struct index_db *db, int64_t n, struct err *e)
{
    static const enum sql deletes[] = { SQL_DELETE_ATTRIBUTES, SQL_DELETE };
    for (size_t i = 0; i < ARRAY_LEN(deletes); i++) {
        sqlite3_stmt *s = db_use(db, deletes[i], e);
        if (!s) return false;
        sqlite3_bind_int64(s, 1, n);
        if (!step(db, s, e)) return false;
    }
    return true;
}

bool index_db_forget(struct index_db *db, struct bytes run_id, struct err *e)
{
    sqlite3_stmt *s = db_use(db, SQL_FIND, e);
    if (!s) return false;
    db_bind_text(s, 1, run_id);
    int code = sqlite3_step(s);
    int64_t n = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    if (code != SQLITE_ROW) return code == SQLITE_DONE || db_fail(db, e);
    return delete_run(db, n, e);
}

bool index_db_trim(struct index_db *db, int64_t finished_before_ms, uint32_t max, struct err *e)
{
    sqlite3_stmt *s = db_use(db, SQL_OLD, e);
    if (!s) return false;
    AUTO_FREE int64_t *old = xcalloc(max, sizeof *old);
    uint32_t count = 0;
    sqlite3_bind_int64(s, 1, finished_before_ms);
    sqlite3_bind_int64(s, 2, max);
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) old[count++] = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    if (code != SQLITE_DONE) return db_fail(db, e);
    for (uint32_t i = 0; i < count; i++)
        if (!delete_run(db, old[i], e)) return false;
    return true;
}

bool index_db_offset(struct index_db *db, const char *topic, int32_t partition, int64_t *ret,
                     struct err *e)
{
    sqlite3_stmt *s = db_use(db, SQL_OFFSET, e);
    if (!s) return false;
    db_bind_text(s, 1, bytes_of(topic));
    sqlite3_bind_int(s, 2, partition);
    int code = sqlite3_step(s);
    *ret = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
    sqlite3_reset(s);
    return code == SQLITE_ROW || code == SQLITE_DONE || db_fail(db, e);
}

bool index_db_set_offset(struct index_db *db, const char *topic, int32_t partition, int64_t next,
                         struct err *e)
{
    sqlite3_stmt *s = db_use(db, SQL_SET_OFFSET, e);
    if (!s) return false;
    db_bind_text(s, 1, bytes_of(topic));
    sqlite3_bind_int(s, 2, partition);
    sqlite3_bind_int64(s, 3, next);
    return step(db, s, e);
}
