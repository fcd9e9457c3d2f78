//! Access paths: which rows of a segment a search visits, chosen once per segment and tile of queries.
//!
//! Every path yields parts (rows whose candidates are compared with each other) and runs of blocks of codes.

use super::request::SearchRequest;
use super::row_set::RowSet;
use crate::codec::QueryTable;
use crate::error::Result;
use crate::kernels::{BLOCK_ROWS, Hit, kernels};
use crate::segment::Segment;
use std::ops::Range;

/// Rows of a part. It does not depend on the number of threads, so that the answers do not either.
const PART_ROWS: usize = 1 << 17;

/// Raw rows that are read together.
const RUN_ROWS: usize = 1024;

/// Lists are visited until they have this many rows per neighbour.
const ROWS_PER_NEIGHBOUR: usize = 8;

/// How the rows of one segment are reached.
#[derive(Clone, Copy)]
pub enum AccessPath<'a> {
    /// Every row.
    All,
    /// The `probes` of `count` inverted lists that are nearest to each query.
    Lists {
        /// Lists of the segment.
        count: u32,
        /// Lists to visit; more if these have too few rows.
        probes: usize,
    },
    /// The rows that a filter allows.
    Rows(&'a RowSet),
}

impl<'a> AccessPath<'a> {
    /// The path for `request` in `segment`. A filter leads to all its rows; exact searches and effort 1 lead to every
    /// row.
    pub fn choose(segment: &Segment, request: &SearchRequest, allowed: Option<&'a RowSet>) -> Result<AccessPath<'a>> {
        if let Some(allowed) = allowed {
            return Ok(AccessPath::Rows(allowed));
        }
        let Some(count) = segment.lists().filter(|_| !request.is_exact && request.effort < 1.0) else {
            return Ok(AccessPath::All);
        };
        let probes = match request.effort {
            0.0 => segment.probes()? as usize,
            effort => (effort * f64::from(count)).ceil() as usize,
        };
        Ok(AccessPath::Lists { count, probes })
    }

    /// Approximate fraction of the segment's bytes that one query reads.
    pub fn fraction(&self) -> f64 {
        match self {
            AccessPath::Lists { count, probes } => *probes as f64 / f64::from(*count),
            AccessPath::All | AccessPath::Rows(_) => 1.0,
        }
    }

    /// The parts of `segment` in `share`, of all rows or the allowed ones. Queries without a table use them also if the
    /// path is inverted lists.
    pub fn parts(&self, segment: &Segment, share: Share) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let allowed = match self {
            AccessPath::Rows(set) => Some(set.rows()),
            AccessPath::All | AccessPath::Lists { .. } => None,
        };
        Part::divide(segment.rows(), allowed, share)
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
    /// From the first row, a multiple of 32, up to the second, which is excluded: a multiple of 32 or the number of
    /// rows.
    Range(u32, u32),
}

impl<'a> Part<'a> {
    /// The parts in `share`, of the rows `0..count` or of those `allowed`.
    pub fn divide(count: u32, allowed: Option<&'a [u32]>, share: Share) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let total = allowed.map_or(count as usize, <[u32]>::len);
        share.range(total.div_ceil(PART_ROWS)).map(move |part| {
            let rows = part * PART_ROWS..((part + 1) * PART_ROWS).min(total);
            match allowed {
                Some(allowed) => Part::Rows(&allowed[rows]),
                None => Part::Range(rows.start as u32, rows.end as u32),
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

    /// Runs of consecutive blocks that hold these rows.
    pub fn block_runs(self) -> Vec<Range<u32>> {
        match self {
            Part::Range(begin, end) => block_runs(std::iter::once(begin..end)),
            Part::Rows(rows) => block_runs(rows.iter().map(|row| *row..*row + 1)),
        }
    }
}

/// Runs of consecutive blocks that hold `rows`: ranges that ascend and are not empty.
fn block_runs(rows: impl Iterator<Item = Range<u32>>) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for rows in rows {
        let (start, end) = (rows.start / BLOCK_ROWS as u32, rows.end.div_ceil(BLOCK_ROWS as u32));
        match runs.last_mut() {
            Some(last) if start <= last.end => last.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

/// Runs of the blocks of the `probes` lists, of `count`, nearest to the query of `table`; and of more lists if these
/// have too few rows for `k` neighbours. The first and last block of a list also hold rows of other lists.
pub fn runs_of_lists(
    segment: &Segment,
    table: &QueryTable,
    count: u32,
    probes: usize,
    k: usize,
) -> Result<Vec<Range<u32>>> {
    let mut lists = lists_by_distance(segment, table, count)?;
    let rows_needed = ROWS_PER_NEIGHBOUR.saturating_mul(k).min(segment.rows() as usize);
    let (mut visited, mut rows, mut near) = (0, 0, Vec::new());
    while visited < lists.len() && (visited < probes || rows < rows_needed) {
        // All probes first, then double the number of lists each time.
        let next = probes.max(2 * visited).clamp(visited + 1, lists.len());
        if next < lists.len() {
            lists[visited..].select_nth_unstable_by(next - visited, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        }
        for (_, list) in &lists[visited..next] {
            let rows_of_list = segment.rows_of_list(*list)?;
            rows += rows_of_list.len();
            near.push(rows_of_list);
        }
        visited = next;
    }
    near.retain(|rows| !rows.is_empty());
    near.sort_unstable_by_key(|rows| rows.start);
    Ok(block_runs(near.into_iter()))
}

/// Distance of the centroid of each of `count` lists to the query of `table`, with the number of the list. The codes of
/// centroids are scanned like those of rows.
fn lists_by_distance(segment: &Segment, table: &QueryTable, count: u32) -> Result<Vec<(f32, u32)>> {
    let (centroids, norms) = segment.centroids()?;
    let mut hits = Vec::with_capacity((count as usize).next_multiple_of(BLOCK_ROWS));
    kernels().scan(&table.scan_of_symbols(), centroids, 0, u16::MAX, &mut hits);
    let distance = |(hit, norm): (&Hit, &[u8; 4])| table.distance_of_symbols(hit.score, f32::from_le_bytes(*norm));
    Ok(hits.iter().zip(norms).map(distance).zip(0..).collect())
}

#[cfg(test)]
mod tests {
    use super::{PART_ROWS, Part, Share};

    #[test]
    fn shares_have_each_row_once() {
        let allowed: Vec<u32> = (0..3 * PART_ROWS as u32 + 5).map(|row| row * 2).collect();
        for of in 1..6 {
            for (count, allowed) in [(0, None), (77, None), (4 * PART_ROWS as u32 + 1, None), (9, Some(&*allowed))] {
                let parts = (0..of).flat_map(|number| Part::divide(count, allowed, Share { number, of }));
                let rows: Vec<u32> = parts.flat_map(|part| (0..part.count()).map(move |at| part.row(at))).collect();
                assert!(rows.iter().copied().eq(allowed.map_or((0..count).collect(), <[u32]>::to_vec)));
            }
        }
    }

    #[test]
    fn runs_of_blocks_hold_the_rows_and_no_other_blocks() {
        assert!(Part::Range(64, 100).block_runs().into_iter().eq(std::iter::once(2..4)));
        assert_eq!(Part::Rows(&[0, 31, 32, 100, 300, 319]).block_runs(), [0..2, 3..4, 9..10]);
    }
}
