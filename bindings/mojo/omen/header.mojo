"""The constants and structs of libomen, and the names of its functions. Made from include/omen.h by
`OMEN_BLESS=1 cargo test --test mojo header`; a test compares the two."""
from std.memory import OpaquePointer, Pointer
from std.sys import size_of

comptime OMEN_VERSION_MAJOR: Int32 = 0
"""Part of the version of this header; omen_version() tells that of the library that was linked."""

comptime OMEN_VERSION_MINOR: Int32 = 1
"""Part of the version of this header; omen_version() tells that of the library that was linked."""

comptime OMEN_VERSION_PATCH: Int32 = 0
"""Part of the version of this header; omen_version() tells that of the library that was linked."""

comptime OMEN_ABI_VERSION: UInt32 = 1
"""The version of this header; omen_abi_version() tells that of the library that was linked. It grows when a program
compiled before could notice; additions at the end of structs and new functions leave it alone."""

comptime OMEN_NO_ID: UInt64 = UInt64.MAX
"""No id: what search puts in a place without a neighbour. It is the one id that cannot be stored."""

comptime OMEN_OK: Int32 = 0
"""The call did what its comment says."""

comptime OMEN_NULL_POINTER: Int32 = 1
"""A pointer that is needed is NULL; the message names it."""

comptime OMEN_INVALID_HANDLE: Int32 = 2
"""The handle is not open: closed already, or never returned by omen_store_open."""

comptime OMEN_INVALID_ARGUMENT: Int32 = 3
"""An argument or an option is out of its range."""

comptime OMEN_DIM_MISMATCH: Int32 = 4
"""The store has another dim than the caller asked for."""

comptime OMEN_METRIC_MISMATCH: Int32 = 5
"""The store has another metric than the caller asked for."""

comptime OMEN_NOT_FINITE: Int32 = 6
"""A vector holds a NaN or an infinity; the message says which."""

comptime OMEN_NOT_FOUND: Int32 = 7
"""An id is not in the store."""

comptime OMEN_DUPLICATE_ID: Int32 = 8
"""An id occurs twice in one call, or is stored already."""

comptime OMEN_TOO_FEW_VECTORS: Int32 = 9
"""There are not enough vectors to train on."""

comptime OMEN_IS_READ_ONLY: Int32 = 10
"""The store was opened with OMEN_READ_ONLY."""

comptime OMEN_CANCELLED: Int32 = 11
"""The progress function asked to stop."""

comptime OMEN_TOO_BIG: Int32 = 12
"""A number is above what memory or the format can hold."""

comptime OMEN_IO: Int32 = 20
"""A system call failed; the message says which, on what, and why."""

comptime OMEN_NO_SPACE: Int32 = 21
"""The disk, or the quota, is full."""

comptime OMEN_LOCKED: Int32 = 22
"""Another handle or process has the store open for writing."""

comptime OMEN_OUT_OF_MEMORY: Int32 = 23
"""The machine has no memory for the request."""

comptime OMEN_CORRUPT: Int32 = 30
"""The bytes of a file are not those that were written; the message names the file and the place."""

comptime OMEN_VERSION: Int32 = 31
"""A file is of a format version this library does not know."""

comptime OMEN_NOT_A_STORE: Int32 = 32
"""The path does not hold a store."""

comptime OMEN_POISONED: Int32 = 40
"""Writes are refused since an earlier failure; close and open the store again. Reads go on."""

comptime OMEN_PANIC: Int32 = 41
"""A bug in the library was stopped at its border; the store is poisoned. Please report the message."""

comptime OMEN_UNSUPPORTED: Int32 = 42
"""This version of the library cannot do that."""

comptime OMEN_L2: Int32 = 0
"""Squared Euclidean distance."""

comptime OMEN_INNER_PRODUCT: Int32 = 1
"""Negated inner product."""

comptime OMEN_COSINE: Int32 = 2
"""1 - cosine of the angle. Vectors are stored as given, not normalised."""

comptime OMEN_SYNC_COMMIT: Int32 = 0
"""Durable when omen_store_commit returns (the default)."""

comptime OMEN_SYNC_EACH: Int32 = 1
"""Durable when each writing call returns."""

comptime OMEN_SYNC_NONE: Int32 = 2
"""Durable when the library seals a file, compresses or closes; after a crash a prefix of the calls is there."""

