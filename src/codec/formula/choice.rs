//! How many bits a rotation should take: its bytes are missing in the codes, and a coarse one leaves more error.
//!
//! A direction should have the more bits for each of its components, the more bits rows spend on it. Two numbers are
//! left to choose: the bytes of a code, which leave the others to the rotation, and the number of directions that share
//! them. Both are chosen by the error bound of the variances that the stored rotation has, and by its own error.

use super::basis::transpose;
use super::rotation::CoarseDirections;
use crate::codec::exponential::log2;
use crate::codec::water_filling::{error_bound, water_level};
use crate::codec::windows::Rotation;
use crate::error::Result;
use crate::kernels::kernels;

/// Codes that would be shorter than this, in bytes, are not considered for the sake of a rotation.
const CODE_BYTES_MIN: usize = 4;

/// Up to so many directions are tried in any case.
const COUNT_MIN: usize = 64;

/// Numbers of directions that are tried, and all of them.
const COUNTS: [usize; 17] = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 320, 384, 512];

/// Shorter codes, and more directions, are not tried after this many that were worse than the best.
const WORSE_MAX: usize = 2;

/// Variances below this share of the largest have no direction worth storing.
const VARIANCE_MIN: f64 = 1e-12;

/// The bits of a direction are its rate and a number of such parts of a bit, rounded.
const PARTS: f64 = 16.0;

/// More of these parts than rates can differ by.
const PARTS_MAX: i32 = 1024;

/// The principal directions of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spectrum<'a> {
    /// `[dim]`: falling variances, the first positive.
    pub(super) variances: &'a [f64],
    /// `[dim][dim]`: the direction of each.
    pub(super) directions: &'a [f32],
}

/// The bytes that codes and codebook have together.
#[derive(Clone, Copy, Debug)]
pub(super) struct RotationBudget {
    /// Rows that share the codebook; at least 1.
    pub(super) rows: usize,
    /// Bytes a row for its symbols and its share of the codebook and its parity.
    pub(super) row_bytes: f64,
    /// The most bytes of the parity; as many as the codebook has, if that is less.
    pub(super) parity_bytes: usize,
    /// Bytes of a codebook without its rotation.
    pub(super) other_bytes: usize,
}

impl RotationBudget {
    /// Whole bytes of a code beside a rotation of `bytes`; at least 1.
    fn code_bytes(&self, bytes: usize) -> usize {
        let book = bytes + self.other_bytes;
        let shared = (book + book.min(self.parity_bytes)) as f64 / self.rows as f64;
        ((self.row_bytes - shared) as usize).max(1)
    }

    /// The most bytes of a rotation beside codes of `code_bytes`.
    fn rotation_bytes(&self, code_bytes: usize) -> usize {
        let shared = ((self.row_bytes - code_bytes as f64) * self.rows as f64) as usize;
        (shared / 2).max(shared.saturating_sub(self.parity_bytes)).saturating_sub(self.other_bytes)
    }
}

/// A rotation, and what codes can do with it.
#[derive(Clone, Debug)]
pub(super) struct RotationChoice {
    /// The directions to store, and the basis they decode to: `[dim][dim]`. `None`: dims are coded as they are.
    pub(super) rotation: Option<(CoarseDirections, Vec<f32>)>,
    /// `[dim]`: the variance along each vector of the basis.
    pub(super) variances: Vec<f64>,
    /// Bytes of a code.
    pub(super) code_bytes: usize,
    /// The least squared error of a code of a normal distribution, and that of the rotation.
    pub(super) bound: f64,
}

impl RotationChoice {
    /// No rotation of dims with these `variances: [dim]`.
    pub(super) fn of_dims(variances: Vec<f64>, budget: &RotationBudget) -> RotationChoice {
        let code_bytes = budget.code_bytes(CoarseDirections::stored_bytes(variances.len(), &[]));
        let bound = error_bound(&variances, 8.0 * code_bytes as f64);
        RotationChoice { rotation: None, variances, code_bytes, bound }
    }
}

/// The rotation with the least error bound that the budget allows, of dims that may be rotated. Calls `check` before each
/// rotation that is tried; an error of it ends the search.
pub(super) fn choose_rotation(
    spectrum: &Spectrum<'_>,
    budget: &RotationBudget,
    check: &mut dyn FnMut() -> Result<()>,
) -> Result<RotationChoice> {
    let chooser = Chooser::new(spectrum, budget);
    // The products of a unit vector with the directions are a row of their transpose.
    let unrotated = RotationChoice::of_dims(chooser.variances_along(&chooser.transposed), budget);
    if unrotated.bound == 0.0 {
        return Ok(unrotated);
    }
    let rotated = chooser.rotated(check)?.filter(|choice| choice.bound < unrotated.bound);
    Ok(rotated.unwrap_or(unrotated))
}

