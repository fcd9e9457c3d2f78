//! The named numbers of the C ABI. Statuses are never reused, and equal `Error::status`.

/// The version of this header; omen_abi_version() tells that of the library that was linked. It grows when a program
/// compiled before could notice; additions at the end of structs and new functions leave it alone.
pub const OMEN_ABI_VERSION: u32 = 1;

/// No id: what search puts in a place without a neighbour. It is the one id that cannot be stored.
pub const OMEN_NO_ID: u64 = u64::MAX;

/// The call did what its comment says.
pub const OMEN_OK: i32 = 0;

/// A pointer that is needed is NULL; the message names it.
pub const OMEN_NULL_POINTER: i32 = 1;
/// The handle is not open: closed already, or never returned by omen_store_open.
pub const OMEN_INVALID_HANDLE: i32 = 2;
/// An argument or an option is out of its range.
pub const OMEN_INVALID_ARGUMENT: i32 = 3;
/// The store has another dim than the caller asked for.
pub const OMEN_DIM_MISMATCH: i32 = 4;
/// The store has another metric than the caller asked for.
pub const OMEN_METRIC_MISMATCH: i32 = 5;
/// A vector holds a NaN or an infinity; the message says which.
pub const OMEN_NOT_FINITE: i32 = 6;
/// An id is not in the store.
pub const OMEN_NOT_FOUND: i32 = 7;
/// An id occurs twice in one call, or is stored already.
pub const OMEN_DUPLICATE_ID: i32 = 8;
/// There are not enough vectors to train on.
pub const OMEN_TOO_FEW_VECTORS: i32 = 9;
/// The store was opened with OMEN_READ_ONLY.
pub const OMEN_IS_READ_ONLY: i32 = 10;
/// The progress function asked to stop.
pub const OMEN_CANCELLED: i32 = 11;
/// A number is above what memory or the format can hold.
pub const OMEN_TOO_BIG: i32 = 12;

/// A system call failed; the message says which, on what, and why.
pub const OMEN_IO: i32 = 20;
/// The disk, or the quota, is full.
pub const OMEN_NO_SPACE: i32 = 21;
/// Another handle or process has the store open for writing.
pub const OMEN_LOCKED: i32 = 22;
/// The machine has no memory for the request.
pub const OMEN_OUT_OF_MEMORY: i32 = 23;

/// The bytes of a file are not those that were written; the message names the file and the place.
pub const OMEN_CORRUPT: i32 = 30;
/// A file is of a format version this library does not know.
pub const OMEN_VERSION: i32 = 31;
/// The path does not hold a store.
pub const OMEN_NOT_A_STORE: i32 = 32;

/// Writes are refused since an earlier failure; close and open the store again. Reads go on.
pub const OMEN_POISONED: i32 = 40;
/// A bug in the library was stopped at its border; the store is poisoned. Please report the message.
pub const OMEN_PANIC: i32 = 41;
/// This version of the library cannot do that.
pub const OMEN_UNSUPPORTED: i32 = 42;

/// Squared Euclidean distance.
pub const OMEN_L2: i32 = 0;
/// Negated inner product.
pub const OMEN_INNER_PRODUCT: i32 = 1;
/// 1 - cosine of the angle. Vectors are stored as given, not normalised.
pub const OMEN_COSINE: i32 = 2;

/// Durable when omen_store_commit returns (the default).
pub const OMEN_SYNC_COMMIT: i32 = 0;
/// Durable when each writing call returns.
pub const OMEN_SYNC_EACH: i32 = 1;
/// Durable when the library seals a file, compresses or closes; after a crash a prefix of the calls is there.
pub const OMEN_SYNC_NONE: i32 = 2;

/// Open the store, or create it where there is none (the default).
pub const OMEN_READ_WRITE_CREATE: i32 = 0;
/// Open the store for writing; it must exist.
pub const OMEN_READ_WRITE: i32 = 1;
/// Open the store for reading; takes no lock and writes nothing.
pub const OMEN_READ_ONLY: i32 = 2;
/// Create the store; it must not exist.
pub const OMEN_CREATE_NEW: i32 = 3;

/// The library chooses the codec: in options.
pub const OMEN_CODEC_AUTO: i32 = 0;
/// Window codes: small codes of vectors as wholes. In reports.
pub const OMEN_CODEC_WINDOWS: i32 = 2;
/// Scalar codes: each component by itself, nearly exact, or exact where the bytes allow it. In reports.
pub const OMEN_CODEC_SCALAR: i32 = 3;

/// Lowest error at which 50,000 vectors of 128 dims a second are encoded by one core of a common machine. The default.
pub const OMEN_QUALITY_NORMAL: i32 = 0;
/// Encodes several times as fast, with about a third more error.
pub const OMEN_QUALITY_FAST: i32 = 1;
/// Encodes a third as fast and trains twice as long, with a few percent less error.
pub const OMEN_QUALITY_BEST: i32 = 2;
