//! Error bounds as stored: the upper half of an f32, rounded up (format.md §6.3).

/// The least storable bound that is not below `value`; a NaN becomes the bound for "unknown".
pub fn bound_above(value: f64) -> u16 {
    let rounded = (f64::from(f32::MIN_POSITIVE).max(value) as f32).min(f32::MAX);
    if value == 0.0 {
        return 0;
    }
    if value.is_nan() || value > f64::from(f32::MAX) {
        return INFINITE;
    }
    let above = if f64::from(rounded) < value { rounded.next_up() } else { rounded };
    // The bits of positive floats, read as integers, are in the same order as the floats.
    (above.to_bits().div_ceil(1 << 16) as u16).min(INFINITE)
}

/// The stored bound for "unknown": +inf.
const INFINITE: u16 = (f32::INFINITY.to_bits() >> 16) as u16;

/// The value of a stored bound, which is at least zero and may be infinite; `None` for a negative number or a NaN.
pub fn bound_of(stored: u16) -> Option<f32> {
    let value = f32::from_bits(u32::from(stored) << 16);
    (value >= 0.0 && value.is_sign_positive()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::{bound_above, bound_of};

    #[test]
    fn bounds_are_rounded_up_and_by_less_than_a_hundredth() {
        let values = (-300..300).map(|tenth| 10f64.powf(f64::from(tenth) / 10.0) * 1.234_567);
        for value in values.filter(|value| (1e-30..1e30).contains(value)) {
            let bound = f64::from(bound_of(bound_above(value)).unwrap_or(f32::NAN));
            assert!((value..value * 1.01).contains(&bound), "{value} {bound}");
        }
        assert_eq!(bound_of(bound_above(0.0)), Some(0.0));
        assert_eq!(bound_of(bound_above(0.5)), Some(0.5));
        assert!(bound_of(bound_above(1e-60)).is_some_and(|bound| bound > 0.0));
        for beyond in [3.5e38, f64::INFINITY, f64::NAN] {
            assert_eq!(bound_of(bound_above(beyond)), Some(f32::INFINITY));
        }
        assert_eq!((bound_of(0x8000), bound_of(0xbf80), bound_of(0x7fc0)), (None, None, None));
    }
}
