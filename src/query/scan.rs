//! The scan: integer scores of codes, block by block. Codes that may be among the k nearest go to a reservoir per
//! query.
//!
//! The rows that are left in a reservoir depend on the scores alone, so every access path to the same rows keeps the
//! same ones.

use super::access::Part;
use super::request::Tile;
use super::reservoir::Reservoir;
use super::row_set::{Gathered, RowSet, gather};
use super::top::TopK;
use crate::codec::{Codebook, QueryTable, block};
use crate::error::Result;
use crate::kernels::{self, BLOCK_ROWS, Hit, Scan, kernels};
use crate::segment::tombstones::Tombstones;
use crate::snapshot::SegmentView;
use std::ops::Range;

/// Approximate number of bytes of codes that are scored for one query before the next query scores them.
const BYTES_AT_ONCE: usize = 128 << 10;

/// Blocks whose products and lengths are scored before they are combined (cosine of scalar codes).
const COSINE_BLOCKS: usize = 32;

/// One query while it scans codes of one codebook.
pub struct Scanner<'a> {
    /// Its number in the tile.
    pub query: usize,
    /// Neighbours to find.
    pub k: usize,
    /// The table of the query for this codebook.
    pub table: &'a QueryTable<'a>,
    /// The candidates so far.
    pub reservoir: Reservoir,
}

impl<'a> Scanner<'a> {
    /// One for each query of `tile` that has a table.
    pub fn all(tile: &Tile, tables: &'a [Option<QueryTable<'a>>], tops: &[TopK]) -> Vec<Scanner<'a>> {
        let queries = tables.iter().zip(tops).enumerate();
        let scanner = |(query, (table, top)): (usize, (&'a Option<QueryTable<'a>>, &TopK))| {
            Some(Scanner::new(query, table.as_ref()?, top, tile.request.rerank))
        };
        queries.filter_map(scanner).collect()
    }

    /// A scanner whose reservoir keeps no score above the limit that the bound of `top` gives.
    fn new(query: usize, table: &'a QueryTable<'a>, top: &TopK, rerank: usize) -> Scanner<'a> {
        let reservoir = Reservoir::new(table.candidates(top.k(), rerank), table.slack(), table.limit(top.bound()));
        Scanner { query, k: top.k(), table, reservoir }
    }

    /// Scores `blocks`, the first of which has number `first`, and keeps candidates among the rows that `accepts`.
    fn score(&mut self, blocks: &[u8], first: u32, accepts: impl Fn(u32) -> bool) {
        let scan = self.table.scan();
        if let Some(lengths) = self.table.scan_of_lengths() {
            return self.score_by_cosine([&scan, &lengths], blocks, first, accepts);
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
            self.reservoir.tighten(&accepts);
        }
    }

    /// As `score`, if a score combines those of two `scans`: of products and of lengths.
    fn score_by_cosine(&mut self, scans: [&Scan; 2], blocks: &[u8], first: u32, accepts: impl Fn(u32) -> bool) {
        let [products, lengths] = &mut [const { Vec::new() }; 2];
        let mut first_row = first * BLOCK_ROWS as u32;
        for part in blocks.chunks(COSINE_BLOCKS * scans[0].block_bytes) {
            for (scan, hits) in scans.iter().zip([&mut *products, &mut *lengths]) {
                hits.clear();
                hits.reserve(COSINE_BLOCKS * BLOCK_ROWS);
                kernels().scan(scan, part, first_row, u16::MAX, hits);
            }
            let limit = self.reservoir.limit();
            self.reservoir.hits.extend(products.iter().zip(&*lengths).filter_map(|(product, length)| {
                let score = self.table.score_by_direction(product.score, length.score);
                (score <= limit).then_some(Hit { score, row: product.row })
            }));
            self.reservoir.tighten(&accepts);
            first_row += (COSINE_BLOCKS * BLOCK_ROWS) as u32;
        }
    }
}

/// Codes to scan: blocks, and which of their rows are accepted.
#[derive(Clone, Copy)]
enum Codes<'a> {
    /// The blocks of the segment; rows of this part are accepted.
    Stored(Part<'a>),
    /// Blocks of the codes of `rows`, from block number `first` on. A hit's row is a slot: an index in `rows`.
    Gathered { rows: &'a [u32], blocks: &'a [u8], first: u32 },
}

/// The scan of one segment for the queries of some scanners.
pub struct CodeScan<'a> {
    /// The segment.
    pub segment: &'a SegmentView,
    /// The codebook of its codes.
    pub book: &'a Codebook,
}