/// The most bits for the components of directions of `dim` dims with these falling `rates`, 1 to 8 each, that take at
/// most `bytes`. `None` if a bit each takes more.
fn bits_within(rates: &[f64], dim: usize, bytes: usize) -> Option<Vec<u8>> {
    let bits_of = |parts: i32| -> Vec<u8> {
        let bits = |rate: &f64| (rate + f64::from(parts) / PARTS).round().clamp(1.0, 8.0) as u8;
        rates.iter().map(bits).collect()
    };
    let fits = |parts: i32| CoarseDirections::stored_bytes(dim, &bits_of(parts)) <= bytes;
    let (mut low, mut high) = (-PARTS_MAX, PARTS_MAX);
    if !fits(low) {
        return None;
    }
    while high - low > 1 {
        let middle = (low + high) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    Some(bits_of(low))
}

struct Chooser<'a> {
    spectrum: &'a Spectrum<'a>,
    budget: &'a RotationBudget,
    /// `[dim][dim]`: the directions are columns.
    transposed: Vec<f32>,
    /// Numbers of directions, rising.
    counts: Vec<usize>,
}

/// A rotation and the index of its number of directions in [`Chooser::counts`].
struct Found {
    choice: RotationChoice,
    rank: usize,
}

impl Chooser<'_> {
    fn new<'a>(spectrum: &'a Spectrum<'a>, budget: &'a RotationBudget) -> Chooser<'a> {
        let dim = spectrum.variances.len();
        let counts = COUNTS.into_iter().filter(|count| *count < dim).chain([dim]).collect();
        Chooser { spectrum, budget, transposed: transpose(spectrum.directions, dim), counts }
    }

    fn dim(&self) -> usize {
        self.spectrum.variances.len()
    }

    /// Bytes of a code without a rotation.
    fn longest(&self) -> usize {
        self.budget.code_bytes(CoarseDirections::stored_bytes(self.dim(), &[]))
    }

    /// `[dim]`: bits that a row spends on each direction, negative for those it spends none on.
    fn rates(&self) -> Vec<f64> {
        let least = self.spectrum.variances[0] * VARIANCE_MIN;
        let logarithms: Vec<f64> = self.spectrum.variances.iter().map(|variance| log2(variance.max(least))).collect();
        let level = water_level(&logarithms, 8.0 * self.longest() as f64);
        logarithms.iter().map(|logarithm| (logarithm - level) / 2.0).collect()
    }

    /// The variances along vectors with these `products: [n][dim]` with the directions.
    fn variances_along(&self, products: &[f32]) -> Vec<f64> {
        let along = |products: &[f32]| {
            let parts = products.iter().zip(self.spectrum.variances);
            parts.map(|(product, variance)| f64::from(*product) * f64::from(*product) * variance).sum()
        };
        products.chunks_exact(self.dim()).map(along).collect()
    }

    /// The best rotation; `None` if none fits. The bound has one minimum over the lengths of codes, up to rounding.
    /// Lengths are tried in growing steps from the longest code, and then half a step from the best.
    fn rotated(&self, check: &mut dyn FnMut() -> Result<()>) -> Result<Option<RotationChoice>> {
        let (rates, longest) = (self.rates(), self.longest());
        let (mut best, mut worse, mut shorter): (Option<Found>, usize, usize) = (None, 0, 1);
        while worse < WORSE_MAX && shorter + CODE_BYTES_MIN <= longest {
            let first = best.as_ref().map_or(0, |best| best.rank);
            match self.of_length(&rates, longest - shorter, first, check)? {
                Some(found) if is_better(&found, best.as_ref()) => (best, worse) = (Some(found), 0),
                _ => worse += usize::from(best.is_some()),
            }
            shorter += step_from(shorter);
        }
        let Some(mut best) = best else { return Ok(None) };
        let (length, first) = (best.choice.code_bytes, best.rank.saturating_sub(1));
        let half = step_from(longest - length) / 2;
        let near = [length + half, length - half].into_iter().filter(|near| *near != length && *near >= CODE_BYTES_MIN);
        for length in near {
            let found = self.of_length(&rates, length, first, check)?;
            best = found.filter(|found| is_better(found, Some(&best))).unwrap_or(best);
        }
        Ok(Some(best.choice))
    }

    /// The best rotation beside codes of `length` bytes, of as many directions as `counts` has at `first` or behind:
    /// shorter codes have more directions. `None` if none fits.
    fn of_length(
        &self,
        rates: &[f64],
        length: usize,
        first: usize,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Option<Found>> {
        let bytes = self.budget.rotation_bytes(length);
        // Bounds of a few directions more rise and fall; a count that is known to be good needs no such patience.
        let patience = if first == 0 { WORSE_MAX } else { 1 };
        let (mut best, mut worse): (Option<Found>, usize) = (None, 0);
        for (rank, count) in self.counts.iter().enumerate().skip(first) {
            let bits = bits_within(&rates[..*count], self.dim(), bytes);
            let Some(bits) = bits else { break };
            check()?;
            // Coarse directions may depend on each other; more of them, or finer ones, need not.
            let Some(choice) = self.of_bits(&bits) else { continue };
            let found = Found { choice, rank };
            if is_better(&found, best.as_ref()) {
                (best, worse) = (Some(found), 0);
            } else {
                worse += 1;
            }
            // Few directions leave most vectors nearly unit vectors, whose rounding hides what more directions gain.
            if worse >= patience && *count >= COUNT_MIN {
                break;
            }
        }
        Ok(best)
    }

    /// The rotation with these `bits: [directions]`; `None` if the directions depend on each other.
    fn of_bits(&self, bits: &[u8]) -> Option<RotationChoice> {
        let directions = CoarseDirections::of(self.spectrum.directions, self.dim(), bits);
        let basis = directions.basis().ok()?;
        let mut products = vec![0.0; basis.len()];
        kernels().matmul(&basis, &self.transposed, self.dim(), &mut products);
        let variances = self.variances_along(&products);
        let code_bytes = self.budget.code_bytes(CoarseDirections::stored_bytes(self.dim(), bits));
        let bound = error_bound(&variances, 8.0 * code_bytes as f64) + rounding_error(&basis, &variances);
        Some(RotationChoice { rotation: Some((directions, basis)), variances, code_bytes, bound })
    }
}

