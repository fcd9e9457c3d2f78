//! What a query knows of a codebook: by it codes are scored as they lie, without being decoded.
//!
//! ```text
//! products   ⟨q, codeword⟩ for each codeword of each symbol, q turned as the codewords are
//! L2         distance = ‖q − means‖² + n − 2 Σ products                n, f: the number of the side byte (`side`)
//! others     distance = b − f · (⟨q, means⟩ + Σ products) ÷ ‖q‖        b = 1 for cosine; else 0, and ‖q‖ left out
//! score      the same in whole numbers, products as bytes below the largest of their symbol (`kernels::Scan`)
//! ```
//! How far the score of a distance may be off is known: at most by what each product was rounded, all one way; and since they
//! are not all rounded one way, hardly ever by more than [`Table::slack`]. So the nearest codes by their distance are found
//! among the nearest by their score.

use super::scalar::ROUNDS;
use super::windows::Windows;
use super::windows::side::Side;
use super::windows::train::turned;
use super::{CODEWORDS, Codebook, Kind, block};
use crate::kernels::{BLOCK_ROWS, Lanes, SILENT, SLOPE_MAX, Scan, Sides, kernels, sums_fit};
use crate::metric::Metric;

/// Scores are kept below this, for what is rounded up to fit 16 bits.
const SCORES: f64 = 65_000.0;
/// So many symbols round up too much.
const SYMBOLS_MAX: usize = 32_000;

/// Counts that are added up in a byte, one of them rounded up.
const BYTE: f64 = 254.0;

/// The share of what is added up that a sum of floats may be off.
const FLOAT_ERROR: f64 = 4e-6;

/// What a score may be above that of a row as near, in standard deviations of what was rounded: two that the k-th best is
/// below its own, being the best of many, and six that one row in 10^9 exceeds.
const DEVIATIONS: f64 = 8.0;

/// Codes measured where scores are coarse: sixteen values of a dim instead of two hundred.
const MEASURED_A_NEIGHBOUR: usize = 2;
const MEASURED_MIN: usize = 16;

/// The worst score, in steps of what it is a difference to.
const WORST: f64 = 65_535.0;
/// A factor of one, where side bytes scale.
const WHOLE: f64 = 65_536.0;

/// The distances of one query to the codes of one codebook.
pub struct Table<'a> {
    /// Bytes of a code.
    row_bytes: usize,
    /// True if symbols are not all of a code: scores say which codes to measure, and not how near they are.
    is_coarse: bool,
    /// How long a code's vector is, as far as symbols tell, where its direction alone counts and no side byte tells.
    length: Option<Length>,
    side: Option<&'a Side>,
    metric: Metric,
    /// `[symbols]`.
    products: Vec<Lanes>,
    /// `[pairs]`: as whole numbers.
    counts: Vec<[u8; 32]>,
    sides: Sides,
    /// ‖q − means‖² for L2, else ⟨q, means⟩.
    fixed: f32,
    /// The products of symbols add up to `most - step · what they count`.
    most: f64,
    step: f64,
    /// A distance is `zero + unit · score`, score being a real number at most `below` under and `above` over the one found.
    zero: f64,
    unit: f64,
    below: f64,
    above: f64,
    /// The standard deviation of what the symbols of a code are rounded by.
    deviation: f64,
}

impl Codebook {
    /// The table of `query: [dim]`; `None` if codes of this book, or distances so large, have none: they must be decoded.
    pub fn table(&self, metric: Metric, query: &[f32]) -> Option<Table<'_>> {
        match &self.kind {
            Kind::Windows(windows) => Table::new(windows, metric, query),
            Kind::Scalar(scalar) if scalar.symbols() == 0 => None,
            Kind::Scalar(scalar) => {
                let of = |products| Table::of_products(scalar.row_bytes(), None, metric, 0.0, products);
                let table = Table { is_coarse: true, ..of(scalar.products(metric, query))? };
                if metric != Metric::Cosine {
                    return Some(table);
                }
                let query_norm = f64::from(kernels().dot(query, query)).sqrt();
                let length = Length::new(of(scalar.squares())?, query_norm)?;
                Some(Table { length: Some(length), ..table })
            }
        }
    }

    /// What [`Table::distance_of_symbols`] needs of a code that decodes to `decoded: [dim]`.
    pub fn norm(&self, metric: Metric, decoded: &[f32]) -> f32 {
        match (metric, &self.kind) {
            (Metric::L2, Kind::Windows(windows)) => kernels().l2sq(decoded, &windows.means),
            (Metric::L2, Kind::Scalar(_)) => 0.0,
            (Metric::InnerProduct, _) => 1.0,
            (Metric::Cosine, _) => kernels().dot(decoded, decoded).max(f32::MIN_POSITIVE).sqrt().recip(),
        }
    }
}

