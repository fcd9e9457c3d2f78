/* What is measured, and how: the clock, private memory, bytes of a directory, calls that sync. */
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

/* Begins to read private_bytes each 10 ms in a thread of its own: what a call frees before it returns is seen, too. */
void watch_private_bytes(void);

/* Ends that; the most that was seen. */
uint64_t most_private_bytes(void);

struct directory_bytes {
    uint64_t apparent;    /* sum of st_size over the regular files */
    uint64_t allocated;   /* sum of st_blocks * 512 over the same */
    uint64_t files;
};
struct directory_bytes directory_bytes(const char *dir);

/* Asks the kernel to forget the cached pages of every file in `dir`. */
void drop_cached_pages(const char *dir);

/* Writes a scratch file of that size in `dir` and removes it, unsynced. A virtual machine whose host takes free pages
   away pays a fault for each page it uses again; after this, a run is given pages this machine already has. */
void warm_pages(const char *dir, uint64_t bytes);

/* fsync, fdatasync and msync calls of this process so far, whoever made them. */
uint64_t sync_calls(void);

#endif
