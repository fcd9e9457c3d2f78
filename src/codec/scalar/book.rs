//! The codebook of scalar codes as bytes.
//!
//! ```text
//! u32 kind (3: scalar codes)   u32 dim   u32 symbols   u32 side bytes: the bytes of a code after its symbols
//! u32 form (0 grids, 1 halves)
//! u32 1 if codes are directions, else 0   f32 length of most rows   f32 longest, f32 shortest not scaled   f32 usual error
//! if grids:   [dim] u8 bits, [dim] f32 low, [dim] f32 step
//! ```
//! All little-endian.

use super::codes::{Form, Scalar};
use super::grid::{BITS_MAX, Grid};
use crate::codec::reader::BookReader;
use crate::codec::scale::Scale;
use crate::codec::shape::{DIM_MAX, Shape};
use crate::kernels::CodeLayout;

/// The number of scalar codes in files and in reports.
pub const SCALAR: u32 = 3;

const HEADER_BYTES: usize = 20 + Scale::BYTES + 4;
/// Bytes of the grid of a dim.
const GRID_BYTES: usize = 1 + 4 + 4;

/// Upper bound on the stored bytes of a codebook of `shape`: the bytes of one with grids.
pub(super) fn stored_bytes(shape: &Shape) -> usize {
    HEADER_BYTES + shape.dim * GRID_BYTES
}

/// The stored form of `scalar`.
pub(super) fn to_bytes(scalar: &Scalar) -> Vec<u8> {
    let CodeLayout { symbols, side_bytes } = scalar.layout();
    let form = u32::from(matches!(scalar.form(), Form::Halves(_)));
    let header = [SCALAR, scalar.dim() as u32, symbols as u32, side_bytes as u32, form];
    let mut bytes: Vec<u8> = header.iter().flat_map(|number| number.to_le_bytes()).collect();
    bytes.extend_from_slice(&scalar.scale.to_bytes());
    bytes.extend_from_slice(&scalar.usual.to_le_bytes());
    if let Form::Grids(grids) = scalar.form() {
        bytes.extend(grids.iter().map(|grid| grid.bits));
        bytes.extend(grids.iter().flat_map(|grid| grid.low.to_le_bytes()));
        bytes.extend(grids.iter().flat_map(|grid| grid.step.to_le_bytes()));
        debug_assert_eq!(bytes.len(), HEADER_BYTES + grids.len() * GRID_BYTES);
    }
    bytes
}

/// Parses the codebook in `bytes`, which are not trusted.
pub(super) fn parse(bytes: &[u8]) -> Result<Scalar, String> {
    let mut reader = BookReader::new(bytes);
    let header: [usize; 4] = [reader.number()?, reader.number()?, reader.number()?, reader.number()?];
    let ([kind, dim, symbols, side_bytes], form) = (header, reader.number()?);
    if kind != SCALAR as usize || !(1..=DIM_MAX).contains(&dim) || form > 1 {
        return Err(format!("kind {kind}, dim {dim}, form {form}, expected {SCALAR}, 1..={DIM_MAX}, 0..=1"));
    }
    let (scale, usual) = (Scale::parse(&mut reader)?, reader.floats(1)?[0]);
    let form = if form == 1 { Form::Halves(dim) } else { Form::Grids(parse_grids(dim, &mut reader)?) };
    let scalar = Scalar::new(form, scale, usual);
    let (found, expected, left) = (CodeLayout { symbols, side_bytes }, scalar.layout(), reader.left());
    if found != expected || left > 0 {
        let CodeLayout { symbols: expected, side_bytes: others } = expected;
        return Err(format!(
            "{symbols} symbols and {side_bytes} other bytes a code, expected {expected} and {others}; {left} bytes left, expected 0"
        ));
    }
    Ok(scalar)
}

fn parse_grids(dim: usize, reader: &mut BookReader<'_>) -> Result<Vec<Grid>, String> {
    let (bits, lows, steps) = (reader.bytes(dim)?, reader.floats(dim)?, reader.floats(dim)?);
    let grids = bits.iter().zip(lows).zip(steps).map(|((bits, low), step)| Grid { bits: *bits, low, step });
    let grids: Vec<Grid> = grids.collect();
    match grids.iter().position(|grid| !grid.is_sound()) {
        None => Ok(grids),
        Some(dim) => {
            Err(format!("dim {dim}: found {:?}, expected at most {BITS_MAX} bits and finite values", grids[dim]))
        }
    }
}
