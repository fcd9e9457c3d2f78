//! Trains scalar codes: finds the best grid of each dim for each number of bits, then allocates bits to dims.
//!
//! Each bit goes to the dim where it reduces the squared error of the sample most (reverse water-filling: Cover,
//! Thomas: Elements of Information Theory, 2nd ed., §10.3.3), along the lower convex hull of each dim's errors, because
//! a dim may need several bits before it gains (Shoham, Gersho: Efficient Bit Allocation for an Arbitrary Set of
//! Quantizers, IEEE Trans. ASSP 1988).

use super::codes::{Form, Scalar};
use super::grid::{BITS_MAX, Grid};
use super::{book, half};
use crate::codec::scale::Scale;
use crate::codec::shape::Shape;
use crate::error::Result;
use crate::work::Work;
use std::borrow::Cow;

/// A range of values to try. With few bits the best range is narrow; with many it is wider than the values of the
/// sample.
struct Clip {
    /// The share of the values that are clipped at each end.
    share: f64,
    /// How much the range is widened at each end, in lengths of the range.
    margin: f64,
    /// The fewest and the most bits for which the range is tried.
    bits: (u8, u8),
}

/// With many bits a margin costs little, but clipping one far value costs more than all rounding. Held-out values rarely
/// contain such a value, so narrow ranges are not tried with many bits. Rows beyond the widest range are scaled; a wider
/// one would leave fewer values to a symbol, of which scores are made.
const CLIPS: [Clip; 9] = [
    Clip { share: 0.2, margin: 0.0, bits: (1, 1) },
    Clip { share: 0.075, margin: 0.0, bits: (1, 2) },
    Clip { share: 0.025, margin: 0.0, bits: (1, 4) },
    Clip { share: 0.005, margin: 0.0, bits: (1, 7) },
    Clip { share: 0.000_5, margin: 0.0, bits: (2, 8) },
    Clip { share: 0.000_05, margin: 0.0, bits: (3, 8) },
    Clip { share: 0.0, margin: 1.0 / 128.0, bits: (1, 8) },
    Clip { share: 0.0, margin: 1.0 / 16.0, bits: (4, 16) },
    Clip { share: 0.0, margin: 1.0 / 4.0, bits: (7, 16) },
];

/// A value is far if it is this many times the typical length of a row, less the mean, beyond nearly all others.
const MARGIN: f64 = 0.5;
/// One row in this many may be far, and one value of a dim in this many, at each end. With fewer than [`NEAR_MIN`] rows
/// none is.
const FAR_ROWS: usize = 100;
const FAR_VALUES: usize = 1000;
const NEAR_MIN: usize = 16;

/// An exact form of whole numbers may leave out at most one row in this many.
const ODD_ROWS: usize = 50;

/// With fewer rows there is no held-out set: all rows are used both to fit a range and to evaluate it.
const HELD_OUT_MIN: usize = 64;

/// A grid is exact if its error is below this share of the range of values: about the precision of f32.
const ROUNDING: f64 = 1e-7;

/// The most bits a dim of [`exact`] codes may have. With more bits, a few far values take up the range of a symbol, and its
/// four bits no longer separate the other values.
const EXACT_BITS: u8 = 4;

/// Values are clamped to this size, so that the length of a range is a finite float.
const FARTHEST: f64 = 0.49 * f32::MAX as f64;

/// f32 represents all integers up to this.
const WHOLE_MAX: f32 = 16_777_216.0;

/// Number of values summed before the next check whether the error exceeds the limit.
const STRETCH: usize = 1024;

/// Number of possible bit widths of a dim: 0 to [`BITS_MAX`].
const LEVELS: usize = BITS_MAX as usize + 1;

