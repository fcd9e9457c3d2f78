//! Reads the sound frames of a log and finds its end.

use super::{body_checksum, extent_of, pieces};
use crate::error::{Error, Result};
use crate::format::{
    Extent, FRAME_ALIGN, FRAME_HEADER_BYTES, FileHeader, FrameHeader, Kind, NO_ID, align, flags, to_usize, u32_at,
    u64_at,
};
use crate::os::File;

/// Consecutive operations of one kind in a frame.
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
    rows: &'a [u8],
    /// Ids, deleted ids and operations.
    listed: &'a [u8],
}

impl FrameRead<'_> {
    /// The id of row `index` of the frame.
    fn id(&self, index: u32) -> u64 {
        if self.header.has_id_list() {
            u64_at(self.listed, index as usize * 8)
        } else {
            self.header.first_id.wrapping_add(u64::from(index))
        }
    }

    /// Deleted id `index` of the frame.
    fn deleted(&self, index: u32) -> u64 {
        u64_at(self.listed, (self.listed_ids() + index as usize) * 8)
    }

    /// Number of listed ids of rows, which come before the deleted ids.
    fn listed_ids(&self) -> usize {
        if self.header.has_id_list() { self.header.rows as usize } else { 0 }
    }

    /// The operations of the frame, in the order of the calls, without empty runs.
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
        let start = (self.listed_ids() + self.header.deletes as usize) * 8;
        let end = start + self.header.operations as usize * 4;
        self.listed[start..end].chunks_exact(4).map(|count| u32_at(count, 0)).collect()
    }

    fn is_consistent(&self) -> bool {
        let sum = |skip| self.operations().iter().skip(skip).step_by(2).map(|count| u64::from(*count)).sum::<u64>();
        let ids_end = self.header.first_id.checked_add(u64::from(self.header.rows));
        let is_id = |index| self.id(index) != NO_ID;
        let ids_fit = if self.header.has_id_list() { (0..self.header.rows).all(is_id) } else { ids_end.is_some() };
        ids_fit && sum(0) == u64::from(self.header.rows) && sum(1) == u64::from(self.header.deletes)
    }
}

/// Reads frames one after the other as long as they are sound.
#[derive(Debug)]
pub struct FrameReader<'a> {
    file: &'a dyn File,
    id: u64,
    stride: u64,
    length: u64,
    /// Offset of the next frame.
    pub offset: u64,
    previous: u32,
    body: Vec<u8>,
}

impl<'a> FrameReader<'a> {
    /// Begins after the file header, whose checksum the first frame repeats.
    pub fn new(file: &'a dyn File, header: &FileHeader) -> Result<FrameReader<'a>> {
        let (offset, previous) = (Kind::Log.header_bytes() as u64, header.checksum());
        let (length, stride) = (file.length()?, u64::from(header.dim) * 4);
        Ok(FrameReader { file, id: header.id, stride, length, offset, previous, body: Vec::new() })
    }

    /// The next sound frame with its offset, or `None` at the end of the log.
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
        let (rows, listed) = self.body.split_at(to_usize(header.body_parts(self.stride).0)?);
        let frame = FrameRead { header, rows, listed };
        if !frame.is_consistent() {
            return Ok(None);
        }
        let at = std::mem::replace(&mut self.offset, end);
        self.previous = FrameHeader::stored_checksum(&bytes);
        Ok(Some((at, frame)))
    }
}

/// The end of a log, and its rows.
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
    pub(super) previous: u32,
    extents: Vec<Extent>,
    pub(super) rows: u32,
}

impl Examined {
    /// One extent for each frame with rows.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }
}

/// Reads the whole log and finds its end. If a frame after the end states that a lost call was durable, the log is
/// damaged; otherwise its tail is torn.
pub fn examine(file: &dyn File, header: &FileHeader) -> Result<Examined> {
    let length = file.length()?;
    let mut reader = FrameReader::new(file, header)?;
    let stride = reader.stride;
    let (mut good_end, mut committed_end, mut seq) = (reader.offset, reader.offset, header.base_seq);
    let (mut previous, mut rows, mut good_rows) = (reader.previous, 0u32, 0);
    let (mut extents, mut good_extents) = (Vec::new(), 0);
    while let Some((offset, frame)) = reader.next()? {
        let header = frame.header;
        extents.extend(extent_of(&header, offset, rows, stride));
        rows = rows.checked_add(header.rows).ok_or_else(|| Error::corrupt(file.name(), "more than 2^32 - 1 rows"))?;
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

/// An error if a sound frame header after `end` states that a call after `seq` was durable.
pub fn refuse_lost_calls(file: &dyn File, id: u64, end: u64, length: u64, seq: u64) -> Result<()> {
    let mut offset = align(end, FRAME_ALIGN);
    let mut piece = vec![0; 1 << 16];
    while offset + FRAME_HEADER_BYTES <= length {
        let bytes = piece.len().min(to_usize((length - offset) / FRAME_ALIGN * FRAME_ALIGN)?);
        file.read_at(&mut piece[..bytes], offset)?;
        for (index, slot) in piece[..bytes].chunks_exact(FRAME_HEADER_BYTES as usize).enumerate() {
            let mut header = [0; FRAME_HEADER_BYTES as usize];
            header.copy_from_slice(slot);
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