impl CodeScan<'_> {
    /// Scans the blocks of `runs` in the segment; accepts rows of `part`.
    pub fn scan_runs(&self, scanners: &mut [Scanner], part: Part, runs: &[Range<u32>]) -> Result<()> {
        self.scan(scanners, Codes::Stored(part), runs)?;
        self.finish(scanners, Codes::Stored(part));
        Ok(())
    }

    /// Scans `rows` of `set`, in the segment or in gathered blocks. If the set keeps the gathered blocks, they are
    /// returned, and the rows of reservoirs are slots in them.
    pub fn scan_set<'s>(
        &self,
        scanners: &mut [Scanner],
        set: &'s RowSet,
        rows: &[u32],
    ) -> Result<Option<Gathered<'s>>> {
        if !set.is_gathered() {
            let runs = Part::Rows(rows).block_runs();
            let scored = scanners.len() * runs.iter().map(ExactSizeIterator::len).sum::<usize>();
            if !set.should_gather(rows, scored) {
                return self.scan_runs(scanners, Part::Rows(rows), &runs).map(|()| None);
            }
        }
        let gathered = if rows.len() == set.rows().len() { set.gathered(self.segment, self.book)? } else { None };
        match gathered {
            Some(gathered) => self.scan_gathered(scanners, rows, gathered.blocks)?,
            None => self.scan_gathering(scanners, rows)?,
        }
        Ok(gathered)
    }

    /// Scans the gathered `blocks` of `rows`.
    fn scan_gathered(&self, scanners: &mut [Scanner], rows: &[u32], blocks: &[u8]) -> Result<()> {
        let codes = Codes::Gathered { rows, blocks, first: 0 };
        let run = 0..rows.len().div_ceil(BLOCK_ROWS) as u32;
        self.scan(scanners, codes, std::slice::from_ref(&run))?;
        self.finish(scanners, codes);
        Ok(())
    }

    /// Gathers the codes of `rows`, a few blocks at a time, and scans them.
    fn scan_gathering(&self, scanners: &mut [Scanner], rows: &[u32]) -> Result<()> {
        let at_once = self.blocks_at_once() as usize;
        let mut blocks = Vec::new();
        for (number, part) in rows.chunks(at_once * BLOCK_ROWS).enumerate() {
            gather(self.segment, self.book, part, &mut blocks)?;
            let first = (number * at_once) as u32;
            let run = first..first + part.len().div_ceil(BLOCK_ROWS) as u32;
            self.scan(scanners, Codes::Gathered { rows, blocks: &blocks, first }, std::slice::from_ref(&run))?;
        }
        self.finish(scanners, Codes::Gathered { rows, blocks: &[], first: 0 });
        scanners.iter_mut().for_each(|scanner| scanner.reservoir.map_rows(|slot| rows[slot as usize]));
        Ok(())
    }

    /// Scores the blocks of `runs`.
    fn scan(&self, scanners: &mut [Scanner], codes: Codes, runs: &[Range<u32>]) -> Result<()> {
        let at_once = self.blocks_at_once();
        for (number, run) in runs.iter().enumerate() {
            if let ([scanner], Some(next)) = (&*scanners, runs.get(number + 1)) {
                let scored_bytes = scanner.table.scan().tables.len() * BLOCK_ROWS;
                kernels::prefetch(&self.blocks(codes, next.start..next.start + 1)?[..scored_bytes]);
            }
            for first in run.clone().step_by(at_once as usize) {
                let blocks = self.blocks(codes, first..run.end.min(first + at_once))?;
                for scanner in scanners.iter_mut() {
                    scanner.score(blocks, first, |row| codes.accepts(row, &self.segment.hidden));
                }
            }
        }
        Ok(())
    }

    /// Tightens the reservoirs for the last hits.
    fn finish(&self, scanners: &mut [Scanner], codes: Codes) {
        let accepts = |row| codes.accepts(row, &self.segment.hidden);
        scanners.iter_mut().for_each(|scanner| scanner.reservoir.tighten(accepts));
    }

    fn blocks<'b>(&'b self, codes: Codes<'b>, numbers: Range<u32>) -> Result<&'b [u8]> {
        let Codes::Gathered { blocks, first, .. } = codes else { return self.segment.segment.blocks(numbers) };
        let block_bytes = self.block_bytes();
        Ok(&blocks[(numbers.start - first) as usize * block_bytes..][..numbers.len() * block_bytes])
    }

    fn block_bytes(&self) -> usize {
        block::bytes(self.book.row_bytes())
    }

    fn blocks_at_once(&self) -> u32 {
        (BYTES_AT_ONCE / self.block_bytes()).max(1) as u32
    }
}

impl Codes<'_> {
    /// True if `row` of a hit is accepted. Blocks also hold padding after the last row, and rows outside of the part.
    #[inline]
    fn accepts(self, row: u32, hidden: &Tombstones) -> bool {
        match self {
            Codes::Stored(part) => part.contains(row) && !hidden.hides(row),
            Codes::Gathered { rows, .. } => rows.get(row as usize).is_some_and(|row| !hidden.hides(*row)),
        }
    }
}
