//! The products of a query with the codewords of window codes.

use super::codes::Windows;
use super::rotation::rotate;
use crate::codec::table::QueryTable;
use crate::kernels::{Lanes, kernels};
use crate::metric::Metric;

/// With more symbols the rounding error of a score could exceed 16 bits.
const SYMBOLS_MAX: usize = 32_000;

/// See `Codebook::table`. `None` if the side byte was trained for another metric.
pub(super) fn table<'a>(windows: &'a Windows, metric: Metric, query: &[f32]) -> Option<QueryTable<'a>> {
    let (side, layout) = (windows.side.as_ref(), windows.layout());
    // Without side bytes only inner products are sums over symbols.
    let is_served = side.map_or(metric == Metric::InnerProduct, |side| side.metric == metric);
    if !is_served || layout.symbols > SYMBOLS_MAX {
        return None;
    }
    QueryTable::fine(layout, side, metric, query, products(windows, metric, query))
}

/// ‖q − means‖² for L2, else ⟨q, means⟩; and `[symbols]`: the inner products of the codewords with the query, for L2
/// with the query minus the means.
fn products(windows: &Windows, metric: Metric, query: &[f32]) -> (f32, Vec<Lanes>) {
    let (mut from, mut fixed) = (query.to_vec(), 0.0);
    if metric == Metric::L2 {
        from.iter_mut().zip(&windows.means).for_each(|(value, mean)| *value -= mean);
        fixed += kernels().dot(&from, &from);
    } else {
        fixed += kernels().dot(query, &windows.means);
    }
    let mut rotated = rotate(&from, windows.rotation.as_ref());
    rotated.iter_mut().for_each(|value| *value *= windows.unit);
    let mut products = vec![Lanes::of(0.0); windows.layout().symbols];
    let mut rest = products.as_mut_slice();
    for stage in &windows.stages {
        let (own, behind) = rest.split_at_mut(stage.symbols());
        kernels().inner_products(&stage.layout.windows, stage.columns(), &rotated, own);
        rest = behind;
    }
    (fixed, products)
}