impl<'a> Table<'a> {
    fn new(windows: &'a Windows, metric: Metric, query: &[f32]) -> Option<Table<'a>> {
        let side = windows.side.as_ref();
        // Without side bytes only inner products are sums over symbols.
        if side.map_or(metric != Metric::InnerProduct, |side| side.metric != metric) || windows.symbols() > SYMBOLS_MAX
        {
            return None;
        }
        let (fixed, products) = windows.products(metric, query);
        let table = Table::of_products(windows.row_bytes(), side, metric, fixed, products)?;
        let (fixed, most) = (f64::from(fixed), table.most);
        match (metric, side) {
            (Metric::L2, Some(side)) => Some(table.with_added(side, fixed - 2.0 * most)),
            (_, Some(side)) => table.with_scaled(side, fixed + most, f64::from(kernels().dot(query, query)).sqrt()),
            (_, None) => Some(table),
        }
    }

    /// The table of symbols alone; `side` is only made room for.
    fn of_products(
        row_bytes: usize,
        side: Option<&'a Side>,
        metric: Metric,
        fixed: f32,
        products: Vec<Lanes>,
    ) -> Option<Table<'a>> {
        let largest: Vec<f32> = products.iter().map(|lanes| folded(lanes, |a, b| if a > b { a } else { b })).collect();
        let least = products.iter().map(|lanes| folded(lanes, |a, b| if a < b { a } else { b }));
        let ranges: Vec<f64> =
            largest.iter().zip(least).map(|(most, least)| f64::from(*most) - f64::from(least)).collect();
        let most: f64 = largest.iter().map(|largest| f64::from(*largest)).sum();
        let (widest, total) = (widest(&ranges), ranges.iter().sum::<f64>());
        let best = f64::from(fixed) + most;
        let (reach, steepest) = match (metric, side) {
            (Metric::L2, Some(side)) => (total + side.spread() / 2.0, side.steepest() / 2.0),
            _ => (total.max(best), 0.0),
        };
        let steps = [widest / BYTE, reach / SCORES, steepest / f64::from(SLOPE_MAX), f64::from(f32::MIN_POSITIVE)];
        let step = steps.into_iter().fold(0.0, f64::max);
        let size = f64::from(fixed).abs() + 2.0 * (most.abs() + total);
        if !(step.is_finite() && size.is_finite()) {
            return None;
        }
        let off = products.len() as f64 / 2.0 + FLOAT_ERROR * size / step;
        let (counts, variance) = counts(&products, &largest, step as f32);
        debug_assert!(sums_fit(&counts));
        Some(Table {
            row_bytes,
            is_coarse: false,
            length: None,
            side,
            metric,
            products,
            counts,
            sides: Sides::None,
            fixed,
            most,
            step,
            zero: -best,
            unit: step,
            below: -off,
            above: off,
            deviation: f64::from(variance).sqrt(),
        })
    }

