//! The structs that cross the boundary: `struct_size` first, then 64-bit members and pairs of 32-bit ones, no holes.

use super::constants::{OMEN_CODEC_AUTO, OMEN_L2, OMEN_QUALITY_NORMAL, OMEN_READ_WRITE_CREATE, OMEN_SYNC_COMMIT};
use crate::compress::RATIO_DEFAULT;
use std::ffi::c_void;

/// An open store, as omen_store_open returns it and until omen_store_close takes it. A ticket, not an address.
pub struct omen_store(());

/// How a store is opened. omen_store_options_init fills in the defaults.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_store_options {
    /// sizeof(omen_store_options) as the caller knows it.
    pub struct_size: u64,
    /// OMEN_L2 (default), OMEN_INNER_PRODUCT or OMEN_COSINE. Must be the store's own if it exists already
    /// (OMEN_METRIC_MISMATCH); options given as NULL, or too short to hold this member, accept any.
    pub metric: i32,
    /// OMEN_SYNC_COMMIT (default), OMEN_SYNC_EACH or OMEN_SYNC_NONE.
    pub sync: i32,
    /// OMEN_READ_WRITE_CREATE (default), OMEN_READ_WRITE, OMEN_READ_ONLY or OMEN_CREATE_NEW.
    pub mode: i32,
    /// Threads that one call may use; 0 (default) = as many as the machine has.
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

/// Tells how far a call is: `done` of `total` steps (of no fixed size). Returns 0 to go on; anything else stops the
/// call, which then returns OMEN_CANCELLED and leaves the store unchanged.
///
/// user   the `user` member of the options, untouched
///
/// It runs on the thread that made the call, may call functions that read the same store, and must return: no longjmp,
/// no C++ exception may leave it. omen_store_compress, _compact and _close of the same store are OMEN_INVALID_ARGUMENT there.
pub type omen_progress_fn = Option<unsafe extern "C" fn(user: *mut c_void, done: u64, total: u64) -> i32>;

/// How a call that takes long is run. omen_work_options_init fills in the defaults.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_work_options {
    /// sizeof(omen_work_options) as the caller knows it.
    pub struct_size: u64,
    /// Called now and then if not NULL (default).
    pub progress: omen_progress_fn,
    /// Handed to `progress`.
    pub user: *mut c_void,
    /// Threads to use; 0 (default) = as many as the store was opened with.
    pub threads: u32,
    /// 0.
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

/// What omen_store_compress aims at. omen_compress_options_init fills in the defaults.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_compress_options {
    /// sizeof(omen_compress_options) as the caller knows it.
    pub struct_size: u64,
    /// Bytes of the vectors as floats (vectors x dim x 4) divided by the bytes of the whole directory afterwards;
    /// 1 or more, 16 by default.
    pub ratio: f64,
    /// Vectors to train on; 0 (default) = chosen.
    pub sample: u64,
    /// Same vectors, same options and same seed: same bytes. Default 0.
    pub seed: u64,
    /// OMEN_CODEC_AUTO (default).
    pub codec: i32,
    /// Threads to use; 0 (default) = as many as the store was opened with.
    pub threads: u32,
    /// Called now and then if not NULL (default).
    pub progress: omen_progress_fn,
    /// Handed to `progress`.
    pub user: *mut c_void,
    /// OMEN_QUALITY_NORMAL (default), OMEN_QUALITY_FAST or OMEN_QUALITY_BEST: what encoding may cost.
    pub quality: i32,
    /// 0.
    pub reserved: i32,
}

impl omen_compress_options {
    /// What omen_compress_options_init fills in.
    pub(super) const DEFAULT: Self = Self {
        struct_size: size_of::<Self>() as u64,
        ratio: RATIO_DEFAULT,
        sample: 0,
        seed: 0,
        codec: OMEN_CODEC_AUTO,
        threads: 0,
        progress: None,
        user: std::ptr::null_mut(),
        quality: OMEN_QUALITY_NORMAL,
        reserved: 0,
    };
}

