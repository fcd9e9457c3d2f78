//! The end of a sealed file (format.md §6): where its parts lie, and the root of its checksums.

use super::{checksum, expect_checksum, f64_at, put, seed, u32_at, u64_at};
use crate::error::{Error, Result};

/// Bytes of a footer; it ends the file.
pub const FOOTER_BYTES: usize = 192;
const MAGIC: [u8; 8] = *b"omenseal";
const ROOT_AT: usize = FOOTER_BYTES - 4;
const FOOTER_PLACE: u64 = 0x464f_4f54;

/// What was measured over every vector when the codes of a segment were made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Σ‖x‖².
    pub energy: f64,
    /// Σ‖x − x̂‖².
    pub error: f64,
    /// max ‖x − x̂‖ ÷ ‖x‖.
    pub worst: f64,
    /// max ‖x − x̂‖, of what was inserted: not below any bound of a block but for its rounding.
    pub farthest: f64,
    /// Mean ‖x − x̂‖² of the first rows that were coded with the codebook: what later rows are compared with.
    pub trained: f64,
}

/// Where the parts of a sealed file lie. Offsets are bytes from its start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Footer {
    /// Bytes covered by the block table; everything but the tables and this footer.
    pub data_bytes: u64,
    /// Rows of the segment.
    pub rows: u64,
    /// The id section; 0 bytes where ids count up from `first_id` in row order.
    pub ids_offset: u64,
    /// Its length.
    pub ids_bytes: u64,
    /// Ids in it: one a row, but for a sealed log where an id was put again (its last row counts).
    pub ids: u64,
    /// Smallest id.
    pub first_id: u64,
    /// Largest id.
    pub last_id: u64,
    /// The extent list of a sealed log; 0 entries where rows are contiguous.
    pub extents_offset: u64,
    /// Its entries.
    pub extents: u64,
    /// First row, or first block of codes.
    pub rows_offset: u64,
    /// First copy of the codebook, before the codes.
    pub codebook_offset: u64,
    /// Second copy, behind the codes.
    pub codebook_second: u64,
    /// Bytes of one copy; 0 where rows are raw.
    pub codebook_bytes: u64,
    /// Symbols a code has, and side bytes.
    pub symbols: u32,
    /// Side bytes a code has.
    pub side_bytes: u32,
    /// Error of the codes.
    pub measured: Measured,
    /// Error bounds of the blocks of codes, behind them.
    pub bounds_offset: u64,
    /// The section of inverted lists.
    pub lists_offset: u64,
    /// How many there are; 0 where rows lie in order of id.
    pub lists: u32,
}

