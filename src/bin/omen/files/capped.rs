//! A reader with a limit on the bytes of one line, because a line is read as a whole.

use std::io::{self, Read};

/// The longest line: 65,536 numbers with room for other columns.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Fails after [`LINE_BYTES_MAX`] bytes, counted from the last call of `refill`.
pub struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R> Capped<R> {
    pub fn new(inner: R) -> Capped<R> {
        Capped { inner, left: LINE_BYTES_MAX }
    }

    /// Starts counting again.
    pub fn refill(&mut self) {
        self.left = LINE_BYTES_MAX;
    }
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let what = format!("found more than {LINE_BYTES_MAX} bytes without the end of a line");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let most = bytes.len().min(self.left as usize);
        let read = self.inner.read(&mut bytes[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}
