//! The interface of every kind of codebook.
//!
//! A kind is a folder beside this file. `codec/mod.rs` uses only its `mod.rs`: a number for files, `train`, `parse`,
//! `stored_bytes`, and a type with this trait.

use super::scale::Scale;
use super::table::QueryTable;
use crate::kernels::CodeLayout;
use crate::metric::Metric;

/// A parsed codebook: everything needed to encode, decode and score the codes of one kind.
pub(super) trait Coder: Send + Sync {
    /// Components of a vector.
    fn dim(&self) -> usize;

    /// Symbols and side bytes of a code.
    fn layout(&self) -> CodeLayout;

    /// How rows are scaled before they are coded.
    fn scale(&self) -> &Scale;

    /// True if `row: [dim]` divided by `scale` has values far beyond those of the sample, or is too long for its code.
    fn is_cut(&self, row: &[f32], scale: f32) -> bool;

    /// About the squared error of `row: [dim]` divided by `scale`, before it is multiplied again.
    fn error_of(&self, row: &[f32], scale: f32) -> f64;

    /// See `Codebook::encode`.
    fn encode(&self, rows: &[f32], codes: &mut [u8]);

    /// See `Codebook::decode`.
    fn decode(&self, codes: &[u8], rows: &mut [f32]);

    /// See `Codebook::table`.
    fn table<'a>(&'a self, metric: Metric, query: &[f32]) -> Option<QueryTable<'a>>;

    /// The part of an L2 distance that depends only on the vector a code decodes to, `decoded: [dim]`, and that the
    /// products of [`Coder::table`] do not contain.
    fn l2_norm(&self, decoded: &[f32]) -> f32;

    /// See `Codebook::agrees`; true without a side byte.
    fn agrees(&self, _code: &[u8], _decoded: &[f32], _bound: f32) -> bool {
        true
    }

    /// See `Codebook::corrected`; `distance` without a side byte.
    fn corrected(&self, _code: &[u8], _decoded: &[f32], _query: &[f32], distance: f32) -> f32 {
        distance
    }
}
