//! The state that a step of the writer changes: files, tail and published state, in the order that readers and recovery
//! need.
//!
//! Rows go to the buffer, ids to the tail, and at last the new state is published. An error before any change is marked
//! [`StepError::Refused`]. Every other error poisons the writer: after a failed write or sync, what the file holds is
//! unknown.

use super::durable::Durable;
use super::poisonable::{StepError, StepResult};
use super::publisher::Publisher;
use super::tail_state::{TAIL_ROWS_MAX, TailState};
use super::{SyncMode, Tuning};
use crate::error::{Error, Result};
use crate::format::{ROWS_MAX, flags};
use crate::kernels;
use crate::log::{Examined, FrameRead, Run};
use crate::segment::ids::RowIds;
use crate::segment::tombstones::Tombstones;
use crate::snapshot::{SegmentView, Snapshot};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Bytes kept allocated behind every insert, so that deletes and commits work on a full disk.
const SLACK_BYTES: u64 = 64 << 10;

/// The most rows of one call: together with a full tail they fit one file.
const CALL_ROWS_MAX: u64 = ROWS_MAX - TAIL_ROWS_MAX as u64 - 1;

/// Files, tail and published state of one writer.
#[derive(Debug)]
pub(super) struct WriterState {
    durable: Durable,
    tail: TailState,
    publisher: Publisher,
    sync: SyncMode,
    tuning: Tuning,
}

impl WriterState {
    pub(super) fn new(durable: Durable, publisher: Publisher, sync: SyncMode, tuning: Tuning) -> WriterState {
        let manifest = durable.manifest();
        let tail = TailState::new(manifest.dim as usize, manifest.base_next_id);
        WriterState { durable, tail, publisher, sync, tuning }
    }

    pub(super) fn durable(&self) -> &Durable {
        &self.durable
    }

    /// The files, for changes.
    pub(super) fn durable_mut(&mut self) -> &mut Durable {
        &mut self.durable
    }

    pub(super) fn tail(&self) -> &TailState {
        &self.tail
    }

    pub(super) fn snapshot(&self) -> &Arc<Snapshot> {
        self.publisher.state()
    }

    /// Puts checked rows as one call. `fresh`: none of the ids is stored.
    pub(super) fn put(&mut self, ids: RowIds, vectors: &[f32], fresh: bool) -> StepResult<()> {
        let state = self.put_rows(ids, vectors, fresh)?;
        self.end_call(state)
    }

    /// Deletes stored ids as one call.
    pub(super) fn delete(&mut self, ids: &[u64]) -> StepResult<()> {
        let state = self.delete_rows(ids)?;
        self.end_call(Some(state))
    }

    /// Repeats the puts and deletes of a frame of an earlier log, in their order.
    pub(super) fn replay(&mut self, frame: &FrameRead) -> StepResult<()> {
        for run in frame.runs() {
            let state = match run {
                Run::Put(ids, rows) => {
                    let mut vectors = vec![0.0; rows.len() / size_of::<f32>()];
                    kernels::floats(rows, &mut vectors);
                    self.put_rows(RowIds::of(&ids), &vectors, false)?
                }
                Run::Delete(ids) => Some(self.delete_rows(&ids)?),
            };
            self.publisher.publish_rows(self.tail.rows(), state);
        }
        self.durable.count_to(frame.header.seq);
        Ok(())
    }

    /// Continues a cleanly closed log, whose calls are in `state`.
    pub(super) fn resume(&mut self, mut state: Snapshot, next_id: u64, examined: &Examined) -> StepResult<()> {
        let rows = *state.visible.get_mut();
        self.publisher.publish(state);
        self.durable.resume_log(examined)?;
        if let Some(log) = self.durable.log().log() {
            self.tail.resume(rows, next_id, log);
        }
        Ok(())
    }

    /// Shows readers the state, and each later one.
    pub(super) fn open_to_readers(&mut self) {
        self.publisher.open();
    }

