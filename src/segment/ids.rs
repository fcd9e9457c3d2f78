//! Ids of a sealed segment: id → row by sorted, packed ids, which are read in the mapped file (format.md §6.5).
//!
//! The **rank** of an id is its position in ascending order of id. The ids are sorted and cut into groups of 128. For
//! each id the file stores `id − (base of the group + rank in the group)`, in as many bits as the largest of these
//! differences in the group needs; ids that count up need none. A directory with 16 bytes for each group finds an id by
//! bisection, and a rank directly. A sealed log, whose rows are not in order of id, has a second section: rank → row.
//! Opening unpacks nothing, so its cost does not depend on the number of ids.

use crate::error::Result;
use crate::format::{NO_ID, Section, SectionKind, u32_at, u64_at};
use crate::sealed::{Sealed, SealedWriter};
use std::ops::Range;

const GROUP: usize = 128;
const DIRECTORY_ENTRY: usize = 16;
/// Zero bytes after the last packed id, because packed ids are read 16 bytes at a time.
const SLACK: usize = 16;
/// The bits of a directory entry's second word that are the offset; its top byte is the number of bits per id.
const PACKED_OFFSET: u64 = (1 << 56) - 1;
/// Bytes of an entry of the list of rows.
const ROW_BYTES: u64 = 4;

/// Ids of rows that were inserted together.
#[derive(Clone, Copy, Debug)]
pub enum RowIds<'a> {
    /// Ids that count up from this one.
    From(u64),
    /// One id for each row.
    List(&'a [u64]),
}

