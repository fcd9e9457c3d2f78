//! Chooses between coding the dims as they are and coding principal directions, by a short training of both.

use super::codes::scale;
use super::plan;
use super::rotation::{Principal, Rotation, rotate};
use super::sample::Sample;
use super::stage::{StageLayout, even_runs};
use super::train::{TrainingProgress, WindowStep, grow};
use crate::codec::coder::Coder;
use crate::codec::random::Random;
use crate::codec::scale::Scale;
use crate::codec::shape::Shape;
use crate::error::Result;
use crate::work::Work;

/// The steps of a trial. They include wide windows, because these gain more or less from a rotation than narrow ones.
const STEPS: [WindowStep; 4] = [
    WindowStep { window: 1, survivors: 1, rounds: 3 },
    WindowStep { window: 2, survivors: 1, rounds: 4 },
    WindowStep { window: 4, survivors: 1, rounds: 4 },
    WindowStep { window: 8, survivors: 1, rounds: 6 },
];
/// The most rows of a trial.
const ROWS: usize = 8192;
/// One row in this many is held out: it is not trained on and measures the error.
const HELD_OUT: usize = 8;

/// Numbers of directions are multiples of dim / PARTS.
const PARTS: usize = 8;

/// A rotation costs time whenever a vector is read, so it must reduce the error to at most this share.
const WORTH_ROTATING: f64 = 0.95;

/// See `codec::better_shape`.
pub fn better_shape(
    rows: &[f32],
    plain: &Shape,
    of_directions: &dyn Fn(usize) -> Option<Shape>,
    seed: u64,
    work: &mut Work,
) -> Result<Shape> {
    let sample = Sample::new(&Scale::of_shape(rows, plain).sample(rows, plain.dim), plain.dim);
    if !sample.can_be_rotated() {
        return Ok(*plain);
    }
    let principal = Principal::of(&sample.rows, plain.dim);
    let bound = |shape: &Shape| principal.error_bound(shape.directions, 8.0 * shape.row_bytes as f64);
    let counts = (1..=PARTS).map(|part| part * plain.dim / PARTS).filter(|count| *count > 0);
    let is_valid = |shape: &Shape| !shape.is_scalar() && shape.check().and_then(|()| plan::check(shape)).is_ok();
    let shapes = counts.filter_map(of_directions).filter(is_valid);
    let stages = |shape: &Shape| plan::stage_symbols(shape).len();
    // The bound assumes that all symbols are chosen together. Those of different stages are not, so fewer stages come
    // first.
    let by_error = |a: &Shape, b: &Shape| stages(a).cmp(&stages(b)).then(bound(a).total_cmp(&bound(b)));
    let Some(other) = shapes.min_by(by_error) else { return Ok(*plain) };
    let trial = Trial { sample: &sample, steps: &STEPS, rows: ROWS, seed };
    let mut progress = TrainingProgress::new(trial.rounds(plain) + trial.rounds(&other), work);
    let plain_error = trial.error(plain, None, &mut progress)?;
    let basis = principal.basis(&even_runs(plan::stage_symbols(&other)[0], other.directions));
    let rotation = Rotation::of_basis(&basis, plain.dim);
    let rotated_error = trial.error(&other, Some(&rotation), &mut progress)?;
    Ok(if rotated_error < plain_error * WORTH_ROTATING { other } else { *plain })
}

/// The steps of a short trial.
const SHORT_STEPS: usize = 3;
/// The most rows of a short trial.
const SHORT_ROWS: usize = 4096;

/// The error of learned codes after a whole training, as a share of that after a short trial: at least this much.
const LEARNED_GAIN: f64 = 0.6;

/// See `codec::may_be_learned`.
pub fn may_be_learned(rows: &[f32], shape: &Shape, formula: &dyn Coder, seed: u64, work: &mut Work) -> Result<bool> {
    let sample = Sample::new(&Scale::of_shape(rows, shape).sample(rows, shape.dim), shape.dim);
    let trial = Trial { sample: &sample, steps: &STEPS[..SHORT_STEPS], rows: SHORT_ROWS, seed };
    let mut progress = TrainingProgress::new(trial.rounds(shape), work);
    let learned = trial.error(shape, None, &mut progress)?;
    Ok(LEARNED_GAIN * learned < trial.error_of_formula(formula))
}

/// A short training on some rows, measured on others.
struct Trial<'a> {
    sample: &'a Sample,
    steps: &'a [WindowStep],
    /// The most rows, those held out included.
    rows: usize,
    seed: u64,
}

impl Trial<'_> {
    /// Rounds of the training of a codebook of `shape`.
    fn rounds(&self, shape: &Shape) -> usize {
        plan::stage_symbols(shape).len() * self.steps.iter().map(|step| step.rounds).sum::<usize>()
    }

    /// Rows to train on, and rows held out.
    fn rows(&self) -> (Vec<f32>, Vec<f32>) {
        let (dim, all) = (self.sample.means.len(), self.sample.count());
        let count = all.min(self.rows);
        let row = |number: usize| &self.sample.rows[number * all / count * dim..][..dim];
        let (mut held, mut trained) = (Vec::new(), Vec::new());
        for number in 0..count {
            if number % HELD_OUT == 0 { &mut held } else { &mut trained }.extend_from_slice(row(number));
        }
        (trained, held)
    }

    /// The squared error of the rows held out, of codes of `shape`.
    fn error(&self, shape: &Shape, rotation: Option<&Rotation>, progress: &mut TrainingProgress) -> Result<f64> {
        let (trained, held) = self.rows();
        let rotated_held = rotate(&held, rotation);
        let (mut residual, mut held_residual) = (rotate(&trained, rotation), rotated_held.clone());
        for (number, symbols) in plan::stage_symbols(shape).into_iter().enumerate() {
            let runs = self.sample.runs(symbols, rotation);
            let widest = self.sample.widest_window(plan::window_of(shape, number), runs.clone());
            let steps: Vec<WindowStep> = self.steps.iter().copied().filter(|step| step.window <= widest).collect();
            let stage = grow(StageLayout::new(runs, 1), &residual, &steps, &mut Random::new(self.seed, 1), progress)?;
            stage.subtract(&stage.search_all(&residual, progress.threads()), &mut residual);
            stage.subtract(&stage.search_all(&held_residual, progress.threads()), &mut held_residual);
        }
        let mut decoded: Vec<f32> = rotated_held.iter().zip(&held_residual).map(|(x, residual)| x - residual).collect();
        if let Some(rotation) = rotation {
            let mut back = vec![0.0; held.len()];
            rotation.rotate_back(&mut decoded, &mut back);
            decoded = back;
        }
        Ok(squared_error(&held, &decoded))
    }

    /// The squared error of the rows held out, of codes of `formula`.
    fn error_of_formula(&self, formula: &dyn Coder) -> f64 {
        let (_, held) = self.rows();
        let rows = self.sample.unscaled(&held);
        let mut codes = vec![0; rows.len() / formula.dim() * formula.layout().row_bytes()];
        let mut decoded = vec![0.0; rows.len()];
        formula.encode(&rows, &mut codes);
        formula.decode(&codes, &mut decoded);
        squared_error(&held, &scale(&decoded, &self.sample.means, self.sample.unit))
    }
}

fn squared_error(rows: &[f32], decoded: &[f32]) -> f64 {
    rows.iter().zip(decoded).map(|(value, decoded)| f64::from(value - decoded).powi(2)).sum()
}