comptime OMEN_READ_WRITE_CREATE: Int32 = 0
"""Open the store, or create it where there is none (the default)."""

comptime OMEN_READ_WRITE: Int32 = 1
"""Open the store for writing; it must exist."""

comptime OMEN_READ_ONLY: Int32 = 2
"""Open the store for reading; takes no lock and writes nothing."""

comptime OMEN_CREATE_NEW: Int32 = 3
"""Create the store; it must not exist."""

comptime OMEN_CODEC_AUTO: Int32 = 0
"""The library chooses the codec: in options."""

comptime OMEN_CODEC_WINDOWS: Int32 = 2
"""Window codes: small codes of vectors as wholes. In reports."""

comptime OMEN_CODEC_SCALAR: Int32 = 3
"""Scalar codes: each component by itself, nearly exact, or exact where the bytes allow it. In reports."""

comptime OMEN_QUALITY_NORMAL: Int32 = 0
"""Lowest error at which 50,000 vectors of 128 dims a second are encoded by one core of a common machine. The default."""

comptime OMEN_QUALITY_FAST: Int32 = 1
"""Encodes several times as fast, with about a third more error."""

comptime OMEN_QUALITY_BEST: Int32 = 2
"""Encodes a third as fast and trains twice as long, with a few percent less error."""


@fieldwise_init
struct StoreOptions(Copyable, Movable):
    """How a store is opened. omen_store_options_init fills in the defaults."""

    var struct_size: UInt64
    """sizeof(omen_store_options) as the caller knows it."""
    var metric: Int32
    """OMEN_L2 (default), OMEN_INNER_PRODUCT or OMEN_COSINE. Must be the store's own if it exists already
    (OMEN_METRIC_MISMATCH); options given as NULL, or too short to hold this member, accept any."""
    var sync: Int32
    """OMEN_SYNC_COMMIT (default), OMEN_SYNC_EACH or OMEN_SYNC_NONE."""
    var mode: Int32
    """OMEN_READ_WRITE_CREATE (default), OMEN_READ_WRITE, OMEN_READ_ONLY or OMEN_CREATE_NEW."""
    var threads: UInt32
    """Threads that one call may use; 0 (default) = as many as the machine has."""

    def __init__(out self):
        """All zeros but for `struct_size`."""
        self = Self(UInt64(size_of[Self]()), 0, 0, 0, 0)



@fieldwise_init
struct CompressOptions(Copyable, Movable):
    """What omen_store_compress aims at. omen_compress_options_init fills in the defaults."""

    var struct_size: UInt64
    """sizeof(omen_compress_options) as the caller knows it."""
    var ratio: Float64
    """Bytes of the vectors as floats (vectors x dim x 4) divided by the bytes of the whole directory afterwards;
    1 or more, 16 by default."""
    var sample: UInt64
    """Vectors to train on; 0 (default) = chosen."""
    var seed: UInt64
    """Same vectors, same options and same seed: same bytes. Default 0."""
    var codec: Int32
    """OMEN_CODEC_AUTO (default)."""
    var threads: UInt32
    """Threads to use; 0 (default) = as many as the store was opened with."""
    var progress: Optional[OpaquePointer[MutUntrackedOrigin]]
    """Called now and then if not NULL (default)."""
    var user: Optional[OpaquePointer[MutUntrackedOrigin]]
    """Handed to `progress`."""
    var quality: Int32
    """OMEN_QUALITY_NORMAL (default), OMEN_QUALITY_FAST or OMEN_QUALITY_BEST: what encoding may cost."""
    var reserved: Int32
    """0."""

    def __init__(out self):
        """All zeros but for `struct_size`."""
        self = Self(UInt64(size_of[Self]()), 0, 0, 0, 0, 0, None, None, 0, 0)



@fieldwise_init
struct CompressReport(Copyable, Movable):
    """What omen_store_compress did. Bytes are those of the files. Errors are of every vector, taken when its code was made,
    against the vector as it was read then; codes kept from an earlier call count with that call's."""

    var struct_size: UInt64
    """sizeof(omen_compress_report), set by the caller before the call."""
    var vectors: UInt64
    """Vectors compressed."""
    var bytes_before: UInt64
    """Bytes of all files of the directory before."""
    var bytes_after: UInt64
    """Bytes of all files of the directory afterwards."""
    var code_bytes: UInt64
    """Bytes of one compressed vector."""
    var codebook_bytes: UInt64
    """Bytes of the codebook, both its copies."""
    var relative_mse: Float64
    """Sum over all vectors of |x - decoded x| squared, divided by the sum of |x| squared."""
    var worst_relative_error: Float64
    """The largest |x - decoded x| / |x| of any vector."""
    var ratio: Float64
    """vectors x dim x 4 / bytes_after."""
    var seconds: Float64
    """Wall time of the call."""
    var codec: Int32
    """The codec that was used: OMEN_CODEC_WINDOWS or OMEN_CODEC_SCALAR."""
    var reserved: Int32
    """0."""

    def __init__(out self):
        """All zeros but for `struct_size`."""
        self = Self(UInt64(size_of[Self]()), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)



