//! The append log (format.md §5): frames behind one another, each proven by its checksums and chained to the one before.
//!
//! A frame is what one flush writes: whole calls, or a part of one large call. Rows lie contiguous and as inserted, so a
//! sealed log is a raw segment as it stands. The first frame that does not prove itself ends the log; whether that is a
//! torn tail or damage is told by what later frames say was durable.

use crate::error::{Error, Result};
use crate::format::{
    BLOCK_BYTES, Extent, FRAME_ALIGN, FRAME_HEADER_BYTES, FileHeader, Footer, FrameHeader, HEADER_BYTES, NO_ID, align,
    checksum, flags, seed, to_usize, u32_at, u64_at,
};
use crate::ids::RowIds;
use crate::os::{Access, Dir, File, Map};
use crate::sealed::{self, BlockSums};

/// What one flush writes.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Bits of [`flags`]; `IDS` is set by the log itself.
    pub flags: u32,
    /// Number of the last call that is in it.
    pub seq: u64,
    /// Every call up to this number is durable.
    pub durable_seq: u64,
    /// Rows put, as bytes: `[rows][dim]` floats.
    pub rows: &'a [u8],
    /// Their ids.
    pub ids: RowIds<'a>,
    /// Ids deleted.
    pub deletes: &'a [u64],
    /// Puts and deletes in turn, as counts, beginning with puts; empty: all puts, then all deletes.
    pub operations: &'a [u32],
}

/// A durable commit of at most this many bytes, after another such, has zeros written behind it. The commits that follow
/// overwrite them: then a sync need not make a new length or new blocks durable as well, which is most of its time.
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
    /// The file is this long: `length`, or zeros behind it.
    zeroed: u64,
    was_small: bool,
    previous: u32,
    sums: BlockSums,
    extents: Vec<Extent>,
    rows: u32,
    /// The file holds bytes that no sync covered.
    unsynced: bool,
    /// No sync of the directory covered its name.
    name_unsynced: bool,
}

impl Log {
    /// Makes a new log. Nothing is durable before `sync`.
    pub fn create(dir: &dyn Dir, header: FileHeader) -> Result<Log> {
        let file = dir.open(&header.kind.file_name(header.id), Access::Create)?;
        let bytes = header.encode();
        file.write_at(&[&bytes], 0)?;
        let mut sums = BlockSums::new(header.id);
        sums.update(&bytes);
        Ok(Log::at_end(file, header, sums, u32_at(&bytes, HEADER_BYTES - 4), true))
    }

    /// A log without rows yet that ends where `sums` does.
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

    /// Goes on with a log that `examine` found to end exactly at `length`, on a 4 KiB block.
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
        let (extents, rows) = (found.extents.clone(), found.rows);
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

    /// Rows in it.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Where the rows lie, a frame an entry.
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

    /// Bytes that are neither header nor rows nor ids: what a rewrite would give back.
    pub fn waste(&self) -> u64 {
        let listed =
            self.extents.iter().filter(|extent| extent.ids_offset > 0).map(|extent| u64::from(extent.rows) * 8);
        self.length - HEADER_BYTES as u64 - u64::from(self.rows) * self.stride() - listed.sum::<u64>()
    }

    /// Makes sure that frames up to byte `end` will find blocks allocated; takes more ahead where there is room.
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

