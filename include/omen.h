/** @mainpage libomen
 *
 * libomen: a vector store in a directory. You insert vectors of floats; the library keeps them exactly, compresses
 * them on request, and reads, lists and searches them at any time.
 *
 * This is the interface for C; omen.hpp is the one for C++.
 *
 * CONVENTIONS. They hold for every function. The comment of a function adds only what is special to it.
 *
 *  1. Status. A function that can fail returns an int32_t: OMEN_OK (0), or a status. Its range tells what failed:
 *     1-19 the caller, 20-29 the machine, 30-39 a file, 40-49 the library. omen_status_name returns its name,
 *     omen_last_message a detailed message. The comment of a function lists the statuses special to it. Every
 *     function may also return OMEN_NULL_POINTER, OMEN_INVALID_HANDLE, OMEN_INVALID_ARGUMENT, OMEN_IO,
 *     OMEN_OUT_OF_MEMORY, OMEN_CORRUPT (bytes are checked when they are read) and OMEN_PANIC (a bug in the library,
 *     caught before it reaches the caller).
 *  2. Outputs. A function returns its results through its last pointers, and writes them only on OMEN_OK. A pointer
 *     must not be NULL unless its comment allows it. Single values and structs may lie at any address, aligned or
 *     not.
 *  3. Arrays. An array is a pointer and a count. With a count of 0 the pointer is not used, and may be NULL. Vectors
 *     are row-major `float[n][dim]`, aligned to 4 bytes. Arrays of ids are aligned to 8 bytes. The arrays of one call
 *     must not overlap. They belong to the caller: the library keeps no pointer after it returns, and returns no
 *     memory that you must free.
 *  4. Ids. Any uint64_t but OMEN_NO_ID. They need not be consecutive or in order.
 *  5. Structs. The first member, `struct_size`, is the sizeof that the caller was compiled with, a multiple of 8 from
 *     8 to 1024. The init function sets it for options; you set it for reports (`report.struct_size = sizeof
 *     report;`). Of options the library reads that many bytes: members missing at the end have their defaults, and
 *     members that the library does not know must be zero. Of reports it writes that many bytes. Options given as
 *     NULL are the defaults.
 *  6. Handles. An omen_store pointer is a number, not an address, and is never dereferenced. A closed or invented
 *     handle is OMEN_INVALID_HANDLE, and NULL is OMEN_NULL_POINTER; only omen_store_close accepts NULL. A process may
 *     have 4096 stores open.
 *  7. Threads. Any thread may call any function on a handle at any time. Writers queue. Readers (functions that take
 *     a `const omen_store *`) never wait for a writer, a commit or a compress, and see whole calls only. A running
 *     call on a handle that another thread closes finishes; later calls are OMEN_INVALID_HANDLE. Do not use a handle
 *     in a child process after fork: the lock stays with the parent, and writes of the child fail (OMEN_LOCKED, then
 *     OMEN_POISONED).
 *  8. Processes. One process at a time has a store open for writing; others get OMEN_LOCKED. Any number of processes
 *     may read it with OMEN_READ_ONLY. Each sees what was committed when it opened the store.
 *  9. Disk. A writing call is all or nothing, and the readers of this handle see it when it returns. It survives a
 *     crash of the machine once omen_store_commit has returned; with OMEN_SYNC_EACH at once, with OMEN_SYNC_NONE
 *     later. After an error outside of 40-49 the store is as it was before the call; but if a write or a sync failed
 *     (OMEN_IO), the next open may still find the whole call. Every byte on disk has a checksum: damage is reported
 *     and never returned as data. Files are mapped read-only: if another program truncates one while it is in use,
 *     the system sends SIGBUS, which a library cannot turn into a status.
 *  10. Poison. After a failed write to the disk or a caught panic the store refuses writes (OMEN_POISONED); reads go
 *      on. Close the store and open it again: that recovers everything that was committed.
 *  11. Side effects. The library prints nothing, installs no signal handler, has no global settings, leaves no thread
 *      running when a call returns, and touches no file outside the directory of the store. Paths are UTF-8 and
 *      NUL-terminated.
 */

/** @file
 * libomen for C. The @ref index "conventions" hold for every function.
 */

#ifndef OMEN_H
#define OMEN_H

#include <stddef.h>
#include <stdint.h>

/**
 * Part of the version of this header; omen_version() returns that of the linked library.
 */
#define OMEN_VERSION_MAJOR 0

/**
 * Part of the version of this header; omen_version() returns that of the linked library.
 */
