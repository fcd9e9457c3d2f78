//! Products of rows with a matrix.
//!
//! Each output is summed over the depth in ascending order, so the tile sizes below change the speed and not the
//! result.

/// Rows multiplied at once. Their sums, and those of some outputs, stay in registers.
const TILE_ROWS: usize = 4;

/// See `Kernels::matmul`.
#[inline(always)]
pub(super) fn matmul(left: &[f32], matrix: &[f32], width: usize, out: &mut [f32]) {
    multiply(left, matrix, width, out, |value| value);
}

/// See `Kernels::matmul_i8`.
#[inline(always)]
pub(super) fn matmul_i8(left: &[f32], matrix: &[i8], width: usize, out: &mut [f32]) {
    multiply(left, matrix, width, out, f32::from);
}

/// The product of `left: [n][depth]` and `matrix: [depth][width]` into `out: [n][width]`; `to_float` converts a value
/// of the matrix.
#[inline(always)]
fn multiply<T: Copy>(left: &[f32], matrix: &[T], width: usize, out: &mut [f32], to_float: impl Fn(T) -> f32 + Copy) {
    let depth = matrix.len() / width;
    let tiled_rows = out.len() / width / TILE_ROWS * TILE_ROWS;
    let (left, last_left) = left.split_at(tiled_rows * depth);
    let (out, last_out) = out.split_at_mut(tiled_rows * width);
    for (left, out) in left.chunks_exact(TILE_ROWS * depth).zip(out.chunks_exact_mut(TILE_ROWS * width)) {
        multiply_rows::<T, TILE_ROWS>(left, matrix, width, out, to_float);
    }
    for (left, out) in last_left.chunks_exact(depth).zip(last_out.chunks_exact_mut(width)) {
        multiply_rows::<T, 1>(left, matrix, width, out, to_float);
    }
}

/// `multiply` for `left: [ROWS][depth]`.
#[inline(always)]
fn multiply_rows<T: Copy, const ROWS: usize>(
    left: &[f32],
    matrix: &[T],
    width: usize,
    out: &mut [f32],
    to_float: impl Fn(T) -> f32 + Copy,
) {
    // A single row needs more outputs at once, because each addition to a sum waits for the one before.
    let done = if ROWS == 1 { multiply_tiles::<T, ROWS, 64>(left, matrix, width, out, 0, to_float) } else { 0 };
    let done = multiply_tiles::<T, ROWS, 32>(left, matrix, width, out, done, to_float);
    let done = multiply_tiles::<T, ROWS, 8>(left, matrix, width, out, done, to_float);
    let depth = matrix.len() / width;
    for (left, out) in left.chunks_exact(depth).zip(out.chunks_exact_mut(width)) {
        out[done..].fill(0.0);
        for (factor, line) in left.iter().zip(matrix.chunks_exact(width)) {
            for (sum, value) in out[done..].iter_mut().zip(&line[done..]) {
                *sum += factor * to_float(*value);
            }
        }
    }
}

/// Computes the outputs from `begin` on in tiles of `TILE` columns; returns the first column that no whole tile covers.
#[inline(always)]
fn multiply_tiles<T: Copy, const ROWS: usize, const TILE: usize>(
    left: &[f32],
    matrix: &[T],
    width: usize,
    out: &mut [f32],
    begin: usize,
    to_float: impl Fn(T) -> f32 + Copy,
) -> usize {
    let depth = matrix.len() / width;
    let end = begin + (width - begin) / TILE * TILE;
    for first in (begin..end).step_by(TILE) {
        let mut sums = [[0.0; TILE]; ROWS];
        for (number, line) in matrix.chunks_exact(width).enumerate() {
            let Some(line) = line[first..].first_chunk::<TILE>() else { continue };
            let values = line.map(to_float);
            for row in 0..ROWS {
                let factor = left[row * depth + number];
                for lane in 0..TILE {
                    sums[row][lane] += factor * values[lane];
                }
            }
        }
        for (out, sums) in out.chunks_exact_mut(width).zip(&sums) {
            out[first..first + TILE].copy_from_slice(sums);
        }
    }
    end
}
