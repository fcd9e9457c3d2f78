//! The codebook of a plan: the store's newest one, or one trained on a sample of the rows.

use super::budget::Budget;
use super::plan::Plan;
use super::sample::{SAMPLE_BYTES, sample_rows};
use super::{CompressOptions, TRAINING_ROWS_MIN};
use crate::codec::{self, Codebook, Shape};
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::work::Work;
use std::sync::Arc;

/// Default number of rows to train on.
const SAMPLE_ROWS: u64 = 20_000;

/// Percent of the progress that choosing between dims and directions counts as.
const TRIAL_PERCENT: u64 = 15;

/// The codebook that the rows of `plan` are coded with.
pub fn train(plan: &Plan, options: &CompressOptions, work: &mut Work) -> Result<Arc<Codebook>> {
    match plan {
        Plan::Join { book, .. } => Ok(Arc::clone(book)),
        Plan::AddBook { source, budget, shape } | Plan::Recode { source, budget, shape } => {
            let sample = sample(source, options)?;
            within(budget, shape, &sample, options.seed, work).map(Arc::new)
        }
    }
}

/// The longest codes that fit `budget`, of dims as in `plain` or of directions, trained on `sample: [n][dim]`.
fn within(budget: &Budget, plain: &Shape, sample: &[f32], seed: u64, work: &mut Work) -> Result<Codebook> {
    let of_directions = |directions| budget.shape(&Shape { directions, ..*plain }).ok();
    let mut shape =
        work.part((0, TRIAL_PERCENT), 100, |work| codec::better_shape(sample, plain, &of_directions, seed, work))?;
    loop {
        let book = work.part((TRIAL_PERCENT, 100), 100, |work| Codebook::train(sample, &shape, seed, work))?;
        if budget.fits(&book) || shape.window == 1 {
            return Ok(book);
        }
        // Uneven runs can make the codebook larger than planned.
        shape.window = shape.window * 3 / 4;
    }
}

/// An even sample of the live rows, codes decoded.
fn sample(source: &Snapshot, options: &CompressOptions) -> Result<Vec<f32>> {
    let rows = source.view().count();
    let in_memory = (SAMPLE_BYTES / (source.dim as u64 * 4)).clamp(TRAINING_ROWS_MIN, SAMPLE_ROWS);
    let wanted = if options.sample == 0 { in_memory } else { options.sample.max(TRAINING_ROWS_MIN) };
    sample_rows(source, rows, wanted.min(rows), options.seed)
}