    /// Appends a frame; it is in the file when this returns, and durable after the next `sync`.
    pub fn append(&mut self, frame: &Frame) -> Result<()> {
        let rows = u32::try_from(frame.rows.len() as u64 / self.stride()).unwrap_or(u32::MAX);
        let mut lists: Vec<u8> = Vec::new();
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
                lists.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
            }
        }
        lists.extend(frame.deletes.iter().flat_map(|id| id.to_le_bytes()));
        lists.extend(frame.operations.iter().flat_map(|count| count.to_le_bytes()));
        let end = header.end(self.length, self.stride());
        let body_at = self.length + FRAME_HEADER_BYTES;
        lists.resize(to_usize(end - body_at)? - frame.rows.len(), 0);
        let pieces = pieces(self.header.id, body_at, &[frame.rows, &lists]);
        header.body = body_checksum(self.header.id, &pieces);
        let header_bytes = header.encode(self.header.id, self.length);
        self.unsynced = true;
        let zeros = self.zeros_behind(frame.flags, end);
        self.file.write_at(&[&header_bytes, frame.rows, &lists, zeros], self.length)?;
        self.zeroed = self.zeroed.max(end + zeros.len() as u64);
        self.sums.update(&header_bytes);
        self.sums.update_pieces(&pieces, &[frame.rows, &lists]);
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

    /// Makes everything appended durable, the file's name included.
    pub fn sync(&mut self, dir: &dyn Dir) -> Result<()> {
        self.file.sync()?;
        self.unsynced = false;
        if self.name_unsynced {
            dir.sync()?;
            self.name_unsynced = false;
        }
        Ok(())
    }

    /// Gives back what was allocated or written ahead; durable after the next `sync`.
    pub fn trim(&mut self) -> Result<()> {
        if self.reserved.max(self.zeroed) > self.length {
            self.file.set_length(self.length)?;
            self.unsynced |= self.zeroed > self.length;
            (self.reserved, self.zeroed) = (self.length, self.length);
        }
        Ok(())
    }

    /// A view of frames already written, which never change again.
    pub fn map(&self, from: u64, to: u64) -> Result<Map> {
        self.file.map(from, to_usize(to - from)?)
    }

    /// Ends the log: id section, extents, tables and footer; durable when this returns, but for its name. Length and root
    /// are for the manifest; until that names them, the file is a log as before.
    pub fn seal(mut self, ids_section: &[u8], footer: Footer) -> Result<(u64, u32)> {
        let mut footer = footer;
        let extents: Vec<u8> = self.extents.iter().flat_map(|extent| extent.encode()).collect();
        footer.rows = u64::from(self.rows);
        footer.ids_offset = self.length;
        footer.ids_bytes = ids_section.len() as u64;
        footer.extents_offset = self.length + ids_section.len() as u64;
        footer.extents = self.extents.len() as u64;
        let end = footer.extents_offset + extents.len() as u64;
        self.reserve(end + sealed::tail_bytes(end), 0)?;
        self.file.write_at(&[ids_section, &extents], self.length)?;
        self.sums.update(ids_section);
        self.sums.update(&extents);
        let (length, root) = sealed::finish(self.file.as_ref(), self.header.id, self.sums, &mut footer)?;
        self.file.set_length(length)?;
        self.file.sync()?;
        Ok((length, root))
    }
}

fn extent_of(header: &FrameHeader, offset: u64, first_row: u32, stride: u64) -> Option<Extent> {
    let rows_at = offset + FRAME_HEADER_BYTES;
    let ids_offset = if header.lists_ids() { rows_at + header.body_parts(stride).0 } else { 0 };
    let (rows, first_id) = (header.rows, header.first_id);
    (rows > 0).then_some(Extent { first_row, rows, offset: rows_at, ids_offset, first_id })
}

/// Checksums of a frame's body, cut at 4 KiB file offsets: those of whole blocks serve the block table as well, so each
/// byte is hashed once.
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

/// Neighbouring operations of one kind in a frame.
#[derive(Debug)]
pub enum Run<'a> {
    /// These ids, and their rows: `[ids][dim]` floats.
    Put(Vec<u64>, &'a [u8]),
    /// These ids.
    Delete(Vec<u64>),
}

/// A sound frame, read back.
#[derive(Debug)]
pub struct FrameRead<'a> {
    /// Its header.
    pub header: FrameHeader,
    /// Rows put: `[rows][dim]` floats.
    pub rows: &'a [u8],
    lists: &'a [u8],
}