@fieldwise_init
struct SearchOptions(Copyable, Movable):
    """How to search. omen_search_options_init fills in the defaults."""

    var struct_size: UInt64
    """sizeof(omen_search_options) as the caller knows it."""
    var rerank: UInt64
    """Codes measured for each query: those of the best scores, at least k; 0 (default) = chosen. Only where scores see part
    of a code (scalar codes, of ratios about 2 to 5), more of them find more."""
    var effort: Float64
    """How much of the store is visited, above 0 and up to 1 (every code); 0 (default) = chosen."""
    var allow_ids: Optional[Pointer[UInt64, MutUntrackedOrigin]]
    """Only these ids may be found: `uint64_t[allow_n]`, in any order; NULL (default) with `allow_n` 0 = all."""
    var allow_n: UInt64
    """Number of `allow_ids`; 0 (default) = all."""
    var threads: UInt32
    """Threads to use; 0 (default) = as many as the store was opened with."""
    var exact: Int32
    """1 = compare with every vector as omen_store_get returns it; 0 (default) = chosen."""

    def __init__(out self):
        """All zeros but for `struct_size`."""
        self = Self(UInt64(size_of[Self]()), 0, 0, None, 0, 0, 0)



@fieldwise_init
struct StoreStats(Copyable, Movable):
    """What omen_store_stats tells. The function has the same name, as with stat(2): write `struct omen_store_stats`."""

    var struct_size: UInt64
    """sizeof(struct omen_store_stats), set by the caller before the call."""
    var vectors: UInt64
    """Vectors that can be read."""
    var deleted: UInt64
    """Vectors deleted or replaced whose bytes omen_store_compact would give back."""
    var bytes_on_disk: UInt64
    """Bytes of all files of the directory."""
    var raw_bytes: UInt64
    """vectors x dim x 4: the vectors as floats."""
    var segments: UInt64
    """Files that hold vectors."""
    var raw_vectors: UInt64
    """Vectors kept as they were given."""
    var compressed_vectors: UInt64
    """Vectors kept as codes."""
    var generation: UInt64
    """Number of the manifest; grows with every change of the set of files."""
    var dim: UInt32
    """Floats in a vector."""
    var metric: Int32
    """OMEN_L2, OMEN_INNER_PRODUCT or OMEN_COSINE."""
    var relative_mse: Float64
    """Of the compressed vectors: sum of |x - decoded x| squared, divided by the sum of |x| squared."""
    var worst_relative_error: Float64
    """Of the compressed vectors: the largest |x - decoded x| / |x|."""
    var error_bound: Float64
    """Of the compressed vectors: none is farther than this from what was inserted, |x - decoded x|; rounded up."""
    var drift: Float64
    """Mean error of a file's vectors, in terms of the mean error its codebook was trained to; the largest of any file.
    1 without drift, 0 where nothing is compressed."""

    def __init__(out self):
        """All zeros but for `struct_size`."""
        self = Self(UInt64(size_of[Self]()), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)



@fieldwise_init
struct VerifyReport(Copyable, Movable):
    """What omen_store_verify read."""

    var struct_size: UInt64
    """sizeof(omen_verify_report), set by the caller before the call."""
    var files: UInt64
    """Files read."""
    var blocks: UInt64
    """Checksummed blocks compared."""
    var bytes: UInt64
    """Bytes read."""
    var vectors: UInt64
    """Vectors that can be read."""

    def __init__(out self):
        """All zeros but for `struct_size`."""
        self = Self(UInt64(size_of[Self]()), 0, 0, 0, 0)


comptime FUNCTIONS: List[StaticString] = [
    "omen_version",
    "omen_abi_version",
    "omen_status_name",
    "omen_last_message",
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
