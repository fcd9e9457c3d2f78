//! Listing live ids in ascending order.

use super::locate::Place;
use super::state::View;
use crate::error::{Error, Result};

impl View<'_> {
    /// The live ids from `from` on in ascending order, at most `capacity`, with their places.
    pub fn in_order(&self, from: u64, capacity: usize) -> Result<Vec<(u64, Place)>> {
        let mut found = self.tail_in_order(from, capacity);
        for (index, live) in self.snapshot.segments.iter().enumerate() {
            let mut rank = live.segment.rank_from(from)?;
            let mut count = 0;
            while count < capacity && rank < live.segment.ids() {
                let (id, row) = live.segment.at_rank(rank)?;
                if !live.hidden.hides(row) {
                    found.push((id, Place::Sealed(index, row)));
                    count += 1;
                }
                rank += 1;
            }
        }
        // `found` has the first `capacity` ids of each source, so the first `capacity` of all are among them.
        found.sort_unstable_by_key(|(id, _)| *id);
        found.truncate(capacity);
        // The writer hides the older row of an id, so only forged files can have an id twice.
        if let Some(pair) = found.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::corrupt("store", format!("id {} has two live rows", pair[0].0)));
        }
        Ok(found)
    }

    fn tail_in_order(&self, from: u64, capacity: usize) -> Vec<(u64, Place)> {
        let Some(tail) = &self.snapshot.tail else { return Vec::new() };
        let is_live = |row: &u32| !self.snapshot.tail_hidden.hides(*row);
        let first = if tail.ids.is_run() { from.saturating_sub(tail.ids.run_first()) } else { 0 };
        let first = u32::try_from(first).unwrap_or(u32::MAX).min(self.visible);
        let rows = (first..self.visible).filter(is_live).map(|row| (tail.ids.id_of(row), Place::Tail(row)));
        if tail.ids.is_run() {
            return rows.take(capacity).collect();
        }
        let mut rows: Vec<(u64, Place)> = rows.filter(|(id, _)| *id >= from).collect();
        if rows.len() > capacity && capacity > 0 {
            rows.select_nth_unstable_by_key(capacity - 1, |(id, _)| *id);
            rows.truncate(capacity);
        }
        rows
    }
}
