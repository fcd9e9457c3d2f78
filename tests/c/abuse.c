/* Trap 29: two stores at once, and NULL, 0, huge, misaligned, stale and invented arguments. Each has its status and
 * a message with numbers; none crashes, and each leaves the store as it was. argv[1] is an empty directory to work
 * in. */
#include "check.h"

enum { D4 = 4, D7 = 7 };

static const float ROWS4[3][D4] = {{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}};
static const float ROWS7[2][D7] = {{1, 1, 1, 1, 1, 1, 1}, {2, 2, 2, 2, 2, 2, 2}};

static omen_store *wild(uint64_t value) { return (omen_store *)(uintptr_t)value; }

static uint64_t count(const omen_store *store)
{
    uint64_t n = 0;
    OK(omen_store_count(store, &n));
    return n;
}

static void library(void)
{
    static const int32_t known[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 20, 21, 22, 23, 30, 31, 32, 40, 41, 42};
    static const int32_t unknown[] = {-1, 13, 19, 24, 29, 33, 39, 43, INT32_MAX, INT32_MIN};
    size_t i;
    ASSERT(strcmp(omen_version(), VERSION) == 0);
    ASSERT(omen_abi_version() == OMEN_ABI_VERSION);
    ASSERT(omen_last_message() != NULL && omen_last_message()[0] == '\0');
    for (i = 0; i < COUNT(known); i++)
        ASSERT(strncmp(omen_status_name(known[i]), "OMEN_", 5) == 0 && omen_status_name(known[i])[5] != '?');
    for (i = 0; i < COUNT(unknown); i++)
        ASSERT(strcmp(omen_status_name(unknown[i]), "OMEN_?") == 0);
    ASSERT(strcmp(omen_status_name(OMEN_NOT_FOUND), "OMEN_NOT_FOUND") == 0);
    ASSERT(OMEN_NO_ID == UINT64_MAX);
    omen_store_options_init(NULL);
    omen_compress_options_init(NULL);
    omen_search_options_init(NULL);
    omen_work_options_init(NULL);
}

