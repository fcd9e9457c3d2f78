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

/// Where there are inverted lists, up to so many allowed rows are found by their ids sooner than the ids of near rows are
/// tested, unless one in a few is allowed.
const MARKED_MOST: usize = 1 << 14;
const ROWS_PER_MARKED: usize = 4;

/// In files of codes, up to so many excluded rows are looked up in advance, so that no candidate's id is tested.
const EXCEPT_MOST: usize = 256;

/// This many allowed rows are all measured, even if there are inverted lists: to choose lists would take as long.
const FEW: usize = 256;

/// About so many rows are tested to estimate how many of several ranges are allowed.
const SAMPLES: usize = 256;

/// Rows that a search may return.
#[derive(Debug)]
pub struct RowSet<'a> {
    ids: &'a IdFilter<'a>,
    hidden: &'a Tombstones,
    members: Members,
    /// The share of the rows that are in the set; an estimate if ids are tested.
    share: f64,
}

#[derive(Debug)]
enum Members {
    /// Every live row.
    Live,
    /// These live rows, ascending.
    Listed(Vec<u32>),
    /// The live rows whose bits are set. Bit `row % 64` of word `row / 64`.
    Marked(Vec<u64>),
    /// Every live row but these live ones, ascending.
    Except(Vec<u32>),
    /// Every live row whose id is allowed.
    Tested,
}

