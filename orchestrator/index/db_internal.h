/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two halves of the index share: the connection and its prepared statements. */
#ifndef TUTTI_INDEX_DB_INTERNAL_H
#define TUTTI_INDEX_DB_INTERNAL_H

#include <sqlite3.h>

#include "orchestrator/index/db.h"

enum sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_META,
    SQL_SET_META,
    SQL_OFFSET,
    SQL_SET_OFFSET,
    SQL_START,
    SQL_CHANGE,
    SQL_ATTRIBUTE,
    SQL_OLD,
    SQL_FIND,
    SQL_DELETE,
    SQL_DELETE_ATTRIBUTES,
    SQL_HAS_ATTRIBUTE,
    SQL_COUNTS,
    SQL_COUNT
};

/* Which index a page is read from. */
enum page_order { BY_START, BY_WORKFLOW, BY_STATE, BY_BOTH, BY_KEY, BY_ATTRIBUTE, PAGE_ORDERS };

struct index_db {
    sqlite3 *sqlite;
    char *path;
    sqlite3_stmt *statements[SQL_COUNT]; /* prepared when first used */
    sqlite3_stmt *pages[PAGE_ORDERS];
};

bool db_fail(const struct index_db *db, struct err *e);
/* The statement, reset and without bindings; NULL with e where SQLite does not take it. */
MUST_CHECK sqlite3_stmt *db_use(struct index_db *db, enum sql sql, struct err *e);
/* Binds a view, which must live until the statement is reset; data NULL: null. */
void db_bind_text(sqlite3_stmt *s, int at, struct bytes text);

#endif
