//! Rounding of floats to integers by an addition, which vectorizes.

/// Added to a float from 0 to 2^22 it leaves the nearest integer in the low bits, ties to even.
pub(super) const TO_WHOLE: f32 = 8_388_608.0;
