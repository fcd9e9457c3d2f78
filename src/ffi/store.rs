//! Opening and closing a store, and what it is.
#![expect(unsafe_code, reason = "exported names and pointers from C")]

use super::arguments::{Place, path};
use super::constants::*;
use super::fence::{fence, hush_panics, look_at_store};
use super::types::{omen_store, omen_store_options};
use super::{handle, sized};
use crate::error::{Error, Result};
use crate::metric::Metric;
use crate::store::{Mode, Options, Store, SyncMode};
use std::ffi::c_char;
use std::mem::offset_of;

/// STORE: opening and closing
///
/// Sets every member of `options` to its default, `struct_size` included. NULL is ignored. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_options_init(options: *mut omen_store_options) {
    if !options.is_null() {
        // SAFETY: not NULL; convention 2: the caller's pointer has room for one, at any address.
        unsafe { options.write_unaligned(omen_store_options::DEFAULT) }
    }
}

/// Opens the store in the directory `path`, or creates it, as `options->mode` says.
///
/// path     the directory; created (one level) if it is missing and the mode may create. One that holds anything but a
///          store is OMEN_NOT_A_STORE, and left untouched
/// dim      floats in a vector, 1 to 65536 for a new store; must be that of an existing one; 0 = whatever it has
/// options  or NULL
/// out      receives the handle, to be given to omen_store_close
///
/// Errors:  OMEN_DIM_MISMATCH, OMEN_METRIC_MISMATCH, OMEN_LOCKED, OMEN_NO_SPACE, OMEN_VERSION, OMEN_NOT_A_STORE (also:
///          there is none, and the mode may not create), OMEN_TOO_BIG (too many open stores).
/// Disk:    a new store exists and survives a crash. In an old one what a crash left half-written is dropped: the
///          committed calls are there, and of later ones as many as were whole, none without those before it. With
///          OMEN_READ_ONLY nothing is written, and only the committed calls are seen.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_open(
    path: *const c_char,
    dim: u32,
    options: *const omen_store_options,
    out: *mut *mut omen_store,
) -> i32 {
    hush_panics();
    fence(|| {
        // SAFETY: conventions 2, 5 and 11 of the header say what these pointers are.
        let (path, options, out) =
            unsafe { (self::path("path", path)?, store_options(options)?, Place::new("out", out)?) };
        out.set(handle::publish(Store::open(path, dim, &options)?)?);
        Ok(())
    })
}

/// Commits and closes the store. The handle is gone whatever the status is; NULL is OMEN_OK. (Only from a progress function
/// of this store it is OMEN_INVALID_ARGUMENT, and nothing happens.)
///
/// Threads: calls of other threads that are running finish; the bytes they use are given back with the last of them.
/// Errors:  OMEN_NO_SPACE, OMEN_IO: the commit failed; what was committed before is safe.
/// Disk:    all writes survive a crash; the files are cut to their size and may be copied. Another process may open it.
#[unsafe(no_mangle)]
pub extern "C" fn omen_store_close(store: *mut omen_store) -> i32 {
    fence(|| if store.is_null() { Ok(()) } else { handle::close(store) })
}

/// Returns the number of floats in a vector of this store; 0 if the handle is bad.
#[unsafe(no_mangle)]
pub extern "C" fn omen_store_dim(store: *const omen_store) -> u32 {
    let mut dim = 0;
    look_at_store(store, |store| {
        dim = store.dim();
        Ok(())
    });
    dim
}

/// Tells how many vectors can be read.
///
/// out_count  receives the number
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_count(store: *const omen_store, out_count: *mut u64) -> i32 {
    look_at_store(store, |store| {
        // SAFETY: convention 2.
        let out_count = unsafe { Place::new("out_count", out_count)? };
        out_count.set(store.count());
        Ok(())
    })
}

/// # Safety
/// As for [`sized::options`].
unsafe fn store_options(options: *const omen_store_options) -> Result<Options> {
    // SAFETY: the promise of this function.
    let given = unsafe { sized::options(options, omen_store_options::DEFAULT)? };
    let has_metric = !options.is_null() && given.struct_size > offset_of!(omen_store_options, metric) as u64;
    Ok(Options {
        metric: if has_metric { Some(metric(given.metric)?) } else { None },
        sync: sync(given.sync)?,
        mode: mode(given.mode)?,
        threads: given.threads,
    })
}

fn metric(number: i32) -> Result<Metric> {
    Metric::from_i32(number).ok_or_else(|| out_of_range("metric", number, OMEN_COSINE))
}

fn sync(number: i32) -> Result<SyncMode> {
    match number {
        OMEN_SYNC_COMMIT => Ok(SyncMode::Commit),
        OMEN_SYNC_EACH => Ok(SyncMode::Each),
        OMEN_SYNC_NONE => Ok(SyncMode::None),
        _ => Err(out_of_range("sync", number, OMEN_SYNC_NONE)),
    }
}

fn mode(number: i32) -> Result<Mode> {
    match number {
        OMEN_READ_WRITE_CREATE => Ok(Mode::ReadWriteCreate),
        OMEN_READ_WRITE => Ok(Mode::ReadWrite),
        OMEN_READ_ONLY => Ok(Mode::ReadOnly),
        OMEN_CREATE_NEW => Ok(Mode::CreateNew),
        _ => Err(out_of_range("mode", number, OMEN_CREATE_NEW)),
    }
}

/// For numbers that stand for names, the last of which is `last`.
pub(super) fn out_of_range(name: &str, number: i32, last: i32) -> Error {
    Error::InvalidArgument(format!("options: {name} is {number}; expected 0 to {last}"))
}
