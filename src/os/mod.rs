//! The one door to the disk. Everything above sees files through [`Dir`] and [`File`], so a simulator can stand in for
//! the kernel, record each effect, cut the tape anywhere and rebuild what would have survived.
//!
//! What an implementation must promise, and the store relies on:
//! - `File::sync` makes all earlier writes and lengths of *that file* durable; nothing else does.
//! - `Dir::sync` makes all earlier creations and removals of names durable; nothing else does.
//! - Before those, any subset of the effects may survive a crash, whole, in part or garbled, down to any 4 KiB block
//!   that an unsynced write touched, bytes synced before included.
//! - A mapping shows the bytes at the time it was made; the store maps only bytes that will not change again.

mod barrier;
pub mod buffer;
mod disk;
pub mod map;
pub mod shared;
mod sync;

pub use buffer::{Appender, Published};
pub use disk::{DiskDir, open_or_create_dir};
pub use map::Map;
pub use shared::{Pinned, Shared};

use crate::error::Result;
use std::fmt::Debug;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads only; the file must exist.
    Read,
    /// Reads and writes; the file must exist.
    Write,
    /// Reads and writes; the file must not exist.
    Create,
}

/// A directory of plain files. Names are single components, never paths.
pub trait Dir: Send + Sync + Debug {
    /// The names in the directory, in no order.
    fn names(&self) -> Result<Vec<String>>;
    /// Opens a regular file; anything else (link, directory, device) is an error.
    fn open(&self, name: &str, access: Access) -> Result<Box<dyn File>>;
    /// Removes a name; the bytes go with the last map or handle.
    fn remove(&self, name: &str) -> Result<()>;
    /// Makes all earlier creations and removals durable.
    fn sync(&self) -> Result<()>;
    /// Takes the writer lock held by `name` (created if absent), or says [`Error::Locked`](crate::error::Error).
    fn lock(&self, name: &str) -> Result<Box<dyn Lock>>;
    /// Bytes this process may still write here.
    fn free_bytes(&self) -> Result<u64>;
}

/// The writer lock; held until dropped, or until the process ends.
pub trait Lock: Send + Sync + Debug {
    /// An error in a process that got the handle by a fork: the lock stays its parent's.
    fn check(&self) -> Result<()>;
}

/// One open regular file.
pub trait File: Send + Sync + Debug {
    /// The name it was opened under.
    fn name(&self) -> &str;
    /// Length in bytes.
    fn length(&self) -> Result<u64>;
    /// Bytes the file occupies: the greater of its length and its allocated blocks.
    fn occupied(&self) -> Result<u64>;
    /// Fills `buffer` from `offset`; a shorter file is an error.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()>;
    /// Writes all `parts` one after the other from `offset`.
    fn write_at(&self, parts: &[&[u8]], offset: u64) -> Result<()>;
    /// Cuts or extends (with zeros) to `length`; gives back what `reserve` took beyond it.
    fn set_length(&self, length: u64) -> Result<()>;
    /// Allocates blocks for `[offset, offset + length)` without changing the length, where the file system can;
    /// says `NoSpace` where they cannot be had.
    fn reserve(&self, offset: u64, length: u64) -> Result<()>;
    /// Makes all earlier writes and the length durable.
    fn sync(&self) -> Result<()>;
    /// A read-only view of `[offset, offset + length)`, which must lie inside the file and never change again.
    fn map(&self, offset: u64, length: usize) -> Result<Map>;
}