    /// Passes every call so far to the operating system, and makes it durable unless the mode is `SyncMode::None`.
    pub(super) fn commit(&mut self) -> StepResult<()> {
        if self.sync == SyncMode::None { self.flush(flags::COMMIT) } else { self.commit_durably() }
    }

    pub(super) fn commit_durably(&mut self) -> StepResult<()> {
        self.flush(flags::COMMIT | flags::PADDED)?;
        Ok(self.durable.sync()?)
    }

    /// Ends the active log: its rows become a sealed segment. If there is no space, the log stays as it was.
    pub(super) fn seal(&mut self) -> StepResult<()> {
        self.flush(0)?;
        if self.durable.log().log().is_none() {
            return Ok(());
        }
        let (state, rows) = (Arc::clone(self.snapshot()), self.tail.rows());
        let sealed = if self.durable.make_room_to_seal(rows, state.hidden())? {
            let source = Snapshot { segments: Vec::new(), visible: AtomicU32::new(rows), ..state.copy() };
            self.durable.rewrite_rows(&source)?
        } else {
            self.durable.seal_log(&state, rows)?
        };
        let segments = state.segments.iter().cloned().chain(sealed).collect();
        self.install(segments, true).map_err(StepError::into_broken)
    }

    /// Makes `segments` the store's sealed files. With `ends_log`, they hold all rows of the active log, which ends. An
    /// error before the swap changes nothing; a failed swap is `Broken`.
    pub(super) fn install(&mut self, segments: Vec<Arc<SegmentView>>, ends_log: bool) -> StepResult<()> {
        let before = self.durable.swap_files(&segments, ends_log.then_some(self.tail.next_id()))?;
        let mut state = self.snapshot().copy();
        (state.generation, state.segments) = (self.durable.manifest().generation, segments);
        if ends_log {
            (state.tail, state.tail_hidden, state.visible) = (None, Tombstones::default(), AtomicU32::new(0));
            self.tail.end();
        }
        self.publisher.publish(state);
        self.publisher.free();
        self.durable.remove_replaced(&before);
        Ok(())
    }

    /// Makes everything durable; a long log is sealed.
    pub(super) fn close(&mut self) -> StepResult<()> {
        self.flush(flags::COMMIT | flags::PADDED)?;
        if self.durable.log().length() > self.tuning.close_seal_bytes {
            match self.seal() {
                Err(StepError::Refused(Error::NoSpace(_))) => {}
                sealed => return sealed,
            }
        }
        Ok(self.durable.close_log()?)
    }

    /// Ends a call: numbers it, makes it durable in `SyncMode::Each`, and publishes it.
    fn end_call(&mut self, state: Option<Snapshot>) -> StepResult<()> {
        self.durable.count_call();
        if self.sync == SyncMode::Each {
            self.commit()?;
        }
        self.publisher.publish_rows(self.tail.rows(), state);
        Ok(())
    }

    /// Writes rows to buffer and log and gives them their ids; returns a state to publish if readers need a new one.
    fn put_rows(&mut self, ids: RowIds, vectors: &[f32], fresh: bool) -> StepResult<Option<Snapshot>> {
        let count = vectors.len() / self.tail.dim();
        let rows = u32::try_from(count).ok().filter(|rows| u64::from(*rows) <= CALL_ROWS_MAX);
        let too_many = || Error::TooBig(format!("{count} vectors in one call, at most {CALL_ROWS_MAX}"));
        let rows = rows.ok_or_else(|| StepError::Refused(too_many()))?;
        self.make_room(rows, count as u64 * (self.tail.stride() as u64 + 8))?;
        let first_row = self.tail.rows();
        self.append(ids, vectors)?;
        Ok(self.tail.name_rows(self.publisher.state(), first_row, ids, fresh)?)
    }

