/* `peers omen compress`: compresses a closed store, then measures from outside what the report claims. */
#include "engine.h"
#include "measure.h"
#include "workload.h"

#include <math.h>
#include <omen.h>
#include <stdio.h>
#include <stdlib.h>

#define CALL 1000

struct error {
    double relative_mse;   /* sum of squared errors / sum of squared values, over every vector */
    double worst;          /* largest |x - decoded| / |x| of one vector */
};

/* When the encoding started, and the progress at that time: training is the first half of all progress. */
struct clock {
    double first_seconds;
    uint64_t first_done, total;
};

static int32_t on_progress(void *user, uint64_t done, uint64_t total)
{
    struct clock *clock = user;
    if (2 * done >= total && clock->first_seconds == 0) {
        clock->first_seconds = now();
        clock->first_done = done;
    }
    clock->total = total;
    return 0;
}

static struct error measured_error(const struct run *run, const struct workload *load, void *store)
{
    float *row = need(load->dim * sizeof *row);
    double lost_sum = 0, energy_sum = 0;
    struct error error = {0, 0};
    for (uint64_t i = 0; i < run->n; i++) {
        const float *original = workload_row(load, i);
        double lost = 0, energy = 0;
        run->engine->get(store, load->ids[i], row);
        for (size_t d = 0; d < load->dim; d++) {
            double difference = (double)row[d] - (double)original[d];
            lost += difference * difference;
            energy += (double)original[d] * (double)original[d];
        }
        lost_sum += lost;
        energy_sum += energy;
        if (energy > 0 && sqrt(lost / energy) > error.worst)
            error.worst = sqrt(lost / energy);
    }
    error.relative_mse = lost_sum / energy_sum;
    free(row);
    return error;
}

/* Vectors a second that omen_store_get reads in calls of CALL, in the order of their ids; the best of five passes. */
static double decoded_per_second(const struct run *run, const struct workload *load, void *store)
{
    float *rows = need(CALL * load->dim * sizeof *rows);
    double best = 0;
    for (int pass = 0; pass < 5; pass++) {
        double start = now();
        for (uint64_t i = 0; i + CALL <= run->n; i += CALL)
            if (omen_store_get(store, load->ids + i, CALL, rows, NULL) != OMEN_OK)
                die("omen_store_get", omen_last_message());
        double rate = (double)(run->n / CALL * CALL) / (now() - start);
        best = rate > best ? rate : best;
    }
    free(rows);
    return best;
}

static omen_compress_report compress_timed(const struct run *run, void *store, double *seconds, double *encode_rate)
{
    omen_compress_options options;
    omen_compress_report report = {.struct_size = sizeof report};
    struct clock clock = {0, 0, 0};
    omen_compress_options_init(&options);
    options.ratio = run->ratio;
    options.sample = run->sample;
    options.threads = (uint32_t)run->threads;
    options.progress = on_progress;
    options.user = &clock;
    double start = now();
    if (omen_store_compress(store, &options, &report) != OMEN_OK)
        die("omen_store_compress", omen_last_message());
    double end = now();
    *seconds = end - start;
    *encode_rate = clock.first_seconds ? (double)(clock.total - clock.first_done) / (end - clock.first_seconds) : 0;
    return report;
}

void compress(const struct run *run, const struct workload *load)
{
    struct opening opening = {run->dir, load->dim, 0, !run->random_ids};
    double seconds, encode_rate;
    uint64_t memory_before = private_bytes();
    void *store = run->engine->open(&opening);
    if (run->memory)
        watch_private_bytes();
    omen_compress_report report = compress_timed(run, store, &seconds, &encode_rate);
    uint64_t peak = run->memory ? most_private_bytes() : 0;
    run->engine->close(store);
    struct directory_bytes bytes = directory_bytes(run->dir);

    store = run->engine->open(&opening);
    struct error error = measured_error(run, load, store);
    double get_ns = mean_get_ns(run, load, store);
    double decoded = decoded_per_second(run, load, store);
    run->engine->close(store);

    double raw = (double)run->n * (double)load->dim * sizeof(float);
    printf("{\"n\": %llu, \"dim\": %zu, \"seconds\": %.6f, \"encode_per_second\": %.1f, \"private_growth\": %lld, "
           "\"apparent_over_raw\": %.6f, \"allocated_over_raw\": %.6f, \"relative_mse\": %.6g, \"worst\": %.6g, "
           "\"reported_relative_mse\": %.6g, \"reported_worst\": %.6g, \"reported_ratio\": %.6f, "
           "\"reported_seconds\": %.6f, \"reported_vectors\": %llu, \"code_bytes\": %llu, \"codebook_bytes\": %llu, "
           "\"reported_bytes\": %llu, \"apparent\": %llu, \"codec\": %d, \"get_ns\": %.2f, "
           "\"decoded_per_second\": %.1f}\n",
           (unsigned long long)run->n, load->dim, seconds, encode_rate,
           peak ? (long long)peak - (long long)memory_before : 0, (double)bytes.apparent / raw,
           (double)bytes.allocated / raw, error.relative_mse, error.worst, report.relative_mse,
           report.worst_relative_error, report.ratio, report.seconds, (unsigned long long)report.vectors,
           (unsigned long long)report.code_bytes, (unsigned long long)report.codebook_bytes,
           (unsigned long long)report.bytes_after, (unsigned long long)bytes.apparent, (int)report.codec, get_ns, decoded);
}