impl Footer {
    /// The footer as stored, and the root checksum over it and `top`, the checksums of the block table.
    pub fn encode(&self, id: u64, top: &[u8]) -> ([u8; FOOTER_BYTES], u32) {
        let mut bytes = [0; FOOTER_BYTES];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 8, &id.to_le_bytes());
        let words = [
            self.data_bytes,
            self.rows,
            self.ids_offset,
            self.ids_bytes,
            self.ids,
            self.first_id,
            self.last_id,
            self.extents_offset,
            self.extents,
            self.rows_offset,
            self.codebook_offset,
            self.codebook_second,
            self.codebook_bytes,
        ];
        for (index, word) in words.iter().enumerate() {
            put(&mut bytes, 16 + index * 8, &word.to_le_bytes());
        }
        put(&mut bytes, 120, &self.symbols.to_le_bytes());
        put(&mut bytes, 124, &self.side_bytes.to_le_bytes());
        let Measured { energy, error, worst, farthest, trained } = self.measured;
        for (index, number) in [energy, error, worst, farthest, trained].iter().enumerate() {
            put(&mut bytes, 128 + index * 8, &number.to_le_bytes());
        }
        put(&mut bytes, 168, &self.bounds_offset.to_le_bytes());
        put(&mut bytes, 176, &self.lists_offset.to_le_bytes());
        put(&mut bytes, 184, &self.lists.to_le_bytes());
        let root = root(id, top, &bytes[..ROOT_AT]);
        put(&mut bytes, ROOT_AT, &root.to_le_bytes());
        (bytes, root)
    }

    /// Reads and checks a footer against the root that the manifest holds.
    pub fn decode(file: &str, id: u64, bytes: &[u8; FOOTER_BYTES], top: &[u8], expected: u32) -> Result<Footer> {
        expect_checksum(file, "footer (stored root)", u32_at(bytes, ROOT_AT), expected)?;
        expect_checksum(file, "footer", expected, root(id, top, &bytes[..ROOT_AT]))?;
        if bytes[..8] != MAGIC || u64_at(bytes, 8) != id {
            return Err(Error::corrupt(file, format!("footer: of file {:x}, expected {id:x}", u64_at(bytes, 8))));
        }
        let measured = [128, 136, 144, 152, 160].map(|at| f64_at(bytes, at));
        if let Some(number) = measured.iter().find(|number| !(0.0..=f64::INFINITY).contains(*number)) {
            return Err(Error::corrupt(file, format!("footer: a measured error of {number}")));
        }
        let [energy, error, worst, farthest, trained] = measured;
        let word = |index: usize| u64_at(bytes, 16 + index * 8);
        Ok(Footer {
            data_bytes: word(0),
            rows: word(1),
            ids_offset: word(2),
            ids_bytes: word(3),
            ids: word(4),
            first_id: word(5),
            last_id: word(6),
            extents_offset: word(7),
            extents: word(8),
            rows_offset: word(9),
            codebook_offset: word(10),
            codebook_second: word(11),
            codebook_bytes: word(12),
            symbols: u32_at(bytes, 120),
            side_bytes: u32_at(bytes, 124),
            measured: Measured { energy, error, worst, farthest, trained },
            bounds_offset: u64_at(bytes, 168),
            lists_offset: u64_at(bytes, 176),
            lists: u32_at(bytes, 184),
        })
    }

    /// The data bytes a stored footer claims, unchecked: they say where the tables lie, which the root then proves.
    pub fn claimed_data_bytes(bytes: &[u8; FOOTER_BYTES]) -> u64 {
        u64_at(bytes, 16)
    }
}

fn root(id: u64, top: &[u8], footer: &[u8]) -> u32 {
    checksum(checksum(seed(id, FOOTER_PLACE), top), footer)
}

/// A run of rows of a sealed log that lie together in one frame (§6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First row of the segment in it.
    pub first_row: u32,
    /// Rows in it.
    pub rows: u32,
    /// Byte offset of the first row.
    pub offset: u64,
    /// Byte offset of the ids, in row order; 0 where they count up from `first_id`.
    pub ids_offset: u64,
    /// Id of the first row where ids count up.
    pub first_id: u64,
}

impl Extent {
    /// Bytes of a stored extent.
    pub const BYTES: usize = 32;

    /// The extent as stored.
    pub fn encode(&self) -> [u8; Extent::BYTES] {
        let mut bytes = [0; Extent::BYTES];
        put(&mut bytes, 0, &self.first_row.to_le_bytes());
        put(&mut bytes, 4, &self.rows.to_le_bytes());
        put(&mut bytes, 8, &self.offset.to_le_bytes());
        put(&mut bytes, 16, &self.ids_offset.to_le_bytes());
        put(&mut bytes, 24, &self.first_id.to_le_bytes());
        bytes
    }

    /// A stored extent of exactly `Extent::BYTES` bytes.
    pub fn decode(bytes: &[u8]) -> Extent {
        Extent {
            first_row: u32_at(bytes, 0),
            rows: u32_at(bytes, 4),
            offset: u64_at(bytes, 8),
            ids_offset: u64_at(bytes, 16),
            first_id: u64_at(bytes, 24),
        }
    }
}
