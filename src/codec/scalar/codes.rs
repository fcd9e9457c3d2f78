//! Encoding and decoding of scalar codes.

use super::grid::Grid;
use super::half;
use crate::codec::scale::Scale;
use crate::kernels::{BitFields, CODE_PADDING, CODEWORDS, CodeLayout, Dequantizer, GROUP_DIMS, kernels};

/// The values of the numbers in a code.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// A grid for each dim: `[dim]`.
    Grids(Vec<Grid>),
    /// Half floats, with the number of dims.
    Halves(usize),
}

impl Form {
    /// `[dim]`; empty for halves.
    fn grids(&self) -> &[Grid] {
        if let Form::Grids(grids) = self { grids } else { &[] }
    }
}

/// Cut values matter if they add more than this many times the usual error of a row, and more than this share of its
/// energy. Scaling a row by two multiplies its error by 4, so it must gain more than that.
const CUT_MAX: f64 = 64.0;
const CUT_MIN: f64 = 1e-5;

/// The bits of a symbol.
const SYMBOL_BITS: u8 = 4;

/// The most bits that a dim gives to a symbol that it shares.
const SHARED_BITS: u8 = 2;

/// How the bits of a dim's number are divided between a symbol and the rest of a code.
#[derive(Clone, Copy, Debug)]
struct Split {
    /// Number of bits in a symbol, the highest; 0: none.
    high: u8,
    /// Position in the code of the lowest of them, in bits.
    position: usize,
    /// Number of the other bits.
    rest: u8,
}

/// The part of a symbol that encodes one dim.
pub(super) struct SymbolDim {
    /// The number of the symbol.
    pub(super) symbol: usize,
    pub(super) dim: usize,
    /// For each value of the symbol, the middle of the range in which the dim's value is.
    pub(super) middles: [f32; CODEWORDS],
    /// The width of that range; 0 if the symbol has all bits of the dim.
    pub(super) width: f32,
}

/// A dim that has no bits in symbols.
pub(super) struct OtherDim {
    pub(super) dim: usize,
    /// The middle of the range of its values, or the only value.
    pub(super) middle: f32,
    /// The width of that range; 0 if there is only one value.
    pub(super) width: f32,
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
        let grids = form.grids();
        let (splits, symbols) = split(grids);
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

    /// The dims that have bits in symbols, ascending.
    pub(super) fn symbol_dims(&self) -> impl Iterator<Item = SymbolDim> {
        let dims = self.form.grids().iter().zip(&self.splits).enumerate().filter(|(_, (_, split))| split.high > 0);
        dims.map(|(dim, (grid, split))| SymbolDim {
            symbol: split.position / usize::from(SYMBOL_BITS),
            dim,
            middles: middles(grid, split),
            width: grid.width(split.rest),
        })
    }

    /// The dims that have no bits in symbols, ascending.
    pub(super) fn other_dims(&self) -> impl Iterator<Item = OtherDim> {
        let dims = self.form.grids().iter().zip(&self.splits).enumerate().filter(|(_, (_, split))| split.high == 0);
        dims.map(|(dim, (grid, _))| OtherDim {
            dim,
            middle: grid.value(Grid::most(grid.bits) / 2.0),
            width: grid.width(grid.bits),
        })
    }

    /// See `Coder::is_cut`.
    pub(super) fn is_cut(&self, row: &[f32], scale: f32) -> bool {
        let (energy, cut) = self.cut(row, scale);
        cut > (CUT_MAX * f64::from(self.usual).powi(2)).max(CUT_MIN * energy)
    }

