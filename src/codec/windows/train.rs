//! Training: scales and rotates the sample, then grows the windows of each stage, alternating search and fit.
//!
//! A stage starts with windows of one run and widens them step by step. New components of a codeword start as noise,
//! because zero is a saddle point that a fit never leaves. The next stage codes the residual of the stages before it.

use super::book;
use super::codes::Windows;
use super::fit::{Fit, fit};
use super::kmeans::{MeansEffort, means};
use super::plan::{side_metric, stage_symbols, window_of};
use super::rotation::rotate;
use super::sample::Sample;
use super::stage::{CHAIN_WINDOW, SLACK, SearchEffort, Stage, StageLayout};
use crate::codec::random::Random;
use crate::codec::scale::Scale;
use crate::codec::shape::{Quality, Shape};
use crate::codec::side::{Side, TRAINING_STEPS};
use crate::error::Result;
use crate::kernels::{CODEWORDS, SURVIVORS_MAX};
use crate::work::Work;

const MEANS: MeansEffort = MeansEffort { starts: 4, start_points: 4096, start_rounds: 8, rounds: 20 };

/// The part of a training in which the width of windows is constant.
#[derive(Clone, Copy)]
pub(super) struct WindowStep {
    /// Runs that a window spans.
    pub(super) window: usize,
    /// Survivor paths for each codeword.
    pub(super) survivors: usize,
    /// Rounds of search and fit.
    pub(super) rounds: usize,
}

const STEPS: [WindowStep; 5] = [
    WindowStep { window: 1, survivors: 1, rounds: 6 },
    WindowStep { window: 2, survivors: 1, rounds: 8 },
    WindowStep { window: 4, survivors: 1, rounds: 8 },
    WindowStep { window: 8, survivors: 2, rounds: 8 },
    WindowStep { window: 16, survivors: 2, rounds: 8 },
];
/// The last step, with the widest windows, which gain most from more rounds. `window` is set for each stage.
const LAST: WindowStep = WindowStep { window: 0, survivors: 2, rounds: 32 };
/// Its rounds if refits follow.
const LAST_ROUNDS_BEFORE_REFITS: usize = 12;
/// Rounds of search with look-ahead and fit, behind the last step.
const REFITS: usize = 24;

/// Standard deviation of a new component of a codeword, as a share of that of the residual.
const NOISE: f32 = 0.7;

const FIT: Fit = Fit { steps: 8, ridge: 0.5 };

/// See [`super::train`].
pub(super) fn train(rows: &[f32], shape: &Shape, seed: u64, work: &mut Work) -> Result<Vec<u8>> {
    let scale = Scale::of_shape(rows, shape);
    let rows = &*scale.sample(rows, shape.dim);
    let sample = Sample::new(rows, shape.dim);
    let symbols = stage_symbols(shape);
    let rotation = sample.rotation(shape.directions, symbols[0])?;
    let runs = |stage: usize| sample.runs(symbols[stage], rotation.as_ref());
    let widest = |stage: usize| sample.widest_window(window_of(shape, stage), runs(stage));
    let plans: Vec<Vec<WindowStep>> = (0..symbols.len()).map(|stage| plan(widest(stage), shape.quality)).collect();
    let refits = |stage: usize| refits(shape.quality, widest(stage));
    let rounds =
        plans.iter().flatten().map(|step| step.rounds).sum::<usize>() + (0..plans.len()).map(refits).sum::<usize>();
    let mut progress = TrainingProgress::new(rounds + TRAINING_STEPS, work);
    let mut residual = rotate(&sample.rows, rotation.as_ref());
    let mut stages = Vec::with_capacity(symbols.len());
    for (number, plan) in plans.iter().enumerate() {
        let layout = StageLayout::new(runs(number), 1);
        let mut random = Random::new(!seed, number as u64);
        let grown = grow(layout, &residual, plan, &mut random, &mut progress)?;
        let mut stage = book::round_stage(&refine(grown, &residual, refits(number), &mut progress)?);
        stage.set_effort(SearchEffort { survivors: survivors(shape.quality, &stage), ..stage.effort });
        if number + 1 < plans.len() {
            stage.subtract(&stage.search_all(&residual, progress.threads()), &mut residual);
        }
        stages.push(stage);
    }
    drop(residual);
    let mut windows =
        Windows { scale, reach: sample.reach(), means: sample.means, unit: sample.unit, rotation, stages, side: None };
    if let Some(metric) = side_metric(shape) {
        let decoded = windows.coded(rows, progress.threads());
        windows.side =
            Some(Side::train(metric, &windows.means, (rows, &decoded), shape.rows, &mut || progress.step())?);
    }
    progress.finish()?;
    Ok(book::to_bytes(&windows))
}

