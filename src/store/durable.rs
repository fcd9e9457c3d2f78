//! The writer's way to the disk: frames, commits, seals, and the one swap that changes which files are the store.
//!
//! Two lines of the library make data true: `log.sync` in `commit`, and `manifest::store` in `install`.

use super::SyncMode;

use super::writer::Writer;
use crate::compress::{Rewrite, Target};
use crate::error::{Error, Result};
use crate::format::{BLOCK_BYTES, Footer, HEADER_BYTES, Kind, Manifest, SegmentEntry, flags, to_usize};
use crate::log::{Frame, Log};
use crate::manifest;
use crate::os::Access;
use crate::sealed::{SealedWriter, trailer_bytes_max};
use crate::segment::ids::NewIds;
use crate::segment::tombstones::{self, Tombstones};
use crate::snapshot::{SegmentView, Snapshot};
use crate::tail::{MappedFrames, Tail};
use crate::work::Work;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// A log with more than 1/50 of padding is rewritten when it is sealed.
const WASTE_DIVISOR: u64 = 50;

impl Writer {
    /// Writes what is pending as one frame. With `PADDED` or `COMMIT` the log ends so even if nothing is pending.
    pub(super) fn flush(&mut self, flag: u32) -> Result<()> {
        self.lock.check()?;
        let stride = to_usize(self.stride())?;
        let Some(log) = &mut self.log else { return Ok(()) };
        let is_padded = log.length().is_multiple_of(BLOCK_BYTES as u64);
        let is_ended = (flag & flags::PADDED == 0 || is_padded) && (flag & flags::COMMIT == 0 || self.committed);
        if self.pending.is_empty() && is_ended {
            return Ok(());
        }
        let first = (self.rows - self.pending.rows).saturating_sub(self.buffer_row) as usize * stride;
        let rows = match &self.buffer {
            Some(buffer) if self.pending.rows > 0 => {
                &buffer.bytes()[first..first + self.pending.rows as usize * stride]
            }
            _ => &[],
        };
        let in_order = self.pending.operations.len() <= 2;
        let frame = Frame {
            flags: flag,
            seq: self.seq + u64::from(flag & flags::CONTINUES != 0),
            durable_seq: self.durable_seq,
            rows,
            ids: self.pending.ids(),
            deletes: &self.pending.deletes,
            operations: if in_order { &[] } else { &self.pending.operations },
        };
        log.append(&frame)?;
        self.pending.clear();
        self.committed = flag & flags::COMMIT != 0;
        Ok(())
    }

