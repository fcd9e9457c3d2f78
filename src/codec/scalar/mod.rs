//! Scalar codes: each dim is a whole number by itself.
//!
//! ```text
//! grids      dim d has bits[d], 0 to 16: value = low[d] + step[d] · number
//! halves     each dim is a half (`half`)
//! symbols    the four highest bits of each dim that has four, but for the last such dim where they are odd in number
//! code       the symbols, two a byte, low nibble first; then what is left of the numbers, lowest bit first, dim after dim,
//!            without gaps; the bits that are left are zero
//! ```
//! By its symbols a code can be scanned like any other: coarsely, but by a quarter to all of its bytes (`table`).
//!
//! The stored form, all little-endian:
//!
//! ```text
//! u32 kind (3: scalar codes)   u32 dim   u32 symbols   u32 side bytes: the others of a code   u32 form (0 grids, 1 halves)
//! if grids:   [dim] u8 bits, [dim] f32 low, [dim] f32 step
//! ```

pub(super) mod grids;
mod half;

use crate::codec::reader::Reader;
use crate::codec::{DIM_MAX, SCALAR};
use crate::kernels::{BitFields, CODE_PADDING, Dequantizer, GROUP_DIMS, Lanes, kernels};
use crate::metric::Metric;

const HEADER_BYTES: usize = 20;

/// The most bits of a dim.
pub(super) const BITS_MAX: u8 = 16;

/// Added to a float from 0 to 2^22 it leaves the nearest whole number in the low bits, ties to even.
pub(super) const ROUNDS: f32 = 8_388_608.0;

/// The values of one dim: from `low` in equal steps, as many as `bits` tell apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) bits: u8,
    pub(super) low: f32,
    pub(super) step: f32,
}

impl Grid {
    /// The largest number of `bits`.
    pub(super) fn most(bits: u8) -> f32 {
        ((1u32 << bits) - 1) as f32
    }

    /// True if every number stands for a finite value.
    pub(super) fn is_sound(&self) -> bool {
        let reach = self.step * Grid::most(self.bits.min(BITS_MAX));
        self.bits <= BITS_MAX && self.step >= 0.0 && reach.is_finite() && (self.low + reach).is_finite()
    }

    /// The number whose value is nearest to `value`.
    #[inline]
    pub(super) fn number(&self, value: f32) -> u32 {
        // A step of zero makes 0 / 0, which `max` turns into 0.
        let place = ((value - self.low) / self.step).max(0.0).min(Grid::most(self.bits));
        (place + ROUNDS).to_bits() & 0xffff
    }

    #[inline]
    pub(super) fn value(&self, number: f32) -> f32 {
        self.low + self.step * number
    }
}

/// What the numbers of a code stand for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// `[dim]`.
    Grids(Vec<Grid>),
    /// So many dims.
    Halves(usize),
}

/// The bits of a symbol.
const SYMBOL_BITS: u8 = 4;

/// Where the bits of a dim's number are.
#[derive(Clone, Copy, Debug)]
struct Split {
    /// True if the highest four are a symbol.
    has_symbol: bool,
    /// How many others there are.
    rest: u8,
}

/// Everything needed to encode and decode scalar codes.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    form: Form,
    /// `[dim]` for grids.
    splits: Vec<Split>,
    /// `[dim / 8, rounded up]` for grids.
    numbers: Vec<Dequantizer>,
    symbols: usize,
    row_bytes: usize,
    /// True if every number is a byte, and there is an even number of them.
    is_bytes: bool,
}

impl Scalar {
    fn new(form: Form) -> Scalar {
        let bits: u64 = match &form {
            Form::Grids(grids) => grids.iter().map(|grid| u64::from(grid.bits)).sum(),
            Form::Halves(dim) => *dim as u64 * 16,
        };
        let grids = if let Form::Grids(grids) = &form { grids.as_slice() } else { &[] };
        let symbols = grids.iter().filter(|grid| grid.bits >= SYMBOL_BITS).count() / 2 * 2;
        let mut given = 0;
        let split = |grid: &Grid| {
            let has_symbol = grid.bits >= SYMBOL_BITS && given < symbols;
            given += usize::from(has_symbol);
            Split { has_symbol, rest: if has_symbol { grid.bits - SYMBOL_BITS } else { grid.bits } }
        };
        let splits: Vec<Split> = grids.iter().map(split).collect();
        let numbers = numbers_of(grids, &splits, symbols);
        let is_bytes = symbols == grids.len() && grids.iter().all(|grid| grid.bits == 8) && symbols > 0;
        // A code has a byte even where no dim varies: rows of no bytes could not be told apart in a file.
        let row_bytes = bits.div_ceil(8).max(1) as usize;
        Scalar { form, splits, numbers, symbols, row_bytes, is_bytes }
    }

