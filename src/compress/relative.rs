//! The relative error of rows under a codebook, in the terms of the metric.

use super::encode::{RowError, encode_alone};
use crate::codec::Codebook;
use crate::format::Measured;
use crate::metric::Metric;

/// Relative MSE of rows with these `errors`; NaN if there are none.
///
/// Cosine ignores the lengths of vectors: each row counts the same, with its error relative to its own length.
pub fn relative(errors: &[RowError], metric: Option<Metric>) -> f64 {
    if errors.is_empty() {
        return f64::NAN;
    }
    let mut sum = Measured::default();
    errors.iter().for_each(|row| sum.add(*row, metric == Some(Metric::Cosine), 0.0));
    if sum.energy > 0.0 { sum.error / sum.energy } else { 0.0 }
}

/// Relative MSE of `rows: [n][dim]` under `book`; NaN if there are none.
pub fn relative_mse(book: &Codebook, rows: &[f32], metric: Option<Metric>, threads: usize) -> f64 {
    relative(&encode_alone(book, rows, threads).1, metric)
}
