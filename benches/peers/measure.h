/* Measurements: the clock, private memory, bytes of a directory, calls that sync. */
#ifndef PEERS_MEASURE_H
#define PEERS_MEASURE_H

#include <stddef.h>
#include <stdint.h>

/* Prints "peers: what: why" and ends the program. */
void die(const char *what, const char *why) __attribute__((noreturn));

/* malloc that never returns NULL. */
void *need(size_t bytes);

/* Seconds of the monotonic clock. */
double now(void);

/* RssAnon of this process in bytes: private memory, without the pages of mapped files. */
uint64_t private_bytes(void);

/* Starts a thread that reads private_bytes every 10 ms, because a call may free memory before it returns. */
void watch_private_bytes(void);

/* Stops that thread; returns the largest value it read. */
uint64_t most_private_bytes(void);

struct directory_bytes {
    uint64_t apparent;    /* sum of st_size over the regular files */
    uint64_t allocated;   /* sum of st_blocks * 512 over the same */
    uint64_t files;
};
struct directory_bytes directory_bytes(const char *dir);

/* Asks the kernel to drop the cached pages of every file in `dir`. */
void drop_cached_pages(const char *dir);

/* Writes a scratch file of `bytes` bytes in `dir` and removes it without a sync. The host of a virtual machine may take free
   pages away, and each page that is used again then costs a fault; this call takes the faults before the run. */
void warm_pages(const char *dir, uint64_t bytes);

/* fsync, fdatasync and msync calls of this process so far, by any code in it. */
uint64_t sync_calls(void);

#endif
