//! The scan of blocks of 32 codes with tables of bytes: for each code a score, the lower the nearer, and which are low enough.
//!
//! ```text
//! block      [pairs][32] u8: symbols 2k (16 bytes) and 2k + 1 (16 bytes) of 32 rows, row v in the low nibble of byte v,
//!            row v + 16 in its high nibble; then [32] side bytes if there is one
//! tables     [pairs][32] u8: what each codeword of symbol 2k and of symbol 2k + 1 counts
//! score      u16: the counts of a code's symbols, and what its side byte makes of them
//! ```
//!
//! Sixteen table entries fit a register and a byte shuffle looks up all rows of a half at once (André, Kermarrec, Le Scouarnec:
//! Cache locality is not enough, VLDB 2015; Quick ADC, ICMR 2017). All of it is whole numbers, so every level scores alike.

/// Rows of a block.
pub const BLOCK_ROWS: usize = 32;

/// What a side byte counts: `base[high nibble] + slope[high nibble] * low nibble / 16`, rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Low and high bytes of the sixteen bases, then of the slopes; each twice, as a shuffle of 32 bytes reads them.
    pub(super) tables: [[u8; 32]; 4],
}

/// Fifteen slopes must fit 16 bits.
pub const SLOPE_MAX: u16 = u16::MAX / 15;

impl Steps {
    /// The counts at the first of sixteen bytes each, and how many sixteenths a byte adds, at most [`SLOPE_MAX`].
    pub fn new(base: &[u16; 16], slope: &[u16; 16]) -> Steps {
        let bytes = |entries: &[u16; 16], byte: usize| std::array::from_fn(|at| entries[at % 16].to_le_bytes()[byte]);
        Steps { tables: [bytes(base, 0), bytes(base, 1), bytes(slope, 0), bytes(slope, 1)] }
    }

    /// The count of `byte`.
    #[inline(always)]
    pub fn of(&self, byte: u8) -> u16 {
        let [base, slope] =
            [0, 2].map(|table| u16::from_le_bytes([0, 1].map(|low| self.tables[table + low][usize::from(byte >> 4)])));
        base.wrapping_add(slope.wrapping_mul(u16::from(byte & 15)) >> 4)
    }
}

/// What the side bytes of a code do to the sum of its symbols.
#[derive(Clone, Copy, Debug)]
pub enum Sides {
    /// There are none.
    None,
    /// score = sum + count.
    Add(Steps),
    /// score = 65,535 − (from − sum) · count / 65,536, the difference at least 0.
    Scale {
        /// The sum that makes the worst score.
        from: u16,
        /// Of the side byte.
        steps: Steps,
    },
}

/// The side bytes that say nothing of their rows, whose scores are 0 then.
pub const SILENT: [u8; 2] = [0, u8::MAX];

/// How codes are scored.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// `[pairs]`. No sum of a code is above 65,535; and of two pairs that go together, 2j and 2j + 1, no two counts of
    /// first symbols are above 255 together, nor of second ones: bytes are added as they are.
    pub tables: &'a [[u8; 32]],
    /// What follows the symbols of a block.
    pub sides: Sides,
    /// Bytes of a block.
    pub block_bytes: usize,
}

/// True if `tables` are as [`Scan::tables`] must be.
pub fn sums_fit(tables: &[[u8; 32]]) -> bool {
    let most = |table: &[u8; 32], symbol: usize| table[symbol..][..16].iter().fold(0, |most, count| (*count).max(most));
    let fit_a_byte = |two: &[[u8; 32]; 2]| {
        [0, 16].iter().all(|symbol| most(&two[0], *symbol).checked_add(most(&two[1], *symbol)).is_some())
    };
    let all = tables.iter().flat_map(|table| [0, 16].map(|symbol| usize::from(most(table, symbol))));
    tables.as_chunks::<2>().0.iter().all(fit_a_byte) && all.sum::<usize>() <= usize::from(u16::MAX)
}

/// A code whose score was low enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Of the code.
    pub score: u16,
    /// Its row.
    pub row: u32,
}

/// See `Kernels::scan`; `score` scores one block and tells which rows, bit by bit, are within the limit. It is told whether
/// another one lies behind, too.
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
            let place = within.trailing_zeros();
            hits.push(Hit { score: scores[place as usize], row: row + place });
            within &= within - 1;
        }
        row += BLOCK_ROWS as u32;
    }
    count
}

/// The definition of a score: every row of `block` into `scores`; bit v is set if row v is within `limit`.
#[inline(always)]
pub(super) fn score(scan: &Scan<'_>, block: &[u8], limit: u16, scores: &mut [u16; BLOCK_ROWS]) -> u32 {
    *scores = [0; BLOCK_ROWS];
    let (pairs, sides) = block.split_at(scan.tables.len() * BLOCK_ROWS);
    for (pair, table) in pairs.as_chunks::<32>().0.iter().zip(scan.tables) {
        for place in 0..32 {
            let (row, table) = (place % 16, &table[place / 16 * 16..][..16]);
            scores[row] += u16::from(table[usize::from(pair[place] & 15)]);
            scores[row + 16] += u16::from(table[usize::from(pair[place] >> 4)]);
        }
    }
    for (score, side) in scores.iter_mut().zip(sides) {
        *score = match &scan.sides {
            Sides::None => *score,
            _ if SILENT.contains(side) => 0,
            Sides::Add(steps) => score.saturating_add(steps.of(*side)),
            Sides::Scale { from, steps } => {
                let product = u32::from(from.saturating_sub(*score)) * u32::from(steps.of(*side));
                !((product >> 16) as u16)
            }
        };
    }
    scores.iter().rev().fold(0, |bits, score| bits << 1 | u32::from(*score <= limit))
}

/// See `Kernels::inner_products`.
#[inline(always)]
pub(super) fn inner_products(
    windows: &[super::Window],
    columns: &[super::Lanes],
    query: &[f32],
    products: &mut [super::Lanes],
) {
    for (window, products) in windows.iter().zip(products) {
        let columns = &columns[window.place / 16..][..window.width];
        let mut sums = [0.0; 16];
        for (value, column) in query[window.first..window.first + window.width].iter().zip(columns) {
            for (sum, component) in sums.iter_mut().zip(&column.0) {
                *sum += value * component;
            }
        }
        products.0 = sums;
    }
}
