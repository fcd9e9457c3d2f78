//! The choice between the dims as they are and the directions in which they vary most, by a short training of both.

use super::rotation::{Principal, Rotation};
use super::stage::Layout;
use super::train::{Sample, Step, Steps, distinct, even_runs, grown, turned};
use crate::codec::Shape;
use crate::codec::random::Random;
use crate::error::Result;
use crate::work::Work;

/// A start is judged after these, on few rows: what wide windows make of it is another thing than what narrow ones do.
const STEPS: [Step; 4] = [
    Step { window: 1, lists: 1, rounds: 3 },
    Step { window: 2, lists: 1, rounds: 4 },
    Step { window: 4, lists: 1, rounds: 4 },
    Step { window: 8, lists: 1, rounds: 6 },
];
const ROWS: usize = 8192;
/// One in so many rows judges and is not trained on.
const HELD_OUT: usize = 8;

/// Directions are counted in so many parts of the dims.
const PARTS: usize = 8;

/// Turning takes time whenever a vector is read: it must gain so much.
const WORTH_TURNING: f64 = 0.95;

/// See [`super::better_shape`].
pub(in crate::codec) fn better_shape(
    rows: &[f32],
    plain: &Shape,
    of_directions: &dyn Fn(usize) -> Option<Shape>,
    seed: u64,
    work: &mut Work,
) -> Result<Shape> {
    let sample = Sample::new(&distinct(rows, plain.dim), plain.dim);
    if !sample.can_be_turned() {
        return Ok(*plain);
    }
    let principal = Principal::of(&sample.rows, plain.dim);
    let bound = |shape: &Shape| principal.error_bound(shape.directions, 8.0 * shape.row_bytes as f64);
    let counts = (1..=PARTS).map(|part| part * plain.dim / PARTS).filter(|count| *count > 0);
    let shapes = counts.filter_map(of_directions).filter(|shape| !shape.is_scalar() && shape.check().is_ok());
    // The bound is one for codes that are chosen as a whole: another stage costs more than directions differ by.
    let nearer = |a: &Shape, b: &Shape| a.stages().cmp(&b.stages()).then(bound(a).total_cmp(&bound(b)));
    let Some(other) = shapes.min_by(nearer) else { return Ok(*plain) };
    let rounds: usize = STEPS.iter().map(|step| step.rounds).sum();
    let total = (plain.stages() + other.stages()) * rounds;
    let mut steps = Steps::new(total, work);
    let error = tried(&sample, plain, None, seed, &mut steps)?;
    let basis = principal.basis(&even_runs(other.stage_symbols()[0], other.directions));
    let rotation = Rotation::of_basis(&basis, plain.dim);
    let turned = tried(&sample, &other, Some(&rotation), seed, &mut steps)?;
    Ok(if turned < error * WORTH_TURNING { other } else { *plain })
}

/// The error of held-out rows after a short training on few.
fn tried(sample: &Sample, shape: &Shape, rotation: Option<&Rotation>, seed: u64, steps: &mut Steps) -> Result<f64> {
    let dim = shape.dim;
    let count = sample.count().min(ROWS);
    let row = |number: usize| &sample.rows[number * sample.count() / count * dim..][..dim];
    let (mut held, mut trained) = (Vec::new(), Vec::new());
    for number in 0..count {
        if number % HELD_OUT == 0 { &mut held } else { &mut trained }.extend_from_slice(row(number));
    }
    let turned_held = turned(&held, rotation);
    let (mut left, mut held_left) = (turned(&trained, rotation), turned_held.clone());
    for (number, symbols) in shape.stage_symbols().into_iter().enumerate() {
        let runs = sample.runs(symbols, rotation);
        let widest = sample.widest(shape.charged_window(number), runs.clone());
        let plan: Vec<Step> = STEPS.into_iter().filter(|step| step.window <= widest).collect();
        let stage = grown(Layout::new(runs, 1), &left, &plan, &mut Random::new(seed, 1), steps)?;
        stage.subtract(&stage.search_all(&left), &mut left);
        stage.subtract(&stage.search_all(&held_left), &mut held_left);
    }
    let mut images: Vec<f32> = turned_held.iter().zip(&held_left).map(|(x, left)| x - left).collect();
    if let Some(rotation) = rotation {
        let mut back = vec![0.0; held.len()];
        rotation.turn_back(&mut images, &mut back);
        images = back;
    }
    Ok(held.iter().zip(&images).map(|(x, image)| f64::from(x - image).powi(2)).sum())
}
