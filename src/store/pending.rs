//! Calls that were accepted and are not yet in the log: the contents of the next frame.

use crate::format::FRAME_HEADER_BYTES;
use crate::segment::ids::RowIds;

/// Ids and order of the calls for the next frame. Their rows are in the buffer.
#[derive(Debug, Default)]
pub(super) struct Pending {
    rows: u32,
    first_id: u64,
    /// Ids of all rows, once they no longer count up from `first_id`.
    listed: Vec<u64>,
    deletes: Vec<u64>,
    /// Counts of puts and deletes in turn, beginning with puts.
    operations: Vec<u32>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0 && self.deletes.is_empty()
    }

    /// Rows put.
    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// Ids of the rows put.
    pub(super) fn ids(&self) -> RowIds<'_> {
        if self.listed.is_empty() { RowIds::From(self.first_id) } else { RowIds::List(&self.listed) }
    }

    /// Ids deleted.
    pub(super) fn deletes(&self) -> &[u64] {
        &self.deletes
    }

    /// Counts of puts and deletes in turn; empty if all puts come before all deletes.
    pub(super) fn operations(&self) -> &[u32] {
        if self.operations.len() <= 2 { &[] } else { &self.operations }
    }

    /// Adds rows `range` of a call with `ids`.
    pub(super) fn put(&mut self, ids: RowIds, range: std::ops::Range<usize>) {
        self.count(false, range.len() as u32);
        range.for_each(|index| self.put_one(ids.get(index)));
    }

    /// Adds deletes.
    pub(super) fn delete(&mut self, ids: &[u64]) {
        self.count(true, ids.len() as u32);
        self.deletes.extend_from_slice(ids);
    }

    /// Clears all calls, once a frame holds them.
    pub(super) fn clear(&mut self) {
        self.rows = 0;
        self.listed.clear();
        self.deletes.clear();
        self.operations.clear();
    }

    /// Upper bound on the bytes of its frame, with `stride` bytes for each row.
    pub(super) fn frame_bytes_max(&self, stride: u64) -> u64 {
        let lists = (u64::from(self.rows) + self.deletes.len() as u64) * 8 + self.operations.len() as u64 * 4;
        FRAME_HEADER_BYTES + u64::from(self.rows) * stride + lists + 2 * 4096
    }

    fn put_one(&mut self, id: u64) {
        if self.rows == 0 {
            self.first_id = id;
        } else if self.listed.is_empty() && self.first_id + u64::from(self.rows) != id {
            self.listed.extend((0..u64::from(self.rows)).map(|index| self.first_id + index));
        }
        if !self.listed.is_empty() {
            self.listed.push(id);
        }
        self.rows += 1;
    }

    /// Counts `count` operations: puts at even positions of `operations`, deletes at odd ones.
    fn count(&mut self, is_delete: bool, count: u32) {
        if self.operations.len() % 2 != usize::from(is_delete) {
            if let Some(last) = self.operations.last_mut() {
                *last += count;
                return;
            }
            self.operations.push(0);
        }
        self.operations.push(count);
    }
}
