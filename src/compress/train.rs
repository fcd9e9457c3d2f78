//! Trains a codebook on a sample of rows, and measures it on others.

use super::budget::Budget;
use super::relative::relative_mse;
use super::sample::{SAMPLE_BYTES, sample_and_others};
use super::scale::RowScales;
use super::{CompressOptions, Limit, TRAINING_ROWS_MIN};
use crate::codec::{self, Codebook, Shape};
use crate::error::Result;
use crate::segment::scales::{NewScales, ScaleSizes};
use crate::snapshot::Snapshot;
use crate::work::Work;
use std::sync::Arc;

/// Default number of rows to train on.
const SAMPLE_ROWS: u64 = 20_000;

/// Bounds on the number of rows that the error is measured on.
const HELD_OUT_MIN: u64 = 4;
const HELD_OUT_MAX: u64 = 2048;

/// Percent of the progress that choosing between dims and directions counts as.
const TRIAL_PERCENT: u64 = 15;

/// The codebook of a plan.
#[derive(Debug)]
pub struct Trained {
    /// The codebook.
    pub book: Arc<Codebook>,
    /// The scales of the rows under it.
    pub scales: RowScales,
    /// What decided the length of its codes.
    pub limit: Limit,
    /// Relative MSE of rows that it was not trained on; NaN if there were none.
    pub held_out_relative_mse: f64,
}

/// The number of rows of `dim` floats to train on by default, if there are as many.
pub fn training_rows(dim: usize) -> u64 {
    (SAMPLE_BYTES / (dim as u64 * 4)).clamp(TRAINING_ROWS_MIN, SAMPLE_ROWS)
}

/// Rows to train on, and rows to measure the error of the codebook on. Codes are decoded.
pub struct TrainingRows<'a> {
    source: &'a Snapshot,
    rows: Vec<f32>,
    held_out: Vec<f32>,
}

impl<'a> TrainingRows<'a> {
    /// An even sample of the live rows of `source`. Rows are held out from the training if the error decides the length
    /// of the codes, or if there are more rows than are trained on.
    pub fn draw(source: &'a Snapshot, options: &CompressOptions) -> Result<TrainingRows<'a>> {
        let rows = source.view().count();
        let wanted =
            if options.sample == 0 { training_rows(source.dim) } else { options.sample.max(TRAINING_ROWS_MIN) };
        let least_held_out = options.largest_error().map_or(0, |_| (rows / 8).clamp(HELD_OUT_MIN, HELD_OUT_MAX));
        let trained = wanted.min(rows - least_held_out);
        let held_out = HELD_OUT_MAX.min(rows - trained);
        let (rows, held_out) = sample_and_others(source, rows, (trained, held_out), options.seed)?;
        Ok(TrainingRows { source, rows, held_out })
    }
}

impl Trained {
    /// The longest codes that fit `budget`, trained on `sample`, and their error on the rows held out.
    pub fn within(
        sample: &TrainingRows,
        budget: &Budget,
        plain: &Shape,
        seed: u64,
        work: &mut Work,
    ) -> Result<Trained> {
        let (book, scales) = within(sample, budget, plain, seed, work)?;
        let held_out_relative_mse = relative_mse(&book, &sample.held_out, plain.metric, work.threads());
        Ok(Trained { book, scales, limit: Limit::Ratio, held_out_relative_mse })
    }
}

/// The longest codes that fit `budget`, of dims as in `plain` or of directions, trained on `sample`; and the scales of all
/// rows.
fn within(
    sample: &TrainingRows,
    budget: &Budget,
    plain: &Shape,
    seed: u64,
    work: &mut Work,
) -> Result<(Arc<Codebook>, RowScales)> {
    let TrainingRows { source, rows: sample, .. } = sample;
    let (of_sample, is_directional) = codec::scales_of_sample(sample, plain);
    let scales = NewScales::of(&of_sample, is_directional).sizes(budget.rows);
    if budget.is_too_much(plain.row_bytes, scales) {
        return unscaled(sample, budget, plain, seed, work);
    }
    // The plan knew no scales.
    let scaled = Budget { scales, ..*budget };
    let Ok(shape) = scaled.shape(plain) else { return unscaled(sample, budget, plain, seed, work) };
    let mut shape = better_shape(sample, &scaled, &shape, seed, work)?;
    loop {
        let book = work.part((TRIAL_PERCENT, 100), 100, |work| trained(sample, budget, &mut shape, seed, work))?;
        let scales = RowScales::new(source, &book, work)?;
        let excess = budget.excess(&book, scales.sizes(budget.rows));
        if excess == 0 || budget.excess(&book, ScaleSizes::default()) > 0 {
            return Ok((book, scales));
        }
        // Rows outside of the sample need more scales than planned.
        let fewer = excess.div_ceil(budget.rows.max(1)) as usize;
        if budget.is_too_much(shape.row_bytes, scales.sizes(budget.rows)) || fewer >= shape.row_bytes {
            return unscaled(sample, budget, plain, seed, work);
        }
        shape.row_bytes -= fewer;
    }
}

/// The same for codes of rows that are not scaled: scales would take too many bytes.
fn unscaled(
    sample: &[f32],
    budget: &Budget,
    plain: &Shape,
    seed: u64,
    work: &mut Work,
) -> Result<(Arc<Codebook>, RowScales)> {
    let mut shape = better_shape(sample, budget, &Shape { is_scaled: false, ..*plain }, seed, work)?;
    let book = work.part((TRIAL_PERCENT, 100), 100, |work| trained(sample, budget, &mut shape, seed, work))?;
    Ok((book, RowScales::default()))
}

/// The better of the dims as in `plain` and of directions, within `budget`.
fn better_shape(sample: &[f32], budget: &Budget, plain: &Shape, seed: u64, work: &mut Work) -> Result<Shape> {
    let of_directions = |directions| budget.shape(&Shape { directions, ..*plain }).ok();
    work.part((0, TRIAL_PERCENT), 100, |work| codec::better_shape(sample, plain, &of_directions, seed, work))
}

/// A codebook of `shape` that fits `budget` beside no scales.
fn trained(sample: &[f32], budget: &Budget, shape: &mut Shape, seed: u64, work: &mut Work) -> Result<Arc<Codebook>> {
    loop {
        let book = Codebook::train(sample, shape, seed, work)?;
        if budget.excess(&book, ScaleSizes::default()) == 0 || shape.window == 1 {
            return Ok(Arc::new(book));
        }
        // Uneven runs can make the codebook larger than planned.
        shape.window = shape.window * 3 / 4;
    }
}
