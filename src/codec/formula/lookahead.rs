//! The search that formula words are made for, in its plainest form: a yardstick for the tests of plan and words.

use super::plan::RatePlan;
use crate::kernels::CODEWORDS;

/// A choice of the symbols so far.
#[derive(Clone)]
struct Path {
    /// The squared error in final dims.
    cost: f32,
    /// `[coded]`: the row without the words chosen.
    rest: Vec<f32>,
}

/// The squared error of `row: [coded]` as `kept` paths code it. A path is weighed by its squared error in final dims,
/// and in open dims by what later symbols will leave of it; the cheapest paths of all survive.
pub(super) fn squared_error(plan: &RatePlan, words: &[f32], row: &[f32], kept: usize) -> f32 {
    let mut paths = vec![Path { cost: 0.0, rest: row.to_vec() }];
    for (symbol, window) in plan.windows.iter().enumerate() {
        let shares = &plan.shares[RatePlan::shares_of(window)];
        let words = &words[window.offset..window.offset + CODEWORDS * window.width];
        let dims = window.first..window.first + window.width;
        let mut ways = Vec::with_capacity(paths.len() * CODEWORDS);
        for (number, path) in paths.iter().enumerate() {
            for (word, components) in words.chunks_exact(window.width).enumerate() {
                let parts = path.rest[dims.clone()].iter().zip(components).zip(shares);
                let cost = parts.fold(path.cost, |sum, ((value, component), share)| {
                    sum + share.weight * (value - component) * (value - component)
                });
                ways.push((cost, number, word));
            }
        }
        ways.sort_by(|a, b| a.0.total_cmp(&b.0));
        let own = plan.boundaries[symbol]..plan.boundaries[symbol + 1];
        let follow = |(_, number, word): &(f32, usize, usize)| {
            let mut path = paths[*number].clone();
            let components = &words[word * window.width..(word + 1) * window.width];
            path.rest[dims.clone()].iter_mut().zip(components).for_each(|(value, component)| *value -= component);
            path.cost += path.rest[own.clone()].iter().map(|value| value * value).sum::<f32>();
            path
        };
        paths = ways.iter().take(kept).map(follow).collect();
    }
    paths.iter().map(|path| path.cost).fold(f32::MAX, f32::min)
}

#[cfg(test)]
mod tests {
    use super::super::words::words;
    use super::{RatePlan, squared_error};
    use crate::codec::random::Random;

    #[test]
    fn normal_rows_are_coded_near_the_bound() {
        let (plan, mut random) = (RatePlan::new(&[0.0; 128], 64), Random::new(1, 2));
        let words = words(&plan, 1.0, 1);
        let rows = 300;
        let mut sum = 0.0;
        for _ in 0..rows {
            let row: Vec<f32> = (0..128).map(|_| random.normal()).collect();
            sum += squared_error(&plan, &words, &row, 48);
        }
        // 0.0807 was measured on 2,000 rows; the bound of a normal distribution is 0.0625.
        let error = sum / (rows * 128) as f32;
        assert!((0.0785..0.083).contains(&error), "{error}");
    }
}
