//! Tombstones: which rows of a segment are hidden. A set of row numbers that is cheap to copy, so that each published
//! state has its own and a reader sees whole calls only.
//!
//! The rows are cut into chunks of 32,768 bits (4 KiB); a copy shares all chunks, and hiding a row copies one of them.
//! On disk (format.md §7) the chunks of all segments stand in one sealed file.

use crate::error::{Error, Result};
use crate::format::{BLOCK_BYTES, FileHeader, Footer, HEADER_BYTES, align, u64_at};
use crate::sealed::{Sealed, SealedWriter, tail_bytes};
use std::sync::Arc;

const CHUNK_WORDS: usize = 512;
const CHUNK_ROWS: usize = CHUNK_WORDS * 64;
/// On disk: segment id, chunk number, then the bits.
const RECORD_BYTES: usize = 16 + CHUNK_WORDS * 8;

type Chunk = [u64; CHUNK_WORDS];

/// A set of hidden rows.
#[derive(Clone, Debug, Default)]
pub struct Tombstones {
    chunks: Vec<Option<Arc<Chunk>>>,
    count: u64,
}

impl Tombstones {
    /// How many rows are hidden.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// True if `row` is hidden.
    pub fn hides(&self, row: u32) -> bool {
        let row = row as usize;
        match self.chunks.get(row / CHUNK_ROWS) {
            Some(Some(chunk)) => chunk[row % CHUNK_ROWS / 64] >> (row % 64) & 1 == 1,
            _ => false,
        }
    }

    /// Hides `row`; true if it was visible.
    pub fn hide(&mut self, row: u32) -> bool {
        let row = row as usize;
        let index = row / CHUNK_ROWS;
        if index >= self.chunks.len() {
            self.chunks.resize(index + 1, None);
        }
        let chunk = Arc::make_mut(self.chunks[index].get_or_insert_with(|| Arc::new([0; CHUNK_WORDS])));
        let word = &mut chunk[row % CHUNK_ROWS / 64];
        let was_visible = *word >> (row % 64) & 1 == 0;
        *word |= 1 << (row % 64);
        self.count += u64::from(was_visible);
        was_visible
    }

    /// The hidden rows, ascending.
    pub fn rows(&self) -> impl Iterator<Item = u32> + '_ {
        let chunks = self.chunks.iter().enumerate().filter_map(|(index, chunk)| Some((index, chunk.as_ref()?)));
        chunks.flat_map(|(index, chunk)| {
            let bits = (0..CHUNK_ROWS).filter(move |bit| chunk[bit / 64] >> (bit % 64) & 1 == 1);
            bits.map(move |bit| (index * CHUNK_ROWS + bit) as u32)
        })
    }
}

/// Writes the tombstones of `segments` (id, rows hidden) as a sealed file; returns its length and root.
pub fn write(mut writer: SealedWriter, header: &FileHeader, segments: &[(u64, &Tombstones)]) -> Result<(u64, u32)> {
    writer.write(&header.encode())?;
    for (id, tombstones) in segments {
        for (index, chunk) in tombstones.chunks.iter().enumerate() {
            let Some(chunk) = chunk else { continue };
            writer.write(&id.to_le_bytes())?;
            writer.write(&(index as u64).to_le_bytes())?;
            let bits: Vec<u8> = chunk.iter().flat_map(|word| word.to_le_bytes()).collect();
            writer.write(&bits)?;
        }
    }
    writer.finish(Footer::default())
}

/// Bytes of the file that `write` makes of these sets, as it occupies them; 0 where nothing is hidden.
pub fn stored_bytes<'a>(sets: impl Iterator<Item = &'a Tombstones>) -> u64 {
    let chunks = sets.flat_map(|set| set.chunks.iter().flatten()).count() as u64;
    let data = HEADER_BYTES as u64 + chunks * RECORD_BYTES as u64;
    if chunks == 0 { 0 } else { align(data + tail_bytes(data), BLOCK_BYTES as u64) }
}

/// Reads the tombstones of `segments` (id, rows); a chunk of another segment, or past the last row, is damage.
pub fn read(file: &Sealed, segments: &[(u64, u64)]) -> Result<Vec<Tombstones>> {
    let mut all = vec![Tombstones::default(); segments.len()];
    let data = file.footer().data_bytes;
    let mut offset = HEADER_BYTES as u64;
    while offset < data {
        let record = file.bytes(offset, RECORD_BYTES)?;
        let (id, index) = (u64_at(record, 0), u64_at(record, 8));
        let place = segments.iter().position(|(segment, rows)| {
            *segment == id && index.checked_mul(CHUNK_ROWS as u64).is_some_and(|first| first < *rows)
        });
        let Some(place) = place else {
            return Err(Error::corrupt(
                file.name(),
                format!("chunk {index} of segment {id:x}, which has no such rows"),
            ));
        };
        if !add_chunk(&mut all[place], index as usize, &record[16..], segments[place].1) {
            let what = format!("chunk {index} of segment {id:x}: twice, or past {} rows", segments[place].1);
            return Err(Error::corrupt(file.name(), what));
        }
        offset += RECORD_BYTES as u64;
    }
    Ok(all)
}

/// False if the chunk is there already, or hides a row that is not.
fn add_chunk(tombstones: &mut Tombstones, index: usize, bits: &[u8], rows: u64) -> bool {
    let mut chunk = [0; CHUNK_WORDS];
    for (word, bytes) in chunk.iter_mut().zip(bits.chunks_exact(8)) {
        *word = u64_at(bytes, 0);
    }
    if index >= tombstones.chunks.len() {
        tombstones.chunks.resize(index + 1, None);
    }
    let highest =
        chunk.iter().rposition(|word| *word != 0).map(|word| word as u64 * 64 + u64::from(chunk[word].ilog2()));
    tombstones.count += chunk.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
    let is_new = tombstones.chunks[index].replace(Arc::new(chunk)).is_none();
    is_new && highest.is_none_or(|highest| index as u64 * CHUNK_ROWS as u64 + highest < rows)
}

#[cfg(test)]
mod tests {
    use super::Tombstones;

    #[test]
    fn a_copy_keeps_its_rows_when_the_original_hides_more() {
        let mut rows = Tombstones::default();
        assert!(rows.hide(40_000) && rows.hide(7) && !rows.hide(7));
        let copy = rows.clone();
        assert!(rows.hide(u32::MAX - 1));
        assert_eq!(copy.rows().collect::<Vec<_>>(), [7, 40_000]);
        assert_eq!((copy.count(), rows.count()), (2, 3));
        assert!(!copy.hides(u32::MAX - 1) && rows.hides(u32::MAX - 1) && !rows.hides(8));
    }
}
