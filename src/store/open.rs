//! Opening: finds the files of the store, recovers what a crash left, and makes a writer or a reader (docs/format.md
//! §9).
//!
//! Recovery is idempotent and its cost is bounded by the active log. A log that ends where the manifest calls it clean
//! is continued. The sound frames of any other log are copied into a new log, which is synced and listed before the old
//! one is removed: a checksum that matches in the page cache does not prove that the disk has the same bytes.

use super::durable::Durable;
use super::publisher::Publisher;
use super::upkeep_lock::UpkeepLock;
use super::writer::Writer;
use super::{Mode, Options, Store, Tuning};
use crate::error::{Error, Result};
use crate::format::{
    COUNT_MAX, DIM_MAX, Extent, FileHeader, Kind, LOCK_NAME, MANIFEST_NAMES, Manifest, SegmentEntry, to_usize,
};
use crate::log::{self, Examined, FrameRead, FrameReader, Run};
use crate::manifest;
use crate::manifest::Loaded;
use crate::metric::Metric;
use crate::os::{Access, Appender, Dir, File, Lock, Shared};
use crate::sealed::{Sealed, missing_is_corrupt, read_header};
use crate::segment::ids::RowIds;
use crate::segment::tombstones::{self, Tombstones};
use crate::snapshot::{SegmentView, Snapshot};
use crate::tail::{MappedFrames, Tail, TailIds};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

/// Attempts of a read-only open, which fails if the writer replaces files meanwhile.
const READER_TRIES: usize = 16;

/// An error if a store cannot have `dim`. 0 means the stored dim, so a new store needs another value.
pub(super) fn check_dim(dim: u32, is_new: bool) -> Result<()> {
    if is_new && dim == 0 {
        let text = format!("there is no store to open, and no dim is given: a dim of 1 to {DIM_MAX} would create one");
        return Err(Error::InvalidArgument(text));
    }
    if dim > DIM_MAX {
        return Err(Error::InvalidArgument(format!("dim: found {dim}, expected 1 to {DIM_MAX}")));
    }
    Ok(())
}

/// The error if there is no store and the mode does not create one.
pub(super) fn no_store() -> Error {
    let text = "there is no store; opening it with a dim in a mode that creates (OMEN_READ_WRITE_CREATE) creates one";
    Error::NotAStore(text.into())
}

pub(super) fn open(dir: Arc<dyn Dir>, dim: u32, options: &Options, tuning: Tuning) -> Result<Store> {
    check_dim(dim, false)?;
    let has_store = has_manifest(dir.as_ref())?;
    if options.mode == Mode::ReadOnly {
        return open_reader(dir, dim, options);
    }
    if !has_store {
        if options.mode == Mode::ReadWrite {
            return Err(no_store());
        }
        check_dim(dim, true)?;
    }
    let lock = dir.lock(LOCK_NAME)?;
    let Loaded { manifest, is_whole } = manifest::load(dir.as_ref())?;
    let needs_repair = manifest.is_some() && !is_whole;
    let manifest = match manifest {
        Some(_) if options.mode == Mode::CreateNew => {
            let text = "a store exists, and mode CREATE_NEW makes one only where there is none: open it in mode READ_WRITE, or \
                        choose another path";
            return Err(Error::InvalidArgument(text.into()));
        }
        Some(found) => {
            check_same(&found, dim, options)?;
            found
        }
        None if options.mode == Mode::ReadWrite => return Err(no_store()),
        None => create(dir.as_ref(), dim, options, &tuning)?,
    };
    open_writer(dir, lock, manifest, needs_repair, options, tuning)
}

/// True if there is a manifest, false if the directory is empty except for the lock file. Any other directory is an
/// error and is not changed.
fn has_manifest(dir: &dyn Dir) -> Result<bool> {
    for name in MANIFEST_NAMES {
        match dir.open(name, Access::Read) {
            Err(error) if error.is_missing() => {}
            found => return found.map(|_| true),
        }
    }
    let names = dir.names()?;
    if let Some(orphan) = names.iter().find(|name| Kind::parse(name).is_some()) {
        return Err(Error::corrupt(
            orphan,
            "a file of a store, but both manifests are missing; restore MANIFEST.A or MANIFEST.B from a copy of the store",
        ));
    }
    match names.iter().find(|name| *name != LOCK_NAME) {
        Some(foreign) => Err(Error::NotAStore(format!("not a store: the directory holds {foreign} and no manifest"))),
        None => Ok(false),
    }
}

