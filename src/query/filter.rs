//! The rows that a search may return, in each segment and in the tail.

use super::id_filter::IdFilter;
use super::row_set::RowSet;
use crate::error::Result;
use crate::snapshot::View;

/// The rows that a search may return.
#[derive(Debug)]
pub struct Filter<'a> {
    /// `[segments]`.
    pub segments: Vec<RowSet<'a>>,
    /// Those of the tail.
    pub tail: RowSet<'a>,
}

impl<'a> Filter<'a> {
    /// The live rows of `view` whose ids are allowed.
    pub fn new(view: &View<'a>, ids: &'a IdFilter<'a>) -> Result<Filter<'a>> {
        let segments = view.snapshot.segments.iter().map(|segment| RowSet::of_segment(segment, ids));
        Ok(Filter { segments: segments.collect::<Result<_>>()?, tail: RowSet::of_tail(view, ids) })
    }
}
