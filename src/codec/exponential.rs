//! Powers of two and logarithms of f64 from additions, multiplications and divisions. The functions of std may round
//! differently on each machine, and stored bytes follow from these.

use std::f64::consts::{LN_2, SQRT_2};

/// Terms of the series of e^t for t up to ln 2: the next one is below 1e-18.
const EXPONENTIAL_TERMS: u32 = 18;

/// Terms of the series of the logarithm for mantissas from √½ to √2: the next one is below 1e-19.
const LOGARITHM_TERMS: u32 = 12;

const MANTISSA_BITS: u32 = 52;
const EXPONENT_BIAS: i64 = 1023;

/// 2^54, which makes a subnormal number normal.
const OUT_OF_SUBNORMAL: f64 = 18_014_398_509_481_984.0;

/// 2^`power`, with a relative error below 1e-13. 0 for powers below -1022, infinity from 1024 on.
pub fn exp2(power: f64) -> f64 {
    if power < -1022.0 {
        return 0.0;
    }
    if power >= 1024.0 {
        return f64::INFINITY;
    }
    let whole = power.floor();
    let rest = (power - whole) * LN_2;
    let mantissa = (1..=EXPONENTIAL_TERMS).rev().fold(1.0, |sum, term| 1.0 + sum * rest / f64::from(term));
    mantissa * f64::from_bits(((whole as i64 + EXPONENT_BIAS) as u64) << MANTISSA_BITS)
}

/// The logarithm to base 2 of `number`, which is positive and finite; its relative error is below 1e-13.
pub fn log2(number: f64) -> f64 {
    debug_assert!(number > 0.0 && number.is_finite());
    if number < f64::MIN_POSITIVE {
        return log2(number * OUT_OF_SUBNORMAL) - 54.0;
    }
    let bits = number.to_bits();
    let exponent = (bits >> MANTISSA_BITS) as i64 - EXPONENT_BIAS;
    let mantissa = f64::from_bits(bits & ((1 << MANTISSA_BITS) - 1) | (EXPONENT_BIAS as u64) << MANTISSA_BITS);
    let (mantissa, exponent) = if mantissa > SQRT_2 { (mantissa / 2.0, exponent + 1) } else { (mantissa, exponent) };
    // ln m = 2 · artanh((m - 1) / (m + 1))
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let series = (0..LOGARITHM_TERMS).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    exponent as f64 + 2.0 * ratio * series / LN_2
}

#[cfg(test)]
mod tests {
    use super::{exp2, log2};

    fn assert_near(found: f64, expected: f64, what: f64) {
        assert!((found - expected).abs() <= expected.abs() * 1e-13, "{what}: found {found}, expected {expected}");
    }

    #[test]
    fn powers_equal_those_of_std() {
        for step in -40_880..40_960 {
            let power = f64::from(step) / 40.0;
            assert_near(exp2(power), power.exp2(), power);
        }
        for whole in -1022..1024 {
            assert_eq!(exp2(f64::from(whole)), f64::from(whole).exp2());
        }
        assert_eq!((exp2(-1e9), exp2(1e9)), (0.0, f64::INFINITY));
    }

    #[test]
    fn logarithms_equal_those_of_std() {
        let mut number = 1e-320;
        while number < 1e307 {
            assert_near(log2(number), number.log2(), number);
            number *= 1.37;
        }
        for step in -1000..1000 {
            let number = 1.0 + f64::from(step) * 1e-5;
            assert_near(log2(number), number.log2(), number);
        }
        for whole in -1022..1024 {
            assert_eq!(log2(exp2(f64::from(whole))), f64::from(whole));
        }
    }
}
