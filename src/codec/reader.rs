//! Fields of a stored codebook, taken from the front; nothing is allocated that the bytes do not hold.

/// Bytes not taken yet, of `length` in all.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, length: bytes.len() }
    }

    pub(super) fn bytes(&mut self, count: usize) -> std::result::Result<&'a [u8], String> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(|| {
            format!("found {} bytes, expected {count} more than {}", self.length, self.length - self.bytes.len())
        })?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn number(&mut self) -> std::result::Result<usize, String> {
        let mut word = [0; 4];
        word.copy_from_slice(self.bytes(4)?);
        Ok(u32::from_le_bytes(word) as usize)
    }

    pub(super) fn float(&mut self) -> std::result::Result<f32, String> {
        self.number().map(|bits| f32::from_bits(bits as u32))
    }

    pub(super) fn floats(&mut self, count: usize) -> std::result::Result<Vec<f32>, String> {
        let words = self.bytes(count * 4)?.as_chunks::<4>().0;
        let floats: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        if floats.iter().any(|value| !value.is_finite()) {
            return Err("a number that is not finite".to_owned());
        }
        Ok(floats)
    }
}
