//! The rows that a codebook is trained on.

use super::codes::scale;
use super::rotation::{Principal, ROTATED_DIM_MAX, Rotation};
use super::stage::{StageLayout, even_runs};
use crate::error::{Error, Result};
use std::collections::HashSet;

/// Rows needed for each run that a window spans: with fewer, codewords overfit the sample.
const ROWS_A_WINDOW: usize = 128;

/// One in this many rows, the farthest ones, is moved towards the means, because a few far rows would attract
/// codewords.
const FAR: usize = 1000;

/// Values may be this many times as far from their mean as those of nearly all rows before a row counts as odd.
const REACH: f32 = 1.5;

/// Exponents for which 2^exponent and its inverse are normal floats.
const EXPONENTS: std::ops::RangeInclusive<i32> = -126..=126;

/// 2^`exponent`, one of [`EXPONENTS`].
fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) as u32) << 23)
}

/// The least power of two, with a normal inverse, that is at least `value`; 1 for 0.
fn unit_above(value: f64) -> f32 {
    if value == 0.0 {
        return 1.0;
    }
    let fits = |exponent: &i32| value <= f64::from(power_of_two(*exponent));
    power_of_two(EXPONENTS.into_iter().find(fits).unwrap_or(*EXPONENTS.end()))
}

/// The rows of `rows: [n][dim]` without repetitions, because frequent rows would attract codewords.
fn distinct(rows: &[f32], dim: usize) -> Vec<f32> {
    let mut seen = HashSet::new();
    let is_new = |row: &&[f32]| seen.insert(row.iter().map(|value| value.to_bits()).collect::<Vec<u32>>());
    rows.chunks_exact(dim).filter(is_new).flatten().copied().collect()
}

/// Distinct training rows, shifted to mean zero and scaled to about one.
pub(in crate::codec) struct Sample {
    /// `[dim]`: the means of the rows.
    pub(in crate::codec) means: Vec<f32>,
    /// A power of two: row = means + unit * scaled row.
    pub(in crate::codec) unit: f32,
    /// `[n][dim]`, scaled.
    pub(in crate::codec) rows: Vec<f32>,
}

impl Sample {
    /// Scales the distinct rows of `rows: [n][dim]`.
    pub(in crate::codec) fn new(rows: &[f32], dim: usize) -> Sample {
        let rows = &distinct(rows, dim);
        let count = (rows.len() / dim) as f64;
        let mut sums = vec![0.0f64; dim];
        for row in rows.chunks_exact(dim) {
            row.iter().zip(&mut sums).for_each(|(value, sum)| *sum += f64::from(*value));
        }
        let means: Vec<f32> = sums.iter().map(|sum| (sum / count) as f32).collect();
        let square_of = |(x, mean): (&f32, &f32)| (f64::from(*x) - f64::from(*mean)).powi(2);
        let squares: Vec<f64> =
            rows.chunks_exact(dim).map(|row| row.iter().zip(&means).map(square_of).sum::<f64>()).collect();
        let mut ascending = squares.clone();
        ascending.sort_unstable_by(f64::total_cmp);
        let farthest = ascending[ascending.len() - 1 - ascending.len() / FAR];
        let total: f64 = squares.iter().map(|square| square.min(farthest)).sum();
        let unit = unit_above((total / rows.len() as f64).sqrt());
        let mut rows = scale(rows, &means, unit);
        for (row, square) in rows.chunks_exact_mut(dim).zip(&squares).filter(|(_, square)| **square > farthest) {
            let shrunk = (farthest / square).sqrt() as f32;
            row.iter_mut().for_each(|value| *value *= shrunk);
        }
        Sample { means, unit, rows }
    }

    /// Takes other `means: [dim]` than those of the rows.
    pub(in crate::codec) fn shift(&mut self, means: &[f32]) {
        let shifts: Vec<f32> = self.means.iter().zip(means).map(|(old, new)| (old - new) / self.unit).collect();
        for row in self.rows.chunks_exact_mut(means.len()) {
            row.iter_mut().zip(&shifts).for_each(|(value, shift)| *value += shift);
        }
        self.means.copy_from_slice(means);
    }

