//! Grids: the values of the numbers of one dim.

use crate::codec::round;

/// The most bits of a dim.
pub(super) const BITS_MAX: u8 = 16;

/// The values of one dim: `low` and equal steps up from it, one value for each number of `bits` bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) bits: u8,
    pub(super) low: f32,
    pub(super) step: f32,
}

impl Grid {
    /// The largest number of `bits`.
    pub(super) fn most(bits: u8) -> f32 {
        ((1u32 << bits) - 1) as f32
    }

    /// True if every number stands for a finite value.
    pub(super) fn is_sound(&self) -> bool {
        let reach = self.step * Grid::most(self.bits.min(BITS_MAX));
        self.bits <= BITS_MAX && self.step >= 0.0 && reach.is_finite() && (self.low + reach).is_finite()
    }

    /// The width of the range of values whose numbers differ in the lowest `bits` bits only.
    pub(super) fn width(&self, bits: u8) -> f32 {
        if bits > 0 { self.step * (Grid::most(bits) + 1.0) } else { 0.0 }
    }

    /// Values that are rounded by at most half a step: the least and the largest.
    pub(super) fn reach(&self) -> (f32, f32) {
        let half = self.step / 2.0;
        (self.low - half, self.low + self.step * Grid::most(self.bits) + half)
    }

    /// The number whose value is nearest to `value`.
    #[inline]
    pub(super) fn number(&self, value: f32) -> u32 {
        // A step of zero makes 0 / 0, which `max` turns into 0.
        let number = ((value - self.low) / self.step).max(0.0).min(Grid::most(self.bits));
        (number + round::TO_WHOLE).to_bits() & 0xffff
    }

    #[inline]
    pub(super) fn value(&self, number: f32) -> f32 {
        self.low + self.step * number
    }

    /// The squared error of `value` when it is rounded to the nearest number.
    #[inline]
    pub(super) fn squared_error(&self, value: f32) -> f64 {
        let off = f64::from(value) - f64::from(self.value(self.number(value) as f32));
        off * off
    }
}
