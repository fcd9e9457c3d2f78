/** @file
 * libomen: a vector store in a directory. Vectors go in as floats, are kept exactly, compressed on request, and read,
 * listed and searched at any time.
 *
 * CONVENTIONS. They hold for every function; a comment below says only what is special.
 *
 *  1. Status. A function that can fail returns an int32_t: OMEN_OK (0) or who must act: 1-19 the caller, 20-29 the
 *     machine, 30-39 the file, 40-49 the library. omen_status_name names it; omen_last_message has the story with its
 *     numbers. Each function names the statuses special to it. Any may also return OMEN_NULL_POINTER,
 *     OMEN_INVALID_HANDLE, OMEN_INVALID_ARGUMENT, OMEN_IO, OMEN_OUT_OF_MEMORY, OMEN_CORRUPT (damage is found where the
 *     bytes are read) and OMEN_PANIC (a bug in the library, stopped at its border).
 *  2. Outputs. What a function gives back goes through its last pointers, and is written only on OMEN_OK. A pointer
 *     must not be NULL unless its comment says it may. Single values and structs may lie at any address.
 *  3. Arrays. Pointer and count; a count of 0 never touches the pointer, which may then be NULL. Vectors are row-major
 *     `float[n][dim]`, aligned to 4 bytes; id arrays are aligned to 8. Arrays of one call must not overlap. Arrays
 *     belong to the caller: the library keeps no pointer after it returns, and hands out no memory to free.
 *  4. Ids. Any uint64_t but OMEN_NO_ID. Order and gaps do not matter.
 *  5. Structs. The first member, `struct_size`, is set by the caller to the sizeof it was compiled with: by the init
 *     function for options, by hand for reports (`report.struct_size = sizeof report;`). Of options only that many
 *     bytes are read: members missing at the end have their defaults, unknown ones must be zero. Of reports only that
 *     many are written. It is a multiple of 8 from 8 to 1024. Options given as NULL are the defaults.
 *  6. Handles. An omen_store is a ticket, not an address: it is never dereferenced. A closed, foreign or invented one
 *     is OMEN_INVALID_HANDLE; NULL is OMEN_NULL_POINTER, except in omen_store_close. A process may have 4096 open.
 *  7. Threads. Any thread may call anything on a handle at any time. Writers queue. Readers (functions that take a
 *     `const omen_store *`) never wait for a writer, a commit or a compress, and see whole calls only. Only
 *     omen_store_close needs care: calls already running finish on the store they began with, later ones are
 *     OMEN_INVALID_HANDLE. A handle must not be used in a child after fork: the lock stays the parent's, and what
 *     the child would write is refused (OMEN_LOCKED, then OMEN_POISONED).
 *  8. Processes. One process at a time has a store open for writing (others: OMEN_LOCKED); any number may read it with
 *     OMEN_READ_ONLY, each on the generation that was committed when it opened.
 *  9. Disk. A writing call is all or nothing, and is seen by this handle's readers when it returns. It survives a
 *     crash of the machine once omen_store_commit has returned (with OMEN_SYNC_EACH at once, with OMEN_SYNC_NONE
 *     later). After any error but those of 40-49 the store is as it was before the call; of a call whose write or
 *     sync failed (OMEN_IO) the next open may still find all. Every byte on disk is checksummed: damage is reported,
 *     never returned as data. Files are mapped read-only: if another program truncates one while it is in use, the
 *     system sends SIGBUS, which no library can turn into a status.
 *  10. Poison. After a failed write to disk or a caught panic the store refuses writes (OMEN_POISONED) and goes on
 *      reading. Close and open it again: that recovers all that was committed.
 *  11. Manners. The library prints nothing, installs no signal handler, has no global setting, leaves no thread
 *      behind, and reads and writes no file outside the directory of the store. Paths are UTF-8, NUL-terminated.
 */

#ifndef OMEN_H
#define OMEN_H

#include <stddef.h>
#include <stdint.h>

/**
 * Part of the version of this header; omen_version() tells that of the library that was linked.
 */
#define OMEN_VERSION_MAJOR 0

/**
 * Part of the version of this header; omen_version() tells that of the library that was linked.
 */
#define OMEN_VERSION_MINOR 1

/**
 * Part of the version of this header; omen_version() tells that of the library that was linked.
 */
#define OMEN_VERSION_PATCH 0

/**
 * An open store: what omen_store_open gives and omen_store_close takes.
 */
