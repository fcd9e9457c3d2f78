/* Trap 29: structs of older and newer callers, invalid sizes, options out of range, and a progress function that
 * stops the call. argv[1] is an empty directory to work in. */
#include "check.h"

enum { DIM = 8, N = 2000 };

static float rows[N][DIM];

/* A struct of a later version, with eight members the library does not know. */
struct later {
    omen_store_options known;
    uint64_t unknown[8];
};

static void options_sizes(const char *directory)
{
    static const uint64_t wrong[] = {0, 1, 4, 7, 12, 9, 17, 1025, 1032, 1u << 20, UINT32_MAX, UINT64_MAX,
                                     UINT64_MAX - 7};
    struct later later;
    omen_store *store;
    char bytes[sizeof later + 1];
    size_t i;

    memset(&later, 0, sizeof later);
    for (i = 0; i < COUNT(wrong); i++) {
        char says[32];
        omen_store_options_init(&later.known), later.known.struct_size = wrong[i];
        snprintf(says, sizeof says, "struct_size is %llu", (unsigned long long)wrong[i]);
        EXPECT(omen_store_open(in(directory, "s"), DIM, &later.known, &store), OMEN_INVALID_ARGUMENT, says);
    }
    /* 8 bytes: nothing but defaults, whatever garbage follows */
    memset(&later, 0xff, sizeof later);
    later.known.struct_size = 8;
    OK(omen_store_open(in(directory, "s"), DIM, &later.known, &store));
    OK(omen_store_close(store));
    later.known.struct_size = 16, later.known.metric = OMEN_L2, later.known.sync = OMEN_SYNC_EACH;
    OK(omen_store_open(in(directory, "s"), DIM, &later.known, &store));
    OK(omen_store_close(store));
    later.known.struct_size = 16, later.known.metric = OMEN_COSINE;
    EXPECT(omen_store_open(in(directory, "s"), DIM, &later.known, &store), OMEN_METRIC_MISMATCH, NULL);
    /* longer than known: only if what is not known is zero */
    memset(&later, 0, sizeof later);
    omen_store_options_init(&later.known);
    later.known.struct_size = sizeof later;
    OK(omen_store_open(in(directory, "s"), DIM, &later.known, &store));
    OK(omen_store_close(store));
    memcpy(bytes + 1, &later, sizeof later); /* at any address */
    OK(omen_store_open(in(directory, "s"), DIM, (omen_store_options *)(void *)(bytes + 1), &store));
    OK(omen_store_close(store));
    later.unknown[7] = 1;
    EXPECT(omen_store_open(in(directory, "s"), DIM, &later.known, &store), OMEN_INVALID_ARGUMENT, "byte 80");
}

static void report_sizes(const omen_store *store)
{
    static const uint64_t wrong[] = {0, 4, 12, 1032, UINT64_MAX};
    struct {
        struct omen_store_stats known;
        uint64_t beyond[4];
    } stats;
    omen_verify_report report;
    size_t i;

    for (i = 0; i < COUNT(wrong); i++) {
        stats.known.struct_size = wrong[i];
        EXPECT(omen_store_stats(store, &stats.known), OMEN_INVALID_ARGUMENT, "struct_size");
        report.struct_size = wrong[i];
        EXPECT(omen_store_verify(store, NULL, &report), OMEN_INVALID_ARGUMENT, "struct_size");
    }
    memset(&stats, 0xab, sizeof stats);
    stats.known.struct_size = 16; /* an older caller: nothing behind its bytes is written */
    OK(omen_store_stats(store, &stats.known));
    ASSERT(stats.known.struct_size == 16 && stats.known.vectors == N && stats.known.deleted == 0xababababababababu);
    stats.known.struct_size = 8;
    OK(omen_store_stats(store, &stats.known));
    ASSERT(stats.known.deleted == 0xababababababababu);
    stats.known.struct_size = sizeof stats.known + 16; /* a newer caller: what is not known is zero */
    OK(omen_store_stats(store, &stats.known));
    ASSERT(stats.known.struct_size == sizeof stats.known + 16 && stats.known.dim == DIM);
    ASSERT(stats.known.raw_bytes == (uint64_t)N * DIM * 4 && stats.known.bytes_on_disk > 0);
    ASSERT(stats.beyond[0] == 0 && stats.beyond[1] == 0 && stats.beyond[2] == 0xababababababababu);
    report.struct_size = sizeof report;
    OK(omen_store_verify(store, NULL, &report));
    ASSERT(report.files > 0 && report.blocks > 0 && report.bytes > 0 && report.vectors == N);
}

