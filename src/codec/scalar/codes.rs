//! Encoding and decoding of scalar codes.

use super::grid::Grid;
use super::half;
use crate::codec::scale::Scale;
use crate::kernels::{BitFields, CODE_PADDING, CodeLayout, Dequantizer, GROUP_DIMS, kernels};

/// The values of the numbers in a code.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// A grid for each dim: `[dim]`.
    Grids(Vec<Grid>),
    /// Half floats, with the number of dims.
    Halves(usize),
}

/// Cut values matter if they add more than this many times the usual error of a row, and more than this share of its
/// energy. Scaling a row by two multiplies its error by 4, so it must gain more than that.
const CUT_MAX: f64 = 64.0;
const CUT_MIN: f64 = 1e-5;

/// The bits of a symbol.
const SYMBOL_BITS: u8 = 4;

/// How the bits of a dim's number are divided between the symbols and the rest of a code.
#[derive(Clone, Copy, Debug)]
struct Split {
    /// True if the highest four bits are a symbol.
    has_symbol: bool,
    /// Number of the other bits.
    rest: u8,
}

/// Everything needed to encode and decode scalar codes.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub(super) scale: Scale,
    /// The root of the mean squared error of a row whose values are not cut.
    pub(super) usual: f32,
    form: Form,
    /// `[dim]` for grids.
    splits: Vec<Split>,
    /// `[dim / 8, rounded up]` for grids.
    numbers: Vec<Dequantizer>,
    layout: CodeLayout,
    /// True if every number is a byte and dim is even.
    is_bytes: bool,
}

impl Scalar {
    pub(super) fn new(form: Form, scale: Scale, usual: f32) -> Scalar {
        let bits: u64 = match &form {
            Form::Grids(grids) => grids.iter().map(|grid| u64::from(grid.bits)).sum(),
            Form::Halves(dim) => *dim as u64 * 16,
        };
        let grids = if let Form::Grids(grids) = &form { grids.as_slice() } else { &[] };
        let symbols = grids.iter().filter(|grid| grid.bits >= SYMBOL_BITS).count() / 2 * 2;
        let mut split_off = 0;
        let split = |grid: &Grid| {
            let has_symbol = grid.bits >= SYMBOL_BITS && split_off < symbols;
            split_off += usize::from(has_symbol);
            Split { has_symbol, rest: if has_symbol { grid.bits - SYMBOL_BITS } else { grid.bits } }
        };
        let splits: Vec<Split> = grids.iter().map(split).collect();
        let numbers = bit_positions(grids, &splits, symbols);
        let is_bytes = symbols == grids.len() && grids.iter().all(|grid| grid.bits == 8) && symbols > 0;
        // At least one byte, even if no dim varies: the number of rows is computed from the number of bytes.
        let row_bytes = bits.div_ceil(8).max(1) as usize;
        let layout = CodeLayout { symbols, side_bytes: row_bytes - symbols / 2 };
        Scalar { scale, usual, form, splits, numbers, layout, is_bytes }
    }

    /// The values of the numbers in a code.
    pub(super) fn form(&self) -> &Form {
        &self.form
    }

    /// Components of a vector.
    pub(super) fn dim(&self) -> usize {
        match &self.form {
            Form::Grids(grids) => grids.len(),
            Form::Halves(dim) => *dim,
        }
    }

    /// Number of symbols (even) and of side bytes.
    pub(super) fn layout(&self) -> CodeLayout {
        self.layout
    }

    /// The dim of each symbol and, for each value of the symbol, the middle of the range of numbers with these high
    /// bits.
    pub(super) fn symbol_values(&self) -> impl Iterator<Item = (usize, [f32; 16])> {
        let grids = if let Form::Grids(grids) = &self.form { grids.as_slice() } else { &[] };
        let dims = grids.iter().zip(&self.splits).enumerate().filter(|(_, (_, split))| split.has_symbol);
        dims.map(|(dim, (grid, split))| (dim, middles(grid, split)))
    }

    /// See `Coder::is_cut`.
    pub(super) fn is_cut(&self, row: &[f32], scale: f32) -> bool {
        let (energy, cut) = self.cut(row, scale);
        cut > (CUT_MAX * f64::from(self.usual).powi(2)).max(CUT_MIN * energy)
    }

    /// See `Coder::error_of`.
    pub(super) fn error_of(&self, row: &[f32], scale: f32) -> f64 {
        self.cut(row, scale).1 + f64::from(self.usual).powi(2)
    }

    /// The energy of `row: [dim]` divided by `scale`, and the part of it beyond the values that codes can have.
    fn cut(&self, row: &[f32], scale: f32) -> (f64, f64) {
        let scaled = row.iter().map(|value| (f64::from(*value) / f64::from(scale)) as f32);
        let beyond = |value: f32, low: f32, high: f32| f64::from((value - high).max(low - value).max(0.0));
        let squares = |sum: (f64, f64), (value, beyond): (f32, f64)| {
            (sum.0 + f64::from(value) * f64::from(value), sum.1 + beyond * beyond)
        };
        match &self.form {
            Form::Grids(grids) => scaled.zip(grids).fold((0.0, 0.0), |sum, (value, grid)| {
                let (low, high) = grid.reach();
                squares(sum, (value, beyond(value, low, high)))
            }),
            Form::Halves(_) => {
                scaled.fold((0.0, 0.0), |sum, value| squares(sum, (value, beyond(value, -half::MAX, half::MAX))))
            }
        }
    }

