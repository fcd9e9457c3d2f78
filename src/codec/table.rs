//! Distances of one query to the codes of one codebook, computed from the codes without decoding them.
//!
//! This is asymmetric distance computation (Jégou, Douze, Schmid: Product Quantization for Nearest Neighbor Search,
//! PAMI 2011) on bytes (André, Kermarrec, Le Scouarnec: Cache locality is not enough, VLDB 2015).
//!
//! ```text
//! products   ⟨q, codeword⟩ for each codeword of each symbol; q rotated if the codebook has a rotation
//! L2         distance = ‖q − means‖² + n − 2 Σ products            n and f: the number of the side byte (`side`)
//! inner p.   distance = −f · (⟨q, means⟩ + Σ products), or −⟨q, means⟩ − f · Σ products
//! cosine     distance = 1 − f · (⟨q, means⟩ + Σ products) ÷ ‖q‖
//! score      the same in integers; a product counts as a byte, in steps below the largest of its symbol
//! ```
//! The error of a score is at most the sum of all rounding errors. They are independent, so in practice it does not
//! exceed [`QueryTable::slack`]. A scan that adds this slack to its limit keeps the nearest codes.
//!
//! Each kind of codebook computes its own products; everything else is here.

use super::side::Side;
use super::slack::{NormError, Slack};
use super::{block, round};
use crate::kernels::{BLOCK_ROWS, CODEWORDS, CodeLayout, Lanes, SILENT, SLOPE_MAX, Scan, Sides, kernels, sums_fit};
use crate::metric::Metric;

/// The largest planned score. The rest of the 16 bits is room for rounding errors.
const SCORES: f64 = 65_000.0;

/// The largest planned sum of two counts that are added in a byte; rounding both can add 1.
const BYTE: f64 = 254.0;

/// The largest relative error of a sum of floats.
const FLOAT_ERROR: f64 = 4e-6;

/// Standard deviations of rounding by which the score of a near row may exceed that of the k-th best: the k-th best of
/// many scores is about two below its exact value, and one row in 10^9 is more than six above.
const DEVIATIONS: f64 = 8.0;

/// Candidates to rerank where scores are coarse: this many for each neighbour, and some more. A coarse score
/// distinguishes 16 values of a dim where the code has hundreds.
const CANDIDATES_A_NEIGHBOUR: usize = 2;
const CANDIDATES_MIN: usize = 16;

/// The same where scores are coarse, beyond the candidates that are taken anyway. Where symbols tell rows apart well, this
/// adds few; where they do not (a query far from all rows, rows closer together than a symbol), it adds many.
const COARSE_DEVIATIONS: f64 = 2.0;

/// The worst score.
const WORST: f64 = 65_535.0;
/// The fixed-point 1.0 of the factors of scaling side bytes.
const WHOLE: f64 = 65_536.0;

/// Score steps for a cosine distance of 1.
const DIRECTIONS: f32 = 32_000.0;

/// The distances of one query to the codes of one codebook.
pub struct QueryTable<'a> {
    /// Bytes of a block of codes.
    block_bytes: usize,
    /// True if symbols are only a part of each code. Then scores choose candidates and give no bound on distances.
    is_coarse: bool,
    /// The largest size of what is added up for a sum of products.
    size: f64,
    /// What sums of products are divided by: the norm of the query for cosines, else 1.
    norm: f64,
    /// For cosines of codes without a side byte: the lengths of vectors, computed from symbols.
    length: Option<Length>,
    side: Option<&'a Side>,
    metric: Metric,
    /// `[symbols]`.
    products: Vec<Lanes>,
    /// `[pairs]`: products in steps below the largest of their symbol.
    counts: Vec<[u8; 32]>,
    sides: Sides,
    /// ‖q − means‖² for L2, else ⟨q, means⟩; coarse: what the parts of codes that are not symbols add to a squared distance
    /// for L2, else to the sum of products, on average.
    fixed: f32,
    /// The products of a code add up to `most - step * count`, with `count` the sum of its counts.
    most: f64,
    step: f64,
    /// A distance is `zero + unit * exact score`, and exact score minus computed score is in `below..=above`.
    zero: f64,
    unit: f64,
    below: f64,
    above: f64,
    /// The standard deviation of the rounding of a score.
    deviation: f64,
    /// L2 with side bytes: what they are off.
    norms: NormError,
    /// Coarse scores: the variance of a score per step of it, for the parts of a code that are not symbols.
    variance_a_step: f64,
}

