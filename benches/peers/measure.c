/* The clock, private memory, bytes of a directory, and a count of every sync. */
#define _GNU_SOURCE
#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void die(const char *what, const char *why)
{
    fprintf(stderr, "peers: %s: %s\n", what, why);
    exit(1);
}

void *need(size_t bytes)
{
    void *memory = malloc(bytes);
    if (memory == NULL)
        die("malloc", strerror(errno));
    return memory;
}

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

uint64_t private_bytes(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long kib = 0;
    if (status == NULL)
        die("/proc/self/status", strerror(errno));
    while (fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "RssAnon: %llu kB", &kib) == 1)
            break;
    fclose(status);
    return (uint64_t)kib * 1024;
}

static struct watch {
    pthread_t thread;
    int is_over;
    uint64_t most;   /* of the thread alone until it is joined */
} watch;

static void *watching(void *unused)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    (void)unused;
    while (!__atomic_load_n(&watch.is_over, __ATOMIC_RELAXED)) {
        uint64_t bytes = private_bytes();
        watch.most = bytes > watch.most ? bytes : watch.most;
        nanosleep(&pause, NULL);
    }
    return NULL;
}

void watch_private_bytes(void)
{
    watch = (struct watch){0};
    int status = pthread_create(&watch.thread, NULL, watching, NULL);
    if (status != 0)
        die("pthread_create", strerror(status));
}

uint64_t most_private_bytes(void)
{
    __atomic_store_n(&watch.is_over, 1, __ATOMIC_RELAXED);
    int status = pthread_join(watch.thread, NULL);
    if (status != 0)
        die("pthread_join", strerror(status));
    return watch.most;
}

/* nftw passes no argument of ours to its callback, so the sum is a static variable. */
static struct directory_bytes sum;

static int add_file(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    (void)path;
    (void)place;
    if (kind == FTW_F) {
        sum.apparent += (uint64_t)stat->st_size;
        sum.allocated += (uint64_t)stat->st_blocks * 512;
        sum.files += 1;
    }
    return 0;
}

struct directory_bytes directory_bytes(const char *dir)
{
    memset(&sum, 0, sizeof sum);
    if (nftw(dir, add_file, 16, FTW_PHYS) != 0)
        die(dir, strerror(errno));
    return sum;
}

static int drop_file(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    (void)stat;
    (void)place;
    if (kind == FTW_F) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            die(path, strerror(errno));
        fsync(fd);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
    }
    return 0;
}

void drop_cached_pages(const char *dir)
{
    if (nftw(dir, drop_file, 16, FTW_PHYS) != 0)
        die(dir, strerror(errno));
}

void warm_pages(const char *dir, uint64_t bytes)
{
    enum { PART = 1 << 20 };
    char path[4096];
    char *part = need(PART);
    memset(part, 1, PART);
    snprintf(path, sizeof path, "%s/scratch", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || unlink(path) != 0)
        die(path, strerror(errno));
    for (uint64_t done = 0; done < bytes; done += PART)
        if (write(fd, part, PART) < 0)
            die(path, strerror(errno));
    close(fd);
    free(part);
}

/* The three functions below replace those of libc, for this program and for every library in it, so that every sync is
   counted. */
static uint64_t calls;

uint64_t sync_calls(void)
{
    return __atomic_load_n(&calls, __ATOMIC_RELAXED);
}

static int counted(long result)
{
    __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
    return (int)result;
}

int fsync(int fd)
{
    return counted(syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
    return counted(syscall(SYS_fdatasync, fd));
}

int msync(void *address, size_t length, int flags)
{
    return counted(syscall(SYS_msync, address, length, flags));
}
