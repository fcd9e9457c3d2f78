//! The bodies of the nearest-codeword kernels: 16 rows at a time in 16 lanes, against the 16 codewords of a subspace.
//!
//! A lane is a row, so there is no horizontal minimum: 16 squared distances per lane, then a running minimum over the
//! codewords in order, which gives ties to the lower index.

/// Rows handled at once.
const LANES: usize = 16;

/// Codewords of a subspace.
const CODEWORDS: usize = 16;

/// Distances of 16 codewords (outer) to 16 rows (inner).
type Distances = [[f32; LANES]; CODEWORDS];

/// Components of 16 rows, the rows side by side.
type Tile = [[f32; LANES]];

/// Components transposed at once: 4 KiB of stack.
const TILE: usize = 64;

/// Adds to `distances` the squared differences of `tile: [components]` and of `codewords: [components][16]`.
#[inline(always)]
fn add_components(tile: &Tile, codewords: &[[f32; CODEWORDS]], distances: &mut Distances) {
    for (number, distances) in distances.iter_mut().enumerate() {
        let mut sums = *distances;
        for (values, codewords) in tile.iter().zip(codewords) {
            let codeword = codewords[number];
            for lane in 0..LANES {
                let difference = values[lane] - codeword;
                sums[lane] += difference * difference;
            }
        }
        *distances = sums;
    }
}

/// For each lane the nearest codeword and its distance.
#[inline(always)]
fn nearest(distances: &Distances) -> ([u8; LANES], [f32; LANES]) {
    let mut best = distances[0];
    // Floats, so that the compiler keeps distances and symbols in registers of one shape.
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
    let mut tile = [[0.0; LANES]; TILE];
    for start in (0..n).step_by(LANES) {
        let lanes = start..(start + LANES).min(n);
        let mut sums = [[0.0; LANES]; CODEWORDS];
        for (columns, codewords) in columns.chunks(n * TILE).zip(codewords.chunks(TILE)) {
            for (values, column) in tile.iter_mut().zip(columns.chunks_exact(n)) {
                match column[start..].first_chunk::<LANES>() {
                    Some(sixteen) => *values = *sixteen,
                    None => values[..lanes.len()].copy_from_slice(&column[start..]),
                }
            }
            add_components(&tile, codewords, &mut sums);
        }
        let (found, best) = nearest(&sums);
        let count = lanes.len();
        symbols[lanes.clone()].copy_from_slice(&found[..count]);
        distances[lanes].copy_from_slice(&best[..count]);
    }
}