impl<'a> QueryTable<'a> {
    /// The table of codes without a side byte, whose symbols are only a part of each code. `fixed` is what the other parts
    /// add to the sum of products on average, `variance` how much that varies, and `variance_a_product` what is added to the
    /// variance in proportion to the sum over symbols without its sign.
    pub(super) fn coarse(
        layout: CodeLayout,
        metric: Metric,
        (fixed, products): (f32, Vec<Lanes>),
        (variance, variance_a_product): (f64, f64),
    ) -> Option<QueryTable<'a>> {
        let table = QueryTable::of_products(layout, None, metric, fixed, products)?;
        // A product is minus half of a squared distance.
        let fixed = if metric == Metric::L2 { -2.0 * fixed } else { fixed };
        // The sum of a code of score 0 is `most`.
        let variance = variance + variance_a_product * table.most.abs();
        let deviation = table.deviation.hypot(variance.sqrt() / table.step);
        let variance_a_step = variance_a_product / table.step;
        Some(QueryTable { is_coarse: true, fixed, deviation, variance_a_step, ..table })
    }

    /// Adds the lengths of vectors, for cosines. `squares: [symbols]` are the squares of the symbols' values, and `fixed` is
    /// what is added to their sum. `None` if the norm of the query is zero, subnormal or not finite.
    pub(super) fn with_squares(self, (fixed, squares): (f32, Vec<Lanes>), query: &[f32]) -> Option<QueryTable<'a>> {
        let query_norm = f64::from(kernels().dot(query, query)).sqrt();
        let squares = QueryTable::of_products(
            CodeLayout { symbols: squares.len(), side_bytes: 0 },
            None,
            self.metric,
            fixed,
            squares,
        )?;
        Some(QueryTable { length: Some(Length::new(squares, query_norm)?), ..self })
    }

    /// The table of codes with or without a side byte. `fixed` is ‖q − means‖² for L2, else ⟨q, means⟩.
    pub(super) fn fine(
        layout: CodeLayout,
        side: Option<&'a Side>,
        metric: Metric,
        query: &[f32],
        (fixed, products): (f32, Vec<Lanes>),
    ) -> Option<QueryTable<'a>> {
        let table = QueryTable::of_products(layout, side, metric, fixed, products)?;
        let (fixed, most) = (f64::from(fixed), table.most);
        match (metric, side) {
            (Metric::L2, Some(side)) => Some(table.with_added(side, fixed - 2.0 * most)),
            (Metric::InnerProduct, Some(side)) if side.leaves_means() => table.with_scaled(side, most, -fixed, 1.0),
            (Metric::InnerProduct, Some(side)) => table.with_scaled(side, fixed + most, 0.0, 1.0),
            (Metric::Cosine, Some(side)) => {
                let norm = f64::from(kernels().dot(query, query)).sqrt();
                if norm.is_normal() { table.with_scaled(side, fixed + most, 1.0, norm) } else { None }
            }
            (_, None) => Some(table),
        }
    }

    /// The table of the symbols. Leaves room for `side` but does not apply it.
    fn of_products(
        layout: CodeLayout,
        side: Option<&'a Side>,
        metric: Metric,
        fixed: f32,
        products: Vec<Lanes>,
    ) -> Option<QueryTable<'a>> {
        let largest: Vec<f32> =
            products.iter().map(|lanes| fold_lanes(lanes, |a, b| if a > b { a } else { b })).collect();
        let least = products.iter().map(|lanes| fold_lanes(lanes, |a, b| if a < b { a } else { b }));
        let ranges: Vec<f64> =
            largest.iter().zip(least).map(|(most, least)| f64::from(*most) - f64::from(least)).collect();
        let most: f64 = largest.iter().map(|largest| f64::from(*largest)).sum();
        let (widest, total) = (widest_byte(&ranges), ranges.iter().sum::<f64>());
        let best = f64::from(fixed) + most;
        let (reach, steepest) = match (metric, side) {
            (Metric::L2, Some(side)) => {
                let last = side.last_near(f64::from(fixed));
                (total + side.spread(last) / 2.0, side.steepest(last) / 2.0)
            }
            (_, Some(_)) => (total.max(best).max(most), 0.0),
            (_, None) => (total, 0.0),
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
        Some(QueryTable {
            block_bytes: block::bytes(layout.row_bytes()),
            is_coarse: false,
            size,
            norm: 1.0,
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
            norms: NormError::default(),
            variance_a_step: 0.0,
        })
    }

    /// For L2: adds the number of the side byte. `at_best` is the distance without it when all products are the
    /// largest.
    fn with_added(mut self, side: &Side, at_best: f64) -> QueryTable<'a> {
        let (unit, least, last) = (2.0 * self.unit, side.number(0), side.last_near(f64::from(self.fixed)));
        let (steps, below, above) = side.steps(last, |number| (number - least) / unit);
        (self.sides, self.unit, self.zero) = (Sides::Add(steps), unit, at_best + least);
        (self.below, self.above) = (self.below + below, self.above + above);
        let rounding = if self.is_estimated() { 0.0 } else { side.coarseness() };
        let root = f64::from(self.fixed).max(0.0).sqrt();
        self.norms = NormError { relative: rounding + FLOAT_ERROR, root, zero: self.zero, unit };
        self
    }

    /// For the other metrics: scales a sum of at most `best` by the number of the side byte. The distance is `zero`
    /// less the scaled sum divided by `norm`. `None` if no sum is positive, because scores start at a sum of zero.
    fn with_scaled(mut self, side: &Side, best: f64, zero: f64, norm: f64) -> Option<QueryTable<'a>> {
        let from = best / self.unit;
        let whole = side.number(255) * 1.01;
        if from < 1.0 {
            return None;
        }
        let (steps, below, above) = side.steps(u8::MAX, |number| number / whole * WHOLE);
        let inexact = if self.is_estimated() { 0.0 } else { side.coarseness() };
        // `above / WHOLE + inexact` is the error of the factor; dropping fractions loses up to two steps.
        (self.below, self.above) =
            (self.below - from * (above / WHOLE + inexact) - 2.0, self.above - from * (below / WHOLE - inexact));
        self.sides = Sides::Scale { from: from as u16, factor: steps };
        self.norm = norm;
        self.unit *= whole / norm;
        self.zero = zero - WORST * self.unit;
        Some(self)
    }

    /// True if side bytes estimate the distance to the inserted vector; false if distances are those to the decoded
    /// vector.
    fn is_estimated(&self) -> bool {
        match self.metric {
            Metric::L2 => self.side.is_some_and(|side| side.mix > 0.0),
            Metric::InnerProduct => true,
            Metric::Cosine => false,
        }
    }

    /// The scan that scores blocks of codes.
    pub fn scan(&self) -> Scan<'_> {
        Scan { tables: &self.counts, sides: self.sides, block_bytes: self.block_bytes }
    }

    /// The same scan by symbols only, without side bytes.
    pub fn scan_of_symbols(&self) -> Scan<'_> {
        Scan { sides: Sides::None, ..self.scan() }
    }

    /// The distance, except for rounding, of a code whose symbols have the score `count`; `norm` is
    /// [`Codebook::norm`](super::Codebook::norm).
    pub fn distance_of_symbols(&self, count: u16, norm: f32) -> f32 {
        let products = (self.most - self.step * f64::from(count)) as f32;
        match self.metric {
            Metric::L2 => self.fixed - 2.0 * products + norm,
            _ => -(self.fixed + products) * norm,
        }
    }

    /// Number of candidates to rerank for `k` neighbours: k if scores are not coarse, else `wanted`, or the default if
    /// that is 0.
    pub fn candidates(&self, k: usize, wanted: usize) -> usize {
        match wanted {
            _ if !self.is_coarse => k,
            0 => k.saturating_mul(CANDIDATES_A_NEIGHBOUR).saturating_add(CANDIDATES_MIN),
            _ => wanted.max(k),
        }
    }

    /// Upper bound on how far a true top-k code's score may exceed the k-th best score. It counts the rounding of
    /// symbols as [`DEVIATIONS`] standard deviations. If scores are coarse: how far beyond the last of the
    /// [`QueryTable::candidates`] codes are still candidates; none are if their number is `wanted`.
    pub fn slack(&self, wanted: usize) -> Slack {
        if self.is_coarse {
            if wanted > 0 {
                return Slack::fixed(0);
            }
            let unit = self.length.as_ref().map_or(1.0, |length| length.directions_of(self.step));
            let of_variance = (COARSE_DEVIATIONS * unit).powi(2);
            return Slack {
                square: of_variance * self.deviation.powi(2),
                square_a_step: of_variance * self.variance_a_step,
                norms: NormError::default(),
            };
        }
        let symbols = self.products.len() as f64;
        let rounded = symbols.min(DEVIATIONS * self.deviation);
        let steps = (self.above - self.below - symbols + rounded).ceil().clamp(0.0, WORST);
        Slack { norms: self.norms, ..Slack::fixed(steps as u16) }
    }

    /// The distance of a code of this score, less and plus half of `slack`; any distance for the worst score.
    pub fn range(&self, score: u16, slack: u16) -> (f32, f32) {
        if score == u16::MAX {
            return (f32::NEG_INFINITY, f32::INFINITY);
        }
        let (zero, unit) = match (&self.length, self.metric) {
            (Some(_), _) => (0.0, 1.0 / f64::from(DIRECTIONS)),
            // A product is half of a squared distance.
            (None, Metric::L2) if self.is_coarse => (2.0 * self.zero, 2.0 * self.unit),
            _ => (self.zero, self.unit),
        };
        let at = |score: f64| (zero + unit * score) as f32;
        let (score, half) = (f64::from(score), f64::from(slack) / 2.0);
        (at(score - half), at(score + half))
    }

    /// The highest score of a code that may be as near as `distance`.
    pub fn limit(&self, distance: f32) -> u16 {
        if self.is_coarse {
            return u16::MAX;
        }
        let distance = f64::from(distance);
        let score = (distance - self.zero) / self.unit - self.below + self.norms.steps_within(distance);
        // NaN (infinity divided by infinity) means no limit.
        if score < WORST { score.max(0.0) as u16 } else { u16::MAX }
    }

    /// Estimates the distance to the inserted vector from the code in `lane` of `block`; `None` if the code must be
    /// decoded.
    pub fn estimate(&self, block: &[u8], lane: usize) -> Option<f32> {
        let number = match self.side {
            None => 1.0,
            Some(side) => {
                let byte = block::side_byte(block, lane);
                (!SILENT.contains(&byte)).then(|| side.number(byte) as f32)?
            }
        };
        if self.is_coarse || !self.is_estimated() {
            return None;
        }
        let sum = self.sum_of_products(block, lane);
        let distance = match self.metric {
            Metric::L2 => self.fixed - 2.0 * sum + number,
            _ if self.side.is_some_and(Side::leaves_means) => -self.fixed - sum * number,
            _ => -(self.fixed + sum) * number,
        };
        // The estimate of a small distance can be negative.
        Some(self.metric.in_range(distance))
    }

    /// True if [`QueryTable::bounds`] are narrower than the ranges of scores.
    pub fn has_bounds(&self) -> bool {
        self.side.is_some() && !self.is_estimated()
    }

    /// The distance to the vector that the code in `lane` of `block` stands for is in this range.
    pub fn bounds(&self, block: &[u8], lane: usize) -> (f32, f32) {
        let byte = block::side_byte(block, lane);
        let Some(side) = self.side.filter(|_| !SILENT.contains(&byte)) else {
            return (f32::NEG_INFINITY, f32::INFINITY);
        };
        let (sum, number, fixed) =
            (f64::from(self.sum_of_products(block, lane)), side.number(byte), f64::from(self.fixed));
        let (distance, off) = match self.metric {
            Metric::L2 => (fixed - 2.0 * sum + number, number * side.coarseness() + FLOAT_ERROR * (self.size + number)),
            _ => {
                let (cosine, off) = ((fixed + sum) * number / self.norm, self.size * number / self.norm);
                (1.0 - cosine, cosine.abs() * side.coarseness() + FLOAT_ERROR * (1.0 + off))
            }
        };
        ((distance - off) as f32, (distance + off) as f32)
    }

    /// Sums the products of a code's symbols in four independent sums, so that additions do not wait for each other.
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

