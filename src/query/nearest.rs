//! The nearest rows of a view: codes are scored as they lie, raw rows are measured.
//!
//! Queries are taken some at a time, and for these every part of a segment is read once. Where codes have tables
//! (`codec::QueryTable`) a scan keeps the rows whose scores may be among the k best, and those are measured in the end; other codes
//! are decoded. Each row has the same distance whatever way it was found, so the answer does not depend on the way.

use super::filter::{Apart, Chosen, ChosenRows};
use super::rows::{Rows, Share};
use super::scan::Scanner;
use super::top::TopK;
use crate::codec::{Codebook, Correction, QueryTable, block};
use crate::error::Result;
use crate::kernels::{self, BLOCK_ROWS};
use crate::metric::Metric;
use crate::segment::tombstones::Tombstones;
use crate::snapshot::{Scratch, SegmentView, View};

/// Queries that share one pass over the rows: their tables stay in the cache.
pub const QUERIES_AT_ONCE: usize = 16;

/// Rows decoded together.
const ROWS_AT_ONCE: usize = 64;

/// How far ahead of the row that is measured rows are asked for.
const BYTES_AHEAD: usize = 2048;

/// What a search asks.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// `[nq][dim]`.
    pub queries: &'a [f32],
    /// How far is far.
    pub metric: Metric,
    /// Distances to codes are those to what is decoded, not estimates of those to what was inserted.
    pub is_exact: bool,
    /// The share of a segment's inverted lists that is visited, up to 1; 0: as many as were found to do.
    pub effort: f64,
    /// Codes of coarse scores that are measured, at least k; 0: as many as were found to do.
    pub rerank: usize,
}

/// Some queries of a question.
struct Tile<'a> {
    queries: Vec<&'a [f32]>,
    /// ‖q‖².
    norms: Vec<f32>,
    metric: Metric,
    is_exact: bool,
    effort: f64,
    rerank: usize,
}

impl View<'_> {
    /// About how many bytes one query of `question` looks at.
    pub fn bytes_looked_at(&self, question: &Question, chosen: Option<&Chosen>) -> Result<u64> {
        let mut bytes = u64::from(self.visible) * self.snapshot.dim as u64 * 4;
        for live in &self.snapshot.segments {
            let share = match live.lists_to_visit(question.is_exact, question.effort, chosen.is_some()) {
                None => 1.0,
                Some(lists) if question.effort == 0.0 => f64::from(live.segment.probes()?) / f64::from(lists),
                Some(_) => question.effort,
            };
            bytes += (live.segment.entry().length as f64 * share) as u64;
        }
        Ok(bytes)
    }

    /// Offers to `tops: [nq]` the live vectors of a `share` that may be nearest to each query: of all, or of those `chosen`.
    pub fn nearest(&self, question: &Question, chosen: Option<&Chosen>, share: Share, tops: &mut [TopK]) -> Result<()> {
        let Question { queries, metric, is_exact, effort, rerank } = *question;
        let dim = self.snapshot.dim;
        for (queries, tops) in queries.chunks(QUERIES_AT_ONCE * dim).zip(tops.chunks_mut(QUERIES_AT_ONCE)) {
            let queries: Vec<&[f32]> = queries.chunks_exact(dim).collect();
            let norms = queries.iter().map(|query| kernels::dot(query, query)).collect();
            let tile = Tile { queries, norms, metric, is_exact, effort, rerank };
            for (index, live) in self.snapshot.segments.iter().enumerate() {
                let chosen = chosen.map(|chosen| &chosen.segments[index]);
                live.nearest(&tile, share, index, chosen, tops)?;
            }
            for rows in Rows::of(share, self.visible, chosen.map(|chosen| &chosen.tail)) {
                self.nearest_in_tail(&tile, rows, tops)?;
            }
        }
        Ok(())
    }

    fn nearest_in_tail(&self, tile: &Tile, rows: Rows, tops: &mut [TopK]) -> Result<()> {
        let Some(tail) = &self.snapshot.tail else { return Ok(()) };
        let raw = Raw { rows_at: |row, most| Ok(tail.rows_at(row, most)), id_of: |row| Ok(tail.ids.id_of(row)) };
        raw.measure(tile, rows, &self.snapshot.tail_hidden, tops)
    }
}