#define OMEN_VERSION_MINOR 1

/**
 * Part of the version of this header; omen_version() returns that of the linked library.
 */
#define OMEN_VERSION_PATCH 0

/**
 * An open store, from omen_store_open to omen_store_close.
 */
typedef struct omen_store omen_store;
typedef struct omen_store_options omen_store_options;
typedef struct omen_work_options omen_work_options;
typedef struct omen_compress_options omen_compress_options;
typedef struct omen_compress_report omen_compress_report;
typedef struct omen_search_options omen_search_options;
typedef struct omen_verify_report omen_verify_report;

/**
 * The ABI version of this header; omen_abi_version() returns that of the linked library. It grows with each change
 * that can break a compiled program. New functions and new members at the end of structs do not change it.
 */
#define OMEN_ABI_VERSION 1

/**
 * The id that no vector can have. omen_store_search returns it in slots without a neighbour.
 */
#define OMEN_NO_ID UINT64_MAX

/**
 * The call did what its comment says.
 */
#define OMEN_OK 0

/**
 * A required pointer is NULL; the message names it.
 */
#define OMEN_NULL_POINTER 1

/**
 * The handle is not open: it was closed, or omen_store_open never returned it.
 */
#define OMEN_INVALID_HANDLE 2

/**
 * An argument or an option is out of range; the message names it and what was expected.
 */
#define OMEN_INVALID_ARGUMENT 3

/**
 * The dim of the call is not the store's.
 */
#define OMEN_DIM_MISMATCH 4

/**
 * The metric of the call is not the store's.
 */
#define OMEN_METRIC_MISMATCH 5

/**
 * A vector has a NaN or an infinity; the message says where.
 */
#define OMEN_NOT_FINITE 6

/**
 * An id is not in the store.
 */
#define OMEN_NOT_FOUND 7

/**
 * An id occurs twice in one call, or is already in the store.
 */
#define OMEN_DUPLICATE_ID 8

/**
 * The store has too few vectors to train a codebook.
 */
#define OMEN_TOO_FEW_VECTORS 9

/**
 * The store was opened with OMEN_READ_ONLY.
 */
#define OMEN_IS_READ_ONLY 10

/**
 * The progress function stopped the call.
 */
#define OMEN_CANCELLED 11

/**
 * A number is larger than memory or the file format can hold.
 */
#define OMEN_TOO_BIG 12

/**
 * A system call failed; the message names the call, the file and the reason.
 */
#define OMEN_IO 20

/**
 * The disk or the quota is full.
 */
#define OMEN_NO_SPACE 21

/**
 * Another handle or process has the store open for writing.
 */
#define OMEN_LOCKED 22

/**
 * The system has not enough memory for the call.
 */
#define OMEN_OUT_OF_MEMORY 23

/**
 * The bytes of a file are not those that were written; the message names the file and the position.
 */
#define OMEN_CORRUPT 30

/**
 * A file has a format version that this library does not know.
 */
#define OMEN_VERSION 31

/**
 * There is no store at the path.
 */
#define OMEN_NOT_A_STORE 32

/**
 * An earlier failure made the store refuse writes: close it and open it again. Reads go on.
 */
#define OMEN_POISONED 40

/**
 * A bug in the library was caught; the store is poisoned. Please report the message.
 */
#define OMEN_PANIC 41

/**
 * This version of the library cannot do this; from the command line also: a file of vectors is whole, but of a kind that
 * is not read.
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
 * 1 - cosine of the angle. Vectors are stored as inserted, not normalised.
 */
#define OMEN_COSINE 2

/**
 * Writes are durable when omen_store_commit returns (the default).
 */
#define OMEN_SYNC_COMMIT 0

/**
 * A write is durable when the writing call returns.
 */
#define OMEN_SYNC_EACH 1

/**
 * Writes become durable when the library seals a file, compresses or closes. After a crash the store has all calls up
 * to some call, and none after it.
 */
#define OMEN_SYNC_NONE 2

/**
 * Open the store; create it if there is none (the default).
 */
#define OMEN_READ_WRITE_CREATE 0

/**
 * Open the store for writing; it must exist.
 */
#define OMEN_READ_WRITE 1

/**
 * Open the store for reading: without a lock, and without writing to the disk.
 */
#define OMEN_READ_ONLY 2

/**
 * Create the store; it must not exist.
 */
#define OMEN_CREATE_NEW 3

/**
 * In options: the library chooses the codec.
 */
#define OMEN_CODEC_AUTO 0

