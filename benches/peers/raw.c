/* The baseline: rows appended to one file in writes of 1 MiB, fdatasync at commit, read back through a map. It has no ids
   (row i is id i) and no checksums; no durable store of the same bytes can do much less work. `raw_early` also asks the
   kernel to start each write at once, which leaves less for the sync: the stricter baseline. */
#define _GNU_SOURCE
#include "engine.h"
#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 20 };

struct raw {
    int fd;
    size_t row_bytes;
    size_t buffered;
    char *buffer;
    const char *map;
    size_t map_bytes;
    int early;
};

static void map_file(struct raw *raw)
{
    struct stat stat;
    if (fstat(raw->fd, &stat) != 0)
        die("raw fstat", strerror(errno));
    raw->map_bytes = (size_t)stat.st_size;
    raw->map = mmap(NULL, raw->map_bytes, PROT_READ, MAP_SHARED, raw->fd, 0);
    if (raw->map == MAP_FAILED)
        die("raw mmap", strerror(errno));
}

static void *raw_open(const struct opening *opening)
{
    struct raw *raw = need(sizeof *raw);
    char path[4096];
    snprintf(path, sizeof path, "%s/rows", opening->dir);
    *raw = (struct raw){.row_bytes = opening->dim * sizeof(float), .buffer = need(BUFFER_BYTES)};
    raw->fd = open(path, O_RDWR | O_CLOEXEC | (opening->create ? O_CREAT | O_EXCL : 0), 0600);
    if (raw->fd < 0)
        die(path, strerror(errno));
    if (!opening->create)
        map_file(raw);
    return raw;
}

static void write_buffer(struct raw *raw)
{
    size_t done = 0;
    while (done < raw->buffered) {
        ssize_t written = write(raw->fd, raw->buffer + done, raw->buffered - done);
        if (written < 0)
            die("raw write", strerror(errno));
        done += (size_t)written;
    }
    if (raw->early)
        sync_file_range(raw->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    raw->buffered = 0;
}

static void *raw_early_open(const struct opening *opening)
{
    struct raw *raw = raw_open(opening);
    raw->early = 1;
    return raw;
}

static void raw_put(void *store, const uint64_t *ids, const float *rows, size_t n)
{
    struct raw *raw = store;
    const char *bytes = (const char *)rows;
    size_t left = n * raw->row_bytes;
    (void)ids;
    while (left > 0) {
        size_t part = BUFFER_BYTES - raw->buffered;
        part = part < left ? part : left;
        memcpy(raw->buffer + raw->buffered, bytes, part);
        raw->buffered += part;
        bytes += part;
        left -= part;
        if (raw->buffered == BUFFER_BYTES)
            write_buffer(raw);
    }
}

static void raw_commit(void *store)
{
    struct raw *raw = store;
    write_buffer(raw);
    if (fdatasync(raw->fd) != 0)
        die("raw fdatasync", strerror(errno));
}

static void raw_get(void *store, uint64_t id, float *row)
{
    struct raw *raw = store;
    memcpy(row, raw->map + id * raw->row_bytes, raw->row_bytes);
}

static void raw_close(void *store)
{
    struct raw *raw = store;
    if (raw->map != NULL)
        munmap((void *)raw->map, raw->map_bytes);
    if (close(raw->fd) != 0)
        die("raw close", strerror(errno));
    free(raw->buffer);
    free(raw);
}

const struct engine engine_raw = {
    "raw", "write in 1 MiB pieces, fdatasync", raw_open, raw_put, raw_commit, raw_get, raw_close,
};

const struct engine engine_raw_early = {
    "raw_early",    "write in 1 MiB pieces, each begun at once, fdatasync",
    raw_early_open, raw_put, raw_commit, raw_get, raw_close,
};
