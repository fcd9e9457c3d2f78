//! Conversion of pointers from C to slices, outputs and paths. Each function checks for NULL, count, size and
//! alignment. The caller guarantees the rest (the header's conventions 2 and 3).
#![expect(unsafe_code, reason = "pointers from C become slices here and nowhere else")]

use crate::error::{Error, Result};
use std::ffi::{CStr, c_char};
use std::path::Path;
use std::ptr::NonNull;
use std::slice;

/// The `[rows][width]` values at `pointer`, for reading. With 0 values the pointer is not used.
///
/// # Safety
/// A pointer that is not NULL points to `rows * width` values that no thread writes while the slice lives.
pub(super) unsafe fn input<'a, T: Plain>(
    name: &'static str,
    pointer: *const T,
    rows: usize,
    width: usize,
) -> Result<&'a [T]> {
    let count = checked_count(name, pointer, rows, width)?;
    if count == 0 {
        return Ok(&[]);
    }
    // SAFETY: `checked_count` checked that the pointer is not NULL and aligned, and that the size fits an isize. The
    // caller guarantees the memory behind it, and every bit pattern is a value of a `Plain` type.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// The `[rows][width]` values at `pointer`, for writing. With 0 values the pointer is not used.
///
/// # Safety
/// A pointer that is not NULL points to `rows * width` values that nothing else reads or writes while the slice lives.
pub(super) unsafe fn output<'a, T: Plain>(
    name: &'static str,
    pointer: *mut T,
    rows: usize,
    width: usize,
) -> Result<&'a mut [T]> {
    let count = checked_count(name, pointer, rows, width)?;
    if count == 0 {
        return Ok(&mut []);
    }
    // SAFETY: as in `input`. The memory comes from outside of Rust, so its bytes are initialised as far as Rust knows.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, count) })
}

/// Like [`output`]; NULL means that the caller does not want the values.
///
/// # Safety
/// As for [`output`].
pub(super) unsafe fn output_or_null<'a, T: Plain>(
    name: &'static str,
    pointer: *mut T,
    rows: usize,
    width: usize,
) -> Result<Option<&'a mut [T]>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the contract of this function is that of `output`.
    unsafe { output(name, pointer, rows, width) }.map(Some)
}

/// Types without padding.
///
/// # Safety
/// Every bit pattern is a value.
pub(super) unsafe trait Plain: Copy {}
// SAFETY: every bit pattern is an f32, and it has no padding.
unsafe impl Plain for f32 {}
// SAFETY: every bit pattern is a u64, and it has no padding.
unsafe impl Plain for u64 {}
// SAFETY: every bit pattern is a u8, and it has no padding.
unsafe impl Plain for u8 {}

/// Largest array in bytes: 128 TiB, more than a process can have. A larger count is a mistake, often a negative number.
const ARRAY_BYTES_MAX: usize = isize::MAX as usize >> (if usize::BITS == 64 { 16 } else { 0 });

#[inline]
fn checked_count<T>(name: &'static str, pointer: *const T, rows: usize, width: usize) -> Result<usize> {
    let (count, overflows) = rows.overflowing_mul(width);
    if count == 0 && !overflows {
        return Ok(0);
    }
    if pointer.is_null() || !pointer.is_aligned() || overflows || count > ARRAY_BYTES_MAX / size_of::<T>() {
        return Err(refused(name, pointer, rows, width));
    }
    Ok(count)
}

#[cold]
fn refused<T>(name: &'static str, pointer: *const T, rows: usize, width: usize) -> Error {
    let (address, align, size) = (pointer.addr(), align_of::<T>(), size_of::<T>());
    if pointer.is_null() {
        Error::NullPointer(name)
    } else if !pointer.is_aligned() {
        Error::InvalidArgument(format!("{name}: address {address:#x} is not a multiple of {align}"))
    } else {
        Error::TooBig(format!("{name}: {rows} x {width} values of {size} bytes are more than memory can hold"))
    }
}

/// A pointer to one output value: checked before the call, written after it.
pub(super) struct OutParam<T>(NonNull<T>);

impl<T> OutParam<T> {
    /// # Safety
    /// A pointer that is not NULL points to writable memory for one value, at any alignment, valid until
    /// [`OutParam::set`].
    pub(super) unsafe fn new(name: &'static str, pointer: *mut T) -> Result<OutParam<T>> {
        NonNull::new(pointer).map(OutParam).ok_or(Error::NullPointer(name))
    }

    /// Writes the value.
    pub(super) fn set(self, value: T) {
        // SAFETY: not NULL by its type, and valid for a write by the contract of `new`.
        unsafe { self.0.as_ptr().write_unaligned(value) }
    }

    /// Reads the caller's value, if the output is also an input.
    pub(super) fn get(&self) -> T
    where
        T: Plain,
    {
        // SAFETY: as in `set`. The comment of such a parameter asks the caller to initialise it.
        unsafe { self.0.as_ptr().read_unaligned() }
    }
}

/// The path at `pointer`: UTF-8, NUL-terminated, not empty.
///
/// # Safety
/// A pointer that is not NULL points to a NUL-terminated string that no thread writes while the path lives.
pub(super) unsafe fn path<'a>(name: &'static str, pointer: *const c_char) -> Result<&'a Path> {
    if pointer.is_null() {
        return Err(Error::NullPointer(name));
    }
    // SAFETY: not NULL, and the caller guarantees the NUL.
    let text = unsafe { CStr::from_ptr(pointer) }
        .to_str()
        .map_err(|error| Error::InvalidArgument(format!("{name}: not UTF-8 at byte {}", error.valid_up_to())))?;
    if text.is_empty() {
        return Err(Error::InvalidArgument(format!("{name} is empty")));
    }
    Ok(Path::new(text))
}
