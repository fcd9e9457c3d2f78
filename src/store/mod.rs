//! The store: the life of a directory from open to close.
//!
//! One call at a time uses the [`Writer`]; readers load the published [`Snapshot`] and never wait. In this list, a file
//! calls only files below it:
//!
//! ```text
//! open          finds the files of a store, recovers, makes a writer or a reader
//! upkeep        compress and compact: freezes a state, writes new files, swaps them in
//! search        the k nearest vectors
//! report        counts, bytes on disk, and verify
//! inspect       checks each file of a store that does not open
//! upkeep_lock   one compress, compact or close at a time
//! writer        checks a call, then runs it as one step
//! writer_state  the steps: rows in, frames, seals, swaps
//! poisonable    a value that only steps change; after a failed step it refuses more
//! tail_state    rows of the active log: buffer, ids, contents of the next frame
//! publisher     the state that readers see
//! durable       files: active log, sealed segments, tombstones, manifest
//! log_end       the end of the active log, and which calls are durable
//! pending       calls that are not in a frame yet
//! ```

mod durable;
mod inspect;
mod log_end;
mod open;
mod pending;
mod poisonable;
mod publisher;
mod report;
mod search;
mod tail_state;
mod upkeep;
mod upkeep_lock;
mod writer;
mod writer_state;

pub use crate::compress::CompressOptions;
pub use inspect::{InspectedFile, Inspection, inspect};
pub use report::{Stats, VerifyReport};
pub use search::SearchOptions;
pub use upkeep::CompressReport;

use crate::error::{Error, Result};
use crate::kernels;
use crate::metric::Metric;
use crate::os::{Dir, Pinned, Shared, open_or_create_dir};
use crate::snapshot::Snapshot;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use upkeep_lock::UpkeepLock;
use writer::Writer;

/// When a call is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// When the next `commit` returns.
    #[default]
    Commit = 0,
    /// When the call itself returns.
    Each = 1,
    /// When the log is sealed, and at `compress`, `compact` and `close`. After a crash the store has all calls up to
    /// some call and none after it.
    None = 2,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Reads and writes; creates the store if there is none.
    #[default]
    ReadWriteCreate = 0,
    /// Reads and writes a store that exists.
    ReadWrite = 1,
    /// Reads only, beside a writer or without one.
    ReadOnly = 2,
    /// Reads and writes a new store; an error if there is one.
    CreateNew = 3,
}

/// Options of `open`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Distance metric of `search`; `None`: the store's, and L2 for a new one.
    pub metric: Option<Metric>,
    /// When calls are durable.
    pub sync: SyncMode,
    /// How the store is opened.
    pub mode: Mode,
    /// Threads a call may use; 0: all cores.
    pub threads: u32,
}

/// Sizes that tests make small; not part of the C ABI.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// The log is sealed at this length.
    pub seal_bytes: u64,
    /// A close seals a log longer than this, so that the next open does not read it.
    pub close_seal_bytes: u64,
    /// Size of the buffer of rows; a full buffer is written to the log.
    pub buffer_bytes: usize,
    /// The name of a new store, so that a test gets the same files each time; `None`: random.
    pub store: Option<[u8; 16]>,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning { seal_bytes: 64 << 20, close_seal_bytes: 256 << 10, buffer_bytes: 1 << 20, store: None }
    }
}

/// An open store. Any thread may call any method.
#[derive(Debug)]
pub struct Store {
    dir: Arc<dyn Dir>,
    dim: u32,
    metric: Metric,
    threads: u32,
    name: [u8; 16],
    read_only: bool,
    published: Arc<Shared<Snapshot>>,
    /// `None` on a read-only or closed store.
    writer: Mutex<Option<Writer>>,
    /// Acquired before `writer`.
    upkeep: UpkeepLock,
}

