//! Reads the fields of a stored codebook in order. Allocates only for fields whose bytes are there.

/// A position in a stored codebook.
pub(super) struct BookReader<'a> {
    rest: &'a [u8],
    /// Bytes of the whole codebook.
    length: usize,
}

impl<'a> BookReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> BookReader<'a> {
        BookReader { rest: bytes, length: bytes.len() }
    }

    /// Bytes not read yet.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (read, rest) = self.rest.split_at_checked(count).ok_or_else(|| {
            format!("found {} bytes, expected {count} more than {}", self.length, self.length - self.rest.len())
        })?;
        self.rest = rest;
        Ok(read)
    }

    /// A u32.
    pub(super) fn number(&mut self) -> Result<usize, String> {
        let mut word = [0; 4];
        word.copy_from_slice(self.bytes(4)?);
        Ok(u32::from_le_bytes(word) as usize)
    }

    /// An f32 of any value.
    pub(super) fn float(&mut self) -> Result<f32, String> {
        self.number().map(|bits| f32::from_bits(bits as u32))
    }

    /// `count` finite f32.
    pub(super) fn floats(&mut self, count: usize) -> Result<Vec<f32>, String> {
        let words = self.bytes(count * 4)?.as_chunks::<4>().0;
        let floats: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        if floats.iter().any(|value| !value.is_finite()) {
            return Err("a number that is not finite".to_owned());
        }
        Ok(floats)
    }
}
