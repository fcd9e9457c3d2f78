//! Training: scales the sample, turns it, and grows the windows of each stage, searching and fitting in turn.
//!
//! A stage begins as product quantization (sixteen means in each run), and its windows are widened step by step. What a
//! codeword gains by a step starts as noise: zero would be a saddle that fitting never leaves. The next stage codes what
//! the stages before it miss.

use super::Windows;
use super::fit::{Fit, fit};
use super::kmeans::{self, means};
use super::rotation::{self, Principal, Rotation};
use super::side::{self, Side};
use super::stage::{CHAIN_WINDOW, Effort, Layout, Stage};
use crate::codec::random::Random;
use crate::codec::{CODEWORDS, Codebook, Quality, Shape};
use crate::error::{Error, Result};
use crate::work::Work;
use std::collections::HashSet;

const MEANS: kmeans::Effort = kmeans::Effort { starts: 4, start_points: 4096, start_rounds: 8, rounds: 20 };

/// What is spent while the windows have one width: own runs spanned, paths a codeword, rounds of search and fit.
#[derive(Clone, Copy)]
pub(in crate::codec) struct Step {
    pub(in crate::codec) window: usize,
    pub(in crate::codec) lists: usize,
    pub(in crate::codec) rounds: usize,
}

const STEPS: [Step; 5] = [
    Step { window: 1, lists: 1, rounds: 6 },
    Step { window: 2, lists: 1, rounds: 8 },
    Step { window: 4, lists: 1, rounds: 8 },
    Step { window: 8, lists: 2, rounds: 8 },
    Step { window: 16, lists: 2, rounds: 8 },
];
/// The widest windows have the most to gain.
const LAST: Step = Step { window: 0, lists: 2, rounds: 32 };

/// Rows needed for each run a window spans: with fewer, codewords are learned by heart.
const ROWS_A_WINDOW: usize = 128;

/// How far behind the best a path may be, in mean costs of a symbol.
const SLACK: f32 = 6.0;

/// One row in so many is brought as near to the means as the others are: it would draw codewords to itself.
const FAR: usize = 1000;

/// A new part of a codeword starts with this share of what is missing.
const NOISE: f32 = 0.7;

const FIT: Fit = Fit { steps: 8, ridge: 0.5 };

/// Learns a codebook; arguments as checked by [`Codebook::train`].
pub(in crate::codec) fn train(rows: &[f32], shape: &Shape, seed: u64, work: &mut Work) -> Result<Codebook> {
    let sample = Sample::new(&distinct(rows, shape.dim), shape.dim);
    let symbols = shape.stage_symbols();
    let rotation = sample.rotation(shape)?;
    let runs = |stage: usize| sample.runs(symbols[stage], rotation.as_ref());
    let widest = |stage: usize| sample.widest(shape.charged_window(stage), runs(stage));
    let plans: Vec<Vec<Step>> = (0..symbols.len()).map(|stage| plan(widest(stage), shape)).collect();
    let rounds = plans.iter().flatten().map(|step| step.rounds).sum::<usize>();
    let mut steps = Steps::new(rounds + side::STEPS, work);
    let mut left = turned(&sample.rows, rotation.as_ref());
    let mut stages = Vec::with_capacity(symbols.len());
    for (number, plan) in plans.iter().enumerate() {
        let layout = Layout::new(runs(number), 1);
        let mut random = Random::new(!seed, number as u64);
        let mut stage = grown(layout, &left, plan, &mut random, &mut steps)?.rounded();
        stage.effort.lists = lists(shape.quality, &stage);
        if number + 1 < plans.len() {
            stage.subtract(&stage.search_all(&left), &mut left);
        }
        stages.push(stage);
    }
    drop(left);
    let mut windows = Windows { means: sample.means, unit: sample.unit, rotation, stages, side: None };
    if let Some(metric) = shape.side_metric() {
        let mut codes = vec![0; rows.len() / shape.dim * windows.symbols().div_ceil(2)];
        windows.encode(rows, &mut codes);
        let mut decoded = vec![0.0; rows.len()];
        windows.decode(&codes, &mut decoded);
        windows.side = Some(Side::train(metric, &windows.means, rows, &decoded, &mut || steps.step())?);
    }
    steps.finish()?;
    Codebook::of_windows(&windows)
}

/// Paths a codeword when rows are encoded for good.
fn lists(quality: Quality, stage: &Stage) -> usize {
    match quality {
        _ if stage.layout.window <= CHAIN_WINDOW => 1,
        Quality::Fast => 1,
        Quality::Normal => 3,
        Quality::Best => 8,
    }
}

/// The steps up to windows of `widest` runs.
fn plan(widest: usize, shape: &Shape) -> Vec<Step> {
    let mut plan: Vec<Step> = STEPS.into_iter().filter(|step| step.window < widest).collect();
    let lists = if widest > 1 { LAST.lists } else { 1 };
    plan.push(Step { window: widest, lists, rounds: LAST.rounds * if shape.quality == Quality::Best { 2 } else { 1 } });
    plan
}

