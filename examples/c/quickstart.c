/* libomen in one page: open, insert, compress, get, search, delete.
 *     cc quickstart.c -I../../include -L../../target/release -lomen -o quickstart
 *     LD_LIBRARY_PATH=../../target/release ./quickstart /tmp/quickstart.omen */
#include <omen.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIM = 64, N = 20000, K = 3 };

static float vectors[N][DIM];

/* Each call tells what became of it, and the last message has the numbers. */
static void must(int32_t status, const char *what)
{
    if (status != OMEN_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, omen_status_name(status), omen_last_message());
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    omen_store *store;
    omen_compress_options options;
    omen_compress_report report;
    uint64_t first, id, deleted, near_ids[K];
    float vector[DIM], distances[K];
    int32_t status;
    int i, j;

    for (i = 0; i < N; i++)
        for (j = 0; j < DIM; j++)
            vectors[i][j] = (float)((i % 97) * (j + 1) % 31 + rand() % 5);

    must(omen_store_open(argc > 1 ? argv[1] : "quickstart.omen", DIM, NULL, &store), "open");
    must(omen_store_insert(store, NULL, vectors[0], N, &first), "insert"); /* ids first, first + 1, ... */
    must(omen_store_commit(store), "commit");                              /* survives a crash from here on */

    omen_compress_options_init(&options);
    options.ratio = 8;                    /* an eighth of the bytes, all files counted */
    report.struct_size = sizeof report;
    must(omen_store_compress(store, &options, &report), "compress");
    printf("%.1f times smaller, relative error %.4f\n", report.ratio, report.relative_mse);

    id = first + 7;
    must(omen_store_get(store, &id, 1, vector, NULL), "get");
    printf("inserted %g, reads %g\n", vectors[7][0], vector[0]);
    must(omen_store_search(store, vector, 1, K, NULL, near_ids, distances), "search");
    printf("nearest: %s\n", near_ids[0] == id ? "itself" : "another");

    must(omen_store_delete(store, &id, 1, &deleted), "delete");
    status = omen_store_get(store, &id, 1, vector, NULL); /* an error, as expected: nothing is written to vector */
    printf("%s\n", omen_status_name(status));
    must(omen_store_close(store), "close"); /* commits what was not */
    return status == OMEN_NOT_FOUND ? EXIT_SUCCESS : EXIT_FAILURE;
}
