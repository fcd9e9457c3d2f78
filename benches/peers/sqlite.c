/* SQLite: one table (id INTEGER PRIMARY KEY, row BLOB), write-ahead log, synchronous = FULL, prepared statements. */
#include "engine.h"
#include "measure.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sqlite {
    sqlite3 *db;
    sqlite3_stmt *insert;
    sqlite3_stmt *select;
    size_t row_bytes;
    int in_transaction;
};

static void check(struct sqlite *sqlite, const char *what, int status, int wanted)
{
    if (status != wanted)
        die(what, sqlite3_errmsg(sqlite->db));
}

static void run(struct sqlite *sqlite, const char *sql)
{
    check(sqlite, sql, sqlite3_exec(sqlite->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static sqlite3_stmt *prepared(struct sqlite *sqlite, const char *sql)
{
    sqlite3_stmt *statement;
    check(sqlite, sql, sqlite3_prepare_v2(sqlite->db, sql, -1, &statement, NULL), SQLITE_OK);
    return statement;
}

static void *sqlite_open(const struct opening *opening)
{
    struct sqlite *sqlite = need(sizeof *sqlite);
    char path[4096];
    snprintf(path, sizeof path, "%s/rows.db", opening->dir);
    *sqlite = (struct sqlite){.row_bytes = opening->dim * sizeof(float)};
    check(sqlite, "sqlite3_open", sqlite3_open(path, &sqlite->db), SQLITE_OK);
    if (opening->create) {
        run(sqlite, "PRAGMA page_size = 4096");
        run(sqlite, "PRAGMA journal_mode = WAL");
        run(sqlite, "CREATE TABLE rows (id INTEGER PRIMARY KEY, row BLOB)");
    }
    run(sqlite, "PRAGMA synchronous = FULL");
    run(sqlite, "PRAGMA mmap_size = 17179869184");
    sqlite->insert = prepared(sqlite, "INSERT INTO rows VALUES (?, ?)");
    sqlite->select = prepared(sqlite, "SELECT row FROM rows WHERE id = ?");
    return sqlite;
}

static void sqlite_put(void *store, const uint64_t *ids, const float *rows, size_t n)
{
    struct sqlite *sqlite = store;
    int bytes = (int)sqlite->row_bytes;
    if (!sqlite->in_transaction)
        run(sqlite, "BEGIN");
    sqlite->in_transaction = 1;
    for (size_t row = 0; row < n; row++) {
        const char *blob = (const char *)rows + row * sqlite->row_bytes;
        sqlite3_bind_int64(sqlite->insert, 1, (sqlite3_int64)ids[row]);
        sqlite3_bind_blob(sqlite->insert, 2, blob, bytes, SQLITE_STATIC);
        check(sqlite, "INSERT", sqlite3_step(sqlite->insert), SQLITE_DONE);
        sqlite3_reset(sqlite->insert);
    }
}

static void sqlite_commit(void *store)
{
    struct sqlite *sqlite = store;
    if (sqlite->in_transaction)
        run(sqlite, "COMMIT");
    sqlite->in_transaction = 0;
}

static void sqlite_get(void *store, uint64_t id, float *row)
{
    struct sqlite *sqlite = store;
    sqlite3_bind_int64(sqlite->select, 1, (sqlite3_int64)id);
    check(sqlite, "SELECT", sqlite3_step(sqlite->select), SQLITE_ROW);
    if ((size_t)sqlite3_column_bytes(sqlite->select, 0) != sqlite->row_bytes)
        die("SELECT", "a row of another size");
    memcpy(row, sqlite3_column_blob(sqlite->select, 0), sqlite->row_bytes);
    sqlite3_reset(sqlite->select);
}

static void sqlite_close(void *store)
{
    struct sqlite *sqlite = store;
    sqlite_commit(sqlite);
    sqlite3_finalize(sqlite->insert);
    sqlite3_finalize(sqlite->select);
    check(sqlite, "sqlite3_close", sqlite3_close(sqlite->db), SQLITE_OK);
    free(sqlite);
}

const struct engine engine_sqlite = {
    "sqlite", "write-ahead log, synchronous = FULL", sqlite_open, sqlite_put, sqlite_commit, sqlite_get, sqlite_close,
};