/// Survivor paths for each codeword when rows are encoded with the finished codebook.
fn survivors(quality: Quality, stage: &Stage) -> usize {
    match quality {
        _ if stage.layout.window <= CHAIN_WINDOW => 1,
        Quality::Fast => 1,
        Quality::Normal => 3,
        Quality::Best => SURVIVORS_MAX,
    }
}

/// Rounds of search with look-ahead for windows of `widest` runs.
fn refits(quality: Quality, widest: usize) -> usize {
    if quality == Quality::Best && widest > CHAIN_WINDOW { REFITS } else { 0 }
}

/// The steps up to windows of `widest` runs.
fn plan(widest: usize, quality: Quality) -> Vec<WindowStep> {
    let mut plan: Vec<WindowStep> = STEPS.into_iter().filter(|step| step.window < widest).collect();
    let survivors = if widest > 1 { LAST.survivors } else { 1 };
    let rounds = match quality {
        Quality::Best if refits(quality, widest) > 0 => LAST_ROUNDS_BEFORE_REFITS,
        Quality::Best => 2 * LAST.rounds,
        _ => LAST.rounds,
    };
    plan.push(WindowStep { window: widest, survivors, rounds });
    plan
}

/// Starts a stage on `rows: [n][dim]` and trains it by `plan`.
pub(super) fn grow(
    layout: StageLayout,
    rows: &[f32],
    plan: &[WindowStep],
    random: &mut Random,
    progress: &mut TrainingProgress,
) -> Result<Stage> {
    let is_product = plan.iter().all(|step| step.window == 1);
    let mut stage = start(layout, rows, is_product, random);
    for step in plan {
        let symbols = stage.search_all(rows, progress.threads());
        let errors = dim_errors(&stage, rows, &symbols);
        if step.window > stage.layout.window {
            stage = widen(stage, &errors, step.window, random);
        }
        stage.set_effort(effort(step.survivors, &errors, &stage));
        for _ in 0..step.rounds {
            let symbols = stage.search_all(rows, progress.threads());
            fit(&mut stage, rows, &symbols, FIT);
            progress.step()?;
        }
    }
    let errors = dim_errors(&stage, rows, &stage.search_all(rows, progress.threads()));
    stage.set_effort(effort(stage.effort.survivors, &errors, &stage));
    if is_product {
        return Ok(stage);
    }
    // For independent dims with few distinct values, product quantization may be better.
    let product = start(StageLayout::new(stage.layout.boundaries.clone(), 1), rows, true, random);
    let product_errors = dim_errors(&product, rows, &product.search_all(rows, progress.threads()));
    Ok(if product_errors.iter().sum::<f32>() < errors.iter().sum::<f32>() { product } else { stage })
}

/// Fits a stage with wide windows to the symbols that the search with look-ahead finds, `refits` times. Windows grow
/// without it: new codewords are noise at first, of which nothing can be expected.
fn refine(stage: Stage, rows: &[f32], refits: usize, progress: &mut TrainingProgress) -> Result<Stage> {
    if stage.layout.window <= CHAIN_WINDOW || refits == 0 {
        return Ok(stage);
    }
    let mut stage = stage.with_few_paths();
    stage.set_effort(SearchEffort { survivors: SURVIVORS_MAX, ..stage.effort });
    for _ in 0..refits {
        let symbols = stage.search_all(rows, progress.threads());
        fit(&mut stage, rows, &symbols, FIT);
        let errors = dim_errors(&stage, rows, &symbols);
        stage.set_effort(effort(SURVIVORS_MAX, &errors, &stage));
        progress.step()?;
    }
    Ok(stage)
}

