//! Read-only views of file bytes that no longer change. Part of the second room for unsafe: here a mapping becomes a slice.
//!
//! A file truncated from outside while mapped makes the kernel send SIGBUS on access; no library can turn that into a
//! status. The header says so; the store itself never shortens a mapped file.
#![expect(unsafe_code, reason = "a mapping becomes a byte slice here, and nowhere else")]

use std::ops::Deref;

/// Bytes of a file, mapped or (in a simulator, or for length 0) held in memory.
#[derive(Debug)]
pub enum Map {
    /// A mapping by the kernel.
    Mapped(memmap2::Mmap),
    /// A copy on the heap.
    Heap(Vec<u8>),
}

impl Map {
    /// Maps `[offset, offset + length)` of `file`; the caller has checked that the range lies inside the file.
    pub(super) fn of_file(file: &std::fs::File, offset: u64, length: usize) -> std::io::Result<Map> {
        if length == 0 {
            return Ok(Map::Heap(Vec::new()));
        }
        let mut options = memmap2::MmapOptions::new();
        options.offset(offset).len(length);
        // SAFETY: the store maps only extents it will never write again (`Log::map`, `Sealed::open`), and holds
        // the writer lock, so no omen writer changes the bytes under the slice; other programs are told not to.
        let mapped = unsafe { options.map(file)? };
        Ok(Map::Mapped(mapped))
    }
}

impl Deref for Map {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Map::Mapped(mapped) => mapped,
            Map::Heap(bytes) => bytes,
        }
    }
}
