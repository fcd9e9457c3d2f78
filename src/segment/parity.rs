//! The parity of a codebook: what one damaged block of the file takes from the codebook is computed from the rest and the
//! parity, as in RAID 4 (Patterson, Gibson, Katz: A Case for Redundant Arrays of Inexpensive Disks, SIGMOD 1988).
//!
//! The parity is as long as a block, or as the codebook if that is shorter. Byte i is the exclusive or of all bytes of the
//! codebook whose position is i modulo the length of the parity. A block holds at most one of these.

use crate::error::{Error, Result};
use crate::format::{BLOCK_BYTES, Section, SectionKind, to_usize};
use crate::sealed::Sealed;
use std::borrow::Cow;
use std::ops::Range;

/// Bytes of the parity of a codebook of `book_bytes`.
pub const fn parity_bytes(book_bytes: u64) -> u64 {
    if book_bytes < BLOCK_BYTES as u64 { book_bytes } else { BLOCK_BYTES as u64 }
}

/// The parity of `book`.
pub fn parity_of(book: &[u8]) -> Vec<u8> {
    let mut parity = vec![0; parity_bytes(book.len() as u64) as usize];
    if !parity.is_empty() {
        book.chunks(parity.len()).for_each(|chunk| add(chunk, &mut parity));
    }
    parity
}

fn add(bytes: &[u8], sum: &mut [u8]) {
    sum.iter_mut().zip(bytes).for_each(|(sum, byte)| *sum ^= byte);
}

/// The codebook in section `book` of `file`, restored with section `parity` if one block of it is damaged.
pub fn read<'a>(file: &'a Sealed, book: Section, parity: Section) -> Result<Cow<'a, [u8]>> {
    let length = to_usize(book.length)?;
    match file.bytes(book.offset, length) {
        Ok(bytes) => Ok(Cow::Borrowed(bytes)),
        Err(damage) => match restore(file, book, parity, length)? {
            Some(bytes) => Ok(Cow::Owned(bytes)),
            None => Err(damage),
        },
    }
}

/// Checks that section `parity` of `file` is that of the codebook in section `book`.
pub fn check(file: &Sealed, book: Section, parity: Section) -> Result<()> {
    let bytes = |section: Section| file.bytes(section.offset, to_usize(section.length)?);
    if parity_of(bytes(book)?) == bytes(parity)? {
        return Ok(());
    }
    Err(file.section_error(SectionKind::CodebookParity, "not that of the codebook"))
}

/// `None` if more than one block is damaged, or one and the parity.
fn restore(file: &Sealed, book: Section, parity: Section, length: usize) -> Result<Option<Vec<u8>>> {
    let Ok(parity) = file.bytes(parity.offset, to_usize(parity.length)?) else { return Ok(None) };
    let (mut bytes, mut damaged) = (vec![0; length], None);
    for part in parts(book.offset, length) {
        match file.bytes(book.offset + part.start as u64, part.len()) {
            Ok(intact) => bytes[part].copy_from_slice(intact),
            Err(Error::Corrupt { .. }) if damaged.is_none() => damaged = Some(part),
            Err(_) => return Ok(None),
        }
    }
    let mut sum = parity.to_vec();
    bytes.chunks(parity.len().max(1)).for_each(|chunk| add(chunk, &mut sum));
    for position in damaged.unwrap_or(0..0) {
        bytes[position] = sum[position % sum.len()];
    }
    Ok(Some(bytes))
}

/// The parts of `length` bytes at `offset` that lie in different blocks of a file.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = Range<usize>> {
    let first = BLOCK_BYTES - (offset % BLOCK_BYTES as u64) as usize;
    let ends = (0..).map(move |block| (first + block * BLOCK_BYTES).min(length));
    let mut start = 0;
    ends.map_while(move |end| {
        let part = start..end;
        start = end;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_BYTES, parity_bytes, parity_of, parts};

    #[test]
    fn parts_are_all_bytes_and_none_crosses_a_block() {
        for (offset, length) in [(0, 0), (4095, 1), (4095, 2), (100, 4096), (4096, 4096), (5000, 20_000)] {
            let parts: Vec<_> = parts(offset, length).collect();
            assert_eq!(parts.iter().map(ExactSizeIterator::len).sum::<usize>(), length);
            let block = |at: usize| (offset as usize + at) / BLOCK_BYTES;
            assert!(parts.iter().all(|part| block(part.start) == block(part.end - 1)));
        }
    }

    #[test]
    fn bytes_of_a_block_are_those_of_the_parity_without_the_rest() {
        for length in [0, 1, 4095, 4096, 4097, 10_000] {
            let book: Vec<u8> = (0..length).map(|at: u32| (at * at / 7) as u8).collect();
            let parity = parity_of(&book);
            assert_eq!(parity.len() as u64, parity_bytes(book.len() as u64));
            for start in (0..book.len()).step_by(997) {
                let lost = start..(start + parity.len()).min(book.len());
                let mut rest = book.clone();
                rest[lost.clone()].fill(0);
                let sum = parity_of(&rest);
                assert!(lost.into_iter().all(|at| {
                    let index = at % parity.len();
                    parity[index] ^ sum[index] == book[at]
                }));
            }
        }
    }
}
