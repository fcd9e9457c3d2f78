//! The inverted lists of a sealed segment, read in the mapped file (format.md §6.8).
//!
//! Rows are stored list by list, and within a list in order of id. So the list numbers of all ids, in order of id,
//! determine the row of each: a stable sort by list number moves each rank to its row. The list numbers are stored as a
//! wavelet matrix from the lowest bit up (Claude, Navarro, Ordóñez, Information Systems 2015). Each bit of the number
//! is a plane of one bit per row, in the order that the sort by the lower bits gives, with the number of ones before
//! each part. Counting ones (rank in the literature) maps an id's rank to its row; finding the n-th one or zero
//! (select) maps it back.

use crate::error::Result;
use crate::format::{Section, SectionKind, f32_at, u32_at, u64_at};
use crate::index::Visits;
use crate::kernels::{block_bytes, blocks_for};
use crate::sealed::Sealed;
use std::ops::Range;
use std::sync::OnceLock;

/// Bytes of a part of a plane: the number of ones before it (u32), then bits. A part is one cache line.
const PART_BYTES: usize = 64;
const PART_BITS: u32 = 8 * (PART_BYTES as u32 - 4);

/// Words of 4 bytes of [`Visits`] as stored.
const VISITS_WORDS: u64 = 3;

/// The most lists of a segment.
pub const LISTS_MAX: u32 = 1 << 16;

/// The lists of a segment as they are written.
#[derive(Debug)]
pub struct NewLists {
    /// `[rows]`: the list of each id, in ascending order of id.
    pub list_of: Vec<u16>,
    /// The lists that a search visits in a class by default.
    pub visits: Visits,
    /// Blocks of the codes of the lists' centroids.
    pub centroids: Vec<u8>,
    /// `[lists of a class]`: the norms of the centroids (`codec::Codebook::norm`).
    pub norms: Vec<f32>,
    /// Number of lists of all classes. Each class has the same number, and classes follow each other.
    pub count: u32,
}

impl NewLists {
    /// `[lists + 1]`: the first row of each list, and the number of rows.
    fn starts(&self) -> Vec<u32> {
        let mut starts = vec![0; self.count as usize + 1];
        self.list_of.iter().for_each(|list| starts[usize::from(*list) + 1] += 1);
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        starts
    }

    /// `[rows]`: the rank of the id of each row.
    pub fn ranks(&self) -> Vec<u32> {
        let (mut starts, mut ranks) = (self.starts(), vec![0; self.list_of.len()]);
        for (rank, list) in (0..).zip(&self.list_of) {
            let row = &mut starts[usize::from(*list)];
            ranks[*row as usize] = rank;
            *row += 1;
        }
        ranks
    }

    /// The section as stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut order = self.list_of.clone();
        for level in 0..levels(self.count) {
            let is_one = |list: &u16| list >> level & 1 == 1;
            put_plane(order.iter().map(is_one), &mut bytes);
            let (ones, zeros): (Vec<u16>, Vec<u16>) = order.iter().partition(|list| is_one(list));
            order = [zeros, ones].concat();
        }
        bytes.extend(self.starts().iter().flat_map(|start| start.to_le_bytes()));
        let Visits { probes, usual, reach } = self.visits;
        bytes.extend([probes, usual.to_bits(), reach.to_bits()].iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(self.norms.iter().flat_map(|norm| norm.to_le_bytes()));
        bytes.extend_from_slice(&self.centroids);
        bytes
    }
}

fn put_plane(bits: impl Iterator<Item = bool>, bytes: &mut Vec<u8>) {
    let (mut ones, mut filled) = (0u32, 0);
    let mut part = [0; PART_BYTES];
    for bit in bits {
        part[4 + filled / 8] |= u8::from(bit) << (filled % 8);
        ones += u32::from(bit);
        filled += 1;
        if filled == PART_BITS as usize {
            bytes.extend_from_slice(&part);
            part = [0; PART_BYTES];
            part[..4].copy_from_slice(&ones.to_le_bytes());
            filled = 0;
        }
    }
    // The last part may have no bits; then its count is the number of ones of the whole plane.
    bytes.extend_from_slice(&part);
}

