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
    // The plan knew no scales. If no code fits beside them, one that is a little too long is better than none.
    let budget = Budget { scales, ..*budget };
    let plain = &budget.shape(plain).unwrap_or(*plain);
    let of_directions = |directions| budget.shape(&Shape { directions, ..*plain }).ok();
    let mut shape =
        work.part((0, TRIAL_PERCENT), 100, |work| codec::better_shape(sample, plain, &of_directions, seed, work))?;
    loop {
        let book = work.part((TRIAL_PERCENT, 100), 100, |work| Codebook::train(sample, &shape, seed, work))?;
        let book = Arc::new(book);
        let scales = RowScales::new(source, &book, work)?;
        let excess = budget.excess(&book, scales.sizes(budget.rows));
        let is_book_too_large = budget.excess(&book, ScaleSizes::default()) > 0;
        if is_book_too_large && shape.window > 1 {
            // Uneven runs can make the codebook larger than planned.
            shape.window = shape.window * 3 / 4;
        } else if excess == 0 || is_book_too_large || shape.row_bytes == 1 {
            return Ok((book, scales));
        } else {
            // Rows outside of the sample need more scales than planned.
            let fewer = excess.div_ceil(budget.rows.max(1)) as usize;
            shape.row_bytes = shape.row_bytes.saturating_sub(fewer).max(1);
        }
    }
}
