/* Prints a store's answers bit by bit. They must be the same on every processor, with AVX and without. */
#include "check.h"

enum { DIM = 32, N = 2500, QUERIES = 8, K = 10 };

static float vectors[N][DIM], decoded[N][DIM], distances[QUERIES][K];
static uint64_t ids[N], near_ids[QUERIES][K];

static uint32_t bits(float value)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    return word;
}

static void print_answers(omen_store *store, int exact)
{
    omen_search_options options;
    int i, j;
    omen_search_options_init(&options);
    options.exact = exact;
    OK(omen_store_search(store, vectors[0], QUERIES, K, &options, near_ids[0], distances[0]));
    for (i = 0; i < QUERIES; i++)
        for (j = 0; j < K; j++) printf("%d:%08x ", (int)near_ids[i][j], (unsigned)bits(distances[i][j]));
    printf("\n");
}

static void print_decoded(omen_store *store)
{
    uint32_t sum = 0;
    int i, j;
    OK(omen_store_get(store, ids, N, decoded[0], NULL));
    for (i = 0; i < N; i++)
        for (j = 0; j < DIM; j++) sum = sum * 31 + bits(decoded[i][j]);
    printf("decoded %08x\n", (unsigned)sum);
}

static void tell(const char *path, int32_t metric, double ratio)
{
    omen_store *store;
    omen_store_options options;
    omen_compress_options aim;
    omen_compress_report report;
    omen_store_options_init(&options);
    options.metric = metric;
    OK(omen_store_open(path, DIM, &options, &store));
    OK(omen_store_insert(store, ids, vectors[0], N, NULL));
    print_answers(store, 0);
    omen_compress_options_init(&aim);
    aim.ratio = ratio;
    aim.quality = OMEN_QUALITY_FAST; /* an emulated processor is slow */
    report.struct_size = sizeof report;
    OK(omen_store_compress(store, &aim, &report));
    printf("codec %d, %d bytes, relative error %.17g\n", (int)report.codec, (int)report.bytes_after, report.relative_mse);
    print_decoded(store);
    print_answers(store, 0);
    print_answers(store, 1);
    OK(omen_store_close(store));
}

int main(int argc, char **argv)
{
    const char *names[] = {"l2", "inner_product", "cosine"};
    uint32_t state = 1;
    int i, j;
    ASSERT(argc == 2);
    printf("avx %d\n", __builtin_cpu_supports("avx") != 0);
    for (i = 0; i < N; i++) {
        ids[i] = (uint64_t)i;
        for (j = 0; j < DIM; j++) {
            state = state * 1664525u + 1013904223u;
            vectors[i][j] = (float)((i % 40) * (j + 3) % 23) + (float)(state >> 24) / 256;
        }
    }
    for (i = OMEN_L2; i <= OMEN_COSINE; i++) {
        tell(in(argv[1], names[i]), i, i == OMEN_L2 ? 14 : 4);
    }
    return EXIT_SUCCESS;
}