/// Starts a stage. In each run the codewords are the values of sixteen random rows, because codewords that will be
/// summed should have the distribution of the values. For product quantization, codewords start as means.
fn start(layout: StageLayout, rows: &[f32], is_product: bool, random: &mut Random) -> Stage {
    let (dim, mut values) = (layout.dim(), vec![0.0; layout.components()]);
    let count = rows.len() / dim;
    for symbol in 0..layout.symbols() {
        let (own, window) = (layout.own(symbol), layout.windows[symbol]);
        let columns: Vec<f32> = own.flat_map(|component| rows.iter().skip(component).step_by(dim).copied()).collect();
        let start = if is_product {
            means(&columns, count, MEANS, random).codewords
        } else {
            random_points(&columns, count, random)
        };
        for (component, codewords) in start.as_chunks::<CODEWORDS>().0.iter().enumerate() {
            for (codeword, value) in codewords.iter().enumerate() {
                values[window.offset + codeword * window.width + component] = *value;
            }
        }
    }
    Stage::new(layout, values, SearchEffort { survivors: 1, slack: 0.0 })
}

/// Sixteen random points of `columns: [subdim][n]`, as `[subdim][16]`.
fn random_points(columns: &[f32], n: usize, random: &mut Random) -> Vec<f32> {
    let points: [usize; CODEWORDS] = std::array::from_fn(|_| random.below(n));
    columns.chunks_exact(n).flat_map(|column| points.map(|point| column[point])).collect()
}

/// `[dim]`: the mean squared error of `rows` coded as `symbols`.
fn dim_errors(stage: &Stage, rows: &[f32], symbols: &[u8]) -> Vec<f32> {
    let mut residual = rows.to_vec();
    stage.subtract(symbols, &mut residual);
    let dim = stage.layout.dim();
    let mut squares = vec![0.0f64; dim];
    for row in residual.chunks_exact(dim) {
        row.iter().zip(&mut squares).for_each(|(value, square)| *square += f64::from(*value) * f64::from(*value));
    }
    let count = (rows.len() / dim) as f64;
    squares.into_iter().map(|square| (square / count) as f32).collect()
}

/// The effort of a search with `survivors` paths per codeword, in a stage with mean squared errors `errors: [dim]`.
fn effort(survivors: usize, errors: &[f32], stage: &Stage) -> SearchEffort {
    if stage.layout.window == 1 {
        return SearchEffort { survivors: 1, slack: 0.0 };
    }
    SearchEffort { survivors, slack: SLACK * errors.iter().sum::<f32>() / stage.symbols() as f32 }
}

/// Widens the windows of a stage to `window` runs. New components are noise in proportion to the square root of
/// `errors: [dim]`.
fn widen(stage: Stage, errors: &[f32], window: usize, random: &mut Random) -> Stage {
    let layout = StageLayout::new(stage.layout.boundaries.clone(), window);
    let mut values = vec![0.0; layout.components()];
    for (old, new) in stage.layout.windows.iter().zip(&layout.windows) {
        for codeword in 0..CODEWORDS {
            let to = &mut values[new.offset + codeword * new.width..][..new.width];
            to[..old.width].copy_from_slice(&stage.values[old.offset + codeword * old.width..][..old.width]);
            for (value, error) in to[old.width..].iter_mut().zip(&errors[old.first + old.width..]) {
                *value = NOISE * error.sqrt() * random.normal();
            }
        }
    }
    Stage::new(layout, values, stage.effort)
}

/// Counts the steps of a training and reports each.
pub(in crate::codec) struct TrainingProgress<'a, 'b> {
    done: u64,
    total: u64,
    work: &'a mut Work<'b>,
}

impl<'a, 'b> TrainingProgress<'a, 'b> {
    pub(in crate::codec) fn new(total: usize, work: &'a mut Work<'b>) -> Self {
        TrainingProgress { done: 0, total: total as u64, work }
    }

    /// Threads that a step may use.
    pub(in crate::codec) fn threads(&self) -> usize {
        self.work.threads()
    }

    /// Reports one more step.
    pub(in crate::codec) fn step(&mut self) -> Result<()> {
        self.done += 1;
        self.check()
    }

    /// Reports within a long step, so that the caller can cancel.
    pub(in crate::codec) fn check(&mut self) -> Result<()> {
        self.work.report(self.done, self.total)
    }

    /// Reports the last step.
    pub(in crate::codec) fn finish(&mut self) -> Result<()> {
        self.work.report(self.total, self.total)
    }
}
