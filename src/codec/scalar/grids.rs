//! Training scalar codes: the best grid of each dim for each number of bits, and which dim gets how many.
//!
//! Bits go where they take most off the squared error of the sample (reverse water-filling: Cover, Thomas: Elements of
//! Information Theory, 2nd ed., §10.3.3), along the lower convex hull of each dim's errors, because a dim may need several
//! bits before it gains (Shoham, Gersho: Efficient Bit Allocation for an Arbitrary Set of Quantizers, IEEE Trans. ASSP 1988).

use super::half;
use super::{BITS_MAX, Form, Grid, Scalar};
use crate::codec::{Codebook, Shape};
use crate::error::{Error, Result};
use crate::work::Work;

/// A range of values to try: with few bits the best range is narrow, with many it is wider than what the sample shows.
struct Clip {
    /// The share of the values given up at each end.
    share: f64,
    /// What the range is widened by at each end, in lengths of it.
    margin: f64,
    /// The fewest and the most bits with which it is tried.
    bits: (u8, u8),
}

/// With many bits wide margins cost next to nothing, and one far value that was clipped costs more than all steps: there
/// the judges, who hardly ever see such a value, are not asked.
const CLIPS: [Clip; 11] = [
    Clip { share: 0.2, margin: 0.0, bits: (1, 1) },
    Clip { share: 0.075, margin: 0.0, bits: (1, 2) },
    Clip { share: 0.025, margin: 0.0, bits: (1, 4) },
    Clip { share: 0.005, margin: 0.0, bits: (1, 7) },
    Clip { share: 0.000_5, margin: 0.0, bits: (2, 8) },
    Clip { share: 0.000_05, margin: 0.0, bits: (3, 8) },
    Clip { share: 0.0, margin: 1.0 / 128.0, bits: (1, 8) },
    Clip { share: 0.0, margin: 1.0 / 16.0, bits: (4, 9) },
    Clip { share: 0.0, margin: 1.0 / 4.0, bits: (7, 11) },
    Clip { share: 0.0, margin: 1.0, bits: (10, 16) },
    Clip { share: 0.0, margin: 2.0, bits: (13, 16) },
];

/// With fewer rows all of them fit and judge.
const JUDGED_MIN: usize = 64;

/// Off by less than this share of their range, values count as met: floats themselves are no finer.
const ROUNDING: f64 = 1e-7;

/// Ranges end here, so that they are no longer than a float can tell.
const FARTHEST: f64 = 0.49 * f32::MAX as f64;

/// Whole numbers up to this are all floats.
const WHOLE_MAX: f32 = 16_777_216.0;

/// Values summed before an error that is too large already is given up.
const STRETCH: usize = 1024;

/// Bits, in numbers and as places of a list.
const LEVELS: usize = BITS_MAX as usize + 1;

/// Learns a book of scalar codes; arguments as checked by [`Codebook::train`].
pub(in crate::codec) fn train(sample: &[f32], shape: &Shape, work: &mut Work) -> Result<Codebook> {
    let dim = shape.dim;
    let mut dims = Vec::with_capacity(dim);
    let mut column = Vec::with_capacity(sample.len() / dim);
    for first in 0..dim {
        column.clear();
        column.extend(sample.iter().skip(first).step_by(dim));
        dims.push(Dim::new(&column));
        work.report(first as u64 + 1, dim as u64)?;
    }
    let bytes = Scalar::to_bytes(best_form(&dims, sample, shape));
    Codebook::take(&bytes).map_err(|what| Error::Internal(format!("a trained codebook: {what}")))
}

fn best_form(dims: &[Dim], sample: &[f32], shape: &Shape) -> Form {
    let is_byte = |value: &f32| f32::from(*value as u8).to_bits() == value.to_bits();
    if shape.row_bytes >= shape.dim && sample.iter().all(is_byte) {
        // Lossless also for the bytes that the sample did not see.
        return Form::Grids(vec![Grid { bits: 8, low: 0.0, step: 1.0 }; shape.dim]);
    }
    let bits = given_out(dims, shape.row_bytes * 8);
    let error: f64 = dims.iter().zip(&bits).map(|(dim, bits)| dim.errors[*bits]).sum();
    if shape.row_bytes >= shape.dim * 2 && error_of_halves(sample, shape.dim) < error {
        return Form::Halves(shape.dim);
    }
    Form::Grids(dims.iter().zip(bits).map(|(dim, bits)| dim.grids[bits]).collect())
}

/// The squared error of the sample as halves, in the mean of its rows.
fn error_of_halves(sample: &[f32], dim: usize) -> f64 {
    let off = |value: f32| f64::from(value) - f64::from(half::to_float(half::from_float(value)));
    sample.iter().map(|value| off(*value).powi(2)).sum::<f64>() / (sample.len() / dim) as f64
}

/// What a dim costs with each number of bits.
struct Dim {
    /// The mean squared error.
    errors: [f64; LEVELS],
    grids: [Grid; LEVELS],
}

impl Dim {
    /// Finds the best grids for `column`, the values of the dim. Ranges are taken from every other value and judged by the
    /// values between: a range that only just holds its own values would clip what the sample did not see. The errors are
    /// those of all values, as few far ones would else decide where the bits go.
    fn new(column: &[f32]) -> Dim {
        let (all, step) = (Values::new(column.to_vec()), if column.len() < JUDGED_MIN { 1 } else { 2 });
        let fitted = Values::new(column.iter().step_by(step).copied().collect());
        let judges: Vec<f32> = column.iter().skip(step - 1).step_by(step).copied().collect();
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
            let found = best_clip(&fitted, &judges, bits).and_then(|clip| all.clipped(clip, bits));
            let found = found.map(|grid| (error_of(&grid), grid)).filter(|(error, _)| *error < dim.errors[level - 1]);
            (dim.errors[level], dim.grids[level]) = found.unwrap_or((dim.errors[level - 1], dim.grids[level - 1]));
        }
        dim
    }
}

