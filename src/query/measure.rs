//! Distances of rows: of raw rows, of decoded codes, and of the candidates that a scan kept.

use super::access::Part;
use super::request::Tile;
use super::row_set::Gathered;
use super::scan::Scanner;
use super::top::TopK;
use crate::codec::{Codebook, Correction, block};
use crate::error::Result;
use crate::kernels::{self, BLOCK_ROWS};
use crate::metric::Metric;
use crate::segment::tombstones::Tombstones;
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
    /// Offers the rows of `part` that are not `hidden` to `tops`.
    pub fn measure(&self, tile: &Tile, part: Part, hidden: &Tombstones, tops: &mut [TopK]) -> Result<()> {
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

/// Decodes the live rows of `part` and offers them to `tops` of the tile's `queries`.
pub fn measure_decoded(
    segment: &SegmentView,
    tile: &Tile,
    queries: &[usize],
    part: Part,
    tops: &mut [TopK],
) -> Result<()> {
    let dim = tile.queries[0].len();
    let (mut scratch, mut vectors) = (Scratch::default(), vec![0.0; ROWS_AT_ONCE * dim]);
    let mut rows = (0..part.count()).map(|index| part.row(index)).filter(|row| !segment.hidden.hides(*row));
    loop {
        scratch.rows.clear();
        scratch.rows.extend(rows.by_ref().take(ROWS_AT_ONCE));
        if scratch.rows.is_empty() {
            return Ok(());
        }
        let vectors = &mut vectors[..scratch.rows.len() * dim];
        segment.read_rows(&scratch.rows, &mut scratch.codes, vectors)?;
        for (index, (row, vector)) in scratch.rows.iter().zip(vectors.chunks_exact(dim)).enumerate() {
            let Correction { factor, offset } = correction(segment, tile, &scratch.codes, index, vector);
            for query in queries {
                let mut distance = tile.distance(*query, vector) * factor + offset;
                if tile.request.metric == Metric::L2 {
                    // The correction can make a small distance negative.
                    distance = distance.max(0.0);
                }
                offer_row(segment, distance, *row, &mut tops[*query])?;
            }
        }
    }
}

/// The correction of distances to code number `index` of `codes`, which decodes to `vector: [dim]`.
fn correction(segment: &SegmentView, tile: &Tile, codes: &[u8], index: usize, vector: &[f32]) -> Correction {
    match segment.codebook.as_ref().filter(|_| !tile.request.is_exact) {
        Some(book) => book.correction(&codes[index * book.row_bytes()..][..book.row_bytes()], vector),
        None => Correction::NONE,
    }
}

/// Measures the candidates of each scanner and offers the k nearest to `tops`. The rows of reservoirs are slots of
/// `gathered` if it is given, else rows of the segment.
pub fn measure_candidates(
    segment: &SegmentView,
    book: &Codebook,
    tile: &Tile,
    scanners: &[Scanner],
    gathered: Option<Gathered>,
    tops: &mut [TopK],
) -> Result<()> {
    let block_of = |row: u32| match gathered {
        Some(gathered) => Ok(gathered.block_of(row)),
        None => segment.segment.block(row / BLOCK_ROWS as u32),
    };
    let (mut code, mut vector) = (vec![0; book.row_bytes()], vec![0.0; book.dim()]);
    let mut measured: Vec<(f32, u32)> = Vec::new();
    for scanner in scanners {
        measured.clear();
        for row in scanner.reservoir.rows() {
            let (block, lane) = (block_of(row)?, row as usize % BLOCK_ROWS);
            let distance = scanner.table.estimate(block, lane).unwrap_or_else(|| {
                block::unpack(block, lane, book.symbols(), book.side_bytes(), &mut code);
                book.decode(&code, &mut vector);
                tile.distance(scanner.query, &vector)
            });
            // Normalize -0.0 so that equal distances tie under total_cmp.
            measured.push((distance + 0.0, row));
        }
        let farthest = kth_distance(&mut measured, scanner.k);
        let top = &mut tops[scanner.query];
        for (distance, row) in measured.iter().filter(|(distance, _)| *distance <= farthest) {
            match gathered {
                Some(gathered) => top.offer(*distance, gathered.ids[*row as usize]),
                None => offer_row(segment, *distance, *row, top)?,
            }
        }
    }
    Ok(())
}

/// The k-th smallest distance, infinite if there are no more than k. Looking up an id costs far more than this
/// selection, so ids are looked up for the k nearest only.
fn kth_distance(measured: &mut [(f32, u32)], k: usize) -> f32 {
    if measured.len() <= k {
        return f32::INFINITY;
    }
    measured.select_nth_unstable_by(k - 1, |a, b| a.0.total_cmp(&b.0)).1.0
}

fn offer_row(segment: &SegmentView, distance: f32, row: u32, top: &mut TopK) -> Result<()> {
    if distance <= top.bound() {
        top.offer(distance, segment.segment.id_of(row)?);
    }
    Ok(())
}
