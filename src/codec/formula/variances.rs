//! Variances of dims: a byte each on a logarithmic scale.

use crate::codec::exponential::log2;
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::{BookReader, StoredVariances};
    use crate::codec::exponential::exp2;

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
}
