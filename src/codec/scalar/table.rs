//! The products of a query with the symbols of scalar codes.

use super::codes::{OtherDim, Scalar, SymbolDim};
use crate::codec::table::QueryTable;
use crate::kernels::{CODEWORDS, Lanes};
use crate::metric::Metric;

/// For cosines, dims without a symbol may vary by one part in this many of the squared length of a vector.
const VARYING_PARTS: f32 = 64.0;

/// See `Codebook::table`. `None` for codes without symbols, or whose symbols do not tell directions.
pub(super) fn table(scalar: &Scalar, metric: Metric, query: &[f32]) -> Option<QueryTable<'static>> {
    let layout = scalar.layout();
    if layout.symbols == 0 {
        return None;
    }
    let products = (fixed(scalar, metric, query), products(scalar, metric, query));
    let table = QueryTable::coarse(layout, metric, products, variance(scalar, metric, query))?;
    if metric == Metric::Cosine { table.with_squares(squares(scalar)?, query) } else { Some(table) }
}

/// The product of a query's and a vector's value in one dim. For L2 it is minus half the squared distance.
fn product(metric: Metric, query: f32, value: f32) -> f32 {
    if metric == Metric::L2 { -0.5 * (query - value) * (query - value) } else { query * value }
}

/// `[symbols]`: products whose sum over a code estimates its distance to `query: [dim]` from the symbols.
fn products(scalar: &Scalar, metric: Metric, query: &[f32]) -> Vec<Lanes> {
    sums(scalar, |dim, value| product(metric, query[dim], value))
}

/// The average sum of the products of dims without a symbol. Their values may be anywhere in their ranges.
fn fixed(scalar: &Scalar, metric: Metric, query: &[f32]) -> f32 {
    let of = |told: OtherDim| {
        let spread = if metric == Metric::L2 { -0.5 * told.width * told.width / 12.0 } else { 0.0 };
        product(metric, query[told.dim], told.middle) + spread
    };
    scalar.other_dims().map(of).sum()
}

/// `[symbols]`: for each value of a symbol, the sum of `of(dim, value)` over its dims.
fn sums(scalar: &Scalar, of: impl Fn(usize, f32) -> f32) -> Vec<Lanes> {
    let mut sums = vec![Lanes([0.0; CODEWORDS]); scalar.layout().symbols];
    for SymbolDim { symbol, dim, middles, .. } in scalar.symbol_dims() {
        sums[symbol].0.iter_mut().zip(middles).for_each(|(sum, value)| *sum += of(dim, value));
    }
    sums
}

/// The variance of the sum of products: a number, and a factor of the sum over symbols.
///
/// A value may be anywhere in a range of width w: the range of its symbol, or that of its dim if it has no symbol. The
/// variance of an inner product is q²·w²/12 in each dim. That of half a squared distance is d²·w²/12 + w⁴/720, where d is the
/// distance of q to the middle of the range. For dims with symbols, the sum of d² is twice the sum of products. Each such dim
/// has a share of it in proportion to w², because most ranges are cut into the same number of parts.
fn variance(scalar: &Scalar, metric: Metric, query: &[f32]) -> (f64, f64) {
    let widths = scalar.symbol_dims().map(|told| (told.dim, f64::from(told.width)));
    let others = scalar.other_dims().map(|told| (told.dim, f64::from(told.width), f64::from(told.middle)));
    if metric != Metric::L2 {
        let all = widths.chain(others.map(|(dim, width, _)| (dim, width)));
        return (all.map(|(dim, width)| (f64::from(query[dim]) * width).powi(2) / 12.0).sum(), 0.0);
    }
    let of_others = others.map(|(dim, width, middle)| {
        let (square, distance) = (width * width, f64::from(query[dim]) - middle);
        square * (distance * distance / 12.0 + square / 720.0)
    });
    let (squares, fourths) = widths.fold((0.0, 0.0), |(squares, fourths), (_, width)| {
        let square = width * width;
        (squares + square, fourths + square * square)
    });
    (of_others.sum(), if squares > 0.0 { 2.0 * fourths / squares / 12.0 } else { 0.0 })
}

/// What dims without a symbol add to the squared length of a vector on average; and `[symbols]`, the squares of the symbols'
/// values. Their sum over a code estimates that length. `None` if it varies too much.
fn squares(scalar: &Scalar) -> Option<(f32, Vec<Lanes>)> {
    let others = |of: fn(OtherDim) -> f32| -> f32 { scalar.other_dims().map(of).sum() };
    let varying = others(|told| told.width * told.width / 12.0);
    let (fixed, squares) = (varying + others(|told| told.middle * told.middle), sums(scalar, |_, value| value * value));
    let typical = fixed + squares.iter().map(|lanes| lanes.0.iter().sum::<f32>() / CODEWORDS as f32).sum::<f32>();
    (varying * VARYING_PARTS <= typical).then_some((fixed, squares))
}