/// Turns the inner product of a query and a code's vector into a cosine distance.
struct Length {
    /// `[pairs]`: squares in steps below the largest of their symbol.
    counts: Vec<[u8; 32]>,
    /// The squares of a code add up to `most - step * count`.
    most: f32,
    step: f32,
    query_norm: f32,
    /// The square of a vector whose symbols are all those of the smallest values, and a little more. Such symbols tell no
    /// direction.
    least_square: f32,
    /// The length of a vector whose symbols are all as likely.
    typical: f64,
}

impl Length {
    /// Score steps of direction that one step `step` of products is, for a vector of `typical` length.
    fn directions_of(&self, step: f64) -> f64 {
        step / (f64::from(self.query_norm) * self.typical) * f64::from(DIRECTIONS)
    }

    /// From a table whose products are squares. `None` if the norm of the query is zero, subnormal or not finite.
    fn new(squares: QueryTable, query_norm: f64) -> Option<Length> {
        let mean = |lanes: &Lanes| f64::from(fold_lanes(lanes, |a, b| a + b)) / CODEWORDS as f64;
        let fixed = f64::from(squares.fixed);
        let typical = (fixed + squares.products.iter().map(mean).sum::<f64>()).max(f64::from(f32::MIN_POSITIVE)).sqrt();
        let least = |lanes: &Lanes| f64::from(fold_lanes(lanes, f32::min));
        let least = fixed + squares.products.iter().map(least).sum::<f64>();
        let least_square = (least + squares.step * (squares.products.len() as f64).sqrt()) as f32;
        let QueryTable { counts, most, step, .. } = squares;
        let (most, step, query_norm) = ((fixed + most) as f32, step as f32, query_norm as f32);
        query_norm.is_normal().then_some(Length { counts, most, step, query_norm, least_square, typical })
    }
}

