//! Random numbers for tests, the same on every machine and in every run: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
#![allow(dead_code, reason = "each test binary uses its part")]

/// A seeded generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number in `0..limit`; 0 where `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.next() % limit }
    }

    /// An index into `count` items.
    pub fn index(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// True once in `count` times.
    pub fn once_in(&mut self, count: u64) -> bool {
        self.below(count.max(1)) == 0
    }

    /// Uniform in `0.0..1.0`.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// Uniform in `-1.0..1.0`.
    pub fn signed(&mut self) -> f32 {
        self.unit() * 2.0 - 1.0
    }

    /// `count` floats, uniform in `-1.0..1.0`.
    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.signed()).collect()
    }

    /// Nearly normal with mean 0 and variance 1: the sum of twelve uniform numbers.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    /// `[rows][dim]`: a hidden normal for each of `directions: [rank][dim]`, the later the smaller, seen in all dims, and a
    /// little noise.
    pub fn low_rank(&mut self, rows: usize, dim: usize, directions: &[f32]) -> Vec<f32> {
        let mut values = Vec::with_capacity(rows * dim);
        for _ in 0..rows {
            let rank = directions.len() / dim;
            let hidden: Vec<f32> = (0..rank).map(|rank| self.normal() / (1.0 + rank as f32 / 4.0)).collect();
            values.extend((0..dim).map(|column| {
                let seen = hidden.iter().zip(directions.chunks_exact(dim)).map(|(value, row)| value * row[column]);
                seen.sum::<f32>() + 0.1 * self.normal()
            }));
        }
        values
    }

    /// The numbers `0..count` in random order (Fisher, Yates).
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.index(last + 1));
        }
        order
    }

    /// Finite floats of either sign, a tenth of them small integers, so equal vectors happen too.
    pub fn vector(&mut self, dim: usize) -> Vec<f32> {
        (0..dim).map(|_| if self.once_in(10) { self.below(3) as f32 } else { self.signed() }).collect()
    }
}

/// The finalizer of SplitMix64: each bit of the result depends on each bit of `z`.
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
