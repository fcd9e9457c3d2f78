//! Variances of dims: a byte each on a logarithmic scale, and how bits are divided by them.

use super::exponential::{exp2, log2};
use crate::codec::reader::BookReader;

/// Steps of the scale for each factor of two: a variance is stored to within 6 %.
const STEPS: f64 = 6.0;

/// The byte of the largest variance.
const LARGEST: u8 = u8::MAX;

/// Variances as they are stored, and as encoder and decoder use them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StoredVariances {
    /// The largest variance; positive and finite.
    pub(super) largest: f32,
    /// `[dim]`: the variance is `largest` · 2^((byte - 255) / 6). 0: the dim is left out.
    pub(super) bytes: Vec<u8>,
}

impl StoredVariances {
    /// Rounds `variances: [dim]`. `None` if none of them is a positive f32.
    pub(super) fn of(variances: &[f64]) -> Option<StoredVariances> {
        let largest = variances.iter().fold(0.0, |most: f64, variance| most.max(*variance)) as f32;
        if !(largest > 0.0 && largest.is_finite()) {
            return None;
        }
        let top = log2(f64::from(largest));
        let byte_of = |variance: &f64| {
            if *variance <= 0.0 {
                return 0;
            }
            let steps = ((log2(*variance) - top) * STEPS).round();
            (f64::from(LARGEST) + steps).clamp(0.0, f64::from(LARGEST)) as u8
        };
        Some(StoredVariances { largest, bytes: variances.iter().map(byte_of).collect() })
    }

    /// Appends the stored form: `largest`, and the bytes.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.largest.to_le_bytes());
        bytes.extend(&self.bytes);
    }

    /// Reads the stored form for `dim` dims, which is not trusted.
    pub(super) fn parse(reader: &mut BookReader<'_>, dim: usize) -> Result<StoredVariances, String> {
        let largest = reader.float()?;
        if !(largest > 0.0 && largest.is_finite()) {
            return Err(format!("largest variance {largest}, expected a positive number"));
        }
        let bytes = reader.bytes(dim)?.to_vec();
        if bytes.iter().all(|byte| *byte == 0) {
            return Err("all dims are left out".to_owned());
        }
        Ok(StoredVariances { largest, bytes })
    }

    /// Number of dims that are not left out.
    pub(super) fn coded(&self) -> usize {
        self.bytes.iter().filter(|byte| **byte > 0).count()
    }

    /// `[dim]`: log2 of the variances in units of the largest; minus infinity for dims that are left out.
    pub(super) fn logarithms(&self) -> Vec<f64> {
        let logarithm = |byte: u8| (f64::from(byte) - f64::from(LARGEST)) / STEPS;
        self.bytes.iter().map(|byte| if *byte == 0 { f64::NEG_INFINITY } else { logarithm(*byte) }).collect()
    }
}

/// log2 of the level of reverse water-filling (Cover, Thomas: Elements of Information Theory, §10.3.3): dims whose
/// variance is above the level get ½ · log2(variance / level) bits each, `bits` in all. `logarithms` are log2 of the
/// variances; minus infinity if all of them are that.
pub(super) fn water_level(logarithms: &[f64], bits: f64) -> f64 {
    let mut falling = logarithms.to_vec();
    falling.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut sum, mut level) = (0.0, f64::NEG_INFINITY);
    for (count, logarithm) in (1u32..).zip(&falling) {
        if *logarithm <= level {
            break;
        }
        sum += logarithm;
        level = (sum - 2.0 * bits) / f64::from(count);
    }
    level
}

/// The least squared error of a code of `bits` for a normal distribution with these `variances`.
pub(super) fn error_bound(variances: &[f64], bits: f64) -> f64 {
    let positive: Vec<f64> = variances.iter().copied().filter(|variance| *variance > 0.0).collect();
    let logarithms: Vec<f64> = positive.iter().map(|variance| log2(*variance)).collect();
    let level = exp2(water_level(&logarithms, bits));
    positive.iter().map(|variance| variance.min(level)).sum()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::{BookReader, StoredVariances, error_bound, exp2, log2, water_level};

    #[test]
    fn variances_are_stored_to_within_six_percent() {
        let variances: Vec<f64> = (0..400).map(|step| 3.7 * exp2(-f64::from(step) * 0.1)).collect();
        let stored = StoredVariances::of(&variances).unwrap();
        for (variance, logarithm) in variances.iter().zip(stored.logarithms()) {
            let ratio = f64::from(stored.largest) * exp2(logarithm) / variance;
            assert!((0.94..1.06).contains(&ratio), "{variance}: {ratio}");
        }
        let again: Vec<f64> = stored.logarithms().iter().map(|l| f64::from(stored.largest) * exp2(*l)).collect();
        assert_eq!(StoredVariances::of(&again).unwrap(), stored);
    }

    #[test]
    fn zeros_and_tiny_variances_are_left_out() {
        let stored = StoredVariances::of(&[0.0, 1e-30, 2.0, -1e-9]).unwrap();
        assert_eq!((stored.largest, stored.bytes.as_slice()), (2.0, [0, 0, 255, 0].as_slice()));
        assert_eq!(stored.logarithms(), [f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0, f64::NEG_INFINITY]);
        assert!([[0.0, 0.0], [0.0, 1e-200], [1.0, 1e300]].iter().all(|bad| StoredVariances::of(bad).is_none()));
    }

    #[test]
    fn stored_variances_are_checked() {
        let stored = StoredVariances::of(&[0.5, 2.0, 0.0]).unwrap();
        let mut bytes = Vec::new();
        stored.write(&mut bytes);
        assert_eq!(StoredVariances::parse(&mut BookReader::new(&bytes), 3).unwrap(), stored);
        assert!(StoredVariances::parse(&mut BookReader::new(&bytes), 4).is_err());
        for largest in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            bytes[..4].copy_from_slice(&largest.to_le_bytes());
            assert!(StoredVariances::parse(&mut BookReader::new(&bytes), 3).is_err());
        }
        bytes = [&1.0f32.to_le_bytes()[..], &[0; 3]].concat();
        assert!(StoredVariances::parse(&mut BookReader::new(&bytes), 3).is_err());
    }

    #[test]
    fn bits_are_divided_by_reverse_water_filling() {
        // Two bits: the level is 0.5, one and a half of them for the first dim and a half for the second.
        assert!((error_bound(&[4.0, 1.0, 0.25, 0.0], 2.0) - 1.25).abs() < 1e-12);
        assert!((error_bound(&[4.0, 1.0, 0.25], 0.0) - 5.25).abs() < 1e-12);
        let logarithms: Vec<f64> = (1..500).map(|k| log2(1.0 / f64::from(k))).chain([f64::NEG_INFINITY]).collect();
        for bits in [0.25, 10.0, 300.0, 4000.0] {
            let level = water_level(&logarithms, bits);
            let given: f64 = logarithms.iter().map(|l| (l - level).max(0.0) / 2.0).sum();
            assert!((given - bits).abs() < 1e-9 * bits, "{bits}: {given}");
        }
        assert_eq!(water_level(&[f64::NEG_INFINITY; 3], 5.0), f64::NEG_INFINITY);
    }
}
