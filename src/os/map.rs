//! Read-only mappings of file bytes that never change again.
//!
//! The kernel sends SIGBUS when a mapped page cannot be read: another program truncated the file, or the disk failed.
//! The library does not turn that into a status (docs/reliability.md, "What mapped files risk"). The library itself
//! never truncates a file to less than its mapped part.
#![expect(unsafe_code, reason = "a mapping becomes a byte slice here, and nowhere else")]

use std::ops::Deref;

/// Bytes of a file: mapped, or in memory (in a simulator, and for length 0).
#[derive(Debug)]
pub enum Map {
    /// A mapping by the kernel.
    Mapped(memmap2::Mmap),
    /// A copy in memory.
    Heap(Vec<u8>),
}

impl Map {
    /// Maps `[offset, offset + length)` of `file`; the caller checks that the range lies inside the file.
    pub(super) fn of_file(file: &std::fs::File, offset: u64, length: usize) -> std::io::Result<Map> {
        if length == 0 {
            return Ok(Map::Heap(Vec::new()));
        }
        let mut options = memmap2::MmapOptions::new();
        options.offset(offset).len(length);
        // SAFETY: the bytes must not change while they are mapped. No process that uses this library changes them: only
        // sealed files and whole frames of a log are mapped, both are final, and a file is replaced by a new one under
        // another name, never in place. This needs no lock, and read-only opens map without one. Another program that
        // writes to a file of the store breaks this assumption; the documentation forbids it.
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
