//! Rows of an array in Fortran order, which stores the first components of all rows, then the second ones, and so on.

use super::input::Stream;
use super::layout::RowLayout;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Bytes of the rows that are in memory at once.
const WINDOW_BYTES: usize = 16 << 20;

/// Reads the rows of a file in order: a window of rows is gathered from all columns.
pub struct Transposed {
    file: File,
    layout: RowLayout,
    /// The first row after the window.
    next: u64,
    /// Whole rows.
    window: Vec<u8>,
    /// Bytes of the window that were read.
    taken: usize,
}

impl Transposed {
    /// `layout` must be that of `file`, compared with its length.
    pub fn new(file: File, layout: RowLayout) -> Transposed {
        Transposed { file, layout, next: 0, window: Vec::new(), taken: 0 }
    }

    /// Gathers the next rows; none at the end.
    fn gather(&mut self) -> io::Result<()> {
        let (stride, width) = (self.layout.stride(), self.layout.element.bytes());
        let left = self.layout.count.unwrap_or(0) - self.next;
        let rows = ((WINDOW_BYTES / stride).max(1) as u64).min(left) as usize;
        self.window.resize(rows * stride, 0);
        self.taken = 0;
        let mut column = vec![0; rows * width];
        for number in 0..if rows == 0 { 0 } else { self.layout.dim } {
            self.file.read_exact_at(&mut column, self.layout.offset(self.next, number))?;
            let rows = self.window.chunks_exact_mut(stride).zip(column.chunks_exact(width));
            rows.for_each(|(row, value)| row[number * width..][..width].copy_from_slice(value));
        }
        self.next += rows as u64;
        Ok(())
    }
}

impl Read for Transposed {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.window.len() {
            self.gather()?;
        }
        let read = bytes.len().min(self.window.len() - self.taken);
        bytes[..read].copy_from_slice(&self.window[self.taken..][..read]);
        self.taken += read;
        Ok(read)
    }
}

impl Stream for Transposed {
    /// `count` must be that of whole rows.
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let inside = count.min((self.window.len() - self.taken) as u64);
        self.taken += inside as usize;
        self.next += (count - inside) / self.layout.stride() as u64;
        Ok(())
    }
}