/// The clip of `fitted` with which the judges have the least error.
fn best_clip(fitted: &Values, judges: &[f32], bits: u8) -> Option<&'static Clip> {
    let (mut least, mut best) = (f64::INFINITY, None);
    for clip in CLIPS.iter().filter(|clip| (clip.bits.0..=clip.bits.1).contains(&bits)) {
        let found = fitted.clipped(clip, bits).map_or(f64::INFINITY, |grid| error(&grid, judges, least));
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

    /// The value behind a share of the others, limited to what a range can hold.
    fn at(&self, share: f64) -> f64 {
        let place = (share * (self.ascending.len() - 1) as f64).round() as usize;
        f64::from(self.ascending[place]).clamp(-FARTHEST, FARTHEST)
    }

    /// True if there is only one value.
    fn is_alone(&self) -> bool {
        self.ascending[0] == self.ascending[self.ascending.len() - 1]
    }

    /// The grid of no bits: the mean, and the value itself where there is only one.
    fn constant(&self) -> Grid {
        let (first, count) = (self.ascending[0], self.ascending.len());
        let mean = self.ascending.iter().map(|value| f64::from(*value)).sum::<f64>() / count as f64;
        Grid { bits: 0, low: if self.is_alone() { first } else { mean as f32 }, step: 0.0 }
    }

    /// A grid that meets every value, if there is one: of whole numbers, or in equal steps from the least to the greatest.
    fn exact(&self, bits: u8) -> Option<Grid> {
        if self.is_alone() {
            return Some(self.constant());
        }
        let (low, high, most) = (self.at(0.0), self.at(1.0), f64::from(Grid::most(bits)));
        if self.is_whole && high - low <= most {
            // Numbers left over lie on both sides, but not below zero where no value does.
            let first = low - ((most - (high - low)) / 2.0).floor();
            let first = if low >= 0.0 { first.max(0.0) } else { first };
            return Some(Grid { bits, low: first as f32, step: 1.0 });
        }
        let grid = sound(bits, low, (high - low) / most)?;
        let rounding = (ROUNDING * (high - low)).powi(2);
        (error(&grid, &self.ascending, rounding) < rounding).then_some(grid)
    }

    /// The middles of equal parts of a range.
    fn clipped(&self, clip: &Clip, bits: u8) -> Option<Grid> {
        let (low, high) = (self.at(clip.share), self.at(1.0 - clip.share));
        let margin = clip.margin * (high - low);
        let (low, high) = ((low - margin).max(-FARTHEST), (high + margin).min(FARTHEST));
        let step = (high - low) / (f64::from(Grid::most(bits)) + 1.0);
        sound(bits, low + step / 2.0, step)
    }
}

/// The grid in floats; none where steps come to nothing.
fn sound(bits: u8, low: f64, step: f64) -> Option<Grid> {
    if step <= 0.0 {
        return None;
    }
    let grid = Grid { bits, low: low as f32, step: (step as f32).max(f32::from_bits(1)) };
    grid.is_sound().then_some(grid)
}

/// The mean squared error of `values` on `grid`; infinite as soon as it is known to be `enough` or more.
fn error(grid: &Grid, values: &[f32], enough: f64) -> f64 {
    let count = values.len() as f64;
    let mut sum = 0.0;
    for values in values.chunks(STRETCH) {
        let (eights, rest) = values.as_chunks::<8>();
        let mut lanes = [0.0f64; 8];
        for eight in eights {
            lanes.iter_mut().zip(eight).for_each(|(lane, value)| *lane += square(grid, *value));
        }
        sum += lanes.iter().sum::<f64>() + rest.iter().map(|value| square(grid, *value)).sum::<f64>();
        if sum >= enough * count {
            return f64::INFINITY;
        }
    }
    sum / count
}

#[inline]
fn square(grid: &Grid, value: f32) -> f64 {
    let off = f64::from(value) - f64::from(grid.value(grid.number(value) as f32));
    off * off
}

/// Bits that take a dim along its hull.
struct Step {
    dim: usize,
    from: usize,
    to: usize,
    /// What each of the bits takes off the error.
    gain: f64,
}

/// The bits of each dim, at most `budget` in all.
fn given_out(dims: &[Dim], budget: usize) -> Vec<usize> {
    let mut steps: Vec<Step> = dims.iter().enumerate().flat_map(|(number, dim)| hull(number, dim)).collect();
    // Stable: of equal gains the lower dim's comes first, and the steps of a dim stay in order.
    steps.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    let (mut bits, mut left) = (vec![0; dims.len()], budget);
    for step in steps {
        // Behind a step that was cut short there is nothing left for that dim.
        if bits[step.dim] == step.from {
            bits[step.dim] = step.to.min(step.from + left);
            left -= bits[step.dim] - step.from;
        }
    }
    bits
}

/// The steps along the lower convex hull of a dim's errors: each the one with the largest gain a bit, the shortest of equals.
fn hull(number: usize, dim: &Dim) -> Vec<Step> {
    let mut steps = Vec::new();
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
        steps.push(Step { dim: number, from, to, gain });
        from = to;
    }
    steps
}
