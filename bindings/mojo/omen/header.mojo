"""The constants and structs of libomen, and the names of its functions. Made from include/omen.h by
`OMEN_BLESS=1 cargo test --test mojo header`; a test compares the two."""
from std.memory import OpaquePointer, Pointer
from std.sys import size_of

comptime OMEN_VERSION_MAJOR: Int32 = 0
"""Part of the version of this header; omen_version() returns that of the linked library."""

comptime OMEN_VERSION_MINOR: Int32 = 1
"""Part of the version of this header; omen_version() returns that of the linked library."""

comptime OMEN_VERSION_PATCH: Int32 = 0
"""Part of the version of this header; omen_version() returns that of the linked library."""

comptime OMEN_ABI_VERSION: UInt32 = 1
"""The ABI version of this header; omen_abi_version() returns that of the linked library. It grows with each change
that can break a compiled program. New functions and new members at the end of structs do not change it."""

comptime OMEN_NO_ID: UInt64 = UInt64.MAX
"""The id that no vector can have. omen_store_search returns it in slots without a neighbour."""

comptime OMEN_OK: Int32 = 0
"""The call did what its comment says."""

comptime OMEN_NULL_POINTER: Int32 = 1
"""A required pointer is NULL; the message names it."""

comptime OMEN_INVALID_HANDLE: Int32 = 2
"""The handle is not open: it was closed, or omen_store_open never returned it."""

comptime OMEN_INVALID_ARGUMENT: Int32 = 3
"""An argument or an option is out of range; the message names it and what was expected."""

comptime OMEN_DIM_MISMATCH: Int32 = 4
"""The dim of the call is not the store's."""

comptime OMEN_METRIC_MISMATCH: Int32 = 5
"""The metric of the call is not the store's."""

comptime OMEN_NOT_FINITE: Int32 = 6
"""A vector has a NaN or an infinity; the message says where."""

comptime OMEN_NOT_FOUND: Int32 = 7
"""An id is not in the store."""

comptime OMEN_DUPLICATE_ID: Int32 = 8
"""An id occurs twice in one call, or is already in the store."""

comptime OMEN_TOO_FEW_VECTORS: Int32 = 9
"""The store has too few vectors to train a codebook."""

comptime OMEN_IS_READ_ONLY: Int32 = 10
"""The store was opened with OMEN_READ_ONLY."""

comptime OMEN_CANCELLED: Int32 = 11
"""The progress function stopped the call."""

comptime OMEN_TOO_BIG: Int32 = 12
"""A number is larger than memory or the file format can hold."""

comptime OMEN_IO: Int32 = 20
"""A system call failed; the message names the call, the file and the reason."""

comptime OMEN_NO_SPACE: Int32 = 21
"""The disk or the quota is full."""

comptime OMEN_LOCKED: Int32 = 22
"""Another handle or process has the store open for writing."""

comptime OMEN_OUT_OF_MEMORY: Int32 = 23
"""The system has not enough memory for the call."""

comptime OMEN_CORRUPT: Int32 = 30
"""The bytes of a file are not those that were written; the message names the file and the position."""

comptime OMEN_VERSION: Int32 = 31
"""A file has a format version that this library does not know."""

comptime OMEN_NOT_A_STORE: Int32 = 32
"""There is no store at the path."""

comptime OMEN_POISONED: Int32 = 40
"""An earlier failure made the store refuse writes: close it and open it again. Reads go on."""

comptime OMEN_PANIC: Int32 = 41
"""A bug in the library was caught; the store is poisoned. Please report the message."""

comptime OMEN_UNSUPPORTED: Int32 = 42
"""This version of the library cannot do this; from the command line also: a file of vectors is whole, but of a kind that
is not read."""

comptime OMEN_L2: Int32 = 0
"""Squared Euclidean distance."""

comptime OMEN_INNER_PRODUCT: Int32 = 1
"""Negated inner product."""

comptime OMEN_COSINE: Int32 = 2
"""1 - cosine of the angle. Vectors are stored as inserted, not normalised."""

comptime OMEN_SYNC_COMMIT: Int32 = 0
"""Writes are durable when omen_store_commit returns (the default)."""

comptime OMEN_SYNC_EACH: Int32 = 1
"""A write is durable when the writing call returns."""

