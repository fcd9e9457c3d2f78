//! Which dims each symbol covers, and how many bits it spends on each of them.
//!
//! Dims are placed on a line by their bits: each takes as many symbols' worth of it as it has bits. A symbol spends
//! most on the dims around its own place on the line, and less on those that lie farther on (`KERNEL_BEFORE`,
//! `KERNEL_BEHIND`, `KERNEL_DECAY`). Proportional fitting makes every symbol spend the same number of bits and gives
//! each dim the bits of reverse water-filling.

use crate::codec::exponential::exp2;
use crate::codec::water_filling::water_level;
use crate::kernels::{CODEWORDS, Window};
use std::ops::Range;

/// Bits of a symbol.
const SYMBOL_BITS: f64 = 4.0;

/// A symbol covers dims up to this many symbols before its place, the mean of the kernel. With another value,
/// proportional fitting would tilt the kernel; 3 to 15 % more error.
const KERNEL_BEFORE: f64 = 1.600_282_364_257_654_7;

/// A symbol covers dims up to this many symbols behind its place: 8 in all. Longer windows need more paths.
const KERNEL_BEHIND: f64 = 8.0 - KERNEL_BEFORE;

/// log2 of how much less a symbol spends on a dim that is one symbol farther on: e^-0.6.
const KERNEL_DECAY: f64 = 0.6 * std::f64::consts::LOG2_E;

/// Rounds of proportional fitting, at most. They bring the bits of all symbols to within 0.7 %; five times as many make
/// no difference of 0.1 % in the error.
const FITTING_ROUNDS: usize = 200;

/// Fitting ends when every symbol spends its bits to within this share.
const FITTED: f64 = 1e-3;

/// A symbol does not cover a dim on which it would spend less than this share of the dim's bits.
const NEGLIGIBLE: f64 = 1e-6;

/// Dims with less than this share of the bits of the first dim are left out.
const LEAST_SHARE: f64 = 1e-3;

/// The fractional part of the golden ratio: consecutive multiples are spread evenly over 0..1.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Windows of symbols over the coded dims.
#[derive(Clone, Debug)]
pub(super) struct RatePlan {
    /// `[coded]`: the dims that are coded, in the order of the code; all others are left out.
    pub(super) order: Vec<usize>,
    /// `[symbols + 1]`: coded dims from `boundaries[j]` to `boundaries[j + 1]` are final behind symbol j. May repeat.
    pub(super) boundaries: Vec<usize>,
    /// `[symbols]`: a window begins with the first dim that is not final before its symbol. At least one dim each.
    pub(super) windows: Vec<Window>,
    /// `[width]` for each symbol, at [`RatePlan::shares_of`]: what the symbol does to each dim of its window.
    pub(super) shares: Vec<DimShare>,
}

/// What a symbol spends on a dim.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct DimShare {
    /// Bits that the symbol spends on the dim; 0 if it does not cover it.
    pub(super) bits: f64,
    /// By how much the symbol reduces the variance left in the dim, in units of the largest variance of all dims.
    pub(super) variance: f64,
    /// What later symbols leave of a squared error in the dim behind this symbol; 1 if the dim is final.
    pub(super) weight: f32,
}

impl RatePlan {
    /// The plan of a code of `symbols` symbols, at least one, for dims whose variances have these `logarithms: [dim]`
    /// to base 2, in units of the largest; minus infinity for dims to leave out. At least one is finite.
    pub(super) fn new(logarithms: &[f64], symbols: usize) -> RatePlan {
        let level = water_level(logarithms, SYMBOL_BITS * symbols as f64);
        let bits_of = |dim: usize| (logarithms[dim] - level) / 2.0;
        let order = deal(logarithms, bits_of);
        let bits: Vec<f64> = order.iter().map(|dim| bits_of(*dim)).collect();
        let mut fitting = RateFitting::new(&bits, symbols);
        fitting.fit();
        fitting.drop_negligible();
        let boundaries = fitting.boundaries();
        let windows = fitting.windows(&boundaries);
        let mut plan = RatePlan { order, boundaries, windows, shares: Vec::new() };
        plan.shares = plan.shares(&fitting, |coded| exp2(logarithms[plan.order[coded]]));
        plan
    }

