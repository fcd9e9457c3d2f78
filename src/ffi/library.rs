//! Functions without a store: versions, names of statuses, the last message.
#![expect(unsafe_code, reason = "exported names")]

use super::constants::*;
use super::fence;
use std::ffi::{CStr, c_char};

/// # LIBRARY
///
/// Returns the version of the linked library, such as "0.1.0". The string is static, never NULL. Any thread may call
/// it.
#[unsafe(no_mangle)]
pub extern "C" fn omen_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version without a NUL, checked when this is compiled"),
    };
    VERSION.as_ptr()
}

/// Returns the OMEN_ABI_VERSION that the library was built with. It should equal the header's. Any thread may call it.
#[unsafe(no_mangle)]
pub extern "C" fn omen_abi_version() -> u32 {
    OMEN_ABI_VERSION
}

/// Returns the name of a status, such as "OMEN_NOT_FOUND", and "OMEN_?" for an unknown number. The string is static,
/// never NULL. Any thread may call it.
///
/// @param status  a number that another function returned
#[unsafe(no_mangle)]
pub extern "C" fn omen_status_name(status: i32) -> *const c_char {
    name_of_status(status).as_ptr()
}

/// The string that [`omen_status_name`] returns, for callers in Rust.
pub fn name_of_status(status: i32) -> &'static CStr {
    let named = STATUSES.iter().find(|(number, _)| *number == status);
    named.map_or(c"OMEN_?", |(_, name)| *name)
}

/// Returns a detailed message about this thread's last failure, such as "dim: the store has 128, the call asks for
/// 100", and "" if no call of this thread has failed. Never NULL.
///
/// The string belongs to the library and is valid until this thread's next omen call. A call that succeeds does not
/// clear the message. Each thread has its own.
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
