//! The only access to the disk. Every other module uses files through [`Dir`] and [`File`]. A simulator can therefore
//! replace the kernel: it records each effect, stops after any of them, and rebuilds a state that may survive the
//! crash.
//!
//! What an implementation must guarantee (the store relies on it):
//! - `File::sync` makes all earlier writes and lengths of *that file* durable; nothing else does.
//! - `Dir::sync` makes all earlier creations and removals of names durable; nothing else does.
//!
//! What it need not guarantee:
//! - Until then, any subset of the effects may survive a crash, completely, in part or garbled. Every 4 KiB block that
//!   an unsynced write touched may be garbled, including bytes in it that were synced before.
//! - A mapping need not follow later writes: the store maps only bytes that it never changes again.
//!
//! `disk` is the real directory, `map` its read-only maps. `buffer` is memory that one thread fills while others read;
//! `shared` is the cell that readers load snapshots from, over `sync` (atomics) and `barrier` (membarrier).

mod barrier;
pub mod buffer;
mod disk;
pub mod map;
pub mod shared;
mod sync;

pub use buffer::{Appender, Published};
pub use disk::{DiskDir, open_or_create_dir, parent_of, sync_parent};
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
    /// Removes a name. The file lives on until its last mapping and handle are dropped.
    fn remove(&self, name: &str) -> Result<()>;
    /// Makes all earlier creations and removals durable.
    fn sync(&self) -> Result<()>;
    /// Acquires the writer lock on the file `name` (created if absent), or fails with
    /// [`Error::Locked`](crate::error::Error).
    fn lock(&self, name: &str) -> Result<Box<dyn Lock>>;
    /// Free bytes on the file system, as far as this process may use them.
    fn free_bytes(&self) -> Result<u64>;
}

/// The writer lock, held until it is dropped or the process ends.
pub trait Lock: Send + Sync + Debug {
    /// Fails with `Locked` in a forked child: the lock stays with the process that acquired it.
    fn check(&self) -> Result<()>;
}

/// One open regular file.
pub trait File: Send + Sync + Debug {
    /// The name it was opened under.
    fn name(&self) -> &str;
    /// Length in bytes.
    fn length(&self) -> Result<u64>;
    /// The larger of the file's length and its allocated blocks, in bytes.
    fn occupied(&self) -> Result<u64>;
    /// Fills `buffer` from `offset`; fails if the file ends before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()>;
    /// Writes all `parts` one after the other from `offset`.
    fn write_at(&self, parts: &[&[u8]], offset: u64) -> Result<()>;
    /// Shortens the file or extends it with zeros to `length`; frees blocks that `reserve` allocated beyond it.
    fn set_length(&self, length: u64) -> Result<()>;
    /// Allocates blocks for `[offset, offset + length)` without changing the length, if the file system supports it.
    /// Fails with `NoSpace` if there are too few.
    fn reserve(&self, offset: u64, length: u64) -> Result<()>;
    /// Makes all earlier writes and the length durable.
    fn sync(&self) -> Result<()>;
    /// A read-only mapping of `[offset, offset + length)`. The range must lie inside the file and never change again.
    fn map(&self, offset: u64, length: usize) -> Result<Map>;
}
