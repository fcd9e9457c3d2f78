//! The writer: takes calls into the tail and the log, makes them durable, seals, and swaps manifests.
//!
//! A call is checked before anything changes. Then its rows go to the buffer, its ids to the tail, and last the new state
//! is published. What fails after the checks for another reason than space leaves the handle poisoned: the kernel may
//! have dropped bytes it called written, so nothing more is acknowledged until a new open has recovered.

use super::{SyncMode, Tuning};
use crate::error::{Error, Result};
use crate::format::{FRAME_HEADER_BYTES, FileHeader, Kind, Manifest, NO_ID, ROWS_MAX, flags, to_usize};
use crate::kernels;
use crate::log::{FrameRead, Log, Run};
use crate::os::{Appender, Dir, Lock, Shared};
use crate::segment::ids::RowIds;
use crate::snapshot::Snapshot;
use crate::tail::{Tail, TailIds};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Rows of one tail: its id table stays small, and so does what a recovery replays.
const TAIL_ROWS_MAX: u32 = 1 << 20;
/// Kept allocated behind every insert, so that deletes and commits work on a full disk.
const SLACK_BYTES: u64 = 64 << 10;

/// What the next frame will hold.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) rows: u32,
    first_id: u64,
    /// Used once the ids no longer count up from `first_id`.
    listed: Vec<u64>,
    pub(super) deletes: Vec<u64>,
    /// Puts and deletes in turn, as counts, beginning with puts.
    pub(super) operations: Vec<u32>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0 && self.deletes.is_empty()
    }

    fn put(&mut self, id: u64) {
        if self.rows == 0 {
            self.first_id = id;
        } else if self.listed.is_empty() && self.first_id + u64::from(self.rows) != id {
            self.listed.extend((0..u64::from(self.rows)).map(|index| self.first_id + index));
        }
        if !self.listed.is_empty() {
            self.listed.push(id);
        }
        self.rows += 1;
    }

    /// Counts `count` operations; puts stand at even places, deletes at odd ones.
    fn count(&mut self, is_delete: bool, count: u32) {
        if self.operations.len() % 2 != usize::from(is_delete) {
            if let Some(last) = self.operations.last_mut() {
                *last += count;
                return;
            }
            self.operations.push(0);
        }
        self.operations.push(count);
    }

    pub(super) fn ids(&self) -> RowIds<'_> {
        if self.listed.is_empty() { RowIds::From(self.first_id) } else { RowIds::List(&self.listed) }
    }

    pub(super) fn clear(&mut self) {
        self.rows = 0;
        self.listed.clear();
        self.deletes.clear();
        self.operations.clear();
    }

    /// Bytes its frame takes at most, `stride` a row.
    fn bytes(&self, stride: u64) -> u64 {
        let lists = (u64::from(self.rows) + self.deletes.len() as u64) * 8 + self.operations.len() as u64 * 4;
        FRAME_HEADER_BYTES + u64::from(self.rows) * stride + lists + 2 * 4096
    }
}

/// What a writer begins with: made by `open`.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) dir: Arc<dyn Dir>,
    pub(super) lock: Box<dyn Lock>,
    pub(super) manifest: Manifest,
    pub(super) sync: SyncMode,
    pub(super) tuning: Tuning,
    pub(super) state: Arc<Snapshot>,
    pub(super) published: Arc<Shared<Snapshot>>,
}

/// The one writer of a store.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) dir: Arc<dyn Dir>,
    pub(super) lock: Box<dyn Lock>,
    pub(super) manifest: Manifest,
    pub(super) sync: SyncMode,
    pub(super) tuning: Tuning,
    /// What is published: the writer alone replaces it.
    pub(super) state: Arc<Snapshot>,
    pub(super) published: Arc<Shared<Snapshot>>,
    pub(super) log: Option<Log>,
    /// The length a manifest already calls clean.
    pub(super) clean: u64,
    pub(super) pending: Pending,
    pub(super) buffer: Option<Appender>,
    /// Buffers that readers may still look at.
    pub(super) spares: Vec<Appender>,
    /// First tail row of the buffer, and where in the log and its extents the buffer's frames begin.
    pub(super) buffer_row: u32,
    pub(super) buffer_log: (u64, usize),
    /// Rows in the tail, published or not.
    pub(super) rows: u32,
    pub(super) seq: u64,
    pub(super) durable_seq: u64,
    pub(super) next_id: u64,
    /// True if the last frame ended a commit.
    pub(super) committed: bool,
    /// Until the log is recovered nothing is published, and nothing sealed: the copy stands for the whole log or for nothing.
    pub(super) recovering: bool,
    pub(super) failure: Option<String>,
}

