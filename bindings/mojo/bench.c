/* The C side of bench.mojo: the same gets, one call each. */
#include <omen.h>

/* Gets the vector of each of `n` ids in turn into `out`, `float[dim]`; returns how many calls failed. */
uint64_t bench_gets(const omen_store *store, const uint64_t *ids, size_t n, float *out)
{
    uint64_t failed = 0;
    for (size_t i = 0; i < n; i++) failed += omen_store_get(store, ids + i, 1, out, NULL) != OMEN_OK;
    return failed;
}
