//! The footer of a sealed file (format.md §6.6): its summary, and the root of its checksums.

use super::{SECTIONS_MAX, checksum, expect_checksum, f64_at, put, seed, u32_at, u64_at};
use crate::error::{Error, Result};

/// Bytes of a footer; it ends the file.
pub const FOOTER_BYTES: usize = 128;
const MAGIC: [u8; 8] = *b"omenseal";
const DATA_BYTES_AT: usize = 16;
const SECTIONS_AT: usize = 24;
const FIELDS_END: usize = 104;
const ROOT_AT: usize = FOOTER_BYTES - 4;
const FOOTER_SEED: u64 = 0x464f_4f54;

/// Errors measured over every vector when the codes of a segment were made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Σ‖x‖²; for cosine the number of rows that are not zero.
    pub energy: f64,
    /// Σ‖x − x̂‖²; for cosine each row's divided by its ‖x‖².
    pub error: f64,
    /// max ‖x − x̂‖ ÷ ‖x‖.
    pub worst: f64,
    /// max ‖x − x̂‖ against the vectors as inserted. No bound of a block exceeds it, except by rounding.
    pub farthest: f64,
    /// The mean of what `scaled` sums, over the first rows that were coded with the codebook; drift is measured against
    /// it.
    pub trained: f64,
    /// Σ‖x − x̂‖² ÷ scale²: the error of rows as they were coded.
    pub scaled: f64,
}

/// The summary of a sealed file. The positions of its parts are in the table of sections.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Footer {
    /// Bytes covered by the block table: the header and all sections.
    pub data_bytes: u64,
    /// Entries of the table of sections.
    pub sections: u32,
    /// Smallest id.
    pub first_id: u64,
    /// Largest id.
    pub last_id: u64,
    /// Symbols of a code.
    pub symbols: u32,
    /// Side bytes of a code.
    pub side_bytes: u32,
    /// Error of the codes.
    pub measured: Measured,
}

impl Footer {
    /// The footer as stored, and the root: the checksum over `tables` and the footer. `tables` is the second table of
    /// checksums followed by the table of sections.
    pub fn encode(&self, id: u64, tables: &[u8]) -> ([u8; FOOTER_BYTES], u32) {
        let mut bytes = [0; FOOTER_BYTES];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 8, &id.to_le_bytes());
        put(&mut bytes, DATA_BYTES_AT, &self.data_bytes.to_le_bytes());
        put(&mut bytes, SECTIONS_AT, &self.sections.to_le_bytes());
        // 28: reserved, zero.
        put(&mut bytes, 32, &self.first_id.to_le_bytes());
        put(&mut bytes, 40, &self.last_id.to_le_bytes());
        put(&mut bytes, 48, &self.symbols.to_le_bytes());
        put(&mut bytes, 52, &self.side_bytes.to_le_bytes());
        let Measured { energy, error, worst, farthest, trained, scaled } = self.measured;
        for (index, number) in [energy, error, worst, farthest, trained, scaled].iter().enumerate() {
            put(&mut bytes, 56 + index * 8, &number.to_le_bytes());
        }
        let root = root(id, tables, &bytes[..ROOT_AT]);
        put(&mut bytes, ROOT_AT, &root.to_le_bytes());
        (bytes, root)
    }

    /// Reads and checks a footer, and with it `tables`, against the root that the manifest holds.
    pub fn decode(file: &str, id: u64, bytes: &[u8; FOOTER_BYTES], tables: &[u8], expected: u32) -> Result<Footer> {
        expect_checksum(file, "footer (stored root)", u32_at(bytes, ROOT_AT), expected)?;
        expect_checksum(file, "footer", expected, root(id, tables, &bytes[..ROOT_AT]))?;
        if bytes[..8] != MAGIC || u64_at(bytes, 8) != id {
            return Err(Error::corrupt(file, format!("footer: of file {:x}, expected {id:x}", u64_at(bytes, 8))));
        }
        if u32_at(bytes, 28) != 0 || bytes[FIELDS_END..ROOT_AT].iter().any(|byte| *byte != 0) {
            return Err(Error::corrupt(file, "footer: reserved bytes in use"));
        }
        let measured = [56, 64, 72, 80, 88, 96].map(|at| f64_at(bytes, at));
        if let Some(number) = measured.iter().find(|number| !(0.0..=f64::INFINITY).contains(*number)) {
            return Err(Error::corrupt(file, format!("footer: a measured error of {number}")));
        }
        let [energy, error, worst, farthest, trained, scaled] = measured;
        Ok(Footer {
            data_bytes: u64_at(bytes, DATA_BYTES_AT),
            sections: u32_at(bytes, SECTIONS_AT),
            first_id: u64_at(bytes, 32),
            last_id: u64_at(bytes, 40),
            symbols: u32_at(bytes, 48),
            side_bytes: u32_at(bytes, 52),
            measured: Measured { energy, error, worst, farthest, trained, scaled },
        })
    }

    /// Data bytes and number of sections, as an unchecked footer has them. They give the positions of the tables, and
    /// the root over these tables and the footer checks all of it. More than `SECTIONS_MAX` sections are an error.
    pub fn claimed_layout(file: &str, bytes: &[u8; FOOTER_BYTES]) -> Result<(u64, u32)> {
        let sections = u32_at(bytes, SECTIONS_AT);
        if sections > SECTIONS_MAX {
            let what = format!("table of sections: {sections} entries, expected at most {SECTIONS_MAX}");
            return Err(Error::corrupt(file, what));
        }
        Ok((u64_at(bytes, DATA_BYTES_AT), sections))
    }
}

fn root(id: u64, tables: &[u8], footer: &[u8]) -> u32 {
    checksum(checksum(seed(id, FOOTER_SEED), tables), footer)
}

/// The rows of one frame of a log (format.md §6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Number of the first row.
    pub first_row: u32,
    /// Number of rows.
    pub rows: u32,
    /// Byte offset of the first row.
    pub offset: u64,
    /// Byte offset of the ids, in row order; 0 if they count up from `first_id`.
    pub ids_offset: u64,
    /// Id of the first row if ids count up.
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
