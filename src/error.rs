//! Every way a call can fail, with what was found and what was expected, and the status each becomes at the boundary.
//!
//! Status ranges say who must act: 1–19 the caller, 20–29 the machine, 30–39 the file, 40–49 the library.

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
    /// A pointer that is needed was NULL.
    #[error("{0} is NULL")]
    NullPointer(&'static str),
    /// The handle was never given out, or is closed.
    #[error("the store handle {0:#x} is not open: closed already, or never returned by omen_store_open")]
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
        /// What the caller gave.
        asked: u32,
        /// What the store has.
        stored: u32,
    },
    /// The caller's metric is not the store's.
    #[error("metric: the store has {stored}, the call asks for {asked}")]
    MetricMismatch {
        /// What the caller gave.
        asked: Metric,
        /// What the store has.
        stored: Metric,
    },
    /// A NaN or an infinity in a vector.
    #[error("vector {row}, component {column} is {value}: every component must be finite")]
    NotFinite {
        /// Which vector of the call.
        row: usize,
        /// Which component of it.
        column: usize,
        /// The offending value.
        value: f32,
    },
    /// An id that is not stored.
    #[error("id {id} (number {position} of the call) is not in the store")]
    NotFound {
        /// The missing id.
        id: u64,
        /// Its place in the call.
        position: usize,
    },
    /// An id given twice, or stored already.
    #[error("id {id} (number {position} of the call) is {place}")]
    DuplicateId {
        /// The id in question.
        id: u64,
        /// Its place in the call.
        position: usize,
        /// Where the other one is.
        place: &'static str,
    },
    /// Not enough vectors to train on.
    #[error("{found} vectors are too few to compress: at least {needed} are needed")]
    TooFewVectors {
        /// Live vectors in the store.
        found: u64,
        /// The least that can be trained on.
        needed: u64,
    },
    /// A write through a read-only handle.
    #[error("the store was opened read-only")]
    IsReadOnly,
    /// The progress callback asked to stop.
    #[error("cancelled by the progress callback after {done} of {total}")]
    Cancelled {
        /// Steps done.
        done: u64,
        /// Steps in all.
        total: u64,
    },
    /// A number above what the format or the machine can hold.
    #[error("{0}")]
    TooBig(String),
    /// A failed system call.
    #[error("{operation} {name}: {source}")]
    Io {
        /// The system call, or what it does.
        operation: &'static str,
        /// The file it was about.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// No room on the disk, found before or during a write.
    #[error("no space: {0}")]
    NoSpace(String),
    /// Another writer has the store.
    #[error("{0} is locked: another handle or process has the store open for writing")]
    Locked(String),
    /// The machine has no memory for the request.
    #[error("out of memory: {0} bytes could not be had")]
    OutOfMemory(usize),
    /// A file's bytes are not what was written.
    #[error("{file}: {what}")]
    Corrupt {
        /// The damaged file.
        file: String,
        /// Where, what was found and what was expected.
        what: String,
    },
    /// A file of a format this library does not know.
    #[error("{file}: format version {found}, this library reads {expected}")]
    Version {
        /// The file.
        file: String,
        /// Its version, or feature bits.
        found: u32,
        /// What is known here.
        expected: u32,
    },
    /// The path does not hold a store.
    #[error("{0}")]
    NotAStore(String),
    /// An earlier failure left the handle unfit for writing; reads go on.
    #[error("writes are refused since an earlier failure ({0}); close and reopen the store to recover")]
    Poisoned(String),
    /// A panic in this library, stopped at the boundary.
    #[error("a panic in the library, please report: {0}")]
    Panic(String),
    /// A state that this library should never reach.
    #[error("internal error, please report: {0}")]
    Internal(String),
    /// A function of a later version.
    #[error("{0} is not built into this version")]
    Unsupported(&'static str),
}

impl Error {
    /// A failed system call; no space and quota get their own status.
    pub fn io(operation: &'static str, name: &str, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Error::NoSpace(format!("{operation} {name}: {source}"))
            }
            _ => Error::Io { operation, name: name.to_owned(), source },
        }
    }

    /// Damage in `file`, told as `what`.
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
            Error::Version { .. } => 31,
            Error::NotAStore(_) => 32,
            Error::Poisoned(_) => 40,
            Error::Panic(_) | Error::Internal(_) => 41,
            Error::Unsupported(_) => 42,
        }
    }

    /// True if the system said that the name does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
