//! What belongs to no store: version, names of statuses, the last message.
#![expect(unsafe_code, reason = "exported names")]

use super::constants::*;
use super::fence;
use std::ffi::{CStr, c_char};

/// LIBRARY
///
/// Returns the version of the library that is linked, as "0.1.0". Static; never NULL; any thread.
#[unsafe(no_mangle)]
pub extern "C" fn omen_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version without a NUL, checked when this is compiled"),
    };
    VERSION.as_ptr()
}

/// Returns the OMEN_ABI_VERSION the library was built with: a program checks that it equals the header's. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn omen_abi_version() -> u32 {
    OMEN_ABI_VERSION
}

/// Returns the name of a status, as "OMEN_NOT_FOUND"; "OMEN_?" for a number that is none. Static; never NULL; any
/// thread.
#[unsafe(no_mangle)]
pub extern "C" fn omen_status_name(status: i32) -> *const c_char {
    name_of_status(status).as_ptr()
}

/// What [`omen_status_name`] returns, for callers in Rust.
pub fn name_of_status(status: i32) -> &'static CStr {
    let named = STATUSES.iter().find(|(number, _)| *number == status);
    named.map_or(c"OMEN_?", |(_, name)| *name)
}

/// Returns the story of this thread's last failure, with its numbers, as
/// "dim: found 100, expected 128 as the store was created"; "" if none of its calls has failed. Never NULL.
///
/// The text is the library's, and valid until the thread's next omen call; other threads have their own. A call that
/// succeeds does not clear it.
#[unsafe(no_mangle)]
pub extern "C" fn omen_last_message() -> *const c_char {
    fence::last_message()
}

const STATUSES: [(i32, &CStr); 23] = [
    (OMEN_OK, c"OMEN_OK"),
    (OMEN_NULL_POINTER, c"OMEN_NULL_POINTER"),
    (OMEN_INVALID_HANDLE, c"OMEN_INVALID_HANDLE"),
    (OMEN_INVALID_ARGUMENT, c"OMEN_INVALID_ARGUMENT"),
    (OMEN_DIM_MISMATCH, c"OMEN_DIM_MISMATCH"),
    (OMEN_METRIC_MISMATCH, c"OMEN_METRIC_MISMATCH"),
    (OMEN_NOT_FINITE, c"OMEN_NOT_FINITE"),
    (OMEN_NOT_FOUND, c"OMEN_NOT_FOUND"),
    (OMEN_DUPLICATE_ID, c"OMEN_DUPLICATE_ID"),
    (OMEN_TOO_FEW_VECTORS, c"OMEN_TOO_FEW_VECTORS"),
    (OMEN_IS_READ_ONLY, c"OMEN_IS_READ_ONLY"),
    (OMEN_CANCELLED, c"OMEN_CANCELLED"),
    (OMEN_TOO_BIG, c"OMEN_TOO_BIG"),
    (OMEN_IO, c"OMEN_IO"),
    (OMEN_NO_SPACE, c"OMEN_NO_SPACE"),
    (OMEN_LOCKED, c"OMEN_LOCKED"),
    (OMEN_OUT_OF_MEMORY, c"OMEN_OUT_OF_MEMORY"),
    (OMEN_CORRUPT, c"OMEN_CORRUPT"),
    (OMEN_VERSION, c"OMEN_VERSION"),
    (OMEN_NOT_A_STORE, c"OMEN_NOT_A_STORE"),
    (OMEN_POISONED, c"OMEN_POISONED"),
    (OMEN_PANIC, c"OMEN_PANIC"),
    (OMEN_UNSUPPORTED, c"OMEN_UNSUPPORTED"),
];
