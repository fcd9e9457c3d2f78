//! Window codes: 4-bit symbols, each of which adds one of 16 codewords to some dims.
//!
//! ```text
//! vector     means + unit · rotate back( Σ over all symbols of the codeword chosen )
//! stages     each has at most dim symbols; the first codes the vector, each later one the residual of those before
//! windows    a symbol's codewords cover its own run of dims and the runs of the symbols after it (`stage`)
//! rotation   none, or the directions that the runs consist of (`rotation`)
//! code       [symbols / 2, rounded up] u8, two symbols per byte, low nibble first; then the side byte if there is one
//! ```
//!
//! This is additive quantization (Babenko, Lempitsky: Additive Quantization for Extreme Vector Compression, CVPR 2014)
//! with codewords of bounded support. Symbols are therefore chosen by a search through a trellis, as in trellis-coded
//! quantization (Marcellin, Fischer, IEEE Trans. Comm. 1990). Windows of one run are product quantization (Jégou,
//! Douze, Schmid: Product Quantization for Nearest Neighbor Search, PAMI 2011). Decoder, file and scan are the same for
//! all widths.
//!
//! Training: `sample` (scaled rows), `trial` (dims or directions), `train` (stage by stage, with `kmeans` and `fit`).
//! The codebook: `plan` (its shape), `book` (its bytes). Codes: `codes` (encode, decode), `table` (scores for a query).

mod book;
mod codes;
mod fit;
mod kmeans;
mod plan;
mod rotation;
mod sample;
mod stage;
mod table;
mod train;
mod trial;

use super::coder::Coder;
use super::scale::Scale;
use super::shape::Shape;
use super::table::QueryTable;
use crate::error::Result;
use crate::kernels::{CodeLayout, kernels};
use crate::metric::Metric;
use crate::work::Work;
pub use book::WINDOWS;
pub(super) use book::{is_unit, metric_of_side, parse_side};
pub(super) use codes::Windows;
pub(super) use plan::side_metric;
pub(super) use rotation::{Principal, Rotation};
pub(super) use sample::Sample;
pub(super) use stage::{Stage, StageLayout};
use std::sync::Arc;
pub(super) use train::TrainingProgress;
pub(super) use trial::{better_shape, may_be_learned};

/// Learns a codebook and returns its stored form. `Codebook::train` has checked the arguments.
pub(super) fn train(sample: &[f32], shape: &Shape, seed: u64, work: &mut Work) -> Result<Vec<u8>> {
    train::train(sample, shape, seed, work)
}

/// Parses a stored codebook, which is not trusted.
pub(super) fn parse(bytes: &[u8]) -> std::result::Result<Arc<dyn Coder>, String> {
    Ok(Arc::new(book::parse(bytes)?))
}

/// Upper bound on the bytes of a stored codebook of `shape`, if its runs are about even.
pub(super) fn stored_bytes(shape: &Shape) -> usize {
    book::stored_bytes(shape)
}

/// Checks the parameters that only window codes have; the error says what is wrong.
pub(super) fn check(shape: &Shape) -> std::result::Result<(), String> {
    plan::check(shape)
}

/// Number of stages of codes of `shape`.
pub(super) fn stages(shape: &Shape) -> usize {
    plan::stage_symbols(shape).len()
}

impl Coder for Windows {
    fn dim(&self) -> usize {
        Windows::dim(self)
    }

    fn layout(&self) -> CodeLayout {
        Windows::layout(self)
    }

    fn scale(&self) -> &Scale {
        &self.scale
    }

    fn is_cut(&self, row: &[f32], scale: f32) -> bool {
        Windows::is_cut(self, row, scale)
    }

    fn error_of(&self, row: &[f32], scale: f32) -> f64 {
        Windows::error_of(self, row, scale)
    }

    fn encode(&self, rows: &[f32], codes: &mut [u8]) {
        Windows::encode(self, rows, codes);
    }

    fn decode(&self, codes: &[u8], rows: &mut [f32]) {
        Windows::decode(self, codes, rows);
    }

    fn table<'a>(&'a self, metric: Metric, query: &[f32]) -> Option<QueryTable<'a>> {
        table::table(self, metric, query)
    }

    fn l2_norm(&self, decoded: &[f32]) -> f32 {
        kernels().l2sq(decoded, &self.means)
    }

    fn agrees(&self, code: &[u8], decoded: &[f32], bound: f32) -> bool {
        match (&self.side, code.last()) {
            (Some(side), Some(byte)) => side.agrees(*byte, decoded, &self.means, bound),
            _ => true,
        }
    }

    fn corrected(&self, code: &[u8], decoded: &[f32], query: &[f32], distance: f32) -> f32 {
        match (&self.side, code.last()) {
            (Some(side), Some(byte)) => side.corrected(*byte, decoded, &self.means, query, distance),
            _ => distance,
        }
    }
}