/// What omen_store_compress did. Bytes are those of the files. Errors are of every vector, taken when its code was made,
/// against the vector as it was read then; codes kept from an earlier call count with that call's.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_compress_report {
    /// sizeof(omen_compress_report), set by the caller before the call.
    pub struct_size: u64,
    /// Vectors compressed.
    pub vectors: u64,
    /// Bytes of all files of the directory before.
    pub bytes_before: u64,
    /// Bytes of all files of the directory afterwards.
    pub bytes_after: u64,
    /// Bytes of one compressed vector.
    pub code_bytes: u64,
    /// Bytes of the codebook, both its copies.
    pub codebook_bytes: u64,
    /// Sum over all vectors of |x - decoded x| squared, divided by the sum of |x| squared.
    pub relative_mse: f64,
    /// The largest |x - decoded x| / |x| of any vector.
    pub worst_relative_error: f64,
    /// vectors x dim x 4 / bytes_after.
    pub ratio: f64,
    /// Wall time of the call.
    pub seconds: f64,
    /// The codec that was used: OMEN_CODEC_WINDOWS or OMEN_CODEC_SCALAR.
    pub codec: i32,
    /// 0.
    pub reserved: i32,
}

/// How to search. omen_search_options_init fills in the defaults.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_search_options {
    /// sizeof(omen_search_options) as the caller knows it.
    pub struct_size: u64,
    /// Codes measured for each query: those of the best scores, at least k; 0 (default) = chosen. Only where scores see part
    /// of a code (scalar codes, of ratios about 2 to 5), more of them find more.
    pub rerank: u64,
    /// How much of the store is visited, above 0 and up to 1 (every code); 0 (default) = chosen.
    pub effort: f64,
    /// Only these ids may be found: `uint64_t[allow_n]`, in any order; NULL (default) with `allow_n` 0 = all.
    pub allow_ids: *const u64,
    /// Number of `allow_ids`; 0 (default) = all.
    pub allow_n: u64,
    /// Threads to use; 0 (default) = as many as the store was opened with.
    pub threads: u32,
    /// 1 = compare with every vector as omen_store_get returns it; 0 (default) = chosen.
    pub exact: i32,
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
    };
}

/// What omen_store_stats tells. The function has the same name, as with stat(2): write `struct omen_store_stats`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_store_stats {
    /// sizeof(struct omen_store_stats), set by the caller before the call.
    pub struct_size: u64,
    /// Vectors that can be read.
    pub vectors: u64,
    /// Vectors deleted or replaced whose bytes omen_store_compact would give back.
    pub deleted: u64,
    /// Bytes of all files of the directory.
    pub bytes_on_disk: u64,
    /// vectors x dim x 4: the vectors as floats.
    pub raw_bytes: u64,
    /// Files that hold vectors.
    pub segments: u64,
    /// Vectors kept as they were given.
    pub raw_vectors: u64,
    /// Vectors kept as codes.
    pub compressed_vectors: u64,
    /// Number of the manifest; grows with every change of the set of files.
    pub generation: u64,
    /// Floats in a vector.
    pub dim: u32,
    /// OMEN_L2, OMEN_INNER_PRODUCT or OMEN_COSINE.
    pub metric: i32,
    /// Of the compressed vectors: sum of |x - decoded x| squared, divided by the sum of |x| squared.
    pub relative_mse: f64,
    /// Of the compressed vectors: the largest |x - decoded x| / |x|.
    pub worst_relative_error: f64,
    /// Of the compressed vectors: none is farther than this from what was inserted, |x - decoded x|; rounded up.
    pub error_bound: f64,
    /// Mean error of a file's vectors, in terms of the mean error its codebook was trained to; the largest of any file.
    /// 1 without drift, 0 where nothing is compressed.
    pub drift: f64,
}

/// What omen_store_verify read.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct omen_verify_report {
    /// sizeof(omen_verify_report), set by the caller before the call.
    pub struct_size: u64,
    /// Files read.
    pub files: u64,
    /// Checksummed blocks compared.
    pub blocks: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Vectors that can be read.
    pub vectors: u64,
}

// omen_*_init write whole structs, without knowing how much room the caller has: it is what the caller was compiled with.
// So the structs they write never grow. Members to come are set by functions of other names, to which the header then
// maps these, and whoever was compiled before goes on calling these.
const _: () = assert!(size_of::<omen_store_options>() == 24);
const _: () = assert!(size_of::<omen_work_options>() == 32);
const _: () = assert!(size_of::<omen_compress_options>() == 64);
const _: () = assert!(size_of::<omen_search_options>() == 48);