    /// Symbols of a code, an even number.
    pub(super) fn symbols(&self) -> usize {
        self.symbols
    }

    /// For each symbol sixteen products whose sum says how near a code is to `query: [dim]`, as far as symbols tell: half the
    /// negated squared distance for L2, else the inner product.
    pub(super) fn products(&self, metric: Metric, query: &[f32]) -> Vec<Lanes> {
        let Form::Grids(grids) = &self.form else { return Vec::new() };
        let dims = grids.iter().zip(&self.splits).zip(query).filter(|((_, split), _)| split.has_symbol);
        let product = |((grid, split), query): ((&Grid, &Split), &f32)| {
            let of = |value: f32| {
                if metric == Metric::L2 { -0.5 * (query - value) * (query - value) } else { query * value }
            };
            Lanes(middles(grid, split).map(of))
        };
        dims.map(product).collect()
    }

    /// For each symbol the squares of what it stands for: they add up to how long a vector is, squared.
    pub(super) fn squares(&self) -> Vec<Lanes> {
        let Form::Grids(grids) = &self.form else { return Vec::new() };
        let symbols = grids.iter().zip(&self.splits).filter(|(_, split)| split.has_symbol);
        symbols.map(|(grid, split)| Lanes(middles(grid, split).map(|value| value * value))).collect()
    }

    pub(super) fn dim(&self) -> usize {
        match &self.form {
            Form::Grids(grids) => grids.len(),
            Form::Halves(dim) => *dim,
        }
    }

