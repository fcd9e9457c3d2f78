//! The rows that a caller allows: where they are, and their codes side by side for the scan.
//!
//! Who filters asks the same filter again, query by query. So a snapshot remembers the last one, as long as it is small, and
//! the codes it allows are gathered when the scans of blocks that hold others too have cost as much as that.

use crate::codec::{Codebook, block};
use crate::error::Result;
use crate::kernels::BLOCK_ROWS;
use crate::snapshot::{SegmentView, Snapshot, View};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The most bytes a snapshot keeps for a filter: its ids, their rows and their codes.
const KEPT_BYTES: usize = 4 << 20;

/// Rows that are allowed.
#[derive(Debug)]
pub struct Chosen {
    /// As the caller gave them.
    ids: Vec<u64>,
    /// The rows of the tail that they were looked for in.
    visible: u32,
    /// `[segments]`.
    pub segments: Vec<ChosenRows>,
    /// Ascending.
    pub tail: Vec<u32>,
}

/// The rows of a segment that are allowed.
#[derive(Debug, Default)]
pub struct ChosenRows {
    /// Ascending.
    pub rows: Vec<u32>,
    /// `[rows]`.
    pub ids: Vec<u64>,
    /// Blocks scored for these rows, all queries together.
    scored: AtomicUsize,
    /// Blocks of the codes of `rows` alone.
    gathered: OnceLock<Vec<u8>>,
    /// True if the filter is small enough to keep `gathered`.
    is_kept: bool,
}

/// The last filter of a snapshot.
#[derive(Debug, Default)]
pub struct LastFilter(Mutex<Option<Arc<Chosen>>>);

impl LastFilter {
    fn get(&self) -> Option<Arc<Chosen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, chosen: Arc<Chosen>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(chosen);
    }
}

impl View<'_> {
    /// Where the vectors of `ids` are, as far as they are stored.
    pub fn choose(&self, ids: &[u64]) -> Result<Arc<Chosen>> {
        let last = self.snapshot.last_filter.get();
        if let Some(last) = last.filter(|last| last.visible == self.visible && last.ids == ids) {
            return Ok(last);
        }
        let mut chosen = self.found(ids)?;
        let is_kept = chosen.bytes_kept(ids, self.snapshot) <= KEPT_BYTES;
        chosen.segments.iter_mut().for_each(|of_segment| of_segment.is_kept = is_kept);
        if !is_kept {
            return Ok(Arc::new(chosen));
        }
        let chosen = Arc::new(Chosen { ids: ids.to_vec(), ..chosen });
        self.snapshot.last_filter.set(Arc::clone(&chosen));
        Ok(chosen)
    }

    fn found(&self, ids: &[u64]) -> Result<Chosen> {
        let segments = self.snapshot.segments.iter().map(|_| ChosenRows::default()).collect();
        let mut chosen = Chosen { ids: Vec::new(), visible: self.visible, segments, tail: Vec::new() };
        let mut left = ids.to_vec();
        left.retain(|id| {
            let row = self.locate_in_tail(*id);
            chosen.tail.extend(row);
            row.is_none()
        });
        for (live, of_segment) in self.snapshot.segments.iter().zip(&mut chosen.segments).rev() {
            let mut is_found = vec![false; left.len()];
            let mut found = live.segment.rows_of(&left)?;
            found.retain(|(row, _)| !live.hidden.hides(*row));
            found.sort_unstable();
            found.iter().for_each(|(_, position)| is_found[*position] = true);
            found.dedup_by_key(|(row, _)| *row);
            (of_segment.rows, of_segment.ids) = found.iter().map(|(row, position)| (*row, left[*position])).unzip();
            let mut is_found = is_found.into_iter();
            left.retain(|_| !is_found.next().unwrap_or(true));
        }
        chosen.tail.sort_unstable();
        chosen.tail.dedup();
        Ok(chosen)
    }
}

impl Chosen {
    /// What keeping this takes, once all codes are gathered.
    fn bytes_kept(&self, ids: &[u64], snapshot: &Snapshot) -> usize {
        let of_segment = |(live, chosen): (&Arc<SegmentView>, &ChosenRows)| {
            let code = if live.codebook.is_some() { live.segment.row_bytes() } else { 0 };
            size_of_val(&*chosen.rows)
                + size_of_val(&*chosen.ids)
                + chosen.rows.len().next_multiple_of(BLOCK_ROWS) * code
        };
        let segments: usize = snapshot.segments.iter().zip(&self.segments).map(of_segment).sum();
        size_of_val(ids) + self.tail.len() * size_of::<u32>() + segments
    }
}

impl ChosenRows {
    /// True if the codes of `rows` lie in blocks of their own.
    pub fn is_gathered(&self) -> bool {
        self.gathered.get().is_some()
    }

    /// True if it pays to gather `rows` by now, when `scored` blocks with some of them wait to be scored: to take a row out
    /// of its block costs about as much as to score a block for a query.
    pub fn gathers_after(&self, rows: &[u32], scored: usize) -> bool {
        let before = if self.is_kept { self.scored.fetch_add(scored, Ordering::Relaxed) } else { 0 };
        rows.len() < 2 * before.saturating_add(scored)
    }

    /// All rows with their codes, if these are kept; gathered when first asked for.
    pub fn apart(&self, live: &SegmentView, book: &Codebook) -> Result<Option<Apart<'_>>> {
        if !self.is_kept {
            return Ok(None);
        }
        if !self.is_gathered() {
            let mut bytes = Vec::new();
            live.gather(book, &self.rows, &mut bytes)?;
            // Another thread may have been faster with the same.
            let _ = self.gathered.set(bytes);
        }
        Ok(self.gathered.get().map(|blocks| Apart { rows: &self.rows, ids: &self.ids, blocks }))
    }
}

/// Rows in blocks of their own.
#[derive(Clone, Copy)]
pub struct Apart<'a> {
    /// Ascending.
    pub rows: &'a [u32],
    /// `[rows]`.
    pub ids: &'a [u64],
    /// Of their codes, in this order.
    pub blocks: &'a [u8],
}

impl<'a> Apart<'a> {
    /// The block that holds `rows[place]`.
    pub fn block_of(&self, place: u32) -> &'a [u8] {
        let block_bytes = self.blocks.len() / self.rows.len().div_ceil(BLOCK_ROWS);
        &self.blocks[place as usize / BLOCK_ROWS * block_bytes..][..block_bytes]
    }
}

impl SegmentView {
    /// Lays the codes of `rows` side by side, in blocks of their own.
    pub fn gather(&self, book: &Codebook, rows: &[u32], out: &mut Vec<u8>) -> Result<()> {
        let block_bytes = block::bytes(book.row_bytes());
        let mut from = Vec::with_capacity(BLOCK_ROWS);
        out.resize(rows.len().div_ceil(BLOCK_ROWS) * block_bytes, 0);
        for (rows, out) in rows.chunks(BLOCK_ROWS).zip(out.chunks_exact_mut(block_bytes)) {
            from.clear();
            for row in rows {
                from.push((self.segment.block(row / BLOCK_ROWS as u32)?, *row as usize % BLOCK_ROWS));
            }
            block::gather(&from, book.symbols(), book.side_bytes(), out);
        }
        Ok(())
    }
}
