//! Trains a codebook on a sample of rows, and measures it on others.

use super::budget::Budget;
use super::relative::relative_mse;
use super::sample::{SAMPLE_BYTES, sample_and_others};
use super::scale::RowScales;
use super::{CompressOptions, Limit, TRAINING_ROWS_MIN};
use crate::codec::{self, Codebook, FormulaBudget, Shape};
use crate::error::{Error, Result};
use crate::segment::parity_bytes;
use crate::segment::scales::{NewScales, ScaleSizes};
use crate::snapshot::Snapshot;
use crate::work::Work;
use std::sync::Arc;

/// Default number of rows to train on.
const SAMPLE_ROWS: u64 = 20_000;

/// Bounds on the number of rows that the error is measured on.
const HELD_OUT_MIN: u64 = 4;
const HELD_OUT_MAX: u64 = 2048;

/// Percent of the progress of learned codes that choosing between dims and directions counts as.
const TRIAL_PERCENT: u64 = 15;

/// Percent of the progress at which formula codes are trained, and the short trial of learned ones ends.
const FORMULA_ENDS: u64 = 20;
const SHORT_TRIAL_ENDS: u64 = 30;

/// Formula codes have at most so many bits a dim: with more, learned codes and scalar codes have less error.
const FORMULA_BITS_MAX: usize = 4;

/// Bytes a row that are left for what depends on the length of a code (tables of checksums, the last block, centroids): a
/// codebook that takes them would make every code a whole byte shorter.
const UNFORESEEN: f64 = 1.0 / 16.0;

/// How often a codebook is trained for the scales that the one before left.
const SCALE_ROUNDS: usize = 3;

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

    /// The rows that codebooks are compared on: those held out; without any, rows that they were trained on.
    fn measured(&self) -> &[f32] {
        let most = HELD_OUT_MAX as usize * self.source.dim;
        if self.held_out.is_empty() { &self.rows[..self.rows.len().min(most)] } else { &self.held_out }
    }

    /// `error`, that of [`TrainingRows::measured`]; NaN if no rows were held out.
    fn held_out_or_nan(&self, error: f64) -> f64 {
        if self.held_out.is_empty() { f64::NAN } else { error }
    }
}

impl Trained {
    /// The longest codes that fit `budget`, trained on `sample`, and their error on the rows held out: those that keep all
    /// rows exactly if there are such codes, else formula codes or those of `plain`, whichever have the smaller error.
    pub fn within(
        sample: &TrainingRows,
        budget: &Budget,
        plain: &Shape,
        seed: u64,
        work: &mut Work,
    ) -> Result<Trained> {
        let trainer = Trainer { sample, budget, plain, seed };
        if let Some(Fitting { book, scales, .. }) = trainer.exact(work)? {
            let error = relative_mse(&book, sample.measured(), plain.metric, work.threads());
            return Ok(Trained {
                book,
                scales,
                limit: Limit::Ratio,
                held_out_relative_mse: sample.held_out_or_nan(error),
            });
        }
        let formula = work.part((0, FORMULA_ENDS), 100, |work| trainer.fitting(Method::Formula, work))?;
        // Where scales take too many bytes for one method only, the other one codes short rows far better.
        let is_decided = match &formula {
            Some(Fitting { book, is_scaled, .. }) if *is_scaled == plain.is_scaled => {
                work.part((FORMULA_ENDS, SHORT_TRIAL_ENDS), 100, |work| {
                    codec::may_be_learned(&sample.rows, plain, book, seed, work).map(|may| !may)
                })?
            }
            _ => false,
        };
        let learned = match is_decided {
            true => None,
            false => work.part((SHORT_TRIAL_ENDS, 100), 100, |work| trainer.fitting(Method::Learned, work))?,
        };
        let error = |book: &Codebook, rows: &[f32]| relative_mse(book, rows, plain.metric, work.threads());
        let measured = sample.measured();
        let found = formula.into_iter().chain(learned).map(|fitting| (error(&fitting.book, measured), fitting));
        let by_error =
            |a: &(f64, Fitting), b: &(f64, Fitting)| b.1.is_scaled.cmp(&a.1.is_scaled).then(a.0.total_cmp(&b.0));
        let Some((found_error, Fitting { book, scales, .. })) = found.min_by(by_error) else {
            return Err(Error::Internal("compress: no codebook fits the planned bytes".to_owned()));
        };
        let held_out_relative_mse = sample.held_out_or_nan(found_error);
        Ok(Trained { book, scales, limit: Limit::Ratio, held_out_relative_mse })
    }
}

/// How codewords are made.
#[derive(Clone, Copy)]
enum Method {
    /// They are learned, or the codes are scalar codes.
    Learned,
    /// They follow from variances.
    Formula,
}

/// Trains codebooks whose codes are as long as a budget allows.
struct Trainer<'a> {
    sample: &'a TrainingRows<'a>,
    budget: &'a Budget,
    /// The longest learned codes that fit the budget, of dims.
    plain: &'a Shape,
    seed: u64,
}