    /// See `Coder::error_of`.
    pub(super) fn error_of(&self, row: &[f32], scale: f32) -> f64 {
        let scaled = row.iter().map(|value| (f64::from(*value) / f64::from(scale)) as f32);
        match &self.form {
            Form::Grids(grids) => scaled.zip(grids).map(|(value, grid)| grid.squared_error(value)).sum(),
            Form::Halves(_) => scaled.map(half::squared_error).sum(),
        }
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
        let (mut held, mut count) = (0u64, 0u32);
        let mut slots = rest.iter_mut();
        for ((value, grid), split) in row.iter().zip(grids).zip(&self.splits) {
            // A dim without bits has the number 0.
            let mut number = grid.number(*value);
            if split.high > 0 {
                pairs[split.position / 8] |= ((number >> split.rest) as u8) << (split.position % 8);
                number &= (1 << split.rest) - 1;
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

/// For each value of the symbol that holds the high bits of `split`: the middle of the values that begin with these bits.
fn middles(grid: &Grid, split: &Split) -> [f32; CODEWORDS] {
    let (numbers, shift) = (Grid::most(split.rest), split.position % usize::from(SYMBOL_BITS));
    let high = |symbol: usize| (symbol >> shift & ((1 << split.high) - 1)) as f32;
    std::array::from_fn(|symbol| grid.value(high(symbol) * (numbers + 1.0) + numbers / 2.0))
}

/// Divides the numbers of `grids` between symbols and the rest; also returns the number of symbols. A dim of four bits or
/// more has a symbol. Others of the eight dims that are decoded together share symbols.
fn split(grids: &[Grid]) -> (Vec<Split>, usize) {
    let mut splits: Vec<Split> = grids.iter().map(|grid| Split { high: 0, position: 0, rest: grid.bits }).collect();
    let mut symbols = 0;
    for dims in splits.chunks_mut(GROUP_DIMS) {
        symbols = split_together(dims, symbols);
    }
    if !symbols.is_multiple_of(2) {
        symbols -= 1;
        clear(&mut splits, symbols);
    }
    (splits, symbols)
}

/// Splits the numbers of up to [`GROUP_DIMS`] dims into symbols from number `symbols` on; returns the number after the
/// last. A symbol with unused bits would make codes longer, so its bits go to the rest.
fn split_together(dims: &mut [Split], symbols: usize) -> usize {
    let bits = usize::from(SYMBOL_BITS);
    // The symbol that is shared, and its bits so far.
    let (mut next, mut shared, mut used) = (symbols, None, 0);
    for split in dims.iter_mut().filter(|split| split.rest > 0) {
        if split.rest >= SYMBOL_BITS {
            (split.high, split.position) = (SYMBOL_BITS, next * bits);
            next += 1;
        } else {
            let symbol = *shared.get_or_insert(next);
            next = next.max(symbol + 1);
            (split.high, split.position) =
                (split.rest.min(SHARED_BITS).min(SYMBOL_BITS - used), symbol * bits + usize::from(used));
            used += split.high;
        }
        split.rest -= split.high;
        if used == SYMBOL_BITS {
            (shared, used) = (None, 0);
        }
    }
    let Some(unfinished) = shared else { return next };
    clear(dims, unfinished);
    let after = |split: &&mut Split| split.high > 0 && split.position > unfinished * bits;
    dims.iter_mut().filter(after).for_each(|split| split.position -= bits);
    next - 1
}

/// Moves the bits of symbol `symbol` to the rest.
fn clear(dims: &mut [Split], symbol: usize) {
    let is_in = |split: &&mut Split| split.high > 0 && split.position / usize::from(SYMBOL_BITS) == symbol;
    dims.iter_mut().filter(is_in).for_each(|split| {
        *split = Split { high: 0, position: 0, rest: split.rest + split.high };
    });
}

/// The positions of each dim's bits in a code of `symbols` symbols, as the kernel reads them.
fn bit_positions(grids: &[Grid], splits: &[Split], symbols: usize) -> Vec<Dequantizer> {
    let mut numbers = vec![Dequantizer::default(); grids.len().div_ceil(GROUP_DIMS)];
    let mut rest = symbols * usize::from(SYMBOL_BITS);
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
        if split.high > 0 {
            set(&mut numbers.high, split.position, split.high);
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
