/* Reads a .bvecs file into floats, once, and makes the ids. */
#include "workload.h"
#include "measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SplitMix64: a bijection of the counter, so distinct counters give distinct ids. */
static uint64_t mixed(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static void load_rows(struct workload *load, FILE *file, const char *path)
{
    unsigned char head[4];
    if (fread(head, 1, 4, file) != 4)
        die(path, "no row");
    load->dim = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    if (load->dim == 0 || load->dim > 65536 || fseek(file, 0, SEEK_END) != 0)
        die(path, "not a .bvecs file");
    size_t row_bytes = 4 + load->dim;
    load->base_n = (size_t)ftell(file) / row_bytes;
    load->rows = need(load->base_n * load->dim * sizeof(float));
    unsigned char *row = need(row_bytes);
    rewind(file);
    for (size_t i = 0; i < load->base_n; i++) {
        if (fread(row, 1, row_bytes, file) != row_bytes || memcmp(row, head, 4) != 0)
            die(path, "a row of another dim, or cut short");
        for (size_t d = 0; d < load->dim; d++)
            load->rows[i * load->dim + d] = (float)row[4 + d];
    }
    free(row);
}

/* Extends the base_n rows of the file to n rows. The new rows repeat those of the file, each number moved by at most 1, which
   is the step of the numbers in the file. */
static void add_moved_rows(struct workload *load, uint64_t n, uint64_t seed)
{
    uint64_t numbers = n * load->dim, given = load->base_n * load->dim;
    float *rows = realloc(load->rows, numbers * sizeof *rows);
    if (rows == NULL)
        die("realloc", strerror(errno));
    for (uint64_t i = given; i < numbers; i++)
        rows[i] = rows[i % given] + (float)((double)mixed(seed + i) * 0x1p-63 - 1);
    load->rows = rows;
    load->base_n = n;
}

struct workload workload_load(const struct run *run)
{
    struct workload load;
    FILE *file = fopen(run->base, "rb");
    if (file == NULL)
        die(run->base, strerror(errno));
    load_rows(&load, file, run->base);
    fclose(file);
    if (run->distinct && run->n > load.base_n)
        add_moved_rows(&load, run->n, run->seed);
    load.ids = need(run->n * sizeof *load.ids);
    for (uint64_t i = 0; i < run->n; i++)
        load.ids[i] = run->random_ids ? mixed(run->seed + i) : i;
    return load;
}

const float *workload_row(const struct workload *load, uint64_t i)
{
    return load->rows + (i % load->base_n) * load->dim;
}

uint64_t *random_rows(const struct run *run)
{
    uint64_t *picked = need(run->gets * sizeof *picked);
    for (uint64_t i = 0; i < run->gets; i++)
        picked[i] = mixed(~run->seed + i) % run->n;
    return picked;
}
