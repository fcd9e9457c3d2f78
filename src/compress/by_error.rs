//! Without a ratio: finds the shortest codes whose error on rows that were not trained on is small enough.
//!
//! A codebook is trained for the highest ratio and measured. If its error is too large, longer codes are tried: first as
//! long as 6 dB a bit foretells, then as the errors measured so far foretell. The codebook that is used is one that
//! was measured.

use super::Limit;
use super::budget::Budget;
use super::train::{Trained, TrainingRows};
use crate::codec::{Shape, log2};
use crate::error::{Error, Result, short};
use crate::format::BLOCK_BYTES;
use crate::work::Work;

/// Most trainings. If all but the last failed, the last is for the longest codes.
const ROUNDS: usize = 6;

/// Percent of the progress at which each training ends: the first is the only one for most stores.
const ENDS: [u64; ROUNDS] = [70, 80, 88, 94, 97, 100];

/// Errors aimed at and good enough, as shares of the largest error.
const AIM: f64 = 0.95;
const GOOD: f64 = 0.88;

/// Budgets closer to each other than this share of the larger one are not divided further.
const CLOSE: f64 = 0.03;

/// A budget, its shape, and log2 of the error of its codebook ÷ the error aimed at.
#[derive(Clone, Copy)]
struct Tried {
    bytes: u64,
    shape: Shape,
    excess: f64,
}

/// The search: the longest codes that failed, the one before, and the shortest codes that passed.
struct LengthSearch {
    budget: Budget,
    failed: Vec<Tried>,
    passed: Option<(Tried, Trained)>,
}

/// The codebook of the shortest codes within `budget.bytes..=budget.bytes_max` whose error is at most `most`. `shortest`
/// is the shape that `budget.bytes` hold.
pub fn train(
    sample: &TrainingRows,
    budget: &Budget,
    shortest: &Shape,
    (most, seed): (f64, u64),
    work: &mut Work,
) -> Result<Trained> {
    let mut search = LengthSearch { budget: *budget, failed: Vec::new(), passed: None };
    let (mut bytes, mut shape, mut begin) = (budget.bytes, *shortest, 0);
    for end in ENDS {
        let budget = Budget { bytes, ..*budget };
        let trained = work.part((begin, end), 100, |work| Trained::within(sample, &budget, &shape, seed, work))?;
        let error = trained.held_out_relative_mse;
        let tried = Tried { bytes, shape, excess: log2((error / (AIM * most)).max(f64::MIN_POSITIVE)) };
        if error > most && bytes >= budget.bytes_max {
            return Err(unreachable(&budget, shape.dim, most, error));
        }
        if error > most {
            search.failed.push(tried);
        } else if search.failed.is_empty() {
            return Ok(trained);
        } else {
            search.passed = Some((tried, Trained { limit: Limit::Error, ..trained }));
        }
        begin = end;
        let is_last = search.failed.len() == ROUNDS - 1;
        let next = if is_last { search.longest() } else { search.next(error >= GOOD * most) };
        match next {
            Some(next) => (bytes, shape) = next,
            None => break,
        }
    }
    let found = search.passed.map(|(_, trained)| trained);
    found.ok_or_else(|| Error::Internal("compress: no length of codes passed, and none failed".to_owned()))
}

impl LengthSearch {
    /// The next budget and shape to try; `None` if the shortest that passed is `good` or no other lies between.
    fn next(&self, is_good: bool) -> Option<(u64, Shape)> {
        let failed = self.failed.last()?;
        let Some((passed, _)) = &self.passed else { return self.longer(failed) };
        let gap = passed.bytes - failed.bytes;
        if is_good || gap as f64 <= CLOSE * passed.bytes as f64 {
            return None;
        }
        // log2 of the error is about linear in the bytes.
        let share = (failed.excess / (failed.excess - passed.excess)).clamp(0.1, 0.9);
        let next = self.shaped(failed.bytes + (gap as f64 * share) as u64)?;
        (next.1 != failed.shape && next.1 != passed.shape).then_some(next)
    }

    /// Codes that should pass, after all failed.
    fn longer(&self, failed: &Tried) -> Option<(u64, Shape)> {
        // One bit more for each dim divides the error by 4, if the last two errors do not say that it does less.
        let bits_a_byte = 8.0 / failed.shape.dim as f64;
        let slope = match self.failed.as_slice() {
            [.., before, last] if last.shape.row_bytes > before.shape.row_bytes => {
                let bytes = (last.shape.row_bytes - before.shape.row_bytes) as f64;
                ((before.excess - last.excess) / bytes).clamp(bits_a_byte / 4.0, 2.0 * bits_a_byte)
            }
            _ => 2.0 * bits_a_byte,
        };
        let row_bytes = failed.shape.row_bytes + (failed.excess / slope).ceil() as usize;
        let step = self.budget.rows.max(BLOCK_BYTES as u64);
        let mut bytes = failed.bytes;
        while bytes < self.budget.bytes_max {
            bytes = (bytes + step).min(self.budget.bytes_max);
            if let Some(next) = self.shaped(bytes).filter(|(_, shape)| shape.row_bytes >= row_bytes) {
                return Some(next);
            }
        }
        self.longest()
    }

    fn longest(&self) -> Option<(u64, Shape)> {
        self.shaped(self.budget.bytes_max)
    }

    /// A budget of `bytes` and its shape.
    fn shaped(&self, bytes: u64) -> Option<(u64, Shape)> {
        let dims = Shape { directions: 0, ..self.failed.last()?.shape };
        Budget { bytes, ..self.budget }.shape(&dims).ok().map(|shape| (bytes, shape))
    }
}

fn unreachable(budget: &Budget, dim: usize, most: f64, error: f64) -> Error {
    let (rows, most, error) = (budget.rows, short(most), short(error));
    Error::InvalidArgument(format!(
        "max_relative_mse {most}: {rows} vectors of dim {dim} can reach {error} in no more bytes than their floats; \
         ask for at least that, or do not compress"
    ))
}
