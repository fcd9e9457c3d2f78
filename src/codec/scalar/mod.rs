//! Scalar codes: one integer for each dim.
//!
//! ```text
//! grids      dim d has bits[d], 0 to 16: value = low[d] + step[d] · number       (`grid`)
//! halves     each dim is a half                                                  (`half`)
//! symbols    the four highest bits of each dim with four bits or more; dims with fewer bits share symbols (`codes`)
//! code       the symbols, two per byte, low nibble first; then the other bits of the numbers, lowest bit first,
//!            dim after dim, without gaps; unused bits are zero
//! ```
//! `train` chooses the grids, `book` has the stored bytes, `codes` encodes and decodes. Scores use the symbols only
//! (`table`): they are coarse, and a scan reads a quarter to all of the bytes of the codes.

mod book;
mod codes;
mod grid;
mod half;
mod table;
mod train;

use super::coder::Coder;
use super::scale::Scale;
use super::shape::Shape;
use super::table::QueryTable;
use crate::error::Result;
use crate::kernels::CodeLayout;
use crate::metric::Metric;
use crate::work::Work;
pub use book::SCALAR;
use codes::Scalar;
use std::sync::Arc;

/// Learns a codebook and returns its stored form. `Codebook::train` has checked the arguments.
pub(super) fn train(sample: &[f32], shape: &Shape, work: &mut Work) -> Result<Vec<u8>> {
    train::train(sample, shape, work)
}

/// The stored form of a lossless codebook for `sample: [n][dim]`; `None` if a value is not a whole number, or if a dim needs
/// more than four bits.
pub(super) fn exact(sample: &[f32], dim: usize) -> Option<Vec<u8>> {
    train::exact(sample, dim)
}

/// Parses a stored codebook, which is not trusted.
pub(super) fn parse(bytes: &[u8]) -> std::result::Result<Arc<dyn Coder>, String> {
    Ok(Arc::new(book::parse(bytes)?))
}

/// The most bytes of a stored codebook of `shape`.
pub(super) fn stored_bytes(shape: &Shape) -> usize {
    book::stored_bytes(shape)
}

impl Coder for Scalar {
    fn dim(&self) -> usize {
        Scalar::dim(self)
    }

    fn layout(&self) -> CodeLayout {
        Scalar::layout(self)
    }

    fn scale(&self) -> &Scale {
        &self.scale
    }

    fn is_cut(&self, row: &[f32], scale: f32) -> bool {
        Scalar::is_cut(self, row, scale)
    }

    fn error_of(&self, row: &[f32], scale: f32) -> f64 {
        Scalar::error_of(self, row, scale)
    }

    fn encode(&self, rows: &[f32], codes: &mut [u8]) {
        Scalar::encode(self, rows, codes);
    }

    fn decode(&self, codes: &[u8], rows: &mut [f32]) {
        Scalar::decode(self, codes, rows);
    }

    fn table<'a>(&'a self, metric: Metric, query: &[f32]) -> Option<QueryTable<'a>> {
        table::table(self, metric, query)
    }

    fn l2_norm(&self, _decoded: &[f32]) -> f32 {
        // The products already sum to the whole distance.
        0.0
    }
}
