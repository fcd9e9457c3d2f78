//! Rows of the active log while they are written: the buffer in which readers see them, their ids, and the contents of
//! the next frame.

use super::pending::Pending;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::os::Appender;
use crate::segment::ids::RowIds;
use crate::snapshot::Snapshot;
use crate::tail::{MappedFrames, Tail, TailIds};
use std::sync::Arc;

/// The most rows of one tail: bounds its id table and what a recovery replays.
pub(super) const TAIL_ROWS_MAX: u32 = 1 << 20;

/// The writer's side of the tail.
#[derive(Debug)]
pub(super) struct TailState {
    dim: usize,
    /// Rows in the tail, published or not.
    rows: u32,
    /// The smallest id above all ids ever given.
    next_id: u64,
    pending: Pending,
    buffer: Option<Appender>,
    /// First tail row of the buffer.
    buffer_row: u32,
    /// Where the buffer's frames begin in the log: byte offset, and number of the first extent.
    buffer_log: (u64, usize),
    /// Retired buffers that readers may still use.
    spares: Vec<Appender>,
}

impl TailState {
    /// An empty tail of rows of `dim` floats.
    pub(super) fn new(dim: usize, next_id: u64) -> TailState {
        TailState {
            dim,
            rows: 0,
            next_id,
            pending: Pending::default(),
            buffer: None,
            buffer_row: 0,
            buffer_log: (0, 0),
            spares: Vec::new(),
        }
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// Bytes of a row.
    pub(super) fn stride(&self) -> usize {
        self.dim * size_of::<f32>()
    }

    /// Rows in the tail, published or not.
    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// The smallest id above all ids ever given.
    pub(super) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// True if this tail is not empty and `rows` more rows are too many for it.
    pub(super) fn is_too_full_for(&self, rows: u32) -> bool {
        self.rows > 0 && rows.saturating_add(self.rows) > TAIL_ROWS_MAX
    }

    /// The contents of the next frame.
    pub(super) fn pending(&self) -> &Pending {
        &self.pending
    }

    /// The rows of the next frame, as bytes.
    pub(super) fn pending_rows(&self) -> &[u8] {
        let (rows, stride) = (self.pending.rows() as usize, self.stride());
        match &self.buffer {
            Some(buffer) if rows > 0 => {
                let first = (self.rows - self.pending.rows()).saturating_sub(self.buffer_row) as usize * stride;
                &buffer.bytes()[first..first + rows * stride]
            }
            _ => &[],
        }
    }

    /// Clears the pending calls, once a frame holds them.
    pub(super) fn clear_pending(&mut self) {
        self.pending.clear();
    }

    /// Adds deletes to the next frame.
    pub(super) fn delete(&mut self, ids: &[u64]) {
        self.pending.delete(ids);
    }

    pub(super) fn has_buffer(&self) -> bool {
        self.buffer.is_some()
    }

    pub(super) fn has_buffered_rows(&self) -> bool {
        self.buffer.as_ref().is_some_and(|buffer| buffer.length() > 0)
    }

    /// Rows that fit the buffer.
    pub(super) fn room(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.room() / self.stride())
    }

    /// Copies rows `range` of a call, `vectors: [rows][dim]` with `ids`, into the buffer, which has room for them.
    pub(super) fn push(&mut self, ids: RowIds, vectors: &[f32], range: std::ops::Range<usize>) -> Result<()> {
        let piece = &vectors[range.start * self.dim..range.end * self.dim];
        if !self.buffer.as_mut().is_some_and(|buffer| buffer.append(piece)) {
            return Err(Error::OutOfMemory(size_of_val(piece)));
        }
        self.rows += range.len() as u32;
        self.pending.put(ids, range);
        Ok(())
    }

    /// Allocates a buffer of about `bytes` bytes and makes it part of `state`.
    pub(super) fn start_buffer(&mut self, bytes: usize, state: &mut Snapshot) -> Result<()> {
        let stride = self.stride();
        let capacity = (bytes / stride).max(1) * stride;
        // Reuse one unreferenced buffer and drop the rest.
        let spare = self.spares.extract_if(.., Appender::reset_if_unread).last();
        let buffer = match spare {
            Some(buffer) => buffer,
            None => Appender::new(capacity).ok_or(Error::OutOfMemory(capacity))?,
        };
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
        Ok(())
    }

    /// Maps the frames of `log` that hold the buffer's rows, adds them to `state`, and retires the buffer.
    pub(super) fn map_buffered(&mut self, log: &Log, state: &mut Snapshot) -> Result<()> {
        let (from, first_extent) = self.buffer_log;
        let map = log.map(from, log.length())?;
        let chunk = MappedFrames::new(log.extents()[first_extent..].to_vec(), from, map);
        if let Some(tail) = &mut state.tail {
            tail.chunks.extend(chunk.map(Arc::new));
        }
        self.begin_at(log);
        self.spares.extend(self.buffer.take());
        Ok(())
    }

    /// Notes that the frames of the next buffer begin at the end of `log`.
    pub(super) fn begin_at(&mut self, log: &Log) {
        self.buffer_log = (log.length(), log.extents().len());
    }

    /// Continues after the `rows` rows that `log` already has.
    pub(super) fn resume(&mut self, rows: u32, next_id: u64, log: &Log) {
        (self.rows, self.next_id) = (rows, next_id);
        self.begin_at(log);
    }

    /// Empties the tail, once sealed files hold all its rows.
    pub(super) fn end(&mut self) {
        self.spares.extend(self.buffer.take());
        (self.rows, self.buffer_row) = (0, 0);
    }

    /// Gives rows `first_row..` of the tail their ids. `fresh`: none of the ids is stored. Returns a state to publish
    /// if readers of `state` would not find the ids.
    pub(super) fn name_rows(
        &mut self,
        state: &Snapshot,
        first_row: u32,
        ids: RowIds,
        fresh: bool,
    ) -> Result<Option<Snapshot>> {
        let rows = self.rows - first_row;
        let is_new = fresh || matches!(ids, RowIds::From(first) if first >= self.next_id);
        let next_id = ids.end(rows).max(self.next_id);
        let continues = state.tail.as_ref().is_some_and(|tail| tail.ids.continues_run(first_row, ids.get(0)));
        if continues && is_new && matches!(ids, RowIds::From(_)) {
            self.next_id = next_id;
            return Ok(None);
        }
        let mut state = state.copy();
        state.name_rows(first_row, rows, ids, (!fresh).then_some(self.next_id))?;
        self.next_id = next_id;
        Ok(Some(state))
    }
}
