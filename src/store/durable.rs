//! The files of a store as its writer changes them: active log, sealed segments, tombstones, and the swap of manifests.
//!
//! [`Durable::sync`] makes calls durable by syncing the log. [`Durable::swap_files`] makes new files part of the store
//! by storing a manifest that lists them.

use super::log_end::{Closed, LogEnd};
use super::pending::Pending;
use super::poisonable::{StepError, StepResult};
use crate::compress::{Rewrite, Target};
use crate::error::{Error, Result};
use crate::format::{BLOCK_BYTES, FileHeader, Footer, Kind, Manifest, SegmentEntry};
use crate::log::{Examined, Log};
use crate::manifest;
use crate::os::{Access, Dir, Lock};
use crate::sealed::{SealedWriter, trailer_bytes_max};
use crate::segment::ids::NewIds;
use crate::segment::tombstones::{self, Tombstones};
use crate::snapshot::{SegmentView, Snapshot};
use crate::tail::Tail;
use crate::work::Work;
use std::sync::Arc;

/// A log of which more than 1/50 is waste (frame headers, deletes, padding) is rewritten when it is sealed.
const WASTE_DIVISOR: u64 = 50;

/// Directory, lock, manifest and active log.
#[derive(Debug)]
pub(super) struct Durable {
    dir: Arc<dyn Dir>,
    lock: Box<dyn Lock>,
    manifest: Manifest,
    log: LogEnd,
}

impl Durable {
    pub(super) fn new(dir: Arc<dyn Dir>, lock: Box<dyn Lock>, manifest: Manifest) -> Durable {
        let log = LogEnd::new(manifest.base_seq);
        Durable { dir, lock, manifest, log }
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn log(&self) -> &LogEnd {
        &self.log
    }

    /// Numbers one more call.
    pub(super) fn count_call(&mut self) {
        self.log.count_call();
    }

    /// Continues the numbering behind the calls of another log.
    pub(super) fn count_to(&mut self, seq: u64) {
        self.log.count_to(seq);
    }

    /// Writes `pending`, whose rows are `rows`, as one frame.
    pub(super) fn append(&mut self, flag: u32, pending: &Pending, rows: &[u8]) -> Result<()> {
        self.lock.check()?;
        self.log.append(flag, pending, rows)
    }

    /// Makes every frame durable.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.log.sync(self.dir.as_ref())
    }

    /// Begins the log that the manifest names. An error of space changes nothing.
    pub(super) fn start_log(&mut self) -> StepResult<()> {
        self.lock.check()?;
        let header = FileHeader { base_seq: self.manifest.base_seq, ..self.header(Kind::Log, self.manifest.log) };
        match Log::create(self.dir.as_ref(), header) {
            Ok(log) => {
                self.log.start(log);
                Ok(())
            }
            Err(error @ Error::NoSpace(_)) => {
                // The file may exist with an incomplete header. Its name must be free for the next attempt.
                self.forget_file(&Kind::Log.file_name(self.manifest.log));
                Err(StepError::Refused(error))
            }
            Err(error) => Err(StepError::Broken(error)),
        }
    }

    /// Continues the cleanly closed log that was examined.
    pub(super) fn resume_log(&mut self, examined: &Examined) -> Result<()> {
        let log = Log::reopen(self.dir.as_ref(), examined)?;
        self.log.resume(log, examined.seq, examined.good_end);
        Ok(())
    }

    /// Allocates blocks for `bytes` more bytes of log, and for `ahead` more if there is room. An error changes
    /// nothing.
    pub(super) fn reserve(&mut self, bytes: u64, ahead: u64) -> StepResult<()> {
        self.log.reserve(bytes, ahead).map_err(StepError::Refused)
    }

    /// An error if fewer than `bytes` bytes are free. Called before long work, so that a full disk fails early.
    pub(super) fn check_space(&self, bytes: u64) -> Result<()> {
        let free = self.dir.free_bytes()?;
        if free >= bytes {
            return Ok(());
        }
        Err(Error::NoSpace(format!("{bytes} bytes needed for new files, {free} are free")))
    }

    /// The header of a new file, with a number that no file of the store ever had.
    pub(super) fn new_header(&mut self, kind: Kind) -> FileHeader {
        let id = self.new_file();
        self.header(kind, id)
    }

    /// Reserves space to seal the active log of `rows` rows; true if the log is to be rewritten. An error changes
    /// nothing.
    pub(super) fn make_room_to_seal(&mut self, rows: u32, hidden: u64) -> StepResult<bool> {
        let Some(log) = self.log.log() else { return Ok(false) };
        let (is_wasteful, listed) = (log.waste() * WASTE_DIVISOR > log.length(), u64::from(rows) * 12);
        let hidden_chunks = hidden.div_ceil(1 << 15) + self.manifest.files.len() as u64;
        let copied = if is_wasteful { log.length() } else { 0 };
        let sealed = listed + trailer_bytes_max(log.length()) + 16 * BLOCK_BYTES as u64;
        self.check_space(copied + sealed + hidden_chunks * 8192).map_err(StepError::Refused)?;
        if !is_wasteful {
            // Reserve while an error can still be refused: `check_space` does not see quotas and file size limits.
            self.reserve(sealed, 0)?;
        }
        Ok(is_wasteful)
    }

    /// Makes the active log, whose rows are the first `rows` of the tail, a sealed segment.
    pub(super) fn seal_log(&mut self, state: &Snapshot, rows: u32) -> Result<Option<Arc<SegmentView>>> {
        let (Some(tail), Some(log)) = (&state.tail, self.log.take()) else { return Ok(None) };
        let (id, log_rows) = (log.id(), u64::from(log.rows()));
        let (ids, footer) = index_tail(tail, rows);
        let (length, root) = log.seal(&ids, footer)?;
        let entry = SegmentEntry { kind: Kind::Log, id, length, rows: log_rows, root };
        let live = SegmentView::open(self.dir.as_ref(), &entry, self.manifest.dim, state.tail_hidden.clone(), &[])?;
        Ok(Some(Arc::new(live)))
    }