/// Learns a codebook of scalar codes and returns its stored form.
pub(super) fn train(sample: &[f32], shape: &Shape, work: &mut Work) -> Result<Vec<u8>> {
    let is_half = |value: &f32| half::to_float(half::from_float(*value)).to_bits() == value.to_bits();
    let is_byte = |value: &f32| f32::from(*value as u8).to_bits() == value.to_bits();
    // A scan reads the four highest bits: they tell too little if values use only the lower half of the range.
    let has_large = sample.iter().any(|value| *value > 127.0);
    if shape.row_bytes >= shape.dim && has_large && sample.iter().all(is_byte) {
        // Lossless for every byte value, also for those that are not in the sample.
        let bytes = Form::Grids(vec![Grid { bits: 8, low: 0.0, step: 1.0 }; shape.dim]);
        return Ok(to_bytes(bytes, Scale::NONE, 0.0));
    }
    if shape.row_bytes >= shape.dim * 2 && sample.iter().all(is_half) {
        return Ok(to_bytes(Form::Halves(shape.dim), Scale::NONE, 0.0));
    }
    let scale = Scale::of_shape(sample, shape);
    let scaled = scale.sample(sample, shape.dim);
    let (mut done, total) = (0, 2);
    // Scaled rows are not whole numbers, so look for an exact form of whole numbers first. A few far rows would leave fewer
    // numbers to a symbol, so the form is that of all others.
    if matches!(scaled, Cow::Owned(_)) {
        let ordinary = ordinary_rows(sample, shape.dim);
        let are_nearly_all = (sample.len() - ordinary.len()) * ODD_ROWS <= sample.len();
        let rows = if are_nearly_all { &ordinary } else { sample };
        if rows.iter().all(|value| value.fract() == 0.0) {
            let (form, error) = work.part((0, 1), total, |work| best_form(rows, shape, work))?;
            if error == 0.0 {
                return Ok(to_bytes(form, Scale::NONE, 0.0));
            }
            done = 1;
        }
    }
    let (form, error) = work.part((done, total), total, |work| best_form(&scaled, shape, work))?;
    Ok(to_bytes(form, scale, error))
}

/// The stored form of a lossless codebook for `sample: [n][dim]`; `None` if a value is not a whole number, or if a dim needs
/// more than [`EXACT_BITS`] bits.
pub(super) fn exact(sample: &[f32], dim: usize) -> Option<Vec<u8>> {
    if sample.iter().any(|value| value.fract() != 0.0) {
        return None;
    }
    let exact = |number| {
        let values = Values::new(column(sample, dim, number));
        (1..=EXACT_BITS).find_map(|bits| values.exact(bits))
    };
    let grids: Option<Vec<Grid>> = (0..dim).map(exact).collect();
    // The usual error is none, so a row with any value beyond a grid is scaled.
    Some(book::to_bytes(&Scalar::new(Form::Grids(grids?), Scale::NONE, 0.0)))
}

/// The stored form of a codebook whose mean squared error of a row is `error`, or that of rounding if that is larger:
/// the rows of the sample may be on the grids, others are not.
fn to_bytes(form: Form, scale: Scale, error: f64) -> Vec<u8> {
    let rounding = match &form {
        Form::Grids(grids) => grids.iter().map(|grid| f64::from(grid.step).powi(2) / 12.0).sum(),
        Form::Halves(_) => 0.0,
    };
    let usual = error.max(rounding).sqrt().min(f64::from(f32::MAX)) as f32;
    book::to_bytes(&Scalar::new(form, scale, usual))
}

/// The rows of `sample: [n][dim]` whose length is not far from that of most rows.
fn ordinary_rows(sample: &[f32], dim: usize) -> Vec<f32> {
    let scale = Scale::of_sample(sample, dim, None);
    sample.chunks_exact(dim).filter(|row| scale.of(row) == 1.0).flatten().copied().collect()
}

/// The best form of codes of `shape` for `sample: [n][dim]`, and the mean over rows of its squared error.
fn best_form(sample: &[f32], shape: &Shape, work: &mut Work) -> Result<(Form, f64)> {
    let (dim, margin) = (shape.dim, MARGIN * typical_energy(sample, shape.dim).sqrt());
    let mut dims = Vec::with_capacity(dim);
    for first in 0..dim {
        dims.push(Dim::new(&without_far_values(column(sample, dim, first), margin)));
        work.report(first as u64 + 1, dim as u64)?;
    }
    let bits = allocate_bits(&dims, shape.row_bytes * 8);
    let error: f64 = dims.iter().zip(&bits).map(|(dim, bits)| dim.errors[*bits]).sum();
    if shape.row_bytes >= dim * 2 {
        let of_halves = error_of_halves(sample, dim);
        if of_halves < error {
            return Ok((Form::Halves(dim), of_halves));
        }
    }
    Ok((Form::Grids(dims.iter().zip(bits).map(|(dim, bits)| dim.grids[bits]).collect()), error))
}

/// The values of dim `number` of `sample: [n][dim]`.
fn column(sample: &[f32], dim: usize, number: usize) -> Vec<f32> {
    sample.iter().skip(number).step_by(dim).copied().collect()
}

/// The position in `count` ascending values, from either end, of the first value that is surely not far from the others.
fn first_near(count: usize, share: usize) -> usize {
    if count < NEAR_MIN { 0 } else { (count / share).max(1) }
}

