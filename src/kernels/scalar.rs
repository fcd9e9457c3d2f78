//! The bodies of the distance and finiteness kernels: their definition, to the bit, at every level.
//!
//! A sum runs in `LANES` partial sums, element i into lane i mod `LANES`, then halves are added until one is left.
//! That order is the same for every register width, so the compiler may use any.

/// Partial sums of a reduction: two AVX-512 registers, enough to hide the latency of the adds.
const LANES: usize = 32;

/// Floats looked at before the finiteness test decides whether to go on.
const FINITE_BLOCK: usize = 512;

const EXPONENT: u32 = 0x7f80_0000;

/// `lanes` added pairwise, the upper half onto the lower until one is left.
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

/// Adds `term` of one block to `lanes`.
#[inline(always)]
fn add_block(a: &[f32; LANES], b: &[f32; LANES], term: &impl Fn(f32, f32) -> f32, lanes: &mut [f32; LANES]) {
    for i in 0..LANES {
        lanes[i] += term(a[i], b[i]);
    }
}

/// `rest`, less than a block, with zeros behind it.
#[inline(always)]
fn padded(rest: &[f32]) -> [f32; LANES] {
    let mut block = [0.0; LANES];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// Sums `term` over `a: [dim]` and `b: [dim]` in the fixed order; `term(0, 0)` is 0.
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

/// The squared Euclidean distance of `a: [dim]` and `b: [dim]`.
#[inline(always)]
pub(super) fn l2sq(a: &[f32], b: &[f32]) -> f32 {
    sum_of(a, b, |a, b| (a - b) * (a - b))
}

/// The inner product of `a: [dim]` and `b: [dim]`.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_of(a, b, |a, b| a * b)
}

/// The inner product of `query: [dim]` and `row: [dim]`, and of `row` with itself.
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

/// The inner product in f64, where no pair of f32 vectors overflows. Only for values f32 sums cannot hold.
#[cold]
pub(super) fn dot_wide(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// True if a squared norm, summed in f32, lost nothing that matters to overflow or underflow.
pub(super) fn is_exact_enough(norm_sq: f32) -> bool {
    (1e-24..=1e36).contains(&norm_sq)
}

/// One minus the cosine, in f64: for zero, tiny and giant vectors. A zero vector is at distance 1 from everything.
#[cold]
pub(super) fn cosine_distance_wide(query: &[f32], row: &[f32]) -> f32 {
    let norms = dot_wide(query, query).sqrt() * dot_wide(row, row).sqrt();
    if norms == 0.0 { 1.0 } else { (1.0 - dot_wide(query, row) / norms) as f32 }
}

/// The place of the first NaN or infinity in `values: [n]`.
#[inline(always)]
pub(super) fn first_not_finite(values: &[f32]) -> Option<usize> {
    for (number, block) in values.chunks(FINITE_BLOCK).enumerate() {
        let mut found = 0u32;
        for value in block {
            found |= u32::from(value.to_bits() & EXPONENT == EXPONENT);
        }
        if found != 0 {
            let place = block.iter().position(|value| !value.is_finite())?;
            return Some(number * FINITE_BLOCK + place);
        }
    }
    None
}
