//! Ids of a sealed segment: id → row by a sorted, packed list that is read where it lies (format.md §6.2).
//!
//! The ids are sorted and cut into groups of 128. In a group, what an id exceeds `base + its place` by is stored with
//! just the bits the largest excess needs: ids that count up take none. A directory of 16 bytes a group makes any id, or
//! any place, a few reads. Where rows do not lie in order of id (sealed logs), a list of rows follows: place → row.
//! Nothing is unpacked at open, so a billion ids open as fast as ten.

use crate::error::{Error, Result};
use crate::format::{NO_ID, u32_at, u64_at};
use crate::sealed::Sealed;

const GROUP: usize = 128;
const DIRECTORY_ENTRY: usize = 16;
/// Packed ids are read 16 bytes at a time; so many spare ones follow the last.
const SLACK: usize = 16;

/// Ids of rows that came together.
#[derive(Clone, Copy, Debug)]
pub enum RowIds<'a> {
    /// They count up from here.
    From(u64),
    /// One a row.
    List(&'a [u64]),
}

impl<'a> RowIds<'a> {
    /// These ids; those that count up need no list.
    pub fn of(ids: &'a [u64]) -> RowIds<'a> {
        match ids {
            [first, rest @ ..] if rest.iter().zip(1..).all(|(id, step)| first.checked_add(step) == Some(*id)) => {
                RowIds::From(*first)
            }
            _ => RowIds::List(ids),
        }
    }

    /// The first id above those of rows `[0, rows)`; 0 without rows.
    pub fn end(&self, rows: u32) -> u64 {
        match self {
            RowIds::From(first) if rows > 0 => first.saturating_add(u64::from(rows)),
            RowIds::From(_) => 0,
            RowIds::List(ids) => ids.iter().max().map_or(0, |last| last.saturating_add(1)),
        }
    }

    /// The id of row `index`.
    pub fn get(&self, index: usize) -> u64 {
        match self {
            RowIds::From(first) => first + index as u64,
            RowIds::List(ids) => ids[index],
        }
    }
}

/// The id section for `ids` (sorted, each once) as stored. `rows[place]` is the row of the id at `place`; an empty list
/// says that rows lie in order of id; a sealed log always gives one. The section is empty where nothing needs to be stored:
/// ids that count up, in row order.
pub fn encode(ids: &[u64], rows: &[u32]) -> Vec<u8> {
    let first = ids.first().copied().unwrap_or(0);
    let counts_up = ids.iter().enumerate().all(|(place, id)| id - first == place as u64);
    let in_order = rows.iter().enumerate().all(|(place, row)| *row as usize == place);
    if counts_up && in_order {
        return Vec::new();
    }
    let directory_bytes = ids.len().div_ceil(GROUP) * DIRECTORY_ENTRY;
    let (mut directory, mut packed) = (Vec::with_capacity(directory_bytes), Vec::new());
    for group in ids.chunks(GROUP) {
        let excess: Vec<u64> = group.iter().enumerate().map(|(place, id)| id - group[0] - place as u64).collect();
        let bits = 64 - excess.last().copied().unwrap_or(0).leading_zeros();
        directory.extend_from_slice(&group[0].to_le_bytes());
        directory.extend_from_slice(&(u64::from(bits) << 56 | packed.len() as u64).to_le_bytes());
        pack(&excess, bits, &mut packed);
    }
    directory.append(&mut packed);
    directory.extend_from_slice(&[0; SLACK]);
    if !rows.is_empty() {
        directory.resize(directory.len().next_multiple_of(4), 0);
        directory.extend(rows.iter().flat_map(|row| row.to_le_bytes()));
    }
    directory
}

/// The most bytes `encode` can make for `count` ids in row order.
pub fn packed_bytes_max(count: u64) -> u64 {
    count * 8 + count.div_ceil(GROUP as u64) * (DIRECTORY_ENTRY as u64 + 1) + SLACK as u64
}

fn pack(values: &[u64], bits: u32, out: &mut Vec<u8>) {
    let (mut pending, mut filled) = (0u128, 0);
    for value in values {
        pending |= u128::from(*value) << filled;
        filled += bits;
        while filled >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(pending as u8);
    }
}

/// The ids of one sealed segment.
#[derive(Clone, Copy, Debug)]
pub struct SealedIds {
    offset: u64,
    bytes: u64,
    count: u32,
    /// Rows of the segment: more than ids where an id was put again.
    rows: u32,
    first: u64,
    last: u64,
    /// Offset of place → row inside the section; 0 where rows lie in order of id.
    rows_at: u64,
}

impl SealedIds {
    /// The id section a footer names; `sorted_rows` says that rows lie in order of id.
    pub fn open(file: &Sealed, sorted_rows: bool) -> Result<SealedIds> {
        let footer = file.footer();
        let bytes = footer.ids_bytes;
        let damaged =
            || Error::corrupt(file.name(), format!("{bytes} bytes of {} ids for {} rows", footer.ids, footer.rows));
        let rows = u32::try_from(footer.rows).map_err(|_| damaged())?;
        let count = u32::try_from(footer.ids).map_err(|_| damaged())?;
        if footer.last_id == NO_ID || count > rows || (count < rows && (sorted_rows || bytes == 0)) {
            return Err(damaged());
        }
        let spread = footer.last_id.checked_sub(footer.first_id).ok_or_else(damaged)?;
        if bytes == 0 && count > 0 && spread != u64::from(count) - 1 {
            return Err(damaged());
        }
        let directory = (u64::from(count)).div_ceil(GROUP as u64) * DIRECTORY_ENTRY as u64;
        let rows_bytes = if sorted_rows || bytes == 0 { 0 } else { u64::from(count) * 4 };
        let packed_end = bytes.checked_sub(rows_bytes).ok_or_else(damaged)?;
        if bytes > 0 && packed_end < directory + SLACK as u64 {
            return Err(damaged());
        }
        let rows_at = if rows_bytes > 0 { packed_end } else { 0 };
        let (first, last) = (footer.first_id, footer.last_id);
        Ok(SealedIds { offset: footer.ids_offset, bytes, count, rows, first, last, rows_at })
    }