/**
 * In reports: window codes, small codes of whole vectors.
 */
#define OMEN_CODEC_WINDOWS 2

/**
 * In reports: scalar codes, one code for each component; nearly exact, or exact if the bytes suffice.
 */
#define OMEN_CODEC_SCALAR 3

/**
 * In reports: formula codes, small codes whose codebook is computed from the variances of the vectors, without training.
 */
#define OMEN_CODEC_FORMULA 4

/**
 * The default: the lowest error at which one core of a common machine encodes 50,000 vectors of 128 dims a second.
 */
#define OMEN_QUALITY_NORMAL 0

/**
 * Encodes several times as fast as OMEN_QUALITY_NORMAL. Measured error: 55 % more on SIFT at ratio 16, 2 % more at ratio
 * 8; 3 % more on sentence embeddings at ratio 16.
 */
#define OMEN_QUALITY_FAST 1

/**
 * Encodes a third as fast as OMEN_QUALITY_NORMAL and trains twice as long. Measured error at ratio 16: 5 % less on SIFT,
 * 3 % less on sentence embeddings.
 */
#define OMEN_QUALITY_BEST 2

/**
 * In reports: the ratio that was asked for decided how long the codes are; without one, 16 or the highest ratio that so
 * few vectors can reach.
 */
#define OMEN_LIMIT_RATIO 0

/**
 * In reports: `max_relative_mse` decided; a higher ratio, up to 16, would have had more error.
 */
#define OMEN_LIMIT_ERROR 1

/**
 * An open store, from omen_store_open to omen_store_close. The pointer is a number, not an address.
 */
struct omen_store;

/**
 * Progress function of a long call. It returns 0 to go on; anything else stops the call, which then returns
 * OMEN_CANCELLED and leaves the store unchanged.
 *
 * It runs on the thread that made the call, and may call functions that read the same store. While a compress or a
 * compact calls it, omen_store_compress, omen_store_compact and omen_store_close of that store return
 * OMEN_INVALID_ARGUMENT. It must return: neither longjmp nor a C++ exception may leave it.
 *
 * @param user   the `user` member of the options
 * @param done   steps done so far; it never decreases. The size of a step differs from call to call
 * @param total  steps of the whole call
 */
typedef int32_t (*omen_progress_fn)(void *user, uint64_t done, uint64_t total);

/**
 * How to run a long call. omen_work_options_init fills in the defaults.
 */
struct omen_work_options {
    /**
     * sizeof(omen_work_options) that the caller was compiled with.
     */
    uint64_t struct_size;
    /**
     * Called from time to time; NULL (default): no function.
     */
    omen_progress_fn progress;
    /**
     * Passed to `progress`.
     */
    void *user;
    /**
     * Most threads to use; 0 (default): as many as the store was opened with.
     */
    uint32_t threads;
    /**
     * Reserved; 0.
     */
    uint32_t reserved;
};

/**
 * How a store is opened. omen_store_options_init fills in the defaults.
 */
struct omen_store_options {
    /**
     * sizeof(omen_store_options) that the caller was compiled with.
     */
    uint64_t struct_size;
    /**
     * OMEN_L2 (default), OMEN_INNER_PRODUCT or OMEN_COSINE. It must be that of an existing store, else the status is
     * OMEN_METRIC_MISMATCH. Options given as NULL, or too short for this member, accept any.
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
     * Most threads that one call uses; 0 (default): as many as the machine has.
     */
    uint32_t threads;
};

/**
 * How to compress. omen_compress_options_init fills in the defaults.
 */
struct omen_compress_options {
    /**
     * sizeof(omen_compress_options) that the caller was compiled with.
     */
    uint64_t struct_size;
    /**
     * Compression ratio: bytes of the vectors as floats (vectors x dim x 4) divided by the bytes of the whole
     * directory afterwards. A number of at least 1: that ratio, whatever the error. 0 (default): the highest ratio, up
     * to 16, whose error is at most `max_relative_mse`; then existing codes are not coded again.
     */
    double ratio;
    /**
     * Number of vectors to train on; 0 (default): the library chooses.
     */
    uint64_t sample;
    /**
     * Seed of all random choices, 0 by default. Same vectors, options and seed give the same bytes.
     */
    uint64_t seed;
    /**
     * OMEN_CODEC_AUTO, the only choice today.
     */
    int32_t codec;
    /**
     * Most threads to use; 0 (default): as many as the store was opened with.
     */
    uint32_t threads;
    /**
     * Called from time to time; NULL (default): no function.
     */
    omen_progress_fn progress;
    /**
     * Passed to `progress`.
     */
    void *user;
    /**
     * OMEN_QUALITY_NORMAL (default), OMEN_QUALITY_FAST or OMEN_QUALITY_BEST: encoding time against error.
     */
    int32_t quality;
    /**
     * Reserved; 0.
     */
    int32_t reserved;
    /**
     * With a `ratio` of 0: the largest relative mean squared error of vectors that were not trained on, above 0 and
     * below 1. 0 (default): 0.1. Must be 0 if a ratio is given, because only one of the two can be met.
     */
    double max_relative_mse;
};

