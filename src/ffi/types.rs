//! The structs of the C ABI: `struct_size` first, then 64-bit members and pairs of 32-bit ones, no padding.

use super::constants::{OMEN_CODEC_AUTO, OMEN_L2, OMEN_QUALITY_NORMAL, OMEN_READ_WRITE_CREATE, OMEN_SYNC_COMMIT};
use std::ffi::c_void;

/// An open store, from omen_store_open to omen_store_close. The pointer is a number, not an address.
pub struct omen_store(());

/// How a store is opened. omen_store_options_init fills in the defaults.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_store_options {
    /// sizeof(omen_store_options) that the caller was compiled with.
    pub struct_size: u64,
    /// OMEN_L2 (default), OMEN_INNER_PRODUCT or OMEN_COSINE. It must be that of an existing store, else the status is
    /// OMEN_METRIC_MISMATCH. Options given as NULL, or too short for this member, accept any.
    pub metric: i32,
    /// OMEN_SYNC_COMMIT (default), OMEN_SYNC_EACH or OMEN_SYNC_NONE.
    pub sync: i32,
    /// OMEN_READ_WRITE_CREATE (default), OMEN_READ_WRITE, OMEN_READ_ONLY or OMEN_CREATE_NEW.
    pub mode: i32,
    /// Most threads that one call uses; 0 (default): as many as the machine has.
    pub threads: u32,
}

impl omen_store_options {
    /// What omen_store_options_init fills in.
    pub(super) const DEFAULT: Self = Self {
        struct_size: size_of::<Self>() as u64,
        metric: OMEN_L2,
        sync: OMEN_SYNC_COMMIT,
        mode: OMEN_READ_WRITE_CREATE,
        threads: 0,
    };
}

/// Progress function of a long call. It returns 0 to go on; anything else stops the call, which then returns
/// OMEN_CANCELLED and leaves the store unchanged.
///
/// It runs on the thread that made the call, and may call functions that read the same store. While a compress or a
/// compact calls it, omen_store_compress, omen_store_compact and omen_store_close of that store return
/// OMEN_INVALID_ARGUMENT. It must return: neither longjmp nor a C++ exception may leave it.
///
/// @param user   the `user` member of the options
/// @param done   steps done so far; it never decreases. The size of a step differs from call to call
/// @param total  steps of the whole call
pub type omen_progress_fn = Option<unsafe extern "C" fn(user: *mut c_void, done: u64, total: u64) -> i32>;

/// How to run a long call. omen_work_options_init fills in the defaults.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_work_options {
    /// sizeof(omen_work_options) that the caller was compiled with.
    pub struct_size: u64,
    /// Called from time to time; NULL (default): no function.
    pub progress: omen_progress_fn,
    /// Passed to `progress`.
    pub user: *mut c_void,
    /// Most threads to use; 0 (default): as many as the store was opened with.
    pub threads: u32,
    /// Reserved; 0.
    pub reserved: u32,
}

impl omen_work_options {
    /// What omen_work_options_init fills in.
    pub(super) const DEFAULT: Self = Self {
        struct_size: size_of::<Self>() as u64,
        progress: None,
        user: std::ptr::null_mut(),
        threads: 0,
        reserved: 0,
    };
}

