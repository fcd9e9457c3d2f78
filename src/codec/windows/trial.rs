//! Chooses between coding the dims as they are and coding principal directions, by a short training of both.

use super::plan;
use super::rotation::{Principal, Rotation, rotate};
use super::sample::Sample;
use super::stage::{StageLayout, even_runs};
use super::train::{TrainingProgress, WindowStep, grow};
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
    let scale = Scale::of_shape(rows, plain);
    let sample = Sample::new(&scale.apply(rows, plain.dim), plain.dim);
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
    let rounds: usize = STEPS.iter().map(|step| step.rounds).sum();
    let total = (stages(plain) + stages(&other)) * rounds;
    let mut progress = TrainingProgress::new(total, work);
    let plain_error = error_after_trial(&sample, plain, None, seed, &mut progress)?;
    let basis = principal.basis(&even_runs(plan::stage_symbols(&other)[0], other.directions));
    let rotation = Rotation::of_basis(&basis, plain.dim);
    let rotated_error = error_after_trial(&sample, &other, Some(&rotation), seed, &mut progress)?;
    Ok(if rotated_error < plain_error * WORTH_ROTATING { other } else { *plain })
}

/// The squared error of held-out rows after a short training on some rows.
fn error_after_trial(
    sample: &Sample,
    shape: &Shape,
    rotation: Option<&Rotation>,
    seed: u64,
    progress: &mut TrainingProgress,
) -> Result<f64> {
    let dim = shape.dim;
    let count = sample.count().min(ROWS);
    let row = |number: usize| &sample.rows[number * sample.count() / count * dim..][..dim];
    let (mut held, mut trained) = (Vec::new(), Vec::new());
    for number in 0..count {
        if number % HELD_OUT == 0 { &mut held } else { &mut trained }.extend_from_slice(row(number));
    }
    let rotated_held = rotate(&held, rotation);
    let (mut residual, mut held_residual) = (rotate(&trained, rotation), rotated_held.clone());
    for (number, symbols) in plan::stage_symbols(shape).into_iter().enumerate() {
        let runs = sample.runs(symbols, rotation);
        let widest = sample.widest_window(plan::window_of(shape, number), runs.clone());
        let steps: Vec<WindowStep> = STEPS.into_iter().filter(|step| step.window <= widest).collect();
        let stage = grow(StageLayout::new(runs, 1), &residual, &steps, &mut Random::new(seed, 1), progress)?;
        stage.subtract(&stage.search_all(&residual), &mut residual);
        stage.subtract(&stage.search_all(&held_residual), &mut held_residual);
    }
    let mut decoded: Vec<f32> = rotated_held.iter().zip(&held_residual).map(|(x, residual)| x - residual).collect();
    if let Some(rotation) = rotation {
        let mut back = vec![0.0; held.len()];
        rotation.rotate_back(&mut decoded, &mut back);
        decoded = back;
    }
    Ok(held.iter().zip(&decoded).map(|(x, decoded)| f64::from(x - decoded).powi(2)).sum())
}