impl FrameRead<'_> {
    /// The id of row `index` of the frame.
    pub fn id(&self, index: u32) -> u64 {
        if self.header.lists_ids() {
            u64_at(self.lists, index as usize * 8)
        } else {
            self.header.first_id.wrapping_add(u64::from(index))
        }
    }

    /// Deleted id `index` of the frame.
    pub fn deleted(&self, index: u32) -> u64 {
        let ids = if self.header.lists_ids() { self.header.rows as usize } else { 0 };
        u64_at(self.lists, (ids + index as usize) * 8)
    }

    /// What the frame did, in the order of the calls; runs of nothing are left out.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let stride = self.rows.len() / self.header.rows.max(1) as usize;
        let (mut put, mut deleted) = (0, 0);
        let runs = self.operations().into_iter().enumerate().map(move |(index, count)| {
            if index % 2 == 1 {
                deleted += count;
                return Run::Delete((deleted - count..deleted).map(|index| self.deleted(index)).collect());
            }
            let rows = &self.rows[put as usize * stride..(put + count) as usize * stride];
            put += count;
            Run::Put((put - count..put).map(|index| self.id(index)).collect(), rows)
        });
        runs.filter(|run| !matches!(run, Run::Put(ids, _) | Run::Delete(ids) if ids.is_empty()))
    }

    /// Puts and deletes in turn, as counts, beginning with puts.
    fn operations(&self) -> Vec<u32> {
        if self.header.operations == 0 {
            return vec![self.header.rows, self.header.deletes];
        }
        let ids = if self.header.lists_ids() { self.header.rows as usize } else { 0 };
        let start = (ids + self.header.deletes as usize) * 8;
        let end = start + self.header.operations as usize * 4;
        self.lists[start..end].chunks_exact(4).map(|count| u32_at(count, 0)).collect()
    }

    fn is_consistent(&self) -> bool {
        let sum = |skip| self.operations().iter().skip(skip).step_by(2).map(|count| u64::from(*count)).sum::<u64>();
        let ids_end = self.header.first_id.checked_add(u64::from(self.header.rows));
        let is_id = |index| self.id(index) != NO_ID;
        let ids_fit = if self.header.lists_ids() { (0..self.header.rows).all(is_id) } else { ids_end.is_some() };
        ids_fit && sum(0) == u64::from(self.header.rows) && sum(1) == u64::from(self.header.deletes)
    }
}

/// Reads frames one after the other, as long as each proves itself.
#[derive(Debug)]
pub struct Reader<'a> {
    file: &'a dyn File,
    id: u64,
    stride: u64,
    length: u64,
    /// Where the next frame begins.
    pub offset: u64,
    previous: u32,
    body: Vec<u8>,
}

