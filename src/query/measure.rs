//! Distances of rows: of raw rows, of decoded codes, and of the candidates that a scan kept.

use super::access::Part;
use super::request::Tile;
use super::row_set::RowSet;
use super::scan::Scanner;
use super::top::TopK;
use crate::codec::{Codebook, block};
use crate::error::Result;
use crate::kernels::{self, BLOCK_ROWS};
use crate::metric::Metric;
use crate::snapshot::{Scratch, SegmentView};

/// Rows decoded together.
const ROWS_AT_ONCE: usize = 64;

/// With more rows at the distance of the k-th nearest than this many a neighbour, those that cannot win are left out.
const TIES_PER_NEIGHBOUR: usize = 4;

/// Distance in bytes between the row that is measured and the row that is prefetched.
const BYTES_AHEAD: usize = 2048;

/// Raw rows and their ids, of a segment or of the tail.
pub struct RawRows<R, I> {
    /// `rows_at(row, most)`: the bytes of `row` and of the rows that follow it in memory, at most `most` rows.
    pub rows_at: R,
    /// `id_of(row)`: the id of `row`.
    pub id_of: I,
}

impl<'a, R: Fn(u32, u32) -> Result<&'a [u8]>, I: Fn(u32) -> Result<u64>> RawRows<R, I> {
    /// Offers the rows of `part` that are in `set` to `tops`.
    pub fn measure(&self, tile: &Tile, part: Part, set: &RowSet, tops: &mut [TopK]) -> Result<()> {
        let (mut copied, row_bytes) = (Vec::new(), size_of_val(tile.queries[0]));
        for run in part.row_runs() {
            let mut row = run.start;
            while row < run.end {
                let bytes = (self.rows_at)(row, run.end - row)?;
                let vectors = kernels::floats_in_place(bytes).unwrap_or_else(|| {
                    copied.resize(bytes.len() / size_of::<f32>(), 0.0);
                    kernels::floats(bytes, &mut copied);
                    &copied
                });
                // A single query measures a row faster than the next one arrives from memory.
                let mut ahead = bytes.get(BYTES_AHEAD..).filter(|_| tops.len() == 1).unwrap_or(&[]).chunks(row_bytes);
                for vector in vectors.chunks_exact(tile.queries[0].len()) {
                    ahead.next().into_iter().for_each(kernels::prefetch);
                    if set.may_have(row) {
                        self.offer(tile, (row, vector), set, tops)?;
                    }
                    row += 1;
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn offer(&self, tile: &Tile, (row, vector): (u32, &[f32]), set: &RowSet, tops: &mut [TopK]) -> Result<()> {
        for (query, top) in tops.iter_mut().enumerate() {
            let distance = tile.distance(query, vector);
            if distance <= top.bound() {
                let id = (self.id_of)(row)?;
                if set.allows(id) {
                    top.offer(distance, id);
                }
            }
        }
        Ok(())
    }
}

/// Decodes the rows of `part` that are in `set`, and offers them to `tops` of the tile's `queries`.
pub fn measure_decoded(
    view: &SegmentView,
    set: &RowSet,
    tile: &Tile,
    queries: &[usize],
    part: Part,
    tops: &mut [TopK],
) -> Result<()> {
    let dim = tile.queries[0].len();
    let (mut scratch, mut vectors) = (Scratch::default(), vec![0.0; ROWS_AT_ONCE * dim]);
    let mut rows = (0..part.count()).map(|index| part.row(index));
    loop {
        scratch.rows.clear();
        for row in rows.by_ref() {
            if set.has(row, |row| view.segment.id_of(row))? {
                scratch.rows.push(row);
            }
            if scratch.rows.len() == ROWS_AT_ONCE {
                break;
            }
        }
        if scratch.rows.is_empty() {
            return Ok(());
        }
        let vectors = &mut vectors[..scratch.rows.len() * dim];
        if tile.request.is_exact && tile.request.metric == Metric::Cosine {
            // Lengths do not change a cosine, but they change its rounding.
            view.read_rows(&scratch.rows, &mut scratch.codes, vectors)?;
        } else {
            view.decode_rows(&scratch.rows, &mut scratch.codes, vectors)?;
        }
        let book = view.codebook.as_ref().filter(|_| !tile.request.is_exact);
        for (index, (row, vector)) in scratch.rows.iter().zip(vectors.chunks_exact(dim)).enumerate() {
            for query in queries {
                let mut distance = tile.distance(*query, vector);
                if let Some(book) = book {
                    let code = &scratch.codes[index * book.row_bytes()..][..book.row_bytes()];
                    // The correction can move a small distance out of the range.
                    let corrected = book.corrected(code, vector, tile.queries[*query], distance);
                    distance = tile.request.metric.in_range(corrected);
                }
                offer_row(view, distance, *row, &mut tops[*query])?;
            }
        }
    }
}

/// Offers the rows of `part` that are in `set`, all of them at `distance`, to `top`.
pub fn offer_equally_far(view: &SegmentView, set: &RowSet, part: Part, distance: f32, top: &mut TopK) -> Result<()> {
    let mut index = 0;
    while index < part.count() && distance <= top.bound() {
        let row = part.row(index);
        index += 1;
        if set.may_have(row) {
            let id = view.segment.id_of(row)?;
            if set.allows(id) && !top.offer(distance, id) {
                // The ids of the rows that follow are larger.
                index = part.index_of(view.segment.ids_ascend_until(row)?);
            }
        }
    }
    Ok(())
}

/// Measures candidates of one segment.
pub struct CandidateMeter<'a> {
    view: &'a SegmentView,
    book: &'a Codebook,
    /// The code that was decoded last, its vector, and room for the next code.
    code: Vec<u8>,
    vector: Vec<f32>,
    next: Vec<u8>,
}

impl<'a> CandidateMeter<'a> {
    /// For candidates in codes of `book`.
    pub fn new(view: &'a SegmentView, book: &'a Codebook) -> CandidateMeter<'a> {
        CandidateMeter { view, book, code: Vec::new(), vector: vec![0.0; book.dim()], next: vec![0; book.row_bytes()] }
    }

    /// The distances of `rows` to the query of `scanner`, which is one of `tile`; without rows that are farther than k
    /// others.
    pub fn measure(
        &mut self,
        tile: &Tile,
        scanner: &Scanner,
        rows: impl Iterator<Item = u32>,
    ) -> Result<Vec<(f32, u32)>> {
        let mut rows: Vec<u32> = rows.collect();
        rows.sort_unstable();
        if rows.len() > tile.request.k && scanner.table.has_bounds() {
            rows = self.without_far(scanner, &rows, tile.request.k)?;
        }
        let distances = self.of_codes(&rows, |meter, block, lane| meter.distance(tile, scanner, (block, lane)))?;
        Ok(distances.into_iter().zip(rows).collect())
    }

    /// Those of `rows` that may be among the `k` nearest.
    fn without_far(&mut self, scanner: &Scanner, rows: &[u32], k: usize) -> Result<Vec<u32>> {
        let bounds = self.of_codes(rows, |_, block, lane| scanner.table.bounds(block, lane))?;
        let mut highs: Vec<f32> = bounds.iter().map(|(_, high)| *high).collect();
        let farthest = *highs.select_nth_unstable_by(k - 1, f32::total_cmp).1;
        Ok(rows.iter().zip(bounds).filter(|(_, (low, _))| *low <= farthest).map(|(row, _)| *row).collect())
    }

    /// What `of` tells of each of `rows`, which ascend, from its block and its place there. Equal blocks one after the
    /// other are asked once: where rows are equal, all of them may be candidates.
    fn of_codes<T: Copy>(&mut self, rows: &[u32], mut of: impl FnMut(&mut Self, &[u8], usize) -> T) -> Result<Vec<T>> {
        let mut told = Vec::with_capacity(rows.len());
        let (mut last, mut known): (&[u8], _) = (&[], [None; BLOCK_ROWS]);
        for rows in rows.chunk_by(|row, next| row / BLOCK_ROWS as u32 == next / BLOCK_ROWS as u32) {
            let block = self.view.segment.block(rows[0] / BLOCK_ROWS as u32)?;
            if block != last {
                (last, known) = (block, [None; BLOCK_ROWS]);
            }
            for row in rows {
                let lane = *row as usize % BLOCK_ROWS;
                told.push(*known[lane].get_or_insert_with(|| of(self, block, lane)));
            }
        }
        Ok(told)
    }

    fn distance(&mut self, tile: &Tile, scanner: &Scanner, (block, lane): (&[u8], usize)) -> f32 {
        scanner.table.estimate(block, lane).unwrap_or_else(|| {
            block::unpack(block, lane, self.book.symbols(), self.book.side_bytes(), &mut self.next);
            if self.code != self.next {
                self.book.decode(&self.next, &mut self.vector);
                self.code.clone_from(&self.next);
            }
            tile.distance(scanner.query, &self.vector)
        })
    }
}

/// Offers the nearest of `measured` (distances and rows) to `top`.
pub fn offer_measured(view: &SegmentView, mut measured: Vec<(f32, u32)>, top: &mut TopK) -> Result<()> {
    let farthest = kth_distance(&measured, top.k());
    measured.retain(|(distance, _)| *distance <= farthest);
    if measured.len() > TIES_PER_NEIGHBOUR * top.k() {
        measured = without_later_ties(view, measured, top.k())?;
    }
    measured.iter().try_for_each(|(distance, row)| offer_row(view, *distance, *row, top))
}

/// Of rows at the same distance whose ids ascend, only the first `k` of `measured` can be among the k nearest.
fn without_later_ties(view: &SegmentView, mut measured: Vec<(f32, u32)>, k: usize) -> Result<Vec<(f32, u32)>> {
    measured.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut kept, mut rest) = (Vec::new(), measured.as_slice());
    while let Some((distance, row)) = rest.first() {
        let until = view.segment.ids_ascend_until(*row)?;
        let ties = rest.partition_point(|next| next.0 == *distance && next.1 < until);
        kept.extend_from_slice(&rest[..ties.min(k)]);
        rest = &rest[ties..];
    }
    Ok(kept)
}

/// The k-th smallest distance, infinite if there are no more than k. Looking up an id costs far more than this
/// selection, so ids are looked up for the k nearest only.
fn kth_distance(measured: &[(f32, u32)], k: usize) -> f32 {
    if measured.len() <= k {
        return f32::INFINITY;
    }
    let mut distances: Vec<f32> = measured.iter().map(|(distance, _)| *distance).collect();
    *distances.select_nth_unstable_by(k - 1, f32::total_cmp).1
}

fn offer_row(view: &SegmentView, distance: f32, row: u32, top: &mut TopK) -> Result<()> {
    if distance <= top.bound() {
        top.offer(distance, view.segment.id_of(row)?);
    }
    Ok(())
}
