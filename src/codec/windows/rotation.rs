//! The rotation of a vector before it is coded: directions as rows of 8-bit integers with a scale each.
//!
//! Directions are orthogonal except for rounding, so the same numbers rotate a vector and rotate it back. The measured
//! error includes the rounding and the directions that are left out.

use crate::codec::exponential::log2;
use crate::codec::water_filling::error_bound;
use crate::kernels::kernels;
use nalgebra::DMatrix;

/// The most dims that are rotated: the time of the decomposition grows with their cube.
pub(in crate::codec) const ROTATED_DIM_MAX: usize = 768;

/// Components of a direction are integers up to this, times its scale.
const NUMBER_MAX: f32 = i8::MAX as f32;

/// Rows summed in f32 before the sum is added in f64.
const ROWS_IN_F32: usize = 2048;

/// Directions and their transpose.
#[derive(Clone)]
pub(in crate::codec) struct Rotation {
    /// `[directions]`: the scale of each direction.
    pub(in crate::codec) scales: Vec<f32>,
    /// `[directions][dim]`: components of the directions, in units of their scale.
    pub(in crate::codec) numbers: Vec<i8>,
    /// `[dim][directions]`: the transpose.
    transposed: Vec<i8>,
    /// `[directions]`: dims, if each direction is one of them; then there are no numbers.
    dims: Vec<usize>,
    dim: usize,
}

impl Rotation {
    /// Rounds `basis: [directions][dim]`, one direction per row.
    pub(in crate::codec) fn of_basis(basis: &[f32], dim: usize) -> Rotation {
        let rows = basis.chunks_exact(dim);
        let scales: Vec<f32> = rows
            .clone()
            .map(|row| row.iter().fold(0.0, |most: f32, value| most.max(value.abs())) / NUMBER_MAX)
            .collect();
        let numbers = rows.zip(&scales).flat_map(|(row, scale)| {
            row.iter().map(move |value| if *scale > 0.0 { (value / scale).round() as i8 } else { 0 })
        });
        let numbers = numbers.collect();
        Rotation::of_parts(scales, numbers)
    }

    pub(in crate::codec) fn of_parts(scales: Vec<f32>, numbers: Vec<i8>) -> Rotation {
        let dim = numbers.len() / scales.len().max(1);
        let transposed = (0..dim).flat_map(|column| numbers.iter().skip(column).step_by(dim).copied()).collect();
        Rotation { scales, numbers, transposed, dims: Vec::new(), dim }
    }

    /// Leaves out all but `dims` of `dim`, and puts them in this order.
    pub(in crate::codec) fn of_dims(dims: Vec<usize>, dim: usize) -> Rotation {
        Rotation { scales: vec![1.0; dims.len()], numbers: Vec::new(), transposed: Vec::new(), dims, dim }
    }

    pub(in crate::codec) fn directions(&self) -> usize {
        self.scales.len()
    }

    /// Rotates `rows: [n][dim]` to `[n][directions]`.
    pub(in crate::codec) fn rotate(&self, rows: &[f32]) -> Vec<f32> {
        if !self.dims.is_empty() {
            let picked = rows.chunks_exact(self.dim).flat_map(|row| self.dims.iter().map(|dim| row[*dim]));
            return picked.collect();
        }
        let mut rotated = vec![0.0; rows.len() / self.dim * self.directions()];
        kernels().matmul_i8(rows, &self.transposed, self.directions(), &mut rotated);
        self.scale(&mut rotated);
        rotated
    }

    /// Rotates `rows: [n][directions]` back to `out: [n][dim]`; overwrites `rows`.
    pub(in crate::codec) fn rotate_back(&self, rows: &mut [f32], out: &mut [f32]) {
        if self.dims.is_empty() {
            self.scale(rows);
            kernels().matmul_i8(rows, &self.numbers, self.dim, out);
            return;
        }
        out.fill(0.0);
        for (row, out) in rows.chunks_exact(self.directions()).zip(out.chunks_exact_mut(self.dim)) {
            row.iter().zip(&self.dims).for_each(|(value, dim)| out[*dim] = *value);
        }
    }

    fn scale(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.scales.len()) {
            row.iter_mut().zip(&self.scales).for_each(|(value, scale)| *value *= scale);
        }
    }
}

/// Rotates `rows: [n][dim]`; without a rotation, copies them.
pub(in crate::codec) fn rotate(rows: &[f32], rotation: Option<&Rotation>) -> Vec<f32> {
    rotation.map_or_else(|| rows.to_vec(), |rotation| rotation.rotate(rows))
}

