//! Encodes rows in batches on several threads, and measures the error of each.

use crate::codec::{Codebook, block, scaled};
use crate::format::Measured;
use crate::kernels::BLOCK_ROWS;
use crate::threads::in_parallel;

/// Upper bounds on one batch: rows (a multiple of 32) and bytes of their floats.
const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 16 << 20;

/// Rows of one batch at this dim.
pub fn batch_rows(dim: usize) -> usize {
    let blocks = BATCH_BYTES / (dim * size_of::<f32>() * BLOCK_ROWS);
    (blocks * BLOCK_ROWS).clamp(BLOCK_ROWS, BATCH_ROWS)
}

/// Energy and coding error of one row.
#[derive(Clone, Copy, Default)]
pub struct RowError {
    /// ‖x‖².
    energy: f64,
    /// ‖x − x̂‖².
    error: f64,
    /// The same of the scaled row, as it was coded.
    pub scaled: f64,
}

impl RowError {
    /// The error of `row`, which was divided by `scale` and coded as `decoded`. A row of scale 0 decodes to zeros without error.
    fn new(row: &[f32], decoded: &[f32], scale: f32) -> RowError {
        if scale == 0.0 {
            return RowError::default();
        }
        let scale = f64::from(scale);
        let (energy, error) = row.iter().zip(decoded).fold((0.0, 0.0), |(energy, error), (x, decoded)| {
            let (x, difference) = (f64::from(*x), f64::from(*x) - scale * f64::from(*decoded));
            (energy + x * x, error + difference * difference)
        });
        RowError { energy, error, scaled: error / (scale * scale) }
    }

    /// Upper bound on ‖x − x̂‖: the factor exceeds the rounding error of the sum.
    pub fn distance(&self) -> f64 {
        self.error.sqrt() * (1.0 + 1e-9)
    }
}

impl Measured {
    /// Adds the error of one more row. A cosine ignores lengths, so with `is_cosine` each row counts the same, with its
    /// error relative to its own length; a row of zeros has no direction and does not count. `before` is the largest relative error that the row may have had already, because
    /// it was a code.
    pub(super) fn add(&mut self, row: RowError, is_cosine: bool, before: f64) {
        if !is_cosine {
            self.energy += row.energy;
            self.error += row.error;
        } else if row.energy > 0.0 {
            self.energy += 1.0;
            self.error += row.error / row.energy;
        }
        self.scaled += row.scaled;
        if row.energy > 0.0 {
            // A decoded row is at most 1 + `before` times as long as the row was.
            self.worst = self.worst.max(before + (1.0 + before) * (row.error / row.energy).sqrt());
        }
    }
}

/// Codes of `rows: [n][dim]` divided by `scales: [n]`, and their errors, `[n]`: the same whatever the number of threads.
pub fn encode(book: &Codebook, rows: &[f32], scales: &[f32], threads: usize) -> (Vec<u8>, Vec<RowError>) {
    let (dim, row_bytes) = (book.dim(), book.row_bytes());
    let count = rows.len() / dim;
    let mut codes = vec![0; count * row_bytes];
    let mut errors = vec![RowError::default(); count];
    let share = count.div_ceil(threads.max(1)).max(1);
    let parts = rows.chunks(share * dim).zip(scales.chunks(share));
    let parts = parts.zip(codes.chunks_mut(share * row_bytes)).zip(errors.chunks_mut(share));
    in_parallel(threads, parts, |(((rows, scales), codes), errors)| encode_part(book, rows, scales, codes, errors));
    (codes, errors)
}

/// As [`encode`], each row of `rows` with its own scale, not rounded as a file would.
pub fn encode_alone(book: &Codebook, rows: &[f32], threads: usize) -> (Vec<u8>, Vec<RowError>) {
    let scales: Vec<f32> = rows.chunks_exact(book.dim()).map(|row| book.scale_of(row)).collect();
    encode(book, rows, &scales, threads)
}

fn encode_part(book: &Codebook, rows: &[f32], scales: &[f32], codes: &mut [u8], errors: &mut [RowError]) {
    book.encode(&scaled(rows, scales), codes);
    let mut decoded = vec![0.0; rows.len()];
    book.decode(codes, &mut decoded);
    let pairs = rows.chunks_exact(book.dim()).zip(decoded.chunks_exact(book.dim()));
    for (((row, decoded), scale), slot) in pairs.zip(scales).zip(errors) {
        *slot = RowError::new(row, decoded, *scale);
    }
}

/// `codes: [n][row_bytes]` of `book` in blocks.
pub fn blocks(codes: &[u8], book: &Codebook) -> Vec<u8> {
    let (row_bytes, mut packed) = (book.row_bytes(), Vec::new());
    for rows in codes.chunks(BLOCK_ROWS * row_bytes) {
        let start = packed.len();
        packed.resize(start + block::bytes(row_bytes), 0);
        block::pack(rows, book.symbols(), book.side_bytes(), &mut packed[start..]);
    }
    packed
}