/// How to compress. omen_compress_options_init fills in the defaults.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_compress_options {
    /// sizeof(omen_compress_options) that the caller was compiled with.
    pub struct_size: u64,
    /// Compression ratio: bytes of the vectors as floats (vectors x dim x 4) divided by the bytes of the whole
    /// directory afterwards. A number of at least 1: that ratio, whatever the error. 0 (default): the highest ratio, up
    /// to 16, whose error is at most `max_relative_mse`; then existing codes are not coded again.
    pub ratio: f64,
    /// Number of vectors to train on; 0 (default): the library chooses.
    pub sample: u64,
    /// Seed of all random choices, 0 by default. Same vectors, options and seed give the same bytes.
    pub seed: u64,
    /// OMEN_CODEC_AUTO, the only choice today.
    pub codec: i32,
    /// Most threads to use; 0 (default): as many as the store was opened with.
    pub threads: u32,
    /// Called from time to time; NULL (default): no function.
    pub progress: omen_progress_fn,
    /// Passed to `progress`.
    pub user: *mut c_void,
    /// OMEN_QUALITY_NORMAL (default), OMEN_QUALITY_FAST or OMEN_QUALITY_BEST: encoding time against error.
    pub quality: i32,
    /// Reserved; 0.
    pub reserved: i32,
    /// With a `ratio` of 0: the largest relative mean squared error of vectors that were not trained on, above 0 and
    /// below 1. 0 (default): 0.1. Must be 0 if a ratio is given, because only one of the two can be met.
    pub max_relative_mse: f64,
}

impl omen_compress_options {
    /// What omen_compress_options_init fills in.
    pub(super) const DEFAULT: Self = Self {
        struct_size: size_of::<Self>() as u64,
        ratio: 0.0,
        sample: 0,
        seed: 0,
        codec: OMEN_CODEC_AUTO,
        threads: 0,
        progress: None,
        user: std::ptr::null_mut(),
        quality: OMEN_QUALITY_NORMAL,
        reserved: 0,
        max_relative_mse: 0.0,
    };
}

/// Report of omen_store_compress. Bytes are those of the files. The errors cover every vector. An error is measured
/// when the code is made, against the vector as omen_store_get returned it until then; codes kept from an earlier call
/// count with the error measured in that call.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_compress_report {
    /// sizeof(omen_compress_report), set by the caller before the call.
    pub struct_size: u64,
    /// Vectors compressed.
    pub vectors: u64,
    /// Bytes of all files of the store before.
    pub bytes_before: u64,
    /// Bytes of all files of the store afterwards.
    pub bytes_after: u64,
    /// Bytes of the code of one vector.
    pub code_bytes: u64,
    /// Bytes of the codebook and of its parity.
    pub codebook_bytes: u64,
    /// Relative mean squared error in the terms of the metric. OMEN_L2 and OMEN_INNER_PRODUCT: the sum of
    /// |x - decoded x| squared over all vectors, divided by the sum of |x| squared. OMEN_COSINE, which ignores lengths: the
    /// mean over all vectors of |x - decoded x| squared / |x| squared.
    pub relative_mse: f64,
    /// The largest |x - decoded x| / |x| of any vector.
    pub worst_relative_error: f64,
    /// vectors x dim x 4 / bytes_after: the ratio that was reached.
    pub ratio: f64,
    /// Wall time of the call, in seconds.
    pub seconds: f64,
    /// The codec of the codes: OMEN_CODEC_WINDOWS, OMEN_CODEC_SCALAR or OMEN_CODEC_FORMULA.
    pub codec: i32,
    /// What decided how long the codes are: OMEN_LIMIT_RATIO or OMEN_LIMIT_ERROR.
    pub limit: i32,
    /// Relative mean squared error of vectors that were not trained on, measured on up to 2048 of them: what vectors
    /// that are inserted later can expect. With OMEN_COSINE the mean of |x - decoded x| squared / |x| squared. NaN if there
    /// were none: a ratio was given and every vector was trained on, or no vector was new.
    pub held_out_relative_mse: f64,
}