typedef struct omen_store omen_store;
typedef struct omen_store_options omen_store_options;
typedef struct omen_compress_options omen_compress_options;
typedef struct omen_compress_report omen_compress_report;
typedef struct omen_search_options omen_search_options;
typedef struct omen_verify_report omen_verify_report;

/**
 * The version of this header; omen_abi_version() tells that of the library that was linked. It grows when a program
 * compiled before could notice; additions at the end of structs and new functions leave it alone.
 */
#define OMEN_ABI_VERSION 1

/**
 * No id: what search puts in a place without a neighbour. It is the one id that cannot be stored.
 */
#define OMEN_NO_ID UINT64_MAX

/**
 * The call did what its comment says.
 */
#define OMEN_OK 0

/**
 * A pointer that is needed is NULL; the message names it.
 */
#define OMEN_NULL_POINTER 1

/**
 * The handle is not open: closed already, or never returned by omen_store_open.
 */
#define OMEN_INVALID_HANDLE 2

/**
 * An argument or an option is out of its range.
 */
#define OMEN_INVALID_ARGUMENT 3

/**
 * The store has another dim than the caller asked for.
 */
#define OMEN_DIM_MISMATCH 4

/**
 * The store has another metric than the caller asked for.
 */
#define OMEN_METRIC_MISMATCH 5

/**
 * A vector holds a NaN or an infinity; the message says which.
 */
#define OMEN_NOT_FINITE 6

/**
 * An id is not in the store.
 */
#define OMEN_NOT_FOUND 7

/**
 * An id occurs twice in one call, or is stored already.
 */
#define OMEN_DUPLICATE_ID 8

/**
 * There are not enough vectors to train on.
 */
#define OMEN_TOO_FEW_VECTORS 9

/**
 * The store was opened with OMEN_READ_ONLY.
 */
#define OMEN_IS_READ_ONLY 10

/**
 * The progress function asked to stop.
 */
#define OMEN_CANCELLED 11

/**
 * A number is above what memory or the format can hold.
 */
#define OMEN_TOO_BIG 12

/**
 * A system call failed; the message says which, on what, and why.
 */
#define OMEN_IO 20

/**
 * The disk, or the quota, is full.
 */
#define OMEN_NO_SPACE 21

/**
 * Another handle or process has the store open for writing.
 */
#define OMEN_LOCKED 22

/**
 * The machine has no memory for the request.
 */
#define OMEN_OUT_OF_MEMORY 23

/**
 * The bytes of a file are not those that were written; the message names the file and the place.
 */
#define OMEN_CORRUPT 30

/**
 * A file is of a format version this library does not know.
 */
#define OMEN_VERSION 31

/**
 * The path does not hold a store.
 */
#define OMEN_NOT_A_STORE 32

/**
 * Writes are refused since an earlier failure; close and open the store again. Reads go on.
 */
#define OMEN_POISONED 40

/**
 * A bug in the library was stopped at its border; the store is poisoned. Please report the message.
 */
#define OMEN_PANIC 41

/**
 * This version of the library cannot do that.
 */
#define OMEN_UNSUPPORTED 42

/**
 * Squared Euclidean distance.
 */
#define OMEN_L2 0

/**
 * Negated inner product.
 */
#define OMEN_INNER_PRODUCT 1

/**
 * 1 - cosine of the angle. Vectors are stored as given, not normalised.
 */
#define OMEN_COSINE 2

/**
 * Durable when omen_store_commit returns (the default).
 */
#define OMEN_SYNC_COMMIT 0

/**
 * Durable when each writing call returns.
 */
#define OMEN_SYNC_EACH 1

/**
 * Durable when the library seals a file, compresses or closes; after a crash a prefix of the calls is there.
 */
#define OMEN_SYNC_NONE 2

/**
 * Open the store, or create it where there is none (the default).
 */
#define OMEN_READ_WRITE_CREATE 0

/**
 * Open the store for writing; it must exist.
 */
#define OMEN_READ_WRITE 1

/**
 * Open the store for reading; takes no lock and writes nothing.
 */
#define OMEN_READ_ONLY 2

/**
 * Create the store; it must not exist.
 */
#define OMEN_CREATE_NEW 3

/**
 * The library chooses the codec: in options.
 */
#define OMEN_CODEC_AUTO 0

/**
 * Window codes: small codes of vectors as wholes. In reports.
 */
