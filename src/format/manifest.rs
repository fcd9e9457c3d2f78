//! The manifest (format.md §3): the list of the store's files.

use super::{
    COUNT_MAX, DIM_MAX, ENDIAN_TAG, Kind, ROWS_MAX, VERSION, align, checksum, expect_checksum, metric_at, put, seed,
    u32_at, u64_at,
};
use crate::error::{Error, Result};
use crate::metric::Metric;

const MAGIC: [u8; 8] = *b"omenlist";
const FIXED_BYTES: usize = 128;
const ENTRY_BYTES: usize = 40;
const UNIT: u64 = 4096;
const MANIFEST_SEED: u64 = 0x4c49_5354;

/// One sealed file of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// The kind of the file.
    pub kind: Kind,
    /// Its number.
    pub id: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Its rows (0 for tombstones).
    pub rows: u64,
    /// Root of its checksums.
    pub root: u32,
}

/// The list of the store's files, and the state before its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Random name of the store, repeated in each of its files.
    pub store: [u8; 16],
    /// Grows by one with each manifest written.
    pub generation: u64,
    /// Floats per row.
    pub dim: u32,
    /// The store's metric.
    pub metric: Metric,
    /// Number of the next file: larger than that of any file so far.
    pub next_file: u64,
    /// Number of the active log, whether or not it exists yet.
    pub log: u64,
    /// Length of the active log at its last clean close, in bytes; 0 if there was none.
    pub log_clean: u64,
    /// Number of the last call before the active log.
    pub base_seq: u64,
    /// The next free id at the start of the active log.
    pub base_next_id: u64,
    /// Segments, oldest first, then at most one file of tombstones.
    pub files: Vec<SegmentEntry>,
}

impl Manifest {
    /// The manifest as stored: a multiple of 4 KiB, checksummed as a whole.
    pub fn encode(&self) -> Vec<u8> {
        let used = FIXED_BYTES + self.files.len() * ENTRY_BYTES + 4;
        let mut bytes = vec![0; align(used as u64, UNIT) as usize];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 8, &VERSION.to_le_bytes());
        // 12: incompatible feature bits: none yet.
        put(&mut bytes, 16, &ENDIAN_TAG.to_le_bytes());
        put(&mut bytes, 20, &(self.files.len() as u32).to_le_bytes());
        put(&mut bytes, 24, &self.store);
        put(&mut bytes, 40, &self.generation.to_le_bytes());
        put(&mut bytes, 48, &self.dim.to_le_bytes());
        put(&mut bytes, 52, &(self.metric as u32).to_le_bytes());
        let words = [self.next_file, self.log, self.log_clean, self.base_seq, self.base_next_id];
        for (index, word) in words.iter().enumerate() {
            put(&mut bytes, 56 + index * 8, &word.to_le_bytes());
        }
        for (index, file) in self.files.iter().enumerate() {
            let at = FIXED_BYTES + index * ENTRY_BYTES;
            put(&mut bytes, at, &file.id.to_le_bytes());
            put(&mut bytes, at + 8, &file.length.to_le_bytes());
            put(&mut bytes, at + 16, &file.rows.to_le_bytes());
            put(&mut bytes, at + 24, &(file.kind as u32).to_le_bytes());
            put(&mut bytes, at + 28, &file.root.to_le_bytes());
        }
        let end = bytes.len() - 4;
        let crc = checksum(seed(0, MANIFEST_SEED), &bytes[..end]);
        put(&mut bytes, end, &crc.to_le_bytes());
        bytes
    }

    /// Reads and checks a whole manifest file.
    pub fn decode(file: &str, bytes: &[u8]) -> Result<Manifest> {
        if bytes.is_empty() || !(bytes.len() as u64).is_multiple_of(UNIT) {
            let found = bytes.len();
            return Err(Error::corrupt(file, format!("{found} bytes, expected a multiple of {UNIT}")));
        }
        if bytes[..8] != MAGIC {
            return Err(Error::corrupt(file, format!("found {:02x?}, expected {MAGIC:02x?}", &bytes[..8])));
        }
        let end = bytes.len() - 4;
        let computed = checksum(seed(0, MANIFEST_SEED), &bytes[..end]);
        expect_checksum(file, "manifest", u32_at(bytes, end), computed)?;
        for (at, expected) in [(8, VERSION), (12, 0)] {
            if u32_at(bytes, at) != expected {
                return Err(Error::Version { file: file.to_owned(), found: u32_at(bytes, at), expected });
            }
        }
        let count = u32_at(bytes, 20) as usize;
        if u32_at(bytes, 16) != ENDIAN_TAG || count > (end - FIXED_BYTES) / ENTRY_BYTES {
            return Err(Error::corrupt(file, format!("foreign byte order, or {count} files in {end} bytes")));
        }
        Manifest::decode_checked(file, bytes, count)
    }

    fn decode_checked(file: &str, bytes: &[u8], count: usize) -> Result<Manifest> {
        let mut store = [0; 16];
        store.copy_from_slice(&bytes[24..40]);
        let entries = bytes[FIXED_BYTES..FIXED_BYTES + count * ENTRY_BYTES].chunks_exact(ENTRY_BYTES);
        let files: Result<Vec<SegmentEntry>> = entries.map(|entry| decode_entry(file, entry)).collect();
        let word = |index: usize| u64_at(bytes, 56 + index * 8);
        let manifest = Manifest {
            store,
            generation: u64_at(bytes, 40),
            dim: u32_at(bytes, 48),
            metric: metric_at(file, bytes, 52)?,
            next_file: word(0),
            log: word(1),
            log_clean: word(2),
            base_seq: word(3),
            base_next_id: word(4),
            files: files?,
        };
        let counters = [manifest.generation, manifest.next_file, manifest.log, manifest.base_seq];
        if let Some(counter) = counters.into_iter().find(|counter| *counter > COUNT_MAX) {
            return Err(Error::corrupt(file, format!("a count of {counter}, expected at most {COUNT_MAX}")));
        }
        if manifest.dim == 0 || manifest.dim > DIM_MAX || bytes[96..FIXED_BYTES].iter().any(|byte| *byte != 0) {
            let dim = manifest.dim;
            return Err(Error::corrupt(file, format!("dim {dim}, expected 1 to {DIM_MAX}, or reserved bytes in use")));
        }
        Ok(manifest)
    }
}

fn decode_entry(file: &str, bytes: &[u8]) -> Result<SegmentEntry> {
    let number = u32_at(bytes, 24);
    let Some(kind) = Kind::from_number(number) else {
        return Err(Error::corrupt(file, format!("file of unknown kind {number}")));
    };
    let (id, length, rows) = (u64_at(bytes, 0), u64_at(bytes, 8), u64_at(bytes, 16));
    if rows > ROWS_MAX {
        return Err(Error::corrupt(file, format!("file {id:x} of {rows} rows, expected at most {ROWS_MAX}")));
    }
    Ok(SegmentEntry { kind, id, length, rows, root: u32_at(bytes, 28) })
}
