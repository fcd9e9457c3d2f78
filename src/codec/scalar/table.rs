//! The products of a query with the symbols of scalar codes.

use super::codes::{Scalar, SymbolDim};
use crate::codec::table::QueryTable;
use crate::kernels::{CODEWORDS, Lanes};
use crate::metric::Metric;

/// See `Codebook::table`. `None` for codes without symbols.
pub(super) fn table(scalar: &Scalar, metric: Metric, query: &[f32]) -> Option<QueryTable<'static>> {
    let layout = scalar.layout();
    if layout.symbols == 0 {
        return None;
    }
    let table = QueryTable::coarse(layout, metric, products(scalar, metric, query), variance(scalar, metric, query))?;
    if metric == Metric::Cosine { table.with_squares(squares(scalar), query) } else { Some(table) }
}

/// `[symbols]`: products whose sum over a code estimates its distance to `query: [dim]` from the symbols. For L2 a
/// product is minus half the squared distance in the symbol's dims, else it is the inner product.
fn products(scalar: &Scalar, metric: Metric, query: &[f32]) -> Vec<Lanes> {
    sums(scalar, |dim, value| {
        let query = query[dim];
        if metric == Metric::L2 { -0.5 * (query - value) * (query - value) } else { query * value }
    })
}

/// `[symbols]`: for each value of a symbol, the sum of `of(dim, value)` over its dims.
fn sums(scalar: &Scalar, of: impl Fn(usize, f32) -> f32) -> Vec<Lanes> {
    let mut sums = vec![Lanes([0.0; CODEWORDS]); scalar.layout().symbols];
    for SymbolDim { symbol, dim, middles, .. } in scalar.symbol_dims() {
        sums[symbol].0.iter_mut().zip(middles).for_each(|(sum, value)| *sum += of(dim, value));
    }
    sums
}

/// The variance of the sum of products, and its growth with the sum: a value is anywhere in the range of its symbol, of
/// width w. An inner product varies by q²·w²/12 in each dim. A squared distance varies by (q − x)²·w²/12, and dims
/// contribute to it in proportion to w², since all ranges are cut into as many symbols; half the sum of (q − x)² is the
/// sum of products.
fn variance(scalar: &Scalar, metric: Metric, query: &[f32]) -> (f64, f64) {
    let widths = scalar.symbol_dims().map(|told| (told.dim, f64::from(told.width)));
    if metric != Metric::L2 {
        return (widths.map(|(dim, width)| (f64::from(query[dim]) * width).powi(2) / 12.0).sum(), 0.0);
    }
    let (squares, fourths) = widths.fold((0.0, 0.0), |(squares, fourths), (_, width)| {
        let square = width * width;
        (squares + square, fourths + square * square)
    });
    (0.0, if squares > 0.0 { 2.0 * fourths / squares / 12.0 } else { 0.0 })
}

/// `[symbols]`: the squares of the symbols' values; their sum over a code estimates the squared length of its vector.
fn squares(scalar: &Scalar) -> Vec<Lanes> {
    sums(scalar, |_, value| value * value)
}
