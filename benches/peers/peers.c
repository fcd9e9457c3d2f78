/* Times one store on one workload and prints what it measured as one line of JSON.
 *
 *     peers ENGINE insert   dir=D base=B.bvecs n=N [call=1000] [commit_every=N] [memory=0|1]
 *     peers ENGINE get      dir=D base=B.bvecs n=N [gets=0] [cold=0|1] [verify=0|1]
 *     peers omen   compress dir=D base=B.bvecs n=N [gets=0] [ratio=16] [sample=0] [threads=0] [memory=0|1]
 *
 * and with each [random_ids=0|1] [distinct=0|1] [seed=20240601]. If n is larger than the file, its rows are repeated; with
 * `distinct` the repeated rows are moved a little, so that no two are the same.
 *
 * `insert` fills an empty directory with n vectors, in calls of `call`, with a commit after every `commit_every`. It times
 * the span from open to the last commit, and separately close. `get` opens the store of an earlier process, times the span
 * from open to the first get, reads every vector and compares it bit for bit, then times random gets while the pages are
 * still cached. A process makes one run only, so that no run profits from the caches of another. benches/peers/table.py
 * runs the engines in turn and makes the table. */
#define _GNU_SOURCE
#include "engine.h"
#include "measure.h"
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct opening opening_of(const struct run *run, const struct workload *load, int create)
{
    return (struct opening){run->dir, load->dim, create, !run->random_ids};
}

