//! The parameters of a search, and the tiles that its queries are divided into.

use crate::kernels;
use crate::metric::Metric;

/// Queries that share one pass over the rows. Their tables stay in the cache.
pub const QUERIES_PER_TILE: usize = 16;

/// A search: the queries and how to search for them.
#[derive(Clone, Copy, Debug)]
pub struct SearchRequest<'a> {
    /// `[nq][dim]`, nq at least 1.
    pub queries: &'a [f32],
    /// Neighbours per query, at least 1.
    pub k: usize,
    /// Distance metric.
    pub metric: Metric,
    /// True: distances to codes are those to the decoded vectors, not estimates of those to the inserted vectors.
    pub is_exact: bool,
    /// The fraction of a segment's inverted lists to visit, 0 to 1; 0: the number that compress measured.
    pub effort: f64,
    /// Farther vectors are not found.
    pub max_distance: f32,
    /// Number of candidates to rerank if scores are coarse; values below k count as k; 0: chosen from k.
    pub rerank: usize,
}

impl SearchRequest<'_> {
    /// True if vectors beyond some distance are not found.
    pub fn is_bounded(&self) -> bool {
        self.max_distance < f32::INFINITY
    }
}

/// Queries of a request that are answered together.
pub struct Tile<'a> {
    /// The request they belong to.
    pub request: SearchRequest<'a>,
    /// At most [`QUERIES_PER_TILE`].
    pub queries: Vec<&'a [f32]>,
    /// ‖q‖² of each.
    norms: Vec<f32>,
}

impl<'a> Tile<'a> {
    /// The tiles of `request`, whose queries have `dim` floats each.
    pub fn all(request: &SearchRequest<'a>, dim: usize) -> impl Iterator<Item = Tile<'a>> {
        let request = *request;
        request
            .queries
            .chunks(QUERIES_PER_TILE * dim)
            .map(move |queries| Tile::new(request, queries.chunks_exact(dim).collect()))
    }

    /// The tile of `queries`, at most [`QUERIES_PER_TILE`].
    pub fn new(request: SearchRequest<'a>, queries: Vec<&'a [f32]>) -> Tile<'a> {
        let norms = queries.iter().map(|query| kernels::dot(query, query)).collect();
        Tile { request, queries, norms }
    }

    /// `[queries]`: ‖q‖².
    pub fn norms(&self) -> &[f32] {
        &self.norms
    }

    /// The distance of `vector: [dim]` to query number `query` of the tile.
    pub fn distance(&self, query: usize, vector: &[f32]) -> f32 {
        kernels::distance(self.request.metric, self.queries[query], self.norms[query], vector)
    }

    /// The distance of query number `query` to every vector, if all are equally far: a query of zeros has no direction.
    pub fn distance_of_all(&self, query: usize) -> Option<f32> {
        let is_one = self.request.metric != Metric::L2 && self.queries[query].iter().all(|component| *component == 0.0);
        is_one.then(|| self.distance(query, self.queries[query]))
    }
}
