//! How a writer edits the copy of a snapshot that it is about to publish.

use super::locate::Place;
use super::state::Snapshot;
use crate::error::{Error, Result};
use crate::segment::ids::RowIds;
use crate::tail::TailIds;
use std::sync::Arc;

impl Snapshot {
    /// Hides the row at `place`; true if it was visible.
    pub fn hide(&mut self, place: Place) -> bool {
        match place {
            Place::Tail(row) => self.tail_hidden.hide(row),
            Place::Sealed(index, row) => Arc::make_mut(&mut self.segments[index]).hidden.hide(row),
        }
    }

    /// Gives `rows` tail rows from `first_row` on their ids, one by one, and hides the rows that had these ids. Ids
    /// from `known_new_from` on are not stored yet. `None`: none of `ids` is stored, and none occurs twice.
    pub fn name_rows(&mut self, first_row: u32, rows: u32, ids: RowIds, mut known_new_from: Option<u64>) -> Result<()> {
        let Some(tail) = &mut self.tail else { return Err(Error::Internal("rows without a tail".into())) };
        if first_row == 0 && rows > 0 {
            // The first row of a tail decides where its run begins.
            tail.ids = Arc::new(TailIds::new(ids.get(0)));
        }
        let counts_up = matches!(ids, RowIds::From(first) if tail.ids.continues_run(first_row, first));
        if !counts_up && !tail.ids.has_room(rows as usize) {
            tail.ids = Arc::new(tail.ids.grow(rows as usize));
        }
        let tail_ids = Arc::clone(&tail.ids);
        for index in 0..rows {
            let (row, id) = (first_row + index, ids.get(index as usize));
            let replaced = match known_new_from {
                Some(bound) if id < bound => self.view_to(row).locate(id)?,
                _ => None,
            };
            known_new_from = known_new_from.map(|bound| bound.max(id.saturating_add(1)));
            if let Some(place) = replaced {
                self.hide(place);
            }
            if !tail_ids.continues_run(row, id) {
                tail_ids.list(row, id, tail_ids.find(id, row));
            }
        }
        Ok(())
    }

    /// Hides the vectors of `ids` among the first `rows` rows of the tail and in all segments.
    pub fn delete(&mut self, rows: u32, ids: impl Iterator<Item = u64>) -> Result<()> {
        for id in ids {
            if let Some(place) = self.view_to(rows).locate(id)? {
                self.hide(place);
            }
        }
        Ok(())
    }
}