impl Store {
    /// Opens the store in the directory `path` and recovers it after a crash. `dim` 0 means the stored dim.
    pub fn open(path: &Path, dim: u32, options: &Options) -> Result<Store> {
        let creates = matches!(options.mode, Mode::ReadWriteCreate | Mode::CreateNew);
        let is_missing = matches!(path.try_exists(), Ok(false));
        if is_missing && !creates {
            return Err(at_path(open::no_store(), path));
        }
        open::check_dim(dim, is_missing).map_err(|error| at_path(error, path))?;
        let dir = open_or_create_dir(path, creates)?;
        Store::open_in(Box::new(dir), dim, options).map_err(|error| at_path(error, path))
    }

    /// Opens the store in `dir`.
    pub fn open_in(dir: Box<dyn Dir>, dim: u32, options: &Options) -> Result<Store> {
        Store::open_tuned(dir, dim, options, Tuning::default())
    }

    /// Opens a store with the sizes of `tuning`.
    #[doc(hidden)]
    pub fn open_tuned(dir: Box<dyn Dir>, dim: u32, options: &Options, tuning: Tuning) -> Result<Store> {
        open::open(Arc::from(dir), dim, options, tuning)
    }

    /// Floats per vector.
    pub fn dim(&self) -> u32 {
        self.dim
    }

    /// Distance metric of `search`.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Live vectors; 0 once closed.
    pub fn count(&self) -> u64 {
        self.published.load().map_or(0, |state| state.view().count())
    }

    /// Inserts `vectors: [n][dim]` under new `ids`, or under ids that count up from the largest id ever given, plus
    /// one. All or nothing; returns the first id.
    pub fn insert(&self, ids: Option<&[u64]>, vectors: &[f32]) -> Result<u64> {
        self.check_vectors(ids, vectors)?;
        self.write(|writer| writer.insert(ids, vectors))
    }

    /// Inserts `vectors: [n][dim]` under `ids` and replaces those that are stored. All or nothing.
    pub fn upsert(&self, ids: &[u64], vectors: &[f32]) -> Result<()> {
        self.check_vectors(Some(ids), vectors)?;
        self.write(|writer| writer.upsert(ids, vectors))
    }

    /// Deletes those of `ids` that are stored; returns how many were.
    pub fn delete(&self, ids: &[u64]) -> Result<u64> {
        self.write(|writer| writer.delete(ids))
    }

    /// Makes every call so far durable. In `SyncMode::None` it only passes them to the operating system.
    pub fn commit(&self) -> Result<()> {
        self.write(Writer::commit)
    }

    /// An error if this thread is in the progress function of a compress or compact of this store, which then cannot be
    /// closed.
    pub fn check_closable(&self) -> Result<()> {
        self.upkeep.check_not_held()
    }

    /// Commits and releases the directory. A second close is `Ok`. Reads that are running on other threads finish.
    pub fn close(&self) -> Result<()> {
        let _guard = self.upkeep.acquire()?;
        let mut writer = self.lock_writer();
        let closed = writer.take().map_or(Ok(()), Writer::close);
        // Releases files and maps now. Reads that are running on other threads keep theirs.
        self.published.store(None);
        self.published.free();
        closed
    }

    /// Refuses writes from now on; reads still work.
    pub fn poison(&self, why: &str) {
        if let Some(writer) = self.lock_writer().as_mut() {
            writer.poison(why);
        }
    }

    /// Reads the vectors of `ids` into `out: [ids][dim]`. `found: [ids]` is set to 1 for a stored id and to 0 for a
    /// missing one, whose row of `out` is zeroed. Without `found`, a missing id is an error and nothing is written.
    pub fn get(&self, ids: &[u64], out: &mut [f32], found: Option<&mut [u8]>) -> Result<()> {
        Store::check_length("vectors", out.len(), ids.len(), self.dim as usize)?;
        if let Some(found) = &found {
            Store::check_length("found", found.len(), ids.len(), 1)?;
        }
        self.state()?.view().get(ids, out, found)
    }

