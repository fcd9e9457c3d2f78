//! An evenly spread sample of the live rows of a state, for training.

use crate::error::Result;
use crate::snapshot::{Scratch, Snapshot};

/// Upper bound on the bytes of a sample of default size: training holds several copies of it.
pub const SAMPLE_BYTES: u64 = 32 << 20;

/// `wanted` of the `rows` live rows: the rows are cut into `wanted` equal stretches, and one row is chosen from each,
/// because neighbours in a file are often alike.
pub fn sample_rows(source: &Snapshot, rows: u64, wanted: u64, seed: u64) -> Result<Vec<f32>> {
    let mut vectors = Vec::with_capacity(wanted as usize * source.dim);
    let mut scratch = Scratch::default();
    let (mut index, mut sampled) = (0, 0);
    let position_in = |stretch: u64| {
        let (begin, end) = (stretch * rows / wanted, (stretch + 1) * rows / wanted);
        let mixed = (stretch ^ seed).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        begin + mixed % (end - begin)
    };
    for live in &source.segments {
        for row in (0..live.segment.rows()).filter(|row| !live.hidden.hides(*row)) {
            if sampled < wanted && index == position_in(sampled) {
                vectors.resize(vectors.len() + source.dim, 0.0);
                let start = vectors.len() - source.dim;
                live.read(row, &mut scratch, &mut vectors[start..])?;
                sampled += 1;
            }
            index += 1;
        }
    }
    Ok(vectors)
}
