//! The side byte of a code: one number of its vector. Scores need it, and it corrects a part of the error of the
//! symbols.
//!
//! ```text
//! L2              distance = n − 2 ⟨q − means, x̂ − means⟩ + ‖q − means‖²
//!                 n = (1 − mix) ‖x̂ − means‖² + mix ‖x − means‖²
//! inner product   distance = −⟨q, c⟩ − f ⟨q, x̂ − c⟩   f = ‖x − c‖ ÷ ‖x̂ − c‖,  c = mix means
//! cosine          distance = 1 − f ⟨q, x̂⟩ ÷ ‖q‖      f = 1 ÷ ‖x̂‖
//! ```
//! Quantization shrinks a vector: for a near neighbour of q, ⟨q, x⟩ is larger than ⟨q, x̂⟩. Therefore ‖x‖ is the better
//! norm to combine with the estimate of ⟨q, x⟩ than ‖x̂‖ (Gao, Long: RaBitQ, SIGMOD 2024, §3.2, for unit vectors). The
//! best mix of both for L2 depends on the data; training chooses it by recall. For inner products the mix is 1 where the
//! means are longer than what is left of most rows without them, else 0: rounding f must not count for the means, which
//! all rows share.

use super::exponential::{exp2, log2};
use crate::error::Result;
use crate::kernels::{PiecewiseLinear, SILENT, SLOPE_MAX, kernels};
use crate::metric::Metric;

/// Number of sample rows that serve as queries when the mix is chosen, and of neighbours compared for each.
const QUERIES: usize = 2048;
const NEIGHBOURS: usize = 2;

/// Number of neighbours that a search is assumed to ask for.
const WANTED: f64 = 10.0;

/// The best mix for new queries, divided by the best mix for sample rows as queries. Measured on SIFT, 100,000 and 1,000,000
/// rows at ratio 16.
const OF_NEW_QUERIES: f64 = 0.8;

/// A smaller mix counts as none.
const MIX_MIN: f64 = 1.0 / 32.0;

/// Steps of progress that [`Side::train`] counts as. It calls `step` at most one time less.
pub(super) const TRAINING_STEPS: usize = 16;

/// Mixes that training compares, ascending.
const MIXES: [f32; 6] = [0.0, 0.1, 0.2, 0.35, 0.5, 0.65];

/// The largest growth of squared distances from the first to the second neighbour: that of rows of two dims.
const GROWTH_MAX: f64 = 2.0;

/// Bytes with a number of the scale. The byte below them means "too small for the scale", the byte above "too large".
const NUMBERS: std::ops::RangeInclusive<u8> = SILENT[0] + 1..=SILENT[1] - 1;

/// Bytes of one segment of the function of a scan.
const SEGMENT: usize = 16;

/// A byte of usual numbers: the middle of the scale.
const USUAL: u8 = 128;

/// Numbers are squares of distances to the means: so many times the number is 4 times the distance.
const FAR: f64 = 16.0;

/// One sample row in this many may be beyond the scale at each end.
const BEYOND: usize = 1000;
/// The scale extends beyond the numbers of the other sample rows by this factor.
const MARGIN: f64 = 1.25;

/// The logarithmic scale of the side bytes of a codebook.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Side {
    pub(super) metric: Metric,
    /// L2: the share of the inserted vector in the number of a side byte. Inner product: 1 if factors leave the means as
    /// they are, 0 if they multiply them too.
    pub(super) mix: f32,
    /// The number of byte 1.
    pub(super) least: f32,
    /// Each number divided by the number of the byte before.
    pub(super) ratio: f32,
    /// `[256]`: the number each byte stands for.
    numbers: Vec<f32>,
}

impl Side {
    /// The scale with these parameters; `None` if they are not valid.
    pub(super) fn of_parts(metric: Metric, mix: f32, least: f32, ratio: f32) -> Option<Side> {
        let is_mix = match metric {
            Metric::L2 => (0.0..=1.0).contains(&mix),
            Metric::InnerProduct => mix == 0.0 || mix == 1.0,
            Metric::Cosine => mix == 0.0,
        };
        let is_sound = is_mix && least.is_normal() && least > 0.0 && (1.0..=2.0).contains(&ratio);
        let mut number = f64::from(least) / f64::from(ratio);
        let next = |_| {
            let now = number.min(f64::from(f32::MAX)) as f32;
            number *= f64::from(ratio);
            now
        };
        is_sound.then(|| Side { metric, mix, least, ratio, numbers: (0..256).map(next).collect() })
    }