struct watch {
    omen_store *store;
    uint64_t calls, stop_at, last;
};

/* Reads the store it is called for, as a progress function may. */
static int32_t watched(void *user, uint64_t done, uint64_t total)
{
    struct watch *watch = (struct watch *)user;
    uint64_t id = 0, n = 0;
    float row[DIM];
    omen_compress_report report = {0};
    report.struct_size = sizeof report;
    OK(omen_store_count(watch->store, &n));
    OK(omen_store_get(watch->store, &id, 1, row, NULL));
    ASSERT(n == N && done <= total && done >= watch->last);
    /* They would wait for the compress that waits for them. */
    EXPECT(omen_store_compress(watch->store, NULL, &report), OMEN_INVALID_ARGUMENT, "progress function");
    EXPECT(omen_store_compact(watch->store, NULL), OMEN_INVALID_ARGUMENT, "progress function");
    EXPECT(omen_store_close(watch->store), OMEN_INVALID_ARGUMENT, "progress function");
    watch->last = done;
    return ++watch->calls == watch->stop_at;
}

static void compress(omen_store *store)
{
    const double wrong[] = {-1, 0.999, (double)NAN, (double)INFINITY, -(double)INFINITY};
    struct watch watch = {NULL, 0, 1, 0};
    omen_compress_options options;
    omen_compress_report report;
    struct omen_store_stats before, after;
    uint64_t id = 0;
    float row[DIM];
    size_t i;

    watch.store = store;
    report.struct_size = sizeof report, before.struct_size = sizeof before, after.struct_size = sizeof after;
    omen_compress_options_init(&options);
    ASSERT(options.struct_size == sizeof options && options.ratio == 0 && options.sample == 0 && options.seed == 0);
    ASSERT(options.codec == OMEN_CODEC_AUTO && options.threads == 0 && options.max_relative_mse == 0);
    ASSERT(options.progress == NULL && options.user == NULL);
    for (i = 0; i < COUNT(wrong); i++) {
        options.ratio = wrong[i];
        EXPECT(omen_store_compress(store, &options, &report), OMEN_INVALID_ARGUMENT, "ratio");
    }
    options.ratio = 0, options.max_relative_mse = (double)NAN;
    EXPECT(omen_store_compress(store, &options, &report), OMEN_INVALID_ARGUMENT, "max_relative_mse NaN");
    options.ratio = 2, options.max_relative_mse = 0.1;
    EXPECT(omen_store_compress(store, &options, &report), OMEN_INVALID_ARGUMENT, "give one");
    options.max_relative_mse = 0;
    options.codec = 99;
    EXPECT(omen_store_compress(store, &options, &report), OMEN_INVALID_ARGUMENT,
           "options: codec is 99; expected OMEN_CODEC_AUTO");
    options.codec = OMEN_CODEC_AUTO, options.quality = -1;
    EXPECT(omen_store_compress(store, &options, &report), OMEN_INVALID_ARGUMENT,
           "options: quality is -1; expected OMEN_QUALITY_NORMAL, OMEN_QUALITY_FAST or OMEN_QUALITY_BEST");
    options.quality = OMEN_QUALITY_NORMAL;
    report.struct_size = 0;
    EXPECT(omen_store_compress(store, &options, &report), OMEN_INVALID_ARGUMENT, "struct_size");
    report.struct_size = sizeof report;

    OK(omen_store_stats(store, &before));
    options.progress = watched, options.user = &watch;
    EXPECT(omen_store_compress(store, &options, &report), OMEN_CANCELLED, "cancelled");
    ASSERT(watch.calls == 1);
    OK(omen_store_stats(store, &after));
    ASSERT(after.raw_vectors == before.raw_vectors && after.compressed_vectors == 0 && after.vectors == N);
    OK(omen_store_get(store, &id, 1, row, NULL));
    ASSERT(memcmp(row, rows[0], sizeof row) == 0);

    watch.calls = 0, watch.stop_at = UINT64_MAX, watch.last = 0;
    OK(omen_store_compress(store, &options, &report));
    ASSERT(report.struct_size == sizeof report && report.vectors == N && watch.calls > 0 && report.limit == OMEN_LIMIT_RATIO);
}

