//! Compress and compact on a frozen state: plans the new file, trains its codebook and writes it.
//!
//! ```text
//! plan      chooses one of three outcomes from sizes, drift and the error of the newest codebook, before any training
//! budget    the longest code whose file fits the bytes
//! train     the codebook of the outcome, from a sample of rows, and its error (`relative`) on rows held out
//! by_error  without a ratio: the shortest codes whose error is small enough, by a few trainings
//! scale     what each row is divided by before it is coded
//! rewrite   writes every row into one new file and reads it back; `arrange` gives the order, `encode` the codes
//! ```
//!
//! This module changes no store: `store` freezes the state before and swaps the files afterwards.

mod arrange;
mod budget;
mod by_error;
mod encode;
mod plan;
mod relative;
mod rewrite;
mod sample;
mod scale;
mod train;

pub use plan::{Plan, plan};
pub use rewrite::{Rewrite, Target};
pub use scale::RowScales;
pub use train::{Trained, training_rows};

use crate::codec::Quality;
use crate::error::{Error, Result, short};
use crate::work::Work;
use std::sync::Arc;
use train::TrainingRows;

/// Least number of vectors to train on: a symbol has 16 codewords.
pub const TRAINING_ROWS_MIN: u64 = 16;
/// The highest ratio that is tried if none is given.
const RATIO_MAX: f64 = 16.0;
/// The largest relative MSE if neither a ratio nor an error is given.
const MAX_RELATIVE_MSE_DEFAULT: f64 = 0.1;

/// Options of a compress.
#[derive(Clone, Copy, Debug, Default)]
pub struct CompressOptions {
    /// Raw float32 bytes ÷ bytes of the whole directory afterwards, at least 1, whatever the error. 0: the highest, up
    /// to 16, whose error is at most `max_relative_mse`.
    pub ratio: f64,
    /// Without a ratio: the largest relative MSE of rows that were not trained on, above 0 and below 1. 0: 0.1. With a
    /// ratio: 0.
    pub max_relative_mse: f64,
    /// Vectors to train on; 0: chosen by the library.
    pub sample: u64,
    /// The same store and seed give the same codes.
    pub seed: u64,
    /// Effort of the encoder.
    pub quality: Quality,
    /// If the store is a sample of a larger set: the number of vectors of that set. Codes are as long as for all of
    /// them. 0: the store is not a sample.
    pub sample_of: u64,
}

/// What decided the length of the codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// The ratio: the one that was given; else 16, or the highest that so few rows can reach.
    #[default]
    Ratio,
    /// The largest error: a higher ratio would have had more.
    Error,
}

impl CompressOptions {
    /// An error if an option is out of its range, or if both a ratio and an error are given.
    pub fn check(&self) -> Result<()> {
        let (ratio, error) = (self.ratio, self.max_relative_mse);
        let what = if !(error == 0.0 || error > 0.0 && error < 1.0) {
            format!("max_relative_mse {}: expected a number above 0 and below 1, or 0 for the default", short(error))
        } else if !(ratio == 0.0 || ratio.is_finite() && ratio >= 1.0) {
            format!("ratio {}: expected a number of at least 1", short(ratio))
        } else if ratio > 0.0 && error > 0.0 {
            let (ratio, error) = (short(ratio), short(error));
            format!("ratio {ratio} and max_relative_mse {error}: only one of the two can be met; give one")
        } else {
            return Ok(());
        };
        Err(Error::InvalidArgument(what))
    }

    /// The ratio that was given, else the highest to try.
    fn ratio(&self) -> f64 {
        if self.ratio > 0.0 { self.ratio } else { RATIO_MAX }
    }

    /// The largest error; `None` if a ratio is given.
    fn largest_error(&self) -> Option<f64> {
        let error = if self.max_relative_mse > 0.0 { self.max_relative_mse } else { MAX_RELATIVE_MSE_DEFAULT };
        (self.ratio == 0.0).then_some(error)
    }
}

/// The codebook that the rows of `plan` are coded with.
pub fn train(plan: &Plan, options: &CompressOptions, work: &mut Work) -> Result<Trained> {
    match plan {
        Plan::Join { source, book, limit, held_out_relative_mse } => {
            let scales = RowScales::new(source, book, work)?;
            let (book, limit, held_out_relative_mse) = (Arc::clone(book), *limit, *held_out_relative_mse);
            Ok(Trained { book, scales, limit, held_out_relative_mse })
        }
        Plan::AddBook { source, budget, shape } | Plan::Recode { source, budget, shape } => {
            let sample = TrainingRows::draw(source, options)?;
            match options.largest_error() {
                Some(most) => by_error::train(&sample, budget, shape, (most, options.seed), work),
                None => Trained::within(&sample, budget, shape, options.seed, work),
            }
        }
    }
}
