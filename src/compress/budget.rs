//! The longest code whose file fits the byte budget.

use super::arrange::lists_of;
use crate::codec::{Codebook, Shape};
use crate::format::{BLOCK_BYTES, align};
use crate::segment::scales::ScaleSizes;
use crate::segment::{CodedSizes, coded_file_bytes};

/// (window, ln(MSE at window 1 ÷ MSE at this window)), measured on SIFT at 62 symbols.
const WINDOW_GAINS: [(usize, f64); 8] =
    [(1, 0.0), (2, 0.42), (4, 0.49), (8, 0.60), (12, 0.62), (16, 0.64), (20, 0.73), (24, 0.75)];

/// The same for principal directions, which are uncorrelated; measured on sentence embeddings at 172 symbols.
const DIRECTION_GAINS: [(usize, f64); 5] = [(1, 0.0), (2, 0.42), (4, 0.49), (8, 0.522), (20, 0.533)];

/// ln of the factor that one more byte of code per dim divides the MSE by: each of its 8 bits divides it by 4.
const BYTE_GAIN: f64 = 16.0 * std::f64::consts::LN_2;

/// ln of the factor that one stage less divides the MSE by, measured on sentence embeddings at 98 bytes: the symbols of
/// different stages are not chosen together.
const STAGE_GAIN: f64 = 0.1;

/// Scales may take one byte in so many: shorter codes leave more error, but without scales rows are lost.
const SCALES_SHARE: u64 = 2;

/// Bytes on disk of a file of codes, its lists included: whole blocks.
pub fn file_bytes(rows: u64, row_bytes: u64, codebook_bytes: u64, ids_bytes: u64, scales: ScaleSizes) -> u64 {
    align(file_length(rows, row_bytes, codebook_bytes, ids_bytes, scales), BLOCK_BYTES as u64)
}

fn file_length(rows: u64, row_bytes: u64, codebook_bytes: u64, ids_bytes: u64, scales: ScaleSizes) -> u64 {
    let lists = lists_of(rows, row_bytes);
    coded_file_bytes(CodedSizes { rows, row_bytes, codebook_bytes, lists, scales }, ids_bytes)
}

/// Byte budget of one file of codes.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Rows of the file.
    pub rows: u64,
    /// Bytes of its id section.
    pub ids_bytes: u64,
    /// Bytes it may take.
    pub bytes: u64,
    /// Bytes it may take if shorter codes have too much error: `bytes` if a ratio is given.
    pub bytes_max: u64,
    /// The sections of scales that it is expected to have.
    pub scales: ScaleSizes,
}

impl Budget {
    /// The bytes to plan with: 0.1 % less than the budget, so that the codebook still fits after rows are added and
    /// with a last block that is not full.
    fn planned(&self) -> u64 {
        self.bytes - self.bytes / 1000
    }

    /// The least budget in bytes whose planned bytes hold codes of shape `shortest`.
    fn least(&self, shortest: &Shape) -> u64 {
        let bytes = self.bytes_of(shortest);
        bytes + bytes / 999 + 1
    }

    /// The bytes by which a file coded with `book`, with these `scales`, is too long; 0 if it fits.
    pub fn excess(&self, book: &Codebook, scales: ScaleSizes) -> u64 {
        let (row_bytes, book_bytes) = (book.row_bytes() as u64, book.as_bytes().len() as u64);
        file_bytes(self.rows, row_bytes, book_bytes, self.ids_bytes, scales).saturating_sub(self.bytes)
    }

    /// True if sections of these sizes beside codes of `row_bytes` take so much that codes without scales are better.
    pub fn is_too_much(&self, row_bytes: usize, scales: ScaleSizes) -> bool {
        let bytes = |scales| file_length(self.rows, row_bytes as u64, 0, self.ids_bytes, scales);
        (bytes(scales) - bytes(ScaleSizes::default())) * SCALES_SHARE > self.bytes
    }

    /// `plain` with the code length and window that fit and have the least expected error. The error is the least
    /// budget, in bytes, that would fit.
    pub fn shape(&self, plain: &Shape) -> Result<Shape, u64> {
        // Each kind has its own bisection: bytes are not monotone over both, because the codebook of a scalar code may
        // be smaller than that of a shorter window code.
        let scalar = Shape::row_bytes_scalar(plain.dim);
        let rows = usize::try_from(self.rows).unwrap_or(usize::MAX);
        let of = |row_bytes: usize, window: usize| Shape { row_bytes, window, rows, ..*plain };
        let fits = |row_bytes: usize, window: usize| self.bytes_of(&of(row_bytes, window)) <= self.planned();
        if let Some(row_bytes) = longest(scalar, Shape::row_bytes_max(plain.dim), |row_bytes| fits(row_bytes, 1)) {
            return Ok(of(row_bytes, 1));
        }
        let mut best = None;
        let gains = if plain.directions > 0 { DIRECTION_GAINS.as_slice() } else { &WINDOW_GAINS };
        for &(window, gain) in gains {
            let Some(row_bytes) = longest(1, scalar - 1, |row_bytes| fits(row_bytes, window)) else { continue };
            let shape = of(row_bytes, window);
            // Also consider the longest code of one stage less: a few more bytes may not make up for another stage.
            let one_stage_less = longest(1, row_bytes, |row_bytes| of(row_bytes, window).stages() < shape.stages());
            let shorter = one_stage_less.filter(|row_bytes| fits(*row_bytes, window));
            for shape in shorter.map(|row_bytes| of(row_bytes, window)).into_iter().chain([shape]) {
                let bytes = shape.row_bytes as f64 / plain.dim as f64;
                let gain = gain + BYTE_GAIN * bytes - STAGE_GAIN * shape.stages() as f64;
                if best.is_none_or(|(most, _)| gain > most) {
                    best = Some((gain, shape));
                }
            }
        }
        best.map(|(_, shape)| shape).ok_or_else(|| self.least(&of(1, 1)))
    }

    /// About how many bytes a row has for its code and its share of the codebook.
    pub fn bytes_a_row(&self) -> f64 {
        // A file takes whole blocks.
        let bytes = self.planned() / BLOCK_BYTES as u64 * BLOCK_BYTES as u64;
        // Files of shorter codes may have no lists.
        let row_bytes = bytes / self.rows.max(1);
        let filled = file_length(self.rows, row_bytes, 0, self.ids_bytes, self.scales);
        row_bytes as f64 - (filled as f64 - bytes as f64) / self.rows.max(1) as f64
    }

    /// The longest code of at most `most` bytes whose file fits beside a codebook of `book_bytes`; `None` if none does.
    pub fn longest_beside(&self, book_bytes: usize, most: usize) -> Option<usize> {
        let bytes = |row_bytes| file_bytes(self.rows, row_bytes, book_bytes as u64, self.ids_bytes, self.scales);
        longest(1, most, |row_bytes| bytes(row_bytes as u64) <= self.planned())
    }

    fn bytes_of(&self, shape: &Shape) -> u64 {
        let book_bytes = Codebook::stored_bytes(shape) as u64;
        file_bytes(self.rows, shape.row_bytes as u64, book_bytes, self.ids_bytes, self.scales)
    }
}

/// The largest number in `from..=to` that fits, by bisection: every number below one that fits must fit too.
fn longest(from: usize, to: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut too_many, mut least) = (to + 1, from);
    while least < too_many {
        let middle = least.midpoint(too_many);
        if fits(middle) { least = middle + 1 } else { too_many = middle }
    }
    (least > from).then(|| least - 1)
}