    /// The positions of `window` in [`RatePlan::shares`].
    pub(super) fn shares_of(window: &Window) -> Range<usize> {
        let start = window.offset / CODEWORDS;
        start..start + window.width
    }

    fn shares(&self, fitting: &RateFitting<'_>, variance_of: impl Fn(usize) -> f64) -> Vec<DimShare> {
        let variances: Vec<f64> = (0..self.order.len()).map(variance_of).collect();
        let (mut spent, totals) = (vec![0.0; variances.len()], fitting.sums());
        let mut shares = Vec::new();
        for (window, (range, rates)) in self.windows.iter().zip(fitting.rows()) {
            for dim in window.first..window.first + window.width {
                let bits = dim.checked_sub(range.start).and_then(|index| rates.get(index)).copied().unwrap_or(0.0);
                let before = exp2(-2.0 * spent[dim]);
                spent[dim] += bits;
                let behind = exp2(-2.0 * spent[dim]);
                let weight = exp2(-2.0 * (totals[dim] - spent[dim]).max(0.0)) as f32;
                shares.push(DimShare { bits, variance: variances[dim] * (before - behind), weight });
            }
        }
        shares
    }
}

/// The dims to code, by falling bits, then dealt by the golden ratio. Dims of many bits are thereby spread, and none
/// of them lies at an end, where few symbols would cover it.
fn deal(logarithms: &[f64], bits_of: impl Fn(usize) -> f64) -> Vec<usize> {
    let mut falling: Vec<usize> = (0..logarithms.len()).collect();
    falling.sort_by(|a, b| logarithms[*b].total_cmp(&logarithms[*a]));
    let least = falling.first().map_or(0.0, |dim| bits_of(*dim) * LEAST_SHARE);
    let coded = falling.iter().take_while(|dim| bits_of(**dim) > least);
    let place = |rank: usize| {
        let turns = rank as f64 * GOLDEN + 0.5;
        turns - turns.floor()
    };
    let mut dealt: Vec<(f64, usize)> = coded.enumerate().map(|(rank, dim)| (place(rank), *dim)).collect();
    dealt.sort_by(|a, b| a.0.total_cmp(&b.0));
    dealt.into_iter().map(|(_, dim)| dim).collect()
}

/// The matrix of bits that each symbol spends on each dim. A symbol covers consecutive dims, so it is a band.
struct RateFitting<'a> {
    /// `[coded]`: bits of each dim.
    totals: &'a [f64],
    /// `[symbols]`: the dims that each symbol covers; at least one each, both ends rising.
    ranges: Vec<Range<usize>>,
    /// The bits of each symbol in its range, symbol by symbol.
    rates: Vec<f64>,
}

