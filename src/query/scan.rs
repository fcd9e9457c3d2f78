//! The scan of codes as they lie: of whole segments, of the rows a caller allows, of the inverted lists near a query.
//!
//! What is kept on the way depends on the scores alone (`search::Reservoir`), so all ways to the same rows find the same.

use super::filter::{Apart, ChosenRows};
use super::reservoir::Reservoir;
use super::rows::{Rows, blocks_of};
use super::top::TopK;
use crate::codec::{Codebook, QueryTable, block};
use crate::error::Result;
use crate::kernels::{self, BLOCK_ROWS, Hit, Scan, kernels};
use crate::snapshot::SegmentView;
use std::ops::Range;

/// About how many bytes of codes are scored for one query before the next has its turn.
const BYTES_AT_ONCE: usize = 128 << 10;

/// Blocks that are scored by direction together.
const BLOCKS_BY_DIRECTION: usize = 32;

/// Lists are visited until they have so many rows for each neighbour that is asked for.
const ROWS_A_NEIGHBOUR: usize = 8;

/// One query while codes of one book are scanned.
pub struct Scanner<'a> {
    /// Its number in the tile.
    pub query: usize,
    /// Neighbours that are asked for.
    pub k: usize,
    /// Of the query and the book.
    pub table: &'a QueryTable<'a>,
    /// What was kept so far.
    pub reservoir: Reservoir,
}

impl<'a> Scanner<'a> {
    /// One for each query that has a table.
    pub fn all(tables: &'a [Option<QueryTable<'a>>], tops: &[TopK], rerank: usize) -> Vec<Scanner<'a>> {
        let queries = tables.iter().zip(tops).enumerate();
        queries.filter_map(|(query, (table, top))| Some(Scanner::new(query, table.as_ref()?, top, rerank))).collect()
    }

    /// What is farther than all that `top` keeps need not be looked at.
    fn new(query: usize, table: &'a QueryTable<'a>, top: &TopK, rerank: usize) -> Scanner<'a> {
        let reservoir = Reservoir::new(table.candidates(top.k(), rerank), table.slack(), table.limit(top.bound()));
        Scanner { query, k: top.k(), table, reservoir }
    }

    /// Scores `blocks`, the first of which is number `first` of the segment.
    fn scan(&mut self, blocks: &[u8], first: u32, wanted: impl Fn(u32) -> bool) {
        let scan = self.table.scan();
        if let Some(lengths) = self.table.scan_of_lengths() {
            return self.scan_directions([&scan, &lengths], blocks, first, wanted);
        }
        let (mut rest, mut first) = (blocks, first);
        loop {
            let limit = self.reservoir.limit();
            let done = kernels().scan(&scan, rest, first * BLOCK_ROWS as u32, limit, &mut self.reservoir.hits);
            rest = &rest[done * scan.block_bytes..];
            first += done as u32;
            if rest.is_empty() {
                return;
            }
            self.reservoir.tighten(&wanted);
        }
    }
}

impl Scanner<'_> {
    /// The same where a score is made of those of two `scans`: of products and of lengths.
    fn scan_directions(&mut self, scans: [&Scan; 2], blocks: &[u8], first: u32, wanted: impl Fn(u32) -> bool) {
        let [products, lengths] = &mut [const { Vec::new() }; 2];
        let mut first_row = first * BLOCK_ROWS as u32;
        for part in blocks.chunks(BLOCKS_BY_DIRECTION * scans[0].block_bytes) {
            for (scan, hits) in scans.iter().zip([&mut *products, &mut *lengths]) {
                hits.clear();
                hits.reserve(BLOCKS_BY_DIRECTION * BLOCK_ROWS);
                kernels().scan(scan, part, first_row, u16::MAX, hits);
            }
            let limit = self.reservoir.limit();
            self.reservoir.hits.extend(products.iter().zip(&*lengths).filter_map(|(product, length)| {
                let score = self.table.score_by_direction(product.score, length.score);
                (score <= limit).then_some(Hit { score, row: product.row })
            }));
            self.reservoir.tighten(&wanted);
            first_row += (BLOCKS_BY_DIRECTION * BLOCK_ROWS) as u32;
        }
    }
}

