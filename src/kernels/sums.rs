//! Sums of codewords, which decode window codes, and sums of rows by codeword, which train them.

use super::lanes::{CODEWORDS, Lanes};

/// The range of dims to which a symbol adds a codeword, and where its codewords are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first dim.
    pub first: usize,
    /// Number of dims.
    pub width: usize,
    /// Position of the symbol's codewords, `[16][width]`, among those of all symbols.
    pub offset: usize,
}

/// Codewords cut into strips of 16 dims. The sum of a strip stays in registers. Windows overlap, so a sum in memory
/// would be loaded and stored for each codeword, and each load would wait for the store before it.
#[derive(Clone, Copy, Debug)]
pub struct Codewords<'a> {
    /// Symbols of a row.
    pub symbols: usize,
    /// `[dim / 16, rounded up]`.
    pub strips: &'a [Strip],
    /// `[16]` for each symbol of each strip: what its codewords add to the strip, zeros outside their windows.
    pub lanes: &'a [Lanes],
}

/// 16 dims, and the range of symbols whose windows overlap them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strip {
    /// The first symbol.
    pub first: usize,
    /// One past the last symbol.
    pub end: usize,
    /// Position of their codewords in [`Codewords::lanes`].
    pub offset: usize,
}

/// Rows summed side by side, because each addition waits for the previous one of the same row.
const ROWS_AT_ONCE: usize = 4;

/// See `Kernels::add_codewords`.
#[inline(always)]
pub(super) fn add_codewords(codewords: &Codewords<'_>, symbols: &[u8], rows: &mut [f32]) {
    let count = codewords.symbols;
    let dim = rows.len() / (symbols.len() / count).max(1);
    for (strip, start) in codewords.strips.iter().zip((0..dim).step_by(CODEWORDS)) {
        let lanes = codewords.lanes[strip.offset..][..CODEWORDS * (strip.end - strip.first)].as_chunks().0;
        let dims = start..(start + CODEWORDS).min(dim);
        for (rows, symbols) in rows.chunks_mut(ROWS_AT_ONCE * dim).zip(symbols.chunks(ROWS_AT_ONCE * count)) {
            if rows.len() == ROWS_AT_ONCE * dim {
                let symbols = std::array::from_fn(|row| &symbols[row * count..][strip.first..strip.end]);
                add_strip::<ROWS_AT_ONCE>(lanes, symbols, dim, &dims, rows);
                continue;
            }
            for (row, symbols) in rows.chunks_exact_mut(dim).zip(symbols.chunks_exact(count)) {
                add_strip::<1>(lanes, [&symbols[strip.first..strip.end]], dim, &dims, row);
            }
        }
    }
}

/// Adds the codewords of one strip to `dims` of each of `rows: [ROWS][dim]`.
#[inline(always)]
fn add_strip<const ROWS: usize>(
    lanes: &[[Lanes; CODEWORDS]],
    symbols: [&[u8]; ROWS],
    dim: usize,
    dims: &std::ops::Range<usize>,
    rows: &mut [f32],
) {
    let mut sums = [Lanes::of(0.0); ROWS];
    for (sums, row) in sums.iter_mut().zip(rows.chunks_exact(dim)) {
        sums.0[..dims.len()].copy_from_slice(&row[dims.clone()]);
    }
    let sums = add_all(lanes, symbols, sums);
    for (sums, row) in sums.iter().zip(rows.chunks_exact_mut(dim)) {
        row[dims.clone()].copy_from_slice(&sums.0[..dims.len()]);
    }
}

/// Adds to `sums` the codewords of the symbols of each row.
#[inline(always)]
fn add_all<const ROWS: usize>(
    lanes: &[[Lanes; CODEWORDS]],
    symbols: [&[u8]; ROWS],
    mut sums: [Lanes; ROWS],
) -> [Lanes; ROWS] {
    for (number, codewords) in lanes.iter().enumerate() {
        for (sums, symbols) in sums.iter_mut().zip(symbols) {
            *sums = sums.plus(&codewords[usize::from(symbols[number]) % CODEWORDS]);
        }
    }
    sums
}

/// See `Kernels::add_to_codewords`.
#[inline(always)]
pub(super) fn add_to_codewords(windows: &[Window], symbols: &[u8], row: &[f32], sums: &mut [f32]) {
    for (window, symbol) in windows.iter().zip(symbols) {
        let start = window.offset + usize::from(*symbol) * window.width;
        let sums = &mut sums[start..start + window.width];
        for (sum, value) in sums.iter_mut().zip(&row[window.first..window.first + window.width]) {
            *sum += value;
        }
    }
}