/// Number of planes for `lists` lists: the bits of the largest list number.
fn levels(lists: u32) -> u32 {
    u32::BITS - lists.saturating_sub(1).leading_zeros()
}

fn plane_bytes(rows: u32) -> u64 {
    (u64::from(rows / PART_BITS) + 1) * PART_BYTES as u64
}

fn centroid_bytes(lists: u32, row_bytes: u64) -> u64 {
    blocks_for(u64::from(lists)) * block_bytes(row_bytes as usize) as u64
}

/// Bytes of the section for `classes` classes of `of_class` lists each, of `rows` rows whose codes have `row_bytes`; 0
/// without lists.
pub fn section_bytes(rows: u32, of_class: u32, classes: u32, row_bytes: u64) -> u64 {
    let lists = of_class.saturating_mul(classes);
    if lists == 0 {
        return 0;
    }
    let numbers = u64::from(lists) + 1 + VISITS_WORDS + u64::from(of_class);
    u64::from(levels(lists)) * plane_bytes(rows) + numbers * 4 + centroid_bytes(of_class, row_bytes)
}

/// The lists of one sealed segment.
#[derive(Debug)]
pub struct Lists {
    offset: u64,
    /// Lists of all classes, and of one class.
    count: u32,
    of_class: u32,
    rows: u32,
    row_bytes: u64,
    /// `[levels]`: the number of zeros of each plane; read when first needed.
    zeros: OnceLock<Vec<u32>>,
    maps: OnceLock<RowMaps>,
}

/// The maps that the wavelet matrix encodes, 8 bytes a row in memory: a look-up takes nanoseconds instead of microseconds.
#[derive(Debug)]
pub struct RowMaps {
    /// `[ids]`: the row of each rank.
    pub row_of: Vec<u32>,
    /// `[rows]`: the rank of the id of each row.
    pub rank_of: Vec<u32>,
}

impl Lists {
    /// Opens the lists of a file of codes with `classes` classes, 0 if it has none; `None` if rows are in order of id.
    pub fn open(file: &Sealed, rows: u32, row_bytes: u64, classes: u32) -> Result<Option<Lists>> {
        let Section { offset, count, .. } = file.section(SectionKind::Lists)?;
        let count = u32::try_from(count).ok().filter(|count| *count <= LISTS_MAX);
        let count =
            count.ok_or_else(|| file.section_error(SectionKind::Lists, format!("more than {LISTS_MAX} lists")))?;
        if !count.is_multiple_of(classes.max(1)) || count == 0 && classes > 0 {
            return Err(file.section_error(SectionKind::Lists, format!("{count} lists of {classes} classes")));
        }
        let of_class = count / classes.max(1);
        let (zeros, maps) = (OnceLock::new(), OnceLock::new());
        Ok((count > 0).then_some(Lists { offset, count, of_class, rows, row_bytes, zeros, maps }))
    }

    /// Number of lists of a class.
    pub fn of_class(&self) -> u32 {
        self.of_class
    }

    fn levels(&self) -> u32 {
        levels(self.count)
    }

    fn starts_at(&self) -> u64 {
        self.offset + u64::from(self.levels()) * plane_bytes(self.rows)
    }

    /// The rows of `list`.
    pub fn rows_of(&self, file: &Sealed, list: u32) -> Result<Range<u32>> {
        let ends = file.bytes(self.starts_at() + u64::from(list) * 4, 8)?;
        let (start, end) = (u32_at(ends, 0), u32_at(ends, 4));
        if start > end || end > self.rows {
            let what = format!("list {list}: rows {start} to {end} of {}", self.rows);
            return Err(file.section_error(SectionKind::Lists, what));
        }
        Ok(start..end)
    }

    /// The end of the list that `row` is in.
    pub fn end_of(&self, file: &Sealed, row: u32) -> Result<u32> {
        let ends = file.bytes(self.starts_at() + 4, self.count as usize * 4)?;
        let (ends, _) = ends.as_chunks::<4>();
        let list = ends.partition_point(|end| u32::from_le_bytes(*end) <= row);
        let rows = self.rows_of(file, list.min(ends.len() - 1) as u32)?;
        if rows.contains(&row) {
            return Ok(rows.end);
        }
        Err(file.section_error(SectionKind::Lists, format!("row {row} of {} is in no list", self.rows)))
    }