/// `rows: [n][dim]` in a basis; as they are without one.
pub(in crate::codec) fn turned(rows: &[f32], rotation: Option<&Rotation>) -> Vec<f32> {
    rotation.map_or_else(|| rows.to_vec(), |rotation| rotation.turn(rows))
}

/// Begins a stage on `rows: [n][dim]` and takes it through `plan`.
pub(in crate::codec) fn grown(
    layout: Layout,
    rows: &[f32],
    plan: &[Step],
    random: &mut Random,
    steps: &mut Steps,
) -> Result<Stage> {
    let is_alone = plan.iter().all(|step| step.window == 1);
    let mut stage = begun(layout, rows, is_alone, random);
    for step in plan {
        let symbols = stage.search_all(rows);
        let missing = missing(&stage, rows, &symbols);
        if step.window > stage.layout.window {
            stage = widened(stage, &missing, step.window, random);
        }
        stage.effort = effort(step.lists, &missing, &stage);
        for _ in 0..step.rounds {
            let symbols = stage.search_all(rows);
            fit(&mut stage, rows, &symbols, FIT);
            steps.step()?;
        }
    }
    let left = missing(&stage, rows, &stage.search_all(rows));
    stage.effort = effort(stage.effort.lists, &left, &stage);
    if is_alone {
        return Ok(stage);
    }
    // Where dims have nothing to do with each other, nor anything between their values, means are the better codewords.
    let alone = begun(Layout::new(stage.layout.boundaries.clone(), 1), rows, true, random);
    let left_alone = missing(&alone, rows, &alone.search_all(rows));
    Ok(if left_alone.iter().sum::<f32>() < left.iter().sum::<f32>() { alone } else { stage })
}

/// Begins with sixteen rows' values in each run, as they come: sums are made of codewords that lie as densely as the
/// values do. Codewords that stay alone begin as means.
fn begun(layout: Layout, rows: &[f32], is_alone: bool, random: &mut Random) -> Stage {
    let (dim, mut values) = (layout.dim(), vec![0.0; layout.components()]);
    let count = rows.len() / dim;
    for symbol in 0..layout.symbols() {
        let (own, window) = (layout.own(symbol), layout.windows[symbol]);
        let columns: Vec<f32> = own.flat_map(|component| rows.iter().skip(component).step_by(dim).copied()).collect();
        let found = if is_alone {
            means(&columns, count, MEANS, random).codewords
        } else {
            some_points(&columns, count, random)
        };
        for (component, codewords) in found.as_chunks::<CODEWORDS>().0.iter().enumerate() {
            for (codeword, value) in codewords.iter().enumerate() {
                values[window.offset + codeword * window.width + component] = *value;
            }
        }
    }
    Stage::new(layout, values, Effort { lists: 1, slack: 0.0 })
}

/// Sixteen of the points of `columns: [subdim][n]`, as `[subdim][16]`.
fn some_points(columns: &[f32], n: usize, random: &mut Random) -> Vec<f32> {
    let points: [usize; CODEWORDS] = std::array::from_fn(|_| random.below(n));
    columns.chunks_exact(n).flat_map(|column| points.map(|point| column[point])).collect()
}

/// For each dim the mean square of what `symbols` miss.
fn missing(stage: &Stage, rows: &[f32], symbols: &[u8]) -> Vec<f32> {
    let mut misses = rows.to_vec();
    stage.subtract(symbols, &mut misses);
    let dim = stage.layout.dim();
    let mut squares = vec![0.0f64; dim];
    for row in misses.chunks_exact(dim) {
        row.iter().zip(&mut squares).for_each(|(value, square)| *square += f64::from(*value) * f64::from(*value));
    }
    let count = (rows.len() / dim) as f64;
    squares.into_iter().map(|square| (square / count) as f32).collect()
}

fn effort(lists: usize, missing: &[f32], stage: &Stage) -> Effort {
    if stage.layout.window == 1 {
        return Effort { lists: 1, slack: 0.0 };
    }
    Effort { lists, slack: SLACK * missing.iter().sum::<f32>() / stage.symbols() as f32 }
}

/// The same stage with wider windows; what is new in them is noise.
fn widened(stage: Stage, missing: &[f32], window: usize, random: &mut Random) -> Stage {
    let layout = Layout::new(stage.layout.boundaries.clone(), window);
    let mut values = vec![0.0; layout.components()];
    for (old, new) in stage.layout.windows.iter().zip(&layout.windows) {
        for codeword in 0..CODEWORDS {
            let to = &mut values[new.offset + codeword * new.width..][..new.width];
            to[..old.width].copy_from_slice(&stage.values[old.offset + codeword * old.width..][..old.width]);
            for (value, missing) in to[old.width..].iter_mut().zip(&missing[old.first + old.width..]) {
                *value = NOISE * missing.sqrt() * random.normal();
            }
        }
    }
    Stage::new(layout, values, stage.effort)
}

