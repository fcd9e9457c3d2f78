//! Upkeep: stats, verify, compact, backup, refresh.
#![expect(unsafe_code, reason = "exported names and pointers from C")]

use super::arguments::path;
use super::fence::on_store;
use super::sized::{self, Report};
use super::types::{omen_store, omen_store_stats, omen_verify_report, omen_work_options};
use super::work::on_progress;
use crate::error::Error;
use crate::store::{Stats, VerifyReport};
use crate::work::Work;
use std::ffi::c_char;

/// # UPKEEP
///
/// Returns what the store holds and how many bytes it takes on disk.
///
/// @param store      an open store
/// @param out_stats  receives the numbers. Set its `struct_size` first
///
/// Disk: not written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_stats(store: *const omen_store, out_stats: *mut omen_store_stats) -> i32 {
    on_store(store, |store| {
        // SAFETY: convention 5.
        let out_stats = unsafe { Report::new("out_stats", out_stats)? };
        out_stats.set(store.stats()?.into());
        Ok(())
    })
}

/// Reads every byte of the store from the disk and compares all checksums.
///
/// @param store       an open store
/// @param options     may be NULL: the defaults
/// @param out_report  receives how much was read. Set its `struct_size` first
///
/// Threads: a long call. Readers and writers go on meanwhile. It waits for a running write before it starts.
///
/// Errors: OMEN_CORRUPT: the message names the file and the block. OMEN_CANCELLED.
///
/// Disk: not written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_verify(
    store: *const omen_store,
    options: *const omen_work_options,
    out_report: *mut omen_verify_report,
) -> i32 {
    on_store(store, |store| {
        // SAFETY: convention 5.
        let (given, out_report) =
            unsafe { (sized::options(options, omen_work_options::DEFAULT)?, Report::new("out_report", out_report)?) };
        let mut on_progress = on_progress(given.progress, given.user);
        out_report.set(store.verify(&mut Work::new(given.threads, Some(&mut on_progress)))?.into());
        Ok(())
    })
}

/// Removes deleted and replaced vectors from the files, and frees their bytes.
///
/// @param store    an open store
/// @param options  may be NULL: the defaults
///
/// Threads: a long call. Readers and writers go on meanwhile.
///
/// Errors: OMEN_NO_SPACE (the new files are written before the old ones are removed), OMEN_CANCELLED,
/// OMEN_IS_READ_ONLY, OMEN_POISONED. After each of them the store is as it was before the call.
///
/// Disk: everything is committed, and no bytes of deleted vectors remain. After a crash during the call, the store is
/// either as before or compacted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_compact(store: *mut omen_store, options: *const omen_work_options) -> i32 {
    on_store(store, |store| {
        // SAFETY: convention 5.
        let given = unsafe { sized::options(options, omen_work_options::DEFAULT)? };
        let mut on_progress = on_progress(given.progress, given.user);
        store.compact(&mut Work::new(given.threads, Some(&mut on_progress)))
    })
}

/// Copies the store, as it is committed now, into a new directory, while readers and the writer go on.
///
/// @param store    an open store
/// @param path     the directory of the copy; it must not exist
/// @param options  may be NULL: the defaults
///
/// Errors: OMEN_UNSUPPORTED, always in this version. You may copy the files of a closed store instead.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_backup(
    store: *const omen_store,
    path: *const c_char,
    options: *const omen_work_options,
) -> i32 {
    on_store(store, |_| {
        // SAFETY: conventions 5 and 11.
        let _given = unsafe { (self::path("path", path)?, sized::options(options, omen_work_options::DEFAULT)?) };
        Err(Error::Unsupported("omen_store_backup"))
    })
}

/// Makes a handle opened with OMEN_READ_ONLY see what the writer has committed since then.
///
/// @param store  an open store
///
/// Errors: OMEN_UNSUPPORTED, always in this version. Close the handle and open it again instead.
#[unsafe(no_mangle)]
pub extern "C" fn omen_store_refresh(store: *mut omen_store) -> i32 {
    on_store(store, |_| Err(Error::Unsupported("omen_store_refresh")))
}

impl From<Stats> for omen_store_stats {
    fn from(stats: Stats) -> Self {
        Self {
            struct_size: size_of::<Self>() as u64,
            vectors: stats.vectors,
            deleted: stats.deleted,
            bytes_on_disk: stats.bytes_on_disk,
            raw_bytes: stats.raw_bytes,
            segments: stats.segments,
            raw_vectors: stats.raw_vectors,
            compressed_vectors: stats.compressed_vectors,
            generation: stats.generation,
            dim: stats.dim,
            metric: stats.metric as i32,
            relative_mse: stats.errors.relative_mse,
            worst_relative_error: stats.errors.worst,
            error_bound: stats.errors.bound,
            drift: stats.errors.drift,
        }
    }
}

impl From<VerifyReport> for omen_verify_report {
    fn from(report: VerifyReport) -> Self {
        Self {
            struct_size: size_of::<Self>() as u64,
            files: report.files,
            blocks: report.blocks,
            bytes: report.bytes,
            vectors: report.vectors,
        }
    }
}
