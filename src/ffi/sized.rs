//! Structs that begin with `struct_size`. If the caller was compiled with an older or newer header, only the members
//! that both sides know are read and written.
#![expect(unsafe_code, reason = "structs of C are copied byte by byte, struct_size bytes of them")]

use super::types::{
    omen_compress_options, omen_compress_report, omen_search_options, omen_store_options, omen_store_stats,
    omen_verify_report, omen_work_options,
};
use crate::error::{Error, Result};
use std::ptr;

/// The largest `struct_size` of any version. A larger value means that the struct is not initialised; it is not read.
const STRUCT_SIZE_MAX: u64 = 1024;

/// A struct of the header.
///
/// # Safety
/// `repr(C)`, `struct_size: u64` first, no padding, and every bit pattern of every member is a value.
pub(super) unsafe trait Sized64: Copy {}
// SAFETY: 64-bit members and pairs of 32-bit ones. Any bits are a pointer or an `Option` of a function pointer; the
// caller guarantees that it may be read or called.
unsafe impl Sized64 for omen_store_options {}
// SAFETY: as above.
unsafe impl Sized64 for omen_compress_options {}
// SAFETY: as above.
unsafe impl Sized64 for omen_compress_report {}
// SAFETY: as above.
unsafe impl Sized64 for omen_search_options {}
// SAFETY: as above.
unsafe impl Sized64 for omen_store_stats {}
// SAFETY: as above.
unsafe impl Sized64 for omen_verify_report {}
// SAFETY: as above.
unsafe impl Sized64 for omen_work_options {}

/// The options at `pointer`. Members that the caller's struct lacks have the values of `defaults`; so have all members
/// if `pointer` is NULL. `struct_size` is the caller's.
///
/// # Safety
/// A pointer that is not NULL points to a `u64` and, if that is a size [`struct_size`] accepts, to that many bytes.
pub(super) unsafe fn options<T: Sized64>(pointer: *const T, defaults: T) -> Result<T> {
    if pointer.is_null() {
        return Ok(defaults);
    }
    // SAFETY: not NULL, and the caller guarantees the first eight bytes.
    let size = unsafe { struct_size("options", pointer)? };
    let known = size.min(size_of::<T>());
    let (bytes, mut value) = (pointer.cast::<u8>(), defaults);
    // SAFETY: both have `known` bytes or more, `value` is a local variable, and any bytes are a value of a `Sized64`.
    unsafe { ptr::copy_nonoverlapping(bytes, (&raw mut value).cast::<u8>(), known) };
    for extra in known..size {
        // SAFETY: below `size`, which the caller guarantees.
        if unsafe { bytes.add(extra).read() } != 0 {
            let text = format!("options: byte {extra} is set, but this version knows only {known} bytes");
            return Err(Error::InvalidArgument(text));
        }
    }
    Ok(value)
}

/// A pointer to a report: checked before the call, written after it.
pub(super) struct Report<T> {
    pointer: *mut T,
    size: usize,
}

impl<T: Sized64> Report<T> {
    /// # Safety
    /// As for [`options`], for writing, until [`Report::set`].
    pub(super) unsafe fn new(name: &'static str, pointer: *mut T) -> Result<Report<T>> {
        if pointer.is_null() {
            return Err(Error::NullPointer(name));
        }
        // SAFETY: not NULL, and the caller guarantees the first eight bytes.
        let size = unsafe { struct_size(name, pointer)? };
        Ok(Report { pointer, size })
    }

    /// Writes as many bytes as the caller's struct has, except `struct_size`, which is not changed. Members that this
    /// version does not know become zero.
    pub(super) fn set(self, value: T) {
        let (from, to) = ((&raw const value).cast::<u8>(), self.pointer.cast::<u8>());
        let (start, known) = (size_of::<u64>(), self.size.min(size_of::<T>()));
        // SAFETY: `size` is at least 8, and the contract of `new` covers `size` bytes; `value` has `known` bytes or
        // more.
        unsafe {
            ptr::copy_nonoverlapping(from.add(start), to.add(start), known - start);
            ptr::write_bytes(to.add(known), 0, self.size - known);
        }
    }
}

/// The caller's `struct_size`; an error if it is not a possible one.
///
/// # Safety
/// The pointer points to eight readable bytes, at any alignment.
unsafe fn struct_size<T>(name: &'static str, pointer: *const T) -> Result<usize> {
    // SAFETY: the contract of this function.
    let size = unsafe { pointer.cast::<u64>().read_unaligned() };
    if !(8..=STRUCT_SIZE_MAX).contains(&size) || !size.is_multiple_of(8) {
        let known = size_of::<T>();
        let text = format!("{name}: struct_size is {size}; expected a multiple of 8 from 8 to 1024, {known} today");
        return Err(Error::InvalidArgument(text));
    }
    Ok(size as usize)
}