/// The squared error of rows with these `variances: [dim]` along the vectors of `basis: [dim][dim]`, because a rotation
/// has 8-bit components. Vectors that are nearly unit vectors lose most: one scale serves a large component and small
/// ones.
fn rounding_error(basis: &[f32], variances: &[f64]) -> f64 {
    let dim = variances.len();
    let Rotation { scales, numbers, .. } = Rotation::of_basis(basis, dim);
    let vectors = basis.chunks_exact(dim).zip(numbers.chunks_exact(dim));
    let errors = vectors.zip(&scales).zip(variances).map(|(((vector, numbers), scale), variance)| {
        let parts = vector.iter().zip(numbers).map(|(value, number)| value - scale * f32::from(*number));
        variance * parts.map(|part| f64::from(part) * f64::from(part)).sum::<f64>()
    });
    errors.sum()
}

/// The step to the next length from one that is `shorter` than the longest.
fn step_from(shorter: usize) -> usize {
    (shorter / 2).max(1)
}

fn is_better(found: &Found, best: Option<&Found>) -> bool {
    best.is_none_or(|best| found.choice.bound < best.choice.bound)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::super::basis::orthonormal_basis;
    use super::{
        CoarseDirections, RotationBudget, RotationChoice, Spectrum, bits_within, choose_rotation, error_bound,
    };
    use crate::codec::exponential::exp2;
    use crate::codec::random::Random;

    const DIM: usize = 64;

    fn variances(dim: usize) -> Vec<f64> {
        (0..dim).map(|rank| exp2(-(rank as f64) / 4.0)).collect()
    }

    fn directions() -> Vec<f32> {
        let mut random = Random::new(1, 2);
        orthonormal_basis((0..DIM * DIM).map(|_| random.normal()).collect(), DIM).unwrap()
    }

    fn choose(directions: &[f32], rows: usize) -> (RotationChoice, RotationBudget) {
        let variances = variances(directions.len().isqrt());
        let budget = RotationBudget { rows, row_bytes: 16.0, parity_bytes: 200, other_bytes: 100 };
        (choose_rotation(&Spectrum { variances: &variances, directions }, &budget, &mut || Ok(())).unwrap(), budget)
    }

    #[test]
    fn more_rows_share_finer_rotations() {
        // What the best rotation leaves, beside codes of 15 bytes.
        let (directions, exact) = (directions(), error_bound(&variances(DIM), 120.0));
        let (mut bytes, mut bound) = (0, f64::INFINITY);
        for rows in [20, 150, 1000, 10_000, 100_000, 10_000_000] {
            let (choice, budget) = choose(&directions, rows);
            let mut stored = Vec::new();
            CoarseDirections::write(choice.rotation.as_ref().map(|(coarse, _)| coarse), &mut stored);
            let book = stored.len() + budget.other_bytes;
            let all = choice.code_bytes * rows + book + book.min(budget.parity_bytes);
            assert!(all as f64 <= budget.row_bytes * rows as f64, "{rows}: {all}");
            let (sum, expected): (f64, f64) = (choice.variances.iter().sum(), variances(DIM).iter().sum());
            assert!((sum / expected - 1.0).abs() < 1e-4, "{rows}: {sum}");
            assert!(stored.len() >= bytes && choice.bound <= bound, "{rows}: {} {}", stored.len(), choice.bound);
            (bytes, bound) = (stored.len(), choice.bound);
        }
        assert!(bytes > 1 && bound < 1.02 * exact, "{bound} {exact}");
        assert!(choose(&directions, 20).0.rotation.is_none());
    }

    #[test]
    fn many_directions_are_found_behind_few_that_do_not_pay() {
        let (variances, directions) = (variances(DIM), directions());
        let spectrum = Spectrum { variances: &variances, directions: &directions };
        for row_bytes in [24.0, 32.0, 48.0] {
            let budget = RotationBudget { rows: 50_000, row_bytes, parity_bytes: 0, other_bytes: 100 };
            let unrotated: Vec<f64> = vec![variances.iter().sum::<f64>() / DIM as f64; DIM];
            let choice = choose_rotation(&spectrum, &budget, &mut || Ok(())).unwrap();
            assert!(choice.bound < 0.7 * error_bound(&unrotated, 8.0 * row_bytes), "{row_bytes}: {}", choice.bound);
        }
    }

    #[test]
    fn dims_that_are_principal_are_not_rotated() {
        let unit: Vec<f32> = (0..DIM * DIM).map(|index| f32::from(u8::from(index % (DIM + 1) == 0))).collect();
        let (choice, budget) = choose(&unit, 1_000_000);
        let of_dims = RotationChoice::of_dims(variances(DIM), &budget);
        assert!(choice.rotation.is_none());
        assert_eq!((choice.variances, choice.code_bytes), (of_dims.variances, of_dims.code_bytes));
    }

    #[test]
    fn short_codes_leave_room_for_the_directions_of_few_rows() {
        // Twelve directions need 96 bytes at a bit a component, and half of the bytes beside a code are a parity.
        let variances: Vec<f64> = (0..DIM).map(|rank| if rank < 12 { 1.0 } else { 1e-4 }).collect();
        let directions = directions();
        let spectrum = Spectrum { variances: &variances, directions: &directions };
        let unrotated: Vec<f64> = vec![variances.iter().sum::<f64>() / DIM as f64; DIM];
        for row_bytes in [11.0, 12.0, 13.5, 16.0] {
            let budget = RotationBudget { rows: 200, row_bytes, parity_bytes: 4096, other_bytes: 200 };
            let choice = choose_rotation(&spectrum, &budget, &mut || Ok(())).unwrap();
            let without = error_bound(&unrotated, 8.0 * row_bytes);
            assert!(choice.bound < 0.2 * without, "{row_bytes}: {} {without}", choice.bound);
        }
    }

    #[test]
    fn bits_follow_the_rates_within_the_bytes() {
        let rates = [5.0, 3.0, 2.9, 1.0, -4.0];
        let bytes = |bits: &[u8]| CoarseDirections::stored_bytes(DIM, bits);
        assert_eq!(bits_within(&rates, DIM, bytes(&[1; 5]) - 1), None);
        assert_eq!(bits_within(&rates, DIM, bytes(&[1; 5])), Some(vec![1; 5]));
        assert_eq!(bits_within(&rates, DIM, bytes(&[6, 4, 4, 2, 1])), Some(vec![6, 4, 4, 2, 1]));
        assert_eq!(bits_within(&rates, DIM, usize::MAX), Some(vec![8; 5]));
    }
}
