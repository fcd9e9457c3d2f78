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

/// The candidates of `scanner` with their distances.
pub fn measure_candidates(
    view: &SegmentView,
    book: &Codebook,
    tile: &Tile,
    scanner: &Scanner,
) -> Result<Vec<(f32, u32)>> {
    let (mut code, mut vector) = (vec![0; book.row_bytes()], vec![0.0; book.dim()]);
    let measure = |row: u32| {
        let (block, lane) = (view.segment.block(row / BLOCK_ROWS as u32)?, row as usize % BLOCK_ROWS);
        let distance = scanner.table.estimate(block, lane).unwrap_or_else(|| {
            block::unpack(block, lane, book.symbols(), book.side_bytes(), &mut code);
            book.decode(&code, &mut vector);
            tile.distance(scanner.query, &vector)
        });
        Ok((distance, row))
    };
    scanner.reservoir.rows().map(measure).collect()
}

/// Offers the nearest of `measured` (distances and rows) to `top`.
pub fn offer_measured(view: &SegmentView, mut measured: Vec<(f32, u32)>, top: &mut TopK) -> Result<()> {
    let farthest = kth_distance(&mut measured, top.k());
    let near = measured.iter().filter(|(distance, _)| *distance <= farthest);
    near.into_iter().try_for_each(|(distance, row)| offer_row(view, *distance, *row, top))
}

/// The k-th smallest distance, infinite if there are no more than k. Looking up an id costs far more than this
/// selection, so ids are looked up for the k nearest only.
fn kth_distance(measured: &mut [(f32, u32)], k: usize) -> f32 {
    if measured.len() <= k {
        return f32::INFINITY;
    }
    measured.select_nth_unstable_by(k - 1, |a, b| a.0.total_cmp(&b.0)).1.0
}

fn offer_row(view: &SegmentView, distance: f32, row: u32, top: &mut TopK) -> Result<()> {
    if distance <= top.bound() {
        top.offer(distance, view.segment.id_of(row)?);
    }
    Ok(())
}