#define OMEN_CODEC_WINDOWS 2

/**
 * Scalar codes: each component by itself, nearly exact, or exact where the bytes allow it. In reports.
 */
#define OMEN_CODEC_SCALAR 3

/**
 * Lowest error at which 50,000 vectors of 128 dims a second are encoded by one core of a common machine. The default.
 */
#define OMEN_QUALITY_NORMAL 0

/**
 * Encodes several times as fast, with about a third more error.
 */
#define OMEN_QUALITY_FAST 1

/**
 * Encodes a third as fast and trains twice as long, with a few percent less error.
 */
#define OMEN_QUALITY_BEST 2

/**
 * An open store, as omen_store_open returns it and until omen_store_close takes it. A ticket, not an address.
 */
struct omen_store;

/**
 * Tells how far a call is: `done` of `total` steps (of no fixed size). Returns 0 to go on; anything else stops the
 * call, which then returns OMEN_CANCELLED and leaves the store unchanged.
 *
 * user   the `user` member of the options, untouched
 *
 * It runs on the thread that made the call, may call functions that read the same store, and must return: no longjmp,
 * no C++ exception may leave it. omen_store_compress, _compact and _close of the same store are OMEN_INVALID_ARGUMENT there.
 */
typedef int32_t (*omen_progress_fn)(void *user, uint64_t done, uint64_t total);

/**
 * How a call that takes long is run. omen_work_options_init fills in the defaults.
 */
struct omen_work_options {
    /**
     * sizeof(omen_work_options) as the caller knows it.
     */
    uint64_t struct_size;
    /**
     * Called now and then if not NULL (default).
     */
    omen_progress_fn progress;
    /**
     * Handed to `progress`.
     */
    void *user;
    /**
     * Threads to use; 0 (default) = as many as the store was opened with.
     */
    uint32_t threads;
    /**
     * 0.
     */
    uint32_t reserved;
};

/**
 * How a store is opened. omen_store_options_init fills in the defaults.
 */
struct omen_store_options {
    /**
     * sizeof(omen_store_options) as the caller knows it.
     */
    uint64_t struct_size;
    /**
     * OMEN_L2 (default), OMEN_INNER_PRODUCT or OMEN_COSINE. Must be the store's own if it exists already
     * (OMEN_METRIC_MISMATCH); options given as NULL, or too short to hold this member, accept any.
     */
    int32_t metric;
    /**
     * OMEN_SYNC_COMMIT (default), OMEN_SYNC_EACH or OMEN_SYNC_NONE.
     */
    int32_t sync;
    /**
     * OMEN_READ_WRITE_CREATE (default), OMEN_READ_WRITE, OMEN_READ_ONLY or OMEN_CREATE_NEW.
     */
    int32_t mode;
    /**
     * Threads that one call may use; 0 (default) = as many as the machine has.
     */
    uint32_t threads;
};

/**
 * What omen_store_compress aims at. omen_compress_options_init fills in the defaults.
 */
struct omen_compress_options {
    /**
     * sizeof(omen_compress_options) as the caller knows it.
     */
    uint64_t struct_size;
    /**
     * Bytes of the vectors as floats (vectors x dim x 4) divided by the bytes of the whole directory afterwards;
     * 1 or more, 16 by default.
     */
    double ratio;
    /**
     * Vectors to train on; 0 (default) = chosen.
     */
    uint64_t sample;
    /**
     * Same vectors, same options and same seed: same bytes. Default 0.
     */
    uint64_t seed;
    /**
     * OMEN_CODEC_AUTO (default).
     */
    int32_t codec;
    /**
     * Threads to use; 0 (default) = as many as the store was opened with.
     */
    uint32_t threads;
    /**
     * Called now and then if not NULL (default).
     */
    omen_progress_fn progress;
    /**
     * Handed to `progress`.
     */
    void *user;
    /**
     * OMEN_QUALITY_NORMAL (default), OMEN_QUALITY_FAST or OMEN_QUALITY_BEST: what encoding may cost.
     */
    int32_t quality;
    /**
     * 0.
     */
    int32_t reserved;
};

/**
 * What omen_store_compress did. Bytes are those of the files. Errors are of every vector, taken when its code was made,
 * against the vector as it was read then; codes kept from an earlier call count with that call's.
 */
