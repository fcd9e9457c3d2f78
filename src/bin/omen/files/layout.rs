//! Positions of the rows in a file, from its header, which is compared with the length of the file if that is known.
//!
//!     vecs  [i32 dim][dim elements] for each row
//!     bin   [u32 count][u32 dim], then rows
//!     npy   a header of Python, then rows

use super::format::{Element, Format, Framing};
use super::input::{fill, read_failed};
use super::npy;
use crate::failure::{Failure, Outcome};
use omen::format::DIM_MAX;
use std::io::Read;

/// Rows of equal length, stored one after the other.
#[derive(Clone, Copy, Debug)]
pub struct RowLayout {
    pub element: Element,
    pub is_big_endian: bool,
    /// True: stored by columns.
    pub is_fortran: bool,
    pub dim: usize,
    /// `None` if only the end of the file tells.
    pub count: Option<u64>,
    /// Offset of the first row in the file, in bytes.
    pub start: u64,
    /// Bytes before the components of each row: 4 for its dim, else 0.
    pub prefix: usize,
}

impl RowLayout {
    /// The layout of a file to write.
    pub fn new(framing: Option<Framing>, element: Element, count: u64, dim: usize) -> RowLayout {
        let prefix = if framing == Some(Framing::Vecs) { 4 } else { 0 };
        let count = Some(count);
        RowLayout { element, is_big_endian: false, is_fortran: false, dim, count, start: 0, prefix }
    }

    /// Bytes of one row.
    pub fn stride(&self) -> usize {
        self.prefix + self.dim * self.element.bytes()
    }

    /// Offset of component `column` of row `row` in the file, in bytes.
    pub fn offset(&self, row: u64, column: usize) -> u64 {
        if self.is_fortran {
            let before = column as u64 * self.count.unwrap_or(0) + row;
            return self.start + before * self.element.bytes() as u64;
        }
        self.start + row * self.stride() as u64 + (self.prefix + column * self.element.bytes()) as u64
    }

    /// Reads the header from `stream` and compares it with the `length` of the file. Returns the layout and those bytes
    /// behind the header that were read.
    pub fn read(
        name: &str,
        stream: &mut dyn Read,
        format: Format,
        length: Option<u64>,
    ) -> Outcome<(RowLayout, Vec<u8>)> {
        let (layout, ahead) = match format.framing() {
            Some((Framing::Vecs, element)) => of_vecs(name, &read_head(name, stream, 4)?, length, element)?,
            Some((Framing::Bin, element)) => (of_bin(name, &read_head(name, stream, 8)?, element)?, Vec::new()),
            None => (of_npy(name, &npy::read(name, stream)?)?, Vec::new()),
        };
        if let Some(length) = length {
            layout.check(name, length)?;
        }
        Ok((layout, ahead))
    }

    fn check(&self, name: &str, length: u64) -> Outcome<()> {
        let Some(count) = self.count else { return Ok(()) };
        let (start, stride) = (self.start, self.stride());
        let expected = count.checked_mul(stride as u64).and_then(|bytes| bytes.checked_add(start));
        if expected == Some(length) {
            return Ok(());
        }
        let expected = expected.map_or("more than 2^64".to_owned(), |bytes| bytes.to_string());
        let what = format!("{count} rows of {stride} bytes from byte {start}");
        Err(Failure::file(name, format!("found {length} bytes, expected {expected}: {what}")))
    }

    /// The header of a file of this layout.
    pub fn header(&self, framing: Option<Framing>) -> Vec<u8> {
        let count = self.count.unwrap_or(0);
        match framing {
            Some(Framing::Vecs) => Vec::new(),
            Some(Framing::Bin) => [(count as u32).to_le_bytes(), (self.dim as u32).to_le_bytes()].concat(),
            None => npy::header(self.element, &[count, self.dim as u64]),
        }
    }
}

/// The first `bytes` bytes, or fewer at the end of the file.
fn read_head(name: &str, stream: &mut dyn Read, bytes: usize) -> Outcome<Vec<u8>> {
    let mut head = vec![0; bytes];
    let read = fill(stream, &mut head).map_err(read_failed(name))?;
    head.truncate(read);
    Ok(head)
}

fn u32_at(name: &str, head: &[u8], at: usize, what: &str) -> Outcome<u32> {
    match head.get(at..).and_then(<[u8]>::first_chunk) {
        Some(bytes) => Ok(u32::from_le_bytes(*bytes)),
        None => {
            let found = head.len();
            Err(Failure::file(
                name,
                format!("byte {at}: found the end after {found} bytes, expected {what} of 4 bytes"),
            ))
        }
    }
}

fn check_dim(name: &str, at: usize, dim: u32) -> Outcome<usize> {
    if dim == 0 || dim > DIM_MAX {
        let found = dim.cast_signed();
        return Err(Failure::file(name, format!("byte {at}: found a dim of {found}, expected 1 to {DIM_MAX}")));
    }
    Ok(dim as usize)
}

/// Also returns the dim of the first row, which has been read.
fn of_vecs(name: &str, head: &[u8], length: Option<u64>, element: Element) -> Outcome<(RowLayout, Vec<u8>)> {
    let dim = check_dim(name, 0, u32_at(name, head, 0, "a dim")?)?;
    let layout = RowLayout::new(Some(Framing::Vecs), element, 0, dim);
    // Rounded up, so that a truncated last row does not match the length.
    let count = length.map(|length| length.div_ceil(layout.stride() as u64));
    Ok((RowLayout { count, ..layout }, head.to_vec()))
}

fn of_bin(name: &str, head: &[u8], element: Element) -> Outcome<RowLayout> {
    let count = u32_at(name, head, 0, "a count")?;
    let dim = check_dim(name, 4, u32_at(name, head, 4, "a dim")?)?;
    Ok(RowLayout { start: 8, ..RowLayout::new(Some(Framing::Bin), element, u64::from(count), dim) })
}

fn of_npy(name: &str, header: &npy::Header) -> Outcome<RowLayout> {
    let wrong = |what: String| Err(Failure::unsupported(name, format!("header at byte 10: {what}")));
    let (count, dim) = match *header.shape.as_slice() {
        [count, dim] => (count, dim),
        // One id for each row.
        [count] if header.element.is_integer() => (count, 1),
        [_] => return wrong("found 1 axis, expected 2: vectors, components (array[None, :] is one vector)".to_owned()),
        _ => return wrong(format!("found {} axes, expected 2: vectors, components", header.shape.len())),
    };
    if dim == 0 || dim > u64::from(DIM_MAX) {
        return wrong(format!("found a dim of {dim}, expected 1 to {DIM_MAX}"));
    }
    let layout = RowLayout::new(None, header.element, count, dim as usize);
    // One column or one row is the same in both orders.
    let is_fortran = header.is_fortran && dim > 1 && count > 1;
    Ok(RowLayout { is_big_endian: header.is_big_endian, is_fortran, start: header.bytes, ..layout })
}
