//! Frames of the append log (format.md §5): a 64-byte header, then rows, ids, deleted ids and operations.

use super::{BLOCK_BYTES, COUNT_MAX, align, checksum, put, seed, u32_at, u64_at};

/// Bytes of a frame header.
pub const FRAME_HEADER_BYTES: u64 = 64;
/// Frames begin at multiples of this.
pub const FRAME_ALIGN: u64 = 64;
const MAGIC: u32 = u32::from_le_bytes(*b"OMFR");
const CHECKSUM_AT: usize = 60;

/// Bits of `FrameHeader::flags`.
pub mod flags {
    /// The last call of this frame continues in the next one.
    pub const CONTINUES: u32 = 1;
    /// A commit ends with this frame: other processes may read up to its end.
    pub const COMMIT: u32 = 2;
    /// The ids are listed; otherwise they count up from `first_id`.
    pub const IDS: u32 = 4;
    /// The next frame begins at the next 4 KiB block, so that no later write touches a block of this one.
    pub const PADDED: u32 = 8;
    /// All bits this version knows.
    pub const KNOWN: u32 = 15;
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameHeader {
    /// See [`flags`].
    pub flags: u32,
    /// Number of the last call that is in this frame, whole or in part.
    pub seq: u64,
    /// Every call up to this number was durable when the frame was written.
    pub durable_seq: u64,
    /// Id of the first row if ids count up.
    pub first_id: u64,
    /// Rows put.
    pub rows: u32,
    /// Ids deleted.
    pub deletes: u32,
    /// Entries of the operation list (see format.md §5.3); 0 means all puts, then all deletes.
    pub operations: u32,
    /// Checksum of the header of the frame before, or of the file header.
    pub previous: u32,
    /// Checksum of the checksums of the body's pieces, cut at 4 KiB file offsets.
    pub body: u32,
}

impl FrameHeader {
    /// The header as stored at `offset` of file `id`; its own checksum is the last four bytes.
    pub fn encode(&self, id: u64, offset: u64) -> [u8; FRAME_HEADER_BYTES as usize] {
        let mut bytes = [0; FRAME_HEADER_BYTES as usize];
        put(&mut bytes, 0, &MAGIC.to_le_bytes());
        put(&mut bytes, 4, &self.flags.to_le_bytes());
        put(&mut bytes, 8, &self.seq.to_le_bytes());
        put(&mut bytes, 16, &self.durable_seq.to_le_bytes());
        put(&mut bytes, 24, &self.first_id.to_le_bytes());
        put(&mut bytes, 32, &self.rows.to_le_bytes());
        put(&mut bytes, 36, &self.deletes.to_le_bytes());
        put(&mut bytes, 40, &self.operations.to_le_bytes());
        put(&mut bytes, 44, &self.previous.to_le_bytes());
        put(&mut bytes, 48, &self.body.to_le_bytes());
        // 52..60: reserved, zero.
        let crc = checksum(seed(id, offset), &bytes[..CHECKSUM_AT]);
        put(&mut bytes, CHECKSUM_AT, &crc.to_le_bytes());
        bytes
    }

    /// The checksum that `encode` put into a header.
    pub fn stored_checksum(bytes: &[u8; FRAME_HEADER_BYTES as usize]) -> u32 {
        u32_at(bytes, CHECKSUM_AT)
    }

    /// The header at `offset` of file `id`, or `None` if the bytes are not a sound header.
    pub fn decode(id: u64, offset: u64, bytes: &[u8; FRAME_HEADER_BYTES as usize]) -> Option<FrameHeader> {
        if u32_at(bytes, 0) != MAGIC || u32_at(bytes, CHECKSUM_AT) != checksum(seed(id, offset), &bytes[..CHECKSUM_AT])
        {
            return None;
        }
        let header = FrameHeader {
            flags: u32_at(bytes, 4),
            seq: u64_at(bytes, 8),
            durable_seq: u64_at(bytes, 16),
            first_id: u64_at(bytes, 24),
            rows: u32_at(bytes, 32),
            deletes: u32_at(bytes, 36),
            operations: u32_at(bytes, 40),
            previous: u32_at(bytes, 44),
            body: u32_at(bytes, 48),
        };
        let is_known = header.flags & !flags::KNOWN == 0 && u64_at(bytes, 52) == 0;
        (is_known && header.seq <= COUNT_MAX).then_some(header)
    }

    /// True if the ids are listed.
    pub fn has_id_list(&self) -> bool {
        self.flags & flags::IDS != 0
    }

    /// Bytes of the rows, and bytes of the lists after them (ids, deleted ids, operations), for rows of `stride` bytes.
    pub fn body_parts(&self, stride: u64) -> (u64, u64) {
        let ids = if self.has_id_list() { u64::from(self.rows) * 8 } else { 0 };
        (u64::from(self.rows) * stride, ids + u64::from(self.deletes) * 8 + u64::from(self.operations) * 4)
    }

    /// The end of the frame that begins at `offset`, padding included. It cannot overflow: counts are u32, stride ≤
    /// 2^18.
    pub fn end(&self, offset: u64, stride: u64) -> u64 {
        let (rows, listed) = self.body_parts(stride);
        let unit = if self.flags & flags::PADDED != 0 { BLOCK_BYTES as u64 } else { FRAME_ALIGN };
        align(offset + FRAME_HEADER_BYTES + rows + listed, unit)
    }
}