fn create(dir: &dyn Dir, dim: u32, options: &Options, tuning: &Tuning) -> Result<Manifest> {
    check_dim(dim, true)?;
    if dir.names()?.iter().any(|name| Kind::parse(name).is_some()) {
        let what = "not sound, and the directory has files of a store; restore MANIFEST.A or MANIFEST.B from a copy of the store";
        return Err(Error::corrupt(MANIFEST_NAMES[0], what));
    }
    let manifest = Manifest {
        store: tuning.store.unwrap_or_else(random_name),
        generation: 1,
        dim,
        metric: options.metric.unwrap_or(Metric::L2),
        next_file: 2,
        log: 1,
        log_clean: 0,
        base_seq: 0,
        base_next_id: 0,
        files: Vec::new(),
    };
    manifest::store(dir, &manifest)?;
    Ok(manifest)
}

/// Sixteen random bytes, so that no other store has the same name. `RandomState` draws its keys from the system.
fn random_name() -> [u8; 16] {
    let (left, right) = (RandomState::new().hash_one(1), RandomState::new().hash_one(2));
    let mut name = [0; 16];
    name[..8].copy_from_slice(&left.to_le_bytes());
    name[8..].copy_from_slice(&right.to_le_bytes());
    name
}

fn check_same(manifest: &Manifest, dim: u32, options: &Options) -> Result<()> {
    if dim != 0 && dim != manifest.dim {
        return Err(Error::DimMismatch { asked: dim, stored: manifest.dim });
    }
    match options.metric {
        Some(asked) if asked != manifest.metric => Err(Error::MetricMismatch { asked, stored: manifest.metric }),
        _ => Ok(()),
    }
}

fn store_of(
    dir: Arc<dyn Dir>,
    manifest: &Manifest,
    options: &Options,
    published: Arc<Shared<Snapshot>>,
) -> Result<Store> {
    Ok(Store {
        dir,
        dim: manifest.dim,
        metric: manifest.metric,
        threads: options.threads,
        name: manifest.store,
        read_only: options.mode == Mode::ReadOnly,
        published,
        writer: Mutex::new(None),
        upkeep: UpkeepLock::default(),
    })
}

fn open_writer(
    dir: Arc<dyn Dir>,
    lock: Box<dyn Lock>,
    mut manifest: Manifest,
    needs_repair: bool,
    options: &Options,
    tuning: Tuning,
) -> Result<Store> {
    let snapshot = open_sealed(dir.as_ref(), &manifest)?;
    let found = find_log(dir.as_ref(), &manifest)?;
    // Write only now: every listed file has opened without damage.
    if needs_repair {
        manifest::store(dir.as_ref(), &manifest)?;
    }
    remove_unlisted(dir.as_ref(), &mut manifest, needs_repair)?;
    let state = Arc::new(snapshot);
    let published = Arc::new(Shared::empty());
    let store = store_of(Arc::clone(&dir), &manifest, options, Arc::clone(&published))?;
    let publisher = Publisher::new(state, published);
    let mut writer = Writer::new(Durable::new(dir, lock, manifest), publisher, options.sync, tuning);
    recover(&mut writer, found)?;
    *store.lock_writer() = Some(writer);
    Ok(store)
}

/// Opens the sealed files of a manifest. The caller adds the tail.
fn open_sealed(dir: &dyn Dir, manifest: &Manifest) -> Result<Snapshot> {
    let (listed, marks): (Vec<&SegmentEntry>, Vec<&SegmentEntry>) =
        manifest.files.iter().partition(|entry| entry.kind != Kind::Tombstones);
    let rows: Vec<(u64, u64)> = listed.iter().map(|entry| (entry.id, entry.rows)).collect();
    let hidden = match marks.as_slice() {
        [] => vec![Tombstones::default(); listed.len()],
        [entry] => tombstones::read(&Sealed::open(dir, entry)?, &rows)?,
        more => return Err(Error::corrupt(MANIFEST_NAMES[0], format!("{} tombstone files, expected 1", more.len()))),
    };
    let (mut segments, mut books) = (Vec::with_capacity(listed.len()), Vec::new());
    for (entry, hidden) in listed.into_iter().zip(hidden) {
        let live = SegmentView::open(dir, entry, manifest.dim, hidden, &books)?;
        if let Some(book) = live.codebook.as_ref().filter(|book| !books.contains(book)) {
            books.push(Arc::clone(book));
        }
        let (last, next) = (live.segment.footer().last_id, manifest.base_next_id);
        if entry.rows > 0 && last >= next {
            return Err(Error::corrupt(live.segment.name(), format!("id {last}, expected ids below {next}")));
        }
        segments.push(Arc::new(live));
    }
    Ok(Snapshot::sealed(manifest.generation, manifest.dim as usize, segments))
}

