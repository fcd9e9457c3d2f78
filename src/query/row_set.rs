//! The rows of one segment that a filter allows, and their codes gathered into blocks of their own.
//!
//! A block with one allowed row costs as much to score as a block of 32. If a filter is used often enough to pay for
//! it, the codes of its rows are copied into dense blocks, and these are scored from then on.

use crate::codec::{Codebook, block};
use crate::error::Result;
use crate::kernels::BLOCK_ROWS;
use crate::snapshot::SegmentView;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The rows of one segment that are allowed, hidden ones excluded.
#[derive(Debug, Default)]
pub struct RowSet {
    /// Ascending.
    rows: Vec<u32>,
    /// `[rows]`.
    ids: Vec<u64>,
    /// Number of blocks scored for these rows so far, by all queries.
    scored: AtomicUsize,
    /// Blocks of the codes of `rows`, in this order.
    blocks: OnceLock<Vec<u8>>,
    /// True if the filter is small enough to keep `blocks`.
    keeps_blocks: bool,
}

/// Rows whose codes were gathered into dense blocks. The slot of a row is its index in `rows`.
#[derive(Clone, Copy)]
pub struct Gathered<'a> {
    /// Ascending.
    pub rows: &'a [u32],
    /// `[rows]`.
    pub ids: &'a [u64],
    /// The codes of `rows`, in this order.
    pub blocks: &'a [u8],
}

impl RowSet {
    /// A set of pairs of row and id, in ascending order of row.
    pub fn new(pairs: impl Iterator<Item = (u32, u64)>) -> RowSet {
        let (rows, ids) = pairs.unzip();
        RowSet { rows, ids, ..RowSet::default() }
    }

    /// Allows the set to keep gathered codes.
    pub fn keep_blocks(&mut self) {
        self.keeps_blocks = true;
    }

    /// Ascending.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Bytes that the set occupies in memory once all its codes, of `row_bytes` each, are gathered.
    pub fn bytes(&self, row_bytes: usize) -> usize {
        size_of_val(&*self.rows) + size_of_val(&*self.ids) + self.rows.len().next_multiple_of(BLOCK_ROWS) * row_bytes
    }

    /// True if gathered blocks are kept.
    pub fn is_gathered(&self) -> bool {
        self.blocks.get().is_some()
    }

    /// True if gathering `rows` of the set is cheaper than scoring the `scored` blocks that hold them: copying a row
    /// out of its block costs about as much as scoring a block for one query. Adds `scored` to the count if blocks can
    /// be kept.
    pub fn should_gather(&self, rows: &[u32], scored: usize) -> bool {
        let before = if self.keeps_blocks { self.scored.fetch_add(scored, Ordering::Relaxed) } else { 0 };
        rows.len() < 2 * before.saturating_add(scored)
    }

    /// All rows of the set with their gathered codes, if these may be kept. The first call gathers them.
    pub fn gathered(&self, segment: &SegmentView, book: &Codebook) -> Result<Option<Gathered<'_>>> {
        if !self.keeps_blocks {
            return Ok(None);
        }
        if !self.is_gathered() {
            let mut blocks = Vec::new();
            gather(segment, book, &self.rows, &mut blocks)?;
            // An error here means that another thread has stored the same blocks.
            let _ = self.blocks.set(blocks);
        }
        Ok(self.blocks.get().map(|blocks| Gathered { rows: &self.rows, ids: &self.ids, blocks }))
    }
}

impl<'a> Gathered<'a> {
    /// The block that holds the row in `slot`.
    pub fn block_of(&self, slot: u32) -> &'a [u8] {
        let block_bytes = self.blocks.len() / self.rows.len().div_ceil(BLOCK_ROWS);
        &self.blocks[slot as usize / BLOCK_ROWS * block_bytes..][..block_bytes]
    }
}

/// Copies the codes of `rows` of `segment` into blocks of their own, in this order.
pub fn gather(segment: &SegmentView, book: &Codebook, rows: &[u32], blocks: &mut Vec<u8>) -> Result<()> {
    let block_bytes = block::bytes(book.row_bytes());
    let mut sources = Vec::with_capacity(BLOCK_ROWS);
    blocks.resize(rows.len().div_ceil(BLOCK_ROWS) * block_bytes, 0);
    for (rows, block) in rows.chunks(BLOCK_ROWS).zip(blocks.chunks_exact_mut(block_bytes)) {
        sources.clear();
        for row in rows {
            sources.push((segment.segment.block(row / BLOCK_ROWS as u32)?, *row as usize % BLOCK_ROWS));
        }
        block::gather(&sources, book.symbols(), book.side_bytes(), block);
    }
    Ok(())
}
