//! Blocks: 32 codes interleaved for the scan, so that the same symbol of all rows lies side by side for byte shuffles.
//!
//! ```text
//! for each pair of symbols 2k, 2k+1     16 bytes: symbol 2k of row v (low nibble) and of row v + 16 (high nibble)
//!                                       16 bytes: symbol 2k+1 likewise
//! then                                  [32][side_bytes] side bytes
//! ```
//! An odd number of symbols is padded with a zero symbol, and a block that is not full with zero rows.

use crate::kernels::CodeLayout;
pub use crate::kernels::{BLOCK_ROWS as ROWS, block_bytes as bytes};

const HALF: usize = ROWS / 2;

/// Packs `codes: [n][row_bytes]`, n at most 32, into `out: [32 * row_bytes]`, all of which is written.
pub fn pack(codes: &[u8], symbols: usize, side_bytes: usize, out: &mut [u8]) {
    let layout = CodeLayout { symbols, side_bytes };
    let row_bytes = layout.row_bytes();
    debug_assert!(codes.len() <= bytes(row_bytes) && codes.len().is_multiple_of(row_bytes));
    debug_assert_eq!(out.len(), bytes(row_bytes));
    out.fill(0);
    let (symbol_part, side_part) = out.split_at_mut(bytes(layout.symbol_bytes()));
    for (lane, code) in codes.chunks_exact(row_bytes).enumerate() {
        let (byte, shift) = nibble_of(lane);
        for (pair, two) in symbol_part.chunks_exact_mut(ROWS).zip(code) {
            pair[byte] |= (two & 15) << shift;
            pair[HALF + byte] |= (two >> 4) << shift;
        }
        side_part[lane * side_bytes..][..side_bytes].copy_from_slice(&code[layout.symbol_bytes()..]);
    }
}

/// Copies rows of other blocks, each the `(block, lane)` of `from: [n]`, n at most 32, into a new block,
/// `out: [32 * row_bytes]`, all of which is written.
pub fn gather(from: &[(&[u8], usize)], symbols: usize, side_bytes: usize, out: &mut [u8]) {
    let symbol_bytes = bytes(CodeLayout { symbols, side_bytes }.symbol_bytes());
    out.fill(0);
    let (symbol_part, side_part) = out.split_at_mut(symbol_bytes);
    let (pairs, _) = symbol_part.as_chunks_mut::<ROWS>();
    let sides = side_part.chunks_exact_mut(side_bytes.max(1));
    for (lane, (block, from_lane)) in from.iter().enumerate() {
        let ((byte, shift), (from_byte, from_shift)) = (nibble_of(lane), nibble_of(*from_lane));
        let mut copy = |nibble: fn(u8) -> u8| {
            for (pair, from_pair) in pairs.iter_mut().zip(block.as_chunks::<ROWS>().0) {
                pair[byte] |= nibble(from_pair[from_byte]);
                pair[HALF + byte] |= nibble(from_pair[HALF + from_byte]);
            }
        };
        match (from_shift, shift) {
            (0, 0) => copy(|two| two & 0x0f),
            (0, _) => copy(|two| two << 4),
            (_, 0) => copy(|two| two >> 4),
            _ => copy(|two| two & 0xf0),
        }
    }
    for (side, (block, from_lane)) in sides.zip(from) {
        side.copy_from_slice(&block[symbol_bytes + from_lane * side_bytes..][..side_bytes]);
    }
}

/// Position of the nibble of row `lane` in each half of a pair: its byte, and its shift in bits.
fn nibble_of(lane: usize) -> (usize, usize) {
    (lane % HALF, 4 * (lane / HALF % 2))
}

/// The two symbols of row `lane` in a pair.
#[inline(always)]
pub fn symbols_of(pair: &[u8; ROWS], lane: usize) -> [u8; 2] {
    let (byte, shift) = nibble_of(lane);
    [pair[byte] >> shift & 15, pair[HALF + byte] >> shift & 15]
}

/// The last side byte of row `lane` of `block: [32 * row_bytes]`, for codes with one side byte.
#[inline(always)]
pub(super) fn side_byte(block: &[u8], lane: usize) -> u8 {
    block[block.len() - ROWS + lane]
}

/// Reads row `lane` of `block: [32 * row_bytes]` back into `code: [row_bytes]`.
pub fn unpack(block: &[u8], lane: usize, symbols: usize, side_bytes: usize, code: &mut [u8]) {
    let layout = CodeLayout { symbols, side_bytes };
    debug_assert_eq!((block.len(), code.len()), (bytes(layout.row_bytes()), layout.row_bytes()));
    let (symbol_part, side_part) = block.split_at(bytes(layout.symbol_bytes()));
    for (two, pair) in code.iter_mut().zip(symbol_part.as_chunks::<ROWS>().0) {
        let [first, second] = symbols_of(pair, lane);
        *two = first | second << 4;
    }
    code[layout.symbol_bytes()..].copy_from_slice(&side_part[lane * side_bytes..][..side_bytes]);
}
