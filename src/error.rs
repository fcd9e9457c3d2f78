//! The errors of the library. Each says what was found and what was expected, and maps to a status of the C ABI.
//!
//! Ranges of statuses: 1–19 the caller made a mistake, 20–29 the machine failed, 30–39 a file is bad, 40–49 the library
//! failed.

use crate::metric::Metric;
use std::io;

/// The result of every fallible function in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// `number` in few digits, for messages: 0.5 in full, 1e308 without its 308 zeros.
pub fn short(number: f64) -> String {
    let is_ordinary = number == 0.0 || (1e-6..1e9).contains(&number.abs());
    if is_ordinary { number.to_string() } else { format!("{number:e}") }
}

/// Why a call failed. The store is unchanged unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A required pointer was NULL.
    #[error("{0} is NULL")]
    NullPointer(&'static str),
    /// The handle is closed, or `omen_store_open` never returned it.
    #[error("the store handle {0:#x} is not open: it was closed, or omen_store_open never returned it")]
    InvalidHandle(usize),
    /// A call on a store that was closed.
    #[error("the store is closed")]
    Closed,
    /// An argument out of its range.
    #[error("{0}")]
    InvalidArgument(String),
    /// The caller's dim is not the store's.
    #[error("dim: the store has {stored}, the call asks for {asked}")]
    DimMismatch {
        /// The caller's dim.
        asked: u32,
        /// The store's dim.
        stored: u32,
    },
    /// The caller's metric is not the store's.
    #[error("metric: the store has {stored}, the call asks for {asked}")]
    MetricMismatch {
        /// The caller's metric.
        asked: Metric,
        /// The store's metric.
        stored: Metric,
    },
    /// A NaN or an infinity in a vector.
    #[error("vector {row}, component {column} is {value}: every component must be finite")]
    NotFinite {
        /// Index of the vector in the call.
        row: usize,
        /// Index of the component in the vector.
        column: usize,
        /// The value found.
        value: f32,
    },
    /// An id that is not stored.
    #[error("id {id} (number {position} of the call) is not in the store")]
    NotFound {
        /// The missing id.
        id: u64,
        /// Its index in the call.
        position: usize,
    },
    /// An id that occurs twice in a call, or is stored already.
    #[error("id {id} (number {position} of the call) is {place}")]
    DuplicateId {
        /// The id.
        id: u64,
        /// Its index in the call.
        position: usize,
        /// Where the other occurrence is, in words that follow "is".
        place: &'static str,
    },
    /// Not enough vectors to train on.
    #[error("{found} vectors are too few to compress: at least {needed} are needed")]
    TooFewVectors {
        /// Live vectors in the store.
        found: u64,
        /// The smallest number that can be trained on.
        needed: u64,
    },
    /// A write through a read-only handle.
    #[error("the store was opened read-only and refuses writes; open it for writing")]
    IsReadOnly,
    /// The progress function cancelled the call.
    #[error("cancelled by the progress callback after {done} of {total} steps")]
    Cancelled {
        /// Steps done.
        done: u64,
        /// Steps in all.
        total: u64,
    },
    /// A number larger than the format or the machine can hold.
    #[error("{0}")]
    TooBig(String),
    /// A failed system call.
    #[error("{operation} {name}: {source}")]
    Io {
        /// The system call, or a verb for it.
        operation: &'static str,
        /// The file or directory it was called on.
        name: String,
        /// The system's error.
        source: io::Error,
    },
    /// Too little space on the disk or under a limit, found before or during a write.
    #[error("no space: {0}")]
    NoSpace(String),
    /// The store cannot be opened or written now, because of another handle or process. The text says which and what to
    /// do.
    #[error("{0}")]
    Locked(String),
    /// An allocation of this many bytes failed.
    #[error("out of memory: {0} bytes could not be allocated")]
    OutOfMemory(usize),
    /// The bytes of a file are not those that were written.
    #[error("{file}: {what}")]
    Corrupt {
        /// The damaged file.
        file: String,
        /// The position, what was found and what was expected.
        what: String,
    },
    /// A file of a format version, or with feature bits, that this library does not know.
    #[error(
        "{file}: found format version or feature bits {found}, this library reads {expected}; \
         open it with the library version that wrote it"
    )]
    Version {
        /// The file.
        file: String,
        /// Its version, or feature bits.
        found: u32,
        /// The version, or feature bits, that this library reads.
        expected: u32,
    },
    /// A sealed file has a section that a reader must know and this library does not.
    #[error("{file}: section {kind} is required to read this file, and this version of the library does not know it")]
    UnknownSection {
        /// The file.
        file: String,
        /// The number of the section's kind.
        kind: u32,
    },
    /// The path does not hold a store.
    #[error("{0}")]
    NotAStore(String),
    /// An earlier failed write poisoned the handle: it refuses writes, reads still work.
    #[error("writes are refused after an earlier failure ({0}); close the store and open it again to recover")]
    Poisoned(String),
    /// A panic in this library, caught at the C ABI.
    #[error("the library panicked; please report this message: {0}")]
    Panic(String),
    /// A state that only a bug in this library can reach.
    #[error("internal error of the library; please report this message: {0}")]
    Internal(String),
    /// A function that this version does not implement.
    #[error("{0} is not implemented in this version of the library")]
    Unsupported(&'static str),
}

impl Error {
    /// A failed system call. A full disk, an exhausted quota and a file size limit become `NoSpace`.
    pub fn io(operation: &'static str, name: &str, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Error::NoSpace(format!("{operation} {name}: {source}"))
            }
            _ => Error::Io { operation, name: name.to_owned(), source },
        }
    }

    /// Damage in `file`, described by `what`.
    pub fn corrupt(file: &str, what: impl Into<String>) -> Error {
        Error::Corrupt { file: file.to_owned(), what: what.into() }
    }

    /// The status number of the C ABI. Numbers are never reused.
    pub fn status(&self) -> i32 {
        match self {
            Error::NullPointer(_) => 1,
            Error::InvalidHandle(_) | Error::Closed => 2,
            Error::InvalidArgument(_) => 3,
            Error::DimMismatch { .. } => 4,
            Error::MetricMismatch { .. } => 5,
            Error::NotFinite { .. } => 6,
            Error::NotFound { .. } => 7,
            Error::DuplicateId { .. } => 8,
            Error::TooFewVectors { .. } => 9,
            Error::IsReadOnly => 10,
            Error::Cancelled { .. } => 11,
            Error::TooBig(_) => 12,
            Error::Io { .. } => 20,
            Error::NoSpace(_) => 21,
            Error::Locked(_) => 22,
            Error::OutOfMemory(_) => 23,
            Error::Corrupt { .. } => 30,
            Error::Version { .. } | Error::UnknownSection { .. } => 31,
            Error::NotAStore(_) => 32,
            Error::Poisoned(_) => 40,
            Error::Panic(_) | Error::Internal(_) => 41,
            Error::Unsupported(_) => 42,
        }
    }

    /// True if a system call failed because the name does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
