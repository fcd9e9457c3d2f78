/* libomen in one page: open, insert, commit, get, search, compress, reopen, verify, delete. It prints examples/expected.txt.
 *     cc quickstart.c -I../../include -L../../target/release -lomen -o quickstart
 *     LD_LIBRARY_PATH=../../target/release ./quickstart /tmp/quickstart.omen */
#include <omen.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIM = 8, N = 10000, K = 3 };

static float vectors[N][DIM];

/* Each call returns a status. The last message has the details. */
static void must(int32_t status, const char *what)
{
    if (status != OMEN_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, omen_status_name(status), omen_last_message());
        exit(EXIT_FAILURE);
    }
}

static void print_nearest(const omen_store *store, const float *query)
{
    uint64_t ids[K];
    float distances[K];
    int i;
    must(omen_store_search(store, query, 1, K, NULL, ids, distances), "search");
    printf("nearest:");
    for (i = 0; i < K; i++) printf(" %d at %.0f", (int)ids[i], distances[i]); /* squared distances, nearest first */
    printf("\n");
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "quickstart.omen";
    omen_store *store;
    omen_compress_options options;
    omen_compress_report compressed;
    omen_verify_report verified;
    uint64_t first, id, deleted;
    float vector[DIM];
    int32_t status;
    int i, j;

    for (i = 0; i < N; i++)
        for (j = 0; j < DIM; j++)
            vectors[i][j] = (float)((i + 1) * (i + j * j * 997) % 10007 % 100);

    must(omen_store_open(path, DIM, NULL, &store), "open");
    must(omen_store_insert(store, NULL, vectors[0], N, &first), "insert"); /* ids first, first + 1, ... */
    must(omen_store_commit(store), "commit");                              /* survives a crash from here on */
    printf("%d vectors of %d floats, ids %d to %d\n", N, DIM, (int)first, (int)first + N - 1);

    id = first + 42;
    must(omen_store_get(store, &id, 1, vector, NULL), "get");
    printf("vector %d:", (int)id);
    for (j = 0; j < DIM; j++) printf(" %.0f", vector[j]);
    printf("\n");
    print_nearest(store, vector);

    omen_compress_options_init(&options);
    options.ratio = 4;                        /* a quarter of the bytes, all files counted */
    compressed.struct_size = sizeof compressed;
    must(omen_store_compress(store, &options, &compressed), "compress");
    printf("%d bytes as floats, %d compressed, relative error %.6f\n", (int)sizeof vectors, (int)compressed.bytes_after,
           compressed.relative_mse);
    must(omen_store_close(store), "close");   /* commits too */

    must(omen_store_open(path, 0, NULL, &store), "open again"); /* 0: the dim of the store */
    verified.struct_size = sizeof verified;
    must(omen_store_verify(store, NULL, &verified), "verify");
    printf("reopened and verified: %d vectors\n", (int)verified.vectors);
    print_nearest(store, vector);             /* searches the codes */

    must(omen_store_delete(store, &id, 1, &deleted), "delete");
    status = omen_store_get(store, &id, 1, vector, NULL); /* an error, as expected: nothing is written to vector */
    printf("deleted %d, and get says %s\n", (int)deleted, omen_status_name(status));
    must(omen_store_close(store), "close");
    return status == OMEN_NOT_FOUND ? EXIT_SUCCESS : EXIT_FAILURE;
}
