//! The scan: integer scores of codes, block by block. Codes that may be among the k nearest go to a reservoir per
//! query.
//!
//! The rows that are left in a reservoir depend on the scores alone, so every access path to the same rows keeps the
//! same ones.

use super::access::Part;
use super::request::SearchRequest;
use super::reservoir::Reservoir;
use super::row_set::RowSet;
use crate::codec::{Codebook, QueryTable, block};
use crate::error::Result;
use crate::kernels::{self, BLOCK_ROWS, Hit, Scan, kernels};
use crate::snapshot::SegmentView;
use std::ops::Range;

/// Approximate number of bytes of codes that are scored for one query before the next query scores them.
const BYTES_AT_ONCE: usize = 128 << 10;

/// Copying a row out of its block takes about as long as scoring so many blocks for one query.
const BLOCKS_PER_COPY: usize = 2;

/// Blocks whose products and lengths are scored before they are combined (cosine of scalar codes).
const COSINE_BLOCKS: usize = 32;

/// One query while it scans codes of one codebook.
pub struct Scanner<'a> {
    /// Its number in the tile.
    pub query: usize,
    /// The table of the query for this codebook.
    pub table: &'a QueryTable<'a>,
    /// The candidates so far.
    pub reservoir: Reservoir,
}

impl<'a> Scanner<'a> {
    /// The scanner of query number `query` of a tile, for the rows of `set` at most as far as `bound`.
    pub fn new(
        query: usize,
        table: &'a QueryTable<'a>,
        set: &RowSet,
        request: &SearchRequest,
        bound: f32,
    ) -> Scanner<'a> {
        let candidates = table.candidates(request.k, request.rerank);
        let reservoir = Reservoir::new(candidates, table.slack(request.rerank), table.limit(bound), set.tests_ids());
        Scanner { query, table, reservoir }
    }

    /// The candidates, and for each a range in which its distance probably is; without those of score 0.
    pub fn candidates(&self) -> impl Iterator<Item = (u32, (f32, f32))> + '_ {
        self.reservoir.hits.iter().map(|hit| (hit.row, self.table.range(hit.score, self.reservoir.slack(hit.score))))
    }

    /// Scores `blocks`, the first of which has number `first`, and keeps candidates among the rows that `accepts`.
    fn score(&mut self, blocks: &[u8], first: u32, accepts: impl Fn(u32) -> Result<bool>) -> Result<()> {
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
                return Ok(());
            }
            self.reservoir.tighten(&accepts)?;
        }
    }

    /// As `score`, if a score combines those of two `scans`: of products and of lengths.
    fn score_by_cosine(
        &mut self,
        scans: [&Scan; 2],
        blocks: &[u8],
        first: u32,
        accepts: impl Fn(u32) -> Result<bool>,
    ) -> Result<()> {
        let [products, lengths] = &mut [const { Vec::new() }; 2];
        let mut first_row = first * BLOCK_ROWS as u32;
        for part in blocks.chunks(COSINE_BLOCKS * scans[0].block_bytes) {
            for (scan, hits) in scans.iter().zip([&mut *products, &mut *lengths]) {
                hits.clear();
                hits.reserve(COSINE_BLOCKS * BLOCK_ROWS);
                kernels().scan(scan, part, first_row, u16::MAX, hits);
            }
            let limit = self.reservoir.limit();
            for (products, lengths) in products.as_chunks().0.iter().zip(lengths.as_chunks().0) {
                let [of_products, of_lengths] =
                    [products, lengths].map(|hits: &[Hit; BLOCK_ROWS]| hits.map(|hit| hit.score));
                let scores = self.table.scores_by_direction(of_products, of_lengths);
                let hits = scores.into_iter().zip(products).map(|(score, hit)| Hit { score, row: hit.row });
                self.reservoir.hits.extend(hits.filter(|hit| hit.score <= limit));
            }
            self.reservoir.tighten(&accepts)?;
            first_row += (COSINE_BLOCKS * BLOCK_ROWS) as u32;
        }
        Ok(())
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
    pub view: &'a SegmentView,
    /// The codebook of its codes.
    pub book: &'a Codebook,
    /// The rows that may be found.
    pub set: &'a RowSet<'a>,
}

