//! Distances, and the search for NaN and infinite values.
//!
//! A sum over dims has `LANES` partial sums: element i is added to lane i mod `LANES`. At the end the upper half of the
//! lanes is added to the lower half until one lane is left. Registers of any width up to `LANES` can follow this order.

/// Partial sums of a reduction: two AVX-512 registers, enough to hide the latency of the additions.
const LANES: usize = 32;

/// Floats tested before each branch of the finiteness test.
const FINITE_BLOCK: usize = 512;

/// The exponent bits of an f32: all set in infinities and NaNs only.
const EXPONENT: u32 = 0x7f80_0000;

/// Sum of `lanes`: the upper half is added to the lower half until one lane is left.
#[inline(always)]
fn sum_pairwise(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Adds `term` of each pair of elements to its lane.
#[inline(always)]
fn add_block(a: &[f32; LANES], b: &[f32; LANES], term: &impl Fn(f32, f32) -> f32, lanes: &mut [f32; LANES]) {
    for i in 0..LANES {
        lanes[i] += term(a[i], b[i]);
    }
}

/// `rest`, shorter than a block, filled up with zeros.
#[inline(always)]
fn padded(rest: &[f32]) -> [f32; LANES] {
    let mut block = [0.0; LANES];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// Sum of `term` over `a: [dim]` and `b: [dim]` in the fixed order; `term(0, 0)` must be 0.
#[inline(always)]
fn sum_of(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        add_block(a, b, &term, &mut lanes);
    }
    if !a_rest.is_empty() {
        add_block(&padded(a_rest), &padded(b_rest), &term, &mut lanes);
    }
    sum_pairwise(lanes)
}

/// See `Kernels::l2sq`.
#[inline(always)]
pub(super) fn l2sq(a: &[f32], b: &[f32]) -> f32 {
    sum_of(a, b, |a, b| (a - b) * (a - b))
}

/// See `Kernels::dot`.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_of(a, b, |a, b| a * b)
}

/// See `Kernels::dot_and_norm`.
#[inline(always)]
pub(super) fn dot_and_norm(query: &[f32], row: &[f32]) -> (f32, f32) {
    debug_assert_eq!(query.len(), row.len());
    let (query_blocks, query_rest) = query.as_chunks::<LANES>();
    let (row_blocks, row_rest) = row.as_chunks::<LANES>();
    let (mut dots, mut norms) = ([0.0; LANES], [0.0; LANES]);
    for (query, row) in query_blocks.iter().zip(row_blocks) {
        add_block(query, row, &|a, b| a * b, &mut dots);
        add_block(row, row, &|a, b| a * b, &mut norms);
    }
    if !row_rest.is_empty() {
        let row = padded(row_rest);
        add_block(&padded(query_rest), &row, &|a, b| a * b, &mut dots);
        add_block(&row, &row, &|a, b| a * b, &mut norms);
    }
    (sum_pairwise(dots), sum_pairwise(norms))
}

/// Inner product in f64, which cannot overflow; the fallback for sums that overflow f32.
#[cold]
pub(super) fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// True if a squared norm, summed in f32, is far enough from overflow and underflow to be accurate.
pub(super) fn is_accurate(norm_sq: f32) -> bool {
    (1e-24..=1e36).contains(&norm_sq)
}

/// Cosine distance in f64, for vectors whose norms f32 cannot hold. A zero vector has distance 1 from every vector.
#[cold]
pub(super) fn cosine_distance_f64(query: &[f32], row: &[f32]) -> f32 {
    let norms = dot_f64(query, query).sqrt() * dot_f64(row, row).sqrt();
    if norms == 0.0 { 1.0 } else { (1.0 - dot_f64(query, row) / norms) as f32 }
}

/// See `Kernels::first_not_finite`.
#[inline(always)]
pub(super) fn first_not_finite(values: &[f32]) -> Option<usize> {
    for (number, block) in values.chunks(FINITE_BLOCK).enumerate() {
        let mut found = 0u32;
        for value in block {
            found |= u32::from(value.to_bits() & EXPONENT == EXPONENT);
        }
        if found != 0 {
            let position = block.iter().position(|value| !value.is_finite())?;
            return Some(number * FINITE_BLOCK + position);
        }
    }
    None
}
