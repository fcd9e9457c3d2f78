//! Orthonormal bases: made of given vectors, which need not be orthogonal, and completed by unit vectors.
//!
//! Gram-Schmidt in panels of vectors, so that most of the work is matrix products; every panel is projected twice, for
//! a single pass in f32 would leave vectors that are not orthogonal.

use crate::kernels::kernels;

/// Vectors that are made orthogonal to all earlier ones at once.
const PANEL: usize = 32;

/// A vector depends on the earlier ones if less than this share of its squared length is orthogonal to them.
const INDEPENDENT: f32 = 1e-9;

/// An orthonormal basis of all dims, `[dim][dim]`, that begins with the span of `vectors: [count][dim]`, made
/// orthonormal in order. The error says which vector depends on those before it.
pub(super) fn orthonormal_basis(mut vectors: Vec<f32>, dim: usize) -> Result<Vec<f32>, String> {
    let count = vectors.len() / dim;
    for start in (0..count).step_by(PANEL) {
        let (before, rest) = vectors.split_at_mut(start * dim);
        let length = rest.len().min(PANEL * dim);
        let panel = &mut rest[..length];
        for vector in panel.chunks_exact_mut(dim) {
            normalize(vector);
        }
        for _ in 0..2 {
            project(before, panel, dim);
            orthonormalize(panel, dim)
                .map_err(|index| format!("direction {} depends on those before it", start + index))?;
        }
    }
    complete(&mut vectors, dim)?;
    Ok(vectors)
}

/// Appends vectors to the orthonormal `vectors: [count][dim]` until there are dim: each time the part of a unit vector
/// that is orthogonal to all others, for the dim of which they cover least.
fn complete(vectors: &mut Vec<f32>, dim: usize) -> Result<(), String> {
    let mut uncovered = vec![1.0f32; dim];
    vectors.chunks_exact(dim).for_each(|vector| cover(&mut uncovered, vector));
    while vectors.len() < dim * dim {
        let start = vectors.len();
        let end = (start + PANEL * dim).min(dim * dim);
        while vectors.len() < end {
            let vector = rest_of_unit(vectors, dim, least_covered(&uncovered));
            cover(&mut uncovered, &vector);
            vectors.extend(vector);
        }
        let (before, panel) = vectors.split_at_mut(start);
        project(before, panel, dim);
        orthonormalize(panel, dim).map_err(|index| format!("unit vector {index} of a panel is not independent"))?;
    }
    Ok(())
}

/// Subtracts from `uncovered: [dim]`, the squared length of what is left of each unit vector, the part along `vector`.
fn cover(uncovered: &mut [f32], vector: &[f32]) {
    uncovered.iter_mut().zip(vector).for_each(|(left, value)| *left -= value * value);
}

/// The dim with the largest of `uncovered: [dim]`; the first of equal ones.
fn least_covered(uncovered: &[f32]) -> usize {
    (1..uncovered.len()).fold(0, |best, dim| if uncovered[dim] > uncovered[best] { dim } else { best })
}

/// The part of the unit vector of dim number `unit` that is orthogonal to `vectors: [count][dim]`, of length one.
fn rest_of_unit(vectors: &[f32], dim: usize, unit: usize) -> Vec<f32> {
    let mut rest = vec![0.0; dim];
    if !vectors.is_empty() {
        let products: Vec<f32> = vectors.iter().skip(unit).step_by(dim).copied().collect();
        kernels().matmul(&products, vectors, dim, &mut rest);
    }
    rest.iter_mut().for_each(|value| *value = -*value);
    rest[unit] += 1.0;
    normalize(&mut rest);
    rest
}

/// Subtracts from `vector` its part along `direction` of length one.
fn subtract_part(vector: &mut [f32], direction: &[f32]) {
    let product = kernels().dot(direction, vector);
    vector.iter_mut().zip(direction).for_each(|(value, part)| *value -= product * part);
}