struct omen_compress_report {
    /**
     * sizeof(omen_compress_report), set by the caller before the call.
     */
    uint64_t struct_size;
    /**
     * Vectors compressed.
     */
    uint64_t vectors;
    /**
     * Bytes of all files of the directory before.
     */
    uint64_t bytes_before;
    /**
     * Bytes of all files of the directory afterwards.
     */
    uint64_t bytes_after;
    /**
     * Bytes of one compressed vector.
     */
    uint64_t code_bytes;
    /**
     * Bytes of the codebook, both its copies.
     */
    uint64_t codebook_bytes;
    /**
     * Sum over all vectors of |x - decoded x| squared, divided by the sum of |x| squared.
     */
    double relative_mse;
    /**
     * The largest |x - decoded x| / |x| of any vector.
     */
    double worst_relative_error;
    /**
     * vectors x dim x 4 / bytes_after.
     */
    double ratio;
    /**
     * Wall time of the call.
     */
    double seconds;
    /**
     * The codec that was used: OMEN_CODEC_WINDOWS or OMEN_CODEC_SCALAR.
     */
    int32_t codec;
    /**
     * 0.
     */
    int32_t reserved;
};

/**
 * How to search. omen_search_options_init fills in the defaults.
 */
struct omen_search_options {
    /**
     * sizeof(omen_search_options) as the caller knows it.
     */
    uint64_t struct_size;
    /**
     * Codes measured for each query: those of the best scores, at least k; 0 (default) = chosen. Only where scores see part
     * of a code (scalar codes, of ratios about 2 to 5), more of them find more.
     */
    uint64_t rerank;
    /**
     * How much of the store is visited, above 0 and up to 1 (every code); 0 (default) = chosen.
     */
    double effort;
    /**
     * Only these ids may be found: `uint64_t[allow_n]`, in any order; NULL (default) with `allow_n` 0 = all.
     */
    const uint64_t *allow_ids;
    /**
     * Number of `allow_ids`; 0 (default) = all.
     */
    uint64_t allow_n;
    /**
     * Threads to use; 0 (default) = as many as the store was opened with.
     */
    uint32_t threads;
    /**
     * 1 = compare with every vector as omen_store_get returns it; 0 (default) = chosen.
     */
    int32_t exact;
};

/**
 * What omen_store_stats tells. The function has the same name, as with stat(2): write `struct omen_store_stats`.
 */
struct omen_store_stats {
    /**
     * sizeof(struct omen_store_stats), set by the caller before the call.
     */
    uint64_t struct_size;
    /**
     * Vectors that can be read.
     */
    uint64_t vectors;
    /**
     * Vectors deleted or replaced whose bytes omen_store_compact would give back.
     */
    uint64_t deleted;
    /**
     * Bytes of all files of the directory.
     */
    uint64_t bytes_on_disk;
    /**
     * vectors x dim x 4: the vectors as floats.
     */
    uint64_t raw_bytes;
    /**
     * Files that hold vectors.
     */
    uint64_t segments;
    /**
     * Vectors kept as they were given.
     */
    uint64_t raw_vectors;
    /**
     * Vectors kept as codes.
     */
    uint64_t compressed_vectors;
    /**
     * Number of the manifest; grows with every change of the set of files.
     */
    uint64_t generation;
    /**
     * Floats in a vector.
     */
    uint32_t dim;
    /**
     * OMEN_L2, OMEN_INNER_PRODUCT or OMEN_COSINE.
     */
    int32_t metric;
    /**
     * Of the compressed vectors: sum of |x - decoded x| squared, divided by the sum of |x| squared.
     */
    double relative_mse;
    /**
     * Of the compressed vectors: the largest |x - decoded x| / |x|.
     */
    double worst_relative_error;
    /**
     * Of the compressed vectors: none is farther than this from what was inserted, |x - decoded x|; rounded up.
     */
    double error_bound;
    /**
     * Mean error of a file's vectors, in terms of the mean error its codebook was trained to; the largest of any file.
     * 1 without drift, 0 where nothing is compressed.
     */
    double drift;
};

/**
 * What omen_store_verify read.
 */
