//! The append log (format.md §5): frames one after the other, each with checksums and chained to the one before.
//!
//! One flush writes one frame: whole calls, or a part of one large call. Rows are stored contiguously and as inserted,
//! so a sealed log is a raw segment without a rewrite. The log ends before the first frame that is not sound. If a
//! later frame states that a lost call was durable, the log is damaged; otherwise its tail is torn.

mod read;

pub use read::{Examined, FrameRead, FrameReader, Run, examine, refuse_lost_calls};

use crate::error::{Error, Result};
use crate::format::{
    BLOCK_BYTES, Extent, FRAME_HEADER_BYTES, FileHeader, Footer, FrameHeader, Kind, SectionKind, checksum, flags, seed,
    to_usize,
};
use crate::os::{Access, Dir, File, Map};
use crate::sealed::{self, BlockSums, SealedWriter};
use crate::segment::ids::{NewIds, RowIds};

/// The contents of a frame to append.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Bits of [`flags`]; the log itself sets `IDS`.
    pub flags: u32,
    /// Number of the last call in the frame.
    pub seq: u64,
    /// Every call up to this number is durable.
    pub durable_seq: u64,
    /// Rows put: `[rows][dim]` floats, as bytes.
    pub rows: &'a [u8],
    /// Their ids.
    pub ids: RowIds<'a>,
    /// Ids deleted.
    pub deletes: &'a [u64],
    /// Puts and deletes in turn, as counts, beginning with puts; empty: all puts, then all deletes.
    pub operations: &'a [u32],
}

/// After two successive durable commits of at most this many bytes, zeros are written behind the second. Later commits
/// overwrite the zeros, so their syncs need not make a new length or new blocks durable, which is most of the time of a
/// sync.
const SMALL_COMMIT_BYTES: u64 = 16 << 10;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The active log: the only file that grows.
#[derive(Debug)]
pub struct Log {
    file: Box<dyn File>,
    header: FileHeader,
    /// End of the last frame.
    length: u64,
    /// Blocks are allocated up to here.
    reserved: u64,
    /// Length of the file: `length` plus the zeros behind the frames.
    zeroed: u64,
    was_small: bool,
    previous: u32,
    sums: BlockSums,
    extents: Vec<Extent>,
    rows: u32,
    /// The file has bytes that are not synced.
    unsynced: bool,
    /// The directory was not synced since the file was created.
    name_unsynced: bool,
}

impl Log {
    /// Creates a new log. Nothing is durable before `sync`.
    pub fn create(dir: &dyn Dir, header: FileHeader) -> Result<Log> {
        let file = dir.open(&header.kind.file_name(header.id), Access::Create)?;
        let bytes = header.encode();
        file.write_at(&[&bytes], 0)?;
        let mut sums = BlockSums::new(header.id);
        sums.update(&bytes);
        let previous = header.checksum();
        Ok(Log::at_end(file, header, sums, previous, true))
    }

    /// A log without rows that ends at the last byte of `sums`.
    fn at_end(file: Box<dyn File>, header: FileHeader, sums: BlockSums, previous: u32, is_new: bool) -> Log {
        let length = sums.length();
        Log {
            file,
            header,
            length,
            reserved: length,
            zeroed: length,
            was_small: false,
            previous,
            sums,
            extents: Vec::new(),
            rows: 0,
            unsynced: is_new,
            name_unsynced: is_new,
        }
    }

    /// Reopens a log that `examine` found to end exactly at its length, on a 4 KiB block.
    pub fn reopen(dir: &dyn Dir, found: &Examined) -> Result<Log> {
        let header = found.header.clone();
        let file = dir.open(&header.kind.file_name(header.id), Access::Write)?;
        let mut sums = BlockSums::new(header.id);
        let mut piece = vec![0; 1 << 20];
        while sums.length() < found.good_end {
            let bytes = piece.len().min(to_usize(found.good_end - sums.length())?);
            file.read_at(&mut piece[..bytes], sums.length())?;
            sums.update(&piece[..bytes]);
        }
        let (extents, rows) = (found.extents().to_vec(), found.rows);
        Ok(Log { extents, rows, ..Log::at_end(file, header, sums, found.previous, false) })
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        self.header.id
    }