    /// Shows readers the buffer's rows where they now are, in the file, and begins another buffer.
    pub(super) fn roll(&mut self) -> Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        let (from, first_extent) = self.buffer_log;
        let chunk = MappedFrames::new(log.extents()[first_extent..].to_vec(), from, log.map(from, log.length())?);
        self.buffer_log = (log.length(), log.extents().len());
        let mut state = self.state.copy();
        if let Some(tail) = &mut state.tail {
            tail.chunks.extend(chunk.map(Arc::new));
        }
        self.show(state);
        self.spares.extend(self.buffer.take());
        // Readers of the states before may be gone: their buffer serves again.
        self.published.free();
        self.begin_buffer()
    }

    /// Makes every call so far durable; in `SyncMode::None` only hands it to the system.
    pub(super) fn commit(&mut self) -> Result<()> {
        let done = if self.sync == SyncMode::None { self.flush(flags::COMMIT) } else { self.commit_durably() };
        self.poisoning(done)
    }

    pub(super) fn commit_durably(&mut self) -> Result<()> {
        self.flush(flags::COMMIT | flags::PADDED)?;
        if let Some(log) = &mut self.log
            && log.is_unsynced()
        {
            log.sync(self.dir.as_ref())?;
        }
        self.durable_seq = self.seq;
        Ok(())
    }

    /// Ends the active log: its rows become a sealed segment. An error of space leaves the log as it was.
    pub(super) fn seal(&mut self) -> Result<()> {
        let flushed = self.flush(0);
        self.poisoning(flushed)?;
        let Some(log) = &self.log else { return Ok(()) };
        let (is_wasteful, listed) = (log.waste() * WASTE_DIVISOR > log.length(), u64::from(self.rows) * 12);
        let hidden_chunks = self.state.hidden().div_ceil(1 << 15) + self.manifest.files.len() as u64;
        let copied = if is_wasteful { log.length() } else { 0 };
        self.expect_space(
            copied + listed + trailer_bytes_max(log.length()) + hidden_chunks * 8192 + 16 * BLOCK_BYTES as u64,
        )?;
        if let (false, Some(log)) = (is_wasteful, &mut self.log) {
            // While the log still is one: quotas and limits do not show in the free bytes.
            log.reserve(log.length() + listed + trailer_bytes_max(log.length()) + 16 * BLOCK_BYTES as u64, 0)?;
        }
        let state = Arc::clone(&self.state);
        let mut segments = state.segments.clone();
        let sealed = if is_wasteful { self.rewrite_tail(&state) } else { self.seal_log(&state) };
        segments.extend(self.poisoning(sealed)?);
        let installed = self.install(segments, true);
        self.poisoning(installed)
    }

    /// Asks for room before work begins, not after it was done.
    pub(super) fn expect_space(&self, bytes: u64) -> Result<()> {
        let free = self.dir.free_bytes()?;
        if free >= bytes {
            return Ok(());
        }
        Err(Error::NoSpace(format!("{bytes} bytes needed for new files, {free} are free")))
    }

    fn seal_log(&mut self, state: &Snapshot) -> Result<Option<Arc<SegmentView>>> {
        let (Some(tail), Some(log)) = (&state.tail, self.log.take()) else { return Ok(None) };
        let (id, rows) = (log.id(), u64::from(log.rows()));
        let (ids, footer) = index_tail(tail, self.rows);
        let (length, root) = log.seal(&ids, footer)?;
        let entry = SegmentEntry { kind: Kind::Log, id, length, rows, root };
        let live = SegmentView::open(self.dir.as_ref(), &entry, self.manifest.dim, state.tail_hidden.clone(), &[])?;
        Ok(Some(Arc::new(live)))
    }

    fn rewrite_tail(&mut self, state: &Snapshot) -> Result<Option<Arc<SegmentView>>> {
        let source = Snapshot { segments: Vec::new(), visible: AtomicU32::new(self.rows), ..state.copy() };
        let id = self.new_file();
        let header = self.header(Kind::Raw, id);
        let rewrite = Rewrite { dir: self.dir.as_ref(), header, source: &source, target: Target::Raw };
        Ok(rewrite.run(&mut Work::default())?.map(Arc::new))
    }

    /// A number no file of the store ever had.
    pub(super) fn new_file(&mut self) -> u64 {
        let id = self.manifest.next_file;
        self.manifest.next_file += 1;
        id
    }

    /// Makes `segments` the store's sealed files. With `ends_log`, they hold all the active log held. Before the swap an
    /// error changes nothing; a failed swap poisons the handle.
    pub(super) fn install(&mut self, segments: Vec<Arc<SegmentView>>, ends_log: bool) -> Result<()> {
        let mut files: Vec<SegmentEntry> = segments.iter().map(|live| *live.segment.entry()).collect();
        files.extend(self.write_tombstones(&segments)?);
        let mut next = self.manifest.clone();
        next.generation += 1;
        next.files = files;
        if ends_log {
            (next.log, next.log_clean) = (self.new_file(), 0);
            (next.base_seq, next.base_next_id) = (self.seq, self.next_id);
        }
        next.next_file = self.manifest.next_file;
        let stored = manifest::store(self.dir.as_ref(), &next);
        self.poisoning(stored)?;
        let mut state = self.state.copy();
        (state.generation, state.segments) = (next.generation, segments);
        if ends_log {
            self.end_log(&mut state);
        }
        self.show(state);
        self.published.free();
        let before = std::mem::replace(&mut self.manifest, next);
        self.remove_replaced(&before);
        Ok(())
    }

    fn end_log(&mut self, state: &mut Snapshot) {
        (state.tail, state.tail_hidden, state.visible) = (None, Tombstones::default(), AtomicU32::new(0));
        self.log = None;
        self.spares.extend(self.buffer.take());
        (self.rows, self.buffer_row, self.clean) = (0, 0, 0);
        (self.durable_seq, self.committed) = (self.seq, true);
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
        let id = self.new_file();
        let header = self.header(Kind::Tombstones, id);
        let name = Kind::Tombstones.file_name(id);
        let writer = SealedWriter::new(self.dir.open(&name, Access::Create)?, &header);
        match tombstones::write(writer, &hidden) {
            Ok((length, root)) => Ok(Some(SegmentEntry { kind: Kind::Tombstones, id, length, rows: 0, root })),
            Err(error) => {
                self.forget_file(&name);
                Err(error)
            }
        }
    }

    /// Removes a file that no manifest lists. Where that fails the next open does it.
    pub(super) fn forget_file(&self, name: &str) {
        let _ = self.dir.remove(name);
    }

    /// Removes the files that `before` listed and the store no longer has.
    fn remove_replaced(&self, before: &Manifest) {
        let after = manifest::listed(&self.manifest);
        for name in manifest::listed(before).into_iter().filter(|name| !after.contains(name)) {
            self.forget_file(&name);
        }
    }

    /// Makes everything durable and ends writing.
    pub(super) fn close(mut self) -> Result<()> {
        self.check()?;
        self.flush(flags::COMMIT | flags::PADDED)?;
        if self.log.as_ref().is_some_and(|log| log.length() > self.tuning.close_seal_bytes) {
            match self.seal() {
                Err(Error::NoSpace(_)) if self.failure.is_none() => {}
                sealed => return sealed,
            }
        }
        let Some(log) = &mut self.log else { return Ok(()) };
        log.trim()?;
        let length = log.length();
        if length == self.clean {
            return Ok(());
        }
        if length == HEADER_BYTES as u64 {
            return self.dir.remove(&Kind::Log.file_name(self.manifest.log));
        }
        if log.is_unsynced() {
            log.sync(self.dir.as_ref())?;
        }
        self.manifest.generation += 1;
        self.manifest.log_clean = length;
        manifest::store(self.dir.as_ref(), &self.manifest)
    }

    /// The active log and how far it is written; (0, 0) where there is none.
    pub(super) fn log_id_and_length(&self) -> (u64, u64) {
        self.log.as_ref().map_or((0, 0), |log| (log.id(), log.length()))
    }

    /// Goes on writing `log`, whose rows are in the tail already.
    pub(super) fn adopt_log(&mut self, log: Log) {
        self.buffer_log = (log.length(), log.extents().len());
        self.log = Some(log);
    }
}

/// The ids of a tail of `rows` rows and the footer fields that go with them. Of an id put more than once, the last
/// row counts; the others are hidden.
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
