//! A tile of queries as the codes of one class see it: rows were divided by the scale of the class before they were coded.
//!
//! ```text
//! L2              ‖q − s·x̂‖² = s² ‖q ÷ s − x̂‖²
//! inner product   ⟨q, s·x̂⟩ = s ⟨q, x̂⟩
//! ```
//! Scales are powers of two, so a distance is the same to the bit as that to the row that was multiplied. Cosines do not
//! depend on scales.

use super::request::{SearchRequest, Tile};
use super::top::TopK;
use crate::metric::Metric;
use crate::segment::scales::{LengthRange, RowClass};

/// A length that is computed from floats is at most this much too long or too short, relative to it.
const ROUNDING: f32 = 1e-5;

/// The queries of a tile, divided by a scale where the metric needs it.
pub struct ClassTile<'a> {
    request: SearchRequest<'a>,
    /// `[queries][dim]`
    queries: Vec<f32>,
    dim: usize,
    /// A distance in the class times this is the distance.
    factor: f64,
    /// `[queries]`: no row of the class is nearer.
    least_distances: Vec<f32>,
}

impl<'a> ClassTile<'a> {
    /// The queries of `tile` for the codes of the rows of `class`.
    pub fn new(tile: &Tile<'a>, class: &RowClass) -> ClassTile<'a> {
        let scale = class.scale;
        let (divisor, factor) = match tile.request.metric {
            Metric::L2 => (scale, f64::from(scale).powi(2)),
            Metric::InnerProduct => (1.0, f64::from(scale)),
            Metric::Cosine => (1.0, 1.0),
        };
        let queries: Vec<f32> =
            tile.queries.iter().flat_map(|query| query.iter().map(|value| value / divisor)).collect();
        let dim = queries.len() / tile.queries.len();
        let least = |norm_sq: &f32| least_distance(tile.request.metric, norm_sq.sqrt(), class.lengths);
        let least_distances = tile.norms().iter().map(least).collect();
        ClassTile { request: tile.request, queries, dim, factor, least_distances }
    }

    /// The tile as the class sees it.
    pub fn tile(&self) -> Tile<'_> {
        let request = SearchRequest { max_distance: self.in_class(self.request.max_distance), ..self.request };
        Tile::new(request, self.queries.chunks_exact(self.dim).collect())
    }

    /// No row of the class is nearer to query number `query`, as it was inserted.
    pub fn least_distance(&self, query: usize) -> f32 {
        self.least_distances[query]
    }

    /// The distance that is `distance` in the class.
    pub fn distance(&self, distance: f32) -> f32 {
        self.request.metric.in_range((f64::from(distance) * self.factor) as f32)
    }

    fn in_class(&self, distance: f32) -> f32 {
        (f64::from(distance) / self.factor) as f32
    }

    /// As `tops`, without neighbours, for distances in the class.
    pub fn tops(&self, tops: &[TopK]) -> Vec<TopK> {
        tops.iter().map(|top| TopK::new(top.k(), self.in_class(top.bound()))).collect()
    }

    /// Offers to `tops` the neighbours that were `found` in the class.
    pub fn offer(&self, found: Vec<TopK>, tops: &mut [TopK]) {
        for (top, found) in tops.iter_mut().zip(found) {
            for near in found.into_sorted() {
                top.offer(self.distance(near.distance), near.id);
            }
        }
    }
}

/// The least distance that a query of length `norm` can have to a row with one of `lengths`.
fn least_distance(metric: Metric, norm: f32, lengths: LengthRange) -> f32 {
    match metric {
        Metric::L2 => {
            (norm * (1.0 - ROUNDING) - lengths.most).max(lengths.least - norm * (1.0 + ROUNDING)).max(0.0).powi(2)
        }
        Metric::InnerProduct => -norm * lengths.most * (1.0 + ROUNDING),
        Metric::Cosine => 0.0,
    }
}