struct omen_verify_report {
    /**
     * sizeof(omen_verify_report), set by the caller before the call.
     */
    uint64_t struct_size;
    /**
     * Files read.
     */
    uint64_t files;
    /**
     * Checksummed blocks compared.
     */
    uint64_t blocks;
    /**
     * Bytes read.
     */
    uint64_t bytes;
    /**
     * Vectors that can be read.
     */
    uint64_t vectors;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * LIBRARY
 *
 * Returns the version of the library that is linked, as "0.1.0". Static; never NULL; any thread.
 */
const char *omen_version(void);

/**
 * Returns the OMEN_ABI_VERSION the library was built with: a program checks that it equals the header's. Any thread.
 */
uint32_t omen_abi_version(void);

/**
 * Returns the name of a status, as "OMEN_NOT_FOUND"; "OMEN_?" for a number that is none. Static; never NULL; any
 * thread.
 */
const char *omen_status_name(int32_t status);

/**
 * Returns the story of this thread's last failure, with its numbers, as
 * "dim: found 100, expected 128 as the store was created"; "" if none of its calls has failed. Never NULL.
 *
 * The text is the library's, and valid until the thread's next omen call; other threads have their own. A call that
 * succeeds does not clear it.
 */
const char *omen_last_message(void);

/**
 * LONG CALLS
 *
 * Sets every member of `options` to its default, `struct_size` included. NULL is ignored. Any thread.
 */
void omen_work_options_init(struct omen_work_options *options);

/**
 * STORE: opening and closing
 *
 * Sets every member of `options` to its default, `struct_size` included. NULL is ignored. Any thread.
 */
void omen_store_options_init(struct omen_store_options *options);

/**
 * Opens the store in the directory `path`, or creates it, as `options->mode` says.
 *
 * path     the directory; created (one level) if it is missing and the mode may create. One that holds anything but a
 *          store is OMEN_NOT_A_STORE, and left untouched
 * dim      floats in a vector, 1 to 65536 for a new store; must be that of an existing one; 0 = whatever it has
 * options  or NULL
 * out      receives the handle, to be given to omen_store_close
 *
 * Errors:  OMEN_DIM_MISMATCH, OMEN_METRIC_MISMATCH, OMEN_LOCKED, OMEN_NO_SPACE, OMEN_VERSION, OMEN_NOT_A_STORE (also:
 *          there is none, and the mode may not create), OMEN_TOO_BIG (too many open stores).
 * Disk:    a new store exists and survives a crash. In an old one what a crash left half-written is dropped: the
 *          committed calls are there, and of later ones as many as were whole, none without those before it. With
 *          OMEN_READ_ONLY nothing is written, and only the committed calls are seen.
 */
int32_t omen_store_open(const char *path,
                        uint32_t dim,
                        const struct omen_store_options *options,
                        struct omen_store **out);

/**
 * Commits and closes the store. The handle is gone whatever the status is; NULL is OMEN_OK. (Only from a progress function
 * of this store it is OMEN_INVALID_ARGUMENT, and nothing happens.)
 *
 * Threads: calls of other threads that are running finish; the bytes they use are given back with the last of them.
 * Errors:  OMEN_NO_SPACE, OMEN_IO: the commit failed; what was committed before is safe.
 * Disk:    all writes survive a crash; the files are cut to their size and may be copied. Another process may open it.
 */
int32_t omen_store_close(struct omen_store *store);

/**
 * Returns the number of floats in a vector of this store; 0 if the handle is bad.
 */
uint32_t omen_store_dim(const struct omen_store *store);

/**
 * Tells how many vectors can be read.
 *
 * out_count  receives the number
 */
int32_t omen_store_count(const struct omen_store *store, uint64_t *out_count);

/**
 * WRITING: each call is all or nothing (convention 9). One call takes any number of vectors; more at a time is faster.
 *
 * Inserts `n` vectors that are not in the store.
 *
 * ids           `uint64_t[n]`, each once; NULL: consecutive ids after the largest ever given
 * vectors       `float[n][dim]`, every component finite; kept bit for bit, also with OMEN_COSINE
 * out_first_id  receives the first id of the call (with n = 0: the next one that would be given); may be NULL
 *
 * Errors:  OMEN_NOT_FINITE, OMEN_DUPLICATE_ID, OMEN_TOO_BIG, OMEN_IS_READ_ONLY, OMEN_NO_SPACE, OMEN_POISONED.
 * Disk:    written at some time before the next commit returns; with OMEN_SYNC_EACH it survives a crash from here on.
 */
int32_t omen_store_insert(struct omen_store *store,
                          const uint64_t *ids,
                          const float *vectors,
                          size_t n,
                          uint64_t *out_first_id);

/**
 * Inserts `n` vectors; those whose id is in the store replace what it has.
 *
 * ids      `uint64_t[n]`, each once
 * vectors  `float[n][dim]`, every component finite
 *
 * Errors:  OMEN_NOT_FINITE, OMEN_DUPLICATE_ID (twice in this call), OMEN_TOO_BIG, OMEN_IS_READ_ONLY, OMEN_NO_SPACE,
 *          OMEN_POISONED.
 * Disk:    as for omen_store_insert; the bytes of what was replaced are given back by omen_store_compact.
 */
int32_t omen_store_upsert(struct omen_store *store, const uint64_t *ids, const float *vectors, size_t n);

/**
 * Deletes the vectors of `n` ids; ids that are not in the store are passed over.
 *
 * ids          `uint64_t[n]`
 * out_deleted  receives how many vectors were deleted
 *
 * Errors:  OMEN_IS_READ_ONLY, OMEN_NO_SPACE, OMEN_POISONED.
 * Disk:    as for omen_store_insert; the bytes are given back by omen_store_compact.
 */
int32_t omen_store_delete(struct omen_store *store, const uint64_t *ids, size_t n, uint64_t *out_deleted);

/**
 * Makes all writes so far survive a crash of the machine (with OMEN_SYNC_NONE: only hands them to the system).
 *
 * Errors:  OMEN_IS_READ_ONLY, OMEN_NO_SPACE, OMEN_IO, OMEN_POISONED. After a failure the store is poisoned, and what
 *          was committed before is safe.
 * Disk:    every write of this handle that returned before this call began is durable (OMEN_SYNC_NONE: at some time).
 */
int32_t omen_store_commit(struct omen_store *store);

/**
 * READING: readers wait for nobody, and see whole calls only.
 *
 * Reads the vectors of `n` ids: bit for bit as they were given; after omen_store_compress what their codes decode to.
 *
 * ids          `uint64_t[n]`, in any order, also repeated
 * out_vectors  `float[n][dim]`; need not be initialised
 * out_found    `uint8_t[n]`: 1 where the id is in the store, 0 where it is not, and its vector is all zeros.
 *              NULL: every id must be there, else OMEN_NOT_FOUND and nothing is written
 *
 * Errors:  OMEN_NOT_FOUND, OMEN_TOO_BIG. Never writes to the disk.
 */
int32_t omen_store_get(const struct omen_store *store,
                       const uint64_t *ids,
                       size_t n,
                       float *out_vectors,
                       uint8_t *out_found);

/**
 * Tells for each of `n` ids whether it is in the store.
 *
 * ids        `uint64_t[n]`, in any order, also repeated
 * out_found  `uint8_t[n]`: 1 or 0
 *
 * Errors:  OMEN_TOO_BIG. Never writes to the disk.
 */
int32_t omen_store_contains(const struct omen_store *store, const uint64_t *ids, size_t n, uint8_t *out_found);

/**
 * Reads the store from end to end, by ascending id, some vectors at a time:
 *
 *     uint64_t position = 0; size_t n;
 *     while ((status = omen_store_scan(store, &position, 1000, ids, vectors, &n)) == OMEN_OK && n > 0) { ... }
 *
 * inout_position  0 begins; the library sets it to where the next call goes on, and that is the first id to look at
 * capacity        how many vectors the arrays hold; with 0 nothing is read, and *out_n is 0
 * out_ids         `uint64_t[capacity]`
 * out_vectors     `float[capacity][dim]`, as omen_store_get reads them; NULL: only the ids
 * out_n           receives how many were read; 0 = done
 *
 * Each call sees the store as it is then: with writes in between, ids from *inout_position on are those of now.
 * Errors:  OMEN_TOO_BIG. Never writes to the disk.
 */
int32_t omen_store_scan(const struct omen_store *store,
                        uint64_t *inout_position,
                        size_t capacity,
                        uint64_t *out_ids,
                        float *out_vectors,
                        size_t *out_n);

/**
 * COMPRESSING
 *
 * Sets every member of `options` to its default, `struct_size` included. NULL is ignored. Any thread.
 */
void omen_compress_options_init(struct omen_compress_options *options);

/**
 * Learns a codebook from the vectors, replaces every vector by its code, and gives back the bytes of the originals.
 * From then on vectors are read as their codes decode; vectors inserted later are kept exactly until the next call.
 *
 * options     or NULL
 * out_report  receives what was measured; set its struct_size before
 *
 * Threads: takes its time; readers and writers go on meanwhile.
 * Errors:  OMEN_TOO_FEW_VECTORS, OMEN_CANCELLED, OMEN_NO_SPACE, OMEN_IS_READ_ONLY, OMEN_POISONED; with each of them
 *          the store is as it was.
 * Disk:    committed, and all of it compressed. A crash meanwhile leaves all of the old or all of the new.
 */
int32_t omen_store_compress(struct omen_store *store,
                            const struct omen_compress_options *options,
                            struct omen_compress_report *out_report);

/**
 * SEARCHING
 *
 * Sets every member of `options` to its default, `struct_size` included. NULL is ignored. Any thread.
 */
void omen_search_options_init(struct omen_search_options *options);

/**
 * Finds the `k` nearest vectors of each of `nq` queries, by the metric of the store.
 *
 * queries        `float[nq][dim]`, every component finite
 * options        or NULL
 * out_ids        `uint64_t[nq][k]`, nearest first; equal distances by ascending id; OMEN_NO_ID where there are fewer
 * out_distances  `float[nq][k]`: squared distance, negated inner product, or 1 - cosine, so that smaller is nearer
 *                always; NaN where there are fewer
 *
 * Compressed vectors are scored as they lie, and the best of them measured: distances are estimates of those to the vectors
 * that were inserted. With `exact` 1 every one is decoded and measured, and distances are those to the vectors as read; it is
 * slow, and there to compare with. Vectors that are not compressed are always measured. The answer is the same whatever
 * `threads` is and however queries are divided into calls; many queries in a call share the passes over memory.
 *
 * Large compressed stores have inverted lists, made by compress: a search visits those near its query, as many as compress
 * found to hold nearly all neighbours, or the share of them that `effort` says. With `allow_ids` or `exact` every vector in
 * question is looked at; the last filter is remembered with the codes it allows, in up to 4 MiB, so asking the same
 * `allow_ids` again costs far less than the first time.
 * Errors:  OMEN_NOT_FINITE, OMEN_TOO_BIG. Never writes to the disk.
 */
int32_t omen_store_search(const struct omen_store *store,
                          const float *queries,
                          size_t nq,
                          size_t k,
                          const struct omen_search_options *options,
                          uint64_t *out_ids,
                          float *out_distances);

/**
 * UPKEEP
 *
 * Tells what the store holds and what it takes on disk.
 *
 * out_stats  receives the numbers; set its struct_size before
 *
 * Errors:  none of its own. Never writes to the disk.
 */
int32_t omen_store_stats(const struct omen_store *store, struct omen_store_stats *out_stats);

/**
 * Reads every byte of the store from the disk and compares all checksums.
 *
 * options     or NULL
 * out_report  receives how much was read; set its struct_size before
 *
 * Threads: takes its time; readers and writers go on meanwhile. It waits for a write that is under way when it begins.
 * Errors:  OMEN_CORRUPT: the message names file and block; OMEN_CANCELLED. Never writes to the disk.
 */
int32_t omen_store_verify(const struct omen_store *store,
                          const struct omen_work_options *options,
                          struct omen_verify_report *out_report);

/**
 * Drops the bytes of deleted and replaced vectors and gives them back to the file system.
 *
 * options  or NULL
 *
 * Threads: takes its time; readers and writers go on meanwhile.
 * Errors:  OMEN_NO_SPACE (it writes the new files before it removes the old), OMEN_CANCELLED, OMEN_IS_READ_ONLY,
 *          OMEN_POISONED; with each of them the store is as it was.
 * Disk:    committed, and without dead bytes. A crash meanwhile leaves all of the old or all of the new.
 */
int32_t omen_store_compact(struct omen_store *store, const struct omen_work_options *options);

/**
 * Copies the store as it is committed now into the new directory `path`, while readers and the writer go on.
 *
 * path     the directory of the copy; it must not exist
 * options  or NULL
 *
 * Errors:  OMEN_UNSUPPORTED always, in this version. A store that is closed may be copied as files.
 */
int32_t omen_store_backup(const struct omen_store *store, const char *path, const struct omen_work_options *options);

/**
 * Lets a handle opened with OMEN_READ_ONLY see what the writer has committed since.
 *
 * Errors:  OMEN_UNSUPPORTED always, in this version. Closing and opening the handle does the same.
 */
int32_t omen_store_refresh(struct omen_store *store);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* OMEN_H */
