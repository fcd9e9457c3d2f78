//! The header of every numbered file (format.md §4).

use super::{DIM_MAX, ENDIAN_TAG, Kind, VERSION, checksum, expect_checksum, metric_at, put, seed, u32_at, u64_at};
use crate::error::{Error, Result};
use crate::metric::Metric;

const MAGIC: [u8; 8] = *b"libomen\0";
const FIELDS_END: usize = 72;
const HEADER_SEED: u64 = 0x4845_4144;

/// The header of a numbered file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// The kind of the file.
    pub kind: Kind,
    /// The store it belongs to.
    pub store: [u8; 16],
    /// Its number, also in its name.
    pub id: u64,
    /// Floats per row.
    pub dim: u32,
    /// The store's metric.
    pub metric: Metric,
    /// Number of the last call before this file's first one (logs only).
    pub base_seq: u64,
}

impl FileHeader {
    /// The header as stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.kind.header_bytes()];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 8, &VERSION.to_le_bytes());
        put(&mut bytes, 12, &(self.kind as u32).to_le_bytes());
        // 16, 20, 24: feature bits (incompatible, read-only compatible, compatible): none yet.
        put(&mut bytes, 28, &ENDIAN_TAG.to_le_bytes());
        put(&mut bytes, 32, &self.store);
        put(&mut bytes, 48, &self.id.to_le_bytes());
        put(&mut bytes, 56, &self.dim.to_le_bytes());
        put(&mut bytes, 60, &(self.metric as u32).to_le_bytes());
        put(&mut bytes, 64, &self.base_seq.to_le_bytes());
        let checksum_at = bytes.len() - 4;
        let crc = checksum(seed(self.id, HEADER_SEED), &bytes[..checksum_at]);
        put(&mut bytes, checksum_at, &crc.to_le_bytes());
        bytes
    }

    /// The checksum in the last four bytes of the stored header; the first frame of a log repeats it.
    pub fn checksum(&self) -> u32 {
        let bytes = self.encode();
        u32_at(&bytes, bytes.len() - 4)
    }

    /// Reads and checks a header of [`Kind::header_bytes`] bytes, at least 128; `file` is its name, for messages.
    pub fn decode(file: &str, bytes: &[u8]) -> Result<FileHeader> {
        if bytes[..8] != MAGIC {
            return Err(Error::corrupt(file, format!("header: found {:02x?}, expected {MAGIC:02x?}", &bytes[..8])));
        }
        let (id, checksum_at) = (u64_at(bytes, 48), bytes.len() - 4);
        let computed = checksum(seed(id, HEADER_SEED), &bytes[..checksum_at]);
        expect_checksum(file, "header", u32_at(bytes, checksum_at), computed)?;
        // Version and features are checked only after the checksum: a flipped bit is damage, not a newer format.
        for at in [8, 16] {
            let (found, expected) = (u32_at(bytes, at), if at == 8 { VERSION } else { 0 });
            if found != expected {
                return Err(Error::Version { file: file.to_owned(), found, expected });
            }
        }
        let dim = u32_at(bytes, 56);
        let kind = Kind::from_number(u32_at(bytes, 12)).filter(|kind| kind.header_bytes() == bytes.len());
        let reserved_zero = bytes[FIELDS_END..checksum_at].iter().all(|byte| *byte == 0);
        let (Some(kind), true) = (kind, u32_at(bytes, 28) == ENDIAN_TAG && reserved_zero) else {
            return Err(Error::corrupt(file, "header: wrong kind, foreign byte order or reserved bytes in use"));
        };
        if dim == 0 || dim > DIM_MAX {
            return Err(Error::corrupt(file, format!("header: dim {dim}, expected 1 to {DIM_MAX}")));
        }
        let metric = metric_at(file, bytes, 60)?;
        let mut store = [0; 16];
        store.copy_from_slice(&bytes[32..48]);
        Ok(FileHeader { kind, store, id, dim, metric, base_seq: u64_at(bytes, 64) })
    }
}
