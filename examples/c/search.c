/* Searches compressed vectors: many queries in one call, a filter of ids, and the recall.
 *     cc search.c -I../../include -L../../target/release -lomen -o search
 *     LD_LIBRARY_PATH=../../target/release ./search /tmp/search.omen */
#include <omen.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIM = 64, N = 5000, QUERIES = 50, K = 10, ALLOWED = 200 };

static float vectors[N][DIM], queries[QUERIES][DIM];
static uint64_t ids[QUERIES][K], exact_ids[QUERIES][K], allowed[ALLOWED];
static float distances[QUERIES][K];

static void must(int32_t status, const char *what)
{
    if (status != OMEN_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, omen_status_name(status), omen_last_message());
        exit(EXIT_FAILURE);
    }
}

/* A point near one of 100 centres, in a space of fewer dims than DIM, as real data often is. */
static void fill(float *vector, int centre)
{
    float u = (float)(rand() % 1000), v = (float)(rand() % 1000);
    int j;
    for (j = 0; j < DIM; j++)
        vector[j] = (float)((centre * 37 + j * centre * 11) % 101) + (u * (float)(j * 7 % 13) + v * (float)(j * 5 % 11)) / 100;
}

/* The share of the exact neighbours that were found. */
static double recall(void)
{
    int i, j, l, found = 0;
    for (i = 0; i < QUERIES; i++)
        for (j = 0; j < K; j++)
            for (l = 0; l < K; l++)
                found += exact_ids[i][l] == ids[i][j];
    return (double)found / (QUERIES * K);
}

int main(int argc, char **argv)
{
    omen_store *store;
    omen_search_options options;
    omen_compress_report report;
    double share;
    int i, j, strangers = 0;

    for (i = 0; i < N; i++) fill(vectors[i], i % 100);
    for (i = 0; i < QUERIES; i++) fill(queries[i], i);
    must(omen_store_open(argc > 1 ? argv[1] : "search.omen", DIM, NULL, &store), "open");
    must(omen_store_insert(store, NULL, vectors[0], N, NULL), "insert");

    /* Vectors as floats: every distance is computed exactly. The other searches are compared with this one. */
    must(omen_store_search(store, queries[0], QUERIES, K, NULL, exact_ids[0], distances[0]), "search raw");

    /* A sixteenth of the bytes: the search scores the codes without decoding them. */
    report.struct_size = sizeof report;
    must(omen_store_compress(store, NULL, &report), "compress");
    must(omen_store_search(store, queries[0], QUERIES, K, NULL, ids[0], distances[0]), "search codes");
    share = recall();
    printf("recall@%d over codes: %.2f\n", (int)K, share);

    /* A filter: only these ids may be found. Their order does not matter. */
    for (i = 0; i < ALLOWED; i++) allowed[i] = (uint64_t)((i * 7919) % N);
    omen_search_options_init(&options);
    options.allow_ids = allowed;
    options.allow_n = ALLOWED;
    must(omen_store_search(store, queries[0], QUERIES, K, &options, ids[0], distances[0]), "search with a filter");
    for (i = 0; i < QUERIES; i++) {
        for (j = 0; j < K; j++) {
            int at = 0;
            while (at < ALLOWED && allowed[at] != ids[i][j]) at++;
            strangers += at == ALLOWED;
        }
    }
    printf("ids that were not allowed: %d\n", strangers);
    must(omen_store_close(store), "close");
    return share > 0.5 && strangers == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