    /// Bytes up to the end of the last frame.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Number of rows.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// One extent for each frame with rows.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// True if a sync is needed to make everything durable.
    pub fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    fn stride(&self) -> u64 {
        u64::from(self.header.dim) * 4
    }

    /// Bytes that a rewrite would free: frame headers, deletes and padding.
    pub fn waste(&self) -> u64 {
        let listed =
            self.extents.iter().filter(|extent| extent.ids_offset > 0).map(|extent| u64::from(extent.rows) * 8);
        self.length - Kind::Log.header_bytes() as u64 - u64::from(self.rows) * self.stride() - listed.sum::<u64>()
    }

    /// Allocates blocks for frames up to byte `end`, and for `ahead` bytes more if there is room.
    pub fn reserve(&mut self, end: u64, ahead: u64) -> Result<()> {
        if end <= self.reserved {
            return Ok(());
        }
        let wanted = end + ahead;
        match self.file.reserve(self.reserved, wanted - self.reserved) {
            Ok(()) => self.reserved = wanted,
            Err(Error::NoSpace(_)) => {
                self.file.reserve(self.reserved, end - self.reserved)?;
                self.reserved = end;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Appends a frame. It is in the file when this returns, and durable after the next `sync`.
    pub fn append(&mut self, frame: &Frame) -> Result<()> {
        let rows = u32::try_from(frame.rows.len() as u64 / self.stride()).unwrap_or(u32::MAX);
        let mut listed: Vec<u8> = Vec::new();
        let mut header = FrameHeader {
            flags: frame.flags,
            seq: frame.seq,
            durable_seq: frame.durable_seq,
            rows,
            deletes: frame.deletes.len() as u32,
            operations: frame.operations.len() as u32,
            previous: self.previous,
            ..FrameHeader::default()
        };
        match frame.ids {
            RowIds::From(first) => header.first_id = first,
            RowIds::List(ids) => {
                header.flags |= flags::IDS;
                listed.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
            }
        }
        listed.extend(frame.deletes.iter().flat_map(|id| id.to_le_bytes()));
        listed.extend(frame.operations.iter().flat_map(|count| count.to_le_bytes()));
        let end = header.end(self.length, self.stride());
        let body_at = self.length + FRAME_HEADER_BYTES;
        listed.resize(to_usize(end - body_at)? - frame.rows.len(), 0);
        let pieces = pieces(self.header.id, body_at, &[frame.rows, &listed]);
        header.body = body_checksum(self.header.id, &pieces);
        let header_bytes = header.encode(self.header.id, self.length);
        self.unsynced = true;
        let zeros = self.zeros_behind(frame.flags, end);
        self.file.write_at(&[&header_bytes, frame.rows, &listed, zeros], self.length)?;
        self.zeroed = self.zeroed.max(end + zeros.len() as u64);
        self.sums.update(&header_bytes);
        self.sums.update_pieces(&pieces, &[frame.rows, &listed]);
        self.adopt(&header, self.length);
        self.previous = FrameHeader::stored_checksum(&header_bytes);
        self.length = end;
        Ok(())
    }

    fn zeros_behind(&mut self, flag: u32, end: u64) -> &'static [u8] {
        let is_small = flag & flags::PADDED != 0 && end - self.length <= SMALL_COMMIT_BYTES;
        let was_small = std::mem::replace(&mut self.was_small, is_small);
        let has_room = end + ZEROS.len() as u64 <= self.reserved;
        if is_small && was_small && has_room && end > self.zeroed { &ZEROS } else { &[] }
    }

    fn adopt(&mut self, header: &FrameHeader, offset: u64) {
        self.extents.extend(extent_of(header, offset, self.rows, self.stride()));
        self.rows += header.rows;
    }

    /// Makes everything appended durable, and the file's name.
    pub fn sync(&mut self, dir: &dyn Dir) -> Result<()> {
        self.file.sync()?;
        self.unsynced = false;
        if self.name_unsynced {
            dir.sync()?;
            self.name_unsynced = false;
        }
        Ok(())
    }

    /// Frees blocks and zeros after the last frame; durable after the next `sync`.
    pub fn trim(&mut self) -> Result<()> {
        if self.reserved.max(self.zeroed) > self.length {
            self.file.set_length(self.length)?;
            self.unsynced |= self.zeroed > self.length;
            (self.reserved, self.zeroed) = (self.length, self.length);
        }
        Ok(())
    }

    /// Maps bytes `from..to` of written frames, which never change.
    pub fn map(&self, from: u64, to: u64) -> Result<Map> {
        self.file.map(from, to_usize(to - from)?)
    }

    /// Seals the log: appends ids, extents, tables and footer, and syncs the file (not the directory). Until a manifest
    /// lists the file with this length and root, it is still a log.
    pub fn seal(mut self, ids: &NewIds, footer: Footer) -> Result<(u64, u32)> {
        let extents: Vec<u8> = self.extents.iter().flat_map(|extent| extent.encode()).collect();
        let [packed, id_rows] = ids.log_sections();
        let sections = [packed, id_rows, (SectionKind::Extents, &extents, self.extents.len() as u64)];
        let room: u64 = sections.iter().map(|(kind, bytes, _)| bytes.len() as u64 + kind.alignment()).sum();
        self.reserve(self.length + room + sealed::trailer_bytes_max(self.length + room), 0)?;
        let mut writer = SealedWriter::behind_log(self.file, self.header.id, self.sums, self.rows);
        for (kind, bytes, count) in sections {
            writer.write_section(kind, count, bytes)?;
        }
        writer.finish(footer)
    }
}

fn extent_of(header: &FrameHeader, offset: u64, first_row: u32, stride: u64) -> Option<Extent> {
    let rows_at = offset + FRAME_HEADER_BYTES;
    let ids_offset = if header.has_id_list() { rows_at + header.body_parts(stride).0 } else { 0 };
    let (rows, first_id) = (header.rows, header.first_id);
    (rows > 0).then_some(Extent { first_row, rows, offset: rows_at, ids_offset, first_id })
}

/// Checksums and lengths of the pieces of a frame's body, cut at 4 KiB file offsets. Those of whole blocks are also
/// entries of the block table: each byte is hashed once.
fn pieces(id: u64, offset: u64, parts: &[&[u8]]) -> Vec<(u32, usize)> {
    let mut pieces = Vec::new();
    let (mut at, mut filled) = (offset, 0);
    let mut hasher = piece_hasher(id, at);
    for part in parts {
        let mut part = *part;
        while !part.is_empty() {
            let room = BLOCK_BYTES - at as usize % BLOCK_BYTES;
            let (now, rest) = part.split_at(part.len().min(room));
            hasher.update(now);
            filled += now.len();
            at += now.len() as u64;
            if at.is_multiple_of(BLOCK_BYTES as u64) {
                let full = std::mem::replace(&mut hasher, piece_hasher(id, at));
                pieces.push((full.finalize(), std::mem::take(&mut filled)));
            }
            part = rest;
        }
    }
    if filled > 0 {
        pieces.push((hasher.finalize(), filled));
    }
    pieces
}

fn piece_hasher(id: u64, at: u64) -> crc32fast::Hasher {
    crc32fast::Hasher::new_with_initial(seed(id, at / BLOCK_BYTES as u64))
}

fn body_checksum(id: u64, pieces: &[(u32, usize)]) -> u32 {
    let sums: Vec<u8> = pieces.iter().flat_map(|(sum, _)| sum.to_le_bytes()).collect();
    checksum(seed(id, 0), &sums)
}
