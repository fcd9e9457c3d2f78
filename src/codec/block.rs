//! 32 codes interleaved for the scan: each symbol of all rows side by side, where a 16-entry shuffle finds them.
//!
//! ```text
//! for each pair of symbols 2k, 2k+1     16 bytes: symbol 2k of row v (low nibble) and of row v + 16 (high nibble)
//!                                       16 bytes: symbol 2k+1 likewise
//! then                                  [32][side_bytes] side bytes
//! ```
//! An odd number of symbols is padded with a zero symbol, a block that is not full with zero rows.

pub use crate::kernels::BLOCK_ROWS as ROWS;

const HALF: usize = ROWS / 2;

/// Bytes of a block whose codes have `row_bytes`.
pub fn bytes(row_bytes: usize) -> usize {
    ROWS * row_bytes
}

/// Packs `codes: [n][row_bytes]`, n at most 32, into `out: [32 * row_bytes]`, all of which is written.
pub fn pack(codes: &[u8], symbols: usize, side_bytes: usize, out: &mut [u8]) {
    let pairs = symbols.div_ceil(2);
    let row_bytes = pairs + side_bytes;
    debug_assert!(codes.len() <= bytes(row_bytes) && codes.len().is_multiple_of(row_bytes));
    debug_assert_eq!(out.len(), bytes(row_bytes));
    out.fill(0);
    let (symbol_part, side_part) = out.split_at_mut(ROWS * pairs);
    for (lane, code) in codes.chunks_exact(row_bytes).enumerate() {
        let (byte, shift) = place(lane);
        for (pair, two) in symbol_part.chunks_exact_mut(ROWS).zip(code) {
            pair[byte] |= (two & 15) << shift;
            pair[HALF + byte] |= (two >> 4) << shift;
        }
        side_part[lane * side_bytes..][..side_bytes].copy_from_slice(&code[pairs..]);
    }
}

/// Writes rows of other blocks, each the `(block, lane)` of `from: [n]`, n at most 32, into a block of their own,
/// `out: [32 * row_bytes]`, all of which is written.
pub fn gather(from: &[(&[u8], usize)], symbols: usize, side_bytes: usize, out: &mut [u8]) {
    let symbol_bytes = ROWS * symbols.div_ceil(2);
    out.fill(0);
    let (symbol_part, side_part) = out.split_at_mut(symbol_bytes);
    let (pairs, _) = symbol_part.as_chunks_mut::<ROWS>();
    let sides = side_part.chunks_exact_mut(side_bytes.max(1));
    for (lane, (block, of)) in from.iter().enumerate() {
        let ((byte, shift), (byte_of, shift_of)) = (place(lane), place(*of));
        let mut take = |nibble: fn(u8) -> u8| {
            for (pair, pair_of) in pairs.iter_mut().zip(block.as_chunks::<ROWS>().0) {
                pair[byte] |= nibble(pair_of[byte_of]);
                pair[HALF + byte] |= nibble(pair_of[HALF + byte_of]);
            }
        };
        match (shift_of, shift) {
            (0, 0) => take(|two| two & 0x0f),
            (0, _) => take(|two| two << 4),
            (_, 0) => take(|two| two >> 4),
            _ => take(|two| two & 0xf0),
        }
    }
    for (side, (block, of)) in sides.zip(from) {
        side.copy_from_slice(&block[symbol_bytes + of * side_bytes..][..side_bytes]);
    }
}

/// Where in each half of a pair row `lane` is: the byte, and by how many bits it is shifted.
fn place(lane: usize) -> (usize, usize) {
    (lane % HALF, 4 * (lane / HALF % 2))
}

/// The two symbols of row `lane` in a pair.
#[inline(always)]
pub fn symbols_of(pair: &[u8; ROWS], lane: usize) -> [u8; 2] {
    let (byte, shift) = place(lane);
    [pair[byte] >> shift & 15, pair[HALF + byte] >> shift & 15]
}

/// Reads row `lane` of `block: [32 * row_bytes]` back into `code: [row_bytes]`.
pub fn unpack(block: &[u8], lane: usize, symbols: usize, side_bytes: usize, code: &mut [u8]) {
    let pairs = symbols.div_ceil(2);
    debug_assert_eq!((block.len(), code.len()), (bytes(pairs + side_bytes), pairs + side_bytes));
    let (symbol_part, side_part) = block.split_at(ROWS * pairs);
    for (two, pair) in code.iter_mut().zip(symbol_part.as_chunks::<ROWS>().0) {
        let [first, second] = symbols_of(pair, lane);
        *two = first | second << 4;
    }
    code[pairs..].copy_from_slice(&side_part[lane * side_bytes..][..side_bytes]);
}