    /// Hides the rows of stored ids; returns the state to publish.
    fn delete_rows(&mut self, ids: &[u64]) -> StepResult<Snapshot> {
        self.make_room(0, ids.len() as u64 * 8)?;
        // After `make_room`, which may have sealed the tail and so moved the rows.
        let mut state = self.snapshot().copy();
        state.delete(self.tail.rows(), ids.iter().copied()).map_err(StepError::Refused)?;
        self.tail.delete(ids);
        Ok(state)
    }

    /// Makes room for a call of `rows` rows and `bytes` bytes: seals a full log, begins a new one, allocates blocks and
    /// a buffer. If there is no space, nothing changes.
    fn make_room(&mut self, rows: u32, bytes: u64) -> StepResult<()> {
        let is_full = self.durable.log().log().is_some_and(|log| log.length() >= self.tuning.seal_bytes);
        if self.publisher.is_open() && (is_full || self.tail.is_too_full_for(rows)) {
            match self.seal() {
                // A delete goes on without the seal: it fits in `SLACK_BYTES`.
                Err(StepError::Refused(Error::NoSpace(_))) if rows == 0 => {}
                sealed => sealed?,
            }
        }
        let pending = self.tail.pending().frame_bytes_max(self.tail.stride() as u64);
        if self.durable.log().log().is_none() {
            self.start_log()?;
        }
        let slack = if rows > 0 { SLACK_BYTES } else { 0 };
        let ahead = (self.durable.log().length() / 8).clamp(self.tuning.buffer_bytes as u64, 16 << 20);
        let frames = bytes / self.tuning.buffer_bytes as u64 + 2;
        self.durable.reserve(pending + bytes + frames * 4096 + slack, ahead)?;
        if rows > 0 && !self.tail.has_buffer() {
            self.start_buffer().map_err(StepError::Refused)?;
        }
        Ok(())
    }

    fn start_log(&mut self) -> StepResult<()> {
        self.durable.start_log()?;
        if let Some(log) = self.durable.log().log() {
            self.tail.begin_at(log);
        }
        Ok(())
    }

    /// Allocates the buffer and shows it to readers.
    fn start_buffer(&mut self) -> Result<()> {
        let mut state = self.snapshot().copy();
        self.tail.start_buffer(self.tuning.buffer_bytes, &mut state)?;
        self.publisher.publish(state);
        Ok(())
    }

    /// Copies rows into the buffer, and full buffers into the log.
    fn append(&mut self, ids: RowIds, vectors: &[f32]) -> StepResult<()> {
        let count = vectors.len() / self.tail.dim();
        // A call of several frames starts a new frame, so that recovery can drop the whole call and nothing else.
        if count > self.tail.room() && self.tail.has_buffered_rows() {
            self.flush_and_roll(0)?;
        }
        let mut done = 0;
        while done < count {
            if self.tail.room() == 0 {
                self.flush_and_roll(if done > 0 { flags::CONTINUES } else { 0 })?;
            }
            let now = self.tail.room().min(count - done);
            self.tail.push(ids, vectors, done..done + now)?;
            done += now;
        }
        Ok(())
    }

    /// Writes the pending calls as one frame; see `LogEnd::append` for `flag`.
    fn flush(&mut self, flag: u32) -> StepResult<()> {
        self.durable.append(flag, self.tail.pending(), self.tail.pending_rows())?;
        self.tail.clear_pending();
        Ok(())
    }

    /// Writes the pending calls, publishes the buffer's rows as mapped from the log, and begins another buffer.
    fn flush_and_roll(&mut self, flag: u32) -> StepResult<()> {
        self.flush(flag)?;
        let Some(log) = self.durable.log().log() else { return Ok(()) };
        let mut state = self.publisher.state().copy();
        self.tail.map_buffered(log, &mut state)?;
        self.publisher.publish(state);
        // If no reader uses the earlier states any more, their buffer can be reused.
        self.publisher.free();
        Ok(self.start_buffer()?)
    }
}
