//! The rows of a segment, or of the tail, that a search may return: live rows whose ids its filter allows.
//!
//! Rows of few ids are found by their ids. Rows of many are not: that would take longer than the search, so their ids
//! are tested when the rows turn out to be near.

use super::id_filter::IdFilter;
use crate::error::Result;
use crate::kernels::BLOCK_ROWS;
use crate::segment::tombstones::{Tombstones, ones_in};
use crate::snapshot::{SegmentView, View};
use std::ops::Range;

/// Rows of codes are found by their ids if at most one in so many is allowed: then most blocks can be skipped.
const CODES_PER_ALLOWED: usize = BLOCK_ROWS;
/// The same for raw rows, of which each one skipped saves time.
const RAW_PER_ALLOWED: usize = 4;

/// This many allowed rows are all measured, even if there are inverted lists: to choose lists would take as long.
const FEW: usize = 1024;

/// One row in so many is tested to estimate how many rows of a range are allowed.
const ROWS_PER_SAMPLE: u32 = 64;

/// Rows that a search may return.
#[derive(Debug)]
pub struct RowSet<'a> {
    ids: &'a IdFilter<'a>,
    hidden: &'a Tombstones,
    kind: Kind,
    /// The share of the rows that are in the set; an estimate if ids are tested.
    share: f64,
}

#[derive(Debug)]
enum Kind {
    /// Every live row.
    Live,
    /// These live rows, ascending.
    Listed(Vec<u32>),
    /// The live rows whose bits are set. Bit `row % 64` of word `row / 64`.
    Marked(Vec<u64>),
    /// Every live row whose id is allowed.
    Tested,
}