/**
 * Report of omen_store_compress. Bytes are those of the files. The errors cover every vector. An error is measured
 * when the code is made, against the vector as omen_store_get returned it until then; codes kept from an earlier call
 * count with the error measured in that call.
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
     * Bytes of all files of the store before.
     */
    uint64_t bytes_before;
    /**
     * Bytes of all files of the store afterwards.
     */
    uint64_t bytes_after;
    /**
     * Bytes of the code of one vector.
     */
    uint64_t code_bytes;
    /**
     * Bytes of the codebook and of its parity.
     */
    uint64_t codebook_bytes;
    /**
     * Relative mean squared error in the terms of the metric. OMEN_L2 and OMEN_INNER_PRODUCT: the sum of
     * |x - decoded x| squared over all vectors, divided by the sum of |x| squared. OMEN_COSINE, which ignores lengths: the
     * mean over all vectors of |x - decoded x| squared / |x| squared.
     */
    double relative_mse;
    /**
     * The largest |x - decoded x| / |x| of any vector.
     */
    double worst_relative_error;
    /**
     * vectors x dim x 4 / bytes_after: the ratio that was reached.
     */
    double ratio;
    /**
     * Wall time of the call, in seconds.
     */
    double seconds;
    /**
     * The codec of the codes: OMEN_CODEC_WINDOWS, OMEN_CODEC_SCALAR or OMEN_CODEC_FORMULA.
     */
    int32_t codec;
    /**
     * What decided how long the codes are: OMEN_LIMIT_RATIO or OMEN_LIMIT_ERROR.
     */
    int32_t limit;
    /**
     * Relative mean squared error of vectors that were not trained on, measured on up to 2048 of them: what vectors
     * that are inserted later can expect. With OMEN_COSINE the mean of |x - decoded x| squared / |x| squared. NaN if there
     * were none: a ratio was given and every vector was trained on, or no vector was new.
     */
    double held_out_relative_mse;
};

/**
 * How to search. omen_search_options_init fills in the defaults.
 */
struct omen_search_options {
    /**
     * sizeof(omen_search_options) that the caller was compiled with.
     */
    uint64_t struct_size;
    /**
     * Number of candidates to rerank for each query, at least `k`; 0 (default): the library chooses. More candidates
     * find more neighbours only if scores are computed from a part of each code (scalar codes, ratios of about 2 to
     * 5).
     */
    uint64_t rerank;
    /**
     * Share of the inverted lists to visit, above 0 and up to 1 (every code); 0 (default): the library chooses.
     */
    double effort;
    /**
     * Only these ids may be found: `uint64_t[allow_n]`, in any order. NULL (default) and an `allow_n` of 0: every id.
     */
    const uint64_t *allow_ids;
    /**
     * Number of `allow_ids`; 0 (default): every id may be found.
     */
    uint64_t allow_n;
    /**
     * Most threads to use; 0 (default): as many as the store was opened with.
     */
    uint32_t threads;
    /**
     * 1: compare the query with every vector as omen_store_get returns it. 0 (default): the library chooses.
     */
    int32_t exact;
    /**
     * These ids are not found: `uint64_t[deny_n]`, in any order. NULL (default) and a `deny_n` of 0: none. An id that
     * is in `allow_ids` too is not found.
     */
    const uint64_t *deny_ids;
    /**
     * Number of `deny_ids`.
     */
    uint64_t deny_n;
    /**
     * Only vectors at most this far from the query are found, by the distance of the metric as `out_distances` has it,
     * and at most `k` of them. INFINITY (default): at any distance. Below 0 it is refused for OMEN_L2 and OMEN_COSINE,
     * whose distances are never negative.
     */
    double max_distance;
};

/**
 * What omen_store_stats returns. The function has the same name, as in stat(2): write `struct omen_store_stats`.
 */