    /// Sets each of `found: [ids]` to 1 where the id is stored, else to 0.
    pub fn contains(&self, ids: &[u64], found: &mut [u8]) -> Result<()> {
        Store::check_length("found", found.len(), ids.len(), 1)?;
        let state = self.state()?;
        let view = state.view();
        let places: Result<Vec<_>> = ids.iter().map(|id| view.locate(*id)).collect();
        for (flag, place) in found.iter_mut().zip(places?) {
            *flag = u8::from(place.is_some());
        }
        Ok(())
    }

    /// Lists the next vectors in ascending order of id into `ids` and `vectors: [ids][dim]`; returns how many, 0 at the
    /// end. `position` is the smallest id to list; a vector that is stored during the whole listing is listed once.
    pub fn list(&self, position: &mut u64, ids: &mut [u64], vectors: Option<&mut [f32]>) -> Result<usize> {
        if let Some(vectors) = &vectors {
            Store::check_length("vectors", vectors.len(), ids.len(), self.dim as usize)?;
        }
        let state = self.shared_state()?;
        let view = state.view();
        let found = view.in_order(*position, ids.len())?;
        if let Some(vectors) = vectors {
            // All rows are checked before the first is written to `vectors`.
            found.iter().try_for_each(|(_, place)| view.prove(*place))?;
            let places: Vec<_> = found.iter().map(|(_, place)| Some(*place)).collect();
            view.read_all(&places, &mut vectors[..found.len() * self.dim as usize])?;
        }
        for (slot, (id, _)) in ids.iter_mut().zip(&found) {
            *slot = *id;
        }
        if let Some((last, _)) = found.last() {
            *position = last + 1;
        }
        Ok(found.len())
    }

    fn check_vectors(&self, ids: Option<&[u64]>, vectors: &[f32]) -> Result<()> {
        let dim = self.dim as usize;
        let rows = vectors.len() / dim;
        if rows * dim != vectors.len() || ids.is_some_and(|ids| ids.len() != rows) {
            let (ids, floats) = (ids.map_or(rows, <[u64]>::len), vectors.len());
            return Err(Error::InvalidArgument(format!("{ids} ids with {floats} floats of dim {dim}")));
        }
        check_finite(vectors, dim)
    }

    /// An error if a slice of `found` values is not `[rows][width]`.
    #[inline]
    fn check_length(name: &str, found: usize, rows: usize, width: usize) -> Result<()> {
        if rows.checked_mul(width) == Some(found) {
            return Ok(());
        }
        Err(Error::InvalidArgument(format!("{name}: found {found} values, expected {rows} x {width}")))
    }

    /// The published state, for a short read: no replaced state is freed while the pin lives.
    fn state(&self) -> Result<Pinned<'_, Snapshot>> {
        match self.published.load() {
            Some(state) => Ok(state),
            None => Err(Error::Closed),
        }
    }

    /// The published state, for work that takes long.
    fn shared_state(&self) -> Result<Arc<Snapshot>> {
        self.published.load_full().ok_or(Error::Closed)
    }

    fn lock_writer(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(|poisoned| {
            let mut writer = poisoned.into_inner();
            if let Some(writer) = writer.as_mut() {
                writer.poison("a panic while writing");
            }
            writer
        })
    }

    /// Runs one call on the writer, if there is one.
    fn write<T>(&self, call: impl FnOnce(&mut Writer) -> Result<T>) -> Result<T> {
        if self.read_only {
            return Err(Error::IsReadOnly);
        }
        match self.lock_writer().as_mut() {
            Some(writer) => writer.check().and_then(|()| call(writer)),
            None => Err(Error::Closed),
        }
    }
}

/// Adds the path to an error of an open whose message does not name a file.
fn at_path(error: Error, path: &Path) -> Error {
    match error {
        Error::NotAStore(text) => Error::NotAStore(format!("{}: {text}", path.display())),
        Error::InvalidArgument(text) => Error::InvalidArgument(format!("{}: {text}", path.display())),
        other => other,
    }
}

fn check_finite(vectors: &[f32], dim: usize) -> Result<()> {
    match kernels::first_not_finite(vectors) {
        None => Ok(()),
        Some(at) => Err(Error::NotFinite { row: at / dim, column: at % dim, value: vectors[at] }),
    }
}