impl<'a> RowSet<'a> {
    /// The rows of a sealed segment.
    pub fn of_segment(view: &'a SegmentView, ids: &'a IdFilter<'a>) -> Result<RowSet<'a>> {
        let (segment, count) = (&view.segment, view.segment.ids() as usize);
        let (allowed, denied) = (ids.allowed().map(|ids| segment.ids_within(ids)), segment.ids_within(ids.denied()));
        let most = allowed.map_or_else(|| count.saturating_sub(denied.len()), |allowed| allowed.len().min(count));
        let per_allowed = if segment.is_coded() { CODES_PER_ALLOWED } else { RAW_PER_ALLOWED };
        let kind = match allowed {
            None if denied.is_empty() => Kind::Live,
            _ if most > count / per_allowed => {
                segment.load_maps()?;
                Kind::Tested
            }
            _ => {
                let is_marked = segment.lists().is_some() && most > FEW;
                let mut found = Found::new(if is_marked { segment.rows() } else { 0 });
                let mut add = |row: u32| {
                    if !view.hidden.hides(row) {
                        found.add(row)
                    }
                };
                match allowed {
                    Some(allowed) if denied.is_empty() => segment.for_each_row_of(allowed, &mut add)?,
                    Some(allowed) => {
                        let kept: Vec<u64> = allowed.iter().copied().filter(|id| !ids.denies(*id)).collect();
                        segment.for_each_row_of(&kept, &mut add)?;
                    }
                    None => segment.for_each_other_row(denied, &mut add)?,
                }
                found.into_kind()
            }
        };
        let rows = segment.rows().max(1);
        let share = match &kind {
            Kind::Live => view.count() as f64 / f64::from(rows),
            Kind::Listed(listed) => listed.len() as f64 / f64::from(rows),
            Kind::Marked(words) => f64::from(ones_in(0..rows, |word| words[word])) / f64::from(rows),
            Kind::Tested => most as f64 / count as f64 * (view.count() as f64 / count as f64),
        };
        Ok(RowSet { ids, hidden: &view.hidden, kind, share: share.min(1.0) })
    }

    /// The rows of the tail.
    pub fn of_tail(view: &View<'a>, ids: &'a IdFilter<'a>) -> RowSet<'a> {
        let kind = match ids.allowed() {
            None if ids.denied().is_empty() => Kind::Live,
            Some(allowed) if allowed.len() <= view.visible as usize / RAW_PER_ALLOWED => {
                let allowed = allowed.iter().filter(|id| !ids.denies(**id));
                let mut rows: Vec<u32> = allowed.filter_map(|id| view.locate_in_tail(*id)).collect();
                rows.sort_unstable();
                Kind::Listed(rows)
            }
            _ => Kind::Tested,
        };
        RowSet { ids, hidden: &view.snapshot.tail_hidden, kind, share: 1.0 }
    }

    /// The rows, ascending, if they are listed. Then no other row needs to be looked at.
    pub fn listed(&self) -> Option<&[u32]> {
        match &self.kind {
            Kind::Listed(rows) => Some(rows),
            _ => None,
        }
    }

    /// The share of the rows of the segment that are in the set, 0 to 1; it may be an estimate.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// True if `row` is in the set, as far as can be told without its id. Rows of a listed set are only asked for.
    #[inline]
    pub fn may_have(&self, row: u32) -> bool {
        match &self.kind {
            Kind::Live | Kind::Tested => !self.hidden.hides(row),
            Kind::Listed(_) => true,
            Kind::Marked(words) => words[row as usize / 64] >> (row % 64) & 1 == 1,
        }
    }

    /// True if rows that [`RowSet::may_have`] accepts are in the set only if [`RowSet::allows`] accepts their ids too.
    pub fn tests_ids(&self) -> bool {
        matches!(self.kind, Kind::Tested)
    }

    /// True if the id of a row is allowed, or needs no test.
    #[inline]
    pub fn allows(&self, id: u64) -> bool {
        !self.tests_ids() || self.ids.allows(id)
    }

    /// True if `row`, whose id `id_of` looks up, is in the set.
    #[inline]
    pub fn has(&self, row: u32, id_of: impl FnOnce(u32) -> Result<u64>) -> Result<bool> {
        Ok(self.may_have(row) && (!self.tests_ids() || self.ids.allows(id_of(row)?)))
    }

    /// Runs of consecutive blocks that hold `ranges` (ascending, not empty), without blocks that hold no row of the set.
    pub fn block_runs(&self, ranges: &[Range<u32>]) -> Vec<Range<u32>> {
        let half = |words: &[u64], block: u32| (words[block as usize / 2] >> (block % 2 * 32)) as u32;
        match &self.kind {
            Kind::Marked(words) => block_runs(ranges.iter().cloned(), |block| half(words, block) != 0),
            _ => block_runs(ranges.iter().cloned(), |_| true),
        }
    }

    /// How many rows of `ranges` are in the set. If ids are tested, the first `exact` are counted, and the number of
    /// others is estimated.
    pub fn count_in(&self, ranges: &[Range<u32>], exact: usize, id_of: impl Fn(u32) -> Result<u64>) -> Result<usize> {
        let mut count = 0;
        for range in ranges {
            count += match &self.kind {
                Kind::Live => range.len() - self.hidden.count_in(range.clone()) as usize,
                Kind::Listed(rows) => {
                    let before = |row: u32| rows.partition_point(|other| *other < row);
                    before(range.end) - before(range.start)
                }
                Kind::Marked(words) => ones_in(range.clone(), |word| words[word]) as usize,
                Kind::Tested => self.count_tested(range.clone(), exact.saturating_sub(count), &id_of)?,
            };
        }
        Ok(count)
    }

    /// How many rows of `range` are in the set, by tests of ids: of each until `exact` are found, then of one in
    /// [`ROWS_PER_SAMPLE`].
    fn count_tested(&self, range: Range<u32>, exact: usize, id_of: impl Fn(u32) -> Result<u64>) -> Result<usize> {
        let (mut count, mut row) = (0, range.start);
        while row < range.end && count < exact {
            count += usize::from(self.has(row, &id_of)?);
            row += 1;
        }
        for sample in (row.next_multiple_of(ROWS_PER_SAMPLE)..range.end).step_by(ROWS_PER_SAMPLE as usize) {
            count += usize::from(self.has(sample, &id_of)?) * ROWS_PER_SAMPLE as usize;
        }
        Ok(count)
    }
}

/// Rows that are collected in any order.
enum Found {
    Listed(Vec<u32>),
    Marked(Vec<u64>),
}

impl Found {
    /// Collects rows below `marked` as bits; if that is 0, any rows as a list.
    fn new(marked: u32) -> Found {
        if marked == 0 { Found::Listed(Vec::new()) } else { Found::Marked(vec![0; marked.div_ceil(64) as usize]) }
    }

    #[inline]
    fn add(&mut self, row: u32) {
        match self {
            Found::Listed(rows) => rows.push(row),
            Found::Marked(words) => words[row as usize / 64] |= 1 << (row % 64),
        }
    }

    fn into_kind(self) -> Kind {
        match self {
            Found::Listed(mut rows) => {
                rows.sort_unstable();
                Kind::Listed(rows)
            }
            Found::Marked(words) => Kind::Marked(words),
        }
    }
}

/// Runs of those consecutive blocks that hold `rows` (ranges that ascend and are not empty) and that are `wanted`.
pub fn block_runs(rows: impl Iterator<Item = Range<u32>>, wanted: impl Fn(u32) -> bool) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    let mut next = 0;
    for rows in rows {
        for block in (rows.start / BLOCK_ROWS as u32).max(next)..rows.end.div_ceil(BLOCK_ROWS as u32) {
            next = block + 1;
            match runs.last_mut() {
                _ if !wanted(block) => {}
                Some(last) if last.end == block => last.end = next,
                _ => runs.push(block..next),
            }
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::block_runs;

    #[test]
    fn runs_of_blocks_hold_the_wanted_rows_and_no_other_blocks() {
        let runs = |rows: &[std::ops::Range<u32>]| block_runs(rows.iter().cloned(), |block| block != 5);
        assert!(runs(&[64..100]).into_iter().eq(std::iter::once(2..4)));
        assert_eq!(runs(&[0..1, 31..33, 100..101, 130..230, 230..240, 319..320]), [0..2, 3..5, 6..8, 9..10]);
    }
}
