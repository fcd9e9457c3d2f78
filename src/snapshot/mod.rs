//! What a reader sees: the sealed segments of one generation, the tail up to a count, and the tombstones of both.
//!
//! A snapshot is published whole and never changes, except `visible`: inserts of new ids only append rows and raise the
//! count in place. A call that hides a row or moves the tail publishes a new snapshot and leaves the count of the old
//! one unchanged. A reader that loads a snapshot and then its count therefore sees whole calls only.
//!
//! Each file uses those before it: `state`, `locate` (id -> place), `get` (place -> vector), `list` (ids in order);
//! `change` is how a writer edits a copy before it publishes it.

mod change;
mod get;
mod list;
mod locate;
mod state;

pub use get::Scratch;
pub use locate::Place;
pub use state::{SegmentView, Snapshot, View};
