//! Random numbers for training: a seed gives the same numbers on every machine.

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// Stream number `stream` of `seed`.
    pub(super) fn new(seed: u64, stream: u64) -> Random {
        let mut mixer = Random { state: seed };
        let state = mixer.next() ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03);
        Random { state }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0.0..1.0.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in 0..n; n is at least 1.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Approximately normal, mean 0 and variance 1: a sum of twelve uniform numbers, because every machine rounds a sum
    /// the same way.
    pub(super) fn normal(&mut self) -> f32 {
        ((0..12).map(|_| self.unit()).sum::<f64>() - 6.0) as f32
    }
}