impl CodeScan<'_> {
    /// Scans the blocks of `runs` in the segment; accepts rows of `part`.
    pub fn scan_runs(&self, scanners: &mut [Scanner], part: Part, runs: &[Range<u32>]) -> Result<()> {
        self.scan(scanners, Codes::Stored(part), runs)?;
        self.finish(scanners, Codes::Stored(part))
    }

    /// Scans the rows of `part`: in their blocks, or copied into dense blocks if that is cheaper.
    pub fn scan_part(&self, scanners: &mut [Scanner], part: Part) -> Result<()> {
        let runs = part.block_runs(self.set);
        let blocks = runs.iter().map(ExactSizeIterator::len).sum::<usize>();
        match part {
            Part::Rows(rows) if BLOCKS_PER_COPY * rows.len() < scanners.len() * blocks => {
                self.scan_gathering(scanners, rows)
            }
            _ => self.scan_runs(scanners, part, &runs),
        }
    }

    /// Copies the codes of `rows` into dense blocks, a few blocks at a time, and scans these.
    fn scan_gathering(&self, scanners: &mut [Scanner], rows: &[u32]) -> Result<()> {
        let at_once = self.blocks_at_once() as usize;
        let mut blocks = Vec::new();
        for (number, part) in rows.chunks(at_once * BLOCK_ROWS).enumerate() {
            self.gather(part, &mut blocks)?;
            let first = (number * at_once) as u32;
            let run = first..first + part.len().div_ceil(BLOCK_ROWS) as u32;
            self.scan(scanners, Codes::Gathered { rows, blocks: &blocks, first }, std::slice::from_ref(&run))?;
        }
        self.finish(scanners, Codes::Gathered { rows, blocks: &[], first: 0 })?;
        scanners.iter_mut().for_each(|scanner| scanner.reservoir.map_rows(|slot| rows[slot as usize]));
        Ok(())
    }

    /// Copies the codes of `rows` into `blocks`, in this order.
    fn gather(&self, rows: &[u32], blocks: &mut Vec<u8>) -> Result<()> {
        let (book, segment, block_bytes) = (self.book, &self.view.segment, self.block_bytes());
        let mut sources = Vec::with_capacity(BLOCK_ROWS);
        blocks.resize(rows.len().div_ceil(BLOCK_ROWS) * block_bytes, 0);
        for (rows, block) in rows.chunks(BLOCK_ROWS).zip(blocks.chunks_exact_mut(block_bytes)) {
            sources.clear();
            for row in rows {
                sources.push((segment.block(row / BLOCK_ROWS as u32)?, *row as usize % BLOCK_ROWS));
            }
            block::gather(&sources, book.symbols(), book.side_bytes(), block);
        }
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
                    scanner.score(blocks, first, |row| self.accepts(codes, row))?;
                }
            }
        }
        Ok(())
    }

    /// Tightens the reservoirs for the last hits.
    fn finish(&self, scanners: &mut [Scanner], codes: Codes) -> Result<()> {
        scanners.iter_mut().try_for_each(|scanner| scanner.reservoir.tighten(|row| self.accepts(codes, row)))
    }

    /// True if `row` of a hit may be found. Blocks also hold padding after the last row, and rows outside of the part.
    #[inline]
    fn accepts(&self, codes: Codes, row: u32) -> Result<bool> {
        let row = match codes {
            Codes::Stored(part) => part.contains(row).then_some(row),
            Codes::Gathered { rows, .. } => rows.get(row as usize).copied(),
        };
        row.map_or(Ok(false), |row| self.set.has(row, |row| self.view.segment.id_of(row)))
    }

    fn blocks<'b>(&'b self, codes: Codes<'b>, numbers: Range<u32>) -> Result<&'b [u8]> {
        let Codes::Gathered { blocks, first, .. } = codes else { return self.view.segment.blocks(numbers) };
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
