//! Finds the live row of an id.

use super::state::View;
use crate::error::Result;

/// The location of a row in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the tail: the row.
    Tail(u32),
    /// In a sealed segment: its index in the snapshot's list, and the row.
    Sealed(usize, u32),
}

impl View<'_> {
    /// The location of the live row of `id`. The tail is searched first, then the segments, newest first.
    #[inline]
    pub fn locate(&self, id: u64) -> Result<Option<Place>> {
        if let Some(row) = self.locate_in_tail(id) {
            return Ok(Some(Place::Tail(row)));
        }
        for (index, segment) in self.snapshot.segments.iter().enumerate().rev() {
            if let Some(row) = segment.segment.row_of(id)?
                && !segment.hidden.hides(row)
            {
                return Ok(Some(Place::Sealed(index, row)));
            }
        }
        Ok(None)
    }

    /// The live row of the tail with `id`.
    #[inline]
    pub fn locate_in_tail(&self, id: u64) -> Option<u32> {
        let tail = self.snapshot.tail.as_ref()?;
        tail.ids.find(id, self.visible).filter(|row| !self.snapshot.tail_hidden.hides(*row))
    }
}
