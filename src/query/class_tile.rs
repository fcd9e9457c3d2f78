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
use crate::error::Result;
use crate::metric::Metric;

/// The queries of a tile, divided by a scale where the metric needs it.
pub struct ClassTile<'a> {
    tile: &'a Tile<'a>,
    /// `[queries][dim]`
    queries: Vec<f32>,
    /// A distance in the class times this is the distance.
    factor: f64,
}

impl<'a> ClassTile<'a> {
    /// The queries of `tile` for codes of rows that were divided by `scale`.
    pub fn new(tile: &'a Tile<'a>, scale: f32) -> ClassTile<'a> {
        let (divisor, factor) = match tile.request.metric {
            Metric::L2 => (scale, f64::from(scale).powi(2)),
            Metric::InnerProduct => (1.0, f64::from(scale)),
            Metric::Cosine => (1.0, 1.0),
        };
        let queries = tile.queries.iter().flat_map(|query| query.iter().map(|value| value / divisor)).collect();
        ClassTile { tile, queries, factor }
    }

    /// Lets `search` find the nearest rows of the class, and offers them to `tops`.
    pub fn offer_nearest(&self, tops: &mut [TopK], search: impl Fn(&Tile, &mut [TopK]) -> Result<()>) -> Result<()> {
        let in_class = |distance: f32| (f64::from(distance) / self.factor) as f32;
        let max_distance = in_class(self.tile.request.max_distance);
        let request = SearchRequest { queries: &self.queries, max_distance, ..self.tile.request };
        let mut found: Vec<TopK> = tops.iter().map(|top| TopK::new(top.k(), in_class(top.bound()))).collect();
        for tile in Tile::all(&request, self.queries.len() / self.tile.queries.len()) {
            search(&tile, &mut found)?;
        }
        for (top, found) in tops.iter_mut().zip(found) {
            for neighbour in found.into_sorted() {
                let distance = (f64::from(neighbour.distance) * self.factor) as f32;
                top.offer(self.tile.request.metric.in_range(distance), neighbour.id);
            }
        }
        Ok(())
    }
}
