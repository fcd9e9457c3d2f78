//! The scale of a row: a row is divided by it before it is coded, and multiplied after it is decoded.
//!
//! ```text
//! directions   cosine: the scale is the length of the row, so codes are directions
//! lengths      other metrics: 1, or the power of two that brings the length of a row near that of most rows
//! ```
//! The codewords and grids of a codebook cover the rows of its sample. A row that is far longer would be cut off, and a
//! far shorter one would drown in the rounding. This is shape-gain quantization (Gersho, Gray: Vector Quantization and
//! Signal Compression, §12.10) with a coarse gain.

use super::reader::BookReader;
use super::shape::Shape;
use crate::metric::Metric;
use std::borrow::Cow;

/// Scales of lengths are 2 to a number in this range: a search may need a table for each that occurs in a file.
const POWERS: std::ops::RangeInclusive<i32> = -125..=125;

/// Rows longer than this many times the median length are divided.
const LONG: f64 = 2.0;

/// Lengths are spread if one row in [`SPREAD_ROWS`] is this many times as long as the median. Then short rows are
/// multiplied as well. Otherwise rows that are only [`LITTLE`] times as long as these are not divided: dividing costs
/// precision.
const SPREAD: f64 = 2.0;
const SPREAD_ROWS: usize = 50;
const LITTLE: f64 = 1.5;

/// Rows shorter than this share of the median length are multiplied.
const SHORT: f64 = 0.25;

/// How a codebook scales rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    /// True: the scale of a row is its length.
    pub(super) is_directional: bool,
    /// The length of most rows.
    typical: f32,
    /// Longer rows are divided, so that they have about the typical length; `f32::MAX`: none.
    longest: f32,
    /// Shorter rows are multiplied likewise.
    shortest: f32,
}

impl Scale {
    /// Leaves every row as it is.
    pub(super) const NONE: Scale = Scale { is_directional: false, typical: 1.0, longest: f32::MAX, shortest: 0.0 };

    /// Bytes of the stored form.
    pub(super) const BYTES: usize = 16;

    /// The scale for rows like `sample: [n][dim]` under a codebook of `shape`.
    pub(super) fn of_shape(sample: &[f32], shape: &Shape) -> Scale {
        if shape.is_scaled { Scale::of_sample(sample, shape.dim, shape.metric) } else { Scale::NONE }
    }

    /// The scale for rows like `sample: [n][dim]` under `metric`.
    pub(super) fn of_sample(sample: &[f32], dim: usize, metric: Option<Metric>) -> Scale {
        if metric == Some(Metric::Cosine) {
            return Scale { is_directional: true, ..Scale::NONE };
        }
        let mut lengths: Vec<f64> = sample.chunks_exact(dim).map(length).filter(|length| *length > 0.0).collect();
        if lengths.is_empty() {
            return Scale::NONE;
        }
        lengths.sort_unstable_by(f64::total_cmp);
        let (median, long) = (lengths[lengths.len() / 2], lengths[lengths.len() - 1 - lengths.len() / SPREAD_ROWS]);
        let (shortest, longest) = if long > SPREAD * median {
            (SHORT * median, LONG * median)
        } else {
            (0.0, (LONG * median).max(LITTLE * long))
        };
        let [typical, longest, shortest] =
            [median, longest, shortest].map(|length| length.min(f64::from(f32::MAX)) as f32);
        Scale { is_directional: false, typical, longest, shortest }
    }

    /// The scale of `row`; 0 if codes are directions and the row has none, so that any scale suits it.
    pub(super) fn of(&self, row: &[f32]) -> f32 {
        let length = length(row);
        if self.is_directional {
            return if length > 0.0 { (length as f32).clamp(f32::MIN_POSITIVE, f32::MAX) } else { 0.0 };
        }
        let is_long = self.longest < f32::MAX && length > f64::from(self.longest);
        if length == 0.0 || !is_long && length >= f64::from(self.shortest) {
            return 1.0;
        }
        // The largest power of two up to √2 times the ratio of the lengths is the nearest one.
        let ratio = length / f64::from(self.typical) * std::f64::consts::SQRT_2;
        scales().filter(|scale| f64::from(*scale) <= ratio).last().unwrap_or(power_of_two(*POWERS.start()))
    }

    /// True if `row` divided by `scale` is longer than most rows are, and the scale of a row is not its length.
    pub(super) fn is_long(&self, row: &[f32], scale: f32) -> bool {
        self.longest < f32::MAX && length(row) > LONG * f64::from(self.typical) * f64::from(scale)
    }

    /// The scales to try in turn for a row that does not fit with `scale`.
    pub(super) fn above(&self, scale: f32) -> impl Iterator<Item = f32> {
        let of_direction = if self.is_directional { scale } else { 1.0 };
        scales().map(move |factor| factor * of_direction).filter(move |next| *next > scale && next.is_normal())
    }