impl<'a> Reader<'a> {
    /// Begins behind the file header, whose checksum the first frame repeats.
    pub fn new(file: &'a dyn File, header: &FileHeader) -> Result<Reader<'a>> {
        let mut bytes = [0; HEADER_BYTES];
        file.read_at(&mut bytes, 0)?;
        let (offset, previous) = (HEADER_BYTES as u64, u32_at(&bytes, HEADER_BYTES - 4));
        let (length, stride) = (file.length()?, u64::from(header.dim) * 4);
        Ok(Reader { file, id: header.id, stride, length, offset, previous, body: Vec::new() })
    }

    /// The next sound frame with its offset, or `None` where the log ends.
    pub fn next(&mut self) -> Result<Option<(u64, FrameRead<'_>)>> {
        if self.length < self.offset + FRAME_HEADER_BYTES {
            return Ok(None);
        }
        let mut bytes = [0; FRAME_HEADER_BYTES as usize];
        self.file.read_at(&mut bytes, self.offset)?;
        let Some(header) = FrameHeader::decode(self.id, self.offset, &bytes) else { return Ok(None) };
        let end = header.end(self.offset, self.stride);
        if header.previous != self.previous || end > self.length {
            return Ok(None);
        }
        let body_at = self.offset + FRAME_HEADER_BYTES;
        self.body.resize(to_usize(end - body_at)?, 0);
        self.file.read_at(&mut self.body, body_at)?;
        if body_checksum(self.id, &pieces(self.id, body_at, &[&self.body])) != header.body {
            return Ok(None);
        }
        let (rows, lists) = self.body.split_at(to_usize(header.body_parts(self.stride).0)?);
        let frame = FrameRead { header, rows, lists };
        if !frame.is_consistent() {
            return Ok(None);
        }
        let at = std::mem::replace(&mut self.offset, end);
        self.previous = FrameHeader::stored_checksum(&bytes);
        Ok(Some((at, frame)))
    }
}

/// What a look at the whole log found.
#[derive(Debug)]
pub struct Examined {
    /// The log's header.
    pub header: FileHeader,
    /// End of the last frame that completes a call.
    pub good_end: u64,
    /// End of the last frame that ends a commit.
    pub committed_end: u64,
    /// Length of the file.
    pub length: u64,
    /// Number of the last complete call.
    pub seq: u64,
    previous: u32,
    extents: Vec<Extent>,
    rows: u32,
}

impl Examined {
    /// Where the rows lie, a frame an entry.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }
}

/// Reads the whole log and finds where it ends. A frame further on that says a lost call was durable makes this damage,
/// never a torn tail.
pub fn examine(file: &dyn File, header: &FileHeader) -> Result<Examined> {
    let length = file.length()?;
    let mut reader = Reader::new(file, header)?;
    let stride = reader.stride;
    let (mut good_end, mut committed_end, mut seq) = (reader.offset, reader.offset, header.base_seq);
    let (mut previous, mut rows, mut good_rows) = (reader.previous, 0u32, 0);
    let (mut extents, mut good_extents) = (Vec::new(), 0);
    while let Some((offset, frame)) = reader.next()? {
        let header = frame.header;
        extents.extend(extent_of(&header, offset, rows, stride));
        rows = rows.checked_add(header.rows).ok_or_else(|| Error::corrupt(file.name(), "more than 2^32 rows"))?;
        if header.flags & flags::CONTINUES == 0 {
            (good_end, seq, previous) = (reader.offset, seq.max(header.seq), reader.previous);
            (good_rows, good_extents) = (rows, extents.len());
            if header.flags & flags::COMMIT != 0 {
                committed_end = reader.offset;
            }
        }
    }
    refuse_lost_calls(file, header.id, good_end, length, seq)?;
    extents.truncate(good_extents);
    let header = header.clone();
    Ok(Examined { header, good_end, committed_end, length, seq, previous, extents, rows: good_rows })
}

/// Looks behind the end for a sound frame header that says a call after `seq` was durable.
pub fn refuse_lost_calls(file: &dyn File, id: u64, end: u64, length: u64, seq: u64) -> Result<()> {
    let mut offset = align(end, FRAME_ALIGN);
    let mut piece = vec![0; 1 << 16];
    while offset + FRAME_HEADER_BYTES <= length {
        let bytes = piece.len().min(to_usize((length - offset) / FRAME_ALIGN * FRAME_ALIGN)?);
        file.read_at(&mut piece[..bytes], offset)?;
        for (index, place) in piece[..bytes].chunks_exact(FRAME_HEADER_BYTES as usize).enumerate() {
            let mut header = [0; FRAME_HEADER_BYTES as usize];
            header.copy_from_slice(place);
            let at = offset + index as u64 * FRAME_ALIGN;
            match FrameHeader::decode(id, at, &header) {
                Some(found) if found.durable_seq > seq => {
                    let durable = found.durable_seq;
                    let what = format!(
                        "no sound frame at byte {end}, yet byte {at} says call {durable} was durable (last sound: {seq})"
                    );
                    return Err(Error::corrupt(file.name(), what));
                }
                _ => {}
            }
        }
        offset += bytes as u64;
    }
    Ok(())
}
