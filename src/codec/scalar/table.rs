//! The products of a query with the symbols of scalar codes.

use super::codes::Scalar;
use crate::codec::table::QueryTable;
use crate::kernels::Lanes;
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
/// product is minus half the squared distance in its dim, else it is the inner product.
fn products(scalar: &Scalar, metric: Metric, query: &[f32]) -> Vec<Lanes> {
    let product =
        |(dim, middles): (usize, [f32; 16])| {
            let query = query[dim];
            Lanes(middles.map(|value| {
                if metric == Metric::L2 { -0.5 * (query - value) * (query - value) } else { query * value }
            }))
        };
    scalar.symbol_values().map(product).collect()
}

/// The variance of the sum of products: a value is anywhere in the range of its symbol. For L2 that of a row that is near
/// the query in every dim.
fn variance(scalar: &Scalar, metric: Metric, query: &[f32]) -> f64 {
    let of_symbol = |(dim, middles): (usize, [f32; 16])| {
        let (query, width) = (f64::from(query[dim]), f64::from(middles[1]) - f64::from(middles[0]));
        let off = match metric {
            Metric::L2 => {
                let beyond = (f64::from(middles[0]) - query).max(query - f64::from(middles[15])).max(0.0);
                (beyond + width / 2.0).powi(2)
            }
            _ => query * query,
        };
        off * width * width / 12.0
    };
    scalar.symbol_values().map(of_symbol).sum()
}

/// `[symbols]`: the squares of the symbols' values; their sum over a code estimates the squared length of its vector.
fn squares(scalar: &Scalar) -> Vec<Lanes> {
    scalar.symbol_values().map(|(_, middles)| Lanes(middles.map(|value| value * value))).collect()
}