/// Counts the steps of a training and reports each.
pub(in crate::codec) struct Steps<'a, 'b> {
    done: u64,
    total: u64,
    work: &'a mut Work<'b>,
}

impl<'a, 'b> Steps<'a, 'b> {
    pub(in crate::codec) fn new(total: usize, work: &'a mut Work<'b>) -> Self {
        Steps { done: 0, total: total as u64, work }
    }

    /// One step is done.
    fn step(&mut self) -> Result<()> {
        self.done += 1;
        self.work.report(self.done, self.total)
    }

    /// The last step is done.
    fn finish(&mut self) -> Result<()> {
        self.work.report(self.total, self.total)
    }
}

/// `rows: [n][dim]`, each once, in the order they come: what stands there often would draw codewords to itself.
pub(in crate::codec) fn distinct(rows: &[f32], dim: usize) -> Vec<f32> {
    let mut seen = HashSet::new();
    let is_new = |row: &&[f32]| seen.insert(row.iter().map(|value| value.to_bits()).collect::<Vec<u32>>());
    rows.chunks_exact(dim).filter(is_new).flatten().copied().collect()
}

/// The training rows, brought to mean zero and a size of about one.
pub(in crate::codec) struct Sample {
    /// `[dim]`.
    pub(in crate::codec) means: Vec<f32>,
    /// A power of two: row = means + unit * scaled row.
    unit: f32,
    /// `[n][dim]`, scaled.
    pub(in crate::codec) rows: Vec<f32>,
}

impl Sample {
    pub(in crate::codec) fn new(rows: &[f32], dim: usize) -> Sample {
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
        let unit = super::book::unit_above((total / rows.len() as f64).sqrt());
        let mut rows = super::scaled(rows, &means, unit);
        for (row, square) in rows.chunks_exact_mut(dim).zip(&squares).filter(|(_, square)| **square > farthest) {
            let shrunk = (farthest / square).sqrt() as f32;
            row.iter_mut().for_each(|value| *value *= shrunk);
        }
        Sample { means, unit, rows }
    }

    pub(in crate::codec) fn count(&self) -> usize {
        self.rows.len() / self.means.len()
    }

    /// True if there are rows enough to tell directions, and dims few enough to turn.
    pub(in crate::codec) fn can_be_turned(&self) -> bool {
        let dim = self.means.len();
        (2..=rotation::DIM_MAX).contains(&dim) && self.count() >= 4 * dim
    }

    /// The rotation of a shape, if it has one.
    fn rotation(&self, shape: &Shape) -> Result<Option<Rotation>> {
        if shape.directions == 0 {
            return Ok(None);
        }
        if !self.can_be_turned() {
            let (rows, dim) = (self.count(), self.means.len());
            return Err(Error::InvalidArgument(format!("{rows} rows of dim {dim} have no directions")));
        }
        let runs = even_runs(shape.stage_symbols()[0], shape.directions);
        Ok(Some(Rotation::of_basis(&Principal::of(&self.rows, self.means.len()).basis(&runs), self.means.len())))
    }

    /// The widest windows, of at most `wanted` runs, that there are rows enough for.
    pub(in crate::codec) fn widest(&self, wanted: usize, runs: Vec<usize>) -> usize {
        Layout::within(runs, wanted.min(self.count() / ROWS_A_WINDOW)).window
    }

    /// Boundaries of `symbols` runs: of the directions of `rotation`, or of the dims.
    pub(in crate::codec) fn runs(&self, symbols: usize, rotation: Option<&Rotation>) -> Vec<usize> {
        rotation.map_or_else(|| self.live_runs(symbols), |rotation| even_runs(symbols, rotation.directions()))
    }

    /// Boundaries of `symbols` runs with about as many dims that vary in each; those that never do come along.
    fn live_runs(&self, symbols: usize) -> Vec<usize> {
        let dim = self.means.len();
        let varies = |at: &usize| self.rows.iter().skip(*at).step_by(dim).any(|value| *value != self.rows[*at]);
        let (live, dead): (Vec<usize>, Vec<usize>) = (0..dim).partition(varies);
        let mut starts: Vec<usize> = if live.len() >= symbols {
            (1..symbols).map(|symbol| live[symbol * live.len() / symbols]).collect()
        } else {
            // One each, and the symbols left over begin where nothing varies. The first run begins at 0 anyway, and has the
            // first live dim if it can.
            let (first, others) = live.split_at(live.len().min(1));
            let wanted = others.iter().chain(&dead).chain(first).filter(|start| **start > 0);
            wanted.take(symbols - 1).copied().collect()
        };
        starts.sort_unstable();
        std::iter::once(0).chain(starts).chain([dim]).collect()
    }
}

/// Boundaries of `symbols` runs of about as many of `dims` each.
pub(in crate::codec) fn even_runs(symbols: usize, dims: usize) -> Vec<usize> {
    (0..=symbols).map(|symbol| symbol * dims / symbols).collect()
}
