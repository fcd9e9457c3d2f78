//! The tail: the rows of the active log as readers see them while one writer appends.
//!
//! Rows are numbered in the order of insertion. A reader has a count from its snapshot: rows below it never change,
//! rows from it on may appear at any time and are not read. There are no locks.

use crate::format::Extent;
use crate::os::{Map, Published};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Rows of several frames of the log file, mapped.
#[derive(Debug)]
pub struct MappedFrames {
    first_row: u32,
    extents: Vec<Extent>,
    /// File offset of the first mapped byte.
    base: u64,
    map: Map,
}

impl MappedFrames {
    /// `map` is the file from byte `base` on; `extents` lie inside it. `None` without extents.
    pub fn new(extents: Vec<Extent>, base: u64, map: Map) -> Option<MappedFrames> {
        let first_row = extents.first()?.first_row;
        Some(MappedFrames { first_row, extents, base, map })
    }

    fn rows_at(&self, row: u32, most: usize, stride: usize) -> &[u8] {
        let index = self.extents.partition_point(|extent| extent.first_row <= row).saturating_sub(1);
        let extent = &self.extents[index];
        let before = (row - extent.first_row) as usize;
        let start = (extent.offset - self.base) as usize + before * stride;
        &self.map[start..start + most.min(extent.rows as usize - before) * stride]
    }
}

/// The rows of the active log: those mapped from the file, and those in the buffer that the writer fills.
#[derive(Clone, Debug)]
pub struct Tail {
    /// Bytes of a row.
    pub stride: usize,
    /// Rows in the file, oldest first.
    pub chunks: Vec<Arc<MappedFrames>>,
    /// Rows from `buffer_row` on, in memory.
    pub buffer: Published,
    /// First row of the buffer.
    pub buffer_row: u32,
    /// Id → row and row → id.
    pub ids: Arc<TailIds>,
}

impl Tail {
    /// The bytes of `row`, which must be visible in the caller's snapshot.
    pub fn row(&self, row: u32) -> &[u8] {
        self.rows_at(row, 1)
    }

    /// The bytes of `row` and of the rows that follow it in memory, at most `most` rows, all of which must be visible.
    pub fn rows_at(&self, row: u32, most: u32) -> &[u8] {
        if row >= self.buffer_row {
            let start = (row - self.buffer_row) as usize * self.stride;
            return &self.buffer.bytes()[start..start + most as usize * self.stride];
        }
        let index = self.chunks.partition_point(|chunk| chunk.first_row <= row).saturating_sub(1);
        self.chunks[index].rows_at(row, most as usize, self.stride)
    }
}

/// Ids of the tail. Ids that count up take no memory; the first that does not starts a hash table.
///
/// The hash table uses open addressing over atomics. The writer stores the key, then the row, so a reader that sees a
/// row sees its key. Keys are never removed; the snapshot's tombstones hide a deleted row. If an id is put again,
/// `newest` has its newest row, and `older` maps a row to the previous row of the same id, for readers of an earlier
/// snapshot.
#[derive(Debug)]
pub struct TailIds {
    run_first: u64,
    /// Rows `[0, run_rows)` have ids that count up from `run_first`; `u32::MAX` while the run goes on.
    run_rows: AtomicU32,
    newest: RowTable,
    older: RowTable,
    /// Ids of the rows after the run.
    listed: Vec<AtomicU64>,
    listed_count: AtomicU32,
}

impl TailIds {
    /// An empty tail whose first row will have id `run_first`.
    pub fn new(run_first: u64) -> TailIds {
        TailIds {
            run_first,
            run_rows: AtomicU32::new(u32::MAX),
            newest: RowTable::new(0),
            older: RowTable::new(0),
            listed: Vec::new(),
            listed_count: AtomicU32::new(0),
        }
    }

    /// True if `count` more rows with listed ids fit without growing.
    pub fn has_room(&self, count: usize) -> bool {
        self.listed_count.load(Ordering::Relaxed) as usize + count <= self.listed.len()
    }

    /// A copy with room for at least `count` more listed ids. Readers of the original keep using it.
    pub fn grow(&self, count: usize) -> TailIds {
        let used = self.listed_count.load(Ordering::Relaxed) as usize;
        let capacity = (used + count).max(used * 2).max(64);
        let mut listed: Vec<AtomicU64> = Vec::with_capacity(capacity);
        listed.extend(self.listed[..used].iter().map(|id| AtomicU64::new(id.load(Ordering::Relaxed))));
        listed.resize_with(capacity, AtomicU64::default);
        TailIds {
            run_first: self.run_first,
            run_rows: AtomicU32::new(self.run_rows.load(Ordering::Relaxed)),
            newest: self.newest.copy(capacity),
            older: self.older.copy(capacity),
            listed,
            listed_count: AtomicU32::new(used as u32),
        }
    }

