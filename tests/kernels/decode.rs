//! Rows from codes: sums of codewords, and grids.

use crate::{MISALIGNMENTS, Results, bits, levels, noise, portable};
use omen::kernels::{BitFields, CODE_PADDING, Codewords, Dequantizer, GROUP_DIMS, Kernels, Lanes, Strip, Window};

/// The codewords of windows that begin and end in ascending order, cut into strips that cover `dim`.
fn strips_of(windows: &[Window], values: &[f32], dim: usize) -> (Vec<Strip>, Vec<Lanes>) {
    let (mut strips, mut lanes) = (Vec::new(), Vec::new());
    for start in (0..dim).step_by(16) {
        let first = windows.iter().filter(|window| window.first + window.width <= start).count();
        strips.push(Strip { first, end: windows.len(), offset: lanes.len() });
        for (window, codeword) in
            windows[first..].iter().flat_map(|window| (0..16).map(move |codeword| (window, codeword)))
        {
            let reached = |dim: &usize| (window.first..window.first + window.width).contains(dim);
            let value = |dim: usize| values[window.offset + codeword * window.width + dim - window.first];
            lanes.push(Lanes(std::array::from_fn(|lane| Some(start + lane).filter(reached).map_or(0.0, value))));
        }
    }
    (strips, lanes)
}

/// Overlapping windows of 7 symbols, codewords for them, and a row.
struct Overlap {
    windows: Vec<Window>,
    values: Vec<f32>,
    row: Vec<f32>,
}

impl Overlap {
    const DIM: usize = 77;
    const SYMBOLS: [u8; 7] = [3, 15, 0, 9, 1, 7, 12];

    fn new() -> Overlap {
        let mut offset = 0;
        let window = |(first, width): (usize, usize)| {
            offset += 16 * width;
            Window { first, width, offset: offset - 16 * width }
        };
        let windows = [1, 2, 15, 16, 17, 33, 64].into_iter().enumerate().map(window).collect();
        Overlap { windows, values: noise(offset, 11), row: noise(Overlap::DIM, 12) }
    }

    /// Other symbols for each of the `rows`.
    fn symbols(rows: u8) -> Vec<u8> {
        (0..rows).flat_map(|row| Overlap::SYMBOLS.map(|symbol| symbol ^ row)).collect()
    }

    /// `rows` times the row plus codewords, at `start` floats from the beginning of the buffer.
    fn decode(&self, kernels: &Kernels, rows: u8, start: usize) -> Vec<f32> {
        let (strips, lanes) = strips_of(&self.windows, &self.values, Overlap::DIM);
        let codewords = Codewords { symbols: self.windows.len(), strips: &strips, lanes: &lanes };
        let mut sums = [vec![0.0; start], self.row.repeat(rows.into())].concat();
        kernels.add_codewords(&codewords, &Overlap::symbols(rows), &mut sums[start..]);
        sums.split_off(start)
    }
}

pub fn add_codewords(kernels: &Kernels) -> Results {
    let overlap = Overlap::new();
    let cases = [0, 1, 3, 4, 5, 11].into_iter().flat_map(|rows| [0, 1, 7].map(|start| (rows, start)));
    cases.map(|(rows, start)| (format!("{rows} rows"), bits(&overlap.decode(kernels, rows, start)))).collect()
}

pub fn add_to_codewords(kernels: &Kernels) -> Results {
    let overlap = Overlap::new();
    let run = |start: usize| {
        let padding = vec![0.0; start];
        let (row, mut sums) = ([&*padding, &overlap.row].concat(), [&*padding, &overlap.values].concat());
        kernels.add_to_codewords(&overlap.windows, &Overlap::SYMBOLS, &row[start..], &mut sums[start..]);
        (format!("misalignment {start}"), bits(&sums))
    };
    MISALIGNMENTS.map(run).collect()
}

