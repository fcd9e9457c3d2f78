//! Which neighbouring dims share a subspace: the cut of the dims into `symbols` runs with the least estimated distortion.
//!
//! The distortion of each run of a plausible width is estimated with a quick k-means on a few rows; dynamic programming then
//! picks the best cut. Dims that never vary cost nothing and join their neighbours.

use super::kmeans::{Effort, means};
use super::random::Random;
use super::train::{Progress, Sample};
use crate::error::Result;

/// Rows of an estimate, and the iterations spent on it.
const ROWS: usize = 2048;
const LEAST_ROWS: usize = 256;
const EFFORT: Effort = Effort { starts: 1, start_points: ROWS, start_rounds: 5, rounds: 0 };

/// Components looked at by all estimates together, about; more dims get fewer rows each.
const COMPONENTS: usize = 1 << 25;

/// Runs wider than this on average are cut evenly: one dim more or less hardly matters to them.
const WIDE: usize = 16;

/// A run may have this many dims less or more than an even cut gives.
const SLACK: usize = 2;

/// Cuts at most this many dims from an even one are considered.
const BAND: usize = 64;

/// Cuts the dims into `symbols` runs: `[symbols + 1]` boundaries, from 0, ascending, to dim.
pub(super) fn boundaries(
    sample: &Sample<'_>,
    symbols: usize,
    seed: u64,
    progress: &mut Progress<'_>,
) -> Result<Vec<usize>> {
    let dim = sample.dim();
    let live: Vec<usize> = (0..dim).filter(|component| sample.varies(*component)).collect();
    let ends = if live.len() <= symbols {
        return Ok(one_each(&live, dim, symbols));
    } else if symbols == 1 || live.len() / symbols > WIDE {
        (1..=symbols).map(|subspace| subspace * live.len() / symbols).collect()
    } else {
        let costs = Costs::estimate(sample, &live, symbols, seed, progress)?;
        best_cut(&costs, live.len(), symbols)
    };
    // A run starts with its first live dim; dead dims go to the run before, and to the first.
    let cuts = ends.iter().map(|end| live.get(*end).copied().unwrap_or(dim));
    Ok(std::iter::once(0).chain(cuts).collect())
}

/// A run for each of the `live` dims, at most `symbols` of them; the runs left over get dead dims, the first ones.
fn one_each(live: &[usize], dim: usize, symbols: usize) -> Vec<usize> {
    let mut is_start = vec![false; dim];
    is_start[0] = true;
    for component in live.iter().skip(1) {
        is_start[*component] = true;
    }
    let mut missing = symbols - live.len().max(1);
    for start in &mut is_start {
        if missing > 0 && !*start {
            *start = true;
            missing -= 1;
        }
    }
    (0..dim).filter(|component| is_start[*component]).chain([dim]).collect()
}

/// Estimated distortions of runs of live dims.
struct Costs {
    /// The least and the most dims of a run.
    widths: std::ops::RangeInclusive<usize>,
    /// `[live][widths]`: of the run that starts at a live dim; infinite if it would end beyond the last.
    costs: Vec<f64>,
}

impl Costs {
    fn estimate(
        sample: &Sample<'_>,
        live: &[usize],
        symbols: usize,
        seed: u64,
        progress: &mut Progress<'_>,
    ) -> Result<Costs> {
        let even = live.len() / symbols;
        let widths = even.saturating_sub(SLACK).max(1)..=live.len().div_ceil(symbols) + SLACK;
        let count = widths.end() - widths.start() + 1;
        let rows = (COMPONENTS / (live.len() * count * (even + 1))).clamp(LEAST_ROWS, ROWS).min(sample.rows());
        let mut costs = vec![f64::INFINITY; live.len() * count];
        for (first, costs) in costs.chunks_exact_mut(count).enumerate() {
            for (width, cost) in widths.clone().zip(costs) {
                if let Some(components) = live.get(first..first + width) {
                    let (columns, scale) = sample.columns(components, rows);
                    let mut random = Random::new(seed, (first * count + width) as u64);
                    *cost = means(&columns, rows, EFFORT, &mut random).distortion * scale * scale;
                }
            }
            progress.step()?;
        }
        Ok(Costs { widths, costs })
    }

    fn of(&self, first: usize, width: usize) -> f64 {
        self.costs[first * (self.widths.end() - self.widths.start() + 1) + width - self.widths.start()]
    }
}

/// The ends of `symbols` runs over `live` dims with the least summed cost.
fn best_cut(costs: &Costs, live: usize, symbols: usize) -> Vec<usize> {
    let span = 2 * BAND + 1;
    let lowest = |subspace: usize| (subspace * live / symbols).saturating_sub(BAND);
    // cheapest[end]: the least cost of the runs so far, if they end there. last[subspace][end - lowest]: how wide the last is.
    let mut cheapest = vec![f64::INFINITY; live + 1];
    cheapest[0] = 0.0;
    let mut last = vec![0u8; (symbols + 1) * span];
    for subspace in 1..=symbols {
        let mut next = vec![f64::INFINITY; live + 1];
        for end in lowest(subspace)..(lowest(subspace) + span).min(live + 1) {
            for width in costs.widths.clone().take_while(|width| *width <= end) {
                let cost = cheapest[end - width] + costs.of(end - width, width);
                if cost < next[end] {
                    next[end] = cost;
                    last[subspace * span + end - lowest(subspace)] = width as u8;
                }
            }
        }
        cheapest = next;
    }
    let mut ends = vec![live; symbols];
    for subspace in (2..=symbols).rev() {
        let end = ends[subspace - 1];
        ends[subspace - 2] = end - usize::from(last[subspace * span + end - lowest(subspace)]);
    }
    ends
}
