//! Positions of the rows in a file, from its header, which is compared with the length of the file.
//!
//!     vecs  [i32 dim][dim elements] for each row
//!     bin   [u32 count][u32 dim], then rows
//!     npy   a header of Python, then rows

use super::format::{Element, Format, Framing};
use crate::failure::{Failure, Outcome};
use npyz::{Endianness, NpyHeader, Order};
use omen::format::DIM_MAX;
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::Path;

/// The longest .npy header that is read.
const NPY_HEADER_BYTES_MAX: u64 = 64 << 10;
const NPY_MAGIC: [u8; 6] = *b"\x93NUMPY";
/// Rows of a .npy file start at a multiple of this.
const NPY_ALIGN: usize = 64;

/// Rows of equal length, stored one after the other.
#[derive(Clone, Copy, Debug)]
pub struct RowLayout {
    pub element: Element,
    pub dim: usize,
    pub count: u64,
    /// Offset of the first row in the file, in bytes.
    pub start: u64,
    /// Bytes before the components of each row: 4 for its dim, else 0.
    pub prefix: usize,
}

impl RowLayout {
    /// Bytes of one row.
    pub fn stride(&self) -> usize {
        self.prefix + self.dim * self.element.bytes()
    }

    /// Offset of component `column` of row `row` in the file, in bytes.
    pub fn offset(&self, row: u64, column: usize) -> u64 {
        self.start + row * self.stride() as u64 + (self.prefix + column * self.element.bytes()) as u64
    }

    /// Reads the header of `file` and compares it with the length of the file. `file` must be at its start, and is left
    /// at its first row.
    pub fn read(file: &mut File, path: &Path, format: Format) -> Outcome<RowLayout> {
        let name = path.display().to_string();
        let length = file.metadata().map_err(Failure::io("stat", path))?.len();
        let mut head = Vec::new();
        let read = Read::by_ref(file).take(NPY_HEADER_BYTES_MAX).read_to_end(&mut head);
        read.map_err(Failure::io("read", path))?;
        let layout = match format.framing() {
            Some((Framing::Vecs, element)) => of_vecs(&name, &head, length, element)?,
            Some((Framing::Bin, element)) => of_bin(&name, &head, element)?,
            None => of_npy(&name, &head)?,
        };
        layout.check(&name, length)?;
        file.seek(std::io::SeekFrom::Start(layout.start)).map_err(Failure::io("seek", path))?;
        Ok(layout)
    }

    fn check(&self, name: &str, length: u64) -> Outcome<()> {
        if self.count == 0 {
            return Err(Failure::file(name, format!("found 0 rows in {length} bytes, expected at least 1")));
        }
        let (start, count, stride) = (self.start, self.count, self.stride());
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
        match framing {
            Some(Framing::Vecs) => Vec::new(),
            Some(Framing::Bin) => [(self.count as u32).to_le_bytes(), (self.dim as u32).to_le_bytes()].concat(),
            None => self.npy_header(),
        }
    }

    fn npy_header(&self) -> Vec<u8> {
        let (name, count, dim) = (self.element.npy_name(), self.count, self.dim);
        let text = format!("{{'descr': '{name}', 'fortran_order': False, 'shape': ({count}, {dim}), }}");
        let prelude = NPY_MAGIC.len() + 4;
        let total = (prelude + text.len() + 1).next_multiple_of(NPY_ALIGN);
        let text = format!("{text:width$}\n", width = total - prelude - 1);
        let mut header = NPY_MAGIC.to_vec();
        header.extend([1, 0]);
        header.extend((text.len() as u16).to_le_bytes());
        header.extend(text.as_bytes());
        header
    }
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

fn of_vecs(name: &str, head: &[u8], length: u64, element: Element) -> Outcome<RowLayout> {
    let dim = check_dim(name, 0, u32_at(name, head, 0, "a dim")?)?;
    let layout = RowLayout { element, dim, count: 0, start: 0, prefix: 4 };
    // Rounded up, so that a truncated last row does not match the length.
    Ok(RowLayout { count: length.div_ceil(layout.stride() as u64), ..layout })
}

fn of_bin(name: &str, head: &[u8], element: Element) -> Outcome<RowLayout> {
    let count = u32_at(name, head, 0, "a count")?;
    let dim = check_dim(name, 4, u32_at(name, head, 4, "a dim")?)?;
    Ok(RowLayout { element, dim, count: u64::from(count), start: 8, prefix: 0 })
}

fn of_npy(name: &str, head: &[u8]) -> Outcome<RowLayout> {
    let magic = &head[..head.len().min(NPY_MAGIC.len())];
    if magic != NPY_MAGIC {
        return Err(Failure::file(name, format!("byte 0: found {magic:02x?}, expected {NPY_MAGIC:02x?}")));
    }
    let mut cursor = Cursor::new(head);
    let header = NpyHeader::from_reader(&mut cursor);
    let header = header.map_err(|error| {
        // The other lines of the message repeat the header.
        let what = error.to_string().lines().next().unwrap_or_default().to_owned();
        Failure::file(name, format!("byte 6: found no .npy header: {what}"))
    })?;
    let wrong = |found: String, expected: &str| {
        Err(Failure::file(name, format!("header at byte 10: found {found}, expected {expected}")))
    };
    if header.order() == Order::Fortran {
        return wrong("fortran_order True".to_owned(), "C order (numpy.ascontiguousarray)");
    }
    let dtype = header.dtype();
    let element = match &dtype {
        npyz::DType::Plain(plain) if plain.endianness() != Endianness::Big => {
            Element::of_npy(plain.type_char(), plain.size_field())
        }
        _ => None,
    };
    let Some(element) = element else {
        return wrong(format!("dtype {}", dtype.descr()), "little-endian f4 or f2; for ids i4, u4, i8 or u8");
    };
    let (count, dim) = match *header.shape() {
        [count, dim] => (count, dim),
        // One id for each row.
        [count] if !element.is_of_vectors() => (count, 1),
        _ => return wrong(format!("{} axes", header.shape().len()), "2 axes: vectors, components"),
    };
    let dim = check_dim(name, 10, u32::try_from(dim).unwrap_or(u32::MAX))?;
    Ok(RowLayout { element, dim, count, start: cursor.position(), prefix: 0 })
}
