//! Training: scales the sample, cuts the dims into subspaces, finds sixteen means in each.

use super::kmeans::{Effort, means};
use super::random::Random;
use super::{CODEWORDS, Codebook, layout};
use crate::error::{Error, Result};

const EFFORT: Effort = Effort { starts: 4, start_points: 8192, start_rounds: 10, rounds: 30 };

/// Learns a codebook; arguments as checked by [`Codebook::train`].
pub(super) fn train(
    rows: &[f32],
    dim: usize,
    symbols: usize,
    seed: u64,
    callback: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Codebook> {
    let sample = Sample::new(rows, dim);
    let mut progress = Progress { done: 0, total: (dim + symbols) as u64, callback };
    let boundaries = layout::boundaries(&sample, symbols, seed, &mut progress)?;
    progress.done = dim as u64;
    let mut exact = Vec::with_capacity(dim);
    for (subspace, ends) in boundaries.windows(2).enumerate() {
        let components: Vec<usize> = (ends[0]..ends[1]).collect();
        let (columns, scale) = sample.columns(&components, sample.rows());
        let mut random = Random::new(!seed, subspace as u64);
        let found = means(&columns, sample.rows(), EFFORT, &mut random);
        for (component, codewords) in components.iter().zip(found.codewords.as_chunks::<CODEWORDS>().0) {
            exact.push(codewords.map(|value| sample.middles[*component] + scale * f64::from(value)));
        }
        progress.step()?;
    }
    Codebook::of_exact(boundaries, &exact)
}

/// Steps done of steps to do, and who wants to know.
pub(super) struct Progress<'a> {
    done: u64,
    total: u64,
    callback: &'a mut dyn FnMut(u64, u64) -> bool,
}

impl Progress<'_> {
    /// One step done; `Error::Cancelled` if the caller has had enough.
    pub(super) fn step(&mut self) -> Result<()> {
        self.done += 1;
        let (done, total) = (self.done, self.total);
        if (self.callback)(done, total) { Err(Error::Cancelled { done, total }) } else { Ok(()) }
    }
}

/// The training rows and the range of each dim.
pub(super) struct Sample<'a> {
    /// `[n][dim]`.
    rows: &'a [f32],
    /// `[dim]`: the middle of the range.
    middles: Vec<f64>,
    /// `[dim]`: half the range.
    halves: Vec<f64>,
}

impl<'a> Sample<'a> {
    fn new(rows: &'a [f32], dim: usize) -> Sample<'a> {
        let (mut lows, mut highs) = (vec![f32::MAX; dim], vec![f32::MIN; dim]);
        for row in rows.chunks_exact(dim) {
            for ((value, low), high) in row.iter().zip(&mut lows).zip(&mut highs) {
                (*low, *high) = (low.min(*value), high.max(*value));
            }
        }
        let of_ranges = |of: fn(f64, f64) -> f64| {
            lows.iter().zip(&highs).map(|(low, high)| of(f64::from(*low), f64::from(*high))).collect()
        };
        let middles = of_ranges(|low, high| (low + high) / 2.0);
        let halves = of_ranges(|low, high| (high - low) / 2.0);
        Sample { rows, middles, halves }
    }

    pub(super) fn dim(&self) -> usize {
        self.middles.len()
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.len() / self.dim()
    }

    /// True if dim `component` has more than one value.
    pub(super) fn varies(&self, component: usize) -> bool {
        self.halves[component] > 0.0
    }

    /// `count` rows, evenly spread, of dims `components`, as `[components][count]` within -1..=1, and the scale (the same
    /// for all of them) that leads back: value = middle + scale * column.
    pub(super) fn columns(&self, components: &[usize], count: usize) -> (Vec<f32>, f64) {
        let half = components.iter().fold(0.0, |most, component| self.halves[*component].max(most));
        let scale = power_of_two_above(half);
        let (dim, n) = (self.dim(), self.rows());
        let mut columns = Vec::with_capacity(components.len() * count);
        for component in components {
            let middle = self.middles[*component];
            let value = |i: usize| self.rows[(i * n / count) * dim + component];
            columns.extend((0..count).map(|i| ((f64::from(value(i)) - middle) / scale) as f32));
        }
        (columns, scale)
    }
}

/// A power of two above `value`, 0 or a half difference of two f32; 1 for 0.
fn power_of_two_above(value: f64) -> f64 {
    // A half difference of two f32 is a normal f64, so its exponent field says it all.
    const EXPONENT: u64 = 0x7ff << 52;
    if value == 0.0 { 1.0 } else { f64::from_bits((value.to_bits() & EXPONENT) + (1 << 52)) }
}