    /// True if the ids of the tail count up so far and `id` at `row` continues the run.
    pub fn continues_run(&self, row: u32, id: u64) -> bool {
        self.run_rows.load(Ordering::Relaxed) == u32::MAX && self.run_first.checked_add(u64::from(row)) == Some(id)
    }

    /// The id of row 0 if the run is not empty.
    pub fn run_first(&self) -> u64 {
        self.run_first
    }

    /// True if all rows so far count up.
    pub fn is_run(&self) -> bool {
        self.run_rows.load(Ordering::Relaxed) == u32::MAX
    }

    /// Gives `row` the id `id`; `previous` is the row that had it before. The caller has made room (`grow`) and
    /// publishes the row afterwards.
    pub fn list(&self, row: u32, id: u64, previous: Option<u32>) {
        let used = self.listed_count.load(Ordering::Relaxed);
        if used == 0 {
            self.run_rows.store(row, Ordering::Release);
        }
        self.listed[used as usize].store(id, Ordering::Release);
        self.listed_count.store(used + 1, Ordering::Release);
        if let Some(previous) = previous {
            self.older.set(u64::from(row), previous);
        }
        self.newest.set(id, row);
    }

    /// The newest row below `visible` that has `id`.
    pub fn find(&self, id: u64, visible: u32) -> Option<u32> {
        let mut found = self.newest.get(id);
        while let Some(row) = found {
            if row < visible {
                return found;
            }
            found = self.older.get(u64::from(row));
        }
        let row = id.checked_sub(self.run_first)?;
        let in_run = row < u64::from(visible.min(self.run_rows.load(Ordering::Acquire)));
        in_run.then_some(row as u32)
    }

    /// The id of `row`, which must be visible in the caller's snapshot.
    pub fn id_of(&self, row: u32) -> u64 {
        let run_rows = self.run_rows.load(Ordering::Acquire);
        if row < run_rows {
            self.run_first + u64::from(row)
        } else {
            self.listed[(row - run_rows) as usize].load(Ordering::Acquire)
        }
    }
}

/// A hash table from u64 to rows, for one writer and any number of readers.
#[derive(Debug)]
struct RowTable {
    keys: Vec<AtomicU64>,
    /// Row + 1; 0 is an empty slot.
    rows: Vec<AtomicU32>,
    hasher: RandomState,
}

impl RowTable {
    fn new(entries: usize) -> RowTable {
        let slots = if entries == 0 { 0 } else { (entries * 2).next_power_of_two() };
        let (mut keys, mut rows) = (Vec::new(), Vec::new());
        keys.resize_with(slots, AtomicU64::default);
        rows.resize_with(slots, AtomicU32::default);
        RowTable { keys, rows, hasher: RandomState::new() }
    }

    fn copy(&self, entries: usize) -> RowTable {
        let table = RowTable::new(entries);
        for (key, row) in self.keys.iter().zip(&self.rows) {
            if let Some(row) = row.load(Ordering::Relaxed).checked_sub(1) {
                table.set(key.load(Ordering::Relaxed), row);
            }
        }
        table
    }

    /// Slots in probing order. At most half are in use, so a search ends.
    fn slots(&self, key: u64) -> impl Iterator<Item = usize> + '_ {
        let mask = self.keys.len().wrapping_sub(1);
        let start = if self.keys.is_empty() { 0 } else { self.hasher.hash_one(key) as usize };
        (0..self.keys.len()).map(move |step| start.wrapping_add(step) & mask)
    }

    fn get(&self, key: u64) -> Option<u32> {
        for slot in self.slots(key) {
            let row = self.rows[slot].load(Ordering::Acquire).checked_sub(1)?;
            if self.keys[slot].load(Ordering::Relaxed) == key {
                return Some(row);
            }
        }
        None
    }

    fn set(&self, key: u64, row: u32) {
        for slot in self.slots(key) {
            let in_use = self.rows[slot].load(Ordering::Relaxed) != 0;
            if !in_use || self.keys[slot].load(Ordering::Relaxed) == key {
                self.keys[slot].store(key, Ordering::Relaxed);
                self.rows[slot].store(row + 1, Ordering::Release);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TailIds;

    #[test]
    fn a_reader_of_an_earlier_count_finds_the_row_an_id_had_then() {
        let ids = TailIds::new(10).grow(100);
        assert_eq!(ids.find(12, 3), Some(2));
        ids.list(3, 11, None);
        assert_eq!((ids.find(11, 3), ids.find(11, 4)), (Some(1), Some(3)));
        ids.list(4, 11, Some(3));
        ids.list(5, u64::MAX - 1, None);
        assert_eq!((ids.find(11, 3), ids.find(11, 4), ids.find(11, 9)), (Some(1), Some(3), Some(4)));
        assert_eq!((ids.id_of(0), ids.id_of(4), ids.id_of(5)), (10, 11, u64::MAX - 1));
        let grown = ids.grow(1000);
        assert_eq!((grown.find(11, 4), grown.find(u64::MAX - 1, 6), grown.find(13, 6)), (Some(3), Some(5), None));
    }
}
