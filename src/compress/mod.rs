//! Compress and compact on a frozen state: plans the new file, trains its codebook and writes it.
//!
//! ```text
//! plan      chooses one of three outcomes from sizes and drift, before any training
//! budget    the longest code whose file fits the bytes
//! train     the codebook of the outcome, from a sample of rows
//! scale     what each row is divided by before it is coded
//! rewrite   writes every row into one new file and reads it back; `arrange` gives the order, `encode` the codes
//! ```
//!
//! This module changes no store: `store` freezes the state before and swaps the files afterwards.

mod arrange;
mod budget;
mod encode;
mod plan;
mod rewrite;
mod sample;
mod scale;
mod train;

pub use plan::plan;
pub use rewrite::{Rewrite, Target};
pub use scale::RowScales;
pub use train::train;

use crate::codec::Quality;
use crate::error::{Error, Result, short};

/// Least number of vectors to train on: a symbol has 16 codewords.
pub const TRAINING_ROWS_MIN: u64 = 16;
/// Default ratio.
pub const RATIO_DEFAULT: f64 = 16.0;

/// Options of a compress.
#[derive(Clone, Copy, Debug)]
pub struct CompressOptions {
    /// Raw float32 bytes ÷ bytes of the whole directory afterwards, at least 1.
    pub ratio: f64,
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

impl Default for CompressOptions {
    fn default() -> Self {
        CompressOptions { ratio: RATIO_DEFAULT, sample: 0, seed: 0, quality: Quality::Normal, sample_of: 0 }
    }
}

impl CompressOptions {
    /// An error if an option is out of its range.
    pub fn check(&self) -> Result<()> {
        if self.ratio.is_finite() && self.ratio >= 1.0 {
            return Ok(());
        }
        Err(Error::InvalidArgument(format!("ratio {}: expected a number of at least 1", short(self.ratio))))
    }
}
