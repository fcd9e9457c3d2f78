//! The bodies of the nearest-codeword kernels: 16 rows at a time in 16 lanes, against the 16 codewords of a subspace.
//!
//! A lane is a row, so there is no horizontal minimum: 16 squared distances per lane, then a running minimum over the
//! codewords in order, which gives ties to the lower index.

/// Rows handled at once.
const LANES: usize = 16;

/// Codewords of a subspace.
const CODEWORDS: usize = 16;

/// No scaled value is taken further out than this: squares of any dim stay finite, and codewords (at most 32,768) still
/// tell apart.
const FARTHEST: f32 = 1e9;

/// Distances of 16 codewords (outer) to 16 rows (inner).
type Distances = [[f32; LANES]; CODEWORDS];

/// What encoding needs of a codebook. A subspace works on `(value - offset) * inverse`, in the units of its codewords.
#[derive(Clone, Copy, Debug)]
pub struct Subspaces<'a> {
    /// `[symbols + 1]`: subspace s has dims `boundaries[s] .. boundaries[s + 1]`; from 0, ascending, to dim.
    pub boundaries: &'a [usize],
    /// `[dim]`: subtracted from a value.
    pub offsets: &'a [f32],
    /// `[symbols]`: multiplies what is left.
    pub inverses: &'a [f32],
    /// `[dim][16]`: component of each codeword.
    pub codewords: &'a [[f32; CODEWORDS]],
    /// Bytes from one code to the next.
    pub row_bytes: usize,
}

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

/// Fills `tile` with the components from `first` on of up to 16 rows in `block: [n][dim]`. Lanes without a row get row 0.
#[inline(always)]
fn fill_tile(block: &[f32], dim: usize, first: usize, tile: &mut Tile) {
    let width = TILE.min(dim - first);
    let rows: [&[f32]; LANES] = std::array::from_fn(|lane| {
        let start = if lane * dim < block.len() { lane * dim } else { 0 };
        &block[start + first..][..width]
    });
    for (component, values) in tile.iter_mut().enumerate().take(width) {
        for lane in 0..LANES {
            values[lane] = rows[lane][component];
        }
    }
}

/// Brings `values`, a component of 16 rows, into the units of its subspace's codewords.
#[inline(always)]
fn scale(values: &mut [f32; LANES], offset: f32, inverse: f32) {
    for value in values {
        let scaled = (*value - offset) * inverse;
        let scaled = if scaled < FARTHEST { scaled } else { FARTHEST };
        *value = if scaled > -FARTHEST { scaled } else { -FARTHEST };
    }
}

/// Encodes up to 16 rows in `block: [n][dim]` into `codes: [n][row_bytes]`.
#[inline(always)]
fn encode_block(block: &[f32], subspaces: &Subspaces<'_>, codes: &mut [u8]) {
    let dim = subspaces.offsets.len();
    let mut tile = [[0.0; LANES]; TILE];
    let mut sums = [[0.0; LANES]; CODEWORDS];
    let mut subspace = 0;
    for first in (0..dim).step_by(TILE) {
        let past = (first + TILE).min(dim);
        fill_tile(block, dim, first, &mut tile);
        let mut component = first;
        while component < past {
            let end = subspaces.boundaries[subspace + 1].min(past);
            let part = &mut tile[component - first..end - first];
            for (values, offset) in part.iter_mut().zip(&subspaces.offsets[component..end]) {
                scale(values, *offset, subspaces.inverses[subspace]);
            }
            add_components(part, &subspaces.codewords[component..end], &mut sums);
            if end == subspaces.boundaries[subspace + 1] {
                write_symbols(&nearest(&sums).0, subspace, subspaces.row_bytes, codes);
                sums = [[0.0; LANES]; CODEWORDS];
                subspace += 1;
            }
            component = end;
        }
    }
}

/// Puts the symbols of `subspace` of up to 16 rows into `codes: [n][row_bytes]`. Even subspaces come before odd ones.
#[inline(always)]
fn write_symbols(symbols: &[u8; LANES], subspace: usize, row_bytes: usize, codes: &mut [u8]) {
    for (code, symbol) in codes.chunks_exact_mut(row_bytes).zip(symbols) {
        let byte = &mut code[subspace / 2];
        *byte = if subspace.is_multiple_of(2) { *symbol } else { *byte | symbol << 4 };
    }
}

/// See `Kernels::nearest_in_rows`.
#[inline(always)]
pub(super) fn nearest_in_rows(rows: &[f32], subspaces: &Subspaces<'_>, codes: &mut [u8]) {
    let dim = subspaces.offsets.len();
    debug_assert_eq!(rows.len() / dim, codes.len() / subspaces.row_bytes);
    for (block, codes) in rows.chunks(dim * LANES).zip(codes.chunks_mut(subspaces.row_bytes * LANES)) {
        encode_block(block, subspaces, codes);
    }
}