static int32_t counts(void *user, uint64_t done, uint64_t total)
{
    ASSERT(done <= total);
    ++*(uint64_t *)user;
    return 0;
}

static int32_t stops(void *user, uint64_t done, uint64_t total)
{
    counts(user, done, total);
    return 1;
}

static void work(omen_store *store)
{
    omen_work_options options;
    omen_verify_report report = {0};
    struct omen_store_stats stats;
    struct watch watch = {NULL, 0, 1, 0};
    uint64_t calls = 0, deleted, id = N - 1;

    omen_work_options_init(&options);
    ASSERT(options.struct_size == sizeof options && options.progress == NULL && options.user == NULL);
    ASSERT(options.threads == 0 && options.reserved == 0);
    report.struct_size = sizeof report, stats.struct_size = sizeof stats;
    options.struct_size = 12;
    EXPECT(omen_store_verify(store, &options, &report), OMEN_INVALID_ARGUMENT, "struct_size is 12");
    EXPECT(omen_store_compact(store, &options), OMEN_INVALID_ARGUMENT, "struct_size is 12");
    EXPECT(omen_store_backup(store, "nowhere", &options), OMEN_INVALID_ARGUMENT, "struct_size is 12");
    options.struct_size = sizeof options, options.threads = 1;

    options.progress = stops, options.user = &calls;
    EXPECT(omen_store_verify(store, &options, &report), OMEN_CANCELLED, "cancelled");
    ASSERT(calls == 1 && report.files == 0);
    OK(omen_store_delete(store, &id, 1, &deleted));
    EXPECT(omen_store_compact(store, &options), OMEN_CANCELLED, "cancelled");
    OK(omen_store_stats(store, &stats));
    ASSERT(calls == 2 && stats.vectors == N - 1 && stats.deleted == 1);

    options.progress = counts;
    OK(omen_store_verify(store, &options, &report));
    ASSERT(calls > 2 && report.vectors == N - 1);
    OK(omen_store_upsert(store, &id, rows[N - 1], 1));
    watch.store = store;
    options.progress = watched, options.user = &watch;
    EXPECT(omen_store_compact(store, &options), OMEN_CANCELLED, "cancelled");
    watch.stop_at = UINT64_MAX, watch.calls = 0, watch.last = 0;
    OK(omen_store_compact(store, &options));
    OK(omen_store_stats(store, &stats));
    ASSERT(watch.calls > 0 && stats.vectors == N && stats.deleted == 0);
}

