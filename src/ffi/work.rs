//! Options of long calls: threads, progress, cancellation.
#![expect(unsafe_code, reason = "an exported name, and the progress function is called")]

use super::types::{omen_progress_fn, omen_work_options};
use std::ffi::c_void;

/// # LONG CALLS: progress, cancellation and threads
///
/// Sets every member of `options` to its default, `struct_size` included. Ignores NULL. Any thread may call it.
///
/// @param options  the struct to fill in
#[unsafe(no_mangle)]
pub unsafe extern "C" fn omen_work_options_init(options: *mut omen_work_options) {
    if !options.is_null() {
        // SAFETY: not NULL; convention 2: the caller's pointer has room for one, at any address.
        unsafe { options.write_unaligned(omen_work_options::DEFAULT) }
    }
}

/// A closure that calls the caller's progress function, if there is one; `true` cancels.
pub(super) fn on_progress(progress: omen_progress_fn, user: *mut c_void) -> impl FnMut(u64, u64) -> bool {
    move |done, total| {
        // SAFETY: the caller passed this function and `user` for this call. Its comment in the header says on which
        // thread it runs, and that it must not unwind.
        progress.is_some_and(|progress| unsafe { progress(user, done, total) } != 0)
    }
}