/// Rows that lie as floats: some of them from one on, and their ids.
struct Raw<R, I> {
    rows_at: R,
    id_of: I,
}

impl<'a, R: Fn(u32, u32) -> Result<&'a [u8]>, I: Fn(u32) -> Result<u64>> Raw<R, I> {
    /// Offers those of `rows` that are not `hidden` to `tops`.
    fn measure(&self, tile: &Tile, rows: Rows, hidden: &Tombstones, tops: &mut [TopK]) -> Result<()> {
        let (mut copied, row_bytes) = (Vec::new(), size_of_val(tile.queries[0]));
        for run in rows.runs() {
            let mut row = run.start;
            while row < run.end {
                let bytes = (self.rows_at)(row, run.end - row)?;
                let vectors = kernels::floats_in_place(bytes).unwrap_or_else(|| {
                    copied.resize(bytes.len() / size_of::<f32>(), 0.0);
                    kernels::floats(bytes, &mut copied);
                    &copied
                });
                // One query has done with a row before the next has come from memory.
                let mut ahead = bytes.get(BYTES_AHEAD..).filter(|_| tops.len() == 1).unwrap_or(&[]).chunks(row_bytes);
                for vector in vectors.chunks_exact(tile.queries[0].len()) {
                    ahead.next().into_iter().for_each(kernels::prefetch);
                    if !hidden.hides(row) {
                        self.offer(tile, row, vector, tops)?;
                    }
                    row += 1;
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn offer(&self, tile: &Tile, row: u32, vector: &[f32], tops: &mut [TopK]) -> Result<()> {
        for (query, top) in tops.iter_mut().enumerate() {
            let distance = tile.distance(query, vector);
            if distance <= top.bound() {
                top.offer(distance, (self.id_of)(row)?);
            }
        }
        Ok(())
    }
}

impl Tile<'_> {
    fn distance(&self, query: usize, vector: &[f32]) -> f32 {
        kernels::distance(self.metric, self.queries[query], self.norms[query], vector)
    }
}

impl SegmentView {
    /// Offers the rows of this segment, number `index` of all, that fall to `share` to `tops`.
    fn nearest(
        &self,
        tile: &Tile,
        share: Share,
        index: usize,
        chosen: Option<&ChosenRows>,
        tops: &mut [TopK],
    ) -> Result<()> {
        let lists = self.lists_to_visit(tile.is_exact, tile.effort, chosen.is_some());
        // What is near in all lists is compared with each other, by one thread.
        let visited = lists.filter(|_| index % share.of == share.number);
        let parts: Vec<Rows> = Rows::of(share, self.segment.rows(), chosen.map(|chosen| &chosen.rows)).collect();
        if parts.is_empty() && visited.is_none() {
            // A share without rows needs no tables.
            return Ok(());
        }
        let book = self.codebook.as_deref().filter(|_| !tile.is_exact);
        let table = |query: &&[f32]| book.and_then(|book| book.table(tile.metric, query));
        let tables: Vec<Option<QueryTable>> = tile.queries.iter().map(table).collect();
        let others: Vec<usize> = (0..tables.len()).filter(|query| tables[*query].is_none()).collect();
        for rows in parts {
            if self.codebook.is_none() {
                let segment = &self.segment;
                let raw = Raw { rows_at: |row, most| segment.rows_at(row, most), id_of: |row| segment.id_of(row) };
                raw.measure(tile, rows, &self.hidden, tops)?;
            } else if !others.is_empty() {
                self.measure(tile, &others, rows, tops)?;
            }
            if lists.is_none()
                && let Some(book) = book
            {
                let mut scanners = Scanner::all(&tables, tops, tile.rerank);
                let apart = self.scan(book, &mut scanners, rows, chosen)?;
                self.measure_hits(book, tile, &scanners, apart, tops)?;
            }
        }
        if let (Some(lists), Some(book)) = (visited, book) {
            let mut scanners = Scanner::all(&tables, tops, tile.rerank);
            scanners.iter_mut().try_for_each(|scanner| self.scan_lists(scanner, lists, tile.effort))?;
            self.measure_hits(book, tile, &scanners, None, tops)?;
        }
        Ok(())
    }

    /// How many inverted lists there are, if a search visits some of them and does not look at all rows in question.
    fn lists_to_visit(&self, is_exact: bool, effort: f64, is_filtered: bool) -> Option<u32> {
        self.segment.lists().filter(|_| !is_exact && !is_filtered && effort < 1.0)
    }

    /// Measures what scans have left: rows of the segment, or of those `apart`.
    fn measure_hits(
        &self,
        book: &Codebook,
        tile: &Tile,
        scanners: &[Scanner],
        apart: Option<Apart>,
        tops: &mut [TopK],
    ) -> Result<()> {
        let block_of = |row: u32| match apart {
            Some(apart) => Ok(apart.block_of(row)),
            None => self.segment.block(row / BLOCK_ROWS as u32),
        };
        let (mut code, mut vector) = (vec![0; book.row_bytes()], vec![0.0; book.dim()]);
        let mut found: Vec<(f32, u32)> = Vec::new();
        for scanner in scanners {
            found.clear();
            for row in scanner.reservoir.rows() {
                let (block, lane) = (block_of(row)?, row as usize % BLOCK_ROWS);
                let distance = scanner.table.estimate(block, lane).unwrap_or_else(|| {
                    block::unpack(block, lane, book.symbols(), book.side_bytes(), &mut code);
                    book.decode(&code, &mut vector);
                    tile.distance(scanner.query, &vector)
                });
                found.push((distance + 0.0, row));
            }
            // Only what is among the k nearest of these needs its id.
            let farthest = if found.len() > scanner.k {
                found.select_nth_unstable_by(scanner.k - 1, |a, b| a.0.total_cmp(&b.0)).1.0
            } else {
                f32::INFINITY
            };
            let top = &mut tops[scanner.query];
            for (distance, row) in found.iter().filter(|(distance, _)| *distance <= farthest) {
                match apart {
                    Some(apart) => top.offer(*distance, apart.ids[*row as usize]),
                    None => self.offer(*distance, *row, top)?,
                }
            }
        }
        Ok(())
    }

    fn offer(&self, distance: f32, row: u32, top: &mut TopK) -> Result<()> {
        if distance <= top.bound() {
            top.offer(distance, self.segment.id_of(row)?);
        }
        Ok(())
    }

    /// Decodes `rows` and measures them for the queries `asked`.
    fn measure(&self, tile: &Tile, asked: &[usize], rows: Rows, tops: &mut [TopK]) -> Result<()> {
        let dim = tile.queries[0].len();
        let (mut scratch, mut vectors) = (Scratch::default(), vec![0.0; ROWS_AT_ONCE * dim]);
        let mut rows = (0..rows.count()).map(|place| rows.at(place)).filter(|row| !self.hidden.hides(*row));
        loop {
            scratch.rows.clear();
            scratch.rows.extend(rows.by_ref().take(ROWS_AT_ONCE));
            if scratch.rows.is_empty() {
                return Ok(());
            }
            let vectors = &mut vectors[..scratch.rows.len() * dim];
            self.read_rows(&scratch.rows, &mut scratch.codes, vectors)?;
            for (index, (row, vector)) in scratch.rows.iter().zip(vectors.chunks_exact(dim)).enumerate() {
                let Correction { factor, offset } = self.correction(tile, &scratch.codes, index, vector);
                for query in asked {
                    let mut distance = tile.distance(*query, vector) * factor + offset;
                    if tile.metric == Metric::L2 {
                        // An estimate may fall below nothing.
                        distance = distance.max(0.0);
                    }
                    self.offer(distance, *row, &mut tops[*query])?;
                }
            }
        }
    }

    /// What code number `index` of `codes`, which decodes to `vector: [dim]`, says of distances to it.
    fn correction(&self, tile: &Tile, codes: &[u8], index: usize, vector: &[f32]) -> Correction {
        match self.codebook.as_ref().filter(|_| !tile.is_exact) {
            Some(book) => book.correction(&codes[index * book.row_bytes()..][..book.row_bytes()], vector),
            None => Correction::NONE,
        }
    }
}
