//! The nearest of 16 codewords, for 16 points at a time.
//!
//! A lane is a point. Each lane gets 16 squared distances, then a running minimum over the codewords in ascending
//! order, so that ties go to the lower index and no minimum across lanes is needed.

use super::lanes::CODEWORDS;

/// Points processed at once.
const LANES: usize = 16;

/// Squared distances of 16 codewords (outer) to 16 points (inner).
type Distances = [[f32; LANES]; CODEWORDS];

/// Components copied at once: 4 KiB of stack.
const COMPONENTS: usize = 64;

/// Adds to `distances` the squared differences of `points: [components][16]` and `codewords: [components][16]`.
#[inline(always)]
fn add_components(points: &[[f32; LANES]], codewords: &[[f32; CODEWORDS]], distances: &mut Distances) {
    for (number, distances) in distances.iter_mut().enumerate() {
        let mut sums = *distances;
        for (values, codewords) in points.iter().zip(codewords) {
            let codeword = codewords[number];
            for lane in 0..LANES {
                let difference = values[lane] - codeword;
                sums[lane] += difference * difference;
            }
        }
        *distances = sums;
    }
}

/// The nearest codeword of each lane, and its squared distance.
#[inline(always)]
fn nearest(distances: &Distances) -> ([u8; LANES], [f32; LANES]) {
    let mut best = distances[0];
    // Floats, because the compiler then keeps distances and symbols in registers of the same width.
    let mut symbols = [0.0f32; LANES];
    for (number, distances) in distances.iter().enumerate().skip(1) {
        let symbol = number as f32;
        for lane in 0..LANES {
            let nearer = distances[lane] < best[lane];
            best[lane] = if nearer { distances[lane] } else { best[lane] };
            symbols[lane] = if nearer { symbol } else { symbols[lane] };
        }
    }
    (symbols.map(|symbol| symbol as u8), best)
}

/// See `Kernels::nearest_in_columns`.
#[inline(always)]
pub(super) fn nearest_in_columns(columns: &[f32], codewords: &[f32], symbols: &mut [u8], distances: &mut [f32]) {
    let n = symbols.len();
    let (codewords, _) = codewords.as_chunks::<CODEWORDS>();
    debug_assert_eq!((columns.len(), distances.len()), (n * codewords.len(), n));
    let mut points = [[0.0; LANES]; COMPONENTS];
    for start in (0..n).step_by(LANES) {
        let lanes = start..(start + LANES).min(n);
        let mut sums = [[0.0; LANES]; CODEWORDS];
        for (columns, codewords) in columns.chunks(n * COMPONENTS).zip(codewords.chunks(COMPONENTS)) {
            for (values, column) in points.iter_mut().zip(columns.chunks_exact(n)) {
                match column[start..].first_chunk::<LANES>() {
                    Some(sixteen) => *values = *sixteen,
                    None => values[..lanes.len()].copy_from_slice(&column[start..]),
                }
            }
            add_components(&points, codewords, &mut sums);
        }
        let (found, best) = nearest(&sums);
        let count = lanes.len();
        symbols[lanes.clone()].copy_from_slice(&found[..count]);
        distances[lanes].copy_from_slice(&best[..count]);
    }
}