struct omen_store_stats {
    /**
     * sizeof(struct omen_store_stats), set by the caller before the call.
     */
    uint64_t struct_size;
    /**
     * Number of vectors in the store.
     */
    uint64_t vectors;
    /**
     * Deleted or replaced vectors whose bytes omen_store_compact would free.
     */
    uint64_t deleted;
    /**
     * Bytes of all files of the store.
     */
    uint64_t bytes_on_disk;
    /**
     * vectors x dim x 4: the vectors as floats.
     */
    uint64_t raw_bytes;
    /**
     * Number of files with vectors.
     */
    uint64_t segments;
    /**
     * Vectors kept exactly, as floats.
     */
    uint64_t raw_vectors;
    /**
     * Vectors kept as codes.
     */
    uint64_t compressed_vectors;
    /**
     * Number of the manifest. It grows with every change of the set of files.
     */
    uint64_t generation;
    /**
     * Number of floats in a vector.
     */
    uint32_t dim;
    /**
     * OMEN_L2, OMEN_INNER_PRODUCT or OMEN_COSINE.
     */
    int32_t metric;
    /**
     * Of the compressed vectors: the relative mean squared error in the terms of the metric, as in omen_compress_report.
     */
    double relative_mse;
    /**
     * Of the compressed vectors: the largest |x - decoded x| / |x|.
     */
    double worst_relative_error;
    /**
     * Of the compressed vectors: an upper bound on |x - decoded x|, where x is the vector that was inserted.
     */
    double error_bound;
    /**
     * Largest drift of any file: the mean error of its vectors divided by the mean error that its codebook was trained
     * to. 1 without drift, 0 if nothing is compressed.
     */
    double drift;
};

/**
 * How much omen_store_verify read.
 */
