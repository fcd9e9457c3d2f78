//! Headers and records to bytes and back, as `docs/format.md` describes them; comments cite its section numbers (§).
//!
//! Everything is little-endian. Every number read from a file is checked here or where it is used, and before it
//! decides the size of an allocation.
//!
//! `header` (of every file), `frame` (of a log), `manifest`, `footer` and `sections` (of sealed files), `bound`
//! (rounded error bounds).

mod bound;
mod footer;
mod frame;
mod header;
mod manifest;
mod sections;

pub use bound::{bound_above, bound_of};
pub use footer::{Extent, FOOTER_BYTES, Footer, Measured};
pub use frame::{FRAME_ALIGN, FRAME_HEADER_BYTES, FrameHeader, flags};
pub use header::FileHeader;
pub use manifest::{Manifest, SegmentEntry};
pub use sections::{REQUIRED, SECTIONS_MAX, Section, SectionKind, SectionLayout, decode_sections};

use crate::error::{Error, Result};
use crate::metric::Metric;

/// Version of the format this library writes and the only one it reads (format.md §8).
pub const VERSION: u32 = 1;
/// A number that shows the byte order: it reads differently on a big-endian machine.
const ENDIAN_TAG: u32 = 0x0102_0304;
/// Unit of checksums, of torn writes and of commits (§1).
pub const BLOCK_BYTES: usize = 4096;
/// The id that no vector may have: it fills unused slots of search results.
pub const NO_ID: u64 = u64::MAX;
/// The largest counter accepted from a file. No store can reach it, and adding to it cannot overflow.
pub const COUNT_MAX: u64 = 1 << 60;
/// The largest dim.
pub const DIM_MAX: u32 = 65_536;
/// The most rows of one segment: rows are counted in u32.
pub const ROWS_MAX: u64 = u32::MAX as u64 - 1;

/// Name of the writer's lock file (§2).
pub const LOCK_NAME: &str = "LOCK";
/// Names of the two manifests, written in turn (§3).
pub const MANIFEST_NAMES: [&str; 2] = ["MANIFEST.A", "MANIFEST.B"];

/// Kind of a numbered file; it determines the suffix of the name and the number in headers and manifests (§2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Append log. A sealed log is a raw segment whose rows are in frames.
    Log = 1,
    /// Raw rows, contiguous, in ascending order of id.
    Raw = 2,
    /// Codes in blocks of 32 with their codebook, in ascending order of id or list by list.
    Code = 3,
    /// Tombstones of all segments of one manifest.
    Tombstones = 4,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Log, Kind::Raw, Kind::Code, Kind::Tombstones];

    /// The kind with this number.
    pub fn from_number(number: u32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u32 == number)
    }

    /// Bytes of the header of a file of this kind. The frames of a log begin at a block of their own: a later write may
    /// spoil the whole block it touches (§5.4).
    pub const fn header_bytes(self) -> usize {
        match self {
            Kind::Log => BLOCK_BYTES,
            Kind::Raw | Kind::Code | Kind::Tombstones => 128,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Kind::Log => "log",
            Kind::Raw => "raw",
            Kind::Code => "code",
            Kind::Tombstones => "del",
        }
    }

    /// The name of file `id` of this kind: sixteen hex digits and the suffix.
    pub fn file_name(self, id: u64) -> String {
        format!("{id:016x}.{}", self.suffix())
    }

    /// Kind and id of a file name; `None` if it is not the name of a numbered file.
    pub fn parse(name: &str) -> Option<(Kind, u64)> {
        let (digits, suffix) = name.split_once('.')?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.suffix() == suffix)?;
        let id = u64::from_str_radix(digits, 16).ok()?;
        (kind.file_name(id) == name).then_some((kind, id))
    }
}

/// CRC-32 (IEEE) of `bytes`. The seed depends on file and position, so that sound bytes in a wrong position do not
/// match (§1).
pub fn checksum(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// Seed for a part of file `id`: `position` is a block number, a byte offset or a constant (§1).
pub fn seed(id: u64, position: u64) -> u32 {
    let mixed = (id ^ 0x6f6d_656e).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ position.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    (mixed ^ (mixed >> 32)) as u32
}

/// The smallest multiple of `unit` that is not below `value`.
pub fn align(value: u64, unit: u64) -> u64 {
    value.div_ceil(unit) * unit
}

/// Reads the u32 at byte `at` of a record whose length was checked.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

/// Reads the f32 at byte `at` of a record whose length was checked.
pub fn f32_at(bytes: &[u8], at: usize) -> f32 {
    f32::from_bits(u32_at(bytes, at))
}

/// Reads the u64 at byte `at` of a record whose length was checked.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

/// Reads the f64 at byte `at` of a record whose length was checked.
pub fn f64_at(bytes: &[u8], at: usize) -> f64 {
    f64::from_bits(u64_at(bytes, at))
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

/// The metric whose number is at byte `at` of a record of `file`.
fn metric_at(file: &str, bytes: &[u8], at: usize) -> Result<Metric> {
    let number = u32_at(bytes, at);
    let metric = i32::try_from(number).ok().and_then(Metric::from_i32);
    metric.ok_or_else(|| Error::corrupt(file, format!("metric {number}, expected one of 0 to 2")))
}

/// Compares a stored checksum with the computed one.
fn expect_checksum(file: &str, what: &str, found: u32, computed: u32) -> Result<()> {
    if found == computed {
        return Ok(());
    }
    Err(Error::corrupt(file, format!("{what}: checksum {found:08x}, computed {computed:08x}")))
}

/// Converts a length in bytes that was checked against a file's length; it fits on 64-bit machines.
pub fn to_usize(value: u64) -> Result<usize> {
    usize::try_from(value).map_err(|_| Error::TooBig(format!("{value} bytes do not fit this machine's address space")))
}