    /// For L2 the number of a side byte is added; `at_best` is the distance without it where all products are the largest.
    fn with_added(mut self, side: &Side, at_best: f64) -> Table<'a> {
        let (unit, least, most) = (2.0 * self.unit, side.number(0), side.number(254));
        let (steps, below, above) = side.steps(|number| (number - least) / unit);
        let off = (if self.is_estimated() { 0.0 } else { side.coarseness() * most } + FLOAT_ERROR * most) / unit;
        (self.sides, self.unit, self.zero) = (Sides::Add(steps), unit, at_best + least);
        (self.below, self.above) = (self.below + below - off, self.above + above + off);
        self
    }

    /// For the others the inner product, `best` at most, is scaled by the number of a side byte. `None` if none is positive:
    /// such scores begin at a product of zero.
    fn with_scaled(mut self, side: &Side, best: f64, query_norm: f64) -> Option<Table<'a>> {
        let from = best / self.unit;
        let whole = side.number(255) * 1.01;
        if from < 1.0 || self.metric == Metric::Cosine && !query_norm.is_normal() {
            return None;
        }
        let (steps, below, above) = side.steps(|number| number / whole * WHOLE);
        let inexact = if self.is_estimated() { 0.0 } else { side.coarseness() };
        // The factor is off by so much of one; two steps are lost where fractions are dropped.
        (self.below, self.above) =
            (self.below - from * (above / WHOLE + inexact) - 2.0, self.above - from * (below / WHOLE - inexact));
        let (nearest, norm) = if self.metric == Metric::Cosine { (1.0, query_norm) } else { (0.0, 1.0) };
        self.sides = Sides::Scale { from: from as u16, factor: steps };
        self.unit *= whole / norm;
        self.zero = nearest - WORST * self.unit;
        Some(self)
    }

    /// True if distances are what side bytes estimate, and not those to what is decoded.
    fn is_estimated(&self) -> bool {
        match self.metric {
            Metric::L2 => self.side.is_some_and(|side| side.mix > 0.0),
            Metric::InnerProduct => true,
            Metric::Cosine => false,
        }
    }

    /// How to score blocks of codes.
    pub fn scan(&self) -> Scan<'_> {
        Scan { tables: &self.counts, sides: self.sides, block_bytes: super::block::bytes(self.row_bytes) }
    }

    /// How to score them by their symbols alone.
    pub fn scan_of_symbols(&self) -> Scan<'_> {
        Scan { sides: Sides::None, ..self.scan() }
    }

    /// The distance of a code whose symbols score `count`, but for rounding; `norm` as [`Codebook::norm`] gives it.
    pub fn distance_of_symbols(&self, count: u16, norm: f32) -> f32 {
        let products = (self.most - self.step * f64::from(count)) as f32;
        match self.metric {
            Metric::L2 => self.fixed - 2.0 * products + norm,
            _ => -(self.fixed + products) * norm,
        }
    }

    /// So many codes of the best scores are measured to find the `k` nearest, by what a coarse score misses; or `wanted` of
    /// them, if that is not 0.
    pub fn measured(&self, k: usize, wanted: usize) -> usize {
        match wanted {
            _ if !self.is_coarse => k,
            0 => k.saturating_mul(MEASURED_A_NEIGHBOUR).saturating_add(MEASURED_MIN),
            _ => wanted.max(k),
        }
    }

    /// If a code is as near as k others, its score is at most so much higher than the highest of theirs. (By symbols alone
    /// it might be higher in theory. The k are chosen by their scores and rounded down for that, so little is left for them.)
    pub fn slack(&self) -> u16 {
        if self.is_coarse {
            return 0;
        }
        let symbols = self.products.len() as f64;
        let rounded = symbols.min(DEVIATIONS * self.deviation);
        (self.above - self.below - symbols + rounded).ceil().clamp(0.0, WORST) as u16
    }

    /// The highest score of codes that may be as near as `distance`.
    pub fn limit(&self, distance: f32) -> u16 {
        if self.is_coarse {
            return u16::MAX;
        }
        let score = (f64::from(distance) - self.zero) / self.unit - self.below;
        // Not a number, for an infinite distance of an infinite unit: no limit.
        if score < WORST { score.max(0.0) as u16 } else { u16::MAX }
    }

    /// The distance to the vector that was inserted, as the code in this `lane` of its `block` estimates it; `None` if it must
    /// be decoded.
    pub fn estimate(&self, block: &[u8], lane: usize) -> Option<f32> {
        let number = match self.side {
            None => 1.0,
            Some(side) => {
                // The side byte is the last of a code, and all others are pairs.
                let byte = block[BLOCK_ROWS * (self.row_bytes - 1) + lane];
                (!SILENT.contains(&byte)).then(|| side.number(byte) as f32)?
            }
        };
        if self.is_coarse || !self.is_estimated() {
            return None;
        }
        let sum = self.sum_of_products(block, lane);
        Some(match self.metric {
            // An estimate may fall below nothing.
            Metric::L2 => (self.fixed - 2.0 * sum + number).max(0.0),
            _ => -(self.fixed + sum) * number,
        })
    }

    /// The products of a code's symbols, added up four pairs side by side, so that no sum waits for the one before.
    fn sum_of_products(&self, block: &[u8], lane: usize) -> f32 {
        let (pairs, _) = block.as_chunks::<BLOCK_ROWS>();
        let (fours, rest) = self.products.as_chunks::<8>();
        let of_pair = |products: &[Lanes], pair: &[u8; BLOCK_ROWS]| {
            let symbols = block::symbols_of(pair, lane);
            products.iter().zip(symbols).map(|(lanes, symbol)| lanes.0[usize::from(symbol)]).sum::<f32>()
        };
        let mut sums = [0.0; 4];
        let (four_pairs, pairs_left) = pairs.split_at(fours.len() * 4);
        for (products, pairs) in fours.iter().zip(four_pairs.as_chunks::<4>().0) {
            for (number, sum) in sums.iter_mut().enumerate() {
                *sum += of_pair(&products[2 * number..][..2], &pairs[number]);
            }
        }
        let left: f32 = rest.chunks(2).zip(pairs_left).map(|(products, pair)| of_pair(products, pair)).sum();
        (sums[0] + sums[1]) + (sums[2] + sums[3]) + left
    }
}