/// Removes files that have a name of a store and are not in the manifest: a crash left them incomplete, or replaced but
/// not yet removed. Their numbers are not used again, because a removed name may come back after the next crash. Both
/// manifests are synced first: until then the copy on the disk may still list a file to be removed.
fn remove_unlisted(dir: &dyn Dir, manifest: &mut Manifest, mut is_durable: bool) -> Result<()> {
    let listed = manifest::listed(manifest);
    for name in dir.names()?.into_iter().filter(|name| !listed.contains(name)) {
        let Some((kind, id)) = Kind::parse(&name) else { continue };
        refuse_foreign(dir, (&name, kind), manifest)?;
        if !is_durable {
            manifest::sync(dir)?;
            is_durable = true;
        }
        dir.remove(&name)?;
        manifest.next_file = manifest.next_file.max(id.saturating_add(1).min(COUNT_MAX));
    }
    Ok(())
}

/// An error if the file belongs to another store: then the manifest was copied into the wrong directory.
fn refuse_foreign(dir: &dyn Dir, (name, kind): (&str, Kind), manifest: &Manifest) -> Result<()> {
    let file = dir.open(name, Access::Read)?;
    match read_header(file.as_ref(), kind) {
        Ok(header) if header.store != manifest.store => Err(Error::corrupt(
            name,
            format!("belongs to store {:02x?}, the manifest to {:02x?}", header.store, manifest.store),
        )),
        Err(error @ Error::Io { .. }) => Err(error),
        _ => Ok(()),
    }
}

/// The state of the active log's file.
#[derive(Debug)]
pub(super) enum FoundLog {
    /// There is no file: nothing was written since the manifest.
    Missing,
    /// A file with an incomplete header: no call in it was acknowledged.
    Unborn,
    /// A log, and its end.
    Log(Box<dyn File>, Examined),
}

fn find_log(dir: &dyn Dir, manifest: &Manifest) -> Result<FoundLog> {
    let name = Kind::Log.file_name(manifest.log);
    let file = match dir.open(&name, Access::Read) {
        Err(error) if error.is_missing() && manifest.log_clean == 0 => return Ok(FoundLog::Missing),
        other => other.map_err(|error| missing_is_corrupt(error, &name))?,
    };
    let header = match read_header(file.as_ref(), Kind::Log) {
        Err(error @ Error::Corrupt { .. }) if manifest.log_clean > 0 => return Err(error),
        Err(Error::Corrupt { .. }) => {
            log::refuse_lost_calls(file.as_ref(), manifest.log, 0, file.length()?, manifest.base_seq)?;
            return Ok(FoundLog::Unborn);
        }
        other => other?,
    };
    let expected = FileHeader {
        kind: Kind::Log,
        store: manifest.store,
        id: manifest.log,
        dim: manifest.dim,
        metric: manifest.metric,
        base_seq: manifest.base_seq,
    };
    if header != expected {
        return Err(Error::corrupt(&name, format!("header {header:?}, expected {expected:?}")));
    }
    let examined = log::examine(file.as_ref(), &header)?;
    if examined.good_end < manifest.log_clean {
        let (end, clean) = (examined.good_end, manifest.log_clean);
        return Err(Error::corrupt(&name, format!("no sound frame at byte {end}; {clean} bytes were closed cleanly")));
    }
    Ok(FoundLog::Log(file, examined))
}

/// Replays the log's calls into the tail and leaves a log that can be appended to. Then makes the store visible to
/// readers.
fn recover(writer: &mut Writer, found: FoundLog) -> Result<()> {
    match found {
        FoundLog::Missing => {}
        FoundLog::Unborn => writer.drop_log()?,
        FoundLog::Log(file, examined) => {
            let clean = writer.manifest().log_clean;
            if clean == examined.good_end && clean == examined.length {
                resume(writer, file.as_ref(), &examined)?;
            } else {
                copy_forward(writer, file.as_ref(), &examined)?;
            }
        }
    }
    writer.end_recovery()
}

