//! The side byte of a code: one number of its vector that a scan of symbols needs and that makes up for some of their error.
//!
//! ```text
//! L2              n = (1 − mix) ‖x̂ − means‖² + mix ‖x − means‖²   distance = n − 2 ⟨q − means, x̂ − means⟩ + ‖q − means‖²
//! inner product   f = ‖x‖ ÷ ‖x̂‖                                   distance = −f ⟨q, x̂⟩
//! cosine          f = 1 ÷ ‖x̂‖                                     distance = 1 − f ⟨q, x̂⟩ ÷ ‖q‖
//! ```
//! What is near a query lies in the direction of it more than its code does, which shrinks what it rounds: so ‖x‖ belongs to
//! ⟨q, x⟩ rather than ‖x̂‖ (Gao, Long: RaBitQ, SIGMOD 2024, §3.2, for unit vectors). How much of that pays for L2 depends on
//! the data and is chosen by recall.

use crate::error::Result;
use crate::kernels::{PiecewiseLinear, SILENT, SLOPE_MAX, kernels};
use crate::metric::Metric;

/// Rows that ask when the mix is chosen, and how many answers count. The denser rows lie, the smaller is the best mix; the
/// two nearest of a sample are as near as the ten nearest of five times as many rows.
const QUERIES: usize = 1024;
const NEIGHBOURS: usize = 2;

/// Steps of the training, one more than are told on the way.
pub(in crate::codec) const STEPS: usize = 16;

/// Mixes tried.
const MIXES: [f32; 6] = [0.0, 0.1, 0.2, 0.35, 0.5, 0.65];

/// Bytes with a number: those before and behind them say that it is too small or too large for the others.
const NUMBERS: std::ops::RangeInclusive<u8> = SILENT[0] + 1..=SILENT[1] - 1;

/// One row in so many may be beyond the numbers at either end.
const BEYOND: usize = 1000;
/// Numbers go so far beyond those of the sample.
const MARGIN: f64 = 1.25;

/// What the side bytes of a codebook mean.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::codec) struct Side {
    pub(in crate::codec) metric: Metric,
    pub(in crate::codec) mix: f32,
    /// The number of byte 1.
    pub(in crate::codec) least: f32,
    /// A number is so many times the one before.
    pub(in crate::codec) ratio: f32,
    /// `[256]`: numbers of the bytes.
    numbers: Vec<f32>,
}

/// What a side byte makes of the distance to the decoded vector: `distance * factor + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correction {
    /// Of the distance.
    pub factor: f32,
    /// Behind it.
    pub offset: f32,
}

impl Correction {
    /// The distance is as it is.
    pub const NONE: Correction = Correction { factor: 1.0, offset: 0.0 };
}

impl Side {
    /// Side bytes with these numbers, if they can be.
    pub(in crate::codec) fn of_parts(metric: Metric, mix: f32, least: f32, ratio: f32) -> Option<Side> {
        let is_sound = (0.0..=1.0).contains(&mix) && least.is_normal() && least > 0.0 && (1.0..=2.0).contains(&ratio);
        let mut number = f64::from(least) / f64::from(ratio);
        let next = |_| {
            let now = number.min(f64::from(f32::MAX)) as f32;
            number *= f64::from(ratio);
            now
        };
        is_sound.then(|| Side { metric, mix, least, ratio, numbers: (0..256).map(next).collect() })
    }