static uint64_t smallest(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Inserts every vector. Returns the largest private memory seen meanwhile, or 0 without `memory`: reading it takes time. */
static uint64_t put_all(const struct run *run, const struct workload *load, void *store)
{
    uint64_t peak = 0;
    for (uint64_t i = 0; i < run->n;) {
        uint64_t before_commit = run->commit_every - i % run->commit_every;
        uint64_t before_wrap = load->base_n - i % load->base_n;
        uint64_t part = smallest(run->call, before_commit, before_wrap);
        part = part < run->n - i ? part : run->n - i;
        run->engine->put(store, load->ids + i, workload_row(load, i), part);
        i += part;
        if (run->memory) {
            uint64_t bytes = private_bytes();
            peak = bytes > peak ? bytes : peak;
        }
        if (i % run->commit_every == 0 || i == run->n)
            run->engine->commit(store);
    }
    return peak;
}

static void insert(const struct run *run, const struct workload *load)
{
    struct opening opening = opening_of(run, load, 1);
    warm_pages(run->dir, 2 * run->n * load->dim * sizeof(float));
    sync();   /* dirty pages of other programs must not be written during this run */
    uint64_t memory_before = private_bytes(), syncs_before = sync_calls();
    double start = now();
    void *store = run->engine->open(&opening);
    uint64_t peak = put_all(run, load, store);
    double committed = now();
    uint64_t syncs = sync_calls() - syncs_before;
    run->engine->close(store);
    double closed = now();
    struct directory_bytes bytes = directory_bytes(run->dir);
    printf("{\"n\": %llu, \"dim\": %zu, \"seconds\": %.9f, \"close_seconds\": %.9f, \"syncs\": %llu, "
           "\"close_syncs\": %llu, \"private_growth\": %lld, \"apparent\": %llu, \"allocated\": %llu, "
           "\"files\": %llu}\n",
           (unsigned long long)run->n, load->dim, committed - start, closed - committed, (unsigned long long)syncs,
           (unsigned long long)(sync_calls() - syncs_before - syncs),
           peak ? (long long)peak - (long long)memory_before : 0, (unsigned long long)bytes.apparent,
           (unsigned long long)bytes.allocated, (unsigned long long)bytes.files);
}

static void verify_all(const struct run *run, const struct workload *load, void *store)
{
    float *row = need(load->dim * sizeof *row);
    for (uint64_t i = 0; i < run->n; i++) {
        run->engine->get(store, load->ids[i], row);
        if (memcmp(row, workload_row(load, i), load->dim * sizeof *row) != 0)
            die(run->engine->name, "a vector came back changed");
    }
    free(row);
}

double mean_get_ns(const struct run *run, const struct workload *load, void *store)
{
    uint64_t *picked = random_rows(run);
    float *row = need(load->dim * sizeof *row);
    volatile float used = 0;
    double start = now();
    for (uint64_t i = 0; i < run->gets; i++) {
        run->engine->get(store, load->ids[picked[i]], row);
        used = used + row[3 % load->dim];
    }
    double seconds = now() - start;
    free(row);
    free(picked);
    return run->gets ? seconds * 1e9 / (double)run->gets : 0;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Times each of the same gets by itself, for the spread and not for the mean: the figures include the cost of the clock. */
static void get_spread_ns(const struct run *run, const struct workload *load, void *store, double *p50, double *p99)
{
    uint64_t *picked = random_rows(run);
    double *took = need((run->gets + 1) * sizeof *took);
    float *row = need(load->dim * sizeof *row);
    for (uint64_t i = 0; i < run->gets; i++) {
        double start = now();
        run->engine->get(store, load->ids[picked[i]], row);
        took[i] = (now() - start) * 1e9;
    }
    qsort(took, run->gets, sizeof *took, ascending);
    *p50 = run->gets ? took[run->gets / 2] : 0;
    *p99 = run->gets ? took[run->gets * 99 / 100] : 0;
    free(row);
    free(took);
    free(picked);
}

static void get(const struct run *run, const struct workload *load)
{
    struct opening opening = opening_of(run, load, 0);
    float *row = need(load->dim * sizeof *row);
    uint64_t first = run->n / 2;
    double p50, p99;
    if (run->cold)
        drop_cached_pages(run->dir);
    double start = now();
    void *store = run->engine->open(&opening);
    run->engine->get(store, load->ids[first], row);
    double first_get = now() - start;
    if (memcmp(row, workload_row(load, first), load->dim * sizeof *row) != 0)
        die(run->engine->name, "the first vector came back changed");
    if (run->verify)
        verify_all(run, load, store);
    double mean = mean_get_ns(run, load, store);
    get_spread_ns(run, load, store, &p50, &p99);
    run->engine->close(store);
    free(row);
    printf("{\"n\": %llu, \"open_first_get_us\": %.3f, \"get_ns\": %.2f, \"get_p50_ns\": %.1f, \"get_p99_ns\": %.1f, "
           "\"verified\": %llu}\n",
           (unsigned long long)run->n, first_get * 1e6, mean, p50, p99,
           run->verify ? (unsigned long long)run->n : 1ull);
}

static const struct engine *engine_named(const char *name)
{
    static const struct engine *const engines[] = {
        &engine_raw, &engine_raw_early, &engine_omen,
#ifdef HAVE_LMDB
        &engine_lmdb,
#endif
#ifdef HAVE_SQLITE
        &engine_sqlite,
#endif
    };
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    die(name, "no such engine in this build");
}

static uint64_t number(const char *value)
{
    char *end;
    unsigned long long parsed = strtoull(value, &end, 10);
    if (*value == '\0' || *end != '\0')
        die(value, "not a number");
    return parsed;
}

static void set_option(struct run *run, char *option)
{
    char *value = strchr(option, '=');
    if (value == NULL)
        die(option, "expected key=value");
    *value++ = '\0';
    struct { const char *key; uint64_t *number; } numbers[] = {
        {"n", &run->n}, {"call", &run->call}, {"commit_every", &run->commit_every},
        {"gets", &run->gets}, {"seed", &run->seed}, {"sample", &run->sample},
        {"threads", &run->threads},
    };
    struct { const char *key; int *flag; } flags[] = {
        {"random_ids", &run->random_ids}, {"distinct", &run->distinct}, {"memory", &run->memory}, {"cold", &run->cold},
        {"verify", &run->verify},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(option, numbers[i].key) == 0) {
            *numbers[i].number = number(value);
            return;
        }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(option, flags[i].key) == 0) {
            *flags[i].flag = number(value) != 0;
            return;
        }
    if (strcmp(option, "dir") == 0)
        run->dir = value;
    else if (strcmp(option, "base") == 0)
        run->base = value;
    else if (strcmp(option, "ratio") == 0)
        run->ratio = strtod(value, NULL);
    else
        die(option, "no such option");
}

int main(int argc, char **argv)
{
    struct run run = {.call = 1000, .seed = 20240601, .verify = 1, .ratio = 16};
    if (argc < 3)
        die("usage", "peers ENGINE insert|get|compress key=value ...");
    run.engine = engine_named(argv[1]);
    for (int i = 3; i < argc; i++)
        set_option(&run, argv[i]);
    if (run.dir == NULL || run.base == NULL || run.n == 0 || run.call == 0)
        die("usage", "dir, base and n are needed; call is at least 1");
    if (run.commit_every == 0)
        run.commit_every = run.n;
    struct workload load = workload_load(&run);
    if (strcmp(argv[2], "insert") == 0)
        insert(&run, &load);
    else if (strcmp(argv[2], "get") == 0)
        get(&run, &load);
    else if (strcmp(argv[2], "compress") == 0 && run.engine == &engine_omen)
        compress(&run, &load);
    else
        die(argv[2], "no such command for this engine");
    free(load.rows);
    free(load.ids);
    return 0;
}