impl QueryTable<'_> {
    /// The scan of the lengths of vectors, for tables that need it beside [`QueryTable::scan`];
    /// [`QueryTable::scores_by_direction`] combines both.
    pub fn scan_of_lengths(&self) -> Option<Scan<'_>> {
        self.length.as_ref().map(|length| Scan { tables: &length.counts, ..self.scan() })
    }

    /// The scores of the codes of a block by their cosine distances, 0 if symbols tell no direction, from their scores
    /// `products` of [`QueryTable::scan`] and `lengths` of [`QueryTable::scan_of_lengths`].
    #[inline]
    pub fn scores_by_direction(&self, products: [u16; BLOCK_ROWS], lengths: [u16; BLOCK_ROWS]) -> [u16; BLOCK_ROWS] {
        let Some(of) = &self.length else { return products };
        let (most, step) = ((f64::from(self.fixed) + self.most) as f32, self.step as f32);
        std::array::from_fn(|lane| {
            let product = most - step * f32::from(products[lane]);
            let square = of.most - of.step * f32::from(lengths[lane]);
            let cosine = product / (of.query_norm * square.max(f32::MIN_POSITIVE).sqrt());
            // 0: the row is measured in any case.
            let least = if square <= of.least_square { 0.0 } else { WORST as f32 };
            let score = ((1.0 - cosine) * DIRECTIONS).clamp(1.0, WORST as f32).min(least);
            // Unlike a cast, this vectorizes.
            (score + round::TO_WHOLE).to_bits() as u16
        })
    }
}