#[test]
fn sums_of_codewords_equal_plain_sums() {
    let Overlap { windows, values, row } = &Overlap::new();
    let (mut decoded, mut sums) = (row.repeat(11), values.clone());
    for (number, row) in decoded.chunks_exact_mut(Overlap::DIM).enumerate() {
        for (window, symbol) in windows.iter().zip(Overlap::SYMBOLS.map(|symbol| usize::from(symbol ^ number as u8))) {
            let codeword = &values[window.offset + symbol * window.width..][..window.width];
            row[window.first..].iter_mut().zip(codeword).for_each(|(value, part)| *value += part);
        }
    }
    assert_eq!(bits(&Overlap::new().decode(portable(), 11, 0)), bits(&decoded));
    for (window, symbol) in windows.iter().zip(Overlap::SYMBOLS) {
        let codeword = &mut sums[window.offset + usize::from(symbol) * window.width..][..window.width];
        codeword.iter_mut().zip(&row[window.first..]).for_each(|(sum, value)| *sum += value);
    }
    let (_, found) = add_to_codewords(portable()).swap_remove(0);
    assert_eq!(found, bits(&sums));
}

/// A scalar code of `DIM` dims with different numbers of bits, its decoder, and the values it stands for.
fn scalar_code() -> (Vec<u8>, Vec<Dequantizer>, Vec<f32>) {
    const DIM: usize = 21;
    let mut code: Vec<u8> = noise(64, 21).iter().map(|value| (value * 500.0) as i32 as u8).collect();
    code.extend([0; CODE_PADDING]);
    // Bit by bit, as the format defines it.
    let bits_at = |start: usize, count: usize| {
        (0..count).map(|bit| u32::from(code[(start + bit) / 8] >> ((start + bit) % 8) & 1) << bit).sum::<u32>()
    };
    let (mut groups, mut expected) = (vec![Dequantizer::default(); DIM.div_ceil(GROUP_DIMS)], Vec::new());
    let (mut symbol, mut rest) = (0, DIM * 4);
    for dim in 0..DIM {
        let (low_bits, high_bits) = (dim * 7 % 13, if dim % 5 == 2 { 0 } else { 4 });
        let (group, at) = (&mut groups[dim / GROUP_DIMS], dim % GROUP_DIMS);
        let put = |fields: &mut BitFields, start: usize, count: usize| {
            if at == 0 {
                fields.base = start / 8;
            }
            (fields.offset[at], fields.shift[at]) = ((start / 8 - fields.base) as u32, (start % 8) as u32);
            fields.mask[at] = (1 << count) - 1;
        };
        put(&mut group.low, rest, low_bits);
        put(&mut group.high, symbol, high_bits);
        (group.low_bits[at], group.first[at], group.step[at]) = (low_bits as u32, dim as f32, 0.25);
        let number = bits_at(rest, low_bits) | bits_at(symbol, high_bits) << low_bits;
        expected.push(dim as f32 + 0.25 * number as f32);
        (symbol, rest) = (symbol + high_bits, rest + low_bits);
    }
    (code, groups, expected)
}

pub fn dequantize(kernels: &Kernels) -> Results {
    let (code, groups, expected) = scalar_code();
    let run = |(count, start): (usize, usize)| {
        let code = [vec![0; start], code.clone()].concat();
        let mut out = vec![f32::NAN; start + count];
        kernels.dequantize(&groups, &code[start..], &mut out[start..]);
        (format!("{count} dims, misalignment {start}"), bits(&out[start..]))
    };
    (0..=expected.len()).flat_map(|count| [0, 1, 3, 7].map(|start| (count, start))).map(run).collect()
}

#[test]
fn dequantized_values_equal_those_read_bit_by_bit() {
    let (code, groups, expected) = scalar_code();
    assert!(expected.iter().any(|value| *value > 1000.0));
    for kernels in levels() {
        let mut out = vec![f32::NAN; expected.len()];
        kernels.dequantize(&groups, &code, &mut out);
        assert_eq!(bits(&out), bits(&expected), "{:?}", kernels.level());
        kernels.dequantize(&groups, &code[..4], &mut out);
        let last = expected.len() - 1;
        assert_eq!(out[last], last as f32, "a code that is too short: {:?}", kernels.level());
    }
}
