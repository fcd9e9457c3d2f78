//! True distances in f64, and which answers count as found.

use crate::generators::Data;
use omen::metric::Metric;

/// Neighbours of a query.
pub const K: usize = 10;

/// The k-th true distance of each query, and what is needed to measure others.
pub struct Truth<'a> {
    data: &'a Data,
    /// ‖x‖² of rows and of queries.
    row_norms: Vec<f64>,
    query_norms: Vec<f64>,
    /// For each metric, `[nq]`: the distance of the farthest of the k nearest.
    kth: [Vec<f64>; 3],
}

impl<'a> Truth<'a> {
    pub fn new(data: &'a Data) -> Truth<'a> {
        let norms = |rows: &[f32]| rows.chunks_exact(data.dim).map(|row| dot(row, row)).collect();
        let (row_norms, query_norms) = (norms(&data.rows), norms(&data.queries));
        let mut truth = Truth { data, row_norms, query_norms, kth: Default::default() };
        let n = data.n();
        let mut kth: [Vec<f64>; 3] = Default::default();
        let mut distances = vec![0.0; n];
        for query in 0..truth.query_norms.len() {
            let dots: Vec<f64> = data.rows.chunks_exact(data.dim).map(|row| dot(row, truth.query(query))).collect();
            for (metric, kth) in Metric::ALL.iter().zip(&mut kth) {
                for row in 0..n {
                    distances[row] = truth.distance_of(*metric, query, row, dots[row]);
                }
                let at = K.min(n) - 1;
                kth.push(*distances.select_nth_unstable_by(at, f64::total_cmp).1);
            }
        }
        truth.kth = kth;
        truth
    }

    fn query(&self, query: usize) -> &[f32] {
        &self.data.queries[query * self.data.dim..][..self.data.dim]
    }

    fn distance_of(&self, metric: Metric, query: usize, row: usize, dot: f64) -> f64 {
        let (q, x) = (self.query_norms[query], self.row_norms[row]);
        match metric {
            Metric::L2 => q - 2.0 * dot + x,
            Metric::InnerProduct => -dot,
            Metric::Cosine if q == 0.0 || x == 0.0 => 1.0,
            Metric::Cosine => 1.0 - dot / (q * x).sqrt(),
        }
    }

    /// The distance of a query to a stored row.
    pub fn distance(&self, metric: Metric, query: usize, row: usize) -> f64 {
        self.distance_of(metric, query, row, dot(self.query(query), self.data.row(row)))
    }

    /// Distances that differ by less than this are equal: what the rounding of f32 sums may hide.
    pub fn resolution(&self, metric: Metric, query: usize, row: usize) -> f64 {
        let (q, x) = (self.query_norms[query], self.row_norms[row]);
        match metric {
            Metric::L2 => 1e-5 * self.distance(metric, query, row).abs() + 1e-12 * (q + x),
            Metric::InnerProduct => 1e-6 * (q * x).sqrt(),
            Metric::Cosine => 5e-7,
        }
    }

    /// True if a row that was found is as near to the query as its k-th neighbour.
    pub fn is_hit(&self, metric: Metric, query: usize, found: u64) -> bool {
        let (row, kth) = (found as usize, self.kth[metric as usize][query]);
        row < self.data.n() && self.distance(metric, query, row) <= kth + self.resolution(metric, query, row)
    }
}

/// In f64, in eight sums, which the compiler turns into registers.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    let (a_blocks, a_rest) = a.as_chunks::<8>();
    let (b_blocks, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..8 {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    sums.iter().sum::<f64>() + rest
}
