/* One interface over every measured store: each runs the same calls, in the same order, on the same rows. */
#ifndef PEERS_ENGINE_H
#define PEERS_ENGINE_H

#include <stddef.h>
#include <stdint.h>

/* How a store is opened. */
struct opening {
    const char *dir;   /* exists; empty when `create` is set */
    size_t dim;
    int create;
    int ascending;     /* ids will come in ascending order, so an engine may use its append mode */
};

/* An engine. It ends the program if a call fails, because a benchmark with errors is worth nothing. */
struct engine {
    const char *name;
    const char *durable;   /* what a commit does */
    void *(*open)(const struct opening *opening);
    /* ids: [n], rows: [n][dim]; one call of the engine if it takes several rows, else a loop */
    void (*put)(void *store, const uint64_t *ids, const float *rows, size_t n);
    /* durable when it returns */
    void (*commit)(void *store);
    /* row: [dim], a copy that belongs to the caller */
    void (*get)(void *store, uint64_t id, float *row);
    void (*close)(void *store);
};

extern const struct engine engine_raw;
extern const struct engine engine_raw_early;
extern const struct engine engine_omen;
#ifdef HAVE_LMDB
extern const struct engine engine_lmdb;
#endif
#ifdef HAVE_SQLITE
extern const struct engine engine_sqlite;
#endif

#endif