/// Subtracts from `panel: [n][dim]` its projection to the span of the orthonormal `before: [count][dim]`.
fn project(before: &[f32], panel: &mut [f32], dim: usize) {
    let (count, width) = (before.len() / dim, panel.len() / dim);
    if count == 0 {
        return;
    }
    let mut products = vec![0.0; count * width];
    kernels().matmul(before, &transpose(panel, dim), width, &mut products);
    let mut projection = vec![0.0; panel.len()];
    kernels().matmul(&transpose(&products, width), before, dim, &mut projection);
    panel.iter_mut().zip(&projection).for_each(|(value, part)| *value -= part);
}

/// Makes `panel: [n][dim]`, vectors of length at most one, orthonormal in order. The error is the index of the first
/// vector that depends on those before it.
fn orthonormalize(panel: &mut [f32], dim: usize) -> Result<(), usize> {
    for index in 0..panel.len() / dim {
        let (before, rest) = panel.split_at_mut(index * dim);
        let vector = &mut rest[..dim];
        for earlier in before.chunks_exact(dim) {
            subtract_part(vector, earlier);
        }
        if normalize(vector) <= INDEPENDENT {
            return Err(index);
        }
    }
    Ok(())
}

/// Scales `vector` to length one; returns the square of the length it had.
fn normalize(vector: &mut [f32]) -> f32 {
    let square = kernels().dot(vector, vector);
    let factor = 1.0 / square.max(f32::MIN_POSITIVE).sqrt();
    vector.iter_mut().for_each(|value| *value *= factor);
    square
}

/// The transpose of `matrix: [n][width]`.
pub(super) fn transpose(matrix: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|column| matrix.iter().skip(column).step_by(width).copied()).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::orthonormal_basis;
    use crate::codec::random::Random;

    /// The largest difference of the products of `basis: [dim][dim]` to those of an orthonormal one.
    fn deviation(basis: &[f32], dim: usize) -> f32 {
        let vectors: Vec<&[f32]> = basis.chunks_exact(dim).collect();
        assert_eq!(vectors.len(), dim);
        let product = |a: usize, b: usize| vectors[a].iter().zip(vectors[b]).map(|(x, y)| x * y).sum::<f32>();
        let pairs = (0..dim).flat_map(|a| (0..=a).map(move |b| (a, b)));
        pairs.map(|(a, b)| (product(a, b) - f32::from(u8::from(a == b))).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn bases_are_orthonormal() {
        let mut random = Random::new(3, 4);
        for (dim, count) in [(1, 0), (1, 1), (5, 2), (70, 0), (70, 33), (150, 150), (200, 5)] {
            let signs: Vec<f32> = (0..dim * count).map(|_| if random.below(2) == 0 { -0.8 } else { 0.8 }).collect();
            let basis = orthonormal_basis(signs, dim).unwrap();
            assert!(deviation(&basis, dim) < 1e-5, "{dim} {count}: {}", deviation(&basis, dim));
        }
    }

    #[test]
    fn the_span_of_the_vectors_comes_first() {
        let basis = orthonormal_basis(vec![3.0, 4.0, 0.0, 3.0, 4.0, 5.0], 3).unwrap();
        let expected = [0.6, 0.8, 0.0, 0.0, 0.0, 1.0, 0.8, -0.6, 0.0];
        assert!(basis.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{basis:?}");
    }

    #[test]
    fn unit_vectors_are_independent_of_pairs() {
        // The unit vectors of dims 0 and 1 are equal but for sign, once the first vector is removed from them.
        let basis = orthonormal_basis(vec![1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0], 4).unwrap();
        assert!(deviation(&basis, 4) < 1e-6, "{basis:?}");
    }

    #[test]
    fn dependent_vectors_are_refused() {
        let mut vectors: Vec<f32> = (0..40 * 64).map(|index| ((index * index) % 97) as f32 - 48.0).collect();
        let copy: Vec<f32> = vectors[64..128].iter().map(|value| 2.0 * value).collect();
        vectors[39 * 64..].copy_from_slice(&copy);
        assert_eq!(orthonormal_basis(vectors, 64).unwrap_err(), "direction 39 depends on those before it");
        assert!(orthonormal_basis(vec![0.0; 4], 2).is_err());
    }
}