/// The mean squared distance of rows of `sample: [n][dim]` to their mean, without the farthest rows. The mean is that of
/// each dim without its farthest values.
fn typical_energy(sample: &[f32], dim: usize) -> f64 {
    let mut energies = vec![0.0; sample.len() / dim];
    for first in 0..dim {
        let mut values = column(sample, dim, first);
        values.sort_unstable_by(f32::total_cmp);
        let far = first_near(values.len(), FAR_ROWS);
        let near = &values[far..values.len() - far];
        let mean = near.iter().map(|value| f64::from(*value)).sum::<f64>() / near.len() as f64;
        let values = sample.iter().skip(first).step_by(dim);
        energies.iter_mut().zip(values).for_each(|(energy, value)| *energy += (f64::from(*value) - mean).powi(2));
    }
    energies.sort_unstable_by(f64::total_cmp);
    energies.truncate(energies.len() - first_near(energies.len(), FAR_ROWS));
    energies.iter().sum::<f64>() / energies.len() as f64
}

/// `values` of one dim without those that are more than `margin` beyond nearly all others: a grid that reaches them would
/// be coarse for all.
fn without_far_values(values: Vec<f32>, margin: f64) -> Vec<f32> {
    let mut ascending = values.clone();
    ascending.sort_unstable_by(f32::total_cmp);
    let far = first_near(ascending.len(), FAR_VALUES);
    let (low, high) = (f64::from(ascending[far]) - margin, f64::from(ascending[ascending.len() - 1 - far]) + margin);
    if f64::from(ascending[0]) >= low && f64::from(ascending[ascending.len() - 1]) <= high {
        return values;
    }
    values.into_iter().filter(|value| (low..=high).contains(&f64::from(*value))).collect()
}

/// The mean over rows of the squared error of the sample as halves.
fn error_of_halves(sample: &[f32], dim: usize) -> f64 {
    sample.iter().map(|value| half::squared_error(*value)).sum::<f64>() / (sample.len() / dim) as f64
}

/// The best grid of a dim for each number of bits, and its error.
struct Dim {
    /// The mean squared error.
    errors: [f64; LEVELS],
    grids: [Grid; LEVELS],
}

impl Dim {
    /// Finds the best grids for `column`, the values of the dim. Ranges are fitted to every other value and evaluated
    /// on the values between, because a range that just covers its own values would clip values outside the sample. The
    /// stored errors are those of all values; otherwise a few far ones would decide the allocation of bits.
    fn new(column: &[f32]) -> Dim {
        let (all, step) = (Values::new(column.to_vec()), if column.len() < HELD_OUT_MIN { 1 } else { 2 });
        let fitted = Values::new(column.iter().step_by(step).copied().collect());
        let held_out: Vec<f32> = column.iter().skip(step - 1).step_by(step).copied().collect();
        let error_of = |grid: &Grid| error(grid, &all.ascending, f64::INFINITY);
        let constant = all.constant();
        let mut dim = Dim { errors: [error_of(&constant); LEVELS], grids: [constant; LEVELS] };
        for bits in 1..=BITS_MAX {
            let level = usize::from(bits);
            if let Some(exact) = all.exact(bits) {
                dim.errors[level..].fill(0.0);
                dim.grids[level..].fill(exact);
                break;
            }
            let found = best_clip(&fitted, &held_out, bits).and_then(|clip| all.clip(clip, bits));
            let found = found.map(|grid| (error_of(&grid), grid)).filter(|(error, _)| *error < dim.errors[level - 1]);
            (dim.errors[level], dim.grids[level]) = found.unwrap_or((dim.errors[level - 1], dim.grids[level - 1]));
        }
        dim
    }
}

/// The clip of `fitted` with the least error on `held_out`.
fn best_clip(fitted: &Values, held_out: &[f32], bits: u8) -> Option<&'static Clip> {
    let (mut least, mut best) = (f64::INFINITY, None);
    for clip in CLIPS.iter().filter(|clip| (clip.bits.0..=clip.bits.1).contains(&bits)) {
        let found = fitted.clip(clip, bits).map_or(f64::INFINITY, |grid| error(&grid, held_out, least));
        if found < least {
            (least, best) = (found, Some(clip));
        }
    }
    best
}

/// Some values of one dim, at least one, ascending.
struct Values {
    ascending: Vec<f32>,
    is_whole: bool,
}

impl Values {
    fn new(mut values: Vec<f32>) -> Values {
        values.sort_unstable_by(f32::total_cmp);
        let is_whole = values.iter().all(|value| value.fract() == 0.0 && value.abs() <= WHOLE_MAX);
        Values { ascending: values, is_whole }
    }

    /// The value at quantile `share`, clamped to the largest size of a range.
    fn quantile(&self, share: f64) -> f64 {
        let index = (share * (self.ascending.len() - 1) as f64).round() as usize;
        f64::from(self.ascending[index]).clamp(-FARTHEST, FARTHEST)
    }