struct omen_verify_report {
    /**
     * sizeof(omen_verify_report), set by the caller before the call.
     */
    uint64_t struct_size;
    /**
     * Number of files.
     */
    uint64_t files;
    /**
     * Number of blocks whose checksum was compared.
     */
    uint64_t blocks;
    /**
     * Number of bytes.
     */
    uint64_t bytes;
    /**
     * Number of vectors in the store.
     */
    uint64_t vectors;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* LIBRARY */

/**
 * Returns the version of the linked library, such as "0.1.0". The string is static, never NULL. Any thread may call
 * it.
 */
const char *omen_version(void);

/**
 * Returns the OMEN_ABI_VERSION that the library was built with. It should equal the header's. Any thread may call it.
 */
uint32_t omen_abi_version(void);

/**
 * Returns the name of a status, such as "OMEN_NOT_FOUND", and "OMEN_?" for an unknown number. The string is static,
 * never NULL. Any thread may call it.
 *
 * @param status  a number that another function returned
 */
const char *omen_status_name(int32_t status);

/**
 * Returns a detailed message about this thread's last failure, such as "dim: the store has 128, the call asks for
 * 100", and "" if no call of this thread has failed. Never NULL.
 *
 * The string belongs to the library and is valid until this thread's next omen call. A call that succeeds does not
 * clear the message. Each thread has its own.
 */
const char *omen_last_message(void);

/* LONG CALLS: progress, cancellation and threads */

/**
 * Sets every member of `options` to its default, `struct_size` included. Ignores NULL. Any thread may call it.
 *
 * @param options  the struct to fill in
 */
void omen_work_options_init(struct omen_work_options *options);

/* STORE: opening and closing */

/**
 * Sets every member of `options` to its default, `struct_size` included. Ignores NULL. Any thread may call it.
 *
 * @param options  the struct to fill in
 */
void omen_store_options_init(struct omen_store_options *options);

/**
 * Opens the store in the directory `path`, or creates it if `options->mode` allows that.
 *
 * @param path     the directory. If it is missing it is created, but not its parents. A directory with other files in
 *                 it is OMEN_NOT_A_STORE and is not touched
 * @param dim      number of floats in a vector, 1 to 65536. It must be that of an existing store; 0 accepts any, and
 *                 creates no store
 * @param options  may be NULL: the defaults, and any metric
 * @param out      receives the handle. Pass it to omen_store_close when you are done
 *
 * Errors: OMEN_DIM_MISMATCH, OMEN_METRIC_MISMATCH, OMEN_LOCKED, OMEN_NO_SPACE, OMEN_VERSION, OMEN_NOT_A_STORE (also if
 * there is no store and the mode does not create one), OMEN_TOO_BIG (too many stores are open).
 *
 * Disk: a new store survives a crash from here on. In an existing store, calls that a crash left incomplete are
 * dropped: all committed calls are there, and of the calls after the last commit those up to the first incomplete one.
 * OMEN_READ_ONLY writes nothing and shows the committed calls only.
 */
int32_t omen_store_open(const char *path,
                        uint32_t dim,
                        const struct omen_store_options *options,
                        struct omen_store **out);

/**
 * Commits and closes the store. The handle is invalid afterwards, whatever the status is.
 *
 * @param store  an open store; NULL is OMEN_OK
 *
 * Threads: running calls of other threads finish; the last of them frees the memory. In the progress function of a
 * compress or compact of this store the status is OMEN_INVALID_ARGUMENT, and the store stays open.
 *
 * Errors: OMEN_NO_SPACE, OMEN_IO: the commit failed. What was committed earlier is safe.
 *
 * Disk: all writes are durable. You may copy the files, and another process may open the store.
 */
int32_t omen_store_close(struct omen_store *store);

/**
 * Returns the number of floats in a vector of this store, and 0 if the handle is not valid.
 *
 * @param store  an open store
 */
uint32_t omen_store_dim(const struct omen_store *store);

/**
 * Returns the number of vectors in the store.
 *
 * @param store      an open store
 * @param out_count  receives the number
 */
int32_t omen_store_count(const struct omen_store *store, uint64_t *out_count);

/* WRITING: each call is all or nothing (convention 9). One call with many vectors is faster than many calls. */

/**
 * Inserts `n` vectors under ids that are not in the store.
 *
 * @param store         an open store
 * @param ids           `uint64_t[n]`, all different. NULL: consecutive ids after the largest id that was ever in the
 *                      store
 * @param vectors       `float[n][dim]`, every component finite. They are kept bit for bit, also with OMEN_COSINE
 * @param n             number of vectors
 * @param out_first_id  receives the first id of the call (if `n` is 0: the next id that would be chosen). May be NULL
 *
 * Errors: OMEN_NOT_FINITE, OMEN_DUPLICATE_ID, OMEN_TOO_BIG, OMEN_IS_READ_ONLY, OMEN_NO_SPACE, OMEN_POISONED.
 *
 * Disk: durable after the next commit; with OMEN_SYNC_EACH durable on return.
 */
int32_t omen_store_insert(struct omen_store *store,
                          const uint64_t *ids,
                          const float *vectors,
                          size_t n,
                          uint64_t *out_first_id);

/**
 * Inserts `n` vectors, and replaces those whose id is already in the store.
 *
 * @param store    an open store
 * @param ids      `uint64_t[n]`, all different
 * @param vectors  `float[n][dim]`, every component finite
 * @param n        number of vectors
 *
 * Errors: OMEN_NOT_FINITE, OMEN_DUPLICATE_ID (an id occurs twice in this call), OMEN_TOO_BIG, OMEN_IS_READ_ONLY,
 * OMEN_NO_SPACE, OMEN_POISONED.
 *
 * Disk: as for omen_store_insert. omen_store_compact gives back the bytes of replaced vectors.
 */
int32_t omen_store_upsert(struct omen_store *store, const uint64_t *ids, const float *vectors, size_t n);

/**
 * Deletes the vectors of `n` ids. Ids that are not in the store are ignored.
 *
 * @param store        an open store
 * @param ids          `uint64_t[n]`
 * @param n            number of ids
 * @param out_deleted  receives the number of deleted vectors
 *
 * Errors: OMEN_IS_READ_ONLY, OMEN_NO_SPACE, OMEN_POISONED.
 *
 * Disk: as for omen_store_insert. omen_store_compact gives back the bytes of deleted vectors.
 */
int32_t omen_store_delete(struct omen_store *store, const uint64_t *ids, size_t n, uint64_t *out_deleted);

/**
 * Makes all writes so far durable: they survive a crash of the machine. With OMEN_SYNC_NONE it passes them to the
 * operating system, which writes them to the disk later.
 *
 * @param store  an open store
 *
 * Errors: OMEN_IS_READ_ONLY, OMEN_NO_SPACE, OMEN_IO, OMEN_POISONED. After a failure the store is poisoned. What was
 * committed earlier is safe.
 *
 * Disk: every write of this handle that returned before this call began is durable (with OMEN_SYNC_NONE: later).
 */
int32_t omen_store_commit(struct omen_store *store);

/* READING: readers never wait for a writer, and see whole calls only. */

/**
 * Reads the vectors of `n` ids. They are bit for bit those that were inserted; after omen_store_compress they are
 * decoded from their codes, which is an approximation.
 *
 * @param store        an open store
 * @param ids          `uint64_t[n]`, in any order; an id may occur more than once
 * @param n            number of ids
 * @param out_vectors  `float[n][dim]`; need not be initialised
 * @param out_found    `uint8_t[n]`: 1 where the id is in the store, 0 where it is not; the vector is then all zeros.
 *                     NULL: every id must be in the store, else the status is OMEN_NOT_FOUND and nothing is written
 *
 * Errors: OMEN_NOT_FOUND, OMEN_TOO_BIG.
 *
 * Disk: not written to.
 */
int32_t omen_store_get(const struct omen_store *store,
                       const uint64_t *ids,
                       size_t n,
                       float *out_vectors,
                       uint8_t *out_found);

/**
 * Checks for each of `n` ids whether it is in the store.
 *
 * @param store      an open store
 * @param ids        `uint64_t[n]`, in any order; an id may occur more than once
 * @param n          number of ids
 * @param out_found  `uint8_t[n]`: 1 where the id is in the store, else 0
 *
 * Errors: OMEN_TOO_BIG.
 *
 * Disk: not written to.
 */
int32_t omen_store_contains(const struct omen_store *store, const uint64_t *ids, size_t n, uint8_t *out_found);

/**
 * Reads the store in ascending order of id, up to `capacity` vectors in each call:
 *
 *     uint64_t position = 0; size_t n;
 *     while ((status = omen_store_scan(store, &position, 1000, ids, vectors, &n)) == OMEN_OK && n > 0) { ... }
 *
 * Each call sees the store as it is at that moment: of the writes between two calls, a later call sees those with ids
 * from `*inout_position` on.
 *
 * @param store           an open store
 * @param inout_position  the smallest id to read; 0 at the start. The library sets it to the position of the next call
 * @param capacity        number of vectors that the arrays hold; with 0 nothing is read, and `*out_n` is 0
 * @param out_ids         `uint64_t[capacity]`
 * @param out_vectors     `float[capacity][dim]`, as omen_store_get reads them. NULL: ids only
 * @param out_n           receives the number of vectors read; 0 at the end
 *
 * Errors: OMEN_TOO_BIG.
 *
 * Disk: not written to.
 */
int32_t omen_store_scan(const struct omen_store *store,
                        uint64_t *inout_position,
                        size_t capacity,
                        uint64_t *out_ids,
                        float *out_vectors,
                        size_t *out_n);

/* COMPRESSING */

/**
 * Sets every member of `options` to its default, `struct_size` included. Ignores NULL. Any thread may call it.
 *
 * @param options  the struct to fill in
 */
void omen_compress_options_init(struct omen_compress_options *options);

/**
 * Trains a codebook on the vectors, replaces every vector by its code, and frees the bytes of the originals. From then
 * on reading a vector decodes it. Vectors that are inserted later are kept exactly until the next compress.
 *
 * @param store       an open store
 * @param options     may be NULL: the defaults
 * @param out_report  receives the report. Set its `struct_size` first
 *
 * Threads: a long call. Readers and writers go on meanwhile.
 *
 * Errors: OMEN_TOO_FEW_VECTORS, OMEN_CANCELLED, OMEN_NO_SPACE, OMEN_IS_READ_ONLY, OMEN_POISONED. After each of them
 * the store is as it was before the call.
 *
 * Disk: everything is committed and compressed. After a crash during the call, the store is either as before or
 * compressed.
 */
int32_t omen_store_compress(struct omen_store *store,
                            const struct omen_compress_options *options,
                            struct omen_compress_report *out_report);

/* SEARCHING */

/**
 * Sets every member of `options` to its default, `struct_size` included. Ignores NULL. Any thread may call it.
 *
 * @param options  the struct to fill in
 */
void omen_search_options_init(struct omen_search_options *options);

/**
 * Finds the `k` nearest vectors of each of `nq` queries, by the metric of the store.
 *
 * @param store          an open store
 * @param queries        `float[nq][dim]`, every component finite
 * @param nq             number of queries
 * @param k              number of neighbours for each query
 * @param options        may be NULL: the defaults
 * @param out_ids        `uint64_t[nq][k]`, nearest first, equal distances by ascending id. OMEN_NO_ID fills the
 *                       remaining places if fewer than `k` are found
 * @param out_distances  `float[nq][k]`: squared Euclidean distance, negated inner product, or 1 - cosine, so that
 *                       smaller is nearer. NaN fills the remaining places if fewer than `k` are found
 *
 * Exactness: vectors that are not compressed are compared exactly. Compressed vectors are scored from their codes, and
 * the best candidates are reranked; their distances are estimates of the distances to the inserted vectors. With
 * `exact` 1 every code is decoded and compared, and distances are those to the decoded vectors. That is slow, and
 * meant as a reference. The result depends neither on `threads` nor on how queries are divided into calls. Many
 * queries in one call are faster than one at a time, because they share the passes over memory.
 *
 * Inverted lists: omen_store_compress makes them for large stores. A search then visits the lists nearest to its
 * query: as many as compress found to hold nearly all neighbours, more if the query is unlike the vectors, or the share of
 * the lists given by `effort`.
 *
 * Places are left over (OMEN_NO_ID, NaN) only if fewer than `k` vectors are live, allowed and within `max_distance`:
 * lists are visited until `k` such vectors are found, or all lists are. With an `effort` above 0, lists beyond that share
 * are visited for live and allowed vectors, but not for vectors within `max_distance`.
 *
 * Filters: `allow_ids` and `deny_ids` may have any order, may repeat ids, and may name ids that are not stored; an id on
 * both is not found. They may be new with each query: a search costs about as much as without, up to twice as much.
 * Ascending ids, each once, are used in place; others are sorted first, in a copy. The fewer vectors are allowed, the more
 * inverted lists are visited; a few hundred allowed vectors, and with `exact` any number, are all compared. The first
 * filter makes a map of 8 bytes a vector in memory for each file with lists.
 *
 * Errors: OMEN_NOT_FINITE, OMEN_TOO_BIG (also: 2^32 ids or more in a list). OMEN_INVALID_ARGUMENT if `max_distance` is
 * NaN or -INFINITY, or below 0 where distances are never negative.
 *
 * Disk: not written to.
 */
int32_t omen_store_search(const struct omen_store *store,
                          const float *queries,
                          size_t nq,
                          size_t k,
                          const struct omen_search_options *options,
                          uint64_t *out_ids,
                          float *out_distances);

/* UPKEEP */

/**
 * Returns what the store holds and how many bytes it takes on disk.
 *
 * @param store      an open store
 * @param out_stats  receives the numbers. Set its `struct_size` first
 *
 * Disk: not written to.
 */
int32_t omen_store_stats(const struct omen_store *store, struct omen_store_stats *out_stats);

/**
 * Reads every byte of the store from the disk and compares all checksums.
 *
 * @param store       an open store
 * @param options     may be NULL: the defaults
 * @param out_report  receives how much was read. Set its `struct_size` first
 *
 * Threads: a long call. Readers and writers go on meanwhile. It waits for a running write before it starts.
 *
 * Errors: OMEN_CORRUPT: the message names the file and the block. OMEN_CANCELLED.
 *
 * Disk: not written to.
 */
int32_t omen_store_verify(const struct omen_store *store,
                          const struct omen_work_options *options,
                          struct omen_verify_report *out_report);

/**
 * Removes deleted and replaced vectors from the files, and frees their bytes.
 *
 * @param store    an open store
 * @param options  may be NULL: the defaults
 *
 * Threads: a long call. Readers and writers go on meanwhile.
 *
 * Errors: OMEN_NO_SPACE (the new files are written before the old ones are removed), OMEN_CANCELLED,
 * OMEN_IS_READ_ONLY, OMEN_POISONED. After each of them the store is as it was before the call.
 *
 * Disk: everything is committed, and no bytes of deleted vectors remain. After a crash during the call, the store is
 * either as before or compacted.
 */
int32_t omen_store_compact(struct omen_store *store, const struct omen_work_options *options);

/**
 * Copies the store, as it is committed now, into a new directory, while readers and the writer go on.
 *
 * @param store    an open store
 * @param path     the directory of the copy; it must not exist
 * @param options  may be NULL: the defaults
 *
 * Errors: OMEN_UNSUPPORTED, always in this version. You may copy the files of a closed store instead.
 */
int32_t omen_store_backup(const struct omen_store *store, const char *path, const struct omen_work_options *options);

/**
 * Makes a handle opened with OMEN_READ_ONLY see what the writer has committed since then.
 *
 * @param store  an open store
 *
 * Errors: OMEN_UNSUPPORTED, always in this version. Close the handle and open it again instead.
 */
int32_t omen_store_refresh(struct omen_store *store);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* OMEN_H */
