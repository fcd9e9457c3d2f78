//! Decoding of scalar codes: one uniform quantizer for each dim, each with its own bit width.

/// Dims decoded side by side.
pub const GROUP_DIMS: usize = 8;

/// Decoder of [`GROUP_DIMS`] dims: the positions of their numbers' bits in a code, and the values of the numbers. A
/// number consists of two bit fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dequantizer {
    /// The low bits.
    pub low: BitFields,
    /// The remaining high bits.
    pub high: BitFields,
    /// Number of low bits.
    pub low_bits: [u32; GROUP_DIMS],
    /// The value of number 0.
    pub first: [f32; GROUP_DIMS],
    /// The difference between the values of consecutive numbers.
    pub step: [f32; GROUP_DIMS],
}

/// One bit field of each of [`GROUP_DIMS`] dims: `word >> shift & mask`, where `word` is the little-endian u32 at
/// `base + offset`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BitFields {
    /// Position in the code, in bytes.
    pub base: usize,
    /// In bytes, at most 15.
    pub offset: [u32; GROUP_DIMS],
    /// In bits, at most 7.
    pub shift: [u32; GROUP_DIMS],
    /// At most 25 bits.
    pub mask: [u32; GROUP_DIMS],
}

/// Bytes that must follow a code, because bit fields are read as windows of 20 bytes from their base.
pub const CODE_PADDING: usize = 20;

impl BitFields {
    #[inline(always)]
    fn read(&self, code: &[u8]) -> [u32; GROUP_DIMS] {
        let window: &[u8; CODE_PADDING] =
            code.get(self.base..).and_then(|bytes| bytes.first_chunk()).unwrap_or(&[0; CODE_PADDING]);
        let words = self.offset.map(|offset| {
            let at = offset as usize & 15;
            u32::from_le_bytes([window[at], window[at + 1], window[at + 2], window[at + 3]])
        });
        std::array::from_fn(|dim| words[dim] >> (self.shift[dim] & 7) & self.mask[dim])
    }
}

/// See `Kernels::dequantize`.
#[inline(always)]
pub(super) fn dequantize(dequantizers: &[Dequantizer], code: &[u8], out: &mut [f32]) {
    for (group, out) in dequantizers.iter().zip(out.chunks_mut(GROUP_DIMS)) {
        let (low, high) = (group.low.read(code), group.high.read(code));
        let values: [f32; GROUP_DIMS] = std::array::from_fn(|dim| {
            let number = low[dim] | high[dim] << (group.low_bits[dim] & 31);
            group.first[dim] + group.step[dim] * number as i32 as f32
        });
        match out.first_chunk_mut() {
            Some(eight) => *eight = values,
            None => out.copy_from_slice(&values[..out.len()]),
        }
    }
}
