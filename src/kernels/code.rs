//! Sizes of codes and of blocks of codes, which follow from the numbers of symbols and side bytes.

use super::BLOCK_ROWS;

/// The parts of a code: `[symbols / 2, rounded up]` u8, two symbols per byte, then `[side_bytes]` u8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeLayout {
    /// 4-bit symbols of a code.
    pub symbols: usize,
    /// Bytes of a code behind its symbols.
    pub side_bytes: usize,
}

impl CodeLayout {
    /// Bytes of the symbols of a code.
    pub fn symbol_bytes(self) -> usize {
        self.symbols.div_ceil(2)
    }

    /// Bytes of a code.
    pub fn row_bytes(self) -> usize {
        self.symbol_bytes() + self.side_bytes
    }
}

/// Bytes of a block of codes of `row_bytes` each.
pub fn block_bytes(row_bytes: usize) -> usize {
    BLOCK_ROWS * row_bytes
}

/// Blocks that hold `rows` rows; the last may not be full.
pub fn blocks_for(rows: u64) -> u64 {
    rows.div_ceil(BLOCK_ROWS as u64)
}