    /// The largest difference of a value to its mean in nearly all rows, and a little more.
    pub(in crate::codec) fn reach(&self) -> f32 {
        let farthest = |row: &[f32]| row.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
        let mut of_rows: Vec<f32> = self.rows.chunks_exact(self.means.len()).map(farthest).collect();
        of_rows.sort_unstable_by(f32::total_cmp);
        let reach = REACH * of_rows[of_rows.len().saturating_sub(2 + of_rows.len() / FAR)] * self.unit;
        reach.min(f32::MAX)
    }

    /// `rows: [n][dim]`, scaled, as they were before.
    pub(in crate::codec) fn unscaled(&self, rows: &[f32]) -> Vec<f32> {
        let of_row = |row: &[f32]| -> Vec<f32> {
            row.iter().zip(&self.means).map(|(value, mean)| mean + self.unit * value).collect()
        };
        rows.chunks_exact(self.means.len()).flat_map(of_row).collect()
    }

    /// Number of rows.
    pub(in crate::codec) fn count(&self) -> usize {
        self.rows.len() / self.means.len()
    }

    /// True if there are enough rows to estimate directions, and few enough dims to rotate.
    pub(in crate::codec) fn can_be_rotated(&self) -> bool {
        let dim = self.means.len();
        (2..=ROTATED_DIM_MAX).contains(&dim) && self.count() >= 4 * dim
    }

    /// Learns a rotation to `directions` principal directions in `symbols` runs; `None` for 0 directions.
    pub(in crate::codec) fn rotation(&self, directions: usize, symbols: usize) -> Result<Option<Rotation>> {
        if directions == 0 {
            return Ok(None);
        }
        if !self.can_be_rotated() {
            let (rows, dim) = (self.count(), self.means.len());
            return Err(Error::InvalidArgument(format!(
                "directions: found {directions}, expected 0 for {rows} rows of dim {dim}"
            )));
        }
        let dim = self.means.len();
        let basis = Principal::of(&self.rows, dim).basis(&even_runs(symbols, directions));
        Ok(Some(Rotation::of_basis(&basis, dim)))
    }

    /// The widest window over `runs`, of at most `wanted` runs, that there are enough rows to train.
    pub(in crate::codec) fn widest_window(&self, wanted: usize, runs: Vec<usize>) -> usize {
        StageLayout::within(runs, wanted.min(self.count() / ROWS_A_WINDOW)).window
    }

    /// Boundaries of `symbols` runs of the directions of `rotation`, or of the dims.
    pub(in crate::codec) fn runs(&self, symbols: usize, rotation: Option<&Rotation>) -> Vec<usize> {
        rotation.map_or_else(|| self.live_runs(symbols), |rotation| even_runs(symbols, rotation.directions()))
    }

    /// Boundaries of `symbols` runs with about the same number of varying dims in each; constant dims join the runs
    /// around them.
    fn live_runs(&self, symbols: usize) -> Vec<usize> {
        let dim = self.means.len();
        let varies = |d: &usize| self.rows.iter().skip(*d).step_by(dim).any(|value| *value != self.rows[*d]);
        let (live, dead): (Vec<usize>, Vec<usize>) = (0..dim).partition(varies);
        let mut starts: Vec<usize> = if live.len() >= symbols {
            (1..symbols).map(|symbol| live[symbol * live.len() / symbols]).collect()
        } else {
            // One varying dim per run; spare symbols start at constant dims. The first run always starts at 0 and
            // contains the first varying dim if possible.
            let (first, others) = live.split_at(live.len().min(1));
            let wanted = others.iter().chain(&dead).chain(first).filter(|start| **start > 0);
            wanted.take(symbols - 1).copied().collect()
        };
        starts.sort_unstable();
        std::iter::once(0).chain(starts).chain([dim]).collect()
    }
}