/// What turns the inner product of a query and a code's vector into a distance by direction.
struct Length {
    /// `[pairs]`: how many steps each codeword's square is below the largest of its symbol.
    counts: Vec<[u8; 32]>,
    /// The squares add up to `most - step · what they count`.
    most: f32,
    step: f32,
    query_norm: f32,
}

impl Length {
    /// Of a table whose products are squares. `None` for a query that has no direction.
    fn new(squares: Table, query_norm: f64) -> Option<Length> {
        let Table { counts, most, step, .. } = squares;
        let (most, step, query_norm) = (most as f32, step as f32, query_norm as f32);
        query_norm.is_normal().then_some(Length { counts, most, step, query_norm })
    }
}

/// A distance by direction, in scores.
const DIRECTIONS: f32 = 32_000.0;

impl Table<'_> {
    /// How to score how long vectors are, if that is not in [`Table::scan`]: [`Table::score_by_direction`] makes one score of
    /// both.
    pub fn scan_of_lengths(&self) -> Option<Scan<'_>> {
        self.length.as_ref().map(|length| Scan { tables: &length.counts, ..self.scan() })
    }

    /// The score of a code by its direction, above 0: of `product`, what [`Table::scan`] counts, and `length`, what
    /// [`Table::scan_of_lengths`] does.
    #[inline]
    pub fn score_by_direction(&self, product: u16, length: u16) -> u16 {
        let Some(of) = &self.length else { return product };
        let product = self.most as f32 - self.step as f32 * f32::from(product);
        let square = of.most - of.step * f32::from(length);
        let cosine = product / (of.query_norm * square.max(f32::MIN_POSITIVE).sqrt());
        ((1.0 - cosine) * DIRECTIONS).clamp(1.0, WORST as f32) as u16
    }
}

impl Windows {
    /// ‖q − means‖² for L2, else ⟨q, means⟩; and the inner product of the query, from the means on for L2, with each codeword.
    fn products(&self, metric: Metric, query: &[f32]) -> (f32, Vec<Lanes>) {
        let (mut from, mut fixed) = (query.to_vec(), 0.0);
        if metric == Metric::L2 {
            from.iter_mut().zip(&self.means).for_each(|(value, mean)| *value -= mean);
            fixed += kernels().dot(&from, &from);
        } else {
            fixed += kernels().dot(query, &self.means);
        }
        let mut turned = turned(&from, self.rotation.as_ref());
        turned.iter_mut().for_each(|value| *value *= self.unit);
        let mut products = vec![Lanes::of(0.0); self.symbols()];
        let mut rest = products.as_mut_slice();
        for stage in &self.stages {
            let (own, behind) = rest.split_at_mut(stage.symbols());
            kernels().inner_products(&stage.layout.windows, stage.columns(), &turned, own);
            rest = behind;
        }
        (fixed, products)
    }
}

/// The widest of the `ranges: [symbols]` that are counted in one byte: as `Scan::tables` asks, each with that of the next pair
/// but one, two pairs at a time.
fn widest(ranges: &[f64]) -> f64 {
    let fours = ranges.chunks(4);
    let together = |four: &[f64], symbol: usize| four.iter().skip(symbol).step_by(2).sum::<f64>();
    fours.flat_map(|four| [0, 1].map(|symbol| together(four, symbol))).fold(0.0, f64::max)
}

/// How many steps each product is below the `largest` of its symbol, two symbols side by side; and the variance of what is
/// rounded, all symbols together.
fn counts(products: &[Lanes], largest: &[f32], step: f32) -> (Vec<[u8; 32]>, f32) {
    let mut counts = vec![[0; 32]; products.len().div_ceil(2)];
    let symbols = counts.iter_mut().flat_map(|pair| pair.as_chunks_mut::<CODEWORDS>().0);
    let mut variance = 0.0;
    for ((symbol, products), largest) in symbols.zip(products).zip(largest) {
        let steps = products.0.map(|product| (largest - product) / step);
        let whole = steps.map(|steps| steps + ROUNDS);
        *symbol = whole.map(|whole| whole.to_bits() as u8);
        let off = Lanes(std::array::from_fn(|lane| steps[lane] - (whole[lane] - ROUNDS)));
        let (sum, squares) = (folded(&off, |a, b| a + b), folded(&Lanes(off.0.map(|off| off * off)), |a, b| a + b));
        let count = CODEWORDS as f32;
        variance += (squares - sum * sum / count) / count;
    }
    (counts, variance.max(0.0))
}

/// All lanes in one, by halves: `fold` does eight at a time, then four.
fn folded(lanes: &Lanes, fold: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = lanes.0;
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] = fold(lanes[lane], lanes[lane + half]);
        }
    }
    lanes[0]
}