impl<'a> RowSet<'a> {
    /// The rows of a sealed segment.
    pub fn of_segment(view: &'a SegmentView, ids: &'a IdFilter<'a>) -> Result<RowSet<'a>> {
        let (segment, count) = (&view.segment, view.segment.ids() as usize);
        let (allowed, denied) = (ids.allowed().map(|ids| segment.ids_within(ids)), segment.ids_within(ids.denied()));
        let most = allowed.map_or_else(|| count.saturating_sub(denied.len()), |allowed| allowed.len().min(count));
        let per_allowed = match segment.is_coded() {
            true if segment.lists().is_some() && most <= MARKED_MOST => ROWS_PER_MARKED,
            true => CODES_PER_ALLOWED,
            false => RAW_PER_ALLOWED,
        };
        let others = match allowed {
            None => denied.len(),
            // If ids are consecutive, the missing ones are found without reading the whole list.
            Some(allowed) if denied.is_empty() && segment.ids_count_up() => count - allowed.len(),
            Some(_) => count,
        };
        let members = match allowed {
            None if denied.is_empty() => Members::Live,
            _ if segment.is_coded() && others <= EXCEPT_MOST && most > EXCEPT_MOST => {
                segment.load_maps()?;
                let others = allowed.map_or_else(|| segment.rows_of(denied), |allowed| segment.other_rows(allowed))?;
                let mut others = live_rows(view, others);
                others.sort_unstable();
                Members::Except(others)
            }
            _ if most > count / per_allowed => {
                segment.load_maps()?;
                Members::Tested
            }
            Some(allowed) if denied.is_empty() => Members::of_rows(view, segment.rows_of(allowed)?),
            Some(allowed) => {
                let kept: Vec<u64> = allowed.iter().copied().filter(|id| !ids.denies(*id)).collect();
                Members::of_rows(view, segment.rows_of(&kept)?)
            }
            None => Members::of_rows(view, segment.other_rows(denied)?),
        };
        let rows = segment.rows().max(1);
        let share = match &members {
            Members::Live => view.count() as f64 / f64::from(rows),
            Members::Except(others) => (view.count() as f64 - others.len() as f64) / f64::from(rows),
            Members::Listed(listed) => listed.len() as f64 / f64::from(rows),
            Members::Marked(words) => f64::from(ones_in(0..rows, |word| words[word])) / f64::from(rows),
            Members::Tested => most as f64 / count as f64 * (view.count() as f64 / count as f64),
        };
        Ok(RowSet { ids, hidden: &view.hidden, members, share: share.min(1.0) })
    }

    /// The rows of the tail.
    pub fn of_tail(view: &View<'a>, ids: &'a IdFilter<'a>) -> RowSet<'a> {
        let members = match ids.allowed() {
            None if ids.denied().is_empty() => Members::Live,
            Some(allowed) if allowed.len() <= view.visible as usize / RAW_PER_ALLOWED => {
                let allowed = allowed.iter().filter(|id| !ids.denies(**id));
                let mut rows: Vec<u32> = allowed.filter_map(|id| view.locate_in_tail(*id)).collect();
                rows.sort_unstable();
                Members::Listed(rows)
            }
            _ => Members::Tested,
        };
        RowSet { ids, hidden: &view.snapshot.tail_hidden, members, share: 1.0 }
    }

    /// The rows, ascending, if they are listed. Then no other row needs to be looked at.
    pub fn listed(&self) -> Option<&[u32]> {
        match &self.members {
            Members::Listed(rows) => Some(rows),
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
        match &self.members {
            Members::Live | Members::Tested => !self.hidden.hides(row),
            Members::Listed(_) => true,
            Members::Except(others) => !self.hidden.hides(row) && others.binary_search(&row).is_err(),
            Members::Marked(words) => words[row as usize / 64] >> (row % 64) & 1 == 1,
        }
    }

    /// True if rows that [`RowSet::may_have`] accepts are in the set only if [`RowSet::allows`] accepts their ids too.
    pub fn tests_ids(&self) -> bool {
        matches!(self.members, Members::Tested)
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

    /// Runs of consecutive blocks that hold the rows `first`, then of those that hold `others` (both ascending, not
    /// empty): each block once, without blocks that hold no row of the set.
    pub fn block_runs(&self, first: &[Range<u32>], others: &[Range<u32>]) -> Vec<Range<u32>> {
        let marked = match &self.members {
            Members::Marked(words) => Some(words),
            _ if first.is_empty() => return all_block_runs(others),
            _ => None,
        };
        let is_wanted =
            |block: u32| marked.is_none_or(|words| (words[block as usize / 2] >> (block % 2 * 32)) as u32 != 0);
        let mut runs = block_runs(first.iter().cloned(), is_wanted);
        let done = runs.clone();
        let is_done =
            |block: u32| done.get(done.partition_point(|run| run.end <= block)).is_some_and(|run| run.start <= block);
        runs.extend(block_runs(others.iter().cloned(), |block| is_wanted(block) && !is_done(block)));
        runs
    }

    /// How many rows of `ranges` are in the set. If ids are tested, the first `exact` are counted, and the
    /// number of others is estimated.
    pub fn count_in(&self, ranges: &[Range<u32>], exact: usize, id_of: impl Fn(u32) -> Result<u64>) -> Result<usize> {
        let within = |rows: &[u32], range: &Range<u32>| {
            let before = |row: u32| rows.partition_point(|other| *other < row);
            before(range.end) - before(range.start)
        };
        let live = |range: &Range<u32>| range.len() - self.hidden.count_in(range.clone()) as usize;
        let count = |range: &Range<u32>| match &self.members {
            Members::Listed(rows) => within(rows, range),
            Members::Marked(words) => ones_in(range.clone(), |word| words[word]) as usize,
            Members::Except(others) => live(range) - within(others, range),
            Members::Live | Members::Tested => live(range),
        };
        if self.tests_ids() { self.count_tested(ranges, exact, id_of) } else { Ok(ranges.iter().map(count).sum()) }
    }

    /// How many rows of `ranges` are in the set, by tests of ids: of each row until `exact` are found, then of rows at
    /// equal steps, about [`SAMPLES`] of them.
    fn count_tested(&self, ranges: &[Range<u32>], exact: usize, id_of: impl Fn(u32) -> Result<u64>) -> Result<usize> {
        let sparse = (ranges.iter().map(ExactSizeIterator::len).sum::<usize>() / SAMPLES).max(1);
        let (mut count, mut skipped) = (0, 0);
        for range in ranges {
            let mut at = skipped;
            while at < range.len() {
                let step = if count < exact { 1 } else { sparse };
                count += if self.has(range.start + at as u32, &id_of)? { step } else { 0 };
                at += step;
            }
            skipped = at - range.len();
        }
        Ok(count)
    }
}

impl Members {
    /// The live ones of `rows`, which may come in any order: marked where inverted lists pay, else listed.
    fn of_rows(view: &SegmentView, rows: Vec<u32>) -> Members {
        let mut rows = live_rows(view, rows);
        if view.segment.lists().is_none() || rows.len() <= FEW {
            rows.sort_unstable();
            return Members::Listed(rows);
        }
        let mut words = vec![0; view.segment.rows().div_ceil(64) as usize];
        rows.iter().for_each(|row| words[*row as usize / 64] |= 1 << (row % 64));
        Members::Marked(words)
    }
}

/// The live ones of `rows`.
fn live_rows(view: &SegmentView, mut rows: Vec<u32>) -> Vec<u32> {
    if view.hidden.count() > 0 {
        rows.retain(|row| !view.hidden.hides(*row));
    }
    rows
}

/// Runs of the consecutive blocks that hold `ranges` of rows, which ascend and are not empty.
fn all_block_runs(ranges: &[Range<u32>]) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::with_capacity(ranges.len());
    for rows in ranges {
        let (start, end) = (rows.start / BLOCK_ROWS as u32, rows.end.div_ceil(BLOCK_ROWS as u32));
        match runs.last_mut() {
            Some(last) if start <= last.end => last.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
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
    use std::ops::Range;

    #[test]
    fn runs_of_blocks_hold_the_wanted_rows_and_no_other_blocks() {
        let runs = |rows: &[Range<u32>]| block_runs(rows.iter().cloned(), |block| block != 5);
        assert_eq!(runs(&[64..66, 70..100]), runs(&[64..65, 99..100, 99..100]));
        assert_eq!(runs(&[0..1, 31..33, 100..101, 130..230, 230..240, 319..320]), [0..2, 3..5, 6..8, 9..10]);
    }
}