    /// Writes the live rows of `source` into a raw segment.
    pub(super) fn rewrite_rows(&mut self, source: &Snapshot) -> Result<Option<Arc<SegmentView>>> {
        let header = self.new_header(Kind::Raw);
        let rewrite = Rewrite { dir: self.dir.as_ref(), header, source, target: Target::Raw };
        Ok(rewrite.run(&mut Work::default())?.map(Arc::new))
    }

    /// Makes `segments` the store's sealed files; returns the previous manifest. `ended_at` ends the active log, whose
    /// rows are all in `segments`, and is the next free id. An error before the manifest is stored changes nothing.
    pub(super) fn swap_files(&mut self, segments: &[Arc<SegmentView>], ended_at: Option<u64>) -> StepResult<Manifest> {
        let mut files: Vec<SegmentEntry> = segments.iter().map(|live| *live.segment.entry()).collect();
        files.extend(self.write_tombstones(segments).map_err(StepError::Refused)?);
        let mut next = Manifest { generation: self.manifest.generation + 1, files, ..self.manifest.clone() };
        if let Some(next_id) = ended_at {
            (next.log, next.log_clean) = (self.new_file(), 0);
            (next.base_seq, next.base_next_id) = (self.log.seq(), next_id);
        }
        next.next_file = self.manifest.next_file;
        manifest::store(self.dir.as_ref(), &next)?;
        if ended_at.is_some() {
            self.log.end();
        }
        Ok(std::mem::replace(&mut self.manifest, next))
    }

    /// Removes the files that `before` listed and the store no longer has.
    pub(super) fn remove_replaced(&self, before: &Manifest) {
        let after = manifest::listed(&self.manifest);
        for name in manifest::listed(before).into_iter().filter(|name| !after.contains(name)) {
            self.forget_file(&name);
        }
    }

    /// Removes a file that no manifest lists. If that fails, the next open does it.
    pub(super) fn forget_file(&self, name: &str) {
        let _ = self.dir.remove(name);
    }

    /// Gives the active log a new number, for a copy of the old log; returns the old number.
    pub(super) fn renumber_log(&mut self) -> u64 {
        let id = self.new_file();
        std::mem::replace(&mut self.manifest.log, id)
    }

    /// Stores a manifest that names the renumbered log instead of log `old`, and removes `old`.
    pub(super) fn list_copied_log(&mut self, old: u64) -> Result<()> {
        self.list_log(0)?;
        self.forget_file(&Kind::Log.file_name(old));
        Ok(())
    }

    /// Closes the log cleanly. The caller has appended all pending calls.
    pub(super) fn close_log(&mut self) -> Result<()> {
        match self.log.close(self.dir.as_ref())? {
            Closed::AsListed => Ok(()),
            Closed::Empty => self.dir.remove(&Kind::Log.file_name(self.manifest.log)),
            Closed::Clean(length) => self.list_log(length),
        }
    }

    /// Stores a manifest that calls `clean` bytes of the log clean.
    fn list_log(&mut self, clean: u64) -> Result<()> {
        self.manifest.generation += 1;
        self.manifest.log_clean = clean;
        manifest::store(self.dir.as_ref(), &self.manifest)
    }

    fn header(&self, kind: Kind, id: u64) -> FileHeader {
        let (store, dim, metric) = (self.manifest.store, self.manifest.dim, self.manifest.metric);
        FileHeader { kind, store, id, dim, metric, base_seq: 0 }
    }

    /// A number no file of the store ever had.
    fn new_file(&mut self) -> u64 {
        let id = self.manifest.next_file;
        self.manifest.next_file += 1;
        id
    }

    fn write_tombstones(&mut self, segments: &[Arc<SegmentView>]) -> Result<Option<SegmentEntry>> {
        let hidden: Vec<(u64, &Tombstones)> = segments
            .iter()
            .filter(|live| live.hidden.count() > 0)
            .map(|live| (live.segment.entry().id, &live.hidden))
            .collect();
        if hidden.is_empty() {
            return Ok(None);
        }
        let header = self.new_header(Kind::Tombstones);
        let (id, name) = (header.id, Kind::Tombstones.file_name(header.id));
        let writer = SealedWriter::new(self.dir.open(&name, Access::Create)?, &header);
        match tombstones::write(writer, &hidden) {
            Ok((length, root)) => Ok(Some(SegmentEntry { kind: Kind::Tombstones, id, length, rows: 0, root })),
            Err(error) => {
                self.forget_file(&name);
                Err(error)
            }
        }
    }
}

/// The id section of a tail of `rows` rows, and a footer with its smallest and largest id. Of an id that was put more
/// than once only the last row is listed; the others are hidden.
fn index_tail(tail: &Tail, rows: u32) -> (NewIds, Footer) {
    let mut named: Vec<(u64, u32)> = (0..rows).map(|row| (tail.ids.id_of(row), row)).collect();
    if !tail.ids.is_run() {
        named.sort_unstable();
        named.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                kept.1 = later.1;
            }
            is_same
        });
    }
    let (ids, rows): (Vec<u64>, Vec<u32>) = named.into_iter().unzip();
    let (first_id, last_id) = (ids.first().copied().unwrap_or(0), ids.last().copied().unwrap_or(0));
    (NewIds::new(&ids, &rows), Footer { first_id, last_id, ..Footer::default() })
}
