//! Access paths: which rows of a segment a search visits, chosen once per segment and tile of queries.
//!
//! Every path yields parts (rows whose candidates are compared with each other) and runs of blocks of codes.

use super::request::SearchRequest;
use super::row_set::{RowSet, block_runs};
use crate::codec::QueryTable;
use crate::error::Result;
use crate::kernels::{BLOCK_ROWS, Hit, kernels};
use crate::segment::scales::RowClass;
use crate::snapshot::SegmentView;
use std::ops::Range;

/// Rows of a part. It does not depend on the number of threads, so that the answers do not either.
const PART_ROWS: usize = 1 << 17;

/// Raw rows that are read together.
const RUN_ROWS: usize = 1024;

/// Lists are visited until they have this many rows per neighbour.
const ROWS_PER_NEIGHBOUR: usize = 8;

/// See [`Region::probes_of_share`].
const LISTS_OF_SHARE: f64 = 0.75;

/// Of the lists to visit, the nearest one in so many are scanned first.
const LISTS_PER_FIRST: usize = 8;

/// The rows of a segment that are searched together, and the inverted lists that hold them.
pub struct Region<'a> {
    /// The segment.
    pub view: &'a SegmentView,
    /// The rows of the segment that may be found.
    pub set: &'a RowSet<'a>,
    /// The rows of the region.
    pub rows: Range<u32>,
    /// Its lists, all of whose rows are in the region; empty if there are none.
    pub lists: Range<u32>,
}

/// How the rows of a region are reached.
#[derive(Clone, Copy)]
pub enum AccessPath {
    /// Every row that may be found.
    All,
    /// Those in the inverted lists nearest to each query.
    Lists {
        /// Lists to visit; more if these have too few rows that may be found.
        probes: usize,
    },
}