    /// Learns the numbers from `rows: [n][dim]` and what they decode to, and the mix from how well rows find their
    /// neighbours among the others. `step` is called less than [`STEPS`] times; its error ends the training.
    pub(in crate::codec) fn train(
        metric: Metric,
        means: &[f32],
        rows: &[f32],
        decoded: &[f32],
        step: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Side> {
        let of_mix = |mix: f32| Side::of_rows(metric, mix, means, rows, decoded);
        if metric != Metric::L2 {
            return Ok(of_mix(0.0));
        }
        let sides = MIXES.map(of_mix);
        let offsets = sides.each_ref().map(|side| side.offsets(means, rows, decoded));
        let found = recalled(rows, decoded, means.len(), &offsets, step)?;
        let best = (1..MIXES.len()).fold(0, |best, next| if found[next] > found[best] { next } else { best });
        Ok(sides[best].clone())
    }

    /// What is added to the distance to each row.
    fn offsets(&self, means: &[f32], rows: &[f32], decoded: &[f32]) -> Vec<f32> {
        let pairs = rows.chunks_exact(means.len()).zip(decoded.chunks_exact(means.len()));
        let offset = |(row, decoded)| self.correction(self.byte_of(row, decoded, means), decoded, means).offset;
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
        // The 256th root, by square roots: they are the same on every machine.
        let ratio = (0..8).fold(high / low, |ratio, _| ratio.sqrt());
        let least = (low as f32).max(f32::MIN_POSITIVE);
        Side::of_parts(metric, mix, least, (ratio as f32).clamp(1.0, 2.0)).unwrap_or(side)
    }

    /// The side byte of `row: [dim]` that decodes to `decoded: [dim]`.
    pub(in crate::codec) fn byte_of(&self, row: &[f32], decoded: &[f32], means: &[f32]) -> u8 {
        let number = self.number_of(row, decoded, means);
        let above = self.numbers.partition_point(|step| *step < number);
        if above == 0 {
            return 0;
        }
        let Some(high) = self.numbers.get(above) else { return u8::MAX };
        let low = self.numbers[above - 1];
        (if number - low < high - number { above - 1 } else { above }) as u8
    }

    /// What `byte` says.
    pub(in crate::codec) fn number(&self, byte: u8) -> f64 {
        f64::from(self.numbers[usize::from(byte)])
    }

    /// Between the least and the largest number.
    pub(in crate::codec) fn spread(&self) -> f64 {
        self.number(u8::MAX) - self.number(0)
    }

    /// Between the numbers sixteen bytes apart, at most.
    pub(in crate::codec) fn steepest(&self) -> f64 {
        (self.number(u8::MAX) - self.number(239)).max(self.number(1) - self.number(0))
    }

    /// The share of a number that what it was rounded from may be off.
    pub(in crate::codec) fn coarseness(&self) -> f64 {
        (f64::from(self.ratio) - 1.0) / 2.0
    }

    /// The steps that come near `count` of each number, from 0 to 65,535 and rising; and by how much the real count is below
    /// them at most, as a negative number, and above.
    pub(in crate::codec) fn steps(&self, count: impl Fn(f64) -> f64) -> (PiecewiseLinear, f64, f64) {
        let at = |byte: usize| count(f64::from(self.numbers[byte]));
        let base: [f64; 16] = std::array::from_fn(|segment| at(segment * 16).round());
        let slope = std::array::from_fn(|segment| {
            let (rise, bytes) = match base.get(segment + 1) {
                Some(next) => (next - base[segment], 16.0),
                None => (at(255) - base[segment], 15.0),
            };
            ((rise * 16.0 / bytes).round() as u16).min(SLOPE_MAX)
        });
        let steps = PiecewiseLinear::new(&base.map(|count| count as u16), &slope);
        let off = NUMBERS.map(|byte| at(usize::from(byte)) - f64::from(steps.at(byte)));
        let (below, above) = off.fold((0.0f64, 0.0f64), |(below, above), off| (below.min(off), above.max(off)));
        (steps, below, above)
    }

    fn number_of(&self, row: &[f32], decoded: &[f32], means: &[f32]) -> f32 {
        let norm_sq = |row: &[f32]| kernels().dot(row, row);
        match self.metric {
            Metric::L2 => (1.0 - self.mix) * kernels().l2sq(decoded, means) + self.mix * kernels().l2sq(row, means),
            Metric::InnerProduct => (norm_sq(row) / norm_sq(decoded)).sqrt(),
            Metric::Cosine => norm_sq(decoded).sqrt().recip(),
        }
    }

    /// False if `byte` cannot be that of a row within `bound` of `decoded: [dim]`.
    pub(in crate::codec) fn agrees(&self, byte: u8, decoded: &[f32], means: &[f32], bound: f32) -> bool {
        if !NUMBERS.contains(&byte) {
            return true;
        }
        let dot = |row: &[f32]| f64::from(kernels().dot(row, row));
        let bound = f64::from(bound);
        let norm = match self.metric {
            Metric::L2 => f64::from(kernels().l2sq(decoded, means)).sqrt(),
            _ => dot(decoded).sqrt(),
        };
        // The row's own norm is within `bound` of that of what it decodes to; see `number_of` for what is made of both.
        let (low, high) = ((norm - bound).max(0.0), norm + bound);
        let mix = f64::from(self.mix);
        let of_norm = |own: f64| match self.metric {
            Metric::L2 => (1.0 - mix) * norm * norm + mix * own * own,
            Metric::InnerProduct => own / norm,
            Metric::Cosine => norm.recip(),
        };
        // A number is rounded to one of its neighbours, and all of this to f32 on the way.
        let (number, slack) = (f64::from(self.numbers[usize::from(byte)]), f64::from(self.ratio) * 1.001);
        let within = of_norm(low) / slack <= number && number <= of_norm(high) * slack;
        within || !of_norm(high).is_finite()
    }

    /// What `byte` says of the distance to `decoded: [dim]`.
    pub(in crate::codec) fn correction(&self, byte: u8, decoded: &[f32], means: &[f32]) -> Correction {
        // Without a mix the number is that of `decoded` itself, only less exact.
        if !NUMBERS.contains(&byte) || self.metric == Metric::L2 && self.mix == 0.0 {
            return Correction::NONE;
        }
        let number = self.numbers[usize::from(byte)];
        match self.metric {
            Metric::L2 => {
                let offset = number - kernels().l2sq(decoded, means);
                if offset.is_finite() { Correction { factor: 1.0, offset } } else { Correction::NONE }
            }
            Metric::InnerProduct => Correction { factor: number, offset: 0.0 },
            // The distance to what is decoded is the same already.
            Metric::Cosine => Correction::NONE,
        }
    }
}

/// How many of their true neighbours among `rows: [n][dim]` some of the rows find, when each of the lists of `offsets`, `[n]`,
/// is added to distances to `decoded: [n][dim]`.
fn recalled<const LISTS: usize>(
    rows: &[f32],
    decoded: &[f32],
    dim: usize,
    offsets: &[Vec<f32>; LISTS],
    step: &mut dyn FnMut() -> Result<()>,
) -> Result<[usize; LISTS]> {
    let count = rows.len() / dim;
    let queries = count.min(QUERIES);
    let mut found = [0; LISTS];
    for number in 0..queries {
        if number > 0 && number.is_multiple_of(QUERIES / STEPS) {
            step()?;
        }
        let query = number * count / queries;
        let asking = &rows[query * dim..][..dim];
        let distances =
            |among: &[f32]| -> Vec<f32> { among.chunks_exact(dim).map(|row| kernels().l2sq(asking, row)).collect() };
        let truth = nearest(query, distances(rows).into_iter());
        let distances = distances(decoded);
        for (found, offsets) in found.iter_mut().zip(offsets) {
            let nearest = nearest(query, distances.iter().zip(offsets).map(|(distance, offset)| distance + offset));
            *found += truth.iter().filter(|row| nearest.contains(row)).count();
        }
    }
    Ok(found)
}

/// The positions of the least `distances`, ties to the first, but for position `query`.
fn nearest(query: usize, distances: impl Iterator<Item = f32>) -> Vec<usize> {
    let mut near: Vec<(f32, usize)> = Vec::with_capacity(2 * NEIGHBOURS);
    let by_distance = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    let mut bound = f32::INFINITY;
    for (position, distance) in distances.enumerate() {
        // Most are farther, and cost a comparison only.
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
    near.into_iter().map(|(_, position)| position).collect()
}

#[cfg(test)]
mod tests {
    use super::{Correction, Side};
    use crate::metric::Metric;

    #[test]
    fn a_byte_is_near_its_number_or_says_that_there_is_none() {
        let Some(side) = Side::of_parts(Metric::L2, 0.0, 0.5, 1.02) else { panic!("refused") };
        for number in [0.6f32, 1.0, 7.3, 60.0] {
            let byte = side.byte_of(&[0.0], &[number.sqrt()], &[0.0]);
            let stored = side.numbers[usize::from(byte)];
            assert!((stored / number - 1.0).abs() < 0.0101, "{number} {stored}");
        }
        assert_eq!(side.byte_of(&[0.0], &[0.0], &[0.0]), 0);
        assert_eq!(side.byte_of(&[0.0], &[1e9], &[0.0]), 255);
        // Giants have no norm in f32, and their side byte says nothing.
        let giant = side.byte_of(&[f32::MAX], &[f32::MAX], &[0.0]);
        assert_eq!(side.correction(giant, &[f32::MAX], &[0.0]), Correction::NONE);
    }

    #[test]
    fn hostile_numbers_are_refused() {
        for (mix, least, ratio) in [(f32::NAN, 1.0, 1.1), (0.5, 0.0, 1.1), (0.5, 1.0, 0.9), (0.5, f32::INFINITY, 1.1)] {
            assert_eq!(Side::of_parts(Metric::L2, mix, least, ratio), None);
        }
    }
}