    /// `rows: [n][dim]` to train on: see [`scaled_sample`].
    pub(super) fn sample<'a>(&self, rows: &'a [f32], dim: usize) -> Cow<'a, [f32]> {
        let scales: Vec<f32> = rows.chunks_exact(dim).map(|row| self.of(row)).collect();
        scaled_sample(rows, &scales)
    }

    /// The stored form.
    pub(super) fn to_bytes(self) -> [u8; Scale::BYTES] {
        let mut bytes = [0; Scale::BYTES];
        let limits = [self.typical, self.longest, self.shortest].map(f32::to_bits);
        let fields = std::iter::once(u32::from(self.is_directional)).chain(limits);
        bytes.as_chunks_mut::<4>().0.iter_mut().zip(fields).for_each(|(bytes, field)| *bytes = field.to_le_bytes());
        bytes
    }

    /// Reads the stored form, which is not trusted.
    pub(super) fn parse(reader: &mut BookReader<'_>) -> Result<Scale, String> {
        let (directions, limits) = (reader.number()?, reader.floats(3)?);
        let (typical, longest, shortest) = (limits[0], limits[1], limits[2]);
        if directions > 1 || shortest < 0.0 || longest <= shortest || typical <= 0.0 {
            return Err(format!("scale of directions {directions}, length {typical}, {shortest} to {longest}"));
        }
        Ok(Scale { is_directional: directions == 1, typical, longest, shortest })
    }
}

/// The scales of lengths, ascending.
fn scales() -> impl Iterator<Item = f32> {
    POWERS.map(power_of_two)
}

/// 2^`power`, of [`POWERS`].
fn power_of_two(power: i32) -> f32 {
    f32::from_bits(((power + 127) as u32) << 23)
}

/// The length of `row`. Squares of large or small floats do not fit f32.
fn length(row: &[f32]) -> f64 {
    row.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt()
}

/// `rows: [n][dim]`, each divided by its scale in `scales: [n]`.
pub fn scaled<'a>(rows: &'a [f32], scales: &[f32]) -> Cow<'a, [f32]> {
    if scales.iter().all(|scale| *scale == 1.0) {
        return Cow::Borrowed(rows);
    }
    let mut scaled = rows.to_vec();
    let dim = rows.len() / scales.len();
    scaled.chunks_exact_mut(dim).zip(scales).for_each(|(row, scale)| divide(row, *scale));
    Cow::Owned(scaled)
}

/// `rows: [n][dim]` to train on, each divided by its scale in `scales: [n]`. Rows of scale 0 are left out, because they are
/// not coded; unless all are.
pub fn scaled_sample<'a>(rows: &'a [f32], scales: &[f32]) -> Cow<'a, [f32]> {
    if scales.iter().all(|scale| *scale > 0.0) || scales.iter().all(|scale| *scale == 0.0) {
        return scaled(rows, scales);
    }
    let coded = rows.chunks_exact(rows.len() / scales.len()).zip(scales).filter(|(_, scale)| **scale > 0.0);
    let (rows, scales): (Vec<&[f32]>, Vec<f32>) = coded.unzip();
    scaled(&rows.concat(), &scales).into_owned().into()
}

/// Divides `row` by `scale`. A scale of 0 marks a row of zeros, which is left as it is.
pub fn divide(row: &mut [f32], scale: f32) {
    if scale != 1.0 && scale != 0.0 {
        row.iter_mut().for_each(|value| *value = (f64::from(*value) / f64::from(scale)) as f32);
    }
}

/// Multiplies `row` by `scale`. What would not fit a float becomes the largest one.
pub fn multiply(row: &mut [f32], scale: f32) {
    if scale == 0.0 {
        // Multiplication by 0 would turn negative numbers into -0.0.
        row.fill(0.0);
    } else if scale != 1.0 {
        let product = |value: f32| f64::from(value) * f64::from(scale);
        row.iter_mut()
            .for_each(|value| *value = product(*value).clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::Scale;
    use crate::metric::Metric;

    #[test]
    fn far_rows_are_brought_near_the_others_and_others_stay() {
        let mut sample: Vec<f32> = (0..200).flat_map(|row| [3.0, 4.0 + row as f32 / 1000.0]).collect();
        sample.extend([3e30, 4e30, 0.0, 0.0]);
        let scale = Scale::of_sample(&sample, 2, Some(Metric::L2));
        assert_eq!([[3.0, 4.0], [6.0, 7.0], [0.0, 0.0], [0.1, 0.1]].map(|row| scale.of(&row)), [1.0; 4]);
        assert_eq!([[9.0, 12.0], [30.0, 40.0], [300.0, 400.0]].map(|row| scale.of(&row)), [4.0, 8.0, 128.0]);
        let scaled = scale.sample(&sample, 2);
        assert!(scaled.chunks_exact(2).all(|row| row[0].hypot(row[1]) < 11.0));
        // Some rows are far longer than most: then short rows are scaled as well.
        sample.extend([300.0, 400.0].repeat(5));
        let scale = Scale::of_sample(&sample, 2, Some(Metric::InnerProduct));
        assert_eq!([[0.9, 1.2], [0.3, 0.4], [0.03, 0.04]].map(|row| scale.of(&row)), [1.0, 0.125, 1.0 / 128.0]);
    }

    #[test]
    fn a_direction_has_length_one() {
        let scale = Scale::of_sample(&[], 2, Some(Metric::Cosine));
        let rows = [3e30, 4e30, 3e-38, 4e-38, 0.0, 0.0];
        let directions = scale.sample(&rows, 2);
        assert_eq!(directions.len(), 4, "{directions:?}");
        for (value, expected) in directions.iter().zip([0.6, 0.8, 0.6, 0.8]) {
            assert!((value - expected).abs() < 1e-6, "{directions:?}");
        }
        assert_eq!(scale.sample(&rows[4..], 2), &[0.0, 0.0][..]);
    }
}