    pub(super) fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Encodes `rows: [n][dim]` into `codes: [n][row_bytes]`.
    pub(super) fn encode(&self, rows: &[f32], codes: &mut [u8]) {
        let rows = rows.chunks_exact(self.dim()).zip(codes.chunks_exact_mut(self.row_bytes));
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
        let rows = rows.chunks_exact_mut(self.dim());
        let pairs = rows.zip(codes.chunks_exact(self.row_bytes));
        match &self.form {
            Form::Grids(grids) if self.is_bytes => pairs.for_each(|(row, code)| unpack_bytes(grids, code, row)),
            Form::Grids(_) => {
                let padded = [codes, &[0; CODE_PADDING]].concat();
                let starts = (0..).step_by(self.row_bytes);
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

    /// The most bytes a book of this dim takes.
    pub(super) fn stored_bytes(dim: usize) -> usize {
        HEADER_BYTES + dim * 9
    }

    /// The book of `form`, as it is stored.
    pub(super) fn to_bytes(form: Form) -> Vec<u8> {
        let scalar = Scalar::new(form);
        let is_halves = u32::from(matches!(scalar.form, Form::Halves(_)));
        let side_bytes = scalar.row_bytes - scalar.symbols / 2;
        let header = [SCALAR, scalar.dim() as u32, scalar.symbols as u32, side_bytes as u32, is_halves];
        let mut bytes: Vec<u8> = header.iter().flat_map(|number| number.to_le_bytes()).collect();
        if let Form::Grids(grids) = &scalar.form {
            bytes.extend(grids.iter().map(|grid| grid.bits));
            bytes.extend(grids.iter().flat_map(|grid| grid.low.to_le_bytes()));
            bytes.extend(grids.iter().flat_map(|grid| grid.step.to_le_bytes()));
        }
        bytes
    }

    /// The book in `bytes`, which are not trusted.
    pub(super) fn take(bytes: &[u8]) -> std::result::Result<Scalar, String> {
        let mut reader = Reader::new(bytes);
        let header: [usize; 4] = [reader.number()?, reader.number()?, reader.number()?, reader.number()?];
        let ([kind, dim, symbols, side_bytes], form) = (header, reader.number()?);
        if kind != SCALAR as usize || !(1..=DIM_MAX).contains(&dim) || form > 1 {
            return Err(format!("kind {kind}, dim {dim}, form {form}, expected {SCALAR}, 1..={DIM_MAX}, 0..=1"));
        }
        let scalar =
            Scalar::new(if form == 1 { Form::Halves(dim) } else { Form::Grids(take_grids(dim, &mut reader)?) });
        let expected = (scalar.symbols, scalar.row_bytes - scalar.symbols / 2);
        if expected != (symbols, side_bytes) || !reader.bytes.is_empty() {
            let left = reader.bytes.len();
            return Err(format!(
                "codes of {symbols} symbols and {side_bytes} bytes, expected {expected:?}; {left} bytes left, expected 0"
            ));
        }
        Ok(scalar)
    }
}

/// What each symbol of a dim stands for: the middle of the values it begins.
fn middles(grid: &Grid, split: &Split) -> [f32; 16] {
    let numbers = Grid::most(split.rest);
    std::array::from_fn(|symbol| grid.value(symbol as f32 * (numbers + 1.0) + numbers / 2.0))
}

fn take_grids(dim: usize, reader: &mut Reader<'_>) -> std::result::Result<Vec<Grid>, String> {
    let (bits, lows, steps) = (reader.bytes(dim)?, reader.floats(dim)?, reader.floats(dim)?);
    let grids = bits.iter().zip(lows).zip(steps).map(|((bits, low), step)| Grid { bits: *bits, low, step });
    let grids: Vec<Grid> = grids.collect();
    match grids.iter().position(|grid| !grid.is_sound()) {
        None => Ok(grids),
        Some(dim) => Err(format!("{:?} of dim {dim}, expected {BITS_MAX} bits at most, finite values", grids[dim])),
    }
}

impl Scalar {
    /// The numbers of `row: [dim]` as bits of `code`, all of which is written.
    fn pack(&self, grids: &[Grid], row: &[f32], code: &mut [u8]) {
        let (pairs, rest) = code.split_at_mut(self.symbols / 2);
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

/// Where the numbers of codes with so many `symbols` are.
fn numbers_of(grids: &[Grid], splits: &[Split], symbols: usize) -> Vec<Dequantizer> {
    let mut numbers = vec![Dequantizer::default(); grids.len().div_ceil(GROUP_DIMS)];
    let (mut symbol, mut rest) = (0, symbols * usize::from(SYMBOL_BITS));
    for (dim, (grid, split)) in grids.iter().zip(splits).enumerate() {
        let (numbers, at) = (&mut numbers[dim / GROUP_DIMS], dim % GROUP_DIMS);
        let put = |bits: &mut BitFields, start: usize, count: u8| {
            if bits.mask == [0; GROUP_DIMS] {
                bits.base = start / 8;
            }
            (bits.offset[at], bits.shift[at], bits.mask[at]) =
                ((start / 8 - bits.base) as u32, (start % 8) as u32, (1 << count) - 1);
        };
        put(&mut numbers.low, rest, split.rest);
        rest += usize::from(split.rest);
        if split.has_symbol {
            put(&mut numbers.high, symbol, SYMBOL_BITS);
            symbol += usize::from(SYMBOL_BITS);
        }
        (numbers.low_bits[at], numbers.first[at], numbers.step[at]) = (u32::from(split.rest), grid.low, grid.step);
    }
    numbers
}

/// The values of numbers that are bytes: the upper halves of all of them, then the lower ones.
fn unpack_bytes(grids: &[Grid], code: &[u8], out: &mut [f32]) {
    let (upper, lower) = code.split_at(code.len() / 2);
    let pairs = out.as_chunks_mut::<2>().0.iter_mut().zip(grids.as_chunks::<2>().0);
    for ((values, grids), (upper, lower)) in pairs.zip(upper.iter().zip(lower)) {
        values[0] = grids[0].value(f32::from((upper & 15) << 4 | lower & 15));
        values[1] = grids[1].value(f32::from(upper & 0xf0 | lower >> 4));
    }
}
