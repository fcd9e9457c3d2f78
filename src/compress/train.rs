//! The codebook of a plan: the store's newest one, or one trained on a sample of the rows.

use super::budget::Budget;
use super::plan::Plan;
use super::sample::{SAMPLE_BYTES, sample_rows};
use super::scale::RowScales;
use super::{CompressOptions, TRAINING_ROWS_MIN, Target};
use crate::codec::{self, Codebook, Shape};
use crate::error::Result;
use crate::segment::scales::{NewScales, ScaleSizes};
use crate::snapshot::Snapshot;
use crate::work::Work;
use std::sync::Arc;

/// Default number of rows to train on.
const SAMPLE_ROWS: u64 = 20_000;

/// Percent of the progress that choosing between dims and directions counts as.
const TRIAL_PERCENT: u64 = 15;

/// The codes of `plan`: the codebook that its rows are coded with, and their scales.
pub fn train(plan: &Plan, options: &CompressOptions, work: &mut Work) -> Result<Target> {
    match plan {
        Plan::Join { source, book } => Ok(Target::Coded(Arc::clone(book), RowScales::new(source, book, work)?)),
        Plan::AddBook { source, budget, shape } | Plan::Recode { source, budget, shape } => {
            let sample = sample(source, options)?;
            within(source, budget, shape, (&sample, options.seed), work)
        }
    }
}

/// The longest codes that fit `budget`, of dims as in `plain` or of directions, trained on `sample: [n][dim]`.
fn within(
    source: &Snapshot,
    budget: &Budget,
    plain: &Shape,
    (sample, seed): (&[f32], u64),
    work: &mut Work,
) -> Result<Target> {
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
        if budget.fits(&book, scales.sizes(budget.rows)) || shape.row_bytes == 1 {
            return Ok(Target::Coded(book, scales));
        }
        if shape.window > 1 && !budget.fits(&book, ScaleSizes::default()) {
            // Uneven runs can make the codebook larger than planned.
            shape.window = shape.window * 3 / 4;
        } else {
            // Rows outside of the sample need more scales than planned.
            shape.row_bytes -= 1;
        }
    }
}

/// An even sample of the live rows, codes decoded.
fn sample(source: &Snapshot, options: &CompressOptions) -> Result<Vec<f32>> {
    let rows = source.view().count();
    let in_memory = (SAMPLE_BYTES / (source.dim as u64 * 4)).clamp(TRAINING_ROWS_MIN, SAMPLE_ROWS);
    let wanted = if options.sample == 0 { in_memory } else { options.sample.max(TRAINING_ROWS_MIN) };
    sample_rows(source, rows, wanted.min(rows), options.seed)
}