/// The scatter matrix Σ x · xᵀ over `rows: [n][dim]`, `[dim][dim]`.
fn scatter(rows: &[f32], dim: usize) -> Vec<f64> {
    let mut sums = vec![0.0f64; dim * dim];
    let mut part = vec![0.0f32; dim];
    for rows in rows.chunks(ROWS_IN_F32 * dim) {
        for (component, sums) in sums.chunks_exact_mut(dim).enumerate() {
            let column: Vec<f32> = rows.iter().skip(component).step_by(dim).copied().collect();
            kernels().matmul(&column, rows, dim, &mut part);
            sums.iter_mut().zip(&part).for_each(|(sum, part)| *sum += f64::from(*part));
        }
    }
    sums
}

/// Principal directions of rows, and the variance along each.
pub(in crate::codec) struct Principal {
    /// `[dim]`: variances, descending.
    pub(in crate::codec) variances: Vec<f64>,
    /// `[dim][dim]`: their directions.
    pub(in crate::codec) directions: Vec<f32>,
}

impl Principal {
    /// The principal directions of `rows: [n][dim]`, of mean zero.
    pub(in crate::codec) fn of(rows: &[f32], dim: usize) -> Principal {
        let found = DMatrix::from_row_slice(dim, dim, &scatter(rows, dim)).symmetric_eigen();
        let mut order: Vec<usize> = (0..dim).collect();
        order.sort_by(|a, b| found.eigenvalues[*b].total_cmp(&found.eigenvalues[*a]));
        let count = (rows.len() / dim) as f64;
        let variances = order.iter().map(|index| found.eigenvalues[*index].max(0.0) / count).collect();
        let columns =
            order.iter().flat_map(|index| found.eigenvectors.column(*index).iter().copied().collect::<Vec<_>>());
        Principal { variances, directions: columns.map(|component| component as f32).collect() }
    }

    /// Allocates directions to the runs that end at `boundaries`, `[directions][dim]`, so that the product of variances
    /// is about the same in each run: the next direction goes to the run with the smallest product that has room
    /// (eigenvalue allocation; Ge, He, Ke, Sun: Optimized Product Quantization, PAMI 2014, §4.2).
    pub(in crate::codec) fn basis(&self, boundaries: &[usize]) -> Vec<f32> {
        let (dim, count) = (self.variances.len(), boundaries[boundaries.len() - 1]);
        let mut filled = vec![(0.0f64, 0usize); boundaries.len() - 1];
        let mut basis = vec![0.0; count * dim];
        // In units of a tiny variance, so that every direction increases the product.
        let least = self.variances[0] * 1e-9 + f64::MIN_POSITIVE;
        for (variance, direction) in self.variances.iter().zip(self.directions.chunks_exact(dim)).take(count) {
            let has_room = |run: &usize| filled[*run].1 < boundaries[run + 1] - boundaries[*run];
            let smallest = (0..filled.len()).filter(has_room).min_by(|a, b| filled[*a].0.total_cmp(&filled[*b].0));
            let Some(run) = smallest else { break };
            let row = boundaries[run] + filled[run].1;
            basis[row * dim..(row + 1) * dim].copy_from_slice(direction);
            filled[run].0 += log2(variance.max(least) / least);
            filled[run].1 += 1;
        }
        basis
    }

    /// The least mean squared error of a code of `bits` that leaves out all but the first `count` directions, for a
    /// normal distribution.
    pub(in crate::codec) fn error_bound(&self, count: usize, bits: f64) -> f64 {
        let (kept, left) = self.variances.split_at(count);
        error_bound(kept, bits) + left.iter().sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::Principal;

    #[test]
    fn directions_are_allocated_so_that_products_of_variances_are_alike() {
        let unit = |at: usize| (0..4).map(move |dim| f32::from(u8::from(dim == at)));
        let principal =
            Principal { variances: vec![1e-1, 1e-2, 1e-3, 1e-4], directions: (0..4).flat_map(unit).collect() };
        let expected: Vec<f32> = [0, 3, 1, 2].into_iter().flat_map(unit).collect();
        assert_eq!(principal.basis(&[0, 2, 4]), expected);
    }

    #[test]
    fn the_error_bound_falls_with_bits_and_with_directions() {
        let principal = Principal { variances: vec![4.0, 1.0, 0.25], directions: vec![0.0; 9] };
        assert!((principal.error_bound(3, 0.0) - 5.25).abs() < 1e-6);
        assert!((principal.error_bound(1, 1.0) - 2.25).abs() < 1e-6);
        // Two bits: the level is 0.5, one and a half of them for the first direction and a half for the second.
        assert!((principal.error_bound(3, 2.0) - 1.25).abs() < 1e-6);
    }
}
