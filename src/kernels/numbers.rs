//! The body of the kernel that takes numbers of any bits out of a code.

/// Dims taken out side by side.
pub const DIMS: usize = 8;

/// Where the bits of eight dims' numbers are in a code, and what the numbers stand for. Each number is in two parts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    /// The lowest bits.
    pub low: Bits,
    /// The others.
    pub high: Bits,
    /// How many the lowest are.
    pub low_bits: [u32; DIMS],
    /// The value of number 0.
    pub first: [f32; DIMS],
    /// From one number to the next.
    pub step: [f32; DIMS],
}

/// Some bits of each of eight dims: those of the 4 bytes from `base + offset` on, as a little-endian number, that are left of
/// `mask` once they are shifted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bits {
    /// A place in the code.
    pub base: usize,
    /// At most 15.
    pub offset: [u32; DIMS],
    /// At most 7.
    pub shift: [u32; DIMS],
    /// Of at most 25 bits.
    pub mask: [u32; DIMS],
}

/// Bytes from a base on that are looked at.
pub const REACH: usize = 20;

impl Bits {
    #[inline(always)]
    fn of(&self, code: &[u8]) -> [u32; DIMS] {
        let near: &[u8; REACH] = code.get(self.base..).and_then(|bytes| bytes.first_chunk()).unwrap_or(&[0; REACH]);
        let words = self.offset.map(|offset| {
            let at = offset as usize & 15;
            u32::from_le_bytes([near[at], near[at + 1], near[at + 2], near[at + 3]])
        });
        std::array::from_fn(|dim| words[dim] >> (self.shift[dim] & 7) & self.mask[dim])
    }
}

/// See `Kernels::values`.
#[inline(always)]
pub(super) fn values(numbers: &[Numbers], code: &[u8], out: &mut [f32]) {
    for (numbers, out) in numbers.iter().zip(out.chunks_mut(DIMS)) {
        let (low, high) = (numbers.low.of(code), numbers.high.of(code));
        let values: [f32; DIMS] = std::array::from_fn(|dim| {
            let number = low[dim] | high[dim] << (numbers.low_bits[dim] & 31);
            numbers.first[dim] + numbers.step[dim] * number as i32 as f32
        });
        match out.first_chunk_mut() {
            Some(eight) => *eight = values,
            None => out.copy_from_slice(&values[..out.len()]),
        }
    }
}