/// How to search. omen_search_options_init fills in the defaults.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_search_options {
    /// sizeof(omen_search_options) that the caller was compiled with.
    pub struct_size: u64,
    /// Number of candidates to rerank for each query, at least `k`; 0 (default): the library chooses. More candidates
    /// find more neighbours only if scores are computed from a part of each code (scalar codes, ratios of about 2 to
    /// 5).
    pub rerank: u64,
    /// Share of the inverted lists to visit, above 0 and up to 1 (every code); 0 (default): the library chooses.
    pub effort: f64,
    /// Only these ids may be found: `uint64_t[allow_n]`, in any order. NULL (default) and an `allow_n` of 0: every id.
    pub allow_ids: *const u64,
    /// Number of `allow_ids`; 0 (default): every id may be found.
    pub allow_n: u64,
    /// Most threads to use; 0 (default): as many as the store was opened with.
    pub threads: u32,
    /// 1: compare the query with every vector as omen_store_get returns it. 0 (default): the library chooses.
    pub exact: i32,
    /// These ids are not found: `uint64_t[deny_n]`, in any order. NULL (default) and a `deny_n` of 0: none. An id that
    /// is in `allow_ids` too is not found.
    pub deny_ids: *const u64,
    /// Number of `deny_ids`.
    pub deny_n: u64,
    /// Only vectors at most this far from the query are found, by the distance of the metric as `out_distances` has it,
    /// and at most `k` of them. INFINITY (default): at any distance. Below 0 it is refused for OMEN_L2 and OMEN_COSINE,
    /// whose distances are never negative.
    pub max_distance: f64,
}

impl omen_search_options {
    /// What omen_search_options_init fills in.
    pub(super) const DEFAULT: Self = Self {
        struct_size: size_of::<Self>() as u64,
        rerank: 0,
        effort: 0.0,
        allow_ids: std::ptr::null(),
        allow_n: 0,
        threads: 0,
        exact: 0,
        deny_ids: std::ptr::null(),
        deny_n: 0,
        max_distance: f64::INFINITY,
    };
}

/// What omen_store_stats returns. The function has the same name, as in stat(2): write `struct omen_store_stats`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_store_stats {
    /// sizeof(struct omen_store_stats), set by the caller before the call.
    pub struct_size: u64,
    /// Number of vectors in the store.
    pub vectors: u64,
    /// Deleted or replaced vectors whose bytes omen_store_compact would free.
    pub deleted: u64,
    /// Bytes of all files of the store.
    pub bytes_on_disk: u64,
    /// vectors x dim x 4: the vectors as floats.
    pub raw_bytes: u64,
    /// Number of files with vectors.
    pub segments: u64,
    /// Vectors kept exactly, as floats.
    pub raw_vectors: u64,
    /// Vectors kept as codes.
    pub compressed_vectors: u64,
    /// Number of the manifest. It grows with every change of the set of files.
    pub generation: u64,
    /// Number of floats in a vector.
    pub dim: u32,
    /// OMEN_L2, OMEN_INNER_PRODUCT or OMEN_COSINE.
    pub metric: i32,
    /// Of the compressed vectors: the relative mean squared error in the terms of the metric, as in omen_compress_report.
    pub relative_mse: f64,
    /// Of the compressed vectors: the largest |x - decoded x| / |x|.
    pub worst_relative_error: f64,
    /// Of the compressed vectors: an upper bound on |x - decoded x|, where x is the vector that was inserted.
    pub error_bound: f64,
    /// Largest drift of any file: the mean error of its vectors divided by the mean error that its codebook was trained
    /// to. 1 without drift, 0 if nothing is compressed.
    pub drift: f64,
}

/// How much omen_store_verify read.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_verify_report {
    /// sizeof(omen_verify_report), set by the caller before the call.
    pub struct_size: u64,
    /// Number of files.
    pub files: u64,
    /// Number of blocks whose checksum was compared.
    pub blocks: u64,
    /// Number of bytes.
    pub bytes: u64,
    /// Number of vectors in the store.
    pub vectors: u64,
}

// omen_*_init write whole structs, and the caller's may be smaller if it was compiled with an older header. So these
// structs must not grow once they are released. New members will be set by new init functions, to which a newer header
// maps these names; programs that were compiled earlier still call these.
const _: () = assert!(size_of::<omen_store_options>() == 24);
const _: () = assert!(size_of::<omen_work_options>() == 32);
const _: () = assert!(size_of::<omen_compress_options>() == 72);
const _: () = assert!(size_of::<omen_search_options>() == 72);