    /// Encodes `rows: [n][dim]` into `codes: [n][row_bytes]`.
    pub(super) fn encode(&self, rows: &[f32], codes: &mut [u8]) {
        let row_bytes = self.layout.row_bytes();
        let rows = rows.chunks_exact(self.dim()).zip(codes.chunks_exact_mut(row_bytes));
        match &self.form {
            Form::Grids(grids) => rows.for_each(|(row, code)| self.pack(grids, row, code)),
            Form::Halves(_) => rows.for_each(|(row, code)| {
                let halves = code.as_chunks_mut::<2>().0;
                halves.iter_mut().zip(row).for_each(|(half, x)| *half = half::from_float(*x).to_le_bytes());
            }),
        }
    }

    /// Decodes `codes: [n][row_bytes]` into `rows: [n][dim]`.
    pub(super) fn decode(&self, codes: &[u8], rows: &mut [f32]) {
        let row_bytes = self.layout.row_bytes();
        let rows = rows.chunks_exact_mut(self.dim());
        let pairs = rows.zip(codes.chunks_exact(row_bytes));
        match &self.form {
            Form::Grids(grids) if self.is_bytes => pairs.for_each(|(row, code)| unpack_bytes(grids, code, row)),
            Form::Grids(_) => {
                let padded = [codes, &[0; CODE_PADDING]].concat();
                let starts = (0..).step_by(row_bytes);
                pairs
                    .zip(starts)
                    .for_each(|((row, _), start)| kernels().dequantize(&self.numbers, &padded[start..], row));
            }
            Form::Halves(_) => pairs.for_each(|(row, code)| {
                let halves = code.as_chunks::<2>().0;
                row.iter_mut().zip(halves).for_each(|(x, half)| *x = half::to_float(u16::from_le_bytes(*half)));
            }),
        }
    }

    /// Writes the numbers of `row: [dim]` as bits into `code`, all of which is written.
    fn pack(&self, grids: &[Grid], row: &[f32], code: &mut [u8]) {
        let (pairs, rest) = code.split_at_mut(self.layout.symbol_bytes());
        pairs.fill(0);
        let (mut held, mut count, mut symbol) = (0u64, 0u32, 0);
        let mut slots = rest.iter_mut();
        for ((value, grid), split) in row.iter().zip(grids).zip(&self.splits) {
            // A dim without bits has the number 0.
            let mut number = grid.number(*value);
            if split.has_symbol {
                pairs[symbol / 2] |= ((number >> split.rest) as u8) << (symbol % 2 * 4);
                number &= (1 << split.rest) - 1;
                symbol += 1;
            }
            held |= u64::from(number) << count;
            count += u32::from(split.rest);
            while count >= 8 {
                slots.by_ref().take(1).for_each(|byte| *byte = held as u8);
                held >>= 8;
                count -= 8;
            }
        }
        for byte in slots {
            *byte = held as u8;
            held >>= 8;
        }
    }
}

/// For each value of a dim's symbol, the middle of the range of numbers with these high bits.
fn middles(grid: &Grid, split: &Split) -> [f32; 16] {
    let numbers = Grid::most(split.rest);
    std::array::from_fn(|symbol| grid.value(symbol as f32 * (numbers + 1.0) + numbers / 2.0))
}

/// The positions of each dim's bits in a code of `symbols` symbols, as the kernel reads them.
fn bit_positions(grids: &[Grid], splits: &[Split], symbols: usize) -> Vec<Dequantizer> {
    let mut numbers = vec![Dequantizer::default(); grids.len().div_ceil(GROUP_DIMS)];
    let (mut symbol, mut rest) = (0, symbols * usize::from(SYMBOL_BITS));
    for (dim, (grid, split)) in grids.iter().zip(splits).enumerate() {
        let (numbers, at) = (&mut numbers[dim / GROUP_DIMS], dim % GROUP_DIMS);
        let set = |bits: &mut BitFields, start: usize, count: u8| {
            if bits.mask == [0; GROUP_DIMS] {
                bits.base = start / 8;
            }
            (bits.offset[at], bits.shift[at], bits.mask[at]) =
                ((start / 8 - bits.base) as u32, (start % 8) as u32, (1 << count) - 1);
        };
        set(&mut numbers.low, rest, split.rest);
        rest += usize::from(split.rest);
        if split.has_symbol {
            set(&mut numbers.high, symbol, SYMBOL_BITS);
            symbol += usize::from(SYMBOL_BITS);
        }
        (numbers.low_bits[at], numbers.first[at], numbers.step[at]) = (u32::from(split.rest), grid.low, grid.step);
    }
    numbers
}

/// Decodes numbers that are bytes: the code holds the upper halves of all of them, then the lower ones.
fn unpack_bytes(grids: &[Grid], code: &[u8], out: &mut [f32]) {
    let (upper, lower) = code.split_at(code.len() / 2);
    let pairs = out.as_chunks_mut::<2>().0.iter_mut().zip(grids.as_chunks::<2>().0);
    for ((values, grids), (upper, lower)) in pairs.zip(upper.iter().zip(lower)) {
        values[0] = grids[0].value(f32::from((upper & 15) << 4 | lower & 15));
        values[1] = grids[1].value(f32::from(upper & 0xf0 | lower >> 4));
    }
}
