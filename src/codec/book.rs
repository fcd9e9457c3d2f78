//! The codebook as bytes, and codewords as 16-bit fixed point.
//!
//! ```text
//! u32 kind (1: product quantization)   u32 dim   u32 symbols   u32 side bytes (0)
//! [symbols] u16    dims of each subspace, less 1
//! [symbols] i16    exponent of two of each subspace's scale
//! [dim] f32        offsets
//! [dim][16] i16    codewords: a component is offset + 2^exponent * codeword
//! ```
//! All little-endian. A power of two as the scale makes the product exact, so the sum is the only rounding of a decode.

use super::{CODEWORDS, Codebook, check_shape};
use crate::error::{Error, Result};

const KIND: u32 = 1;
const HEADER_BYTES: usize = 16;

/// Exponents whose scale and its inverse are both normal floats.
const EXPONENTS: std::ops::RangeInclusive<i16> = -126..=126;

/// Two to the power of `exponent`, one of [`EXPONENTS`].
fn power_of_two(exponent: i16) -> f32 {
    f32::from_bits(((i32::from(exponent) + 127) as u32) << 23)
}

/// The least exponent e of [`EXPONENTS`] with `value <= most * 2^e`.
fn exponent_for(value: f64, most: f64) -> i16 {
    let fits = |exponent: &i16| value <= most * f64::from(power_of_two(*exponent));
    EXPONENTS.into_iter().find(fits).unwrap_or(*EXPONENTS.end())
}

impl Codebook {
    /// The length of [`Codebook::to_bytes`] for a codebook of this shape, trained or not.
    pub fn stored_bytes(dim: usize, symbols: usize) -> usize {
        HEADER_BYTES + symbols * 4 + dim * (4 + 2 * CODEWORDS)
    }

