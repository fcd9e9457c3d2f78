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

/// UPKEEP
///
/// Tells what the store holds and what it takes on disk.
///
/// out_stats  receives the numbers; set its struct_size before
///
/// Errors:  none of its own. Never writes to the disk.
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
/// options     or NULL
/// out_report  receives how much was read; set its struct_size before
///
/// Threads: takes its time; readers and writers go on meanwhile. It waits for a write that is under way when it begins.
/// Errors:  OMEN_CORRUPT: the message names file and block; OMEN_CANCELLED. Never writes to the disk.
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

/// Drops the bytes of deleted and replaced vectors and gives them back to the file system.
///
/// options  or NULL
///
/// Threads: takes its time; readers and writers go on meanwhile.
/// Errors:  OMEN_NO_SPACE (it writes the new files before it removes the old), OMEN_CANCELLED, OMEN_IS_READ_ONLY,
///          OMEN_POISONED; with each of them the store is as it was.
/// Disk:    committed, and without dead bytes. A crash meanwhile leaves all of the old or all of the new.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_compact(store: *mut omen_store, options: *const omen_work_options) -> i32 {
    on_store(store, |store| {
        // SAFETY: convention 5.
        let given = unsafe { sized::options(options, omen_work_options::DEFAULT)? };
        let mut on_progress = on_progress(given.progress, given.user);
        store.compact(&mut Work::new(given.threads, Some(&mut on_progress)))
    })
}

/// Copies the store as it is committed now into the new directory `path`, while readers and the writer go on.
///
/// path     the directory of the copy; it must not exist
/// options  or NULL
///
/// Errors:  OMEN_UNSUPPORTED always, in this version. A store that is closed may be copied as files.
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

/// Lets a handle opened with OMEN_READ_ONLY see what the writer has committed since.
///
/// Errors:  OMEN_UNSUPPORTED always, in this version. Closing and opening the handle does the same.
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