comptime OMEN_SYNC_NONE: Int32 = 2
"""Writes become durable when the library seals a file, compresses or closes. After a crash the store has all calls up
to some call, and none after it."""

comptime OMEN_READ_WRITE_CREATE: Int32 = 0
"""Open the store; create it if there is none (the default)."""

comptime OMEN_READ_WRITE: Int32 = 1
"""Open the store for writing; it must exist."""

comptime OMEN_READ_ONLY: Int32 = 2
"""Open the store for reading: without a lock, and without writing to the disk."""

comptime OMEN_CREATE_NEW: Int32 = 3
"""Create the store; it must not exist."""

comptime OMEN_CODEC_AUTO: Int32 = 0
"""In options: the library chooses the codec."""

comptime OMEN_CODEC_WINDOWS: Int32 = 2
"""In reports: window codes, small codes of whole vectors."""

comptime OMEN_CODEC_SCALAR: Int32 = 3
"""In reports: scalar codes, one code for each component; nearly exact, or exact if the bytes suffice."""

comptime OMEN_CODEC_FORMULA: Int32 = 4
"""In reports: formula codes, small codes whose codebook is computed from the variances of the vectors, without training."""

comptime OMEN_QUALITY_NORMAL: Int32 = 0
"""The default: the lowest error at which one core of a common machine encodes 50,000 vectors of 128 dims a second."""

comptime OMEN_QUALITY_FAST: Int32 = 1
"""Encodes several times as fast as OMEN_QUALITY_NORMAL. Measured error: 55 % more on SIFT at ratio 16, 2 % more at ratio
8; 3 % more on sentence embeddings at ratio 16."""

comptime OMEN_QUALITY_BEST: Int32 = 2
"""Encodes a third as fast as OMEN_QUALITY_NORMAL and trains twice as long. Measured error at ratio 16: 5 % less on SIFT,
3 % less on sentence embeddings."""

comptime OMEN_LIMIT_RATIO: Int32 = 0
"""In reports: the ratio that was asked for decided how long the codes are; without one, 16 or the highest ratio that so
few vectors can reach."""

comptime OMEN_LIMIT_ERROR: Int32 = 1
"""In reports: `max_relative_mse` decided; a higher ratio, up to 16, would have had more error."""


@fieldwise_init
struct WorkOptions(Copyable, Movable):
    """How to run a long call. omen_work_options_init fills in the defaults."""

    var struct_size: UInt64
    """sizeof(omen_work_options) that the caller was compiled with."""
    var progress: Optional[OpaquePointer[MutUntrackedOrigin]]
    """Called from time to time; NULL (default): no function."""
    var user: Optional[OpaquePointer[MutUntrackedOrigin]]
    """Passed to `progress`."""
    var threads: UInt32
    """Most threads to use; 0 (default): as many as the store was opened with."""
    var reserved: UInt32
    """Reserved; 0."""

    def __init__(out self):
        """All zeros but for `struct_size`."""
        self = Self(UInt64(size_of[Self]()), None, None, 0, 0)



@fieldwise_init
struct StoreOptions(Copyable, Movable):
    """How a store is opened. omen_store_options_init fills in the defaults."""

    var struct_size: UInt64
    """sizeof(omen_store_options) that the caller was compiled with."""
    var metric: Int32
    """OMEN_L2 (default), OMEN_INNER_PRODUCT or OMEN_COSINE. It must be that of an existing store, else the status is
    OMEN_METRIC_MISMATCH. Options given as NULL, or too short for this member, accept any."""
    var sync: Int32
    """OMEN_SYNC_COMMIT (default), OMEN_SYNC_EACH or OMEN_SYNC_NONE."""
    var mode: Int32
    """OMEN_READ_WRITE_CREATE (default), OMEN_READ_WRITE, OMEN_READ_ONLY or OMEN_CREATE_NEW."""
    var threads: UInt32
    """Most threads that one call uses; 0 (default): as many as the machine has."""

    def __init__(out self):
        """All zeros but for `struct_size`."""
        self = Self(UInt64(size_of[Self]()), 0, 0, 0, 0)



