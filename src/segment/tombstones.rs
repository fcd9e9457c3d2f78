//! Tombstones: the set of hidden rows of a segment. A copy is cheap, so each published state has its own, and a reader
//! sees whole calls only.
//!
//! The rows are cut into bitmaps of 32,768 bits (4 KiB); copies of a set share them, and hiding a row copies one
//! bitmap. On disk (format.md §7) the bitmaps of all segments are one section of a sealed file.

use crate::error::Result;
use crate::format::{BLOCK_BYTES, Footer, Kind, SectionKind, SectionLayout, align, u64_at};
use crate::sealed::{Sealed, SealedWriter, file_bytes};
use std::ops::Range;
use std::sync::Arc;

const BITMAP_WORDS: usize = 512;
const BITMAP_ROWS: usize = BITMAP_WORDS * 64;
/// On disk: segment id, number of the bitmap, then its bits.
const RECORD_BYTES: usize = 16 + BITMAP_WORDS * 8;

type Bitmap = [u64; BITMAP_WORDS];

/// A set of hidden rows.
#[derive(Clone, Debug, Default)]
pub struct Tombstones {
    bitmaps: Vec<Option<Arc<Bitmap>>>,
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
        match self.bitmaps.get(row / BITMAP_ROWS) {
            Some(Some(bitmap)) => bitmap[row % BITMAP_ROWS / 64] >> (row % 64) & 1 == 1,
            _ => false,
        }
    }

    /// How many of `rows` are hidden.
    pub fn count_in(&self, rows: Range<u32>) -> u32 {
        if self.count == 0 {
            return 0;
        }
        let word = |number: usize| match self.bitmaps.get(number / BITMAP_WORDS) {
            Some(Some(bitmap)) => bitmap[number % BITMAP_WORDS],
            _ => 0,
        };
        ones_in(rows, word)
    }

    /// Hides `row`; true if it was visible.
    pub fn hide(&mut self, row: u32) -> bool {
        let row = row as usize;
        let index = row / BITMAP_ROWS;
        if index >= self.bitmaps.len() {
            self.bitmaps.resize(index + 1, None);
        }
        let bitmap = Arc::make_mut(self.bitmaps[index].get_or_insert_with(|| Arc::new([0; BITMAP_WORDS])));
        let word = &mut bitmap[row % BITMAP_ROWS / 64];
        let was_visible = *word >> (row % 64) & 1 == 0;
        *word |= 1 << (row % 64);
        self.count += u64::from(was_visible);
        was_visible
    }

    /// The hidden rows, ascending.
    pub fn rows(&self) -> impl Iterator<Item = u32> + '_ {
        let bitmaps = self.bitmaps.iter().enumerate().filter_map(|(index, bitmap)| Some((index, bitmap.as_ref()?)));
        bitmaps.flat_map(|(index, bitmap)| {
            let bits = (0..BITMAP_ROWS).filter(move |bit| bitmap[bit / 64] >> (bit % 64) & 1 == 1);
            bits.map(move |bit| (index * BITMAP_ROWS + bit) as u32)
        })
    }
}

/// How many bits of `positions` are set in a bitmap, of which `word(n)` has the bits from `64 n` on.
pub fn ones_in(positions: Range<u32>, word: impl Fn(usize) -> u64) -> u32 {
    let (start, end) = (positions.start as usize, positions.end as usize);
    let mut ones = 0;
    for number in start / 64..end.div_ceil(64) {
        let mut bits = word(number);
        let first = number * 64;
        if first < start {
            bits &= u64::MAX << (start - first);
        }
        if first + 64 > end {
            bits &= u64::MAX >> (first + 64 - end);
        }
        ones += bits.count_ones();
    }
    ones
}