    /// The codebook as it is stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Codebook::stored_bytes(self.dim(), self.symbols()));
        for number in [KIND, self.dim() as u32, self.symbols() as u32, self.side_bytes() as u32] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for ends in self.boundaries.windows(2) {
            bytes.extend_from_slice(&((ends[1] - ends[0] - 1) as u16).to_le_bytes());
        }
        for exponent in &self.exponents {
            bytes.extend_from_slice(&exponent.to_le_bytes());
        }
        for offset in &self.offsets {
            bytes.extend_from_slice(&offset.to_le_bytes());
        }
        for codeword in self.codewords.as_flattened() {
            bytes.extend_from_slice(&(*codeword as i16).to_le_bytes());
        }
        bytes
    }

    /// The codebook in `bytes`, which come from `file` and are not trusted.
    pub fn from_bytes(file: &str, bytes: &[u8]) -> Result<Codebook> {
        let corrupt = |what: String| Error::corrupt(file, format!("codebook: {what}"));
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(corrupt(format!("found {} bytes, expected at least {HEADER_BYTES}", bytes.len())));
        };
        let word = |number: usize| header.as_chunks::<4>().0[number];
        let [kind, dim, symbols, side_bytes] = std::array::from_fn(|number| u32::from_le_bytes(word(number)));
        if (kind, side_bytes) != (KIND, 0) {
            return Err(corrupt(format!("kind {kind} with {side_bytes} side bytes, expected {KIND} with 0")));
        }
        let (dim, symbols) = (dim as usize, symbols as usize);
        check_shape(dim, symbols).map_err(corrupt)?;
        // No overflow: dim and symbols are at most 65,536 from here on.
        let expected = Codebook::stored_bytes(dim, symbols);
        if bytes.len() != expected {
            return Err(corrupt(format!("found {} bytes, expected {expected}", bytes.len())));
        }
        let (widths, rest) = rest.split_at(symbols * 2);
        let (exponents, rest) = rest.split_at(symbols * 2);
        let (offsets, codewords) = rest.split_at(dim * 4);
        let boundaries = read_boundaries(widths, dim).map_err(corrupt)?;
        let exponents = exponents.as_chunks::<2>().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
        let offsets = offsets.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let numbers = codewords.as_chunks::<2>().0.as_chunks::<CODEWORDS>().0;
        let codewords = numbers.iter().map(|dim| dim.map(|bytes| f32::from(i16::from_le_bytes(bytes)))).collect();
        Codebook::of_parts(boundaries, exponents, offsets, codewords).map_err(corrupt)
    }

    /// Rounds trained codewords to fixed point. `exact: [dim][16]` lies within the f32 range.
    pub(super) fn of_exact(boundaries: Vec<usize>, exact: &[[f64; CODEWORDS]]) -> Result<Codebook> {
        let mut exponents = Vec::with_capacity(boundaries.len() - 1);
        let mut offsets = Vec::with_capacity(exact.len());
        let mut codewords = Vec::with_capacity(exact.len());
        for ends in boundaries.windows(2) {
            let components = &exact[ends[0]..ends[1]];
            let middles = components.iter().map(|component| middle(component) as f32);
            let reach = components.iter().zip(middles.clone()).map(|(component, offset)| reach(component, offset));
            let exponent = exponent_for(reach.fold(0.0, f64::max), f64::from(i16::MAX));
            for (component, offset) in components.iter().zip(middles) {
                codewords.push(component.map(|value| fixed_point(value, offset, power_of_two(exponent))));
                offsets.push(offset);
            }
            exponents.push(exponent);
        }
        Codebook::of_parts(boundaries, exponents, offsets, codewords).map_err(Error::Panic)
    }

    /// A codebook of its stored parts, or what is wrong with them. Every value it can decode is finite.
    fn of_parts(
        boundaries: Vec<usize>,
        exponents: Vec<i16>,
        offsets: Vec<f32>,
        codewords: Vec<[f32; CODEWORDS]>,
    ) -> std::result::Result<Codebook, String> {
        let mut values = Vec::with_capacity(codewords.len());
        let mut inverses = Vec::with_capacity(exponents.len());
        for (subspace, (exponent, ends)) in exponents.iter().zip(boundaries.windows(2)).enumerate() {
            if !EXPONENTS.contains(exponent) {
                return Err(format!("exponent {exponent} of subspace {subspace}, expected {EXPONENTS:?}"));
            }
            let scale = power_of_two(*exponent);
            for component in ends[0]..ends[1] {
                let decoded = codewords[component].map(|codeword| offsets[component] + scale * codeword);
                if decoded.iter().any(|value| !value.is_finite()) {
                    return Err(format!("a codeword of dim {component} is not finite"));
                }
                values.push(decoded);
            }
            inverses.push(power_of_two(-exponent));
        }
        Ok(Codebook { boundaries, exponents, offsets, inverses, codewords, values })
    }
}

/// Boundaries from `widths: [symbols]` u16, each less 1; they must add up to `dim`.
fn read_boundaries(widths: &[u8], dim: usize) -> std::result::Result<Vec<usize>, String> {
    let mut boundaries = Vec::with_capacity(widths.len() / 2 + 1);
    // At most 65,536 widths of at most 65,536: no overflow in u64, and boundaries beyond dim are refused below.
    let mut end = 0u64;
    boundaries.push(0);
    for width in widths.as_chunks::<2>().0 {
        end += u64::from(u16::from_le_bytes(*width)) + 1;
        boundaries.push(end as usize);
    }
    if end != dim as u64 {
        return Err(format!("subspaces of {end} dims in all, expected {dim}"));
    }
    Ok(boundaries)
}

/// The middle of the range of `component`.
fn middle(component: &[f64; CODEWORDS]) -> f64 {
    let (low, high) = component.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
    low / 2.0 + high / 2.0
}

/// How far `component` goes from `offset`.
fn reach(component: &[f64; CODEWORDS], offset: f32) -> f64 {
    component.iter().fold(0.0, |most, value| (value - f64::from(offset)).abs().max(most))
}

/// `value` in units of `scale` from `offset`, rounded; towards zero as far as needed for a finite decode.
fn fixed_point(value: f64, offset: f32, scale: f32) -> f32 {
    let mut number = ((value - f64::from(offset)) / f64::from(scale)).round() as f32;
    while !(offset + scale * number).is_finite() {
        number -= number.signum();
    }
    number
}