impl Writer {
    pub(super) fn new(start: Start) -> Writer {
        let (seq, next_id) = (start.manifest.base_seq, start.manifest.base_next_id);
        Writer {
            dir: start.dir,
            lock: start.lock,
            manifest: start.manifest,
            sync: start.sync,
            tuning: start.tuning,
            state: start.state,
            published: start.published,
            log: None,
            clean: 0,
            pending: Pending::default(),
            buffer: None,
            spares: Vec::new(),
            buffer_row: 0,
            buffer_log: (0, 0),
            rows: 0,
            seq,
            durable_seq: seq,
            next_id,
            committed: true,
            recovering: true,
            failure: None,
        }
    }

    /// Refuses writes from now on.
    pub(super) fn fail(&mut self, why: &str) {
        self.failure.get_or_insert_with(|| why.to_owned());
    }

    /// An error if the handle is poisoned.
    pub(super) fn check(&self) -> Result<()> {
        match &self.failure {
            Some(why) => Err(Error::Poisoned(why.clone())),
            None => Ok(()),
        }
    }

    /// Passes a result on; an error poisons the handle.
    pub(super) fn poisoning<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.fail(&error.to_string());
        }
        result
    }

    pub(super) fn stride(&self) -> u64 {
        u64::from(self.manifest.dim) * 4
    }

    pub(super) fn dim(&self) -> usize {
        self.manifest.dim as usize
    }

    pub(super) fn insert(&mut self, ids: Option<&[u64]>, vectors: &[f32]) -> Result<u64> {
        let rows = vectors.len() / self.dim();
        let Some(ids) = ids else {
            let first = self.next_id;
            if NO_ID - first < rows as u64 {
                return Err(Error::TooBig(format!("{rows} ids behind {first}: the largest id is {}", NO_ID - 1)));
            }
            self.put(RowIds::From(first), vectors, true)?;
            return Ok(first);
        };
        check_ids(ids)?;
        let view = self.state.view_to(self.rows);
        for (position, id) in ids.iter().enumerate().filter(|(_, id)| **id < self.next_id) {
            if view.locate(*id)?.is_some() {
                return Err(Error::DuplicateId { id: *id, position, place: "already stored" });
            }
        }
        self.put(RowIds::of(ids), vectors, true)?;
        Ok(ids.first().copied().unwrap_or(self.next_id))
    }

    pub(super) fn upsert(&mut self, ids: &[u64], vectors: &[f32]) -> Result<()> {
        check_ids(ids)?;
        // Looked for once more when the rows are in: damage must be met before that.
        let view = self.state.view_to(self.rows);
        ids.iter().filter(|id| **id < self.next_id).try_for_each(|id| view.locate(*id).map(drop))?;
        self.put(RowIds::of(ids), vectors, false)
    }

    /// Takes checked rows in as one call. `fresh` says that none of the ids is stored.
    fn put(&mut self, ids: RowIds, vectors: &[f32], fresh: bool) -> Result<()> {
        if vectors.is_empty() {
            return Ok(());
        }
        let state = self.take_rows(ids, vectors, fresh)?;
        self.end_call(state)
    }

    /// Brings rows into buffer and log and gives them their ids; returns a state to publish where it must be a new one.
    fn take_rows(&mut self, ids: RowIds, vectors: &[f32], fresh: bool) -> Result<Option<Snapshot>> {
        let count = vectors.len() / self.dim();
        // They and the rows of the tail before them fit one segment.
        let most = ROWS_MAX - u64::from(TAIL_ROWS_MAX) - 1;
        let rows = u32::try_from(count).ok().filter(|rows| u64::from(*rows) <= most);
        let rows = rows.ok_or_else(|| Error::TooBig(format!("{count} vectors in one call, at most {most}")))?;
        self.prepare(rows, count as u64 * (self.stride() + 8))?;
        let first_row = self.rows;
        let appended = self.append(ids, vectors);
        self.poisoning(appended)?;
        let state = self.name_rows(first_row, rows, ids, fresh);
        self.poisoning(state)
    }

    pub(super) fn delete(&mut self, ids: &[u64]) -> Result<u64> {
        let mut found = Vec::new();
        for id in ids {
            if self.state.view_to(self.rows).locate(*id)?.is_some() {
                found.push(*id);
            }
        }
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Ok(0);
        }
        let state = self.take_deletes(&found)?;
        self.end_call(Some(state))?;
        Ok(found.len() as u64)
    }

    fn take_deletes(&mut self, ids: &[u64]) -> Result<Snapshot> {
        self.prepare(0, ids.len() as u64 * 8)?;
        // Only now: making room may have sealed the tail, and with it moved the rows.
        let mut state = self.state.copy();
        state.delete(self.rows, ids.iter().copied())?;
        self.pending.count(true, ids.len() as u32);
        self.pending.deletes.extend_from_slice(ids);
        Ok(state)
    }

    /// The call is in: number it, make it durable if each call is to be, publish.
    fn end_call(&mut self, state: Option<Snapshot>) -> Result<()> {
        self.seq += 1;
        if self.sync == SyncMode::Each {
            self.commit()?;
        }
        self.publish(state);
        Ok(())
    }

    /// Publishes a new state.
    pub(super) fn show(&mut self, state: Snapshot) {
        self.state = Arc::new(state);
        if !self.recovering {
            self.published.store(Some(Arc::clone(&self.state)));
        }
    }

    /// Shows readers every row taken in so far.
    fn publish(&mut self, state: Option<Snapshot>) {
        match state {
            Some(state) => {
                state.visible.store(self.rows, Ordering::Release);
                self.show(state);
            }
            None => self.state.visible.store(self.rows, Ordering::Release),
        }
    }

    /// Makes room for a call of `rows` rows and `bytes` bytes: seals a full log, begins a new one, allocates blocks. An
    /// error here changes nothing.
    fn prepare(&mut self, rows: u32, bytes: u64) -> Result<()> {
        let is_full = self.log.as_ref().is_some_and(|log| log.length() >= self.tuning.seal_bytes);
        if !self.recovering && (is_full || self.rows > 0 && rows.saturating_add(self.rows) > TAIL_ROWS_MAX) {
            match self.seal() {
                // A delete may do without: it fits what is kept behind the rows.
                Err(Error::NoSpace(_)) if rows == 0 && self.failure.is_none() => {}
                sealed => sealed?,
            }
        }
        let pending = self.pending.bytes(self.stride());
        if self.log.is_none() {
            self.begin_log()?;
        }
        let slack = if rows > 0 { SLACK_BYTES } else { 0 };
        if let Some(log) = &mut self.log {
            let ahead = (log.length() / 8).clamp(self.tuning.buffer_bytes as u64, 16 << 20);
            let frames = bytes / self.tuning.buffer_bytes as u64 + 2;
            log.reserve(log.length() + pending + bytes + frames * 4096 + slack, ahead)?;
        }
        if rows > 0 && self.buffer.is_none() {
            self.begin_buffer()?;
        }
        Ok(())
    }

    pub(super) fn header(&self, kind: Kind, id: u64) -> FileHeader {
        let (store, dim, metric) = (self.manifest.store, self.manifest.dim, self.manifest.metric);
        FileHeader { kind, store, id, dim, metric, base_seq: 0 }
    }

    fn begin_log(&mut self) -> Result<()> {
        let is_ours = self.lock.check();
        self.poisoning(is_ours)?;
        let header = FileHeader { base_seq: self.manifest.base_seq, ..self.header(Kind::Log, self.manifest.log) };
        match Log::create(self.dir.as_ref(), header) {
            Ok(log) => {
                self.adopt_log(log);
                Ok(())
            }
            Err(error @ Error::NoSpace(_)) => {
                // A file without a whole header is no log; the name must be free for the next try, if it came to be.
                self.forget_file(&Kind::Log.file_name(self.manifest.log));
                Err(error)
            }
            Err(error) => self.poisoning(Err(error)),
        }
    }

    /// Takes what a clean log held into account.
    pub(super) fn adopt_calls(&mut self, rows: u32, seq: u64, next_id: u64, clean: u64) {
        (self.rows, self.seq, self.durable_seq, self.next_id, self.clean) = (rows, seq, seq, next_id, clean);
    }

    /// Allocates the buffer and shows it to readers.
    pub(super) fn begin_buffer(&mut self) -> Result<()> {
        let stride = to_usize(self.stride())?;
        let capacity = (self.tuning.buffer_bytes / stride).max(1) * stride;
        // One of those that nobody reads any more serves again, the others go.
        let spare = self.spares.extract_if(.., Appender::reset_if_unread).last();
        let buffer = match spare {
            Some(buffer) => buffer,
            None => Appender::new(capacity).ok_or(Error::OutOfMemory(capacity))?,
        };
        let mut state = self.state.copy();
        self.buffer_row = self.rows;
        let (reader, buffer_row) = (buffer.reader(), self.rows);
        match &mut state.tail {
            Some(tail) => (tail.buffer, tail.buffer_row) = (reader, buffer_row),
            None => {
                let ids = Arc::new(TailIds::new(self.next_id));
                state.tail = Some(Tail { stride, chunks: Vec::new(), buffer: reader, buffer_row, ids });
            }
        }
        self.buffer = Some(buffer);
        self.show(state);
        Ok(())
    }

    /// Copies rows into the buffer, and full buffers into the log.
    fn append(&mut self, ids: RowIds, vectors: &[f32]) -> Result<()> {
        let dim = self.dim();
        let count = vectors.len() / dim;
        // A call that needs several frames begins with one of its own, so that recovery can drop it whole.
        if count > self.room() && self.buffer.as_ref().is_some_and(|buffer| buffer.length() > 0) {
            self.flush(0)?;
            self.roll()?;
        }
        let mut done = 0;
        while done < count {
            if self.room() == 0 {
                self.flush(if done > 0 { flags::CONTINUES } else { 0 })?;
                self.roll()?;
            }
            let now = self.room().min(count - done);
            let piece = &vectors[done * dim..(done + now) * dim];
            if !self.buffer.as_mut().is_some_and(|buffer| buffer.append(piece)) {
                return Err(Error::OutOfMemory(size_of_val(piece)));
            }
            (done..done + now).for_each(|index| self.pending.put(ids.get(index)));
            self.pending.count(false, now as u32);
            self.rows += now as u32;
            done += now;
        }
        Ok(())
    }

    /// Takes in one frame of an earlier log, in its own order.
    pub(super) fn replay(&mut self, frame: &FrameRead) -> Result<()> {
        for run in frame.runs() {
            let state = match run {
                Run::Put(ids, rows) => {
                    let mut vectors = vec![0.0; rows.len() / 4];
                    kernels::floats(rows, &mut vectors);
                    self.take_rows(RowIds::of(&ids), &vectors, false)?
                }
                Run::Delete(ids) => Some(self.take_deletes(&ids)?),
            };
            self.publish(state);
        }
        self.seq = self.seq.max(frame.header.seq);
        Ok(())
    }

    /// Rows that fit the buffer.
    fn room(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.room() / (self.dim() * 4))
    }

    /// Gives rows `[first_row, first_row + rows)` their ids. Returns a state to publish where it must be a new one.
    fn name_rows(&mut self, first_row: u32, rows: u32, ids: RowIds, fresh: bool) -> Result<Option<Snapshot>> {
        let all_new = fresh || matches!(ids, RowIds::From(first) if first >= self.next_id);
        let next_id = ids.end(rows).max(self.next_id);
        let continues = self.state.tail.as_ref().is_some_and(|tail| tail.ids.continues_run(first_row, ids.get(0)));
        if continues && all_new && matches!(ids, RowIds::From(_)) {
            self.next_id = next_id;
            return Ok(None);
        }
        let mut state = self.state.copy();
        state.name_rows(first_row, rows, ids, (!fresh).then_some(self.next_id))?;
        self.next_id = next_id;
        Ok(Some(state))
    }
}

/// Refuses the reserved id and ids given twice.
fn check_ids(ids: &[u64]) -> Result<()> {
    if let Some(position) = ids.iter().position(|id| *id == NO_ID) {
        return Err(Error::InvalidArgument(format!("id number {position} of the call is OMEN_NO_ID ({NO_ID})")));
    }
    if ids.is_sorted_by(|left, right| left < right) {
        return Ok(());
    }
    let mut sorted: Vec<(u64, usize)> = ids.iter().enumerate().map(|(position, id)| (*id, position)).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(Error::DuplicateId { id: pair[1].0, position: pair[1].1, place: "given twice in the call" }),
        None => Ok(()),
    }
}
