//! The header of a .npy file: read within a limit before it is parsed, and written.

use super::format::Element;
use super::input::{fill, read_failed};
use crate::failure::{Failure, Outcome};
use npyz::{Endianness, NpyHeader, Order};
use std::io::{Cursor, Read};

/// The longest header that is read.
const HEADER_BYTES_MAX: usize = 64 << 10;
const MAGIC: [u8; 6] = *b"\x93NUMPY";
/// Bytes of magic and version.
const PRELUDE_BYTES: usize = 8;
/// Rows start at a multiple of this.
const ALIGN: usize = 64;

/// What a header says.
pub struct Header {
    pub element: Element,
    pub is_big_endian: bool,
    /// True: the first components of all rows come first.
    pub is_fortran: bool,
    pub shape: Vec<u64>,
    /// Bytes of the header.
    pub bytes: u64,
}

/// Reads the header from the start of a file. An array that no .npy file of numbers can be is unsupported.
pub fn read(name: &str, stream: &mut dyn Read) -> Outcome<Header> {
    let head = read_text(name, stream)?;
    let header = NpyHeader::from_reader(Cursor::new(&head)).map_err(|error| {
        // The other lines of the message repeat the header.
        no_header(name, error.to_string().lines().next().unwrap_or_default())
    })?;
    let dtype = header.dtype();
    let (element, endianness) = match &dtype {
        npyz::DType::Plain(plain) => (Element::of_npy(plain.type_char(), plain.size_field()), plain.endianness()),
        _ => (None, Endianness::Irrelevant),
    };
    let Some(element) = element else {
        let found = dtype.descr();
        let what = format!("header at byte 10: found dtype {found}, expected floats of 16 to 64 bits or integers");
        return Err(Failure::unsupported(name, what));
    };
    Ok(Header {
        element,
        is_big_endian: endianness == Endianness::Big,
        is_fortran: header.order() == Order::Fortran,
        shape: header.shape().to_vec(),
        bytes: head.len() as u64,
    })
}

/// The whole header, with its magic.
fn read_text(name: &str, stream: &mut dyn Read) -> Outcome<Vec<u8>> {
    let mut head = vec![0; PRELUDE_BYTES];
    let read = fill(stream, &mut head).map_err(read_failed(name))?;
    head.truncate(read);
    let magic = &head[..read.min(MAGIC.len())];
    if magic != MAGIC {
        return Err(Failure::file(name, format!("byte 0: found {magic:02x?}, expected {MAGIC:02x?}")));
    }
    // The length has two bytes in version 1, four in later ones.
    let width = if head.get(6) == Some(&1) { 2 } else { 4 };
    let mut length = [0; 4];
    let read = fill(stream, &mut length[..width]).map_err(read_failed(name))?;
    head.extend(&length[..read]);
    let length = u32::from_le_bytes(length) as usize;
    if length > HEADER_BYTES_MAX {
        return Err(no_header(name, &format!("a length of {length} bytes, expected at most {HEADER_BYTES_MAX}")));
    }
    let start = head.len();
    head.resize(start + length, 0);
    let read = fill(stream, &mut head[start..]).map_err(read_failed(name))?;
    head.truncate(start + read);
    Ok(head)
}

fn no_header(name: &str, what: &str) -> Failure {
    Failure::file(name, format!("byte 6: found no .npy header: {what}"))
}

/// The header of a file of elements of this `shape`.
pub fn header(element: Element, shape: &[u64]) -> Vec<u8> {
    let axes: Vec<String> = shape.iter().map(|length| format!("{length},")).collect();
    let axes = if axes.len() == 1 { axes.concat() } else { axes.join(" ").trim_end_matches(',').to_owned() };
    let text = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({axes}), }}", element.npy_name());
    let prelude = PRELUDE_BYTES + 2;
    let total = (prelude + text.len() + 1).next_multiple_of(ALIGN);
    let text = format!("{text:width$}\n", width = total - prelude - 1);
    let mut header = MAGIC.to_vec();
    header.extend([1, 0]);
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header
}