    /// True if all values are equal.
    fn is_constant(&self) -> bool {
        self.ascending[0] == self.ascending[self.ascending.len() - 1]
    }

    /// The grid of no bits: the mean, or the value itself if all are equal.
    fn constant(&self) -> Grid {
        let (first, count) = (self.ascending[0], self.ascending.len());
        let mean = self.ascending.iter().map(|value| f64::from(*value)).sum::<f64>() / count as f64;
        Grid { bits: 0, low: if self.is_constant() { first } else { mean as f32 }, step: 0.0 }
    }

    /// A grid that represents every value exactly, if there is one: of integers, or in equal steps from the smallest to
    /// the largest value.
    fn exact(&self, bits: u8) -> Option<Grid> {
        if self.is_constant() {
            return Some(self.constant());
        }
        let (low, high, most) = (self.quantile(0.0), self.quantile(1.0), f64::from(Grid::most(bits)));
        if self.is_whole && high - low <= most {
            // Spare numbers extend the range on both sides, but not below zero if no value is negative.
            let first = low - ((most - (high - low)) / 2.0).floor();
            let first = if low >= 0.0 { first.max(0.0) } else { first };
            return Some(Grid { bits, low: first as f32, step: 1.0 });
        }
        let grid = float_grid(bits, low, (high - low) / most)?;
        let rounding = (ROUNDING * (high - low)).powi(2);
        (error(&grid, &self.ascending, rounding) < rounding).then_some(grid)
    }

    /// The grid of the middles of equal parts of the range that `clip` gives.
    fn clip(&self, clip: &Clip, bits: u8) -> Option<Grid> {
        let (low, high) = (self.quantile(clip.share), self.quantile(1.0 - clip.share));
        let margin = clip.margin * (high - low);
        let (low, high) = ((low - margin).max(-FARTHEST), (high + margin).min(FARTHEST));
        let step = (high - low) / (f64::from(Grid::most(bits)) + 1.0);
        float_grid(bits, low + step / 2.0, step)
    }
}

/// The grid rounded to floats; `None` if its step is 0 or a value is not finite.
fn float_grid(bits: u8, low: f64, step: f64) -> Option<Grid> {
    if step <= 0.0 {
        return None;
    }
    let grid = Grid { bits, low: low as f32, step: (step as f32).max(f32::from_bits(1)) };
    grid.is_sound().then_some(grid)
}

/// The mean squared error of `values` on `grid`; infinity if it is at least `limit`, which may end the sum early.
fn error(grid: &Grid, values: &[f32], limit: f64) -> f64 {
    let count = values.len() as f64;
    let mut sum = 0.0;
    for values in values.chunks(STRETCH) {
        let (eights, rest) = values.as_chunks::<8>();
        let mut lanes = [0.0f64; 8];
        for eight in eights {
            lanes.iter_mut().zip(eight).for_each(|(lane, value)| *lane += grid.squared_error(*value));
        }
        sum += lanes.iter().sum::<f64>() + rest.iter().map(|value| grid.squared_error(*value)).sum::<f64>();
        if sum >= limit * count {
            return f64::INFINITY;
        }
    }
    sum / count
}

/// An edge of the lower convex hull of a dim's errors.
struct HullEdge {
    dim: usize,
    from: usize,
    to: usize,
    /// How much each bit reduces the error.
    gain: f64,
}

/// Allocates at most `budget` bits to the dims.
fn allocate_bits(dims: &[Dim], budget: usize) -> Vec<usize> {
    let mut edges: Vec<HullEdge> = dims.iter().enumerate().flat_map(|(number, dim)| hull(number, dim)).collect();
    // Stable: of equal gains the lower dim comes first, and the edges of a dim stay in order.
    edges.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    let (mut bits, mut left) = (vec![0; dims.len()], budget);
    for edge in edges {
        // The edges of a dim follow each other; once one was cut short, the rest do not apply.
        if bits[edge.dim] == edge.from {
            bits[edge.dim] = edge.to.min(edge.from + left);
            left -= bits[edge.dim] - edge.from;
        }
    }
    bits
}

/// The edges of the lower convex hull of a dim's errors: each edge has the largest gain per bit, the shortest one of
/// equals.
fn hull(number: usize, dim: &Dim) -> Vec<HullEdge> {
    let mut edges = Vec::new();
    let mut from = 0;
    while from + 1 < LEVELS {
        let (mut to, mut gain) = (from, 0.0);
        for next in from + 1..LEVELS {
            let found = (dim.errors[from] - dim.errors[next]) / (next - from) as f64;
            if found > gain {
                (to, gain) = (next, found);
            }
        }
        if to == from {
            break;
        }
        edges.push(HullEdge { dim: number, from, to, gain });
        from = to;
    }
    edges
}
