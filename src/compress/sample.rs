//! An even sample of the live rows of a state, for training.

use crate::error::Result;
use crate::snapshot::{Scratch, Snapshot};

/// Upper bound in bytes of a sample whose size the caller does not choose: training holds some copies of it.
pub const SAMPLE_BYTES: u64 = 32 << 20;

/// `wanted` of the live rows, one from each of as many equal stretches, because neighbours in a file are often alike.
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