/// The largest sum of `ranges: [symbols]` that one byte must hold: a scan adds symbols 4j and 4j + 2 in a byte,
/// likewise 4j + 1 and 4j + 3.
fn widest_byte(ranges: &[f64]) -> f64 {
    let fours = ranges.chunks(4);
    let together = |four: &[f64], symbol: usize| four.iter().skip(symbol).step_by(2).sum::<f64>();
    fours.flat_map(|four| [0, 1].map(|symbol| together(four, symbol))).fold(0.0, f64::max)
}

/// The number of steps by which each product is below the `largest` of its symbol, two symbols side by side; and the
/// variance of the sum of the rounding errors of all symbols.
fn counts(products: &[Lanes], largest: &[f32], step: f32) -> (Vec<[u8; 32]>, f32) {
    let mut counts = vec![[0; 32]; products.len().div_ceil(2)];
    let symbols = counts.iter_mut().flat_map(|pair| pair.as_chunks_mut::<CODEWORDS>().0);
    let mut variance = 0.0;
    for ((symbol, products), largest) in symbols.zip(products).zip(largest) {
        let steps = products.0.map(|product| (largest - product) / step);
        let whole = steps.map(|steps| steps + round::TO_WHOLE);
        *symbol = whole.map(|whole| whole.to_bits() as u8);
        let off = Lanes(std::array::from_fn(|lane| steps[lane] - (whole[lane] - round::TO_WHOLE)));
        let (sum, squares) =
            (fold_lanes(&off, |a, b| a + b), fold_lanes(&Lanes(off.0.map(|off| off * off)), |a, b| a + b));
        let count = CODEWORDS as f32;
        variance += (squares - sum * sum / count) / count;
    }
    (counts, variance.max(0.0))
}

/// Folds all lanes into one, by halves: eight at a time, then four, two, one.
fn fold_lanes(lanes: &Lanes, fold: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = lanes.0;
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] = fold(lanes[lane], lanes[lane + half]);
        }
    }
    lanes[0]
}