/* Every function on one handle that is not open. */
static void each_refuses(omen_store *store, int32_t status, const char *says)
{
    uint64_t id = 1, number = 7;
    size_t n = 7;
    float row[D4] = {7, 7, 7, 7};
    uint8_t found = 7;
    omen_compress_report compressed = {sizeof compressed, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
    struct omen_store_stats stats = {sizeof stats, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
    omen_verify_report verified = {sizeof verified, 7, 7, 7, 7};
    ASSERT(omen_store_dim(store) == 0);
    EXPECT(omen_store_count(store, &number), status, says);
    EXPECT(omen_store_insert(store, &id, row, 1, &number), status, says);
    EXPECT(omen_store_upsert(store, &id, row, 1), status, says);
    EXPECT(omen_store_delete(store, &id, 1, &number), status, says);
    EXPECT(omen_store_commit(store), status, says);
    EXPECT(omen_store_get(store, &id, 1, row, &found), status, says);
    EXPECT(omen_store_contains(store, &id, 1, &found), status, says);
    EXPECT(omen_store_scan(store, &number, 1, &id, row, &n), status, says);
    EXPECT(omen_store_compress(store, NULL, &compressed), status, says);
    EXPECT(omen_store_search(store, row, 1, 1, NULL, &id, row), status, says);
    EXPECT(omen_store_stats(store, &stats), status, says);
    EXPECT(omen_store_verify(store, NULL, &verified), status, says);
    EXPECT(omen_store_compact(store, NULL), status, says);
    EXPECT(omen_store_backup(store, "nowhere", NULL), status, says);
    EXPECT(omen_store_refresh(store), status, says);
    ASSERT(id == 1 && number == 7 && n == 7 && row[0] == 7 && found == 7);
    ASSERT(compressed.vectors == 7 && stats.vectors == 7 && verified.files == 7);
    EXPECT(omen_store_insert(store, NULL, NULL, 0, NULL), status, says);
    EXPECT(omen_store_get(store, NULL, 0, NULL, NULL), status, says);
}

static void handles(const char *directory)
{
    omen_store *store, *again;
    int local = 0, bit;
    uint64_t i, noise = 88172645463325252u, n;
    static const uint64_t invented[] = {1, 2, 8, 0x1000, 0xdeadbeef, UINT32_MAX, UINT64_MAX, UINT64_MAX - 1, 1u << 31};

    each_refuses(NULL, OMEN_NULL_POINTER, "store is NULL");
    OK(omen_store_close(NULL));
    for (i = 0; i < COUNT(invented); i++) {
        each_refuses(wild(invented[i]), OMEN_INVALID_HANDLE, "0x");
        EXPECT(omen_store_close(wild(invented[i])), OMEN_INVALID_HANDLE, "0x");
    }
    OK(omen_store_open(in(directory, "handles"), D4, NULL, &store));
    each_refuses((omen_store *)(void *)&local, OMEN_INVALID_HANDLE, "0x");
    each_refuses((omen_store *)(void *)&store, OMEN_INVALID_HANDLE, "0x");
    for (bit = 0; bit < (int)sizeof(uintptr_t) * 8; bit++) /* every neighbour of a handle that is open */
        EXPECT(omen_store_count(wild((uintptr_t)store ^ ((uintptr_t)1 << bit)), &n), OMEN_INVALID_HANDLE, "0x");
    for (i = 0; i < 100000; i++) {
        noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
        EXPECT(omen_store_count(wild(noise), &n), OMEN_INVALID_HANDLE, "0x");
    }
    OK(omen_store_close(store));
    each_refuses(store, OMEN_INVALID_HANDLE, "the store is closed");
    EXPECT(omen_store_close(store), OMEN_INVALID_HANDLE, "the store is closed");
    for (i = 0; i < 20; i++) { /* the slot is used again, the handle is not */
        OK(omen_store_open(in(directory, "handles"), 0, NULL, &again));
        ASSERT(again != store);
        EXPECT(omen_store_count(store, &n), OMEN_INVALID_HANDLE, "the store is closed");
        EXPECT(omen_store_close(store), OMEN_INVALID_HANDLE, "the store is closed");
        OK(omen_store_close(again));
    }
}

static void two_stores(const char *directory)
{
    omen_store_options options;
    omen_store *four, *seven, *third = wild(7);
    uint64_t ids4[3] = {0, UINT64_MAX - 1, 42}, ids7[2] = {42, 43}, deleted, first;
    float row4[D4], row7[D7], distance;
    uint64_t id;

    omen_store_options_init(&options);
    options.metric = OMEN_INNER_PRODUCT;
    OK(omen_store_open(in(directory, "four"), D4, NULL, &four));
    OK(omen_store_open(in(directory, "seven"), D7, &options, &seven));
    ASSERT(four != seven && omen_store_dim(four) == D4 && omen_store_dim(seven) == D7);
    OK(omen_store_insert(four, ids4, ROWS4[0], 3, &first));
    ASSERT(first == 0);
    OK(omen_store_insert(seven, ids7, ROWS7[0], 2, NULL));
    ASSERT(count(four) == 3 && count(seven) == 2);
    OK(omen_store_get(four, &ids4[2], 1, row4, NULL));
    OK(omen_store_get(seven, &ids7[0], 1, row7, NULL));
    ASSERT(memcmp(row4, ROWS4[2], sizeof row4) == 0 && memcmp(row7, ROWS7[0], sizeof row7) == 0);
    OK(omen_store_search(seven, row7, 1, 1, NULL, &id, &distance));
    ASSERT(id == 43 && distance == -14);
    OK(omen_store_search(four, row4, 1, 1, NULL, &id, &distance));
    ASSERT(id == 42 && distance == 0);
    OK(omen_store_delete(four, &ids4[2], 1, &deleted));
    ASSERT(deleted == 1 && count(four) == 2 && count(seven) == 2);
    EXPECT(omen_store_get(four, &ids4[2], 1, row4, NULL), OMEN_NOT_FOUND, "42");
    EXPECT(omen_store_open(in(directory, "four"), D4, NULL, &third), OMEN_LOCKED, "four");
    ASSERT(third == wild(7));
    OK(omen_store_close(four));
    OK(omen_store_get(seven, &ids7[1], 1, row7, NULL));
    ASSERT(memcmp(row7, ROWS7[1], sizeof row7) == 0);
    OK(omen_store_close(seven));
}

static void arrays(omen_store *store)
{
    static const size_t huge[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 8 + 2, SIZE_MAX / 16 + 2, (size_t)1 << 52};
    uint64_t id = 1, number, position = 0, three[3] = {0, 1, 2}, bytes[5] = {0};
    uint64_t *odd = (uint64_t *)(void *)((char *)bytes + 4);
    float row[D4] = {0}, shifted[D4 + 1] = {0};
    float *askew = (float *)(void *)((char *)shifted + 2);
    uint8_t found;
    size_t i, n;

    /* count 0 never touches a pointer, not even an invented one */
    OK(omen_store_insert(store, NULL, NULL, 0, NULL));
    OK(omen_store_insert(store, (uint64_t *)wild(3), (float *)wild(5), 0, &number));
    OK(omen_store_upsert(store, (uint64_t *)wild(3), (float *)wild(5), 0));
    OK(omen_store_delete(store, (uint64_t *)wild(3), 0, &number));
    ASSERT(number == 0);
    OK(omen_store_get(store, (uint64_t *)wild(3), 0, (float *)wild(5), NULL));
    OK(omen_store_contains(store, (uint64_t *)wild(3), 0, (uint8_t *)wild(5)));
    OK(omen_store_scan(store, &position, 0, (uint64_t *)wild(3), (float *)wild(5), &n));
    ASSERT(n == 0 && position == 0);
    OK(omen_store_search(store, (float *)wild(5), 0, 3, NULL, (uint64_t *)wild(3), (float *)wild(5)));
    OK(omen_store_search(store, (float *)wild(5), 0, SIZE_MAX, NULL, (uint64_t *)wild(3), (float *)wild(5)));
    OK(omen_store_search(store, row, 1, 0, NULL, (uint64_t *)wild(3), (float *)wild(5)));
    ASSERT(count(store) == 3);

    /* NULL where something must be, by name */
    EXPECT(omen_store_count(store, NULL), OMEN_NULL_POINTER, "out_count");
    EXPECT(omen_store_insert(store, &id, NULL, 1, NULL), OMEN_NULL_POINTER, "vectors");
    EXPECT(omen_store_upsert(store, NULL, row, 1), OMEN_NULL_POINTER, "ids");
    EXPECT(omen_store_upsert(store, &id, NULL, 1), OMEN_NULL_POINTER, "vectors");
    EXPECT(omen_store_delete(store, NULL, 1, &number), OMEN_NULL_POINTER, "ids");
    EXPECT(omen_store_delete(store, three, 3, NULL), OMEN_NULL_POINTER, "out_deleted");
    EXPECT(omen_store_get(store, NULL, 1, row, NULL), OMEN_NULL_POINTER, "ids");
    EXPECT(omen_store_get(store, &id, 1, NULL, &found), OMEN_NULL_POINTER, "out_vectors");
    EXPECT(omen_store_contains(store, NULL, 1, &found), OMEN_NULL_POINTER, "ids");
    EXPECT(omen_store_contains(store, &id, 1, NULL), OMEN_NULL_POINTER, "out_found");
    EXPECT(omen_store_scan(store, NULL, 1, &id, row, &n), OMEN_NULL_POINTER, "inout_position");
    EXPECT(omen_store_scan(store, &position, 1, NULL, row, &n), OMEN_NULL_POINTER, "out_ids");
    EXPECT(omen_store_scan(store, &position, 1, &id, row, NULL), OMEN_NULL_POINTER, "out_n");
    EXPECT(omen_store_search(store, NULL, 1, 1, NULL, &id, row), OMEN_NULL_POINTER, "queries");
    EXPECT(omen_store_search(store, row, 1, 1, NULL, NULL, row), OMEN_NULL_POINTER, "out_ids");
    EXPECT(omen_store_search(store, row, 1, 1, NULL, &id, NULL), OMEN_NULL_POINTER, "out_distances");
    EXPECT(omen_store_compress(store, NULL, NULL), OMEN_NULL_POINTER, "out_report");
    EXPECT(omen_store_stats(store, NULL), OMEN_NULL_POINTER, "out_stats");
    EXPECT(omen_store_verify(store, NULL, NULL), OMEN_NULL_POINTER, "out_report");
    EXPECT(omen_store_backup(store, NULL, NULL), OMEN_NULL_POINTER, "path");

    /* counts that no memory holds, with the number */
    for (i = 0; i < COUNT(huge); i++) {
        char says[32];
        snprintf(says, sizeof says, "%zu", huge[i]);
        EXPECT(omen_store_insert(store, NULL, row, huge[i], &number), OMEN_TOO_BIG, says);
        EXPECT(omen_store_insert(store, &id, row, huge[i], &number), OMEN_TOO_BIG, says);
        EXPECT(omen_store_upsert(store, &id, row, huge[i]), OMEN_TOO_BIG, says);
        EXPECT(omen_store_delete(store, &id, huge[i], &number), OMEN_TOO_BIG, says);
        EXPECT(omen_store_get(store, &id, huge[i], row, NULL), OMEN_TOO_BIG, says);
        EXPECT(omen_store_contains(store, &id, huge[i], &found), OMEN_TOO_BIG, says);
        EXPECT(omen_store_scan(store, &position, huge[i], &id, row, &n), OMEN_TOO_BIG, says);
        EXPECT(omen_store_search(store, row, huge[i], 1, NULL, &id, row), OMEN_TOO_BIG, says);
        EXPECT(omen_store_search(store, row, 1, huge[i], NULL, &id, row), OMEN_TOO_BIG, says);
    }

    /* floats may lie at any multiple of 4; ids need 8; single values may lie anywhere */
    OK(omen_store_get(store, &id, 1, shifted + 1, NULL));
    EXPECT(omen_store_get(store, &id, 1, askew, NULL), OMEN_INVALID_ARGUMENT, "multiple of 4");
    EXPECT(omen_store_insert(store, NULL, askew, 1, NULL), OMEN_INVALID_ARGUMENT, "multiple of 4");
    EXPECT(omen_store_search(store, askew, 1, 1, NULL, &id, row), OMEN_INVALID_ARGUMENT, "multiple of 4");
    EXPECT(omen_store_get(store, odd, 1, row, NULL), OMEN_INVALID_ARGUMENT, "multiple of 8");
    EXPECT(omen_store_delete(store, odd, 1, &number), OMEN_INVALID_ARGUMENT, "multiple of 8");
    EXPECT(omen_store_scan(store, &position, 1, odd, NULL, &n), OMEN_INVALID_ARGUMENT, "multiple of 8");
    OK(omen_store_count(store, (uint64_t *)(void *)((char *)bytes + 1)));
    memcpy(&number, (char *)bytes + 1, sizeof number);
    ASSERT(number == 3 && count(store) == 3);
}

static void values(omen_store *store)
{
    float rows[3][D4] = {{1, 2, 3, 4}, {1, 2, 3, 4}, {1, 2, 3, 4}}, out[2][D4] = {{7, 7, 7, 7}, {7, 7, 7, 7}};
    static const float zeros[D4] = {0};
    uint64_t fresh[3] = {10, 11, 12}, twice[3] = {10, 11, 10}, taken[3] = {10, 1, 12}, none[3] = {10, OMEN_NO_ID, 12};
    uint64_t mixed[2] = {99, 1}, next, number = 7;
    float bad[3];
    uint8_t found[2] = {7, 7};
    size_t i;

    bad[0] = NAN, bad[1] = INFINITY, bad[2] = -INFINITY;
    OK(omen_store_insert(store, NULL, NULL, 0, &next));
    for (i = 0; i < COUNT(bad); i++) {
        rows[2][3] = bad[i];
        EXPECT(omen_store_insert(store, fresh, rows[0], 3, &number), OMEN_NOT_FINITE, "vector 2, component 3");
        EXPECT(omen_store_insert(store, NULL, rows[0], 3, &number), OMEN_NOT_FINITE, "vector 2, component 3");
        EXPECT(omen_store_upsert(store, fresh, rows[0], 3), OMEN_NOT_FINITE, "vector 2, component 3");
        EXPECT(omen_store_search(store, rows[0], 3, 1, NULL, fresh, out[0]), OMEN_NOT_FINITE, "2");
    }
    rows[2][3] = 4;
    EXPECT(omen_store_insert(store, twice, rows[0], 3, &number), OMEN_DUPLICATE_ID, "10");
    EXPECT(omen_store_upsert(store, twice, rows[0], 3), OMEN_DUPLICATE_ID, "10");
    EXPECT(omen_store_insert(store, taken, rows[0], 3, &number), OMEN_DUPLICATE_ID, "id 1 ");
    EXPECT(omen_store_insert(store, none, rows[0], 3, &number), OMEN_INVALID_ARGUMENT, "18446744073709551615");
    EXPECT(omen_store_upsert(store, none, rows[0], 3), OMEN_INVALID_ARGUMENT, "18446744073709551615");
    EXPECT(omen_store_get(store, mixed, 2, out[0], NULL), OMEN_NOT_FOUND, "99");
    ASSERT(number == 7 && out[0][0] == 7 && out[1][0] == 7 && count(store) == 3);
    OK(omen_store_get(store, mixed, 2, out[0], found));
    ASSERT(found[0] == 0 && found[1] == 1 && memcmp(out[0], zeros, sizeof zeros) == 0);
    ASSERT(memcmp(out[1], ROWS4[1], sizeof out[1]) == 0);
    OK(omen_store_contains(store, mixed, 2, found));
    ASSERT(found[0] == 0 && found[1] == 1);
    OK(omen_store_delete(store, fresh, 3, &number));
    ASSERT(number == 0);
    OK(omen_store_insert(store, NULL, NULL, 0, &number));
    ASSERT(number == next); /* no failed call used up an id */
}

static void scans(omen_store *store)
{
    uint64_t position = 0, id, seen = 0, ids[8];
    float row[D4];
    size_t n = 1;
    while (n > 0) {
        OK(omen_store_scan(store, &position, 1, &id, row, &n));
        if (n > 0) {
            ASSERT(n == 1 && id == seen && memcmp(row, ROWS4[seen], sizeof row) == 0);
            seen++;
        }
    }
    ASSERT(seen == 3);
    OK(omen_store_scan(store, &position, 1, &id, row, &n));
    ASSERT(n == 0);
    position = 1;
    OK(omen_store_scan(store, &position, 8, ids, NULL, &n));
    ASSERT(n == 2 && ids[0] == 1 && ids[1] == 2 && position == 3);
    position = OMEN_NO_ID;
    OK(omen_store_scan(store, &position, 8, ids, NULL, &n));
    ASSERT(n == 0);
}

int main(int argc, char **argv)
{
    omen_store *store;
    uint64_t first;
    ASSERT(argc == 2);
    library();
    handles(argv[1]);
    two_stores(argv[1]);
    OK(omen_store_open(in(argv[1], "arguments"), D4, NULL, &store));
    OK(omen_store_insert(store, NULL, ROWS4[0], 3, &first));
    ASSERT(first == 0);
    arrays(store);
    values(store);
    scans(store);
    OK(omen_store_close(store));
    puts("abuse: refused");
    return EXIT_SUCCESS;
}
