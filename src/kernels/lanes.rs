//! Sixteen floats side by side: the shape in which codewords are stored and most kernels compute.

/// Codewords of a symbol: a symbol has four bits.
pub const CODEWORDS: usize = 16;

/// A value for each codeword of a symbol, or for each of 16 consecutive dims; on one cache line.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Lanes(pub [f32; CODEWORDS]);

impl Lanes {
    /// The same value in every lane.
    pub const fn of(value: f32) -> Lanes {
        Lanes([value; CODEWORDS])
    }

    /// The sum, lane by lane.
    #[inline(always)]
    pub(super) fn plus(self, other: &Lanes) -> Lanes {
        Lanes(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }

    /// The product with `factor`, lane by lane.
    #[inline(always)]
    pub(super) fn times(self, factor: f32) -> Lanes {
        Lanes(std::array::from_fn(|lane| self.0[lane] * factor))
    }
}