/// A codebook and the scales of all rows under it.
struct Fitting {
    book: Arc<Codebook>,
    scales: RowScales,
    /// False if rows should be scaled, but the scales take too many bytes.
    is_scaled: bool,
}

impl Trainer<'_> {
    /// The longest codes that fit the budget beside their scales; `None` if there are no such codes.
    fn fitting(&self, method: Method, work: &mut Work) -> Result<Option<Fitting>> {
        let (of_sample, is_directional) = codec::scales_of_sample(&self.sample.rows, self.plain);
        let mut sizes = NewScales::of(&of_sample, is_directional).sizes(self.budget.rows);
        let (mut row_bytes, mut budget) = (self.plain.row_bytes, *self.budget);
        for _ in 0..SCALE_ROUNDS {
            if self.budget.is_too_much(row_bytes, sizes) {
                break;
            }
            budget.scales = sizes;
            let Some(book) = self.book(method, &budget, self.plain.is_scaled, work)? else { break };
            let scales = RowScales::new(self.sample.source, &book, work)?;
            (sizes, row_bytes) = (scales.sizes(self.budget.rows), book.row_bytes());
            let excess = self.budget.excess(&book, sizes);
            if excess == 0 || self.budget.excess(&book, ScaleSizes::default()) > 0 {
                return Ok(Some(Fitting { book, scales, is_scaled: self.plain.is_scaled }));
            }
            // Rows outside of the sample need more scales than planned, or classes more blocks.
            budget.bytes -= excess.min(budget.bytes);
        }
        // Scales would take too many bytes.
        let book = self.book(method, self.budget, false, work)?;
        Ok(book.map(|book| Fitting { book, scales: RowScales::default(), is_scaled: false }))
    }

    /// Codes that fit the budget and keep all rows exactly, but for a few that are scaled.
    fn exact(&self, work: &mut Work) -> Result<Option<Fitting>> {
        let Some(book) = Codebook::exact(&self.sample.rows, self.plain.dim)? else { return Ok(None) };
        if self.budget.excess(&book, ScaleSizes::default()) > 0 {
            return Ok(None);
        }
        let (source, budget) = (self.sample.source, self.budget);
        let scales = work.part((0, 1), 200, |work| RowScales::new(source, &book, work))?;
        let is_exact = budget.excess(&book, scales.sizes(budget.rows)) == 0
            && work.part((1, 2), 200, |work| scales.leave_rows_exact(source, &book, work))?;
        Ok(is_exact.then(|| Fitting { book: Arc::new(book), scales, is_scaled: self.plain.is_scaled }))
    }

    /// The longest codes that fit `budget`.
    fn book(&self, method: Method, budget: &Budget, is_scaled: bool, work: &mut Work) -> Result<Option<Arc<Codebook>>> {
        let plain = Shape { is_scaled, ..*self.plain };
        match method {
            Method::Formula => self.formula(budget, &plain, work),
            Method::Learned => self.learned(budget, &plain, work),
        }
    }

    fn formula(&self, budget: &Budget, plain: &Shape, work: &mut Work) -> Result<Option<Arc<Codebook>>> {
        let (most, row_bytes) = (plain.dim * FORMULA_BITS_MAX / 8, budget.bytes_a_row() - UNFORESEEN);
        // A rotation takes at most about a fifth.
        if row_bytes > 1.25 * (most + 1) as f64 {
            return Ok(None);
        }
        let longest = |book_bytes| budget.longest_beside(book_bytes, most + 1).filter(|row_bytes| *row_bytes <= most);
        let parity_most = parity_bytes(u64::MAX) as usize;
        let of_formula = FormulaBudget { row_bytes, parity_bytes: parity_most, longest: &longest };
        Ok(Codebook::of_formula(&self.sample.rows, plain, &of_formula, self.seed, work)?.map(Arc::new))
    }

    fn learned(&self, budget: &Budget, plain: &Shape, work: &mut Work) -> Result<Option<Arc<Codebook>>> {
        let (sample, seed) = (self.sample.rows.as_slice(), self.seed);
        let Ok(shape) = budget.shape(plain) else { return Ok(None) };
        let of_directions = |directions| budget.shape(&Shape { directions, ..shape }).ok();
        let better = |work: &mut Work| codec::better_shape(sample, &shape, &of_directions, seed, work);
        let mut shape = work.part((0, TRIAL_PERCENT), 100, better)?;
        work.part((TRIAL_PERCENT, 100), 100, |work| {
            loop {
                let book = Codebook::train(sample, &shape, seed, work)?;
                if self.budget.excess(&book, ScaleSizes::default()) == 0 || shape.window == 1 {
                    return Ok(Some(Arc::new(book)));
                }
                // Uneven runs can make the codebook larger than planned.
                shape.window = shape.window * 3 / 4;
            }
        })
    }
}
