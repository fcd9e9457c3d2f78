/* libomen, used through its C header and shared library, as by any program. */
#include "engine.h"
#include "measure.h"

#include <omen.h>

static void check(const char *what, int32_t status)
{
    if (status != OMEN_OK)
        die(what, omen_last_message());
}

static void *omen_engine_open(const struct opening *opening)
{
    omen_store_options options;
    omen_store *store;
    omen_store_options_init(&options);
    options.mode = opening->create ? OMEN_CREATE_NEW : OMEN_READ_WRITE;
    options.sync = OMEN_SYNC_COMMIT;
    check("omen_store_open", omen_store_open(opening->dir, (uint32_t)opening->dim, &options, &store));
    return store;
}

static void omen_engine_put(void *store, const uint64_t *ids, const float *rows, size_t n)
{
    check("omen_store_insert", omen_store_insert(store, ids, rows, n, NULL));
}

static void omen_engine_commit(void *store)
{
    check("omen_store_commit", omen_store_commit(store));
}

static void omen_engine_get(void *store, uint64_t id, float *row)
{
    check("omen_store_get", omen_store_get(store, &id, 1, row, NULL));
}

static void omen_engine_close(void *store)
{
    check("omen_store_close", omen_store_close(store));
}

const struct engine engine_omen = {
    "omen",          "OMEN_SYNC_COMMIT",
    omen_engine_open, omen_engine_put, omen_engine_commit, omen_engine_get, omen_engine_close,
};