    /// How many ids there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// True if ids count up in row order.
    pub fn counts_up(&self) -> bool {
        self.bytes == 0
    }

    /// True if `id` lies between the smallest and the largest.
    pub fn may_hold(&self, id: u64) -> bool {
        self.first <= id && id <= self.last && self.count > 0
    }

    /// The row of `id`.
    #[inline]
    pub fn row_of(&self, file: &Sealed, id: u64) -> Result<Option<u32>> {
        if !self.may_hold(id) {
            return Ok(None);
        }
        if self.counts_up() {
            return Ok(Some((id - self.first) as u32));
        }
        self.search(file, id)
    }

    fn search(&self, file: &Sealed, id: u64) -> Result<Option<u32>> {
        let place = self.lower_bound(file, id)?;
        if place == self.count || self.id_at(file, place)? != id {
            return Ok(None);
        }
        self.row_at(file, place).map(Some)
    }

    /// How many ids are smaller than `id`.
    pub fn lower_bound(&self, file: &Sealed, id: u64) -> Result<u32> {
        if self.count == 0 || id <= self.first {
            return Ok(0);
        }
        if id > self.last {
            return Ok(self.count);
        }
        if self.counts_up() {
            return Ok((id - self.first) as u32);
        }
        // The last group whose base is not above `id`; the first one's base is `first`, which is below it.
        let (mut low, mut high) = (0, (self.count as usize).div_ceil(GROUP));
        while high - low > 1 {
            let middle = (low + high) / 2;
            if self.group(file, middle)?.0 <= id { low = middle } else { high = middle }
        }
        let (base, bits, packed) = self.group(file, low)?;
        let in_group = GROUP.min(self.count as usize - low * GROUP);
        let packed = file.bytes(self.offset + packed, bits as usize * in_group / 8 + SLACK)?;
        let (mut from, mut to) = (0, in_group);
        while from < to {
            let middle = (from + to) / 2;
            let value = base.wrapping_add(middle as u64).wrapping_add(unpack(packed, bits, middle));
            if value < id { from = middle + 1 } else { to = middle }
        }
        Ok((low * GROUP + from) as u32)
    }

    /// The id at `place` in ascending order; `place` is below the number of rows.
    pub fn id_at(&self, file: &Sealed, place: u32) -> Result<u64> {
        if self.counts_up() {
            return Ok(self.first + u64::from(place));
        }
        let (group, index) = (place as usize / GROUP, place as usize % GROUP);
        let (base, bits, packed) = self.group(file, group)?;
        let in_group = GROUP.min(self.count as usize - group * GROUP);
        let packed = file.bytes(self.offset + packed, bits as usize * in_group / 8 + SLACK)?;
        let id = base.wrapping_add(index as u64).wrapping_add(unpack(packed, bits, index));
        if id < self.first || id > self.last {
            let (first, last) = (self.first, self.last);
            return Err(Error::corrupt(file.name(), format!("id {id} at place {place}, expected {first} to {last}")));
        }
        Ok(id)
    }

    /// The row of the id at `place`.
    pub fn row_at(&self, file: &Sealed, place: u32) -> Result<u32> {
        if self.rows_at == 0 {
            return Ok(place);
        }
        let row = u32_at(file.bytes(self.offset + self.rows_at + u64::from(place) * 4, 4)?, 0);
        if row >= self.rows {
            return Err(Error::corrupt(file.name(), format!("id list: row {row} of {}", self.rows)));
        }
        Ok(row)
    }

    /// Base, bits an id and offset (inside the section) of a group.
    fn group(&self, file: &Sealed, group: usize) -> Result<(u64, u32, u64)> {
        let entry = file.bytes(self.offset + (group * DIRECTORY_ENTRY) as u64, DIRECTORY_ENTRY)?;
        let word = u64_at(entry, 8);
        let (bits, packed) = ((word >> 56) as u32, word & ((1 << 56) - 1));
        let directory = ((self.count as usize).div_ceil(GROUP) * DIRECTORY_ENTRY) as u64;
        if bits > 64 || packed > self.bytes {
            return Err(Error::corrupt(file.name(), format!("id group {group}: {bits} bits at {packed}")));
        }
        Ok((u64_at(entry, 0), bits, directory + packed))
    }
}

/// The value at `index` of values of `bits` bits; the caller's slice has `SLACK` bytes behind the last.
fn unpack(packed: &[u8], bits: u32, index: usize) -> u64 {
    if bits == 0 {
        return 0;
    }
    let bit = index * bits as usize;
    let mut window = [0; 16];
    window.copy_from_slice(&packed[bit / 8..bit / 8 + 16]);
    let value = u128::from_le_bytes(window) >> (bit % 8);
    (value as u64) & (u64::MAX >> (64 - bits))
}