static void search(const omen_store *store)
{
    enum { BAD = OMEN_INVALID_ARGUMENT };
    const double wrong[] = {-0.1, 1.1, (double)NAN, (double)INFINITY};
    omen_search_options options;
    const double too_small[] = {-1e-300, -1, (double)NAN, -(double)INFINITY};
    uint64_t allowed[3] = {5, 3, 999999}, denied[3] = {5, 999998, 5}, ids[2][4];
    float distances[2][4];
    size_t i;

    omen_search_options_init(&options);
    ASSERT(options.struct_size == sizeof options && options.rerank == 0 && options.effort == 0 && options.exact == 0);
    ASSERT(options.allow_ids == NULL && options.allow_n == 0 && options.threads == 0);
    ASSERT(options.deny_ids == NULL && options.deny_n == 0 && options.max_distance == (double)INFINITY);
    for (i = 0; i < COUNT(too_small); i++) {
        options.max_distance = too_small[i];
        EXPECT(omen_store_search(store, rows[0], 2, 4, &options, ids[0], distances[0]), BAD, "options: max_distance");
    }
    options.max_distance = (double)INFINITY;
    for (i = 0; i < COUNT(wrong); i++) {
        options.effort = wrong[i];
        EXPECT(omen_store_search(store, rows[0], 2, 4, &options, ids[0], distances[0]), BAD, "effort");
    }
    options.effort = 1;
    options.exact = 2;
    EXPECT(omen_store_search(store, rows[0], 2, 4, &options, ids[0], distances[0]), BAD, "options: exact is 2; expected 0 or 1");
    options.exact = 1;
    options.allow_n = 3;
    EXPECT(omen_store_search(store, rows[0], 2, 4, &options, ids[0], distances[0]), OMEN_NULL_POINTER, "allow_ids");
    options.allow_ids = allowed;
    options.allow_n = UINT64_MAX;
    EXPECT(omen_store_search(store, rows[0], 2, 4, &options, ids[0], distances[0]), OMEN_TOO_BIG, "allow_ids");
    options.allow_n = 3;
    OK(omen_store_search(store, rows[3], 2, 4, &options, ids[0], distances[0]));
    ASSERT(ids[0][0] == 3 && ids[0][1] == 5 && distances[0][0] == 0 && distances[0][0] <= distances[0][1]);
    ASSERT(ids[0][2] == OMEN_NO_ID && ids[1][3] == OMEN_NO_ID && isnan(distances[0][2]) && isnan(distances[1][3]));
    options.deny_n = 3;
    EXPECT(omen_store_search(store, rows[3], 2, 4, &options, ids[0], distances[0]), OMEN_NULL_POINTER, "deny_ids");
    options.deny_ids = denied;
    options.deny_n = (uint64_t)1 << 32;
    EXPECT(omen_store_search(store, rows[3], 2, 4, &options, ids[0], distances[0]), OMEN_TOO_BIG, "deny_ids: 4294967296 ids");
    options.deny_n = 3;
    OK(omen_store_search(store, rows[3], 2, 4, &options, ids[0], distances[0]));
    ASSERT(ids[0][0] == 3 && ids[0][1] == OMEN_NO_ID && ids[1][0] == 3);
    options.allow_n = 0;
    options.max_distance = 0;
    OK(omen_store_search(store, rows[3], 2, 4, &options, ids[0], distances[0]));
    ASSERT(ids[0][0] == 3 && ids[0][1] == OMEN_NO_ID && ids[1][0] == 4 && ids[1][1] == OMEN_NO_ID);
}

int main(int argc, char **argv)
{
    omen_store *store;
    omen_compress_report report;
    int i, j;
    ASSERT(argc == 2);
    for (i = 0; i < N; i++)
        for (j = 0; j < DIM; j++)
            rows[i][j] = (float)((i * 31 + j * 17) % 101) + (float)i / N;
    options_sizes(argv[1]);
    OK(omen_store_open(in(argv[1], "store"), DIM, NULL, &store));
    report.struct_size = sizeof report;
    EXPECT(omen_store_compress(store, NULL, &report), OMEN_TOO_FEW_VECTORS, "0 vectors");
    OK(omen_store_insert(store, NULL, rows[0], N, NULL));
    report_sizes(store);
    search(store);
    work(store);
    compress(store);
    OK(omen_store_close(store));
    puts("structs: refused");
    return EXIT_SUCCESS;
}
