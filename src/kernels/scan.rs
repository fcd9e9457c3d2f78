//! The scan of blocks of 32 codes with lookup tables of bytes: it scores every code (lower is nearer) and selects those
//! within a limit.
//!
//! ```text
//! block      [pairs][32] u8: symbols 2k (16 bytes) and 2k + 1 (16 bytes) of 32 rows, row v in the low nibble of byte v,
//!            row v + 16 in its high nibble; then [32] side bytes if there is one
//! tables     [pairs][32] u8: the entries of the 16 codewords of symbol 2k, then those of symbol 2k + 1
//! score      u16: the sum of the entries of a code's symbols, corrected by its side byte
//! ```
//!
//! A byte shuffle looks up 16 rows at once in a table of 16 entries that stays in a register (André, Kermarrec, Le
//! Scouarnec: Cache locality is not enough, VLDB 2015; Quick ADC, ICMR 2017). All arithmetic is in integers.

use super::lanes::{CODEWORDS, Lanes};
use super::sums::Window;

/// Rows of a block.
pub const BLOCK_ROWS: usize = 32;

/// A piecewise linear function of a side byte: `base[high nibble] + slope[high nibble] * low nibble / 16`, rounded
/// down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PiecewiseLinear {
    /// Low bytes of the 16 bases, their high bytes, low bytes of the slopes, their high bytes. Each is stored twice,
    /// because a shuffle of 32 bytes reads a table for each half.
    pub(super) tables: [[u8; 32]; 4],
}

/// The largest slope: 15 times it fits 16 bits.
pub const SLOPE_MAX: u16 = u16::MAX / 15;

impl PiecewiseLinear {
    /// `base`: the values at bytes 0, 16, 32, …; `slope`: sixteenths added for each byte from there, at most
    /// [`SLOPE_MAX`].
    pub fn new(base: &[u16; 16], slope: &[u16; 16]) -> PiecewiseLinear {
        let bytes = |entries: &[u16; 16], byte: usize| std::array::from_fn(|at| entries[at % 16].to_le_bytes()[byte]);
        PiecewiseLinear { tables: [bytes(base, 0), bytes(base, 1), bytes(slope, 0), bytes(slope, 1)] }
    }

    /// The value at `byte`.
    #[inline(always)]
    pub fn at(&self, byte: u8) -> u16 {
        let [base, slope] =
            [0, 2].map(|table| u16::from_le_bytes([0, 1].map(|low| self.tables[table + low][usize::from(byte >> 4)])));
        base.wrapping_add(slope.wrapping_mul(u16::from(byte & 15)) >> 4)
    }
}

/// How side bytes correct the sums of symbols.
#[derive(Clone, Copy, Debug)]
pub enum Sides {
    /// Codes have no side byte.
    None,
    /// score = sum + value of the side byte, saturating.
    Add(PiecewiseLinear),
    /// score = 65,535 − max(from − sum, 0) · factor / 65,536, the product rounded down.
    Scale {
        /// Sums from this one on get the worst score.
        from: u16,
        /// The factor, from the side byte.
        factor: PiecewiseLinear,
    },
}

/// The side bytes without a correction ("too small" and "too large" for the scale). Such rows score 0, so that they
/// always become candidates.
pub const SILENT: [u8; 2] = [0, u8::MAX];

/// The parameters of a scan.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// `[pairs]`. The sum of a code must be at most 65,535. Entries of pairs 2j and 2j + 1 are added as bytes: an entry
    /// for the first symbol of one plus an entry for the first symbol of the other must be at most 255, likewise for
    /// the second symbols.
    pub tables: &'a [[u8; 32]],
    /// The use of the side bytes, which follow the symbols of a block.
    pub sides: Sides,
    /// Size of a block in bytes.
    pub block_bytes: usize,
}

/// True if `tables` meet the requirements of [`Scan::tables`].
pub fn sums_fit(tables: &[[u8; 32]]) -> bool {
    let most = |table: &[u8; 32], symbol: usize| table[symbol..][..16].iter().fold(0, |most, count| (*count).max(most));
    let fit_a_byte = |two: &[[u8; 32]; 2]| {
        [0, 16].iter().all(|symbol| most(&two[0], *symbol).checked_add(most(&two[1], *symbol)).is_some())
    };
    let all = tables.iter().flat_map(|table| [0, 16].map(|symbol| usize::from(most(table, symbol))));
    tables.as_chunks::<2>().0.iter().all(fit_a_byte) && all.sum::<usize>() <= usize::from(u16::MAX)
}

/// A code with a score within the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Its score.
    pub score: u16,
    /// The number of its row.
    pub row: u32,
}

/// See `Kernels::scan`. `score` is `portable::score` or its equal for the instruction set.
#[inline(always)]
pub(super) fn scan(
    scan: &Scan<'_>,
    blocks: &[u8],
    first_row: u32,
    limit: u16,
    hits: &mut Vec<Hit>,
    score: impl Fn(&Scan<'_>, &[u8], bool, u16, &mut [u16; BLOCK_ROWS]) -> u32,
) -> usize {
    let mut scores = [0; BLOCK_ROWS];
    let mut row = first_row;
    let count = blocks.len() / scan.block_bytes;
    for (number, block) in blocks.chunks_exact(scan.block_bytes).enumerate() {
        if hits.capacity() - hits.len() < BLOCK_ROWS {
            return number;
        }
        let mut within = score(scan, block, number + 1 < count, limit, &mut scores);
        while within != 0 {
            let index = within.trailing_zeros();
            hits.push(Hit { score: scores[index as usize], row: row + index });
            within &= within - 1;
        }
        row += BLOCK_ROWS as u32;
    }
    count
}

/// See `Kernels::inner_products`.
#[inline(always)]
pub(super) fn inner_products(windows: &[Window], columns: &[Lanes], query: &[f32], products: &mut [Lanes]) {
    for (window, products) in windows.iter().zip(products) {
        let columns = &columns[window.offset / CODEWORDS..][..window.width];
        let mut sums = [0.0; CODEWORDS];
        for (value, column) in query[window.first..window.first + window.width].iter().zip(columns) {
            for (sum, component) in sums.iter_mut().zip(&column.0) {
                *sum += value * component;
            }
        }
        products.0 = sums;
    }
}
