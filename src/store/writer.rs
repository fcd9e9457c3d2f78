//! The writer: checks a call, then runs it as one step on its state.
//!
//! A check reads the state and cannot poison. A step changes it. After a failed step, unless its error says that
//! nothing has changed, writes are refused until a new open has recovered.

use super::durable::Durable;
use super::poisonable::Poisonable;
use super::publisher::Publisher;
use super::writer_state::WriterState;
use super::{SyncMode, Tuning};
use crate::error::{Error, Result};
use crate::format::{FileHeader, Kind, Manifest, NO_ID};
use crate::log::{Examined, FrameRead};
use crate::segment::ids::RowIds;
use crate::snapshot::{SegmentView, Snapshot};
use std::sync::Arc;

/// The one writer of a store.
#[derive(Debug)]
pub(super) struct Writer {
    state: Poisonable<WriterState>,
}

impl Writer {
    /// A writer of an empty log, in recovery: readers see nothing before `end_recovery`.
    pub(super) fn new(durable: Durable, publisher: Publisher, sync: SyncMode, tuning: Tuning) -> Writer {
        Writer { state: Poisonable::new(WriterState::new(durable, publisher, sync, tuning)) }
    }

    /// Refuses writes from now on.
    pub(super) fn poison(&mut self, why: &str) {
        self.state.poison(why);
    }

    /// An error if the writer is poisoned.
    pub(super) fn check(&self) -> Result<()> {
        self.state.check()
    }

    /// The state with every call so far.
    pub(super) fn snapshot(&self) -> &Arc<Snapshot> {
        self.state.snapshot()
    }

    /// The stored manifest, except that `next_file` counts files created since.
    pub(super) fn manifest(&self) -> &Manifest {
        self.state.durable().manifest()
    }

    /// The smallest id above all ids ever given.
    pub(super) fn next_id(&self) -> u64 {
        self.state.tail().next_id()
    }

    /// Id and length of the active log; (0, 0) if there is none.
    pub(super) fn log_id_and_length(&self) -> (u64, u64) {
        self.state.durable().log().log().map_or((0, 0), |log| (log.id(), log.length()))
    }

    /// Inserts `vectors: [n][dim]` under `ids`, or under new ones; returns the first id.
    pub(super) fn insert(&mut self, ids: Option<&[u64]>, vectors: &[f32]) -> Result<u64> {
        let (rows, next_id) = (vectors.len() / self.state.tail().dim(), self.next_id());
        let Some(ids) = ids else {
            if NO_ID - next_id < rows as u64 {
                return Err(Error::TooBig(format!("{rows} ids behind {next_id}: the largest id is {}", NO_ID - 1)));
            }
            self.put(RowIds::From(next_id), vectors, true)?;
            return Ok(next_id);
        };
        check_ids(ids)?;
        let view = self.snapshot().view_to(self.state.tail().rows());
        for (position, id) in ids.iter().enumerate().filter(|(_, id)| **id < next_id) {
            if view.locate(*id)?.is_some() {
                return Err(Error::DuplicateId { id: *id, position, place: "already stored" });
            }
        }
        self.put(RowIds::of(ids), vectors, true)?;
        Ok(ids.first().copied().unwrap_or(next_id))
    }

    /// Inserts `vectors: [n][dim]` under `ids` and replaces those that are stored.
    pub(super) fn upsert(&mut self, ids: &[u64], vectors: &[f32]) -> Result<()> {
        check_ids(ids)?;
        // The step looks the ids up again after it has written the rows. Reading damaged bytes must fail before that.
        let (view, next_id) = (self.snapshot().view_to(self.state.tail().rows()), self.next_id());
        ids.iter().filter(|id| **id < next_id).try_for_each(|id| view.locate(*id).map(drop))?;
        self.put(RowIds::of(ids), vectors, false)
    }

    fn put(&mut self, ids: RowIds, vectors: &[f32], fresh: bool) -> Result<()> {
        if vectors.is_empty() { Ok(()) } else { self.state.step(|state| state.put(ids, vectors, fresh)) }
    }

    /// Deletes those of `ids` that are stored; returns how many were.
    pub(super) fn delete(&mut self, ids: &[u64]) -> Result<u64> {
        let view = self.snapshot().view_to(self.state.tail().rows());
        let mut stored = Vec::new();
        for id in ids {
            if view.locate(*id)?.is_some() {
                stored.push(*id);
            }
        }
        stored.sort_unstable();
        stored.dedup();
        if !stored.is_empty() {
            self.state.step(|state| state.delete(&stored))?;
        }
        Ok(stored.len() as u64)
    }

    /// Passes every call so far to the operating system, and makes it durable unless the mode is `SyncMode::None`.
    pub(super) fn commit(&mut self) -> Result<()> {
        self.state.step(WriterState::commit)
    }

    /// Ends the active log: its rows become a sealed segment.
    pub(super) fn seal(&mut self) -> Result<()> {
        self.state.step(WriterState::seal)
    }

    /// The header of a new file of at most `bytes` bytes, for which there must be room.
    pub(super) fn new_header(&mut self, kind: Kind, bytes: u64) -> Result<FileHeader> {
        self.state.durable().check_space(bytes)?;
        self.state.step(|state| Ok(state.durable_mut().new_header(kind)))
    }

    /// Makes `segments` the store's sealed files beside the active log. An error before the swap of manifests changes
    /// nothing.
    pub(super) fn swap_segments(&mut self, segments: Vec<Arc<SegmentView>>) -> Result<()> {
        self.state.step(|state| state.install(segments, false))
    }

    /// Makes everything durable and ends writing.
    pub(super) fn close(mut self) -> Result<()> {
        self.state.step(WriterState::close)
    }

    /// Recovery: removes a log without acknowledged calls; sealed files hold all others.
    pub(super) fn drop_log(&mut self) -> Result<()> {
        let segments = self.snapshot().segments.clone();
        self.state.step(|state| state.install(segments, true))
    }

    /// Recovery: continues a cleanly closed log, whose calls are in `snapshot`.
    pub(super) fn resume(&mut self, snapshot: Snapshot, next_id: u64, examined: &Examined) -> Result<()> {
        self.state.step(|state| state.resume(snapshot, next_id, examined))
    }

    /// Recovery: begins a copy of the log. Returns the number of the old log, for `end_copy`.
    pub(super) fn start_copy(&mut self) -> Result<u64> {
        self.state.step(|state| Ok(state.durable_mut().renumber_log()))
    }

    /// Recovery: adds one frame of the old log to its copy.
    pub(super) fn replay(&mut self, frame: &FrameRead) -> Result<()> {
        self.state.step(|state| state.replay(frame))
    }

    /// Recovery: makes the copy durable, then makes it the store's active log.
    pub(super) fn end_copy(&mut self, old: u64) -> Result<()> {
        self.state.step(|state| {
            state.commit_durably()?;
            Ok(state.durable_mut().list_copied_log(old)?)
        })
    }

    /// Ends the recovery: readers see the store from now on.
    pub(super) fn end_recovery(&mut self) -> Result<()> {
        self.state.step(|state| {
            state.open_to_readers();
            Ok(())
        })
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