impl RateFitting<'_> {
    /// The kernel around the place of each symbol.
    fn new(totals: &[f64], symbols: usize) -> RateFitting<'_> {
        let all: f64 = totals.iter().sum();
        let mut before = 0.0;
        let place = |bits: &f64| {
            let middle = before + bits / 2.0;
            before += bits;
            middle / all * symbols as f64
        };
        let places: Vec<f64> = totals.iter().map(place).collect();
        let (mut ranges, mut rates) = (Vec::with_capacity(symbols), Vec::new());
        for symbol in 0..symbols {
            let own = symbol as f64 + 0.5;
            let range = covered(&places, own);
            let rate = |dim: usize| totals[dim] * exp2(-KERNEL_DECAY * (places[dim] - own));
            rates.extend(range.clone().map(rate));
            ranges.push(range);
        }
        RateFitting { totals, ranges, rates }
    }

    /// The range and the bits of each symbol.
    fn rows(&self) -> impl Iterator<Item = (&Range<usize>, &[f64])> {
        let mut rest = self.rates.as_slice();
        self.ranges.iter().map(move |range| {
            let (row, behind) = rest.split_at(range.len());
            rest = behind;
            (range, row)
        })
    }

    /// Multiplies the bits of each symbol, and then those of each dim, until both have the sums they should have.
    fn fit(&mut self) {
        let each = self.totals.iter().sum::<f64>() / self.ranges.len() as f64;
        for _ in 0..FITTING_ROUNDS {
            let mut sums = vec![0.0; self.totals.len()];
            let (mut start, mut is_fitted) = (0, true);
            for range in &self.ranges {
                let row = &mut self.rates[start..start + range.len()];
                let factor = each / row.iter().sum::<f64>().max(f64::MIN_POSITIVE);
                is_fitted &= (factor - 1.0).abs() < FITTED;
                for (rate, sum) in row.iter_mut().zip(&mut sums[range.clone()]) {
                    *rate *= factor;
                    *sum += *rate;
                }
                start += range.len();
            }
            self.scale_dims(&sums);
            if is_fitted {
                break;
            }
        }
    }

    /// Multiplies the bits of each dim, which have these `sums`, so that they have the sum they should have.
    fn scale_dims(&mut self, sums: &[f64]) {
        let factors: Vec<f64> =
            self.totals.iter().zip(sums).map(|(total, sum)| total / sum.max(f64::MIN_POSITIVE)).collect();
        let mut start = 0;
        for range in &self.ranges {
            let row = &mut self.rates[start..start + range.len()];
            row.iter_mut().zip(&factors[range.clone()]).for_each(|(rate, factor)| *rate *= factor);
            start += range.len();
        }
    }

    /// `[coded]`: the bits that all symbols spend on each dim, added in the order of the symbols.
    fn sums(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.totals.len()];
        for (range, rates) in self.rows() {
            sums[range.clone()].iter_mut().zip(rates).for_each(|(sum, rate)| *sum += rate);
        }
        sums
    }

    fn drop_negligible(&mut self) {
        let dims = self.ranges.iter().flat_map(Range::clone);
        for (rate, dim) in self.rates.iter_mut().zip(dims) {
            if *rate < NEGLIGIBLE * self.totals[dim] {
                *rate = 0.0;
            }
        }
    }

    /// See [`RatePlan::boundaries`]. The last dim is final behind the last symbol only, so that no window is empty.
    fn boundaries(&self) -> Vec<usize> {
        let mut last = vec![0; self.totals.len()];
        for (symbol, (range, rates)) in self.rows().enumerate() {
            let covered = range.clone().zip(rates).filter(|(_, rate)| **rate > 0.0);
            covered.for_each(|(dim, _)| last[dim] = symbol);
        }
        last[self.totals.len() - 1] = self.ranges.len() - 1;
        let mut open = 0;
        let boundary = |symbol: usize| {
            open += last[open..].iter().take_while(|last| **last <= symbol).count();
            open
        };
        std::iter::once(0).chain((0..self.ranges.len()).map(boundary)).collect()
    }

    /// Windows from the first open dim to the last dim that this symbol, or one before it, covers.
    fn windows(&self, boundaries: &[usize]) -> Vec<Window> {
        let (mut end, mut offset) = (0, 0);
        let window = |(symbol, range): (usize, &Range<usize>)| {
            let first = boundaries[symbol];
            end = end.max(range.end).max(first + 1);
            let window = Window { first, width: end - first, offset };
            offset += CODEWORDS * window.width;
            window
        };
        self.ranges.iter().enumerate().map(window).collect()
    }
}