/// Writes the tombstones of `segments` (id, hidden rows) as a sealed file; returns its length and root.
pub fn write(mut writer: SealedWriter, segments: &[(u64, &Tombstones)]) -> Result<(u64, u32)> {
    writer.begin_section(SectionKind::Tombstones)?;
    let mut count = 0;
    for (id, tombstones) in segments {
        for (index, bitmap) in tombstones.bitmaps.iter().enumerate() {
            let Some(bitmap) = bitmap else { continue };
            writer.write(&id.to_le_bytes())?;
            writer.write(&(index as u64).to_le_bytes())?;
            let bits: Vec<u8> = bitmap.iter().flat_map(|word| word.to_le_bytes()).collect();
            writer.write(&bits)?;
            count += 1;
        }
    }
    writer.end_section(SectionKind::Tombstones, count);
    writer.finish(Footer::default())
}

/// Bytes on disk of the file that `write` makes of these sets; 0 where nothing is hidden.
pub fn stored_bytes<'a>(sets: impl Iterator<Item = &'a Tombstones>) -> u64 {
    let count = sets.flat_map(|set| set.bitmaps.iter().flatten()).count() as u64;
    let mut layout = SectionLayout::new(Kind::Tombstones);
    layout.add(SectionKind::Tombstones, count * RECORD_BYTES as u64, count);
    if count == 0 { 0 } else { align(file_bytes(&layout), BLOCK_BYTES as u64) }
}

/// Reads the tombstones of `segments` (id, rows). A bitmap of another segment, or beyond its last row, is damage.
pub fn read(file: &Sealed, segments: &[(u64, u64)]) -> Result<Vec<Tombstones>> {
    let mut all = vec![Tombstones::default(); segments.len()];
    let count = file.section(SectionKind::Tombstones)?.count;
    let section = file.section_of(SectionKind::Tombstones, count.saturating_mul(RECORD_BYTES as u64), count)?;
    for number in 0..count {
        let record = file.bytes(section.offset + number * RECORD_BYTES as u64, RECORD_BYTES)?;
        let (id, index) = (u64_at(record, 0), u64_at(record, 8));
        let position = segments.iter().position(|(segment, rows)| {
            *segment == id && index.checked_mul(BITMAP_ROWS as u64).is_some_and(|first| first < *rows)
        });
        let Some(position) = position else {
            let what = format!("bitmap {index} of segment {id:x}, which has no such rows");
            return Err(file.section_error(SectionKind::Tombstones, what));
        };
        if !add_bitmap(&mut all[position], index as usize, &record[16..], segments[position].1) {
            let what = format!("bitmap {index} of segment {id:x}: twice, or beyond {} rows", segments[position].1);
            return Err(file.section_error(SectionKind::Tombstones, what));
        }
    }
    Ok(all)
}

/// False if the set has a bitmap `index` already, or if the new one hides a row that does not exist.
fn add_bitmap(tombstones: &mut Tombstones, index: usize, bits: &[u8], rows: u64) -> bool {
    let mut bitmap = [0; BITMAP_WORDS];
    for (word, bytes) in bitmap.iter_mut().zip(bits.chunks_exact(8)) {
        *word = u64_at(bytes, 0);
    }
    if index >= tombstones.bitmaps.len() {
        tombstones.bitmaps.resize(index + 1, None);
    }
    let highest =
        bitmap.iter().rposition(|word| *word != 0).map(|word| word as u64 * 64 + u64::from(bitmap[word].ilog2()));
    tombstones.count += bitmap.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
    let is_new = tombstones.bitmaps[index].replace(Arc::new(bitmap)).is_none();
    is_new && highest.is_none_or(|highest| index as u64 * BITMAP_ROWS as u64 + highest < rows)
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

    #[test]
    fn rows_of_a_range_are_counted_as_one_by_one() {
        let mut rows = Tombstones::default();
        (0..200).filter(|row| row % 3 == 0 || (64..128).contains(row)).for_each(|row| {
            rows.hide(row + 32_700);
        });
        for start in 32_600..32_910 {
            for end in [start, start + 1, start + 63, start + 64, start + 65, start + 200] {
                let expected = (start..end).filter(|row| rows.hides(*row)).count();
                assert_eq!(rows.count_in(start..end) as usize, expected, "{start}..{end}");
            }
        }
    }
}