    /// Learns the scale from `rows: [n][dim]` and their decoded codes `decoded: [n][dim]`, and chooses the mix for `coded`
    /// rows like them. Calls `step` less than [`TRAINING_STEPS`] times; an error of it ends the training.
    ///
    /// Without a mix, the estimate of the distance of x to q is off by 2⟨q − x, x − x̂⟩ and a constant. The mix cancels a part of
    /// that, which grows with the distance: the best mix is about in proportion to the squared distance of neighbours. So recall
    /// among sample rows tells the best mix for the distances there, and the growth of distances from one neighbour to the next
    /// tells how much nearer the neighbours are among all rows.
    pub(super) fn train(
        metric: Metric,
        means: &[f32],
        (rows, decoded): (&[f32], &[f32]),
        coded: usize,
        step: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Side> {
        let of_mix = |mix: f32| Side::of_rows(metric, mix, means, rows, decoded);
        match metric {
            Metric::L2 => {}
            Metric::InnerProduct => return Ok(of_mix(if are_long(means, rows) { 1.0 } else { 0.0 })),
            Metric::Cosine => return Ok(of_mix(0.0)),
        }
        let sides = MIXES.map(of_mix);
        let offsets = sides.each_ref().map(|side| side.offsets(means, rows, decoded));
        let (found, growth) = count_recalled(rows, decoded, means.len(), &offsets, step)?;
        let count = rows.len() / means.len();
        // This many neighbours among the sample are as near as those wanted among the coded rows.
        let as_near = WANTED * count as f64 / coded.max(count) as f64;
        let nearer = exp2(log2(as_near / NEIGHBOURS as f64) * log2(growth));
        let mix = OF_NEW_QUERIES * nearer * peak(&found);
        Ok(of_mix(if mix < MIX_MIN { 0.0 } else { mix.min(f64::from(MIXES[MIXES.len() - 1])) as f32 }))
    }

    /// `[n]`: the offset added to the distance to each row.
    fn offsets(&self, means: &[f32], rows: &[f32], decoded: &[f32]) -> Vec<f32> {
        let pairs = rows.chunks_exact(means.len()).zip(decoded.chunks_exact(means.len()));
        let offset = |(row, decoded)| self.offset(self.byte_of(row, decoded, means), decoded, means).unwrap_or(0.0);
        pairs.map(offset).collect()
    }

    fn of_rows(metric: Metric, mix: f32, means: &[f32], rows: &[f32], decoded: &[f32]) -> Side {
        let side = Side { metric, mix, least: 1.0, ratio: 1.0, numbers: Vec::new() };
        let pairs = rows.chunks_exact(means.len()).zip(decoded.chunks_exact(means.len()));
        let mut numbers: Vec<f32> = pairs.map(|(row, decoded)| side.number_of(row, decoded, means)).collect();
        numbers.retain(|number| number.is_normal() && *number > 0.0);
        numbers.sort_unstable_by(f32::total_cmp);
        let beyond = numbers.len() / BEYOND;
        let (low, high) = match (numbers.get(beyond), numbers.iter().rev().nth(beyond)) {
            (Some(low), Some(high)) => (f64::from(*low) / MARGIN, f64::from(*high) * MARGIN),
            _ => (1.0, 2.0),
        };
        // The 256th root, as eight square roots, which every machine rounds the same way.
        let ratio = (0..8).fold(high / low, |ratio, _| ratio.sqrt());
        let least = (low as f32).max(f32::MIN_POSITIVE);
        Side::of_parts(metric, mix, least, (ratio as f32).clamp(1.0, 2.0)).unwrap_or(side)
    }

    /// The side byte of `row: [dim]` that decodes to `decoded: [dim]`.
    pub(super) fn byte_of(&self, row: &[f32], decoded: &[f32], means: &[f32]) -> u8 {
        let number = self.number_of(row, decoded, means);
        let above = self.numbers.partition_point(|step| *step < number);
        if above == 0 {
            return 0;
        }
        let Some(high) = self.numbers.get(above) else { return u8::MAX };
        let low = self.numbers[above - 1];
        (if number - low < high - number { above - 1 } else { above }) as u8
    }

    /// The number that `byte` stands for.
    pub(super) fn number(&self, byte: u8) -> f64 {
        f64::from(self.numbers[usize::from(byte)])
    }

    /// The byte up to which a scan tells numbers apart, for a query whose own number is `own`: that of 16 times `own` and 16
    /// times a usual number, or the next last byte of a segment. Vectors of larger numbers are 4 times as far from the
    /// means as the query and as most vectors, so these are all nearer.
    pub(super) fn last_near(&self, own: f64) -> u8 {
        let far = FAR * own.max(self.number(USUAL));
        let within = self.numbers.partition_point(|number| f64::from(*number) <= far);
        (within.min(usize::from(u8::MAX)) | (SEGMENT - 1)) as u8
    }

    /// The number of byte `last` minus the smallest.
    pub(super) fn spread(&self, last: u8) -> f64 {
        self.number(last) - self.number(0)
    }

    /// The largest difference of the numbers of bytes b and b + 16, up to byte `last`.
    pub(super) fn steepest(&self, last: u8) -> f64 {
        (self.number(last) - self.number(last.saturating_sub(SEGMENT as u8))).max(self.number(1) - self.number(0))
    }

    /// The largest relative rounding error of a number.
    pub(super) fn coarseness(&self) -> f64 {
        (f64::from(self.ratio) - 1.0) / 2.0
    }

    /// Approximates `count` of each number up to byte `last` (increasing, 0 to 65,535), the last of a segment, by the
    /// piecewise linear function of a scan; it is 65,535 for all other bytes. Also returns the smallest (0 or negative) and
    /// the largest value of exact count minus approximation, up to `last`.
    pub(super) fn steps(&self, last: u8, count: impl Fn(f64) -> f64) -> (PiecewiseLinear, f64, f64) {
        let at = |byte: usize| count(f64::from(self.numbers[byte]));
        let is_near = |segment: usize| segment * SEGMENT <= usize::from(last);
        let base: [f64; 16] = std::array::from_fn(|segment| at(segment * SEGMENT).round());
        let slope = std::array::from_fn(|segment| {
            let (rise, bytes) = match base.get(segment + 1) {
                Some(next) => (next - base[segment], 16.0),
                None => (at(255) - base[segment], 15.0),
            };
            if is_near(segment) { ((rise * 16.0 / bytes).round() as u16).min(SLOPE_MAX) } else { 0 }
        });
        let bases = std::array::from_fn(|segment| if is_near(segment) { base[segment] as u16 } else { u16::MAX });
        let steps = PiecewiseLinear::new(&bases, &slope);
        let off =
            (*NUMBERS.start()..=last.min(*NUMBERS.end())).map(|byte| at(usize::from(byte)) - f64::from(steps.at(byte)));
        let (below, above) = off.fold((0.0f64, 0.0f64), |(below, above), off| (below.min(off), above.max(off)));
        (steps, below, above)
    }

    fn number_of(&self, row: &[f32], decoded: &[f32], means: &[f32]) -> f32 {
        let norm_sq = |row: &[f32]| self.norm_sq(row, means);
        match self.metric {
            Metric::L2 => (1.0 - self.mix) * norm_sq(decoded) + self.mix * norm_sq(row),
            Metric::InnerProduct => (norm_sq(row) / norm_sq(decoded)).sqrt(),
            Metric::Cosine => norm_sq(decoded).sqrt().recip(),
        }
    }

    /// The square of the norm of `row: [dim]` that numbers tell: without the means, or with them.
    fn norm_sq(&self, row: &[f32], means: &[f32]) -> f32 {
        if self.metric == Metric::L2 || self.leaves_means() {
            kernels().l2sq(row, means)
        } else {
            kernels().dot(row, row)
        }
    }

    /// True if factors of inner products multiply only what rows have beside the means.
    pub(super) fn leaves_means(&self) -> bool {
        self.metric == Metric::InnerProduct && self.mix == 1.0
    }

    /// False if no row within `bound` of `decoded: [dim]` can have the side byte `byte`.
    pub(super) fn agrees(&self, byte: u8, decoded: &[f32], means: &[f32], bound: f32) -> bool {
        if !NUMBERS.contains(&byte) {
            return true;
        }
        let bound = f64::from(bound);
        let norm = f64::from(self.norm_sq(decoded, means)).sqrt();
        // The row's norm differs from that of `decoded` by at most `bound`; see `number_of` for how both enter a
        // number.
        let (low, high) = ((norm - bound).max(0.0), norm + bound);
        let mix = f64::from(self.mix);
        let of_norm = |own: f64| match self.metric {
            Metric::L2 => (1.0 - mix) * norm * norm + mix * own * own,
            Metric::InnerProduct => own / norm,
            Metric::Cosine => norm.recip(),
        };
        // A number is rounded to one of its neighbours on the scale, and every step of the computation to f32.
        let (number, slack) = (f64::from(self.numbers[usize::from(byte)]), f64::from(self.ratio) * 1.001);
        let within = of_norm(low) / slack <= number && number <= of_norm(high) * slack;
        within || !of_norm(high).is_finite()
    }

    /// The distance of `query: [dim]` to the row of `byte`, from its `distance` to `decoded: [dim]`.
    pub(super) fn corrected(&self, byte: u8, decoded: &[f32], means: &[f32], query: &[f32], distance: f32) -> f32 {
        match self.metric {
            Metric::L2 => self.offset(byte, decoded, means).map_or(distance, |offset| distance + offset),
            Metric::InnerProduct if NUMBERS.contains(&byte) => {
                let factor = self.numbers[usize::from(byte)];
                let kept = if self.leaves_means() { kernels().dot(query, means) } else { 0.0 };
                factor * distance - (1.0 - factor) * kept
            }
            // A cosine does not depend on the length of the vector.
            _ => distance,
        }
    }

    /// For L2: the number of `byte` less that of `decoded: [dim]`; `None` if the byte tells nothing better.
    fn offset(&self, byte: u8, decoded: &[f32], means: &[f32]) -> Option<f32> {
        // With mix 0 the number is a less exact norm of `decoded`.
        if !NUMBERS.contains(&byte) || self.mix == 0.0 {
            return None;
        }
        let offset = self.numbers[usize::from(byte)] - kernels().l2sq(decoded, means);
        offset.is_finite().then_some(offset)
    }
}

/// True if `means: [dim]` are longer than what the median row of `rows: [n][dim]` has beside them.
fn are_long(means: &[f32], rows: &[f32]) -> bool {
    let mut left: Vec<f32> = rows.chunks_exact(means.len()).map(|row| kernels().l2sq(row, means)).collect();
    let middle = left.len() / 2;
    middle < left.len() && kernels().dot(means, means) > *left.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// The mix at which a parabola through the numbers `found` with [`MIXES`] is highest, by least squares; that with the largest
/// number if the parabola has no highest point.
fn peak(found: &[usize; MIXES.len()]) -> f64 {
    let count = MIXES.len() as f64;
    let (mean, mean_found) =
        (MIXES.iter().map(|mix| f64::from(*mix)).sum::<f64>() / count, found.iter().sum::<usize>() as f64 / count);
    let [mut square, mut third, mut fourth, mut first, mut second] = [0.0; 5];
    for (mix, found) in MIXES.iter().zip(found) {
        let (mix, found) = (f64::from(*mix) - mean, *found as f64 - mean_found);
        (square, third, fourth) = (square + mix * mix, third + mix * mix * mix, fourth + mix * mix * mix * mix);
        (first, second) = (first + mix * found, second + mix * mix * found);
    }
    let spread = fourth - square * square / count;
    let (slope, bend) = (first * spread - second * third, second * square - first * third);
    if bend < 0.0 {
        return (mean - slope / (2.0 * bend)).clamp(0.0, f64::from(MIXES[MIXES.len() - 1]));
    }
    let best = (1..MIXES.len()).fold(0, |best, next| if found[next] > found[best] { next } else { best });
    f64::from(MIXES[best])
}

/// Counts how many of their true nearest neighbours among `rows: [n][dim]` a sample of the rows finds when each of
/// `offsets`, `[n]`, is added to the distances to `decoded: [n][dim]`.
///
/// Also returns the growth of squared distances: that of the second neighbour divided by that of the first. It is the median
/// over the sample, at most [`GROWTH_MAX`].
fn count_recalled<const CANDIDATES: usize>(
    rows: &[f32],
    decoded: &[f32],
    dim: usize,
    offsets: &[Vec<f32>; CANDIDATES],
    step: &mut dyn FnMut() -> Result<()>,
) -> Result<([usize; CANDIDATES], f64)> {
    let count = rows.len() / dim;
    let queries = count.min(QUERIES);
    let (mut found, mut growths) = ([0; CANDIDATES], Vec::with_capacity(queries));
    for number in 0..queries {
        if number > 0 && number.is_multiple_of(QUERIES / TRAINING_STEPS) {
            step()?;
        }
        let query = number * count / queries;
        let vector = &rows[query * dim..][..dim];
        let distances =
            |among: &[f32]| -> Vec<f32> { among.chunks_exact(dim).map(|row| kernels().l2sq(vector, row)).collect() };
        let truth = nearest(query, distances(rows).into_iter());
        if let [first, second] = truth[..]
            && first.0 > 0.0
            && second.0.is_finite()
        {
            growths.push(f64::from(second.0) / f64::from(first.0));
        }
        let distances = distances(decoded);
        for (found, offsets) in found.iter_mut().zip(offsets) {
            let nearest = nearest(query, distances.iter().zip(offsets).map(|(distance, offset)| distance + offset));
            *found += truth.iter().filter(|row| nearest.iter().any(|near| near.1 == row.1)).count();
        }
    }
    growths.sort_unstable_by(f64::total_cmp);
    let growth = growths.get(growths.len() / 2).map_or(1.0, |growth| growth.clamp(1.0, GROWTH_MAX));
    Ok((found, growth))
}

/// The [`NEIGHBOURS`] smallest `distances` and their positions, ties to the first, without position `query`.
fn nearest(query: usize, distances: impl Iterator<Item = f32>) -> Vec<(f32, usize)> {
    let mut near: Vec<(f32, usize)> = Vec::with_capacity(2 * NEIGHBOURS);
    let by_distance = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    let mut bound = f32::INFINITY;
    for (position, distance) in distances.enumerate() {
        // Most rows are farther and cost only this comparison.
        if distance <= bound && position != query {
            // Normalize -0.0 so that equal distances tie under total_cmp.
            near.push((distance + 0.0, position));
            if near.len() == 2 * NEIGHBOURS {
                near.select_nth_unstable_by(NEIGHBOURS - 1, by_distance);
                near.truncate(NEIGHBOURS);
                bound = near[NEIGHBOURS - 1].0;
            }
        }
    }
    near.sort_unstable_by(by_distance);
    near.truncate(NEIGHBOURS);
    near
}

#[cfg(test)]
mod tests {
    use super::{MIXES, Side, peak};
    use crate::codec::random::Random;
    use crate::error::Result;
    use crate::metric::Metric;

    #[test]
    fn a_byte_is_near_its_number_or_says_that_it_is_off_the_scale() {
        let Some(side) = Side::of_parts(Metric::L2, 0.0, 0.5, 1.02) else { panic!("refused") };
        for number in [0.6f32, 1.0, 7.3, 60.0] {
            let byte = side.byte_of(&[0.0], &[number.sqrt()], &[0.0]);
            let stored = side.numbers[usize::from(byte)];
            assert!((stored / number - 1.0).abs() < 0.0101, "{number} {stored}");
        }
        assert_eq!(side.byte_of(&[0.0], &[0.0], &[0.0]), 0);
        assert_eq!(side.byte_of(&[0.0], &[1e9], &[0.0]), 255);
        // The norm of a huge vector overflows f32; its side byte gives no correction.
        let huge = side.byte_of(&[f32::MAX], &[f32::MAX], &[0.0]);
        assert_eq!(side.corrected(huge, &[f32::MAX], &[0.0], &[0.0], 7.0), 7.0);
    }

    #[test]
    fn the_mix_is_smaller_where_rows_are_denser() -> Result<()> {
        let mut random = Random::new(3, 0);
        let rows: Vec<f32> = (0..8 * 3000).map(|_| random.normal()).collect();
        let decoded: Vec<f32> = rows.iter().map(|value| 0.8 * value.signum()).collect();
        let mix_for =
            |coded| Side::train(Metric::L2, &[0.0; 8], (&rows, &decoded), coded, &mut || Ok(())).map(|side| side.mix);
        let [few, many, more] = [mix_for(3000)?, mix_for(300_000)?, mix_for(30_000_000)?];
        assert!(few > 1.5 * many && many > 1.5 * more && more > 0.0, "{few} {many} {more}");
        Ok(())
    }

    #[test]
    fn the_peak_is_that_of_a_parabola() {
        let found = |of: fn(f32) -> f32| peak(&MIXES.map(|mix| of(mix) as usize));
        assert!((found(|mix| 9000.0 - 10_000.0 * (mix - 0.3) * (mix - 0.3)) - 0.3).abs() < 0.01);
        assert_eq!(found(|mix| 9000.0 - 10_000.0 * (mix + 0.3) * (mix + 0.3)), 0.0);
        assert_eq!((found(|_| 70.0), found(|mix| 1000.0 * mix)), (0.0, f64::from(MIXES[MIXES.len() - 1])));
    }

    #[test]
    fn hostile_numbers_are_refused() {
        for (mix, least, ratio) in [(f32::NAN, 1.0, 1.1), (0.5, 0.0, 1.1), (0.5, 1.0, 0.9), (0.5, f32::INFINITY, 1.1)] {
            assert_eq!(Side::of_parts(Metric::L2, mix, least, ratio), None);
        }
        assert_eq!(Side::of_parts(Metric::InnerProduct, 0.5, 1.0, 1.1), None);
        assert!(Side::of_parts(Metric::InnerProduct, 1.0, 1.0, 1.1).is_some_and(|side| side.leaves_means()));
        assert_eq!(Side::of_parts(Metric::Cosine, 1.0, 1.0, 1.1), None);
    }
}