    /// The lists that a search visits by default.
    pub fn visits(&self, file: &Sealed) -> Result<Visits> {
        let at = self.starts_at() + (u64::from(self.count) + 1) * 4;
        let words = file.bytes(at, 4 * VISITS_WORDS as usize)?;
        Ok(Visits { probes: u32_at(words, 0), usual: f32_at(words, 4), reach: f32_at(words, 8) })
    }

    /// Codes of the centroids in blocks, one code for each list of a class, and their norms as f32 of 4 bytes.
    pub fn centroids<'a>(&self, file: &'a Sealed) -> Result<(&'a [u8], &'a [[u8; 4]])> {
        let at = self.starts_at() + (u64::from(self.count) + 1 + VISITS_WORDS) * 4;
        let norms = file.bytes(at, self.of_class as usize * 4)?;
        // No overflow: the open checked that the section is in the file, which is mapped.
        let codes = file.bytes(at + norms.len() as u64, centroid_bytes(self.of_class, self.row_bytes) as usize)?;
        Ok((codes, norms.as_chunks().0))
    }

    /// The row of the id at `rank`.
    pub fn row_of(&self, file: &Sealed, rank: u32) -> Result<u32> {
        if let Some(row) = self.maps.get().and_then(|maps| maps.row_of.get(rank as usize)) {
            return Ok(*row);
        }
        let (zeros, mut at) = (self.zeros(file)?, rank);
        for (level, zeros) in (0..).zip(zeros) {
            at = self.sort_step(file, level, *zeros, at)?;
        }
        Ok(at)
    }

    /// The maps between ranks and rows of all ids, made by the first call. Each plane is read once in order, whereas
    /// `row_of` and `rank_of` read one random part of each plane.
    pub fn maps(&self, file: &Sealed) -> Result<&RowMaps> {
        if let Some(maps) = self.maps.get() {
            return Ok(maps);
        }
        let made = self.make_maps(file)?;
        Ok(self.maps.get_or_init(|| made))
    }

    fn make_maps(&self, file: &Sealed) -> Result<RowMaps> {
        let mut rank_of: Vec<u32> = (0..self.rows).collect();
        let mut of_ones = Vec::new();
        for level in 0..self.levels() {
            let mut zeros = 0;
            for at in 0..self.rows {
                let bits = self.part(file, level, at / PART_BITS)?;
                let within = (at % PART_BITS) as usize;
                let rank = rank_of[at as usize];
                if bits[4 + within / 8] >> (within % 8) & 1 == 1 {
                    of_ones.push(rank);
                } else {
                    rank_of[zeros] = rank;
                    zeros += 1;
                }
            }
            rank_of.truncate(zeros);
            rank_of.append(&mut of_ones);
        }
        let mut row_of = vec![0; rank_of.len()];
        (0..).zip(&rank_of).for_each(|(row, rank)| row_of[*rank as usize] = row);
        Ok(RowMaps { row_of, rank_of })
    }

    /// The position that sorting by the bit at position `at` of a plane with `zeros` zeros moves it to.
    #[inline]
    fn sort_step(&self, file: &Sealed, level: u32, zeros: u32, at: u32) -> Result<u32> {
        let (bit, ones) = self.ones_before(file, level, at)?;
        self.checked(file, if bit { zeros.saturating_add(ones) } else { at.saturating_sub(ones) })
    }

    /// The rank of the id of `row`.
    pub fn rank_of(&self, file: &Sealed, row: u32) -> Result<u32> {
        if let Some(rank) = self.maps.get().and_then(|maps| maps.rank_of.get(row as usize)) {
            return Ok(*rank);
        }
        let (zeros, mut at) = (self.zeros(file)?, row);
        for (level, zeros) in (0..self.levels()).zip(zeros).rev() {
            let found = match at.checked_sub(*zeros) {
                Some(number) => self.find(file, level, *zeros, true, number)?,
                None => self.find(file, level, *zeros, false, at)?,
            };
            at = self.checked(file, found)?;
        }
        Ok(at)
    }

    fn checked(&self, file: &Sealed, row: u32) -> Result<u32> {
        if row < self.rows {
            return Ok(row);
        }
        Err(file.section_error(SectionKind::Lists, format!("row {row} of {}", self.rows)))
    }

    fn zeros(&self, file: &Sealed) -> Result<&Vec<u32>> {
        if let Some(zeros) = self.zeros.get() {
            return Ok(zeros);
        }
        let zeros_of = |level| Ok(self.rows.saturating_sub(self.ones_before(file, level, self.rows)?.1));
        let read = (0..self.levels()).map(zeros_of).collect::<Result<Vec<u32>>>()?;
        Ok(self.zeros.get_or_init(|| read))
    }

    fn part<'a>(&self, file: &'a Sealed, level: u32, part: u32) -> Result<&'a [u8]> {
        let offset = self.offset + u64::from(level) * plane_bytes(self.rows) + u64::from(part) * PART_BYTES as u64;
        file.bytes(offset, PART_BYTES)
    }

    /// Bit `at` of a plane, and the number of ones before it.
    #[inline]
    fn ones_before(&self, file: &Sealed, level: u32, at: u32) -> Result<(bool, u32)> {
        let part = self.part(file, level, at / PART_BITS)?;
        let within = at % PART_BITS;
        let word = |number: u32| word(part, number);
        let whole: u32 = (0..within / 64).map(|number| word(number).count_ones()).sum();
        let last = word(within / 64);
        let ones = (last & ((1 << (within % 64)) - 1)).count_ones();
        Ok((last >> (within % 64) & 1 == 1, u32_at(part, 0).wrapping_add(whole).wrapping_add(ones)))
    }

    /// The last part before which there are at most `number` of the bits that `before` counts; the plane has `total` of
    /// them. The search starts at the part where the bit would be if they were evenly spread.
    fn part_with(&self, number: u32, total: u32, before: impl Fn(u32) -> Result<u32>) -> Result<u32> {
        let parts = self.rows / PART_BITS + 1;
        let guess = u64::from(number) * u64::from(parts) / u64::from(total.max(1));
        let guess = u32::try_from(guess).unwrap_or(u32::MAX).min(parts - 1);
        let (mut low, mut high, mut reach) = (guess, guess + 1, 1);
        while low > 0 && before(low)? > number {
            (low, high, reach) = (low.saturating_sub(reach), low, 2 * reach);
        }
        while high < parts && before(high)? <= number {
            (low, high, reach) = (high, high.saturating_add(reach).min(parts), 2 * reach);
        }
        while high - low > 1 {
            let middle = low.midpoint(high);
            if before(middle)? <= number { low = middle } else { high = middle }
        }
        Ok(low)
    }

    /// The position of the bit of value `wanted` that has `number` such bits before it, in a plane with `zeros` zeros;
    /// `u32::MAX` if there is none.
    fn find(&self, file: &Sealed, level: u32, zeros: u32, wanted: bool, number: u32) -> Result<u32> {
        let before = |part: u32| -> Result<u32> {
            let ones = u32_at(self.part(file, level, part)?, 0);
            Ok(if wanted { ones } else { (part * PART_BITS).saturating_sub(ones) })
        };
        let low = self.part_with(number, if wanted { self.rows.saturating_sub(zeros) } else { zeros }, before)?;
        let part = self.part(file, level, low)?;
        let mut left = number.saturating_sub(before(low)?);
        for number in 0..PART_BITS.div_ceil(64) {
            let mut bits = if wanted { word(part, number) } else { !word(part, number) };
            let count = bits.count_ones();
            if left < count {
                (0..left).for_each(|_| bits &= bits - 1);
                return Ok(low * PART_BITS + number * 64 + bits.trailing_zeros());
            }
            left -= count;
        }
        Ok(u32::MAX)
    }
}

/// Bits `64 * number ..` of a part; the last word has 32 of them.
#[inline]
fn word(part: &[u8], number: u32) -> u64 {
    let at = 4 + number as usize * 8;
    if at + 8 <= PART_BYTES { u64_at(part, at) } else { u64::from(u32_at(part, PART_BYTES - 4)) }
}
