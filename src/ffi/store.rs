//! Opening and closing a store; its dim and its count.
#![expect(unsafe_code, reason = "exported names and pointers from C")]

use super::arguments::{OutParam, path};
use super::choice::{choices, choose};
use super::constants::*;
use super::fence::{fence, install_panic_hook, on_pinned_store};
use super::types::{omen_store, omen_store_options};
use super::{handle, sized};
use crate::error::Result;
use crate::metric::Metric;
use crate::store::{Mode, Options, Store, SyncMode};
use std::ffi::c_char;
use std::mem::offset_of;

/// # STORE: opening and closing
///
/// Sets every member of `options` to its default, `struct_size` included. Ignores NULL. Any thread may call it.
///
/// @param options  the struct to fill in
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_options_init(options: *mut omen_store_options) {
    if !options.is_null() {
        // SAFETY: not NULL; convention 2: the caller's pointer has room for one, at any address.
        unsafe { options.write_unaligned(omen_store_options::DEFAULT) }
    }
}

/// Opens the store in the directory `path`, or creates it if `options->mode` allows that.
///
/// @param path     the directory. If it is missing it is created, but not its parents. A directory with other files in
///                 it is OMEN_NOT_A_STORE and is not touched
/// @param dim      number of floats in a vector, 1 to 65536. It must be that of an existing store; 0 accepts any, and
///                 creates no store
/// @param options  may be NULL: the defaults, and any metric
/// @param out      receives the handle. Pass it to omen_store_close when you are done
///
/// Errors: OMEN_DIM_MISMATCH, OMEN_METRIC_MISMATCH, OMEN_LOCKED, OMEN_NO_SPACE, OMEN_VERSION, OMEN_NOT_A_STORE (also if
/// there is no store and the mode does not create one), OMEN_TOO_BIG (too many stores are open).
///
/// Disk: a new store survives a crash from here on. In an existing store, calls that a crash left incomplete are
/// dropped: all committed calls are there, and of the calls after the last commit those up to the first incomplete one.
/// OMEN_READ_ONLY writes nothing and shows the committed calls only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_open(
    path: *const c_char,
    dim: u32,
    options: *const omen_store_options,
    out: *mut *mut omen_store,
) -> i32 {
    install_panic_hook();
    fence(|| {
        // SAFETY: conventions 2, 5 and 11 of the header say what these pointers are.
        let (path, options, out) =
            unsafe { (self::path("path", path)?, store_options(options)?, OutParam::new("out", out)?) };
        out.set(handle::publish(Store::open(path, dim, &options)?)?);
        Ok(())
    })
}

/// Commits and closes the store. The handle is invalid afterwards, whatever the status is.
///
/// @param store  an open store; NULL is OMEN_OK
///
/// Threads: running calls of other threads finish; the last of them frees the memory. In the progress function of a
/// compress or compact of this store the status is OMEN_INVALID_ARGUMENT, and the store stays open.
///
/// Errors: OMEN_NO_SPACE, OMEN_IO: the commit failed. What was committed earlier is safe.
///
/// Disk: all writes are durable. You may copy the files, and another process may open the store.
#[unsafe(no_mangle)]
pub extern "C" fn omen_store_close(store: *mut omen_store) -> i32 {
    fence(|| if store.is_null() { Ok(()) } else { handle::close(store) })
}

/// Returns the number of floats in a vector of this store, and 0 if the handle is not valid.
///
/// @param store  an open store
#[unsafe(no_mangle)]
pub extern "C" fn omen_store_dim(store: *const omen_store) -> u32 {
    let mut dim = 0;
    on_pinned_store(store, |store| {
        dim = store.dim();
        Ok(())
    });
    dim
}

/// Returns the number of vectors in the store.
///
/// @param store      an open store
/// @param out_count  receives the number
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_store_count(store: *const omen_store, out_count: *mut u64) -> i32 {
    on_pinned_store(store, |store| {
        // SAFETY: convention 2.
        let out_count = unsafe { OutParam::new("out_count", out_count)? };
        out_count.set(store.count());
        Ok(())
    })
}

/// # Safety
/// As for [`sized::options`].
unsafe fn store_options(options: *const omen_store_options) -> Result<Options> {
    // SAFETY: the contract of this function.
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
    let known = choices! {
        OMEN_L2 => Metric::L2,
        OMEN_INNER_PRODUCT => Metric::InnerProduct,
        OMEN_COSINE => Metric::Cosine,
    };
    choose("metric", number, &known)
}

fn sync(number: i32) -> Result<SyncMode> {
    let known = choices! {
        OMEN_SYNC_COMMIT => SyncMode::Commit,
        OMEN_SYNC_EACH => SyncMode::Each,
        OMEN_SYNC_NONE => SyncMode::None,
    };
    choose("sync", number, &known)
}

fn mode(number: i32) -> Result<Mode> {
    let known = choices! {
        OMEN_READ_WRITE_CREATE => Mode::ReadWriteCreate,
        OMEN_READ_WRITE => Mode::ReadWrite,
        OMEN_READ_ONLY => Mode::ReadOnly,
        OMEN_CREATE_NEW => Mode::CreateNew,
    };
    choose("mode", number, &known)
}