@fieldwise_init
struct CompressOptions(Copyable, Movable):
    """How to compress. omen_compress_options_init fills in the defaults."""

    var struct_size: UInt64
    """sizeof(omen_compress_options) that the caller was compiled with."""
    var ratio: Float64
    """Compression ratio: bytes of the vectors as floats (vectors x dim x 4) divided by the bytes of the whole
    directory afterwards. A number of at least 1: that ratio, whatever the error. 0 (default): the highest ratio, up
    to 16, whose error is at most `max_relative_mse`; then existing codes are not coded again."""
    var sample: UInt64
    """Number of vectors to train on; 0 (default): the library chooses."""
    var seed: UInt64
    """Seed of all random choices, 0 by default. Same vectors, options and seed give the same bytes."""
    var codec: Int32
    """OMEN_CODEC_AUTO, the only choice today."""
    var threads: UInt32
    """Most threads to use; 0 (default): as many as the store was opened with."""
    var progress: Optional[OpaquePointer[MutUntrackedOrigin]]
    """Called from time to time; NULL (default): no function."""
    var user: Optional[OpaquePointer[MutUntrackedOrigin]]
    """Passed to `progress`."""
    var quality: Int32
    """OMEN_QUALITY_NORMAL (default), OMEN_QUALITY_FAST or OMEN_QUALITY_BEST: encoding time against error."""
    var reserved: Int32
    """Reserved; 0."""
    var max_relative_mse: Float64
    """With a `ratio` of 0: the largest relative mean squared error of vectors that were not trained on, above 0 and
    below 1. 0 (default): 0.1. Must be 0 if a ratio is given, because only one of the two can be met."""

    def __init__(out self):
        """All zeros but for `struct_size`."""
        self = Self(UInt64(size_of[Self]()), 0, 0, 0, 0, 0, None, None, 0, 0, 0)



@fieldwise_init
struct CompressReport(Copyable, Movable):
    """Report of omen_store_compress. Bytes are those of the files. The errors cover every vector. An error is measured
    when the code is made, against the vector as omen_store_get returned it until then; codes kept from an earlier call
    count with the error measured in that call."""

    var struct_size: UInt64
    """sizeof(omen_compress_report), set by the caller before the call."""
    var vectors: UInt64
    """Vectors compressed."""
    var bytes_before: UInt64
    """Bytes of all files of the store before."""
    var bytes_after: UInt64
    """Bytes of all files of the store afterwards."""
    var code_bytes: UInt64
    """Bytes of the code of one vector."""
    var codebook_bytes: UInt64
    """Bytes of the codebook and of its parity."""
    var relative_mse: Float64
    """Relative mean squared error in the terms of the metric. OMEN_L2 and OMEN_INNER_PRODUCT: the sum of
    |x - decoded x| squared over all vectors, divided by the sum of |x| squared. OMEN_COSINE, which ignores lengths: the
    mean over all vectors of |x - decoded x| squared / |x| squared."""
    var worst_relative_error: Float64
    """The largest |x - decoded x| / |x| of any vector."""
    var ratio: Float64
    """vectors x dim x 4 / bytes_after: the ratio that was reached."""
    var seconds: Float64
    """Wall time of the call, in seconds."""
    var codec: Int32
    """The codec of the codes: OMEN_CODEC_WINDOWS, OMEN_CODEC_SCALAR or OMEN_CODEC_FORMULA."""
    var limit: Int32
    """What decided how long the codes are: OMEN_LIMIT_RATIO or OMEN_LIMIT_ERROR."""
    var held_out_relative_mse: Float64
    """Relative mean squared error of vectors that were not trained on, measured on up to 2048 of them: what vectors
    that are inserted later can expect. With OMEN_COSINE the mean of |x - decoded x| squared / |x| squared. NaN if there
    were none: a ratio was given and every vector was trained on, or no vector was new."""

    def __init__(out self):
        """All zeros but for `struct_size`."""
        self = Self(UInt64(size_of[Self]()), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)