impl SegmentView {
    /// Scores the codes of `rows`, which are of those `chosen` if not all rows are in question, and keeps in each reservoir
    /// what may count: rows of the segment, or of the blocks that are returned.
    pub fn scan<'a>(
        &self,
        book: &Codebook,
        scanners: &mut [Scanner],
        rows: Rows,
        chosen: Option<&'a ChosenRows>,
    ) -> Result<Option<Apart<'a>>> {
        let (Rows::Chosen(part), Some(chosen)) = (rows, chosen) else {
            return self.scan_blocks(scanners, rows, rows.blocks()).map(|()| None);
        };
        if !chosen.is_gathered() {
            let blocks = rows.blocks();
            let scored = scanners.len() * blocks.iter().map(ExactSizeIterator::len).sum::<usize>();
            if !chosen.gathers_after(part, scored) {
                return self.scan_blocks(scanners, rows, blocks).map(|()| None);
            }
        }
        let apart = if part.len() == chosen.rows.len() { chosen.apart(self, book)? } else { None };
        self.scan_apart(book, scanners, part, apart).map(|()| apart)
    }

    /// Scores `rows` in blocks that are made of them: those of `apart`, or some at a time.
    fn scan_apart(&self, book: &Codebook, scanners: &mut [Scanner], rows: &[u32], apart: Option<Apart>) -> Result<()> {
        let block_bytes = block::bytes(book.row_bytes());
        let at_once = (BYTES_AT_ONCE / block_bytes).max(1);
        let mut gathered = Vec::new();
        let wanted = |place: u32| rows.get(place as usize).is_some_and(|row| !self.hidden.hides(*row));
        for (number, part) in rows.chunks(at_once * BLOCK_ROWS).enumerate() {
            let first = number * at_once;
            let blocks = match apart {
                Some(apart) => &apart.blocks[first * block_bytes..][..part.len().div_ceil(BLOCK_ROWS) * block_bytes],
                None => {
                    self.gather(book, part, &mut gathered)?;
                    &gathered
                }
            };
            scanners.iter_mut().for_each(|scanner| scanner.scan(blocks, first as u32, wanted));
        }
        for scanner in scanners {
            scanner.reservoir.tighten(wanted);
            if apart.is_none() {
                scanner.reservoir.rename(|place| rows[place as usize]);
            }
        }
        Ok(())
    }

    /// Scores `blocks`, which have any of `rows`.
    fn scan_blocks(&self, scanners: &mut [Scanner], rows: Rows, blocks: Vec<Range<u32>>) -> Result<()> {
        let wanted = |row: u32| rows.contains(row) && !self.hidden.hides(row);
        let at_once = (BYTES_AT_ONCE / block::bytes(self.segment.row_bytes())).max(1);
        for blocks in blocks {
            for first in blocks.clone().step_by(at_once) {
                let bytes = self.segment.blocks(first..blocks.end.min(first + at_once as u32))?;
                for scanner in scanners.iter_mut() {
                    scanner.scan(bytes, first, wanted);
                }
            }
        }
        scanners.iter_mut().for_each(|scanner| scanner.reservoir.tighten(wanted));
        Ok(())
    }

    /// Scores the blocks of those of `count` lists that are near the query, and keeps what may count. The other rows of
    /// these blocks are looked at too.
    pub fn scan_lists(&self, scanner: &mut Scanner, count: u32, effort: f64) -> Result<()> {
        let wanted = |row: u32| row < self.segment.rows() && !self.hidden.hides(row);
        let near = blocks_of(self.lists_near(scanner, count, effort)?.into_iter());
        let scored_bytes = scanner.table.scan().tables.len() * BLOCK_ROWS;
        for (number, blocks) in near.iter().enumerate() {
            if let Some(next) = near.get(number + 1) {
                kernels::bring_near(&self.segment.block(next.start)?[..scored_bytes]);
            }
            scanner.scan(self.segment.blocks(blocks.clone())?, blocks.start, wanted);
        }
        scanner.reservoir.tighten(wanted);
        Ok(())
    }

    /// The rows of those of `count` lists whose centroids are nearest to the query, ascending; none is empty.
    fn lists_near(&self, scanner: &Scanner, count: u32, effort: f64) -> Result<Vec<Range<u32>>> {
        let mut lists = self.lists_by_distance(scanner.table, count)?;
        let chosen =
            if effort > 0.0 { (effort * f64::from(count)).ceil() as usize } else { self.segment.probes()? as usize };
        let wanted_rows = (ROWS_A_NEIGHBOUR * scanner.k).min(self.segment.rows() as usize);
        let (mut visited, mut rows, mut near) = (0, 0, Vec::new());
        while visited < lists.len() && (visited < chosen || rows < wanted_rows) {
            let next = chosen.max(2 * visited).clamp(visited + 1, lists.len());
            if next < lists.len() {
                lists[visited..].select_nth_unstable_by(next - visited, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            }
            for (_, list) in &lists[visited..next] {
                let of_list = self.segment.rows_of_list(*list)?;
                rows += of_list.len();
                near.push(of_list);
            }
            visited = next;
        }
        near.retain(|rows| !rows.is_empty());
        near.sort_unstable_by_key(|rows| rows.start);
        Ok(near)
    }

    /// For each of `count` lists how far its centroid is from the query of `table`, by a scan like that of rows; and its
    /// number.
    fn lists_by_distance(&self, table: &QueryTable, count: u32) -> Result<Vec<(f32, u32)>> {
        let (centroids, norms) = self.segment.centroids()?;
        let mut hits = Vec::with_capacity((count as usize).next_multiple_of(BLOCK_ROWS));
        kernels().scan(&table.scan_of_symbols(), centroids, 0, u16::MAX, &mut hits);
        let distance = |(hit, norm): (&Hit, &[u8; 4])| table.distance_of_symbols(hit.score, f32::from_le_bytes(*norm));
        Ok(hits.iter().zip(norms).map(distance).zip(0..).collect())
    }
}
