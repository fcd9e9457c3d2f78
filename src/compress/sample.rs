//! An evenly spread sample of the live rows of a state, for training, and others to measure it on.

use crate::error::Result;
use crate::snapshot::{Scratch, Snapshot};

/// Upper bound on the bytes of a sample of default size: training holds several copies of it.
pub const SAMPLE_BYTES: u64 = 32 << 20;

/// `wanted` of the `rows` live rows, chosen evenly.
pub fn sample_rows(source: &Snapshot, rows: u64, wanted: u64, seed: u64) -> Result<Vec<f32>> {
    sample_and_others(source, rows, (wanted, 0), seed).map(|(sample, _)| sample)
}

/// `wanted` of the `rows` live rows, and `others` of those that were not chosen. Rows are cut into `wanted` equal
/// stretches, and one row is chosen from each, because neighbours in a file are often alike.
pub fn sample_and_others(
    source: &Snapshot,
    rows: u64,
    (wanted, others): (u64, u64),
    seed: u64,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let position_in = |stretch: u64, stretches: u64, rows: u64| {
        let (begin, end) = (stretch * rows / stretches, (stretch + 1) * rows / stretches);
        let mixed = (stretch ^ seed).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        begin + mixed % (end - begin)
    };
    let mut scratch = Scratch::default();
    let mut chosen = [(Vec::with_capacity(wanted as usize * source.dim), 0), (Vec::new(), 0)];
    // Position among all rows, and among those that are not in the sample.
    let (mut index, mut left) = (0, 0);
    for live in &source.segments {
        for row in (0..live.segment.rows()).filter(|row| !live.hidden.hides(*row)) {
            let is_sampled = chosen[0].1 < wanted && index == position_in(chosen[0].1, wanted, rows);
            let is_other =
                !is_sampled && chosen[1].1 < others && left == position_in(chosen[1].1, others, rows - wanted);
            index += 1;
            left += u64::from(!is_sampled);
            if is_sampled || is_other {
                let (vectors, count) = &mut chosen[usize::from(is_other)];
                vectors.resize(vectors.len() + source.dim, 0.0);
                let start = vectors.len() - source.dim;
                live.read(row, &mut scratch, &mut vectors[start..])?;
                *count += 1;
            }
        }
    }
    let [(sample, _), (others, _)] = chosen;
    Ok((sample, others))
}