/// The dims, at `places` on the line, that a symbol at `own` covers: those within the kernel, or else the nearest one.
fn covered(places: &[f64], own: f64) -> Range<usize> {
    let first = places.partition_point(|place| *place < own - KERNEL_BEFORE);
    let end = places.partition_point(|place| *place <= own + KERNEL_BEHIND);
    if first < end {
        return first..end;
    }
    let is_nearer = first == places.len() || first > 0 && own - places[first - 1] <= places[first] - own;
    let nearest = if is_nearer { first - 1 } else { first };
    nearest..nearest + 1
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::{CODEWORDS, RateFitting, RatePlan, SYMBOL_BITS};

    /// log2 of falling variances.
    fn falling(dims: usize, step: f64) -> Vec<f64> {
        (0..dims).map(|dim| -(dim as f64) * step).collect()
    }

    fn check(logarithms: &[f64], symbols: usize) {
        let plan = RatePlan::new(logarithms, symbols);
        let (coded, mut offset) = (plan.order.len(), 0);
        assert_eq!((plan.windows.len(), plan.boundaries.len()), (symbols, symbols + 1));
        assert_eq!((plan.boundaries[0], plan.boundaries[symbols]), (0, coded));
        assert!(plan.boundaries.is_sorted());
        let mut distinct = plan.order.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), coded);
        let mut end = 0;
        for (symbol, window) in plan.windows.iter().enumerate() {
            assert_eq!((window.first, window.offset), (plan.boundaries[symbol], offset));
            offset += CODEWORDS * window.width;
            assert!(window.width > 0 && window.first + window.width >= end.max(plan.boundaries[symbol + 1]));
            end = window.first + window.width;
            let shares = &plan.shares[RatePlan::shares_of(window)];
            for (dim, share) in (window.first..).zip(shares) {
                let is_final = dim < plan.boundaries[symbol + 1];
                assert!(share.weight <= 1.0 && (!is_final || share.weight == 1.0), "{symbol} {dim} {share:?}");
                assert!(share.variance >= 0.0 && share.bits >= 0.0 && share.bits.is_finite());
            }
        }
        assert_eq!((end, offset), (coded, CODEWORDS * plan.shares.len()));
    }

    #[test]
    fn windows_are_sound_for_all_shapes() {
        for dims in [1, 2, 3, 7, 64, 300] {
            for symbols in [1, 2, 5, 64, 2 * dims] {
                for step in [0.0, 0.01, 0.3, 5.0] {
                    check(&falling(dims, step), symbols);
                }
            }
        }
        check(&[f64::NEG_INFINITY, 0.0, f64::NEG_INFINITY, -1.0], 3);
        // One dim has nearly all of the variance.
        let one: Vec<f64> = [0.0].into_iter().chain([-42.0; 1000]).collect();
        [1, 5, 64, 2000].into_iter().for_each(|symbols| check(&one, symbols));
    }

    #[test]
    fn symbols_and_dims_have_their_bits() {
        for (logarithms, symbols) in [(falling(128, 0.0), 64), (falling(384, 0.03), 192), (falling(100, 0.02), 20)] {
            let plan = RatePlan::new(&logarithms, symbols);
            let mut of_dims = vec![0.0; plan.order.len()];
            for window in &plan.windows {
                let shares = &plan.shares[RatePlan::shares_of(window)];
                let bits: f64 = shares.iter().map(|share| share.bits).sum();
                assert!((bits / SYMBOL_BITS - 1.0).abs() < 1e-2, "{window:?}: {bits}");
                (window.first..).zip(shares).for_each(|(dim, share)| of_dims[dim] += share.bits);
            }
            // Dims have the same error: variance · 2^(-2 · bits).
            let level = |position: usize| logarithms[plan.order[position]] - 2.0 * of_dims[position];
            assert!((0..of_dims.len()).all(|position| (level(position) - level(0)).abs() < 1e-4));
        }
    }

    #[test]
    fn the_kernel_is_kept_by_the_fitting() {
        // Two dims for each symbol, which the fitting cannot tell from each other.
        let bits = vec![2.0; 400];
        let mut fitting = RateFitting::new(&bits, 200);
        let middle = |fitting: &RateFitting<'_>| {
            let (range, rates) = fitting.rows().nth(100).unwrap();
            let sum: f64 = rates.iter().sum();
            (range.clone(), rates.chunks(2).map(|pair| (pair[0] + pair[1]) / sum).collect::<Vec<f64>>())
        };
        let (range, before) = middle(&fitting);
        fitting.fit();
        let (_, fitted) = middle(&fitting);
        assert_eq!(range, 198..214);
        assert!(before.iter().zip(&fitted).all(|(a, b)| (a - b).abs() < 1e-3), "{before:?} {fitted:?}");
    }
}