impl<'a> RowIds<'a> {
    /// `ids` as a run if they count up, else as a list.
    pub fn of(ids: &'a [u64]) -> RowIds<'a> {
        match ids {
            [first, rest @ ..] if rest.iter().zip(1..).all(|(id, step)| first.checked_add(step) == Some(*id)) => {
                RowIds::From(*first)
            }
            _ => RowIds::List(ids),
        }
    }

    /// The smallest id above those of rows `[0, rows)`; 0 without rows.
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

/// The sections of ids of a new segment.
#[derive(Debug)]
pub struct NewIds {
    /// Number of ids.
    count: u64,
    /// Directory and packed ids; empty if ids count up in row order.
    packed: Vec<u8>,
    /// Rank → row, u32 each; empty if rows are in order of id.
    rows: Vec<u8>,
}

impl NewIds {
    /// Packs `ids` (ascending, each once). `rows[rank]` is the row of an id in a log; `rows` is empty if rows are in
    /// order of id. Both sections are empty if ids count up in row order.
    pub fn new(ids: &[u64], rows: &[u32]) -> NewIds {
        let first = ids.first().copied().unwrap_or(0);
        let counts_up = ids.iter().enumerate().all(|(rank, id)| id - first == rank as u64);
        let in_order = rows.iter().enumerate().all(|(rank, row)| *row as usize == rank);
        let (count, mut new) = (ids.len() as u64, (Vec::new(), Vec::new()));
        if !(counts_up && in_order) {
            new = (pack(ids), rows.iter().flat_map(|row| row.to_le_bytes()).collect());
        }
        NewIds { count, packed: new.0, rows: new.1 }
    }

    /// Bytes of the packed ids.
    pub fn packed_bytes(&self) -> u64 {
        self.packed.len() as u64
    }

    /// The sections of a log: kind, bytes and count of each.
    pub fn log_sections(&self) -> [(SectionKind, &[u8], u64); 2] {
        let rows = self.rows.len() as u64 / ROW_BYTES;
        [(SectionKind::Ids, &self.packed, self.count), (SectionKind::IdRows, &self.rows, rows)]
    }

    /// Writes the section of a segment whose rows are in order of id, or list by list.
    pub fn write(&self, writer: &mut SealedWriter) -> Result<()> {
        writer.write_section(SectionKind::Ids, self.count, &self.packed)
    }
}

/// The directory of `ids` (ascending) and the packed groups.
fn pack(ids: &[u64]) -> Vec<u8> {
    let directory_bytes = ids.len().div_ceil(GROUP) * DIRECTORY_ENTRY;
    let (mut directory, mut packed) = (Vec::with_capacity(directory_bytes), Vec::new());
    for group in ids.chunks(GROUP) {
        let excess: Vec<u64> = group.iter().enumerate().map(|(index, id)| id - group[0] - index as u64).collect();
        let bits = 64 - excess.last().copied().unwrap_or(0).leading_zeros();
        directory.extend_from_slice(&group[0].to_le_bytes());
        directory.extend_from_slice(&(u64::from(bits) << 56 | packed.len() as u64).to_le_bytes());
        pack_values(&excess, bits, &mut packed);
    }
    directory.append(&mut packed);
    directory.extend_from_slice(&[0; SLACK]);
    directory
}

/// Upper bound on the bytes of the section of `count` ids.
pub fn packed_bytes_max(count: u64) -> u64 {
    count * 8 + count.div_ceil(GROUP as u64) * (DIRECTORY_ENTRY as u64 + 1) + SLACK as u64
}

fn pack_values(values: &[u64], bits: u32, out: &mut Vec<u8>) {
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
    ids: Section,
    count: u32,
    /// Rows of the segment: more than ids if an id of a log was put again.
    rows: u32,
    first: u64,
    last: u64,
    /// Rank → row; `None` if rows are in order of id.
    id_rows: Option<Section>,
}

impl SealedIds {
    /// Opens the ids of a file of `rows` rows and checks that the counts agree. `is_log`: rows may be in another order
    /// than ids, so the file has a section rank → row.
    pub fn open(file: &Sealed, rows: u32, is_log: bool) -> Result<SealedIds> {
        let ids = file.section(SectionKind::Ids)?;
        let (first, last) = (file.footer().first_id, file.footer().last_id);
        let damage = |what: &str| {
            let Section { length, count, .. } = ids;
            let what = format!("{length} bytes of {count} ids from {first} to {last} for {rows} rows: {what}");
            file.section_error(SectionKind::Ids, what)
        };
        let counts_up = ids.length == 0;
        let count = u32::try_from(ids.count).map_err(|_| damage("more than 2^32 - 1 ids"))?;
        if count > rows || (count < rows && (!is_log || counts_up)) {
            return Err(damage("expected one id for each row"));
        }
        let spread = last.checked_sub(first).ok_or_else(|| damage("the first id is above the last id"))?;
        if last == NO_ID || (counts_up && count > 0 && spread != u64::from(count) - 1) {
            return Err(damage("the ids do not count up to the last id"));
        }
        if !counts_up && ids.length < directory_bytes(count) + SLACK as u64 {
            return Err(damage("shorter than its directory"));
        }
        let entries = if counts_up { 0 } else { u64::from(count) };
        let id_rows =
            if is_log { Some(file.section_of(SectionKind::IdRows, entries * ROW_BYTES, entries)?) } else { None };
        let id_rows = id_rows.filter(|section| section.length > 0);
        Ok(SealedIds { ids, count, rows, first, last, id_rows })
    }

    /// Number of ids.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// True if ids count up in row order.
    pub fn counts_up(&self) -> bool {
        self.ids.length == 0
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
        let rank = self.lower_bound(file, id)?;
        if rank == self.count || self.id_at(file, rank)? != id {
            return Ok(None);
        }
        self.row_at(file, rank).map(Some)
    }

    /// Number of ids smaller than `id`.
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
        // Bisection for the last group whose base is not above `id`. The base of the first group is `first`, which is
        // below.
        let (mut low, mut high) = (0, (self.count as usize).div_ceil(GROUP));
        while high - low > 1 {
            let middle = (low + high) / 2;
            if self.directory_entry(file, middle)?.0 <= id { low = middle } else { high = middle }
        }
        let (base, bits, packed) = self.group(file, low)?;
        let count = GROUP.min(self.count as usize - low * GROUP);
        let value = |at: usize| base.wrapping_add(at as u64).wrapping_add(unpack(packed, bits, at));
        Ok((low * GROUP + partition_point(count, |at| value(at) < id)) as u32)
    }

    /// The id at `rank`, which is below the number of ids.
    pub fn id_at(&self, file: &Sealed, rank: u32) -> Result<u64> {
        if self.counts_up() {
            return Ok(self.first + u64::from(rank));
        }
        let (group, index) = (rank as usize / GROUP, rank as usize % GROUP);
        let (base, bits, packed) = self.group(file, group)?;
        let id = base.wrapping_add(index as u64).wrapping_add(unpack(packed, bits, index));
        if id < self.first || id > self.last {
            let (first, last) = (self.first, self.last);
            let what = format!("id {id} at rank {rank}, expected {first} to {last}");
            return Err(file.section_error(SectionKind::Ids, what));
        }
        Ok(id)
    }

    /// The row of the id at `rank`.
    pub fn row_at(&self, file: &Sealed, rank: u32) -> Result<u32> {
        let Some(id_rows) = &self.id_rows else { return Ok(rank) };
        let row = u32_at(file.bytes(id_rows.offset + u64::from(rank) * ROW_BYTES, ROW_BYTES as usize)?, 0);
        if row >= self.rows {
            let what = format!("row {row} of {} at rank {rank}", self.rows);
            return Err(file.section_error(SectionKind::IdRows, what));
        }
        Ok(row)
    }

    /// Calls `each` with the rank of each of `ids` (ascending) that is here, in ascending order.
    pub fn for_each_rank(&self, file: &Sealed, ids: &[u64], mut each: impl FnMut(u32) -> Result<()>) -> Result<()> {
        let ids = self.within(ids);
        if self.counts_up() {
            return ids.iter().try_for_each(|id| each((id - self.first) as u32));
        }
        let (groups, mut next) = ((self.count as usize).div_ceil(GROUP), 0);
        let mut ids = ids.iter().peekable();
        while let Some(id) = ids.peek() {
            // The last group whose base is not above the id: most often the next one, found by steps that double.
            let begins_below =
                |group: usize| -> Result<bool> { Ok(group < groups && self.directory_entry(file, group)?.0 <= **id) };
            let mut reach = 1;
            while begins_below(next + reach)? {
                (next, reach) = (next + reach, 2 * reach);
            }
            while reach > 1 {
                reach /= 2;
                next += if begins_below(next + reach)? { reach } else { 0 };
            }
            let end = if next + 1 < groups { self.directory_entry(file, next + 1)?.0 } else { u64::MAX };
            let (base, bits, packed) = self.group(file, next)?;
            let (mut from, count) = (0, GROUP.min(self.count as usize - next * GROUP));
            let value = |at: usize| base.wrapping_add(at as u64).wrapping_add(unpack(packed, bits, at));
            while let Some(id) = ids.next_if(|id| **id < end) {
                from += partition_point(count - from, |at| value(from + at) < *id);
                if from < count && value(from) == *id {
                    each((next * GROUP + from) as u32)?;
                }
            }
        }
        Ok(())
    }

    /// Calls `each` with every rank whose id is not among `ids` (ascending, each once), in ascending order.
    pub fn for_each_other_rank(
        &self,
        file: &Sealed,
        ids: &[u64],
        mut each: impl FnMut(u32) -> Result<()>,
    ) -> Result<()> {
        if self.counts_up() {
            return gaps(0..self.count, self.within(ids), self.first, &mut each);
        }
        let mut next = 0;
        self.for_each_rank(file, ids, |rank| {
            (next..rank).try_for_each(&mut each)?;
            next = rank + 1;
            Ok(())
        })?;
        (next..self.count).try_for_each(each)
    }

    /// Those of `ids` (ascending) that lie between the smallest and the largest id here.
    pub fn within<'i>(&self, ids: &'i [u64]) -> &'i [u64] {
        if self.count == 0 {
            return &[];
        }
        let ids = &ids[ids.partition_point(|id| *id < self.first)..];
        &ids[..ids.partition_point(|id| *id <= self.last)]
    }

    /// Base, bits per id and packed ids of a group, with the `SLACK` bytes that are read after them.
    fn group<'a>(&self, file: &'a Sealed, group: usize) -> Result<(u64, u32, &'a [u8])> {
        let (base, word) = self.directory_entry(file, group)?;
        let (bits, packed) = ((word >> 56) as u32, word & PACKED_OFFSET);
        let ids = GROUP.min(self.count as usize - group * GROUP);
        let (start, length) = (directory_bytes(self.count) + packed, bits as usize * ids / 8 + SLACK);
        if bits > 64 || start + length as u64 > self.ids.length {
            let what = format!("group {group}: {bits} bits an id at {packed}, in {} bytes", self.ids.length);
            return Err(file.section_error(SectionKind::Ids, what));
        }
        Ok((base, bits, file.bytes(self.ids.offset + start, length)?))
    }

    /// Checks that the section ends where the last group does.
    pub fn check_length(&self, file: &Sealed) -> Result<()> {
        if self.counts_up() || self.count == 0 {
            return Ok(());
        }
        let last = (self.count as usize - 1) / GROUP;
        let ids = self.count as usize - last * GROUP;
        let word = self.directory_entry(file, last)?.1;
        let (bits, packed) = (word >> 56, word & PACKED_OFFSET);
        let end = directory_bytes(self.count) + packed + (bits * ids as u64).div_ceil(8) + SLACK as u64;
        if end == self.ids.length {
            return Ok(());
        }
        Err(file.section_error(SectionKind::Ids, format!("{} bytes, expected {end}", self.ids.length)))
    }

    /// Base of a group, and the word with its bits per id and the offset of its packed ids.
    fn directory_entry(&self, file: &Sealed, group: usize) -> Result<(u64, u64)> {
        let entry = file.bytes(self.ids.offset + (group * DIRECTORY_ENTRY) as u64, DIRECTORY_ENTRY)?;
        Ok((u64_at(entry, 0), u64_at(entry, 8)))
    }
}

/// Calls `each` with the numbers of `range` that are not in `ids`, which ascend, each once, and are those numbers plus
/// `first`. A part of the range that is as long as its ids has no gap and is not read.
fn gaps(range: Range<u32>, ids: &[u64], first: u64, each: &mut impl FnMut(u32) -> Result<()>) -> Result<()> {
    if ids.len() == range.len() {
        return Ok(());
    }
    let middle = ids.len() / 2;
    let Some(id) = ids.get(middle) else { return range.into_iter().try_for_each(each) };
    let number = (id - first) as u32;
    gaps(range.start..number, &ids[..middle], first, each)?;
    gaps(number + 1..range.end, &ids[middle + 1..], first, each)
}

/// The first of `0..count` for which `is_before` is false; it is true for all before that.
fn partition_point(count: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut from, mut to) = (0, count);
    while from < to {
        let middle = (from + to) / 2;
        if is_before(middle) { from = middle + 1 } else { to = middle }
    }
    from
}

fn directory_bytes(count: u32) -> u64 {
    u64::from(count).div_ceil(GROUP as u64) * DIRECTORY_ENTRY as u64
}

/// The value at `index` of values of `bits` bits each; `packed` has `SLACK` more bytes after the last value.
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
