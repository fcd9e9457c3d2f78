/* The rows and ids of a run: made before the clock starts, the same for every engine. */
#ifndef PEERS_WORKLOAD_H
#define PEERS_WORKLOAD_H

#include "engine.h"

/* The command line: `peers ENGINE COMMAND key=value ...`; main() says what the keys mean. */
struct run {
    const struct engine *engine;
    const char *dir, *base;
    uint64_t n, call, commit_every, gets, seed;
    int random_ids, distinct, memory, cold, verify;
    double ratio;
    uint64_t sample, threads;
};

struct workload {
    float *rows;        /* [base_n][dim]; vector i of the run is row i % base_n */
    size_t base_n, dim;
    uint64_t *ids;      /* [n] */
};

struct workload workload_load(const struct run *run);

/* Vector `i` of the run: [dim]. */
const float *workload_row(const struct workload *load, uint64_t i);

/* `gets` random row numbers in 0..n, uniform and seeded. */
uint64_t *random_rows(const struct run *run);

/* The command `compress` on a store that `insert` filled and closed: see compress.c. */
void compress(const struct run *run, const struct workload *load);

/* Mean nanoseconds of one get, over `gets` random ids, without a clock inside the loop. */
double mean_get_ns(const struct run *run, const struct workload *load, void *store);

#endif
