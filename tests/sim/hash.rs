//! A 128-bit hash of a stream of words: wide enough that a hundred million states do not collide by accident.

/// A running hash. Not for hostile input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash {
    low: u64,
    high: u64,
}

const LOW: u64 = 0xA076_1D64_78BD_642F;
const HIGH: u64 = 0xE703_7ED1_A0B4_28DB;

fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

impl Hash {
    pub(crate) fn new() -> Hash {
        Hash { low: LOW, high: HIGH }
    }

    pub(crate) fn word(&mut self, word: u64) {
        self.low = folded(self.low ^ word, LOW).wrapping_add(self.high);
        self.high = folded(self.high ^ word.rotate_left(32), HIGH) ^ self.low;
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(16);
        for chunk in &mut chunks {
            let (a, b) = (little(&chunk[..8]), little(&chunk[8..]));
            self.low = folded(self.low ^ a, LOW ^ b);
            self.high = folded(self.high ^ b, HIGH ^ a.rotate_left(29)).wrapping_add(self.low);
        }
        for byte in chunks.remainder() {
            self.word(u64::from(*byte));
        }
        self.word(bytes.len() as u64);
    }

    /// One stored vector, by its bits.
    pub(crate) fn vector(&mut self, id: u64, vector: &[f32]) {
        self.word(id);
        for value in vector {
            self.word(u64::from(value.to_bits()));
        }
    }

    pub(crate) fn end(mut self) -> u128 {
        self.word(0);
        self.word(0);
        u128::from(self.low) << 64 | u128::from(self.high)
    }

    pub(crate) fn of(bytes: &[u8]) -> u128 {
        let mut hash = Hash::new();
        hash.bytes(bytes);
        hash.end()
    }
}

fn little(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}
