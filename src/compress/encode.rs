//! Encodes rows in batches on several threads, and measures the error of each.

use crate::codec::{Codebook, block};
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
    pub error: f64,
}

impl RowError {
    fn new(row: &[f32], decoded: &[f32]) -> RowError {
        row.iter().zip(decoded).fold(RowError::default(), |sum, (x, decoded)| {
            let (x, difference) = (f64::from(*x), f64::from(*x) - f64::from(*decoded));
            RowError { energy: sum.energy + x * x, error: sum.error + difference * difference }
        })
    }

    /// Upper bound on ‖x − x̂‖: the factor exceeds the rounding error of the sum.
    pub fn distance(&self) -> f64 {
        self.error.sqrt() * (1.0 + 1e-9)
    }
}

impl Measured {
    /// Adds the error of one more row.
    pub(super) fn add(&mut self, row: RowError) {
        self.energy += row.energy;
        self.error += row.error;
        if row.energy > 0.0 {
            self.worst = self.worst.max((row.error / row.energy).sqrt());
        }
    }
}

/// Codes of `rows: [n][dim]` and their errors, `[n]`: the same whatever the number of threads.
pub fn encode(book: &Codebook, rows: &[f32], threads: usize) -> (Vec<u8>, Vec<RowError>) {
    let (dim, row_bytes) = (book.dim(), book.row_bytes());
    let count = rows.len() / dim;
    let mut codes = vec![0; count * row_bytes];
    let mut errors = vec![RowError::default(); count];
    let share = count.div_ceil(threads.max(1)).max(1);
    let parts = rows.chunks(share * dim).zip(codes.chunks_mut(share * row_bytes)).zip(errors.chunks_mut(share));
    in_parallel(threads, parts, |((rows, codes), errors)| encode_part(book, rows, codes, errors));
    (codes, errors)
}

fn encode_part(book: &Codebook, rows: &[f32], codes: &mut [u8], errors: &mut [RowError]) {
    book.encode(rows, codes);
    let mut decoded = vec![0.0; rows.len()];
    book.decode(codes, &mut decoded);
    let pairs = rows.chunks_exact(book.dim()).zip(decoded.chunks_exact(book.dim()));
    for ((row, decoded), slot) in pairs.zip(errors) {
        *slot = RowError::new(row, decoded);
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
