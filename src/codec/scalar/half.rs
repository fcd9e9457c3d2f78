//! IEEE 754 binary16 and back: 1 bit sign, 5 bits exponent, 10 bits fraction.

/// The largest finite half. Larger values are clamped to it.
pub(super) const MAX: f32 = 65_504.0;

/// The smallest normal half.
const NORMAL_MIN: f32 = 1.0 / 16_384.0;

/// 2^112: the biases of the exponents of f32 and of halves differ by 112.
const REBIAS: f32 = f32::from_bits((112 + 127) << 23);

/// The half nearest to `value`, ties to even.
pub(super) fn from_float(value: f32) -> u16 {
    let size = value.abs().min(MAX);
    let magnitude = if size < NORMAL_MIN {
        // The last bit of 0.5f32 has the weight of the last bit of a subnormal half, so the addition rounds.
        (size + 0.5).to_bits() - 0.5f32.to_bits()
    } else {
        let bits = size.to_bits();
        (bits + 0xfff + (bits >> 13 & 1) - (112 << 23)) >> 13
    };
    (magnitude | (value.to_bits() >> 16 & 0x8000)) as u16
}

/// The value of `half`; infinities and NaNs become the largest finite half of their sign.
pub(super) fn to_float(half: u16) -> f32 {
    let size = f32::from_bits(u32::from(half & 0x7fff) << 13) * REBIAS;
    f32::from_bits(size.min(MAX).to_bits() | u32::from(half & 0x8000) << 16)
}

/// The squared error of `value` as a half.
pub(super) fn squared_error(value: f32) -> f64 {
    (f64::from(value) - f64::from(to_float(from_float(value)))).powi(2)
}

#[cfg(test)]
mod tests {
    use super::{MAX, from_float, to_float};

    /// By the definition of the format, in doubles.
    fn defined(half: u16) -> f64 {
        let (exponent, fraction) = (i32::from(half >> 10 & 31), f64::from(half & 1023));
        let size = if exponent == 0 { fraction } else { (1024.0 + fraction) * 2f64.powi(exponent - 1) };
        let size = (size * 2f64.powi(-24)).min(f64::from(MAX));
        if half >> 15 == 1 { -size } else { size }
    }

    #[test]
    fn every_half_has_the_value_of_the_format_and_comes_back() {
        for half in 0..=u16::MAX {
            let value = to_float(half);
            assert_eq!(f64::from(value), defined(half), "{half:#x}");
            assert_eq!(value.is_sign_negative(), half >> 15 == 1);
            let is_finite = half >> 10 & 31 < 31;
            assert_eq!(from_float(value) == half, is_finite || half & 0x7fff == 0x7bff, "{half:#x}");
        }
    }

    #[test]
    fn floats_become_the_nearest_half_and_ties_go_to_even() {
        for half in 0..0x7bffu16 {
            let (low, high) = (to_float(half), to_float(half + 1));
            let middle = low + (high - low) / 2.0;
            let even = half + (half & 1);
            for sign in [0, 0x8000] {
                let signed = |value: f32| if sign == 0 { value } else { -value };
                assert_eq!(from_float(signed(middle)), even | sign, "{middle}");
                assert_eq!(from_float(signed(middle.next_down())), half | sign, "{middle}");
                assert_eq!(from_float(signed(middle.next_up())), (half + 1) | sign, "{middle}");
            }
        }
        for far in [65_504.1, 65_520.0, 1e9, f32::MAX] {
            assert_eq!((to_float(from_float(far)), to_float(from_float(-far))), (MAX, -MAX));
        }
        assert_eq!((from_float(1e-30), from_float(-1e-30), from_float(f32::from_bits(1))), (0, 0x8000, 0));
    }
}