@fieldwise_init
struct SearchOptions(Copyable, Movable):
    """How to search. omen_search_options_init fills in the defaults."""

    var struct_size: UInt64
    """sizeof(omen_search_options) that the caller was compiled with."""
    var rerank: UInt64
    """Number of candidates to rerank for each query, at least `k`; 0 (default): the library chooses. More candidates
    find more neighbours only if scores are computed from a part of each code (scalar codes, ratios of about 2 to
    5)."""
    var effort: Float64
    """Share of the inverted lists to visit, above 0 and up to 1 (every code); 0 (default): the library chooses."""
    var allow_ids: Optional[Pointer[UInt64, MutUntrackedOrigin]]
    """Only these ids may be found: `uint64_t[allow_n]`, in any order. NULL (default) and an `allow_n` of 0: every id."""
    var allow_n: UInt64
    """Number of `allow_ids`; 0 (default): every id may be found."""
    var threads: UInt32
    """Most threads to use; 0 (default): as many as the store was opened with."""
    var exact: Int32
    """1: compare the query with every vector as omen_store_get returns it. 0 (default): the library chooses."""
    var deny_ids: Optional[Pointer[UInt64, MutUntrackedOrigin]]
    """These ids are not found: `uint64_t[deny_n]`, in any order. NULL (default) and a `deny_n` of 0: none. An id that
    is in `allow_ids` too is not found."""
    var deny_n: UInt64
    """Number of `deny_ids`."""
    var max_distance: Float64
    """Only vectors at most this far from the query are found, by the distance of the metric as `out_distances` has it,
    and at most `k` of them. INFINITY (default): at any distance. Below 0 it is refused for OMEN_L2 and OMEN_COSINE,
    whose distances are never negative."""

    def __init__(out self):
        """All zeros but for `struct_size`."""
        self = Self(UInt64(size_of[Self]()), 0, 0, None, 0, 0, 0, None, 0, 0)



@fieldwise_init
struct StoreStats(Copyable, Movable):
    """What omen_store_stats returns. The function has the same name, as in stat(2): write `struct omen_store_stats`."""

    var struct_size: UInt64
    """sizeof(struct omen_store_stats), set by the caller before the call."""
    var vectors: UInt64
    """Number of vectors in the store."""
    var deleted: UInt64
    """Deleted or replaced vectors whose bytes omen_store_compact would free."""
    var bytes_on_disk: UInt64
    """Bytes of all files of the store."""
    var raw_bytes: UInt64
    """vectors x dim x 4: the vectors as floats."""
    var segments: UInt64
    """Number of files with vectors."""
    var raw_vectors: UInt64
    """Vectors kept exactly, as floats."""
    var compressed_vectors: UInt64
    """Vectors kept as codes."""
    var generation: UInt64
    """Number of the manifest. It grows with every change of the set of files."""
    var dim: UInt32
    """Number of floats in a vector."""
    var metric: Int32
    """OMEN_L2, OMEN_INNER_PRODUCT or OMEN_COSINE."""
    var relative_mse: Float64
    """Of the compressed vectors: the relative mean squared error in the terms of the metric, as in omen_compress_report."""
    var worst_relative_error: Float64
    """Of the compressed vectors: the largest |x - decoded x| / |x|."""
    var error_bound: Float64
    """Of the compressed vectors: an upper bound on |x - decoded x|, where x is the vector that was inserted."""
    var drift: Float64
    """Largest drift of any file: the mean error of its vectors divided by the mean error that its codebook was trained
    to. 1 without drift, 0 if nothing is compressed."""

    def __init__(out self):
        """All zeros but for `struct_size`."""
        self = Self(UInt64(size_of[Self]()), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)



@fieldwise_init
struct VerifyReport(Copyable, Movable):
    """How much omen_store_verify read."""

    var struct_size: UInt64
    """sizeof(omen_verify_report), set by the caller before the call."""
    var files: UInt64
    """Number of files."""
    var blocks: UInt64
    """Number of blocks whose checksum was compared."""
    var bytes: UInt64
    """Number of bytes."""
    var vectors: UInt64
    """Number of vectors in the store."""

    def __init__(out self):
        """All zeros but for `struct_size`."""
        self = Self(UInt64(size_of[Self]()), 0, 0, 0, 0)


comptime FUNCTIONS: List[StaticString] = [
    "omen_version",
    "omen_abi_version",
    "omen_status_name",
    "omen_last_message",
    "omen_work_options_init",
    "omen_store_options_init",
    "omen_store_open",
    "omen_store_close",
    "omen_store_dim",
    "omen_store_count",
    "omen_store_insert",
    "omen_store_upsert",
    "omen_store_delete",
    "omen_store_commit",
    "omen_store_get",
    "omen_store_contains",
    "omen_store_scan",
    "omen_compress_options_init",
    "omen_store_compress",
    "omen_search_options_init",
    "omen_store_search",
    "omen_store_stats",
    "omen_store_verify",
    "omen_store_compact",
    "omen_store_backup",
    "omen_store_refresh",
]
