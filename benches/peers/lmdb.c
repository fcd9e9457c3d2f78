/* LMDB: integer keys, one transaction from the first put to the commit, its default (fully durable) sync mode. */
#include "engine.h"
#include "measure.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

/* Address space, not memory: the file grows as pages are used. */
static const size_t MAP_BYTES = (size_t)16 << 30;

struct lmdb {
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *writing;
    MDB_txn *reading;
    size_t row_bytes;
    unsigned put_flags;
};

static void check(const char *what, int status)
{
    if (status != MDB_SUCCESS)
        die(what, mdb_strerror(status));
}

static void *lmdb_open(const struct opening *opening)
{
    struct lmdb *lmdb = need(sizeof *lmdb);
    unsigned flags = MDB_INTEGERKEY | (opening->create ? MDB_CREATE : 0);
    MDB_txn *txn;
    *lmdb = (struct lmdb){
        .row_bytes = opening->dim * sizeof(float),
        .put_flags = opening->ascending ? MDB_APPEND : 0,
    };
    check("mdb_env_create", mdb_env_create(&lmdb->env));
    check("mdb_env_set_mapsize", mdb_env_set_mapsize(lmdb->env, MAP_BYTES));
    check("mdb_env_open", mdb_env_open(lmdb->env, opening->dir, 0, 0600));
    check("mdb_txn_begin", mdb_txn_begin(lmdb->env, NULL, opening->create ? 0 : MDB_RDONLY, &txn));
    check("mdb_dbi_open", mdb_dbi_open(txn, NULL, flags, &lmdb->dbi));
    check("mdb_txn_commit", mdb_txn_commit(txn));
    return lmdb;
}

static void lmdb_put(void *store, const uint64_t *ids, const float *rows, size_t n)
{
    struct lmdb *lmdb = store;
    if (lmdb->writing == NULL)
        check("mdb_txn_begin", mdb_txn_begin(lmdb->env, NULL, 0, &lmdb->writing));
    for (size_t row = 0; row < n; row++) {
        uint64_t id = ids[row];
        MDB_val key = {sizeof id, &id};
        MDB_val value = {lmdb->row_bytes, (char *)rows + row * lmdb->row_bytes};
        check("mdb_put", mdb_put(lmdb->writing, lmdb->dbi, &key, &value, lmdb->put_flags));
    }
}

static void lmdb_commit(void *store)
{
    struct lmdb *lmdb = store;
    if (lmdb->writing != NULL)
        check("mdb_txn_commit", mdb_txn_commit(lmdb->writing));
    lmdb->writing = NULL;
}

static void lmdb_get(void *store, uint64_t id, float *row)
{
    struct lmdb *lmdb = store;
    MDB_val key = {sizeof id, &id};
    MDB_val value;
    if (lmdb->reading == NULL)
        check("mdb_txn_begin", mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &lmdb->reading));
    check("mdb_get", mdb_get(lmdb->reading, lmdb->dbi, &key, &value));
    memcpy(row, value.mv_data, lmdb->row_bytes);
}

static void lmdb_close(void *store)
{
    struct lmdb *lmdb = store;
    lmdb_commit(lmdb);
    if (lmdb->reading != NULL)
        mdb_txn_abort(lmdb->reading);
    mdb_env_close(lmdb->env);
    free(lmdb);
}

const struct engine engine_lmdb = {
    "lmdb", "MDB_APPEND where ids ascend; fdatasync and an O_DSYNC write of the meta page (not in `syncs`)",
    lmdb_open, lmdb_put, lmdb_commit, lmdb_get, lmdb_close,
};
