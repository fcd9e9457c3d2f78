/* Trap 29: a panic in a release build stops at the C ABI. It returns OMEN_PANIC, then OMEN_POISONED for writes,
 * while reads go on. Other stores are unaffected, and closing and opening again recovers what was committed. Linked
 * to a library with the feature `failpoints`, run with OMEN_FAILPOINT=panic. argv[1] is an empty directory to work
 * in. */
#include "check.h"

enum { DIM = 4 };

int main(int argc, char **argv)
{
    static const float rows[2][DIM] = {{1, 2, 3, 4}, {5, 6, 7, 8}};
    omen_store *store, *other;
    uint64_t id = 0, n = 0;
    float row[DIM] = {7, 7, 7, 7};
    uint8_t found = 0;

    ASSERT(argc == 2);
    OK(omen_store_open(in(argv[1], "store"), DIM, NULL, &store));
    OK(omen_store_open(in(argv[1], "other"), DIM, NULL, &other));
    OK(omen_store_insert(store, NULL, rows[0], 2, NULL));
    OK(omen_store_commit(store));

    EXPECT(omen_store_get(store, &id, 1, row, NULL), OMEN_PANIC, "injected by OMEN_FAILPOINT at src/ffi/read.rs");
    ASSERT(row[0] == 7);
    EXPECT(omen_store_insert(store, NULL, rows[0], 1, NULL), OMEN_POISONED, "failpoint");
    EXPECT(omen_store_upsert(store, &id, rows[1], 1), OMEN_POISONED, "failpoint");
    EXPECT(omen_store_delete(store, &id, 1, &n), OMEN_POISONED, "failpoint");
    EXPECT(omen_store_commit(store), OMEN_POISONED, "failpoint");
    EXPECT(omen_store_compact(store, NULL), OMEN_POISONED, "failpoint");

    OK(omen_store_get(store, &id, 1, row, NULL));
    ASSERT(memcmp(row, rows[0], sizeof row) == 0);
    OK(omen_store_contains(store, &id, 1, &found));
    OK(omen_store_count(store, &n));
    ASSERT(found == 1 && n == 2);
    OK(omen_store_insert(other, NULL, rows[0], 2, NULL));
    OK(omen_store_close(other));

    omen_store_close(store); /* gone, whatever it says */
    EXPECT(omen_store_count(store, &n), OMEN_INVALID_HANDLE, "the store is closed");
    OK(omen_store_open(in(argv[1], "store"), DIM, NULL, &store));
    OK(omen_store_get(store, &id, 1, row, NULL));
    ASSERT(memcmp(row, rows[0], sizeof row) == 0);
    OK(omen_store_insert(store, NULL, rows[0], 1, NULL));
    OK(omen_store_close(store));
    puts("panic: stopped");
    return EXIT_SUCCESS;
}
