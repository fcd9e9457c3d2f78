//! The constants of the C ABI. A status equals `Error::status`; its number is never reused.

/// The ABI version of this header; omen_abi_version() returns that of the linked library. It grows with each change
/// that can break a compiled program. New functions and new members at the end of structs do not change it.
pub const OMEN_ABI_VERSION: u32 = 1;

/// The id that no vector can have. omen_store_search returns it in slots without a neighbour.
pub const OMEN_NO_ID: u64 = u64::MAX;

/// The call did what its comment says.
pub const OMEN_OK: i32 = 0;

/// A required pointer is NULL; the message names it.
pub const OMEN_NULL_POINTER: i32 = 1;
/// The handle is not open: it was closed, or omen_store_open never returned it.
pub const OMEN_INVALID_HANDLE: i32 = 2;
/// An argument or an option is out of range; the message names it and what was expected.
pub const OMEN_INVALID_ARGUMENT: i32 = 3;
/// The dim of the call is not the store's.
pub const OMEN_DIM_MISMATCH: i32 = 4;
/// The metric of the call is not the store's.
pub const OMEN_METRIC_MISMATCH: i32 = 5;
/// A vector has a NaN or an infinity; the message says where.
pub const OMEN_NOT_FINITE: i32 = 6;
/// An id is not in the store.
pub const OMEN_NOT_FOUND: i32 = 7;
/// An id occurs twice in one call, or is already in the store.
pub const OMEN_DUPLICATE_ID: i32 = 8;
/// The store has too few vectors to train a codebook.
pub const OMEN_TOO_FEW_VECTORS: i32 = 9;
/// The store was opened with OMEN_READ_ONLY.
pub const OMEN_IS_READ_ONLY: i32 = 10;
/// The progress function stopped the call.
pub const OMEN_CANCELLED: i32 = 11;
/// A number is larger than memory or the file format can hold.
pub const OMEN_TOO_BIG: i32 = 12;

/// A system call failed; the message names the call, the file and the reason.
pub const OMEN_IO: i32 = 20;
/// The disk or the quota is full.
pub const OMEN_NO_SPACE: i32 = 21;
/// Another handle or process has the store open for writing.
pub const OMEN_LOCKED: i32 = 22;
/// The system has not enough memory for the call.
pub const OMEN_OUT_OF_MEMORY: i32 = 23;

/// The bytes of a file are not those that were written; the message names the file and the position.
pub const OMEN_CORRUPT: i32 = 30;
/// A file has a format version that this library does not know.
pub const OMEN_VERSION: i32 = 31;
/// There is no store at the path.
pub const OMEN_NOT_A_STORE: i32 = 32;

/// An earlier failure made the store refuse writes: close it and open it again. Reads go on.
pub const OMEN_POISONED: i32 = 40;
/// A bug in the library was caught; the store is poisoned. Please report the message.
pub const OMEN_PANIC: i32 = 41;
/// This version of the library cannot do this; from the command line also: a file of vectors is whole, but of a kind that
/// is not read.
pub const OMEN_UNSUPPORTED: i32 = 42;

/// Squared Euclidean distance.
pub const OMEN_L2: i32 = 0;
/// Negated inner product.
pub const OMEN_INNER_PRODUCT: i32 = 1;
/// 1 - cosine of the angle. Vectors are stored as inserted, not normalised.
pub const OMEN_COSINE: i32 = 2;

/// Writes are durable when omen_store_commit returns (the default).
pub const OMEN_SYNC_COMMIT: i32 = 0;
/// A write is durable when the writing call returns.
pub const OMEN_SYNC_EACH: i32 = 1;
/// Writes become durable when the library seals a file, compresses or closes. After a crash the store has all calls up
/// to some call, and none after it.
pub const OMEN_SYNC_NONE: i32 = 2;

/// Open the store; create it if there is none (the default).
pub const OMEN_READ_WRITE_CREATE: i32 = 0;
/// Open the store for writing; it must exist.
pub const OMEN_READ_WRITE: i32 = 1;
/// Open the store for reading: without a lock, and without writing to the disk.
pub const OMEN_READ_ONLY: i32 = 2;
/// Create the store; it must not exist.
pub const OMEN_CREATE_NEW: i32 = 3;

/// In options: the library chooses the codec.
pub const OMEN_CODEC_AUTO: i32 = 0;
/// In reports: window codes, small codes of whole vectors.
pub const OMEN_CODEC_WINDOWS: i32 = 2;
/// In reports: scalar codes, one code for each component; nearly exact, or exact if the bytes suffice.
pub const OMEN_CODEC_SCALAR: i32 = 3;
/// In reports: formula codes, small codes whose codebook is computed from the variances of the vectors, without training.
pub const OMEN_CODEC_FORMULA: i32 = 4;

/// The default: the lowest error at which one core of a common machine encodes 50,000 vectors of 128 dims a second.
pub const OMEN_QUALITY_NORMAL: i32 = 0;
/// Encodes several times as fast as OMEN_QUALITY_NORMAL. Measured error: 55 % more on SIFT at ratio 16, 2 % more at ratio
/// 8; 3 % more on sentence embeddings at ratio 16.
pub const OMEN_QUALITY_FAST: i32 = 1;
/// Encodes a third as fast as OMEN_QUALITY_NORMAL and trains twice as long. Measured error at ratio 16: 5 % less on SIFT,
/// 3 % less on sentence embeddings.
pub const OMEN_QUALITY_BEST: i32 = 2;

/// In reports: the ratio that was asked for decided how long the codes are; without one, 16 or the highest ratio that so
/// few vectors can reach.
pub const OMEN_LIMIT_RATIO: i32 = 0;
/// In reports: `max_relative_mse` decided; a higher ratio, up to 16, would have had more error.
pub const OMEN_LIMIT_ERROR: i32 = 1;
