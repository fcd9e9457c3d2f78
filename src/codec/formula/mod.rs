//! Formula books: codewords that follow from a byte of variance for each dim and a seed. They take no bytes and no
//! training.
//!
//! ```text
//! rotation    directions with 1 to 8 bits a component, which decode to an orthonormal basis (`rotation`, `basis`,
//!             `levels`); as many as leave the least error, none in small files (`choice`)
//! variances   a byte for each dim or vector of the basis; reverse water-filling gives it its bits (`variances`)
//! plan        which dims each symbol covers, and how many bits it spends on each of them (`plan`)
//! words       16 codewords for each symbol, as far from each other as possible (`words`)
//! ```
//!
//! A decoder computes the same codewords as the encoder, so all of this gives the same bits on every machine:
//! additions, multiplications, divisions and square roots in a fixed order (`codec/exponential.rs` has powers and logarithms).
//! The tests measure the error of plan and words by the search that they are made for (`lookahead`).

mod basis;
mod book;
mod choice;
mod coder;
mod levels;
#[cfg(test)]
mod lookahead;
mod plan;
mod rotation;
mod train;
mod variances;
mod words;

use super::coder::Coder;
use super::shape::{FormulaBudget, Shape};
use crate::error::Result;
use crate::work::Work;
pub use book::FORMULA;
use coder::FormulaCoder;
use std::sync::Arc;

/// Computes a codebook whose codes are as long as `budget` allows, and returns its stored form. `None` if there is none
/// for this sample: its rows do not vary, or the codebook alone takes all bytes.
pub(super) fn train(
    sample: &[f32],
    shape: &Shape,
    budget: &FormulaBudget<'_>,
    seed: u64,
    work: &mut Work,
) -> Result<Option<Vec<u8>>> {
    Ok(train::train(sample, shape, budget, seed, work)?.map(|book| book.to_bytes()))
}

/// Parses a stored codebook, which is not trusted.
pub(super) fn parse(bytes: &[u8]) -> std::result::Result<Arc<dyn Coder>, String> {
    Ok(Arc::new(FormulaCoder::parse(bytes)?))
}