impl<'a> Region<'a> {
    /// All rows of a segment.
    pub fn whole(view: &'a SegmentView, set: &'a RowSet<'a>) -> Region<'a> {
        Region { view, set, rows: 0..view.segment.rows(), lists: 0..view.segment.lists().unwrap_or(0) }
    }

    /// The rows of one class of a segment.
    pub fn of_class(view: &'a SegmentView, set: &'a RowSet<'a>, class: &RowClass) -> Region<'a> {
        let lists = class.first_list..class.first_list + view.segment.lists().unwrap_or(0);
        Region { view, set, rows: class.rows.clone(), lists }
    }

    /// The access path for `request`. Exact searches, effort 1 and listed rows need no lists.
    pub fn path(&self, request: &SearchRequest) -> Result<AccessPath> {
        if self.lists.is_empty() || request.is_exact || request.effort >= 1.0 || self.set.listed().is_some() {
            return Ok(AccessPath::All);
        }
        let probes = match request.effort {
            0.0 => f64::from(self.view.segment.visits()?.probes),
            effort => effort * self.lists.len() as f64,
        };
        Ok(AccessPath::Lists { probes: self.probes_of_share(probes) })
    }

    /// The nearest of fewer rows are farther away, and more lists may hold them: for a share s of the rows, s^(-1/8) times as
    /// many as `probes`, and ¾ s^(-1/4) times for less than a tenth (docs/performance.md). Square roots are the same on every machine.
    fn probes_of_share(&self, probes: f64) -> usize {
        let fourth = self.set.share().sqrt().sqrt();
        let times = fourth.sqrt().recip().max(LISTS_OF_SHARE / fourth);
        ((probes * times).ceil() as usize).clamp(1, self.lists.len())
    }

    /// Approximate number of bytes that one query of `request` reads.
    pub fn bytes_per_query(&self, request: &SearchRequest) -> Result<u64> {
        let share = match self.path(request)? {
            AccessPath::Lists { probes } => probes as f64 / self.lists.len() as f64,
            AccessPath::All if self.set.listed().is_some() => self.set.share(),
            AccessPath::All => 1.0,
        };
        let rows = self.rows.len() as f64 / f64::from(self.view.segment.rows().max(1));
        Ok((self.view.segment.entry().length as f64 * rows * share) as u64)
    }

    /// The parts in `share` of the rows that may be found.
    pub fn parts(&self, share: Share) -> impl Iterator<Item = Part<'a>> + use<'a> {
        Part::divide(self.rows.clone(), self.set.listed(), share)
    }

    /// Runs of the blocks of the `probes` lists nearest to `query`, whose table is `table`, those of the nearest few first;
    /// and of more lists if the query is unlike the rows and `request` has no effort, or if these lists have too few rows
    /// that may be found. The first and last block of a list also hold rows of other lists.
    pub fn runs_of_lists(
        &self,
        request: &SearchRequest,
        (query, table): (&[f32], &QueryTable),
        probes: usize,
    ) -> Result<Vec<Range<u32>>> {
        let (mut lists, k) = (self.lists_by_distance(table)?, request.k);
        let probes = if request.effort == 0.0 { self.probes_for(request, query, &lists)? } else { probes };
        // The nearest few leave a low limit, which most rows of the others exceed, so that their ids need no test.
        let first = if self.set.tests_ids() { (probes / LISTS_PER_FIRST).max(1) } else { 0 };
        let mut near = Vec::new();
        self.add_rows(&mut lists, 0..first, &mut near)?;
        let count_first = near.len();
        let (mut visited, mut next) = (first, probes);
        loop {
            self.add_rows(&mut lists, visited..next, &mut near)?;
            near[count_first..].sort_unstable_by_key(|rows: &Range<u32>| rows.start);
            visited = next;
            let is_enough = || -> Result<bool> {
                let found = self.set.count_in(&near, k, |row| self.view.segment.id_of(row))?;
                Ok(found >= self.rows_needed(probes, k))
            };
            if visited == lists.len() || is_enough()? {
                return Ok(self.set.block_runs(&near[..count_first], &near[count_first..]));
            }
            next = (2 * visited).min(lists.len());
        }
    }

    /// The number of lists that `query` visits by default, whose distances from `lists` are given.
    fn probes_for(&self, request: &SearchRequest, query: &[f32], lists: &[(f32, u32)]) -> Result<usize> {
        let (visits, norm) = (self.view.segment.visits()?, kernels().dot(query, query).sqrt());
        let lists = visits.lists(request.metric, norm, lists.iter().map(|(distance, _)| *distance));
        Ok(self.probes_of_share(lists as f64))
    }

    /// How many rows that may be found the visited lists must have, if `probes` lists should do.
    fn rows_needed(&self, probes: usize, k: usize) -> usize {
        let at_least = ROWS_PER_NEIGHBOUR.saturating_mul(k);
        let share = self.set.share();
        if share == 1.0 {
            return at_least;
        }
        // Where the allowed rows are elsewhere, the nearest lists may hold hardly any of them. Half of what as many lists
        // hold on average is enough.
        let on_average = share * self.rows.len() as f64 * probes as f64 / self.lists.len() as f64;
        at_least.max((on_average / 2.0) as usize)
    }

    /// Moves the nearest of `lists` (distances and numbers) to the positions `range`, before which are nearer ones, and
    /// adds their rows to `near`, in ascending order.
    fn add_rows(&self, lists: &mut [(f32, u32)], range: Range<usize>, near: &mut Vec<Range<u32>>) -> Result<()> {
        if !range.is_empty() && range.end < lists.len() {
            let rest = &mut lists[range.start..];
            rest.select_nth_unstable_by(range.len(), |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        }
        let before = near.len();
        for (_, list) in &lists[range] {
            let rows = self.view.segment.rows_of_list(*list)?;
            near.extend((!rows.is_empty()).then_some(rows));
        }
        near[before..].sort_unstable_by_key(|rows| rows.start);
        Ok(())
    }

    /// Distance of the centroid of each list to the query of `table`, with the number of the list. The codes of
    /// centroids are scanned like those of rows.
    fn lists_by_distance(&self, table: &QueryTable) -> Result<Vec<(f32, u32)>> {
        let (centroids, norms) = self.view.segment.centroids()?;
        let mut hits = Vec::with_capacity(norms.len().next_multiple_of(BLOCK_ROWS));
        kernels().scan(&table.scan_of_symbols(), centroids, 0, u16::MAX, &mut hits);
        let distance = |(hit, norm): (&Hit, &[u8; 4])| table.distance_of_symbols(hit.score, f32::from_le_bytes(*norm));
        Ok(hits.iter().zip(norms).map(distance).zip(self.lists.clone()).collect())
    }
}

/// One of equal shares of the rows, for one of several threads.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// From 0.
    pub number: usize,
    /// Number of shares.
    pub of: usize,
}

impl Share {
    /// The range of `count` items that belongs to this share.
    fn range(self, count: usize) -> Range<usize> {
        count * self.number / self.of..count * (self.number + 1) / self.of
    }

    /// True if item number `index`, which cannot be divided, belongs to this share.
    pub fn owns(self, index: usize) -> bool {
        index % self.of == self.number
    }
}

/// Rows of a segment or of the tail that are searched together.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// These, ascending.
    Rows(&'a [u32]),
    /// From the first row up to the second, which is excluded.
    Range(u32, u32),
}

impl<'a> Part<'a> {
    /// The parts in `share`, of `rows` or of those of them that are `listed` (ascending).
    pub fn divide(
        rows: Range<u32>,
        listed: Option<&'a [u32]>,
        share: Share,
    ) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let listed = listed.map(|listed| {
            let before = |row: u32| listed.partition_point(|other| *other < row);
            &listed[before(rows.start)..before(rows.end)]
        });
        let total = listed.map_or(rows.len(), <[u32]>::len);
        share.range(total.div_ceil(PART_ROWS)).map(move |part| {
            let (start, end) = (part * PART_ROWS, ((part + 1) * PART_ROWS).min(total));
            match listed {
                Some(listed) => Part::Rows(&listed[start..end]),
                None => Part::Range(rows.start + start as u32, rows.start + end as u32),
            }
        })
    }

    /// Number of rows.
    pub fn count(self) -> usize {
        match self {
            Part::Rows(rows) => rows.len(),
            Part::Range(begin, end) => (end - begin) as usize,
        }
    }

    /// Row number `index` of [`Part::count`].
    pub fn row(self, index: usize) -> u32 {
        match self {
            Part::Rows(rows) => rows[index],
            Part::Range(begin, _) => begin + index as u32,
        }
    }

    /// The number of its rows that are before `row`.
    pub fn index_of(self, row: u32) -> usize {
        match self {
            Part::Rows(rows) => rows.partition_point(|other| *other < row),
            Part::Range(begin, end) => (row.clamp(begin, end) - begin) as usize,
        }
    }

    /// True if `row` is in it.
    pub fn contains(self, row: u32) -> bool {
        match self {
            Part::Rows(rows) => rows.binary_search(&row).is_ok(),
            Part::Range(begin, end) => (begin..end).contains(&row),
        }
    }

    /// Runs of consecutive rows to be read together.
    pub fn row_runs(self) -> impl Iterator<Item = Range<u32>> {
        let at_once = if matches!(self, Part::Rows(_)) { 1 } else { RUN_ROWS };
        (0..self.count()).step_by(at_once).map(move |index| {
            let first = self.row(index);
            first..first + at_once.min(self.count() - index) as u32
        })
    }

    /// Runs of consecutive blocks that hold these rows, without the blocks that hold no row of `set`.
    pub fn block_runs(self, set: &RowSet) -> Vec<Range<u32>> {
        match self {
            Part::Range(begin, end) => set.block_runs(std::slice::from_ref(&(begin..end)), &[]),
            Part::Rows(rows) => block_runs(rows.iter().map(|row| *row..*row + 1), |_| true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PART_ROWS, Part, Share};

    #[test]
    fn shares_have_each_row_once() {
        let listed: Vec<u32> = (0..3 * PART_ROWS as u32 + 5).map(|row| row * 2).collect();
        let (most, last) = (u32::MAX, 4 * PART_ROWS as u32 + 1);
        for of in 1..6 {
            for (rows, listed) in
                [(0..0, None), (32..77, None), (0..last, None), (0..most, Some(&*listed)), (3..9, Some(&*listed))]
            {
                let parts = (0..of).flat_map(|number| Part::divide(rows.clone(), listed, Share { number, of }));
                let found: Vec<u32> = parts.flat_map(|part| (0..part.count()).map(move |at| part.row(at))).collect();
                let expected = match listed {
                    Some(listed) => listed.iter().copied().filter(|row| rows.contains(row)).collect(),
                    None => rows.clone().collect::<Vec<u32>>(),
                };
                assert!(found == expected, "{rows:?} of {of}");
            }
        }
    }
}