/// Continues a cleanly closed log: its rows are mapped, and new frames are appended to it.
fn resume(writer: &mut Writer, file: &dyn File, examined: &Examined) -> Result<()> {
    let mut state = writer.snapshot().copy();
    let next_id = replay_in_place(&mut state, file, examined, examined.good_end, writer.next_id())?;
    writer.resume(state, next_id, examined)
}

/// Copies the sound frames into a new log, which replaces the old one.
fn copy_forward(writer: &mut Writer, file: &dyn File, examined: &Examined) -> Result<()> {
    let old = writer.start_copy()?;
    let mut reader = FrameReader::new(file, &examined.header)?;
    while reader.offset < examined.good_end {
        match reader.next()? {
            Some((_, frame)) => writer.replay(&frame)?,
            None => return Err(Error::corrupt(file.name(), "frames changed while they were read")),
        }
    }
    writer.end_copy(old)
}

/// Replays the calls of a log up to byte `end` into `state` and maps their rows from the file; returns the next free
/// id.
fn replay_in_place(
    state: &mut Snapshot,
    file: &dyn File,
    examined: &Examined,
    end: u64,
    mut next_id: u64,
) -> Result<u64> {
    let begin = Kind::Log.header_bytes() as u64;
    let extents: Vec<Extent> = examined.extents().iter().copied().filter(|extent| extent.offset < end).collect();
    let stride = state.dim * 4;
    let none = Appender::new(1).ok_or(Error::OutOfMemory(1))?.reader();
    let rows = extents.last().map_or(0, |extent| extent.first_row + extent.rows);
    let chunk = MappedFrames::new(extents, begin, file.map(begin, to_usize(end - begin)?)?);
    let chunks = chunk.into_iter().map(Arc::new).collect();
    state.tail = Some(Tail { stride, chunks, buffer: none, buffer_row: rows, ids: Arc::new(TailIds::new(next_id)) });
    let mut reader = FrameReader::new(file, &examined.header)?;
    let mut row = 0;
    while reader.offset < end {
        match reader.next()? {
            Some((_, frame)) => next_id = replay_frame(state, &frame, &mut row, next_id)?,
            None => return Err(Error::corrupt(file.name(), "frames changed while they were read")),
        }
    }
    state.visible = AtomicU32::new(row);
    Ok(next_id)
}

fn replay_frame(state: &mut Snapshot, frame: &FrameRead, row: &mut u32, mut next_id: u64) -> Result<u64> {
    for run in frame.runs() {
        match run {
            Run::Put(ids, _) => {
                let (ids, rows) = (RowIds::of(&ids), ids.len() as u32);
                state.name_rows(*row, rows, ids, Some(next_id))?;
                next_id = ids.end(rows).max(next_id);
                *row += rows;
            }
            Run::Delete(ids) => state.delete(*row, ids.into_iter())?,
        }
    }
    Ok(next_id)
}

/// Opens without a lock and without a write. The writer may meanwhile swap files and append to the log, so an error is
/// returned only if the next attempt fails with the same one.
fn open_reader(dir: Arc<dyn Dir>, dim: u32, options: &Options) -> Result<Store> {
    let mut last: Option<Error> = None;
    for _ in 0..READER_TRIES {
        let before = manifest::load(dir.as_ref())?.manifest;
        let before = before.ok_or_else(no_store)?;
        check_same(&before, dim, options)?;
        let opened = read_state(dir.as_ref(), &before);
        let after = manifest::load(dir.as_ref())?.manifest;
        let is_same = after.is_some_and(|after| after.generation == before.generation);
        match opened {
            Ok(state) if is_same => return store_of(dir, &before, options, Arc::new(Shared::new(Arc::new(state)))),
            Ok(_) => {}
            Err(error) if is_same && last.is_some_and(|last| last.to_string() == error.to_string()) => {
                return Err(error);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        Error::Locked(format!(
            "the store could not be opened read-only: a writer replaced its files during each of {READER_TRIES} attempts; \
             try again"
        ))
    }))
}

fn read_state(dir: &dyn Dir, manifest: &Manifest) -> Result<Snapshot> {
    let mut state = open_sealed(dir, manifest)?;
    if let FoundLog::Log(file, examined) = find_log(dir, manifest)? {
        let end = examined.committed_end.max(manifest.log_clean);
        replay_in_place(&mut state, file.as_ref(), &examined, end, manifest.base_next_id)?;
    }
    Ok(state)
}
